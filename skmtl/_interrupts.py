"""How a fit reacts to an interrupt from the keyboard."""

import contextvars
from collections.abc import Callable
from typing import Any

_come_through = contextvars.ContextVar("interrupts come through", default=False)


def catches_interrupts() -> bool:
    """Whether an interrupted fit ends normally, with the best weights so far."""
    return not _come_through.get()


def call_uncaught(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call `function` so that an interrupt within it is raised.

    It is used if a fit that ended early could be mistaken for a complete one.
    """
    # In its own context, so that an interrupt cannot leave the variable set.
    context = contextvars.copy_context()
    context.run(_come_through.set, True)
    return context.run(function, *args, **kwargs)
