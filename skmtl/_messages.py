"""Lists in messages, and warnings that point to a line of the user's code."""

import re
import sys
import warnings
from collections.abc import Iterable
from types import FrameType
from typing import Any

# Packages that stand between the user's line and ours. Warnings do not point there,
# because the user cannot change that code.
_BETWEEN = {"skmtl", "sklearn", "joblib", "contextlib", "functools", "torch"}
# These run workers. Around them, there is no line of the user.
_WORKERS = {"multiprocessing", "threading", "concurrent", "dask", "distributed", "ray"}
_ONCE = {"default", "module", "once"}
# Which warning was shown for which line, and to which recipient.
_shown: dict[tuple[str, int, type[Warning], str], tuple[Any, Any]] = {}


def shorten(items: Iterable[Any]) -> str:
    """Return the first few of many items, for a message."""
    shown = [repr(item) for item in items]
    rest = f", ... ({len(shown)} in all)" if len(shown) > 5 else ""
    return "[" + ", ".join(shown[:5]) + rest + "]"


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the innermost line outside skmtl, scikit-learn and joblib.

    A worker may have no such line. The warning is then at the outermost line of skmtl.
    Python shows a warning once per line, but `catch_warnings` makes it forget what it
    showed, and scikit-learn calls that for every fit of a search. We remember it here.
    """
    frame = _frame_to_show()
    code, line, names = frame.f_code, frame.f_lineno, frame.f_globals
    registry = names.setdefault("__warningregistry__", {})
    # A notebook cell that is run again has a new registry, and each block that records
    # warnings has its own function.
    recipient = registry, getattr(warnings, "_showwarnmsg_impl", None)
    key = code.co_filename, line, category, message
    module = names.get("__name__", "<string>")
    if _is_shown_once(message, category, module, line):
        last = _shown.get(key, (None, None))
        if last[0] is registry and last[1] is recipient[1]:
            return
        _shown[key] = recipient
    warnings.warn_explicit(message, category, code.co_filename, line, module, registry)


def _frame_to_show() -> FrameType:
    frame = ours = sys._getframe()
    while (package := _package_of(frame)) in _BETWEEN:
        if package == "skmtl":
            ours = frame
        if frame.f_back is None:
            return ours
        frame = frame.f_back
    return ours if package in _WORKERS else frame


def _package_of(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


def _is_shown_once(
    message: str, category: type[Warning], module: str, line: int
) -> bool:
    """Whether the filters, read as Python reads them, show a warning once per line."""
    for action, text, kind, where, at in warnings.filters:
        if (
            issubclass(category, kind)
            and at in (0, line)
            and _matches(text, message)
            and _matches(where, module)
        ):
            return action in _ONCE
    return True


def _matches(pattern: str | re.Pattern | None, text: str) -> bool:
    if pattern is None or isinstance(pattern, str):
        return pattern in (None, text)
    return pattern.match(text) is not None
