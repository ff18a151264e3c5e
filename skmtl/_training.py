"""The one training loop. It knows networks and tensors, not estimators."""

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from skmtl._losses import in_task_order, task_losses
from skmtl._products import without_derivatives
from skmtl._progress import Epoch, Progress, StoppedBy, as_arrays, as_tensors
from skmtl._rows import CHUNK_ELEMENTS, LabelledRows, Rows, as_tensor
from skmtl._steps import Freeze, Steps, TrainingPlan, parameter_groups
from skmtl._threads import Workers, thread_limit
from skmtl.sharing._network import TrunkAndHeads

# Multiply-adds of a forward pass of a batch from which a part is trained by itself,
# beside the others. Smaller ones are trained in one pass: what Python takes for each
# operation would be most of their time, and Python runs one thread at a time.
MIN_WORK_PER_PART = 5_000_000
# And from which parts are trained at once. With 8 million, two threads took as long as
# one and 1.6 times the CPU time; with 20 million, 0.55 to 0.6 as long and 1.15 times.
MIN_WORK_SIDE_BY_SIDE = 16_000_000
# Of separate networks, which read the same rows: each part expands them anew.
MAX_PARTS_OF_TASKS = 4


@dataclass(frozen=True)
class SolverState:
    """What a later run needs to go on as if there had been no break."""

    solver: str
    freeze: Freeze
    moments: dict[str, list[np.ndarray]]  # of each part, group by group
    generator: np.ndarray  # of uint8

    def fits(self, plan: TrainingPlan) -> bool:
        """Whether its moments are of the same kind, and of the same parameters."""
        return self.solver == plan.solver and self.freeze == plan.freeze

    def is_of(
        self, network: TrunkAndHeads, sizes_of_parts: list[list[int]] | None = None
    ) -> bool:
        """Whether the moments have the sizes of the network's parameters.

        `sizes_of_parts` are those of each part's groups where there are several parts.
        """
        network.trunk.n_frozen_layers = self.freeze.n_layers
        try:
            groups = parameter_groups(network, self.freeze)
        finally:
            network.trunk.n_frozen_layers = 0
        sizes = [sum(p.numel() for p in group.parameters) for group in groups]
        sizes_of_parts = sizes_of_parts or [sizes]
        shapes = {
            name: [part.shape for part in parts] for name, parts in self.moments.items()
        }
        if any(p.dtype != np.float32 for parts in self.moments.values() for p in parts):
            return False
        if self.solver == "adam":
            vectors = [(size,) for part in sizes_of_parts for size in part]
            numbers: list[tuple] = [()] * len(vectors)
            return shapes == {"mean": vectors, "square": vectors, "n_steps": numbers}
        if self.solver != "sgd" or set(shapes) != {"velocity"}:
            return False
        # A group that has not been trained yet has no velocity, without momentum none.
        n_groups = len(shapes["velocity"]) // len(sizes_of_parts)
        trained = [(n,) for part in sizes_of_parts for n in part[:n_groups]]
        return shapes["velocity"] == trained


