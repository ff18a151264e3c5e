"""What one call of fit or partial_fit learns from, checked before any training."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import rel_entr

from skmtl._inputs import ColumnEncoding, InputColumns, canonical, learn_encoding
from skmtl._rows import LabelledRows, Rows, as_tensor
from skmtl._targets import Tasks, shorten
from skmtl._weights import (
    check_sample_weight,
    class_weights,
    label_totals,
    mask_weightless,
    row_weights,
    task_weights,
    weight_table,
)
from skmtl.model_selection._split import train_validation_split
from skmtl.model_selection._stratify import pairs_of, rows_as_units, stratify

# Up to so many rows, members leave out each class's share: it takes 20 microseconds a
# row.
_ROWS_TO_STRATIFY = 20_000


@dataclass(frozen=True)
class TrainingSet:
    """Rows, labels and weights."""

    X: Any  # ndarray or CSR
    columns: InputColumns
    tasks: Tasks
    data: LabelledRows
    counted: NDArray  # codes, -1 also where the label has weight 0
    is_labelled: NDArray  # (n_tasks,): whether it has a label of positive weight

    def rows(self) -> NDArray:
        """Rows with a label; the others never enter a batch."""
        return np.flatnonzero(self.counted.max(axis=1) >= 0)

    def constant_loss(self, rows: NDArray) -> float:
        """The loss J, on these rows, of the best prediction that is the same for all.

        That is the frequencies of each task's classes: J is their entropy, in nats,
        summed over the labels of a row.
        """
        sample_weight = self.data.sample_weight
        totals = label_totals(
            self.counted,
            None if sample_weight is None else sample_weight.numpy(),
            self.tasks.n_classes,
            rows,
        )
        totals = totals * self.data.weight_table.numpy()[:, 1:]
        per_task = totals.sum(axis=1, keepdims=True)
        weight = max(1, len(rows)) * self.mean_weight(rows)
        return float(-rel_entr(totals, per_task).sum() / weight)

    def mean_weight(self, rows: NDArray) -> float:
        """The mean weight of these rows."""
        row_weight = self.data.row_weight
        if row_weight is None or len(rows) == 0:
            return 1.0
        return float(row_weight.numpy()[rows].mean(dtype=np.float64))

    def row_norm(self) -> float:
        """The mean squared length of a sparse row, 0 of dense ones."""
        if not sparse.issparse(self.X):
            return 0.0
        squares = np.square(self.X.data, dtype=np.float64).sum()
        return float(squares / max(1, self.X.shape[0]))

    def learn_encoding(
        self, rows: NDArray, n_bins: int, rng: np.random.RandomState
    ) -> ColumnEncoding | None:
        """What the input layer learns from the rows to train on; None without one."""
        if self.columns.encoding == "none":
            return None
        row_weight = self.data.row_weight
        if len(rows) == 0:  # the first call of partial_fit brought no label
            rows, row_weight = np.arange(len(self.X)), None
        return learn_encoding(
            self.X,
            self.columns.categories,
            n_bins,
            rows=rows,
            row_weight=None if row_weight is None else row_weight.numpy(),
            rng=rng,
        )

    def hold_out(
        self, validation_fraction: float, rng: np.random.RandomState
    ) -> tuple[NDArray, NDArray]:
        """Rows to train on and rows to validate on."""
        rows = self.rows()
        codes = self.counted[rows]
        train, held_out = train_validation_split(
            codes, self.tasks.n_classes, validation_fraction, rng
        )
        self._check_sides(codes[train], codes[held_out])
        return rows[train], rows[held_out]

    def leave_out(
        self, rows: NDArray, n_members: int, rng: np.random.RandomState
    ) -> NDArray:
        """(n_samples,): the member that leaves out each of these rows, else -1.

        Rows with one of so few labels of a class that a member might see none are left
        out by nobody.
        """
        left_out_by = np.full(len(self.counted), -1, dtype=np.int16)
        pairs = pairs_of(self.counted[rows], self.tasks.n_classes)
        counts = np.bincount(pairs[pairs >= 0])
        is_rare = (counts < n_members)[pairs] & (pairs >= 0)
        spare = np.flatnonzero(~is_rare.any(axis=1))
        if len(spare) > _ROWS_TO_STRATIFY:  # chance is good enough
            left_out_by[rows[spare]] = rng.permutation(len(spare)) % n_members
        elif len(spare) >= n_members:
            sizes = np.bincount(np.arange(len(spare)) % n_members)
            units = rows_as_units(pairs[spare])
            left_out_by[rows[spare]] = stratify(units, sizes, rng)
        return left_out_by

    def _check_sides(self, train: NDArray, held_out: NDArray) -> None:
        has_train = (train >= 0).any(axis=0)
        has_score = (held_out >= 0).any(axis=0)
        # Class and task weights may be 0 where sample weights are not.
        weights = self.data.weight_table.numpy()[
            np.arange(train.shape[1]), held_out + 1
        ]
        if not has_train.any() or not weights.any():
            raise ValueError(
                "early_stopping needs labels of positive weight on both sides of the "
                f"split, but of {len(train) + len(held_out)} rows with labels "
                f"{len(held_out)} could be held out. Add labels, or use "
                "early_stopping=False."
            )
        one_sided = self.tasks.names[self.is_labelled & ~(has_train & has_score)]
        if len(one_sided):
            warnings.warn(
                f"{len(one_sided)} of {self.tasks.n_tasks} tasks have too few labels "
                f"for early_stopping to hold one out and keep one: {shorten(one_sided)}"
                ". They do not count in the validation score.",
                UserWarning,
                stacklevel=7,  # the caller of fit, past scikit-learn's wrapper
            )


def make_training_set(
    X: Any,
    columns: InputColumns,
    codes: NDArray,
    tasks: Tasks,
    *,
    sample_weight: Any,
    task_weight: Any,
    class_weight: Any,
) -> TrainingSet:
    """Check the weights and put all that is learned from in the loop's form."""
    if sparse.issparse(X):
        X = canonical(X)  # dropout draws for the entries as they come
    sample_weight = check_sample_weight(sample_weight, codes, tasks)
    totals = label_totals(codes, sample_weight, tasks.n_classes)
    table = weight_table(
        task_weights(task_weight, tasks, totals),
        class_weights(class_weight, tasks, totals),
    )
    counted = mask_weightless(codes, sample_weight)
    data = LabelledRows(
        Rows.of(X, encoded=columns.encoding == "piecewise"),
        as_tensor(counted),
        as_tensor(table),
        _optional_tensor(sample_weight),
        _optional_tensor(row_weights(counted, sample_weight)),
    )
    is_labelled = (totals * table[:, 1:]).sum(axis=1) > 0
    return TrainingSet(X, columns, tasks, data, counted, is_labelled)


def _optional_tensor(array: NDArray | None) -> torch.Tensor | None:
    return None if array is None else as_tensor(array)
