"""Labels or numbers and predictions of each task on its observed rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_consistent_length

from skmtl._inputs import warn_of_row_order
from skmtl._label_weights import label_weights
from skmtl._messages import shorten, warn
from skmtl._predictions import (
    as_floats,
    entries_of,
    predictions_at,
    split_classes,
    split_scores,
    tasks_at,
)
from skmtl._targets import (
    Encoded,
    Tasks,
    TaskTypes,
    check_same_names,
    encode,
    is_binary,
    must_be_numbers,
    named_tasks,
    read_columns,
)
from skmtl._weights import check_sample_weight
from skmtl.metrics._by_type import Metrics, check_n_tasks, encode_for_metrics
from skmtl.metrics._metric import Metric, TaskType
from skmtl.metrics._task import Task

_WORDS = {"class": "labels", "number": "numbers"}


class Observed(NamedTuple):
    """The tasks to score, out of all tasks of y_true."""

    tasks: list[Task]
    n_tasks: int

    def in_place(self, scores: NDArray) -> NDArray:
        """(n_tasks,): NaN for tasks that have no score."""
        by_task = np.full(self.n_tasks, np.nan)
        by_task[[task.position for task in self.tasks]] = scores
        return by_task


@dataclass(frozen=True)
class _Truth:
    """All tasks of y_true, or those of one type."""

    encoded: Encoded
    names: list[str]  # for messages
    weights: NDArray | None  # (n_samples, n_tasks) or (n_samples, 1)
    positions: NDArray  # (n_tasks,): among the columns of y_true

    @property
    def types(self) -> NDArray:
        """(n_tasks,) of str: "class" or "number"."""
        return _types_of(self.encoded.tasks)

    def at(self, positions: NDArray) -> "_Truth":
        """The tasks at these positions."""
        tasks, codes, numbers = self.encoded
        numbers = None if numbers is None else numbers[:, positions]
        weights = self.weights
        if weights is not None and weights.shape[1] > 1:
            weights = weights[:, positions]
        return _Truth(
            Encoded(tasks_at(tasks, positions), codes[:, positions], numbers),
            [self.names[t] for t in positions],
            weights,
            positions,
        )


def observed_tasks(
    metrics: Metrics,
    y_true: Any,
    predict: Callable[[Metric], Any],
    *,
    types: TaskTypes | None = None,
    classes: Any = None,
    sample_weight: Any = None,
    task_names: Any = None,
    fitted: Tasks | None = None,
    only: Any = None,
) -> Observed:
    """Each task to score, with its predictions, on its observed rows.

    `predict` returns the predictions of all tasks for a metric. `types` are the types
    of the tasks and `fitted` the tasks of the predictions, if known. `only` names the
    tasks to score.
    """
    encoded = encode_for_metrics(metrics, y_true, types)
    tasks = encoded.tasks
    if fitted is not None:
        if tasks.is_named:
            check_same_names(tasks.names, fitted)
        check_n_tasks(tasks.n_tasks, fitted)
    names = _check_names(task_names, tasks)
    weights = check_sample_weight(sample_weight, encoded.codes, tasks)
    truth = _Truth(encoded, names, weights, np.arange(tasks.n_tasks))
    is_scored = np.ones(tasks.n_tasks, dtype=bool)
    if only is not None:
        is_scored = named_tasks(fitted or tasks, only, "tasks")
    check_metric_of_each(metrics, tasks, is_scored, names)
    observed: list[Task] = []
    for task_type, metric in metrics.by_type.items():
        positions = np.flatnonzero(is_scored & (truth.types == task_type))
        if len(positions):
            y_pred = predict(metric)
            warn_of_row_order(y_true, name="y_true", y_pred=y_pred)
            observed += _read(truth, positions, metric, y_pred, classes)
    return Observed(sorted(observed, key=lambda task: task.position), tasks.n_tasks)


def _types_of(tasks: Tasks) -> NDArray:
    return np.where(tasks.are_numbers, "number", "class")


def check_metric_of_each(
    metrics: Metrics, tasks: Tasks, is_scored: NDArray, names: list[str]
) -> None:
    """Raise for one metric with tasks of both types, or a mapping that fits none."""
    types = _types_of(tasks)
    without = is_scored & ~np.isin(types, list(metrics.by_type))
    if not without.any() or (metrics.is_mapping and (without != is_scored).any()):
        return
    lacking = str(types[without][0])
    unscored = [name for name, lacks in zip(names, without, strict=True) if lacks]
    raise ValueError(
        f"A metric for tasks of type {lacking!r} must be given to score "
        f"{shorten(unscored)}; got only {metrics.name}. Pass a mapping such as "
        "metric={'class': 'roc_auc_ovr', 'number': 'r2'}. With only one key, tasks of "
        "the other type are left out."
    )


def _read(
    truth: _Truth,
    positions: NDArray,
    metric: Metric,
    y_pred: Any,
    classes: Any,
) -> list[Task]:
    """Some tasks, all of one type, with their predictions."""
    _check_predictions(y_pred, truth.encoded.tasks)
    y_pred = predictions_at(y_pred, positions, *truth.encoded.codes.shape)
    part = truth.at(positions)
    form: Literal["labels", "scores", "numbers"]
    if part.types[0] == "number":
        form, predictions = "numbers", _numbers_by_task(y_pred, part)
    else:
        given = _given_classes(classes, truth, part)
        if metric.takes_scores(y_pred):
            form, predictions = "scores", _scores_by_task(y_pred, part, given)
        else:
            form = "labels"
            predictions = _labels_by_task(y_pred, part, given, metric.name)
    tasks = [
        _on_observed_rows(part, t, prediction, form, task_classes)
        for t, (prediction, task_classes) in enumerate(predictions)
    ]
    if form == "scores" and given is not None:
        _warn_of_unknown_classes(tasks, given)
    return tasks


def _on_observed_rows(
    truth: _Truth,
    t: int,
    prediction: NDArray,
    form: Literal["labels", "scores", "numbers"],
    classes: NDArray,
) -> Task:
    tasks, codes, numbers = truth.encoded
    rows, weight = codes[:, t] >= 0, label_weights(truth.weights, t)
    if weight is not None:
        rows &= weight > 0
        weight = weight[rows]
    if form == "numbers" and numbers is not None:
        y = numbers[rows, t]
    else:
        y = tasks.classes[t][codes[rows, t]]
    position = int(truth.positions[t])
    return Task(truth.names[t], position, y, prediction[rows], form, classes, weight)


def _warn_of_unknown_classes(tasks: list[Task], given: list[NDArray]) -> None:
    """Warn about labels with probability 0, which the estimator did not know."""
    found, strangers = [], []
    for task, known in zip(tasks, given, strict=True):
        labels = set(task.y.tolist())
        unknown = sorted(labels - set(known.tolist()))
        if unknown:
            found.append((task.name, unknown))
        if labels and len(unknown) == len(labels):
            strangers.append((task.name, unknown, known.tolist()))
    if strangers:
        warn(
            "Each task should have labels that are among its classes, but these have "
            "none, so its scores mean little. Tasks, labels and classes: "
            f"{shorten(strangers)}. Pass y_true with the columns in the order of "
            "`classes`, and with the labels of the fit. If it has them, the training "
            "rows lacked these labels: add some, or leave the tasks out."
        )
    elif found:
        warn(
            "Each label should be among the estimator's classes of its task, but some "
            "are not. They get probability 0 (or the lowest score), which dominates a "
            "log loss, and are one more class in other scores. Tasks and labels: "
            f"{shorten(found)}. Use folds whose training rows have every class, such "
            "as those of MultiTaskStratifiedKFold, or declare the classes with a "
            "category column."
        )


def _check_names(task_names: Any, tasks: Tasks) -> list[str]:
    if task_names is None:
        return tasks.names.tolist()
    names = [str(name) for name in task_names]
    if len(names) != tasks.n_tasks:
        raise ValueError(
            f"task_names must name each of the {tasks.n_tasks} tasks of y_true; got "
            f"{len(names)}: {shorten(names)}. Pass one name per column of y_true."
        )
    return names


def _check_predictions(y_pred: Any, tasks: Tasks) -> None:
    """Raise for no predictions, and for the columns of the tasks in another order."""
    if y_pred is None or (isinstance(y_pred, list | tuple) and not len(y_pred)):
        raise ValueError(
            f"y_pred must have a prediction for each row; got {y_pred!r}. Pass the "
            "output of predict or predict_proba."
        )
    columns = [str(column) for column in getattr(y_pred, "columns", [])]
    names = tasks.names.tolist()
    if columns != names and sorted(columns) == sorted(names):
        raise ValueError(
            "The columns of y_pred must be in the order of the tasks of y_true, "
            f"{shorten(names)}; got {shorten(columns)}. Reorder them."
        )


def _given_classes(classes: Any, truth: _Truth, part: _Truth) -> list[NDArray] | None:
    """The classes of some tasks, from a dict or from a list with an entry per task."""
    if isinstance(classes, Mapping):
        return split_classes(classes, part.encoded.tasks, part.names)
    given = split_classes(classes, truth.encoded.tasks)
    return None if given is None else [given[t] for t in part.positions]


def _numbers_by_task(y_pred: Any, truth: _Truth) -> list[tuple[NDArray, NDArray]]:
    """Predicted numbers of each task, and an empty array of classes."""
    numbers = _encode_predictions(y_pred, truth, "number").numbers
    assert numbers is not None
    return [(column, np.empty(0)) for column in numbers.T]


def _labels_by_task(
    y_pred: Any, truth: _Truth, given: list[NDArray] | None, metric: str
) -> list[tuple[NDArray, NDArray]]:
    """Predicted labels of each task, and all classes of the task."""
    tasks, codes, _ = truth.encoded
    try:
        predicted, predicted_codes, _ = _encode_predictions(y_pred, truth, "class")
    except ValueError as error:
        if not _has_decimals(_as_table(y_pred, truth, "labels")):
            raise
        raise ValueError(
            f"{metric} is computed from labels, but y_pred has numbers with decimals, "
            "like probabilities. Pass the output of predict, or use a metric of "
            "probabilities, such as 'roc_auc'."
        ) from error
    result = []
    for t in range(tasks.n_tasks):
        known = [_observed_classes(tasks, codes, t), predicted.classes[t]]
        if given is not None:
            known.append(given[t])
        _check_kinds(known, truth.names[t])
        labels = predicted.classes[t][predicted_codes[:, t]]
        result.append((labels, _with_counterpart(_union(known))))
    return result


def _has_decimals(table: Any) -> bool:
    try:
        return any(must_be_numbers(column) for column in read_columns(table)[0])
    except ValueError:  # not a table
        return False


def _encode_predictions(y_pred: Any, truth: _Truth, task_type: TaskType) -> Encoded:
    """A complete column of labels or numbers per task."""
    words, codes = _WORDS[task_type], truth.encoded.codes
    try:
        table = _as_table(y_pred, truth, words)
        predicted = encode(table, task_type, is_prediction=True)
    except ValueError as error:
        error.add_note(f"The error is in y_pred; this metric needs {words} there.")
        raise
    check_consistent_length(codes, predicted.codes)
    n_tasks = codes.shape[1]
    if predicted.tasks.n_tasks != n_tasks:
        raise ValueError(
            f"y_pred must have one column of {words} per task, {n_tasks} like y_true; "
            f"got {predicted.tasks.n_tasks}. Pass the output of predict."
        )
    _refuse_missing((predicted.codes < 0).any(axis=0), truth.names)
    return predicted


def _as_table(y_pred: Any, truth: _Truth, words: str) -> Any:
    """Turn a list with one entry per task into a table; return others unchanged."""
    shape = truth.encoded.codes.shape
    entries = entries_of(y_pred, *shape)
    if entries is None:
        return y_pred
    table = np.empty(shape, dtype=object)
    for t, (entry, name) in enumerate(zip(entries, truth.names, strict=True)):
        if entry is None or np.ndim(entry) != 1:
            got = "None" if entry is None else f"shape {np.shape(entry)}"
            raise ValueError(
                f"y_pred of task {name!r} must have {words} of shape ({shape[0]},); "
                f"got {got}. Pass the output of predict."
            )
        table[:, t] = entry
    return table


def _check_kinds(classes: list[NDArray], name: str, given: str = "y_pred") -> None:
    """Raise if text would be compared with numbers, which are never equal."""
    kinds = {isinstance(label, str) for part in classes for label in part}
    if len(kinds) > 1:
        raise ValueError(
            f"{given} of task {name!r} must have the same kind of labels as y_true, "
            "but one has text and the other has numbers: "
            f"{shorten([part.tolist() for part in classes])}. Convert one of them, and "
            f"check that the tasks of y_true and {given} have the same order."
        )


def _with_counterpart(classes: NDArray) -> NDArray:
    """0 and 1, or -1 and 1, if only one of them was observed, as in scikit-learn."""
    if len(classes) == 1 and classes.dtype.kind in "biuf":
        if classes[0] in (0, 1):
            return np.array([0, 1], dtype=classes.dtype)
        if classes[0] == -1:
            return np.array([-1, 1], dtype=classes.dtype)
    return classes


def _scores_by_task(
    y_pred: Any, truth: _Truth, given: list[NDArray] | None
) -> list[tuple[NDArray, NDArray]]:
    """Probabilities or decision values of each task, and all classes of the task."""
    tasks, codes, _ = truth.encoded
    entries = entries_of(y_pred, *codes.shape)
    if entries is None:
        parts = split_scores(y_pred, tasks)
    else:
        parts = [as_floats(entry) for entry in entries]
    check_consistent_length(codes, *parts)
    _refuse_missing([np.isnan(part).any() for part in parts], truth.names)
    result = []
    for t, part in enumerate(parts):
        columns = tasks.classes[t] if given is None else given[t]
        observed = _observed_classes(tasks, codes, t)
        if given is not None:
            _check_kinds([observed, columns], truth.names[t], "classes")
        classes = _union([columns, observed])
        result.append((_align(part, columns, classes, truth.names[t]), classes))
    return result


def _align(part: NDArray, columns: NDArray, classes: NDArray, name: str) -> NDArray:
    """The scores of the second of two classes, or a column for each class."""
    if part.ndim == 1 and len(classes) <= 2:
        return part
    if part.ndim == 1 and len(columns) == 2:
        part = np.column_stack([1 - part, part])
    n_columns = 1 if part.ndim == 1 else part.shape[1]
    if n_columns != len(columns):
        raise ValueError(
            f"y_pred of task {name!r} must have a column for each of its classes "
            f"{shorten(columns.tolist())}; got {n_columns} column(s). Pass the "
            "estimator's `classes_` as `classes`, or say that the task is numeric "
            "(task_types, or a regression metric)."
        )
    lowest = min(part.min(initial=0.0), 0.0)  # 0 for probabilities
    aligned = np.full((len(part), len(classes)), lowest, dtype=part.dtype)
    aligned[:, np.searchsorted(classes, columns)] = part.reshape(len(part), n_columns)
    return aligned[:, 1] if is_binary(len(classes)) else aligned


def _observed_classes(tasks: Tasks, codes: NDArray, t: int) -> NDArray:
    return tasks.classes[t][np.unique(codes[codes[:, t] >= 0, t])]


def _union(arrays: list[NDArray]) -> NDArray:
    return np.unique(np.concatenate([a for a in arrays if len(a)]))


def _refuse_missing(is_missing: Any, names: Any) -> None:
    if np.any(is_missing):
        missing = [name for name, m in zip(names, is_missing, strict=True) if m]
        raise ValueError(
            "y_pred must not have missing predictions, but it has NaN for the tasks "
            f"{shorten(missing)}. Pass a prediction for each row; only y_true may have "
            "missing labels."
        )
