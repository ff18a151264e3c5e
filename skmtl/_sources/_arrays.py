"""Arrays of zarr, HDF5 and dask, read in slices of rows."""

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_consistent_length

from skmtl._sources._beside import rows_in_memory
from skmtl._sources._source import Part, Source, rows_of_block, rows_of_part

# A chunk of at most this many bytes is read at once, a larger one piece by piece.
_CHUNK_BYTES = 2**26


def is_chunked_array(X: Any) -> bool:
    """Whether X is an array, other than numpy's, that has chunks."""
    return (
        not isinstance(X, np.ndarray)
        and not sparse.issparse(X)
        and all(hasattr(X, name) for name in ("chunks", "shape", "dtype", "ndim"))
    )


class ArraySource(Source):
    """A source whose blocks are chunks of rows of the array."""

    def __init__(self, X: Any, y: Any, sample_weight: Any) -> None:
        if X.ndim < 2:
            raise ValueError(
                "X must have two axes, (n_samples, n_features); got an array of shape "
                f"{X.shape}. Pass one column per feature."
            )
        for name, values in {"X": X, "y": y, "sample_weight": sample_weight}.items():
            _check_rows(name, values)
        check_consistent_length(X, y, sample_weight)
        self._arrays = X, y, sample_weight
        row_bytes = X.dtype.itemsize * math.prod(X.shape[1:])
        self._part_rows = rows_of_part(row_bytes)
        self._bounds = _bounds(X, row_bytes)
        super().__init__(np.diff(self._bounds).tolist())

    def _read(self, block: int) -> Iterator[Part]:
        start, stop = self._bounds[block], self._bounds[block + 1]
        arrays = _read_rows(self._arrays, start, stop)
        for first in range(0, stop - start, self._part_rows):
            last = min(first + self._part_rows, stop - start)
            yield Part(*(rows_in_memory(values, first, last) for values in arrays))


def _check_rows(name: str, values: Any) -> None:
    """Raise if the number of rows is not known."""
    if isinstance(values, str) or hasattr(values, "divisions"):
        is_name = isinstance(values, str)
        got = "the name of a column" if is_name else "a DataFrame or Series of dask"
        raise ValueError(
            f"{name} must be an array, as X is, or in memory; got {got}. Pass an array "
            "with the same rows as X."
        )
    if is_chunked_array(values) and np.isnan(values.shape[0]):
        raise ValueError(
            f"{name} must have chunks of known lengths, but those of this dask array "
            f"are unknown. Call {name}.compute_chunk_sizes() first, or make it with "
            "to_dask_array(lengths=True)."
        )


def _bounds(X: Any, row_bytes: int) -> list[int]:
    """Return the first row of each block, and the number of rows."""
    chunks = X.chunks[0] if X.chunks else 1
    n_rows = int(X.shape[0])
    if isinstance(chunks, tuple):  # dask computes whole chunks
        ends = np.cumsum(chunks).tolist()
    else:
        largest = max(1, _CHUNK_BYTES // max(row_bytes, 1))
        step = min(int(chunks), largest)
        step *= max(1, rows_of_block(row_bytes) // step)
        ends = [*range(step, n_rows, step), n_rows]
    bounds = [0]
    for end, following in zip(ends, [*ends[1:], math.inf], strict=True):
        if following - bounds[-1] > rows_of_block(row_bytes):
            bounds.append(end)
    return bounds


def _read_rows(arrays: tuple, start: int, stop: int) -> list[Any]:
    """Return these rows of each array, in memory."""
    parts = [
        _slice(values, start, stop)
        if is_chunked_array(values)
        else rows_in_memory(values, start, stop)
        for values in arrays
    ]
    if any(hasattr(part, "compute") for part in parts):
        # In one call, so that common parts are computed once.
        parts = list(sys.modules["dask"].compute(*parts))
    return [
        np.asanyarray(part)
        if is_chunked_array(values) and not sparse.issparse(part)
        else part
        for values, part in zip(arrays, parts, strict=True)
    ]


def _slice(array: Any, start: int, stop: int) -> Any:
    if hasattr(array, "asstr") and array.dtype.kind == "O":
        array = array.asstr()  # without it, text of HDF5 would be bytes
    return array[start:stop]
