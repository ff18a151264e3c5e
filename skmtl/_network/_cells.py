"""A linear map at some cells of its output, such as the logits of observed labels."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from skmtl._network._banks import LinearBank, SparseRows, weighted_sum


class Cells(NamedTuple):
    """Some cells of a matrix, in the order of its rows."""

    by_row: SparseRows  # the columns of each row's cells; values: the rows
    by_column: SparseRows  # the rows of each column's cells; values: their positions

    @property
    def n_cells(self) -> int:
        return self.by_row.indices.shape[0]


def cells_of_batches(
    columns: NDArray, offsets: NDArray, n_columns: int, batch_size: int
) -> list[Cells]:
    """The cells of every `batch_size` rows, from the columns of each row's cells."""
    n_rows, n_cells = len(offsets) - 1, len(columns)
    n_batches = -(-n_rows // batch_size)
    first = np.append(offsets[:-1:batch_size], offsets[-1])  # cell of each batch
    sizes = np.diff(first)
    row_in_batch = np.arange(n_rows, dtype=offsets.dtype) % batch_size
    rows = np.repeat(row_in_batch, np.diff(offsets))
    # The columns of the batches lie side by side, so that one pass sorts them all.
    first_column = np.repeat(np.arange(n_batches) * n_columns, sizes)
    shape = n_rows, n_batches * n_columns
    entries = np.arange(n_cells), columns + first_column, offsets
    by_column = sparse.csr_array(entries, shape=shape).tocsc()
    rows_by_column = (by_column.indices % batch_size).astype(offsets.dtype)
    positions = by_column.data - np.repeat(first[:-1], sizes)
    parts = (
        torch.from_numpy(part).split(sizes.tolist())
        for part in (columns, rows, rows_by_column, positions)
    )
    of_rows = _offsets(offsets, batch_size, first)
    of_columns = _offsets(by_column.indptr, n_columns, first)
    return [
        Cells(SparseRows(c, row_ends, r), SparseRows(of_column, column_ends, p))
        for c, r, of_column, p, row_ends, column_ends in zip(
            *parts, of_rows, of_columns, strict=True
        )
    ]


def _offsets(offsets: NDArray, size: int, first: NDArray) -> list[Tensor]:
    """The offsets of every `size` rows, from the first cell of the batch."""
    starts = range(0, len(offsets) - 1, size)
    return [
        torch.from_numpy(offsets[start : start + size + 1] - cell)
        for start, cell in zip(starts, first[:-1].astype(offsets.dtype), strict=True)
    ]


class CellsRecord(NamedTuple):
    """What `CellsPass` has read in a forward pass, for the backward pass."""

    x: Tensor
    weight: Tensor  # (columns, in)
    cells: Cells


class CellsPass:
    """The computation of a `LinearBank` with one input at some cells.

    As in `LinearPass`, but no time is spent on the other cells, which have no gradient.
    """

    def __init__(self, bank: LinearBank) -> None:
        self.weight, self.bias = bank.weight.flatten(2)[0], bank.bias.flatten()
        if bank.weight.grad is not None and bank.bias.grad is not None:
            self.weight_gradient = bank.weight.grad.flatten(2)[0]
            self.bias_gradient = bank.bias.grad.flatten()

    def forward(self, x: Tensor, cells: Cells) -> tuple[Tensor, CellsRecord]:
        """(batch, in) -> (n_cells,), and what `backward` needs."""
        columns, offsets, rows, _ = cells.by_row
        weight = self.weight.T.contiguous()
        # The derivative of a weighted sum: products of rows, without copies of them.
        products = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            x, weight, columns, offsets, rows, 0
        )
        logits = products.add_(self.bias.index_select(0, columns))
        return logits, CellsRecord(x, weight, cells)

    def backward(self, record: CellsRecord, gradient: Tensor) -> Tensor:
        """Set the parameters' gradients from that of the output; return that of x."""
        x, weight, cells = record
        (columns, offsets, *_), (rows, column_offsets, positions, _) = cells
        self.bias_gradient.zero_().index_add_(0, columns, gradient)
        entries = SparseRows(rows, column_offsets, gradient.index_select(0, positions))
        self.weight_gradient.copy_(weighted_sum(x, entries).T)
        return weighted_sum(weight, SparseRows(columns, offsets, gradient))
