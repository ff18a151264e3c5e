"""label_report describes which labels are observed and which are missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import norm
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.validation import check_consistent_length

from skmtl._estimators import MultiTaskNetClassifier
from skmtl._messages import shorten
from skmtl._predictions import guess_task_types
from skmtl._tables import as_html, as_table, as_text, without_formulas
from skmtl._targets import (
    Tasks,
    TaskTypes,
    encode,
    read_columns,
    task_names,
)
from skmtl.metrics import multitask_score
from skmtl.metrics._by_type import types_by_name
from skmtl.model_selection import MultiTaskStratifiedKFold, cross_val_predict

# Missingness counts as predictable if the AUC is at least this, and so large that by
# chance only 1 % of all reports would have such a task.
_PREDICTABLE = 0.6
_FALSE_ALARMS = 0.01


@dataclass(frozen=True, repr=False)
class LabelReport:
    """The result of `label_report`.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A table with one row per task. All tasks have `n_labelled`, `share_missing` and,
        if `X` was passed, `missingness_auc`. Classification tasks also have
        `n_classes`, and the numbers of labels `smallest_class` and `largest_class`; a
        declared class without labels counts 0. Numeric tasks also have `n_distinct`,
        the number of different values, and their `mean`, `std`, `min` and `max`. If
        there are both types, `type` is "class" or "number", and the columns of the
        other type are NaN.
    task_names : ndarray of shape (n_tasks,)
        The names of the tasks.
    classes : list of ndarray or None
        The classes of each task, None for a numeric task.
    class_counts : list of ndarray or None
        The number of labels of each class of each task, None for a numeric task.
    overlap : ndarray of shape (n_tasks, n_tasks)
        For each pair of tasks, the number of rows with labels of both.
    observed : ndarray of shape (n_samples, n_tasks)
        Whether a label is observed.
    missingness_auc : ndarray of shape (n_tasks,) or None
        How well `X` predicts whether the label of a task is missing: the
        cross-validated ROC AUC, which is 0.5 if `X` does not predict it at all. NaN for
        a task with fewer than `n_splits` observed labels or fewer than `n_splits`
        missing labels.
    n_splits : int
        The number of folds. Each class and each numeric task should have at least this
        many labels.

    See Also
    --------
    label_report : The function that makes the report.

    Examples
    --------
    Its properties name the tasks that need attention:

    >>> from skmtl.inspection import label_report
    >>> report = label_report([[0, 1], [1, None], [0, 1]])
    >>> report.constant_tasks
    ['task_1']
    """

    table: Any
    task_names: NDArray
    classes: list[NDArray | None]
    class_counts: list[NDArray | None]
    overlap: NDArray
    observed: NDArray
    missingness_auc: NDArray | None
    n_splits: int

    @property
    def unlabelled_tasks(self) -> list[str]:
        """Tasks without an observed label."""
        return self.task_names[~self.observed.any(axis=0)].tolist()

    @property
    def constant_tasks(self) -> list[str]:
        """Tasks with labels of one class only, or with a single value."""
        return self.task_names[self._is_constant()].tolist()

    @property
    def rare_tasks(self) -> list[str]:
        """Tasks with a class that has labels, but fewer than `n_splits`.

        A numeric task counts as one class.
        """
        return self.task_names[self._is_rare()].tolist()

    @property
    def predictably_missing_tasks(self) -> list[str]:
        """Tasks for which `X` predicts the missing labels better than chance.

        The AUC is 0.6 or more, and significant at the 1 % level for all tasks together.
        """
        if self.missingness_auc is None:
            return []
        n_labelled = self.observed.sum(axis=0)
        n_missing = len(self.observed) - n_labelled
        # Standard error of the AUC if labels are missing at random (Mann-Whitney).
        with np.errstate(divide="ignore"):
            error = np.sqrt((len(self.observed) + 1) / (12 * n_labelled * n_missing))
        n_tested = max(1, np.isfinite(self.missingness_auc).sum())
        least = 0.5 + error * norm.isf(_FALSE_ALARMS / n_tested)
        predictable = self.missingness_auc >= np.maximum(least, _PREDICTABLE)
        return self.task_names[predictable].tolist()

    def _is_number(self) -> NDArray:
        return np.array([counts is None for counts in self.class_counts])

    def _counts(self) -> list[NDArray]:
        """The number of labels of each class; a numeric task counts as one class."""
        n_labelled = self.observed.sum(axis=0)
        return [
            np.array([n]) if counts is None else counts
            for counts, n in zip(self.class_counts, n_labelled, strict=True)
        ]

    def _is_constant(self) -> NDArray:
        is_number = self._is_number()
        n_distinct = np.array([(counts > 0).sum() for counts in self._counts()])
        if is_number.any():
            n_distinct = np.where(is_number, self.table["n_distinct"], n_distinct)
        return np.asarray(n_distinct == 1)

    def _is_rare(self) -> NDArray:
        return np.array(
            [
                ((counts > 0) & (counts < self.n_splits)).any()
                for counts in self._counts()
            ]
        )

    def __repr__(self) -> str:
        return "\n".join([self._summary(), as_text(self.table), *self._remarks()])

    def _repr_html_(self) -> str:
        remarks = "".join(f"<li>{escape(text)}</li>" for text in self._remarks())
        return without_formulas(
            f"<p>{escape(self._summary())}</p>\n{as_html(self.table)}\n"
            f"<ul>{remarks}</ul>"
        )

    def _summary(self) -> str:
        n_samples, n_tasks = self.observed.shape
        n_empty = int((~self.observed.any(axis=1)).sum())
        return (
            f"{n_samples:,} rows ({n_empty:,} without any label), {n_tasks:,} "
            f"{'task' if n_tasks == 1 else 'tasks'}, "
            f"{100 * (1 - self.observed.mean()):.1f} % of the labels missing"
        )

    def _remarks(self) -> list[str]:
        """A line for each kind of task that needs attention."""
        is_number, n_splits = self._is_number(), self.n_splits
        constant, rare = self._is_constant(), self._is_rare()
        meanings = [
            (self.unlabelled_tasks, "have no label"),
            (self.task_names[constant & ~is_number], "have labels of one class only"),
            (self.task_names[constant & is_number], "have one value only"),
            (
                self.task_names[rare & ~is_number],
                f"have a class with fewer than {n_splits} labels",
            ),
            (self.task_names[rare & is_number], f"have fewer than {n_splits} values"),
            (
                self.predictably_missing_tasks,
                f"have missing labels that X predicts (AUC of {_PREDICTABLE} or more, "
                "better than chance), so they are not missing at random",
            ),
        ]
        n_tasks = len(self.task_names)
        return [
            f"{len(tasks)} of {n_tasks} tasks {meaning}: {shorten(tasks)}"
            for tasks, meaning in meanings
            if len(tasks)
        ]


def label_report(
    y: Any,
    X: Any = None,
    *,
    task_types: Mapping[str, str] | None = None,
    n_splits: int = 5,
    estimator: Any = None,
    random_state: Any = None,
) -> LabelReport:
    """Describe the observed labels, and check whether others are missing at random.

    Use it before the first fit. The report shows how many labels each task has, which
    tasks were measured together, and which tasks have too few labels for
    cross-validation. With `X`, it also shows whether the rows without a label differ
    from the rows with one. If they do, scores on the observed labels say little about
    the other rows.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels or numbers. Missing labels are NaN, None or pd.NA.
    X : array-like or sparse matrix of shape (n_samples, n_features), default=None
        The input data, to check whether it predicts which labels are missing. Without
        `estimator`, it can be anything that `MultiTaskNetClassifier` accepts, such as a
        raw table.
    task_types : dict, default=None
        Maps task names to "class" or "number", such as `task_types_` of a
        `MultiTaskNet`. A task that is not in the dict is numeric if its values have
        decimals, or if it has at least 30 different whole numbers other than
        consecutive numbers from 0 or 1. Otherwise it has classes.
    n_splits : int, default=5
        Number of folds of the cross-validation. Classes and numeric tasks with fewer
        labels are reported.
    estimator : estimator, default=None
        The classifier that predicts from `X` which labels are missing. It must support
        several binary tasks. The default is a `MultiTaskNetClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seed for the folds and the default estimator.

    Returns
    -------
    report : LabelReport
        The report, which prints as a table with remarks, also in a notebook.

    See Also
    --------
    LabelReportDisplay : Plot the report.

    Notes
    -----
    The AUC is computed from the probabilities of held-out rows. All tasks with missing
    labels are predicted at once, because whether a label is missing is a binary task
    without missing labels.

    Examples
    --------
    The second task was measured only in rows with a large first column:

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

    For numeric tasks, the table shows a few statistics:

    >>> Y = np.array([[0.5, 300], [np.nan, 100], [1.5, 200], [2.5, np.nan]])
    >>> report = label_report(Y, task_types={"task_1": "number"})
    >>> report.table[["n_labelled", "n_distinct", "mean", "min", "max"]]
            n_labelled  n_distinct   mean    min    max
    task_0           3           3    1.5    0.5    2.5
    task_1           3           3  200.0  100.0  300.0
    """
    if n_splits < 2:
        raise ValueError(
            f"n_splits must be at least 2 folds; got {n_splits}. Use for example 5."
        )
    tasks, codes, numbers = encode(y, _types_of(y, task_types))
    if not len(codes):
        raise ValueError("y must have at least one row; got none. Pass the labels.")
    observed = codes >= 0
    counts = [
        None if is_number else np.bincount(column[column >= 0], minlength=n)
        for column, n, is_number in zip(
            codes.T, tasks.n_codes, tasks.are_numbers, strict=True
        )
    ]
    auc = None
    if X is not None:
        check_consistent_length(X, codes)
        auc = _missingness_auc(X, observed, tasks, n_splits, estimator, random_state)
    together = observed.astype(np.float64)
    return LabelReport(
        _table(tasks, observed, counts, numbers, auc),
        tasks.names,
        tasks.classes,
        counts,
        (together.T @ together).astype(np.int64),
        observed,
        auc,
        n_splits,
    )


def _types_of(y: Any, task_types: Any) -> TaskTypes:
    """The given types, and guesses from y for the other tasks."""
    guessed, given = guess_task_types(y), types_by_name(task_types, y, None)
    if not isinstance(given, Mapping):
        return guessed
    if not isinstance(guessed, Mapping):
        columns, names, _ = read_columns(y)
        names_of_tasks = task_names(names, len(columns)).tolist()
        guessed = dict.fromkeys(names_of_tasks, guessed)
    return {**guessed, **given}


def _table(
    tasks: Tasks,
    observed: NDArray,
    counts: list[NDArray | None],
    numbers: NDArray | None,
    auc: NDArray | None,
) -> Any:
    is_number = tasks.are_numbers
    is_mixed = is_number.any() and not is_number.all()
    columns = {}
    if is_mixed:
        columns["type"] = np.where(is_number, "number", "class").astype(object)
    columns["n_labelled"] = observed.sum(axis=0)
    columns["share_missing"] = 1 - observed.mean(axis=0)
    own = [_columns_of_classes(tasks.n_codes[~is_number], counts)]
    if numbers is not None:
        own.append(_columns_of_numbers(list(numbers[:, is_number].T)))
    for rows, part in zip((~is_number, is_number), own, strict=False):
        for name, values in part.items() if rows.any() else ():
            columns[name] = values
            if is_mixed:
                columns[name] = np.full(tasks.n_tasks, np.nan)
                columns[name][rows] = values
    if auc is not None:
        columns["missingness_auc"] = auc
    return as_table(columns, tasks.names.tolist())


def _columns_of_classes(
    n_classes: NDArray, counts: list[NDArray | None]
) -> dict[str, NDArray]:
    known = [task_counts for task_counts in counts if task_counts is not None]
    return {
        "n_classes": n_classes,
        "smallest_class": np.array([task_counts.min() for task_counts in known]),
        "largest_class": np.array([task_counts.max() for task_counts in known]),
    }


def _columns_of_numbers(columns: list[NDArray]) -> dict[str, NDArray]:
    """`columns` has an array (n_samples,) for each task, NaN for missing labels."""
    names = ("n_distinct", "mean", "std", "min", "max")
    by_task = [_describe(values[~np.isnan(values)]) for values in columns]
    described = dict(zip(names, np.array(by_task).T, strict=True))
    return described | {"n_distinct": described["n_distinct"].astype(int)}


def _describe(values: NDArray) -> tuple[float, ...]:
    """Number of different values, mean, standard deviation, minimum and maximum."""
    if not len(values):
        return 0, np.nan, np.nan, np.nan, np.nan
    unit = np.abs(values).max() or 1.0  # squares may be out of range
    mean, std = unit * (values / unit).mean(), unit * (values / unit).std()
    return len(np.unique(values)), mean, std, values.min(), values.max()


def _missingness_auc(
    X: Any,
    observed: NDArray,
    tasks: Tasks,
    n_splits: int,
    estimator: Any,
    random_state: Any,
) -> NDArray:
    """(n_tasks,): NaN for a task with too few observed or too few missing labels."""
    n_missing = (~observed).sum(axis=0)
    varies = np.minimum(n_missing, len(observed) - n_missing) >= n_splits
    auc = np.full(tasks.n_tasks, np.nan)
    if varies.any():
        missing = (~observed[:, varies]).astype(int)
        if missing.shape[1] == 1:  # most estimators then expect a 1-D y
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
