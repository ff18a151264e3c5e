"""The first layer for a raw table: encoded columns, and the bank that reads them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skmtl._inputs import (
    FIRST_CODE_SLOT,
    MISSING_SLOT,
    ColumnEncoding,
    NumericColumns,
)
from skmtl._network._banks import (
    LinearPass,
    SparseRows,
    as_many,
    columns_by_input,
    empty_parameter,
    glorot_bound,
    transposed,
    weighted_sum,
)
from skmtl._network._dropout import dropout_factors
from skmtl._network._products import affine, weight_gradient


class EncodedRows(NamedTuple):
    """A batch of rows as `ColumnEncoder` returns them and `ColumnBank` reads them."""

    # (batch, n_inputs): the linear path, the curves and, if there are few of them, the
    # categories
    numbers: Tensor
    categories: SparseRows | None  # otherwise, entries of the table of categories
    unknown: Tensor | None  # (batch, n_categorical), 1 for a category without a row


class Positions(NamedTuple):
    """A batch of rows as `ColumnEncoder` places them, before it expands them."""

    values: Tensor  # (batch, columns): position in the bins, or row of a category


# What a layer can read.
Features = Tensor | SparseRows | EncodedRows

# Columns of all parts of sparse rows that are transposed at once.
MAX_COLUMNS_AT_ONCE = 2**16


def split_rows(
    x: Tensor | SparseRows | Positions | EncodedRows, n_rows: int
) -> Sequence[Any]:
    """Parts of `n_rows` rows each; the last part can be smaller."""
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


def split_with_columns(
    x: SparseRows, n_rows: int, n_columns: int, n_inputs: int = 1
) -> Iterator[SparseRows]:
    """As `split_rows`, with the columns of each part, for a backward pass.

    Each part has rows of several inputs, one after another. Several parts are
    transposed at once, next to each other: for a small part, scipy's checks take longer
    than the work.
    """
    width = n_inputs * n_columns
    n_at_once = max(1, MAX_COLUMNS_AT_ONCE // width)
    for block in split_rows(x, n_at_once * n_rows):
        parts = [
            columns_by_input(part, n_inputs, n_columns)
            for part in split_rows(block, n_rows)
        ]
        indices = torch.cat([p.indices + i * width for i, p in enumerate(parts)])
        by_column = transposed(block._replace(indices=indices), len(parts) * width)
        by_column = by_column._replace(indices=by_column.indices % n_rows)
        for part, columns in zip(parts, split_rows(by_column, width), strict=True):
            yield part._replace(columns=columns)


def rows_by_input(x: Tensor | EncodedRows, n_inputs: int) -> Any:
    """Dense rows of several inputs, one after another, as (n_inputs, batch, width)."""
    if n_inputs == 1:
        return x
    if isinstance(x, EncodedRows):
        return x._replace(numbers=x.numbers.unflatten(0, (n_inputs, -1)))
    return x.unflatten(0, (n_inputs, -1))


def _buffer(array: NDArray) -> nn.Buffer:
    """A constant, which does not need to be kept with the best parameters."""
    return nn.Buffer(torch.from_numpy(np.array(array)), persistent=False)


class ColumnEncoder(nn.Module):
    """Turns rows of X into the input of a `ColumnBank`; it has nothing to learn.

    A number becomes its score, interpolated linearly between the scores of the knots,
    and the degree to which it fills each bin of its column. A category becomes a row of
    a table, and a missing number an indicator. If the training rows had no missing
    number in a column, or no rare category, a missing number or an unknown category
    gets the mean response of the column, which is 0 for numbers.
    """

    # Scale of the bins relative to the scores. From 0.02 to 1, 0.1 to 0.2 did best.
    CURVE_SCALE = 0.2
    # Up to this many categories in all columns, categories are columns of the product.
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
        # Columns with a curve have several bins, the others have one.
        self.curves = _Bins(begin[:n_curved], width[:n_curved], rise[:n_curved])
        self.lines = _Bins(*(part[n_curved:, :1] for part in (begin, width, rise)))
        self.bin_means = _buffer(numeric.bin_means[:n_curved].astype(np.float32))
        self.bin_numbers = _buffer(np.arange(self.n_bins, dtype=np.float32))
        self.missing = _buffer(np.flatnonzero(numeric.has_missing))
        self.categorical = _buffer(categorical.positions)
        self.first_slot = _buffer(categorical.first_slot)
        self.slot_row = _buffer(categorical.slot_row)
        # A few categories are columns of the same product as the numbers.
        n_rows = len(categorical.row_column)
        self.n_indicators = n_rows if n_rows <= self.MAX_INDICATORS else 0
        shares = np.zeros((len(categorical.positions), self.n_indicators), np.float32)
        if self.n_indicators:
            shares[categorical.row_column, np.arange(n_rows)] = categorical.row_share
        self.shares = _buffer(shares)

    @property
    def n_inputs(self) -> int:
        """Dense inputs of a row, not counting its entries of the table."""
        n_numbers = len(self.numeric) + len(self.missing)
        return n_numbers + self.n_curved * self.n_bins + self.n_indicators

    @property
    def has_table(self) -> bool:
        """Whether categories are rows of a table, not columns of the product."""
        return len(self.categorical) > 0 and not self.n_indicators

    @property
    def width(self) -> int:
        """Elements of a row at peak memory; those in float64 count twice."""
        n_categories = 8 * len(self.categorical)
        return 5 * self.n_curved * self.n_bins + 5 * len(self.numeric) + n_categories

    def forward(
        self, x: Tensor, dropout: float, generator: torch.Generator | None
    ) -> EncodedRows:
        """Encode (batch, n_features); dropout acts on whole columns."""
        return self.expand(self.place(x), dropout, generator)

    def place(self, x: Tensor) -> Positions:
        """The position of each value of (batch, n_features) in the bins of its column.

        It never changes during training, and has the size of X in float32.
        """
        x = x.to(torch.float64)  # needed for differences of large numbers
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
        """The input of the layer; dropout acts on whole columns."""
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
        """Write scores, indicators of missing numbers and bins next to each other."""
        n_curved, n_lines = self.n_curved, position.shape[1] - self.n_curved
        n_missing = len(self.missing)
        sizes = [n_curved, n_lines, n_missing, n_curved * self.n_bins]
        scores, lines, indicators, bins = out.split(sizes, dim=1)
        bins = bins.unflatten(1, (n_curved, self.n_bins))
        is_missing, factor = position.isnan(), keep
        if bool(is_missing.any()):
            position = position.masked_fill(is_missing, 0.0)
            known = (~is_missing).to(position.dtype)
            factor = known if keep is None else known.mul_(keep)
        # In place, part by part: this runs for every batch of every member.
        torch.sub(position[:, :n_curved].unsqueeze(2), self.bin_numbers, out=bins)
        bins.clamp_(0.0, 1.0)
        torch.sum(bins * self.curves.rise, 2, out=scores)
        torch.mul(position[:, n_curved:], self.lines.rise.squeeze(1), out=lines)
        linear = out[:, : n_curved + n_lines]
        linear.add_(self.first_score)
        bins.sub_(self.bin_means)
        if n_missing:
            indicators.copy_(is_missing.index_select(1, self.missing))
            if keep is not None:
                indicators.mul_(keep.index_select(1, self.missing))
        if factor is None:
            bins.mul_(self.CURVE_SCALE)
            return
        linear.mul_(factor)
        bins.mul_((self.CURVE_SCALE * factor[:, :n_curved]).unsqueeze(2))

    def _expand_indicators(
        self, rows: Tensor, keep: Tensor | None, out: Tensor
    ) -> None:
        """Write 1 in the column of a category's row; the shares if it has no row."""
        factors, unknown = _known_and_unknown(rows, keep)
        # Adding is safe: a column without a row adds 0 to the first row.
        out.zero_().scatter_add_(1, rows.clamp(min=0).to(torch.int64), factors)
        if unknown is not None:
            out.addmm_(unknown, self.shares)

    def _expand_categories(
        self, rows: Tensor, keep: Tensor | None
    ) -> tuple[SparseRows, Tensor | None]:
        """The rows of the table, and which columns have no row."""
        factors, unknown = _known_and_unknown(rows, keep)
        step = rows.shape[1]
        offsets = torch.arange(0, rows.numel() + 1, step, device=rows.device)
        indices = rows.clamp(min=0).to(torch.int64).flatten()
        return SparseRows(indices, offsets, factors.flatten()), unknown


