"""What the user declares about the columns of X, if most rows come later."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmtl._inputs._sample import MISSING_SLOT, UNKNOWN_SLOT, ColumnSample

Range = tuple[float, float]
# Number of evenly spread values of a declared range.
_N_VALUES = 1_000


@dataclass(frozen=True)
class Declared:
    """Declarations by the position of a column in X."""

    categories: tuple[int, ...]  # columns with all their categories declared
    ranges: dict[int, Range]


def with_declared(sample: ColumnSample, declared: Declared) -> ColumnSample:
    """Add what is declared to a sample, and a missing value to each column.

    The values of all ranges together weigh as much as the sampled rows.
    """
    counts = {j: rows.copy() for j, rows in sample.counts.items()}
    for j, rows in counts.items():
        rows[[MISSING_SLOT, UNKNOWN_SLOT]] = rows[[MISSING_SLOT, UNKNOWN_SLOT]].clip(1)
        if j in declared.categories:
            rows[UNKNOWN_SLOT + 1 :] = rows[UNKNOWN_SLOT + 1 :].clip(2)
    sample = replace(
        sample,
        counts=counts,
        has_missing=np.ones_like(sample.has_missing),
        ranges=declared.ranges,
    )
    if not declared.ranges:
        return sample
    total = float(sample.weight.sum()) or 1.0
    weight = np.append(sample.weight, np.full(_N_VALUES, total / _N_VALUES))
    return replace(sample, weight=weight, column=_Column(sample, declared.ranges))


@dataclass(frozen=True)
class _Column:
    """The values of a column in the sampled rows, and the values of its range."""

    sample: ColumnSample
    ranges: dict[int, Range]

    def __call__(self, j: int) -> NDArray:
        low, high = self.ranges.get(j, (np.nan, np.nan))
        values = self.sample.column(j)
        # As weighted means, since the difference of the ends may overflow.
        share = np.linspace(0.0, 1.0, _N_VALUES)
        return np.append(values, (1.0 - share) * low + share * high)
