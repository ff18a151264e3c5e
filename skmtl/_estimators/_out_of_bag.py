"""Predictions for training rows by the member that was not trained on them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from skmtl._estimators._prediction import predict_tasks
from skmtl._messages import shorten, warn
from skmtl._network import TrunkAndHeads
from skmtl._outputs import OutputGroup
from skmtl._targets import Encoded, Tasks


class LeftOut(NamedTuple):
    """Rows that members leave out."""

    by: NDArray  # (n_samples,), the member; -1 for a row that all are trained on
    is_every_row: bool  # as far as possible; otherwise, only some rows


def predict_out_of_bag(
    network: TrunkAndHeads,
    X: NDArray,
    trained_on: NDArray,
    left_out_by: NDArray,
    is_labelled: NDArray,
    function: Callable[[Tensor, OutputGroup], Tensor],
) -> list[NDArray]:
    """(n_samples, ...) for each task, NaN for rows that all members were trained on.

    Rows that no member was trained on get the mean over the members.
    """
    is_new = np.ones(len(left_out_by), dtype=bool)
    is_new[trained_on] = False
    n_tasks = len(network.architecture.outputs)
    parts = [(network, np.flatnonzero(is_new))]
    for number in range(network.n_members):
        member = network.part([number], range(n_tasks))
        parts.append((member, np.flatnonzero(left_out_by == number)))
    result: list[NDArray] = []
    for part, rows in parts:
        if len(rows) == 0:
            continue
        by_task = predict_tasks(part, X[rows], is_labelled, function)
        if not result:
            shapes = [(len(left_out_by), *outputs.shape[1:]) for outputs in by_task]
            result = [np.full(shape, np.nan) for shape in shapes]
        for all_rows, outputs in zip(result, by_task, strict=True):
            all_rows[rows] = outputs
    return result


def first_outputs(outputs: list[NDArray]) -> NDArray:
    """(n_samples, n_tasks): the first number that is predicted for each task."""
    return np.column_stack([out if out.ndim == 1 else out[:, 0] for out in outputs])


def count_lost(encoded: Encoded, outputs: list[NDArray], is_known: NDArray) -> NDArray:
    """(n_tasks,): rows whose numbers or predictions are not finite in their units."""
    tasks, codes, numbers = encoded
    is_lost = ~np.isfinite(first_outputs(outputs))
    if numbers is not None:  # single precision can leave what can be inverted
        is_lost |= (codes >= 0) & tasks.are_numbers & ~np.isfinite(numbers)
    return np.asarray((is_lost & is_known).sum(axis=0))


def warn_of_lost(tasks: Tasks, n_lost: NDArray) -> None:
    """Warn of tasks with rows whose numbers are not finite in units of the task."""
    lost = np.flatnonzero(n_lost)
    counts = zip(tasks.names[lost].tolist(), n_lost[lost].tolist(), strict=True)
    warn(
        f"{len(lost)} of {tasks.n_tasks} tasks have no out-of-bag score, because for "
        "some rows, inverse_transform of the transformer gives NaN or infinity, or the "
        f"prediction is too large for float64: {shorten(counts)} (task, number of "
        "rows). oob_score_ leaves these tasks out, and is NaN without others. For such "
        "rows, predict raises an error. Use a transformer that can invert every number "
        "or, without a transformer, another unit."
    )
