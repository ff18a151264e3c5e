"""The rows of X in a graph: one numeric matrix, or one value per column."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from numbers import Real
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmtl._inputs import InputColumns
from skmtl._messages import shorten
from skmtl._onnx._graph import Graph, tensor

Codes = Mapping[Any, int]
# A missing category in text, and the texts that onnxruntime makes of None, NaN, pd.NA.
MISSING = ("", "None", "nan", "<NA>")


@dataclass(frozen=True)
class Rows:
    """Names of values in a graph."""

    graph: Graph
    matrix: str | None  # (n, n_features), or None if there is one value per column
    columns: Sequence[str] = ()  # (n, 1) each
    are_text: Sequence[bool] = ()

    def numbers(self, positions: Sequence[int] | NDArray | None, dtype: Any) -> str:
        """Return (n, n_columns): some columns, or all numeric ones."""
        graph = self.graph
        if self.matrix is not None:
            x = graph.cast(self.matrix, dtype)
            return x if positions is None else graph.take(x, positions, axis=1)
        if positions is None:
            positions = [j for j, is_text in enumerate(self.are_text) if not is_text]
        columns = [graph.cast(self.columns[int(j)], dtype) for j in positions]
        return graph.concat(columns, axis=1)

    def zeros(self) -> str:
        """Return (n, 1) zeros of float32."""
        any_column = self.columns[0] if self.matrix is None else self.matrix
        n_rows = self.graph("Shape", any_column, start=0, end=1)
        shape = self.graph.concat([n_rows, self.graph.constant(np.array([1]))], axis=0)
        return self.graph("ConstantOfShape", shape)

    @property
    def has_numbers(self) -> bool:
        """Whether any column is numeric."""
        return self.matrix is not None or not all(self.are_text)

    def indices(self, j: int, codes: Codes, *, missing: int, unknown: int) -> str:
        """Return (n, 1): the code of each category of a column."""
        if self.matrix is None and self.are_text[j]:
            texts = dict.fromkeys(MISSING, missing)
            texts |= {str(category): code for category, code in codes.items()}
            return self.graph(
                "LabelEncoder",
                self.columns[j],
                keys_strings=list(texts),
                values_int64s=list(texts.values()),
                default_int64=unknown,
            )
        check_numbers(codes, j)
        x = self.numbers([j], np.float64)
        index = self.graph(
            "LabelEncoder",
            x,
            keys_tensor=tensor(np.array([float(category) for category in codes])),
            values_tensor=tensor(np.array(list(codes.values()), dtype=np.int64)),
            default_tensor=tensor(np.array([unknown], dtype=np.int64)),
        )
        return self.graph("Where", self.graph("IsNaN", x), np.int64(missing), index)


# The inputs of the graph --------------------------------------------------------------


def inputs_of_networks(
    graph: Graph, networks: Sequence[Any], given: NDArray | None
) -> Rows:
    """Add the inputs of networks that were fitted on columns of the same kinds."""
    columns: InputColumns = networks[0]._columns
    n_features = networks[0].n_features_in_
    if networks[0].trunk is not None:
        shape = columns.row_shape or (n_features,)
        dtype: Any = np.uint8 if columns.is_uint8 else np.float32
        x = graph.input("X", dtype, shape)
        return Rows(graph, graph.reshape(x, 0, prod(shape)))
    if not columns.categories:
        dtype = np.float64 if columns.encoding == "piecewise" else np.float32
        return Rows(graph, graph.input("X", dtype, (n_features,)))
    names = column_names(given, n_features)
    are_text = [False] * n_features
    for j in columns.categories:
        known = [c for net in networks for c in net._columns.categories[j]]
        are_text[j] = is_text(known, names[j])
    return inputs_of_columns(graph, names, are_text)


def inputs_of_table(
    graph: Graph, X: Any, n_features: int, names: Sequence[str] | NDArray | None
) -> Rows:
    """Add inputs with the types of the columns of `X`; numbers if X is None."""
    are_text = [False] * n_features
    if X is not None and not sparse.issparse(X):
        columns = _columns_of(X, n_features, names)
        are_text = [any(isinstance(x, str) for x in column) for column in columns]
    if any(are_text):
        return inputs_of_columns(graph, column_names(names, n_features), are_text)
    return Rows(graph, graph.input("X", np.float64, (n_features,)))


def _columns_of(
    X: Any, n_features: int, names: Sequence[str] | NDArray | None
) -> list[Any]:
    """Return the columns of X; skrub's names of them are a list."""
    X = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(X, nw.DataFrame):
        columns: list[Any] = [X[:, j] for j in range(X.shape[1])]
        is_other = names is not None and X.columns != list(names)
    else:
        columns, is_other = list(np.asarray(X, dtype=object).T), False
    if is_other or len(columns) != n_features:
        got = shorten(X.columns) if is_other else len(columns)
        raise ValueError(
            f"X must have the same {n_features} columns as in fit, in the same order; "
            f"got {got}. Pass rows of the same table."
        )
    return columns


def inputs_of_columns(
    graph: Graph, names: Sequence[str], are_text: Sequence[bool]
) -> Rows:
    """Add an input for each column."""
    columns = [
        graph.input(name, object if text else np.float64, (1,))
        for name, text in zip(names, are_text, strict=True)
    ]
    return Rows(graph, None, columns, are_text)


def column_names(names: Sequence[str] | NDArray | None, n_features: int) -> list[str]:
    """Return the names of X, or numbered names as in scikit-learn."""
    if names is None:
        return [f"x{j}" for j in range(n_features)]
    return [str(name) for name in names]


def is_text(categories: Sequence[Any], name: str) -> bool:
    """Whether the categories of a column are text; otherwise, they are numbers."""
    if all(isinstance(category, str) for category in categories):
        return True
    if all(_is_number(category) for category in categories):
        return False
    raise ValueError(
        "Categories must be text, or numbers that float64 represents exactly, to "
        f"become inputs of an ONNX graph; column {name!r} has {shorten(categories)}. "
        "Convert the column to text, for example with astype(str), and fit again."
    )


def check_numbers(categories: Iterable[Any], j: int) -> None:
    """Raise if the categories of a numeric column are not all numbers."""
    if not all(map(_is_number, categories)):
        raise ValueError(
            "In ONNX, the steps before the network must give it a numeric matrix, but "
            f"the network has learned the categories {shorten(categories)} of column "
            f"{j}. Encode them, for example with OrdinalEncoder, or use no steps "
            "before the network."
        )


def _is_number(category: Any) -> bool:
    return isinstance(category, Real) and float(category) == category
