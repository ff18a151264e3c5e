"""Cases for MultiTaskNetClassifier: words that hypothesis draws, arrays of a seed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from hypothesis import strategies as st
from scipy import sparse

FLOATS = ["float64", "float32", "float16"]
INTEGERS = ["int64", "int16", "int8", "uint8"]
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Case:
    """What is drawn. It is small, so that hypothesis can shrink it, and says it all."""

    seed: int
    n_rows: int
    n_columns: int
    n_tasks: int
    values: str  # of X
    dtype: str
    missing_values: str
    n_categories: int  # the first columns of X
    x_form: str
    other_form: str  # for a prediction of the same X
    labels: tuple[str, ...]  # taken in turn by the tasks
    missing: str
    y_form: str
    is_1d: bool
    sample_weight: str
    task_weight: str
    class_weight: str
    flaw: str
    parameters: dict[str, Any] = field(hash=False)


seldom = st.integers(0, 15).map(lambda number: number == 15)


# X: numbers -----------------------------------------------------------------------

VALUES: dict[str, Callable] = {
    "normal": lambda x, rng: x,
    "scales": lambda x, rng: x * 10.0 ** rng.integers(-9, 10, size=x.shape[1]),
    "few": lambda x, rng: np.rint(x),
    "mostly zero": lambda x, rng: x * (rng.random(x.shape) < 0.1),
    "duplicated rows": lambda x, rng: x[rng.integers(1 + len(x) // 4, size=len(x))],
    "constant": lambda x, rng: np.tile(x[:1], (len(x), 1)),
    "zeros": lambda x, rng: np.zeros_like(x),
    "outliers": lambda x, rng: np.where(
        rng.random(x.shape) < 0.1, np.copysign(1e30, x), x
    ),
    "float32 ends": lambda x, rng: np.copysign(3e38, x),
    "float64 ends": lambda x, rng: np.copysign(1e308, x),
    "denormal": lambda x, rng: x * 1e-310,
    "denormal float32": lambda x, rng: x * 1e-41,
}
MISSING_VALUES: dict[str, Callable] = {
    "none": lambda shape, rng: np.zeros(shape, bool),
    "some": lambda shape, rng: rng.random(shape) < 0.2,
    "rows": lambda shape, rng: np.tile(rng.random((shape[0], 1)) < 0.3, (1, shape[1])),
    "columns": lambda shape, rng: np.tile(rng.random(shape[1]) < 0.3, (shape[0], 1)),
    "all": lambda shape, rng: np.ones(shape, bool),
}


def make_numbers(case: Case, rng: np.random.Generator) -> np.ndarray:
    """(n, d) float64, of the values that the dtype has; a category is its code."""
    x = rng.normal(size=(case.n_rows, case.n_columns))
    codes = rng.integers(5, size=(case.n_rows, case.n_categories))
    x = _cast(VALUES[case.values](x, rng), case.dtype)
    x[:, : case.n_categories] = codes
    if case.flaw == "infinity":
        x[rng.integers(case.n_rows), -1] = np.inf
    x[MISSING_VALUES[case.missing_values](x.shape, rng)] = np.nan
    if case.flaw == "infinity" and not np.isinf(x).any():
        x[0, -1] = np.inf
    return x


def _cast(x: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bool":
        return (x > 0).astype(np.float64)
    if dtype in INTEGERS:
        info = np.iinfo(dtype)
        x = np.rint(2 * x.clip(-(2.0**50), 2.0**50))
        return x.clip(max(info.min, -(2**53)), min(info.max, 2**53))
    with np.errstate(over="ignore", under="ignore"):
        return x.astype(dtype).astype(np.float64)


# X: containers --------------------------------------------------------------------


def _strided(x: np.ndarray) -> np.ndarray:
    return np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3]


def _read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def _with_duplicates(x: np.ndarray) -> sparse.coo_array:
    """Each entry in two halves, where halves are exact."""
    once = sparse.coo_array(x)
    if x.dtype.kind != "f" or np.abs(x[np.isfinite(x)]).min(initial=1) < 1e-30:
        return once
    entries = np.tile(once.row, 2), np.tile(once.col, 2)
    return sparse.coo_array((np.tile(once.data / 2, 2), entries), shape=x.shape)


ARRAYS: dict[str, Callable] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": _read_only,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
}
SPARSE: dict[str, Callable] = {
    "csr array": sparse.csr_array,
    "csr matrix": sparse.csr_matrix,
    "csc array": sparse.csc_array,
    "csc matrix": sparse.csc_matrix,
    "coo array": sparse.coo_array,
    "coo matrix": sparse.coo_matrix,
    "coo with duplicates": _with_duplicates,
    "sparse frame": lambda x: pd.DataFrame.sparse.from_spmatrix(
        sparse.csr_array(x), columns=_x_names(x.shape[1])
    ),
}
OBJECTS = ["list", "object", "masked"]
OF_POLARS: dict[str, Callable] = {
    "polars": lambda frame: frame,
    "pyarrow": lambda frame: frame.to_arrow(),
    "pandas arrow": lambda frame: frame.to_pandas(use_pyarrow_extension_array=True),
}
FRAMES = ["pandas", "pandas nullable", "pandas object", *OF_POLARS]
# Forms that can have categories, and missing values among integers.
TABLES = ["object", *FRAMES]
NULLABLE_DTYPES = {
    "bool": "boolean",
    "float64": "Float64",
    "float32": "Float32",
    "int64": "Int64",
    "int16": "Int16",
    "int8": "Int8",
    "uint8": "UInt8",
}
NULLABLE = [*OBJECTS, "pandas nullable", "pandas object", *OF_POLARS]


def _x_names(n_columns: int) -> list[str]:
    return [f"x{j}" for j in range(n_columns)]


def make_x(form: str, numbers: np.ndarray, case: Case) -> Any:
    """The numbers in one of the forms above."""
    dtype, k = np.dtype(case.dtype), case.n_categories
    if form in ARRAYS:
        return ARRAYS[form](_as_dtype(numbers, dtype))
    if form in SPARSE:  # scipy knows no float16
        dtype = np.dtype(np.float32) if dtype == np.float16 else dtype
        return SPARSE[form](_as_dtype(numbers, dtype))
    if form == "masked":
        missing = np.isnan(numbers)
        junk = _as_dtype(np.where(missing, 1, numbers), dtype)
        return np.ma.array(junk, mask=missing)
    if form in OBJECTS:
        rows = _as_objects(numbers, dtype)
        rows[:, :k] = _category_values(numbers[:, :k], case)
        return rows.tolist() if form == "list" else rows
    make = _polars_column if form in OF_POLARS else _pandas_column
    names = _x_names(numbers.shape[1])
    columns = {
        name: make(
            column, _category_values(column, case) if j < k else None, form, dtype
        )
        for j, (name, column) in enumerate(zip(names, numbers.T, strict=True))
    }
    if form in OF_POLARS:
        return OF_POLARS[form](pl.DataFrame(columns))
    return pd.DataFrame(columns)


def _as_dtype(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    fits = dtype.kind == "f" or np.isfinite(numbers).all()
    return numbers.astype(dtype) if fits else numbers.copy()


def _as_objects(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Python's numbers, with three kinds of missing values."""
    missing = np.isnan(numbers)
    kept = np.where(missing, 0, numbers)
    objects = _as_dtype(kept, dtype).astype(object)
    objects[missing] = np.resize(np.array([None, np.nan, pd.NA], object), missing.sum())
    return objects


def _category_values(codes: np.ndarray, case: Case) -> np.ndarray:
    """Texts, or numbers, for codes; None for NaN."""
    kept = np.nan_to_num(codes).astype(int)
    # The categories of polars are texts.
    has_polars = not {case.x_form, case.other_form}.isdisjoint(OF_POLARS)
    are_texts = has_polars or case.seed % 2 == 0
    values = np.array(list("yzabc"), object)[kept] if are_texts else kept.astype(object)
    values[np.isnan(codes)] = None
    return values


def _pandas_column(
    column: np.ndarray, category: np.ndarray | None, form: str, dtype: np.dtype
) -> Any:
    if category is not None:
        return pd.Categorical(category)
    if form == "pandas":
        return _as_dtype(column, dtype)
    missing = np.isnan(column)
    if form == "pandas object":
        return pd.Series(_as_objects(column, dtype), dtype=object)
    kept = _as_dtype(np.where(missing, 0, column), dtype)
    if dtype == np.float16:  # pandas has no nullable one
        kept = kept.astype(np.float32)
    array = pd.array(kept, dtype=NULLABLE_DTYPES[kept.dtype.name])
    array[missing] = pd.NA
    return pd.Series(array)


def _polars_column(
    column: np.ndarray, category: np.ndarray | None, form: str, dtype: np.dtype
) -> pl.Series:
    if category is not None:
        return pl.Series(category.tolist(), dtype=pl.Categorical)
    missing = np.isnan(column)
    kept = _as_dtype(np.where(missing, 0, column), dtype)
    if dtype == np.float16:
        kept = kept.astype(np.float32)
    return (
        pl.Series(kept)
        .to_frame("x")
        .select(pl.when(pl.Series(~missing)).then(pl.col("x")))
        .to_series()
    )


