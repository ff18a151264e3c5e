"""Convert the steps before a network with skl2onnx."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline

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
    """Return the steps before the last one, without those that do nothing."""
    return [
        (name, step)
        for name, step in pipeline.steps[:-1]
        if step is not None and step != "passthrough"
    ]


def rows_after_steps(graph: Graph, pipeline: Pipeline, rows: Rows) -> Rows:
    """Return the rows that the last step of a pipeline reads."""
    steps = active_steps(pipeline)
    if skl2onnx is None:
        raise ImportError(
            "To convert the steps of a Pipeline before the network, to_onnx needs the "
            "package skl2onnx, which is not installed. Install skmtl[onnx], or export "
            "only the last step."
        )
    inputs = _Inputs(graph, pipeline, rows)
    try:
        model = _converted(steps, inputs, DoubleTensorType)
        dtype: Any = np.float64
    except Exception:  # skl2onnx raises many types; some steps only support float32
        model, dtype = _converted_or_error(steps, inputs), np.float32
        warn(
            f"The steps before the network are computed in float32, since skl2onnx "
            f"does not support all of {shorten(name for name, _ in steps)} in float64. "
            "Large numbers lose digits. Compare the probabilities on your own rows, or "
            "export only the last step."
        )
    _check_outputs(model.graph.output, pipeline.steps[-1][1])
    # By position: skl2onnx changes names such as "education-num".
    names = [wanted.name for wanted in model.graph.input]
    values = dict(zip(names, inputs.values_as(dtype), strict=True))
    return Rows(graph, graph.merge(model, values)[0])


def _check_outputs(outputs: Any, last: Any) -> None:
    if len(outputs) != 1:
        raise ValueError(
            "The steps before the network must give one numeric matrix, but in ONNX "
            f"they give {len(outputs)}. Encode text, for example with OneHotEncoder."
        )
    width = outputs[0].type.tensor_type.shape.dim[1].dim_value
    expected = getattr(last, "n_features_in_", width)
    if width not in (0, expected):  # 0 if skl2onnx does not say
        raise ValueError(
            f"The steps before the network must give {expected} columns, but give "
            f"{width} after skl2onnx has converted them: it does not support an option "
            "of a step, such as add_indicator. Export only the last step, or fit "
            "without the option."
        )


class _Inputs:
    """The inputs of the first step: a matrix, or the columns that it names."""

    def __init__(self, graph: Graph, pipeline: Pipeline, rows: Rows) -> None:
        self.graph = graph
        names: NDArray | None = getattr(pipeline, "feature_names_in_", None)
        n_features = pipeline.n_features_in_
        # Most steps can only be converted with a matrix.
        first = next(step for _, step in active_steps(pipeline))
        names_columns = any(isinstance(s, ColumnTransformer) for s in _parts_of(first))
        if rows.matrix is not None and (names is None or not names_columns):
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
        """Return the types of the inputs, for skl2onnx."""
        kinds = [StringTensorType if text else of_numbers for text in self.are_text]
        pairs = zip(self.names, kinds, strict=True)
        return [(name, kind([None, self.width])) for name, kind in pairs]

    def values_as(self, dtype: Any) -> list[str]:
        """Return the values in the graph, with numbers of a dtype."""
        return [
            value if text else self.graph.cast(value, dtype)
            for value, text in zip(self.values, self.are_text, strict=True)
        ]


def _converted_or_error(steps: list[Any], inputs: _Inputs) -> Any:
    try:
        return _converted(steps, inputs, FloatTensorType)
    except Exception as error:
        name, step, reason = _first_failure(steps, inputs, error)
        hint = ""
        if not any(inputs.are_text):
            hint = (
                "If columns contain text, pass some rows of X: to_onnx(estimator, "
                "path, X). "
            )
        raise ValueError(
            "skl2onnx must be able to convert the steps before the network; it cannot "
            f"convert step {name!r} ({type(step).__name__}): {type(reason).__name__}: "
            f"{str(reason).strip().partition(chr(10))[0]} "
            f"{hint}If skl2onnx does not support the step, export only the last "
            "step, pipeline[-1], and apply the other steps yourself."
        ) from error


def _first_failure(
    steps: list[Any], inputs: _Inputs, error: Exception
) -> tuple[str, Any, Exception]:
    """Return the first step up to which the conversion fails, and its error."""
    for end in range(1, len(steps)):
        try:
            _converted(steps[:end], inputs, FloatTensorType)
        except Exception as reason:
            return *steps[end - 1], reason
    return *steps[-1], error


def _converted(steps: list[Any], inputs: _Inputs, of_numbers: Any) -> Any:
    model = skl2onnx.convert_sklearn(
        Pipeline(steps),
        initial_types=inputs.types(of_numbers),
        target_opset=OPSETS | {"ai.onnx.ml": 3},
    )
    _replace_imputers(model.graph, Pipeline(steps))
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*pair) for pair in OPSETS.items())
    onnx.checker.check_model(model, full_check=True)
    return model


def _replace_imputers(graph: Any, pipeline: Pipeline) -> None:
    """Replace imputers by operators that onnxruntime also has for float64.

    skl2onnx rounds what they fill in to float32. A quantile or the edge of a bin can
    lie between the two.
    """
    exact = {
        _rounded(step.statistics_): (step.statistics_, step.missing_values)
        for step in _parts_of(pipeline)
        if isinstance(step, SimpleImputer) and step.statistics_.dtype.kind == "f"
    }
    nodes = []
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Imputer" and "imputed_value_floats" in attributes:
            given = attributes["imputed_value_floats"]
            missing = attributes["replaced_value_float"]
            nodes += _imputer(node, *exact.get(_rounded(given), (given, missing)))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _rounded(values: Any) -> bytes:
    return np.asarray(values, np.float32).tobytes()


def _parts_of(step: Any) -> Iterator[Any]:
    """A step, and those inside it."""
    yield step
    inside: list[Any] = []
    if isinstance(step, Pipeline):
        inside = [part for _, part in step.steps]
    elif isinstance(step, FeatureUnion):
        inside = [part for _, part in step.transformer_list]
    elif isinstance(step, ColumnTransformer):
        inside = [part for _, part, _ in step.transformers_]
    for part in inside:
        yield from _parts_of(part)


def _imputer(node: Any, filled: Any, missing_value: float) -> list[Any]:
    (x,), (out,) = node.input, node.output
    fill, like, mark, missing = (f"{out}/{name}" for name in ("a", "b", "c", "d"))

    def make(operator: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(operator, inputs, [output], **attributes)

    def constant(values: Any, output: str) -> Any:
        tensor = numpy_helper.from_array(np.asarray(values, np.float64))
        return make("Constant", [], output, value=tensor)

    if np.isnan(missing_value):
        is_missing = [make("IsNaN", [x], missing)]
    else:
        is_missing = [
            constant(missing_value, mark),
            make("CastLike", [mark, x], f"{mark}/like"),
            make("Equal", [x, f"{mark}/like"], missing),
        ]
    return [
        *is_missing,
        constant(filled, fill),
        make("CastLike", [fill, x], like),
        make("Where", [missing, like, x], out),
    ]
