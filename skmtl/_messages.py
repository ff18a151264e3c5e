"""Lists in messages, and the line of the user's code that a warning points to."""

import sys
import warnings
from collections.abc import Iterable
from types import FrameType
from typing import Any

# Code that stands between the user's line and ours: whoever reads the warning can
# change nothing there.
_BETWEEN = {"skmtl", "sklearn", "joblib", "contextlib", "functools"}


def shorten(items: Iterable[Any]) -> str:
    """The first of many items, for a message."""
    shown = [repr(item) for item in items]
    rest = f", ... ({len(shown)} in all)" if len(shown) > 5 else ""
    return "[" + ", ".join(shown[:5]) + rest + "]"


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the first line outside of skmtl, scikit-learn and joblib."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_between(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_between(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN
