"""Warn of labels in y that are valid but probably a mistake."""

import numpy as np
from numpy.typing import NDArray

from skmtl._messages import shorten, warn
from skmtl._targets._numbers import Numbers
from skmtl._targets._tasks import Classes, Tasks

# What files and `str` turn missing labels into: text that is hardly ever a label.
_TEXT_OF_MISSING = (
    *("", " ", "?", "-", ".", "nan", "NaN", "NaT", "<NA>", "NA", "N/A", "n/a"),
    *("None", "null", "NULL", "missing"),
)
# Numbers that stand for a missing label in many files. -1 can also be a class of one
# task, but hardly of all tasks of a table.
_MARKS = (-1, -9, -99, -999, -9999, 99, 999, 9999)
# It is very unlikely that this many rows have a single 1 each by chance.
_ROWS_TO_BE_ONE_HOT = 10


def warn_of_text_of_missing(targets: list[Classes | Numbers], names: NDArray) -> None:
    """Warn of tasks with classes such as "NA"."""
    suspects = {}
    for name, target in zip(names, targets, strict=True):
        labels = getattr(target, "labels", np.empty(0))
        if labels.dtype.kind in "UO" and np.isin(_TEXT_OF_MISSING, labels).any():
            suspects[name] = sorted(set(_TEXT_OF_MISSING) & set(labels.tolist()))
    if suspects:
        warn(
            f"y has labels that look like missing labels, {shorten(suspects.items())}, "
            "but they are treated as classes. If they mean missing labels, use None or "
            "NaN in an object array or a DataFrame, for example "
            "y.astype(object).mask(y == 'NA'); in a categorical column, the category "
            "would remain a class."
        )


def warn_of_suspects(tasks: Tasks, codes: NDArray | None, totals: NDArray) -> None:
    """Warn of suspicious tasks.

    `totals` (n_tasks, most codes) are the labels of each class. Without `codes`, as for
    rows that are never all in memory, one-hot columns are not looked for.
    """
    occurs = (totals > 0) & ~tasks.are_numbers[:, None]
    _warn_of_one_class(tasks, occurs)
    _warn_of_unused_categories(tasks, occurs)
    if codes is not None:
        _warn_of_one_hot(tasks, codes)
    _warn_of_marks(tasks)


def _warn_of_one_class(tasks: Tasks, occurs: NDArray) -> None:
    constant = np.flatnonzero(occurs.sum(axis=1) == 1)
    if len(constant):
        labels = [
            (tasks.names[t], tasks.classes[t].tolist()[occurs[t].argmax()])
            for t in constant
        ]
        warn(
            f"{len(constant)} of {tasks.n_tasks} tasks have labels of one class only "
            f"(of positive weight) in y: {shorten(labels)}. There is nothing to learn "
            "from them. Drop the columns, or add labels of other classes. If 0 stands "
            "for a missing label, use NaN."
        )


def _warn_of_unused_categories(tasks: Tasks, occurs: NDArray) -> None:
    unused = []
    for t, target in enumerate(tasks.targets):
        if isinstance(target, Classes) and target.is_declared:
            seen = occurs[t, : target.n_codes]
            if seen.sum() > 1 and not seen.all():
                unused.append((tasks.names[t], target.labels[~seen].tolist()))
    if unused:
        column = "y" if tasks.is_1d else f"y[{unused[0][0]!r}]"
        warn(
            f"{len(unused)} of {tasks.n_tasks} tasks declare categories without a row "
            f"(of positive weight) in y: {shorten(unused)}. They are classes "
            "nevertheless, and get some probability. If they cannot occur, remove "
            f"them: {column} = {column}.cat.remove_unused_categories()."
        )


def _warn_of_one_hot(tasks: Tasks, codes: NDArray) -> None:
    n_tasks = tasks.n_tasks
    if n_tasks < 3 or not all(_are(classes, 0, 1) for classes in tasks.classes):
        return
    is_missing = (codes < 0).all(axis=1)  # rows without any label
    if (
        len(codes) - is_missing.sum() >= _ROWS_TO_BE_ONE_HOT
        and (is_missing | (codes >= 0).all(axis=1)).all()
        and (is_missing | (codes.sum(axis=1) == 1)).all()
    ):
        warn(
            f"Each row of y with labels has a single 1 in its {n_tasks} columns, "
            f"{shorten(tasks.names)}, as if they were the answers to one question. If "
            "so, pass one column of classes instead of one task per answer: "
            "y.idxmax(axis=1) for a DataFrame, y.argmax(axis=1) for an array."
        )


def _warn_of_marks(tasks: Tasks) -> None:
    for mark in _MARKS:
        is_marked = np.array([_are(c, 0, 1, mark) for c in tasks.classes])
        if mark == -1:
            rest = [c for c, m in zip(tasks.classes, is_marked, strict=True) if not m]
            if is_marked.sum() < 2 or not all(_are_among(c, 0, 1) for c in rest):
                continue
        if is_marked.any():
            warn(
                f"{mark} next to 0 and 1 looks like a mark for a missing label, but is "
                f"treated as a class in tasks {shorten(tasks.names[is_marked])}. If it "
                f"means a missing label, use NaN: y.where(y != {mark}) for a "
                f"DataFrame, np.where(y == {mark}, np.nan, y) for an array. If it is a "
                "class, convert the labels to text."
            )


def _are(classes: NDArray | None, *numbers: int) -> bool:
    """Whether the classes are exactly these numbers."""
    if classes is None or len(classes) != len(numbers):
        return False
    return bool(classes.tolist() == sorted(numbers))


def _are_among(classes: NDArray | None, *numbers: int) -> bool:
    return classes is not None and set(classes.tolist()) <= set(numbers)
