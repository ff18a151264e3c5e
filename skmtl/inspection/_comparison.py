"""Joint and separate networks on the same splits, and tests of their paired scores."""

import reprlib
import time
from collections.abc import Mapping
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._split import GroupsConsumerMixin
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_samples, indexable

from skmtl._estimators import BaseMultiTaskNet
from skmtl._inputs import warn_of_row_order
from skmtl._interrupts import call_uncaught
from skmtl._messages import shorten, warn
from skmtl._predictions import named_task_types, with_task_types
from skmtl._targets import Encoded, Tasks, encode
from skmtl.metrics import multitask_scorer
from skmtl.metrics._scorer import _MultiTaskScorer
from skmtl.model_selection._split import as_splitter
from skmtl.sharing import NoSharing

CONFIDENCE = 0.95
MIN_SPLITS = 3  # number of splits with a score that an interval needs
DEFAULT_METRICS = {"class": "roc_auc_ovr", "number": "r2"}
SAME = 1e-9  # gains with a standard deviation below this differ only by rounding
_UNDEFINED = {
    "class": (
        "the test rows have labels of one class or none, or the training rows have none"
    ),
    "number": "the test rows have no value, or no two different ones if needed",
}


class Split(NamedTuple):
    """Rows to train on, rows to score, and the seed for both networks."""

    train: NDArray
    test: NDArray
    seed: int


class Run(NamedTuple):
    """The scores of a model on a split."""

    scores: NDArray  # (n_tasks,)
    seconds: float  # duration of the fit
    fitted: Any  # the fitted model, or None


class PairedScores(NamedTuple):
    """The scores of joint and separate networks on the same splits."""

    joint: NDArray  # (n_splits, n_tasks)
    separate: NDArray  # (n_splits, n_tasks)
    test_ratio: float  # number of test rows per training row


class Gain(NamedTuple):
    """Mean gain of several tasks with its uncertainty; arrays of shape (n_tasks,)."""

    mean: NDArray
    low: NDArray
    high: NDArray
    p_value: NDArray
    n_scored: NDArray  # number of splits in which both have a score

    def columns(self) -> dict[str, NDArray]:
        """The gain and its interval, as columns of a table."""
        return {"gain": self.mean, "ci_low": self.low, "ci_high": self.high}


