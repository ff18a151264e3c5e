"""capacity_curve: whether the trunk is big enough for all tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from skmtl._tables import as_table, as_text
from skmtl.inspection._comparison import (
    check_joint,
    check_scoring,
    encode_for,
    mean_or_nan,
    repeated_splits,
    scored_by_both,
    trainable_parameters,
    warn_undefined,
)
from skmtl.inspection._transfer_gain import TransferGain, gain_on_splits


@dataclass(frozen=True, repr=False)
class CapacityCurve:
    """What `capacity_curve` finds.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A row per size of the trunk: `n_units` of its layers, the mean scores `joint`
        and `separate` (over the splits, of the mean over the tasks that could be scored
        there), their difference `gain` with its interval from `ci_low` to `ci_high`
        (NaN where `transfer_gain` has none), and the numbers of tasks that joint
        training `helps` and `hurts`.
    hidden_layer_sizes : list of tuple of int
        The sizes.
    results : list of TransferGain
        The comparison at each size.

    See Also
    --------
    capacity_curve : It makes the comparisons.
    CapacityCurveDisplay : Draws them.

    Examples
    --------
    The comparison at each size is there, task by task:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import capacity_curve
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier(n_members=1, max_iter=3)
    >>> curve = capacity_curve(clf, X, X > 0, sizes=[2, 8], cv=2, n_repeats=1)
    >>> curve.results[1].task_names.tolist()
    ['task_0', 'task_1', 'task_2']
    """

    table: Any
    hidden_layer_sizes: list[tuple[int, ...]]
    results: list[TransferGain]

    @property
    def gains(self) -> NDArray:
        """(n_sizes, n_tasks): the gain of each task at each size."""
        return np.array([np.asarray(result.table["gain"]) for result in self.results])

    def __repr__(self) -> str:
        first = self.results[0]
        return "\n".join(
            [
                f"{first.scoring} of joint and separate networks by the size of the "
                f"trunk, {len(first.joint_scores)} splits, mean of "
                f"{len(first.task_names)} tasks",
                as_text(self.table),
            ]
        )


def capacity_curve(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    sizes: Sequence[Any] = (4, 16, 64, 256),
    cv: Any = 5,
    scoring: Any = None,
    n_repeats: int = 1,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> CapacityCurve:
    """Compare joint with separate networks at several sizes of the trunk.

    In a small trunk tasks compete for units, and joint training hurts; where the trunk
    is big enough it should do no harm [1]_. At each size this is `transfer_gain`, on
    the same splits and with the same seeds.

    Parameters
    ----------
    estimator : an estimator of skmtl, or a Pipeline around one
        The joint network; its `hidden_layer_sizes` are set.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input.
    y : array-like of shape (n_samples, n_tasks)
        The labels or numbers, with NaN, None or pd.NA where missing.
    sizes : sequence of int or of array-like of int, default=(4, 16, 64, 256)
        Values of `hidden_layer_sizes`; a number is the size of one layer. A separate
        network of each task has the same size, so that together they have as many
        times the units as there are tasks.
    cv : int, splitter or iterable, default=5
        As in `transfer_gain`.
    scoring : str, callable or dict, default=None
        As in `transfer_gain`.
    n_repeats : int, default=1
        As in `transfer_gain`.
    n_jobs : int, default=None
        As in `transfer_gain`.
    random_state : int, RandomState instance or None, default=None
        As in `transfer_gain`; the same for each size.

    Returns
    -------
    curve : CapacityCurve
        It prints as a table, a row per size.

    Raises
    ------
    ValueError
        If there is no size, if the estimator has a `trunk` of the user's own, which no
        size changes, or if `transfer_gain` refuses the estimator.

    See Also
    --------
    transfer_gain : At one size.
    CapacityCurveDisplay : Draws the curve.

    References
    ----------
    .. [1] R. Caruana, "Multitask Learning", Machine Learning 28, 41-75, 1997.
       :doi:`10.1023/A:1007379606734`

    Examples
    --------
    Two sizes:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import capacity_curve
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier(n_members=1, max_iter=3)
    >>> curve = capacity_curve(clf, X, X > 0, sizes=[2, (8, 8)], cv=2)
    >>> curve.hidden_layer_sizes
    [(2,), (8, 8)]
    """
    layers = _check_sizes(sizes)
    models = _of_sizes(estimator, layers)
    encoded = encode_for(estimator, y)
    tasks = encoded.tasks
    splits = repeated_splits(cv, X, y, tasks, n_repeats, random_state)
    scorer = check_scoring(scoring, tasks)
    results = []
    for model in models:
        results.append(gain_on_splits(model, X, y, encoded, splits, scorer, n_jobs))
    n_scored = np.min([result.table["n_scored"] for result in results], axis=0)
    warn_undefined(n_scored, len(splits), tasks, scorer)
    return CapacityCurve(_table(layers, results), layers, results)


def _check_sizes(sizes: Any) -> list[tuple[int, ...]]:
    """Values of `hidden_layer_sizes`."""
    if not np.iterable(sizes) or isinstance(sizes, str):
        raise ValueError(
            "sizes must be a sequence of sizes of the trunk, of which each is a number "
            f"or a tuple of numbers; got {sizes!r}. Use for instance [4, 16, (64, 64)]."
        )
    layers = [tuple(np.atleast_1d(size).tolist()) for size in sizes]
    if not layers:
        raise ValueError("sizes must have at least one size of the trunk; got none.")
    return layers


def _of_sizes(estimator: Any, layers: list[tuple[int, ...]]) -> list[Any]:
    """The estimator at each size, or why it has none."""
    prefix, parameters = trainable_parameters(estimator)
    trunk = parameters[f"{prefix}trunk"]
    if trunk is not None:
        raise ValueError(
            "estimator must have a trunk of hidden_layer_sizes, which the sizes are; "
            f"got trunk={trunk!r}, which ignores them. Use trunk=None, or call "
            "transfer_gain with a trunk of each size."
        )
    name = f"{prefix}hidden_layer_sizes"
    models = [clone(estimator).set_params(**{name: size}) for size in layers]
    for model in models:
        check_joint(model)
    return models


def _table(layers: list[tuple[int, ...]], results: list[TransferGain]) -> Any:
    gain, low, high = np.array([result.mean_gain for result in results]).T
    columns = {"n_units": np.array([sum(size) for size in layers])}
    means = np.array([_mean_scores(result) for result in results])
    columns |= {"joint": means[:, 0], "separate": means[:, 1]}
    columns |= {"gain": gain, "ci_low": low, "ci_high": high}
    for verdict in ("helps", "hurts"):
        columns[verdict] = np.array([len(r.tasks_with(verdict)) for r in results])
    return as_table(columns, [str(size) for size in layers])


def _mean_scores(result: TransferGain) -> NDArray:
    """(2,): joint and separate, over the same tasks and splits as the mean gain."""
    scores = scored_by_both(result.joint_scores, result.separate_scores)
    return mean_or_nan(mean_or_nan(scores, axis=2), axis=1)
