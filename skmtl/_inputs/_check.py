"""X as one array of numbers: a category is its code, a missing value is NaN."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from numbers import Number
from typing import Any, Literal

import narwhals as nw
import numpy as np
from narwhals.exceptions import DuplicateError
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import check_array, validate_data

from skmtl._inputs._declared import Declared
from skmtl._messages import shorten
from skmtl._sources import check_in_memory
from skmtl._targets import is_missing

# What torch reads without a copy; anything else is converted to the first.
_SHARED_DTYPES = [np.float64, np.float32, np.float16, np.bool_]
_SHARED_DTYPES += [np.uint8, np.int8, np.int16, np.int32, np.int64]
_LARGEST = np.finfo(np.float32).max
_TEXT_ADVICE = (
    "Make text a category, X[column].astype('category'), or encode it, for instance "
    "with OneHotEncoder or skrub's TableVectorizer; make text of numbers numbers."
)
_TIME_ADVICE = "Make times numbers, for instance (X[column] - X[column].min()).dt.days."
_DAYS_OF_ARRAY = "(X - X.min()) / np.timedelta64(1, 'D')"
# Code of a category that the first call did not show.
UNKNOWN = -1

Codes = dict[Hashable, int]


@dataclass(frozen=True)
class InputColumns:
    """What the first call learns of the columns of X, whatever the labels."""

    encoding: Literal["piecewise", "none"]
    categories: dict[int, Codes]  # by the position of the column
    row_shape: tuple[int, ...] | None = None  # of rows that are no list of columns
    is_uint8: bool = False  # numbers that a trunk of the user's own reads as 0 to 1
    declared: Declared | None = None  # None: all rows were there


def check_inputs(
    estimator: Any,
    X: Any,
    columns: InputColumns | None = None,
    declare: Callable[[Any, InputColumns], InputColumns] | None = None,
) -> tuple[Any, InputColumns]:
    """X as ndarray or CSR of numbers, and its columns.

    Without `columns` they are learned, and with them the names of the features. Rows
    of several axes, pictures, become flat. `declare` adds what is known of rows that
    are still to come.
    """
    reset = columns is None
    if not sparse.issparse(X):  # one of their formats is a dict
        _refuse_mappings(X)
    if isinstance(X, list | tuple):
        X = _as_array(X)
    if isinstance(X, np.ma.MaskedArray):
        X = _without_mask(X)
    _refuse_times(X)
    check_in_memory(X)
    X, row_shape = _flatten_rows(X)
    if columns is not None:
        _check_row_shape(row_shape, columns)
    elif row_shape is not None and estimator.trunk is None:
        raise ValueError(
            f"X must have two axes, (n_samples, n_features), but rows have the shape "
            f"{row_shape}. Pass a trunk that reads them, for instance "
            "trunk=skmtl.trunks.ConvTrunk() for pictures (channels, height, width)."
        )
    is_sparse = sparse.issparse(X) or _is_sparse_frame(X)
    if not is_sparse:
        # One interface to the data frames of all libraries.
        try:
            X = nw.from_native(X, eager_only=True, pass_through=True)
        except DuplicateError as error:
            raise ValueError(
                f"The columns of X must have different names. {error}. Rename or drop "
                "some."
            ) from error
    if isinstance(X, nw.DataFrame):
        # The names first: the columns are read by position.
        validate_data(estimator, X.to_native(), reset=reset, skip_check_array=True)
    if columns is None:
        columns = _learn_columns(estimator, X, is_sparse)
    if declare is not None:
        columns = declare(X, columns)
    if is_sparse and columns.categories:
        raise ValueError(
            f"X must be dense, since columns {shorten(columns.categories)} are "
            "categories, but got sparse X. Pass an array or a DataFrame, as in the "
            "first call."
        )
    X = _check_numbers(estimator, _replace_categories(X, columns.categories), reset)
    if columns.encoding == "none":
        _check_float32(X)
    if estimator.trunk is not None:
        if reset:
            is_uint8 = X.dtype == np.uint8
            columns = replace(columns, row_shape=row_shape, is_uint8=is_uint8)
        _check_scale(X, columns)
    return X, columns


def _refuse_mappings(X: Any) -> None:
    is_list = isinstance(X, list | tuple) and len(X) > 0
    if isinstance(X, Mapping) or (is_list and isinstance(X[0], Mapping)):
        what = "a list of dicts" if is_list else type(X).__name__
        raise ValueError(
            f"X must be an array, a DataFrame or a sparse matrix; got {what}. Pass "
            "pd.DataFrame(X), or for dicts with different keys what DictVectorizer "
            "makes of them."
        )


def _as_array(X: list | tuple) -> Any:
    try:
        return np.asarray(X)
    except ValueError:  # rows of several lengths: scikit-learn says it
        return X


def _refuse_times(X: Any) -> None:
    """Which numpy would take for the numbers of some unit."""
    kind = getattr(getattr(X, "dtype", None), "kind", "")
    if kind in ("m", "M"):
        raise ValueError(
            f"X must be numbers; got {X.dtype}. Make times numbers, for instance "
            f"{_DAYS_OF_ARRAY}, or pass a DataFrame."
        )


def _without_mask(X: Any) -> NDArray:
    """NaN in masked cells, whose values mean nothing; numpy would read them."""
    if not np.ma.is_masked(X):
        return np.asarray(X.data)
    if X.dtype.kind in "biu":
        X = X.astype(np.float64)
    elif X.dtype.kind in "US":
        X = X.astype(object)
    return np.asarray(X.filled(np.nan))


def _flatten_rows(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Rows of several axes as flat ones, and the shape of a row; other X as it is."""
    if getattr(X, "ndim", 2) <= 2:
        return X, None
    X = np.asarray(X)
    row_shape = X.shape[1:]
    return X.reshape(len(X), math.prod(row_shape)), row_shape


