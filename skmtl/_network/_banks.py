"""The bank, which computes many linear maps in one call, and helpers around it."""

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from scipy import sparse
from torch import Tensor, nn

from skmtl._network._products import (
    affine,
    batched_affine,
    batched_product,
    batched_weight_gradient,
    product,
    weight_gradient,
)


class SparseRows(NamedTuple):
    """A batch of CSR rows: row i owns the entries from offsets[i] to offsets[i + 1]."""

    indices: Tensor  # (n_entries,)
    offsets: Tensor  # (batch + 1,)
    values: Tensor  # (n_entries,)
    columns: "SparseRows | None" = None  # the same entries by column, if precomputed


_SUM = 0  # a mode of torch.embedding_bag


def weighted_sum(table: Tensor, rows: SparseRows) -> Tensor:
    """(n_rows, out) -> (batch, out): the product of a CSR matrix and the table."""
    # Not torch.nn's function, whose checks take longer than a small sum.
    total, *_ = torch.embedding_bag(
        table,
        rows.indices,
        rows.offsets,
        mode=_SUM,
        per_sample_weights=rows.values,
        include_last_offset=True,
    )
    return total


def transposed(rows: SparseRows, n_columns: int) -> SparseRows:
    """The columns of a CSR matrix as the rows of another.

    The weighted sum of a gradient over them is the gradient of a table. Autograd takes
    nine times as long (200 rows of 100 entries, 256 outputs).
    """
    indices, offsets, values = (part.cpu().numpy() for part in rows[:3])
    shape = (len(offsets) - 1, n_columns)
    columns = sparse.csr_array((values, indices, offsets), shape=shape).tocsc()
    return SparseRows(
        torch.from_numpy(columns.indices).to(rows.values.device),
        torch.from_numpy(columns.indptr).to(rows.values.device),
        torch.from_numpy(columns.data).to(rows.values.device),
    )


def columns_by_input(rows: SparseRows, n_inputs: int, n_columns: int) -> SparseRows:
    """Rows of several inputs, one after another, as rows of a block diagonal matrix.

    So one weighted sum multiplies the rows of each input with a table of its own.
    """
    if n_inputs == 1:
        return rows
    n_entries = rows.offsets.diff().view(n_inputs, -1).sum(1)
    first = torch.arange(n_inputs, dtype=rows.indices.dtype, device=n_entries.device)
    first_of_entries = (n_columns * first).repeat_interleave(n_entries)
    return rows._replace(indices=rows.indices + first_of_entries)


def without_empty(rows: SparseRows) -> tuple[Tensor, SparseRows]:
    """The positions of the rows with entries, and a matrix of only these rows."""
    filled = rows.offsets.diff().nonzero().squeeze(1)
    offsets = torch.cat([rows.offsets[filled], rows.offsets[-1:]])
    return filled, rows._replace(offsets=offsets)


# The device on which parameters are made: "cpu", or "meta" for sizes without memory.
_parameter_device = ContextVar("parameter_device", default="cpu")


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Build networks that have sizes but no memory."""
    token = _parameter_device.set("meta")
    try:
        yield
    finally:
        _parameter_device.reset(token)


def parameter_device() -> torch.device:
    """The device on which to make parameters, whatever the caller's default is."""
    return torch.device(_parameter_device.get())


def empty_parameter(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=parameter_device())


class LinearBank(nn.Module):
    """`n_inputs * n_readers` linear maps; `n_readers` of them read each input.

    Maps that read the same input are adjacent in memory, so one matrix product computes
    them. Separate inputs go through one batched product. For example, linear heads are
    one input with a reader for each task, and an ensemble has one input per member.
    """

    def __init__(
        self,
        n_inputs: int,
        in_features: int,
        n_readers: int,
        out_features: int,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            empty_parameter(n_inputs, in_features, n_readers, out_features)
        )
        self.bias = nn.Parameter(empty_parameter(n_inputs, 1, n_readers, out_features))

    @torch.no_grad()
    def initialize(self, activation: str, generator: torch.Generator) -> None:
        """Draw as in MLPClassifier (Glorot & Bengio 2010, eq. 16), biases too."""
        _, in_features, _, out_features = self.weight.shape
        bound = glorot_bound(in_features, out_features, activation)
        self.weight.uniform_(-bound, bound, generator=generator)
        self.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor | SparseRows) -> Tensor:
        """(n_inputs, batch, in) -> (n_inputs, batch, n_readers, out)."""
        out = LinearPass(self).forward(one_or_many(x))
        return as_many(out).unflatten(2, self.weight.shape[2:])