def _known_and_unknown(
    rows: Tensor, keep: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """(batch, n_categorical), twice: 1 for categories with a row; 1 for those without.

    The second is None if all have a row. Both are multiplied by the dropout factors.
    """
    is_unknown = rows < 0
    known = (~is_unknown).to(rows.dtype)
    unknown = 1.0 - known if bool(is_unknown.any()) else None
    if keep is not None:
        known.mul_(keep)
        unknown = None if unknown is None else unknown.mul_(keep)
    return known, unknown


class _Bins(nn.Module):
    """The bins of some columns, and the rise of the score in each bin."""

    def __init__(self, begin: NDArray, width: NDArray, rise: NDArray) -> None:
        super().__init__()
        self.begin, self.width = _buffer(begin), _buffer(width)
        self.rise = _buffer(rise.astype(np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_columns) -> (batch, n_columns, n_bins): how full each bin is."""
        # The numbers are halved, so that the difference of any two is finite.
        filled = torch.sub(0.5 * x.unsqueeze(2), self.begin)
        return filled.div_(self.width).clamp_(0.0, 1.0).to(self.rise.dtype)


def _bins(numeric: NumericColumns) -> tuple[NDArray, NDArray, NDArray]:
    """(n_columns, n_bins) begin, width and rise; padding bins are never filled."""
    begin, end = numeric.knots[:, :-1], numeric.knots[:, 1:]
    is_bin = np.isfinite(end)
    width = np.subtract(end, begin, where=is_bin, out=np.ones_like(begin))
    rise = np.where(is_bin, np.diff(numeric.scores, axis=1), 0.0)
    return np.where(is_bin, begin, np.inf), width, rise


class ColumnBank(nn.Module):
    """The first layer of a network for a raw table, which reads encoded columns.

    It uses the piecewise-linear encoding of Gorishniy et al. (2022, "On Embeddings for
    Numerical Features in Tabular Deep Learning", equation 1), in which each bin adds to
    those below it, and in addition a linear path. Unlike in the paper, bins are clipped
    at both ends, have mean 0 over the training rows, start with weight 0 and have a
    small scale. So the network starts with the linear path alone, and learns bends as
    far as the data support them.
    """

    def __init__(
        self,
        encoding: ColumnEncoding,
        n_readers: int,
        out_features: int,
        n_inputs: int = 1,
    ) -> None:
        super().__init__()
        numeric, categorical = encoding.numeric, encoding.categorical
        n_numeric, n_categorical = len(numeric.positions), len(categorical.positions)
        self.n_columns = n_numeric + n_categorical
        self.n_categorical = n_categorical
        self.row_column = _buffer(categorical.row_column)
        self.row_share = _buffer(categorical.row_share[:, None].astype(np.float32))
        # Numbers of inputs: of the linear path, the bins of the curves, the categories.
        self.sizes = [
            n_numeric + int(numeric.has_missing.sum()),
            numeric.n_curved * numeric.bin_means.shape[1],
            len(categorical.row_column),
        ]
        self.is_shown = (
            None if encoding.is_shown is None else torch.from_numpy(encoding.is_shown)
        )
        shape = (n_inputs, sum(self.sizes), n_readers, out_features)
        self.weight = nn.Parameter(empty_parameter(*shape))
        shape = (n_inputs, 1, n_readers, out_features)
        self.bias = nn.Parameter(empty_parameter(*shape))

    @torch.no_grad()
    def initialize(self, activation: str, generator: torch.Generator) -> None:
        """Draw as for a layer with one input per column; the curves start at 0.

        Inputs that no training row has used also start at 0: until one does, they are
        as if dropped.
        """
        bound = glorot_bound(self.n_columns, self.bias.shape[3], activation)
        if self.is_shown is None:
            self.weight.uniform_(-bound, bound, generator=generator)
        else:
            drawn = self.weight[:, self.is_shown]
            drawn.uniform_(-bound, bound, generator=generator)
            self.weight.zero_()[:, self.is_shown] = drawn
        self.bias.uniform_(-bound, bound, generator=generator)
        self.weight.split(self.sizes, dim=1)[1].zero_()

    def forward(self, x: EncodedRows) -> Tensor:
        """Encoded rows -> (1, batch, n_readers, out)."""
        return as_many(ColumnPass(self).forward(x)).unflatten(2, self.bias.shape[2:])


class ColumnPass:
    """The forward and backward computation of a `ColumnBank`, see `LinearPass`.

    With a table of categories, there is one input.
    """

    def __init__(self, bank: ColumnBank) -> None:
        self.n_inputs, _, self.n_readers, _ = bank.weight.shape
        self.all = LinearPass(bank)
        sizes = [bank.sizes[0] + bank.sizes[1], bank.sizes[2]]
        self.numbers, self.rows = bank.weight.flatten(2)[0].split(sizes)
        self.bias = bank.bias.flatten()
        self.n_categorical = bank.n_categorical
        self.row_column, self.row_share = bank.row_column, bank.row_share
        if bank.weight.grad is not None and bank.bias.grad is not None:
            self.bias_gradient = bank.bias.grad.flatten()
            parts = bank.weight.grad.flatten(2)[0].split(sizes)
            self.numbers_gradient, self.rows_gradient = parts

    def forward(self, x: EncodedRows) -> Tensor:
        """Encoded rows -> ([n_inputs,] batch, n_readers * out)."""
        if x.categories is None:
            return self.all.forward(x.numbers)
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
        if x.categories is None:
            self.all.backward(x.numbers, gradient, wants_input=False)
            return
        torch.sum(gradient, 0, out=self.bias_gradient)
        weight_gradient(x.numbers, gradient, self.numbers_gradient)
        rows = transposed(x.categories, len(self.rows))
        self.rows_gradient.copy_(weighted_sum(gradient.contiguous(), rows))
        if x.unknown is not None:
            means = x.unknown.T @ gradient
            self.rows_gradient += self.row_share * means[self.row_column]
