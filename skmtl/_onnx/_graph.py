"""An ONNX graph under construction: nodes, constants and their names."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnx.inliner
from numpy.typing import NDArray
from onnx import helper, numpy_helper

# The oldest version with all operators used here.
OPSETS = {"": 18, "ai.onnx.ml": 4}
_DOMAINS = {"LabelEncoder": "ai.onnx.ml"}


class Graph:
    """Nodes are added by calling it: `graph("Add", x, 1.0)` gives the sum's name.

    Arrays and numbers among the inputs become constants.
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._n_names = 0

    def __call__(self, operator: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        output = self._new_name()
        node = helper.make_node(
            operator,
            names,
            [output],
            domain=_DOMAINS.get(operator, ""),
            **attributes,
        )
        self._nodes.append(node)
        return output

    def _new_name(self) -> str:
        self._n_names += 1
        return f"skmtl/{self._n_names}"

    def constant(self, value: Any) -> str:
        """Add a constant, an array or a number; return its name."""
        array = np.asarray(value)
        if array.dtype.kind in "UO":
            array = array.astype(object)
        else:
            array = np.asarray(array, order="C")
        name = self._new_name()
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def input(self, name: str, dtype: Any, shape: Sequence[int]) -> str:
        """Add an input of the graph; `shape` is that of one row."""
        if not name:
            raise ValueError(
                "Each column of X must have a name to become an input of an ONNX "
                "graph, but one is called ''. Rename it and fit again."
            )
        self._inputs[name] = _value(name, dtype, shape)
        return name

    def output(self, name: str, value: str, dtype: Any, shape: Sequence[int]) -> None:
        """Add an output of the graph."""
        if name in self._inputs or name in self._outputs:
            raise ValueError(
                "The columns of X and the outputs must have different names, but there "
                f"is one of each called {name!r}. Rename the column or the task."
            )
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs[name] = _value(name, dtype, shape)

    def merge(self, model: Any, inputs: Mapping[str, str]) -> list[str]:
        """Add a model that reads values of this graph; return its outputs."""
        model = onnx.inliner.inline_local_functions(model)
        prefix = f"{self._new_name()}/"
        part = onnx.compose.add_prefix_graph(model.graph, prefix)
        for name, value in inputs.items():
            node = helper.make_node("Identity", [value], [prefix + name])
            self._nodes.append(node)
        self._nodes += part.node
        self._constants += part.initializer
        return [output.name for output in part.output]

    def model(self, metadata: Mapping[str, str], version: str) -> Any:
        """Return the complete model."""
        graph = helper.make_graph(
            self._nodes,
            "skmtl",
            list(self._inputs.values()),
            list(self._outputs.values()),
            self._constants,
        )
        opsets = [helper.make_opsetid(*pair) for pair in OPSETS.items()]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
            producer_name="skmtl",
            producer_version=version,
        )
        helper.set_model_props(model, dict(metadata))
        return model

    # Some functions of several nodes ----------------------------------------------

    def cast(self, x: str, dtype: Any) -> str:
        """Cast to another dtype."""
        return self("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, x: str, *shape: int) -> str:
        """Reshape; 0 keeps the size of an axis."""
        return self("Reshape", x, np.array(shape, dtype=np.int64))

    def sum(self, x: str, *axes: int, keepdims: bool = True) -> str:
        """Sum over axes."""
        over = np.array(axes, dtype=np.int64)
        return self("ReduceSum", x, over, keepdims=int(keepdims))

    def swapped(self, x: str) -> str:
        """Swap the first two of three axes."""
        return self("Transpose", x, perm=[1, 0, 2])

    def take(self, x: str, positions: Any, axis: int) -> str:
        """Take some positions along an axis; a single number removes the axis."""
        return self("Gather", x, np.asarray(positions, dtype=np.int64), axis=axis)

    def concat(self, parts: Sequence[str], axis: int) -> str:
        """Concatenate along an axis."""
        return parts[0] if len(parts) == 1 else self("Concat", *parts, axis=axis)

    def stack(self, parts: Sequence[str], axis: int) -> str:
        """Stack along a new axis."""
        new = np.array([axis], dtype=np.int64)
        return self.concat([self("Unsqueeze", part, new) for part in parts], axis)

    def without_nan(self, x: str) -> str:
        """Replace NaN by 0, in float64."""
        return self("Where", self("IsNaN", x), np.float64(0), x)

    def zero_or_nan(self, x: str, *axes: int) -> str:
        """Return 0, or NaN if there is NaN or infinity along the axes."""
        return self.sum(self("Mul", x, self("CastLike", 0.0, x)), *axes)


def _value(name: str, dtype: Any, shape: Sequence[int]) -> Any:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, element, ["batch", *shape])


def tensor(array: NDArray) -> Any:
    """Convert an array to a tensor, for an attribute."""
    return numpy_helper.from_array(array)
