"""The bank, many linear maps in one call, and the small blocks around it."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl._inputs import (
    FIRST_CODE_SLOT,
    MISSING_SLOT,
    ColumnEncoding,
    NumericColumns,
)
from skmtl._products import (
    affine,
    batched_affine,
    batched_product,
    batched_weight_gradient,
    product,
    weight_gradient,
)

aten = torch.ops.aten

# In place where the gradient needs the output alone: large layers are bound by memory.
ACTIVATIONS = {
    "identity": lambda x: x,
    "logistic": torch.sigmoid_,
    "tanh": torch.tanh_,
    "relu": torch.relu_,
    "gelu": F.gelu,
    "silu": F.silu,
}
# Gradient of the input, in place of that of the output, from the input and the output.
ACTIVATION_GRADIENTS = {
    "identity": lambda gradient, x, out: gradient,
    "logistic": lambda gradient, x, out: aten.sigmoid_backward.grad_input(
        gradient, out, grad_input=gradient
    ),
    "tanh": lambda gradient, x, out: aten.tanh_backward.grad_input(
        gradient, out, grad_input=gradient
    ),
    "relu": lambda gradient, x, out: aten.threshold_backward.grad_input(
        gradient, out, 0, grad_input=gradient
    ),
    "gelu": lambda gradient, x, out: aten.gelu_backward(gradient, x),
    "silu": lambda gradient, x, out: aten.silu_backward(gradient, x),
}


class SparseRows(NamedTuple):
    """A batch of CSR rows: row i owns the entries from offsets[i] to offsets[i + 1]."""

    indices: Tensor  # (n_entries,)
    offsets: Tensor  # (batch + 1,)
    values: Tensor  # (n_entries,)


class EncodedRows(NamedTuple):
    """A batch of rows as `ColumnEncoder` gives them and `ColumnBank` reads them."""

    # (batch, n_inputs) of the linear path, the curves and, where they are few, of the
    # categories
    numbers: Tensor
    categories: SparseRows | None  # else entries of the table of categories
    unknown: Tensor | None  # (batch, n_categorical), 1 for a category without a row


class Positions(NamedTuple):
    """A batch of rows as `ColumnEncoder` places them, to be expanded."""

    values: Tensor  # (batch, columns): place among the bins, or row of a category


# What a layer may read.
Features = Tensor | SparseRows | EncodedRows


def split_rows(
    x: Tensor | SparseRows | Positions | EncodedRows, n_rows: int
) -> Sequence[Any]:
    """So many rows each, the last ones fewer."""
    if isinstance(x, Positions):
        return [Positions(values) for values in x.values.split(n_rows)]
    if isinstance(x, Tensor):
        return x.split(n_rows)
    if isinstance(x, EncodedRows):
        numbers = x.numbers.split(n_rows)
        none = [None] * len(numbers)
        categories, unknown = (
            none if part is None else split_rows(part, n_rows)
            for part in (x.categories, x.unknown)
        )
        return list(map(EncodedRows, numbers, categories, unknown))
    parts, bounds = [], x.offsets[::n_rows].tolist()
    for i, first in enumerate(bounds):
        offsets = x.offsets[i * n_rows : (i + 1) * n_rows + 1]
        last = int(offsets[-1])
        if len(offsets) > 1:
            values = x.values[first:last]
            parts.append(SparseRows(x.indices[first:last], offsets - first, values))
    return parts


def weighted_sum(table: Tensor, rows: SparseRows) -> Tensor:
    """(n_rows, out) -> (batch, out): the product of a CSR matrix and the table."""
    return F.embedding_bag(
        rows.indices,
        table,
        rows.offsets,
        mode="sum",
        per_sample_weights=rows.values,
        include_last_offset=True,
    )


def transposed(rows: SparseRows, n_columns: int) -> SparseRows:
    """The columns of a CSR matrix as the rows of another.

    The weighted sum of a gradient over them is the gradient of a table; autograd's
    takes nine times as long (200 rows of 100 entries, 256 outputs).
    """
    indices, offsets, values = (part.cpu().numpy() for part in rows)
    shape = (len(offsets) - 1, n_columns)
    columns = sparse.csr_array((values, indices, offsets), shape=shape).tocsc()
    parts = (columns.indices, columns.indptr, columns.data)
    return SparseRows(*(torch.from_numpy(p).to(rows.values.device) for p in parts))


def without_empty(rows: SparseRows) -> tuple[Tensor, SparseRows]:
    """Which rows have entries, and these rows alone."""
    filled = rows.offsets.diff().nonzero().squeeze(1)
    offsets = torch.cat([rows.offsets[filled], rows.offsets[-1:]])
    return filled, rows._replace(offsets=offsets)


# Where parameters are made, "cpu", or "meta": there they have sizes and no memory.
_parameter_device = ContextVar("parameter_device", default="cpu")


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Networks that are built here have sizes alone."""
    token = _parameter_device.set("meta")
    try:
        yield
    finally:
        _parameter_device.reset(token)


