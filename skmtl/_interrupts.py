"""What an interrupt from the keyboard does to a fit."""

import contextvars
from collections.abc import Callable
from typing import Any

_come_through = contextvars.ContextVar("interrupts come through", default=False)


def catches_interrupts() -> bool:
    """Whether a fit ends with the best weights so far, as if it were complete."""
    return not _come_through.get()


def call_uncaught(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call where a fit that was cut short would pass for a whole one."""
    # In a context of its own, so that no interrupt can leave the variable set.
    context = contextvars.copy_context()
    context.run(_come_through.set, True)
    return context.run(function, *args, **kwargs)