class LinearPass:
    """The forward and backward computation of a `LinearBank`, on views made once.

    In a small network, the overhead of modules and autograd takes more time than the
    operations themselves. So every layer has a pass with an explicit gradient, which
    training makes once and uses for all steps.

    Inputs and outputs are (n_inputs, batch, width), or (batch, width) for a single
    input.
    """

    def __init__(self, bank: Any) -> None:  # with a weight and a bias of this layout
        self.n_inputs, _, self.n_readers, _ = bank.weight.shape
        self.weight = self._matrices(bank.weight)
        self.bias = bank.bias.flatten() if self.n_inputs == 1 else bank.bias.flatten(2)
        self.weight_transposed = self.weight.mT
        # The maps of all inputs below each other, as sparse input reads them.
        self.table = bank.weight.flatten(2).flatten(0, 1)
        # For sparse input: the only rows of the weight's gradient that are not 0; None
        # if any row can be.
        self.columns_with_gradient: Tensor | None = None
        if bank.weight.grad is not None and bank.bias.grad is not None:
            self.weight_gradient = self._matrices(bank.weight.grad)
            self.table_gradient = bank.weight.grad.flatten(2).flatten(0, 1)
            self.bias_gradient = bank.bias.grad.view_as(self.bias)

    def _matrices(self, weight: Tensor) -> Tensor:
        """([n_inputs,] in, n_readers * out), a view."""
        return weight.flatten(2)[0] if self.n_inputs == 1 else weight.flatten(2)

    def forward(self, x: Any) -> Tensor:
        """([n_inputs,] batch, in) or sparse -> ([n_inputs,] batch, n_readers * out).

        Sparse rows of several inputs follow each other, see `columns_by_input`.
        """
        if isinstance(x, SparseRows):
            out = weighted_sum(self.table, x)
            if self.n_inputs > 1:
                out = out.unflatten(0, (self.n_inputs, -1))
            return out + self.bias
        if self.n_inputs > 1:
            return batched_affine(x, self.weight, self.bias)
        return affine(x, self.weight, self.bias)

    def backward(self, x: Any, gradient: Tensor, *, wants_input: bool) -> Tensor | None:
        """Set the parameters' gradients from that of the output; return that of x."""
        if isinstance(x, SparseRows):
            self._backward_sparse(x, gradient)
            return None
        if self.n_inputs > 1:
            return self._backward_many(x, gradient, wants_input)
        torch.sum(gradient, 0, out=self.bias_gradient)
        weight_gradient(x, gradient, self.weight_gradient)
        return product(gradient, self.weight_transposed) if wants_input else None

    def _backward_sparse(self, x: SparseRows, gradient: Tensor) -> None:
        """With few entries, update only the columns of this batch and the last one."""
        gradient = gradient.contiguous()
        if self.n_inputs > 1:
            torch.sum(gradient, 1, keepdim=True, out=self.bias_gradient)
            gradient = gradient.flatten(0, 1)
        else:
            torch.sum(gradient, 0, out=self.bias_gradient)
        columns = x.columns or transposed(x, len(self.table))
        # Counting the empty columns would take longer than copying some of them.
        if 4 * len(columns.indices) > len(self.table):
            self.table_gradient.copy_(weighted_sum(gradient, columns))
            self.columns_with_gradient = None
            return
        filled, entries = without_empty(columns)
        if self.columns_with_gradient is None:
            self.table_gradient.zero_()
        else:
            self.table_gradient.index_fill_(0, self.columns_with_gradient, 0.0)
        # index_copy_ takes twice as long.
        self.table_gradient.index_add_(0, filled, weighted_sum(gradient, entries))
        self.columns_with_gradient = filled

    def _backward_many(
        self, x: Tensor, gradient: Tensor, wants_input: bool
    ) -> Tensor | None:
        torch.sum(gradient, 1, keepdim=True, out=self.bias_gradient)
        batched_weight_gradient(x, gradient, self.weight_gradient)
        if not wants_input:
            return None
        return batched_product(gradient, self.weight_transposed)


def glorot_bound(in_features: int, out_features: int, activation: str) -> float:
    """The bound of the uniform distribution of the initial parameters."""
    factor = 2.0 if activation == "logistic" else 6.0
    return math.sqrt(factor / (in_features + out_features))


def as_many(x: Any) -> Any:
    """(batch, width) -> (1, batch, width), the form for several inputs."""
    return x.unsqueeze(0) if isinstance(x, Tensor) and x.ndim == 2 else x


def one_or_many(x: Any) -> Any:
    """(1, batch, width) -> (batch, width), the form for a single input."""
    return x[0] if isinstance(x, Tensor) and x.ndim == 3 and len(x) == 1 else x


def banks_first(x: Tensor, n_readers: int) -> Tensor:
    """([n_inputs,] batch, n_readers * out) -> (n_inputs * n_readers, batch, out)."""
    if n_readers == 1:
        return x
    by_reader = x.unflatten(-1, (n_readers, -1)).transpose(-2, -3)
    return by_reader if x.ndim == 2 else by_reader.flatten(0, 1)


def readers_last(x: Tensor, n_readers: int, n_inputs: int) -> Tensor:
    """The inverse of `banks_first`."""
    if n_readers == 1:
        return x
    if n_inputs == 1:
        return x.transpose(0, 1).flatten(1)
    return x.unflatten(0, (-1, n_readers)).transpose(1, 2).flatten(2)
