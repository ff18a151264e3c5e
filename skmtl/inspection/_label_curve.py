"""label_curve: what the labels of the other tasks are worth to one task."""

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
from skmtl._interrupts import call_uncaught
from skmtl._messages import shorten, warn
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
    types_of,
    with_types_told,
)
from skmtl.metrics._by_type import Metrics
from skmtl.metrics._metric import TaskType
from skmtl.metrics._scorer import _MultiTaskScorer
from skmtl.trunks import UnfreezeAfter

DEFAULT_SIZES = (10, 30, 100, 300, 1000)


@dataclass(frozen=True, repr=False)
class LabelCurve:
    """What `label_curve` finds.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A row per number of labels: the mean scores `alone` and `joint` (beside the
        other tasks), their difference `gain`, its confidence interval from `ci_low` to
        `ci_high`, and `n_scored`, the splits that had so many labels.
    task_name : str
        The task.
    n_labels : ndarray of shape (n_sizes,)
        Numbers of labels of the task.
    alone_scores, joint_scores : ndarray of shape (n_splits, n_sizes)
        The scores on the test rows of each split, NaN where it has fewer labels.
    scoring : str
        The metric of the task.
    confidence : float
        Of the intervals of the gains.

    See Also
    --------
    label_curve : It makes the comparison.
    LabelCurveDisplay : Draws it.

    Examples
    --------
    A row per number of labels:

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
                f"{self.scoring} of task {self.task_name!r} by the number of its "
                f"labels, {len(self.joint_scores)} splits",
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
    """Score one task against the number of its labels, alone and beside the others.

    The question of a task with few labels whose neighbours have many: how many more
    labels of its own would do as much as the labels of the others? In each split so
    many labels of the task are kept: the classes in their proportions, but at least one
    label of each, and the smaller sets within the larger ones. The fifths of the sorted
    values of a task of numbers take the place of classes. One network learns the task
    from them alone, and one all tasks, with every label of the other tasks.

    Parameters
    ----------
    estimator : an estimator of skmtl, or a Pipeline around one
        The joint network. Alone, the task has the same network, for as many epochs as
        it takes to see as many rows as the joint one: `max_iter` is multiplied by the
        ratio of their training rows, and so is `n_iter_no_change`. With
        `max_iter="auto"` each trains for as long as its own labels ask for.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input.
    y : array-like of shape (n_samples, n_tasks)
        The labels or numbers, with NaN, None or pd.NA where missing.
    task : str
        The name of the task; of an array without names "task_0", "task_1", ...
    n_labels : sequence of int, default=None
        Numbers of labels, each at least the number of the task's classes, or 2 for a
        task of numbers. Those that no split has are refused. None for 10, 30, 100, 300
        and 1000, of which those that cannot be are left out; where none is left, for
        all labels that there are.
    cv : int, splitter or iterable, default=5
        As in `transfer_gain`.
    scoring : str, callable or dict, default=None
        As in `transfer_gain`; of a dict, the metric for the type of the task is used.
    n_repeats : int, default=1
        As in `transfer_gain`.
    n_jobs : int, default=None
        Number of splits that are computed side by side.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, the labels kept and the networks.

    Returns
    -------
    curve : LabelCurve
        It prints as a table, a row per number of labels.

    Raises
    ------
    ValueError
        If there is no such task or no other one, or if a number of labels is less than
        the number of classes (2 for a task of numbers) or more than any split has, if
        `scoring` has no metric for the task, or if a task of numbers has no value in
        the training rows of a split.

    Warns
    -----
    UserWarning
        If numbers of the default are left out.
    UndefinedMetricWarning
        If the metric is undefined in some splits (`n_scored`).

    See Also
    --------
    LabelCurveDisplay : Draws the curve.
    transfer_gain : All tasks, with the labels that they have.

    Notes
    -----
    The intervals are those of `transfer_gain`: NaN where fewer than three splits have a
    score, or all the same gain.

    A fit with few labels of the task takes as long as one with many, or longer: the
    joint network is trained on all labels of the others, and the other one sees as many
    rows, in smaller batches where it has fewer. What is "auto" is chosen for each.

    Examples
    --------
    Four tasks that ask nearly the same, of which one has few labels:

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
    encoded = encode_for(estimator, y)
    tasks, codes, _ = encoded
    X, y = indexable(X, y if hasattr(y, "shape") else as_array(y))
    position = _position_of(task, tasks)
    prefix = check_joint(estimator)
    scorer, metric = _scorer_of(scoring, tasks, position)
    splits = repeated_splits(cv, X, y, tasks, n_repeats, random_state)
    is_number = bool(tasks.are_numbers[position])
    sizes = _check_sizes(n_labels, codes[:, position], is_number, splits)
    joint = with_types_told(estimator, prefix, tasks)
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
    """What is the same in all splits."""

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
            f"task must be a name of a task of y, {shorten(names)}; got {task!r}."
        )
    if len(names) < 2:
        raise ValueError(
            "y must have at least two tasks, of which the others may help; got 1. Pass "
            "a column per task."
        )
    return names.index(task)


