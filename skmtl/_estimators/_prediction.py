"""Forward passes of a fitted network, chunk by chunk, and the results of each task."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from skmtl._network import TrunkAndHeads, linear_parts, without_derivatives
from skmtl._outputs import OutputGroup
from skmtl._rows import Rows
from skmtl._training import Workers, chunk_size, iter_chunks, thread_limit


def rows_of(network: TrunkAndHeads, X: Any) -> Rows:
    """The rows of X in the form that the network reads."""
    return Rows.of(X, encoded=network.columns is not None)


def map_rows(
    network: TrunkAndHeads, X: Any, function: Callable[[Any], list[Tensor]]
) -> list[NDArray]:
    """Apply `function` to all rows of X; it returns several arrays with a row each.

    X is in memory, or an iterator over parts of its rows.
    """
    if not isinstance(X, Iterator):
        return _map_rows_in_memory(network, X, function)
    pieces = [
        _map_rows_in_memory(network, part, function)
        for part in _in_whole_chunks(network, X)
    ]
    return [np.concatenate(outputs) for outputs in zip(*pieces, strict=True)]


def _in_whole_chunks(network: TrunkAndHeads, parts: Iterable[Any]) -> Iterator[Any]:
    """The same rows in parts with the same chunks as the whole.

    The last bit of a matrix product can depend on the number of rows.
    """
    waiting: list[Any] = []
    n_waiting = 0
    for part in parts:
        waiting.append(part)
        n_waiting += part.shape[0]
        size = chunk_size(network, rows_of(network, part).chunk_width)
        if n_waiting >= size:
            rows = _stack(waiting)
            n_whole = n_waiting // size * size
            yield rows[:n_whole]
            waiting, n_waiting = [rows[n_whole:]], n_waiting - n_whole
    if n_waiting:
        yield _stack(waiting)


def _stack(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def _map_rows_in_memory(
    network: TrunkAndHeads, X: Any, function: Callable[[Any], list[Tensor]]
) -> list[NDArray]:
    rows, like = rows_of(network, X), network.like
    chunks = list(iter_chunks(network, rows, len(rows)))

    def give(chunk: slice) -> list[NDArray]:
        with without_derivatives(like.device):
            return [part.cpu().numpy() for part in function(rows.read(chunk, like))]

    outputs: list[NDArray] = []

    def write(chunk: slice) -> None:
        for output, part in zip(outputs, give(chunk), strict=True):
            output[chunk] = part

    with thread_limit(0) as n_threads:
        for part in give(chunks[0]):
            outputs.append(np.empty((len(rows), *part.shape[1:]), part.dtype))
            outputs[-1][chunks[0]] = part
        # A module of the user's own can have state that threads must not share.
        is_safe = network.can_be_divided and like.device.type == "cpu"
        n_workers = n_threads if is_safe else 1
        with Workers(min(n_workers, len(chunks) - 1)) as workers:
            workers.run([partial(write, chunk) for chunk in chunks[1:]])
    return outputs


def trunk_features(network: TrunkAndHeads, X: Any) -> NDArray:
    """(n_samples, n_members * n_trunks * width): features of all trunks together."""

    def features(x: Any) -> list[Tensor]:
        encoded: Any = network.encode(x)
        return [_check_finite(encoded).transpose(0, 1).flatten(1)]

    return map_rows(network, X, features)[0]


def predict_groups(
    network: TrunkAndHeads,
    X: Any,
    is_labelled: NDArray,
    function: Callable[[Tensor, OutputGroup], Tensor],
) -> list[NDArray]:
    """Apply `function` to the logits of each group of tasks, for all rows of X.

    Returns an array (n_samples, tasks of the group, ...) per group. The logits of a
    task that never had a label are 0, so that its probabilities are uniform.
    """
    without = [
        group.columns.start + i * group.kind.n_logits + k
        for group in network.groups
        for i, task in enumerate(group.tasks)
        for k in range(group.kind.n_logits)
        if not is_labelled[task]
    ]

    parts = linear_parts(network)

    def by_group(x: Any) -> list[Tensor]:
        logits = _check_finite(network(x))
        logits[..., without] = 0.0
        for part in parts:
            part.add_to(logits, x, network.columns, network.groups)
        if parts:
            _check_finite(logits)
        return [function(logits, group) for group in network.groups]

    return map_rows(network, X, by_group)


def predict_tasks(
    network: TrunkAndHeads,
    X: Any,
    is_labelled: NDArray,
    function: Callable[[Tensor, OutputGroup], Tensor],
) -> list[NDArray]:
    """As `predict_groups`, with an array (n_samples, ...) for each task."""
    groups = predict_groups(network, X, is_labelled, function)
    by_task: dict[int, NDArray] = {}
    for group, outputs in zip(network.groups, groups, strict=True):
        by_task |= {task: outputs[:, i] for i, task in enumerate(group.tasks)}
    return [by_task[task] for task in range(len(by_task))]


def _check_finite(outputs: Tensor) -> Tensor:
    if not bool(outputs.isfinite().all()):
        raise ValueError(
            "The network's output must be finite, but X has values so large that it "
            "overflows. Scale X as the training rows were scaled, for example with "
            "StandardScaler in a pipeline."
        )
    return outputs
