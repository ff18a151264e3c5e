"""Training rows that are read in blocks, or shared among several processes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._estimators._scales import standardised
from skmtl._estimators._training_set import (
    Measures,
    check_sides,
    described,
    labelled_rows,
    measures_of,
    tree_splits,
)
from skmtl._inputs import (
    ColumnEncoding,
    ColumnSample,
    InputColumns,
    Splits,
    check_inputs,
    encoding_of,
    n_rows_per_tree,
    sample_size,
)
from skmtl._outputs import OutputKind
from skmtl._rows import LabelledRows, as_tensor, joined_rows
from skmtl._sources import Part, Source
from skmtl._targets import Tasks, encode
from skmtl._training import RowsInMemory, StreamedRows, TrainingRows
from skmtl._weights import check_sample_weight, mask_weightless
from skmtl._world import World


class InMemory:
    """All rows as one block with one part."""

    n_blocks = 1

    def __init__(self, X: Any, y: Any, sample_weight: Any) -> None:
        self.part = Part(X, y, sample_weight)

    def read(self, block: int) -> Iterator[Part]:
        """The rows."""
        yield self.part


class Draws:
    """Random numbers for each row, the same each time its block is read."""

    def __init__(self, seed: int, rank: int, held_out_share: float) -> None:
        self.seed, self.rank, self.held_out_share = seed, rank, held_out_share

    def of_block(self, block: int) -> np.random.Generator:
        """The generator for the rows of a block, to draw from part by part."""
        key = np.random.SeedSequence([self.seed, self.rank, block])
        return np.random.Generator(np.random.Philox(key))

    def next(
        self, generator: np.random.Generator, n_rows: int
    ) -> tuple[NDArray, NDArray]:
        """Sampling keys, and which rows are held out if they have a label."""
        draws = generator.random((n_rows, 2))
        return draws[:, 0], draws[:, 1] < self.held_out_share


@dataclass(frozen=True)
class JointTrainingSet:
    """Rows of blocks or processes, and what was learned from all of them."""

    estimator: Any
    source: Source | InMemory
    draws: Draws
    n_here: int  # training rows of this process
    n_held_out: int  # held-out rows of all processes
    n_features: int
    is_sparse: bool
    columns: InputColumns
    sample: ColumnSample | None
    tasks: Tasks
    outputs: tuple[OutputKind, ...]
    totals: NDArray  # (n_tasks, most codes): weight of the labels of each class
    totals_by_side: NDArray  # (n_tasks, most codes, 2): for training, and held out
    table: NDArray
    is_labelled: NDArray
    sums: NDArray

    counted = None  # the codes are never in memory all at once

    def measures(self) -> Measures:
        """The measures of the training rows."""
        n_rows, weight, squares = self.sums.tolist()
        mean_weight = weight / n_rows if n_rows else 1.0
        row_norm = squares / max(1.0, n_rows)
        totals = self.totals_by_side[:, :, 0]
        return measures_of(self, totals, self.table, int(n_rows), mean_weight, row_norm)

    def learn_encoding(
        self, n_bins: int, world: World | None, *, reads_labels: bool
    ) -> ColumnEncoding | None:
        """What the input layer learns of the columns; None without an encoding.

        If it `reads_labels`, some bins begin at the splits of decision trees. The rows
        are then read once more.
        """
        if self.sample is None:
            return None
        splits = self._find_splits(world) if reads_labels else None
        return encoding_of(self.sample, n_bins, splits)

    def _find_splits(self, world: World | None) -> Splits:
        """The splits of trees, fitted to all rows if they fit in a sample."""
        n_numeric = self.n_features - len(self.columns.categories)
        if not n_rows_per_tree(n_numeric, self.tasks.n_tasks):
            return {}
        share = sample_size(self.n_features) / max(1.0, self.sums[0])
        rng = np.random.default_rng(0)
        parts = [
            part.at(as_tensor(np.flatnonzero(rng.random(len(part.rows)) < share)))
            for block in range(self.source.n_blocks)
            for part in self._side(block, 0)
        ]
        if world is not None:
            gathered = world.gather(parts, "rows for trees")
            parts = [part for of_process in gathered for part in of_process]
        if not parts:
            return {}
        data = joined_rows(parts)
        return tree_splits(self, data, np.arange(len(data.rows)))

    def check_sides(self, main_tasks: tuple[int, ...] | None) -> None:
        """Check that there are labels to train on and labels to validate on."""
        weights = self.totals_by_side * self.table[:, 1:, None]
        has = weights.sum(axis=1) > 0  # (n_tasks, 2)
        n_rows = int(self.sums[0])
        check_sides(self, has, main_tasks, n_rows, self.n_held_out)

    # The rows ---------------------------------------------------------------------

    def rows(self) -> TrainingRows:
        """The rows of this process, to train on and to validate on."""
        validates = self.draws.held_out_share > 0
        if isinstance(self.source, InMemory):
            ((data, sides),) = self._labelled(0)
            index = [as_tensor(np.flatnonzero(side)) for side in sides]
            return RowsInMemory(data, index[0], index[1] if validates else None)
        return StreamedRows(
            lambda block: self._side(block, 0),
            self.source.n_blocks,
            self.n_here,
            self.n_features,
            (lambda block: self._side(block, 1)) if validates else None,
        )

    def _side(self, block: int, side: int) -> Iterator[LabelledRows]:
        """The rows of a block for training (side 0), or the held-out ones (side 1)."""
        for data, sides in self._labelled(block):
            yield data.at(as_tensor(np.flatnonzero(sides[side])))

    def _labelled(
        self, block: int
    ) -> Iterator[tuple[LabelledRows, tuple[NDArray, NDArray]]]:
        """The parts of a block as the loop reads them, with the rows of both sides."""
        estimator, tasks = self.estimator, self.tasks
        generator = self.draws.of_block(block)
        for part in self.source.read(block):
            X, _ = check_inputs(estimator, part.X, self.columns)
            _, codes, numbers = encode(part.y, estimator.task_types, tasks=tasks)
            weights = check_sample_weight(
                part.sample_weight, codes, tasks, may_be_0=True
            )
            counted = mask_weightless(codes, weights)
            if numbers is not None:
                numbers = standardised(numbers, counted, tasks, is_continued=False)
            data = labelled_rows(X, self.columns, counted, numbers, self.table, weights)
            _, is_held_out = self.draws.next(generator, len(counted))
            is_labelled = counted.max(axis=1) >= 0
            yield data, (is_labelled & ~is_held_out, is_labelled & is_held_out)

    def digest(self) -> str:
        """A hash that distinguishes these rows from others."""
        said = self.tasks.names.tolist(), described(self.tasks)
        digest = hashlib.sha256(repr(said).encode())
        parts = [self.totals, self.totals_by_side, self.table, self.sums]
        if self.sample is not None:
            numeric = set(range(self.n_features)) - set(self.sample.counts)
            parts += [self.sample.column(j) for j in sorted(numeric)]
            parts += [self.sample.weight, *self.sample.totals.values()]
        for part in parts:
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()
