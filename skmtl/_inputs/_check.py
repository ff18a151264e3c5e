"""X as one array of numbers: a category is its code, a missing value is NaN."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import validate_data

from skmtl._targets import shorten

# What torch reads without a copy; anything else is converted to the first.
_SHARED_DTYPES = [np.float64, np.float32, np.float16, np.bool_]
_SHARED_DTYPES += [np.uint8, np.int8, np.int16, np.int32, np.int64]
_LARGEST = np.finfo(np.float32).max
# Code of a category that the first call did not show.
UNKNOWN = -1

Codes = dict[Hashable, int]


@dataclass(frozen=True)
class InputColumns:
    """What the first call learns of the columns of X, whatever the labels."""

    encoding: Literal["piecewise", "none"]
    categories: dict[int, Codes]  # by the position of the column


def check_inputs(
    estimator: Any, X: Any, columns: InputColumns | None = None
) -> tuple[Any, InputColumns]:
    """X as ndarray or CSR of numbers, and its columns.

    Without `columns` they are learned, and with them the names of the features.
    """
    reset = columns is None
    # One interface to the data frames of all libraries; the rest stays what it is.
    X = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(X, nw.DataFrame):
        # The names first: the columns are read by position.
        validate_data(estimator, X.to_native(), reset=reset, skip_check_array=True)
    if columns is None:
        columns = _learn_columns(
            X, estimator.input_encoding, estimator.categorical_features
        )
    X = _replace_categories(X, columns.categories)
    if isinstance(X, nw.DataFrame):
        X = _replace_objects(X).to_native()
    X = validate_data(
        estimator,
        X,
        accept_sparse="csr",
        dtype=_SHARED_DTYPES,
        ensure_all_finite="allow-nan",
        reset=reset,
    )
    if columns.encoding == "none":
        _check_float32(X)
    return X, columns


# Which columns are categories -----------------------------------------------------


def _learn_columns(
    X: Any, input_encoding: str, categorical_features: Any
) -> InputColumns:
    is_sparse = sparse.issparse(X)
    encodes = not is_sparse if input_encoding == "auto" else input_encoding != "none"
    if encodes and is_sparse:
        raise ValueError(
            "input_encoding='piecewise' must get dense X, but X is sparse. Use "
            "input_encoding='auto' or 'none', or pass X.toarray()."
        )
    categorical = _find_categorical(X, categorical_features)
    if categorical and not encodes:
        raise ValueError(
            "Without a piecewise encoding the columns of X must be numbers, but "
            f"columns {shorten(categorical)} are categories. Use input_encoding="
            "'piecewise' and dense X, or encode them, for instance with OneHotEncoder."
        )
    categories = {j: _learn_codes(*_read_column(X, j)) for j in categorical}
    return InputColumns("piecewise" if encodes else "none", categories)


def _find_categorical(X: Any, categorical_features: Any) -> list[int]:
    """Positions of the category columns."""
    names = list(X.columns) if isinstance(X, nw.DataFrame) else []
    if isinstance(categorical_features, str):  # "from_dtype"
        return [j for j, name in enumerate(names) if _is_category(X.schema[name])]
    given = np.asarray([] if categorical_features is None else categorical_features)
    if given.size == 0:
        return []
    n_features = _n_columns(X)
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


def _n_columns(X: Any) -> int:
    shape = X.shape if hasattr(X, "shape") else np.shape(X)
    return int(shape[1]) if len(shape) == 2 else 0


def _learn_codes(values: NDArray, is_missing: NDArray) -> Codes:
    """The categories that occur, sorted, so that the order of rows is irrelevant."""
    known = set(values[~is_missing].tolist())
    try:
        ordered = sorted(known)
    except TypeError:  # values of several types
        ordered = sorted(known, key=lambda value: (type(value).__name__, str(value)))
    return {value: code for code, value in enumerate(ordered)}


# Columns as numbers ---------------------------------------------------------------


def _read_column(X: Any, j: int) -> tuple[NDArray, NDArray]:
    """(n_samples,) values of a column, and which of them are missing."""
    if isinstance(X, nw.DataFrame):
        values = X[:, j].to_numpy()
        is_missing = X[:, j].is_null().to_numpy().astype(bool)
    else:
        values = np.asarray(X)[:, j]
        is_missing = np.zeros(len(values), dtype=bool)
    if values.dtype.kind == "f":
        is_missing = is_missing | np.isnan(values)
    elif values.dtype.kind == "O":
        is_hole = [v is None or (isinstance(v, float) and v != v) for v in values]
        is_missing = is_missing | np.array(is_hole, dtype=bool)
    return values, is_missing


def _replace_categories(X: Any, categories: dict[int, Codes]) -> Any:
    """X with codes in place of categories."""
    # A wrong number of columns is refused later, in scikit-learn's words.
    positions = [j for j in categories if j < _n_columns(X)]
    if not positions:
        return X
    codes = {j: _encode(*_read_column(X, j), categories[j]) for j in positions}
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


def _encode(values: NDArray, is_missing: NDArray, codes: Codes) -> NDArray:
    found = (codes.get(value, UNKNOWN) for value in values.tolist())
    result = np.fromiter(found, np.float64, len(values))
    result[is_missing] = np.nan
    return result


def _replace_objects(X: nw.DataFrame) -> nw.DataFrame:
    """Columns of Python numbers as numbers; text, dates and the like are refused."""
    numbers, refused = {}, []
    for j, (name, dtype) in enumerate(X.schema.items()):
        if dtype.is_numeric() or isinstance(dtype, nw.Boolean):
            continue
        values, is_missing = _read_column(X, j)
        if not isinstance(dtype, nw.Object) or any(
            isinstance(value, str) for value in values
        ):
            refused.append(f"{name} ({type(dtype).__name__})")
            continue
        numbers[j] = np.where(is_missing, np.nan, values).astype(np.float64)
    if refused:
        raise ValueError(
            "Columns of X must be numbers, booleans or categories that "
            f"categorical_features finds, but got {shorten(refused)}. Make text a "
            "category, X[column].astype('category'), or have all columns encoded by "
            "skrub's TableVectorizer."
        )
    return _with_columns(X, numbers) if numbers else X


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
