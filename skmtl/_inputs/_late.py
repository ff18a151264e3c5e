"""Columns declared in the first call, and values that appear only in later calls."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from skmtl._inputs._check import (
    UNKNOWN,
    Codes,
    InputColumns,
    as_values,
    n_columns,
    read_categories,
    sorted_codes,
)
from skmtl._inputs._declared import Declared, Range
from skmtl._inputs._encoding import NumericColumns
from skmtl._messages import shorten, warn
from skmtl._targets import is_missing

# In any call, a few numbers may lie beyond the outermost knots.
_FEW, _FEW_SHARE = 10, 0.2
# Number of columns in a message.
_N_SHOWN = 5


def declare_columns(
    given: Any, X: Any, columns: InputColumns, *, is_first: bool
) -> InputColumns:
    """Add to `columns` what is `given`, by name or position.

    In later calls, it must be the same as in the first one.
    """
    names = list(X.columns) if isinstance(X, nw.DataFrame) else []
    positions = _positions(given, names, n_columns(X))
    if columns.encoding == "none":
        if positions:
            raise ValueError(
                "columns must be None without a piecewise encoding "
                f"(input_encoding='none', sparse X or your own trunk); got {given!r}. "
                "Leave it out."
            )
        return columns
    codes = {
        j: _codes(n, given[n]) for j, n in positions.items() if j in columns.categories
    }
    ranges = {j: _range(n, given[n]) for j, n in positions.items() if j not in codes}
    if not is_first:
        _check_repeated(codes, ranges, positions, columns)
        return columns
    for j in columns.categories:
        by_dtype = _categories_of_dtype(X, j)
        if j not in codes and by_dtype is not None:
            codes[j] = sorted_codes(as_values(by_dtype).tolist())
    return replace(
        columns,
        categories=columns.categories | codes,
        declared=Declared(tuple(sorted(codes)), ranges),
    )


def _positions(given: Any, names: list[str], n_features: int) -> dict[int, Any]:
    """Return the keys of `given`, by the positions of their columns."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(
            "columns must be a mapping from a column to its categories or its range; "
            f"got {given!r}. Pass a dict."
        )
    positions: dict[int, Any] = {}
    for key in given:
        if key in names:
            j = names.index(key)
        elif isinstance(key, int | np.integer) and 0 <= key < n_features:
            j = int(key)
        else:
            raise ValueError(
                f"The keys of columns must be names of columns of X, or positions from "
                f"0 to {n_features - 1}; got {key!r}, and X has "
                f"{f'the columns {shorten(names)}' if names else 'no column names'}. "
                "Correct the key."
            )
        if j in positions:
            raise ValueError(
                f"columns must name each column once, but {positions[j]!r} and {key!r} "
                "are the same. Drop one of them."
            )
        positions[j] = key
    return positions


def _codes(name: Any, given: Any) -> Codes:
    """Return the codes of the categories of a column."""
    is_list = isinstance(given, Iterable) and not isinstance(
        given, str | bytes | Mapping
    )
    # A list may mix text and numbers; an array cannot.
    dtype = None if hasattr(given, "dtype") else object
    listed = given if dtype is None else list(given) if is_list else []
    values = as_values(np.asarray(listed, dtype=dtype).ravel())
    n_different = len(set(values.tolist()))
    if n_different == 0 or is_missing(values).any() or n_different < len(values):
        raise ValueError(
            f"columns[{name!r}] must list the categories of the column, each once and "
            f"without missing values; got {given!r}. Correct the list."
        )
    return sorted_codes(values.tolist())


def _range(name: Any, given: Any) -> Range:
    """Return the range of a numeric column."""
    is_pair = isinstance(given, tuple | list | np.ndarray) and len(given) == 2
    if is_pair and all(
        isinstance(end, Real) and not isinstance(end, bool) and math.isfinite(end)
        for end in given
    ):
        low, high = map(float, given)
        if low < high:
            return low, high
    raise ValueError(
        f"columns[{name!r}] must be a range (low, high) with low < high, since the "
        f"column is numeric; got {given!r}. Correct it or, if these are categories, "
        "make the column categorical (see categorical_features)."
    )