def parameter_device() -> torch.device:
    """Where to make parameters, whatever the caller's default device is."""
    return torch.device(_parameter_device.get())


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=parameter_device())


class LinearBank(nn.Module):
    """`n_inputs * n_readers` linear maps, each input read by `n_readers` of them.

    The maps that read the same input lie side by side in memory, so that they are the
    columns of one product; inputs of their own go through one batched product. Linear
    heads are one input with a reader per task, an ensemble one input per member.
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
            _empty(n_inputs, in_features, n_readers, out_features)
        )
        self.bias = nn.Parameter(_empty(n_inputs, 1, n_readers, out_features))

    @torch.no_grad()
    def initialize(self, activation: str, generator: torch.Generator) -> None:
        """Draw as MLPClassifier does (Glorot & Bengio 2010, eq. 16, biases too)."""
        _, in_features, _, out_features = self.weight.shape
        bound = glorot_bound(in_features, out_features, activation)
        self.weight.uniform_(-bound, bound, generator=generator)
        self.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor | SparseRows) -> Tensor:
        """(n_inputs, batch, in) -> (n_inputs, batch, n_readers, out)."""
        out = LinearPass(self).forward(one_or_many(x))
        return as_many(out).unflatten(2, self.weight.shape[2:])


class LinearPass:
    """The arithmetic of a `LinearBank`, forward and back, on views made once.

    A small network is bound by what a module and autograd take for each operation, not
    by the operations. So all layers here have a pass beside them, with the gradient
    written out, which training makes once and uses for all steps.

    What it reads and gives is (n_inputs, batch, width), and (batch, width) for a single
    input.
    """

    def __init__(self, bank: LinearBank) -> None:
        self.n_inputs, self.in_features, self.n_readers, _ = bank.weight.shape
        self.weight = self._matrices(bank.weight)
        self.bias = bank.bias.flatten() if self.n_inputs == 1 else bank.bias.flatten(2)
        self.weight_transposed = self.weight.mT
        # Of a sparse input: the only rows of the weight's gradient that are not 0, None
        # for any of them.
        self.columns_with_gradient: Tensor | None = None
        if bank.weight.grad is not None and bank.bias.grad is not None:
            self.weight_gradient = self._matrices(bank.weight.grad)
            self.bias_gradient = bank.bias.grad.view_as(self.bias)

    def _matrices(self, weight: Tensor) -> Tensor:
        """([n_inputs,] in, n_readers * out), a view."""
        return weight.flatten(2)[0] if self.n_inputs == 1 else weight.flatten(2)

    def forward(self, x: Any) -> Tensor:
        """([n_inputs,] batch, in) or sparse -> ([n_inputs,] batch, n_readers * out)."""
        if isinstance(x, SparseRows):
            return weighted_sum(self.weight, x) + self.bias
        if self.n_inputs > 1:
            return batched_affine(x, self.weight, self.bias)
        return affine(x, self.weight, self.bias)

    def backward(self, x: Any, gradient: Tensor, *, wants_input: bool) -> Tensor | None:
        """Set the parameters' gradients from that of the output; return that of x."""
        if self.n_inputs > 1:
            return self._backward_many(x, gradient, wants_input)
        torch.sum(gradient, 0, out=self.bias_gradient)
        if isinstance(x, SparseRows):
            self._backward_sparse(x, gradient)
            return None
        weight_gradient(x, gradient, self.weight_gradient)
        return product(gradient, self.weight_transposed) if wants_input else None

    def _backward_sparse(self, x: SparseRows, gradient: Tensor) -> None:
        """Touch the columns of this batch and the one before, if most are empty."""
        columns = transposed(x, self.in_features)
        gradient = gradient.contiguous()
        filled, entries = without_empty(columns)
        if 2 * len(filled) > self.in_features:
            self.weight_gradient.copy_(weighted_sum(gradient, columns))
            self.columns_with_gradient = None
            return
        if self.columns_with_gradient is None:
            self.weight_gradient.zero_()
        else:
            self.weight_gradient.index_fill_(0, self.columns_with_gradient, 0.0)
        self.weight_gradient.index_copy_(0, filled, weighted_sum(gradient, entries))
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
    """Bound of the uniform distribution of initial parameters."""
    factor = 2.0 if activation == "logistic" else 6.0
    return math.sqrt(factor / (in_features + out_features))