@dataclass(frozen=True)
class TrainingState:
    """What a run needs to go on with its next epoch, to the last bit."""

    network: dict[str, np.ndarray]
    solver: SolverState
    dropout_generators: np.ndarray  # a row for each part
    progress: dict[str, np.ndarray]
    stopped_by: StoppedBy | None  # None: it has not ended

    def is_of(
        self,
        network: TrunkAndHeads,
        data: LabelledRows,
        plan: TrainingPlan,
        *,
        validating: bool,
    ) -> bool:
        """Whether a run of this plan on these data can go on from it.

        The kernels of the solver do not look at sizes.
        """
        n_epochs = len(self.progress["losses"])
        n_tasks = len(network.architecture.n_classes)
        generator = torch.Generator()
        generator.set_state(as_tensor(self.solver.generator))
        twin = copy.deepcopy(network)
        parts = _Parts(twin, data, plan, generator)
        progress = _new_progress(parts, validating=validating)
        progress.keep_parameters()
        progress.epochs = [Epoch(0, 0.0, np.zeros(n_tasks))] * n_epochs
        if len(self.dropout_generators) != len(parts.steps):
            return False
        parts.set_dropout_generators(self.dropout_generators)
        return (
            _layout(self.network) == _layout(as_arrays(network.state_dict()))
            and _layout(self.progress) == _layout(progress.state())
            and 0 < n_epochs <= plan.max_iter
            and bool(np.isfinite(self.progress["losses"]).all())
            and self.stopped_by in (None, *get_args(StoppedBy))
            and self.solver.fits(plan)
            and self.solver.is_of(network, parts.sizes)
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
    left_out_by: Tensor | None = None,
    solver_state: SolverState | None = None,
    resumed: TrainingState | None = None,
    in_one_pass: bool = False,
    catches_interrupt: bool = True,
    on_epoch_begin: Callable[[int], None] = lambda epoch: None,
    on_epoch_end: Callable[[Epoch, Callable[[], None]], bool] = lambda *args: False,
    on_state: Callable[[int, bool, Callable[[], TrainingState]], None] | None = None,
) -> TrainingResult:
    """Train `network` in place on the rows `index` of `data`.

    With rows `held_out`, the parameters of the epoch with the best score on them are
    restored; after an interrupt, those of the best epoch so far. `left_out_by` is the
    number of the member, (n_samples,), that is not trained on a row. `on_epoch_end` is
    given a function that brings `network` up to date, and stops the run by returning
    True. `on_state` is called after each epoch with its number, whether it was the
    last, and a function that gives the state, from which another run may be `resumed`.
    Members that are trained `in_one_pass` have one `solver_state`, of all of them.
    """
    parts = _Parts(network, data, plan, generator, left_out_by, in_one_pass=in_one_pass)
    if resumed is not None:
        solver_state = resumed.solver
    try:
        parts.set_moments(solver_state)
        validating = held_out is not None
        progress = _new_progress(parts, validating=validating)
        if catches_interrupt or validating:
            progress.keep_parameters()
        if resumed is not None:
            _restore(resumed, parts, progress)
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
            keeps_best = validating or stopped_by == "interrupt"
            if keeps_best:
                progress.restore_best()
            # The own best of separate networks is in the network already.
            if not keeps_best or progress.own_best is None:
                parts.join()
    finally:
        parts.release()
    _check_parameters(network, len(progress.epochs), plan)
    return TrainingResult(progress.epochs, stopped_by, parts.solver_state())


class _Share(NamedTuple):
    """What of a network is a part of its own."""

    members: list[int]
    tasks: list[int]


