"""transfer_gain measures whether tasks gain from being learned together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._sources import check_not_in_blocks
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
    """The result of `transfer_gain`.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A table with one row per task: `n_labelled`, the mean scores `joint` and
        `separate`, their difference `gain`, its confidence interval from `ci_low` to
        `ci_high`, the `p_value` for no difference, `n_scored` (the number of splits in
        which the metric was defined) and the `verdict` "helps", "hurts" or "cannot
        tell". The interval and the p-value are NaN if fewer than three splits have a
        score, or if all splits have the same gain.
    task_names : ndarray of shape (n_tasks,)
        The names of the tasks.
    joint_scores, separate_scores : ndarray of shape (n_splits, n_tasks)
        The scores on the test rows of each split, NaN if undefined.
    mean_gain : tuple of float
        The gain in the mean over the tasks and its confidence interval, as a tuple
        (gain, low, high). In each split, the mean is over the tasks with a score.
    scoring : str
        The metric, or the metrics for classes and for numbers.
    confidence : float
        The confidence level of the intervals.

    See Also
    --------
    transfer_gain : The function that makes the comparison.
    TransferGainDisplay : Plot the result.

    Examples
    --------
    List the tasks with a given verdict:

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
        """List the tasks with a verdict.

        Parameters
        ----------
        verdict : {"helps", "hurts", "cannot tell"}
            The verdict on joint training.

        Returns
        -------
        names : list of str
            The names of the tasks, in the order of the tasks.
        """
        if verdict not in VERDICTS:
            raise ValueError(
                f"verdict must be one of {VERDICTS}; got {verdict!r}. Pass one of "
                "these."
            )
        return self.task_names[np.asarray(self.table["verdict"]) == verdict].tolist()

    def __repr__(self) -> str:
        n_splits, n_tasks = self.joint_scores.shape
        gain, low, high = self.mean_gain
        counts = [f"{len(self.tasks_with(v))} {v!r}" for v in VERDICTS]
        level = f"{100 * self.confidence:.0f} %"
        return "\n".join(
            [
                f"{self.scoring} of one joint network and of separate networks, "
                f"{n_splits} splits, {n_tasks} tasks",
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

    The networks have the same sizes, epochs, splits and seeds, and differ only in
    `sharing`. Parameters set to "auto", such as `dropout`, are chosen for each network
    from its own training data; set them to numbers to compare equal networks.

    The result has a gain for each task with its uncertainty, and a verdict. The verdict
    is "cannot tell" if the interval of the gain contains 0, or if there is no interval.

    Parameters
    ----------
    estimator : skmtl estimator, or a Pipeline around one
        The joint network. Each fit uses a clone with its own `random_state`.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples, n_tasks)
        The labels or numbers. Missing labels are NaN, None or pd.NA.
    cv : int, splitter or iterable, default=5
        How to make the splits:

        - An integer: the number of folds of a `MultiTaskStratifiedKFold`, with new
          folds in each repetition.
        - A splitter, whose `split` is called in each repetition. For a splitter with
          groups, pass the result of `split` instead.
        - Pairs of training and test rows, as indices or masks.
    scoring : str, callable or dict, default=None
        A metric that `multitask_scorer` accepts, or a scorer that it returned. None
        means "roc_auc_ovr" for classification tasks (the ROC AUC; for more than two
        classes, each class against the rest) and "r2" for numeric tasks. For a
        `MultiTaskNet` with both, it is `{"class": "roc_auc_ovr", "number": "r2"}`.
    n_repeats : int, default=3
        Number of repetitions, each with a different seed.
    n_jobs : int, default=None
        Number of fits to run in parallel.
    random_state : int, RandomState instance or None, default=None
        Seed for the folds and the networks.

    Returns
    -------
    result : TransferGain
        The result, which prints as a table with the verdicts.

    Raises
    ------
    ValueError
        If `estimator` contains no skmtl estimator or is a search, if its tasks share
        nothing, if `y` has only one task, or if a numeric task has no observed value in
        the training rows of a split.

    Warns
    -----
    UndefinedMetricWarning
        If the metric is undefined for a task in some splits (see `n_scored`).

    See Also
    --------
    TransferGainDisplay : Plot the result.
    skmtl.sharing.NoSharing : The setting of the separate networks.

    Notes
    -----
    The interval and the p-value come from the corrected resampled t-test [1]_ (equation
    for the corrected t) for repeated cross-validation [2]_. The variance of the mean
    over n splits is (1 / n + n_test / n_train) times that of a split, because training
    sets overlap. Each task is tested on its own. Of many tasks without any difference,
    one in forty will appear to gain and one in forty to lose.

    R2 has no lower bound, so a network that performs badly on one numeric task can
    determine the mean gain over all tasks. If there are both classes and numbers, the
    mean is over gains in both metrics.

    There is no interval (NaN) if fewer than three splits have a score of the task, or
    if its gain is the same in all of them. Scores on few test labels take few values,
    so equal gains may be due to chance.

    With `early_stopping=True`, each separate network keeps the epoch that was best on
    its own held-out labels, like the joint network.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine
       Learning 52, 239-281, 2003. :doi:`10.1023/A:1024068626366`
    .. [2] R. Bouckaert, E. Frank, "Evaluating the Replicability of Significance Tests
       for Comparing Learning Algorithms", PAKDD 2004, section 3.
       :doi:`10.1007/978-3-540-24775-3_3`

    Examples
    --------
    Four closely related tasks with few rows:

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
    check_not_in_blocks(X, "transfer_gain")
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
            "y must have at least two tasks that can gain from each other; got "
            f"{tasks.n_tasks}. Pass one column per task."
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
