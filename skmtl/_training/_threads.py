"""Threads of torch, and the parts of a job side by side.

torch divides a product among its threads, which wait for one another after each: where
other programs keep the cores busy, that takes a hundred times as long. So what can be
divided is divided into parts that need nothing of one another, each done by a thread
of its own with one thread of torch. A part does the same, whatever thread it is on:
results do not depend on the number of cores, to the last bit.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar, cast

import torch

from skmtl._cleanup import at_the_end

Result = TypeVar("Result")

# Multiply-adds of a forward pass that a further thread of torch is worth. On two cores
# of a virtual machine two threads took between 0.7 and 1.2 times as long as one at 3
# million and half as long at 100 million; where the cores are busy, a hundred times.
MIN_WORK_PER_THREAD = 50_000_000

_thread_lock = threading.Lock()
_thread_users: set[object] = set()
_threads_of_first_user = 1
_has_had_threads = False


class _ThisThread(threading.local):
    def __init__(self) -> None:
        # Several, one around another, where a callback predicts.
        self.users: set[object] = set()
        # Of torch outside of all limits; None: it has never been inside.
        self.own_threads: int | None = None


_this_thread = _ThisThread()


@contextlib.contextmanager
def thread_limit(work: float) -> Iterator[int]:
    """Use as many of torch's threads as `work` multiply-adds a step can keep busy.

    Each thread has a number of its own, and leaves with the one that it came with. But
    where it first uses torch while others are here, it may have come with their limit:
    a new thread takes over what any thread has set last. Then it leaves with what the
    first of them had. Gives the number that the caller has outside of all limits.
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
        # Also where it is not used: a new thread takes the number over when it asks for
        # it, which must not happen between the lines of another one here.
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
    """After a fork: of all threads, this one alone is here.

    The others will not give the lock back, and torch would wait forever for those of
    its own that the parent has had.
    """
    global _thread_lock, _thread_users
    _thread_lock, _thread_users = threading.Lock(), set(_this_thread.users)
    if _has_had_threads:
        torch.set_num_threads(1)
        _this_thread.own_threads = 1


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_begin_anew_in_child)


class Workers:
    """Do jobs side by side, on as many threads; on one thread, in turn by the caller.

    A context: its threads end with it.
    """

    def __init__(self, n_threads: int) -> None:
        self._pool: ThreadPoolExecutor | None = None
        if n_threads > 1:
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
        """What the jobs return, in their order.

        Where one fails, or an interrupt strikes, none is left at work.
        """
        if self._pool is None or len(jobs) == 1:
            return [job() for job in jobs]
        futures = [self._pool.submit(job) for job in jobs]
        with at_the_end(partial(self._end, futures)):
            return [future.result() for future in futures]

    def keep_on(self) -> None:
        """For a long job to call now and then: raises if another job has failed."""
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
    """Another job has failed, or the caller was interrupted."""