class _Parts:
    """A network as parts that need nothing of one another while they are trained.

    Each member in a network of its own, or some of the tasks of a single member that
    have separate trunks, where they are large enough; else the network itself.
    """

    def __init__(
        self,
        network: TrunkAndHeads,
        data: LabelledRows,
        plan: TrainingPlan,
        generator: torch.Generator,
        left_out_by: Tensor | None = None,
        *,
        in_one_pass: bool = False,
    ) -> None:
        self.network, self.data, self.plan = network, data, plan
        self.generator = generator
        self.left_out_by = left_out_by
        self.like = network.like
        if network.columns is not None and len(data.rows):
            with without_derivatives(self.like.device):
                self.data = data = data.placed(network.columns, self.like)
        self.shares = [] if in_one_pass else self._shares()
        self.is_divided = len(self.shares) > 1
        # One part may be large enough for several of torch's own threads.
        work = plan.batch_size * network.work_per_row
        self.work_per_step = 0.0 if self.is_divided else work
        if not self.is_divided:
            self.steps = [Steps(network, data, plan, self._dropout_generator())]
        else:
            self.steps = [self._steps_of(share) for share in self.shares]

    def _steps_of(self, share: "_Share") -> Steps:
        part, data = self.network.part(*share), self.data
        has_all = len(share.tasks) == len(self.network.architecture.n_classes)
        if not has_all:
            data = data.of_tasks(share.tasks)
        generator = self._dropout_generator()
        return Steps(part, data, self.plan, generator, has_all_tasks=has_all)

    def _shares(self) -> list["_Share"]:
        """Members and tasks of each part; none of them depends on the machine."""
        network, n_members = self.network, self.network.n_members
        n_tasks = len(network.architecture.n_classes)
        if not network.can_be_divided:
            return []
        work = self.plan.batch_size * network.work_per_row
        is_cpu = self.like.device.type == "cpu"
        if n_members > 1:
            is_large = is_cpu and work / n_members >= MIN_WORK_PER_PART
            if self.left_out_by is None and not is_large:
                return []
            return [_Share([m], list(range(n_tasks))) for m in range(n_members)]
        if not is_cpu or network.n_trunks == 1:
            return []
        n_parts = min(MAX_PARTS_OF_TASKS, n_tasks, int(work // MIN_WORK_PER_PART))
        if n_parts < 2:
            return []
        tasks = np.array_split(np.arange(n_tasks), n_parts)
        return [_Share([0], part.tolist()) for part in tasks]

    @property
    def sizes(self) -> list[list[int]]:
        """Numbers of parameters, of each part and group."""
        return [[v.numel() for v in steps.flat.values] for steps in self.steps]

    @property
    def n_side_by_side(self) -> int:
        """How many parts may be trained at once.

        Where steps are small, threads would wait for their turn in Python.
        """
        work = self.plan.batch_size * self.network.work_per_row / len(self.steps)
        is_worth_it = work >= MIN_WORK_SIDE_BY_SIDE
        return len(self.steps) if is_worth_it and self.like.device.type == "cpu" else 1

    def _dropout_generator(self) -> torch.Generator:
        """For a part, on the network's device."""
        if not self.is_divided and self.like.device == self.generator.device:
            return self.generator
        device = self.generator.device
        seed = torch.randint(2**62, (), generator=self.generator, device=device)
        return torch.Generator(self.like.device).manual_seed(int(seed))

    @property
    def values(self) -> list[Tensor]:
        """All parameters."""
        return [values for steps in self.steps for values in steps.flat.values]

    def join(self) -> None:
        """Bring the network up to date."""
        if self.is_divided:
            for share, steps in zip(self.shares, self.steps, strict=True):
                self.network.copy_from_part(steps.network, *share)

    def load(self, network: dict[str, np.ndarray]) -> None:
        """Take over the state of another network."""
        self.network.load_state_dict(as_tensors(network))
        if self.is_divided:
            for share, steps in zip(self.shares, self.steps, strict=True):
                self.network.copy_to_part(steps.network, *share)

    def release(self) -> None:
        for steps in self.steps:
            steps.release()

    def run_epoch(
        self, index: Tensor, number: int, last_loss: float | None, workers: Workers
    ) -> float:
        """One pass of each part over the rows `index`.

        Returns the loss: the mean over the members, the sum over the tasks.
        """
        for steps in self.steps:
            steps.begin_epoch(number, last_loss)
        if self.plan.shuffle:
            index = index[self._random_order(len(index))]
        jobs = [
            partial(self._run_part, steps, self._rows_of(m, index), number, workers)
            for m, steps in enumerate(self.steps)
        ]
        losses = workers.run(jobs)
        # A part that is the whole network gives the mean over its members.
        by_member = len(self.shares) == self.network.n_members > 1
        return sum(losses) / len(losses) if by_member else sum(losses)

    def _run_part(
        self, steps: Steps, index: Tensor, number: int, workers: Workers
    ) -> float:
        with without_derivatives(self.like.device):
            return steps.run_epoch(index, number, workers.keep_on)

    def _rows_of(self, member: int, index: Tensor) -> Tensor:
        if self.left_out_by is None:
            return index
        return index[self.left_out_by[index] != member]

    def _random_order(self, n_rows: int) -> Tensor:
        generator = self.generator
        return torch.randperm(n_rows, generator=generator, device=generator.device)

    def solver_state(self) -> SolverState:
        """The moments are the solvers' own, which are copied where they are used."""
        states = [steps.solver.state for steps in self.steps]
        moments = {
            name: [part.cpu().numpy() for state in states for part in state[name]]
            for name in states[0]
        }
        generator = self.generator.get_state().numpy()
        return SolverState(self.plan.solver, self.plan.freeze, moments, generator)

    def set_moments(self, state: SolverState | None) -> None:
        """The moments alone: step size, momentum and the like are those of the plan."""
        if state is None or not state.fits(self.plan):
            return
        n_parts = len(self.steps)
        for i, steps in enumerate(self.steps):
            own: dict[str, list[Tensor]] = {}
            for name, arrays in state.moments.items():
                n_groups = len(arrays) // n_parts
                own[name] = [
                    # A copy, since the run may fail.
                    torch.tensor(array, device=self.like.device)
                    for array in arrays[i * n_groups : (i + 1) * n_groups]
                ]
            steps.set_moments(own)

    def dropout_generators(self) -> np.ndarray:
        """Their states, a row for each part."""
        return np.stack(
            [steps.dropout_generator.get_state().numpy() for steps in self.steps]
        )

    def set_dropout_generators(self, states: np.ndarray) -> None:
        for steps, state in zip(self.steps, states, strict=True):
            steps.dropout_generator.set_state(as_tensor(state))


def _new_progress(parts: _Parts, *, validating: bool) -> Progress:
    plan = parts.plan
    return Progress(
        parts.network,
        parts.values,
        validating=validating,
        # A cosine schedule is worth its last epochs, in which the step is smallest:
        # only a validation score may cut it short.
        may_stall=validating or plan.learning_rate == "constant",
        tol=plan.tol,
        n_iter_no_change=plan.n_iter_no_change,
    )


def _run_epochs(
    parts: _Parts,
    workers: Workers,
    progress: Progress,
    index: Tensor,
    held_out: Tensor | None,
    on_epoch_begin: Callable[[int], None],
    on_epoch_end: Callable[[Epoch, Callable[[], None]], bool],
    on_state: Callable[[int, bool, Callable[[], TrainingState]], None] | None,
) -> StoppedBy:
    """Epoch after epoch; returns what ended them."""
    max_iter = parts.plan.max_iter
    for number in range(len(progress.epochs), max_iter):
        if progress.stopped_by is not None:
            break
        on_epoch_begin(number)
        last_loss = progress.epochs[-1].loss if progress.epochs else None
        loss, scores = parts.run_epoch(index, number, last_loss, workers), None
        if held_out is not None:
            parts.join()
            scores = -mean_task_losses(parts.network, parts.data, held_out)
        epoch = Epoch(number, loss, scores)
        _check_finite(epoch, parts.plan)
        progress.update(epoch)
        if on_epoch_end(epoch, parts.join):
            progress.stopped_by = "callback"
        elif progress.has_stalled():
            progress.stopped_by = "tol"
        if on_state is not None:
            is_last = progress.stopped_by is not None or number + 1 == max_iter
            on_state(number, is_last, partial(_state_of, parts, progress))
    return progress.stopped_by or "max_iter"


def _state_of(parts: _Parts, progress: Progress) -> TrainingState:
    """On the memory of the CPU's tensors: to be written before the next step."""
    parts.join()
    return TrainingState(
        as_arrays(parts.network.state_dict()),
        parts.solver_state(),
        parts.dropout_generators(),
        progress.state(),
        progress.stopped_by,
    )


def _restore(state: TrainingState, parts: _Parts, progress: Progress) -> None:
    parts.load(state.network)
    parts.generator.set_state(as_tensor(state.solver.generator))
    parts.set_dropout_generators(state.dropout_generators)
    progress.restore(state.progress)
    progress.stopped_by = state.stopped_by


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
