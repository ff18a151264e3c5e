"""Clean-up that always runs, even if Ctrl-C interrupts the clean-up itself."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def at_the_end(undo: Callable[[], None]) -> Iterator[None]:
    """Call `undo` when the body has ended.

    It is called twice, because an interrupt may stop the first call. The second call
    must therefore have no effect if the first one was completed.
    """
    try:
        try:
            yield
        finally:
            undo()
    finally:
        undo()
