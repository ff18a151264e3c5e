"""Export a fitted estimator as an ONNX model, with its inputs and outputs."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmtl._estimators import (
    MultiTaskNet,
    MultiTaskNetClassifier,
    MultiTaskNetRegressor,
)
from skmtl._onnx._calibrators import aligned, calibrated, mean_of_tables, uniform
from skmtl._onnx._graph import Graph
from skmtl._onnx._inputs import Rows, column_names, inputs_of_networks, inputs_of_table
from skmtl._onnx._pipelines import active_steps, rows_after_steps
from skmtl._onnx._predictions import Prediction, predictions_of
from skmtl._predictions import fitted_network
from skmtl._targets import Classes, Tasks
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.model_selection import MultiTaskTunedThresholdClassifierCV

_NETWORKS = (MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor)


def model_of(estimator: Any, X: Any, version: str) -> Any:
    """Return the ONNX model of a fitted estimator."""
    graph = Graph()
    readers = _readers(estimator)
    rows = _inputs(graph, readers, X)
    exported = _export(graph, estimator, rows)
    tasks = exported.tasks
    for name, target, prediction in zip(
        tasks.names, tasks.targets, exported.predictions, strict=True
    ):
        if isinstance(target, Classes):
            threshold = exported.thresholds.get(name)
            _give_classes(graph, name, target.labels, prediction, threshold)
        else:
            _give_numbers(graph, name, prediction)
    known = getattr(readers[0], "feature_names_in_", None)
    names = column_names(known, readers[0].n_features_in_)
    return graph.model(_metadata(exported, names, version), version)


@dataclass(frozen=True)
class Exported:
    """The predictions in the graph of an estimator."""

    tasks: Tasks
    predictions: list[Prediction]  # per task
    thresholds: dict[str, float]  # by the name of the task


# Estimators -------------------------------------------------------------------------


def _inside(estimator: Any) -> list[Any]:
    """Return the estimators that this one wraps and passes X to as it is."""
    kind = type(estimator)
    if kind is FrozenEstimator:
        return [estimator.estimator]
    is_search = isinstance(estimator, BaseSearchCV)
    check_is_fitted(estimator, "best_estimator_" if is_search else None)
    if is_search:
        return [estimator.best_estimator_]
    if kind is MultiTaskTunedThresholdClassifierCV:
        return [estimator.estimator_]
    if kind is MultiTaskCalibratedClassifierCV:
        return [pair.estimator for pair in estimator.calibrated_classifiers_]
    if kind is Pipeline and not active_steps(estimator):
        return [estimator.steps[-1][1]]
    if kind in (Pipeline, *_NETWORKS):
        return []
    raise TypeError(
        f"estimator must be one of {[k.__name__ for k in _NETWORKS]}, one of skmtl's "
        "estimators that wraps one of them (calibrated, with tuned thresholds), or a "
        f"Pipeline, search or FrozenEstimator around these; got a {kind.__name__}."
    )


def _readers(estimator: Any) -> list[Any]:
    """Return the networks, or Pipelines, that read X unchanged."""
    inside = _inside(estimator)
    if not inside:
        return [estimator]
    return [reader for part in inside for reader in _readers(part)]


def _inputs(graph: Graph, readers: list[Any], X: Any) -> Rows:
    first = readers[0]
    names = getattr(first, "feature_names_in_", None)
    if type(first) is not Pipeline:
        return inputs_of_networks(graph, readers, names)
    n_features = getattr(first, "n_features_in_", None)
    if n_features is None:
        raise ValueError(
            "The first step of a Pipeline must have the attribute n_features_in_; got "
            f"{first.steps[0][1]!r}. Export only the last step."
        )
    return inputs_of_table(graph, X, n_features, names)


def _export(graph: Graph, estimator: Any, rows: Rows) -> Exported:
    kind, inside = type(estimator), _inside(estimator)
    if kind is Pipeline and not inside:
        rows = rows_after_steps(graph, estimator, rows)
        return _export(graph, estimator.steps[-1][1], rows)
    if not inside:
        predictions = predictions_of(graph, estimator, rows)
        return Exported(estimator._tasks, predictions, {})
    parts = [_export(graph, part, rows) for part in inside]
    if kind is MultiTaskTunedThresholdClassifierCV:
        return _with_thresholds(graph, estimator, parts[0])
    if kind is MultiTaskCalibratedClassifierCV:
        return _calibrated(graph, estimator, parts)
    return parts[0]


def _with_thresholds(graph: Graph, estimator: Any, inner: Exported) -> Exported:
    tasks: Tasks = estimator._tasks
    predictions = [
        _aligned(graph, prediction, inner.tasks, tasks, t)
        for t, prediction in enumerate(inner.predictions)
    ]
    best = estimator.best_thresholds_
    thresholds = {n: float(best[n]) for n in best if not np.isnan(best[n])}
    return Exported(tasks, predictions, thresholds)


def _aligned(
    graph: Graph, prediction: Prediction, inner: Tasks, tasks: Tasks, t: int
) -> Prediction:
    """Add the classes that only the outer estimator knows."""
    if prediction.probabilities is None:
        return prediction
    own, everywhere = inner.classes[t], tasks.classes[t]
    p = aligned(graph, prediction.probabilities, own, everywhere)
    return prediction._replace(probabilities=p)


def _calibrated(graph: Graph, estimator: Any, inner: list[Exported]) -> Exported:
    """Return the mean of the calibrated probabilities over the estimators."""
    tasks: Tasks = estimator._tasks
    pairs = estimator.calibrated_classifiers_
    predictions = list(inner[0].predictions)  # numbers come from the first one
    for t, target in enumerate(tasks.targets):
        if not isinstance(target, Classes):
            continue
        tables = []
        for pair, exported in zip(pairs, inner, strict=True):
            network = fitted_network(pair.estimator)
            if network is not None and not network._is_labelled[t]:
                continue
            own = _aligned(graph, exported.predictions[t], exported.tasks, tasks, t)
            p, calibrator = str(own.probabilities), pair.calibrators[t]
            if calibrator is not None:
                p = calibrated(graph, p, calibrator, target.n_codes)
            tables.append(p)
        p = str(inner[0].predictions[t].probabilities)
        if tables:
            p = mean_of_tables(graph, tables)
        else:
            p = uniform(graph, p, target.n_codes)
        predictions[t] = Prediction(probabilities=p)
    return Exported(tasks, predictions, {})


# Outputs ----------------------------------------------------------------------------


def _give_classes(
    graph: Graph,
    name: str,
    labels: NDArray,
    prediction: Prediction,
    threshold: float | None,
) -> None:
    p = str(prediction.probabilities)
    if threshold is None:
        code = graph("ArgMax", p, axis=1, keepdims=0)
    else:
        is_greater = graph("GreaterOrEqual", graph.take(p, 1, axis=1), threshold)
        code = graph.cast(is_greater, np.int64)
    known = plain_labels(labels)
    label = graph("Gather", known, code)
    graph.output(f"{name}.label", label, known.dtype, ())
    graph.output(f"{name}.proba", p, np.float64, (len(labels),))


def _give_numbers(graph: Graph, name: str, prediction: Prediction) -> None:
    graph.output(f"{name}.value", str(prediction.value), np.float64, ())
    if prediction.std is not None:
        graph.output(f"{name}.std", prediction.std, np.float64, ())


def plain_labels(labels: NDArray) -> NDArray:
    """Convert labels to types of ONNX: bool, int64, float64, or else text objects."""
    values = np.array(labels.tolist())
    for kinds, dtype in (("b", np.bool_), ("iu", np.int64), ("f", np.float64)):
        if values.dtype.kind in kinds:
            return values.astype(dtype)
    return np.array([str(label) for label in labels.tolist()], dtype=object)


def _metadata(exported: Exported, names: list[str], version: str) -> dict[str, str]:
    tasks = []
    for name, target in zip(exported.tasks.names, exported.tasks.targets, strict=True):
        task: dict[str, Any] = {"name": name, "type": "number"}
        if isinstance(target, Classes):
            task |= {"type": "class", "classes": plain_labels(target.labels).tolist()}
        if name in exported.thresholds:
            task["threshold"] = exported.thresholds[name]
        tasks.append(task)
    return {
        "skmtl_version": version,
        "tasks": json.dumps(tasks),
        "feature_names": json.dumps(names),
    }
