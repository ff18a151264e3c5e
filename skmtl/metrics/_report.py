"""multitask_report: several metrics of probabilities as a table."""

from typing import Any

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from skmtl._predictions import is_list_of_tables
from skmtl._tables import as_table
from skmtl.metrics._metric import resolve_metric, score_each, warn_undefined
from skmtl.metrics._tasks import Task, observed_tasks


def multitask_report(
    y_true: Any,
    y_pred_proba: Any,
    *,
    classes: Any = None,
    sample_weight: Any = None,
    task_names: Any = None,
) -> Any:
    """Tabulate how good probabilities are, task by task.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels, with NaN, None or pd.NA where missing.
    y_pred_proba : array-like or list of array-like
        Probabilities, as `predict_proba` gives them.
    classes : list of array-like or dict, default=None
        The classes of each task, as `classes_` of an estimator, or by the names of the
        tasks. Without it they are the classes in `y_true`.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
            default=None
        Weight of each row, or of each label.
    task_names : array-like of shape (n_tasks,), default=None
        Names of the rows; by default the columns of `y_true` if it is a DataFrame.

    Returns
    -------
    report : DataFrame or dict of ndarray
        A row per task and a column for each of: `n_labelled`; `share_positive`, of the
        greater class of binary tasks; `roc_auc` and `average_precision` (means over the
        classes, one against the rest, of multi-class tasks); `log_loss`; `brier`;
        `accuracy`. NaN where undefined. Without pandas, a dict of the columns that
        prints as the table.

    Raises
    ------
    ValueError
        If shapes do not fit, if a prediction is missing (NaN), or if they are labels.

    Warns
    -----
    UndefinedMetricWarning
        If a task has no observed label, or labels of one class.

    See Also
    --------
    multitask_score : One metric, averaged.

    Examples
    --------
    A row per task:

    >>> import numpy as np
    >>> from skmtl.metrics import multitask_report
    >>> y_true = np.array([[0, np.nan], [1, 1], [1, 0], [0, 1]])
    >>> p = np.array([[0.1, 0.9], [0.8, 0.7], [0.4, 0.8], [0.3, 0.9]])
    >>> report = multitask_report(y_true, p, task_names=["toxic", "soluble"])
    >>> report[["n_labelled", "share_positive", "roc_auc", "accuracy"]].round(2)
             n_labelled  share_positive  roc_auc  accuracy
    toxic             4            0.50      1.0      0.75
    soluble           3            0.67      0.5      0.67
    """
    if not is_list_of_tables(y_pred_proba):
        kind = np.asarray(y_pred_proba).dtype.kind
        if kind in "biu":
            raise ValueError(
                "y_pred_proba must be probabilities, but holds whole numbers or "
                "booleans, as labels are. Pass what predict_proba gives."
            )
    tasks = observed_tasks(
        y_true,
        y_pred_proba,
        takes_scores=True,
        classes=classes,
        sample_weight=sample_weight,
        task_names=task_names,
    )
    columns = {
        "n_labelled": np.array([len(task.y) for task in tasks]),
        "share_positive": np.array([_share_positive(task) for task in tasks]),
    }
    for name, metric, kwargs in [
        ("roc_auc", roc_auc_score, {"multi_class": "ovr"}),
        ("average_precision", average_precision_score, {}),
        ("log_loss", log_loss, {}),
        ("brier", brier_score_loss, {}),
    ]:
        columns[name] = score_each(resolve_metric(metric, kwargs), tasks)
    columns["accuracy"] = score_each(
        resolve_metric(accuracy_score, {}),
        [task.with_most_probable_labels() for task in tasks],
    )
    warn_undefined("roc_auc", tasks, columns["roc_auc"])
    return as_table(columns, [task.name for task in tasks])


def _share_positive(task: Task) -> float:
    if len(task.classes) != 2 or len(task.y) == 0:
        return np.nan
    return float(np.average(task.y == task.classes[1], weights=task.weight))
