"""Joint and separate networks on the same splits, and what paired scores say."""

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
from skmtl._interrupts import call_uncaught
from skmtl._messages import shorten, warn
from skmtl._predictions import named_task_types
from skmtl._targets import Encoded, Tasks, encode
from skmtl.metrics import multitask_scorer
from skmtl.metrics._scorer import _MultiTaskScorer
from skmtl.model_selection._split import as_splitter
from skmtl.sharing import NoSharing

CONFIDENCE = 0.95
MIN_SPLITS = 3  # with a score, for an interval
DEFAULT_METRICS = {"class": "roc_auc_ovr", "number": "r2"}
SAME = 1e-9  # standard deviation of gains that differ by rounding alone
_UNDEFINED = {
    "class": (
        "test rows have labels of one class or none, or whose training rows have none"
    ),
    "number": "test rows have no value, or a single one if the metric needs two",
}


class Split(NamedTuple):
    """Rows to train on and rows to score, and the seed of both networks."""

    train: NDArray
    test: NDArray
    seed: int


class Run(NamedTuple):
    """A model on a split."""

    scores: NDArray  # (n_tasks,)
    seconds: float  # of the fit
    fitted: Any  # None unless it is kept


class PairedScores(NamedTuple):
    """Scores of both kinds of network on the same splits."""

    joint: NDArray  # (n_splits, n_tasks)
    separate: NDArray  # (n_splits, n_tasks)
    test_ratio: float  # rows scored for each row trained on


class Gain(NamedTuple):
    """Mean gain of several tasks, with its uncertainty; arrays (n_tasks,)."""

    mean: NDArray
    low: NDArray
    high: NDArray
    p_value: NDArray
    n_scored: NDArray  # splits in which both could be scored

    def columns(self) -> dict[str, NDArray]:
        """The gain and its interval, as tables have them."""
        return {"gain": self.mean, "ci_low": self.low, "ci_high": self.high}


