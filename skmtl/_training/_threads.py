"""Limiting torch's threads, and running the parts of a job side by side.

torch divides each matrix product among its threads, which then wait for one another. If
other programs keep the cores busy, that takes a hundred times as long. So work is
divided into independent parts if possible, and each part runs in its own thread, with a
single thread of torch. The result of a part does not depend on its thread, so results
do not depend on the number of cores, to the last bit.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar, cast

import torch

from skmtl._cleanup import at_the_end

Result = TypeVar("Result")

# Multiply-adds of a forward pass that justify one more thread of torch. On two cores of
# a virtual machine, two threads took between 0.7 and 1.2 times as long as one at 3
# million and half as long at 100 million; on busy cores, a hundred times as long.
MIN_WORK_PER_THREAD = 50_000_000

_thread_lock = threading.Lock()
_thread_users: set[object] = set()
_threads_of_first_user = 1
_has_had_threads = False


class _ThisThread(threading.local):
    def __init__(self) -> None:
        # Limits that are in force; they are nested if a callback predicts.
        self.users: set[object] = set()
        # Number of torch's threads outside all limits; None if never inside one.
        self.own_threads: int | None = None


_this_thread = _ThisThread()


@contextlib.contextmanager
def thread_limit(work: float) -> Iterator[int]:
    """Use as many of torch's threads as `work` multiply-adds per step can keep busy.

    In torch, each thread has its own number of threads, and this context restores it at
    the end. But a new thread takes over the number that any thread has set last. So if
    a thread first uses torch while others are in this context, it can start with their
    limit. It is then restored to the number of the first of them. The context yields
    the number that the caller has outside all limits.
    """
    global _threads_of_first_user, _has_had_threads
    this, user = _this_thread, object()
    wanted = max(1, int(work // MIN_WORK_PER_THREAD))

    def leave() -> None:
        with _thread_lock:
            this.users.discard(user)
            _thread_users.discard(user)
            torch.set_num_threads(before)

    with _thread_lock:
        # Needed in any case: a new thread takes over the number when it first asks for
        # it, and must not do so between another thread's lines below.
        before = torch.get_num_threads()
        if not _thread_users:
            _threads_of_first_user = before
        if not this.users:
            if this.own_threads is None and _thread_users:
                before = max(before, _threads_of_first_user)
            this.own_threads = before
        own = cast(int, this.own_threads)
        _has_had_threads |= own > 1
    with at_the_end(leave):
        with _thread_lock:
            this.users.add(user)
            _thread_users.add(user)
            torch.set_num_threads(min(own, wanted))
        yield own


def _begin_anew_in_child() -> None:
    """Reset the state after a fork, in which only the current thread survives.

    The other threads would never release the lock, and torch would wait forever for the
    threads of its own that the parent had.
    """
    global _thread_lock, _thread_users
    _thread_lock, _thread_users = threading.Lock(), set(_this_thread.users)
    if _has_had_threads:
        torch.set_num_threads(1)
        _this_thread.own_threads = 1


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_begin_anew_in_child)


class Workers:
    """Run jobs side by side on `n_threads` threads, or in turn if there is only one.

    It is a context: its threads end with it. Jobs also run in turn once the main thread
    has ended: from then on, a pool takes no jobs.
    """

    def __init__(self, n_threads: int) -> None:
        self._pool: ThreadPoolExecutor | None = None
        if n_threads > 1 and threading.main_thread().is_alive():
            self._pool = ThreadPoolExecutor(
                n_threads, initializer=torch.set_num_threads, initargs=(1,)
            )
        self._is_over = threading.Event()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def run(self, jobs: Sequence[Callable[[], Result]]) -> list[Result]:
        """Run the jobs and return their results in order.

        If a job fails, or at an interrupt, no job keeps running.
        """
        if self._pool is None or len(jobs) == 1:
            return [job() for job in jobs]
        futures = [self._pool.submit(job) for job in jobs]
        with at_the_end(partial(self._end, futures)):
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in filter(done.__contains__, futures):
                future.result()  # raises the failure, if there is one
            return [future.result() for future in futures]

    def keep_on(self) -> None:
        """Raise if another job has failed; long jobs must call this now and then."""
        if self._is_over.is_set():
            raise CancelledJob

    def _end(self, futures: list[Future]) -> None:
        if all(future.done() for future in futures):
            return
        self._is_over.set()
        for future in futures:
            future.cancel()
        wait(futures)
        self._is_over.clear()


class CancelledJob(Exception):
    """Raised in a job if another one has failed or the caller was interrupted."""
