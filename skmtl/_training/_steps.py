"""The solver's steps on one part of a network, batch by batch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from skmtl._network import (
    DropoutStock,
    NetworkPass,
    SparseRows,
    Tape,
    TrunkAndHeads,
    split_rows,
    split_with_columns,
)
from skmtl._outputs import logit_gradient, task_losses
from skmtl._rows import CHUNK_ELEMENTS, LabelledRows
from skmtl._training._blocks import LabelledBlock, read_block, read_block_apart
from skmtl._training._observed import BatchLabels, ObservedLabels
from skmtl._training._solvers import (
    Adam,
    FlatParameters,
    Group,
    NesterovSGD,
    Solver,
    groups_of,
)
from skmtl._world import World

# Fraction of a cosine schedule's steps over which the learning rate rises from 0.
WARM_UP = 0.1
# Largest factor on the learning rate as the loss falls.
MAX_STEP_FACTOR = 4.0
# After so many steps, tiny weights become 0, since they slow down the steps.
STEPS_TO_ZERO_TINY = 100
# Between these shares of the constant loss, dropout ends; and that of the input, if it
# ends earlier.
DROPOUT_ENDED, DROPOUT_ENDS = 0.2, 0.5
INPUT_DROPOUT_ENDED, INPUT_DROPOUT_ENDS = 0.4, 0.9


class Freeze(NamedTuple):
    """Which layers of the trunk are not trained."""

    n_layers: int = 0  # counted from the input
    n_epochs: int | None = None  # for how many epochs; None for all
    step_factor: float = 1.0  # on the steps of the trunk once it is trained


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
    # The loss of the best constant prediction, if the loss shows how much is left to
    # learn, and whether it can be negative, as the logarithm of a density.
    constant_loss: float | None = None
    is_log_density: bool = False
    # As the loss falls below this share of the constant loss: whether dropout falls
    # with it, whether dropout then ends, whether that of the input ends earlier, and
    # whether the learning rate rises. It can be the loss of left-out rows.
    follows_below: float = 1.0
    follows_left_out: bool = False
    lowers_dropout: bool = False
    ends_dropout: bool = False
    ends_input_dropout: bool = False
    raises_steps: bool = False
    # How often `max_iter` can double while the loss of left-out rows falls.
    max_doublings: int = 0
    # Positions of the tasks whose validation scores count; None for all.
    main_tasks: tuple[int, ...] | None = None
    # If this run is one of several: the part of the schedule that it covers, and the
    # loss of the run before.
    schedule: tuple[float, float] = (0.0, 1.0)
    last_loss: float | None = None


def parameter_groups(network: TrunkAndHeads, freeze: Freeze) -> list[Group]:
    """The trained parameters with their first epoch; those that wait come last."""
    named = list(network.named_parameters())
    if freeze.n_epochs is None:
        frozen = {id(p) for p in network.trunk.frozen_parameters(freeze.n_layers)}
        return groups_of([pair for pair in named if id(pair[1]) not in frozen], 1.0, 0)
    in_trunk = {id(p) for p in network.trunk.parameters()}
    heads = [pair for pair in named if id(pair[1]) not in in_trunk]
    trunk = [(n, p) for n, p in named if id(p) in in_trunk and p.requires_grad]
    return [
        *groups_of(heads, 1.0, 0),
        *groups_of(trunk, freeze.step_factor, freeze.n_epochs),
    ]


class Steps:
    """Trains one part, with its parameters in flat vectors, a solver and dropout.

    If its members read rows of their own, a batch has as many rows of each of them, see
    `rows_apart`.
    """

    def __init__(
        self,
        network: TrunkAndHeads,
        row_width: int,
        plan: TrainingPlan,
        dropout_generator: torch.Generator,
        *,
        has_all_tasks: bool = True,
        observed: ObservedLabels | None = None,
        world: World | None = None,
    ) -> None:
        self.network = network
        self.has_all_tasks = has_all_tasks
        self.observed = observed
        self.row_width = row_width
        self.plan = plan
        self.world = world
        self.dropout_generator = dropout_generator
        self.dropout = DropoutStock(dropout_generator)
        self._dropout_scale = self._step_factor = 1.0
        self.like = network.like
        self.n_frozen_layers = plan.freeze.n_layers
        self.flat = FlatParameters(parameter_groups(network, plan.freeze))
        self.network_pass = NetworkPass(network, self.n_frozen_layers)
        self.solver = make_solver(self.flat, plan, None)
        self._set_batch_size(plan.batch_size)

    def _set_batch_size(self, batch_size: int) -> None:
        self.batch_size = batch_size
        # Of all inputs.
        self.rows_per_batch = self.network.n_inputs * batch_size
        # Elements of a row in a block: its features, labels (three fields) and logits.
        # Without the missing labels, there are far fewer.
        n_logits = sum(len(g.tasks) * g.kind.n_logits for g in self.network.groups)
        n_fields = 3 + self.network.n_members if self.observed is None else 1
        self.rows_per_block = self._whole_batches(self.row_width + n_fields * n_logits)
        width_expanded = self.row_width
        if self.network.columns is not None:
            width_expanded += self.network.columns.n_inputs
        self.rows_at_once = self._whole_batches(width_expanded)

    def _whole_batches(self, width: int) -> int:
        """As many rows of this width as one chunk has, but whole batches of them."""
        n_batches = CHUNK_ELEMENTS // (max(1, width) * self.rows_per_batch)
        return self.rows_per_batch * max(1, n_batches)

    def set_moments(self, moments: dict[str, list[Tensor]]) -> None:
        """Continue from the moments of another run."""
        self.solver = make_solver(self.flat, self.plan, moments)

    def release(self) -> None:
        """Give the network's parameters their own memory again."""
        self.flat.release()

    def begin_epoch(
        self, number: int, n_epochs: int, last_loss: float | None, n_rows: int
    ) -> None:
        """Prepare one of `n_epochs` passes over `n_rows` rows of each input.

        Unfreezes the trunk when it is time.
        """
        plan = self.plan
        self.flat.begin_epoch(number)
        unfreezes_at = plan.freeze.n_epochs
        if self.n_frozen_layers and unfreezes_at is not None and number >= unfreezes_at:
            self.n_frozen_layers = 0
            self.network_pass = NetworkPass(self.network)
        if last_loss is not None:
            self._adapt_to_loss(last_loss, is_of_all_processes=True)
        if self.world is not None:
            self._set_batch_size(self.world.share_of(plan.batch_size, n_rows))
        n_batches = -(-n_rows // self.batch_size)
        self.dropout.begin(n_batches)
        if self.world is not None:
            n_batches = max(self.world.gather(n_batches, "batches of an epoch"))
        self.n_batches = n_batches
        self._n_steps = number * n_batches
        self._step_sizes = (
            plan.learning_rate_init
            * schedule_factor(plan, (number + (i + 0.5) / n_batches) / n_epochs)
            for i in range(n_batches)
        )
        self._loss = torch.zeros((), dtype=torch.float64, device=self.like.device)
        self._weight = 0.0

    def _adapt_to_loss(self, loss: float, *, is_of_all_processes: bool) -> None:
        """Adapt dropout and steps to the share of the constant loss that is left.

        If little is left, the labels are nearly certain: larger steps do no harm, and
        reach the large weights that such labels need. All processes must take the same
        steps, so these depend only on a loss that the processes have in common.
        """
        plan = self.plan
        if not plan.constant_loss:
            return
        share = loss / plan.constant_loss
        if plan.is_log_density:  # for a normal: the unexplained variance
            share = math.exp(min(share, 1.0) - 1.0)
        followed = min(1.0, share / plan.follows_below)
        if plan.raises_steps and is_of_all_processes:
            self._step_factor = 1.0 / max(followed, 1.0 / MAX_STEP_FACTOR)
        self._lower_dropout(min(1.0, share), followed)

    def _lower_dropout(self, share: float, followed: float) -> None:
        """Lower dropout as less of the constant loss is left."""
        plan = self.plan
        scale = followed if plan.lowers_dropout else 1.0
        if plan.ends_dropout:
            scale *= _dropout_left(share, DROPOUT_ENDED, DROPOUT_ENDS)
        of_input = scale
        if plan.ends_input_dropout:
            of_input = _dropout_left(share, INPUT_DROPOUT_ENDED, INPUT_DROPOUT_ENDS)
        self.network_pass.scale_dropout(scale, of_input)
        if scale != self._dropout_scale:
            self._dropout_scale = scale
            self.dropout.forget()

    def run(
        self, data: LabelledRows, index: Tensor, keep_on: Callable[[], None]
    ) -> None:
        """Take the steps on some rows of the epoch, in this order.

        `keep_on` is called before each step, and can raise.
        """
        if len(index) == 0:  # in a process without labels
            return
        for rows in index.split(self.rows_per_block):
            block_loss, block_weight = self._run_block(data, rows, keep_on)
            self._loss += block_loss
            self._weight += block_weight
            if self.has_all_tasks and not self.plan.follows_left_out:
                loss = float(block_loss) / block_weight
                self._adapt_to_loss(loss, is_of_all_processes=self.world is None)

    def end_epoch(self) -> float:
        """The mean loss of the epoch, with the L2 penalty."""
        loss, weight = self._loss, self._weight
        if self.world is not None:
            # Other processes have more batches, to which this one adds nothing.
            for step in self._step_sizes:
                for gradient in self.flat.gradients:
                    gradient.zero_()
                self._descend(0.0, step)
            loss, total = self.world.sum(loss, loss.new_tensor(weight))
            weight = float(total)
        return (float(loss) + self._penalty() * self.n_batches) / weight

    def _run_block(
        self, data: LabelledRows, rows: Tensor, keep_on: Callable[[], None]
    ) -> tuple[Tensor, float]:
        """Read some batches at once and take a step on each.

        Returns the sum of the losses, each before its step, and the sum of the rows'
        weights, both averaged over the inputs.
        """
        block, batches, weights = self._read_block(data, rows)
        logits = []
        for batch in zip(
            self._read_batches(block.x),
            batches,
            weights,
            islice(self._step_sizes, len(weights)),
            strict=True,
        ):
            keep_on()
            logits.append(self._step(*batch))
        n_inputs = self.network.n_inputs
        if n_inputs > 1:  # the order of the labels
            logits = [own.flatten(0, 1).unsqueeze(0) for own in logits]
        every = torch.cat(logits, dim=1 if self.observed is None else 2)
        losses = task_losses(every, block.labels, self.network.groups)
        return losses.sum() / n_inputs, sum(weight.mean for weight in weights)

    def _read_block(
        self, data: LabelledRows, rows: Tensor
    ) -> tuple[LabelledBlock, list[BatchLabels], list["_Weight"]]:
        n_rows = self.rows_per_batch
        if self.network.n_inputs > 1:
            return self._read_block_apart(data, rows)
        if self.observed is not None:
            block, batches = self.observed.read_block(data, rows, self.like, n_rows)
        else:
            block = read_block(data, rows, self.like, self.network.groups)
            batches = [BatchLabels(own, None) for own in block.labels.split(n_rows)]
        if block.row_weight is None:
            weights: list[float] = [len(own) for own in rows.split(n_rows)]
        else:
            weights = [float(own.sum()) for own in block.row_weight.split(n_rows)]
        return block, batches, [_Weight(weight, weight) for weight in weights]

    def _read_block_apart(
        self, data: LabelledRows, rows: Tensor
    ) -> tuple[LabelledBlock, list[BatchLabels], list["_Weight"]]:
        """As `_read_block`, with other rows for each input."""
        n_inputs, n_rows = self.network.n_inputs, self.rows_per_batch
        block = read_block_apart(data, rows, self.like, self.network.groups)
        if block.row_weight is None:
            sizes = [len(own) // n_inputs for own in rows.split(n_rows)]
            weights = [_Weight(size, size) for size in sizes]
        else:
            weights = [
                _Weight.by_input(own.view(n_inputs, -1).sum(1).to(self.like))
                for own in block.row_weight.split(n_rows)
            ]
        batches = [
            BatchLabels(own.by_member(n_inputs), None)
            for own in block.labels.split(n_rows)
        ]
        return block, batches, weights

    def _read_batches(self, x: Any) -> Iterator[Any]:
        """The first layer's input, batch by batch, computed for several at once."""
        network, n_rows = self.network, self.rows_per_batch
        for part in split_rows(x, self.rows_at_once):
            read: Any = self.network_pass.read(part, self.dropout_generator)
            if isinstance(read, SparseRows) and self.n_frozen_layers == 0:
                n_columns = network.architecture.n_features
                yield from split_with_columns(read, n_rows, n_columns, network.n_inputs)
            else:
                yield from map(self.network_pass.by_input, split_rows(read, n_rows))

    def _penalty(self) -> float:
        """The L2 penalty alpha / 2 * ||W||^2, averaged over the members."""
        if self.plan.alpha == 0:  # the weights may have overflowed
            return 0.0
        squares = sum(
            float(torch.dot(values, values))  # in a quarter of the time of squares
            for group, values in zip(self.flat.groups, self.flat.values, strict=True)
            if group.decays
        )
        return 0.5 * self.plan.alpha * squares / self.network.n_members

    def _step(
        self, x: Any, batch: BatchLabels, weight: "_Weight", step: float
    ) -> Tensor:
        """Take a step on a batch of this weight; returns its logits before the step."""
        labels, cells = batch
        tape = Tape([], [])
        logits = self.network_pass.forward(x, self.dropout, tape, cells)
        # Members are independent: each descends on its own mean loss.
        gradient = logit_gradient(logits, labels, self.network.groups)
        if self.world is None:
            gradient.div_(weight.of_inputs)
        self.network_pass.backward(tape, gradient)
        self._descend(weight.mean, step)
        return logits

    def _descend(self, weight: float, step: float) -> None:
        """Take a step with the gradients of a batch, summed over all processes."""
        if self.world is not None:
            weight = self._sum_over_processes(self.world, weight)
        self.solver.step(step * self._step_factor, self.plan.alpha / weight)
        self._n_steps += 1
        if self._n_steps % STEPS_TO_ZERO_TINY == 0:
            self.solver.zero_tiny()

    def _sum_over_processes(self, world: World, weight: float) -> float:
        """Turn gradients of sums into those of the mean; returns the total weight."""
        gradients = self.flat.gradients[: self.flat.n_active]
        own = self.like.new_tensor([weight], dtype=gradients[0].dtype)
        (total,) = world.sum(torch.cat([*gradients, own]))
        weight = float(total[-1])
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, total[:-1].split(sizes), strict=True):
            torch.div(part, weight, out=gradient)
        self.network_pass.forget_gradient()
        return weight


class _Weight(NamedTuple):
    """The weight of a batch: the sum of the weights of its rows."""

    of_inputs: Tensor | float  # (n_inputs, 1, 1) if they differ
    mean: float  # which the L2 penalty of all inputs is divided by

    @classmethod
    def by_input(cls, sums: Tensor) -> "_Weight":
        # An input without rows has gradients of 0 here, which must remain 0.
        return cls(sums.clamp(min=1e-30).view(-1, 1, 1), float(sums.mean()))


def _dropout_left(share: float, ended: float, ends: float) -> float:
    """A factor: 1 if this share of the constant loss is above `ends`, 0 at `ended`."""
    return min(max((share - ended) / (ends - ended), 0.0), 1.0)


def schedule_factor(plan: TrainingPlan, progress: float) -> float:
    """Factor on `learning_rate_init` when a fraction `progress` of the run is done."""
    if plan.learning_rate == "constant":
        return 1.0
    begin, end = plan.schedule
    progress = begin + (end - begin) * progress
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 * (1.0 + math.cos(math.pi * (progress - WARM_UP) / (1.0 - WARM_UP)))


def make_solver(
    flat: FlatParameters, plan: TrainingPlan, state: dict[str, list[Tensor]] | None
) -> Solver:
    """The solver of the plan, which continues from `state` if there is one."""
    if plan.solver == "adam":
        return Adam(
            flat,
            beta_1=plan.beta_1,
            beta_2=plan.beta_2,
            epsilon=plan.epsilon,
            state=state,
        )
    return NesterovSGD(flat, momentum=plan.momentum, state=state)
