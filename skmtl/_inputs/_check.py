"""Convert X to one numeric array: categories become codes, missing values NaN."""

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

# Dtypes that torch reads without a copy. Any other dtype is converted to the first.
_SHARED_DTYPES = [np.float64, np.float32, np.float16, np.bool_]
_SHARED_DTYPES += [np.uint8, np.int8, np.int16, np.int32, np.int64]
_LARGEST = np.finfo(np.float32).max
_TEXT_ADVICE = (
    "Convert text to categories, X[column].astype('category'), or encode it, for "
    "example with OneHotEncoder or skrub's TableVectorizer. Convert numbers that are "
    "stored as text to numbers."
)
_TIME_ADVICE = (
    "Convert times to numbers, for example to days since a fixed date: "
    "(X[column] - pd.Timestamp('2020-01-01')).dt.days."
)
_CATEGORY_ADVICE = (
    "Convert categories that were numbers in `fit` back to numbers, "
    "X[column].astype(float), and fit with categorical_features='from_dtype' to read "
    "others."
)
_DAYS_OF_ARRAY = (
    "(X.astype('M8[s]') - np.datetime64('2020-01-01')) / np.timedelta64(1, 'D')"
)
# Code of a category that was not in the first call.
UNKNOWN = -1

Codes = dict[Hashable, int]


@dataclass(frozen=True)
class InputColumns:
    """What the first call learns about the columns of X, independent of the labels."""

    encoding: Literal["piecewise", "none"]
    categories: dict[int, Codes]  # by the position of the column
    row_shape: tuple[int, ...] | None = None  # shape of rows with several axes
    is_uint8: bool = False  # whether the user's own trunk reads the numbers as 0 to 1
    declared: Declared | None = None  # None: the first call had all rows


def check_inputs(
    estimator: Any,
    X: Any,
    columns: InputColumns | None = None,
    declare: Callable[[Any, InputColumns], InputColumns] | None = None,
) -> tuple[Any, InputColumns]:
    """Return X as a numeric ndarray or CSR matrix, and its columns.

    Without `columns`, they are learned, together with the names of the features. Rows
    with several axes, such as images, are flattened. `declare` adds what is known about
    rows that come later.
    """
    reset = columns is None
    if not sparse.issparse(X):  # one of the sparse formats is a dict
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
            f"X must have two axes, (n_samples, n_features), but its rows have shape "
            f"{row_shape}. Pass a trunk that reads them, for example "
            "trunk=skmtl.trunks.ConvTrunk() for images (channels, height, width)."
        )
    is_sparse = sparse.issparse(X) or _is_sparse_frame(X)
    if not is_sparse:
        # One interface for the data frames of all libraries.
        try:
            X = nw.from_native(X, eager_only=True, pass_through=True)
        except DuplicateError as error:
            raise ValueError(
                f"The columns of X must have different names. {error}. Rename or drop "
                "some."
            ) from error
    if isinstance(X, nw.DataFrame):
        # Check the names first, since columns are read by position.
        validate_data(estimator, X.to_native(), reset=reset, skip_check_array=True)
    if columns is None:
        columns = _learn_columns(estimator, X, is_sparse)
    if declare is not None:
        columns = declare(X, columns)
    if is_sparse and columns.categories:
        raise ValueError(
            f"X must be dense, since columns {shorten(columns.categories)} are "
            "categories; got sparse X. Pass an array or a DataFrame, as in the first "
            "call."
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
            "pd.DataFrame(X). Convert dicts with different keys with DictVectorizer."
        )


def _as_array(X: list | tuple) -> Any:
    try:
        return np.asarray(X)
    except ValueError:  # rows of different lengths: scikit-learn raises
        return X


def _refuse_times(X: Any) -> None:
    """Raise for times, which numpy would convert to numbers in some unit."""
    kind = getattr(getattr(X, "dtype", None), "kind", "")
    if kind in ("m", "M"):
        days = _DAYS_OF_ARRAY if kind == "M" else "X / np.timedelta64(1, 'D')"
        raise ValueError(
            f"X must be numeric; got {X.dtype}. Convert times to numbers, for example "
            f"to days: {days}."
        )


def _without_mask(X: Any) -> NDArray:
    """Put NaN in masked cells, whose values numpy would otherwise read."""
    if not np.ma.is_masked(X):
        return np.asarray(X.data)
    if X.dtype.kind in "biu":
        X = X.astype(np.float64)
    elif X.dtype.kind in "US":
        X = X.astype(object)
    return np.asarray(X.filled(np.nan))


