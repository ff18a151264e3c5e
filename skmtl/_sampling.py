"""Samples of rows that arrive in parts, in one process or in several."""

import numpy as np
from numpy.typing import NDArray


class RowSample:
    """The rows with the smallest keys.

    With random keys, this is a sample without replacement. It depends neither on how
    the rows are divided into parts nor on their order.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._keys: list[NDArray] = []
        self._rows: list[tuple[NDArray, ...]] = []
        self._n_kept = 0
        self._largest = np.inf

    def add(self, keys: NDArray, *arrays: NDArray) -> None:
        """Add rows: their keys (n_rows,) and the arrays to keep, (n_rows, ...)."""
        is_candidate = keys < self._largest
        if not is_candidate.any():
            return
        self._keys.append(keys[is_candidate])
        self._rows.append(tuple(array[is_candidate] for array in arrays))
        self._n_kept += len(self._keys[-1])
        if self._n_kept >= 2 * self.size:
            self._thin_out()

    def kept(self) -> tuple[NDArray, ...] | None:
        """Return the sorted keys and the arrays kept; None if there are no rows."""
        self._thin_out()
        return (self._keys[0], *self._rows[0]) if self._keys else None

    def _thin_out(self) -> None:
        if not self._keys:
            return
        keys = np.concatenate(self._keys)
        order = np.argsort(keys)[: self.size]
        arrays = [np.concatenate(parts) for parts in zip(*self._rows, strict=True)]
        self._keys = [keys[order]]
        self._rows = [tuple(array[order] for array in arrays)]
        self._n_kept = len(order)
        if self._n_kept == self.size:
            self._largest = float(keys[order[-1]])
