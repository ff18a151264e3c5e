"""Add a fitted network to a graph, from rows of X to logits."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from skmtl._inputs import FIRST_CODE_SLOT, MISSING_SLOT, CategoricalColumns
from skmtl._inputs._sample import UNKNOWN_SLOT
from skmtl._network import ModuleTrunk, TrunkAndHeads
from skmtl._network._linear_parts import LinearPart
from skmtl._network._stacks import BankStack
from skmtl._onnx._graph import Graph
from skmtl._onnx._inputs import Rows
from skmtl._onnx._modules import module_trunk

FLOAT = np.float32
_SQRT_HALF = FLOAT(np.sqrt(0.5))
ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "identity": lambda graph, x: x,
    "logistic": lambda graph, x: graph("Sigmoid", x),
    "tanh": lambda graph, x: graph("Tanh", x),
    "relu": lambda graph, x: graph("Relu", x),
    "gelu": lambda graph, x: graph(
        "Mul",
        graph("Mul", x, FLOAT(0.5)),
        graph("Add", graph("Erf", graph("Mul", x, _SQRT_HALF)), FLOAT(1)),
    ),
    "silu": lambda graph, x: graph("Mul", x, graph("Sigmoid", x)),
}


class NetworkOutputs(NamedTuple):
    """What a network and its linear parts give for each row."""

    logits: str  # (n_members, n, n_logits); NaN for rows for which `predict` raises
    lines: str | None  # (1, n, n_logits) in float64, of the logistic part


def outputs_of(graph: Graph, estimator: Any, rows: Rows) -> NetworkOutputs:
    """Return the outputs of a fitted network."""
    network = estimator.network_
    _check_network(network)
    x: Input
    refused = None
    if network.columns is None:
        x = rows.numbers(None, FLOAT)
        refused = graph.zero_or_nan(x, 1)
    else:
        x = _encoded(graph, estimator, rows)
        if rows.has_numbers:
            numbers = graph.without_nan(rows.numbers(None, np.float64))
            refused = graph.cast(graph.zero_or_nan(numbers, 1), FLOAT)
    features = _trunk(graph, network, x) if network.has_trunk else x
    blocks = [
        _head(graph, network, group.tasks, cast(BankStack, head), features)
        for group, head in zip(network.groups, network.heads, strict=True)
    ]
    logits = graph.concat(blocks, axis=2)
    if getattr(network, "ridge_part", None) is not None:
        logits = _with_ridge_part(graph, network, rows, x, logits)
    if refused is not None:
        logits = graph("Add", logits, refused)
    logits = graph("Add", logits, graph.zero_or_nan(logits, 0, 2))
    return NetworkOutputs(logits, _lines_of_logistic_part(graph, network, rows, x))


def _check_network(network: Any) -> None:
    if type(network) is not TrunkAndHeads:
        raise TypeError(
            "The network must come from a sharing of skmtl; got one of type "
            f"{type(network).__name__}. Use sharing='hard' or 'none'."
        )
    if network.like.dtype != torch.float32:
        raise ValueError(
            f"The network must be of dtype float32; got {network.like.dtype}. Convert "
            "it back with estimator.network_.float()."
        )


def _array(tensor: Any) -> NDArray:
    array: NDArray = tensor.detach().cpu().numpy()
    return array


# Columns ----------------------------------------------------------------------------


class Encoded(NamedTuple):
    """The inputs of the first layer for a raw table."""

    numbers: str  # (n, n_inputs); if there are few categories, with their indicators
    # (n, n_categorical) indices into a table of categories, if there are many. The
    # table ends with one row per column, for categories that have no row of their own.
    indices: str | None
    categorical: CategoricalColumns


Input = str | Encoded


def _encoded(graph: Graph, estimator: Any, rows: Rows) -> Encoded:
    encoder = estimator.network_.columns
    categorical = estimator.network_.architecture.encoding.categorical
    parts, indices = [], None
    if len(encoder.numeric):
        parts += _encoded_numbers(graph, encoder, rows)
    if len(encoder.categorical):
        indices = _indices(graph, categorical, estimator._columns.categories, rows)
    if indices is not None and encoder.n_indicators:
        n_columns = len(categorical.positions)
        owner = np.concatenate([categorical.row_column, np.arange(n_columns)])
        own = graph.take(indices, owner, axis=1)
        parts.append(graph.cast(graph("Equal", own, np.arange(len(owner))), FLOAT))
        indices = None
    return Encoded(graph.concat(parts or [rows.zeros()], 1), indices, categorical)


def _encoded_numbers(graph: Graph, encoder: Any, rows: Rows) -> list[str]:
    """Return scores, indicators of missing values and bins; see `ColumnEncoder`."""
    x = rows.numbers(_array(encoder.numeric), np.float64)
    missing = graph("IsNaN", x)
    known = graph.cast(graph("Not", missing), FLOAT)
    half = graph("Mul", graph.without_nan(x), np.float64(0.5))
    curved, lines = np.split(np.arange(len(encoder.numeric)), [encoder.n_curved])
    scores, bins = [], []
    if len(curved):
        own = graph.take(half, curved, axis=1)
        score, filled = _curves(graph, encoder, own)
        scores.append(score)
        is_known = graph("Unsqueeze", graph.take(known, curved, axis=1), np.array([2]))
        scale = graph("Mul", is_known, FLOAT(encoder.CURVE_SCALE))
        width = encoder.n_curved * encoder.n_bins
        bins.append(graph.reshape(graph("Mul", filled, scale), 0, width))
    if len(lines):
        scores.append(_lines(graph, encoder, graph.take(half, lines, axis=1)))
    score = graph("Add", graph.concat(scores, 1), _array(encoder.first_score))
    parts = [graph("Mul", score, known)]
    if len(encoder.missing):
        indicators = graph.take(missing, _array(encoder.missing), axis=1)
        parts.append(graph.cast(indicators, FLOAT))
    return parts + bins


def _curves(graph: Graph, encoder: Any, half: str) -> tuple[str, str]:
    """Return (n, n_curved) scores, and (n, n_curved, n_bins) bins minus their means."""
    begin, width = _array(encoder.curves.begin), _array(encoder.curves.width)
    x = graph("Unsqueeze", half, np.array([2]))
    filled = _filled(graph, x, begin, width)
    rises = graph("Mul", filled, _array(encoder.curves.rise))
    from_mean = graph("Sub", filled, _array(encoder.bin_means))
    return graph.sum(rises, 2, keepdims=False), from_mean


def _lines(graph: Graph, encoder: Any, half: str) -> str:
    """Return (n, n_lines): scores of the columns with only one bin."""
    begin, width = _array(encoder.lines.begin), _array(encoder.lines.width)
    filled = _filled(graph, half, begin[:, 0], width[:, 0])
    return graph("Mul", filled, _array(encoder.lines.rise)[:, 0])


def _filled(graph: Graph, x: str, begin: NDArray, width: NDArray) -> str:
    """Return how far each bin is filled, from 0 to 1."""
    share = graph("Div", graph("Sub", x, begin), width)
    return graph.cast(graph("Clip", share, np.float64(0), np.float64(1)), FLOAT)


def _indices(
    graph: Graph,
    categorical: CategoricalColumns,
    categories: dict[int, dict],
    rows: Rows,
) -> str:
    """Return (n, n_categorical): rows of the table of categories; see `Encoded`."""
    n_rows = len(categorical.row_column)
    columns = []
    for k, (j, first) in enumerate(
        zip(categorical.positions, categorical.first_slot, strict=True)
    ):
        codes = categories[int(j)]
        slots = categorical.slot_row[first : first + FIRST_CODE_SLOT + len(codes)]
        row = np.where(slots < 0, n_rows + k, slots)
        index = {c: int(row[FIRST_CODE_SLOT + code]) for c, code in codes.items()}
        missing, unknown = int(row[MISSING_SLOT]), int(row[UNKNOWN_SLOT])
        columns.append(rows.indices(int(j), index, missing=missing, unknown=unknown))
    return graph.concat(columns, axis=1)


# Layers -----------------------------------------------------------------------------


def _trunk(graph: Graph, network: Any, x: Input) -> str:
    """Return ([n_members * n_trunks,] n, width)."""
    if isinstance(network.trunk, ModuleTrunk):
        return module_trunk(graph, network.trunk, cast(str, x))
    return _stack(graph, network.trunk, x)


def _head(
    graph: Graph, network: Any, tasks: Sequence[int], head: BankStack, x: Input
) -> str:
    """Return (n_members, n, n_logits) for a group of tasks."""
    n_members, n_trunks = network.n_members, network.n_trunks
    if isinstance(x, str) and network.has_trunk and 1 < n_trunks != len(tasks):
        banks = [m * n_trunks + t for m in range(n_members) for t in tasks]
        x = graph.take(x, banks[0] if len(banks) == 1 else banks, axis=0)
    out = _stack(graph, head, x)
    last: Any = head.layers[-1]
    n_inputs, _, n_readers, n_logits = last.weight.shape
    if n_inputs == n_members > 1:
        return out
    rows_first = out if n_inputs == 1 else graph.swapped(out)
    width = n_inputs * n_readers * n_logits // n_members
    return graph.swapped(graph.reshape(rows_first, 0, n_members, width))


def _stack(graph: Graph, stack: BankStack, x: Input) -> str:
    """Do the same as `StackPass.forward`: a single input has no axis for inputs."""
    layers = list(stack.layers)
    n_activated = len(layers) - (not stack.activate_last)
    for i, layer in enumerate(layers):
        out = _affine(graph, layer, x)
        if i >= n_activated:
            return out
        x = _banks_first(graph, layer, ACTIVATIONS[stack.activation](graph, out))
    return cast(str, x)


def _affine(graph: Graph, layer: Any, x: Input) -> str:
    """Return ([n_inputs,] n, n_readers * out)."""
    n_inputs, in_features, n_readers, out_features = layer.weight.shape
    shape = n_inputs, in_features, n_readers * out_features
    weight = _array(layer.weight).reshape(shape)
    bias = _array(layer.bias).reshape(n_inputs, 1, -1)
    if isinstance(x, Encoded):
        return _affine_of_columns(graph, x, weight[0], bias[0, 0])
    if n_inputs == 1:
        return graph("Gemm", x, weight[0], bias[0, 0])
    return graph("Add", graph("MatMul", x, weight), bias)


def _affine_of_columns(graph: Graph, x: Encoded, weight: NDArray, bias: NDArray) -> str:
    """Read a raw table; a category without a row adds the mean of its column."""
    n_rows = len(x.categorical.row_column)
    numbers, table = np.split(weight, [len(weight) - n_rows])
    means = _column_means(x.categorical, table)
    table = np.concatenate([table, means.astype(FLOAT)])
    if x.indices is None:
        numbers = np.concatenate([numbers, table])
    if not len(numbers):
        numbers = np.zeros((1, weight.shape[1]), FLOAT)
    out = graph("Gemm", x.numbers, numbers, bias)
    if x.indices is not None:
        name = graph.constant(table)
        for k in range(len(means)):
            index = graph.take(x.indices, k, axis=1)
            out = graph("Add", out, graph("Gather", name, index, axis=0))
    return out


def _column_means(categorical: CategoricalColumns, table: NDArray) -> NDArray:
    """Return the mean row of each column's part of a table of categories."""
    means = np.zeros((len(categorical.positions), table.shape[1]))
    np.add.at(means, categorical.row_column, categorical.row_share[:, None] * table)
    return means


