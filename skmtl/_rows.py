"""Rows of X with their labels and weights, read block by block."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skmtl._label_weights import label_weights
from skmtl._network import ColumnEncoder, Positions, SparseRows
from skmtl._outputs import Targets

# Elements that are read and computed at once: batches in training, rows in a forward
# pass without gradient. 4 MiB of float32, so that most of them fit in the caches.
CHUNK_ELEMENTS = 1_048_576
_WIDTH_OF_SPARSE_ROWS = 1_024


def as_tensor(array: np.ndarray) -> Tensor:
    """A tensor on the memory of the array if torch can read it, otherwise on a copy."""
    steps_forward = all(
        stride >= 0 and stride % array.itemsize == 0 for stride in array.strides
    )
    if not (steps_forward and array.dtype.isnative):
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    # Unlike from_numpy, from_dlpack shares read-only memory without a warning.
    return torch.from_dlpack(array)


def optional_tensor(array: np.ndarray | None) -> Tensor | None:
    """As `as_tensor`, or None if there is no array."""
    return None if array is None else as_tensor(array)


# Fields of `LabelledRows` with one entry per row.
_BY_ROW = ("codes", "numbers", "sample_weight", "row_weight")
# Largest memory for bin positions that are kept from epoch to epoch.
PLACED_BYTES = 2**28


class Block(NamedTuple):
    """Some rows, on the network's device and in its precision."""

    x: Tensor | SparseRows | Positions
    targets: Targets
    sample_weight: Tensor | None  # (n_rows, 1) or (n_rows, n_tasks)
    row_weight: Tensor | None  # (n_rows,); None if each row counts 1


def chunk_width(n_features: int, *, is_sparse: bool) -> int:
    """The width of a row, for dividing rows into chunks.

    It does not depend on how many entries the sparse rows have, so that predictions for
    parts of a table agree with those for the whole table to the last digit.
    """
    return min(n_features, _WIDTH_OF_SPARSE_ROWS) if is_sparse else n_features