# y --------------------------------------------------------------------------------

LABELS: dict[str, list] = {
    "zero-one": [0, 1],
    "boolean": [False, True],
    "text": ["b", "a", "c"],
    "three": [0, 1, 2],
    "negative": [-5, -1, 7],
    "many": list(range(-20, 20)),
    "hundreds": list(range(500)),
    "one class": [3],
    "large": [2**40, -(2**40)],
    "odd text": ["", "NA", " é", "a" * 50],
}
TEXTS = {"text", "odd text"}


@dataclass(frozen=True)
class Truth:
    """Labels as Python's values in an object array (n, t); None where missing."""

    labels: np.ndarray
    names: list[str]

    @property
    def observed(self) -> np.ndarray:
        return np.not_equal(self.labels, None)


def make_truth(case: Case, rng: np.random.Generator) -> Truth:
    shape = case.n_rows, case.n_tasks
    labels = np.empty(shape, object)
    for t in range(case.n_tasks):
        classes = LABELS[kind_of_task(case, t)]
        labels[:, t] = [classes[i] for i in rng.integers(len(classes), size=shape[0])]
    labels[_missing(case.missing, shape, rng)] = None
    prefix = "question " if case.y_form in Y_FRAMES and not case.is_1d else "task_"
    return Truth(labels, [f"{prefix}{t}" for t in range(case.n_tasks)])


def kind_of_task(case: Case, task: int) -> str:
    return case.labels[task % len(case.labels)]


def _missing(pattern: str, shape: tuple, rng: np.random.Generator) -> np.ndarray:
    if pattern == "one left":
        missing = np.ones(shape, bool)
        missing[rng.integers(shape[0]), rng.integers(shape[1])] = False
        return missing
    shares = {"some": 0.3, "most": 0.95, "all": 1.0, "none": 0.0}
    if pattern in shares:
        return rng.random(shape) < shares[pattern]
    axis = {"rows": (shape[0], 1), "tasks": (1, shape[1])}[pattern]
    return np.broadcast_to(rng.random(axis) < 0.4, shape)


Y_FRAMES = ["pandas", "nullable", "category", "arrow", "polars", "polars enum"]


def _nullable(column: np.ndarray) -> Any:
    kinds = {type(label) for label in column if label is not None}
    dtype = {bool: "boolean", int: "Int64", str: "string"}
    (kind,) = kinds or {int}
    return pd.array(column, dtype=dtype[kind])


def _enum(column: np.ndarray) -> pl.Series:
    texts = sorted({label for label in column if label is not None})
    if texts and not isinstance(texts[0], str):
        return pl.Series(column.tolist())
    return pl.Series(column.tolist(), dtype=pl.Enum(texts))