def _banks_first(graph: Graph, layer: Any, x: str) -> str:
    """([n_inputs,] n, n_readers * out) -> ([n_inputs * n_readers,] n, out)."""
    n_inputs, _, n_readers, out_features = layer.weight.shape
    if n_readers == 1:
        return x
    rows_first = x if n_inputs == 1 else graph.swapped(x)
    banks = graph.reshape(rows_first, 0, n_inputs * n_readers, out_features)
    return graph.swapped(banks)


# The linear parts ---------------------------------------------------------------------


def _with_ridge_part(
    graph: Graph, network: Any, rows: Rows, x: Input, logits: str
) -> str:
    """Do the same as `RidgePart.add_to`."""
    part = network.ridge_part
    n_logits = sum(len(g.tasks) * g.kind.n_logits for g in network.groups)
    # Of each logit: the task whose number it predicts, -1 if it is no such logit.
    task = np.full(n_logits, -1)
    for group in network.groups:
        if group.kind.predicts_mean:
            task[group.columns][:: group.kind.n_logits] = group.tasks
    is_mean = task >= 0
    share = np.where(is_mean, _array(part.share)[task], 1.0)
    weight = np.where(is_mean, _array(part.weight)[:, task], 0.0)
    bias = np.where(is_mean, _array(part.bias)[task], 0.0)
    line = _line(graph, network, part, rows, x, (weight, bias))
    own = graph("Mul", logits, share.astype(FLOAT))
    return graph("Add", own, graph.cast(line, FLOAT))


