"""The data that one call of fit or partial_fit learns from, already checked."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmtl._estimators._scales import standardised, with_scales
from skmtl._inputs import (
    ColumnEncoding,
    InputColumns,
    Splits,
    find_splits,
    learn_encoding,
)
from skmtl._messages import shorten, warn
from skmtl._outputs import OutputKind, constant_loss
from skmtl._rows import LabelledRows, Rows, as_tensor, optional_tensor
from skmtl._targets import (
    Classes,
    Encoded,
    Numbers,
    Tasks,
)
from skmtl._training import Workers, thread_limit
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
from skmtl.model_selection._strata import binned
from skmtl.model_selection._stratify import pairs_of, rows_as_units, stratify

# 90 % of the draws of a normal distribution lie within this many deviations.
_NINETY_PERCENT = 1.6448536269514722
# Of fewer residuals, even the largest covers fewer than 90 % of new ones.
_FEWEST_RESIDUALS = 9
# Up to this many rows, the rows that members leave out are stratified by class. That
# takes 20 microseconds per row.
_ROWS_TO_STRATIFY = 20_000
# Rows of X that are hashed at once.
_ROWS_AT_ONCE = 8192


class Measures(NamedTuple):
    """What the rules for "auto" and the start need to know about the training rows."""

    n_rows: int  # with a label
    loss: float  # of the best constant prediction, summed over the labels of a row
    loss_of_numbers: float  # the part of the numeric tasks
    mean_weight: float  # of a row
    row_norm: float  # mean squared length of a sparse row, else 0
    class_totals: NDArray  # (n_tasks, most codes): weights of the labels in the loss


class AnyTrainingSet(Protocol):
    """The data to train on, whatever form the rows have."""

    @property
    def columns(self) -> InputColumns: ...
    @property
    def n_features(self) -> int: ...
    @property
    def is_sparse(self) -> bool: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def outputs(self) -> tuple[OutputKind, ...]:
        """The output kind of each task."""

    @property
    def is_labelled(self) -> NDArray:
        """(n_tasks,): whether the task has a label of positive weight."""

    @property
    def totals(self) -> NDArray:
        """(n_tasks, most codes): weight of the labels of each class."""

    @property
    def counted(self) -> NDArray | None:
        """(n_samples, n_tasks) codes, if they are in memory."""

    def digest(self) -> str:
        """A hash that distinguishes these rows, labels and weights from others."""


@dataclass(frozen=True)
class TrainingSet:
    """Rows, labels and weights."""

    X: Any  # ndarray or CSR
    columns: InputColumns
    tasks: Tasks
    outputs: tuple[OutputKind, ...]  # per task
    data: LabelledRows
    counted: NDArray  # codes, -1 also for labels of weight 0
    is_labelled: NDArray  # (n_tasks,): whether a task has a label of positive weight
    totals: NDArray  # (n_tasks, most codes): weight of the labels of each class

    def rows(self) -> NDArray:
        """Rows with a label; the others never enter a batch."""
        return np.flatnonzero(self.counted.max(axis=1) >= 0)

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1])

    @property
    def is_sparse(self) -> bool:
        return bool(sparse.issparse(self.X))

    def measures(self, rows: NDArray) -> Measures:
        """The measures of these rows."""
        return measures_of(
            self,
            self._totals_of(rows),
            self.data.weight_table.numpy(),
            len(rows),
            self.mean_weight(rows),
            self.row_norm(rows),
        )

    def _totals_of(self, rows: NDArray) -> NDArray:
        """The part of `totals` of these rows, which have labels."""
        if len(rows) == len(self.rows()):
            return self.totals
        weight = self.data.sample_weight
        given = None if weight is None else weight.numpy()
        return label_totals(self.counted, given, self.tasks.n_codes, rows)

    def mean_weight(self, rows: NDArray) -> float:
        """The mean weight of these rows."""
        row_weight = self.data.row_weight
        if row_weight is None or len(rows) == 0:
            return 1.0
        return float(row_weight.numpy()[rows].mean(dtype=np.float64))

    def row_norm(self, rows: NDArray) -> float:
        """The mean squared length of these rows if they are sparse, else 0."""
        if not sparse.issparse(self.X):
            return 0.0
        squares = np.square(self.X[rows].data, dtype=np.float64).sum()
        return float(squares / max(1, len(rows)))

    def learn_encoding(
        self,
        rows: NDArray,
        n_bins: int,
        rng: np.random.RandomState,
        *,
        reads_labels: bool,
    ) -> ColumnEncoding | None:
        """What the input layer learns from the rows; None without an encoding.

        If it `reads_labels`, some bins begin at the splits of decision trees.
        """
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
            declared=self.columns.declared,
            splits=tree_splits(self, self.data, rows) if reads_labels else None,
        )

    def strata(self, rows: NDArray, n_parts: int = 1) -> tuple[NDArray, NDArray]:
        """Codes (n_rows, n_tasks) to stratify by, and how many each task has.

        Numbers are binned by their ranks, into bins of at least `n_parts` values if
        possible; missing labels are -1.
        """
        codes, numbers = self.counted[rows], self.data.numbers
        if numbers is None:
            return codes, self.tasks.n_codes
        return binned(self.tasks, codes, lambda t: numbers[:, t].numpy()[rows], n_parts)

    def digest(self) -> str:
        """A hash that distinguishes these rows, labels and weights from others."""
        digest = hashlib.sha256()
        data, tasks, X = self.data, self.tasks, self.X
        parts = [X.data, X.indices, X.indptr] if sparse.issparse(X) else [X]
        optional = data.numbers, data.sample_weight, data.row_weight
        tensors = [data.codes, data.weight_table]
        tensors += [tensor for tensor in optional if tensor is not None]
        parts += [tensor.numpy() for tensor in tensors]
        for part in parts:
            digest.update(f"{part.dtype} {part.shape}".encode())
            for start in range(0, len(part), _ROWS_AT_ONCE):  # no copy as large as X
                block = np.ascontiguousarray(part[start : start + _ROWS_AT_ONCE])
                digest.update(block.data)
        digest.update(repr((tasks.names.tolist(), described(tasks))).encode())
        return digest.hexdigest()

    def numbers_in_units(self) -> NDArray | None:
        """(n_samples, n_tasks): the numbers of y, in single precision."""
        if self.data.numbers is None:
            return None
        numbers = self.data.numbers.numpy().astype(np.float64)
        for t, target in enumerate(self.tasks.targets):
            if isinstance(target, Numbers):
                numbers[:, t] = target.in_units(numbers[:, t])
        return numbers

    def with_deviation_factors(self, moments: list[NDArray]) -> Tasks:
        """Tasks whose predicted deviations fit the residuals of the left-out rows.

        `moments` of each numeric task are (n_samples, 3), from the member that left a
        row out; NaN for other rows. At least 90 % of the residuals of new rows lie
        within 1.645 deviations, if they come from the same distribution (split
        conformal prediction, Lei et al. 2018, section 2.2). The plain quantile of few
        residuals would be too small. Tasks with too few for this share one factor, from
        the residuals of these tasks together. Residuals have the weights of their
        labels, and a new row has their mean weight.
        """
        assert self.data.numbers is not None
        targets = list(self.tasks.targets)
        ratios: dict[int, NDArray] = {}  # (n_residuals, 2): their size, and weight
        for t, target in enumerate(targets):
            if isinstance(target, Numbers) and target.scale > 0:
                mean, variance, _ = moments[t].T
                rows = np.flatnonzero((self.counted[:, t] >= 0) & ~np.isnan(mean))
                z = self.data.numbers[:, t].numpy()[rows].astype(np.float64)
                ratio = np.abs(z - mean[rows]) / np.sqrt(variance[rows])
                ratios[t] = np.column_stack([ratio, self.data.label_weights(t, rows)])
        few = [own for own in ratios.values() if len(own) < _FEWEST_RESIDUALS]
        for t, own in ratios.items():
            is_enough, target = len(own) >= _FEWEST_RESIDUALS, targets[t]
            residuals = own if is_enough else np.concatenate(few)
            if len(residuals) and isinstance(target, Numbers):
                factor = _conformal_quantile(*residuals.T) / _NINETY_PERCENT
                targets[t] = replace(target, deviation_factor=factor)
        return replace(self.tasks, targets=targets)

    def hold_out(
        self,
        validation_fraction: float,
        rng: np.random.RandomState,
        main_tasks: tuple[int, ...] | None,
    ) -> tuple[NDArray, NDArray]:
        """Split the rows into those to train on and those to validate on."""
        rows = self.rows()
        train, held_out = train_validation_split(
            *self.strata(rows), validation_fraction, rng
        )
        sides = rows[train], rows[held_out]
        table = self.data.weight_table.numpy()[:, 1:]
        has = [(self._totals_of(side) * table).sum(axis=1) > 0 for side in sides]
        check_sides(self, np.column_stack(has), main_tasks, len(train), len(held_out))
        return sides

    def leave_out(
        self, rows: NDArray, n_folds: int, n_members: int, rng: np.random.RandomState
    ) -> NDArray:
        """(n_samples,): the member that leaves out each of these rows, else -1.

        Each member leaves out one of the folds. If a class or a numeric task has fewer
        labels than there are folds, nobody leaves out their rows, so that every member
        is trained on them. If these are most of the rows, no row is left out: the few
        others could differ from them, and would show little.
        """
        left_out_by = np.full(len(self.counted), -1, dtype=np.int16)
        pairs = pairs_of(*self.strata(rows, n_folds))
        counts = np.bincount(pairs[pairs >= 0])
        is_rare = (counts < n_folds)[pairs] & (pairs >= 0)
        spare = np.flatnonzero(~is_rare.any(axis=1))
        if 2 * len(spare) < len(rows):
            return left_out_by
        if len(spare) > _ROWS_TO_STRATIFY:  # a random split is good enough
            left_out_by[rows[spare]] = rng.permutation(len(spare)) % n_folds
        elif len(spare) >= n_folds:
            sizes = np.bincount(np.arange(len(spare)) % n_folds)
            units = rows_as_units(pairs[spare])
            left_out_by[rows[spare]] = stratify(units, sizes, rng)
        left_out_by[left_out_by >= n_members] = -1
        return left_out_by


def _conformal_quantile(sizes: NDArray, weights: NDArray) -> float:
    """The size that a new residual exceeds in at most a tenth of the cases.

    With equal weights, it is the one of rank 0.9 * (n + 1). With others, n is the
    effective number of residuals (Kish 1965): (sum of weights)^2 / sum of squares.
    """
    order, share = np.argsort(sizes), weights / weights.sum()
    n_effective = 1 / np.square(share).sum()
    level = 0.9 * (1 + 1 / n_effective) - 1e-12
    position = int(np.searchsorted(np.cumsum(share[order]), level))
    return float(sizes[order][min(position, len(sizes) - 1)])


def check_sides(
    training_set: AnyTrainingSet,
    has: NDArray,
    main_tasks: tuple[int, ...] | None,
    n_train: int,
    n_held_out: int,
) -> None:
    """Check that the tasks have labels to train on and labels to validate on.

    `has` is (n_tasks, 2) of bool, for both sides.
    """
    tasks, main = training_set.tasks, list(main_tasks or range(len(has)))
    if not has[main].any(axis=0).all():
        of_main = "" if main_tasks is None else " for main_tasks"
        raise ValueError(
            "early_stopping needs labels of positive weight on both sides of the "
            f"split{of_main}, but {n_held_out} labelled rows were held out and "
            f"{n_train} were not. Add labels, or use early_stopping=False."
        )
    one_sided = tasks.names[training_set.is_labelled & ~has.all(axis=1)]
    if len(one_sided):
        warn(
            f"{len(one_sided)} of {tasks.n_tasks} tasks have too few labels for "
            f"early_stopping to hold one out and keep one: {shorten(one_sided)}. They "
            "do not count in the validation score."
        )


def labelled_rows(
    X: Any,
    columns: InputColumns,
    counted: NDArray,
    numbers: NDArray | None,
    table: NDArray,
    sample_weight: NDArray | None,
) -> LabelledRows:
    """The rows in the form that the loop reads."""
    return LabelledRows(
        Rows.of(X, encoded=columns.encoding == "piecewise"),
        as_tensor(counted),
        optional_tensor(numbers),
        as_tensor(table),
        optional_tensor(sample_weight),
        optional_tensor(row_weights(counted, sample_weight)),
    )


def described(tasks: Tasks) -> list:
    """The labels of each classification task, mean and scale of each numeric task."""
    return [
        target.labels.tolist()
        if isinstance(target, Classes)
        else (target.mean, target.scale)
        for target in tasks.targets
    ]


def tree_splits(
    training_set: AnyTrainingSet, data: LabelledRows, rows: NDArray
) -> Splits:
    """The splits of decision trees for all tasks, fitted to some rows of the data."""
    categories, numbers = training_set.columns.categories, data.numbers
    with thread_limit(0) as n_threads, Workers(n_threads) as workers:
        return find_splits(
            data.rows.X.numpy(),
            [j for j in range(training_set.n_features) if j not in categories],
            rows,
            data.codes.numpy(),
            None if numbers is None else numbers.numpy(),
            training_set.tasks.are_numbers,
            data.label_weights,
            workers.run,
        )


def measures_of(
    training_set: AnyTrainingSet,
    totals: NDArray,
    table: NDArray,
    n_rows: int,
    mean_weight: float,
    row_norm: float,
) -> Measures:
    """The measures of rows with these weights of labels, weight table and so on."""
    outputs, weight = training_set.outputs, max(1, n_rows) * mean_weight
    weighted = totals * table[:, 1:]
    of_numbers = weighted * training_set.tasks.are_numbers[:, None]
    return Measures(
        n_rows,
        constant_loss(weighted, outputs) / weight,
        constant_loss(of_numbers, outputs) / weight,
        mean_weight,
        row_norm,
        weighted,
    )


def make_training_set(
    X: Any,
    columns: InputColumns,
    encoded: Encoded,
    output_kind: Callable[[Any], OutputKind],
    *,
    learns_scale: bool,
    transformer: Any = None,
    sample_weight: Any,
    task_weight: Any,
    class_weight: Any,
) -> TrainingSet:
    """Check the weights, and put the data in the form that the loop reads."""
    tasks, codes, numbers = encoded
    sample_weight = check_sample_weight(sample_weight, codes, tasks)
    counted = mask_weightless(codes, sample_weight)
    if numbers is not None:
        if learns_scale:
            tasks = with_scales(tasks, numbers, counted, sample_weight, transformer)
        numbers = standardised(numbers, counted, tasks, is_continued=not learns_scale)
    totals = label_totals(codes, sample_weight, tasks.n_codes)
    table = weight_table(
        task_weights(task_weight, tasks, totals),
        class_weights(class_weight, tasks, totals),
    )
    data = labelled_rows(X, columns, counted, numbers, table, sample_weight)
    is_labelled = (totals * table[:, 1:]).sum(axis=1) > 0
    outputs = tuple(output_kind(target) for target in tasks.targets)
    return TrainingSet(X, columns, tasks, outputs, data, counted, is_labelled, totals)