def as_many(x: Any) -> Any:
    """(batch, width) -> (1, batch, width), the form of many inputs."""
    return x.unsqueeze(0) if isinstance(x, Tensor) and x.ndim == 2 else x


def one_or_many(x: Any) -> Any:
    """(1, batch, width) -> (batch, width), the form of a single input."""
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


class DropoutStock:
    """Factors of dropout for the next steps, drawn together.

    For a small layer the calls take longer than the drawing, and keep other threads
    from Python.
    """

    MAX_STEPS = 16

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.n_steps = 1
        self._factors: dict[tuple[int, float], list[Tensor]] = {}

    def begin(self, n_steps: int) -> None:
        """Before so many steps: the state of the generator is all that is known."""
        self.n_steps = min(n_steps, self.MAX_STEPS)
        self._factors.clear()

    def take(self, x: Tensor, rate: float) -> Tensor | None:
        """As `dropout_factors`."""
        key = x.numel(), rate
        stock = self._factors.setdefault(key, [])
        if not stock:
            many = x.new_empty(1).expand(self.n_steps, x.numel())
            factors = dropout_factors(many, rate, self.generator)
            if factors is None:
                return None
            stock.extend(factors.unbind())
        return stock.pop().view(x.shape)


def apply_dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Inverted dropout from a generator of our own; without one, nothing is dropped."""
    keep = dropout_factors(x, rate, generator)
    return x if keep is None else x * keep


def dropout_factors(
    x: Tensor, rate: float, generator: torch.Generator | None
) -> Tensor | None:
    """0 for what is dropped, what makes up for it for the rest; None for no dropout.

    Eight random bits decide on each element: the rate is rounded to a multiple of
    1/256, and what makes up for it is exact. bernoulli_ draws a double for each, which
    takes twelve times as long.
    """
    if generator is None or rate == 0:
        return None
    n_dropped = min(max(round(rate * 2**8), 1), 2**8 - 1)  # of 2**8 values
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=generator)
    values = words.view(torch.int8)[: x.numel()].view(x.shape)
    kept = values >= n_dropped - 2**7
    return kept.to(x.dtype).mul_(2**8 / (2**8 - n_dropped))


def _buffer(array: NDArray) -> nn.Buffer:
    """What never changes, and so need not be kept with the best parameters."""
    return nn.Buffer(torch.from_numpy(np.array(array)), persistent=False)


class ColumnEncoder(nn.Module):
    """Turns rows of X into what a `ColumnBank` reads; it has nothing to learn.

    A number becomes its score, linear between the scores of the knots, and how far it
    fills each bin of its column. A category is a row of a table, a missing number an
    indicator. What no training row showed (a missing number where none was missing, an
    unknown category where none was rare) gets the mean response of its column, which
    for numbers is 0.
    """

    # Of the bins relative to the scores. Between .1 and .2 did best of .02 to 1.
    CURVE_SCALE = 0.2
    # Categories of all columns together up to which they are columns of the product.
    MAX_INDICATORS = 256

    def __init__(self, encoding: ColumnEncoding) -> None:
        super().__init__()
        numeric, categorical = encoding.numeric, encoding.categorical
        self.n_curved = n_curved = numeric.n_curved
        self.n_bins = numeric.bin_means.shape[1]
        n_numeric = len(numeric.positions)
        is_in_order = np.array_equal(numeric.positions, np.arange(n_numeric))
        self.reads_all = is_in_order and n_numeric == encoding.n_features
        self.numeric = _buffer(numeric.positions)
        self.first_score = _buffer(numeric.scores[:, 0].astype(np.float32))
        begin, width, rise = _bins(numeric)
        # The columns with a curve have several bins, the others one.
        self.curves = _Bins(begin[:n_curved], width[:n_curved], rise[:n_curved])
        self.lines = _Bins(*(part[n_curved:, :1] for part in (begin, width, rise)))
        self.bin_means = _buffer(numeric.bin_means[:n_curved].astype(np.float32))
        self.bin_numbers = _buffer(np.arange(self.n_bins, dtype=np.float32))
        self.missing = _buffer(np.flatnonzero(numeric.has_missing))
        self.categorical = _buffer(categorical.positions)
        self.first_slot = _buffer(categorical.first_slot)
        self.slot_row = _buffer(categorical.slot_row)
        # Few categories are columns of one product with the numbers.
        n_rows = len(categorical.row_column)
        self.n_indicators = n_rows if n_rows <= self.MAX_INDICATORS else 0
        shares = np.zeros((len(categorical.positions), self.n_indicators), np.float32)
        if self.n_indicators:
            shares[categorical.row_column, np.arange(n_rows)] = categorical.row_share
        self.shares = _buffer(shares)

    @property
    def n_inputs(self) -> int:
        """Numbers that a row becomes, its entries of a table aside."""
        n_numbers = len(self.numeric) + len(self.missing)
        return n_numbers + self.n_curved * self.n_bins + self.n_indicators

    @property
    def width(self) -> int:
        """Numbers that a row takes at the peak, those in float64 twice."""
        n_categories = 8 * len(self.categorical)
        return 5 * self.n_curved * self.n_bins + 5 * len(self.numeric) + n_categories

    def forward(
        self, x: Tensor, dropout: float, generator: torch.Generator | None
    ) -> EncodedRows:
        """Encode (batch, n_features); dropout acts on whole columns."""
        return self.expand(self.place(x), dropout, generator)

    def place(self, x: Tensor) -> Positions:
        """Where each value of (batch, n_features) lies among the bins of its column.

        What never changes in training, of the size of X in float32.
        """
        x = x.to(torch.float64)  # differences of large numbers need it
        numbers = x if self.reads_all else x.index_select(1, self.numeric)
        parts = [self.curves(numbers[:, : self.n_curved]).sum(2)]
        if self.n_curved < numbers.shape[1]:
            parts.append(self.lines(numbers[:, self.n_curved :]).sum(2))
        if len(self.categorical):
            codes = x.index_select(1, self.categorical)
            slots = torch.where(codes.isnan(), MISSING_SLOT, codes + FIRST_CODE_SLOT)
            rows = self.slot_row.take(slots.to(torch.int64) + self.first_slot)
            parts.append(rows.to(parts[0].dtype))
        return Positions(torch.cat(parts, dim=1))

    def expand(
        self, x: Positions, dropout: float, generator: torch.Generator | None
    ) -> EncodedRows:
        """What the layer reads; dropout acts on whole columns."""
        n_numeric, values = len(self.numeric), x.values
        keep: Tensor | None = None
        if generator is not None:
            keep = dropout_factors(values, dropout, generator)
        of_number = of_category = None
        if keep is not None:
            of_number, of_category = keep[:, :n_numeric], keep[:, n_numeric:]
        n_numbers = self.n_inputs - self.n_indicators
        out = values.new_empty(len(values), self.n_inputs)
        self._expand_numbers(values[:, :n_numeric], of_number, out[:, :n_numbers])
        if not len(self.categorical):
            return EncodedRows(out, None, None)
        rows = values[:, n_numeric:]
        if self.n_indicators:
            self._expand_indicators(rows, of_category, out[:, n_numbers:])
            return EncodedRows(out, None, None)
        return EncodedRows(out, *self._expand_categories(rows, of_category))

    def _expand_numbers(
        self, position: Tensor, keep: Tensor | None, out: Tensor
    ) -> None:
        """Scores, indicators of missing numbers and bins, side by side."""
        n_curved, n_lines = self.n_curved, position.shape[1] - self.n_curved
        n_missing = len(self.missing)
        sizes = [n_curved, n_lines, n_missing, n_curved * self.n_bins]
        scores, lines, indicators, bins = out.split(sizes, dim=1)
        bins = bins.unflatten(1, (n_curved, self.n_bins))
        # In place, part by part: this is done for every batch of every member.
        torch.sub(position[:, :n_curved].unsqueeze(2), self.bin_numbers, out=bins)
        bins.clamp_(0.0, 1.0)
        torch.sum(bins * self.curves.rise, 2, out=scores)
        torch.mul(position[:, n_curved:], self.lines.rise.squeeze(1), out=lines)
        linear = out[:, : n_curved + n_lines]
        linear.add_(self.first_score)
        bins.sub_(self.bin_means)
        is_missing = position.isnan()
        if bool(is_missing.any()):
            linear.masked_fill_(is_missing, 0.0)
            bins.masked_fill_(is_missing[:, :n_curved].unsqueeze(2), 0.0)
        if n_missing:
            indicators.copy_(is_missing.index_select(1, self.missing))
        if keep is None:
            bins.mul_(self.CURVE_SCALE)
            return
        linear.mul_(keep)
        if n_missing:
            indicators.mul_(keep.index_select(1, self.missing))
        bins.mul_((self.CURVE_SCALE * keep[:, :n_curved]).unsqueeze(2))

    def _expand_indicators(
        self, rows: Tensor, keep: Tensor | None, out: Tensor
    ) -> None:
        """1 in the column of a category's row; its share where there is no row."""
        factors, unknown = _known_and_unknown(rows, keep)
        # Added: a column without a row adds 0 to the first of the others.
        out.zero_().scatter_add_(1, rows.clamp(min=0).to(torch.int64), factors)
        if unknown is not None:
            out.addmm_(unknown, self.shares)

    def _expand_categories(
        self, rows: Tensor, keep: Tensor | None
    ) -> tuple[SparseRows, Tensor | None]:
        """Rows of the table, and which columns have none."""
        factors, unknown = _known_and_unknown(rows, keep)
        step = rows.shape[1]
        offsets = torch.arange(0, rows.numel() + 1, step, device=rows.device)
        indices = rows.clamp(min=0).to(torch.int64).flatten()
        return SparseRows(indices, offsets, factors.flatten()), unknown


