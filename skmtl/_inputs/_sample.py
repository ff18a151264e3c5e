"""The sample of the columns of X from which the encoding is learned."""

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Largest number of rows from which the knots are learned.
SAMPLE_SIZE = 200_000
# Slots of a categorical column before the slots of its codes.
MISSING_SLOT, UNKNOWN_SLOT, FIRST_CODE_SLOT = 0, 1, 2


@dataclass(frozen=True, eq=False)
class ColumnSample:
    """Values of some training rows, and counts over all of them."""

    n_features: int
    column: Callable[[int], NDArray]  # the values of a column in the sampled rows
    weight: NDArray  # (n_sampled,) weights of these rows
    has_missing: NDArray  # (n_features,) whether a training row has a missing value
    # By the position of a categorical column, (n_slots,): missing, unknown, code 0, ...
    counts: Mapping[int, NDArray]  # number of training rows
    totals: Mapping[int, NDArray]  # their weight
    # By the position of a numeric column, the range that must not be clipped.
    ranges: Mapping[int, tuple[float, float]] = field(default_factory=dict)


def sample_columns(
    X: NDArray,
    categories: Mapping[int, Sized],
    rows: NDArray,
    row_weight: NDArray | None,
    rng: np.random.RandomState,
) -> ColumnSample:
    """Sample the training `rows` of X; `row_weight` is (n_samples,) or None."""
    weight = np.ones(len(X)) if row_weight is None else row_weight.astype(np.float64)
    sample = rows
    if len(rows) > SAMPLE_SIZE:
        sample = rows[rng.choice(len(rows), SAMPLE_SIZE, replace=False)]
    counts, totals = {}, {}
    for j, codes in categories.items():
        slots, n_slots = slots_of(X[rows, j]), FIRST_CODE_SLOT + len(codes)
        counts[j] = np.bincount(slots, minlength=n_slots)
        totals[j] = np.bincount(slots, weight[rows], minlength=n_slots)
    return ColumnSample(
        X.shape[1],
        lambda j: X[sample, j],
        weight[sample],
        has_missing(X, rows),
        counts,
        totals,
    )


def slots_of(column: NDArray) -> NDArray:
    """Return the slots of the codes of a categorical column."""
    codes = column.astype(np.float64)
    slots = np.where(np.isnan(codes), MISSING_SLOT, codes + FIRST_CODE_SLOT)
    return slots.astype(np.int64)


def has_missing(X: NDArray, rows: NDArray) -> NDArray:
    """Return (n_features,) of bool: which columns have missing values."""
    if X.dtype.kind != "f":
        return np.zeros(X.shape[1], dtype=bool)
    # Column by column, to avoid a copy of all rows.
    return np.array([np.isnan(X[rows, j]).any() for j in range(X.shape[1])], bool)
