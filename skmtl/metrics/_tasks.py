"""Labels and predictions of each task, on the rows where it was observed."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_consistent_length

from skmtl._predictions import split_classes, split_scores
from skmtl._targets import Tasks, check_same_names, encode_targets, shorten
from skmtl._weights import check_sample_weight


class Task(NamedTuple):
    """A task on its observed rows."""

    name: str
    y: NDArray  # labels
    prediction: NDArray  # labels, values of the greater class, or a column per class
    is_labels: bool  # whether the prediction is labels
    classes: NDArray  # sorted
    weight: NDArray | None

    @property
    def has_two_classes(self) -> bool:
        """Whether labels of at least two classes were observed."""
        return len(self.y) > 0 and bool((self.y != self.y[0]).any())

    def with_most_probable_labels(self) -> "Task":
        """Labels in place of probabilities."""
        if self.prediction.ndim == 1:
            codes = (self.prediction > 0.5).astype(np.intp)
        else:
            codes = self.prediction.argmax(axis=1)
        return self._replace(prediction=self.classes[codes], is_labels=True)


def observed_tasks(
    y_true: Any,
    y_pred: Any,
    *,
    takes_scores: bool,
    classes: Any = None,
    sample_weight: Any = None,
    task_names: Any = None,
    fitted: Tasks | None = None,
) -> list[Task]:
    """Each task of y_true with its predictions, on the rows where it was observed.

    `takes_scores`: predictions are probabilities or decision values, not labels.
    `fitted`: the tasks that the predictions are of, if known.
    """
    if y_pred is None or (isinstance(y_pred, list | tuple) and not len(y_pred)):
        raise ValueError(f"y_pred must be predictions of each row; got {y_pred!r}.")
    tasks, codes = encode_targets(y_true)
    if fitted is not None and tasks.is_named:
        check_same_names(tasks.names, fitted)
    names = _check_names(task_names, tasks)
    weights = check_sample_weight(sample_weight, codes, tasks)
    given = split_classes(classes, tasks, names)
    _check_columns(y_pred, tasks)
    if takes_scores:
        predictions = _scores_by_task(y_pred, codes, tasks, given, names)
    else:
        predictions = _labels_by_task(y_pred, codes, tasks, given, names)
    result = []
    for t, (prediction, task_classes) in enumerate(predictions):
        rows = codes[:, t] >= 0
        weight = None
        if weights is not None:
            weight = weights[:, min(t, weights.shape[1] - 1)].astype(float)
            rows &= weight > 0
            weight = weight[rows]
        result.append(
            Task(
                names[t],
                tasks.classes[t][codes[rows, t]],
                prediction[rows],
                not takes_scores,
                task_classes,
                weight,
            )
        )
    return result


def _check_names(task_names: Any, tasks: Tasks) -> list[str]:
    if task_names is None:
        return tasks.names.tolist()
    names = [str(name) for name in task_names]
    if len(names) != tasks.n_tasks:
        raise ValueError(
            f"task_names must name each of the {tasks.n_tasks} tasks of y_true; got "
            f"{len(names)}: {shorten(names)}."
        )
    return names


def _check_columns(y_pred: Any, tasks: Tasks) -> None:
    """Refuse columns that are the tasks in another order."""
    columns = [str(column) for column in getattr(y_pred, "columns", [])]
    names = tasks.names.tolist()
    if columns != names and sorted(columns) == sorted(names):
        raise ValueError(
            "The columns of y_pred must be in the order of the tasks of y_true, "
            f"{shorten(names)}; got {shorten(columns)}. Reorder them."
        )


def _labels_by_task(
    y_pred: Any,
    codes: NDArray,
    tasks: Tasks,
    given: list[NDArray] | None,
    names: list[str],
) -> list[tuple[NDArray, NDArray]]:
    """Predicted labels of each task, and all its classes."""
    try:
        predicted, predicted_codes = encode_targets(y_pred)
    except ValueError as error:
        error.add_note("This came from y_pred, of which the metric wants labels.")
        raise
    check_consistent_length(codes, predicted_codes)
    if predicted.n_tasks != tasks.n_tasks:
        raise ValueError(
            "y_pred must have a column of labels per task, like y_true, "
            f"{tasks.n_tasks}; got {predicted.n_tasks}."
        )
    _refuse_missing((predicted_codes < 0).any(axis=0), tasks.names)
    result = []
    for t in range(tasks.n_tasks):
        known = [_observed_classes(tasks, codes, t), predicted.classes[t]]
        if given is not None:
            known.append(given[t])
        _check_kinds(known, names[t])
        labels = predicted.classes[t][predicted_codes[:, t]]
        result.append((labels, _with_counterpart(_union(known))))
    return result


def _check_kinds(classes: list[NDArray], name: str) -> None:
    """Text and numbers are never equal."""
    kinds = {isinstance(label, str) for part in classes for label in part}
    if len(kinds) > 1:
        raise ValueError(
            f"y_pred of task {name!r} must have labels of the kind of y_true, but one "
            "has text and the other numbers: "
            f"{shorten([part.tolist() for part in classes])}. Convert one of them."
        )


def _with_counterpart(classes: NDArray) -> NDArray:
    """0 and 1, or -1 and 1, where one alone was seen, as scikit-learn has it."""
    if len(classes) == 1 and classes.dtype.kind in "biuf":
        if classes[0] in (0, 1):
            return np.array([0, 1], dtype=classes.dtype)
        if classes[0] == -1:
            return np.array([-1, 1], dtype=classes.dtype)
    return classes


def _scores_by_task(
    y_pred: Any,
    codes: NDArray,
    tasks: Tasks,
    given: list[NDArray] | None,
    names: list[str],
) -> list[tuple[NDArray, NDArray]]:
    """Probabilities or decision values of each task, and all its classes."""
    parts = split_scores(y_pred, tasks)
    check_consistent_length(codes, *parts)
    _refuse_missing([np.isnan(part).any() for part in parts], names)
    result = []
    for t, part in enumerate(parts):
        columns = tasks.classes[t] if given is None else given[t]
        classes = _union([columns, _observed_classes(tasks, codes, t)])
        result.append((_align(part, columns, classes, names[t]), classes))
    return result


def _align(part: NDArray, columns: NDArray, classes: NDArray, name: str) -> NDArray:
    """Values of the greater of two classes, or a column for each class."""
    if part.ndim == 1 and len(classes) <= 2:
        return part
    if part.ndim == 1 and len(columns) == 2:
        part = np.column_stack([1 - part, part])
    n_columns = 1 if part.ndim == 1 else part.shape[1]
    if n_columns != len(columns):
        raise ValueError(
            f"y_pred of task {name!r} must have a column for each of its classes "
            f"{shorten(columns.tolist())}; got {n_columns} column(s). Pass `classes`, "
            "the estimator's `classes_`."
        )
    lowest = min(part.min(initial=0.0), 0.0)  # 0 of probabilities
    aligned = np.full((len(part), len(classes)), lowest, dtype=part.dtype)
    aligned[:, np.searchsorted(classes, columns)] = part.reshape(len(part), n_columns)
    return aligned[:, 1] if len(classes) == 2 else aligned


def _observed_classes(tasks: Tasks, codes: NDArray, t: int) -> NDArray:
    return tasks.classes[t][np.unique(codes[codes[:, t] >= 0, t])]


def _union(arrays: list[NDArray]) -> NDArray:
    return np.unique(np.concatenate([a for a in arrays if len(a)]))


def _refuse_missing(is_missing: Any, names: Any) -> None:
    if np.any(is_missing):
        missing = [name for name, m in zip(names, is_missing, strict=True) if m]
        raise ValueError(
            f"y_pred must be complete, but predictions of {shorten(missing)} are "
            "missing (NaN). Only y_true may have missing labels."
        )
