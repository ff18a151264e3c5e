"""The part of each task in y and in the predictions of estimators."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing

from skmtl._messages import shorten
from skmtl._targets import (
    Column,
    Tasks,
    TaskTypes,
    are_many_whole_numbers,
    as_array,
    encode,
    must_be_numbers,
    plain_numbers,
    read_columns,
    task_names,
)

# Estimators -------------------------------------------------------------------------


def fitted_network(estimator: Any) -> Any:
    """Our fitted estimator inside a search or a Pipeline; None if there is none.

    It knows the tasks, and which of them had labels.
    """
    *_, innermost = _nested(estimator)
    return innermost if hasattr(innermost, "_is_labelled") else None


def fitted_tasks(estimator: Any) -> Tasks | None:
    """The tasks of our estimator or meta-estimator, also in a search or Pipeline."""
    tasks = (getattr(layer, "_tasks", None) for layer in _nested(estimator))
    return next((found for found in tasks if found is not None), None)


def declared_task_types(estimator: Any) -> TaskTypes | None:
    """The task types of our estimator, fitted or not; None for other estimators."""
    *_, innermost = _nested(estimator)
    types: TaskTypes | None = getattr(innermost, "task_types", None)
    return types


def calibrated_tasks(estimator: Any) -> set[int]:
    """Positions of the tasks whose probabilities a layer of the estimator calibrates.

    A task with too few labels has no calibrator.
    """
    return {
        position
        for layer in _nested(estimator)
        for pair in getattr(layer, "calibrated_classifiers_", ())
        for position, calibrator in enumerate(getattr(pair, "calibrators", ()))
        if calibrator is not None
    }


def _nested(estimator: Any) -> Iterator[Any]:
    """The estimator, the one that it wraps, and so on."""
    yield estimator
    # A FrozenEstimator has all attributes of the wrapped one. The view of a task is a
    # subclass, but it is not looked into.
    if type(estimator) is FrozenEstimator:
        yield from _nested(estimator.estimator)
    elif hasattr(estimator, "_wrapped_estimator"):  # one of our meta-estimators
        yield from _nested(estimator._wrapped_estimator())
    elif hasattr(estimator, "best_estimator_"):
        yield from _nested(estimator.best_estimator_)
    elif isinstance(estimator, BaseSearchCV):
        yield from _nested(estimator.estimator)
    elif isinstance(getattr(estimator, "steps", None), list):
        yield from _nested(estimator.steps[-1][1])


# Types of tasks -----------------------------------------------------------------------


def guess_task_types(y: Any) -> TaskTypes:
    """Columns with decimals, or many whole numbers, are numeric; others are classes."""
    columns, names, _ = read_columns(y)
    return named_task_types(names, [looks_like_numbers(column) for column in columns])


def with_task_types(estimator: Any, y: Any) -> Any:
    """The estimator or, if it guesses task types, a clone that has those of all of y.

    Some of the rows may lack the value that decides the type of a task.
    """
    guessed = guessed_task_types(estimator)
    if y is None or not guessed:
        return estimator
    types = encode(y, "auto").tasks.types
    return clone(estimator).set_params(**dict.fromkeys(guessed, types))


def guessed_task_types(estimator: Any) -> dict[str, str]:
    """The parameters of the estimator that are task_types="auto"."""
    if not hasattr(estimator, "get_params"):
        return {}
    return {
        name: value
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] == "task_types"
        and isinstance(value, str)
        and value == "auto"
    }


def looks_like_numbers(column: Column) -> bool:
    """Whether a column has numbers with decimals, or many whole numbers."""
    return must_be_numbers(column) or _has_many_whole_numbers(plain_numbers(column))


def named_task_types(names: list | None, are_numbers: ArrayLike) -> TaskTypes:
    """Task types in the form that `encode` reads; `names` are those of y, if any."""
    is_number = np.asarray(are_numbers, dtype=bool)
    if is_number.all() or not is_number.any():
        return "number" if is_number.all() else "class"
    types = np.where(is_number, "number", "class").tolist()
    return dict(zip(task_names(names, len(types)).tolist(), types, strict=True))


def _has_many_whole_numbers(values: NDArray | None) -> bool:
    # Skip tasks with 0 and 1, as most are: sorting them would take most of the time.
    if (
        values is None
        or len(values) == 0
        or float(values.max()) - float(values.min()) < 2
    ):
        return False
    classes = np.unique(values[np.isfinite(values)])
    if classes.dtype.kind == "f":
        classes = classes.astype(np.int64)
    return are_many_whole_numbers(classes)


def tasks_at(tasks: Tasks, positions: NDArray) -> Tasks:
    """The tasks at these positions."""
    targets = [tasks.targets[t] for t in positions]
    return replace(tasks, names=tasks.names[positions], targets=targets)


# Predictions --------------------------------------------------------------------------


def entries_of(y_pred: Any, n_samples: int, n_tasks: int) -> list[Any] | None:
    """The entry of each task if y_pred is a list of them; None for a table."""
    if isinstance(y_pred, np.ndarray):
        return list(y_pred) if y_pred.ndim == 3 and len(y_pred) == n_tasks else None
    if not isinstance(y_pred, list | tuple) or len(y_pred) != n_tasks:
        return None
    shapes = [None if entry is None else np.shape(entry) for entry in y_pred]
    are_entries = all(s is None or s[:1] == (n_samples,) for s in shapes)
    is_table = n_samples == n_tasks and all(s == (n_tasks,) for s in shapes)
    return list(y_pred) if are_entries and not is_table else None


def predictions_at(
    y_pred: Any, positions: NDArray, n_samples: int, n_tasks: int
) -> Any:
    """The part of some tasks in y_pred, in its own form."""
    if len(positions) == n_tasks:
        return y_pred
    entries = entries_of(y_pred, n_samples, n_tasks)
    if entries is not None:
        return [entries[t] for t in positions]
    try:
        table = as_array(y_pred) if isinstance(y_pred, list | tuple) else y_pred
        n_columns = np.shape(table)[1]
    except (IndexError, ValueError):
        n_columns = 0
    if n_columns != n_tasks:
        raise ValueError(
            f"y_pred must have an entry or a column for each of the {n_tasks} tasks of "
            f"y_true, but this {type(y_pred).__name__} does not. Pass a list with one "
            "entry per task, or a table with one column per task."
        )
    return _safe_indexing(table, positions, axis=1)


def is_list_of_tables(scores: Any) -> bool:
    """Whether scores has an array (n_samples, n_classes) per task."""
    if isinstance(scores, np.ndarray):
        return scores.ndim == 3
    return isinstance(scores, list | tuple) and np.ndim(scores[0]) == 2


def is_of_one_task(scores: NDArray, tasks: Tasks) -> bool:
    """Whether an array belongs to one task, rather than having a column per task."""
    # If y is 2-D with one task, most estimators predict as if y were 1-D.
    has_classes = tasks.n_tasks == 1 and scores.ndim == 2 and scores.shape[1] > 1
    return tasks.is_1d or scores.ndim == 1 or has_classes


def split_scores(scores: Any, tasks: Tasks) -> list[NDArray]:
    """One array per task, (n_samples,) or (n_samples, n_classes)."""
    if is_list_of_tables(scores):
        parts = [as_floats(part) for part in scores]
    else:
        array = as_floats(scores)
        parts = [array] if is_of_one_task(array, tasks) else list(array.T)
    if len(parts) != tasks.n_tasks:
        raise ValueError(
            f"y_pred must have a column or an array for each of the {tasks.n_tasks} "
            f"tasks of y_true; got {len(parts)}. Pass the output of predict_proba."
        )
    return parts


def split_classes(
    classes: Any, tasks: Tasks, names: Sequence[str] = ()
) -> list[NDArray] | None:
    """The classes of each task, in the order of its columns; None if not known.

    `names` are the names of the tasks in a mapping.
    """
    if isinstance(classes, np.ndarray) and classes.ndim == 1 and tasks.n_tasks > 1:
        # MLPClassifier's `classes_` numbers the tasks if there are several.
        return None
    if classes is None:
        return None
    if isinstance(classes, Mapping):
        lacking = [name for name in names if name not in classes]
        if lacking:
            raise ValueError(
                "classes must have an entry for each task, but it has none for "
                f"{shorten(lacking)}. Add the classes of these tasks."
            )
        classes = [classes[name] for name in names]
    are_of_one = len(classes) > 0 and all(np.ndim(part) == 0 for part in classes)
    are_of_one = are_of_one and any(part is not None for part in classes)
    if tasks.n_tasks == 1 and are_of_one:
        classes = [classes]
    elif len(classes) != tasks.n_tasks or are_of_one:
        got = "the classes of one" if are_of_one else str(len(classes))
        raise ValueError(
            f"classes must have one array for each of the {tasks.n_tasks} tasks of "
            f"y_true; got {got}. Pass `classes_` of the estimator."
        )
    return [np.asarray(task_classes) for task_classes in classes]


def probabilities_by_task(
    probabilities: Any, classes: Any, tasks: Tasks
) -> list[NDArray | None]:
    """(n_samples, n_classes) for each task, None for numeric tasks.

    `classes` are those of the estimator. If they lack a class of a task, its
    probability is 0.
    """
    of_classes = np.flatnonzero(~tasks.are_numbers)
    result: list[NDArray | None] = [None] * tasks.n_tasks
    if len(of_classes) < tasks.n_tasks:  # a list, with None for numbers
        probabilities = [probabilities[t] for t in of_classes]
        classes = None if classes is None else [classes[t] for t in of_classes]
    part = tasks_at(tasks, of_classes)
    scores = split_scores(probabilities, part)
    given = split_classes(classes, part) or part.classes
    for t, p, own in zip(of_classes, scores, given, strict=True):
        everywhere = tasks.classes[t]
        if p.ndim == 1:
            p = np.column_stack([1 - p, p])
        if not np.array_equal(own, everywhere):
            aligned = np.zeros((len(p), len(everywhere)), p.dtype)
            aligned[:, np.searchsorted(everywhere, own)] = p
            p = aligned
        result[t] = p
    return result


def as_floats(scores: Any) -> NDArray:
    """Scores as floats in their own precision, which decides where metrics clip."""
    array = np.asarray(scores)
    if array.dtype.kind == "f":
        return array
    try:
        return array.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "y_pred must be numbers: a table with one column per task, or a list with "
            f"one array per task; got a {type(scores).__name__} that cannot be "
            f"converted: {error}. Pass the output of predict_proba or "
            "decision_function."
        ) from error