Y_COLUMNS: dict[str, Callable] = {
    "pandas": lambda column: pd.Series(column, dtype=object),
    "nullable": lambda column: pd.Series(_nullable(column)),
    "category": lambda column: pd.Series(pd.Categorical(column)),
    "arrow": lambda column: pl.Series(column.tolist()).to_pandas(
        use_pyarrow_extension_array=True
    ),
    "polars": lambda column: pl.Series(column.tolist()),
    "polars enum": _enum,
}


def _masked(labels: np.ndarray) -> np.ma.MaskedArray:
    missing = np.equal(labels, None)
    some = next((label for label in labels.ravel() if label is not None), 0)
    filled = labels.copy()
    filled[missing] = some
    are_numbers = all(isinstance(label, int) for label in filled.ravel())
    return np.ma.array(filled.astype(int) if are_numbers else filled, mask=missing)


def _with_many_holes(labels: np.ndarray) -> np.ndarray:
    missing = np.equal(labels, None)
    labels = labels.copy()
    labels[missing] = np.resize(
        np.array([None, np.nan, pd.NA, pd.NaT], object), missing.sum()
    )
    return labels


def _as_floats(labels: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    return np.where(np.equal(labels, None), np.nan, labels).astype(dtype)


# Of the object array: (n, t), or (n,).
Y_ARRAYS: dict[str, Callable] = {
    "object": _with_many_holes,
    "list": lambda labels: labels.tolist(),
    "masked": _masked,
    "float": _as_floats,
    "float32": lambda labels: _as_floats(labels, np.float32),
    "integer": lambda labels: labels.astype(np.int64),
    "sparse": lambda labels: sparse.csr_array(labels.astype(np.int64)),
    "bool": lambda labels: labels.astype(bool),
    "text": lambda labels: labels.astype(str),
    "StringDType": lambda labels: labels.astype(np.dtypes.StringDType()),
    "F": np.asfortranarray,
}


def make_y(case: Case, truth: Truth) -> Any:
    labels = truth.labels
    if case.y_form in Y_ARRAYS:
        return Y_ARRAYS[case.y_form](labels[:, 0] if case.is_1d else labels)
    columns = [Y_COLUMNS[case.y_form](column) for column in labels.T]
    if case.is_1d:
        return columns[0]
    frame = pl.DataFrame if case.y_form.startswith("polars") else pd.DataFrame
    return frame(dict(zip(truth.names, columns, strict=True)))


def _y_forms(labels: tuple[str, ...], missing: str, is_1d: bool) -> list[str]:
    """Those that can hold such labels."""
    forms = ["object", "list", "masked", "F", *Y_FRAMES]
    if TEXTS.isdisjoint(labels):
        forms += ["float", "float32"]
        if missing == "none":
            forms += ["integer"] if is_1d else ["integer", "sparse"]
    if missing == "none":
        if set(labels) == {"boolean"}:
            forms.append("bool")
        if set(labels) <= TEXTS:
            forms += ["text", "StringDType"]
    return forms


# Weights --------------------------------------------------------------------------

ROW_WEIGHTS = ["rows", "rows with zeros", "huge", "tiny"]
LABEL_WEIGHTS = ["labels", "labels with zeros", "frame"]


def make_sample_weight(case: Case, truth: Truth, rng: np.random.Generator) -> Any:
    if case.flaw == "negative weight":
        return np.full(case.n_rows, -1.0)
    if case.sample_weight == "none":
        return None
    by_label = case.sample_weight in LABEL_WEIGHTS
    shape = truth.labels.shape if by_label else case.n_rows
    weights = rng.uniform(0.1, 3.0, size=shape)
    weights *= {"huge": 1e30, "tiny": 1e-30}.get(case.sample_weight, 1.0)
    if case.sample_weight.endswith("zeros"):
        weights *= rng.random(shape) < 0.5
    if case.sample_weight == "frame":
        return pd.DataFrame(weights, columns=truth.names)
    return weights


def make_task_weight(case: Case, truth: Truth, rng: np.random.Generator) -> Any:
    if case.task_weight == "array":
        return rng.choice([0.0, 0.5, 1.0, 2.0, 9.0], size=case.n_tasks)
    if case.task_weight == "dict":
        return {truth.names[0]: 3.0, truth.names[-1]: 0.1}
    return None if case.task_weight == "none" else case.task_weight


def make_class_weight(case: Case, truth: Truth, rng: np.random.Generator) -> Any:
    if case.class_weight in ("dict", "dict with zeros"):
        choices = [0.5, 1, 4.0, 0.0 if case.class_weight == "dict with zeros" else 9.0]
        by_task = {
            name: {
                label: float(rng.choice(choices)) for label in observed_classes(column)
            }
            for name, column in zip(truth.names, truth.labels.T, strict=True)
        }
        return by_task[truth.names[0]] if case.is_1d else by_task
    return None if case.class_weight == "none" else case.class_weight


def observed_classes(column: np.ndarray) -> list:
    return sorted({label for label in column if label is not None})


# What is wrong now and then, and how the error begins ------------------------------

FLAWS = {
    "infinity": "infinity",
    "text in X": "could not convert|must be numbers",
    "one row less in y": "inconsistent numbers of samples",
    "three axes in y": "one axis .* or two",
    "continuous label": "Unknown label type: continuous",
    "infinite label": "contains infinity in task",
    "mixed labels": "must all be numbers, all strings or all booleans",
    "no y": "requires y to be passed",
    "negative weight": "sample_weight must not be negative",
    "weight of another shape": "sample_weight must have shape",
    "unknown task": "must be keyed by task names",
    "dropout of 1": "The 'dropout' parameter .* must be",
    "empty layer": "hidden_layer_sizes must be",
    "no rows": r"0 sample\(s\)",
    "deep freeze": "freeze",
}


def spoil(case: Case, X: Any, y: Any, weight: Any, parameters: dict) -> tuple:
    """The flaw of the case, if it is none of X's numbers or of the weights."""
    flat = [0.5] * case.n_rows if case.is_1d else [[0.5]] * case.n_rows
    spoiled_y = {
        "one row less in y": lambda: y[:-1],
        "three axes in y": lambda: np.zeros((case.n_rows, 1, 1)),
        "continuous label": lambda: np.array(flat),
        "infinite label": lambda: np.array(flat) * np.inf,
        "mixed labels": lambda: [["a"]] + [[1]] * case.n_rows,
        "no y": lambda: None,
    }
    y = spoiled_y.get(case.flaw, lambda: y)()
    if case.flaw == "text in X":
        X = np.full((case.n_rows, case.n_columns), "text", dtype=object)
    if case.flaw == "mixed labels":
        X = np.zeros((case.n_rows + 1, 1))
    if case.flaw == "no rows":
        X, y = np.zeros((0, 2)), np.zeros((0, 2))
    if case.flaw == "weight of another shape":
        weight = np.ones(case.n_rows + 1)
    changes = {
        "unknown task": {"task_weight": {"nobody": 1.0}},
        "dropout of 1": {"dropout": 1.0},
        "empty layer": {"hidden_layer_sizes": (3, 0)},
        "deep freeze": {"freeze": 9, "early_stopping": False},
    }
    return X, y, weight, parameters | changes.get(case.flaw, {})


# The strategy ---------------------------------------------------------------------

PARAMETERS = {
    "sharing": st.sampled_from(["hard", "none"]),
    "solver": st.sampled_from(["auto", "adam", "sgd"]),
    "hidden_layer_sizes": st.sampled_from([(), (1,), (8,), (6, 5)]),
    "head_hidden_layer_sizes": st.sampled_from([(), (), (3,)]),
    "activation": st.sampled_from(
        ["relu", "tanh", "gelu", "silu", "logistic", "identity"]
    ),
    "n_bins": st.sampled_from([8, 1, 2, 255]),
    "n_members": st.integers(1, 3),
    "dropout": st.sampled_from(["auto", 0.0, 0.5, 0.95]),
    "input_dropout": st.sampled_from([0.2, 0.0, 0.9]),
    "batch_size": st.sampled_from(["auto", 16, 1000]),
    "learning_rate": st.sampled_from(["cosine", "constant"]),
    "learning_rate_init": st.sampled_from(["auto"] * 4 + [0.001, 0.1, 10.0, 1e-30]),
    "alpha": st.sampled_from(["auto", 0.0, 1e-4, 1.0]),
    "max_iter": st.integers(0, 3),
    "shuffle": st.booleans(),
    "early_stopping": st.sampled_from([False, False, True]),
    "validation_fraction": st.sampled_from([0.1, 0.5, 0.9]),
    "n_iter_no_change": st.sampled_from([10, 1]),
    "tol": st.sampled_from([1e-4, 0.0, 10.0]),
    "random_state": st.integers(0, 3),
}


@st.composite
def cases(draw: Callable) -> Case:
    """Most are legal; what is drawn together fits together."""
    # Few rows, columns and tasks are the odd cases, many only take longer.
    n_rows = draw(st.one_of(st.integers(1, 12), st.integers(13, 300)))
    n_columns = draw(st.one_of(st.integers(1, 4), st.integers(5, 50)))
    n_tasks = draw(st.one_of(st.integers(1, 4), st.integers(5, 30)))
    x_form = draw(st.sampled_from([*ARRAYS, *SPARSE, *TABLES, *OBJECTS, *FRAMES]))
    is_dense, is_careless = x_form not in SPARSE, draw(seldom)
    dtype = draw(st.sampled_from([*FLOATS, *INTEGERS, "bool"]))
    can_miss = dtype in FLOATS or x_form in NULLABLE
    encodings = ["auto", "none"] + ["piecewise"] * is_dense
    encoding = draw(st.sampled_from(encodings))
    if is_careless:
        encoding = draw(st.sampled_from(["piecewise", "none"]))
    is_encoded = is_dense and encoding != "none"
    missing_values, n_categories = "none", 0
    if can_miss and (is_encoded or is_careless):
        missing_values = draw(st.sampled_from(["none", *MISSING_VALUES]))
    if x_form in TABLES and (is_encoded or is_careless):
        n_categories = draw(st.integers(0, min(3, n_columns)))
    flaws = st.sampled_from(list(FLAWS))  # what is put in X is no category
    labels = draw(_label_kinds())
    patterns = ["none", "some", "most", "rows", "tasks"]
    if draw(seldom):
        patterns = ["one left", "all"]
    missing = draw(st.sampled_from(patterns))
    is_1d = n_tasks == 1 and draw(st.booleans())
    others = TABLES if n_categories else [*ARRAYS, *SPARSE, *TABLES, *OBJECTS]
    return Case(
        seed=draw(st.integers(0, 2**20)),
        n_rows=n_rows,
        n_columns=n_columns,
        n_tasks=n_tasks,
        values=draw(st.sampled_from(list(VALUES))),
        dtype=dtype,
        missing_values=missing_values,
        n_categories=n_categories,
        x_form=x_form,
        other_form=draw(st.sampled_from(others)),
        labels=labels,
        missing=missing,
        y_form=draw(st.sampled_from(_y_forms(labels, missing, is_1d))),
        is_1d=is_1d,
        sample_weight=draw(st.sampled_from(["none"] * 5 + ROW_WEIGHTS + LABEL_WEIGHTS)),
        task_weight=draw(
            st.sampled_from(["none", "none", "balanced", "array", "dict"])
        ),
        class_weight=draw(
            st.sampled_from(["none", "none", "balanced", "dict", "dict with zeros"])
        ),
        flaw=draw(flaws) if n_categories == 0 and draw(seldom) else "none",
        parameters=draw(st.fixed_dictionaries(PARAMETERS))
        | {"input_encoding": encoding},
    )


def _label_kinds() -> st.SearchStrategy:
    return st.lists(st.sampled_from(list(LABELS)), min_size=1, max_size=4).map(tuple)
