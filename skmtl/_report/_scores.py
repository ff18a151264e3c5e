"""Scores of each task with bootstrap intervals, and scores at the best thresholds."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    matthews_corrcoef,
    mean_absolute_error,
    recall_score,
    root_mean_squared_error,
)

from skmtl._report._held_out import TaskHeldOut
from skmtl._targets import is_binary
from skmtl.metrics import expected_calibration_error
from skmtl.metrics._metric import resolve_metric, score_task
from skmtl.metrics._task import Task
from skmtl.model_selection._out_of_fold import TaskOutOfFold
from skmtl.model_selection._thresholds import tune

N_DRAWS = 400
_CELLS_AT_ONCE = 4_000_000
_N_PARTS = 5  # of the rows, if one model predicted all of them
OF_THRESHOLDS: dict[str, Callable] = {
    "balanced_accuracy": balanced_accuracy_score,
    "f1": f1_score,
    "mcc": matthews_corrcoef,
}

# Scores ------------------------------------------------------------------------------


def table_of_scores(
    tasks: list[TaskHeldOut], rng: np.random.RandomState
) -> dict[str, NDArray]:
    """Return columns of scores, NaN if a score does not apply to the type of task."""
    rows = [_scores(task, rng) for task in tasks]
    names = dict.fromkeys(name for row in rows for name in row)  # keeps their order
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def _scores(task: TaskHeldOut, rng: np.random.RandomState) -> dict[str, float]:
    own = _scores_of_numbers(task) if task.is_number else _scores_of_classes(task)
    low, high = bootstrap_interval(task, rng)
    main = "r2" if task.is_number else "roc_auc"
    return {
        "n_tested": len(task.y),
        main: main_score(task),
        f"{main}_low": low,
        f"{main}_high": high,
        **own,
    }


def _scores_of_classes(task: TaskHeldOut) -> dict[str, float]:
    assert task.classes is not None
    assert task.p is not None
    labels, of_p = _with_labels(task), _with_probabilities(task)
    has_two = task.varies and len(task.classes) > 1
    recall = {"average": "macro", "labels": np.unique(labels.y)}
    share = (
        np.mean(task.y == 1) if is_binary(len(task.classes)) and len(task.y) else np.nan
    )
    return {
        "share_positive": float(share),
        "average_precision": _score(average_precision_score, of_p),
        "brier": _score(brier_score_loss, of_p),
        "ece": _score(expected_calibration_error, of_p),
        "balanced_accuracy": _score(recall_score, labels, recall)
        if has_two
        else np.nan,
        "mcc": _score(matthews_corrcoef, labels) if has_two else np.nan,
    }


def _scores_of_numbers(task: TaskHeldOut) -> dict[str, float]:
    if not len(task.y):
        return dict.fromkeys(("rmse", "mae"), np.nan)
    return {
        "rmse": float(root_mean_squared_error(task.y, task.predicted)),
        "mae": float(mean_absolute_error(task.y, task.predicted)),
    }


def _with_probabilities(task: TaskHeldOut) -> Task:
    assert task.classes is not None
    assert task.p is not None
    p = task.p[:, 1] if is_binary(len(task.classes)) else task.p
    y = task.classes[task.y]
    return Task(task.name, task.position, y, p, "scores", task.classes, None)


def _with_labels(task: TaskHeldOut, decided: NDArray | None = None) -> Task:
    assert task.classes is not None
    codes = task.predicted if decided is None else decided
    y, labels = task.classes[task.y], task.classes[codes]
    return Task(task.name, task.position, y, labels, "labels", task.classes, None)


def _score(function: Callable, task: Task, kwargs: Any = None) -> float:
    if not len(task.y):
        return np.nan
    return score_task(resolve_metric(function, kwargs or {}), task)


def main_score(task: TaskHeldOut) -> float:
    """Return the ROC AUC, the mean of one-vs-rest if multiclass; R2 for numbers."""
    if task.is_number:
        return r2(task.y, task.predicted)
    assert task.p is not None
    return mean_auc(task.y, task.p)


def r2(y: NDArray, predicted: NDArray) -> float:
    """Return R2, or NaN if there is only one value."""
    total = ((y - y.mean()) ** 2).sum() if len(y) else 0.0
    return float(1 - ((y - predicted) ** 2).sum() / total) if total > 0 else np.nan


def mean_auc(y: NDArray, p: NDArray) -> float:
    """Return the ROC AUC of class codes, or NaN if a class was not observed."""
    counts = np.bincount(y, minlength=p.shape[1]) if len(y) else np.zeros(1)
    if p.shape[1] < 2 or not ((counts > 0) & (counts < len(y))).all():
        return np.nan
    scored = [1] if p.shape[1] == 2 else range(p.shape[1])
    return float(np.mean([_auc(y == c, p[:, c]) for c in scored]))


def _auc(is_positive: NDArray, p: NDArray) -> float:
    """Count pairs in the right order, and ties as half. Faster than scikit-learn."""
    negative, positive = np.sort(p[~is_positive]), p[is_positive]
    below = np.searchsorted(negative, positive, "left").sum()
    not_above = np.searchsorted(negative, positive, "right").sum()
    return float((below + not_above) / 2 / len(positive) / len(negative))


def bootstrap_interval(
    task: TaskHeldOut, rng: np.random.RandomState
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the main score over the held-out rows."""
    n = len(task.y)
    if np.isnan(main_score(task)):
        return np.nan, np.nan
    drawn: list[NDArray] = []
    step = max(1, _CELLS_AT_ONCE // n)
    for start in range(0, N_DRAWS, step):
        n_draws = min(step, N_DRAWS - start)
        rows = rng.randint(n, size=(n_draws, n)) + n * np.arange(n_draws)[:, None]
        weights = np.bincount(rows.ravel(), minlength=n_draws * n).reshape(n_draws, n)
        drawn.append(_drawn_scores(task, weights))
    scores = np.concatenate(drawn)
    if np.isnan(scores).all():
        return np.nan, np.nan
    low, high = np.nanpercentile(scores, [2.5, 97.5])
    return float(low), float(high)


def _drawn_scores(task: TaskHeldOut, weights: NDArray) -> NDArray:
    """Return (n_draws,): the main score, with each row counted `weights` times."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if task.p is None:
            scale = np.abs(task.y).max() or 1.0
            y, error = task.y / scale, (task.y - task.predicted) / scale
            y = y - y.mean()
            total = weights @ y**2 - (weights @ y) ** 2 / len(y)
            return np.asarray(1 - (weights @ error**2) / total)
        scored = [1] if task.p.shape[1] == 2 else range(task.p.shape[1])
        of_each = [_weighted_auc(task.y == c, task.p[:, c], weights) for c in scored]
        return np.asarray(np.mean(of_each, axis=0))


def _weighted_auc(is_positive: NDArray, p: NDArray, weights: NDArray) -> NDArray:
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.diff(p[order], prepend=-np.inf) > 0)
    weights = weights[:, order].astype(np.float64)
    positive = np.add.reduceat(weights * is_positive[order], starts, axis=1)
    negative = np.add.reduceat(weights * ~is_positive[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return np.asarray((positive * below).sum(axis=1) / pairs)


# Thresholds --------------------------------------------------------------------------


def table_of_thresholds(tasks: list[TaskHeldOut]) -> dict[str, NDArray]:
    """Return, for each metric, the threshold and the scores without and with it."""
    columns: dict[str, list[float]] = {}
    for name, function in OF_THRESHOLDS.items():
        rows = [_threshold(task, function) for task in tasks]
        for i, suffix in enumerate(("threshold", "at_half", "at_threshold")):
            columns[f"{name}_{suffix}"] = [row[i] for row in rows]
    return {name: np.array(values) for name, values in columns.items()}


def _threshold(task: TaskHeldOut, function: Callable) -> tuple[float, float, float]:
    """Return the best threshold on all rows, and two scores.

    They are the score at 0.5, and the score with the threshold of each part chosen on
    the other parts.
    """
    assert task.p is not None
    whole = _best_threshold(task, np.ones(len(task.y), dtype=bool), function)
    at_half = (task.p[:, 1] > 0.5).astype(np.intp)
    decided = at_half.copy()
    parts = _parts(task)
    for part in np.unique(parts):
        others = _best_threshold(task, parts != part, function)
        if not np.isnan(others):
            rows = parts == part
            decided[rows] = task.p[rows, 1] >= others
    kwargs = {}
    if function is f1_score:
        assert task.classes is not None
        kwargs = {"pos_label": task.classes[1], "zero_division": 0.0}
    scores = [
        _score(function, _with_labels(task, codes), kwargs)
        for codes in (at_half, decided)
    ]
    return whole, scores[0], scores[1]


def _parts(task: TaskHeldOut) -> NDArray:
    """Return the folds, or five parts with equally many rows of each class."""
    if (task.fold != task.fold[0]).any():
        return task.fold
    parts = np.empty(len(task.y), dtype=np.intp)
    for code in (0, 1):
        rows = np.flatnonzero(task.y == code)
        parts[rows] = np.arange(len(rows)) % _N_PARTS
    return parts


def _best_threshold(task: TaskHeldOut, rows: NDArray, function: Callable) -> float:
    assert task.p is not None
    assert task.classes is not None
    part = TaskOutOfFold(task.name, task.classes, task.y[rows], task.p[rows], None)
    if not rows.any() or not part.can_be_tuned():
        return np.nan
    tuned = tune(part, resolve_metric(function, {}), 100)
    return float(tuned.thresholds[tuned.best])
