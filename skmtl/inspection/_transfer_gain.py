"""transfer_gain: whether tasks gain from being learned together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._tables import as_table, as_text
from skmtl._targets import Encoded
from skmtl.inspection._comparison import (
    CONFIDENCE,
    Gain,
    PairedScores,
    Split,
    check_scoring,
    corrected_gain,
    encode_for,
    mean_gain,
    mean_or_nan,
    paired_scores,
    repeated_splits,
    scored_by_both,
    warn_undefined,
)
from skmtl.metrics._scorer import _MultiTaskScorer

VERDICTS = ("helps", "hurts", "cannot tell")


@dataclass(frozen=True, repr=False)
class TransferGain:
    """What `transfer_gain` finds.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A row per task: `n_labelled`, the mean scores `joint` and `separate`, their
        difference `gain`, its confidence interval from `ci_low` to `ci_high`, the
        `p_value` of no difference (NaN where fewer than three splits have a score, or
        all have the same gain), `n_scored` (splits in which the metric was defined)
        and the `verdict`: "helps", "hurts" or "cannot tell".
    task_names : ndarray of shape (n_tasks,)
        The names of the tasks.
    joint_scores, separate_scores : ndarray of shape (n_splits, n_tasks)
        The scores on the test rows of each split, NaN where undefined.
    mean_gain : tuple of float
        The gain of the mean over the tasks, and its interval: (gain, low, high). The
        mean is over the splits, of the mean over the tasks that could be scored there.
    scoring : str
        The metric, or the metrics of classes and of numbers.
    confidence : float
        Of the intervals of the gains.

    See Also
    --------
    transfer_gain : It makes the comparison.
    TransferGainDisplay : Draws it.

    Examples
    --------
    Its methods name the tasks:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import transfer_gain
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier((8,), n_members=1, max_iter=5)
    >>> result = transfer_gain(clf, X, X > 0, cv=2, n_repeats=1, random_state=0)
    >>> len(result.tasks_with("helps")) <= 3
    True
    """

    table: Any
    task_names: NDArray
    joint_scores: NDArray
    separate_scores: NDArray
    mean_gain: tuple[float, float, float]
    scoring: str
    confidence: float

    def tasks_with(self, verdict: str) -> list[str]:
        """Names of the tasks of which this is said.

        Parameters
        ----------
        verdict : {"helps", "hurts", "cannot tell"}
            What is said.

        Returns
        -------
        names : list of str
            The tasks, in their order.
        """
        if verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {VERDICTS}; got {verdict!r}.")
        return self.task_names[np.asarray(self.table["verdict"]) == verdict].tolist()

    def __repr__(self) -> str:
        n_splits, n_tasks = self.joint_scores.shape
        gain, low, high = self.mean_gain
        counts = [f"{len(self.tasks_with(v))} {v!r}" for v in VERDICTS]
        level = f"{100 * self.confidence:.0f} %"
        return "\n".join(
            [
                f"{self.scoring} of one joint network and of separate ones, {n_splits} "
                f"splits, {n_tasks} tasks",
                as_text(self.table),
                f"mean gain {gain:.4f}, {level} interval from {low:.4f} to {high:.4f}",
                f"Joint training: {', '.join(counts)}",
            ]
        )


def transfer_gain(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    cv: Any = 5,
    scoring: Any = None,
    n_repeats: int = 3,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> TransferGain:
    """Compare one joint network with a separate network for each task.

    Both have the same sizes, epochs, splits and seeds; they differ in `sharing` alone.
    What is "auto", such as `dropout`, is chosen for each network by what it is trained
    on, as it would be for that network alone; give numbers to compare equal ones.
    The answer is a gain per task with its uncertainty, and a verdict, which is "cannot
    tell" where the interval of the gain contains 0, or where there is none.

    Parameters
    ----------
    estimator : an estimator of skmtl, or a Pipeline around one
        The joint network. It is cloned for each fit; its `random_state` is set.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input.
    y : array-like of shape (n_samples, n_tasks)
        The labels or numbers, with NaN, None or pd.NA where missing.
    cv : int, splitter or iterable, default=5
        A number of folds for `MultiTaskStratifiedKFold`, which are new in each
        repetition; a splitter, asked in each repetition; or pairs of training and test
        rows, their numbers or masks. Of a splitter of groups pass what its `split`
        gives.
    scoring : str, callable or dict, default=None
        What `multitask_scorer` takes, or what it made. None is "roc_auc_ovr" for tasks
        of classes (the ROC AUC, with more than two classes that of each against the
        rest) and "r2" for tasks of numbers; for a `MultiTaskNet` with both,
        `{"class": "roc_auc_ovr", "number": "r2"}`.
    n_repeats : int, default=3
        Number of repetitions, each with another seed.
    n_jobs : int, default=None
        Number of fits that run side by side.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the networks.

    Returns
    -------
    result : TransferGain
        It prints as a table with the verdicts.

    Raises
    ------
    ValueError
        If there is no estimator of skmtl in `estimator`, if it is a search, if its
        tasks share nothing, if `y` has one task, or if a task of numbers has no value
        in the training rows of a split.

    Warns
    -----
    UndefinedMetricWarning
        If the metric is undefined for a task in some splits (`n_scored`).

    See Also
    --------
    TransferGainDisplay : Draws the result.
    skmtl.sharing.NoSharing : The separate networks.

    Notes
    -----
    The interval and the p-value are those of the corrected resampled t-test [1]_
    (equation for the corrected t) for repeated cross-validation [2]_: the variance of
    the mean over n splits is (1 / n + n_test / n_train) times that of a split, because
    training sets overlap. Each task is tested by itself: of many tasks without any
    difference, one in forty is said to gain and one in forty to lose.

    The R2 of numbers has no lower bound, so that a network that does badly on one task
    can decide the mean gain over all tasks. With both classes and numbers, that mean is
    over gains in both metrics.

    There is no interval (NaN) where fewer than three splits have a score of the task,
    or where its gain is the same in all of them: scores of a few test labels take few
    values, and that chance brought the same one each time is no certainty.

    With `early_stopping=True` each separate network, as the joint one, keeps the epoch
    that did best on its own held-out labels.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine
       Learning 52, 239-281, 2003. :doi:`10.1023/A:1024068626366`
    .. [2] R. Bouckaert, E. Frank, "Evaluating the Replicability of Significance Tests
       for Comparing Learning Algorithms", PAKDD 2004, section 3.
       :doi:`10.1007/978-3-540-24775-3_3`

    Examples
    --------
    Four tasks ask nearly the same of few rows:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import transfer_gain
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(90, 6))
    >>> Y = X[:, [0]] * X[:, [1]] + rng.normal(size=(90, 4)) > 0
    >>> clf = MultiTaskNetClassifier((16,), n_members=1, max_iter=10)
    >>> result = transfer_gain(clf, X, Y, cv=3, n_repeats=1, random_state=0)
    >>> result.table.shape
    (4, 9)
    """
    encoded = encode_for(estimator, y)
    tasks = encoded.tasks
    splits = repeated_splits(cv, X, y, tasks, n_repeats, random_state)
    scorer = check_scoring(scoring, tasks)
    result = gain_on_splits(estimator, X, y, encoded, splits, scorer, n_jobs)
    n_scored = np.asarray(result.table["n_scored"])
    warn_undefined(n_scored, len(splits), tasks, scorer)
    return result


def gain_on_splits(
    estimator: Any,
    X: Any,
    y: Any,
    encoded: Encoded,
    splits: list[Split],
    scorer: _MultiTaskScorer,
    n_jobs: int | None,
) -> TransferGain:
    """`transfer_gain` on these splits; `encoded` is y."""
    tasks, codes, _ = encoded
    if tasks.n_tasks < 2:
        raise ValueError(
            "y must have at least two tasks, which could gain from one another; got "
            f"{tasks.n_tasks}. Pass a column per task."
        )
    scores = paired_scores(estimator, X, y, tasks, splits, scorer, n_jobs)
    gain = corrected_gain(scores.joint - scores.separate, scores.test_ratio)
    return TransferGain(
        _table(gain, scores, (codes >= 0).sum(axis=0), tasks.names),
        tasks.names,
        scores.joint,
        scores.separate,
        mean_gain(scores.joint - scores.separate, scores.test_ratio),
        scorer._metric.name,
        CONFIDENCE,
    )


def _table(
    gain: Gain, scores: PairedScores, n_labelled: NDArray, names: NDArray
) -> Any:
    joint, separate = mean_or_nan(scored_by_both(scores.joint, scores.separate), axis=1)
    verdict = np.full(len(names), "cannot tell", dtype=object)
    verdict[gain.low > 0] = "helps"
    verdict[gain.high < 0] = "hurts"
    columns = {
        "n_labelled": n_labelled,
        "joint": joint,
        "separate": separate,
        **gain.columns(),
        "p_value": gain.p_value,
        "n_scored": gain.n_scored,
        "verdict": verdict,
    }
    return as_table(columns, names.tolist())
