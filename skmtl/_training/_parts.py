"""Dividing a network into parts that are trained independently."""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmtl._network import TrunkAndHeads, without_derivatives
from skmtl._rows import as_tensor
from skmtl._training._observed import observed_labels, skips_missing
from skmtl._training._progress import as_tensors
from skmtl._training._solver_state import SolverState
from skmtl._training._steps import Steps, TrainingPlan
from skmtl._training._threads import Workers
from skmtl._training._training_rows import Piece, TrainingRows, rows_apart
from skmtl._world import World

# Parts whose forward pass of a batch has at least this many multiply-adds are trained
# separately, side by side. Smaller ones are trained in one pass: Python's overhead for
# each operation would take most of their time, and Python runs one thread at a time.
MIN_WORK_PER_PART = 5_000_000
# Parts with at least this many are trained at the same time. With 8 million, two
# threads took as long as one and 1.6 times the CPU time; with 20 million, 0.55 to 0.6
# times as long and 1.15 times the CPU time. Smaller members that leave out rows are one
# part, in which each reads rows of its own. Of larger ones, two are a part: on two
# threads, two parts took 0.7 to 0.9 times as long as four, and 0.75 to 0.9 times the
# CPU time.
MIN_WORK_SIDE_BY_SIDE = 16_000_000
# For a layer of sparse rows, a step of the solver takes as long as so many full rows.
ROWS_PER_STEP = 10
# Largest number of parts for separate networks: each part expands the same rows anew.
MAX_PARTS_OF_TASKS = 4


class Share(NamedTuple):
    """The members and tasks of one part; several members read rows of their own."""

    members: list[int]
    tasks: list[int]


def _given_order(n_rows: int) -> Tensor:
    """The order of the rows, on the CPU even if torch's default is another device."""
    return torch.arange(n_rows, device="cpu")


