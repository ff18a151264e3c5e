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
    first_row = np.arange(0, n_rows, batch_size)
    first_cell = np.append(offsets[first_row], n_cells)
    sizes = np.diff(first_cell)
    row_in_batch = np.arange(n_rows, dtype=offsets.dtype) % batch_size
    rows = np.repeat(row_in_batch, np.diff(offsets))
    # The columns of the batches lie side by side, so that one pass sorts them all.
    first_column = np.repeat(np.arange(n_batches) * n_columns, sizes)
    shape = n_rows, n_batches * n_columns
    entries = np.arange(n_cells), columns + first_column, offsets
    by_column = sparse.csr_array(entries, shape=shape).tocsc()
    split_at = first_cell[1:-1]
    parts = (
        np.split(columns, split_at),
        np.split(rows, split_at),
        np.split((by_column.indices % batch_size).astype(offsets.dtype), split_at),
        np.split(by_column.data - np.repeat(first_cell[:-1], sizes), split_at),
    )
    cells = []
    for i, (own_columns, own_rows, rows_by_column, positions) in enumerate(
        zip(*map(_tensors, parts), strict=True)
    ):
        of_rows = offsets[first_row[i] : first_row[i] + batch_size + 1]
        of_columns = by_column.indptr[i * n_columns : (i + 1) * n_columns + 1]
        own_offsets = _tensors([of_rows - first_cell[i], of_columns - first_cell[i]])
        cells.append(
            Cells(
                SparseRows(own_columns, own_offsets[0], own_rows),
                SparseRows(rows_by_column, own_offsets[1], positions),
            )
        )
    return cells


def _tensors(arrays: list[NDArray]) -> list[Tensor]:
    return [torch.from_numpy(array) for array in arrays]


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
        columns, offsets, rows = cells.by_row
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
        (columns, offsets, _), (rows, column_offsets, positions) = cells
        self.bias_gradient.zero_().index_add_(0, columns, gradient)
        entries = SparseRows(rows, column_offsets, gradient.index_select(0, positions))
        self.weight_gradient.copy_(weighted_sum(x, entries).T)
        return weighted_sum(weight, SparseRows(columns, offsets, gradient))