def parameter_prefix(estimator: Any) -> str:
    """What stands before the network's parameters, as `set_params` reads them."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise ValueError(
            "estimator must be an estimator of skmtl, or a Pipeline around one; got "
            f"{estimator!r}. Pass such an object."
        )
    parts = {"": estimator} | {
        f"{name}__": part for name, part in estimator.get_params(deep=True).items()
    }
    searches = [part for part in parts.values() if isinstance(part, BaseSearchCV)]
    if searches:
        raise ValueError(
            "estimator must be one network, not a search, whose fits may differ in "
            f"more than is compared; got {type(searches[0]).__name__}. Pass its "
            "best_estimator_ after fit."
        )
    networks = [p for p, part in parts.items() if _is_network(part)]
    # Not what belongs to another one, which began with it: `pretrained`.
    found = [p for p in networks if not any(_is_within(p, q) for q in networks)]
    if len(found) != 1:
        raise ValueError(
            "estimator must be an estimator of skmtl, or have one in it such as a "
            f"Pipeline has; got {type(estimator).__name__} with {len(found)}: "
            f"{[p.removesuffix('__') for p in found]}. Pass one."
        )
    return found[0]


def _is_network(part: Any) -> bool:
    return isinstance(part, BaseMultiTaskNet)


def _is_within(prefix: str, other: str) -> bool:
    return prefix != other and prefix.startswith(other)


def network_in(estimator: Any) -> Any:
    """The estimator of skmtl in a Pipeline, or the one that it is."""
    prefix = parameter_prefix(estimator)
    if not prefix:
        return estimator
    return estimator.get_params()[prefix.removesuffix("__")]


def encode_for(estimator: Any, y: Any) -> Encoded:
    """A y as the network in the estimator reads it."""
    network = network_in(estimator)
    network._validate_params()
    return encode(y, network.task_types)


def types_of(tasks: Tasks) -> dict[str, str]:
    """Type of each task by its name."""
    types = np.where(tasks.are_numbers, "number", "class").tolist()
    return dict(zip(tasks.names.tolist(), types, strict=True))


def with_types_told(estimator: Any, prefix: str, tasks: Tasks) -> Any:
    """The estimator, or a clone that need not guess the types of tasks.

    On some of the rows, a guess may be another one.
    """
    if f"{prefix}task_types" not in estimator.get_params():
        return estimator
    types = {f"{prefix}task_types": types_of(tasks)}
    return clone(estimator).set_params(**types)


def trainable_parameters(estimator: Any) -> tuple[str, dict[str, Any]]:
    """All parameters, and what stands before those of the network."""
    prefix, parameters = parameter_prefix(estimator), estimator.get_params()
    if f"{prefix}sharing" not in parameters:
        raise ValueError(
            "estimator must have a network that its clones train, but it keeps the one "
            f"it was given; got {type(estimator).__name__}. Pass the network itself."
        )
    if parameters[f"{prefix}checkpoint_dir"] is not None:
        raise ValueError(
            "estimator must have checkpoint_dir=None, since its fits here are many and "
            f"a folder is for one; got {parameters[f'{prefix}checkpoint_dir']!r}. Set "
            "it to None."
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
            "estimator must share layers, since it is compared with sharing='none'; "
            f"got sharing={parameters[f'{prefix}sharing']!r}. Use sharing='hard'."
        )
    if has_no_trunk(parameters, prefix):
        sizes = parameters[f"{prefix}hidden_layer_sizes"]
        raise ValueError(
            "estimator must share layers, but has none that its tasks could share; got "
            f"hidden_layer_sizes={sizes!r}. Use a hidden layer."
        )
    return prefix


def check_scoring(scoring: Any, tasks: Tasks) -> _MultiTaskScorer:
    """A scorer that tells the tasks apart; by default that of their types."""
    if scoring is None:
        scoring = {t: DEFAULT_METRICS[t] for t in sorted(set(types_of(tasks).values()))}
        if len(scoring) == 1:
            (scoring,) = scoring.values()
    if isinstance(scoring, _MultiTaskScorer):
        return scoring
    is_by_type = isinstance(scoring, Mapping) and set(scoring) <= set(DEFAULT_METRICS)
    if not (isinstance(scoring, str) or callable(scoring) or is_by_type):
        raise TypeError(
            "scoring must be the name of a scorer of scikit-learn, a function of "
            "y_true and y_pred, a dict with one of these for 'class' and for 'number', "
            f"or what multitask_scorer made; got {reprlib.repr(scoring)}. Pass one, "
            "such as 'roc_auc_ovr' or 'r2'."
        )
    return multitask_scorer(scoring)


def repeated_splits(
    cv: Any, X: Any, y: Any, tasks: Tasks, n_repeats: int, random_state: Any
) -> list[Split]:
    """All splits of all repetitions; an integer `cv` makes new folds each time."""
    if not isinstance(n_repeats, Integral) or n_repeats < 1:
        raise ValueError(
            f"n_repeats must be a whole number of at least 1; got {n_repeats!r}."
        )
    rng = check_random_state(random_state)
    task_types = named_task_types(tasks.names.tolist(), tasks.are_numbers)
    if not (cv is None or isinstance(cv, Integral)):
        cv = as_splitter(cv)  # an iterator can be read but once
    if isinstance(cv, GroupsConsumerMixin):
        raise ValueError(
            "cv must make splits from X and y alone, since no groups are passed to "
            f"it; got {cv}. Pass its splits, cv.split(X, y, groups)."
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
    """Rows to train on and rows to score, where they are of use."""
    try:
        train, test = (_row_numbers(rows, n_samples) for rows in pair)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "cv must make pairs of training and test rows, each as row numbers from 0 "
            f"to {n_samples - 1} or as a mask of {n_samples} booleans; got "
            f"{reprlib.repr(pair)}. Pass such pairs, a splitter or a number of folds."
        ) from error
    return train, test


def _row_numbers(rows: Any, n_samples: int) -> NDArray:
    """Rows as numbers, where a split has a mask of booleans too."""
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n_samples,):
        rows = np.flatnonzero(rows)
    is_used = rows.ndim == 1 and rows.dtype.kind in "iu" and len(rows) > 0
    if not is_used or rows.min() < 0 or rows.max() >= n_samples:
        raise ValueError("no such rows")
    return rows


def rows_scored_per_row(splits: list[Split]) -> float:
    """Rows scored for each row trained on."""
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
    """Score joint and separate networks that differ in `sharing` alone."""
    prefix = check_joint(estimator)
    estimator = with_types_told(estimator, prefix, tasks)
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
    """Fit a clone on the training rows of a split, and score it on the others."""
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

    The variance of the mean over n splits is taken as (1 / n + test_ratio) times that
    of a split, since the training rows of the splits overlap. The interval and the
    p-value are NaN where fewer than three splits have a difference, or all have the
    same: scores of a few labels take few values, and that some are equal is no proof.
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
    """Of (n_splits, n_tasks): the gain of the mean over the tasks, and its interval."""
    gain = corrected_gain(mean_or_nan(differences, axis=1)[:, None], test_ratio)
    return float(gain.mean[0]), float(gain.low[0]), float(gain.high[0])


def scored_by_both(joint: NDArray, separate: NDArray) -> NDArray:
    """(2, n_splits, n_tasks): the scores, NaN where one of the two has none."""
    scores = np.stack([joint, separate])
    return np.where(np.isfinite(scores).all(axis=0), scores, np.nan)


def mean_or_nan(scores: NDArray, axis: int) -> NDArray:
    """Mean of what is not NaN; NaN, without a warning, where nothing is left."""
    scored = np.isfinite(scores)
    n_scored = scored.sum(axis=axis)
    total = np.where(scored, scores, 0.0).sum(axis=axis)
    return np.where(n_scored > 0, total / np.maximum(n_scored, 1), np.nan)


def warn_undefined(
    n_scored: NDArray, n_splits: int, tasks: Tasks, scorer: _MultiTaskScorer
) -> None:
    """Name the tasks that some of the splits cannot score."""
    for task_type, metric in scorer._metric.by_type.items():
        is_own = tasks.are_numbers == (task_type == "number")
        partly = tasks.names[is_own & (n_scored < n_splits)].tolist()
        if partly:
            warn(
                f"{metric.name} is undefined for {len(partly)} of {is_own.sum()} tasks "
                f"in some of the {n_splits} splits, whose {_UNDEFINED[task_type]}: "
                f"{shorten(partly)}. Their gain is over the other splits, see "
                "n_scored.",
                UndefinedMetricWarning,
            )
