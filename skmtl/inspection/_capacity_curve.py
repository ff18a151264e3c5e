"""capacity_curve checks whether the trunk is large enough for all tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from skmtl._sources import check_not_in_blocks
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
    """The result of `capacity_curve`.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A table with one row per trunk size. It has the number of units `n_units`, the
        mean scores `joint` and `separate` (averaged over the splits and over the tasks
        with a score), their difference `gain`, its confidence interval from `ci_low` to
        `ci_high` (NaN if `transfer_gain` has none), and the numbers of tasks that joint
        training `helps` and `hurts`.
    hidden_layer_sizes : list of tuple of int
        The sizes of the trunk.
    results : list of TransferGain
        The comparison at each size.

    See Also
    --------
    capacity_curve : The function that makes the comparisons.
    CapacityCurveDisplay : Plot the result.

    Examples
    --------
    `results` has the comparison at each size, task by task:

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
                f"{first.scoring} of joint and separate networks by trunk size, "
                f"{len(first.joint_scores)} splits, mean over "
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
    """Compare joint and separate networks for several trunk sizes.

    In a small trunk, tasks compete for units, and joint training hurts. If the trunk is
    large enough, joint training should do no harm [1]_. At each size, the function runs
    `transfer_gain` on the same splits and with the same seeds.

    Parameters
    ----------
    estimator : skmtl estimator, or a Pipeline around one
        The joint network. `hidden_layer_sizes` is set for each size.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples, n_tasks)
        The labels or numbers. Missing labels are NaN, None or pd.NA.
    sizes : sequence of int or of array-like of int, default=(4, 16, 64, 256)
        Values for `hidden_layer_sizes`; an integer is the size of a single layer. The
        separate network of each task has the same size, so that with T tasks the
        separate networks together have T times as many units.
    cv : int, splitter or iterable, default=5
        As in `transfer_gain`.
    scoring : str, callable or dict, default=None
        As in `transfer_gain`.
    n_repeats : int, default=1
        As in `transfer_gain`.
    n_jobs : int, default=None
        As in `transfer_gain`.
    random_state : int, RandomState instance or None, default=None
        As in `transfer_gain`; the seed is the same for each size.

    Returns
    -------
    curve : CapacityCurve
        The result, which prints as a table with one row per size.

    Raises
    ------
    ValueError
        If `sizes` is empty, if the estimator has a custom `trunk`, whose size cannot be
        changed, or if `transfer_gain` does not accept the estimator.

    See Also
    --------
    transfer_gain : The comparison at a single size.
    CapacityCurveDisplay : Plot the curve.

    References
    ----------
    .. [1] R. Caruana, "Multitask Learning", Machine Learning 28, 41-75, 1997.
       :doi:`10.1023/A:1007379606734`

    Examples
    --------
    Compare two sizes:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import capacity_curve
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier(n_members=1, max_iter=3)
    >>> curve = capacity_curve(clf, X, X > 0, sizes=[2, (8, 8)], cv=2)
    >>> curve.hidden_layer_sizes
    [(2,), (8, 8)]
    """
    check_not_in_blocks(X, "capacity_curve")
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
    """Validate the sizes; return values of `hidden_layer_sizes`."""
    if not np.iterable(sizes) or isinstance(sizes, str):
        raise ValueError(
            "sizes must be a sequence of trunk sizes, each an integer or a tuple of "
            f"integers; got {sizes!r}. Use for example [4, 16, (64, 64)]."
        )
    layers = [tuple(np.atleast_1d(size).tolist()) for size in sizes]
    if not layers:
        raise ValueError(
            "sizes must have at least one size of the trunk; got none. Use for example "
            "[4, 16, 64]."
        )
    for size in layers:
        if not all(isinstance(n_units, int) and n_units > 0 for n_units in size):
            raise ValueError(
                "sizes must be trunk sizes, each an integer of at least 1 or a tuple "
                f"of them; got {sizes!r}. Use for example [4, 16, (64, 64)]."
            )
    return layers


def _of_sizes(estimator: Any, layers: list[tuple[int, ...]]) -> list[Any]:
    """The estimator at each size; raise if its size cannot be set."""
    prefix, parameters = trainable_parameters(estimator)
    trunk = parameters[f"{prefix}trunk"]
    if trunk is not None:
        raise ValueError(
            "estimator must use hidden_layer_sizes, which sizes replaces; got "
            f"trunk={trunk!r}, which ignores them. Use trunk=None, or call "
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
    """(2,): mean joint and separate score, for the tasks and splits of the gain."""
    scores = scored_by_both(result.joint_scores, result.separate_scores)
    return mean_or_nan(mean_or_nan(scores, axis=2), axis=1)
