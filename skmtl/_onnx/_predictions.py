"""Compute the predictions for each task from the logits of a network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

from skmtl._onnx._graph import Graph
from skmtl._onnx._inputs import Rows
from skmtl._onnx._networks import outputs_of
from skmtl._outputs import Binary, Gaussian, Number, OutputGroup
from skmtl._targets import Numbers

ZERO, ONE = np.float64(0), np.float64(1)


class Prediction(NamedTuple):
    """The predictions for one task: names of float64 values in a graph."""

    probabilities: str | None = None  # (n, n_classes)
    value: str | None = None  # (n,), in units of the task
    std: str | None = None  # (n,), in the same units


def predictions_of(graph: Graph, estimator: Any, rows: Rows) -> list[Prediction]:
    """Return a prediction for each task of a fitted network."""
    network, targets = estimator.network_, estimator._tasks.targets
    logits, lines = outputs_of(graph, estimator, rows)
    logits = _with_unlabelled(graph, logits, estimator)
    by_task: dict[int, Prediction] = {}
    for group in network.groups:
        z = graph.cast(_columns(graph, logits, group, network), np.float64)
        is_number = isinstance(group.kind, Number)
        if is_number:
            values = _moments(graph, z, group)
        else:
            values = [_classes(graph, z, lines, network, group)]
        for i, task in enumerate(group.tasks):
            own = [graph.take(value, i, axis=1) for value in values]
            if is_number:
                name = estimator.task_names_[task]
                by_task[task] = _in_units(graph, own, targets[task], name)
            else:
                by_task[task] = Prediction(probabilities=own[0])
    return [by_task[task] for task in range(len(targets))]


def _with_unlabelled(graph: Graph, logits: str, estimator: Any) -> str:
    """Set the logits of tasks without labels to 0."""
    if estimator._is_labelled.all():
        return logits
    groups = estimator.network_.groups
    factors = [
        np.repeat(estimator._is_labelled[list(group.tasks)], group.kind.n_logits)
        for group in groups
    ]
    return graph("Mul", logits, np.concatenate(factors).astype(np.float32))


def _columns(graph: Graph, logits: str, group: OutputGroup, network: Any) -> str:
    if len(network.groups) == 1:
        return logits
    columns = np.arange(group.columns.start, group.columns.stop)
    return graph.take(logits, columns, axis=2)


def _classes(
    graph: Graph, z: str, lines: str | None, network: Any, group: OutputGroup
) -> str:
    """Return (n, tasks of the group, n_classes), with the logistic part if any."""
    own = _probabilities(graph, z, group)
    if lines is None:
        return own
    line = _probabilities(graph, _columns(graph, lines, group, network), group)
    share = network.logistic_part.share[list(group.tasks)].unsqueeze(1).cpu().numpy()
    parts = graph("Mul", own, share), graph("Mul", line, 1 - share)
    return graph("Add", *parts)


def _probabilities(graph: Graph, z: str, group: OutputGroup) -> str:
    """Return (n, tasks of the group, n_classes): the mean over the members."""
    if isinstance(group.kind, Binary):
        p = [graph("Sigmoid", graph("Neg", z)), graph("Sigmoid", z)]
        means = [_mean(graph, part) for part in p]
        return graph.stack(means, axis=2)
    shape = 0, 0, len(group.tasks), group.kind.n_logits
    return _mean(graph, graph("Softmax", graph.reshape(z, *shape), axis=3))


def _moments(graph: Graph, z: str, group: OutputGroup) -> list[str]:
    """Return (n, tasks of the group): the mean; for Gaussians, variance and spread."""
    if not isinstance(group.kind, Gaussian):
        return [_mean(graph, z)]
    n_tasks, kind = len(group.tasks), group.kind
    means = graph.take(z, 2 * np.arange(n_tasks), axis=2)
    r = graph.take(z, 2 * np.arange(n_tasks) + 1, axis=2)
    shifted = graph("Add", r, np.float64(kind._SHIFT))
    # A softplus whose exponentials cannot overflow.
    small = graph("Exp", graph("Neg", graph("Abs", shifted)))
    rest = graph("Log", graph("Add", small, ONE))
    softplus = graph("Add", graph("Relu", shifted), rest)
    variances = graph("Add", softplus, np.float64(kind._LEAST))
    mean = _mean(graph, means)
    error = graph("Sub", means, mean)
    spread = _mean(graph, graph("Mul", error, error))
    return [mean, _mean(graph, variances), spread]


def _mean(graph: Graph, x: str) -> str:
    """Return the mean over the members."""
    return graph("ReduceMean", x, np.array([0]), keepdims=0)


# Numbers in units of the task ---------------------------------------------------------


def _in_units(
    graph: Graph, moments: list[str], target: Numbers, name: str
) -> Prediction:
    scaled = graph("Mul", moments[0], np.float64(target.scale))
    value = graph("Add", scaled, np.float64(target.mean))
    if target.transformer is not None:
        value = _inverse(graph, value, target.transformer, name)
        # NaN for rows for which `predict` raises an error.
        value = graph("Add", value, graph("Mul", value, ZERO))
        return Prediction(value=value)
    if len(moments) == 1:
        return Prediction(value=value)
    _, variance, spread = moments
    factor = np.float64(target.deviation_factor**2)
    total = graph("Add", graph("Mul", variance, factor), spread)
    std = graph("Mul", graph("Sqrt", total), np.float64(target.scale))
    return Prediction(value=value, std=std)


_FUNCTIONS: dict[Any, Callable[[Graph, str], str]] = {
    None: lambda graph, x: x,
    np.exp: lambda graph, x: graph("Exp", x),
    np.expm1: lambda graph, x: graph("Sub", graph("Exp", x), ONE),
    np.log: lambda graph, x: graph("Log", x),
    np.log1p: lambda graph, x: graph("Log", graph("Add", x, ONE)),
    np.sqrt: lambda graph, x: graph("Sqrt", x),
    np.square: lambda graph, x: graph("Mul", x, x),
    np.negative: lambda graph, x: graph("Neg", x),
    np.reciprocal: lambda graph, x: graph("Reciprocal", x),
}
_LINEAR = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)


def _inverse(graph: Graph, x: str, transformer: Any, name: str) -> str:
    """Add the `inverse_transform` of a transformer of one column."""
    kind = type(transformer)
    if kind in _LINEAR and not getattr(transformer, "clip", False):
        at_0, at_1 = transformer.inverse_transform([[0.0], [1.0]]).ravel()
        return graph("Add", graph("Mul", x, at_1 - at_0), at_0)
    if kind is FunctionTransformer and not transformer.inv_kw_args:
        if transformer.inverse_func in _FUNCTIONS:
            return _FUNCTIONS[transformer.inverse_func](graph, x)
    elif kind is PowerTransformer:
        return _inverse_of_powers(graph, x, transformer)
    names = sorted(function.__name__ for function in _FUNCTIONS if function)
    raise ValueError(
        f"To be part of an ONNX graph, the transformer of task {name!r} must be one of "
        f"scikit-learn's {[kind.__name__ for kind in _LINEAR]}, PowerTransformer, or a "
        f"FunctionTransformer whose inverse_func is one of numpy's {names}; got "
        f"{transformer!r}. Fit with one of these, or transform y yourself before the "
        "fit, and the predictions after it."
    )


def _inverse_of_powers(graph: Graph, x: str, transformer: PowerTransformer) -> str:
    if transformer.standardize:
        scaler = transformer._scaler
        at_0, at_1 = scaler.inverse_transform([[0.0], [1.0]]).ravel()
        x = graph("Add", graph("Mul", x, at_1 - at_0), at_0)
    power = float(transformer.lambdas_[0])
    if transformer.method == "box-cox":
        return _inverse_power(graph, x, power)
    # Yeo-Johnson has one power for positive values and another one for the rest.
    above = graph("Sub", _inverse_power(graph, graph("Relu", x), power), ONE)
    least = graph("Relu", graph("Neg", x))
    below = graph("Sub", ONE, _inverse_power(graph, least, 2 - power))
    return graph("Where", graph("Less", x, ZERO), below, above)


def _inverse_power(graph: Graph, x: str, power: float) -> str:
    """Return (1 + power * x) ** (1 / power), or its limit exp(x) if power is 0."""
    if abs(power) < np.spacing(1.0):
        return graph("Exp", x)
    base = graph("Add", graph("Mul", x, np.float64(power)), ONE)
    return graph("Pow", base, np.float64(1 / power))
