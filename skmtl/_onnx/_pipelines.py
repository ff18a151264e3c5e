"""Steps before a network, by skl2onnx."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from sklearn.pipeline import Pipeline

from skmtl._messages import shorten, warn
from skmtl._onnx._graph import OPSETS, Graph
from skmtl._onnx._inputs import Rows, column_names

try:
    import skl2onnx
    from skl2onnx.common.data_types import (
        DoubleTensorType,
        FloatTensorType,
        StringTensorType,
    )
except ImportError:
    skl2onnx = None


def active_steps(pipeline: Pipeline) -> list[tuple[str, Any]]:
    """Those before the last that do something."""
    return [
        (name, step)
        for name, step in pipeline.steps[:-1]
        if step is not None and step != "passthrough"
    ]


def rows_after_steps(graph: Graph, pipeline: Pipeline, rows: Rows) -> Rows:
    """What the last step of a pipeline reads."""
    steps = active_steps(pipeline)
    if skl2onnx is None:
        raise ImportError(
            "The steps of a Pipeline before the network are converted by the package "
            "skl2onnx, which is not installed. Install skmtl[onnx], or export the last "
            "step alone."
        )
    inputs = _Inputs(graph, pipeline, rows)
    try:
        model = _converted(steps, inputs, DoubleTensorType)
        dtype: Any = np.float64
    except Exception:  # skl2onnx raises many; some steps know float32 alone
        model, dtype = _converted_or_error(steps, inputs), np.float32
        warn(
            f"The steps before the network must be computed in float32, since skl2onnx "
            f"does not know all of {shorten(name for name, _ in steps)} in float64; "
            "large numbers lose digits. Compare the probabilities on rows of yours, or "
            "export the last step alone."
        )
    _check_outputs(model.graph.output, pipeline.steps[-1][1])
    # By position: skl2onnx changes names such as "education-num".
    names = [wanted.name for wanted in model.graph.input]
    values = dict(zip(names, inputs.values_as(dtype), strict=True))
    return Rows(graph, graph.merge(model, values)[0])


def _check_outputs(outputs: Any, last: Any) -> None:
    if len(outputs) != 1:
        raise ValueError(
            "The steps before the network must give one matrix of numbers; in ONNX "
            f"they give {len(outputs)}. Encode text, for instance with OneHotEncoder."
        )
    width = outputs[0].type.tensor_type.shape.dim[1].dim_value
    expected = getattr(last, "n_features_in_", width)
    if width not in (0, expected):  # 0 if skl2onnx does not say
        raise ValueError(
            f"The steps before the network must give {expected} columns, but what "
            f"skl2onnx makes of them gives {width}: it does not know an option of a "
            "step, such as add_indicator. Export the last step alone, or fit without "
            "the option."
        )


class _Inputs:
    """What the first step reads: a matrix, or the columns that it knows by name."""

    def __init__(self, graph: Graph, pipeline: Pipeline, rows: Rows) -> None:
        self.graph = graph
        names: NDArray | None = getattr(pipeline, "feature_names_in_", None)
        n_features = pipeline.n_features_in_
        if rows.matrix is not None and names is None:
            self.names, self.width = ["X"], n_features
            self.values: Sequence[str] = [rows.matrix]
            self.are_text: Sequence[bool] = [False]
            return
        self.names, self.width = column_names(names, n_features), 1
        self.values, self.are_text = rows.columns, rows.are_text
        if rows.matrix is not None:
            self.values = [rows.numbers([j], np.float64) for j in range(n_features)]
            self.are_text = [False] * n_features

    def types(self, of_numbers: Any) -> list[Any]:
        """As skl2onnx takes them."""
        kinds = [StringTensorType if text else of_numbers for text in self.are_text]
        pairs = zip(self.names, kinds, strict=True)
        return [(name, kind([None, self.width])) for name, kind in pairs]

    def values_as(self, dtype: Any) -> list[str]:
        """Values in the graph, numbers in a dtype."""
        return [
            value if text else self.graph.cast(value, dtype)
            for value, text in zip(self.values, self.are_text, strict=True)
        ]


def _converted_or_error(steps: list[Any], inputs: _Inputs) -> Any:
    try:
        return _converted(steps, inputs, FloatTensorType)
    except Exception as error:
        raise ValueError(
            "The steps before the network must be those that skl2onnx converts, but it "
            f"raised {type(error).__name__}: {str(error).strip().splitlines()[0]} If "
            "columns have text, pass some rows of X: to_onnx(estimator, path, X). If "
            "it does not know a step, export the last step alone."
        ) from error


def _converted(steps: list[Any], inputs: _Inputs, of_numbers: Any) -> Any:
    model = skl2onnx.convert_sklearn(
        Pipeline(steps),
        initial_types=inputs.types(of_numbers),
        target_opset=OPSETS | {"ai.onnx.ml": 3},
    )
    _replace_imputers(model.graph)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*pair) for pair in OPSETS.items())
    onnx.checker.check_model(model, full_check=True)
    return model


def _replace_imputers(graph: Any) -> None:
    """By operators that onnxruntime has for float64 too."""
    nodes = []
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Imputer" and "imputed_value_floats" in attributes:
            nodes += _imputer(node, **attributes)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _imputer(
    node: Any, imputed_value_floats: list[float], replaced_value_float: float
) -> list[Any]:
    (x,), (out,) = node.input, node.output
    fill, like, mark, missing = (f"{out}/{name}" for name in ("a", "b", "c", "d"))

    def make(operator: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(operator, inputs, [output], **attributes)

    if np.isnan(replaced_value_float):
        is_missing = [make("IsNaN", [x], missing)]
    else:
        is_missing = [
            make("Constant", [], mark, value_float=replaced_value_float),
            make("CastLike", [mark, x], f"{mark}/like"),
            make("Equal", [x, f"{mark}/like"], missing),
        ]
    return [
        *is_missing,
        make("Constant", [], fill, value_floats=imputed_value_floats),
        make("CastLike", [fill, x], like),
        make("Where", [missing, like, x], out),
    ]
