"""The decision threshold of a binary task that maximises a metric of its labels."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    fbeta_score,
    jaccard_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
)
from sklearn.metrics._scorer import _BaseScorer

from skmtl._messages import shorten
from skmtl.metrics._metric import (
    Metric,
    positive_label,
    resolve_metric,
    score_task,
    sign_of,
)
from skmtl.metrics._task import Task
from skmtl.model_selection._out_of_fold import TaskOutOfFold

_OUTCOMES = ("tn", "fp", "fn", "tp")


class Outcomes(NamedTuple):
    """The total weight of the labels with each outcome, at several thresholds."""

    tn: NDArray
    fp: NDArray
    fn: NDArray
    tp: NDArray


class Gains(NamedTuple):
    """The value of each outcome."""

    tn: float = 0.0
    fp: float = 0.0
    fn: float = 0.0
    tp: float = 0.0

    def mean(self, outcomes: Outcomes) -> NDArray:
        """Mean gain per label."""
        total = sum(g * w for g, w in zip(self, outcomes, strict=True))
        return total / np.add.reduce(outcomes)


class Tuned(NamedTuple):
    """The thresholds that were tried, their scores and the index of the best."""

    thresholds: NDArray
    scores: NDArray  # greater is better
    best: int


def objectives_by_task(
    scoring: Any, names: list[str], *, known: list[str] | None = None
) -> dict[str, Metric | Gains]:
    """The objective to maximise for each task; `scoring` can have more `known` ones."""
    if not isinstance(scoring, Mapping) or _are_gains(scoring):
        return dict.fromkeys(names, _objective(scoring))
    by_name = {str(name): given for name, given in scoring.items()}
    lacking = [name for name in names if name not in by_name]
    unknown = [name for name in by_name if name not in (known or names)]
    if lacking or unknown:
        raise ValueError(
            "scoring must be a metric, a dict with the gain of each outcome, or a dict "
            f"with one of these for each binary task, {shorten(names)}; got a dict "
            f"without the keys {shorten(lacking)} and with the unknown keys "
            f"{shorten(unknown)}. Use the names of the binary tasks as keys, or "
            f"{list(_OUTCOMES)} for gains."
        )
    return {name: _objective(by_name[name]) for name in names}


def _are_gains(scoring: Mapping) -> bool:
    are_outcomes = bool(scoring) and set(scoring) <= set(_OUTCOMES)
    return are_outcomes and all(isinstance(g, Real) for g in scoring.values())


def _objective(scoring: Any) -> Metric | Gains:
    if isinstance(scoring, Mapping):
        if not _are_gains(scoring):
            raise ValueError(
                f"Gains must be a dict of numbers with keys from {list(_OUTCOMES)}; "
                f"got {scoring!r}. Write for example {{'fp': -1, 'fn': -10}}."
            )
        gains = Gains(**{name: float(gain) for name, gain in scoring.items()})
        if gains.fp > gains.tn or gains.fn > gains.tp:
            raise ValueError(
                "A correct decision must be worth at least as much as a wrong one, tn "
                f"as fp and tp as fn (0 if not given); got {scoring!r}. Write costs as "
                "negative gains, for example {'fp': -1, 'fn': -10}."
            )
        return gains
    metric = resolve_metric(scoring, {})
    if metric.task_type == "number" or metric.response not in (None, ("predict",)):
        raise ValueError(
            "scoring must be a metric of predicted labels, because the threshold "
            f"changes only these; got {metric.name!r}. Use for example "
            "'balanced_accuracy', 'matthews_corrcoef' or 'f1'."
        )
    has_sign = isinstance(scoring, str | _BaseScorer)
    return metric if has_sign else replace(metric, sign=sign_of(metric))


def check_thresholds(thresholds: Any) -> int | NDArray:
    """Validate a number of thresholds, or the thresholds themselves."""
    if isinstance(thresholds, Integral):
        return int(thresholds)
    given = np.asarray(thresholds)
    is_list = given.ndim == 1 and len(given) > 0 and given.dtype.kind in "iuf"
    if not is_list or not ((given >= 0) & (given <= 1)).all():
        raise ValueError(
            "thresholds must be an integer (how many to try), or a list of at least "
            f"one number from 0 to 1; got {thresholds!r}. Use for example "
            "thresholds=100."
        )
    return given.astype(np.float64)


def tune(
    task: TaskOutOfFold, objective: Metric | Gains, thresholds: int | NDArray
) -> Tuned:
    """Try thresholds on a binary task; among equally good ones, take the middle one."""
    p = task.probabilities[:, 1].astype(np.float64)
    weights = np.ones(len(p)) if task.weights is None else task.weights
    order = np.argsort(p, kind="stable")
    is_positive = task.codes[order] == 1
    # Total weight of the rows before each position in the order.
    negative = np.concatenate(
        [[0.0], np.cumsum(np.where(is_positive, 0, weights[order]))]
    )
    positive = np.concatenate(
        [[0.0], np.cumsum(np.where(is_positive, weights[order], 0))]
    )
    tried = thresholds
    if isinstance(tried, int):
        tried = _candidates(p[order], negative, positive, tried)
    before = np.searchsorted(p[order], tried, side="left")
    tn, fn = negative[before], positive[before]
    outcomes = Outcomes(tn, negative[-1] - tn, fn, positive[-1] - fn)
    scores = _scores(objective, tried, outcomes, task)
    if np.isnan(scores).all():
        raise ValueError(
            "scoring must return a number for at least one threshold, but for task "
            f"{task.name!r} all {len(scores)} scores are NaN. Use another metric, or "
            "other gains."
        )
    return Tuned(tried, scores, _middle_of_best(scores))


def _candidates(
    p: NDArray, negative: NDArray, positive: NDArray, n_thresholds: int
) -> NDArray:
    """At most `n_thresholds` thresholds: 0, 1 and midpoints between values of sorted p.

    If there are more midpoints, the chosen ones pass positives and negatives in even
    steps. Each class counts half, so that the few positives of a rare class are not
    skipped.
    """
    cuts = np.flatnonzero(np.diff(p) > 0) + 1  # number of rows before each midpoint
    middles = np.concatenate([[0.0], (p[cuts - 1] + p[cuts]) / 2, [1.0]])
    if len(middles) <= n_thresholds:
        return middles
    cuts = np.concatenate([[0], cuts, [len(p)]])
    passed = (negative / negative[-1] + positive / positive[-1])[cuts]
    steps = np.linspace(0, passed[-1], n_thresholds)
    return middles[np.unique(np.searchsorted(passed, steps))]


def _middle_of_best(scores: NDArray) -> int:
    is_best = scores >= np.nanmax(scores) - 1e-12
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_best, [False]])))
    starts, ends = edges[::2], edges[1::2]
    longest = (ends - starts).argmax()
    return int((starts[longest] + ends[longest] - 1) // 2)


# Scores -------------------------------------------------------------------------------


def _scores(
    objective: Metric | Gains, tried: NDArray, outcomes: Outcomes, task: TaskOutOfFold
) -> NDArray:
    if isinstance(objective, Gains):
        return objective.mean(outcomes)
    classes = task.classes
    # Each outcome becomes one label with a weight.
    y, prediction = classes[[0, 0, 1, 1]], classes[[0, 1, 0, 1]]
    labels = Task(task.name, 0, y, prediction, "labels", classes, None)
    closed_form = _closed_form(objective)
    if closed_form is not None and positive_label(labels) == classes[1]:
        return objective.sign * closed_form(outcomes)
    if _takes_weights(objective.function):
        weights = np.column_stack(outcomes)
        at_each = [labels._replace(weight=weight) for weight in weights]
    else:
        labels = labels._replace(y=classes[task.codes], weight=task.weights)
        is_predicted = task.probabilities[:, 1] >= tried[:, None]
        at_each = [
            labels._replace(prediction=classes[codes])
            for codes in is_predicted.astype(np.intp)
        ]
    with config_context(skip_parameter_validation=True, assume_finite=True):
        return np.array([score_task(objective, labels) for labels in at_each])


def _takes_weights(function: Callable) -> bool:
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False


def _accuracy(outcomes: Outcomes) -> NDArray:
    return (outcomes.tn + outcomes.tp) / np.add.reduce(outcomes)


def _balanced_accuracy(outcomes: Outcomes) -> NDArray:
    tn, fp, fn, tp = outcomes
    return (tn / (tn + fp) + tp / (tp + fn)) / 2


def _precision(outcomes: Outcomes) -> NDArray:
    return _ratio(outcomes.tp, outcomes.tp + outcomes.fp)


def _recall(outcomes: Outcomes) -> NDArray:
    return _ratio(outcomes.tp, outcomes.tp + outcomes.fn)


def _fbeta(outcomes: Outcomes, beta: float = 1.0) -> NDArray:
    _, fp, fn, tp = outcomes
    weighted = (1 + beta**2) * tp
    return _ratio(weighted, weighted + fp + beta**2 * fn)


def _jaccard(outcomes: Outcomes) -> NDArray:
    _, fp, fn, tp = outcomes
    return _ratio(tp, tp + fp + fn)


def _matthews(outcomes: Outcomes) -> NDArray:
    tn, fp, fn, tp = outcomes
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return _ratio(tp * tn - fp * fn, np.sqrt(product))


def _ratio(part: NDArray, whole: NDArray) -> NDArray:
    """Divide, with 0 where `whole` is 0, as in scikit-learn."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


# Each of these scores all thresholds at once. A call of scikit-learn's function takes a
# millisecond; for 100 thresholds of hundreds of tasks that adds up to a minute.
_CLOSED_FORMS: dict[Callable, Callable[..., NDArray]] = {
    accuracy_score: _accuracy,
    balanced_accuracy_score: _balanced_accuracy,
    f1_score: _fbeta,
    fbeta_score: _fbeta,
    jaccard_score: _jaccard,
    matthews_corrcoef: _matthews,
    precision_score: _precision,
    recall_score: _recall,
}


def _closed_form(objective: Metric) -> Callable[[Outcomes], NDArray] | None:
    """None for other metrics, and for arguments that change the metric."""
    function = _CLOSED_FORMS.get(objective.function)
    kwargs = dict(objective.kwargs)
    if function is None or kwargs.pop("average", "binary") != "binary":
        return None
    if function is _fbeta:
        beta = float(kwargs.pop("beta", 1.0))
        return None if kwargs else partial(_fbeta, beta=beta)
    return None if kwargs else function
