"""What is learned from rows in blocks, or of several processes, before the training.

One pass over the rows learns the categories, classes, scales and numbers of labels, and
draws a sample for placing the bins. Results of parts are merged, whether the parts are
blocks or the rows of several processes.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_consistent_length

from skmtl._estimators._joint_training_set import Draws, InMemory, JointTrainingSet
from skmtl._estimators._parameters import main_tasks_of
from skmtl._estimators._scales import (
    check_same_transformers,
    standardised,
    transformers_of,
)
from skmtl._inputs import (
    ColumnsSeen,
    InputColumns,
    check_inputs,
    extended_columns,
    warn_of_late_categories,
    warn_of_row_order,
)
from skmtl._messages import shorten
from skmtl._sources import Part, Source, as_source, is_source
from skmtl._targets import (
    Numbers,
    TargetsSeen,
    Tasks,
    check_same_types,
    encode,
    warn_of_measurements,
    warn_of_one_value,
)
from skmtl._weights import (
    check_sample_weight,
    class_weights,
    mask_weightless,
    row_weights,
    task_weights,
    weight_table,
)
from skmtl._world import World


@dataclass
class _Seen:
    """What one process has seen of its rows."""

    names: list[str] | None
    n_features: int
    inputs: InputColumns  # of the first part, without categories
    columns: ColumnsSeen | None
    targets: TargetsSeen
    is_sparse: bool
    # Of the training rows: their number, their weight, the squares of sparse ones.
    sums: NDArray = field(default_factory=lambda: np.zeros(3))
    n_held_out: int = 0

    def merge(self, other: "_Seen") -> None:
        """Add what another process has seen."""
        if self.names != other.names or self.n_features != other.n_features:
            raise ValueError(
                "X must have the same columns in all processes, but one has "
                f"{shorten(self.names or [self.n_features])} and another has "
                f"{shorten(other.names or [other.n_features])}. Pass the same columns."
            )
        if self.inputs != other.inputs or self.is_sparse != other.is_sparse:
            raise ValueError(
                "X must be of the same kind in all processes (dense or sparse, uint8 "
                f"or not), but is {self.inputs} in one and {other.inputs} in another. "
                "Convert it."
            )
        if self.columns is not None and other.columns is not None:
            self._check_categories(self.columns.columns, other.columns.columns)
            self.columns.merge(other.columns)
        self.targets.merge(other.targets)
        self.sums = self.sums + other.sums
        self.n_held_out += other.n_held_out

    def _check_categories(self, own: InputColumns, theirs: InputColumns) -> None:
        one_sided = sorted(set(own.categories) ^ set(theirs.categories))
        if one_sided:
            named = [self.names[j] if self.names else j for j in one_sided]
            raise ValueError(
                "The same columns of X must be categories in all processes, but "
                f"{shorten(named)} are categories in one and not in another. Convert "
                "them, even if all values are missing: X[column].astype('category')."
            )


class Known(NamedTuple):
    """What an earlier fit has learned, if this one continues it."""

    columns: InputColumns | None
    tasks: Tasks | None


def learn_from(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    known: Known,
    rng: np.random.RandomState,
    world: World | None,
) -> JointTrainingSet:
    """Read all rows once; in a world, merge what all of its processes have read."""
    seed, rank = int(rng.randint(2**31 - 1)), 0
    if world is not None:
        seed, rank = world.gather(seed, "seed")[0], world.rank
    share = float(estimator.validation_fraction) if estimator.early_stopping else 0.0
    draws = Draws(seed, rank, share)

    def see() -> tuple[_Seen, Source | InMemory]:
        source = _source_of(estimator, X, y, sample_weight, known)
        return _Pass(estimator, known, draws).over(source), source

    own, source = see() if world is None else world.agree(see)
    parts = [own] if world is None else world.gather(own, "what was seen")
    seen, n_here = parts[0], int(parts[rank].sums[0])
    for other in parts[1:]:
        seen.merge(other)
    tasks = _learned_tasks(estimator, known, seen.targets)
    if world is not None:
        # A transformer can draw random numbers while it is fitted.
        tasks = world.gather(tasks, "tasks")[0]
    totals = seen.targets.totals(tasks)
    main_tasks_of(estimator, tasks)  # checks the names
    columns, sample = known.columns or seen.inputs, None
    if seen.columns is not None:
        columns, sample = seen.columns.learned()
    both = totals.sum(axis=2)
    table = weight_table(
        task_weights(estimator.task_weight, tasks, both),
        class_weights(estimator.class_weight, tasks, both),
    )
    return JointTrainingSet(
        estimator=estimator,
        source=source,
        draws=draws,
        n_here=n_here,
        n_held_out=seen.n_held_out,
        n_features=seen.n_features,
        is_sparse=seen.is_sparse,
        columns=columns,
        sample=sample,
        tasks=tasks,
        outputs=tuple(map(estimator._output_kind, tasks.targets)),
        totals=both,
        totals_by_side=totals,
        table=table,
        is_labelled=(both * table[:, 1:]).sum(axis=1) > 0,
        sums=seen.sums,
    )


def _source_of(
    estimator: Any, X: Any, y: Any, sample_weight: Any, known: Known
) -> Source | InMemory:
    if not is_source(X):
        warn_of_row_order(X, y=y, sample_weight=sample_weight)
        return InMemory(X, y, sample_weight)
    names = None
    if known.columns is not None:
        names = getattr(estimator, "feature_names_in_", None)
    return as_source(X, y, sample_weight, columns=names, needs_y=True)


class _Pass:
    """Reads the rows of one process, and adds up what its parts contain."""

    def __init__(self, estimator: Any, known: Known, draws: Draws) -> None:
        self.estimator, self.known, self.draws = estimator, known, draws
        self.columns = known.columns
        self.seen: _Seen | None = None

    def over(self, source: Source | InMemory) -> _Seen:
        """Read all rows of the source."""
        for block in range(source.n_blocks):
            generator = self.draws.of_block(block)
            for part in source.read(block):
                self._see(part, generator)
        if self.seen is None:
            raise ValueError(
                "Found array with 0 sample(s) while a minimum of 1 is required: X has "
                "no rows. Pass data with rows."
            )
        return self.seen

    def _see(self, part: Part, generator: np.random.Generator) -> None:
        X, read_as = self._checked(part)
        seen = self.seen = self.seen or self._seen_before(X, read_as)
        check_consistent_length(X, part.y)
        targets = seen.targets
        columns = targets.read(part.y)
        observed = np.column_stack([column.observed for column in columns])
        codes = observed.astype(np.int8) - np.int8(1)
        weights = self._checked_weights(part, codes, targets)
        keys, is_held_out = self.draws.next(generator, X.shape[0])
        targets.add(columns, weights, is_held_out, keys)

        codes = mask_weightless(codes, weights)
        is_labelled = codes.max(axis=1) >= 0
        rows = np.flatnonzero(is_labelled & ~is_held_out)
        own = row_weights(codes, weights)
        weight = np.ones(len(rows)) if own is None else own[rows].astype(np.float64)
        squares = 0.0
        if seen.is_sparse:
            squares = float(np.square(X[rows].data, dtype=np.float64).sum())
        seen.sums += [len(rows), weight.sum(), squares]
        seen.n_held_out += int((is_labelled & is_held_out).sum())
        if seen.columns is not None:
            seen.columns.columns = read_as
            if len(rows):
                seen.columns.add(X[rows], weight, keys[rows])

    def _checked(self, part: Part) -> tuple[Any, InputColumns]:
        """X as numbers, with codes for all categories so far."""
        if self.known.columns is None and self.columns is not None:
            self.columns = extended_columns(part.X, self.columns)
        X, columns = check_inputs(self.estimator, part.X, self.columns)
        self.columns = columns
        if self.known.columns is not None:
            warn_of_late_categories(part.X, X, columns)
        if self.known.tasks is not None:
            self._check_known_tasks(part.y, self.known.tasks)
        return X, columns

    def _check_known_tasks(self, y: Any, tasks: Tasks) -> None:
        """Check the labels against the classes and scales that are known."""
        _, codes, numbers = encode(y, self.estimator.task_types, tasks=tasks)
        if numbers is not None:
            standardised(numbers, codes, tasks, is_continued=True)

    def _checked_weights(
        self, part: Part, codes: NDArray, targets: TargetsSeen
    ) -> NDArray | None:
        n_tasks = len(targets.names)
        is_named = targets.own_names is not None and not targets.is_1d
        numbers: list[Any] = [Numbers()] * n_tasks  # their type does not matter here
        tasks = Tasks(targets.names, numbers, is_named, targets.is_1d)
        return check_sample_weight(part.sample_weight, codes, tasks, may_be_0=True)

    def _seen_before(self, X: Any, columns: InputColumns) -> _Seen:
        """The empty record before the first part."""
        estimator, tasks = self.estimator, self.known.tasks
        names = getattr(estimator, "feature_names_in_", None)
        n_features = int(X.shape[1])
        is_new = self.known.columns is None and columns.encoding == "piecewise"
        return _Seen(
            names=None if names is None else [str(name) for name in names],
            n_features=n_features,
            inputs=replace(columns, categories={}),
            columns=ColumnsSeen(columns, n_features) if is_new else None,
            targets=TargetsSeen(
                estimator.task_types,
                are_numbers=None if tasks is None else tasks.are_numbers,
                keeps_values=tasks is None and estimator.transformer is not None,
            ),
            is_sparse=not isinstance(X, np.ndarray),
        )


def _learned_tasks(estimator: Any, known: Known, targets: TargetsSeen) -> Tasks:
    if known.tasks is not None:
        check_same_transformers(estimator.transformer, known.tasks)
        check_same_types(estimator.task_types, known.tasks)
        return known.tasks

    def fresh_transformers(tasks: Tasks) -> dict[str, Any]:
        given = transformers_of(estimator.transformer, tasks)
        return {name: clone(transformer) for name, transformer in given.items()}

    tasks = targets.learned(fresh_transformers)
    warn_of_measurements(tasks, targets.n_labels)
    warn_of_one_value(tasks)
    return tasks
