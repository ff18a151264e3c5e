"""label_report: which labels are there, and which are missing."""

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
        A row per task: `n_labelled` and `share_missing`; for tasks of classes
        `n_classes`, `smallest_class` and `largest_class` (numbers of labels; 0 where a
        declared class does not occur); for tasks of numbers `n_distinct`, the number of
        different values, and their `mean`, `std`, `min` and `max`; and with `X`
        `missingness_auc`. If there are both, `type` is "class" or "number", and columns
        of the other type are NaN.
    task_names : ndarray of shape (n_tasks,)
        The names of the tasks.
    classes : list of ndarray or None
        The classes of each task, None for a task of numbers.
    class_counts : list of ndarray or None
        The number of labels of each class of each task, None for a task of numbers.
    overlap : ndarray of shape (n_tasks, n_tasks)
        The number of rows with labels for both of two tasks.
    observed : ndarray of shape (n_samples, n_tasks)
        Whether a label is there.
    missingness_auc : ndarray of shape (n_tasks,) or None
        How well `X` tells whether the label is missing: the cross-validated ROC AUC,
        0.5 if not at all, NaN where fewer than `n_splits` labels are there or missing.
    n_splits : int
        The number of folds that a class, or a task of numbers, must have labels for.

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
    classes: list[NDArray | None]
    class_counts: list[NDArray | None]
    overlap: NDArray
    observed: NDArray
    missingness_auc: NDArray | None
    n_splits: int

    @property
    def unlabelled_tasks(self) -> list[str]:
        """Tasks without any label."""
        return self.task_names[~self.observed.any(axis=0)].tolist()

    @property
    def constant_tasks(self) -> list[str]:
        """Tasks with labels of one class only, or with one value only."""
        return self.task_names[self._is_constant()].tolist()

    @property
    def rare_tasks(self) -> list[str]:
        """Tasks with a class that has labels, but fewer than there are folds.

        A task of numbers counts as one class.
        """
        return self.task_names[self._is_rare()].tolist()

    @property
    def predictably_missing_tasks(self) -> list[str]:
        """Tasks whose missing labels `X` predicts better than chance would.

        The AUC is 0.6 or more, and beyond the 1 % of chance for all tasks together.
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

    def _is_number(self) -> NDArray:
        return np.array([counts is None for counts in self.class_counts])

    def _counts(self) -> list[NDArray]:
        """Labels of each class of each task; all numbers of a task as one class."""
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
        """A line for each thing that some tasks need a look for."""
        is_number, n_splits = self._is_number(), self.n_splits
        constant, rare = self._is_constant(), self._is_rare()
        meanings = [
            (self.unlabelled_tasks, "have no label"),
            (self.task_names[constant & ~is_number], "have labels of one class"),
            (self.task_names[constant & is_number], "have one value only"),
            (
                self.task_names[rare & ~is_number],
                f"have a class with fewer than {n_splits} labels",
            ),
            (self.task_names[rare & is_number], f"have fewer than {n_splits} values"),
            (
                self.predictably_missing_tasks,
                f"have missing labels that X predicts (AUC of {_PREDICTABLE} or more, "
                "beyond chance): they are not missing at random",
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
    """Say which labels are there, and whether they are missing at random.

    Before the first fit: how many labels each task has, which tasks are measured
    together, which have too few for cross-validation, and whether the rows without a
    label differ from those with one. Where they do, scores on the observed labels say
    little about the other rows.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels or numbers, with NaN, None or pd.NA where missing.
    X : array-like or sparse matrix of shape (n_samples, n_features), default=None
        The input, to see whether it predicts which labels are missing; without
        `estimator`, whatever `MultiTaskNetClassifier` reads, so a raw table too.
    task_types : dict, default=None
        Maps names of tasks to "class" or "number", such as `task_types_` of a
        `MultiTaskNet`. A task that is not named has numbers if they have decimals, or
        if there are 30 or more different whole numbers other than those of classes
        numbered from 0 or 1; else it has classes.
    n_splits : int, default=5
        Number of folds for which each class, and each task of numbers, should have
        labels, and of the cross-validation.
    estimator : estimator, default=None
        What predicts missingness from `X`: a classifier for several binary tasks. By
        default a `MultiTaskNetClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the default estimator.

    Returns
    -------
    report : LabelReport
        It prints, and shows in a notebook, as a table with remarks.

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

    Tasks of numbers, of which a few statistics are shown:

    >>> Y = np.array([[0.5, 300], [np.nan, 100], [1.5, 200], [2.5, np.nan]])
    >>> report = label_report(Y, task_types={"task_1": "number"})
    >>> report.table[["n_labelled", "n_distinct", "mean", "min", "max"]]
            n_labelled  n_distinct   mean    min    max
    task_0           3           3    1.5    0.5    2.5
    task_1           3           3  200.0  100.0  300.0
    """
    if n_splits < 2:
        raise ValueError(f"n_splits must be at least 2, folds; got {n_splits}.")
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
    """The types that are given, and for the other tasks those that y looks like."""
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
    """`columns` (n_samples,) are those of the tasks, NaN where missing."""
    names = ("n_distinct", "mean", "std", "min", "max")
    by_task = [_describe(values[~np.isnan(values)]) for values in columns]
    described = dict(zip(names, np.array(by_task).T, strict=True))
    return described | {"n_distinct": described["n_distinct"].astype(int)}


def _describe(values: NDArray) -> tuple[float, ...]:
    """Number of different values, mean, deviation, smallest and largest value."""
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
