"""multitask_score: predictions against labels of which some are missing."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from numpy.typing import NDArray

from skmtl.metrics._average import average_scores, check_average, score_pooled
from skmtl.metrics._by_type import (
    resolve_metrics,
    score_each,
    types_by_name,
    warn_undefined,
)
from skmtl.metrics._tasks import observed_tasks


def multitask_score(
    metric: str | Callable | Mapping[str, Any],
    y_true: Any,
    y_pred: Any,
    *,
    average: Literal["macro", "micro", "weighted"] | None = "macro",
    classes: Any = None,
    sample_weight: Any = None,
    task_names: Any = None,
    task_types: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> float | NDArray:
    """Score predictions of several tasks on the labels that were observed.

    Parameters
    ----------
    metric : str, callable or dict
        A scorer's name, such as "roc_auc" or "r2" (see
        `sklearn.metrics.get_scorer_names`), or a metric function
        `metric(y_true, y_pred)`. A name has the scorer's sign (greater is better), a
        function its own. For classes and numbers side by side, a dict with a metric for
        each, such as `{"class": "roc_auc_ovr", "number": "r2"}`; with one key only,
        tasks of the other type are left out.
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels or numbers, with NaN, None or pd.NA where missing.
    y_pred : array-like or list of array-like
        What the metric wants, in the form that estimators give: labels or numbers
        (n_samples, n_tasks); probabilities or decision values (n_samples, n_tasks) of
        the greater class of binary tasks; or a list with an array per task, (n_samples,
        n_classes) for classes and (n_samples,) for numbers. For 1-D `y_true`:
        (n_samples,) or (n_samples, n_classes).
    average : {"macro", "micro", "weighted"} or None, default="macro"
        "macro" is the mean over the tasks, "weighted" weighs them by their number of
        observed labels (or the sum of their weights), "micro" pools the labels of all
        tasks, which must be binary. None gives one number per task.
    classes : list of array-like or dict, default=None
        The sorted classes of each task that the columns of `y_pred` stand for, as
        `classes_` of an estimator (None for numbers), or by the names of the tasks.
        Without it they are the classes in `y_true`.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
            default=None
        Weight of each row, or of each label.
    task_names : array-like of shape (n_tasks,), default=None
        Names for messages; by default the columns of `y_true` if it is a DataFrame.
    task_types : dict, default=None
        Maps the name of each task to "class" or "number", if `metric` is a dict.
        Without it, text, booleans, categories and columns of 0 and 1 are classes, and
        numbers with decimals are numbers; other whole numbers are an error.
    **kwargs : object
        Passed on to the metric.

    Returns
    -------
    score : float or ndarray of shape (n_tasks,)
        The average, or with `average=None` one number per task, NaN where the metric
        is undefined or, with one key in `metric`, the task is left out.

    Raises
    ------
    ValueError
        If a prediction is missing (NaN), if shapes do not fit, if a metric of classes
        gets numbers with decimals or one of numbers gets text, or if numbers or a
        multi-class task are to be pooled.

    Warns
    -----
    UndefinedMetricWarning
        If the metric is undefined for a task: no observed label, a ranking metric and
        labels of one class, probabilities of a task with one known class, a metric of
        the positive class where it may not be the one that is known, or R2, explained
        variance or D2 of fewer than two values. Such tasks are left out of the average.
    UserWarning
        If a log loss meets labels that are not among `classes`: their probability is 0.

    See Also
    --------
    multitask_scorer : The same for an estimator, as `scoring=` takes it.
    multitask_report : Several metrics at once.

    Notes
    -----
    Regression metrics of scikit-learn read `y_true` as numbers and its other metrics
    read it as classes. A function that scikit-learn does not know gets numbers if
    `y_true` has numbers with decimals.

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

    A class and a number, with a metric for each:

    >>> y_true = np.array([[0, 1.5], [1, np.nan], [1, 2.5], [np.nan, 0.5]])
    >>> y_pred = [np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]]),
    ...           np.array([1.0, 0.0, 2.5, 0.5])]
    >>> metric = {"class": "roc_auc", "number": "r2"}
    >>> multitask_score(metric, y_true, y_pred, average=None)
    array([1.   , 0.875])
    """
    metrics = resolve_metrics(metric, kwargs)
    check_average(average, metrics, "macro", "micro", "weighted", None)
    observed = observed_tasks(
        metrics,
        y_true,
        lambda _: y_pred,
        types=types_by_name(task_types, y_true, task_names),
        classes=classes,
        sample_weight=sample_weight,
        task_names=task_names,
    )
    tasks = observed.tasks
    if average == "micro":
        return score_pooled(metrics, tasks)
    scores = score_each(metrics, tasks)
    warn_undefined(metrics, tasks, scores)
    if average is None:
        return observed.in_place(scores)
    return average_scores(scores, tasks, average)
