"""The tasks that `fit` learns from y, and operations on them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._messages import shorten, warn
from skmtl._targets._numbers import Numbers

# With at least this many labels, scikit-learn warns of a possible regression problem if
# more than half of the labels are distinct.
_MIN_LABELS_TO_DOUBT = 21
# With at least this many distinct whole numbers, a task looks like days or counts.
_MANY_WHOLE_NUMBERS = 30


def is_binary(n_classes: int) -> bool:
    """Whether a task with this number of classes needs one probability only."""
    return n_classes == 2


@dataclass(frozen=True, eq=False)
class Classes:
    """A task with classes."""

    labels: NDArray  # sorted
    is_declared: bool = False  # whether a categorical column declares the labels

    @property
    def n_codes(self) -> int:
        """Number of classes. Code c is the class `labels[c]`, -1 a missing label."""
        return len(self.labels)


@dataclass(frozen=True)
class Tasks:
    """The columns of y."""

    names: NDArray  # (n_tasks,) of str
    targets: list[Classes | Numbers]  # per task
    is_named: bool  # whether the names come from y
    is_1d: bool  # whether y had one axis

    @property
    def n_tasks(self) -> int:
        """Number of columns of y."""
        return len(self.targets)

    @property
    def n_codes(self) -> NDArray:
        """(n_tasks,): number of classes of each task, 1 for a numeric task."""
        return np.array([target.n_codes for target in self.targets])

    @property
    def are_numbers(self) -> NDArray:
        """(n_tasks,) of bool: which tasks are numeric."""
        return np.array([isinstance(target, Numbers) for target in self.targets])

    @property
    def types(self) -> dict[str, str]:
        """The type of each task, "class" or "number", by name."""
        types = np.where(self.are_numbers, "number", "class").tolist()
        return dict(zip(self.names.tolist(), types, strict=True))

    @property
    def classes(self) -> list[Any]:
        """The sorted classes of each task, None for a numeric task."""
        return [getattr(target, "labels", None) for target in self.targets]


def classes_attribute(tasks: Tasks) -> Any:
    """Return `classes_` for these tasks: a list, or an array if y was 1-D."""
    classes = [None if labels is None else labels.copy() for labels in tasks.classes]
    return classes[0] if tasks.is_1d else classes


def task_names(names: list | None, n_tasks: int) -> NDArray:
    """Return the names of the columns of y, or numbered names."""
    if names is None:
        return np.array([f"task_{t}" for t in range(n_tasks)], dtype=object)
    texts = [str(name) for name in names]
    duplicates = sorted(text for text, n in Counter(texts).items() if n > 1)
    if duplicates:
        raise ValueError(
            "Task names must be unique, but y has columns with the same name: "
            f"{shorten(duplicates)}. Rename or drop them."
        )
    return np.array(texts, dtype=object)


def joined_tasks(tasks: Tasks, new: Tasks) -> Tasks:
    """Return the tasks of an estimator after new ones were added."""
    names = np.concatenate([tasks.names, new.names])
    is_named = tasks.is_named or new.is_named
    return Tasks(names, [*tasks.targets, *new.targets], is_named, False)


def without_tasks(tasks: Tasks, names: Any) -> tuple[Tasks, NDArray]:
    """Return the remaining tasks, and their positions before some were dropped."""
    is_dropped = named_tasks(tasks, names, "names")
    kept = np.flatnonzero(~is_dropped)
    if len(kept) == 0:
        raise ValueError(
            f"At least one task must remain, but all {tasks.n_tasks} would be dropped. "
            "Name fewer tasks."
        )
    targets = [tasks.targets[t] for t in kept]
    return replace(tasks, names=tasks.names[kept], targets=targets), kept


def named_tasks(tasks: Tasks, names: Any, parameter: str) -> NDArray:
    """Return (n_tasks,) of bool: the tasks with a name, or a list of names."""
    if not isinstance(names, Iterable):
        raise ValueError(
            f"{parameter} must be the name of a task or a list of names; got "
            f"{names!r}. See task_names_."
        )
    given = [names] if isinstance(names, str) else [str(name) for name in names]
    known = set(tasks.names)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(
            f"{parameter} must be among the tasks {shorten(tasks.names)}; got "
            f"{shorten(unknown)}. See task_names_; after drop_tasks, leave out the "
            "dropped tasks."
        )
    return np.isin(tasks.names, given)


def check_same_tasks(
    names: list | None, n_tasks: int, is_1d: bool, tasks: Tasks
) -> None:
    """Raise if y does not have the tasks of an earlier call."""
    if is_1d != tasks.is_1d or n_tasks != tasks.n_tasks:
        expected = "(n_samples,)" if tasks.is_1d else f"(n_samples, {tasks.n_tasks})"
        got = "(n_samples,)" if is_1d else f"(n_samples, {n_tasks})"
        raise ValueError(
            f"y must have the same shape as in fit, {expected}; got {got}. Pass the "
            "same tasks."
        )
    if names is not None and not is_1d:
        check_same_names(names, tasks)


def check_same_names(names: Any, tasks: Tasks) -> None:
    """Raise if y has other names, or another order, than in an earlier call."""
    given, known = [str(name) for name in names], tasks.names.tolist()
    # Names that we numbered count as well if they are passed back to us.
    if given != known and (tasks.is_named or sorted(given) == sorted(known)):
        raise ValueError(
            "y must have the same tasks as in fit, in the same order: "
            f"{shorten(tasks.names)}; got {shorten(given)}. Reorder with "
            "y[estimator.task_names_]."
        )


def check_labelled(
    tasks: Tasks, is_labelled: NDArray, *, are_guessed: bool = False
) -> None:
    """Raise if y has no labels; warn of tasks without labels.

    `are_guessed` says whether the types of the tasks come from `task_types="auto"`.
    """
    if not is_labelled.any():
        raise ValueError(
            "y must have at least one observed label (of positive weight), but all "
            f"labels of {tasks.n_tasks} task(s) are missing. Pass rows with labels."
        )
    without = tasks.names[~is_labelled & tasks.are_numbers].tolist()
    if without:
        raise ValueError(
            "Each numeric task must have an observed value (of positive weight) in y, "
            f"but {shorten(without)} have none. Drop these columns, add values, or use "
            "a task_weight above 0. In cross-validation, y is that of the training "
            "rows of a fold: use a splitter that spreads the values over the folds, "
            "such as MultiTaskStratifiedKFold."
        )
    without = tasks.names[~is_labelled].tolist()
    if without:
        guess = "task_types='auto' reads them as classes. " if are_guessed else ""
        warn(
            f"{len(without)} of {tasks.n_tasks} tasks have no observed label (of "
            f"positive weight) in y: {shorten(without)}. {guess}Nothing can be learned "
            "for them, and their probabilities are uniform. Drop the columns or add "
            "labels."
        )


def check_types_known(tasks: Tasks, n_labels: NDArray) -> None:
    """Raise if tasks whose type is guessed have no label; `n_labels` of each task."""
    without = tasks.names[n_labels == 0].tolist()
    if without:
        raise ValueError(
            "With task_types='auto', the first call of partial_fit must bring a label "
            "of each task, which shows whether it has classes or numbers, but y has "
            f"none in tasks {shorten(without)}. Begin with rows that have these "
            "labels. If the tasks have classes, you can also set task_types to a dict "
            "with 'class' or 'number' for each task of y."
        )


def warn_of_measurements(tasks: Tasks, n_labels: NDArray) -> None:
    """Warn of tasks whose labels, `n_labels` of each, look like measurements."""
    n_classes = tasks.n_codes
    # Fewer classes can be more than half of the labels only if the labels are too few.
    candidates = np.flatnonzero(n_classes > 0.5 * _MIN_LABELS_TO_DOUBT)
    n_labels = n_labels[candidates]
    is_odd = n_labels >= _MIN_LABELS_TO_DOUBT
    is_odd &= n_classes[candidates] > 0.5 * n_labels
    many = [are_many_whole_numbers(tasks.classes[t]) for t in candidates]
    is_odd |= np.array(many, dtype=bool)
    odd = candidates[is_odd]
    if len(odd):
        counts = n_classes[odd].tolist()
        warn(
            "The labels look like measurements: the number of classes is greater than "
            f"50% of the number of labels, or there are {_MANY_WHOLE_NUMBERS} or more "
            f"whole numbers, in tasks {shorten(tasks.names[odd])}: {shorten(counts)} "
            "classes. If they are numbers, use MultiTaskNetRegressor or, next to "
            "classes, MultiTaskNet with task_types; otherwise, convert them to text."
        )


def are_many_whole_numbers(classes: NDArray) -> bool:
    """Whether there are many whole numbers that do not count up from 0 or 1."""
    if len(classes) < _MANY_WHOLE_NUMBERS or classes.dtype.kind not in "iu":
        return False
    is_numbered = classes[0] in (0, 1) and classes[-1] - classes[0] < len(classes)
    return not is_numbered


def warn_of_one_value(tasks: Tasks) -> None:
    """Warn of numeric tasks in which all observed values are the same."""
    is_constant = [isinstance(t, Numbers) and t.scale == 0 for t in tasks.targets]
    names = tasks.names[is_constant].tolist()
    if names:
        warn(
            f"{len(names)} of {tasks.n_tasks} tasks have one value only in y: "
            f"{shorten(names)}. It is predicted for all rows. Drop the columns, or add "
            "other values."
        )
