"""multitask_score: predictions against labels with holes."""

from collections.abc import Callable
from typing import Any, Literal

from numpy.typing import NDArray

from skmtl.metrics._metric import (
    average_scores,
    check_average,
    resolve_metric,
    score_each,
    score_pooled,
    warn_undefined,
)
from skmtl.metrics._tasks import observed_tasks


def multitask_score(
    metric: str | Callable,
    y_true: Any,
    y_pred: Any,
    *,
    average: Literal["macro", "micro", "weighted"] | None = "macro",
    classes: Any = None,
    sample_weight: Any = None,
    task_names: Any = None,
    **kwargs: Any,
) -> float | NDArray:
    """Score predictions of several tasks on the labels that were observed.

    Parameters
    ----------
    metric : str or callable
        A scorer's name, such as "roc_auc" or "neg_log_loss" (see
        `sklearn.metrics.get_scorer_names`), or a metric function
        `metric(y_true, y_pred)`. A name has the scorer's sign (greater is better), a
        function its own.
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels, with NaN, None or pd.NA where missing.
    y_pred : array-like or list of array-like
        What the metric wants, in the form that estimators give: labels (n_samples,
        n_tasks); probabilities or decision values (n_samples, n_tasks) of the greater
        class of binary tasks; or a list with an array (n_samples, n_classes) per task.
        For 1-D `y_true`: (n_samples,) or (n_samples, n_classes).
    average : {"macro", "micro", "weighted"} or None, default="macro"
        "macro" is the mean over the tasks, "weighted" weighs them by their number of
        observed labels (or the sum of their weights), "micro" pools the labels of all
        tasks, which must be binary. None gives one number per task.
    classes : list of array-like or dict, default=None
        The sorted classes of each task that the columns of `y_pred` stand for, as
        `classes_` of an estimator, or by the names of the tasks. Without it they are
        the classes in `y_true`.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
            default=None
        Weight of each row, or of each label.
    task_names : array-like of shape (n_tasks,), default=None
        Names for messages; by default the columns of `y_true` if it is a DataFrame.
    **kwargs : object
        Passed on to the metric.

    Returns
    -------
    score : float or ndarray of shape (n_tasks,)
        The average, or with `average=None` one number per task, NaN where the metric
        is undefined.

    Raises
    ------
    ValueError
        If a prediction is missing (NaN), if shapes do not fit, or if a multi-class task
        is to be pooled.

    Warns
    -----
    UndefinedMetricWarning
        If the metric is undefined for a task: no observed label, a ranking metric and
        labels of one class, probabilities of a task with one known class, or a metric
        of the positive class where it may not be the one that is known. Such tasks are
        left out of the average.

    See Also
    --------
    multitask_scorer : The same for an estimator, as `scoring=` takes it.
    multitask_report : Several metrics at once.

    Notes
    -----
    Where a metric of scikit-learn takes `labels` or `pos_label` and none is given, it
    gets the task's classes and, for probabilities, the greater class, so that strings
    work, and so does a part of the data that lacks a class. Without `classes`, a class
    that nobody observed is not known, except where all labels of a 2-D `y_true` are 0
    or 1, and that 1 is the positive one of labels that are 0 or -1: the F score and its
    like are undefined where one class of text was observed. A class without any
    observed row is left out of the mean over classes of a multi-class ROC AUC ("ovr")
    or average precision.

    Examples
    --------
    The second task was measured in three rows only:

    >>> import numpy as np
    >>> from skmtl.metrics import multitask_score
    >>> y_true = np.array([[0, np.nan], [1, 1], [1, 0], [0, 1]])
    >>> p = np.array([[0.1, 0.9], [0.8, 0.7], [0.4, 0.8], [0.3, 0.9]])
    >>> multitask_score("roc_auc", y_true, p, average=None)
    array([1. , 0.5])
    >>> multitask_score("roc_auc", y_true, p)
    0.75
    """
    check_average(average, "macro", "micro", "weighted", None)
    resolved = resolve_metric(metric, kwargs)
    tasks = observed_tasks(
        y_true,
        y_pred,
        takes_scores=resolved.takes_scores(y_pred),
        classes=classes,
        sample_weight=sample_weight,
        task_names=task_names,
    )
    if average == "micro":
        return score_pooled(resolved, tasks)
    scores = score_each(resolved, tasks)
    warn_undefined(resolved.name, tasks, scores)
    return scores if average is None else average_scores(scores, tasks, average)
