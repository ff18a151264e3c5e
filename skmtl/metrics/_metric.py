"""A scikit-learn metric function and its value for one task."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    d2_absolute_error_score,
    d2_pinball_score,
    d2_tweedie_score,
    explained_variance_score,
    get_scorer,
    get_scorer_names,
    r2_score,
    roc_auc_score,
)
from sklearn.metrics._scorer import _BaseScorer

from skmtl._predictions import is_list_of_tables
from skmtl.metrics._calibration_error import expected_calibration_error
from skmtl.metrics._task import Task

TaskType = Literal["class", "number"]

# Ranking metrics are undefined if only one class was observed. For that case,
# scikit-learn returns NaN for the first and 0 or 1 for the second.
_NEEDS_TWO_CLASSES = (roc_auc_score, average_precision_score)
# These compare with the best constant, which has no error if all values are equal. For
# that case, scikit-learn returns 1 or 0, which would count in a mean over the tasks.
_NEEDS_TWO_VALUES = (
    d2_absolute_error_score,
    d2_pinball_score,
    d2_tweedie_score,
    explained_variance_score,
    r2_score,
)

# Ratios of squares, which do not depend on the unit.
_OF_SQUARES = (explained_variance_score, r2_score)


@dataclass(frozen=True)
class Metric:
    """A scikit-learn metric function and how its scorer calls it."""

    name: str
    function: Callable
    sign: int
    kwargs: dict[str, Any]
    response: tuple[str, ...] | None  # methods; None if scikit-learn has no scorer

    @property
    def task_type(self) -> TaskType | None:
        """The type of task it is for; None for a function from elsewhere."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        if _module_of(function) == "sklearn.metrics._regression":
            return "number"
        return "class" if _is_stock(function) else None

    @property
    def is_of_two_classes(self) -> bool:
        """Whether tasks with more classes are an error."""
        if self.function is roc_auc_score:
            return self.kwargs.get("multi_class", "raise") == "raise"
        return _average_of(self) == "binary"

    def takes_scores(self, y_pred: Any) -> bool:
        """Whether it needs probabilities or decision values."""
        if self.response is not None:
            return self.response != ("predict",)
        if is_list_of_tables(y_pred):
            return True
        values = np.asarray(y_pred)
        return values.dtype.kind == "f" and bool((values != np.floor(values)).any())


