"""Output for the user: lines, tables and failures."""

import contextlib
import difflib
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

BAD_DATA, BAD_USAGE, UNEXPECTED = 1, 2, 3
INTERRUPTED, TERMINATED, CLOSED_PIPE = 130, 143, 141
# Wide enough for tables that go to a file or a pipe, where nothing may be cut off.
_WIDTH_OF_FILES = 200


class Failure(Exception):
    """An error that ends a command with one line and an exit code."""

    def __init__(self, message: str, code: int = BAD_DATA) -> None:
        super().__init__(message)
        self.code = code


def usage_failure(message: str) -> Failure:
    return Failure(message, BAD_USAGE)


def say(text: str, *, to_errors: bool = False) -> None:
    """Print one line verbatim."""
    _console(to_errors).print(
        text, soft_wrap=True, markup=False, highlight=False, emoji=False
    )


def complain(kind: str, text: str, style: str) -> None:
    """Print one line to stderr that begins with a coloured word."""
    line = f"[{style}]{kind}:[/] {escape(' '.join(text.split()))}"
    _console(to_errors=True).print(line, soft_wrap=True, highlight=False, emoji=False)


def warn(text: str) -> None:
    complain("Warning", text, "yellow")


def show_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    """Replace `warnings.showwarning`, which shows a line of our code."""
    if issubclass(category, UserWarning | RuntimeWarning):
        warn(str(message))


def only_our_warnings() -> None:
    """Show warnings in our format, and no deprecations of other packages."""
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    warnings.simplefilter("default", UserWarning)
    warnings.filterwarnings("default", module="skmtl", category=RuntimeWarning)
    warnings.filterwarnings("default", "Training was interrupted", RuntimeWarning)
    warnings.showwarning = show_warning


def show_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    n_text_columns: int = 1,
    to_errors: bool = False,
) -> None:
    """Print columns of text, then right-aligned columns of numbers."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for position, header in enumerate(headers):
        is_number = position >= n_text_columns
        table.add_column(
            header, justify="right" if is_number else "left", no_wrap=is_number
        )
    for row in rows:
        table.add_row(*map(escape, row))
    _console(to_errors).print(table, highlight=False, emoji=False)


@contextlib.contextmanager
def working(what: str, quiet: bool) -> Iterator[None]:
    """Show a spinner during the work."""
    if quiet:
        yield
        return
    with _console(to_errors=True).status(f"{what} ..."):
        yield


def is_terminal() -> bool:
    return _console(to_errors=False).is_terminal


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise, instead of ending the program with another exit code."""
        raise BrokenPipeError


def _console(to_errors: bool) -> Console:
    file = sys.stderr if to_errors else sys.stdout
    width = None if file.isatty() else _WIDTH_OF_FILES
    return _Console(file=file, width=width)


def quoted(word: str) -> str:
    """Return the word as it must be typed in a shell."""
    return subprocess.list2cmdline([word]) if os.name == "nt" else shlex.quote(word)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a sentence that names the most similar names, or else the first few."""
    names = list(names)
    by_lower = {n.lower(): n for n in reversed(names)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3)
    if close:
        return f"Did you mean {' or '.join(repr(by_lower[n]) for n in close)}?"
    return f"The names are {listed(names)}."


def listed(names: Iterable[str]) -> str:
    """Return the first few names, for a message."""
    names = list(names)
    rest = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return ", ".join(map(repr, names[:8])) + rest
