"""Copies of y with more labels missing."""

from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmtl._targets._containers import as_array


def mask_targets(y: Any, removed: NDArray) -> Any:
    """Return a copy of y, in the same container, with more labels missing.

    `removed` is a boolean array of the shape of y.
    """
    if hasattr(y, "column_names"):  # pyarrow
        columns = {}
        for name, column, lost in zip(
            y.column_names, y.columns, removed.T, strict=True
        ):
            pairs = zip(column.to_pylist(), lost, strict=True)
            columns[name] = [None if is_lost else label for label, is_lost in pairs]
        return type(y).from_pydict(columns)
    if hasattr(y, "iloc"):  # pandas
        return y.mask(removed)
    if hasattr(y, "get_columns"):  # polars
        frame = nw.from_native(y)
        kept = [
            nw.when(~nw.new_series("removed", column, backend=frame.implementation))
            .then(nw.col(name))
            .alias(name)
            for name, column in zip(frame.columns, removed.T, strict=True)
        ]
        return frame.with_columns(*kept).to_native()
    if isinstance(y, np.ma.MaskedArray):
        return np.ma.array(y.data, mask=np.ma.getmaskarray(y) | removed)
    array = y.toarray() if sparse.issparse(y) else as_array(y)
    is_float = array.dtype.kind == "f"
    array = array.astype(array.dtype if is_float else object)
    array[removed] = np.nan if is_float else None
    return array


def without_labels(y: Any, removed: NDArray) -> Any:
    """Return a y without labels for some tasks; `removed` is (n_tasks,) of bool."""
    if not removed.any() or y is None:
        return y
    shape = y.shape if hasattr(y, "shape") else as_array(y).shape
    if shape[1:] == removed.shape:
        return mask_targets(y, np.broadcast_to(removed, shape))
    if len(shape) == 1 and len(removed) == 1:
        return mask_targets(y, np.ones(shape, dtype=bool))
    return y  # its shape is wrong, for which an error is raised later
