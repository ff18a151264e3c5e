"""Scores for the estimators' `score` method: accuracy of classes, R2 of numbers."""

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score

from skmtl._messages import shorten, warn
from skmtl._targets import Encoded, Numbers, Tasks


def score_tasks(
    predicted: list[NDArray], encoded: Encoded, weights: NDArray
) -> NDArray:
    """(n_tasks,): scores of codes of classes, and of numbers in their own units.

    NaN for a task without any positive weight, and for a single number. If all numbers
    of the only task are equal, the score is that of scikit-learn, 1 or 0; beside other
    tasks, it would distort the mean, and is NaN.
    """
    tasks, codes, numbers = encoded
    scores = np.full(tasks.n_tasks, np.nan)
    for t, target in enumerate(tasks.targets):
        rows = weights[:, t] > 0
        given, weight = predicted[t][rows], weights[rows, t]
        if isinstance(target, Numbers):
            y = np.empty(0) if numbers is None else numbers[rows, t]
            if len(y) > 1 and (tasks.n_tasks == 1 or (y != y[0]).any()):
                unit = np.abs(y).max() or 1.0  # squares could overflow
                scores[t] = r2_score(y / unit, given / unit, sample_weight=weight)
        elif rows.any():
            correct = weight * (given == codes[rows, t])
            scores[t] = correct.sum() / weight.sum()
    return scores


def mean_of_main_tasks(
    scores: NDArray, tasks: Tasks, main_tasks: tuple[int, ...] | None
) -> float:
    """Mean over the tasks that count; a warning names those without a score."""
    main = np.arange(tasks.n_tasks) if main_tasks is None else np.array(main_tasks)
    is_undefined = np.isnan(scores[main])
    if is_undefined.all():
        raise ValueError(
            "y must have an observed label to score, but all labels are missing, have "
            "weight 0 or belong to tasks that had none in fit (numeric tasks: all are "
            "equal). Pass rows with labels, two different ones for a numeric task."
        )
    without = tasks.names[main[is_undefined]]
    if len(without):
        warn(
            f"The score is undefined for {len(without)} of {len(main)} tasks, which "
            "have no observed label in y (numeric tasks: no two different ones) or had "
            f"none in fit: {shorten(without)}. They are left out of the mean.",
            UndefinedMetricWarning,
        )
    return float(scores[main[~is_undefined]].mean())
