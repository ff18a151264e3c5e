"""From logits and labels to one loss per task, and to probabilities.

A missing label has the code -1 and the weight 0; nothing else marks it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skmtl._layers import OutputGroup


class Labels(NamedTuple):
    """Labels of some rows as the loss reads them, their tasks group by group."""

    targets: Tensor  # (batch, n_logits), 1 where the label is the logit's class
    weights: Tensor  # (batch, n_tasks), 0 where the label is missing
    pull: Tensor  # (batch, n_logits), - weight * target

    def split(self, n_rows: int) -> "list[Labels]":
        """So many rows each, the last ones fewer."""
        fields = [field.split(n_rows) for field in self]
        return [Labels(*parts) for parts in zip(*fields, strict=True)]


def weigh_labels(
    codes: Tensor,
    weight_table: Tensor,
    sample_weight: Tensor | None,
    groups: list[OutputGroup],
) -> Labels:
    """From codes (batch, n_tasks), -1 for a missing label.

    `weight_table` is (n_tasks, 1 + n_classes): its first column, that of code -1, is 0.
    `sample_weight` is (batch, 1) or (batch, n_tasks).
    """
    parts = []
    for group in groups:
        if len(groups) == 1:
            parts.append(_weigh_group(codes, weight_table, sample_weight, group))
            continue
        tasks = torch.tensor(group.tasks, device=codes.device)
        own = sample_weight
        if own is not None and own.shape[1] > 1:
            own = own.index_select(1, tasks)
        known = codes.index_select(1, tasks)
        parts.append(_weigh_group(known, weight_table[tasks], own, group))
    return Labels(*map(_side_by_side, zip(*parts, strict=True)))


def _weigh_group(
    codes: Tensor,
    weight_table: Tensor,
    sample_weight: Tensor | None,
    group: OutputGroup,
) -> Labels:
    codes = codes.to(weight_table.dtype)  # arithmetic is faster than comparisons
    if group.n_classes == 2:
        targets = codes.relu()
        pull = targets * -weight_table[:, 2]
        weights = torch.addcmul(-pull, 1.0 - codes.abs(), weight_table[:, 1])
        if sample_weight is not None:
            pull, weights = pull * sample_weight, weights * sample_weight
        return Labels(targets, weights, pull)
    classes = torch.arange(group.n_logits, device=codes.device)
    targets = (codes.unsqueeze(2) == classes).to(codes.dtype)
    weights = (targets * weight_table[:, 1 : 1 + group.n_logits]).sum(2)
    if sample_weight is not None:
        weights = weights * sample_weight
    pull = targets * -weights.unsqueeze(2)
    return Labels(targets.flatten(1), weights, pull.flatten(1))


def task_losses(logits: Tensor, labels: Labels, groups: list[OutputGroup]) -> Tensor:
    """Weighted sum over the rows of each task's loss, averaged over the members.

    logits (n_members, batch, n_logits) -> (n_tasks,).
    """
    losses = []
    for group, z, (targets, weights, pull) in _by_group(logits, labels, groups):
        if group.n_classes == 2:
            # log(1 + exp(z)) for a negative, log(1 + exp(-z)) for a positive label
            signed = torch.addcmul(z, z, targets, value=-2.0)
            per_label = F.softplus(signed, threshold=40.0)  # exact in float64 too
            losses.append((per_label * weights).sum((0, 1)))
        else:
            log_p = _over_classes(torch.log_softmax, z, group).flatten(2)
            by_logit = (log_p * pull).sum((0, 1))
            losses.append(by_logit.view(-1, group.n_logits).sum(1))
    return in_task_order(_side_by_side(losses), groups) / len(logits)


def logit_gradient(logits: Tensor, labels: Labels, groups: list[OutputGroup]) -> Tensor:
    """Gradient of the sum of `task_losses`, and over the members, not of their mean.

    In closed form: weight * (probability - target).
    """
    parts = []
    for group, z, (_, weights, pull) in _by_group(logits, labels, groups):
        if group.n_classes == 2:
            parts.append(torch.addcmul(pull, torch.sigmoid(z), weights))
            continue
        p = _over_classes(torch.softmax, z, group)
        parts.append((p * weights.unsqueeze(2)).flatten(2) + pull)
    return _side_by_side(parts)


def _over_classes(
    function: Callable[[Tensor, int], Tensor], z: Tensor, group: OutputGroup
) -> Tensor:
    """Logits (n_members, batch, n_logits) -> (n_members, batch, n_tasks, n_classes).

    torch's softmax takes a tenth of the time along the first axis, for few classes.
    """
    classes_first = z.unflatten(2, (-1, group.n_logits)).movedim(-1, 0).contiguous()
    return function(classes_first, 0).movedim(0, -1)


def in_task_order(values: Tensor, groups: list[OutputGroup]) -> Tensor:
    """(n_tasks,), group by group -> (n_tasks,)."""
    if len(groups) == 1:
        return values
    tasks = [task for group in groups for task in group.tasks]
    return values[torch.tensor(tasks, device=values.device).argsort()]


def _by_group(
    logits: Tensor, labels: Labels, groups: list[OutputGroup]
) -> Iterator[tuple[OutputGroup, Tensor, Labels]]:
    """Each group with its own columns."""
    if len(groups) == 1:
        yield groups[0], logits, labels
        return
    first = 0
    for group in groups:
        own = group.columns
        tasks = slice(first, first := first + len(group.tasks))
        parts = labels.targets[:, own], labels.weights[:, tasks], labels.pull[:, own]
        yield group, logits[..., own], Labels(*parts)


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts), dim=-1)


def probabilities(logits: Tensor, group: OutputGroup) -> Tensor:
    """Mean probability over the members: (batch, tasks of the group, n_classes).

    In float64, so that the probabilities of a task sum to 1 to double precision.
    """
    z = logits[..., group.columns].double()  # (n_members, batch, columns)
    if group.n_classes == 2:
        p = torch.stack([torch.sigmoid(-z), torch.sigmoid(z)], dim=-1)
    else:
        p = _over_classes(torch.softmax, z, group)
    return p[0] if len(p) == 1 else p.mean(0)


def positive_probabilities(logits: Tensor, group: OutputGroup) -> Tensor:
    """Those of the second of two classes: (batch, tasks of the group)."""
    p = torch.sigmoid(logits[..., group.columns].double())
    return p[0] if len(p) == 1 else p.mean(0)


def log_probabilities(logits: Tensor, group: OutputGroup) -> Tensor:
    """Log of `probabilities`, exact where they are too small for float64."""
    z = logits[..., group.columns].double()
    if group.n_classes == 2:
        log_p = torch.stack([F.logsigmoid(-z), F.logsigmoid(z)], dim=-1)
    else:
        log_p = _over_classes(torch.log_softmax, z, group)
    return log_p[0] if len(log_p) == 1 else log_p.logsumexp(0) - math.log(len(log_p))
