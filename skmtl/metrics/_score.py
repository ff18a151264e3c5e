"""multitask_score: score predictions if some labels are missing."""

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
    """Score the predictions of several tasks on the observed labels.

    Parameters
    ----------
    metric : str, callable or dict
        The name of a scorer, such as "roc_auc" or "r2" (see
        `sklearn.metrics.get_scorer_names`), or a metric function
        `metric(y_true, y_pred)`. With a name, the result has the sign of the scorer
        (greater is better); with a function, it has the sign of the function. If there
        are both classification and numeric tasks, pass a dict with a metric for each
        type, such as `{"class": "roc_auc_ovr", "number": "r2"}`. With only one key,
        tasks of the other type are left out.
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels or numbers. Missing labels are NaN, None or pd.NA.
    y_pred : array-like or list of array-like
        The predictions that the metric needs, in the form that estimators return:

        - Labels or numbers of shape (n_samples, n_tasks).
        - Probabilities or decision values of shape (n_samples, n_tasks), for the second
          of the two sorted classes of each binary task.
        - A list with one array per task, of shape (n_samples, n_classes) for classes
          and (n_samples,) for numbers.
        - For 1-D `y_true`, an array of shape (n_samples,) or (n_samples, n_classes).
    average : {"macro", "micro", "weighted"} or None, default="macro"
        The average over the tasks:

        - "macro" is the mean over the tasks.
        - "weighted" weights each task by its number of observed labels (or the sum of
          their weights).
        - "micro" pools the labels of all tasks, which must be binary.
        - None returns one number per task.
    classes : list of array-like or dict, default=None
        The sorted classes of each task, in the order of the columns of `y_pred`. Pass
        `classes_` of an estimator (None for numeric tasks), or a dict with task names
        as keys. By default, they are the classes in `y_true`.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
            default=None
        Weight of each row, or of each label.
    task_names : array-like of shape (n_tasks,), default=None
        Names for messages; by default the column names of `y_true` if it is a
        DataFrame.
    task_types : dict, default=None
        Maps the name of each task to "class" or "number", if `metric` is a dict. By
        default, text, booleans, categories and columns of 0 and 1 are classes, and
        numbers with decimals are numeric; other whole numbers raise an error.
    **kwargs : object
        Passed on to the metric.

    Returns
    -------
    score : float or ndarray of shape (n_tasks,)
        The average, or with `average=None` one number per task. It is NaN for a task
        whose metric is undefined, and for a task that is left out because `metric` has
        only one key.

    Raises
    ------
    ValueError
        If a prediction is missing (NaN), if shapes do not match, if a classification
        metric gets numbers with decimals or a regression metric gets text, or if
        `average="micro"` meets a numeric or multi-class task.

    Warns
    -----
    UndefinedMetricWarning
        If the metric is undefined for a task; the average leaves such tasks out. A
        metric is undefined if the task has no observed label. A ranking metric is
        undefined if only one class was observed, a metric of probabilities if only one
        class is known, and a metric of the positive class if only one class is known
        and it may be the negative one. R2, explained variance and D2 need at least two
        different values; scikit-learn's functions return 1 or 0 if all are equal.
    UserWarning
        If the metric is one of probabilities and `y_true` has labels that are not in
        `classes`. These labels have probability 0.

    See Also
    --------
    multitask_scorer : The same for an estimator, to pass as `scoring`.
    multitask_report : Several metrics at once.

    Notes
    -----
    scikit-learn's regression metrics get `y_true` as numbers and its other metrics get
    it as classes. Any other function gets numbers if `y_true` has numbers with
    decimals.

    If a scikit-learn metric has the parameters `labels` or `pos_label` and you do not
    pass them, it gets the classes of the task and, for probabilities, the second of the
    two sorted classes. So the metric also works with string labels, and with a part of
    the data that lacks a class.

    Without `classes`, only the observed classes are known. There are two exceptions. If
    all labels of a 2-D `y_true` are 0 or 1, both classes are known. If the labels of a
    task are all 0 or all -1, its positive class is 1. But if only one class of a task
    with text labels was observed, the F1 score and similar metrics are undefined. A
    multi-class ROC AUC ("ovr") or average precision is a mean over the classes that
    have an observed row.

    Examples
    --------
    The second task has observed labels in three rows only:

    >>> import numpy as np
    >>> from skmtl.metrics import multitask_score
    >>> y_true = np.array([[0, np.nan], [1, 1], [1, 0], [0, 1]])
    >>> p = np.array([[0.1, 0.9], [0.8, 0.7], [0.4, 0.8], [0.3, 0.9]])
    >>> multitask_score("roc_auc", y_true, p, average=None)
    array([1. , 0.5])
    >>> multitask_score("roc_auc", y_true, p)
    0.75

    A classification task and a numeric task, with a metric for each:

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
