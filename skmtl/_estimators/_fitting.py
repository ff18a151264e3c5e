"""The preparation of a fit: the training rows, the network, the plan.

`fit`, `partial_fit` and `add_tasks` all use it. Nothing here sets attributes on the
estimator.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skmtl._estimators import _automatic
from skmtl._estimators._automatic import LabelledData
from skmtl._estimators._checkpoint import Checkpoint
from skmtl._estimators._chunks import Calls
from skmtl._estimators._parameters import (
    build_network,
    copy_network,
    labelled_data,
    network_settings,
    training_plan,
)
from skmtl._estimators._training_set import AnyTrainingSet, TrainingSet
from skmtl._estimators._transfer import pretrained_estimator, take_trunk
from skmtl._inputs import ColumnEncoding
from skmtl._network import Architecture, TrunkAndHeads
from skmtl._outputs import frequency_logits
from skmtl._rows import as_tensor
from skmtl._training import TrainingPlan, TrainingRows
from skmtl._world import World


class Prepared(NamedTuple):
    """What `train` needs, except for the random generator."""

    rows: NDArray  # to train on
    held_out: Tensor | None  # rows to validate on
    data: LabelledData
    network: TrunkAndHeads
    plan: TrainingPlan


class Training(NamedTuple):
    """All that `train` needs, and the checkpoint that keeps its state."""

    training_set: AnyTrainingSet
    rows: TrainingRows
    network: TrunkAndHeads
    plan: TrainingPlan
    generator: torch.Generator
    checkpoint: Checkpoint | None
    world: World | None = None


def prepare(
    estimator: Any,
    training_set: TrainingSet,
    rng: np.random.RandomState,
    generator: torch.Generator,
    *,
    continues: bool = False,
    fitted: TrunkAndHeads | None = None,
    freeze: Any = None,
    main_tasks: tuple[int, ...] | None = None,
    calls: Calls | None = None,
) -> Prepared:
    """Choose the rows, and make or copy the network.

    With `continues`, the network is a copy of the estimator's own. If a `fitted`
    network is given, the new one takes over its input layer and sizes, and its trunk if
    tasks share it. `freeze` defaults to the estimator's parameter. In one of several
    `calls`, "auto" values are chosen for all of them together.
    """
    index, held_out = training_set.rows(), None
    if estimator.early_stopping:
        fraction = float(estimator.validation_fraction)
        index, held_out = training_set.hold_out(fraction, rng, main_tasks)
    measures = training_set.measures(index)
    data = labelled_data(estimator, training_set, measures)
    if calls is not None:
        data = calls.labelled_data(data)
    network, plan = build(
        estimator,
        training_set,
        data,
        measures.class_totals,
        generator,
        lambda n_bins: training_set.learn_encoding(
            index, n_bins, rng, reads_labels=_automatic.bins_read_labels(data, n_bins)
        ),
        continues=continues,
        fitted=fitted,
        freeze=freeze,
        main_tasks=main_tasks,
        sees_all_rows=calls is None,
    )
    validates_on = None if held_out is None else as_tensor(held_out)
    return Prepared(index, validates_on, data, network, plan)


def build(
    estimator: Any,
    training_set: AnyTrainingSet,
    data: LabelledData,
    class_totals: NDArray,
    generator: torch.Generator,
    learn_encoding: Callable[[int], ColumnEncoding | None],
    *,
    continues: bool = False,
    fitted: TrunkAndHeads | None = None,
    freeze: Any = None,
    main_tasks: tuple[int, ...] | None = None,
    sees_all_rows: bool,
) -> tuple[TrunkAndHeads, TrainingPlan]:
    """The network, new or a copy, and the plan; `learn_encoding` takes n_bins."""
    if continues:
        network = copy_network(estimator)
    elif fitted is not None:
        network = _like(fitted.architecture, estimator, training_set, data, generator)
        if network.n_trunks == 1:
            network.take_trunk(fitted)
    elif (pretrained := pretrained_estimator(estimator)) is not None:
        architecture = pretrained.network_.architecture
        network = _like(architecture, estimator, training_set, data, generator)
        take_trunk(network, pretrained)
    else:
        chosen = network_settings(estimator, data, sees_all_rows=sees_all_rows)
        encoding = learn_encoding(int(chosen["n_bins"]))
        network = build_network(estimator, training_set, encoding, chosen, generator)
    plan = training_plan(
        estimator,
        data,
        network,
        freeze=estimator.freeze if freeze is None else freeze,
        main_tasks=main_tasks,
    )
    # SGD would learn less from rare classes, since its steps follow the gradients. The
    # network of a user's own sharing spec starts as the spec has built it.
    is_own = type(network) is TrunkAndHeads
    if not continues and plan.solver == "adam" and is_own:
        _start_near_frequencies(network, class_totals)
    return network, plan


def _start_near_frequencies(network: TrunkAndHeads, class_totals: NDArray) -> None:
    """Start the output biases halfway to the class frequencies.

    From the frequencies themselves, less was learned from few labels.
    """
    network.set_output_biases(
        [
            0.5 * frequency_logits(class_totals, group)
            if group.kind.predicts_classes
            else None
            for group in network.groups
        ]
    )


def _like(
    architecture: Architecture,
    estimator: Any,
    training_set: AnyTrainingSet,
    data: LabelledData,
    generator: torch.Generator,
) -> TrunkAndHeads:
    """A new network with the input layer of another, and as many members."""
    chosen = network_settings(estimator, data, architecture)
    encoding = architecture.encoding
    return build_network(estimator, training_set, encoding, chosen, generator)


def seeded_generator(rng: np.random.RandomState) -> torch.Generator:
    """A torch generator that is seeded by `rng`."""
    return torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
