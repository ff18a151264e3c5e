"""Lists in messages, and warnings of the line in the user's code."""

import re
import sys
import warnings
from collections.abc import Iterable
from types import FrameType
from typing import Any

# Code that stands between the user's line and ours: whoever reads the warning can
# change nothing there.
_BETWEEN = {"skmtl", "sklearn", "joblib", "contextlib", "functools", "torch"}
_ONCE = {"default", "module", "once"}
# What was shown of which line, and to whom.
_shown: dict[tuple[str, int, type[Warning], str], tuple[Any, Any]] = {}


def shorten(items: Iterable[Any]) -> str:
    """The first of many items, for a message."""
    shown = [repr(item) for item in items]
    rest = f", ... ({len(shown)} in all)" if len(shown) > 5 else ""
    return "[" + ", ".join(shown[:5]) + rest + "]"


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the first line outside of skmtl, scikit-learn and joblib.

    Python shows a warning once for each line, but forgets so with `catch_warnings`,
    which scikit-learn calls for each fit of a search: it is remembered here.
    """
    frame = sys._getframe()
    while frame.f_back is not None and _is_between(frame):
        frame = frame.f_back
    code, line, names = frame.f_code, frame.f_lineno, frame.f_globals
    registry = names.setdefault("__warningregistry__", {})
    # A cell of a notebook that runs anew has a new registry, and each block that
    # records warnings a function of its own.
    recipient = registry, getattr(warnings, "_showwarnmsg_impl", None)
    key = code.co_filename, line, category, message
    module = names.get("__name__", "<string>")
    if _is_shown_once(message, category, module, line):
        last = _shown.get(key, (None, None))
        if last[0] is registry and last[1] is recipient[1]:
            return
        _shown[key] = recipient
    warnings.warn_explicit(message, category, code.co_filename, line, module, registry)


def _is_between(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN


def _is_shown_once(
    message: str, category: type[Warning], module: str, line: int
) -> bool:
    """Whether the filters, read as Python does, show a warning once for each line."""
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
