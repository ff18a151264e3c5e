"""From y to tasks, codes and numbers, and back."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count, islice
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmtl._messages import shorten
from skmtl._targets._containers import Column, read_columns
from skmtl._targets._labels import (
    code_dtype,
    encode_column,
    given_classes,
    learn_classes,
    tidy_labels,
)
from skmtl._targets._numbers import (
    Numbers,
    as_numbers,
    must_be_numbers,
    plain_numbers,
)
from skmtl._targets._suspects import warn_of_text_of_missing
from skmtl._targets._tasks import Classes, Tasks, check_same_tasks, task_names

# Of a table of 0 and 1, so that what is in between takes little memory.
_CELLS_AT_ONCE = 4_000_000

TaskTypes = Literal["auto", "class", "number"] | Mapping[str, str]


class Encoded(NamedTuple):
    """A y, validated."""

    tasks: Tasks
    codes: NDArray  # (n_samples, n_tasks) of int, -1 where missing
    # (n_samples, n_tasks) float64, in units of the task; NaN where missing and for
    # classes. None if no task has numbers.
    numbers: NDArray | None


def encode_targets(
    y: Any,
    *,
    tasks: Tasks | None = None,
    classes: Any = None,
    unseen: Literal["error", "extra"] = "error",
) -> tuple[Tasks, NDArray]:
    """Turn a y of classes into tasks and codes (n_samples, n_tasks).

    With `tasks`, y must have those of an earlier call. `classes` are given instead of
    learned. A label outside of the classes is an error or has code `n_classes`.
    """
    types: TaskTypes = "class"
    encoded = encode(y, types, tasks=tasks, classes=classes, unseen=unseen)
    return encoded.tasks, encoded.codes


def encode(
    y: Any,
    task_types: TaskTypes,
    *,
    tasks: Tasks | None = None,
    classes: Any = None,
    unseen: Literal["error", "extra"] = "error",
    beside: Tasks | None = None,
    is_prediction: bool = False,
) -> Encoded:
    """Turn y into tasks, codes and numbers; see `encode_targets`.

    The tasks of y are new ones `beside` those that there are. Nobody is warned of the
    labels of a prediction. The scale of numbers is learned later, where the weights are
    known.
    """
    if tasks is None and classes is None and not isinstance(task_types, Mapping):
        tidy = _TIDY_TABLES[task_types](y)
        if tidy is not None:
            own = tidy.tasks.names.tolist() if tidy.tasks.is_named else None
            texts = _names_beside(beside, own, tidy.tasks.n_tasks)
            return tidy._replace(tasks=replace(tidy.tasks, names=texts))
    columns, own_names, is_1d = read_columns(y)
    if tasks is None:
        texts = _names_beside(beside, own_names, len(columns))
        types = _types_beside(beside, task_types)
        targets, columns = learn_targets(columns, texts, is_1d, types, classes)
        if classes is None and not is_prediction:
            warn_of_text_of_missing(targets, texts)
        # Nobody is asked for the name of a Series again: in `score` it may be another.
        tasks = Tasks(texts, targets, own_names is not None and not is_1d, is_1d)
    else:
        check_same_tasks(own_names, len(columns), is_1d, tasks)
        columns = [
            column if is_number else tidy_labels(column, name)
            for column, name, is_number in zip(
                columns, tasks.names, tasks.are_numbers, strict=True
            )
        ]
    shape = len(columns[0].observed), tasks.n_tasks
    codes = np.empty(shape, code_dtype(tasks.n_codes.max()))
    numbers = np.full(shape, np.nan) if tasks.are_numbers.any() else None
    for t, (column, target) in enumerate(zip(columns, tasks.targets, strict=True)):
        name = tasks.names[t]
        if isinstance(target, Classes):
            codes[:, t] = encode_column(column, target.labels, name, unseen)
        elif numbers is not None:
            numbers[:, t] = as_numbers(column, name)
            codes[:, t] = np.where(column.observed, 0, -1)
    return Encoded(tasks, codes, numbers)


def learn_targets(
    columns: list[Column],
    texts: NDArray,
    is_1d: bool,
    task_types: TaskTypes,
    classes: Any,
) -> tuple[list[Classes | Numbers], list[Column]]:
    """What the tasks are, and the columns with labels that can be sorted."""
    are_numbers = types_of_columns(columns, texts, task_types)
    columns = [
        column if is_number else tidy_labels(column, name)
        for column, name, is_number in zip(columns, texts, are_numbers, strict=True)
    ]
    of_classes = np.flatnonzero(~are_numbers)
    if classes is None:
        learned = learn_classes([columns[t] for t in of_classes], is_1d)
    else:
        learned = given_classes(classes, texts[of_classes], is_1d)
    targets: list[Classes | Numbers] = [Numbers() for _ in columns]
    for t, labels in zip(of_classes.tolist(), learned, strict=True):
        is_declared = classes is None and columns[t].categories is not None
        targets[t] = Classes(labels, is_declared)
    return targets, columns


# What is a class and what a number --------------------------------------------------


def types_of_columns(
    columns: list[Column], names: NDArray, task_types: TaskTypes
) -> NDArray:
    """(n_tasks,) of bool: whether it is one of numbers."""
    if task_types in ("class", "number"):
        return np.full(len(columns), task_types == "number")
    if isinstance(task_types, Mapping):
        return _as_given(task_types, names)
    guessed = [guess_type(column) for column in columns]
    check_clear([name for name, g in zip(names, guessed, strict=True) if g is None])
    return np.array(guessed, dtype=bool)


def check_clear(unclear: list[str]) -> None:
    """Refuse to guess what the tasks of these names are."""
    if unclear:
        example = {name: "number" for name in unclear[:2]}
        raise ValueError(
            "task_types='auto' takes text, booleans, categories and 0 and 1 for "
            "classes and numbers with decimals for numbers, but y has other whole "
            f"numbers in tasks {shorten(unclear)}. Name the type of each task, "
            f"task_types={example!r} and so on, 'class' or 'number'."
        )


def guess_type(column: Column) -> bool | None:
    """Whether a column has numbers; None if it may be either."""
    values = plain_numbers(column)
    if values is None or np.isin(values, (0, 1)).all():  # also without any label
        return False
    return True if must_be_numbers(column) else None


def _as_given(task_types: Mapping[str, str], names: NDArray) -> NDArray:
    types = {str(name): given for name, given in task_types.items()}
    others = sorted(set(types) - set(names))
    lacking = [name for name in names if name not in types]
    if others or lacking:
        raise ValueError(
            f"task_types must name each task of y once, {shorten(names)}; got no type "
            f"for {shorten(lacking)} and one for {shorten(others)}, which are not "
            "tasks. Correct the keys."
        )
    unknown = [given for given in types.values() if given not in ("class", "number")]
    if unknown:
        raise ValueError(
            "The values of task_types must be 'class' or 'number'; got "
            f"{shorten(unknown)}. Correct them."
        )
    return np.array([types[name] == "number" for name in names])


# Whole tables at once ---------------------------------------------------------------


def _table_of_numbers(y: Any) -> tuple[NDArray, list | None] | None:
    """An array (n_samples, n_tasks) of one numeric dtype and the columns' names.

    None for another y, which is read column by column: a thousand tasks then take
    longer to read than to train on.
    """
    values, names = y, None
    if hasattr(y, "iloc") and y.ndim == 2:
        dtypes = set(y.dtypes)
        if len(dtypes) == 1 and isinstance(dtypes.pop(), np.dtype):
            values, names = y.to_numpy(), list(y.columns)
    if not (type(values) is np.ndarray and values.ndim == 2 and values.size > 0):
        return None
    return (values, names) if values.dtype.kind in "biuf" else None


def _encode_zero_one(y: Any) -> Encoded | None:
    """A table of 0, 1 and NaN, all columns at once; None for another y."""
    table = _table_of_numbers(y)
    if table is None:
        return None
    values, names = table
    codes = np.empty(values.shape, np.int8)
    n_rows = max(1, _CELLS_AT_ONCE // values.shape[1])
    for start in range(0, len(values), n_rows):
        part = values[start : start + n_rows]
        is_one = part == 1
        is_known = is_one | (part == 0)
        if not (is_known | np.isnan(part)).all():
            return None
        codes[start : start + n_rows] = np.where(is_known, is_one, -1)
    dtype = np.int64 if values.dtype.kind == "f" else values.dtype
    n_tasks = values.shape[1]
    targets: list[Classes | Numbers] = [
        Classes(np.array([0, 1], dtype)) for _ in range(n_tasks)
    ]
    tasks = Tasks(task_names(names, n_tasks), targets, names is not None, False)
    return Encoded(tasks, codes, None)


def _encode_numbers(y: Any) -> Encoded | None:
    """A table of finite numbers and NaN, all columns at once; None for another y."""
    table = _table_of_numbers(y)
    if table is None or table[0].dtype.kind == "b":
        return None
    values = table[0].astype(np.float64)
    if np.isinf(values).any():
        return None  # which names the task
    names, n_tasks = table[1], values.shape[1]
    targets: list[Classes | Numbers] = [Numbers() for _ in range(n_tasks)]
    tasks = Tasks(task_names(names, n_tasks), targets, names is not None, False)
    return Encoded(tasks, -np.isnan(values).astype(np.int8), values)


_TIDY_TABLES = {
    "class": _encode_zero_one,
    "number": _encode_numbers,
    "auto": _encode_zero_one,
}


# Back -------------------------------------------------------------------------------


def decode_targets(codes: NDArray, tasks: Tasks) -> NDArray:
    """Labels in their own dtype, of tasks of classes."""
    return decode(list(codes.T), tasks)


def decode(by_task: list[NDArray], tasks: Tasks) -> NDArray:
    """Codes of classes and standardised numbers of each task, (n_samples,) each.

    Returns labels in their own dtype and numbers in units of the task, (n_samples,) or
    (n_samples, n_tasks); of dtype object where text, numbers and booleans mix.
    """
    columns = [
        target.labels[values]
        if isinstance(target, Classes)
        else _finite_in_units(values.astype(np.float64), target, name)
        for target, values, name in zip(
            tasks.targets, by_task, tasks.names, strict=True
        )
    ]
    if tasks.is_1d:
        return columns[0]
    dtypes = [column.dtype for column in columns]
    same_kind = len({dtype.kind for dtype in dtypes}) == 1
    shape = len(columns[0]), len(columns)
    table = np.empty(shape, np.result_type(*dtypes) if same_kind else object)
    for t, column in enumerate(columns):
        table[:, t] = column
    return table


def _finite_in_units(values: NDArray, target: Numbers, name: str) -> NDArray:
    in_units = target.in_units(values)
    n_lost = int((~np.isfinite(in_units)).sum())
    if n_lost:
        what = "they are too large for float64"
        if target.transformer is not None:
            what = f"inverse_transform of {target.transformer!r} gives NaN or infinity"
        raise ValueError(
            f"Predictions of task {name!r} must be finite, but for {n_lost} of "
            f"{len(values)} rows {what}. Use a transformer that can invert every "
            "number, or scale X as the training rows were scaled."
        )
    return in_units


# Later calls ------------------------------------------------------------------------


def encode_new_tasks(y: Any, tasks: Tasks, task_types: TaskTypes) -> Encoded:
    """Turn the y of tasks that come later into tasks, codes and numbers.

    Tasks without a name are numbered on.
    """
    encoded = encode(y, task_types, beside=tasks)
    return encoded._replace(tasks=replace(encoded.tasks, is_1d=False))


def _names_beside(tasks: Tasks | None, own_names: list | None, n_tasks: int) -> NDArray:
    """The names of the tasks of y, which may be beside those of an estimator."""
    if tasks is None:
        return task_names(own_names, n_tasks)
    taken = set(tasks.names)
    if own_names is None:
        numbered = map("task_{}".format, count(tasks.n_tasks))
        free = (name for name in numbered if name not in taken)
        own_names = list(islice(free, n_tasks))
    names = task_names(own_names, n_tasks)
    known = [name for name in names if name in taken]
    if known:
        raise ValueError(
            f"The tasks of y_new must be new, but the estimator has {shorten(known)} "
            "already. Rename the columns, or drop the old tasks with drop_tasks."
        )
    return names


def _types_beside(tasks: Tasks | None, task_types: TaskTypes) -> TaskTypes:
    if tasks is None or not isinstance(task_types, Mapping):
        return task_types
    taken = set(tasks.names)
    return {str(n): t for n, t in task_types.items() if str(n) not in taken}


def check_same_classes(classes: Any, tasks: Tasks) -> None:
    """Refuse classes that are not those of an earlier call."""
    given = given_classes(classes, tasks.names[~tasks.are_numbers], tasks.is_1d)
    known = [
        (name, target.labels)
        for name, target in zip(tasks.names, tasks.targets, strict=True)
        if isinstance(target, Classes)
    ]
    for (name, old), new in zip(known, given, strict=True):
        if not np.array_equal(new, old):
            raise ValueError(
                f"classes of task {name!r} must be those of the first call, "
                f"{old.tolist()}; got {new.tolist()}. Leave out classes, or begin anew "
                "with a clone of the estimator."
            )