@dataclass(frozen=True)
class Rows:
    """Rows of X, dense or CSR, read part by part."""

    X: Any  # Tensor or scipy CSR, (n_samples, n_features)
    encoded: bool  # an input layer reads them, dense and in their own precision
    is_placed: bool = False  # X has the bin positions that the encoder computed

    @classmethod
    def of(cls, X: Any, *, encoded: bool) -> "Rows":
        """The rows of an ndarray or CSR matrix."""
        return cls(as_tensor(X) if isinstance(X, np.ndarray) else X, encoded)

    def __len__(self) -> int:
        return int(self.X.shape[0])

    @property
    def width(self) -> int:
        """Elements of a row; for CSR, their mean number."""
        if isinstance(self.X, Tensor):
            return int(self.X.shape[1])
        return int(self.X.nnz // max(1, len(self)))

    @property
    def chunk_width(self) -> int:
        """The result of `chunk_width`, or `width` if sparse rows have more entries."""
        is_sparse = not isinstance(self.X, Tensor)
        return max(self.width, chunk_width(self.X.shape[1], is_sparse=is_sparse))

    def placed(self, encoder: ColumnEncoder, like: Tensor) -> "Rows":
        """The same rows, with bin positions precomputed if they fit in memory."""
        first = encoder.place(self._dense(slice(0, 1), like)).values
        if first.nbytes * len(self) > PLACED_BYTES:
            return self
        places = first.new_empty((len(self), first.shape[1]))
        n_rows = max(1, CHUNK_ELEMENTS // (1 + encoder.width))
        for start in range(0, len(self), n_rows):
            rows = slice(start, start + n_rows)
            places[rows] = encoder.place(self._dense(rows, like)).values
        return Rows(places, encoded=True, is_placed=True)

    def _dense(self, rows: slice, like: Tensor) -> Tensor:
        return cast(Tensor, self.read(rows, like))

    def read(
        self, rows: Tensor | slice, like: Tensor
    ) -> Tensor | SparseRows | Positions:
        """These rows, on the device of the parameter `like`, as its layer reads X."""
        if self.is_placed:
            if isinstance(rows, slice):
                return Positions(self.X[rows])
            return Positions(self.X.index_select(0, rows.to(self.X.device)))
        if isinstance(self.X, Tensor):
            if isinstance(rows, slice):
                part = self.X[rows]
            else:
                part = self.X.index_select(0, rows)
            return part.to(like.device, part.dtype if self.encoded else like.dtype)
        part = self.X[rows if isinstance(rows, slice) else rows.numpy()]
        if self.encoded:
            return as_tensor(part.toarray()).to(like.device)
        return SparseRows(
            as_tensor(part.indices).to(like.device),
            as_tensor(part.indptr).to(like.device),
            as_tensor(part.data).to(like.device, like.dtype),
        )


@dataclass(frozen=True)
class LabelledRows:
    """Rows with their labels and weights."""

    rows: Rows
    codes: Tensor  # (n_samples, n_tasks)
    numbers: Tensor | None  # (n_samples, n_tasks) float32, standardised, else 0
    weight_table: Tensor  # (n_tasks, 1 + most codes), see `weight_table`
    sample_weight: Tensor | None  # (n_samples, 1) or (n_samples, n_tasks)
    row_weight: Tensor | None  # (n_samples,); None if each row counts 1

    def placed(self, encoder: ColumnEncoder, like: Tensor) -> "LabelledRows":
        """With precomputed bin positions, see `Rows.placed`."""
        return replace(self, rows=self.rows.placed(encoder, like))

    def at(self, index: Tensor) -> "LabelledRows":
        """A copy of some of the rows, which must be dense."""
        fields = {
            name: None if part is None else part.index_select(0, index)
            for name, part in self._by_row().items()
        }
        X = self.rows.X
        rows = replace(self.rows, X=X.index_select(0, index.to(X.device)))
        return replace(self, rows=rows, **cast(Any, fields))

    def _by_row(self) -> dict[str, Tensor | None]:
        return {name: getattr(self, name) for name in _BY_ROW}

    def of_tasks(self, tasks: list[int]) -> "LabelledRows":
        """The same rows, with the same row weights and the labels of some tasks."""
        sample_weight = self.sample_weight
        if sample_weight is not None and sample_weight.shape[1] > 1:
            sample_weight = sample_weight[:, tasks]
        return replace(
            self,
            codes=self.codes[:, tasks],
            numbers=None if self.numbers is None else self.numbers[:, tasks],
            weight_table=self.weight_table[tasks],
            sample_weight=sample_weight,
        )

    def label_weights(self, task: int, rows: NDArray) -> NDArray:
        """The weights of the labels of a task in some rows, which all have one."""
        codes = self.codes.numpy()[rows, task].astype(np.intp)
        weights = self.weight_table.numpy()[task, codes + 1].astype(np.float64)
        if self.sample_weight is not None:
            weights *= label_weights(self.sample_weight.numpy(), task, rows)
        return weights

    def read(self, index: Tensor, like: Tensor) -> Block:
        """These rows with their labels and weights."""
        codes = self.codes.index_select(0, index).to(like.device)
        numbers = sample_weight = row_weight = None
        if self.numbers is not None:
            numbers = self.numbers.index_select(0, index).to(like)
        if self.sample_weight is not None:
            sample_weight = self.sample_weight.index_select(0, index).to(like)
        if self.row_weight is not None:
            row_weight = self.row_weight.index_select(0, index)
        x, targets = self.rows.read(index, like), Targets(codes, numbers)
        return Block(x, targets, sample_weight, row_weight)


def joined_rows(parts: list[LabelledRows]) -> LabelledRows:
    """Join parts of dense rows, one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    fields = {
        name: torch.cat([getattr(part, name) for part in parts])
        for name, field in first._by_row().items()
        if field is not None
    }
    rows = replace(first.rows, X=torch.cat([part.rows.X for part in parts]))
    return replace(first, rows=rows, **cast(Any, fields))
