"""Output kinds: the outputs of a head, their loss, and the predictions from them.

A kind owns everything that differs between binary, multiclass and numeric tasks. The
network, the training loop and the estimators ask the kind and never look at the number
of classes. To add a kind, add a class here and include it in `OutputKind`.

A missing label has code -1 and weight 0. Nothing else marks it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast, get_args

import torch
from numpy.typing import NDArray
from scipy.special import rel_entr
from torch import Tensor
from torch.nn import functional as F

from skmtl._targets import is_binary


class Targets(NamedTuple):
    """The labels of some rows and tasks."""

    codes: Tensor  # (batch, n_tasks), -1 if missing; 0 for an observed number
    numbers: Tensor | None  # (batch, n_tasks), standardised; 0 if there is no number

    def of_tasks(self, tasks: Tensor) -> "Targets":
        """The labels of some of the tasks."""
        numbers = None if self.numbers is None else self.numbers.index_select(1, tasks)
        return Targets(self.codes.index_select(1, tasks), numbers)


class Labels(NamedTuple):
    """Labels of some rows as the loss reads them, with the tasks in group order."""

    # (batch, n_logits): 1 if the label is the logit's class; of numbers, the number
    targets: Tensor
    weights: Tensor  # (batch, n_tasks), 0 if the label is missing
    # (batch, n_logits): - weight * target, which some gradients begin with
    pull: Tensor

    def split(self, n_rows: int) -> "list[Labels]":
        """Parts of `n_rows` rows each; the last part can be smaller."""
        fields = [field.split(n_rows) for field in self]
        return [Labels(*parts) for parts in zip(*fields, strict=True)]

    def times(self, factor: Tensor) -> "Labels":
        """With weights that are multiplied by the factor of each row."""
        weights, pull = (own * factor.unsqueeze(1) for own in (self.weights, self.pull))
        return Labels(self.targets, weights, pull)

    def by_member(self, n_members: int) -> "Labels":
        """(n_members, batch, ...): of rows of each member, one member after another."""
        return Labels(*(field.unflatten(0, (n_members, -1)) for field in self))

    def split_tasks(self, n_tasks: list[int], n_logits: int) -> "list[Labels]":
        """Parts of these numbers of tasks, each with `n_logits` logits."""
        by_logit = [n_logits * n for n in n_tasks]
        sizes = by_logit, n_tasks, by_logit
        fields = [f.split(own, dim=1) for f, own in zip(self, sizes, strict=True)]
        return [Labels(*parts) for parts in zip(*fields, strict=True)]


def _smoothing(labels: Labels) -> Tensor:
    """(n_tasks,): a little weight for each class, so that none has a frequency of 0."""
    return (1e-3 * labels.weights.sum(0)).clamp(min=1e-30)


# The kinds --------------------------------------------------------------------------


@dataclass(frozen=True)
class Binary:
    """Two classes: one logit, log loss."""

    n_logits: ClassVar[int] = 1
    n_classes: ClassVar[int] = 2
    is_bounded: ClassVar[bool] = True  # whether the loss is never negative
    predicts_classes: ClassVar[bool] = True
    predicts_mean: ClassVar[bool] = False  # whether the first logit is a number's mean
    max_curvature: ClassVar[float] = 0.25  # of the loss of a label, in the logits
    order: ClassVar[tuple[int, int]] = (0, 2)

    def weigh(
        self, targets: Targets, table: Tensor, sample_weight: Tensor | None
    ) -> Labels:
        codes = targets.codes.to(table.dtype)  # arithmetic is faster than comparisons
        positive = codes.relu()
        pull = positive * -table[:, 2]
        weights = torch.addcmul(-pull, 1.0 - codes.abs(), table[:, 1])
        if sample_weight is not None:
            pull, weights = pull * sample_weight, weights * sample_weight
        return Labels(positive, weights, pull)

    def losses(self, z: Tensor, labels: Labels) -> Tensor:
        # log(1 + exp(z)) for a negative, log(1 + exp(-z)) for a positive label
        signed = torch.addcmul(z, z, labels.targets, value=-2.0)
        per_label = F.softplus(signed, threshold=40.0)  # exact in float64 too
        return (per_label * labels.weights).sum((0, 1))

    def gradient(self, z: Tensor, labels: Labels) -> Tensor:
        return torch.addcmul(labels.pull, torch.sigmoid(z), labels.weights)

    def probabilities(self, z: Tensor) -> Tensor:
        return torch.stack([torch.sigmoid(-z), torch.sigmoid(z)], dim=-1)

    def log_probabilities(self, z: Tensor) -> Tensor:
        return torch.stack([F.logsigmoid(-z), F.logsigmoid(z)], dim=-1)

    def logits(self, log_p: Tensor) -> Tensor:
        """Logits with these log-probabilities."""
        return log_p[..., 1] - log_p[..., 0]

    def constant_logits(self, labels: Labels) -> Tensor:
        """(n_logits,): those of the class frequencies."""
        positive, little = -labels.pull.sum(0), _smoothing(labels)
        negative = labels.weights.sum(0) - positive
        return (positive + little).log() - (negative + little).log()


@dataclass(frozen=True)
class Multiclass:
    """Any other number of classes: one logit for each, cross-entropy."""

    n_classes: int

    is_bounded: ClassVar[bool] = True
    predicts_classes: ClassVar[bool] = True
    predicts_mean: ClassVar[bool] = False
    max_curvature: ClassVar[float] = 0.5  # Boehning 1992, section 2

    @property
    def n_logits(self) -> int:
        return self.n_classes

    @property
    def order(self) -> tuple[int, int]:
        return 0, self.n_classes

    def weigh(
        self, targets: Targets, table: Tensor, sample_weight: Tensor | None
    ) -> Labels:
        codes = targets.codes.to(table.dtype)
        classes = torch.arange(self.n_classes, device=codes.device)
        is_class = (codes.unsqueeze(2) == classes).to(codes.dtype)
        weights = (is_class * table[:, 1 : 1 + self.n_classes]).sum(2)
        if sample_weight is not None:
            weights = weights * sample_weight
        pull = is_class * -weights.unsqueeze(2)
        return Labels(is_class.flatten(1), weights, pull.flatten(1))

    def losses(self, z: Tensor, labels: Labels) -> Tensor:
        log_p = self.log_probabilities(z).flatten(2)
        by_logit = (log_p * labels.pull).sum((0, 1))
        return by_logit.view(-1, self.n_classes).sum(1)

    def gradient(self, z: Tensor, labels: Labels) -> Tensor:
        p = self.probabilities(z)
        return (p * labels.weights.unsqueeze(-1)).flatten(2) + labels.pull

    def probabilities(self, z: Tensor) -> Tensor:
        return self._over_classes(torch.softmax, z)

    def log_probabilities(self, z: Tensor) -> Tensor:
        return self._over_classes(torch.log_softmax, z)

    def logits(self, log_p: Tensor) -> Tensor:
        return log_p.flatten(2)

    def constant_logits(self, labels: Labels) -> Tensor:
        little = _smoothing(labels).repeat_interleave(self.n_classes)
        log_weights = (little - labels.pull.sum(0)).log().view(-1, self.n_classes)
        return log_weights.log_softmax(1).flatten()

    def _over_classes(
        self, function: Callable[[Tensor, int], Tensor], z: Tensor
    ) -> Tensor:
        """(n_members, batch, n_logits) -> (n_members, batch, n_tasks, n_classes).

        For few classes, torch's softmax is ten times as fast along the first axis.
        """
        classes_first = z.unflatten(2, (-1, self.n_classes)).movedim(-1, 0).contiguous()
        return function(classes_first, 0).movedim(0, -1)


class Number:
    """A standardised number z: what its losses have in common."""

    n_logits: ClassVar[int] = 1
    is_bounded: ClassVar[bool] = True
    predicts_classes: ClassVar[bool] = False
    predicts_mean: ClassVar[bool] = True
    # The mean loss of the best constant, for numbers of mean 0 and deviation 1.
    constant_loss: ClassVar[float] = 0.5

    def weigh(
        self, targets: Targets, table: Tensor, sample_weight: Tensor | None
    ) -> Labels:
        numbers = targets.numbers
        assert numbers is not None
        weights = (targets.codes.to(table.dtype) + 1.0) * table[:, 1]
        if sample_weight is not None:
            weights = weights * sample_weight
        return Labels(numbers, weights, -weights * numbers)

    def moments(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(n_members, batch, n_tasks): the mean and variance that a member predicts."""
        return z, torch.zeros_like(z)


