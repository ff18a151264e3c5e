"""Forward passes of a fitted network, chunk by chunk, and the view of each task."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skmtl._losses import log_probabilities
from skmtl._training import Rows, as_tensor, iter_chunks, thread_limit, work_per_step
from skmtl.sharing._network import TrunkAndHeads


def iter_forward(
    network: TrunkAndHeads, X: Any, function: Callable[[Any], Tensor]
) -> Iterator[tuple[slice, Tensor]]:
    """What `function` of the network gives for the rows of X."""
    rows = Rows(as_tensor(X) if isinstance(X, np.ndarray) else X)
    like = next(network.parameters())
    chunks = list(iter_chunks(network, len(rows)))
    with torch.inference_mode(), thread_limit(work_per_step(network, chunks[0].stop)):
        for chunk in chunks:
            yield chunk, function(rows.read(chunk, like))


def predict_tasks(
    network: TrunkAndHeads,
    X: Any,
    is_labelled: NDArray,
    select: Callable[[Tensor], Tensor],
) -> list[NDArray]:
    """What `select` takes of each task's log probabilities, for all rows of X.

    `select` maps (batch, n_tasks, n_classes) to (batch, n_tasks, ...). A task that was
    never labelled has uniform probabilities.
    """
    by_group: list[list[NDArray]] = [[] for _ in network.groups]
    for _, logits in iter_forward(network, X, network):
        for group, parts in zip(network.groups, by_group, strict=True):
            log_p = log_probabilities(logits, group)
            unlabelled = torch.from_numpy(~is_labelled[list(group.tasks)])
            log_p[:, unlabelled.to(log_p.device)] = -np.log(group.n_classes)
            parts.append(select(log_p).cpu().numpy())
    by_task: dict[int, NDArray] = {}
    for group, parts in zip(network.groups, by_group, strict=True):
        joined = np.concatenate(parts)
        by_task |= {task: joined[:, i] for i, task in enumerate(group.tasks)}
    return [by_task[task] for task in range(len(by_task))]