def _check_row_shape(row_shape: tuple[int, ...] | None, columns: InputColumns) -> None:
    if row_shape != columns.row_shape:
        got, expected = (
            "rows without axes of their own" if shape is None else f"rows of {shape}"
            for shape in (row_shape, columns.row_shape)
        )
        raise ValueError(
            f"X must have {expected}, as in the first call; got {got}. Reshape X."
        )


def _check_scale(X: NDArray, columns: InputColumns) -> None:
    """What is read as 0 to 1 must not be taken for 0 to 255, nor the reverse."""
    if columns.is_uint8 != (X.dtype == np.uint8):
        expected, other = (
            ("uint8", "'uint8'") if columns.is_uint8 else ("float", "float")
        )
        raise ValueError(
            f"X must be of dtype {expected}, as in the first call (only numbers of "
            f"uint8 are divided by 255); got {X.dtype}. Scale it alike and convert it "
            f"with X.astype({other})."
        )


def _is_sparse_frame(X: Any) -> bool:
    """Whether X is a DataFrame of pandas with sparse columns alone."""
    dtypes = list(getattr(X, "dtypes", [])) if hasattr(X, "columns") else []
    return bool(dtypes) and all(type(d).__name__ == "SparseDtype" for d in dtypes)


# scikit-learn looks for infinity in a sum, where large numbers may give inf - inf.
@np.errstate(over="ignore", invalid="ignore")
def _check_numbers(estimator: Any, X: Any, reset: bool) -> Any:
    """Numbers as ndarray or CSR; NaN is legal and infinity is not."""
    settings: dict[str, Any] = {
        "accept_sparse": "csr",
        "dtype": _SHARED_DTYPES,
        "ensure_all_finite": "allow-nan",
    }
    if isinstance(X, nw.DataFrame):
        frame = _replace_objects(X).to_native()
        return check_array(frame, estimator=estimator, input_name="X", **settings)
    X = _fill_holes_of_objects(X)
    try:
        X = validate_data(estimator, X, reset=reset, **settings)
    except ValueError as error:
        if "could not convert string" in str(error):
            raise ValueError(f"{error}. {_TEXT_ADVICE}") from error
        if "fill value must be 0" in str(error):
            raise ValueError(
                f"{error}. Sparse columns must leave out 0 and not NaN: use "
                "X.astype(pd.SparseDtype(float, 0)), or make them dense."
            ) from error
        raise
    except TypeError as error:  # of an object that is no number
        if not isinstance(X, np.ndarray):
            raise
        raise TypeError(
            f"X must be numbers: {error}. Convert what is none; make times, for "
            f"instance, {_DAYS_OF_ARRAY}."
        ) from error
    if sparse.issparse(X) and X.dtype == bool:
        return canonical(X)  # True twice is True, where the layer would read 2
    return X


def canonical(X: Any) -> Any:
    """Sparse rows with their entries in order, each in one piece; a copy if need be."""
    if X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X


def _fill_holes_of_objects(X: Any) -> Any:
    """NaN for None and pd.NA in an array of Python's objects."""
    if not (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 2):
        return X
    return np.where(is_missing(X.ravel()).reshape(X.shape), np.nan, X)


# Which columns are categories -----------------------------------------------------


def _learn_columns(estimator: Any, X: Any, is_sparse: bool) -> InputColumns:
    input_encoding = estimator.input_encoding
    encodes = not is_sparse if input_encoding == "auto" else input_encoding != "none"
    if estimator.trunk is not None:
        _check_for_own_trunk(input_encoding, is_sparse)
        encodes = False
    if encodes and is_sparse:
        raise ValueError(
            "input_encoding='piecewise' must get dense X, but X is sparse. Use "
            "input_encoding='auto' or 'none', or pass X.toarray()."
        )
    categorical = _find_categorical(X, estimator.categorical_features)
    if categorical and not encodes:
        raise ValueError(
            "Without a piecewise encoding the columns of X must be numbers, but "
            f"columns {shorten(categorical)} are categories. Use input_encoding="
            "'piecewise' and dense X, or encode them, for instance with OneHotEncoder."
        )
    categories = {j: _learn_codes(*read_categories(X, j)) for j in categorical}
    return InputColumns("piecewise" if encodes else "none", categories)


