"""The view of each task in what estimators predict."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._targets import Tasks, shorten


def fitted_classifier(estimator: Any) -> Any:
    """Our classifier in a search or a Pipeline; None where there is none.

    It knows the names of the tasks, and of which it had labels.
    """
    if hasattr(estimator, "best_estimator_"):
        return fitted_classifier(estimator.best_estimator_)
    if isinstance(getattr(estimator, "steps", None), list):
        return fitted_classifier(estimator.steps[-1][1])
    return estimator if hasattr(estimator, "_is_labelled") else None


def is_list_of_tables(scores: Any) -> bool:
    """Whether there is an array (n_samples, n_classes) per task."""
    if isinstance(scores, np.ndarray):
        return scores.ndim == 3
    return isinstance(scores, list | tuple) and np.ndim(scores[0]) == 2


def is_of_one_task(scores: NDArray, tasks: Tasks) -> bool:
    """Whether an array belongs to one task, and has no column per task."""
    # Most estimators predict a single task in two axes in the form of one axis.
    has_classes = tasks.n_tasks == 1 and scores.ndim == 2 and scores.shape[1] > 1
    return tasks.is_1d or scores.ndim == 1 or has_classes


def split_scores(scores: Any, tasks: Tasks) -> list[NDArray]:
    """One array per task, (n_samples,) or (n_samples, n_classes)."""
    if is_list_of_tables(scores):
        parts = [_as_floats(part) for part in scores]
    else:
        array = _as_floats(scores)
        parts = [array] if is_of_one_task(array, tasks) else list(array.T)
    if len(parts) != tasks.n_tasks:
        raise ValueError(
            f"y_pred must have a column or an array for each of the {tasks.n_tasks} "
            f"tasks of y_true; got {len(parts)}. Pass what predict_proba gives."
        )
    return parts


def split_classes(
    classes: Any, tasks: Tasks, names: Sequence[str] = ()
) -> list[NDArray] | None:
    """The classes that each task's columns stand for; None where nobody says it.

    `names` are those of the tasks by which a mapping has them.
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
                f"classes must have those of each task, but lacks {shorten(lacking)}."
            )
        classes = [classes[name] for name in names]
    if tasks.n_tasks == 1 and np.ndim(classes[0]) == 0:
        classes = [classes]
    if len(classes) != tasks.n_tasks:
        raise ValueError(
            f"classes must have one array per task of y_true, {tasks.n_tasks}; got "
            f"{len(classes)}. Pass `classes_` of the estimator."
        )
    return [np.asarray(task_classes) for task_classes in classes]


def _as_floats(scores: Any) -> NDArray:
    """In their own precision, which decides where metrics clip."""
    array = np.asarray(scores)
    if array.dtype.kind == "f":
        return array
    try:
        return array.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "y_pred must be numbers, a column per task or a list with an array per "
            f"task; got {type(scores).__name__} that cannot be read as such: {error}. "
            "Pass what predict_proba or decision_function gives."
        ) from error
