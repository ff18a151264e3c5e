"""Average the scores of several tasks."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._messages import shorten
from skmtl._targets import is_binary
from skmtl.metrics._by_type import Metrics, warn_undefined
from skmtl.metrics._metric import Metric, positive_label, score_task
from skmtl.metrics._task import Task


def check_average(average: Any, metrics: Metrics, *allowed: Any) -> None:
    """Raise for unknown names, and for pooling numbers."""
    if average not in allowed:
        raise ValueError(
            f"average must be one of {list(allowed)}; got {average!r}. Pass one of "
            "these values."
        )
    if average == "micro" and metrics.takes_numbers:
        raise _cannot_pool_numbers(metrics.name)


def average_scores(scores: NDArray, tasks: list[Task], average: str) -> float:
    """Mean over the tasks for which the metric is defined."""
    defined = ~np.isnan(scores)
    if not defined.any():
        return np.nan
    sizes = np.array([task.size for task in tasks])[defined]
    return float(
        np.average(scores[defined], weights=sizes if average == "weighted" else None)
    )


def score_pooled(metrics: Metrics, tasks: list[Task]) -> float:
    """The metric of all tasks pooled into one, with the classes 0 and 1."""
    if any(task.type == "number" for task in tasks):
        raise _cannot_pool_numbers(metrics.name)
    metric = metrics.by_type["class"]
    pooled = _pool(metric, tasks)
    recoded = ("pos_label", "labels")
    kwargs = {k: v for k, v in metric.kwargs.items() if k not in recoded}
    score = score_task(replace(metric, kwargs=kwargs), pooled)
    warn_undefined(metrics, [pooled], np.array([score]))
    return score


def _cannot_pool_numbers(name: str) -> ValueError:
    return ValueError(
        "average='micro' pools the labels of all tasks, so all tasks must be binary, "
        f"but {name} is computed from numbers, whose units may differ. Use "
        "average='macro' or 'weighted'."
    )


def _pool(metric: Metric, tasks: list[Task]) -> Task:
    others = [task.name for task in tasks if not is_binary(len(task.classes))]
    if others:
        raise ValueError(
            "average='micro' pools the labels of all tasks, so each must have two "
            f"classes, but {shorten(others)} have another number. Use average='macro' "
            "or 'weighted'. If a class has no observed label, pass `classes`."
        )

    def is_positive(task: Task, labels: NDArray) -> NDArray:
        positive = metric.kwargs.get("pos_label")
        positive = positive_label(task) if positive is None else positive
        return (labels == positive).astype(int)

    predictions = [
        is_positive(task, task.prediction) if task.is_labels else task.prediction
        for task in tasks
    ]
    weights = [task.weight for task in tasks if task.weight is not None]
    return Task(
        "all tasks pooled",
        0,
        np.concatenate([is_positive(task, task.y) for task in tasks]),
        np.concatenate(predictions),
        tasks[0].form,
        np.array([0, 1]),
        np.concatenate(weights) if weights else None,
    )
