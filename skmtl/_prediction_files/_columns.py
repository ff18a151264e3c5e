"""The columns of a table of predictions."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skmtl._predictions import fitted_network, fitted_tasks, probabilities_by_task
from skmtl._targets import Tasks, is_binary

METHODS = ("all", "predict", "predict_proba")


def prediction_columns(
    estimator: Any, X: Any, method: str = "all"
) -> list[tuple[str, Any]]:
    """Return the columns of each task: the label, probabilities or deviations."""
    tasks = fitted_tasks(estimator)
    assert tasks is not None
    labels = deviations = None
    if method != "predict_proba":
        labels, deviations = _labels_and_deviations(estimator, X, method)
    by_task: list[Any] = [None] * tasks.n_tasks
    if method != "predict" and not tasks.are_numbers.all():
        probabilities = estimator.predict_proba(X)
        by_task = probabilities_by_task(probabilities, estimator.classes_, tasks)
    columns: list[tuple[str, Any]] = []
    for t, name in enumerate(tasks.names.tolist()):
        if labels is not None:
            columns.append((name, pa.array(labels[:, t].tolist())))
        if deviations is not None and tasks.are_numbers[t]:
            columns.append((f"std({name})", pa.array(deviations[:, t])))
        if by_task[t] is not None:
            columns += _probability_columns(by_task[t], t, tasks)
    return columns


def _probability_columns(
    probabilities: NDArray, t: int, tasks: Tasks
) -> list[tuple[str, Any]]:
    classes = tasks.classes[t].tolist()
    shown = classes[1:] if is_binary(len(classes)) else classes
    columns: list[tuple[str, Any]] = []
    for label in shown:
        of_label = np.ascontiguousarray(probabilities[:, classes.index(label)])
        name = f"P({tasks.names[t]}={as_written(label)})"
        columns.append((name, pa.array(of_label)))
    return columns


def as_written(label: Any) -> str:
    """Return a label as it is written in a CSV."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _labels_and_deviations(
    estimator: Any, X: Any, method: str
) -> tuple[NDArray, NDArray | None]:
    """Return labels and, if there are any, deviations, both (n_samples, n_tasks)."""
    network = fitted_network(estimator)
    deviations = None
    is_gaussian = getattr(network, "loss", None) == "gaussian"
    has_deviations = network is estimator and is_gaussian and not network.transformer
    if method == "all" and has_deviations:
        labels, deviations = estimator.predict(X, return_std=True)
        deviations = deviations.reshape(len(labels), -1)
    else:
        labels = estimator.predict(X)
    return labels.reshape(len(labels), -1), deviations


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that occur several times."""
    return [name for name, n in Counter(names).items() if n > 1]


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace dictionary codes by values: each block may have its own dictionary."""
    is_coded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_coded else column
