"""label_report: which labels are there, and which are missing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import norm
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.validation import check_consistent_length

from skmtl._estimators import MultiTaskNetClassifier
from skmtl._tables import as_table, as_text
from skmtl._targets import Tasks, encode_targets, shorten
from skmtl.metrics import multitask_score
from skmtl.model_selection import MultiTaskStratifiedKFold, cross_val_predict

# Missingness is called predictable where the AUC is at least this, and so large that
# chance would give it in any of the tasks of one report in a hundred.
_PREDICTABLE = 0.6
_FALSE_ALARMS = 0.01


@dataclass(frozen=True, repr=False)
class LabelReport:
    """What `label_report` finds.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A row per task: `n_labelled`, `share_missing`, `n_classes`, `smallest_class` and
        `largest_class` (numbers of labels; 0 where a declared class does not occur),
        and with `X` `missingness_auc`.
    task_names : ndarray of shape (n_tasks,)
        The names of the tasks.
    classes : list of ndarray
        The classes of each task.
    class_counts : list of ndarray
        The number of labels of each class of each task.
    overlap : ndarray of shape (n_tasks, n_tasks)
        The number of rows with labels for both of two tasks.
    observed : ndarray of shape (n_samples, n_tasks)
        Whether a label is there.
    missingness_auc : ndarray of shape (n_tasks,) or None
        How well `X` tells whether the label is missing: the cross-validated ROC AUC,
        .5 if not at all, NaN where fewer than `n_splits` labels are there or missing.
    n_splits : int
        The number of folds that a class must have labels for.

    See Also
    --------
    label_report : It makes the report.

    Examples
    --------
    Its properties name the tasks that need a look:

    >>> from skmtl.inspection import label_report
    >>> report = label_report([[0, 1], [1, None], [0, 1]])
    >>> report.constant_tasks
    ['task_1']
    """

    table: Any
    task_names: NDArray
    classes: list[NDArray]
    class_counts: list[NDArray]
    overlap: NDArray
    observed: NDArray
    missingness_auc: NDArray | None
    n_splits: int

    @property
    def unlabelled_tasks(self) -> list[str]:
        """Tasks without any label."""
        return self._tasks_where(lambda counts: not counts.any())

    @property
    def constant_tasks(self) -> list[str]:
        """Tasks with labels of one class only."""
        return self._tasks_where(lambda counts: (counts > 0).sum() == 1)

    @property
    def rare_tasks(self) -> list[str]:
        """Tasks with a class that has labels, but fewer than there are folds."""
        return self._tasks_where(
            lambda counts: ((counts > 0) & (counts < self.n_splits)).any()
        )

    @property
    def predictably_missing_tasks(self) -> list[str]:
        """Tasks whose missing labels `X` predicts better than chance would.

        The AUC is .6 or more, and beyond the 1 % of chance for all tasks together.
        """
        if self.missingness_auc is None:
            return []
        n_labelled = self.observed.sum(axis=0)
        n_missing = len(self.observed) - n_labelled
        # Standard error of the AUC of labels that are missing at random (Mann-Whitney).
        with np.errstate(divide="ignore"):
            error = np.sqrt((len(self.observed) + 1) / (12 * n_labelled * n_missing))
        n_tested = max(1, np.isfinite(self.missingness_auc).sum())
        least = 0.5 + error * norm.isf(_FALSE_ALARMS / n_tested)
        predictable = self.missingness_auc >= np.maximum(least, _PREDICTABLE)
        return self.task_names[predictable].tolist()

    def _tasks_where(self, holds: Any) -> list[str]:
        pairs = zip(self.task_names, self.class_counts, strict=True)
        return [name for name, counts in pairs if holds(counts)]

    def __repr__(self) -> str:
        n_samples, n_tasks = self.observed.shape
        n_empty = int((~self.observed.any(axis=1)).sum())
        lines = [
            f"{n_samples} rows ({n_empty} without any label), {n_tasks} tasks, "
            f"{100 * (1 - self.observed.mean()):.1f} % of the labels missing",
            as_text(self.table),
        ]
        for tasks, meaning in [
            (self.unlabelled_tasks, "have no label"),
            (self.constant_tasks, "have labels of one class"),
            (self.rare_tasks, f"have a class with fewer than {self.n_splits} labels"),
            (
                self.predictably_missing_tasks,
                f"have missing labels that X predicts (AUC of {_PREDICTABLE} or more, "
                "beyond chance): they are not missing at random",
            ),
        ]:
            if tasks:
                lines.append(
                    f"{len(tasks)} of {n_tasks} tasks {meaning}: {shorten(tasks)}"
                )
        return "\n".join(lines)


def label_report(
    y: Any,
    X: Any = None,
    *,
    n_splits: int = 5,
    estimator: Any = None,
    random_state: Any = None,
) -> LabelReport:
    """Say which labels are there, and whether they are missing at random.

    Before the first fit: how many labels each task has, which tasks are measured
    together, which have too few for cross-validation, and whether the rows without a
    label differ from those with one. Where they do, scores on the observed labels say
    little about the other rows.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels, with NaN, None or pd.NA where missing.
    X : array-like or sparse matrix of shape (n_samples, n_features), default=None
        The input, to see whether it predicts which labels are missing; without
        `estimator`, whatever `MultiTaskNetClassifier` reads, so a raw table too.
    n_splits : int, default=5
        Number of folds for which each class should have labels, and of the
        cross-validation.
    estimator : estimator, default=None
        What predicts missingness from `X`: a classifier for several binary tasks. By
        default a `MultiTaskNetClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the default estimator.

    Returns
    -------
    report : LabelReport
        It prints as a table with remarks.

    See Also
    --------
    LabelReportDisplay : Draws it.

    Notes
    -----
    The AUC compares probabilities of rows that were held out. All tasks with some
    labels missing are predicted at once: whether a label is missing is a complete
    binary task.

    Examples
    --------
    The second task was measured where the first column of X is large:

    >>> import numpy as np
    >>> from skmtl.inspection import label_report
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> Y = (rng.random((200, 2)) < 0.5).astype(float)
    >>> Y[rng.random(200) < 0.5, 0] = np.nan
    >>> Y[X[:, 0] < 0, 1] = np.nan
    >>> report = label_report(Y, X, random_state=0)
    >>> report.predictably_missing_tasks
    ['task_1']
    """
    if n_splits < 2:
        raise ValueError(f"n_splits must be at least 2, folds; got {n_splits}.")
    tasks, codes = encode_targets(y)
    if not len(codes):
        raise ValueError("y must have at least one row; got none. Pass the labels.")
    observed = codes >= 0
    counts = [
        np.bincount(column[column >= 0], minlength=n)
        for column, n in zip(codes.T, tasks.n_codes, strict=True)
    ]
    auc = None
    if X is not None:
        check_consistent_length(X, codes)
        auc = _missingness_auc(X, observed, tasks, n_splits, estimator, random_state)
    together = observed.astype(np.float64)
    return LabelReport(
        _table(tasks, observed, counts, auc),
        tasks.names,
        tasks.classes,
        counts,
        (together.T @ together).astype(np.int64),
        observed,
        auc,
        n_splits,
    )


def _table(
    tasks: Tasks, observed: NDArray, counts: list[NDArray], auc: NDArray | None
) -> Any:
    columns = {
        "n_labelled": observed.sum(axis=0),
        "share_missing": 1 - observed.mean(axis=0),
        "n_classes": tasks.n_codes,
        "smallest_class": np.array([task_counts.min() for task_counts in counts]),
        "largest_class": np.array([task_counts.max() for task_counts in counts]),
    }
    if auc is not None:
        columns["missingness_auc"] = auc
    return as_table(columns, tasks.names.tolist())


def _missingness_auc(
    X: Any,
    observed: NDArray,
    tasks: Tasks,
    n_splits: int,
    estimator: Any,
    random_state: Any,
) -> NDArray:
    """(n_tasks,): NaN where all labels are there, or none, or too few differ."""
    n_missing = (~observed).sum(axis=0)
    varies = np.minimum(n_missing, len(observed) - n_missing) >= n_splits
    auc = np.full(tasks.n_tasks, np.nan)
    if varies.any():
        missing = (~observed[:, varies]).astype(int)
        if missing.shape[1] == 1:  # most estimators want one axis then
            missing = missing[:, 0]
        p = cross_val_predict(
            _default_estimator(X, random_state) if estimator is None else estimator,
            X,
            missing,
            cv=MultiTaskStratifiedKFold(
                n_splits, shuffle=True, random_state=random_state
            ),
            method="predict_proba",
        )
        auc[varies] = multitask_score("roc_auc", missing, p, average=None)
    return auc


def _default_estimator(X: Any, random_state: Any) -> Any:
    network = MultiTaskNetClassifier(
        (64,), n_members=1, max_iter=20, random_state=random_state
    )
    return make_pipeline(MaxAbsScaler(), network) if sparse.issparse(X) else network
