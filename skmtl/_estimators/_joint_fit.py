"""The ladder of a fit on rows that are read in blocks, or that processes share."""

from typing import Any

import torch

from skmtl._estimators._checkpoint import Checkpoint
from skmtl._estimators._fitting import Training, build
from skmtl._estimators._joint_training_set import JointTrainingSet
from skmtl._estimators._parameters import labelled_data, main_tasks_of
from skmtl._sources import is_source
from skmtl._world import World, current_world


def check_alone(X: Any, method: str) -> None:
    """Refuse rows that are not in memory, and others that they would be joined with."""
    if is_source(X):
        raise ValueError(
            f"{method} needs X in memory; got {type(X).__name__}, which is read in "
            "blocks. Read some rows, or use fit."
        )
    world = current_world()
    if world is not None:
        raise ValueError(
            f"{method} trains in one process, but torch.distributed has started "
            f"{world.size}, whose estimators would differ. Use fit, or call it in one "
            "process without a process group."
        )


def check_joint_parameters(estimator: Any, world: World | None) -> None:
    """Refuse what needs all rows at once, or one process."""
    if estimator.oob_score is True:
        raise ValueError(
            "oob_score=True needs all rows in the memory of one process, but they are "
            "read in blocks, or several processes have them. Use "
            "early_stopping=True, whose scores are of rows that are held out, or score "
            "rows of your own."
        )
    if world is not None and estimator.checkpoint_dir is not None:
        raise ValueError(
            "checkpoint_dir is for a fit of one process, but torch.distributed has "
            f"started {world.size}. Use checkpoint_dir=None, and save the estimator of "
            "rank 0 after the fit."
        )


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
    seed = generator.initial_seed()
    if world is not None:
        seed = world.gather(seed)[0]
        generator.manual_seed(seed)
    main_tasks = main_tasks_of(estimator, training_set.tasks)
    if estimator.early_stopping:
        training_set.check_sides(main_tasks)
    data = labelled_data(estimator, training_set, training_set.measures())
    network, plan = build(
        estimator,
        training_set,
        data,
        generator,
        training_set.learn_encoding,
        continues=continues,
        main_tasks=main_tasks,
    )
    rows = training_set.rows() if world is None else world.agree(training_set.rows)
    if world is not None and world.rank > 0:
        # Rows in another order, and dropout of other units, than in the first one.
        generator.manual_seed(seed + world.rank)
    return Training(training_set, rows, network, plan, generator, checkpoint, world)