def parameter_prefix(estimator: Any) -> str:
    """The prefix of the network's parameters in `set_params`."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise ValueError(
            "estimator must be a skmtl estimator, or a Pipeline around one; got "
            f"{estimator!r}. Pass an instance of one."
        )
    parts = {"": estimator} | {
        f"{name}__": part for name, part in estimator.get_params(deep=True).items()
    }
    searches = [part for part in parts.values() if isinstance(part, BaseSearchCV)]
    if searches:
        raise ValueError(
            "estimator must be a network, not a search, because the fits of a search "
            "may differ in other parameters as well; got "
            f"{type(searches[0]).__name__}. Fit the search and pass its "
            "best_estimator_."
        )
    networks = [p for p, part in parts.items() if _is_network(part)]
    # Leave out networks that are parameters of another network, such as `pretrained`.
    found = [p for p in networks if not any(_is_within(p, q) for q in networks)]
    if len(found) != 1:
        raise ValueError(
            "estimator must be a skmtl estimator, or contain exactly one, like a "
            f"Pipeline; got {type(estimator).__name__} with {len(found)}: "
            f"{[p.removesuffix('__') for p in found]}. Pass such an estimator."
        )
    return found[0]


def _is_network(part: Any) -> bool:
    return isinstance(part, BaseMultiTaskNet)


def _is_within(prefix: str, other: str) -> bool:
    return prefix != other and prefix.startswith(other)


def network_in(estimator: Any) -> Any:
    """The skmtl estimator inside a Pipeline, or the estimator itself."""
    prefix = parameter_prefix(estimator)
    if not prefix:
        return estimator
    return estimator.get_params()[prefix.removesuffix("__")]


def encode_for(estimator: Any, y: Any) -> Encoded:
    """Encode y with the task types of the network in the estimator."""
    network = network_in(estimator)
    network._validate_params()
    return encode(y, network.task_types)


def trainable_parameters(estimator: Any) -> tuple[str, dict[str, Any]]:
    """All parameters, and the prefix of those of the network."""
    prefix, parameters = parameter_prefix(estimator), estimator.get_params()
    if f"{prefix}sharing" not in parameters:
        raise ValueError(
            "estimator must have a network that its clones train, but "
            f"{type(estimator).__name__} keeps the network it was given. Pass the "
            "network itself."
        )
    if parameters[f"{prefix}checkpoint_dir"] is not None:
        raise ValueError(
            "estimator must have checkpoint_dir=None, because it is fitted several "
            "times and a checkpoint folder is for one fit; got "
            f"{parameters[f'{prefix}checkpoint_dir']!r}. Set it to None."
        )
    return prefix, parameters


def is_separate(parameters: dict[str, Any], prefix: str) -> bool:
    """Whether the network has `sharing="none"`."""
    sharing = parameters[f"{prefix}sharing"]
    return sharing == "none" or isinstance(sharing, NoSharing)


def has_no_trunk(parameters: dict[str, Any], prefix: str) -> bool:
    """Whether the network has no layer that tasks could share."""
    sizes = parameters[f"{prefix}hidden_layer_sizes"]
    return parameters[f"{prefix}trunk"] is None and np.size(sizes) == 0


def check_joint(estimator: Any) -> str:
    """The prefix of an estimator whose tasks share layers."""
    prefix, parameters = trainable_parameters(estimator)
    if is_separate(parameters, prefix):
        raise ValueError(
            "estimator must share layers, because it is compared with sharing='none'; "
            f"got sharing={parameters[f'{prefix}sharing']!r}. Use sharing='hard'."
        )
    if has_no_trunk(parameters, prefix):
        sizes = parameters[f"{prefix}hidden_layer_sizes"]
        raise ValueError(
            "estimator must share layers, but it has no layers that its tasks could "
            f"share; got hidden_layer_sizes={sizes!r}. Use a hidden layer."
        )
    return prefix


def check_scoring(scoring: Any, tasks: Tasks) -> _MultiTaskScorer:
    """A scorer that scores each task; by default, the metric of its type."""
    if scoring is None:
        scoring = {t: DEFAULT_METRICS[t] for t in sorted(set(tasks.types.values()))}
        if len(scoring) == 1:
            (scoring,) = scoring.values()
    if isinstance(scoring, _MultiTaskScorer):
        return scoring
    is_by_type = isinstance(scoring, Mapping) and set(scoring) <= set(DEFAULT_METRICS)
    if not (isinstance(scoring, str) or callable(scoring) or is_by_type):
        raise TypeError(
            "scoring must be the name of a scikit-learn scorer, a function of y_true "
            "and y_pred, a dict with one of these for 'class' and for 'number', or a "
            f"scorer from multitask_scorer; got {reprlib.repr(scoring)}. Pass one, "
            "such as 'roc_auc_ovr' or 'r2'."
        )
    return multitask_scorer(scoring)


def repeated_splits(
    cv: Any, X: Any, y: Any, tasks: Tasks, n_repeats: int, random_state: Any
) -> list[Split]:
    """The splits of all repetitions; an integer `cv` makes new folds each time."""
    if not isinstance(n_repeats, Integral) or n_repeats < 1:
        raise ValueError(
            f"n_repeats must be a whole number of at least 1; got {n_repeats!r}. Use "
            "for example 3."
        )
    rng = check_random_state(random_state)
    task_types = named_task_types(tasks.names.tolist(), tasks.are_numbers)
    if not (cv is None or isinstance(cv, Integral)):
        cv = as_splitter(cv)  # an iterator can only be read once
    if isinstance(cv, GroupsConsumerMixin):
        raise ValueError(
            "cv must make splits from X and y alone, because no groups are passed to "
            f"it; got {cv}. Pass its splits instead: cv.split(X, y, groups)."
        )
    splits = []
    for _ in range(n_repeats):
        seed = int(rng.randint(2**31 - 1))
        splitter = as_splitter(cv, task_types, shuffle=True, random_state=seed)
        for pair in splitter.split(X, y):
            splits.append(Split(*_rows_of(pair, _num_samples(X)), seed))
    if not splits:
        raise ValueError(
            "cv must make at least one split; got none. Pass pairs of training and "
            "test rows, or a number of folds."
        )
    return splits


def _rows_of(pair: Any, n_samples: int) -> tuple[NDArray, NDArray]:
    """Validate the rows to train on and the rows to score."""
    try:
        train, test = (_row_numbers(rows, n_samples) for rows in pair)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "cv must make pairs of training and test rows, each as indices from 0 to "
            f"{n_samples - 1} or as a mask of {n_samples} booleans; got "
            f"{reprlib.repr(pair)}. Pass such pairs, a splitter or a number of folds."
        ) from error
    return train, test


def _row_numbers(rows: Any, n_samples: int) -> NDArray:
    """Rows as indices, also from a boolean mask."""
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n_samples,):
        rows = np.flatnonzero(rows)
    is_used = rows.ndim == 1 and rows.dtype.kind in "iu" and len(rows) > 0
    if not is_used or rows.min() < 0 or rows.max() >= n_samples:
        raise ValueError("no such rows")
    return rows


def rows_scored_per_row(splits: list[Split]) -> float:
    """The number of test rows per training row."""
    n_train = sum(len(split.train) for split in splits)
    return sum(len(split.test) for split in splits) / n_train


def paired_scores(
    estimator: Any,
    X: Any,
    y: Any,
    tasks: Tasks,
    splits: list[Split],
    scorer: _MultiTaskScorer,
    n_jobs: int | None,
) -> PairedScores:
    """Score joint and separate networks that differ only in `sharing`."""
    prefix = check_joint(estimator)
    estimator = with_task_types(estimator, y)
    warn_of_row_order(X, y=y)
    X, y = indexable(X, y)
    unshared = clone(estimator).set_params(**{f"{prefix}sharing": "none"})
    runs = Parallel(n_jobs=n_jobs)(
        delayed(fit_and_score)(model, prefix, X, y, split, scorer)
        for split in splits
        for model in (estimator, unshared)
    )
    scores = np.array([run.scores for run in runs])
    joint, separate = scores[::2], scores[1::2]
    return PairedScores(joint, separate, rows_scored_per_row(splits))


def fit_and_score(
    estimator: Any,
    prefix: str,
    X: Any,
    y: Any,
    split: Split,
    scorer: _MultiTaskScorer,
    is_kept: bool = False,
) -> Run:
    """Fit a clone on the training rows of a split and score it on the test rows."""
    model = clone(estimator).set_params(**{f"{prefix}random_state": split.seed})
    X_train, y_train, X_test, y_test = (
        _safe_indexing(table, rows) for rows in split[:2] for table in (X, y)
    )
    start = time.perf_counter()
    call_uncaught(model.fit, X_train, y_train)
    seconds = time.perf_counter() - start
    scores = scorer.score_tasks(model, X_test, y_test)
    return Run(scores, seconds, model if is_kept else None)


def corrected_gain(differences: NDArray, test_ratio: float) -> Gain:
    """Corrected resampled t-test of paired differences (n_splits, n_tasks).

    The variance of the mean over n splits is (1 / n + test_ratio) times that of a
    split, because the training rows of the splits overlap. The interval and the p-value
    are NaN if fewer than three splits have a difference, or if all differences are the
    same: scores on few labels take few values, so equal ones prove nothing.
    """
    scored = np.isfinite(differences)
    n_scored = scored.sum(axis=0)
    known = np.maximum(n_scored, 1)
    values = np.where(scored, differences, 0.0)
    mean = values.sum(axis=0) / known
    squares = (np.where(scored, differences - mean, 0.0) ** 2).sum(axis=0)
    variance = squares / np.maximum(n_scored - 1, 1)
    error = np.sqrt((1 / known + test_ratio) * variance)
    degrees = np.maximum(n_scored - 1, 1)
    width = error * stats.t.ppf(0.5 + CONFIDENCE / 2, degrees)
    unknown = (n_scored < MIN_SPLITS) | (variance < SAME**2)
    p_value = 2 * stats.t.sf(np.abs(mean) / np.where(unknown, 1.0, error), degrees)
    mean = np.where(n_scored > 0, mean, np.nan)
    low, high, p_value = (
        np.where(unknown, np.nan, x) for x in (mean - width, mean + width, p_value)
    )
    return Gain(mean, low, high, p_value, n_scored)


def mean_gain(differences: NDArray, test_ratio: float) -> tuple[float, float, float]:
    """The gain in the mean over the tasks, and its interval.

    `differences` has shape (n_splits, n_tasks).
    """
    gain = corrected_gain(mean_or_nan(differences, axis=1)[:, None], test_ratio)
    return float(gain.mean[0]), float(gain.low[0]), float(gain.high[0])


def scored_by_both(joint: NDArray, separate: NDArray) -> NDArray:
    """(2, n_splits, n_tasks): the scores, NaN if one of the two has none."""
    scores = np.stack([joint, separate])
    return np.where(np.isfinite(scores).all(axis=0), scores, np.nan)


def mean_or_nan(scores: NDArray, axis: int) -> NDArray:
    """The mean of the values that are not NaN; NaN, without a warning, if none is."""
    scored = np.isfinite(scores)
    n_scored = scored.sum(axis=axis)
    total = np.where(scored, scores, 0.0).sum(axis=axis)
    return np.where(n_scored > 0, total / np.maximum(n_scored, 1), np.nan)


def warn_undefined(
    n_scored: NDArray, n_splits: int, tasks: Tasks, scorer: _MultiTaskScorer
) -> None:
    """Warn about the tasks that some of the splits cannot score."""
    for task_type, metric in scorer._metric.by_type.items():
        is_own = tasks.are_numbers == (task_type == "number")
        partly = tasks.names[is_own & (n_scored < n_splits)].tolist()
        if partly:
            warn(
                f"{metric.name} is undefined for {len(partly)} of {is_own.sum()} tasks "
                f"in some of the {n_splits} splits, in which {_UNDEFINED[task_type]}: "
                f"{shorten(partly)}. Their gain is the mean over the other splits; see "
                "n_scored.",
                UndefinedMetricWarning,
            )
