"""`report`: labels, scores and plots of an estimator on one HTML page."""

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import indexable

from skmtl._files import check_destination, replaced
from skmtl._inputs import warn_of_row_order
from skmtl._predictions import calibrated_tasks
from skmtl._report._context import (
    comparison_section,
    curves_section,
    importance_section,
    labels_section,
    scores_section,
    settings_section,
    thresholds_section,
    training_section,
)
from skmtl._report._findings import Findings
from skmtl._report._held_out import HeldOut, cross_validated, prefit
from skmtl._report._importance import (
    Importances,
    column_names,
    permutation_importances,
)
from skmtl._report._render import jinja_environment, render
from skmtl._report._scores import table_of_scores, table_of_thresholds
from skmtl._report._summary import advice, key_figures, sentences
from skmtl._sources import check_not_in_blocks
from skmtl._tables import as_table
from skmtl.inspection import LabelReport, ModelComparison, label_report


@dataclass(frozen=True, repr=False)
class Report:
    """The result of `report`: an HTML page, and the numbers on it.

    Attributes
    ----------
    html : str
        The page.
    scores : DataFrame or dict of ndarray
        The scores on held-out rows, one row per task. `roc_auc_low` and `roc_auc_high`
        (for numbers, `r2_low` and `r2_high`) are the ends of the interval.
    comparison : ModelComparison or None
        The other models on the same splits; None with `cv="prefit"`.
    thresholds : DataFrame or dict of ndarray
        For balanced accuracy, F1 and MCC: the best threshold, the score at 0.5 and the
        score at the threshold. One row per binary task.
    importances : DataFrame, dict of ndarray or None
        The drop in score if a column of `X` is shuffled: one row per column that was
        shuffled, and one column per task. None if `X` has more than two axes.
    labels : LabelReport
        The labels and missing labels of each task.

    See Also
    --------
    report : Make a report.

    Examples
    --------
    All numbers are available as tables:

    >>> import numpy as np
    >>> import skmtl
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = skmtl.MultiTaskNetClassifier(n_members=1, max_iter=5).fit(X, X > 0)
    >>> report = skmtl.report(clf, X, X > 0, cv="prefit", random_state=0)
    >>> report.importances.shape
    (3, 3)
    """

    html: str
    scores: Any
    comparison: ModelComparison | None
    thresholds: Any
    importances: Any
    labels: LabelReport

    def save(self, path: str | os.PathLike) -> None:
        """Write the page to a file.

        Parameters
        ----------
        path : str or path-like
            Name of the file, such as "report.html". An existing file is replaced.
        """
        with replaced(Path(path)) as part:
            part.write_text(self.html, encoding="utf-8")

    def __repr__(self) -> str:
        n_tasks, size = len(self.labels.task_names), len(self.html.encode()) / 1e6
        return (
            f"<Report on {n_tasks} task{'s' * (n_tasks != 1)}, {size:.1f} MB. Write it "
            "with save(path). Its numbers are in scores, comparison, thresholds, "
            "importances and labels>"
        )

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="Report" style="width: 100%; '
            'height: 80vh; border: 1px solid #8888"></iframe>'
        )