def _scorer_of(
    scoring: Any, tasks: Tasks, position: int
) -> tuple[_MultiTaskScorer, str]:
    """A scorer of any tasks, which the one alone is too, and the name of its metric."""
    metrics = check_scoring(scoring, tasks)._metric
    task_type: TaskType = "number" if tasks.are_numbers[position] else "class"
    if task_type not in metrics.by_type:
        raise ValueError(
            f"scoring must have a metric for the type of task {tasks.names[position]!r}"
            f", {task_type!r}; got {metrics.name}. Pass for instance "
            f"{DEFAULT_METRICS[task_type]!r}."
        )
    own = {task_type: metrics.by_type[task_type]}
    scorer = _MultiTaskScorer(Metrics(own, True), "macro", per_task=False, tasks=None)
    return scorer, own[task_type].name


def _check_sizes(
    n_labels: Any, codes: NDArray, is_number: bool, splits: list[Split]
) -> NDArray:
    """Numbers of labels, sorted; `codes` are those of the task."""
    most = max(int((codes[split.train] >= 0).sum()) for split in splits)
    least, reason = max(1, len(np.unique(codes[codes >= 0]))), "as many as classes"
    if is_number:
        least, reason = 2, "since it has numbers"
    if most < least:
        raise ValueError(
            f"The task must have at least {least} labels in the training rows of a "
            f"split, {reason}; got {most}. Pass another cv or another task."
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
        reason = (
            f"{least} for numbers" if is_number else f"the classes of the task, {least}"
        )
        raise ValueError(
            f"n_labels must be whole numbers of at least {reason}, and at most the "
            f"labels of the task in the training rows of a split, {most}; got "
            f"{n_labels!r}. Choose numbers between them."
        )
    return np.sort(sizes)


def _default_sizes(least: int, most: int, is_number: bool) -> list[int]:
    """Those of the default that can be, or else all labels that there are."""
    sizes = [n for n in DEFAULT_SIZES if least <= n <= most]
    left_out = [n for n in DEFAULT_SIZES if n not in sizes]
    if left_out:
        classes = "numbers" if is_number else f"{least} classes"
        warn(
            f"The task has {classes} and at most {most} labels in the training rows of "
            f"a split: of the default n_labels {left_out} are left out. Pass "
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
    """`codes` are those of the task."""
    n_labels = np.array([(codes[split.train] >= 0).sum() for split in splits])
    undefined = np.isnan(scores).any(axis=1) & (sizes <= n_labels[:, None])
    n_undefined = int(undefined.any(axis=1).sum())
    if n_undefined:
        reason = "labels of one class of the task or none"
        if is_number:
            reason = "no value of the task, or a single one if the metric needs two"
        warn(
            f"{metric} is undefined in {n_undefined} of {len(splits)} splits, whose "
            f"test rows have {reason}. The means are over the other splits, see "
            "n_scored.",
            UndefinedMetricWarning,
        )


def _alone(estimator: Any, prefix: str, tasks: Tasks, position: int) -> Any:
    """The estimator for one task: what names tasks is cut down to it."""
    names, given = tasks.names, estimator.get_params()
    others, name = np.delete(names, position), names[position]
    # The columns of an array are numbered anew.
    alone = name if tasks.is_named else "task_0"
    own: dict[str, Any] = {"main_tasks": None, "task_types": types_of(tasks)}
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
    """A parameter, of a dict by task names what it has of one task, by another name."""
    if not isinstance(value, dict):
        return value
    return {alone: value[name]} if name in value else {}


def _score_split(
    comparison: _Comparison, X: Any, y: Any, encoded: Encoded, split: Split
) -> NDArray:
    """(2, n_sizes): alone and joint, NaN where the split has fewer labels."""
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
    """So many more epochs, and as many more to wait for a better one, or frozen."""
    parameters = estimator.get_params()
    names = [f"{prefix}max_iter", f"{prefix}n_iter_no_change"]
    if isinstance(parameters[f"{prefix}freeze"], UnfreezeAfter):
        names.append(f"{prefix}freeze__n_epochs")
    return {
        name: int(np.ceil(parameters[name] * factor))
        for name in names
        if parameters[name] != "auto"  # which looks at the labels itself
    }


def _strata(encoded: Encoded, task: int, rows: NDArray) -> NDArray:
    """Codes of the classes of a task, or of the fifths of its numbers."""
    if encoded.numbers is None or not encoded.tasks.are_numbers[task]:
        return encoded.codes[rows, task]
    return as_codes_by_rank(encoded.numbers[rows, task])


def _nested_order(codes: NDArray, rng: np.random.Generator) -> NDArray:
    """Labelled rows, such that the first ones have the classes in their proportions.

    One of each class comes before all others, so that every number of labels that is
    allowed teaches all classes. For numbers, the strata take the place of classes.
    """
    rows, rank = [np.zeros(0, dtype=np.intp)], [np.zeros(0)]
    for code in np.unique(codes[codes >= 0]):
        own = rng.permutation(np.flatnonzero(codes == code))
        rows.append(own)
        rank.append((np.arange(len(own)) + rng.random()) / len(own))
        rank[-1][0] -= 1.0
    return np.concatenate(rows)[np.argsort(np.concatenate(rank), kind="stable")]
