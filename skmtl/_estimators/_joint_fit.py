"""The preparation of a fit on rows read in blocks, or shared among processes."""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from skmtl._estimators import _automatic
from skmtl._estimators._checkpoint import (
    Checkpoint,
    checkpoint_of,
    described_parameters,
)
from skmtl._estimators._fitting import Training, build
from skmtl._estimators._joint_training_set import JointTrainingSet
from skmtl._estimators._parameters import labelled_data, main_tasks_of
from skmtl._network import TrunkAndHeads
from skmtl._sources import check_not_in_blocks
from skmtl._world import World, current_world


def check_alone(X: Any, method: str) -> None:
    """Raise an error if rows are not in memory, or if other processes share the fit."""
    check_not_in_blocks(X, method)
    world = current_world()
    if world is not None:
        raise ValueError(
            f"{method} must run in a single process, but torch.distributed has started "
            f"{world.size}, whose estimators would differ. Use fit, or call {method} "
            "in one process without a process group."
        )


def check_joint_parameters(
    estimator: Any, world: World | None, *, continues: bool
) -> None:
    """Raise an error for what needs all rows at once, or differs between processes."""
    if world is not None:
        given = described_parameters(estimator)
        given.pop("random_state", None)  # the one of the first process is used
        given["class"] = type(estimator).__name__
        given["warm start of a fitted estimator"] = str(continues)
        world.check_same(given, "The parameters")
    if estimator.oob_score not in ("auto", False):
        raise ValueError(
            "oob_score=True needs all rows in the memory of one process, but they are "
            "read in blocks, or shared among several processes. Use "
            "early_stopping=True, which scores held-out rows, or score a test set of "
            "your own."
        )


def _share_network(network: TrunkAndHeads, world: World) -> None:
    """Start with the weights of the first process: a module can have its own."""
    world.share_first(network.state_dict())
    # Not among the weights: how columns are read, also by a pretrained network.
    digest = hashlib.sha256()
    for buffer in network.buffers():
        digest.update(np.ascontiguousarray(buffer.cpu().numpy()).data)
    world.check_same({"columns": digest.hexdigest()}, "The pretrained estimator")


@contextlib.contextmanager
def joint_checkpoint(
    estimator: Any, rng: np.random.RandomState, world: World | None
) -> Iterator[Checkpoint | None]:
    """The checkpoint of a fit, which the first process keeps for all processes."""
    with contextlib.ExitStack() as stack:

        def enter() -> Checkpoint | None:
            return stack.enter_context(checkpoint_of(estimator, rng))

        yield enter() if world is None else world.agree_on_first(enter)


def prepare_jointly(
    estimator: Any,
    training_set: JointTrainingSet,
    generator: torch.Generator,
    world: World | None,
    checkpoint: Checkpoint | None,
    *,
    continues: bool,
) -> Training:
    """The network, the same in all processes, and the rows of this one."""
    if world is not None:
        seeds = world.gather(generator.initial_seed(), "random_state")
        generator.manual_seed(seeds[0])
    main_tasks = main_tasks_of(estimator, training_set.tasks)
    if estimator.early_stopping:
        training_set.check_sides(main_tasks)
    measures = training_set.measures()
    data = labelled_data(estimator, training_set, measures)
    network, plan = build(
        estimator,
        training_set,
        data,
        measures.class_totals,
        generator,
        lambda n_bins: training_set.learn_encoding(
            n_bins, world, reads_labels=_automatic.bins_read_labels(data, n_bins)
        ),
        continues=continues,
        main_tasks=main_tasks,
        sees_all_rows=False,
    )
    if world is not None:
        _share_network(network, world)
    rows = training_set.rows() if world is None else world.agree(training_set.rows)
    return Training(training_set, rows, network, plan, generator, checkpoint, world)
