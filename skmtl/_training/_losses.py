"""Losses of rows that no step is taken on, computed in chunks."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from skmtl._network import TrunkAndHeads, without_derivatives
from skmtl._outputs import Labels, constant_logits, in_task_order, task_losses
from skmtl._rows import CHUNK_ELEMENTS, Rows
from skmtl._training._blocks import read_block
from skmtl._training._parts import Parts
from skmtl._training._training_rows import Piece
from skmtl._world import World


def chunk_size(network: TrunkAndHeads, width: int) -> int:
    """Number of rows of this width that go through the network at once."""
    return max(1, CHUNK_ELEMENTS // (network.units_per_row + width))


def iter_chunks(network: TrunkAndHeads, rows: Rows, n_rows: int) -> Iterator[slice]:
    """Slices of rows that are small enough to bound the memory of a forward pass."""
    size = chunk_size(network, rows.chunk_width)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def mean_task_losses(
    network: TrunkAndHeads, pieces: Iterable[Piece], world: World | None = None
) -> np.ndarray:
    """(n_tasks,): weighted mean losses on some rows; NaN for a task without weight."""
    losses, weights = _losses_and_weights(network, pieces)
    if world is not None:
        world.sum(losses, weights)
    means: np.ndarray = (
        torch.where(weights > 0, losses / weights, torch.nan).cpu().numpy()
    )
    return means


def left_out_losses(parts: Parts) -> tuple[np.ndarray, np.ndarray]:
    """(n_tasks,) each: sums of the losses of left-out rows, and of the weights."""
    n_tasks = len(parts.network.architecture.outputs)
    losses, weights = np.zeros(n_tasks), np.zeros(n_tasks)
    for member in range(parts.network.n_members):
        pieces, network = parts.rows.left_out(member), parts.network_of(member)
        own_losses, own_weights = _losses_and_weights(network, pieces)
        losses += own_losses.cpu().numpy()
        weights += own_weights.cpu().numpy()
    return losses, weights


def constant_left_out_loss(parts: Parts) -> float:
    """The summed loss of the left-out rows for the best constant prediction.

    Rows with rare classes, which nobody leaves out, are not among them.
    """
    like, groups = parts.like, parts.network.groups
    with without_derivatives(like.device):
        blocks = [
            read_block(data, index, like, groups).labels
            for member in range(parts.network.n_members)
            for data, index, _ in parts.rows.left_out(member)
        ]
        labels = Labels(*map(torch.cat, zip(*blocks, strict=True)))
        logits = constant_logits(labels, groups).expand(1, len(labels.pull), -1)
        return float(task_losses(logits, labels, groups).sum())


def _losses_and_weights(
    network: TrunkAndHeads, pieces: Iterable[Piece]
) -> tuple[Tensor, Tensor]:
    """(n_tasks,) each: sums of the weighted losses of some rows, and of the weights."""
    like, groups = network.like, network.groups
    n_tasks = len(network.architecture.outputs)
    losses = torch.zeros(n_tasks, dtype=torch.float64, device=like.device)
    weights = torch.zeros_like(losses)
    with without_derivatives(like.device):
        for data, index, _ in pieces:
            for chunk in iter_chunks(network, data.rows, len(index)):
                x, labels, _ = read_block(data, index[chunk], like, groups)
                losses += task_losses(network(x), labels, groups)
                weights += in_task_order(labels.weights.sum(0), groups)
    return losses, weights
