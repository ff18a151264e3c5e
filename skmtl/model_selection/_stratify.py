"""Iterative stratification (Sechidis 2011, Algorithm 1) by pairs of task and class."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9  # of sums of shares such as 1/3


class Units(NamedTuple):
    """The units that must stay in one fold: rows, or groups of rows.

    There is one more pair, which counts the rows of a unit. So the sizes of the folds
    are balanced in the same way as the labels.
    """

    pairs: list[NDArray]  # for each unit, the pairs that it has labels of
    counts: list[NDArray]  # for each unit, the number of labels of each of these pairs
    sizes: NDArray  # (n_units,): number of rows of each unit


def pairs_of(codes: NDArray, n_classes: NDArray) -> NDArray:
    """(n_samples, n_tasks): index of the pair of task and class, -1 where missing."""
    first = np.concatenate([[0], np.cumsum(n_classes)[:-1]])
    return np.where(codes >= 0, codes + first, -1)


def rows_as_units(pairs: NDArray) -> Units:
    """Each row as a unit."""
    with_row = np.column_stack([pairs, np.full(len(pairs), pairs.max() + 1)])
    present = [row[row >= 0] for row in with_row]
    counts = [np.ones(len(row)) for row in present]
    return Units(present, counts, np.ones(len(pairs), dtype=np.intp))


def groups_as_units(pairs: NDArray, group_of: NDArray, n_groups: int) -> Units:
    """Each group of rows as a unit; `group_of` numbers the groups from 0."""
    rows = rows_as_units(pairs)
    sizes = np.bincount(group_of, minlength=n_groups)
    by_group = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    present, counts = [], []
    for members in by_group:
        labels = np.concatenate([rows.pairs[row] for row in members])
        values, n_labels = np.unique(labels, return_counts=True)
        present.append(values)
        counts.append(n_labels.astype(float))
    return Units(present, counts, sizes)


def stratify(
    units: Units, fold_sizes: NDArray, rng: np.random.RandomState | None
) -> NDArray:
    """Fold of each unit, so that each fold has its share of the labels of every pair.

    The numbers of rows per fold are those of `fold_sizes`: exactly if units are single
    rows, roughly if they are groups. Without `rng`, units are placed in order and ties
    go to the first fold.
    """
    n_units = len(units.sizes)
    order = np.arange(n_units) if rng is None else rng.permutation(n_units)
    folds = _Folds(units, fold_sizes, rng)
    # Large groups first, while the folds still have room to balance them.
    for size in np.unique(units.sizes)[::-1]:
        _place(order[units.sizes[order] == size], units, folds)
    return folds.fold_of


def _place(members: NDArray, units: Units, folds: "_Folds") -> None:
    """Put these units into folds, starting with the units of the rarest pair."""
    with_pair: dict[int, list[int]] = {}
    for unit in members:
        for pair in units.pairs[unit].tolist():
            with_pair.setdefault(pair, []).append(unit)
    waiting = np.zeros(len(folds.remaining), dtype=bool)
    waiting[list(with_pair)] = True
    while waiting.any():
        rarest = int(np.where(waiting, folds.remaining, np.inf).argmin())
        for unit in with_pair[rarest]:
            if folds.fold_of[unit] < 0:
                folds.put(unit)
        waiting[rarest] = False


class _Folds:
    """The labels that each fold has and lacks."""

    def __init__(
        self, units: Units, sizes: NDArray, rng: np.random.RandomState | None
    ) -> None:
        self.units = units
        self.rng = rng
        self.shares = sizes / sizes.sum()
        n_pairs = 1 + max(int(pairs[-1]) for pairs in units.pairs)
        self.remaining = np.zeros(n_pairs)  # labels of each pair not yet in a fold
        for pairs, counts in zip(units.pairs, units.counts, strict=True):
            self.remaining[pairs] += counts
        # How far a fold is from its share, relative to its size: small folds fill up at
        # the same pace as large ones, and all reach 0 together.
        self.lack = np.tile(self.remaining, (len(sizes), 1))  # (n_folds, n_pairs)
        self.is_exact = bool((units.sizes == 1).all())
        self.fold_of = np.full(len(units.sizes), -1)

    def put(self, unit: int) -> None:
        """Put a unit into the fold that lacks its labels most."""
        pairs, counts = self.units.pairs[unit], self.units.counts[unit]
        fold = self._neediest(pairs, counts)
        self.fold_of[unit] = fold
        self.lack[fold, pairs] -= counts / self.shares[fold]
        self.remaining[pairs] -= counts

    def _neediest(self, pairs: NDArray, counts: NDArray) -> int:
        # A pair with few labels left weighs more: later labels cannot restore balance.
        need = self.lack[:, pairs] @ (counts / self.remaining[pairs])
        rows_left = self.lack[:, -1] * self.shares
        if self.is_exact:
            need = np.where(rows_left > 0.5, need, -np.inf)
        best = np.flatnonzero(need > need.max() - _ROUNDING)
        if len(best) > 1:
            best = best[rows_left[best] > rows_left[best].max() - _ROUNDING]
        if self.rng is None or len(best) == 1:
            return int(best[0])
        return int(best[self.rng.randint(len(best))])
