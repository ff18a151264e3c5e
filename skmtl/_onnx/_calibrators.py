"""Calibrated probabilities in a graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._onnx._graph import Graph
from skmtl._targets import is_binary
from skmtl.calibration._calibrators import _EPS, _LEAST, Calibrator

ZERO, ONE = np.float64(0), np.float64(1)


def aligned(graph: Graph, p: str, own: NDArray, everywhere: NDArray) -> str:
    """Return (n, n_classes) with a column for every class, 0 for absent ones."""
    if np.array_equal(own, everywhere):
        return p
    places = np.zeros((len(own), len(everywhere)))
    places[np.arange(len(own)), np.searchsorted(everywhere, own)] = 1
    return graph("MatMul", p, places)


def mean_of_tables(graph: Graph, tables: Sequence[str]) -> str:
    """Return the mean of the probabilities of several estimators."""
    if len(tables) == 1:
        return tables[0]
    return graph("ReduceMean", graph.stack(tables, axis=0), np.array([0]), keepdims=0)


def uniform(graph: Graph, p: str, n_classes: int) -> str:
    """Return the same probability for all classes; NaN in rows where p has NaN."""
    zero = graph.zero_or_nan(p, 1)
    return graph("Add", zero, np.full((1, n_classes), 1 / n_classes))


def calibrated(graph: Graph, p: str, calibrator: Calibrator, n_classes: int) -> str:
    """Return the result of `Calibrator.calibrate`."""
    if calibrator.method == "temperature":
        scores = graph("Log", graph("Add", p, np.float64(_LEAST)))
        beta = np.float64(calibrator.parts[0].beta_)
        return graph("Softmax", graph("Mul", scores, beta), axis=1)
    positions = [1] if is_binary(n_classes) else range(n_classes)
    columns = [
        _part(graph, graph.take(p, c, axis=1), part, calibrator.method)
        for c, part in zip(positions, calibrator.parts, strict=True)
    ]
    if is_binary(n_classes):
        return graph.stack([graph("Sub", ONE, columns[0]), columns[0]], axis=1)
    table = graph.stack(columns, axis=1)
    total = graph.sum(table, 1)
    is_denied = graph("Equal", total, ZERO)
    divisor = graph("Where", is_denied, ONE, total)
    unknown = uniform(graph, p, n_classes)
    return graph("Where", is_denied, unknown, graph("Div", table, divisor))


def _part(graph: Graph, p: str, part: Any, method: str) -> str:
    """Return (n,): the output of the calibrator of one class."""
    if method == "isotonic":
        return _interpolated(graph, p, part.X_thresholds_, part.y_thresholds_)
    clipped = graph("Clip", p, np.float64(_EPS), np.float64(1 - _EPS))
    odds = graph("Div", clipped, graph("Sub", ONE, clipped))
    line = graph("Mul", graph("Log", odds), np.float64(-part.a_))
    return graph("Sigmoid", graph("Add", line, np.float64(-part.b_)))


def _interpolated(graph: Graph, p: str, x: NDArray, y: NDArray) -> str:
    """Interpolate linearly between the knots (x, y); constant beyond them."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    if len(x) == 1:
        return graph("Add", graph("Mul", p, ZERO), y[0])
    column = graph("Unsqueeze", p, np.array([1]))
    is_above = graph("GreaterOrEqual", column, x[1:-1].reshape(1, -1))
    bin_ = graph.sum(graph.cast(is_above, np.int64), 1, keepdims=False)
    begin, width, low, rise = (
        graph("Gather", values, bin_)
        for values in (x[:-1], np.diff(x), y[:-1], np.diff(y))
    )
    share = graph("Div", graph("Sub", p, begin), width)
    share = graph("Clip", share, ZERO, ONE)
    return graph("Add", low, graph("Mul", share, rise))
