"""Synthetic data with known relations between tasks and known reasons for missing."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_array

__all__ = ["make_multitask_classification", "make_multitask_regression"]

_SHARED_CONSTRAINTS = {
    "n_samples": [Interval(Integral, 1, None, closed="left")],
    "n_features": [Interval(Integral, 1, None, closed="left")],
    "n_tasks": [Interval(Integral, 1, None, closed="left")],
    "n_hidden": [Interval(Integral, 1, None, closed="left")],
    "relatedness": [Interval(Real, 0, 1, closed="both")],
    "n_contradictory": [Interval(Integral, 0, None, closed="left")],
    "missing_rate": ["array-like", Interval(Real, 0, 1, closed="left")],
    "mechanism": [StrOptions({"completely_at_random", "at_random", "not_at_random"})],
    "return_complete": ["boolean"],
    "random_state": ["random_state"],
}


@validate_params(
    _SHARED_CONSTRAINTS | {"label_noise": [Interval(Real, 0, 0.5, closed="both")]},
    prefer_skip_nested_validation=True,
)
def make_multitask_classification(
    n_samples=200,
    n_features=20,
    n_tasks=4,
    *,
    n_hidden=2,
    relatedness=1.0,
    n_contradictory=0,
    label_noise=0.0,
    missing_rate=0.0,
    mechanism="completely_at_random",
    return_complete=False,
    random_state=None,
):
    """Make binary tasks of known relatedness, with labels missing for a known reason.

    The columns of X are independent and standard normal. Each task is the sign of a sum
    of `n_hidden` products of two directions of X, which no linear model can learn.
    Related tasks use the same directions, but each task has its own weights.

    Parameters
    ----------
    n_samples : int, default=200
        Number of rows.
    n_features : int, default=20
        Number of columns of X.
    n_tasks : int, default=4
        Number of columns of y.
    n_hidden : int, default=2
        Number of products in each task. With 1, the weights have no effect: if
        `relatedness=1`, all tasks have the same labels (except for `label_noise`), and
        a contradictory task has the opposite labels.
    relatedness : float, default=1.0
        Squared cosine between the directions of a task and the directions that all
        tasks share, in [0, 1]. At 1, they are the same. At 0, each task has its own
        independent directions. In between, the actual value varies, because a task's
        own directions are not orthogonal to the shared ones. At 0.25, its standard
        deviation is 0.14 with 20 columns and 0.05 with 200.
    n_contradictory : int, default=0
        Number of contradictory tasks, which come last. A contradictory task uses the
        directions of the first task, but pairs them differently in its products, so
        that it pulls shared features in another direction.
    label_noise : float, default=0.0
        Probability that a label is flipped, in [0, 0.5].
    missing_rate : float or array-like of shape (n_tasks,), default=0.0
        Expected fraction of missing labels, for all tasks or for each task, in [0, 1).
    mechanism : {"completely_at_random", "at_random", "not_at_random"}, \
            default="completely_at_random"
        Why labels are missing:

        - "completely_at_random": by chance.
        - "at_random": depending on the first column of X; small values make a missing
          label more likely.
        - "not_at_random": depending on the label itself; a positive label has twice the
          odds of being missing.
    return_complete : bool, default=False
        Whether to also return the labels before some were removed.
    random_state : int, RandomState instance or None, default=None
        Seed for everything that is drawn at random.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The input data.
    y : ndarray of shape (n_samples, n_tasks)
        The labels 0 and 1; missing labels are NaN.
    complete : ndarray of shape (n_samples, n_tasks)
        The labels without missing ones; only if `return_complete=True`.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    make_multitask_regression : The numbers whose signs are these labels.
    sklearn.datasets.make_multilabel_classification : Word counts, without missing
        labels.
    skmtl.inspection.transfer_gain : Measure whether tasks gain from each other.

    Examples
    --------
    Half of the labels are missing, most of them in rows with a small first column:

    >>> import numpy as np
    >>> from skmtl.datasets import make_multitask_classification
    >>> X, y = make_multitask_classification(
    ...     1000, missing_rate=0.5, mechanism="at_random", random_state=0
    ... )
    >>> missing = np.isnan(y)
    >>> bool(missing[X[:, 0] < 0].mean() > missing[X[:, 0] > 0].mean())
    True
    """
    rates = _check_rates(missing_rate, n_tasks)
    rng = check_random_state(random_state)
    X, scores = _made_scores(
        rng, n_samples, n_features, n_tasks, n_hidden, relatedness, n_contradictory
    )
    flipped = rng.random(scores.shape) < label_noise
    complete = ((scores > 0) ^ flipped).astype(float)
    chance = _missing_probability(X, complete, rates, mechanism)
    y = np.where(rng.random(complete.shape) < chance, np.nan, complete)
    return (X, y, complete) if return_complete else (X, y)


@validate_params(
    _SHARED_CONSTRAINTS | {"noise": [Interval(Real, 0, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def make_multitask_regression(
    n_samples=200,
    n_features=20,
    n_tasks=4,
    *,
    n_hidden=2,
    relatedness=1.0,
    n_contradictory=0,
    noise=0.0,
    missing_rate=0.0,
    mechanism="completely_at_random",
    return_complete=False,
    random_state=None,
):
    """Make numeric tasks of known relatedness, with labels missing for a known reason.

    Each task is a sum of `n_hidden` products of two directions of X, which no linear
    model can learn, divided by its standard deviation. Related tasks use the same
    directions, but each task has its own weights. The labels of
    `make_multitask_classification` are the signs of these numbers.

    Parameters
    ----------
    n_samples : int, default=200
        Number of rows.
    n_features : int, default=20
        Number of columns of X.
    n_tasks : int, default=4
        Number of columns of y.
    n_hidden : int, default=2
        Number of products in each task.
    relatedness : float, default=1.0
        Squared cosine between the directions of a task and the directions that all
        tasks share, in [0, 1]. At 1, they are the same. At 0, each task has its own
        directions.
    n_contradictory : int, default=0
        Number of contradictory tasks, which come last. A contradictory task uses the
        directions of the first task, but pairs them differently in its products.
    noise : float, default=0.0
        Standard deviation of the normal noise, relative to the standard deviation of
        the task without noise. The largest possible R2 is `1 / (1 + noise**2)`.
    missing_rate : float or array-like of shape (n_tasks,), default=0.0
        Expected fraction of missing labels, for all tasks or for each task, in [0, 1).
    mechanism : {"completely_at_random", "at_random", "not_at_random"}, \
            default="completely_at_random"
        Why labels are missing:

        - "completely_at_random": by chance.
        - "at_random": depending on the first column of X; small values make a missing
          label more likely.
        - "not_at_random": depending on the number itself; a positive number has twice
          the odds of being missing.
    return_complete : bool, default=False
        Whether to also return the numbers before some were removed.
    random_state : int, RandomState instance or None, default=None
        Seed for everything that is drawn at random.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The input data.
    y : ndarray of shape (n_samples, n_tasks)
        The numbers; missing labels are NaN.
    complete : ndarray of shape (n_samples, n_tasks)
        The numbers without missing ones; only if `return_complete=True`.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    make_multitask_classification : The signs of these numbers, as labels.
    sklearn.datasets.make_regression : Linear tasks, without missing values.

    Examples
    --------
    The first task has few observed labels, and the second task has all of them:

    >>> import numpy as np
    >>> from skmtl.datasets import make_multitask_regression
    >>> X, y = make_multitask_regression(
    ...     1000, n_tasks=2, missing_rate=[0.9, 0.0], random_state=0
    ... )
    >>> np.isnan(y).mean(axis=0).round(1)
    array([0.9, 0. ])
    """
    rates = _check_rates(missing_rate, n_tasks)
    rng = check_random_state(random_state)
    X, scores = _made_scores(
        rng, n_samples, n_features, n_tasks, n_hidden, relatedness, n_contradictory
    )
    deviation = scores.std(axis=0)
    complete = scores / np.where(deviation > 0, deviation, 1.0)
    complete += noise * rng.normal(size=complete.shape)
    is_positive = (complete > 0).astype(float)
    chance = _missing_probability(X, is_positive, rates, mechanism)
    y = np.where(rng.random(complete.shape) < chance, np.nan, complete)
    return (X, y, complete) if return_complete else (X, y)


def _made_scores(
    rng: Any,
    n_samples: int,
    n_features: int,
    n_tasks: int,
    n_hidden: int,
    relatedness: float,
    n_contradictory: int,
) -> tuple[NDArray, NDArray]:
    """X, and the scores (n_samples, n_tasks) from which the tasks are computed."""
    if n_contradictory >= n_tasks:
        raise ValueError(
            "n_contradictory must be less than n_tasks, because these tasks contradict "
            f"the first one; got n_contradictory={n_contradictory} and "
            f"n_tasks={n_tasks}. Use a smaller number."
        )
    X = rng.normal(size=(n_samples, n_features))
    shared = _directions(rng, n_features, n_hidden)
    scores = np.empty((n_samples, n_tasks))
    first = None
    for task in range(n_tasks):
        own = _directions(rng, n_features, n_hidden)
        left, right = np.sqrt(relatedness) * shared + np.sqrt(1 - relatedness) * own
        if first is None:
            first = (left, right)
        if task >= n_tasks - n_contradictory:
            left, right = first[0], np.roll(first[1], 1, axis=1)
            if n_hidden == 1:
                right = -right
        weights = rng.uniform(0.5, 1.5, n_hidden)
        scores[:, task] = ((X @ left) * (X @ right)) @ weights
    return X, scores


def _check_rates(missing_rate: Any, n_tasks: int) -> NDArray:
    rates = check_array(np.atleast_1d(missing_rate), ensure_2d=False, dtype=float)
    if rates.shape not in ((1,), (n_tasks,)) or (rates < 0).any() or (rates >= 1).any():
        raise ValueError(
            f"missing_rate must be one number in [0, 1), or one for each of the "
            f"{n_tasks} tasks; got {missing_rate!r}. Use for example 0.5."
        )
    return np.broadcast_to(rates, (n_tasks,))


def _directions(rng: Any, n_features: int, n_hidden: int) -> NDArray:
    """(2, n_features, n_hidden): both factors of each product, of unit length."""
    directions = rng.normal(size=(2, n_features, n_hidden))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _missing_probability(
    X: NDArray, complete: NDArray, rates: NDArray, mechanism: str
) -> NDArray:
    """(n_samples, n_tasks), with `rates` as the means over the rows of each task."""
    if mechanism == "completely_at_random":
        return np.broadcast_to(rates, complete.shape)
    if mechanism == "at_random":
        odds = np.broadcast_to(-2.0 * X[:, [0]], complete.shape)
    else:
        odds = np.log(2.0) * complete
    return _shifted_to_rate(odds, rates)


def _shifted_to_rate(odds: NDArray, rates: NDArray) -> NDArray:
    """Probabilities with the log odds `odds`, shifted by bisection to mean `rates`."""
    low, high = np.full(len(rates), -50.0), np.full(len(rates), 50.0)
    for _ in range(60):
        middle = (low + high) / 2
        too_many = expit(odds + middle).mean(axis=0) > rates
        low, high = np.where(too_many, low, middle), np.where(too_many, middle, high)
    return expit(odds + (low + high) / 2)
