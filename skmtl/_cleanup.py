"""What must be undone, whatever happens: also where Ctrl-C cuts the undoing short."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def at_the_end(undo: Callable[[], None]) -> Iterator[None]:
    """Call `undo`, which is of no effect the second time, when the body has ended.

    An interrupt may strike within `undo` as anywhere else: then it is called again.
    """
    try:
        try:
            yield
        finally:
            undo()
    finally:
        undo()
