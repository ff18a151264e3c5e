"""Learn from the training rows how the input layer reads the columns of X.

Numbers are encoded in bins between knots, which are quantiles of their column and both
sides of the best splits of decision trees. A number fills all bins below it, and its
own bin in part. A missing number has an indicator, and each category has a row in a
table.
"""

from collections.abc import Mapping, Sized
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from skmtl._inputs._declared import Declared, with_declared
from skmtl._inputs._sample import (
    MISSING_SLOT,
    UNKNOWN_SLOT,
    ColumnSample,
    sample_columns,
)
from skmtl._inputs._splits import Splits

# Columns are clipped beyond these quantiles.
_TAIL = 0.01
# Categories with fewer training rows share one row of the table.
_MIN_ROWS = 2


@dataclass(frozen=True, eq=False)
class NumericColumns:
    """Numeric columns that vary in the training rows, or have missing values in them.

    Columns with at least three knots come first: the encoding is a curve for them.
    """

    positions: NDArray  # (n_columns,) in X
    # n_bins is the largest number of bins of a column:
    knots: NDArray  # (n_columns, n_bins + 1) of the halved numbers, padded with inf
    scores: NDArray  # (n_columns, n_bins + 1) of the knots, for the linear part
    bin_means: NDArray  # (n_columns, n_bins) mean of how far a bin is filled, 0 to 1
    has_missing: NDArray  # (n_columns,) whether a training row has a missing value

    @property
    def n_knots(self) -> NDArray:
        """(n_columns,) number of knots."""
        return np.isfinite(self.knots).sum(axis=1)

    @property
    def n_curved(self) -> int:
        """Number of columns with a curve."""
        return int((self.n_knots > 2).sum())


@dataclass(frozen=True, eq=False)
class CategoricalColumns:
    """Categorical columns that vary in the training rows.

    A column has slots for: missing, unknown, code 0, code 1, ... A slot has its own row
    of the table, shares one (rare and unknown categories) or has none (-1).
    """

    positions: NDArray  # (n_columns,) in X
    first_slot: NDArray  # (n_columns,)
    slot_row: NDArray  # (n_slots,)
    row_column: NDArray  # (n_rows,)
    row_share: NDArray  # (n_rows,) weighted share among training rows with a category


@dataclass(frozen=True, eq=False)
class ColumnEncoding:
    """How the input layer reads the columns of X."""

    n_features: int
    numeric: NumericColumns
    categorical: CategoricalColumns
    # (n_inputs,): which inputs of the first layer occur in a training row. None: all.
    is_shown: NDArray | None = None


def learn_encoding(
    X: NDArray,
    categories: Mapping[int, Sized],
    n_bins: int,
    *,
    rows: NDArray,
    row_weight: NDArray | None,
    rng: np.random.RandomState,
    declared: Declared | None = None,
    splits: Splits | None = None,
) -> ColumnEncoding:
    """Learn from the training `rows` of X; `row_weight` is (n_samples,) or None.

    `categories` has the codes of each categorical column, by its position. `declared`
    describes rows that come later. `splits` are those of `find_splits`.
    """
    sample = sample_columns(X, categories, rows, row_weight, rng)
    if declared is None:
        return encoding_of(sample, n_bins, splits)
    encoding = encoding_of(with_declared(sample, declared), n_bins, splits)
    return replace(encoding, is_shown=_inputs_shown(encoding, sample))


def encoding_of(
    sample: ColumnSample, n_bins: int, splits: Splits | None = None
) -> ColumnEncoding:
    """Learn from a sample; columns with category counts are categorical."""
    numeric = sorted(set(range(sample.n_features)) - set(sample.counts))
    return ColumnEncoding(
        sample.n_features,
        _learn_numeric(sample, numeric, n_bins, splits or {}),
        _learn_categorical(sample),
    )


