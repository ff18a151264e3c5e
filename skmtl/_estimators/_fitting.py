"""The ladder of a fit: rows to train on, the network, the plan.

`fit`, `partial_fit` and `add_tasks` all climb it; nothing is set on the estimator.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skmtl._estimators._automatic import LabelledData
from skmtl._estimators._parameters import (
    build_network,
    copy_network,
    labelled_data,
    network_settings,
    training_plan,
)
from skmtl._estimators._training_set import TrainingSet
from skmtl._estimators._transfer import pretrained_estimator, take_trunk
from skmtl._network import Architecture, TrunkAndHeads
from skmtl._rows import as_tensor
from skmtl._training import TrainingPlan


class Prepared(NamedTuple):
    """What `train` needs."""

    rows: NDArray  # to train on
    held_out: Tensor | None  # rows to validate on
    data: LabelledData
    network: TrunkAndHeads
    plan: TrainingPlan


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
) -> Prepared:
    """Choose the rows, and make or copy the network.

    With `continues`, the network is a copy of the estimator's own; with one that is
    `fitted`, its input layer and sizes are taken over, and its trunk if tasks share it.
    `freeze` is the estimator's parameter if not given.
    """
    index, held_out = training_set.rows(), None
    if estimator.early_stopping:
        fraction = float(estimator.validation_fraction)
        index, held_out = training_set.hold_out(fraction, rng, main_tasks)
    data = labelled_data(estimator, training_set, index)
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
        chosen = network_settings(estimator, data)
        encoding = training_set.learn_encoding(index, int(chosen["n_bins"]), rng)
        network = build_network(estimator, training_set, encoding, chosen, generator)
    plan = training_plan(
        estimator,
        data,
        network,
        freeze=estimator.freeze if freeze is None else freeze,
        main_tasks=main_tasks,
    )
    validates_on = None if held_out is None else as_tensor(held_out)
    return Prepared(index, validates_on, data, network, plan)


def _like(
    architecture: Architecture,
    estimator: Any,
    training_set: TrainingSet,
    data: LabelledData,
    generator: torch.Generator,
) -> TrunkAndHeads:
    """A new network with the input layer of another, and as many members."""
    chosen = network_settings(estimator, data, architecture)
    encoding = architecture.encoding
    return build_network(estimator, training_set, encoding, chosen, generator)


def seeded_generator(rng: np.random.RandomState) -> torch.Generator:
    """A generator of torch that draws what `rng` decides."""
    return torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
