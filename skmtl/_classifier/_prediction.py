"""Forward passes of a fitted network, chunk by chunk, and the view of each task."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skmtl._losses import log_probabilities
from skmtl._training import Rows, iter_chunks, thread_limit, work_per_step
from skmtl.sharing._network import TrunkAndHeads


def map_rows(
    network: TrunkAndHeads, X: Any, function: Callable[[Any], Any]
) -> list[Any]:
    """What `function` of the network gives for each chunk of the rows of X."""
    rows = Rows.of(X, encoded=network.columns is not None)
    like = next(network.parameters())
    chunks = list(iter_chunks(network, rows, len(rows)))
    with torch.inference_mode(), thread_limit(work_per_step(network, chunks[0].stop)):
        return [function(rows.read(chunk, like)) for chunk in chunks]


def trunk_features(network: TrunkAndHeads, X: Any) -> NDArray:
    """(n_samples, n_members * n_trunks * width): the trunks' features side by side."""

    def features(x: Any) -> NDArray:
        encoded: Any = network.encode(x)
        return _check_finite(encoded).transpose(0, 1).flatten(1).cpu().numpy()

    return np.concatenate(map_rows(network, X, features))


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

    def by_group(x: Any) -> list[NDArray]:
        logits = _check_finite(network(x))
        selected = []
        for group in network.groups:
            log_p = log_probabilities(logits, group)
            unlabelled = torch.from_numpy(~is_labelled[list(group.tasks)])
            log_p[:, unlabelled.to(log_p.device)] = -np.log(group.n_classes)
            selected.append(select(log_p).cpu().numpy())
        return selected

    chunks = map_rows(network, X, by_group)
    by_task: dict[int, NDArray] = {}
    for group, parts in zip(network.groups, zip(*chunks, strict=True), strict=True):
        joined = np.concatenate(parts)
        by_task |= {task: joined[:, i] for i, task in enumerate(group.tasks)}
    return [by_task[task] for task in range(len(by_task))]


def _check_finite(outputs: Tensor) -> Tensor:
    if not bool(outputs.isfinite().all()):
        raise ValueError(
            "The network's output must be finite, but X has values so large that it "
            "overflows. Scale X as the training rows were scaled, for instance with "
            "StandardScaler in a pipeline."
        )
    return outputs
