"""Predictions of training rows by the member that was not trained on them."""

import numpy as np
from numpy.typing import NDArray

from skmtl._classifier._prediction import predict_groups
from skmtl._losses import probabilities
from skmtl.sharing._network import TrunkAndHeads


def out_of_bag_probabilities(
    network: TrunkAndHeads,
    X: NDArray,
    trained_on: NDArray,
    left_out_by: NDArray,
    is_labelled: NDArray,
) -> list[NDArray]:
    """(n_samples, n_classes) of each task, NaN for rows that all were trained on.

    Rows that none was trained on get the mean over the members.
    """
    n_classes = network.architecture.n_classes
    by_task = [np.full((len(left_out_by), max(n, 2)), np.nan) for n in n_classes]
    is_new = np.ones(len(left_out_by), dtype=bool)
    is_new[trained_on] = False
    parts = [(network, np.flatnonzero(is_new))]
    for number in range(network.n_members):
        member = network.part([number], range(len(n_classes)))
        parts.append((member, np.flatnonzero(left_out_by == number)))
    for part, rows in parts:
        if len(rows) == 0:
            continue
        groups = predict_groups(part, X[rows], is_labelled, probabilities)
        for group, p in zip(part.groups, groups, strict=True):
            for i, task in enumerate(group.tasks):
                by_task[task][rows, : p.shape[2]] = p[:, i]
    return [p[:, :n] for p, n in zip(by_task, n_classes, strict=True)]


def mean_accuracy(by_task: list[NDArray], codes: NDArray) -> float:
    """Mean over the tasks of the share of observed labels that are most probable.

    Of rows that somebody has left out; NaN where there is none.
    """
    scores = []
    for p, known in zip(by_task, codes.T, strict=True):
        rows = np.flatnonzero((known >= 0) & ~np.isnan(p[:, 0]))
        if len(rows):
            scores.append(np.mean(p[rows].argmax(axis=1) == known[rows]))
    return float(np.mean(scores)) if scores else np.nan
