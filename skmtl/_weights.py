"""The weights of rows, labels, tasks and classes."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from skmtl._label_weights import label_weights
from skmtl._messages import shorten
from skmtl._targets import Classes, Tasks

_LARGEST = np.finfo(np.float32).max


def check_sample_weight(
    sample_weight: Any, codes: NDArray, tasks: Tasks, *, may_be_0: bool = False
) -> NDArray | None:
    """None, or float32 of shape (n_samples, 1) or (n_samples, n_tasks).

    Weights of single labels can be NaN, which becomes 0, where `codes` has no label.
    `may_be_0` allows a weight of 0 for all rows, if more rows follow.
    """
    if sample_weight is None:
        return None
    if tasks.is_named and hasattr(sample_weight, "columns"):
        columns = [str(column) for column in sample_weight.columns]
        if columns != tasks.names.tolist():
            raise ValueError(
                "The columns of sample_weight must be the tasks of y, in the same "
                f"order: {shorten(tasks.names)}; got {shorten(columns)}. Reorder them, "
                "or pass an array."
            )
    n_samples, n_tasks = codes.shape
    given = np.asarray(sample_weight)
    shape, is_masked = given.shape, np.ma.is_masked(sample_weight)
    if given.dtype.kind in "USMm" or is_masked:
        raise ValueError(
            f"sample_weight must be numbers; got {'masked ' * is_masked}values of "
            f"{given.dtype}. Use 0 for rows that should not count."
        )
    if shape not in {(n_samples,), (n_samples, n_tasks)}:
        raise ValueError(
            f"sample_weight must have shape (n_samples,) = ({n_samples},) or "
            f"(n_samples, n_tasks) = ({n_samples}, {n_tasks}); got shape "
            f"{shape}. Pass one weight per row or one per label."
        )
    weights = check_array(
        sample_weight,
        ensure_2d=False,
        dtype=np.float32,
        ensure_all_finite="allow-nan" if len(shape) == 2 else True,
        input_name="sample_weight",
    ).reshape(n_samples, -1)
    is_missing = np.isnan(weights)
    if is_missing.any():
        _check_missing_weights(is_missing, codes, tasks)
        weights = np.where(is_missing, np.float32(0), weights)
    if weights.min() < 0:
        raise ValueError(
            f"sample_weight must not be negative, but its smallest value is "
            f"{weights.min()}. Use 0 for rows that should not count."
        )
    if not (may_be_0 or weights.any()):
        raise ValueError(
            "Sample weights must contain at least one non-zero number; all of them "
            "are 0. Leave sample_weight out to weight all rows equally."
        )
    return weights


def _check_missing_weights(is_missing: NDArray, codes: NDArray, tasks: Tasks) -> None:
    without = tasks.names[(is_missing & (codes >= 0)).any(axis=0)].tolist()
    if without:
        raise ValueError(
            "sample_weight must have a number for each observed label, but it has NaN "
            f"for labels of tasks {shorten(without)}. Use 0 for labels that should not "
            "count."
        )


def mask_weightless(codes: NDArray, sample_weight: NDArray | None) -> NDArray:
    """The codes, with labels of weight 0 marked as missing."""
    if sample_weight is None or sample_weight.all():
        return codes
    return np.where(sample_weight > 0, codes, codes.dtype.type(-1))


def row_weights(codes: NDArray, sample_weight: NDArray | None) -> NDArray | None:
    """(n_samples,): the mean of a row's weights over its observed labels."""
    if sample_weight is None:
        return None
    if sample_weight.shape[1] == 1:
        return sample_weight[:, 0]
    observed = codes >= 0
    sums = np.einsum("it,it->i", sample_weight, observed)
    return sums / np.maximum(observed.sum(axis=1), 1)


def label_totals(
    codes: NDArray,
    sample_weight: NDArray | None,
    n_codes: NDArray,
    rows: NDArray | slice = slice(None),
) -> NDArray:
    """(n_tasks, most codes): the weight of the labels of each class of each task.

    Numbers have one code, which means that they were observed.

    Only `rows` count. They are read task by task, which avoids a copy of the codes.
    """
    totals = np.zeros((codes.shape[1], int(n_codes.max())))
    for t in range(codes.shape[1]):
        counts = np.bincount(
            codes[rows, t].astype(np.intp) + 1,
            weights=label_weights(sample_weight, t, rows),
            minlength=totals.shape[1] + 1,
        )
        totals[t] = counts[1:]
    return totals