def report(
    estimator: Any,
    X: Any,
    y: Any,
    path: str | os.PathLike | None = None,
    *,
    cv: Any = 5,
    models: Any = None,
    scoring: Any = None,
    title: str | None = None,
    feature_names: Any = None,
    max_plots: int = 24,
    max_columns: int = 40,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> Report:
    """Report on a network on one HTML page.

    The page shows the labels, the scores of each task with intervals, the joint network
    against separate networks and forests, ROC, precision-recall and reliability curves
    (for numbers, predictions against measurements), thresholds, the importance of
    columns, training curves, settings and versions. It is a single file that loads
    nothing. You can send it by email, read it in dark mode and print it.

    Parameters
    ----------
    estimator : an estimator of skmtl, or a Pipeline or meta-estimator around one
        The network. It is cloned and fitted for each split. With `cv="prefit"`, it must
        be fitted, and may also be a search.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels or numbers. NaN, None and pd.NA are missing labels.
    path : str or path-like, default=None
        Where to write the page. By default, it is not written; see `Report.save`.
    cv : int, splitter, iterable or "prefit", default=5
        A number of folds for `MultiTaskStratifiedKFold`, a splitter, or pairs of
        training and test rows. "prefit" means that the estimator is fitted and has not
        seen `X` and `y`. Then nothing is fitted, and models are not compared.
    models : list of str, default=None
        The models to compare, as in `skmtl.inspection.compare_models`. `["joint"]`
        compares nothing and is fastest.
    scoring : str, callable or dict, default=None
        The metric of the comparison, as in `skmtl.inspection.compare_models`.
    title : str, default=None
        The title of the page. By default, the name of the estimator and the number of
        tasks.
    feature_names : list of str, default=None
        Names for the columns of `X` if it has none, for example a sparse matrix.
    max_plots : int, default=24
        Number of tasks with plots. If there are more tasks, those with the lowest and
        highest scores get plots; the tables contain all tasks.
    max_columns : int, default=40
        Number of columns of `X` to shuffle for their importance. If there are more
        columns, text and categories come first, then the columns that correlate most
        with the predictions.
    n_jobs : int, default=None
        Number of fits to run in parallel.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, the models, the intervals and the shuffling.

    Returns
    -------
    report : Report
        The page, which notebooks display, and its numbers as tables.

    Raises
    ------
    ImportError
        If Jinja2 is not installed (`pip install "skmtl[report]"`).
    ValueError
        If `estimator` contains no estimator of skmtl, or is a search and `cv` is not
        "prefit".

    Warns
    -----
    UndefinedMetricWarning
        If the metric of the comparison is undefined for a task in some splits.

    See Also
    --------
    skmtl.inspection.compare_models : Only the comparison of models.
    skmtl.metrics.multitask_report : Only the scores.
    skmtl.inspection.label_report : Only the labels.

    Notes
    -----
    The network is fitted once for each split. Scores, curves, thresholds, importances
    and training curves all describe these fits, each on the rows that it has not seen.
    A row that several splits hold out counts several times.

    The intervals of scores are percentiles of 400 bootstrap draws of the held-out rows.
    For the score at a threshold, the threshold of each fold is chosen on the other
    folds. The importance of a column is the mean drop in score (ROC AUC or R2) if it is
    shuffled among the held-out rows of a fold. All tasks are scored on the same
    shuffled rows, of which there are at most 5,000.

    Examples
    --------
    Three tasks, with a third of the labels missing:

    >>> import numpy as np
    >>> import skmtl
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(90, 3))
    >>> Y = np.where(rng.random((90, 3)) < 1 / 3, np.nan, X > 0)
    >>> clf = skmtl.MultiTaskNetClassifier((16,), n_members=1, max_iter=10)
    >>> report = skmtl.report(clf, X, Y, cv=3, models=["joint"], random_state=0)
    >>> report.html[:15]
    '<!DOCTYPE html>'
    >>> report.scores[["n_tested"]].shape
    (3, 1)
    """
    _check_limit("max_plots", max_plots, 0)
    _check_limit("max_columns", max_columns, 1)
    environment = jinja_environment()  # fails before the fits, not after them
    if path is not None:
        check_destination(Path(path).resolve())
    check_not_in_blocks(X, "report")
    warn_of_row_order(X, y=y)
    X, y = indexable(X, y)
    names = column_names(X, feature_names)
    rng = check_random_state(random_state)
    comparison = None
    if isinstance(cv, str) and cv == "prefit":
        held_out = prefit(estimator, X, y)
    else:
        held_out, comparison = cross_validated(
            estimator, X, y, cv, models, scoring, n_jobs, rng
        )
    importances = permutation_importances(held_out, X, names, max_columns, rng)
    findings = _findings(held_out, y, comparison, importances, max_plots, rng)
    run = {"cv": cv, "scoring": scoring, "random_state": random_state}
    n_columns = None if names is None else len(names)
    page = _page(estimator, findings, n_columns, run, title)
    result = _as_report(findings, render(environment, page))
    if path is not None:
        result.save(path)
    return result


def _check_limit(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}; got {value!r}."
        )


def _findings(
    held_out: HeldOut,
    y: Any,
    comparison: ModelComparison | None,
    importances: Importances | None,
    max_plots: int,
    rng: np.random.RandomState,
) -> Findings:
    tasks = list(held_out.by_task())
    n_folds = max(2, len(held_out.folds))
    return Findings(
        held_out,
        tasks,
        label_report(y, task_types=held_out.tasks.types, n_splits=n_folds),
        table_of_scores(tasks, rng),
        table_of_thresholds([task for task in tasks if task.is_binary]),
        comparison,
        importances,
        max_plots,
    )


def _as_report(f: Findings, html: str) -> Report:
    importances = None
    if f.importances is not None:
        columns, drops = f.importances.columns, f.importances.drops
        importances = as_table(dict(zip(f.names, drops.T, strict=True)), columns)
    return Report(
        html,
        as_table(f.scores, f.names),
        f.comparison,
        as_table(f.thresholds, [task.name for task in f.binary]),
        importances,
        f.labels,
    )


def _page(
    estimator: Any,
    findings: Findings,
    n_columns: int | None,
    run: dict[str, Any],
    title: str | None,
) -> dict[str, Any]:
    f = findings
    n_tasks = len(f.tasks)
    own = type(estimator).__name__
    fitted = f.held_out.folds[0].estimator
    is_tuned = hasattr(fitted, "best_thresholds_")
    what = "one task" if n_tasks == 1 else f"{n_tasks} tasks"
    return {
        "title": title or f"{own}, {what}",
        "about": (
            f"{what.capitalize()}, {len(f.labels.observed):,} rows"
            + (f", {n_columns:,} columns" if n_columns else "")
        ),
        "figures": key_figures(f.labels, f.scores, f.is_number),
        "sentences": sentences(f.tasks, f.scores, f.comparison),
        "advice": advice(
            f.tasks,
            f.labels,
            f.scores,
            f.thresholds,
            f.comparison,
            is_tuned,
            calibrated_tasks(fitted),
        ),
        "held_out": _how_held_out(f),
        "labels": labels_section(f),
        "scores": scores_section(f),
        "comparison": comparison_section(f),
        "curves": curves_section(f),
        "thresholds": thresholds_section(f),
        "importance": importance_section(f),
        "training": training_section(f),
        "settings": settings_section(estimator, f, n_columns, run),
    }


def _how_held_out(f: Findings) -> str:
    if f.comparison is None:
        return (
            f"All scores are computed on {len(f.labels.observed):,} rows. With "
            'cv="prefit", the report assumes that the estimator has not seen them.'
        )
    n_folds, n_rows = len(f.held_out.folds), len(f.held_out.truth.codes)
    if n_folds == 1:
        return (
            f"All scores are computed on {n_rows:,} rows that were left out of the fit."
        )
    return (
        "All scores are computed on rows that the model has not seen: the network was "
        f"fitted {n_folds} times, and each fit was scored on the rows left out of it."
    )