def _lines_of_logistic_part(
    graph: Graph, network: Any, rows: Rows, x: Input
) -> str | None:
    part = getattr(network, "logistic_part", None)
    if part is None:
        return None
    coefficients = _array(part.weight), _array(part.bias)
    line = _line(graph, network, part, rows, x, coefficients)
    line = graph("Add", line, graph.zero_or_nan(line, 1))
    return graph("Unsqueeze", line, np.array([0]))


def _line(
    graph: Graph,
    network: Any,
    part: LinearPart,
    rows: Rows,
    x: Input,
    coefficients: tuple[NDArray, NDArray],
) -> str:
    """Do the same as `LinearPart.line`, with these weights and biases."""
    weight, bias = coefficients
    inputs, weight = _inputs_of_line(graph, network, part, rows, x, weight)
    return graph("Add", graph("MatMul", inputs, weight), bias)


def _inputs_of_line(
    graph: Graph,
    network: Any,
    part: LinearPart,
    rows: Rows,
    x: Input,
    weight: NDArray,
) -> tuple[str, NDArray]:
    """Return the inputs (n, n_inputs) in float64, and their weights.

    As in `_affine_of_columns`, categories without a row have inputs of their own.
    """
    encoder = network.columns
    parts = []
    scale = _array(part.scale)
    if len(scale):
        positions = None if encoder is None else _array(encoder.numeric)
        numbers = rows.numbers(positions, np.float64)
        missing = graph("IsNaN", numbers)
        scaled = graph("Div", graph.without_nan(numbers), scale)
        z = graph("Sub", scaled, _array(part.center) / scale)
        z = graph("Min", graph("Max", z, _array(part.low)), _array(part.high))
        known = graph.cast(graph("Not", missing), np.float64)
        parts.append(graph("Mul", z, known))
        if encoder is not None and len(encoder.missing):
            indicators = graph.take(missing, _array(encoder.missing), axis=1)
            parts.append(graph.cast(indicators, np.float64))
    if encoder is not None and encoder.n_indicators:
        assert isinstance(x, Encoded)
        means = _column_means(x.categorical, weight[-encoder.n_indicators :])
        first = encoder.n_inputs - encoder.n_indicators
        width = encoder.n_indicators + len(means)
        indicators = graph.take(x.numbers, first + np.arange(width), axis=1)
        parts.append(graph.cast(indicators, np.float64))
        weight = np.concatenate([weight, means])
    return graph.concat(parts, 1), weight