@dataclass(frozen=True)
class SquaredError(Number):
    """Half of the squared error, the negative log-likelihood of a unit normal."""

    order: ClassVar[tuple[int, int]] = (1, 0)

    def losses(self, z: Tensor, labels: Labels) -> Tensor:
        return 0.5 * ((z - labels.targets).square() * labels.weights).sum((0, 1))

    def gradient(self, z: Tensor, labels: Labels) -> Tensor:
        return torch.addcmul(labels.pull, z, labels.weights)


@dataclass(frozen=True)
class AbsoluteError(Number):
    """The absolute error, which predicts medians."""

    order: ClassVar[tuple[int, int]] = (1, 1)
    predicts_mean: ClassVar[bool] = False
    constant_loss: ClassVar[float] = math.sqrt(2 / math.pi)  # of normal numbers

    def losses(self, z: Tensor, labels: Labels) -> Tensor:
        return ((z - labels.targets).abs() * labels.weights).sum((0, 1))

    def gradient(self, z: Tensor, labels: Labels) -> Tensor:
        return torch.sign(z - labels.targets) * labels.weights


@dataclass(frozen=True)
class Gaussian(Number):
    """The negative log-likelihood of a normal with predicted mean and variance.

    The second logit r gives the variance softplus(r + log(e - 1)) + 1e-4. It is about 1
    at r = 0, so a network starts with the standard deviation of the training values.
    """

    n_logits: ClassVar[int] = 2
    is_bounded: ClassVar[bool] = False
    order: ClassVar[tuple[int, int]] = (1, 2)
    _SHIFT: ClassVar[float] = math.log(math.e - 1)
    _LEAST: ClassVar[float] = 1e-4

    def weigh(
        self, targets: Targets, table: Tensor, sample_weight: Tensor | None
    ) -> Labels:
        one = super().weigh(targets, table, sample_weight)
        return one._replace(
            targets=one.targets.repeat_interleave(2, 1),
            pull=one.pull.repeat_interleave(2, 1),
        )

    def losses(self, z: Tensor, labels: Labels) -> Tensor:
        mean, variance = self.moments(z)
        squares = (mean - labels.targets[:, ::2]).square()
        per_label = 0.5 * (variance.log() + squares / variance)
        return (per_label * labels.weights).sum((0, 1))

    def gradient(self, z: Tensor, labels: Labels) -> Tensor:
        mean, variance = self.moments(z)
        error = mean - labels.targets[..., ::2]
        of_mean = error / variance
        of_variance = 0.5 * (1.0 - error * of_mean) / variance
        of_logit = of_variance * torch.sigmoid(z[..., 1::2] + self._SHIFT)
        both = torch.stack([of_mean, of_logit], dim=-1)
        return (both * labels.weights.unsqueeze(-1)).flatten(2)

    def moments(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z[..., ::2], F.softplus(z[..., 1::2] + self._SHIFT) + self._LEAST


OutputKind = Binary | Multiclass | SquaredError | AbsoluteError | Gaussian
KINDS: tuple[type, ...] = get_args(OutputKind)
NUMBER_KINDS: dict[str, OutputKind] = {
    "squared_error": SquaredError(),
    "absolute_error": AbsoluteError(),
    "gaussian": Gaussian(),
}


def kind_of_classes(n_classes: int) -> OutputKind:
    """The output kind of a task with this number of classes."""
    return Binary() if is_binary(n_classes) else Multiclass(n_classes)


def constant_loss(totals: NDArray, outputs: Sequence[OutputKind]) -> float:
    """The loss of the best prediction that is the same for all rows, in nats.

    For classes this prediction is their frequencies. The loss is summed over the
    observed labels, whose weights by code are `totals` (n_tasks, most codes).
    """
    per_task = totals.sum(axis=1, keepdims=True)
    loss = -float(rel_entr(totals, per_task).sum())
    for kind, total in zip(outputs, per_task[:, 0], strict=True):
        if isinstance(kind, Number):
            loss += kind.constant_loss * float(total)
    return loss


# Groups of tasks of one kind ---------------------------------------------------------


class OutputGroup(NamedTuple):
    """Tasks of one kind; their logits are computed together."""

    kind: OutputKind
    tasks: tuple[int, ...]
    columns: slice  # in the flat block of logits


def output_groups(outputs: tuple[OutputKind, ...]) -> list[OutputGroup]:
    """Group the tasks, and the columns of the logits, by output kind."""
    groups, start = [], 0
    for kind in sorted(set(outputs), key=lambda kind: kind.order):
        tasks = tuple(t for t, own in enumerate(outputs) if own == kind)
        stop = start + len(tasks) * kind.n_logits
        groups.append(OutputGroup(kind, tasks, slice(start, stop)))
        start = stop
    return groups


# Of equal frequencies, relative to those of the classes.
_EQUAL_SHARE = 0.02


def frequency_logits(weights: NDArray, group: OutputGroup) -> Tensor:
    """(n_tasks, n_logits) that predict the class frequencies of a group of classes.

    `weights` of the labels of all tasks are (n_tasks, most codes). The frequencies are
    drawn a little towards equal ones, since the labels of a first batch may be few.
    """
    kind: Any = group.kind
    own = torch.from_numpy(weights[list(group.tasks), : kind.n_classes])
    p = own / own.sum(1, keepdim=True).clamp(min=1e-30) + _EQUAL_SHARE / kind.n_classes
    logits: Tensor = kind.logits(p.log()[None, None])
    return logits.view(len(group.tasks), kind.n_logits)


def weigh_labels(
    targets: Targets,
    weight_table: Tensor,
    sample_weight: Tensor | None,
    groups: list[OutputGroup],
) -> Labels:
    """The labels of some rows as the loss reads them.

    `weight_table` is (n_tasks, 1 + n_classes). Its first column, for code -1, is 0.
    `sample_weight` is (batch, 1) or (batch, n_tasks).
    """
    if len(groups) == 1:
        return groups[0].kind.weigh(targets, weight_table, sample_weight)
    parts = [
        weigh_labels_of_group(targets, weight_table, sample_weight, group)
        for group in groups
    ]
    return Labels(*map(_side_by_side, zip(*parts, strict=True)))


def weigh_labels_of_group(
    targets: Targets,
    weight_table: Tensor,
    sample_weight: Tensor | None,
    group: OutputGroup,
) -> Labels:
    """The part of `weigh_labels` for the tasks of a group."""
    tasks = torch.tensor(group.tasks, device=targets.codes.device)
    if sample_weight is not None and sample_weight.shape[1] > 1:
        sample_weight = sample_weight.index_select(1, tasks)
    of_group = targets.of_tasks(tasks)
    return group.kind.weigh(of_group, weight_table[tasks], sample_weight)


def task_losses(logits: Tensor, labels: Labels, groups: list[OutputGroup]) -> Tensor:
    """Weighted sum over the rows of each task's loss, averaged over the members.

    logits (n_members, batch, n_logits) -> (n_tasks,).
    """
    losses = [
        group.kind.losses(z, own) for group, z, own in _by_group(logits, labels, groups)
    ]
    return in_task_order(_side_by_side(losses), groups) / len(logits)


def logit_gradient(logits: Tensor, labels: Labels, groups: list[OutputGroup]) -> Tensor:
    """Gradient of the losses, summed over the tasks and over the members.

    Unlike `task_losses`, it is not averaged over the members. It is in closed form; for
    classes it is weight * (probability - target).
    """
    return _side_by_side(
        [
            group.kind.gradient(z, own)
            for group, z, own in _by_group(logits, labels, groups)
        ]
    )


def constant_logits(labels: Labels, groups: list[OutputGroup]) -> Tensor:
    """(n_logits,): those that predict the class frequencies, and means of 0."""
    logits = [
        cast(Any, group.kind).constant_logits(own)
        if group.kind.predicts_classes
        else own.pull.new_zeros(own.pull.shape[1])
        for group, _, own in _by_group(labels.pull, labels, groups)
    ]
    return torch.cat(logits)


def in_task_order(values: Tensor, groups: list[OutputGroup]) -> Tensor:
    """(n_tasks,) in group order -> (n_tasks,) in the order of the tasks."""
    if len(groups) == 1:
        return values
    tasks = [task for group in groups for task in group.tasks]
    return values[torch.tensor(tasks, device=values.device).argsort()]


def _by_group(
    logits: Tensor, labels: Labels, groups: list[OutputGroup]
) -> Iterator[tuple[OutputGroup, Tensor, Labels]]:
    """Each group with its own columns of the logits and labels."""
    if len(groups) == 1:
        yield groups[0], logits, labels
        return
    first = 0
    for group in groups:
        own = group.columns
        tasks = slice(first, first := first + len(group.tasks))
        targets, weights, pull = labels
        parts = targets[..., own], weights[..., tasks], pull[..., own]
        yield group, logits[..., own], Labels(*parts)


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts), dim=-1)