def _flatten_rows(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Flatten rows with several axes; return them and the shape of a row."""
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
    """Raise if X is on the scale 0 to 255 instead of 0 to 1, or the other way round."""
    if columns.is_uint8 != (X.dtype == np.uint8):
        expected, other = (
            ("uint8", "'uint8'") if columns.is_uint8 else ("float", "float")
        )
        raise ValueError(
            f"X must be of dtype {expected}, as in the first call (only uint8 is "
            f"divided by 255); got {X.dtype}. Scale it in the same way, and convert it "
            f"with X.astype({other})."
        )


def _is_sparse_frame(X: Any) -> bool:
    """Whether X is a pandas DataFrame with only sparse columns."""
    dtypes = list(getattr(X, "dtypes", [])) if hasattr(X, "columns") else []
    return bool(dtypes) and all(type(d).__name__ == "SparseDtype" for d in dtypes)


# scikit-learn finds infinity by a sum, in which large numbers may give inf - inf.
@np.errstate(over="ignore", invalid="ignore")
def _check_numbers(estimator: Any, X: Any, reset: bool) -> Any:
    """Return a numeric ndarray or CSR matrix; NaN is allowed, infinity is not."""
    settings: dict[str, Any] = {
        "accept_sparse": "csr",
        "dtype": _SHARED_DTYPES,
        "ensure_all_finite": "allow-nan",
    }
    if isinstance(X, nw.DataFrame):
        if not X.columns:
            raise ValueError(
                f"X must have at least one column; got shape {X.shape}. Pass the "
                "columns to predict from."
            )
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
                f"{error}. The fill value of sparse columns must be 0, not NaN: use "
                "X.astype(pd.SparseDtype(float, 0)), or make them dense."
            ) from error
        raise
    except TypeError as error:  # an object is not a number
        if not isinstance(X, np.ndarray):
            raise
        raise TypeError(
            f"X must be numeric: {error}. Convert the other columns to numbers, for "
            f"example times to days: {_DAYS_OF_ARRAY}."
        ) from error
    # A duplicate True stays True, linear models clip each entry, and dropout depends on
    # the order of the entries.
    return _canonical(X) if sparse.issparse(X) else X


def _canonical(X: Any) -> Any:
    """Return sparse rows with sorted entries and no duplicates; a copy if needed."""
    if X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X


def _fill_holes_of_objects(X: Any) -> Any:
    """Replace None and pd.NA by NaN in an array of Python objects."""
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
            "input_encoding='piecewise' needs dense X, but X is sparse. Use "
            "input_encoding='auto' or 'none', or pass X.toarray()."
        )
    categorical = _find_categorical(X, estimator.categorical_features)
    if categorical and not encodes:
        raise ValueError(
            "Without a piecewise encoding, the columns of X must be numbers, but "
            f"columns {shorten(categorical)} are categories. Encode them, for example "
            "with OneHotEncoder, or use input_encoding='piecewise' with dense X and "
            "trunk=None."
        )
    categories = {j: _learn_codes(*read_categories(X, j)) for j in categorical}
    return InputColumns("piecewise" if encodes else "none", categories)


def _check_for_own_trunk(input_encoding: str, is_sparse: bool) -> None:
    if input_encoding == "piecewise":
        raise ValueError(
            "With your own trunk, the numbers must not be encoded, but input_encoding "
            "is 'piecewise'. Use input_encoding='auto', or trunk=None."
        )
    if is_sparse:
        raise ValueError(
            "With your own trunk, X must be dense, but it is sparse. Pass X.toarray(), "
            "or use trunk=None."
        )


def _find_categorical(X: Any, categorical_features: Any) -> list[int]:
    """Return the positions of the categorical columns."""
    names = list(X.columns) if isinstance(X, nw.DataFrame) else []
    if isinstance(categorical_features, str):  # "from_dtype"
        schema = X.schema if names else {}  # narwhals makes it anew at each call
        return [j for j, name in enumerate(names) if _is_category(schema[name])]
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
        f"{f'the columns {shorten(names)}' if names else 'no column names'}."
    )


def _is_category(dtype: Any) -> bool:
    return isinstance(dtype, nw.Categorical | nw.Enum)


def n_columns(X: Any) -> int:
    shape = X.shape if hasattr(X, "shape") else np.shape(X)
    return int(shape[1]) if len(shape) == 2 else 0


def _learn_codes(values: NDArray, missing: NDArray) -> Codes:
    """Return the categories that occur, sorted, so that the row order is irrelevant."""
    return sorted_codes(set(values[~missing].tolist()))


def sorted_codes(known: Iterable[Hashable]) -> Codes:
    """Return codes in the order of the categories."""
    try:
        ordered = sorted(known)  # type: ignore[type-var]
    except TypeError:  # values of different types
        ordered = sorted(known, key=lambda value: (type(value).__name__, str(value)))
    return {value: code for code, value in enumerate(ordered)}


def extended_codes(codes: Codes, values: Iterable[Hashable]) -> Codes:
    """Add codes for values that have none."""
    return codes | {
        value: len(codes) + i
        for i, value in enumerate(v for v in dict.fromkeys(values) if v not in codes)
    }


def extended_columns(X: Any, columns: InputColumns) -> InputColumns:
    """Add codes for categories of X that have none."""
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
    """Return (n_samples,) values of a column, and which of them are missing."""
    if isinstance(X, nw.DataFrame):
        column = X[:, j]
        missing = column.is_null().to_numpy().astype(bool)
        if missing.all():  # pyarrow cannot convert a column without categories
            return np.full(len(missing), None, dtype=object), missing
        # Before version 23, it also cannot convert polars categories (unsigned codes).
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
    """Normalise the values of a categorical column: times are equal in any unit."""
    if values.dtype.kind in "mM":
        return values.astype(f"{values.dtype.kind}8[us]")
    return values


def read_categories(X: Any, j: int) -> tuple[NDArray, NDArray]:
    values, missing = _read_column(X, j)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError(
            f"Column {j} of X must contain categories, but contains infinity. Replace "
            "it by another number, or by NaN if it means a missing value."
        )
    return values, missing


def _replace_categories(X: Any, categories: dict[int, Codes]) -> Any:
    """Replace categories in X by codes."""
    # For a wrong number of columns, scikit-learn raises an error later.
    positions = [j for j in categories if j < n_columns(X)]
    if not positions:
        return X
    codes = {j: _encode(X, j, categories[j]) for j in positions}
    if isinstance(X, nw.DataFrame):
        # Use the narrowest dtype, since all columns become one array.
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
    """Raise if categories changed between numbers and text; unknown ones are fine."""
    kinds, known = {_kind(value) for value in values}, {_kind(value) for value in codes}
    if kinds and known and not kinds & known:
        raise ValueError(
            f"Column {name!r} of X must contain categories of the same type as in "
            f"`fit`, such as {next(iter(codes))!r}; got {shorten(values)}. Convert the "
            "column."
        )


def _kind(value: Any) -> type:
    """Return the kind of a category; equal numbers of different types are of one."""
    for kind in (Number, str):
        if isinstance(value, kind):
            return kind
    return type(value)


def _replace_objects(X: nw.DataFrame) -> nw.DataFrame:
    """Convert columns of Python numbers; raise for text, dates and similar."""
    numbers, refused = {}, []
    for j, (name, dtype) in enumerate(X.schema.items()):
        if dtype.is_numeric() or isinstance(dtype, nw.Boolean):
            continue
        values, missing = _read_column(X, j)
        if missing.all():
            numbers[j] = np.full(len(X), np.nan)
        elif isinstance(dtype, nw.Unknown) and values.dtype != object:
            continue  # sparse columns, which scikit-learn can read
        elif isinstance(dtype, nw.Object | nw.Unknown) and _are_numbers(
            values[~missing]
        ):
            numbers[j] = np.where(missing, np.nan, values).astype(np.float64)
        else:
            is_known = not isinstance(dtype, nw.Unknown)
            kind = type(dtype if is_known else values[~missing][0]).__name__
            refused.append((f"{name} ({kind})", _advice_for(dtype)))
    if refused:
        shown, advice = zip(*refused, strict=True)
        raise ValueError(
            "Columns of X must be numbers, booleans, or categories that were "
            f"categories in `fit` too; got {shorten(shown)}. "
            f"{' '.join(dict.fromkeys(advice))}"
        )
    return _with_columns(X, numbers) if numbers else X


def _advice_for(dtype: nw.dtypes.DType) -> str:
    if dtype.is_temporal():
        return _TIME_ADVICE
    if isinstance(dtype, nw.Categorical | nw.Enum):
        return _CATEGORY_ADVICE
    return _TEXT_ADVICE


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
    """Raise for values that a linear layer in float32 cannot read."""
    values = X.data if sparse.issparse(X) else X
    if values.dtype.kind != "f" or values.size == 0:
        return
    largest = max(values.max(), -values.min())
    if np.isnan(largest):
        raise ValueError(
            "Input X contains NaN, which a linear layer cannot read. Fill the missing "
            "values, for example with SimpleImputer in a pipeline, or use "
            "input_encoding='piecewise' with dense X and trunk=None."
        )
    if largest > _LARGEST:
        raise ValueError(
            "Input X must fit float32, in which the network computes, but contains "
            "infinity or a value too large for dtype('float32'). Scale X, for example "
            "with StandardScaler."
        )
