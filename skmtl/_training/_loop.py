"""The training loop. It knows networks and tensors, but not estimators."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import torch

from skmtl._messages import warn
from skmtl._network import TrunkAndHeads, without_derivatives
from skmtl._rows import as_tensor
from skmtl._training._doubling import Doubling
from skmtl._training._losses import (
    constant_left_out_loss,
    left_out_losses,
    mean_task_losses,
)
from skmtl._training._parts import Parts
from skmtl._training._progress import (
    Epoch,
    Progress,
    StoppedBy,
    as_arrays,
)
from skmtl._training._solver_state import SolverState
from skmtl._training._steps import TrainingPlan
from skmtl._training._threads import Workers, thread_limit
from skmtl._training._training_rows import TrainingRows
from skmtl._world import World

# About how often the loss of left-out rows is measured if dropout follows it.
TIMES_TO_FOLLOW = 8


@dataclass(frozen=True)
class TrainingState:
    """All that a run needs to resume with its next epoch, to the last bit."""

    network: dict[str, np.ndarray]
    solver: SolverState
    dropout_generators: np.ndarray  # a row for each part
    progress: dict[str, np.ndarray]
    stopped_by: StoppedBy | None  # None if it has not ended
    doubling: np.ndarray | None = None  # None in files of versions that had none
    # When it was last measured; None if it was not.
    left_out_share: float | None = None

    def suits_run(
        self,
        network: TrunkAndHeads,
        rows: TrainingRows,
        plan: TrainingPlan,
        world: World | None,
    ) -> bool:
        """Whether a run of this plan on these data can resume from this state.

        The solver's kernels do not check sizes, so this must.
        """
        n_epochs = len(self.progress["losses"])
        n_tasks = len(network.architecture.outputs)
        generator = torch.Generator()
        generator.set_state(as_tensor(self.solver.generator))
        twin = copy.deepcopy(network)
        parts = Parts(twin, rows, plan, generator, world=world)
        progress = _new_progress(parts)
        progress.keep_parameters()
        progress.epochs = [Epoch(0, 0.0, np.zeros(n_tasks))] * n_epochs
        doubling = _new_doubling(plan, rows)
        if len(self.dropout_generators) != len(parts.steps):
            return False
        if self.doubling is not None:
            if not doubling.accepts(self.doubling, n_epochs):
                return False
            doubling.restore(self.doubling)
        # It raises an error for what is no state of a generator.
        parts.set_dropout_generators(self.dropout_generators)
        return (
            _layout(self.network) == _layout(as_arrays(network.state_dict()))
            and _layout(self.progress) == _layout(progress.state())
            and 0 < n_epochs <= doubling.n_epochs
            and bool(np.isfinite(self.progress["losses"]).all())
            and self.stopped_by in (None, *get_args(StoppedBy))
            and self.solver.suits_plan(plan)
            and self.solver.suits_network(network, parts.n_parameters)
            and (self.left_out_share is None or _is_share(self.left_out_share))
        )


def _is_share(value: Any) -> bool:
    return type(value) is float and 0 <= value < math.inf


def _layout(arrays: dict[str, np.ndarray]) -> dict[str, tuple]:
    return {name: (array.dtype, array.shape) for name, array in arrays.items()}


@dataclass(frozen=True)
class TrainingResult:
    """The result of `train`; the trained parameters are in the network itself."""

    epochs: list[Epoch]
    stopped_by: StoppedBy
    solver_state: SolverState


# Only the epochs may have several threads of torch, if the steps are large enough: on
# busy cores, preparing 40,000 rows on two took 3.2 s of CPU instead of 0.1 s.
@thread_limit(0)
def train(
    network: TrunkAndHeads,
    rows: TrainingRows,
    plan: TrainingPlan,
    generator: torch.Generator,
    *,
    world: World | None = None,
    solver_state: SolverState | None = None,
    resumed: TrainingState | None = None,
    in_one_pass: bool = False,
    catches_interrupt: bool = True,
    on_epoch_begin: Callable[[int, int], None] = lambda epoch, n_epochs: None,
    on_epoch_end: Callable[[Epoch, Callable[[], None]], bool] = lambda *args: False,
    on_state: Callable[[int, bool, Callable[[], TrainingState]], None] | None = None,
) -> TrainingResult:
    """Train `network` in place.

    If rows are held out, the parameters of the epoch with the best score on them are
    restored at the end; after an interrupt, those of the best epoch so far. In a
    `world`, each process brings its own rows and the same network. `on_epoch_begin`
    gets the number of an epoch and that of all epochs, as far as is known.
    `on_epoch_end` gets a function that brings `network` up to date, and stops the run
    by returning True. `on_state` is called after each epoch with its number, whether it
    was the last, and a function that returns the state, from which another run can be
    `resumed`. With `in_one_pass`, all members are trained together and share one
    `solver_state`.
    """
    parts = Parts(network, rows, plan, generator, in_one_pass=in_one_pass, world=world)
    if resumed is not None:
        solver_state = resumed.solver
    try:
        parts.set_moments(solver_state)
        progress = _new_progress(parts)
        doubling = _new_doubling(plan, rows)
        # A state contains them too, and another process may have kept it.
        keeps_states = on_state is not None or world is not None
        if catches_interrupt or rows.is_validating or keeps_states:
            progress.keep_parameters()
        if resumed is not None:
            _restore(resumed, parts, progress, doubling)
        stopped_by: StoppedBy
        device = network.like.device
        with (
            without_derivatives(device),
            thread_limit(parts.work_per_step) as n_threads,
            Workers(min(n_threads, parts.n_side_by_side)) as workers,
        ):
            try:
                stopped_by = _run_epochs(
                    parts,
                    workers,
                    progress,
                    doubling,
                    on_epoch_begin,
                    on_epoch_end,
                    on_state,
                )
            except KeyboardInterrupt:
                if not catches_interrupt:
                    raise
                stopped_by = "interrupt"
                warn(
                    f"Training was interrupted after {len(progress.epochs)} epochs; "
                    "the model keeps the best weights so far.",
                    RuntimeWarning,
                )
            keeps_best = rows.is_validating or stopped_by == "interrupt"
            if keeps_best:
                progress.restore_best()
            parts.zero_tiny()  # predictions would take longer, too
            # The network already has each separate network's own best.
            if not keeps_best or progress.own_best is None:
                parts.join()
    finally:
        parts.release()
    if world is not None:
        # Batch statistics, and the last bits on another processor, can differ.
        world.share_first(network.state_dict())
    _check_parameters(network, len(progress.epochs), plan)
    return TrainingResult(progress.epochs, stopped_by, parts.solver_state())


def _new_doubling(plan: TrainingPlan, rows: TrainingRows) -> Doubling:
    return Doubling(plan.max_iter, plan.max_doublings if rows.leaves_out else 0)


def _new_progress(parts: Parts) -> Progress:
    plan, validating = parts.plan, parts.rows.is_validating
    return Progress(
        parts.network,
        parts.values,
        validating=validating,
        main_tasks=plan.main_tasks,
        # A cosine schedule needs its last epochs, with the smallest steps: only a
        # validation score can cut it short.
        may_stall=validating or plan.learning_rate == "constant",
        tol=plan.tol,
        n_iter_no_change=plan.n_iter_no_change,
    )


def _run_epochs(
    parts: Parts,
    workers: Workers,
    progress: Progress,
    doubling: Doubling,
    on_epoch_begin: Callable[[int, int], None],
    on_epoch_end: Callable[[Epoch, Callable[[], None]], bool],
    on_state: Callable[[int, bool, Callable[[], TrainingState]], None] | None,
) -> StoppedBy:
    """Run the epochs; returns why they ended."""
    while progress.stopped_by is None and len(progress.epochs) < doubling.n_epochs:
        epochs, n_epochs = progress.epochs, doubling.n_epochs
        number = len(epochs)
        on_epoch_begin(number, n_epochs)
        last_loss = epochs[-1].loss if epochs else parts.plan.last_loss
        if parts.plan.follows_left_out:
            last_loss = parts.last_left_out_loss
        loss, scores = parts.run_epoch(number, n_epochs, last_loss, workers), None
        _measure_left_out(parts, doubling, number + 1)
        if parts.rows.is_validating:
            parts.join()
            held_out = parts.rows.held_out()
            scores = -mean_task_losses(parts.network, held_out, parts.world)
        epoch = Epoch(number, loss, scores, parts.plan.main_tasks)
        _check_finite(epoch, parts.plan)
        progress.update(epoch)
        if parts.is_any(on_epoch_end(epoch, parts.join)):
            progress.stopped_by = "callback"
        elif progress.has_stalled():
            progress.stopped_by = "tol"
        if on_state is not None:
            is_last = progress.stopped_by is not None or number + 1 == doubling.n_epochs
            on_state(number, is_last, partial(_state_of, parts, progress, doubling))
    return progress.stopped_by or "max_iter"


def _state_of(parts: Parts, progress: Progress, doubling: Doubling) -> TrainingState:
    """The state, sharing memory with CPU tensors: write it before the next step."""
    parts.join()
    return TrainingState(
        as_arrays(parts.network.state_dict()),
        parts.solver_state(),
        parts.dropout_generators(),
        progress.state(),
        progress.stopped_by,
        doubling.state(),
        parts.left_out_share,
    )


def _restore(
    state: TrainingState, parts: Parts, progress: Progress, doubling: Doubling
) -> None:
    parts.load(state.network)
    parts.generator.set_state(as_tensor(state.solver.generator))
    parts.set_dropout_generators(state.dropout_generators)
    progress.restore(state.progress)
    progress.stopped_by = state.stopped_by
    parts.left_out_share = state.left_out_share
    if state.doubling is None:
        doubling.n_left = 0
    else:
        doubling.restore(state.doubling)


def _check_finite(epoch: Epoch, plan: TrainingPlan) -> None:
    if not math.isfinite(epoch.loss):
        raise _divergence_error(f"its loss is {epoch.loss}", epoch.number + 1, plan)
    score = epoch.validation_score
    if score is not None and not math.isfinite(score):
        what = f"its validation score is {score}"
        raise _divergence_error(what, epoch.number + 1, plan)


def _check_parameters(network: TrunkAndHeads, epoch: int, plan: TrainingPlan) -> None:
    if not all(bool(p.isfinite().all()) for p in network.parameters()):
        raise _divergence_error("its parameters are no longer finite", epoch, plan)


def _divergence_error(what: str, epoch: int, plan: TrainingPlan) -> ValueError:
    return ValueError(
        f"Training must keep the loss finite, but it diverged in epoch {epoch}: {what} "
        f"with learning_rate_init={plan.learning_rate_init}. Scale X (for example with "
        "StandardScaler) or lower learning_rate_init."
    )


def _measure_left_out(parts: Parts, doubling: Doubling, n_done: int) -> None:
    """Measure the loss of the left-out rows, if it counts after this many epochs."""
    follows = parts.plan.follows_left_out and parts.rows.leaves_out
    follows &= n_done % max(1, doubling.n_epochs // TIMES_TO_FOLLOW) == 0
    doubles = doubling.needs_loss_after(n_done)
    if not follows and not doubles:
        return
    losses, weights = left_out_losses(parts)
    if doubles:
        counted = list(parts.plan.main_tasks or range(len(losses)))
        total = weights[counted].sum()
        # Without such a label, the loss does not fall; a checkpoint must be finite.
        mean = float(losses[counted].sum() / total) if total else 0.0
        doubling.update(n_done, mean)
    if follows:
        if parts.constant_left_out_loss is None:
            parts.constant_left_out_loss = constant_left_out_loss(parts)
        constant = max(parts.constant_left_out_loss, 1e-30)
        parts.left_out_share = float(losses.sum()) / constant
