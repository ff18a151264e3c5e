"""label_curve measures how much the labels of the other tasks help one task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import indexable

from skmtl._estimators._transfer import weights_of_tasks
from skmtl._inputs import warn_of_row_order
from skmtl._interrupts import call_uncaught
from skmtl._messages import shorten, warn
from skmtl._predictions import with_task_types
from skmtl._sources import check_not_in_blocks
from skmtl._tables import as_table, as_text
from skmtl._targets import (
    Encoded,
    Tasks,
    as_array,
    as_codes_by_rank,
    mask_targets,
)
from skmtl.inspection._comparison import (
    CONFIDENCE,
    DEFAULT_METRICS,
    Split,
    check_joint,
    check_scoring,
    corrected_gain,
    encode_for,
    mean_or_nan,
    repeated_splits,
    rows_scored_per_row,
)
from skmtl.metrics._by_type import Metrics
from skmtl.metrics._metric import TaskType
from skmtl.metrics._scorer import _MultiTaskScorer
from skmtl.trunks import UnfreezeAfter

DEFAULT_SIZES = (10, 30, 100, 300, 1000)


@dataclass(frozen=True, repr=False)
class LabelCurve:
    """The result of `label_curve`.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A table with one row per number of labels. It has the mean scores `alone` and
        `joint` (with the other tasks), their difference `gain`, its confidence interval
        from `ci_low` to `ci_high`, and `n_scored`, the number of splits with enough
        labels.
    task_name : str
        Name of the task.
    n_labels : ndarray of shape (n_sizes,)
        The numbers of labels of the task.
    alone_scores, joint_scores : ndarray of shape (n_splits, n_sizes)
        The scores on the test rows of each split, NaN if the split has fewer labels.
    scoring : str
        The metric of the task.
    confidence : float
        The confidence level of the intervals.

    See Also
    --------
    label_curve : The function that makes the comparison.
    LabelCurveDisplay : Plot the result.

    Examples
    --------
    The table has one row per number of labels:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import label_curve
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier((8,), n_members=1, max_iter=3)
    >>> curve = label_curve(clf, X, X > 0, "task_0", n_labels=[5, 20], cv=2)
    >>> curve.n_labels
    array([ 5, 20])
    """

    table: Any
    task_name: str
    n_labels: NDArray
    alone_scores: NDArray
    joint_scores: NDArray
    scoring: str
    confidence: float

    def __repr__(self) -> str:
        return "\n".join(
            [
                f"{self.scoring} of task {self.task_name!r} by its number of labels, "
                f"{len(self.joint_scores)} splits",
                as_text(self.table),
            ]
        )


def label_curve(
    estimator: Any,
    X: Any,
    y: Any,
    task: str,
    *,
    n_labels: Sequence[int] | None = None,
    cv: Any = 5,
    scoring: Any = None,
    n_repeats: int = 1,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> LabelCurve:
    """Score one task for several numbers of its labels, with and without the others.

    Use it if a task has few labels and related tasks have many. It shows how many more
    labels of the task would help as much as the labels of the other tasks.

    Each split keeps only the given number of labels of the task. The kept labels have
    the proportions of the classes, with at least one label of each class, and smaller
    sets are subsets of larger ones. For a numeric task, the fifths of the sorted values
    act as classes. One network learns the task alone from these labels; another network
    learns all tasks, with all labels of the other tasks.

    Parameters
    ----------
    estimator : skmtl estimator, or a Pipeline around one
        The joint network. The network for the task alone has the same parameters, but
        trains for more epochs, so that both networks see the same number of rows:
        `max_iter` and `n_iter_no_change` are multiplied by the ratio of the numbers of
        training rows. With `max_iter="auto"`, each network chooses the number of epochs
        from its own labels.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples, n_tasks)
        The labels or numbers. Missing labels are NaN, None or pd.NA.
    task : str
        Name of the task; for an array without names, "task_0", "task_1" and so on.
    n_labels : sequence of int, default=None
        Numbers of labels of the task. Each must be at least the number of classes (2
        for a numeric task), and at least one split must have that many labels. None
        means 10, 30, 100, 300 and 1,000, without those that are too small or too large;
        if none is left, all labels are used.
    cv : int, splitter or iterable, default=5
        As in `transfer_gain`.
    scoring : str, callable or dict, default=None
        As in `transfer_gain`. If it is a dict, the metric for the type of the task is
        used.
    n_repeats : int, default=1
        As in `transfer_gain`.
    n_jobs : int, default=None
        Number of splits to run in parallel.
    random_state : int, RandomState instance or None, default=None
        Seed for the folds, the kept labels and the networks.

    Returns
    -------
    curve : LabelCurve
        The result, which prints as a table with one row per number of labels.

    Raises
    ------
    ValueError
        If `y` has no such task or only one task, if a number of labels is too small or
        larger than in every split, if `scoring` has no metric for the task, or if a
        numeric task has no observed value in the training rows of a split.

    Warns
    -----
    UserWarning
        If some of the default numbers of labels are left out.
    UndefinedMetricWarning
        If the metric is undefined in some splits (see `n_scored`).

    See Also
    --------
    LabelCurveDisplay : Plot the curve.
    transfer_gain : The comparison for all tasks, with all their labels.

    Notes
    -----
    The intervals are computed as in `transfer_gain`. They are NaN if fewer than three
    splits have a score, or if all splits have the same gain.

    Using few labels does not save time, and may take longer. The joint network trains
    on all labels of the other tasks, and the network for the task alone sees the same
    number of rows, in smaller batches if it has fewer rows. Parameters set to "auto"
    are chosen for each network on its own.

    Examples
    --------
    Four closely related tasks; keep few labels of one of them:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import label_curve
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(90, 6))
    >>> Y = X[:, [0]] + 0.3 * rng.normal(size=(90, 4)) > 0
    >>> clf = MultiTaskNetClassifier((16,), n_members=1, max_iter=10)
    >>> curve = label_curve(clf, X, Y, "task_3", n_labels=[5, 50], cv=3, random_state=0)
    >>> curve.joint_scores.shape
    (3, 2)
    """
    check_not_in_blocks(X, "label_curve")
    warn_of_row_order(X, y=y)
    encoded = encode_for(estimator, y)
    tasks, codes, _ = encoded
    X, y = indexable(X, y if hasattr(y, "shape") else as_array(y))
    position = _position_of(task, tasks)
    prefix = check_joint(estimator)
    scorer, metric = _scorer_of(scoring, tasks, position)
    splits = repeated_splits(cv, X, y, tasks, n_repeats, random_state)
    is_number = bool(tasks.are_numbers[position])
    sizes = _check_sizes(n_labels, codes[:, position], is_number, splits)
    joint = with_task_types(estimator, y)
    alone = _alone(estimator, prefix, tasks, position)
    comparison = _Comparison(joint, alone, prefix, scorer, position, sizes)
    scores = np.array(
        Parallel(n_jobs=n_jobs)(
            delayed(_score_split)(comparison, X, y, encoded, split) for split in splits
        )
    )
    _warn_undefined(scores, sizes, codes[:, position], is_number, splits, metric)
    gain = corrected_gain(scores[:, 1] - scores[:, 0], rows_scored_per_row(splits))
    columns = {
        "alone": mean_or_nan(scores[:, 0], axis=0),
        "joint": mean_or_nan(scores[:, 1], axis=0),
        **gain.columns(),
        "n_scored": gain.n_scored,
    }
    return LabelCurve(
        as_table(columns, [str(size) for size in sizes]),
        str(tasks.names[position]),
        sizes,
        scores[:, 0],
        scores[:, 1],
        metric,
        CONFIDENCE,
    )


class _Comparison(NamedTuple):
    """The settings that are the same in all splits."""

    joint: Any
    alone: Any
    prefix: str
    scorer: _MultiTaskScorer
    task: int
    sizes: NDArray


def _position_of(task: str, tasks: Tasks) -> int:
    names = tasks.names.tolist()
    if task not in names:
        raise ValueError(
            f"task must be a name of a task of y, {shorten(names)}; got {task!r}. Pass "
            "one of these names."
        )
    if len(names) < 2:
        raise ValueError(
            "y must have at least two tasks, so that the others can help; got 1. Pass "
            "one column per task."
        )
    return names.index(task)


def _scorer_of(
    scoring: Any, tasks: Tasks, position: int
) -> tuple[_MultiTaskScorer, str]:
    """A scorer that also works for the task alone, and the name of its metric."""
    metrics = check_scoring(scoring, tasks)._metric
    task_type: TaskType = "number" if tasks.are_numbers[position] else "class"
    if task_type not in metrics.by_type:
        raise ValueError(
            f"scoring must have a metric for the type of task {tasks.names[position]!r}"
            f", {task_type!r}; got {metrics.name}. Pass for example "
            f"{DEFAULT_METRICS[task_type]!r}."
        )
    own = {task_type: metrics.by_type[task_type]}
    scorer = _MultiTaskScorer(Metrics(own, True), "macro", per_task=False, tasks=None)
    return scorer, own[task_type].name


def _check_sizes(
    n_labels: Any, codes: NDArray, is_number: bool, splits: list[Split]
) -> NDArray:
    """Validate and sort the numbers of labels; `codes` are those of the task."""
    most = max(int((codes[split.train] >= 0).sum()) for split in splits)
    least, reason = max(1, len(np.unique(codes[codes >= 0]))), "one per class"
    if is_number:
        least, reason = 2, "because it has numbers"
    if most < least:
        raise ValueError(
            f"The task must have at least {least} labels in the training rows of a "
            f"split, {reason}; got {most}. Use another cv or another task."
        )
    if n_labels is None:
        n_labels = _default_sizes(least, most, is_number)
    sizes = np.atleast_1d(np.asarray(n_labels))
    if (
        sizes.ndim != 1
        or len(sizes) == 0
        or sizes.dtype.kind not in "iu"
        or sizes.min() < least
        or sizes.max() > most
    ):
        reason = "for numbers" if is_number else "labels, the number of classes"
        raise ValueError(
            f"n_labels must be whole numbers of at least {least} {reason}, and at most "
            f"{most}, the largest number of labels in the training rows of a split; "
            f"got {n_labels!r}. Choose numbers in this range."
        )
    return np.sort(sizes)


def _default_sizes(least: int, most: int, is_number: bool) -> list[int]:
    """The default numbers that are possible, or else the number of all labels."""
    sizes = [n for n in DEFAULT_SIZES if least <= n <= most]
    left_out = [n for n in DEFAULT_SIZES if n not in sizes]
    if left_out:
        classes = "numbers" if is_number else f"{least} classes"
        warn(
            f"The task has {classes} and at most {most} labels in the training rows of "
            f"a split, so {left_out} are left out of the default n_labels. Pass "
            "n_labels to choose others."
        )
    return sizes or [most]


def _warn_undefined(
    scores: NDArray,
    sizes: NDArray,
    codes: NDArray,
    is_number: bool,
    splits: list[Split],
    metric: str,
) -> None:
    """Warn if the metric is undefined in some splits; `codes` are those of the task."""
    n_labels = np.array([(codes[split.train] >= 0).sum() for split in splits])
    undefined = np.isnan(scores).any(axis=1) & (sizes <= n_labels[:, None])
    n_undefined = int(undefined.any(axis=1).sum())
    if n_undefined:
        reason = "labels of one class of the task or none"
        if is_number:
            reason = "no value of the task, or no two different ones if needed"
        warn(
            f"{metric} is undefined in {n_undefined} of {len(splits)} splits, whose "
            f"test rows have {reason}. The means are over the other splits; see "
            "n_scored.",
            UndefinedMetricWarning,
        )


def _alone(estimator: Any, prefix: str, tasks: Tasks, position: int) -> Any:
    """The estimator for one task; parameters by task name keep only this task."""
    names, given = tasks.names, estimator.get_params()
    others, name = np.delete(names, position), names[position]
    # The only column of an array without names is task_0.
    alone = name if tasks.is_named else "task_0"
    own: dict[str, Any] = {"main_tasks": None, "task_types": tasks.types}
    for parameter in ("task_weight", "class_weight"):
        own[parameter] = weights_of_tasks(
            given.get(f"{prefix}{parameter}"), parameter, names[[position]], others
        )
    own["transformer"] = given.get(f"{prefix}transformer")
    changes = {
        f"{prefix}{parameter}": _of_one_task(value, name, alone)
        for parameter, value in own.items()
        if f"{prefix}{parameter}" in given
    }
    return clone(estimator).set_params(**changes)


def _of_one_task(value: Any, name: str, alone: str) -> Any:
    """A parameter; a dict by task names keeps one task, under the name `alone`."""
    if not isinstance(value, dict):
        return value
    return {alone: value[name]} if name in value else {}


def _score_split(
    comparison: _Comparison, X: Any, y: Any, encoded: Encoded, split: Split
) -> NDArray:
    """(2, n_sizes): scores alone and joint, NaN if the split has fewer labels."""
    task, prefix, codes = comparison.task, comparison.prefix, encoded.codes
    train, test = split.train, split.test
    strata = _strata(encoded, task, train)
    order = _nested_order(strata, np.random.default_rng(split.seed))
    X_train, y_train = _safe_indexing(X, train), _safe_indexing(y, train)
    X_test, y_test = _safe_indexing(X, test), _safe_indexing(y, test)
    scores = np.full((2, len(comparison.sizes)), np.nan)
    for i, size in enumerate(comparison.sizes):
        if size > len(order):
            continue
        removed = np.zeros((len(train), codes.shape[1]), dtype=bool)
        removed[:, task] = True
        kept = np.sort(order[:size])
        removed[kept, task] = False
        seeded = {f"{prefix}random_state": split.seed}
        joint = clone(comparison.joint).set_params(**seeded)
        call_uncaught(joint.fit, X_train, mask_targets(y_train, removed))
        scores[1, i] = comparison.scorer.score_tasks(joint, X_test, y_test)[task]

        n_rows = ((codes[train] >= 0) & ~removed).any(axis=1).sum()
        longer = _scaled_epochs(joint, prefix, n_rows / size)
        alone = clone(comparison.alone).set_params(**seeded, **longer)
        own_label = _safe_indexing(y_train, [task], axis=1)
        own = _safe_indexing(X_train, kept), _safe_indexing(own_label, kept)
        call_uncaught(alone.fit, *own)
        own_test = _safe_indexing(y_test, [task], axis=1)
        scores[0, i] = comparison.scorer.score_tasks(alone, X_test, own_test)[0]
    return scores


def _scaled_epochs(estimator: Any, prefix: str, factor: float) -> dict[str, int]:
    """Multiply the epochs to train, to wait for a better one and to stay frozen."""
    parameters = estimator.get_params()
    names = [f"{prefix}max_iter", f"{prefix}n_iter_no_change"]
    if isinstance(parameters[f"{prefix}freeze"], UnfreezeAfter):
        names.append(f"{prefix}freeze__n_epochs")
    return {
        name: int(np.ceil(parameters[name] * factor))
        for name in names
        if parameters[name] != "auto"  # "auto" is chosen from the labels
    }


def _strata(encoded: Encoded, task: int, rows: NDArray) -> NDArray:
    """The codes of the classes of a task, or of the fifths of its numbers."""
    if encoded.numbers is None or not encoded.tasks.are_numbers[task]:
        return encoded.codes[rows, task]
    return as_codes_by_rank(encoded.numbers[rows, task])


def _nested_order(codes: NDArray, rng: np.random.Generator) -> NDArray:
    """Labelled rows in an order whose first rows keep the proportions of the classes.

    The first rows have one label of each class, so that every allowed number of labels
    includes all classes. For numbers, the strata act as classes.
    """
    rows, rank = [np.zeros(0, dtype=np.intp)], [np.zeros(0)]
    for code in np.unique(codes[codes >= 0]):
        own = rng.permutation(np.flatnonzero(codes == code))
        rows.append(own)
        rank.append((np.arange(len(own)) + rng.random()) / len(own))
        rank[-1][0] -= 1.0
    return np.concatenate(rows)[np.argsort(np.concatenate(rank), kind="stable")]