# Predictions, in float64 and over the members -----------------------------------------


def probabilities(logits: Tensor, group: OutputGroup) -> Tensor:
    """Mean probability over the members: (batch, tasks of the group, n_classes).

    In float64, so that the probabilities of a task sum to 1 to double precision.
    """
    kind: Any = group.kind
    p: Tensor = kind.probabilities(logits[..., group.columns].double())
    return p[0] if len(p) == 1 else p.mean(0)


def positive_probabilities(logits: Tensor, group: OutputGroup) -> Tensor:
    """Mean probability of the second of two classes: (batch, tasks of the group)."""
    p = torch.sigmoid(logits[..., group.columns].double())
    return p[0] if len(p) == 1 else p.mean(0)


def log_probabilities(logits: Tensor, group: OutputGroup) -> Tensor:
    """Log of `probabilities`, exact even if they are too small for float64."""
    kind: Any = group.kind
    log_p: Tensor = kind.log_probabilities(logits[..., group.columns].double())
    return log_p[0] if len(log_p) == 1 else log_p.logsumexp(0) - math.log(len(log_p))


def moments(logits: Tensor, group: OutputGroup) -> Tensor:
    """Moments of the mixture of the members: (batch, tasks of the group, 3).

    These are the mean, the mean of the members' variances, and the variance of their
    means, all standardised. The sum of the last two is the variance of the mixture
    (Lakshminarayanan et al. 2017, section 2.4).
    """
    kind: Any = group.kind
    means, variances = kind.moments(logits[..., group.columns].double())
    mean = means.mean(0)
    spread = (means - mean).square().mean(0)
    return torch.stack([mean, variances.mean(0), spread], dim=-1)


