"""Read the columns of y from any container, and find their missing values."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_NUMBERS_OF_ARROW = re.compile(r"u?int\d+|halffloat|float|double|bool")


class Column(NamedTuple):
    """One task of y as given, without its missing values."""

    observed: NDArray  # (n_samples,) of bool
    values: NDArray  # (n_observed,)
    categories: NDArray | None  # the labels that a categorical column declares


def read_columns(y: Any) -> tuple[list[Column], list | None, bool]:
    """Return columns without missing values, their names if any, and if y is 1-D."""
    columns, names, is_1d = _columns_as_they_came(y)
    return [without_missing(column) for column in columns], names, is_1d


def _columns_as_they_came(y: Any) -> tuple[list[Column], list | None, bool]:
    if y is None:
        raise ValueError(
            "skmtl requires y to be passed, but the target y is None. Pass the labels, "
            "one column per task."
        )
    _refuse_lazy_frames(y)
    if hasattr(y, "iloc"):  # pandas
        if y.ndim == 1:
            return [_pandas_column(y)], _names_of(y), True
        columns = [_pandas_column(y.iloc[:, j]) for j in range(y.shape[1])]
        return _at_least_one(columns), list(y.columns), False
    if hasattr(y, "get_columns"):  # polars
        columns = [_polars_column(column) for column in y.get_columns()]
        return _at_least_one(columns), list(y.columns), False
    if hasattr(y, "column_names"):  # pyarrow
        columns = [_pyarrow_column(column) for column in y.columns]
        return _at_least_one(columns), list(y.column_names), False
    if hasattr(y, "is_null") and hasattr(y, "to_list"):
        return [_polars_column(y)], _names_of(y), True
    if not sparse.issparse(y):  # one of the sparse formats is a dict
        _refuse_mappings(y)
    return _array_columns(y)


def _refuse_lazy_frames(y: Any) -> None:
    # By type, because a column of a DataFrame can be called "compute", too. The arrays
    # and series of dask can be read as arrays.
    is_dask = hasattr(type(y), "compute") and hasattr(y, "iloc")
    if is_dask or hasattr(type(y), "collect"):  # polars
        method = "compute" if is_dask else "collect"
        raise ValueError(
            f"y must be in memory; got a {type(y).__name__}, which is evaluated later. "
            f"Pass y.{method}()."
        )


def _names_of(series: Any) -> list | None:
    name = getattr(series, "name", None)  # pyarrow has none
    return None if name is None or not str(name) else [name]


def _refuse_mappings(y: Any) -> None:
    is_list = isinstance(y, list | tuple) and len(y) > 0
    if isinstance(y, Mapping) or (is_list and isinstance(y[0], Mapping)):
        what = "a list of dicts" if is_list else type(y).__name__
        raise ValueError(
            f"y must be an array or a DataFrame, one column per task; got {what}. Pass "
            "pd.DataFrame(y)."
        )


def _array_columns(y: Any) -> tuple[list[Column], None, bool]:
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
            f"n_tasks); got {y.ndim} axes, shape {y.shape}. Pass one column per task."
        )
    observed = np.ones(y.shape, bool) if mask is None else ~mask
    if y.ndim == 1:
        return [Column(observed, y[observed], None)], None, True
    columns = [
        Column(observed[:, j], y[observed[:, j], j], None) for j in range(y.shape[1])
    ]
    return _at_least_one(columns), None, False


def as_array(y: Any) -> NDArray:
    """Convert to an array; numbers and NaN next to text are not turned into text."""
    if isinstance(y, np.ndarray):
        return np.asarray(y)  # np.matrix becomes an array
    try:
        array = np.asarray(y)
        if array.dtype.kind not in "US":
            return array
        return np.asarray(y, dtype=object)
    except ValueError as error:
        raise ValueError(
            "The rows of y must have the same length, with a label or a missing label "
            f"for each task; got a {type(y).__name__} that numpy cannot read: {error}. "
            "Mark missing labels with None or NaN."
        ) from error


def _at_least_one(columns: list[Column]) -> list[Column]:
    if not columns:
        raise ValueError(
            "y must have at least one column; got 0 columns. Pass one column per task."
        )
    return columns


def _pandas_column(series: Any) -> Column:
    observed = ~np.asarray(series.isna(), dtype=bool)
    categories = getattr(series.dtype, "categories", None)
    return Column(
        observed,
        series.array[observed].to_numpy(),
        None if categories is None else categories.to_numpy(),
    )


def _polars_column(series: Any) -> Column:
    observed = ~series.is_null().to_numpy()
    # Only an Enum declares categories; those of a Categorical may belong to others too.
    is_enum = type(series.dtype).__name__ == "Enum"
    return Column(
        observed,
        series.drop_nulls().to_numpy(),
        series.dtype.categories.to_numpy() if is_enum else None,
    )


def _pyarrow_column(column: Any) -> Column:
    if _NUMBERS_OF_ARROW.fullmatch(str(column.type)):
        observed = ~np.asarray(column.is_null())
        return Column(observed, np.asarray(column.drop_null()), None)
    labels = np.array(column.to_pylist(), dtype=object)
    categories = None
    if hasattr(column.type, "index_type") and column.num_chunks:  # a dictionary
        dictionary = column.unify_dictionaries().chunk(0).dictionary
        categories = np.array(dictionary.to_pylist(), dtype=object)
    return Column(np.ones(len(labels), dtype=bool), labels, categories)


# Missing values -------------------------------------------------------------------


def without_missing(column: Column) -> Column:
    """Return the column without missing values of any kind."""
    values = column.values
    if values.dtype.kind == "T":  # numpy's variable-width strings
        values = values.astype(object)
    missing = is_missing(values)
    observed = column.observed
    if missing.any():
        observed = observed.copy()
        observed[observed] = ~missing
        values = values[~missing]
    return Column(observed, values, column.categories)


def is_missing(labels: NDArray) -> NDArray:
    """Return which values are NaN, NaT, None, pd.NA or masked."""
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind in "mM":
        return np.isnat(labels)
    if labels.dtype.kind == "O":
        return _is_missing_object(labels)
    return np.zeros(len(labels), bool)


def _is_missing_object(labels: NDArray) -> NDArray:
    """Do the same as a loop over `_is_missing_label`, usually ten times as fast."""
    kinds = set(map(type, labels.tolist()))
    if kinds <= {str, bool, int}:
        return np.zeros(len(labels), bool)
    if kinds <= {str, bool, int, float, type(None)}:
        # Only NaN differs from itself.
        missing = np.not_equal(labels, labels) | (labels == np.array(None))
        return np.asarray(missing, dtype=bool)
    return np.fromiter(map(_is_missing_label, labels), bool, len(labels))


def _is_missing_label(label: Any) -> bool:
    if label is None or label is np.ma.masked:
        return True
    # By name, so that this works without pandas.
    if type(label).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(label, Decimal):
        return label.is_nan()
    return isinstance(label, float | np.floating) and bool(np.isnan(label))
