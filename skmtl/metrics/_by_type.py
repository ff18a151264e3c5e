"""The metric for each type of task, and of which type the tasks of y_true are."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning

from skmtl._messages import shorten, warn
from skmtl._predictions import is_list_of_tables, named_task_types
from skmtl._targets import (
    Column,
    Encoded,
    Tasks,
    TaskTypes,
    check_same_names,
    encode,
    must_be_numbers,
    plain_numbers,
    read_columns,
    task_names,
)
from skmtl.metrics._metric import Metric, TaskType, resolve_metric, score_task
from skmtl.metrics._task import Task

_TYPES: tuple[TaskType, ...] = ("class", "number")
_SWAPPED = "Are y_true and y_pred swapped? y_true comes first."
_UNDEFINED = {
    "class": (
        "no observed label, here or in fit, or labels of one class",
        "Pass `classes` where a class may be missing.",
    ),
    "number": (
        "no observed value, or a single one if it needs two",
        "Pass more rows to score these tasks.",
    ),
}


@dataclass(frozen=True)
class Metrics:
    """The metric for each type of task."""

    by_type: dict[TaskType, Metric]  # a function of others may be for both
    is_mapping: bool  # whether the user gave a metric for each type

    @property
    def name(self) -> str:
        """For messages and tables."""
        return " and ".join({metric.name: None for metric in self.by_type.values()})

    @property
    def takes_numbers(self) -> bool:
        """Whether it is certain, before y is known, that numbers have a part in it."""
        return "number" in self.by_type and (self.is_mapping or len(self.by_type) == 1)

    def of(self, task: Task) -> Metric:
        """The metric of one task."""
        return self.by_type[task.type]


def resolve_metrics(
    metric: str | Callable | Mapping[str, Any], kwargs: dict[str, Any]
) -> Metrics:
    """The metric for each type of task, of one metric or of a mapping."""
    if not isinstance(metric, Mapping):
        resolved = resolve_metric(metric, kwargs)
        types = _TYPES if resolved.task_type is None else (resolved.task_type,)
        return Metrics(dict.fromkeys(types, resolved), is_mapping=False)
    if not metric or not set(metric) <= set(_TYPES):
        raise ValueError(
            "The keys of metric must be 'class' and 'number', or one of them; got "
            f"{list(metric)}. Write for instance {{'class': 'roc_auc_ovr', 'number': "
            "'r2'}."
        )
    if kwargs:
        raise ValueError(
            "Arguments must belong to one metric, but metric is a mapping and there "
            f"are {shorten(kwargs)}. Put them into the mapping, for instance "
            "functools.partial(mean_pinball_loss, alpha=0.9)."
        )
    by_type = {t: resolve_metric(metric[t], {}) for t in _TYPES if t in metric}
    for key, resolved in by_type.items():
        if resolved.task_type not in (key, None):
            raise ValueError(
                f"metric[{key!r}] must be a metric for tasks of type {key!r}; got "
                f"{resolved.name!r}, which is for {resolved.task_type!r}. Use for "
                "instance {'class': 'roc_auc_ovr', 'number': 'r2'}."
            )
    return Metrics(by_type, is_mapping=True)


def score_each(metrics: Metrics, tasks: list[Task]) -> NDArray:
    return np.array([score_task(metrics.of(task), task) for task in tasks])


def warn_undefined(metrics: Metrics, tasks: list[Task], scores: NDArray) -> None:
    """Name the tasks whose score is NaN."""
    for task_type, metric in metrics.by_type.items():
        own = [task.type == task_type for task in tasks]
        undefined = np.isnan(scores) & own
        if undefined.any():
            names = [tasks[i].name for i in np.flatnonzero(undefined)]
            reason, advice = _UNDEFINED[task_type]
            warn(
                f"{metric.name} is undefined for {len(names)} of {sum(own)} tasks "
                f"({reason}): {shorten(names)}. They are NaN, and left out of "
                f"averages. {advice}",
                UndefinedMetricWarning,
            )


# Types of tasks ---------------------------------------------------------------------


def types_of_fitted(tasks: Tasks, y: Any) -> TaskTypes:
    """What the tasks of y are to the estimator that learned them."""
    if tasks.are_numbers.all() or not tasks.are_numbers.any():
        return "number" if tasks.are_numbers.all() else "class"
    columns, names, _ = read_columns(y)
    if names is not None:
        check_same_names(names, tasks)
    check_n_tasks(len(columns), tasks)
    return named_task_types(names, tasks.are_numbers)


def types_by_name(task_types: Any, y: Any, names: Iterable | None) -> TaskTypes | None:
    """The types of a mapping, by the names that y itself has.

    `names` are those by which the mapping has them, if others.
    """
    if task_types is None:
        return None
    if not isinstance(task_types, Mapping):
        raise ValueError(
            "task_types must be a mapping from the name of each task to 'class' or "
            f"'number'; got {task_types!r}. Pass for instance task_types_ of a "
            "MultiTaskNet."
        )
    if names is None:
        return task_types
    columns, own_names, _ = read_columns(y)
    own = task_names(own_names, len(columns)).tolist()
    known: dict[str, str] = dict(zip(map(str, names), own, strict=False))
    return {known.get(str(name), str(name)): t for name, t in task_types.items()}


def check_n_tasks(n_tasks: int, fitted: Tasks) -> None:
    if n_tasks != fitted.n_tasks:
        raise ValueError(
            f"y must have the tasks of fit, {fitted.n_tasks}; got {n_tasks}. Pass a "
            "column for each of them."
        )


def encode_for(metrics: Metrics, y_true: Any, types: TaskTypes | None) -> Encoded:
    """Read y_true, with classes and numbers as the metric and `types` have it."""
    if _are_tables(y_true):
        raise ValueError(
            "y_true must be a table of labels or numbers, a column per task; got an "
            f"array per task, as predict_proba gives. {_SWAPPED}"
        )
    types = _types_to_read(metrics, y_true, types)
    try:
        return encode(y_true, types)
    except ValueError as error:
        others = _columns_of_other_type(y_true, types)
        if not others:
            raise
        is_number = types == "number"
        metric = metrics.by_type.get("number" if is_number else "class", metrics)
        raise ValueError(_wrong_type(metric.name, is_number, others)) from error


def _are_tables(y_true: Any) -> bool:
    if isinstance(y_true, list | tuple):
        return len(y_true) > 0 and is_list_of_tables(y_true)
    return getattr(y_true, "ndim", 2) == 3


def refuse_swapped(y_true: Any, y_pred: Any) -> None:
    """Refuse what looks like probabilities as y_true and labels as y_pred."""
    columns = read_columns(y_true)[0]
    predicted = [plain_numbers(column) for column in read_columns(y_pred)[0]]
    are_zero_one = all(p is not None and np.isin(p, (0, 1)).all() for p in predicted)
    if are_zero_one and _are_probabilities(columns):
        raise ValueError(
            "y_true must be labels or measured numbers, but its values are between 0 "
            "and 1, as probabilities are, and those of y_pred are 0 or 1, as labels "
            f"are. {_SWAPPED} If they are in order, pass task_types."
        )


def _are_probabilities(columns: Iterable[Column]) -> bool:
    numbers = [plain_numbers(column) for column in columns]
    return all(
        values is not None and ((values >= 0) & (values <= 1)).all()
        for values in numbers
    )


def _types_to_read(metrics: Metrics, y_true: Any, types: TaskTypes | None) -> TaskTypes:
    is_mixed = isinstance(types, Mapping) and len(set(types.values())) > 1
    if metrics.is_mapping or is_mixed:
        return "auto" if types is None else types
    if len(metrics.by_type) == 1:
        return next(iter(metrics.by_type))
    if isinstance(types, Mapping) and types:
        return "number" if "number" in types.values() else "class"
    if types:
        return types
    columns, _, _ = read_columns(y_true)
    return "number" if any(must_be_numbers(column) for column in columns) else "class"


def _columns_of_other_type(y_true: Any, types: TaskTypes) -> dict[str, Column]:
    """The columns, by name, that cannot be of the one type that is wanted."""
    if types not in _TYPES:
        return {}
    columns, names, _ = read_columns(y_true)
    return {
        name: column
        for name, column in zip(task_names(names, len(columns)), columns, strict=True)
        if (
            must_be_numbers(column)
            if types == "class"
            else plain_numbers(column) is None
        )
    }


def _wrong_type(metric: str, is_number: bool, others: dict[str, Column]) -> str:
    if is_number:
        message = (
            f"{metric} is a metric of numbers, but y_true has other values in tasks "
            f"{shorten(others)}. Use a metric of classes, such as 'accuracy', or "
            "convert the columns with astype(float)."
        )
    else:
        advice = "Use a metric of numbers, such as 'r2'."
        if _are_probabilities(others.values()):
            advice = (
                f"All are between 0 and 1, as probabilities are. {_SWAPPED} If they "
                "are in order, use a metric of numbers, such as 'r2'."
            )
        message = (
            f"{metric} is a metric of classes, but y_true has numbers with decimals in "
            f"tasks {shorten(others)}. {advice}"
        )
    return (
        f"{message} If only some tasks are numbers, pass a mapping such as "
        "metric={'class': 'roc_auc_ovr', 'number': 'r2'}."
    )
