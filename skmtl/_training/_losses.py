"""Losses of rows that no step is taken on, computed in chunks."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from skmtl._network import TrunkAndHeads, without_derivatives
from skmtl._outputs import Labels, constant_logits, in_task_order, task_losses
from skmtl._rows import CHUNK_ELEMENTS, Rows
from skmtl._training._blocks import read_block, read_block_apart
from skmtl._training._parts import Parts
from skmtl._training._training_rows import Piece, rows_apart
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
    losses, weights = _losses_and_weights(network, ([piece] for piece in pieces))
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
    for part, steps in enumerate(parts.steps):
        left_out = map(parts.rows.left_out, parts.members_of(part))
        pieces = zip(*left_out, strict=True)
        own_losses, own_weights = _losses_and_weights(steps.network, pieces)
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
    network: TrunkAndHeads, pieces: Iterable[Sequence[Piece]]
) -> tuple[Tensor, Tensor]:
    """(n_tasks,) each: sums of the weighted losses of some rows, and of the weights.

    Each item has a piece for each input of the network, with the same data.
    """
    like, groups, n_inputs = network.like, network.groups, network.n_inputs
    read = read_block if n_inputs == 1 else read_block_apart
    n_tasks = len(network.architecture.outputs)
    losses = torch.zeros(n_tasks, dtype=torch.float64, device=like.device)
    weights = torch.zeros_like(losses)
    with without_derivatives(like.device):
        for own in pieces:
            data = own[0].data
            size = max(1, chunk_size(network, data.rows.chunk_width) // n_inputs)
            rows = rows_apart([piece.rows for piece in own], size)
            for index in rows.split(n_inputs * size) if len(rows) else ():
                x, labels, _ = read(data, index, like, groups)
                if n_inputs > 1:
                    labels = labels.by_member(n_inputs)
                losses += n_inputs * task_losses(network(x), labels, groups)
                by_task = labels.weights.flatten(0, -2).sum(0)
                weights += in_task_order(by_task, groups)
    return losses, weights
