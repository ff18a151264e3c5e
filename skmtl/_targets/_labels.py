"""Labels of classes: check them, learn the classes of a task, and encode them."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skmtl._messages import shorten
from skmtl._targets._containers import Column, as_array, is_missing


def tidy_labels(column: Column, name: str) -> Column:
    """Return the column with labels that can be sorted."""
    categories = column.categories
    if categories is not None:
        categories = _tidy_labels(categories, name)
    return Column(column.observed, _tidy_labels(column.values, name), categories)


def tidy_columns(
    columns: list[Column], names: NDArray, are_numbers: NDArray
) -> list[Column]:
    """Return columns whose labels can be sorted; those of numbers stay as they are."""
    return [
        column if is_number else tidy_labels(column, name)
        for column, name, is_number in zip(columns, names, are_numbers, strict=True)
    ]


def _tidy_labels(labels: NDArray, name: str) -> NDArray:
    if len(labels) == 0 and labels.dtype.kind in "mM":
        labels = labels.astype(object)  # the column had only NaT
    if labels.dtype.kind == "O":
        labels = _from_objects(labels, name)
    if labels.dtype.kind == "f":
        labels = _integers_of(labels, name)
    if labels.dtype.kind not in "biuUO":
        raise ValueError(
            f"Labels of task {name!r} must be numbers, strings or booleans; got dtype "
            f"{labels.dtype}. Convert the column, for example to strings. For a "
            "regressor, convert dates to a number of days."
        )
    return labels


def _from_objects(labels: NDArray, name: str) -> NDArray:
    kinds = set(map(type, labels.tolist()))
    if all(issubclass(kind, str) for kind in kinds):
        return labels
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return labels.astype(bool)
    if all(
        issubclass(kind, bool | int | float | np.number | np.bool_) for kind in kinds
    ):
        numbers = np.array(labels.tolist())
        if numbers.dtype.kind != "O":
            return numbers
    raise ValueError(
        f"Labels of task {name!r} must all be numbers, all strings or all booleans; "
        f"got {shorten(sorted(kind.__name__ for kind in kinds))}. Convert the column "
        "to one of them."
    )


def _integers_of(labels: NDArray, name: str) -> NDArray:
    labels = labels.astype(np.float64)
    if not np.isfinite(labels).all():
        raise ValueError(
            f"Input y contains infinity in task {name!r}. Labels must be finite; mark "
            "missing labels with NaN."
        )
    fractional = labels[labels != np.floor(labels)]
    if len(fractional):
        raise ValueError(
            f"Unknown label type: continuous. Labels of task {name!r} must be classes, "
            f"but y has the value {fractional[0]}. If they are numbers, use "
            "MultiTaskNetRegressor or, next to classes, MultiTaskNet with "
            f"task_types={{{name!r}: 'number', ...}}. Otherwise, bin the column."
        )
    if np.abs(labels).max(initial=0) >= 2**53:  # 2**53 + 1 is rounded to 2**53
        raise ValueError(
            f"Labels of task {name!r} must be whole numbers that float64 represents "
            f"exactly, below 2**53; got {labels[np.abs(labels).argmax()]}. Convert the "
            "column to integers or strings."
        )
    return labels.astype(np.int64)


# Classes and codes ----------------------------------------------------------------


def learn_classes(columns: list[Column], is_1d: bool) -> list[NDArray]:
    learned = [
        distinct(column.values if column.categories is None else column.categories)[0]
        for column in columns
    ]
    zero_one = not is_1d and all(
        classes.dtype.kind not in "UO" and np.isin(classes, (0, 1)).all()
        for classes in learned
        if len(classes)
    )
    for t, classes in enumerate(learned):
        if len(classes) == 0:  # a task is binary if nothing is known of its classes
            learned[t] = np.array([0, 1])
        elif zero_one:
            learned[t] = np.array([0, 1]).astype(classes.dtype)
    return learned


def distinct(labels: NDArray) -> tuple[NDArray, NDArray]:
    """Do the same as np.unique with the inverse, but sort only distinct objects."""
    if labels.dtype.kind != "O":
        return np.unique(labels, return_inverse=True)
    values = labels.tolist()
    distinct = np.empty(len(known := sorted(set(values))), dtype=object)
    distinct[:] = known
    code_of = {label: code for code, label in enumerate(known)}
    return distinct, np.fromiter(map(code_of.__getitem__, values), np.intp, len(values))


def given_classes(classes: Any, names: NDArray, is_1d: bool) -> list[NDArray]:
    """Read `classes` of partial_fit: an array, a list of arrays or a mapping."""
    if is_1d:
        classes = [classes]
    elif not isinstance(classes, Mapping | list | tuple | np.ndarray):
        raise ValueError(
            "classes must be a list of arrays, one per task, or a mapping from task "
            f"name to array; got {classes!r}."
        )
    elif isinstance(classes, Mapping):
        if set(map(str, classes)) != set(names):
            raise ValueError(
                f"classes must name each task once; got {shorten(classes)}, but the "
                f"tasks are {shorten(names)}. Correct the keys."
            )
        by_name = {str(name): labels for name, labels in classes.items()}
        classes = [by_name[name] for name in names]
    elif not is_1d:  # `classes_` has None for numeric tasks
        classes = [labels for labels in classes if labels is not None]
    if len(classes) != len(names):
        raise ValueError(
            f"classes must have one array for each of the {len(names)} tasks with "
            f"classes; got {len(classes)}. Pass a list of arrays, or a mapping from "
            "task name to array."
        )
    given = []
    for name, labels in zip(names, classes, strict=True):
        array = as_array(labels)
        if array.ndim != 1 or len(array) == 0 or is_missing(array).any():
            raise ValueError(
                f"classes of task {name!r} must be one-dimensional, with at least one "
                f"label and no missing ones; got {labels!r}. List all labels of the "
                "task."
            )
        given.append(np.unique(_tidy_labels(array, name)))
    return given


def code_dtype(n_classes: int) -> type[np.signedinteger]:
    for dtype in (np.int8, np.int16):
        if n_classes <= np.iinfo(dtype).max:
            return dtype
    return np.int32


def encode_column(
    column: Column, classes: NDArray, name: str, unseen: Literal["error", "extra"]
) -> NDArray:
    labels, inverse = distinct(column.values)
    if len(labels) and (labels.dtype.kind in "UO") != (classes.dtype.kind in "UO"):
        raise ValueError(
            f"Labels of task {name!r} must be of the same type as its classes "
            f"{shorten(classes.tolist())}; got {shorten(labels.tolist())}, which mixes "
            "text and numbers. Convert the column, or declare its classes in the first "
            "call if that had no label of this task."
        )
    code_of = {label: code for code, label in enumerate(classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in code_of]
    if unknown and unseen == "error":
        raise ValueError(
            f"Labels of task {name!r} must be among its classes "
            f"{shorten(classes.tolist())}; got {shorten(unknown)}. Pass all classes in "
            "the first call (`classes` of partial_fit), or fit again."
        )
    codes = np.full(len(column.observed), -1, dtype=np.int64)
    table = [code_of.get(label, len(classes)) for label in labels.tolist()]
    codes[column.observed] = np.array(table, dtype=np.int64)[inverse]
    return codes
