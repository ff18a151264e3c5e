"""Learn the tasks of a y that arrives in parts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._label_weights import label_weights
from skmtl._messages import shorten
from skmtl._sampling import RowSample
from skmtl._targets._containers import Column, read_columns
from skmtl._targets._encoding import (
    TaskTypes,
    check_clear,
    guess_type,
    learn_targets,
    types_of_columns,
)
from skmtl._targets._labels import distinct, tidy_columns, tidy_labels
from skmtl._targets._numbers import (
    Numbers,
    finite_numbers,
    learn_scale,
    merged_scales,
    plain_numbers,
)
from skmtl._targets._suspects import warn_of_text_of_missing
from skmtl._targets._tasks import Tasks, task_names

# Largest number of observed values of a task that its transformer is fitted on.
N_VALUES = 100_000


@dataclass
class _TaskSeen:
    """One task. Totals have a row per label (or one for numbers), a column per side.

    The sides are the training rows and the held-out rows.
    """

    labels: NDArray | None = None  # distinct and sorted; None before the first label
    categories: NDArray | None = None
    totals: NDArray = field(default_factory=lambda: np.zeros((0, 2)))
    n_labels: int = 0
    scale: Numbers | None = None
    # A sample of values that may be numbers, for a transformer.
    values: RowSample = field(default_factory=lambda: RowSample(N_VALUES))


class TargetsSeen:
    """Collects tasks, their labels with weights, and the scale of numbers."""

    def __init__(
        self,
        task_types: TaskTypes,
        *,
        keeps_values: bool,
        are_numbers: NDArray | None = None,
    ) -> None:
        """Keep a sample of the numbers if a transformer is to be fitted.

        Without `are_numbers`, the first part shows which tasks are numeric.
        """
        self.task_types, self._known_numbers = task_types, are_numbers
        self.guesses = task_types == "auto" and are_numbers is None
        self.keeps_values = keeps_values
        self.are_unclear: dict[int, bool] = {}  # tasks with whole numbers, if guessing
        self.tasks: list[_TaskSeen] = []

    def read(self, y: Any) -> list[Column]:
        """Return the columns of a part. The first part defines the tasks."""
        columns, own_names, is_1d = read_columns(y)
        if not self.tasks:
            self.own_names, self.is_1d = own_names, is_1d
            self.names = task_names(own_names, len(columns))
            self.tasks = [_TaskSeen() for _ in columns]
            self.are_numbers = np.zeros(len(columns), dtype=bool)
            if self._known_numbers is not None:
                self.are_numbers |= self._known_numbers
            elif not self.guesses:
                types = self.task_types
                self.are_numbers |= types_of_columns(columns, self.names, types)
        elif own_names != self.own_names or (is_1d, len(columns)) != (
            self.is_1d,
            len(self.tasks),
        ):
            raise ValueError(
                f"y must have the same tasks in all its parts, {shorten(self.names)}; "
                f"got {shorten(own_names or range(len(columns)))}. Pass the same "
                "columns."
            )
        if self.guesses:
            self._guess_types(columns)
        return tidy_columns(columns, self.names, self.are_numbers)

    def _guess_types(self, columns: list[Column]) -> None:
        """Guess from all parts, as from a whole y: decimals make a task numeric."""
        for t, column in enumerate(columns):
            guessed = guess_type(column)
            self.are_unclear[t] = self.are_unclear.get(t, False) or guessed is None
            if guessed and not self.are_numbers[t]:
                self._turn_into_numbers(t)

    def _turn_into_numbers(self, t: int) -> None:
        """Treat the labels seen so far as numbers."""
        task, self.are_numbers[t] = self.tasks[t], True
        if task.labels is None:
            return
        labels = Column(np.ones(len(task.labels), bool), task.labels, task.categories)
        values, weight = finite_numbers(labels, self.names[t]), task.totals.sum(axis=1)
        counts = weight > 0
        if counts.any():
            task.scale = learn_scale(values[counts], weight[counts], None, "")
        task.totals = task.totals.sum(axis=0, keepdims=True)

    def add(
        self,
        columns: list[Column],
        weights: NDArray | None,
        is_held_out: NDArray,
        keys: NDArray,
    ) -> None:
        """Add the columns of a part; `weights` are (n_rows, 1) or (n_rows, n_tasks)."""
        for t, (task, column) in enumerate(zip(self.tasks, columns, strict=True)):
            rows = column.observed
            weight = label_weights(weights, t, rows)
            if weight is None:
                weight = np.ones(int(rows.sum()))
            counts = weight > 0
            task.n_labels += int(counts.sum())
            sides = is_held_out[rows]
            keeps_values = self.keeps_values and plain_numbers(column) is not None
            if self.are_numbers[t] or keeps_values:
                values = finite_numbers(column, self.names[t])[counts]
            if keeps_values:
                task.values.add(keys[rows][counts], values, weight[counts])
            if self.are_numbers[t]:
                self._add_numbers(task, values, weight[counts], sides[counts], t)
            else:
                self._add_labels(task, column, weight, sides, t)

    def _add_numbers(
        self, task: _TaskSeen, values: NDArray, weight: NDArray, sides: NDArray, t: int
    ) -> None:
        total = np.bincount(sides, weight, minlength=2)
        if len(values):
            scale = learn_scale(values, weight, None, self.names[t])
            task.scale = merged_scales(
                task.scale, float(task.totals.sum()), scale, float(weight.sum())
            )
        task.totals = task.totals.sum(axis=0, keepdims=True) + total

    def _add_labels(
        self, task: _TaskSeen, column: Column, weight: NDArray, sides: NDArray, t: int
    ) -> None:
        labels, inverse = distinct(column.values)
        n = len(labels)
        by_side = [np.bincount(inverse, weight * s, n) for s in (~sides, sides)]
        totals = np.column_stack(by_side)
        self._merge_labels(task, labels, totals, column.categories, t)

    def _merge_labels(
        self,
        task: _TaskSeen,
        labels: NDArray | None,
        totals: NDArray,
        categories: NDArray | None,
        t: int,
    ) -> None:
        if categories is not None:
            task.categories = self._union(task.categories, categories, t)[0]
        if labels is None or len(labels) == 0:
            return
        union, inverse = self._union(task.labels, labels, t)
        merged = np.zeros((len(union), 2))
        np.add.at(merged, inverse, np.concatenate([task.totals, totals]))
        task.labels, task.totals = union, merged

    def _union(
        self, known: NDArray | None, labels: NDArray, t: int
    ) -> tuple[NDArray, NDArray]:
        """Return the distinct labels of both arrays, and the index of each label."""
        if known is None:
            return distinct(labels)
        if (known.dtype.kind in "UO") != (labels.dtype.kind in "UO"):
            # numpy would turn numbers into text.
            both = np.concatenate([known.astype(object), labels.astype(object)])
            both = tidy_labels(Column(both, both, None), self.names[t]).values
        else:
            both = np.concatenate([known, labels])
        return distinct(both)

    def merge(self, other: "TargetsSeen") -> None:
        """Add what was seen of other rows of the same tasks."""
        if self.names.tolist() == other.names.tolist() and self.guesses:
            self._agree_on_types(other)
        same = np.array_equal(self.are_numbers, other.are_numbers)
        same &= self.is_1d == other.is_1d
        if self.names.tolist() != other.names.tolist() or not same:
            raise ValueError(
                "Each process must have the same tasks in y, of the same types, but "
                f"one has {shorten(self._described())} and another one has "
                f"{shorten(other._described())}{_in_axes(self, other)}. Pass the same "
                "columns and the same task_types."
            )
        for t, (task, theirs) in enumerate(zip(self.tasks, other.tasks, strict=True)):
            task.n_labels += theirs.n_labels
            if not self.are_numbers[t]:
                labels, categories = theirs.labels, theirs.categories
                self._merge_labels(task, labels, theirs.totals, categories, t)
                continue
            if theirs.scale is not None:
                task.scale = merged_scales(
                    task.scale,
                    float(task.totals.sum()),
                    theirs.scale,
                    float(theirs.totals.sum()),
                )
            totals = np.concatenate([task.totals, theirs.totals])
            task.totals = totals.sum(axis=0, keepdims=True)
        for task, theirs in zip(self.tasks, other.tasks, strict=True):
            kept = theirs.values.kept()
            if kept is not None:
                task.values.add(*kept)

    def _agree_on_types(self, other: "TargetsSeen") -> None:
        """Make a task numeric in all processes if it has decimals in one."""
        for t in np.flatnonzero(self.are_numbers != other.are_numbers).tolist():
            (other if self.are_numbers[t] else self)._turn_into_numbers(t)
        for t, is_unclear in other.are_unclear.items():
            self.are_unclear[t] = self.are_unclear.get(t, False) or is_unclear

    def _described(self) -> list[tuple[str, str]]:
        kinds = np.where(self.are_numbers, "number", "class").tolist()
        return list(zip(self.names.tolist(), kinds, strict=True))

    def learned(self, transformers_of: Callable[[Tasks], dict[str, Any]]) -> Tasks:
        """Return the tasks with the scale of numbers; fits their transformers."""
        unclear = [t for t, is_it in self.are_unclear.items() if is_it]
        check_clear([self.names[t] for t in unclear if not self.are_numbers[t]])
        columns = []
        for task in self.tasks:
            labels = np.empty(0) if task.labels is None else task.labels
            columns.append(Column(np.ones(len(labels), bool), labels, task.categories))
        types = dict(self._described())
        targets, _ = learn_targets(columns, self.names, self.is_1d, types, None)
        warn_of_text_of_missing(targets, self.names)
        is_named = self.own_names is not None and not self.is_1d
        tasks = Tasks(self.names, targets, is_named, self.is_1d)
        transformers = transformers_of(tasks)
        for t in np.flatnonzero(self.are_numbers).tolist():
            task, transformer = self.tasks[t], transformers.get(self.names[t])
            targets[t] = task.scale or Numbers()
            if transformer is not None:
                _, values, weight = task.values.kept() or (None, np.empty(0), None)
                targets[t] = learn_scale(values, weight, transformer, self.names[t])
        return tasks

    def totals(self, tasks: Tasks) -> NDArray:
        """Return (n_tasks, most codes, 2): the weight of each class on each side."""
        totals = np.zeros((tasks.n_tasks, int(tasks.n_codes.max()), 2))
        for t, (task, classes) in enumerate(
            zip(self.tasks, tasks.classes, strict=True)
        ):
            if self.are_numbers[t]:
                totals[t, :1] = task.totals.sum(axis=0, keepdims=True)
            elif task.labels is not None and classes is not None:
                totals[t, np.searchsorted(classes, task.labels)] = task.totals
        return totals

    @property
    def n_labels(self) -> NDArray:
        """(n_tasks,): the number of labels of positive weight."""
        return np.array([task.n_labels for task in self.tasks])


def _in_axes(one: TargetsSeen, other: TargetsSeen) -> str:
    if one.is_1d == other.is_1d:
        return ""
    return ", one of them 1-D and the other 2-D"