def predicted_means(logits: Tensor, group: OutputGroup) -> Tensor | None:
    """(n_members, batch, tasks of the group): the logits that are means, as a view.

    None if no logit of the group is the mean of a number.
    """
    if not group.kind.predicts_mean:
        return None
    return logits[..., group.columns][..., :: group.kind.n_logits]


def average_logits(
    logits: Tensor, other: Tensor, share: Tensor, group: OutputGroup
) -> None:
    """Average the probabilities of each member with those of other logits, in place.

    `other` is (batch, n_logits of the group). `share` (n_tasks,) is the weight of the
    members' probabilities; tasks with a share of 1 keep their logits.
    """
    kind: Any = group.kind
    own = logits[..., group.columns]
    share = share[list(group.tasks)].unsqueeze(1)
    log_p = torch.logaddexp(
        kind.log_probabilities(own.double()) + share.log(),
        kind.log_probabilities(other.double().unsqueeze(0)) + (1 - share).log(),
    )
    is_own = (share == 1).repeat(1, kind.n_logits).flatten()
    own.copy_(torch.where(is_own, own, kind.logits(log_p).to(own.dtype)))


def most_likely(logits: Tensor, group: OutputGroup) -> Tensor:
    """(batch, tasks of the group): the code of a class, or the standardised number."""
    if isinstance(group.kind, Number):
        return moments(logits, group)[..., 0]
    return probabilities(logits, group).argmax(-1)


def probabilities_or_moments(logits: Tensor, group: OutputGroup) -> Tensor:
    """`probabilities` of a group of classes, or `moments` of a group of numbers."""
    if isinstance(group.kind, Number):
        return moments(logits, group)
    return probabilities(logits, group)