class Parts:
    """A network as parts that do not depend on one another during training.

    If they are large enough, a part is one member, or some of the tasks of a single
    member with separate trunks. Otherwise the only part is the network itself. Members
    that leave out rows share parts, in which each reads rows of its own.
    """

    def __init__(
        self,
        network: TrunkAndHeads,
        rows: TrainingRows,
        plan: TrainingPlan,
        generator: torch.Generator,
        *,
        in_one_pass: bool = False,
        world: World | None = None,
    ) -> None:
        self.network, self.rows, self.plan = network, rows, plan
        self.generator = generator
        self.world, self._seed = world, generator.initial_seed()
        self.like = network.like
        # Of left-out rows: the share of the constant loss when it was last measured.
        self.left_out_share: float | None = None
        self.constant_left_out_loss: float | None = None
        if network.columns is not None:
            with without_derivatives(self.like.device):
                self.rows = rows.placed(network.columns, self.like)
        # Processes step together, so their parts must run in one order, one by one.
        is_whole = in_one_pass or world is not None
        self.shares = [] if is_whole else self._shares()
        self.is_divided = len(self.shares) > 0
        # A single part can be large enough for several of torch's own threads.
        self.work_per_step = 0.0 if self.is_divided else self._work
        networks, n_tasks = [network], len(network.architecture.outputs)
        if self.is_divided:
            networks = [
                network.part(*share, read_apart=len(share.members) > 1)
                for share in self.shares
            ]
        # Of an epoch of each part.
        self._n_rows = [
            max(map(self.rows.n_rows_of, self.members_of(part)))
            for part in range(len(networks))
        ]
        observed = observed_labels(self.rows, networks[0], plan.batch_size)
        self.steps = [
            Steps(
                own,
                self.rows.width,
                plan,
                self._dropout_generator(part),
                has_all_tasks=len(own.architecture.outputs) == n_tasks,
                observed=observed,
                world=world,
            )
            for part, own in enumerate(networks)
        ]

    @property
    def _work(self) -> float:
        """Approximate number of multiply-adds of the forward pass of a batch.

        Sparse rows are multiplied only where they have entries.
        """
        network, batch_size = self.network, self.plan.batch_size
        work = float(batch_size * network.work_per_row)
        if network.can_be_divided and network.columns is None:
            n_features = network.architecture.n_features
            n_rows = batch_size * self.rows.width / n_features + ROWS_PER_STEP
            first_layer = next(network.parameters()).numel()
            work += min(0.0, n_rows - batch_size) * first_layer
        return work

    def _shares(self) -> list["Share"]:
        """Members and tasks of each part, which do not depend on the machine."""
        network, n_members = self.network, self.network.n_members
        n_tasks, work = len(network.architecture.outputs), self._work
        if not network.can_be_divided:
            return []
        is_cpu = self.like.device.type == "cpu"
        if n_members > 1:
            is_large = is_cpu and work / n_members >= MIN_WORK_PER_PART
            if not self.rows.leaves_out and not is_large:
                return []
            members = np.array_split(np.arange(n_members), self._n_parts_of_members())
            return [Share(own.tolist(), list(range(n_tasks))) for own in members]
        if not is_cpu or network.n_trunks == 1:
            return []
        n_parts = min(MAX_PARTS_OF_TASKS, n_tasks, int(work // MIN_WORK_PER_PART))
        if n_parts < 2:
            return []
        tasks = np.array_split(np.arange(n_tasks), n_parts)
        return [Share([0], part.tolist()) for part in tasks]

    def _n_parts_of_members(self) -> int:
        """Into how many parts the members are divided."""
        network, n_members = self.network, self.network.n_members
        if not self.rows.leaves_out or not network.can_read_apart:
            return n_members
        # One member can skip the heads of missing labels, which saves more.
        if skips_missing(self.rows, network, self.plan.batch_size):
            return n_members
        is_large = self._work / n_members >= MIN_WORK_SIDE_BY_SIDE
        is_cpu = self.like.device.type == "cpu"
        return max(2, n_members // 2) if is_large and is_cpu else 1

    @property
    def last_left_out_loss(self) -> float | None:
        """The loss of left-out rows, on the scale of the loss of all rows."""
        if self.left_out_share is None or self.plan.constant_loss is None:
            return None
        return self.left_out_share * self.plan.constant_loss

    @property
    def n_parameters(self) -> list[list[int]]:
        """The number of parameters of each part and group."""
        return [[v.numel() for v in steps.flat.values] for steps in self.steps]

    @property
    def n_side_by_side(self) -> int:
        """How many parts can be trained at the same time.

        With small steps, threads would mostly wait for their turn in Python.
        """
        work = self._work / len(self.steps)
        is_worth_it = work >= MIN_WORK_SIDE_BY_SIDE
        return len(self.steps) if is_worth_it and self.like.device.type == "cpu" else 1

    def _dropout_generator(self, part: int) -> torch.Generator:
        """A generator for the dropout of a part, on the network's device.

        Each member takes a seed, so that the order of the rows does not depend on how
        the members are divided.
        """
        if not self.is_divided and self.like.device == self.generator.device:
            return self.generator
        device = self.generator.device
        seed, *_ = [
            int(torch.randint(2**62, (), generator=self.generator, device=device))
            for _ in self.members_of(part)
        ]
        return torch.Generator(self.like.device).manual_seed(seed)

    @property
    def values(self) -> list[Tensor]:
        """All parameters."""
        return [values for steps in self.steps for values in steps.flat.values]

    def join(self) -> None:
        """Bring the network up to date with its parts."""
        if self.is_divided:
            for share, steps in zip(self.shares, self.steps, strict=True):
                self.network.copy_from_part(steps.network, *share)

    def is_any(self, here: bool) -> bool:
        """Whether `here` is true in any of the processes."""
        return (
            here
            if self.world is None
            else any(self.world.gather(here, "end of an epoch"))
        )

    def load(self, network: dict[str, np.ndarray]) -> None:
        """Take over the state of a network."""
        self.network.load_state_dict(as_tensors(network))
        if self.is_divided:
            for share, steps in zip(self.shares, self.steps, strict=True):
                self.network.copy_to_part(steps.network, *share)

    def zero_tiny(self) -> None:
        """Set weights and moments that are too small to matter to 0."""
        for steps in self.steps:
            steps.solver.zero_tiny()

    def release(self) -> None:
        for steps in self.steps:
            steps.release()

    def run_epoch(
        self, number: int, n_epochs: int, last_loss: float | None, workers: Workers
    ) -> float:
        """Train each part for one of `n_epochs` passes over the rows.

        Returns the loss, which is averaged over the members and summed over the tasks.
        """
        if self.world is not None:
            self._draw_anew(self.world, number)
        for part, steps in enumerate(self.steps):
            steps.begin_epoch(number, n_epochs, last_loss, self._n_rows[part])
        order = self._random_order if self.plan.shuffle else _given_order
        batch_size = self.steps[0].batch_size
        for piece in self.rows.epoch(order, batch_size):
            jobs = [
                partial(self._run_part, part, piece, workers)
                for part in range(len(self.steps))
            ]
            workers.run(jobs)
        losses = [steps.end_epoch() for steps in self.steps]
        if self.network.n_members == 1:  # parts of the tasks
            return sum(losses)
        # The loss of a part is already a mean over its members.
        n_members = [len(share.members) for share in self.shares] or [1]
        return float(np.average(losses, weights=n_members))

    def _draw_anew(self, world: World, number: int) -> None:
        """Seed differently in each process, but the same way if the fit resumes."""
        sequence = np.random.SeedSequence([self._seed, world.rank, number])
        seed, of_dropout = sequence.generate_state(2).tolist()
        self.generator.manual_seed(seed)
        for steps in self.steps:
            if steps.dropout_generator is not self.generator:
                steps.dropout_generator.manual_seed(of_dropout)

    def _run_part(self, part: int, piece: Piece, workers: Workers) -> None:
        data, steps = piece.data, self.steps[part]
        if not steps.has_all_tasks:
            data = data.of_tasks(self.shares[part].tasks)
        rows = [piece.rows_of(member) for member in self.members_of(part)]
        if len(rows) > 1:
            rows = [rows_apart(rows, steps.batch_size)]
        with without_derivatives(self.like.device):
            steps.run(data, rows[0], workers.keep_on)

    def members_of(self, part: int) -> list[int]:
        """The members whose rows the part reads."""
        return self.shares[part].members if self.is_divided else [0]

    def _random_order(self, n_rows: int) -> Tensor:
        generator = self.generator
        return torch.randperm(n_rows, generator=generator, device=generator.device)

    def solver_state(self) -> SolverState:
        """The state of all solvers. It shares their memory; `set_moments` copies it."""
        states = [steps.solver.state for steps in self.steps]
        moments = {
            name: [part.cpu().numpy() for state in states for part in state[name]]
            for name in states[0]
        }
        generator = self.generator.get_state().numpy()
        return SolverState(self.plan.solver, self.plan.freeze, moments, generator)

    def set_moments(self, state: SolverState | None) -> None:
        """Set only the moments: step size, momentum and so on come from the plan."""
        if state is None or not state.suits_plan(self.plan):
            return
        n_parts = len(self.steps)
        for i, steps in enumerate(self.steps):
            own: dict[str, list[Tensor]] = {}
            for name, arrays in state.moments.items():
                n_groups = len(arrays) // n_parts
                own[name] = [
                    # A copy, since the run can fail.
                    torch.tensor(array, device=self.like.device)
                    for array in arrays[i * n_groups : (i + 1) * n_groups]
                ]
            steps.set_moments(own)

    def dropout_generators(self) -> np.ndarray:
        """The states of the dropout generators, one row for each part."""
        return np.stack(
            [steps.dropout_generator.get_state().numpy() for steps in self.steps]
        )

    def set_dropout_generators(self, states: np.ndarray) -> None:
        for steps, state in zip(self.steps, states, strict=True):
            steps.dropout_generator.set_state(as_tensor(state))
