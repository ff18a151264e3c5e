"""From logits, codes and weights to one loss per task, and to probabilities.

A missing label has the code -1 and the weight 0; nothing else marks it.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from skmtl._layers import OutputGroup


def label_weights(
    codes: Tensor, weight_table: Tensor, sample_weight: Tensor | None
) -> Tensor:
    """Weight of every label of a batch, 0 where it is missing.

    `weight_table` is (n_tasks, 1 + n_classes): its first column, that of code -1, is 0.
    """
    n_tasks, width = weight_table.shape
    first = torch.arange(1, n_tasks * width, width, device=codes.device)
    weights = weight_table.flatten()[codes + first]
    return weights if sample_weight is None else weights * sample_weight


def task_losses(
    logits: Tensor, codes: Tensor, weights: Tensor, groups: list[OutputGroup]
) -> Tensor:
    """Weighted sum over the rows of each task's loss, averaged over the members.

    logits (n_members, batch, n_logits), codes and weights (batch, n_tasks) ->
    (n_tasks,).
    """
    parts = _by_group(logits, codes, weights, groups)
    sums = [losses.sum((0, 1)) / len(logits) for losses, _ in parts]
    if len(groups) == 1:
        return sums[0]
    tasks = torch.tensor([task for group in groups for task in group.tasks])
    return torch.cat(sums)[tasks.argsort().to(logits.device)]


def loss_and_gradient(
    logits: Tensor, codes: Tensor, weights: Tensor, groups: list[OutputGroup]
) -> tuple[Tensor, Tensor]:
    """Sum of `task_losses`, and the gradient of the logits in closed form.

    The gradient is that of the sum over the members, not of their mean.
    """
    parts = _by_group(logits, codes, weights, groups)
    if len(groups) == 1:
        losses, gradient = parts[0]
        return losses.sum() / len(logits), gradient
    total = torch.stack([losses.sum() for losses, _ in parts]).sum()
    return total / len(logits), torch.cat([part for _, part in parts], dim=2)


def _by_group(
    logits: Tensor, codes: Tensor, weights: Tensor, groups: list[OutputGroup]
) -> list[tuple[Tensor, Tensor]]:
    """Of each group the losses (n_members, batch, n_tasks) and the logits' gradient."""
    parts = []
    for group in groups:
        function = _logistic if group.n_classes == 2 else _cross_entropy
        if len(groups) == 1:
            parts.append(function(logits, codes, weights, group))
            continue
        tasks = torch.tensor(group.tasks, device=logits.device)
        block = logits[..., group.columns]
        selected = codes.index_select(1, tasks), weights.index_select(1, tasks)
        parts.append(function(block, *selected, group))
    return parts


def _logistic(
    z: Tensor, codes: Tensor, weights: Tensor, group: OutputGroup
) -> tuple[Tensor, Tensor]:
    # log(1 + exp(z)) - y z, the logistic loss on logits, which cannot overflow
    positive = (codes == 1).to(z.dtype).expand_as(z)
    losses = F.binary_cross_entropy_with_logits(
        z, positive, weight=weights, reduction="none"
    )
    return losses, (torch.sigmoid(z) - positive) * weights


def _cross_entropy(
    z: Tensor, codes: Tensor, weights: Tensor, group: OutputGroup
) -> tuple[Tensor, Tensor]:
    by_class = z.unflatten(2, (len(group.tasks), group.n_logits))
    known = codes.clamp_min(0).long().expand(by_class.shape[:-1]).unsqueeze(-1)
    log_p = by_class.log_softmax(-1)
    losses = -log_p.gather(-1, known).squeeze(-1) * weights
    minus_one = log_p.new_tensor(-1.0).expand(known.shape)
    gradient = log_p.exp().scatter_add(-1, known, minus_one)
    return losses, (gradient * weights.unsqueeze(-1)).flatten(2)


def log_probabilities(logits: Tensor, group: OutputGroup) -> Tensor:
    """Log of the members' mean probability: (batch, tasks of the group, n_classes).

    In float64, so that the probabilities of a task sum to 1 to double precision.
    """
    z = logits[..., group.columns].double()  # (n_members, batch, columns)
    if group.n_classes == 2:
        log_p = torch.stack([F.logsigmoid(-z), F.logsigmoid(z)], dim=-1)
    else:
        by_class = z.unflatten(2, (len(group.tasks), group.n_logits))
        log_p = by_class.log_softmax(-1)
    if len(log_p) == 1:
        return log_p[0]
    return log_p.logsumexp(0) - math.log(len(log_p))