def _inputs_shown(encoding: ColumnEncoding, sample: ColumnSample) -> NDArray:
    """Return (n_inputs,) of bool: False for inputs that only later rows may have."""
    numeric, categorical = encoding.numeric, encoding.categorical
    missing = sample.has_missing[numeric.positions[numeric.has_missing]]
    categories = np.zeros(len(categorical.row_column), dtype=bool)
    for j, first in zip(categorical.positions, categorical.first_slot, strict=True):
        rows = categorical.slot_row[first + np.flatnonzero(sample.counts[j])]
        categories[rows] = True
    n_curves = numeric.n_curved * numeric.bin_means.shape[1]
    is_line = np.ones(len(numeric.positions), dtype=bool)
    return np.concatenate([is_line, missing, np.ones(n_curves, bool), categories])


# Numbers --------------------------------------------------------------------------


class _Numbers(NamedTuple):
    """One numeric column."""

    position: int
    knots: NDArray
    scores: NDArray
    bin_means: NDArray
    has_missing: bool


def _learn_numeric(
    sample: ColumnSample, positions: list[int], n_bins: int, splits: Splits
) -> NumericColumns:
    columns = []
    for j in positions:
        # Halved, so that the difference of any two numbers is finite.
        values = 0.5 * sample.column(j).astype(np.float64)
        has_missing = bool(sample.has_missing[j])
        is_present = ~np.isnan(values)
        values, inverse = np.unique(values[is_present], return_inverse=True)
        if len(values) >= (1 if has_missing else 2):
            weights = np.bincount(inverse, sample.weight[is_present])
            pairs = 0.5 * splits[j] if j in splits else None
            knots = place_knots(values, weights, n_bins, sample.ranges.get(j), pairs)
            scores = _normal_scores(knots, values, weights)
            bin_means = _bin_means(knots, values, weights)
            columns.append(_Numbers(j, knots, scores, bin_means, has_missing))
    columns.sort(key=lambda column: len(column.knots) <= 2)
    n_bins = max((len(column.knots) - 1 for column in columns), default=1)
    n_bins = max(1, n_bins)  # 0 if each column has one value and missing ones
    return NumericColumns(
        np.array([column.position for column in columns], dtype=np.int64),
        _padded([column.knots for column in columns], n_bins + 1, np.inf),
        _padded([column.scores for column in columns], n_bins + 1, 0.0),
        _padded([column.bin_means for column in columns], n_bins, 0.0),
        np.array([column.has_missing for column in columns], dtype=bool),
    )


def _padded(columns: list[NDArray], width: int, fill: float) -> NDArray:
    result = np.full((len(columns), width), fill)
    for row, column in zip(result, columns, strict=True):
        row[: len(column)] = column
    return result


