"""Handle Ctrl-C and SIGTERM."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skmtl._cli._console import INTERRUPTED, TERMINATED, Failure


class Interrupts:
    """The exit code of the signal that was received, if there was one."""

    code: int | None = None


@contextmanager
def caught_interrupts() -> Iterator[Interrupts]:
    """Turn both signals into KeyboardInterrupt, upon which a fit ends early."""
    interrupts = Interrupts()

    def interrupt(number: int, frame: Any) -> None:
        interrupts.code = TERMINATED if number == signal.SIGTERM else INTERRUPTED
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield interrupts
    except KeyboardInterrupt as error:
        code = interrupts.code or INTERRUPTED
        raise Failure("interrupted; nothing was written.", code) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