def _check_for_own_trunk(input_encoding: str, is_sparse: bool) -> None:
    if input_encoding == "piecewise":
        raise ValueError(
            "A trunk of your own reads the numbers as they are, but input_encoding is "
            "'piecewise'. Use input_encoding='auto', or trunk=None."
        )
    if is_sparse:
        raise ValueError(
            "A trunk of your own reads dense rows, but X is sparse. Pass X.toarray(), "
            "or use trunk=None."
        )


def _find_categorical(X: Any, categorical_features: Any) -> list[int]:
    """Positions of the category columns."""
    names = list(X.columns) if isinstance(X, nw.DataFrame) else []
    if isinstance(categorical_features, str):  # "from_dtype"
        return [j for j, name in enumerate(names) if _is_category(X.schema[name])]
    given = np.asarray([] if categorical_features is None else categorical_features)
    if given.size == 0:
        return []
    n_features = n_columns(X)
    if given.dtype == bool and given.shape == (n_features,):
        return np.flatnonzero(given).tolist()
    if given.ndim == 1:
        entries = set(given.tolist())
        if given.dtype.kind in "iu" and entries <= set(range(n_features)):
            return sorted(entries)
        if given.dtype.kind in "UO" and entries <= set(names):
            return sorted(names.index(name) for name in entries)
    raise ValueError(
        "categorical_features must be 'from_dtype', None, a mask with an entry per "
        f"column of X, positions from 0 to {n_features - 1}, or names of columns of a "
        f"DataFrame; got {categorical_features!r}, and X has "
        f"{f'the columns {shorten(names)}' if names else 'no names of columns'}."
    )


def _is_category(dtype: Any) -> bool:
    return isinstance(dtype, nw.Categorical | nw.Enum)


def n_columns(X: Any) -> int:
    shape = X.shape if hasattr(X, "shape") else np.shape(X)
    return int(shape[1]) if len(shape) == 2 else 0


def _learn_codes(values: NDArray, missing: NDArray) -> Codes:
    """The categories that occur, sorted, so that the order of rows is irrelevant."""
    return sorted_codes(set(values[~missing].tolist()))


def sorted_codes(known: Iterable[Hashable]) -> Codes:
    """Codes in the order of the categories."""
    try:
        ordered = sorted(known)  # type: ignore[type-var]
    except TypeError:  # values of several types
        ordered = sorted(known, key=lambda value: (type(value).__name__, str(value)))
    return {value: code for code, value in enumerate(ordered)}


def extended_codes(codes: Codes, values: Iterable[Hashable]) -> Codes:
    """With further codes for values that have none."""
    return codes | {
        value: len(codes) + i
        for i, value in enumerate(v for v in dict.fromkeys(values) if v not in codes)
    }


def extended_columns(X: Any, columns: InputColumns) -> InputColumns:
    """With further codes for the categories of X that have none."""
    if not columns.categories:
        return columns
    X = nw.from_native(X, eager_only=True, pass_through=True)
    categories = dict(columns.categories)
    for j in (j for j in categories if j < n_columns(X)):
        values, missing = read_categories(X, j)
        found = sorted_codes(set(values[~missing].tolist()))
        categories[j] = extended_codes(categories[j], found)
    return replace(columns, categories=categories)


# Columns as numbers ---------------------------------------------------------------


def _read_column(X: Any, j: int) -> tuple[NDArray, NDArray]:
    """(n_samples,) values of a column, and which of them are missing."""
    if isinstance(X, nw.DataFrame):
        column = X[:, j]
        missing = column.is_null().to_numpy().astype(bool)
        if missing.all():  # pyarrow cannot convert a column without categories
            return np.full(len(missing), None, dtype=object), missing
        # Nor, before version 23, categories with the unsigned codes of polars.
        is_pyarrow = X.implementation.is_pyarrow() and _is_category(column.dtype)
        values = (
            np.array(column.to_list(), dtype=object)
            if is_pyarrow
            else column.to_numpy()
        )
    else:
        values = np.asarray(X)[:, j]
        missing = np.zeros(len(values), dtype=bool)
    values = as_values(values)
    return values, missing | is_missing(values)


def as_values(values: NDArray) -> NDArray:
    """Of a category column: equal times of another unit are equal."""
    if values.dtype.kind in "mM":
        return values.astype(f"{values.dtype.kind}8[us]")
    return values


