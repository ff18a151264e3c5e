"""The one training loop. It knows networks and tensors, not estimators."""

import contextlib
import copy
import math
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from torch import Tensor

from skmtl._cleanup import at_the_end
from skmtl._layers import SparseRows, split_rows
from skmtl._losses import Labels, in_task_order, logit_gradient, task_losses
from skmtl._products import without_derivatives
from skmtl._progress import Epoch, Progress, StoppedBy, as_arrays, as_tensors
from skmtl._rows import CHUNK_ELEMENTS, LabelledRows, Rows, as_tensor
from skmtl._solvers import (
    Adam,
    FlatParameters,
    Group,
    NesterovSGD,
    Solver,
    groups_of,
)
from skmtl.sharing._network import NetworkPass, Tape, TrunkAndHeads

# Share of the steps of a cosine schedule over which the learning rate rises from 0.
WARM_UP = 0.1
# Multiply-adds of a forward pass that a further thread is worth. On two cores of a
# virtual machine two threads took between 0.7 and 1.2 times as long as one at 3 million
# and half as long at 100 million; where the cores are busy, a hundred times as long.
MIN_WORK_PER_THREAD = 5_000_000

_thread_lock = threading.Lock()
_thread_users: set[object] = set()
_threads_of_first_user = 1
_has_had_threads = False


class _ThisThread(threading.local):
    def __init__(self) -> None:
        # Several, one around another, where a callback predicts.
        self.users: set[object] = set()
        # Of torch outside of all limits; None: it has never been inside.
        self.own_threads: int | None = None


_this_thread = _ThisThread()


