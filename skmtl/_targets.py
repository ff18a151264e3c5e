"""The meaning of y: labels and holes of any container, as codes and back.

Code -1 is a missing label; code c is the class `classes[c]` of its task.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any, Literal, NamedTuple

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# What files and `str` make of a hole: text that hardly ever is meant to be a label.
_TEXT_OF_MISSING = (
    *("", " ", "?", "-", ".", "nan", "NaN", "NaT", "<NA>", "NA", "N/A", "n/a"),
    *("None", "null", "NULL", "missing"),
)
# From so many labels on scikit-learn says that a target could be a regression problem,
# if more than half of the labels are different.
_MIN_LABELS_TO_DOUBT = 21
# Of a table of 0 and 1, so that what is in between takes little memory.
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Tasks:
    """What `fit` learns from y alone."""

    names: NDArray  # (n_tasks,) of str
    classes: list[NDArray]  # per task, sorted
    is_named: bool  # whether y brought the names
    is_1d: bool  # whether y had one axis

    @property
    def n_tasks(self) -> int:
        """Number of columns of y."""
        return len(self.classes)

    @property
    def n_classes(self) -> NDArray:
        """(n_tasks,): number of classes of each task."""
        return np.array([len(classes) for classes in self.classes])


class _Column(NamedTuple):
    """One task of y as it came, without its holes."""

    observed: NDArray  # (n_samples,) of bool
    labels: NDArray  # (n_observed,) bool, integer or text
    categories: NDArray | None  # the labels that a category column may have


def encode_targets(
    y: Any,
    *,
    tasks: Tasks | None = None,
    classes: Any = None,
    unseen: Literal["error", "extra"] = "error",
) -> tuple[Tasks, NDArray]:
    """Turn y into tasks and codes (n_samples, n_tasks).

    With `tasks`, y must have those of an earlier call. `classes` are given instead of
    learned. A label outside of the classes is an error or has code `n_classes`.
    """
    if tasks is None and classes is None:
        encoded = _encode_zero_one(y)
        if encoded is not None:
            return encoded
    columns, names, is_1d = _read_columns(y)
    if tasks is None:
        task_names = _task_names(names, len(columns))
        columns = _tidy_columns(columns, task_names)
        if classes is None:
            learned = _learn_classes(columns, is_1d)
            _warn_of_text_of_missing(learned, task_names)
        else:
            learned = _given_classes(classes, task_names, is_1d)
        tasks = Tasks(task_names, learned, names is not None, is_1d)
    else:
        _check_same_tasks(names, len(columns), is_1d, tasks)
        columns = _tidy_columns(columns, tasks.names)
    codes = np.empty(
        (len(columns[0].observed), tasks.n_tasks), _code_dtype(tasks.n_classes.max())
    )
    for t, column in enumerate(columns):
        codes[:, t] = _encode_column(column, tasks.classes[t], tasks.names[t], unseen)
    return tasks, codes


def _encode_zero_one(y: Any) -> tuple[Tasks, NDArray] | None:
    """A table of 0, 1 and NaN, all columns at once; None for another y.

    Most y are of this form, and column by column a thousand tasks take longer to
    encode than to train on.
    """
    values, names = y, None
    if hasattr(y, "iloc") and y.ndim == 2:
        dtypes = set(y.dtypes)
        if len(dtypes) == 1 and isinstance(dtypes.pop(), np.dtype):
            values, names = y.to_numpy(), list(y.columns)
    if not (type(values) is np.ndarray and values.ndim == 2 and values.size > 0):
        return None
    if values.dtype.kind not in "biuf":
        return None
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
    classes = [np.array([0, 1], dtype) for _ in range(n_tasks)]
    tasks = Tasks(_task_names(names, n_tasks), classes, names is not None, False)
    return tasks, codes


def decode_targets(codes: NDArray, tasks: Tasks) -> NDArray:
    """Labels in their own dtype: (n_samples,) or (n_samples, n_tasks)."""
    if tasks.is_1d:
        return tasks.classes[0][codes[:, 0]]
    dtypes = [classes.dtype for classes in tasks.classes]
    same_kind = len({dtype.kind for dtype in dtypes}) == 1
    labels = np.empty(codes.shape, np.result_type(*dtypes) if same_kind else object)
    for t, classes in enumerate(tasks.classes):
        labels[:, t] = classes[codes[:, t]]
    return labels


def encode_new_tasks(y: Any, tasks: Tasks) -> tuple[Tasks, NDArray]:
    """Turn the y of tasks that come later into tasks and codes.

    Tasks without a name are numbered on.
    """
    new, codes = encode_targets(y)
    names, taken = new.names.tolist(), set(tasks.names)
    name = getattr(y, "name", None) if new.is_1d else None
    if name is not None and str(name):
        names = [str(name)]
    elif not new.is_named:
        numbered = map("task_{}".format, count(tasks.n_tasks))
        free = (name for name in numbered if name not in taken)
        names = list(islice(free, new.n_tasks))
    known = [name for name in names if name in taken]
    if known:
        raise ValueError(
            f"The tasks of y_new must be new, but the estimator has {shorten(known)} "
            "already. Rename the columns, or drop the old tasks with drop_tasks."
        )
    return replace(new, names=np.array(names, dtype=object), is_1d=False), codes


def joined_tasks(tasks: Tasks, new: Tasks) -> Tasks:
    """The tasks of an estimator that has got new ones."""
    names = np.concatenate([tasks.names, new.names])
    is_named = tasks.is_named or new.is_named
    return Tasks(names, [*tasks.classes, *new.classes], is_named, False)


def without_tasks(tasks: Tasks, names: Any) -> tuple[Tasks, NDArray]:
    """The tasks without those of these names, and their positions before."""
    if not isinstance(names, Iterable):
        raise ValueError(
            f"names must be a name of a task or a list of them; got {names!r}. See "
            "task_names_."
        )
    dropped = [names] if isinstance(names, str) else list(names)
    known = set(tasks.names)
    unknown = [name for name in dropped if name not in known]
    if unknown:
        raise ValueError(
            f"names must be among the tasks {shorten(tasks.names)}; got "
            f"{shorten(unknown)}. See task_names_."
        )
    kept = np.flatnonzero(~np.isin(tasks.names, dropped))
    if len(kept) == 0:
        raise ValueError(
            f"At least one task must be left, but all {tasks.n_tasks} are dropped. "
            "Name fewer."
        )
    classes = [tasks.classes[t] for t in kept]
    return replace(tasks, names=tasks.names[kept], classes=classes), kept


def mask_targets(y: Any, removed: NDArray) -> Any:
    """A copy of y, of the same kind, with further labels missing.

    `removed` is of bool and has the shape of y.
    """
    if hasattr(y, "column_names"):  # pyarrow
        columns = {}
        for name, column, holes in zip(
            y.column_names, y.columns, removed.T, strict=True
        ):
            pairs = zip(column.to_pylist(), holes, strict=True)
            columns[name] = [None if is_hole else label for label, is_hole in pairs]
        return type(y).from_pydict(columns)
    if hasattr(y, "iloc"):  # pandas
        return y.mask(removed)
    if hasattr(y, "get_columns"):  # polars
        frame = nw.from_native(y)
        holes = [
            nw.when(~nw.new_series("removed", column, backend=frame.implementation))
            .then(nw.col(name))
            .alias(name)
            for name, column in zip(frame.columns, removed.T, strict=True)
        ]
        return frame.with_columns(*holes).to_native()
    if isinstance(y, np.ma.MaskedArray):
        return np.ma.array(y.data, mask=np.ma.getmaskarray(y) | removed)
    array = y.toarray() if sparse.issparse(y) else as_array(y)
    is_float = array.dtype.kind == "f"
    array = array.astype(array.dtype if is_float else object)
    array[removed] = np.nan if is_float else None
    return array


def without_labels(y: Any, removed: NDArray) -> Any:
    """A y in which some tasks have no labels; `removed` is (n_tasks,) of bool."""
    if not removed.any() or y is None:
        return y
    shape = y.shape if hasattr(y, "shape") else as_array(y).shape
    if shape[1:] == removed.shape:
        return mask_targets(y, np.broadcast_to(removed, shape))
    if len(shape) == 1 and len(removed) == 1:
        return mask_targets(y, np.ones(shape, dtype=bool))
    return y  # of another shape, which is refused later


def check_labelled(tasks: Tasks, is_labelled: NDArray) -> None:
    """Refuse a y without labels; name the tasks that have none."""
    if not is_labelled.any():
        raise ValueError(
            "y must have at least one observed label (of positive weight), but all "
            f"labels of {tasks.n_tasks} task(s) are missing. Pass rows with labels."
        )
    without = tasks.names[~is_labelled].tolist()
    if without:
        warnings.warn(
            f"{len(without)} of {tasks.n_tasks} tasks have no observed label (of "
            f"positive weight) in y: {shorten(without)}. Nothing can be learned for "
            "them; their probabilities are uniform. Drop the columns or add labels.",
            UserWarning,
            stacklevel=4,  # the caller of fit, past scikit-learn's wrapper
        )


def warn_of_many_classes(tasks: Tasks, codes: NDArray) -> None:
    """Name the tasks whose labels look like measurements."""
    # Fewer classes are more than half of too few labels.
    candidates = np.flatnonzero(tasks.n_classes > 0.5 * _MIN_LABELS_TO_DOUBT)
    n_labels = (codes[:, candidates] >= 0).sum(axis=0)
    is_odd = n_labels >= _MIN_LABELS_TO_DOUBT
    is_odd &= tasks.n_classes[candidates] > 0.5 * n_labels
    odd = candidates[is_odd]
    if len(odd):
        counts = tasks.n_classes[odd].tolist()
        warnings.warn(
            "The number of classes is greater than 50% of the number of labels in "
            f"tasks {shorten(tasks.names[odd])}: {shorten(counts)} classes. y could "
            "represent a regression problem there; bin such a column into classes.",
            UserWarning,
            stacklevel=5,  # the caller of fit, past scikit-learn's wrapper
        )


def check_same_classes(classes: Any, tasks: Tasks) -> None:
    """Refuse classes that are not those of an earlier call."""
    given = _given_classes(classes, tasks.names, tasks.is_1d)
    for name, new, old in zip(tasks.names, given, tasks.classes, strict=True):
        if not np.array_equal(new, old):
            raise ValueError(
                f"classes of task {name!r} must be those of the first call, "
                f"{old.tolist()}; got {new.tolist()}. Leave out classes, or begin anew "
                "with a clone of the estimator."
            )


def shorten(items: Iterable[Any]) -> str:
    """The first of many items, for a message."""
    shown = [repr(item) for item in items]
    rest = f", ... ({len(shown)} in all)" if len(shown) > 5 else ""
    return "[" + ", ".join(shown[:5]) + rest + "]"


# Containers -----------------------------------------------------------------------


def _read_columns(y: Any) -> tuple[list[_Column], list | None, bool]:
    """Columns as they came, their names where y has any, and whether y is 1-D."""
    if y is None:
        raise ValueError(
            "skmtl requires y to be passed, but the target y is None. Pass the labels, "
            "a column per task."
        )
    if hasattr(y, "iloc"):  # pandas
        if y.ndim == 1:
            return [_pandas_column(y)], None, True
        columns = [_pandas_column(y.iloc[:, j]) for j in range(y.shape[1])]
        return _at_least_one(columns), list(y.columns), False
    if hasattr(y, "get_columns"):  # polars
        columns = [_polars_column(column) for column in y.get_columns()]
        return _at_least_one(columns), list(y.columns), False
    if hasattr(y, "column_names"):  # pyarrow
        columns = [_pyarrow_column(column) for column in y.columns]
        return _at_least_one(columns), list(y.column_names), False
    if hasattr(y, "is_null") and hasattr(y, "to_list"):
        return [_polars_column(y)], None, True
    return _array_columns(y)


def _array_columns(y: Any) -> tuple[list[_Column], None, bool]:
    mask = None
    if isinstance(y, list | tuple) and any(
        isinstance(row, np.ma.MaskedArray) for row in y
    ):
        y = np.ma.array(y)
    if sparse.issparse(y):
        y = y.toarray()
    elif isinstance(y, np.ma.MaskedArray):
        mask, y = np.ma.getmaskarray(y), y.data
    else:
        y = as_array(y)
    if y.ndim not in (1, 2):
        raise ValueError(
            "y must be array-like with one axis (n_samples,) or two (n_samples, "
            f"n_tasks); got {y.ndim} axes, shape {y.shape}. Pass a column per task."
        )
    observed = np.ones(y.shape, bool) if mask is None else ~mask
    if y.ndim == 1:
        return [_Column(observed, y[observed], None)], None, True
    columns = [
        _Column(observed[:, j], y[observed[:, j], j], None) for j in range(y.shape[1])
    ]
    return _at_least_one(columns), None, False


def as_array(y: Any) -> NDArray:
    """As numpy reads it, but without turning numbers and NaN beside text into text."""
    if isinstance(y, np.ndarray):
        return np.asarray(y)  # a matrix becomes an array
    try:
        array = np.asarray(y)
        if array.dtype.kind not in "US":
            return array
        return np.asarray(y, dtype=object)
    except ValueError as error:
        raise ValueError(
            "y must have rows of the same length, one label or hole per task; got "
            f"{type(y).__name__} that numpy cannot read: {error}. Mark missing labels "
            "with None or NaN."
        ) from error


def _at_least_one(columns: list[_Column]) -> list[_Column]:
    if not columns:
        raise ValueError(
            "y must have at least one column; got 0 columns. Pass a column per task."
        )
    return columns


def _pandas_column(series: Any) -> _Column:
    observed = ~np.asarray(series.isna(), dtype=bool)
    categories = getattr(series.dtype, "categories", None)
    return _Column(
        observed,
        series.array[observed].to_numpy(),
        None if categories is None else categories.to_numpy(),
    )


def _polars_column(series: Any) -> _Column:
    observed = ~series.is_null().to_numpy()
    # Only an Enum declares its categories; those of a Categorical may be shared.
    is_enum = type(series.dtype).__name__ == "Enum"
    return _Column(
        observed,
        series.drop_nulls().to_numpy(),
        series.dtype.categories.to_numpy() if is_enum else None,
    )


def _pyarrow_column(column: Any) -> _Column:
    labels = np.array(column.to_pylist(), dtype=object)
    categories = None
    if hasattr(column.type, "index_type") and column.num_chunks:  # a dictionary
        dictionary = column.unify_dictionaries().chunk(0).dictionary
        categories = np.array(dictionary.to_pylist(), dtype=object)
    return _Column(np.ones(len(labels), dtype=bool), labels, categories)


# Labels ---------------------------------------------------------------------------


def _tidy_columns(columns: list[_Column], names: NDArray) -> list[_Column]:
    return [_tidy(*pair) for pair in zip(columns, names, strict=True)]


def _tidy(column: _Column, name: str) -> _Column:
    """The column with every kind of hole taken out and labels that can be sorted."""
    labels = column.labels
    if labels.dtype.kind == "T":  # numpy's variable-width strings
        labels = labels.astype(object)
    missing = is_missing(labels)
    observed = column.observed
    if missing.any():
        observed = observed.copy()
        observed[observed] = ~missing
        labels = labels[~missing]
    categories = column.categories
    if categories is not None:
        categories = _tidy_labels(categories, name)
    return _Column(observed, _tidy_labels(labels, name), categories)


def is_missing(labels: NDArray) -> NDArray:
    """Which of some values are NaN, NaT, None, pd.NA or masked."""
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind in "mM":
        return np.isnat(labels)
    if labels.dtype.kind == "O":
        return _is_missing_object(labels)
    return np.zeros(len(labels), bool)


def _is_missing_object(labels: NDArray) -> NDArray:
    """As a loop over `_is_missing_label`; ten times as fast for the usual types."""
    kinds = set(map(type, labels.tolist()))
    if kinds <= {str, bool, int}:
        return np.zeros(len(labels), bool)
    if kinds <= {str, bool, int, float, type(None)}:
        # NaN alone differs from itself.
        missing = np.not_equal(labels, labels) | (labels == np.array(None))
        return np.asarray(missing, dtype=bool)
    return np.fromiter(map(_is_missing_label, labels), bool, len(labels))


def _is_missing_label(label: Any) -> bool:
    if label is None or label is np.ma.masked:
        return True
    # By name, so that pandas need not be there.
    if type(label).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(label, float | np.floating) and bool(np.isnan(label))


def _tidy_labels(labels: NDArray, name: str) -> NDArray:
    if len(labels) == 0 and labels.dtype.kind in "mM":
        labels = labels.astype(object)  # of a column with nothing but NaT
    if labels.dtype.kind == "O":
        labels = _from_objects(labels, name)
    if labels.dtype.kind == "f":
        labels = _integers_of(labels, name)
    if labels.dtype.kind not in "biuUO":
        raise ValueError(
            f"Labels of task {name!r} must be numbers, strings or booleans; got dtype "
            f"{labels.dtype}. Convert the column, for instance to strings."
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
            f"but y has the value {fractional[0]}. Regression is not supported: bin "
            "the column into classes."
        )
    if np.abs(labels).max(initial=0) >= 2**53:  # which 2**53 + 1 is rounded to
        raise ValueError(
            f"Labels of task {name!r} must be whole numbers that float64 holds "
            f"exactly, below 2**53; got {labels[np.abs(labels).argmax()]}. Convert the "
            "column to integers or strings."
        )
    return labels.astype(np.int64)


# Tasks and classes ----------------------------------------------------------------


def _task_names(names: list | None, n_tasks: int) -> NDArray:
    if names is None:
        return np.array([f"task_{t}" for t in range(n_tasks)], dtype=object)
    texts = [str(name) for name in names]
    duplicates = sorted(text for text, n in Counter(texts).items() if n > 1)
    if duplicates:
        raise ValueError(
            f"Task names must be unique, but y has columns with the same name: "
            f"{shorten(duplicates)}. Rename or drop them."
        )
    return np.array(texts, dtype=object)


def _learn_classes(columns: list[_Column], is_1d: bool) -> list[NDArray]:
    learned = [
        _distinct(column.labels if column.categories is None else column.categories)[0]
        for column in columns
    ]
    zero_one = not is_1d and all(
        classes.dtype.kind not in "UO" and np.isin(classes, (0, 1)).all()
        for classes in learned
        if len(classes)
    )
    for t, classes in enumerate(learned):
        if len(classes) == 0:  # where nobody told the classes of a task, it is binary
            learned[t] = np.array([0, 1])
        elif zero_one:
            learned[t] = np.array([0, 1]).astype(classes.dtype)
    return learned


def _distinct(labels: NDArray) -> tuple[NDArray, NDArray]:
    """As np.unique with the inverse, which sorts all objects and not the distinct."""
    if labels.dtype.kind != "O":
        return np.unique(labels, return_inverse=True)
    values = labels.tolist()
    distinct = np.empty(len(known := sorted(set(values))), dtype=object)
    distinct[:] = known
    code_of = {label: code for code, label in enumerate(known)}
    return distinct, np.fromiter(map(code_of.__getitem__, values), np.intp, len(values))


def _warn_of_text_of_missing(classes: list[NDArray], names: NDArray) -> None:
    suspects = {
        name: sorted(set(_TEXT_OF_MISSING) & set(labels.tolist()))
        for name, labels in zip(names, classes, strict=True)
        if labels.dtype.kind in "UO" and np.isin(_TEXT_OF_MISSING, labels).any()
    }
    if suspects:
        warnings.warn(
            f"y has labels that look like holes, {shorten(suspects.items())}, but are "
            "taken as classes. If missing labels are meant, use None or NaN in an "
            "object array or a DataFrame, for instance y.astype(object).mask(y == "
            "'NA'), since a category without a row is still a class.",
            UserWarning,
            stacklevel=2,
        )


def _given_classes(classes: Any, names: NDArray, is_1d: bool) -> list[NDArray]:
    """`classes` of partial_fit: an array, a list of arrays or a mapping by name."""
    if is_1d:
        classes = [classes]
    elif not isinstance(classes, Mapping | list | tuple | np.ndarray):
        raise ValueError(
            f"classes must be a list of arrays, one per task, or a mapping from task "
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
    if len(classes) != len(names):
        raise ValueError(
            f"classes must have one array per task, {len(names)}; got {len(classes)}. "
            "Pass a list of arrays or a mapping from task name to array."
        )
    given = []
    for name, labels in zip(names, classes, strict=True):
        array = as_array(labels)
        if array.ndim != 1 or len(array) == 0 or is_missing(array).any():
            raise ValueError(
                f"classes of task {name!r} must be one-dimensional with at least one "
                f"label and none missing; got {labels!r}. List all labels of the task."
            )
        given.append(np.unique(_tidy_labels(array, name)))
    return given


def _check_same_tasks(
    names: list | None, n_tasks: int, is_1d: bool, tasks: Tasks
) -> None:
    if is_1d != tasks.is_1d or n_tasks != tasks.n_tasks:
        expected = "(n_samples,)" if tasks.is_1d else f"(n_samples, {tasks.n_tasks})"
        got = "(n_samples,)" if is_1d else f"(n_samples, {n_tasks})"
        raise ValueError(
            f"y must have the shape that it had in fit, {expected}; got {got}. Pass "
            "the same tasks."
        )
    if names is not None:
        check_same_names(names, tasks)


def check_same_names(names: Any, tasks: Tasks) -> None:
    """Those of y, in the order of the tasks of an earlier call."""
    given, known = [str(name) for name in names], tasks.names.tolist()
    # Names that were numbered here mean as much, where they come back.
    if given != known and (tasks.is_named or sorted(given) == sorted(known)):
        raise ValueError(
            "The tasks of y must be those of fit, in the same order: "
            f"{shorten(tasks.names)}; got {shorten(given)}. Reorder with "
            "y[clf.task_names_]."
        )


def _code_dtype(n_classes: int) -> type[np.signedinteger]:
    for dtype in (np.int8, np.int16):
        if n_classes <= np.iinfo(dtype).max:
            return dtype
    return np.int32


def _encode_column(
    column: _Column, classes: NDArray, name: str, unseen: Literal["error", "extra"]
) -> NDArray:
    labels, inverse = _distinct(column.labels)
    if len(labels) and (labels.dtype.kind in "UO") != (classes.dtype.kind in "UO"):
        raise ValueError(
            f"Labels of task {name!r} must be of the kind of its classes "
            f"{shorten(classes.tolist())}; got {shorten(labels.tolist())}, text beside "
            "numbers. Convert the column."
        )
    code_of = {label: code for code, label in enumerate(classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in code_of]
    if unknown and unseen == "error":
        raise ValueError(
            f"Labels of task {name!r} must be among its classes "
            f"{shorten(classes.tolist())}; got {shorten(unknown)}. Pass all classes at "
            "the first call (`classes` of partial_fit), or fit anew."
        )
    codes = np.full(len(column.observed), -1, dtype=np.int64)
    table = [code_of.get(label, len(classes)) for label in labels.tolist()]
    codes[column.observed] = np.array(table, dtype=np.int64)[inverse]
    return codes