def read_categories(X: Any, j: int) -> tuple[NDArray, NDArray]:
    values, missing = _read_column(X, j)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError(
            f"Column {j} of X must hold categories, but contains infinity. Give it a "
            "number of its own, or NaN where it is missing."
        )
    return values, missing


def _replace_categories(X: Any, categories: dict[int, Codes]) -> Any:
    """X with codes in place of categories."""
    # A wrong number of columns is refused later, in scikit-learn's words.
    positions = [j for j in categories if j < n_columns(X)]
    if not positions:
        return X
    codes = {j: _encode(X, j, categories[j]) for j in positions}
    if isinstance(X, nw.DataFrame):
        # As narrow as possible, since all columns become one array.
        exact = max(len(categories[j]) for j in positions) < 2**24
        dtype = np.float32 if exact else np.float64
        return _with_columns(X, {j: c.astype(dtype) for j, c in codes.items()})
    X = np.asarray(X)
    X = X.astype(object if X.dtype.kind in "OUS" else np.result_type(X, np.float32))
    for j, column in codes.items():
        X[:, j] = column
    return X


def _encode(X: Any, j: int, codes: Codes) -> NDArray:
    values, missing = read_categories(X, j)
    found = map(codes.get, values.tolist(), repeat(UNKNOWN))
    result = np.fromiter(found, np.float64, len(values))
    if (result == UNKNOWN).all():
        name = X.columns[j] if isinstance(X, nw.DataFrame) else j
        _check_kinds(values[~missing].tolist(), codes, name)
    result[missing] = np.nan
    return result


def _check_kinds(values: list, codes: Codes, name: str | int) -> None:
    """Unknown categories are legal, but not numbers that have become text."""
    kinds, known = {_kind(value) for value in values}, {_kind(value) for value in codes}
    if kinds and known and not kinds & known:
        raise ValueError(
            f"Column {name!r} of X must hold categories of the kind that `fit` got, "
            f"such as {next(iter(codes))!r}; got {shorten(values)}. Convert the column."
        )


def _kind(value: Any) -> type:
    """Numbers or text that are equal are the same category, whatever their type."""
    for kind in (Number, str):
        if isinstance(value, kind):
            return kind
    return type(value)


def _replace_objects(X: nw.DataFrame) -> nw.DataFrame:
    """Columns of Python numbers as numbers; text, dates and the like are refused."""
    numbers, refused = {}, []
    for j, (name, dtype) in enumerate(X.schema.items()):
        if dtype.is_numeric() or isinstance(dtype, nw.Boolean):
            continue
        values, missing = _read_column(X, j)
        if missing.all():
            numbers[j] = np.full(len(X), np.nan)
        elif isinstance(dtype, nw.Unknown) and values.dtype != object:
            continue  # sparse columns, which scikit-learn knows
        elif isinstance(dtype, nw.Object | nw.Unknown) and _are_numbers(
            values[~missing]
        ):
            numbers[j] = np.where(missing, np.nan, values).astype(np.float64)
        else:
            is_known = not isinstance(dtype, nw.Unknown)
            kind = type(dtype if is_known else values[~missing][0]).__name__
            refused.append((f"{name} ({kind})", dtype.is_temporal()))
    if refused:
        shown, are_times = zip(*refused, strict=True)
        advice = [_TEXT_ADVICE] * (not all(are_times)) + [_TIME_ADVICE] * any(are_times)
        raise ValueError(
            "Columns of X must be numbers, booleans or (those that `fit` found to be) "
            f"categories, but got {shorten(shown)}. {' '.join(advice)}"
        )
    return _with_columns(X, numbers) if numbers else X


def _are_numbers(values: NDArray) -> bool:
    if any(isinstance(value, str | bytes) for value in values):
        return False
    try:
        values.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _with_columns(X: nw.DataFrame, columns: dict[int, NDArray]) -> nw.DataFrame:
    names = X.columns
    series = [
        nw.new_series(names[j], values, backend=X.implementation)
        for j, values in columns.items()
    ]
    return X.with_columns(*series)


def _check_float32(X: Any) -> None:
    """Refuse what a linear layer in float32 cannot read."""
    values = X.data if sparse.issparse(X) else X
    if values.dtype.kind != "f" or values.size == 0:
        return
    largest = max(values.max(), -values.min())
    if np.isnan(largest):
        raise ValueError(
            "Input X contains NaN, which a linear layer cannot read. Use "
            "input_encoding='piecewise' (for dense X), or fill the holes, for instance "
            "with SimpleImputer in a pipeline."
        )
    if largest > _LARGEST:
        raise ValueError(
            "Input X must fit float32, in which the network computes, but contains "
            "infinity or a value too large for dtype('float32'). Scale X, for instance "
            "with StandardScaler."
        )
