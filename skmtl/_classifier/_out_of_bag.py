"""Predictions of training rows by the member that was not trained on them."""

import numpy as np
from numpy.typing import NDArray

from skmtl._classifier._prediction import predict_groups
from skmtl._losses import probabilities
from skmtl.sharing._network import TrunkAndHeads


def out_of_bag_probabilities(
    network: TrunkAndHeads, X: NDArray, left_out_by: NDArray, is_labelled: NDArray
) -> list[NDArray]:
    """(n_samples, n_classes) of each task, NaN for rows that all were trained on."""
    n_classes = network.architecture.n_classes
    by_task = [np.full((len(left_out_by), max(n, 2)), np.nan) for n in n_classes]
    for number in range(network.n_members):
        rows = np.flatnonzero(left_out_by == number)
        if len(rows) == 0:
            continue
        member = network.part([number], range(len(n_classes)))
        groups = predict_groups(member, X[rows], is_labelled, probabilities)
        for group, p in zip(member.groups, groups, strict=True):
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
