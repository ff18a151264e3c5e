"""multitask_report: a table of several metrics with one row per task."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    matthews_corrcoef,
    mean_absolute_error,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

from skmtl._messages import shorten, warn
from skmtl._predictions import entries_of, guess_task_types, named_task_types
from skmtl._tables import as_table
from skmtl._targets import (
    Column,
    TaskTypes,
    is_binary,
    plain_numbers,
    read_columns,
)
from skmtl.metrics._by_type import (
    Metrics,
    refuse_swapped,
    types_by_name,
    warn_undefined,
)
from skmtl.metrics._calibration_error import expected_calibration_error
from skmtl.metrics._metric import resolve_metric, score_task
from skmtl.metrics._task import Task
from skmtl.metrics._tasks import observed_tasks

# Probabilities of this many rows are hardly ever all 0 or 1.
_ROWS_TO_BE_LABELS = 10


def multitask_report(
    y_true: Any,
    y_pred: Any,
    *,
    classes: Any = None,
    sample_weight: Any = None,
    task_names: Any = None,
    task_types: Mapping[str, str] | None = None,
    thresholds: Any = None,
) -> Any:
    """Build a table of metrics with one row per task.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels or numbers. Missing labels are NaN, None or pd.NA.
    y_pred : array-like or list of array-like
        The output of `predict_proba` for classification tasks, and that of `predict`
        for numeric tasks. If there are both, pass a list with one entry per task:
        probabilities (n_samples, n_classes) or numbers (n_samples,).
    classes : list of array-like or dict, default=None
        The classes of each task, such as `classes_` of an estimator, or a dict with
        task names as keys. By default, they are the classes in `y_true`.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
            default=None
        Weight of each row, or of each label.
    task_names : array-like of shape (n_tasks,), default=None
        Names for the rows of the table; by default the column names of `y_true` if it
        is a DataFrame.
    task_types : dict, default=None
        Maps the name of each task to "class" or "number". By default, the type follows
        from `y_pred`: in a list, entries with one dimension are numbers and entries
        with two dimensions are probabilities. If `y_pred` is a table with one column
        per task, all tasks are numeric if a column of `y_true` has decimals or at least
        30 different whole numbers, or if a column has at least three, and `y_pred` has
        decimals and numbers outside of 0 to 1 (unless you pass `classes` or
        `thresholds`). Otherwise, all are classification tasks.
    thresholds : dict or array-like of shape (n_tasks,), default=None
        Decision thresholds of binary tasks, such as `best_thresholds_` of
        `MultiTaskTunedThresholdClassifierCV`: a dict with task names as keys, or one
        value per task. The second of the two sorted classes is predicted if its
        probability reaches the threshold. For tasks without a threshold (not in the
        dict, or NaN), the most probable class is predicted. Multi-class and numeric
        tasks cannot have a threshold.

    Returns
    -------
    report : DataFrame or dict of ndarray
        A table with one row per task; undefined values are NaN. Without pandas, a dict
        of the columns that prints as a table. The Notes describe the columns.

    Raises
    ------
    ValueError
        If shapes do not match, if a prediction is missing (NaN), if `y_pred` has labels
        instead of probabilities, or if a threshold is for a task that is not binary.

    Warns
    -----
    UserWarning
        If all probabilities are 0 or 1, like labels.
    UndefinedMetricWarning
        If a task has no observed label or labels of one class only, or if a numeric
        task has no two different values.

    See Also
    --------
    multitask_score : One metric, averaged over the tasks.
    expected_calibration_error : The metric in the column `ece`.
    skmtl.inspection.MultiTaskRocCurveDisplay : Plot the ROC curve of each task.
    skmtl.inspection.MultiTaskCalibrationDisplay : Plot the calibration of each task.

    Notes
    -----
    Classification tasks have these columns:

    - `n_labelled`, the number of observed labels, and `share_positive`, the fraction of
      positives in a binary task. The positive class is the second of the two sorted
      classes.
    - Computed from the probabilities: `roc_auc` and `average_precision` (for
      multi-class tasks, the mean over the classes, one against the rest), `log_loss`,
      `brier`, and `ece`, the expected calibration error.
    - Computed from the predicted classes: `accuracy`; `balanced_accuracy`, the mean
      recall of the observed classes; `f1`, which refers to the positive class of a
      binary task and is the mean over the classes of a multi-class task; and `mcc`, the
      Matthews correlation coefficient, for any number of classes. If only one class was
      observed, `balanced_accuracy` and `mcc` are undefined.

    Numeric tasks have the columns `n_labelled`, `mean` and `std` of the observed
    values, `r2`, `rmse` and `mae`. The last two are in the units of the task. If there
    are both types of tasks, there is a column `type` with "class" or "number", and the
    columns of the other type are NaN.

    In a notebook, the report is displayed as an HTML table, with or without pandas.
    With pandas, `report.round(2)` is easier to read.

    Examples
    --------
    The report has one row per task:

    >>> import numpy as np
    >>> from skmtl.metrics import multitask_report
    >>> y_true = np.array([[0, np.nan], [1, 1], [1, 0], [0, 1]])
    >>> p = np.array([[0.1, 0.9], [0.8, 0.7], [0.4, 0.8], [0.3, 0.9]])
    >>> report = multitask_report(y_true, p, task_names=["toxic", "soluble"])
    >>> report[["n_labelled", "share_positive", "roc_auc", "accuracy"]].round(2)
             n_labelled  share_positive  roc_auc  accuracy
    toxic             4            0.50      1.0      0.75
    soluble           3            0.67      0.5      0.67

    A threshold of 0.35 finds the second positive of the first task:

    >>> report = multitask_report(
    ...     y_true, p, task_names=["toxic", "soluble"], thresholds={"toxic": 0.35}
    ... )
    >>> report[["accuracy", "balanced_accuracy", "f1", "mcc"]].round(2)
             accuracy  balanced_accuracy   f1  mcc
    toxic        1.00                1.0  1.0  1.0
    soluble      0.67                0.5  0.8  0.0

    For numeric tasks, errors are in the units of each task:

    >>> y_true = np.array([[0.5, 300], [np.nan, 100], [1.5, 200], [2.5, np.nan]])
    >>> y_pred = np.array([[1.0, 290], [2.0, 110], [1.5, 220], [2.0, 250]])
    >>> multitask_report(y_true, y_pred, task_names=["logp", "mass"]).round(2)
          n_labelled   mean    std    r2   rmse    mae
    logp           3    1.5   0.82  0.75   0.41   0.33
    mass           3  200.0  81.65  0.97  14.14  13.33
    """
    types = types_by_name(task_types, y_true, task_names)
    if types is None:
        is_of_classes = classes is not None or thresholds is not None
        types = _types_of(y_true, y_pred, is_of_classes)
        if types == "number":
            refuse_swapped(y_true, y_pred)
    if types == "class":
        refuse_labels(y_pred)
    metrics = _metrics_that_may_be_undefined()
    tasks = observed_tasks(
        metrics,
        y_true,
        lambda _: y_pred,
        types=types,
        classes=classes,
        sample_weight=sample_weight,
        task_names=task_names,
    ).tasks
    columns = _columns(tasks, _thresholds_by_task(thresholds, tasks))
    undefined = {"class": "roc_auc", "number": "r2"}
    scores = [columns[undefined[task.type]][task.position] for task in tasks]
    warn_undefined(metrics, tasks, np.array(scores))
    return as_table(columns, [task.name for task in tasks])


def _metrics_that_may_be_undefined() -> Metrics:
    """The metric of each type that the warning names."""
    roc_auc = resolve_metric("roc_auc", {"multi_class": "ovr"})
    return Metrics({"class": roc_auc, "number": resolve_metric("r2", {})}, True)


def _types_of(y_true: Any, y_pred: Any, is_of_classes: bool) -> TaskTypes:
    """The types of the tasks, from the form of the predictions or from the labels."""
    columns, names, _ = read_columns(y_true)
    n_samples, n_tasks = len(columns[0].observed), len(columns)
    entries = entries_of(y_pred, n_samples, n_tasks)
    if entries is None and n_tasks == 1:
        entries = [y_pred] if np.ndim(y_pred) == 2 and np.shape(y_pred)[1] > 1 else None
    if entries is not None:
        return named_task_types(names, [np.ndim(entry) == 1 for entry in entries])
    if guess_task_types(y_true) != "class":
        return "number"
    is_number = not is_of_classes and _are_predicted_numbers(columns, y_pred)
    return "number" if is_number else "class"


def _are_predicted_numbers(columns: list[Column], y_pred: Any) -> bool:
    """Whether labels and predictions are numbers, not classes and probabilities.

    A task has more than two whole numbers, and one column of predictions, which has
    decimals and numbers that are not from 0 to 1.
    """
    labels = [plain_numbers(column) for column in columns]
    predicted = [plain_numbers(column) for column in read_columns(y_pred)[0]]
    has_several = any(n is not None and len(np.unique(n)) > 2 for n in labels)
    return (
        has_several
        and not any(numbers is None for numbers in (*labels, *predicted))
        and any(((n < 0) | (n > 1)).any() for n in predicted if n is not None)
        and any((n != np.floor(n)).any() for n in predicted if n is not None)
    )


def refuse_labels(y_pred: Any) -> None:
    is_list = isinstance(y_pred, list | tuple) and any(
        entry is None or np.ndim(entry) == 2 for entry in y_pred
    )
    if is_list and any(entry is None for entry in y_pred):
        raise ValueError(
            "y_pred must have an entry for each task of y_true, but some entries are "
            "None, which predict_proba returns for numeric tasks. Replace them with "
            "the numbers from predict."
        )
    if is_list:
        return
    table = np.asarray(y_pred)
    if table.dtype.kind in "biu":
        raise ValueError(
            "y_pred must be probabilities, but it contains whole numbers or booleans, "
            "like labels. Pass the output of predict_proba."
        )
    is_sure = table.dtype.kind == "f" and np.isin(table, (0, 1)).all()
    if is_sure and len(table) >= _ROWS_TO_BE_LABELS:
        warn(
            "y_pred must be probabilities, but all values are 0 or 1, like labels. "
            "They are used as probabilities. Pass the output of predict_proba."
        )


def _thresholds_by_task(thresholds: Any, tasks: list[Task]) -> NDArray:
    """(n_tasks,): NaN for tasks without a threshold."""
    if thresholds is None:
        return np.full(len(tasks), np.nan)
    names = [task.name for task in tasks]
    if isinstance(thresholds, Mapping):
        given = {str(name): threshold for name, threshold in thresholds.items()}
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(
                f"thresholds must only name the tasks {shorten(names)}; got also "
                f"{shorten(unknown)}. Correct the names, or pass task_names."
            )
        thresholds = [given.get(name, np.nan) for name in names]
    try:
        values = np.asarray(thresholds, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"thresholds must be numbers from 0 to 1; got {thresholds!r}. Pass for "
            "example best_thresholds_ of MultiTaskTunedThresholdClassifierCV."
        ) from error
    if ((values < 0) | (values > 1)).any():
        raise ValueError(
            f"thresholds must be numbers from 0 to 1; got {shorten(values.ravel())}. "
            "Pass probabilities."
        )
    if values.shape != (len(tasks),):
        raise ValueError(
            f"thresholds must be a dict or have one value for each of the {len(tasks)} "
            f"tasks; got shape {values.shape}. Use NaN for tasks without a threshold."
        )
    wrong = [
        task.name
        for task, value in zip(tasks, values, strict=True)
        if not np.isnan(value) and not is_binary(len(task.classes))
    ]
    if wrong:
        raise ValueError(
            f"thresholds must be for binary tasks; got one for {shorten(wrong)}. Leave "
            "these tasks out of the dict, or use NaN for them."
        )
    return values


def _columns(tasks: list[Task], thresholds: NDArray) -> dict[str, NDArray]:
    """The columns for both types, NaN for tasks of the other type."""
    of_classes = partial(_columns_of_classes, thresholds=thresholds)
    by_type: dict[str, tuple[Callable, list[Task]]] = {
        "class": (of_classes, [t for t in tasks if t.type == "class"]),
        "number": (_columns_of_numbers, [t for t in tasks if t.type == "number"]),
    }
    columns = {}
    if all(own for _, own in by_type.values()):
        columns["type"] = np.array([task.type for task in tasks], dtype=object)
    columns["n_labelled"] = np.array([len(task.y) for task in tasks])
    for columns_of, own in by_type.values():
        rows = [task.position for task in own]
        for name, values in columns_of(own).items() if own else ():
            columns[name] = np.full(len(tasks), np.nan)
            columns[name][rows] = values
    return columns


def _columns_of_classes(
    tasks: list[Task], thresholds: NDArray
) -> dict[str, list[float]]:
    """`thresholds` has one value per task, in the order of y_true."""
    columns = {"share_positive": [_share_positive(task) for task in tasks]}
    for name, function, kwargs in [
        ("roc_auc", roc_auc_score, {"multi_class": "ovr"}),
        ("average_precision", average_precision_score, {}),
        ("log_loss", log_loss, {}),
        ("brier", brier_score_loss, {}),
        ("ece", expected_calibration_error, {}),
    ]:
        columns[name] = _scores(function, kwargs, tasks)
    decided = [_decide(task, thresholds[task.position]) for task in tasks]
    columns["accuracy"] = _scores(accuracy_score, {}, decided)
    by_task = [_balanced_accuracy_f1_and_mcc(task) for task in decided]
    for i, name in enumerate(["balanced_accuracy", "f1", "mcc"]):
        columns[name] = [scores[i] for scores in by_task]
    return columns


def _decide(task: Task, threshold: float) -> Task:
    """Replace probabilities by predicted labels."""
    if np.isnan(threshold):
        return task.with_most_probable_labels()
    codes = (task.prediction >= threshold).astype(np.intp)
    return task._replace(prediction=task.classes[codes], form="labels")


def _balanced_accuracy_f1_and_mcc(task: Task) -> tuple[float, float, float]:
    """Compute the three metrics of predicted labels."""
    f1: dict[str, Any] = {"average": "macro", "zero_division": np.nan}
    if is_binary(len(task.classes)):
        f1 |= {"average": "binary", "pos_label": task.classes[1]}
    elif len(task.classes) < 2:
        return np.nan, np.nan, np.nan
    score_f1 = score_task(resolve_metric(f1_score, f1), task)
    if not task.varies:
        return np.nan, score_f1, np.nan
    # Like balanced_accuracy_score, without its warning about unobserved classes.
    recall = resolve_metric(
        recall_score, {"average": "macro", "labels": np.unique(task.y)}
    )
    mcc = resolve_metric(matthews_corrcoef, {})
    return score_task(recall, task), score_f1, score_task(mcc, task)


def _columns_of_numbers(tasks: list[Task]) -> dict[str, list[float]]:
    mean, std = zip(*map(_mean_and_std, tasks), strict=True)
    columns = {"mean": list(mean), "std": list(std)}
    for name, function in [
        ("r2", r2_score),
        ("rmse", root_mean_squared_error),
        ("mae", mean_absolute_error),
    ]:
        columns[name] = _scores(function, {}, tasks)
    return columns


def _scores(
    function: Callable, kwargs: dict[str, Any], tasks: list[Task]
) -> list[float]:
    metric = resolve_metric(function, kwargs)
    return [score_task(metric, task) for task in tasks]


def _share_positive(task: Task) -> float:
    if not is_binary(len(task.classes)) or len(task.y) == 0:
        return np.nan
    return float(np.average(task.y == task.classes[1], weights=task.weight))


def _mean_and_std(task: Task) -> tuple[float, float]:
    if len(task.y) == 0:
        return np.nan, np.nan
    mean = np.average(task.y, weights=task.weight)
    variance = np.average((task.y - mean) ** 2, weights=task.weight)
    return float(mean), float(np.sqrt(variance))