def place_knots(
    values: NDArray,
    weights: NDArray,
    n_bins: int,
    declared: tuple[float, float] | None = None,
    splits: NDArray | None = None,
) -> NDArray:
    """Choose at most `n_bins` + 1 of the distinct, ascending `values` as knots.

    Knots have about equal weight between them. Values that weigh more than a bin are
    knots; the other knots are quantiles of the rest. All knots are values, not means of
    two values, so that an increasing function maps knots to knots. The smallest and the
    largest value are not knots if they have less than a quarter of the weight of a bin:
    they may be outliers, and most of a bin would be the empty space next to them. The
    two ends of a `declared` range (not halved) are added.

    Both sides of the best `splits`, pairs of the values, are knots too: the narrow bin
    between them is a step. They take at most two thirds of the bins. The others are
    placed as if these did not exist.
    """
    if declared is not None:
        knots = place_knots(values, weights, max(1, n_bins - 2), splits=splits)
        return np.union1d(knots, 0.5 * np.asarray(declared, dtype=np.float64))
    if len(values) <= n_bins + 1:
        return values
    if splits is not None:
        sides = np.unique(splits[: n_bins // 3])
        return np.union1d(place_knots(values, weights, n_bins - len(sides)), sides)
    is_heavy = weights >= weights.sum() / n_bins
    light, n_light_bins = values[~is_heavy], n_bins - int(is_heavy.sum())
    if n_light_bins < 1:  # all the weight is heavy
        return values[is_heavy]
    if len(light) > n_light_bins + 1:
        cumulated = np.cumsum(weights[~is_heavy])
        levels = np.arange(n_light_bins + 1) / n_light_bins
        levels[0], levels[-1] = _TAIL, 1 - _TAIL
        index = np.searchsorted(cumulated, levels * cumulated[-1])
        is_outer = weights[~is_heavy] < 0.25 * cumulated[-1] / n_light_bins
        last = len(light) - 1
        light = light[index.clip(int(is_outer[0]), last - int(is_outer[last]))]
    knots = np.unique(np.concatenate([values[is_heavy], light]))
    return knots if len(knots) > 1 else values[[0, -1]]


def _normal_scores(knots: NDArray, values: NDArray, weights: NDArray) -> NDArray:
    """Return normal quantiles of the ranks of the knots, minus the mean of the column.

    They depend only on the order of the numbers. Unlike a standardised column, they
    stay small if a column is 1 in a few rows and 0 in the others.
    """
    ranks = (np.cumsum(weights) - 0.5 * weights) / weights.sum()
    # The side of a split may come from a row that was not sampled.
    place = np.searchsorted(values, knots).clip(max=len(values) - 1)
    # If weights differ by sixteen orders of magnitude, a rank may be 0 or 1.
    ranks = ranks[place].clip(1e-12, 1 - 1e-12)
    scores = ndtri(ranks)
    column = np.interp(_position(knots, values), np.arange(len(knots)), scores)
    return scores - np.average(column, weights=weights)


def _bin_means(knots: NDArray, values: NDArray, weights: NDArray) -> NDArray:
    n_bins = len(knots) - 1
    position = _position(knots, values)
    bins = position.astype(np.int64).clip(max=max(n_bins - 1, 0))
    here = np.bincount(bins, weights, minlength=n_bins)
    in_part = np.bincount(bins, weights * (position - bins), minlength=n_bins)
    above = here.sum() - np.cumsum(here)
    return ((above + in_part) / weights.sum())[:n_bins]


def _position(knots: NDArray, values: NDArray) -> NDArray:
    """Return the number of bins below each value, with a fraction for its own bin."""
    if len(knots) < 2:
        return np.zeros(len(values))
    below = np.searchsorted(knots, values, side="right") - 1
    below = below.clip(0, len(knots) - 2)
    # A quotient: np.interp computes a slope, which is infinite in the narrowest bins.
    filled = (values - knots[below]) / (knots[below + 1] - knots[below])
    return below + filled.clip(0.0, 1.0)


# Categories -----------------------------------------------------------------------


def _learn_categorical(sample: ColumnSample) -> CategoricalColumns:
    kept: list[int] = []
    first_slot: list[int] = []
    slot_row: list[NDArray] = []
    row_column: list[int] = []
    row_share: list[NDArray] = []
    n_slots = n_rows = 0
    for j in sorted(sample.counts):
        # Rows outside the training set may have more categories.
        slot_rows = _rows_of_slots(sample.counts[j])
        n_column_rows = slot_rows.max(initial=-1) + 1
        if n_column_rows < 2:
            continue
        has_category = slot_rows >= 0
        has_category[MISSING_SLOT] = False
        totals = np.bincount(
            slot_rows[has_category],
            sample.totals[j][has_category],
            minlength=n_column_rows,
        )
        row_column += [len(kept)] * n_column_rows
        row_share.append(totals / max(totals.sum(), np.finfo(float).tiny))
        slot_row.append(np.where(slot_rows >= 0, slot_rows + n_rows, -1))
        first_slot.append(n_slots)
        kept.append(j)
        n_slots += len(slot_rows)
        n_rows += n_column_rows
    return CategoricalColumns(
        np.array(kept, dtype=np.int64),
        np.array(first_slot, dtype=np.int64),
        np.concatenate([*slot_row, np.zeros(0, dtype=np.int64)]),
        np.array(row_column, dtype=np.int64),
        np.concatenate([*row_share, np.zeros(0)]),
    )


def _rows_of_slots(counts: NDArray) -> NDArray:
    """Return the row of each slot by its number of training rows, -1 for none."""
    is_rare = counts < _MIN_ROWS
    is_rare[MISSING_SLOT] = False
    is_rare[UNKNOWN_SLOT] = True
    has_own = ~is_rare & (counts > 0)
    result = np.where(has_own, np.cumsum(has_own) - 1, -1)
    if counts[is_rare].any():
        result[is_rare] = has_own.sum()
    return result