def as_tuple(response_method: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(response_method, str):
        return (response_method,)
    return tuple(response_method)


@functools.cache
def _known_functions() -> dict[Callable, tuple[int, tuple[str, ...]]]:
    """Sign and response methods of the metric functions that have a scorer."""
    scorers = [get_scorer(name) for name in get_scorer_names()]
    # If a function has several scorers, the one without arguments is used.
    scorers.sort(key=lambda scorer: len(scorer._kwargs), reverse=True)
    own = {expected_calibration_error: (-1, ("predict_proba",))}
    return own | {
        s._score_func: (s._sign, as_tuple(s._response_method)) for s in scorers
    }


def sign_of(metric: Metric) -> int:
    """1 for a score and -1 for a loss, according to its scorer or else its name."""
    if metric.function in _known_functions():
        return _known_functions()[metric.function][0]
    return -1 if metric.name.endswith(("_loss", "_error", "_deviance")) else 1


def resolve_metric(metric: str | Callable, kwargs: dict[str, Any]) -> Metric:
    """Find out how to call a metric; a partial is its function with arguments."""
    if isinstance(metric, functools.partial) and not metric.args:
        return resolve_metric(metric.func, metric.keywords | kwargs)
    if hasattr(metric, "score_tasks"):
        raise TypeError(
            f"metric must be a metric of one task; got {metric!r}. Pass the name or "
            "the function of its metric."
        )
    if isinstance(metric, str | _BaseScorer):
        scorer = get_scorer(metric)
        function = scorer._score_func
        name = metric if isinstance(metric, str) else _name_of(function)
        return Metric(
            name,
            function,
            scorer._sign,
            scorer._kwargs | kwargs,
            as_tuple(scorer._response_method),
        )
    if not callable(metric):
        raise TypeError(
            "metric must be the name of a scikit-learn scorer, a scorer, or a function "
            f"of y_true and y_pred; got {type(metric).__name__}. Pass it as the first "
            "argument."
        )
    _, response = _known_functions().get(metric, (1, None))
    return Metric(_name_of(metric), metric, 1, kwargs, response)


def _name_of(function: Callable) -> str:
    return getattr(function, "__name__", repr(function))


def _module_of(function: Callable) -> str:
    return getattr(function, "__module__", None) or ""


def _is_stock(function: Callable) -> bool:
    """Whether the function is from scikit-learn or skmtl."""
    return _module_of(function).startswith(("sklearn.", "skmtl."))


def score_task(metric: Metric, task: Task) -> float:
    """The metric of one task, NaN if it is undefined."""
    if task.type == "number":
        return _score_numbers(metric, task)
    return _score_classes(metric, task)


def _score_numbers(metric: Metric, task: Task) -> float:
    is_relative = metric.function in _NEEDS_TWO_VALUES
    if len(task.y) == 0 or (is_relative and not task.varies):
        return np.nan
    y, prediction = task.y, task.prediction
    if metric.function in _OF_SQUARES:
        # Their squares may be out of range; scaling by a power of two is exact.
        _, exponent = np.frexp(np.abs(y).max())
        y, prediction = np.ldexp(y, -exponent), np.ldexp(prediction, -exponent)
    return _call(metric, task, y, prediction, metric.kwargs)


def _score_classes(metric: Metric, task: Task) -> float:
    is_ranking = metric.function in _NEEDS_TWO_CLASSES
    if len(task.y) == 0 or (is_ranking and not task.varies):
        return np.nan
    if not task.is_labels and len(task.classes) < 2:
        return np.nan  # a constant task, or one whose second class is unknown
    y, prediction = task.y, task.prediction
    added = _labels_for(metric, task)
    if task.is_labels and len(task.classes) < 2 and "pos_label" in added:
        return np.nan  # the only observed class may be the negative one
    kwargs = metric.kwargs | added
    if is_ranking and prediction.ndim == 2 and kwargs.get("multi_class") != "ovo":
        present = np.isin(task.classes, y)
        if not present.all():
            # One against the rest, for the observed classes.
            y, prediction = y[:, None] == task.classes[present], prediction[:, present]
    return _call(metric, task, y, prediction, kwargs)


def _call(
    metric: Metric, task: Task, y: NDArray, prediction: NDArray, kwargs: dict[str, Any]
) -> float:
    """Call the metric function; add the name of the task to its errors."""
    if task.weight is not None:
        kwargs = kwargs | {"sample_weight": task.weight}
    try:
        _check_multi_class(metric, task)
        score = metric.function(y, prediction, **kwargs)
        if score is None or np.ndim(score) > 0:
            raise TypeError(
                f"{metric.name} must return a single number; got "
                f"{type(score).__name__}. Pass another metric, or one with an average."
            )
        return metric.sign * float(score)
    except (ValueError, TypeError) as error:
        error.add_note(f"Raised by {metric.name} for task {task.name!r}.")
        raise


def _check_multi_class(metric: Metric, task: Task) -> None:
    """Raise for several classes, even if only two of them occur in the data."""
    is_auc = metric.function is roc_auc_score
    if is_auc and metric.is_of_two_classes and task.prediction.ndim == 2:
        raise ValueError(
            "For more than two classes, roc_auc needs a way to average over them, but "
            f"the task has {len(task.classes)} classes. Use 'roc_auc_ovr' or "
            "'roc_auc_ovo', or pass multi_class."
        )


def _labels_for(metric: Metric, task: Task) -> dict[str, Any]:
    """`labels` and `pos_label`, if a stock metric has them and the user did not."""
    takes = set(_parameters_of_stock(metric.function)) - set(metric.kwargs)
    added: dict[str, Any] = {}
    if not task.is_labels and "labels" in takes:
        added["labels"] = task.classes
    # With predicted labels, an average over the classes needs no pos_label.
    averages = task.is_labels and _average_of(metric) not in (None, "binary")
    if len(task.classes) <= 2 and "pos_label" in takes and not averages:
        added["pos_label"] = positive_label(task)
    return added


def _average_of(metric: Metric) -> str | None:
    """How the metric averages several classes; None if it does not."""
    return metric.kwargs.get(
        "average", _parameters_of_stock(metric.function).get("average")
    )


def positive_label(task: Task) -> Any:
    """The positive label, which scikit-learn calls `pos_label`."""
    # Probabilities belong to the second class. For predicted labels, 1 is positive, as
    # in scikit-learn; if there is no label 1, the second class is.
    if task.is_labels and 1 in task.classes.tolist():
        return task.classes[task.classes == 1][0]
    return task.classes[-1]


@functools.cache
def _parameters_of_stock(function: Callable) -> dict[str, Any]:
    """The parameters of a stock function and their defaults; empty for others."""
    if not _is_stock(function):
        return {}
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}
