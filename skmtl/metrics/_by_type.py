"""The metric for each type of task, and the types of the tasks of y_true."""

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
_SWAPPED = "Are y_true and y_pred swapped? The first argument is y_true."
_UNDEFINED = {
    "class": (
        "no observed label, here or in fit, or labels of one class only",
        "Pass `classes` if y_true lacks a class of a task.",
    ),
    "number": (
        "no observed value, or no two different ones if the metric needs them",
        "Pass more rows to score these tasks.",
    ),
}


@dataclass(frozen=True)
class Metrics:
    """The metric for each type of task."""

    by_type: dict[TaskType, Metric]  # a function from elsewhere may be for both
    is_mapping: bool  # whether the user passed a metric for each type

    @property
    def name(self) -> str:
        """The name for messages and tables."""
        return " and ".join({metric.name: None for metric in self.by_type.values()})

    @property
    def takes_numbers(self) -> bool:
        """Whether it certainly scores numbers, even before y is known."""
        return "number" in self.by_type and (self.is_mapping or len(self.by_type) == 1)

    def of(self, task: Task) -> Metric:
        """The metric of one task."""
        return self.by_type[task.type]


def resolve_metrics(
    metric: str | Callable | Mapping[str, Any], kwargs: dict[str, Any]
) -> Metrics:
    """The metric for each type of task, from one metric or from a mapping."""
    if not isinstance(metric, Mapping):
        resolved = resolve_metric(metric, kwargs)
        types = _TYPES if resolved.task_type is None else (resolved.task_type,)
        return Metrics(dict.fromkeys(types, resolved), is_mapping=False)
    if not metric or not set(metric) <= set(_TYPES):
        raise ValueError(
            "The keys of metric must be 'class' and 'number', or one of them; got "
            f"{list(metric)}. Write for example {{'class': 'roc_auc_ovr', 'number': "
            "'r2'}."
        )
    if kwargs:
        raise ValueError(
            "Keyword arguments must belong to a single metric, but metric is a "
            f"mapping; got {shorten(kwargs)}. Put them into the mapping, for example "
            "with functools.partial(mean_pinball_loss, alpha=0.9)."
        )
    by_type = {t: resolve_metric(metric[t], {}) for t in _TYPES if t in metric}
    for key, resolved in by_type.items():
        if resolved.task_type not in (key, None):
            raise ValueError(
                f"metric[{key!r}] must be a metric for tasks of type {key!r}; got "
                f"{resolved.name!r}, which is for {resolved.task_type!r}. Use for "
                "example {'class': 'roc_auc_ovr', 'number': 'r2'}."
            )
    return Metrics(by_type, is_mapping=True)


def score_each(metrics: Metrics, tasks: list[Task]) -> NDArray:
    return np.array([score_task(metrics.of(task), task) for task in tasks])


def warn_undefined(metrics: Metrics, tasks: list[Task], scores: NDArray) -> None:
    """Warn about the tasks whose score is NaN."""
    for task_type, metric in metrics.by_type.items():
        own = [task.type == task_type for task in tasks]
        undefined = np.isnan(scores) & own
        if undefined.any():
            names = [tasks[i].name for i in np.flatnonzero(undefined)]
            reason, advice = _UNDEFINED[task_type]
            warn(
                f"{metric.name} is undefined for {len(names)} of {sum(own)} tasks "
                f"({reason}): {shorten(names)}. Their score is NaN, and averages "
                f"leave them out. {advice}",
                UndefinedMetricWarning,
            )


# Types of tasks ---------------------------------------------------------------------


def types_of_fitted(tasks: Tasks, y: Any) -> TaskTypes:
    """The types of the tasks of y, as the fitted estimator knows them."""
    if tasks.are_numbers.all() or not tasks.are_numbers.any():
        return "number" if tasks.are_numbers.all() else "class"
    columns, names, _ = read_columns(y)
    if names is not None:
        check_same_names(names, tasks)
    check_n_tasks(len(columns), tasks)
    return named_task_types(names, tasks.are_numbers)


def types_by_name(task_types: Any, y: Any, names: Iterable | None) -> TaskTypes | None:
    """The types of a mapping, keyed by the task names of y.

    `names` are the names in the mapping, if they differ from those of y.
    """
    if task_types is None:
        return None
    if not isinstance(task_types, Mapping):
        raise ValueError(
            "task_types must map the name of each task to 'class' or 'number'; got "
            f"{task_types!r}. Pass for example task_types_ of a MultiTaskNet."
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
            f"y must have the {fitted.n_tasks} tasks of fit; got {n_tasks}. Pass one "
            "column for each task."
        )


def encode_for_metrics(
    metrics: Metrics, y_true: Any, types: TaskTypes | None
) -> Encoded:
    """Read y_true as the metric and `types` require, as classes or numbers."""
    if _are_tables(y_true):
        raise ValueError(
            "y_true must be a table of labels or numbers with one column per task; got "
            f"one array per task, like the output of predict_proba. {_SWAPPED}"
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
    """Raise if y_true looks like probabilities and y_pred like labels."""
    columns = read_columns(y_true)[0]
    predicted = [plain_numbers(column) for column in read_columns(y_pred)[0]]
    are_zero_one = all(p is not None and np.isin(p, (0, 1)).all() for p in predicted)
    if are_zero_one and _are_probabilities(columns):
        raise ValueError(
            "y_true must be labels or measured numbers, but its values lie between 0 "
            "and 1 like probabilities, and those of y_pred are 0 or 1 like labels. "
            f"{_SWAPPED} If the order is right, pass task_types."
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
    """The columns, by name, that cannot have the required type."""
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
            f"{metric} is a regression metric, but y_true has values that are not "
            f"numbers in tasks {shorten(others)}. Use a classification metric, such as "
            "'accuracy', or convert the columns with astype(float)."
        )
    else:
        advice = "Use a regression metric, such as 'r2'."
        if _are_probabilities(others.values()):
            advice = (
                f"They all lie between 0 and 1 like probabilities. {_SWAPPED} If the "
                "order is right, use a regression metric, such as 'r2'."
            )
        message = (
            f"{metric} is a classification metric, but y_true has numbers with "
            f"decimals in tasks {shorten(others)}. {advice}"
        )
    return (
        f"{message} If only some tasks are numeric, pass a mapping such as "
        "metric={'class': 'roc_auc_ovr', 'number': 'r2'}."
    )