@contextlib.contextmanager
def thread_limit(work: float) -> Iterator[None]:
    """Use as many of torch's threads as `work` multiply-adds a step can keep busy.

    Each thread has a number of its own, and leaves with the one that it came with. But
    where it first uses torch while others are here, it may have come with their limit:
    a new thread takes over what any thread has set last. Then it leaves with what the
    first of them had.
    """
    global _threads_of_first_user, _has_had_threads
    this, user = _this_thread, object()
    wanted = max(1, int(work // MIN_WORK_PER_THREAD))

    def leave() -> None:
        with _thread_lock:
            this.users.discard(user)
            _thread_users.discard(user)
            torch.set_num_threads(before)

    with _thread_lock:
        # Also where it is not used: a new thread takes the number over when it asks for
        # it, which must not happen between the lines of another one here.
        before = torch.get_num_threads()
        if not _thread_users:
            _threads_of_first_user = before
        if not this.users:
            if this.own_threads is None and _thread_users:
                before = max(before, _threads_of_first_user)
            this.own_threads = before
        own = cast(int, this.own_threads)
        _has_had_threads |= own > 1
    with at_the_end(leave):
        with _thread_lock:
            this.users.add(user)
            _thread_users.add(user)
            torch.set_num_threads(min(own, wanted))
        yield


def _begin_anew_in_child() -> None:
    """After a fork: of all threads, this one alone is here.

    The others will not give the lock back, and torch would wait forever for those of
    its own that the parent has had.
    """
    global _thread_lock, _thread_users
    _thread_lock, _thread_users = threading.Lock(), set(_this_thread.users)
    if _has_had_threads:
        torch.set_num_threads(1)
        _this_thread.own_threads = 1


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_begin_anew_in_child)


class Freeze(NamedTuple):
    """Which layers of the trunk are not trained."""

    n_layers: int = 0  # from the input
    n_epochs: int | None = None  # None: in no epoch
    step_factor: float = 1.0  # on the steps of the trunk when it is released


@dataclass(frozen=True)
class TrainingPlan:
    """How to train; the names are those of the estimator's parameters."""

    solver: Literal["adam", "sgd"]
    alpha: float
    batch_size: int
    learning_rate: Literal["constant", "cosine"]
    learning_rate_init: float
    max_iter: int
    shuffle: bool
    tol: float
    n_iter_no_change: int
    momentum: float
    beta_1: float
    beta_2: float
    epsilon: float
    freeze: Freeze


@dataclass(frozen=True)
class SolverState:
    """What a later run needs to go on as if there had been no break."""

    solver: str
    freeze: Freeze
    moments: dict[str, list[np.ndarray]]
    generator: np.ndarray  # of uint8

    def fits(self, plan: TrainingPlan) -> bool:
        """Whether its moments are of the same kind, and of the same parameters."""
        return self.solver == plan.solver and self.freeze == plan.freeze

    def is_of(self, network: TrunkAndHeads) -> bool:
        """Whether the moments have the sizes of the network's parameters."""
        network.trunk.n_frozen_layers = self.freeze.n_layers
        try:
            groups = _parameter_groups(network, self.freeze)
        finally:
            network.trunk.n_frozen_layers = 0
        vectors = [(sum(p.numel() for p in group.parameters),) for group in groups]
        shapes = {
            name: [part.shape for part in parts] for name, parts in self.moments.items()
        }
        if any(p.dtype != np.float32 for parts in self.moments.values() for p in parts):
            return False
        if self.solver == "adam":
            numbers: list[tuple] = [()] * len(vectors)
            return shapes == {"mean": vectors, "square": vectors, "n_steps": numbers}
        if self.solver != "sgd" or set(shapes) != {"velocity"}:
            return False
        # A group that has not been trained yet has no velocity, without momentum none.
        velocity = shapes["velocity"]
        return velocity == vectors[: len(velocity)]


@dataclass(frozen=True)
class TrainingState:
    """What a run needs to go on with its next epoch, to the last bit."""

    network: dict[str, np.ndarray]
    solver: SolverState
    dropout_generator: np.ndarray
    progress: dict[str, np.ndarray]
    stopped_by: StoppedBy | None  # None: it has not ended

    def is_of(
        self, network: TrunkAndHeads, plan: TrainingPlan, *, validating: bool
    ) -> bool:
        """Whether a run of this plan can go on from it.

        The kernels of the solver do not look at sizes.
        """
        n_epochs = len(self.progress["losses"])
        n_tasks = len(network.architecture.n_classes)
        twin = copy.deepcopy(network)
        progress = _new_progress(twin, _flat(twin, plan), plan, validating=validating)
        progress.keep_parameters()
        progress.epochs = [Epoch(0, 0.0, np.zeros(n_tasks))] * n_epochs
        generator = torch.Generator()
        generator.set_state(as_tensor(self.solver.generator))
        _generator_beside(network.like, generator).set_state(
            as_tensor(self.dropout_generator)
        )
        return (
            _layout(self.network) == _layout(as_arrays(network.state_dict()))
            and _layout(self.progress) == _layout(progress.state())
            and 0 < n_epochs <= plan.max_iter
            and bool(np.isfinite(self.progress["losses"]).all())
            and self.stopped_by in (None, *get_args(StoppedBy))
            and self.solver.fits(plan)
            and self.solver.is_of(network)
        )


def _layout(arrays: dict[str, np.ndarray]) -> dict[str, tuple]:
    return {name: (array.dtype, array.shape) for name, array in arrays.items()}


@dataclass(frozen=True)
class TrainingResult:
    """What a run of `train` did; the parameters are in the network itself."""

    epochs: list[Epoch]
    stopped_by: StoppedBy
    solver_state: SolverState


def train(
    network: TrunkAndHeads,
    data: LabelledRows,
    index: Tensor,
    plan: TrainingPlan,
    generator: torch.Generator,
    *,
    held_out: Tensor | None = None,
    solver_state: SolverState | None = None,
    resumed: TrainingState | None = None,
    catches_interrupt: bool = True,
    on_epoch_begin: Callable[[int], None] = lambda epoch: None,
    on_epoch_end: Callable[[Epoch], bool] = lambda epoch: False,
    on_state: Callable[[int, bool, Callable[[], TrainingState]], None] | None = None,
) -> TrainingResult:
    """Train `network` in place on the rows `index` of `data`.

    With rows `held_out`, the parameters of the epoch with the best score on them are
    restored; after an interrupt, those of the best epoch so far. `on_epoch_end` stops
    the run by returning True. `on_state` is called after each epoch with its number,
    whether it was the last, and a function that gives the state, from which another
    run may be `resumed`.
    """
    if resumed is not None:
        solver_state = resumed.solver
    flat = _flat(network, plan)
    try:
        steps = _Steps(network, flat, data, plan, generator, solver_state)
        validating = held_out is not None
        progress = _new_progress(network, flat, plan, validating=validating)
        if catches_interrupt or held_out is not None:
            progress.keep_parameters()
        if resumed is not None:
            _restore(resumed, steps, progress)
        stopped_by: StoppedBy
        device, work = steps.like.device, plan.batch_size * network.work_per_row
        with without_derivatives(device), thread_limit(work):
            try:
                stopped_by = _run_epochs(
                    steps,
                    progress,
                    index,
                    held_out,
                    on_epoch_begin,
                    on_epoch_end,
                    on_state,
                )
            except KeyboardInterrupt:
                if not catches_interrupt:
                    raise
                stopped_by = "interrupt"
                warnings.warn(
                    f"Training was interrupted after {len(progress.epochs)} epochs; "
                    "the model keeps the best weights so far.",
                    RuntimeWarning,
                    stacklevel=5,  # the caller of fit, past scikit-learn's wrapper
                )
            if held_out is not None or stopped_by == "interrupt":
                progress.restore_best()
    finally:
        flat.release()
        network.trunk.n_frozen_layers = 0
    _check_parameters(network, len(progress.epochs), plan)
    return TrainingResult(progress.epochs, stopped_by, steps.state())


def _flat(network: TrunkAndHeads, plan: TrainingPlan) -> FlatParameters:
    network.trunk.n_frozen_layers = plan.freeze.n_layers
    return FlatParameters(_parameter_groups(network, plan.freeze))


def _new_progress(
    network: TrunkAndHeads,
    flat: FlatParameters,
    plan: TrainingPlan,
    *,
    validating: bool,
) -> Progress:
    return Progress(
        network,
        flat,
        validating=validating,
        # A cosine schedule is worth its last epochs, in which the step is smallest:
        # only a validation score may cut it short.
        may_stall=validating or plan.learning_rate == "constant",
        tol=plan.tol,
        n_iter_no_change=plan.n_iter_no_change,
    )


def _parameter_groups(network: TrunkAndHeads, freeze: Freeze) -> list[Group]:
    """What is trained, and from which epoch; what waits comes last."""
    named = list(network.named_parameters())
    if freeze.n_epochs is None:
        frozen = {id(p) for p in network.trunk.frozen_parameters()}
        return groups_of([pair for pair in named if id(pair[1]) not in frozen], 1.0, 0)
    in_trunk = {id(p) for p in network.trunk.parameters()}
    heads = [pair for pair in named if id(pair[1]) not in in_trunk]
    trunk = [(n, p) for n, p in named if id(p) in in_trunk and p.requires_grad]
    return [
        *groups_of(heads, 1.0, 0),
        *groups_of(trunk, freeze.step_factor, freeze.n_epochs),
    ]


def _run_epochs(
    steps: "_Steps",
    progress: Progress,
    index: Tensor,
    held_out: Tensor | None,
    on_epoch_begin: Callable[[int], None],
    on_epoch_end: Callable[[Epoch], bool],
    on_state: Callable[[int, bool, Callable[[], TrainingState]], None] | None,
) -> StoppedBy:
    """Epoch after epoch; returns what ended them."""
    max_iter = steps.plan.max_iter
    for number in range(len(progress.epochs), max_iter):
        if progress.stopped_by is not None:
            break
        on_epoch_begin(number)
        loss, scores = steps.run_epoch(index, number), None
        if held_out is not None:
            scores = -mean_task_losses(steps.network, steps.data, held_out)
        epoch = Epoch(number, loss, scores)
        _check_finite(epoch, steps.plan)
        progress.update(epoch)
        if on_epoch_end(epoch):
            progress.stopped_by = "callback"
        elif progress.has_stalled():
            progress.stopped_by = "tol"
        if on_state is not None:
            is_last = progress.stopped_by is not None or number + 1 == max_iter
            on_state(number, is_last, partial(_state_of, steps, progress))
    return progress.stopped_by or "max_iter"


def _state_of(steps: "_Steps", progress: Progress) -> TrainingState:
    """On the memory of the CPU's tensors: to be written before the next step."""
    return TrainingState(
        as_arrays(steps.network.state_dict()),
        steps.state(),
        steps.dropout_generator.get_state().numpy(),
        progress.state(),
        progress.stopped_by,
    )


def _restore(state: TrainingState, steps: "_Steps", progress: Progress) -> None:
    steps.network.load_state_dict(as_tensors(state.network))
    steps.generator.set_state(as_tensor(state.solver.generator))
    steps.dropout_generator.set_state(as_tensor(state.dropout_generator))
    progress.restore(state.progress)
    progress.stopped_by = state.stopped_by


class _Steps:
    """Steps of the solver, batch by batch."""

    def __init__(
        self,
        network: TrunkAndHeads,
        flat: FlatParameters,
        data: LabelledRows,
        plan: TrainingPlan,
        generator: torch.Generator,
        solver_state: SolverState | None,
    ) -> None:
        self.network = network
        self.network_pass = NetworkPass(network)
        self.flat = flat
        self.data = data
        self.plan = plan
        self.generator = generator
        self.like = network.like
        self.dropout_generator = _generator_beside(self.like, generator)
        moments = None
        if solver_state is not None and solver_state.fits(plan):
            # The moments alone: step size, momentum and the like are those of `plan`.
            moments = {
                # A copy, since the run may fail.
                name: [torch.tensor(part, device=self.like.device) for part in parts]
                for name, parts in solver_state.moments.items()
            }
        self.solver = make_solver(flat, plan, moments)
        # A row's share of a block: its features, labels (three fields) and logits.
        n_logits = sum(len(g.tasks) * g.n_logits for g in network.groups)
        width = data.rows.width + (3 + network.n_members) * n_logits
        n_batches = CHUNK_ELEMENTS // (width * plan.batch_size)
        self.rows_per_block = plan.batch_size * max(1, n_batches)

    def state(self) -> SolverState:
        """The moments are the solver's own, which are copied where they are used."""
        moments = {
            name: [part.cpu().numpy() for part in parts]
            for name, parts in self.solver.state.items()
        }
        generator = self.generator.get_state().numpy()
        return SolverState(self.plan.solver, self.plan.freeze, moments, generator)

    def run_epoch(self, index: Tensor, number: int) -> float:
        """One pass over the rows `index`; returns its mean loss with the L2 term."""
        plan = self.plan
        self._begin_epoch(number)
        if plan.shuffle:
            index = index[self._random_order(len(index))]
        n_batches = -(-len(index) // plan.batch_size)
        step_sizes = (
            plan.learning_rate_init
            * step_size(plan, (number + (i + 0.5) / n_batches) / plan.max_iter)
            for i in range(n_batches)
        )
        loss = torch.zeros((), dtype=torch.float64, device=self.like.device)
        weight = 0.0
        for rows in index.split(self.rows_per_block):
            block_loss, block_weight = self._run_block(rows, step_sizes)
            loss += block_loss
            weight += block_weight
        return (float(loss) + self._penalty() * n_batches) / weight

    def _random_order(self, n_rows: int) -> Tensor:
        generator = self.generator
        return torch.randperm(n_rows, generator=generator, device=generator.device)

    def _begin_epoch(self, number: int) -> None:
        """Release the trunk where its time has come."""
        self.flat.begin_epoch(number)
        n_epochs = self.plan.freeze.n_epochs
        waits = self.network.trunk.n_frozen_layers > 0
        if waits and n_epochs is not None and number >= n_epochs:
            self.network.trunk.n_frozen_layers = 0
            self.network_pass = NetworkPass(self.network)

    def _run_block(
        self, rows: Tensor, step_sizes: Iterator[float]
    ) -> tuple[Tensor, float]:
        """Read some batches at once and take their steps.

        Returns the sum of the losses, each before its step, and of the rows' weights.
        """
        groups, batch_size = self.network.groups, self.plan.batch_size
        block = self.data.read(rows, self.like, groups)
        if block.row_weight is None:
            weights = [float(len(part)) for part in rows.split(batch_size)]
        else:
            weights = [float(part.sum()) for part in block.row_weight.split(batch_size)]
        logits = [
            self._step(*batch)
            for batch in zip(
                split_rows(block.x, batch_size),
                block.labels.split(batch_size),
                weights,
                islice(step_sizes, len(weights)),
                strict=True,
            )
        ]
        losses = task_losses(torch.cat(logits, dim=1), block.labels, groups)
        return losses.sum(), sum(weights)

    def _penalty(self) -> float:
        """The L2 term alpha / 2 * ||W||^2, the mean over the members."""
        if self.plan.alpha == 0:  # the weights may have overflowed
            return 0.0
        squares = sum(
            float(part.square().sum())
            for group, values in zip(self.flat.groups, self.flat.values, strict=True)
            if group.decays
            for part in values.split(CHUNK_ELEMENTS)  # no copy as large as they are
        )
        return 0.5 * self.plan.alpha * squares / self.network.n_members

    def _step(
        self, x: Tensor | SparseRows, labels: Labels, weight: float, step: float
    ) -> Tensor:
        """Descend on a batch of this weight; returns its logits before the step."""
        tape, generator = Tape([], []), self.dropout_generator
        read = self.network_pass.read(x, generator)
        logits = self.network_pass.forward(read, generator, tape)
        # Members do not see one another: each descends on its own mean loss.
        gradient = logit_gradient(logits, labels, self.network.groups).div_(weight)
        self.network_pass.backward(tape, gradient)
        self.solver.step(step, self.plan.alpha / weight)
        return logits


def step_size(plan: TrainingPlan, progress: float) -> float:
    """Factor on `learning_rate_init` when a share `progress` of all steps is done."""
    if plan.learning_rate == "constant":
        return 1.0
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 * (1.0 + math.cos(math.pi * (progress - WARM_UP) / (1.0 - WARM_UP)))


def make_solver(
    flat: FlatParameters, plan: TrainingPlan, state: dict[str, list[Tensor]] | None
) -> Solver:
    """The solver of the plan, which goes on from a state."""
    if plan.solver == "adam":
        return Adam(
            flat,
            beta_1=plan.beta_1,
            beta_2=plan.beta_2,
            epsilon=plan.epsilon,
            state=state,
        )
    return NesterovSGD(flat, momentum=plan.momentum, state=state)


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
        f"with learning_rate_init={plan.learning_rate_init}. Scale X (for instance "
        "with StandardScaler) or lower learning_rate_init."
    )


def _generator_beside(like: Tensor, generator: torch.Generator) -> torch.Generator:
    """The generator for dropout, on the network's device."""
    if like.device == generator.device:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator(like.device).manual_seed(int(seed))


def iter_chunks(network: TrunkAndHeads, rows: Rows, n_rows: int) -> Iterator[slice]:
    """Slices of rows small enough for a forward pass to keep memory bounded."""
    size = max(1, CHUNK_ELEMENTS // (network.units_per_row + rows.width))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def mean_task_losses(
    network: TrunkAndHeads, data: LabelledRows, index: Tensor
) -> np.ndarray:
    """(n_tasks,): weighted mean losses on some rows, NaN of a task without weight."""
    like = network.like
    losses = torch.zeros(data.codes.shape[1], dtype=torch.float64, device=like.device)
    weights = torch.zeros_like(losses)
    with without_derivatives(like.device):
        for chunk in iter_chunks(network, data.rows, len(index)):
            x, labels, _ = data.read(index[chunk], like, network.groups)
            losses += task_losses(network(x), labels, network.groups)
            weights += in_task_order(labels.weights.sum(0), network.groups)
    means: np.ndarray = (
        torch.where(weights > 0, losses / weights, torch.nan).cpu().numpy()
    )
    return means