def _known_and_unknown(
    rows: Tensor, keep: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """(batch, n_categorical): 1 for a category with a row, 1 for one without, or None.

    Times the factors of dropout.
    """
    is_unknown = rows < 0
    known = (~is_unknown).to(rows.dtype)
    unknown = 1.0 - known if bool(is_unknown.any()) else None
    if keep is not None:
        known.mul_(keep)
        unknown = None if unknown is None else unknown.mul_(keep)
    return known, unknown


class _Bins(nn.Module):
    """Bins of some columns, and by how much the score rises in each."""

    def __init__(self, begin: NDArray, width: NDArray, rise: NDArray) -> None:
        super().__init__()
        self.begin, self.width = _buffer(begin), _buffer(width)
        self.rise = _buffer(rise.astype(np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_columns) -> (batch, n_columns, n_bins): how far each is filled."""
        # Half of the numbers, so that the difference of any two is finite.
        filled = torch.sub(0.5 * x.unsqueeze(2), self.begin)
        return filled.div_(self.width).clamp_(0.0, 1.0).to(self.rise.dtype)


def _bins(numeric: NumericColumns) -> tuple[NDArray, NDArray, NDArray]:
    """(n_columns, n_bins) begin, width and rise; where no bin is, none is filled."""
    begin, end = numeric.knots[:, :-1], numeric.knots[:, 1:]
    is_bin = np.isfinite(end)
    width = np.subtract(end, begin, where=is_bin, out=np.ones_like(begin))
    rise = np.where(is_bin, np.diff(numeric.scores, axis=1), 0.0)
    return np.where(is_bin, begin, np.inf), width, rise


class ColumnBank(nn.Module):
    """A layer that reads encoded columns: the first of a network on a raw table.

    The piecewise-linear encoding of Gorishniy et al. (2022, "On Embeddings for
    Numerical Features in Tabular Deep Learning", equation 1), in which each bin adds to
    those below, beside a linear path; made batch by batch. Unlike there, bins are
    clipped at both ends, have mean 0 over the training rows, and begin at weight 0 and
    with a small scale: the network begins as one on the linear path alone, and bends
    where the data insist.
    """

    def __init__(
        self, encoding: ColumnEncoding, n_readers: int, out_features: int
    ) -> None:
        super().__init__()
        numeric, categorical = encoding.numeric, encoding.categorical
        n_numeric, n_categorical = len(numeric.positions), len(categorical.positions)
        self.n_columns = n_numeric + n_categorical
        self.n_categorical = n_categorical
        self.row_column = _buffer(categorical.row_column)
        self.row_share = _buffer(categorical.row_share[:, None].astype(np.float32))
        # Inputs of the linear path, bins of the curves, categories.
        self.sizes = [
            n_numeric + int(numeric.has_missing.sum()),
            numeric.n_curved * numeric.bin_means.shape[1],
            len(categorical.row_column),
        ]
        shape = (1, sum(self.sizes), n_readers, out_features)
        self.weight = nn.Parameter(_empty(*shape))
        shape = (1, 1, n_readers, out_features)
        self.bias = nn.Parameter(_empty(*shape))

    @torch.no_grad()
    def initialize(self, activation: str, generator: torch.Generator) -> None:
        """Draw as for a layer with an input per column; the curves begin at 0."""
        bound = glorot_bound(self.n_columns, self.bias.shape[3], activation)
        self.weight.uniform_(-bound, bound, generator=generator)
        self.bias.uniform_(-bound, bound, generator=generator)
        self.weight.split(self.sizes, dim=1)[1].zero_()

    def forward(self, x: EncodedRows) -> Tensor:
        """Encoded rows -> (1, batch, n_readers, out)."""
        return as_many(ColumnPass(self).forward(x)).unflatten(2, self.bias.shape[2:])


class ColumnPass:
    """The arithmetic of a `ColumnBank`, see `LinearPass`."""

    def __init__(self, bank: ColumnBank) -> None:
        self.n_inputs, self.n_readers = 1, bank.weight.shape[2]
        sizes = [bank.sizes[0] + bank.sizes[1], bank.sizes[2]]
        self.all = bank.weight.flatten(2)[0]
        self.numbers, self.rows = self.all.split(sizes)
        self.bias = bank.bias.flatten()
        self.n_categorical = bank.n_categorical
        self.row_column, self.row_share = bank.row_column, bank.row_share
        if bank.weight.grad is not None and bank.bias.grad is not None:
            self.bias_gradient = bank.bias.grad.flatten()
            self.all_gradient = bank.weight.grad.flatten(2)[0]
            parts = self.all_gradient.split(sizes)
            self.numbers_gradient, self.rows_gradient = parts

    def forward(self, x: EncodedRows) -> Tensor:
        """Encoded rows -> (batch, n_readers * out)."""
        if x.categories is None:
            return affine(x.numbers, self.all, self.bias)
        out = affine(x.numbers, self.numbers, self.bias)
        out += weighted_sum(self.rows, x.categories)
        if x.unknown is not None:
            means = self.rows.new_zeros(self.n_categorical, self.rows.shape[1])
            shares = self.row_share * self.rows
            out = out + x.unknown @ means.index_add(0, self.row_column, shares)
        return out

    def backward(
        self, x: EncodedRows, gradient: Tensor, *, wants_input: bool = False
    ) -> None:
        """Set the parameters' gradients from that of the output; x has none."""
        torch.sum(gradient, 0, out=self.bias_gradient)
        if x.categories is None:
            weight_gradient(x.numbers, gradient, self.all_gradient)
            return
        weight_gradient(x.numbers, gradient, self.numbers_gradient)
        rows = transposed(x.categories, len(self.rows))
        self.rows_gradient.copy_(weighted_sum(gradient.contiguous(), rows))
        if x.unknown is not None:
            means = x.unknown.T @ gradient
            self.rows_gradient += self.row_share * means[self.row_column]


class BankStack(nn.Module):
    """Layers of banks; the first reads `n_inputs` inputs, later ones their own bank.

    With an `encoding`, the first reads `EncodedRows`.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        *,
        n_inputs: int,
        n_banks: int,
        activation: str,
        dropout: float,
        activate_last: bool,
        generator: torch.Generator,
        encoding: ColumnEncoding | None = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.dropout = dropout
        self.activate_last = activate_last
        self.n_frozen_layers = 0  # from the input, for the time of a training
        self.width = sizes[-1]
        self.layers = nn.ModuleList()
        for in_features, out_features in pairwise(sizes):
            n_readers = n_banks // n_inputs
            layer: LinearBank | ColumnBank
            if encoding is not None and not self.layers:
                layer = ColumnBank(encoding, n_readers, out_features)
            else:
                layer = LinearBank(n_inputs, in_features, n_readers, out_features)
            layer.initialize(activation, generator)
            self.layers.append(layer)
            n_inputs = n_banks

    @property
    def n_layers(self) -> int:
        """Layers, which can be frozen one by one."""
        return len(self.layers)

    @property
    def work_per_row(self) -> int:
        """Multiply-adds of a forward pass, roughly."""
        return sum(p.numel() for p in self.parameters())

    @property
    def units_per_row(self) -> int:
        """Numbers that the layers give: a bias has an element for each."""
        return sum(cast(Tensor, layer.bias).numel() for layer in self.layers)

    def frozen_parameters(self) -> list[nn.Parameter]:
        """Those of the frozen layers."""
        frozen = self.layers[: self.n_frozen_layers]
        return [p for layer in frozen for p in layer.parameters()]

    @torch.no_grad()
    def copy_banks(
        self, banks: Sequence[int], source: "BankStack", source_banks: Sequence[int]
    ) -> None:
        """Take over the parameters of banks of another stack of the same sizes."""
        pairs = zip(self.parameters(), source.parameters(), strict=True)
        for parameter, other in pairs:
            own = _by_bank(parameter)
            own[list(banks)] = _by_bank(other)[list(source_banks)].to(own.device)
            by_input = own.unflatten(0, (parameter.shape[0], parameter.shape[2]))
            parameter.copy_(by_input.transpose(1, 2))

    def forward(self, x: Features, generator: torch.Generator | None) -> Tensor:
        """(n_inputs, batch, in) -> (n_banks, batch, out) of the activated last layer.

        Without `activate_last`, the last layer's (inputs, batch, readers * out).
        """
        out: Tensor = as_many(StackPass(self).forward(one_or_many(x), generator))
        return out


def _by_bank(parameter: Tensor) -> Tensor:
    """(n_inputs, in, n_readers, out) -> a copy (n_inputs * n_readers, in, out)."""
    return parameter.detach().transpose(1, 2).flatten(0, 1).clone()


class Record(NamedTuple):
    """What a layer read and gave in a forward pass, for the way back."""

    x: Features
    out: Tensor
    activated: Tensor | None  # None for a last layer without activation
    keep: Tensor | None  # factors of dropout


class StackPass:
    """The arithmetic of a `BankStack`, see `LinearPass`."""

    def __init__(self, stack: BankStack) -> None:
        self.layers: list[Any] = [
            ColumnPass(layer)
            if isinstance(layer, ColumnBank)
            else LinearPass(cast(LinearBank, layer))
            for layer in stack.layers
        ]
        self.activation = ACTIVATIONS[stack.activation]
        self.activation_gradient = ACTIVATION_GRADIENTS[stack.activation]
        self.dropout = self.full_dropout = stack.dropout
        self.n_activated = len(self.layers) - (not stack.activate_last)
        self.n_frozen = stack.n_frozen_layers
        self.is_frozen = self.n_frozen >= len(self.layers)

    def forward(
        self,
        x: Any,
        generator: torch.Generator | DropoutStock | None,
        tape: list[Record] | None = None,
    ) -> Tensor:
        """As `BankStack`; what `backward` needs is appended to the `tape`.

        Frozen layers do what they do in prediction.
        """
        for i, layer in enumerate(self.layers):
            out = layer.forward(x)
            activated = keep = None
            if i < self.n_activated:
                activated = self.activation(out)
                source = generator if i >= self.n_frozen else None
                if isinstance(source, DropoutStock):
                    keep = source.take(activated, self.dropout)
                else:
                    keep = dropout_factors(activated, self.dropout, source)
            if tape is not None:
                tape.append(Record(x, out, activated, keep))
            if activated is None:
                return out  # of the last layer
            x = activated if keep is None else activated * keep
            x = banks_first(x, layer.n_readers)
        result: Tensor = x
        return result

    def backward(
        self, tape: list[Record], gradient: Tensor, *, wants_input: bool
    ) -> Tensor | None:
        """Set the parameters' gradients from that of the output; return that of x."""
        result: Any = gradient
        for i in reversed(range(self.n_frozen, len(self.layers))):
            layer, (x, out, activated, keep) = self.layers[i], tape[i]
            if activated is not None:
                result = readers_last(result, layer.n_readers, layer.n_inputs)
                if keep is not None:
                    result = result * keep
                result = self.activation_gradient(result, out, activated)
            wants = wants_input or i > self.n_frozen
            result = layer.backward(x, result, wants_input=wants)
        return result


class OutputGroup(NamedTuple):
    """Tasks with the same number of classes; their logits are computed together."""

    n_classes: int
    tasks: tuple[int, ...]
    columns: slice  # of the flat block of logits

    @property
    def n_logits(self) -> int:
        """One logit for a binary (or constant) task, else one per class."""
        return logits_per_task(self.n_classes)


def logits_per_task(n_classes: int) -> int:
    """Logits of one task: the logistic loss needs one, cross-entropy one per class."""
    return 1 if n_classes <= 2 else n_classes


def output_groups(n_classes: tuple[int, ...]) -> list[OutputGroup]:
    """Split the tasks by number of classes and the logits' columns likewise."""
    groups, start = [], 0
    for size in sorted(set(n_classes)):
        tasks = tuple(t for t, n in enumerate(n_classes) if n == size)
        stop = start + len(tasks) * logits_per_task(size)
        groups.append(OutputGroup(size, tasks, slice(start, stop)))
        start = stop
    return groups
