"""Learn the columns of an X that arrives in parts."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skmtl._inputs._check import Codes, InputColumns, extended_codes, sorted_codes
from skmtl._inputs._sample import FIRST_CODE_SLOT, SAMPLE_SIZE, ColumnSample, slots_of
from skmtl._sampling import RowSample

# Memory for the sample from which bins are learned.
SAMPLE_BYTES = 2**27


def sample_size(n_features: int) -> int:
    """Largest number of rows in a sample."""
    return min(SAMPLE_SIZE, max(1000, SAMPLE_BYTES // (8 * max(1, n_features))))


class ColumnsSeen:
    """Collects categories in order of arrival, their counts, and a sample of the rows.

    For categorical columns, only the counts are used: their codes in the sample are no
    longer valid once the categories are sorted.
    """

    def __init__(self, columns: InputColumns, n_features: int) -> None:
        self.columns, self.n_features = columns, n_features
        self.has_missing = np.zeros(n_features, dtype=bool)
        # By the position of a categorical column: rows and weight in each slot.
        self.slots = {j: np.zeros((FIRST_CODE_SLOT, 2)) for j in columns.categories}
        self.rows = RowSample(sample_size(n_features))

    def add(self, X: NDArray, weight: NDArray, keys: NDArray) -> None:
        """Add training rows, with the codes of the columns so far."""
        if X.dtype.kind == "f":
            self.has_missing |= np.isnan(X).any(axis=0)
        for j, codes in self.columns.categories.items():
            slots, n_slots = slots_of(X[:, j]), FIRST_CODE_SLOT + len(codes)
            here = np.column_stack(
                [
                    np.bincount(slots, minlength=n_slots),
                    np.bincount(slots, weight, minlength=n_slots),
                ]
            )
            self.slots[j] = _padded(self.slots[j], n_slots) + here
        self.rows.add(keys, X, weight)

    def merge(self, other: "ColumnsSeen") -> None:
        """Add what was collected from other rows of the same columns."""
        categories = {}
        for j, codes in self.columns.categories.items():
            theirs = other.columns.categories[j]
            categories[j] = extended_codes(codes, list(theirs))
        self.columns = replace(self.columns, categories=categories)
        self.has_missing |= other.has_missing
        for j, codes in categories.items():
            moved = _moved_slots(other.columns.categories[j], codes)
            slots = _padded(self.slots[j], FIRST_CODE_SLOT + len(codes))
            slots[moved] += _padded(other.slots[j], len(moved))
            self.slots[j] = slots
        kept = other.rows.kept()
        if kept is not None:
            self.rows.add(*kept)

    def learned(self) -> tuple[InputColumns, ColumnSample]:
        """Return columns with sorted categories, and the sample for the encoding."""
        categories = {j: sorted_codes(c) for j, c in self.columns.categories.items()}
        _, X, weight = self.rows.kept() or self._without_rows()
        slots = {}
        for j, codes in categories.items():
            moved = _moved_slots(self.columns.categories[j], codes)
            slots[j] = np.zeros((len(moved), 2))
            slots[j][moved] = _padded(self.slots[j], len(moved))
        return replace(self.columns, categories=categories), ColumnSample(
            self.n_features,
            lambda j: X[:, j],
            weight,
            self.has_missing,
            {j: part[:, 0].astype(np.int64) for j, part in slots.items()},
            {j: part[:, 1] for j, part in slots.items()},
        )

    def _without_rows(self) -> tuple[NDArray, ...]:
        return np.empty(0), np.empty((0, self.n_features)), np.empty(0)


def _padded(slots: NDArray, n_slots: int) -> NDArray:
    result = np.zeros((n_slots, 2))
    result[: len(slots)] = slots
    return result


def _moved_slots(old: Codes, new: Codes) -> NDArray:
    """Return the new slot of each old one."""
    codes = [new[value] + FIRST_CODE_SLOT for value in old]
    return np.array([*range(FIRST_CODE_SLOT), *codes], dtype=np.int64)