def _check_repeated(
    codes: dict[int, Codes],
    ranges: dict[int, Range],
    positions: dict[int, Any],
    columns: InputColumns,
) -> None:
    known = {} if columns.declared is None else columns.declared.ranges
    for j, name in positions.items():
        if j in codes:
            first, now = shorten(columns.categories[j]), shorten(codes[j])
            is_same = set(columns.categories[j]) == set(codes[j])
        else:
            first, now = str(known.get(j, "not declared")), str(ranges[j])
            is_same = known.get(j) == ranges[j]
        if not is_same:
            raise ValueError(
                f"columns[{name!r}] must be the same as in the first call ({first}); "
                f"got {now}. Leave it out, or start again with a clone."
            )


def _categories_of_dtype(X: Any, j: int) -> NDArray | None:
    """Return declared categories; pyarrow and a polars Categorical declare none."""
    if not isinstance(X, nw.DataFrame):
        return None
    if X.implementation.is_pandas_like():
        native = X[:, j].to_native().dtype
        return native.categories.to_numpy() if hasattr(native, "categories") else None
    dtype = X[:, j].dtype
    if isinstance(dtype, nw.Enum):
        return np.array(list(dtype.categories), dtype=object)
    return None


# Values that come late ------------------------------------------------------------


def warn_of_late_categories(X: Any, codes: NDArray, columns: InputColumns) -> None:
    """Warn of categories of X that have no code; `codes` are those of X."""
    late = [j for j in columns.categories if (codes[:, j] == UNKNOWN).any()]
    if not late:
        return
    X = nw.from_native(X, eager_only=True, pass_through=True)
    shown = []
    for j in late[:_N_SHOWN]:
        values = read_categories(X, j)[0][codes[:, j] == UNKNOWN]
        name = X.columns[j] if isinstance(X, nw.DataFrame) else j
        shown.append(f"{name!r}: {shorten(sorted_codes(set(values.tolist())))}")
    if len(late) > _N_SHOWN:
        shown.append(f"... ({len(late)} columns in all)")
    warn(
        "Categories of X should all be known from the first call, but these are not: "
        f"{'; '.join(shown)}. In each column, they are treated as one category. "
        "Declare all categories in the first call of partial_fit (columns={column: "
        "categories}), or fit again on all rows."
    )


def warn_of_late_numbers(
    X: NDArray, numeric: NumericColumns, columns: InputColumns, names: Any
) -> None:
    """Warn of columns with many numbers beyond the outermost knots."""
    low, high, n_few = _limits(X, numeric, columns)
    n_beyond = (np.less(X, low) | np.greater(X, high)).sum(axis=0)
    late = np.flatnonzero(n_beyond > n_few)
    if len(late):
        shown = [names[j] if names is not None else int(j) for j in late]
        warn(
            "Numbers of X should be within the range that the first call contained or "
            f"declared, but these columns exceed it: {shorten(shown)}. Numbers beyond "
            "the range are treated as its nearest end. Declare ranges in the first "
            "call of partial_fit (columns={column: (low, high)}), and shuffle the rows "
            "before you split them into chunks."
        )


def _limits(
    X: NDArray, numeric: NumericColumns, columns: InputColumns
) -> tuple[NDArray, NDArray, NDArray]:
    """Return the range of each column, and how many numbers may lie outside it."""
    low, high = np.full(X.shape[1], -np.inf), np.full(X.shape[1], np.inf)
    n_few = np.zeros(X.shape[1])
    last = numeric.n_knots - 1
    low[numeric.positions] = 2.0 * numeric.knots[:, 0]
    high[numeric.positions] = 2.0 * numeric.knots[np.arange(len(last)), last]
    n_few[numeric.positions[last > 0]] = max(_FEW, _FEW_SHARE * len(X))
    # Columns with a single value are not read, so they must not vary.
    unread = set(range(X.shape[1])) - set(columns.categories)
    for j in unread - set(numeric.positions.tolist()):
        present = X[~np.isnan(X[:, j].astype(np.float64)), j]
        if len(present):
            low[j] = high[j] = present[0]
    ranges = {} if columns.declared is None else columns.declared.ranges
    for j, (least, greatest) in ranges.items():
        low[j], high[j], n_few[j] = least, greatest, 0
    return low, high, n_few
