"""Convert y to tasks, codes and numbers, and back."""

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
    tidy_columns,
)
from skmtl._targets._numbers import (
    Numbers,
    as_numbers,
    must_be_numbers,
    plain_numbers,
)
from skmtl._targets._suspects import warn_of_text_of_missing
from skmtl._targets._tasks import Classes, Tasks, check_same_tasks, task_names

# Cells of a table of 0 and 1 to convert at a time, so that temporary arrays stay small.
_CELLS_AT_ONCE = 4_000_000

TaskTypes = Literal["auto", "class", "number"] | Mapping[str, str]


class Encoded(NamedTuple):
    """A validated y."""

    tasks: Tasks
    codes: NDArray  # (n_samples, n_tasks) of int, -1 if missing
    # (n_samples, n_tasks) float64, in units of the task; NaN for missing labels and for
    # tasks with classes. None if no task is numeric.
    numbers: NDArray | None


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
    """Convert y to tasks, codes and numbers.

    With `tasks`, y must have the tasks of an earlier call. With `classes`, they are not
    learned from y. A label that is not among the classes is an error, or gets the code
    `n_classes`. With `beside`, the tasks of y are added to these tasks. There are no
    warnings about the labels of a prediction. The scale of numbers is learned later,
    when the weights are known.
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
        # Beside other tasks, a Series is one column of several.
        is_only_task = is_1d and beside is None
        targets, columns = learn_targets(columns, texts, is_only_task, types, classes)
        if classes is None and not is_prediction:
            warn_of_text_of_missing(targets, texts)
        # The name of a Series is not compared: it may be another one in `score`.
        tasks = Tasks(texts, targets, own_names is not None and not is_1d, is_1d)
    else:
        check_same_tasks(own_names, len(columns), is_1d, tasks)
        columns = tidy_columns(columns, tasks.names, tasks.are_numbers)
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
    """Return the tasks, and the columns with labels that can be sorted."""
    are_numbers = types_of_columns(columns, texts, task_types)
    columns = tidy_columns(columns, texts, are_numbers)
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


# Classes or numbers -----------------------------------------------------------------


def types_of_columns(
    columns: list[Column], names: NDArray, task_types: TaskTypes
) -> NDArray:
    """Return (n_tasks,) of bool: which tasks are numeric."""
    if task_types in ("class", "number"):
        return np.full(len(columns), task_types == "number")
    if isinstance(task_types, Mapping):
        return _as_given(task_types, names)
    guessed = [guess_type(column) for column in columns]
    check_clear([name for name, g in zip(names, guessed, strict=True) if g is None])
    return np.array(guessed, dtype=bool)


def check_clear(unclear: list[str]) -> None:
    """Raise if there are tasks whose type cannot be guessed."""
    if unclear:
        example = {name: "number" for name in unclear[:2]}
        raise ValueError(
            "With task_types='auto', text, booleans, categories and 0 and 1 are "
            "classes, and numbers with decimals are numbers, but y has other whole "
            f"numbers in tasks {shorten(unclear)}. Set the type of each task of y, not "
            "only of these, to 'class' or 'number', for example with "
            f"task_types={example!r} and the other tasks."
        )


def guess_type(column: Column) -> bool | None:
    """Whether a column is numeric; None if it may be either."""
    values = plain_numbers(column)
    if values is None or np.isin(values, (0, 1)).all():  # also true without labels
        return False
    # Reading numbers raises an error for infinity.
    is_number = must_be_numbers(column) or bool(np.isinf(values).any())
    return True if is_number else None


def _as_given(task_types: Mapping[str, str], names: NDArray) -> NDArray:
    types = {str(name): given for name, given in task_types.items()}
    others = sorted(set(types) - set(names))
    lacking = [name for name in names if name not in types]
    if others or lacking:
        raise ValueError(
            f"task_types must have a type for each task of y, {shorten(names)}, and no "
            f"other keys; got no type for {shorten(lacking)} and other keys "
            f"{shorten(others)}. Correct the keys."
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
    """Return an array (n_samples, n_tasks) of one numeric dtype, and the names.

    Returns None for any other y. That is read column by column, which for 1,000 tasks
    takes longer than to train on them.
    """
    values, names = y, None
    # The frames of dask have `iloc` but no `to_numpy`; `read_columns` refuses them.
    if hasattr(type(y), "to_numpy") and hasattr(y, "iloc") and y.ndim == 2:
        dtypes = set(y.dtypes)
        if len(dtypes) == 1 and isinstance(dtypes.pop(), np.dtype):
            values, names = y.to_numpy(), list(y.columns)
    if not (type(values) is np.ndarray and values.ndim == 2 and values.size > 0):
        return None
    return (values, names) if values.dtype.kind in "biuf" else None


def _encode_zero_one(y: Any) -> Encoded | None:
    """Encode a table of 0, 1 and NaN at once; None for any other y."""
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
    """Encode a table of finite numbers and NaN at once; None for any other y."""
    table = _table_of_numbers(y)
    if table is None or table[0].dtype.kind == "b":
        return None
    values = table[0].astype(np.float64)
    if np.isinf(values).any():
        return None  # reading it by columns then raises and names the task
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


def decode(by_task: list[NDArray], tasks: Tasks) -> NDArray:
    """Convert class codes and standardised numbers, (n_samples,) per task, to labels.

    Returns labels in their own dtype and numbers in units of the task, (n_samples,) or
    (n_samples, n_tasks). The dtype is object if text, numbers and booleans mix.
    """
    columns = [
        target.labels[values]
        if isinstance(target, Classes)
        else finite_in_units(values, target, name)
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


def finite_in_units(standardised: NDArray, target: Numbers, name: str) -> NDArray:
    """Return predictions in units of their task; raise if some are not finite."""
    in_units = target.in_units(standardised.astype(np.float64))
    n_lost = int((~np.isfinite(in_units)).sum())
    if n_lost:
        what = "they are too large for float64"
        if target.transformer is not None:
            what = f"inverse_transform of {target.transformer!r} gives NaN or infinity"
        raise ValueError(
            f"Predictions of task {name!r} must be finite, but for {n_lost} of "
            f"{len(in_units)} rows, {what}. Use a transformer that can invert every "
            "number, or scale X in the same way as the training rows."
        )
    return in_units


# Later calls ------------------------------------------------------------------------


def encode_new_tasks(y: Any, tasks: Tasks, task_types: TaskTypes) -> Encoded:
    """Convert the y of tasks that are added later to tasks, codes and numbers.

    Tasks without a name get the next numbers.
    """
    encoded = encode(y, task_types, beside=tasks)
    return encoded._replace(tasks=replace(encoded.tasks, is_1d=False))


def _names_beside(tasks: Tasks | None, own_names: list | None, n_tasks: int) -> NDArray:
    """Return the names of the tasks of y, which may be added to other tasks."""
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
            "The tasks of y_new must be new, but the estimator already has "
            f"{shorten(known)}. Rename the columns, or drop the old tasks with "
            "drop_tasks."
        )
    return names


def _types_beside(tasks: Tasks | None, task_types: TaskTypes) -> TaskTypes:
    if tasks is None or not isinstance(task_types, Mapping):
        return task_types
    taken = set(tasks.names)
    return {str(n): t for n, t in task_types.items() if str(n) not in taken}


def check_same_types(types: TaskTypes, tasks: Tasks) -> None:
    """Raise if a task had another type in an earlier call."""
    if not isinstance(types, Mapping):
        return
    known = tasks.types
    other = [n for n, given in types.items() if known.get(str(n), given) != given]
    if other:
        raise ValueError(
            "task_types must give each task the type that it had in the first call, "
            f"but those of {shorten(other)} have changed. Set them back, or start "
            "again with a clone of the estimator."
        )


def check_same_classes(classes: Any, tasks: Tasks) -> None:
    """Raise if the classes are not those of an earlier call."""
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
                f"{old.tolist()}; got {new.tolist()}. Leave out classes, or start "
                "again with a clone of the estimator."
            )