def task_weights(task_weight: Any, tasks: Tasks, totals: NDArray) -> NDArray:
    """(n_tasks,): the weight of each label of a task."""
    if task_weight is None:
        return np.ones(tasks.n_tasks)
    if isinstance(task_weight, str):  # "balanced"
        per_task = totals.sum(axis=1)
        seen = per_task > 0
        mean = per_task.sum() / max(seen.sum(), 1)
        return np.divide(mean, per_task, out=np.ones(tasks.n_tasks), where=seen)
    by_name = weights_by_name(task_weight, tasks.names, "task_weight")
    if by_name is not None:
        weights = [by_name.get(name, 1.0) for name in tasks.names]
    else:
        weights = task_weight
    try:
        numbers = np.atleast_1d(np.asarray(weights, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"task_weight must be numbers; got {weights!r}. Pass one number per task, "
            "or a mapping from task name to number."
        ) from error
    weights = check_array(numbers, ensure_2d=False, input_name="task_weight")
    if weights.shape != (tasks.n_tasks,):
        raise ValueError(
            f"task_weight must have one weight per task, shape ({tasks.n_tasks},); got "
            f"shape {weights.shape}. To weight only some tasks, pass a mapping by task "
            "name."
        )
    if weights.min() < 0 or not weights.any():
        raise ValueError(
            "task_weight must not be negative and not 0 for every task; got "
            f"{shorten(weights.tolist())}. Use None to weight all labels equally."
        )
    return weights


def class_weights(class_weight: Any, tasks: Tasks, totals: NDArray) -> NDArray:
    """(n_tasks, most classes): the weight of a label of each class in its task."""
    weights = np.ones_like(totals)
    if class_weight is None:
        return weights
    if isinstance(class_weight, str) or tasks.is_1d:
        per_task = dict.fromkeys(tasks.names, class_weight)
    else:
        per_task = _class_weight_by_name(class_weight, tasks)
    for t, (name, target) in enumerate(zip(tasks.names, tasks.targets, strict=True)):
        given, n_codes = per_task.get(name), target.n_codes
        if isinstance(target, Classes):
            weights[t, :n_codes] = _weights_of_task(
                given, name, target.labels, totals[t, :n_codes]
            )
        elif given is not None and not isinstance(class_weight, str):
            raise ValueError(
                f"class_weight must name classification tasks; got task {name!r}, "
                "which is numeric. Use task_weight for it, or leave it out."
            )
    return weights


def _class_weight_by_name(class_weight: Any, tasks: Tasks) -> dict[str, Any]:
    by_name = weights_by_name(class_weight, tasks.names, "class_weight")
    if by_name is None:  # a list with an entry per task, the format of forests
        given = class_weight if len(class_weight) == tasks.n_tasks else [{0: 1, 1: 5}]
        pairs = zip(tasks.names.tolist(), given, strict=False)
        shown = {name: weight for name, weight in pairs if weight is not None}
        raise ValueError(
            "For a 2-D y, class_weight must be None, 'balanced' or a dict by task "
            f"name; got a {type(class_weight).__name__} of length "
            f"{len(class_weight)}. Pass class_weight={shown or None}."
        )
    return by_name


def _weights_of_task(
    class_weight: Any, name: str, classes: NDArray, totals: NDArray
) -> NDArray:
    weights = np.ones(len(classes))
    if class_weight is None:
        return weights
    if isinstance(class_weight, str) and class_weight == "balanced":
        # n / (classes * count), as in scikit-learn, over the classes that occur.
        seen = totals > 0
        mean = totals.sum() / max(seen.sum(), 1)
        return np.divide(mean, totals, out=weights, where=seen)
    if hasattr(class_weight, "items"):  # a mapping, or a pandas Series
        class_weight = dict(class_weight.items())
    else:
        raise ValueError(
            f"class_weight of task {name!r} must be None, 'balanced' or a mapping from "
            f"class to weight; got {class_weight!r}. Pass one of these."
        )
    labels = classes.tolist()
    for i, label in enumerate(labels):
        weight = class_weight.get(label, 1.0)
        if not isinstance(weight, Real) or not 0 <= float(weight) < np.inf:
            raise ValueError(
                f"class_weight of task {name!r} must be numbers, finite and not "
                f"negative; got {weight!r} for class {label!r}. Use 0 or a positive "
                "number."
            )
        weights[i] = weight
    unknown = [label for label in class_weight if label not in labels]
    # As in scikit-learn: if all other classes have a weight, a class that this part of
    # the data lacks is not a mistake.
    if unknown and not all(label in class_weight for label in labels):
        raise ValueError(
            f"class_weight of task {name!r} must name its classes "
            f"{shorten(labels)}; got {shorten(unknown)}, which are not among "
            "them. Check the spelling and the type."
        )
    return weights


def weights_by_name(
    weights: Any, names: NDArray, parameter: str
) -> dict[str, Any] | None:
    """Weights keyed by task name from a mapping or Series; None for an array."""
    if not isinstance(weights, Mapping) and not hasattr(weights, "items"):
        return None
    by_name = {str(name): weight for name, weight in weights.items()}
    known = set(names)
    unknown = [name for name in by_name if name not in known]
    if unknown:
        raise ValueError(
            f"{parameter} must be keyed by task names; got {shorten(unknown)}, but the "
            f"tasks are {shorten(names)}. Correct the keys."
        )
    return by_name


def weight_table(task_weight: NDArray, class_weight: NDArray) -> NDArray:
    """(n_tasks, 1 + most classes) float32; the first column, missing labels, is 0."""
    products = task_weight[:, None] * class_weight
    if products.max() > _LARGEST:
        raise ValueError(
            "Task weight times class weight must fit float32, in which the network "
            f"computes; got {products.max()}. Use smaller weights; mainly their ratios "
            "matter."
        )
    table = np.zeros((class_weight.shape[0], class_weight.shape[1] + 1), np.float32)
    table[:, 1:] = products
    return table
