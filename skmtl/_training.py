"""The one training loop. It knows networks and tensors, not estimators."""

import contextlib
import copy
import math
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from skmtl._layers import OutputGroup, SparseRows, split_rows
from skmtl._losses import (
    Labels,
    in_task_order,
    logit_gradient,
    task_losses,
    weigh_labels,
)
from skmtl._products import without_derivatives
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
# Of what is read and computed at once, batches in training and rows in a forward pass
# without gradient: 4 MiB of float32, so that the caches hold a good part of them.
CHUNK_ELEMENTS = 1_048_576

_thread_lock = threading.Lock()
_thread_users = 0
_threads_of_first_user = 1
_has_had_threads = False


class _ThisThread(threading.local):
    depth = 0  # of limits around one another, as where a callback predicts
    own_threads: int | None = None  # of torch outside of them; None: never been inside


_this_thread = _ThisThread()


@contextlib.contextmanager
def thread_limit(work: float) -> Iterator[None]:
    """Use as many of torch's threads as `work` multiply-adds a step can keep busy.

    Each thread has a number of its own, and leaves with the one that it came with. But
    where it first uses torch while others are here, it may have come with their limit:
    a new thread takes over what any thread has set last. Then it leaves with what the
    first of them had.
    """
    global _thread_users, _threads_of_first_user, _has_had_threads
    this = _this_thread
    with _thread_lock:
        # Also where it is not used: a new thread takes the number over when it asks for
        # it, which must not happen between the lines of another one here.
        before = torch.get_num_threads()
        if _thread_users == 0:
            _threads_of_first_user = before
        if this.depth == 0:
            if this.own_threads is None and _thread_users > 0:
                before = max(before, _threads_of_first_user)
            this.own_threads = before
        this.depth += 1
        _thread_users += 1
        own = cast(int, this.own_threads)
        _has_had_threads |= own > 1
        wanted = max(1, int(work // MIN_WORK_PER_THREAD))
        torch.set_num_threads(min(own, wanted))
    try:
        yield
    finally:
        with _thread_lock:
            this.depth -= 1
            _thread_users -= 1
            torch.set_num_threads(before)


def _begin_anew_in_child() -> None:
    """After a fork: of all threads, this one alone is here.

    The others will not give the lock back, and torch would wait forever for those of
    its own that the parent has had.
    """
    global _thread_lock, _thread_users
    _thread_lock, _thread_users = threading.Lock(), _this_thread.depth
    if _has_had_threads:
        torch.set_num_threads(1)
        _this_thread.own_threads = 1


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_begin_anew_in_child)


def as_tensor(array: np.ndarray) -> Tensor:
    """A tensor on the array's memory where torch can read it, else on a copy."""
    steps_forward = all(
        stride >= 0 and stride % array.itemsize == 0 for stride in array.strides
    )
    if not (steps_forward and array.dtype.isnative):
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    # Unlike from_numpy, from_dlpack shares read-only memory without a warning.
    return torch.from_dlpack(array)


class Block(NamedTuple):
    """Some rows, on the network's device and in its precision."""

    x: Tensor | SparseRows
    labels: Labels
    row_weight: Tensor | None  # (n_rows,), None: each row counts 1


@dataclass(frozen=True)
class Rows:
    """Rows of X, dense or CSR, read part by part."""

    X: Any  # Tensor or scipy CSR, (n_samples, n_features)
    encoded: bool  # by an input layer, which reads dense rows in their own precision

    @classmethod
    def of(cls, X: Any, *, encoded: bool) -> "Rows":
        """The rows of an ndarray or CSR matrix."""
        return cls(as_tensor(X) if isinstance(X, np.ndarray) else X, encoded)

    def __len__(self) -> int:
        return int(self.X.shape[0])

    @property
    def width(self) -> int:
        """Numbers that a row takes; of CSR, the mean."""
        if isinstance(self.X, Tensor):
            return int(self.X.shape[1])
        return int(self.X.nnz // max(1, len(self)))

    def read(self, rows: Tensor | slice, like: Tensor) -> Tensor | SparseRows:
        """These rows, on the device of the parameter `like` and as its layer reads."""
        if isinstance(self.X, Tensor):
            if isinstance(rows, slice):
                part = self.X[rows]
            else:
                part = self.X.index_select(0, rows)
            return part.to(like.device, part.dtype if self.encoded else like.dtype)
        part = self.X[rows if isinstance(rows, slice) else rows.numpy()]
        if self.encoded:
            return as_tensor(part.toarray()).to(like.device)
        return SparseRows(
            as_tensor(part.indices).to(like.device),
            as_tensor(part.indptr).to(like.device),
            as_tensor(part.data).to(like.device, like.dtype),
        )


@dataclass(frozen=True)
class LabelledRows:
    """Rows with their codes and weights."""

    rows: Rows
    codes: Tensor  # (n_samples, n_tasks)
    weight_table: Tensor  # (n_tasks, 1 + n_classes), see `label_weights`
    sample_weight: Tensor | None  # (n_samples, 1) or (n_samples, n_tasks)
    row_weight: Tensor | None  # (n_samples,), None: each row counts 1

    def read(self, index: Tensor, like: Tensor, groups: list[OutputGroup]) -> Block:
        """These rows, their labels in the order of the groups."""
        codes = self.codes.index_select(0, index).to(like.device)
        sample_weight = row_weight = None
        if self.sample_weight is not None:
            sample_weight = self.sample_weight.index_select(0, index).to(like)
        if self.row_weight is not None:
            row_weight = self.row_weight.index_select(0, index)
        table = self.weight_table.to(like)
        labels = weigh_labels(codes, table, sample_weight, groups)
        return Block(self.rows.read(index, like), labels, row_weight)


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


class Epoch(NamedTuple):
    """What one pass over the training rows gave."""

    number: int  # from 0
    loss: float
    # (n_tasks,): minus the mean loss of the held-out labels, NaN of a task without any.
    task_scores: np.ndarray | None = None

    @property
    def validation_score(self) -> float | None:
        """Mean over the tasks; NaN if none has a score."""
        return None if self.task_scores is None else mean_score(self.task_scores)


def mean_score(task_scores: np.ndarray) -> float:
    """Mean over the tasks that have a score; NaN if none has."""
    scored = task_scores[~np.isnan(task_scores)]
    return float(scored.mean()) if len(scored) else math.nan


def best_validation_score(epochs: list[Epoch], *, by_task: bool) -> float:
    """That of the best epoch, or the mean over the tasks of that of each task's own."""
    scores = [epoch.task_scores for epoch in epochs if epoch.task_scores is not None]
    if not scores:
        return -math.inf
    if by_task:
        return mean_score(np.max(scores, axis=0))
    return max(map(mean_score, scores))


@dataclass(frozen=True)
class SolverState:
    """What a later run needs to go on as if there had been no break."""

    solver: str
    freeze: Freeze
    moments: dict[str, list[Tensor]]
    generator: Tensor

    def fits(self, plan: TrainingPlan) -> bool:
        """Whether its moments are of the same kind, and of the same parameters."""
        return self.solver == plan.solver and self.freeze == plan.freeze

    def cpu(self) -> "SolverState":
        """The same, on the CPU."""
        moments = {
            name: [part.cpu() for part in parts] for name, parts in self.moments.items()
        }
        return replace(self, moments=moments)


@dataclass(frozen=True)
class TrainingResult:
    """What a run of `train` did; the parameters are in the network itself."""

    epochs: list[Epoch]
    stopped_by: Literal["max_iter", "tol", "callback", "interrupt"]
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
    catches_interrupt: bool = True,
    on_epoch_begin: Callable[[int], None] = lambda epoch: None,
    on_epoch_end: Callable[[Epoch], bool] = lambda epoch: False,
) -> TrainingResult:
    """Train `network` in place on the rows `index` of `data`.

    With rows `held_out`, the parameters of the epoch with the best score on them are
    restored; after an interrupt, those of the best epoch so far. `on_epoch_end` stops
    the run by returning True.
    """
    network.trunk.n_frozen_layers = plan.freeze.n_layers
    flat = FlatParameters(_parameter_groups(network, plan.freeze))
    try:
        steps = _Steps(network, flat, data, plan, generator, solver_state)
        progress = _Progress(network, flat, plan, validating=held_out is not None)
        if catches_interrupt or held_out is not None:
            progress.keep_parameters()
        stopped_by: Literal["max_iter", "tol", "callback", "interrupt"]
        device, work = steps.like.device, plan.batch_size * network.work_per_row
        with without_derivatives(device), thread_limit(work):
            try:
                stopped_by = _run_epochs(
                    steps, progress, index, held_out, on_epoch_begin, on_epoch_end
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
    progress: "_Progress",
    index: Tensor,
    held_out: Tensor | None,
    on_epoch_begin: Callable[[int], None],
    on_epoch_end: Callable[[Epoch], bool],
) -> Literal["max_iter", "tol", "callback"]:
    """Epoch after epoch; returns what ended them."""
    for number in range(steps.plan.max_iter):
        on_epoch_begin(number)
        loss, scores = steps.run_epoch(index, number), None
        if held_out is not None:
            scores = -mean_task_losses(steps.network, steps.data, held_out)
        epoch = Epoch(number, loss, scores)
        _check_finite(epoch, steps.plan)
        progress.update(epoch)
        if on_epoch_end(epoch):
            return "callback"
        if progress.has_stalled():
            return "tol"
    return "max_iter"


class _Progress:
    """Epochs so far, when to stop, and the parameters of the best one."""

    def __init__(
        self,
        network: TrunkAndHeads,
        flat: FlatParameters,
        plan: TrainingPlan,
        validating: bool,
    ) -> None:
        self.flat = flat
        # Batch statistics belong to the parameters that they were seen with. By name: a
        # module may put another tensor in the place of its buffer.
        self.statistics = [
            (module, name)
            for module in network.modules()
            for name, _ in module.named_buffers(recurse=False)
            if name not in module._non_persistent_buffers_set
        ]
        self.plan = plan
        self.validating = validating
        self.epochs: list[Epoch] = []
        self.n_stalled = 0
        self.best = -math.inf
        self.best_values: list[Tensor] | None = None
        self.own_best: _OwnBest | None = None
        if validating and network.n_trunks > 1:
            self.own_best = _OwnBest(network)

    @property
    def current(self) -> list[Tensor]:
        """Parameters and statistics."""
        buffers = [getattr(module, name) for module, name in self.statistics]
        return [*self.flat.values, *buffers]

    def keep_parameters(self) -> None:
        """Copy the parameters as the best ones; from now on those of better epochs."""
        if self.own_best is not None:
            return
        if self.best_values is None:
            self.best_values = [values.clone() for values in self.current]
        else:
            _copy(self.best_values, self.current)

    def update(self, epoch: Epoch) -> None:
        score = epoch.validation_score
        if score is None:
            score = -epoch.loss
        elif self.own_best is not None:
            score = self.own_best.update(cast(np.ndarray, epoch.task_scores), score)
        improved = score >= self.best + self.plan.tol
        self.n_stalled = 0 if improved else self.n_stalled + 1
        if score > self.best:
            self.best = score
            if self.best_values is not None:
                self.keep_parameters()
        self.epochs.append(epoch)

    def has_stalled(self) -> bool:
        # A cosine schedule is worth its last epochs, in which the step is smallest:
        # only a validation score may cut it short.
        watches = self.validating or self.plan.learning_rate == "constant"
        return watches and self.n_stalled > self.plan.n_iter_no_change

    def restore_best(self) -> None:
        if self.own_best is not None:
            self.own_best.restore()
        elif self.best_values is not None:
            _copy(self.current, self.best_values)


class _OwnBest:
    """Of separate networks, each task's at the epoch that was best for the task.

    A task without a score counts the mean over the others as its own.
    """

    def __init__(self, network: TrunkAndHeads) -> None:
        self.network = network
        self.kept = copy.deepcopy(network)
        self.scores = np.full(len(network.architecture.n_classes), -math.inf)

    def update(self, scores: np.ndarray, mean: float) -> float:
        """Keep the tasks that have improved; the mean of the best scores."""
        is_scored = ~np.isnan(scores)
        scores = np.where(is_scored, scores, mean)
        for task in np.flatnonzero(scores > self.scores).tolist():
            self.kept.take_task(task, self.network, task)
        self.scores = np.maximum(self.scores, scores)
        return float(self.scores[is_scored].mean())

    def restore(self) -> None:
        for task in range(len(self.scores)):
            self.network.take_task(task, self.kept, task)


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


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
            moments = solver_state.moments
        self.solver = make_solver(flat, plan, moments)
        # A row's share of a block: its features, labels (three fields) and logits.
        n_logits = sum(len(g.tasks) * g.n_logits for g in network.groups)
        width = data.rows.width + (3 + network.n_members) * n_logits
        n_batches = CHUNK_ELEMENTS // (width * plan.batch_size)
        self.rows_per_block = plan.batch_size * max(1, n_batches)

    def state(self) -> SolverState:
        plan = self.plan
        moments, generator = self.solver.state, self.generator.get_state()
        return SolverState(plan.solver, plan.freeze, moments, generator)

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
        if number == self.plan.freeze.n_epochs:
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
