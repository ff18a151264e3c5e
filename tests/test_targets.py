import re
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from _targets import decode_targets, encode_targets
from numpy.testing import assert_array_equal
from scipy import sparse

from skmtl._targets import (
    _containers as containers,
)
from skmtl._targets import (
    check_labelled,
    encode_new_tasks,
)
from skmtl.metrics import multitask_score
from skmtl.model_selection import MultiTaskStratifiedKFold

H = None  # a missing label, in tables below


def codes_of(y, **kwargs):
    return encode_targets(y, **kwargs)[1].tolist()


def classes_of(y, **kwargs):
    return [c.tolist() for c in encode_targets(y, **kwargs)[0].classes]


NUMBERS = [[0, 1], [H, 1], [1, H]]
NUMBER_CODES = [[0, 1], [-1, 1], [1, -1]]


def as_frame(rows, dtype):
    return pd.DataFrame({"a": [r[0] for r in rows], "b": [r[1] for r in rows]}).astype(
        dtype
    )


CONTAINERS = {
    "float array": np.array(NUMBERS, dtype=float),
    "float32 array": np.array(NUMBERS, dtype=np.float32),
    "object array": np.array(NUMBERS, dtype=object),
    "object array, NaN": np.array([[0, 1], [np.nan, 1], [1, np.nan]], dtype=object),
    "object array, pd.NA": np.array([[0, 1], [pd.NA, 1], [1, pd.NaT]], dtype=object),
    "list": NUMBERS,
    "tuples": tuple(tuple(row) for row in NUMBERS),
    "list of arrays": [np.array(row, dtype=float) for row in NUMBERS],
    "Fortran order": np.asfortranarray(np.array(NUMBERS, dtype=float)),
    "masked array": np.ma.masked_array(
        [[0, 1], [7, 1], [1, 7]], [[False, False], [True, False], [False, True]]
    ),
    "list of masked arrays": [
        np.ma.masked_array([0, 1], [False, False]),
        np.ma.masked_array([7, 1], [True, False]),
        np.ma.masked_array([1, 7], [False, True]),
    ],
    "matrix": np.asmatrix(np.array(NUMBERS, dtype=float)),
    "frame float": as_frame(NUMBERS, float),
    "frame object": as_frame(NUMBERS, object),
    "frame Int64": as_frame(NUMBERS, "Int64"),
    "frame Float64": as_frame(NUMBERS, "Float64"),
    "frame boolean": as_frame(NUMBERS, "boolean"),
    "frame int64[pyarrow]": as_frame(NUMBERS, "int64[pyarrow]"),
    "frame double[pyarrow]": as_frame(NUMBERS, "double[pyarrow]"),
    "frame category": as_frame(NUMBERS, "category"),
    "frame mixed": as_frame(NUMBERS, {"a": "Int64", "b": float}),
    "polars": pl.DataFrame({"a": [0, H, 1], "b": [1, 1, H]}),
    "polars float": pl.DataFrame({"a": [0.0, H, 1.0], "b": [1.0, 1.0, float("nan")]}),
    "polars boolean": pl.DataFrame({"a": [False, H, True], "b": [True, True, H]}),
}


@pytest.mark.parametrize("y", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_numbers_with_holes_mean_the_same_in_every_container(y):
    tasks, codes = encode_targets(y)
    assert codes.tolist() == NUMBER_CODES
    # Only 1 was seen in "b", but within {0, 1} each task has both classes.
    assert [c.tolist() for c in tasks.classes] == [[0, 1], [0, 1]]
    assert not tasks.is_1d


TEXT = [["x", "u"], [H, "v"], ["y", H]]
TEXT_CONTAINERS = {
    "object array": np.array(TEXT, dtype=object),
    "object array, NaN": np.array([["x", "u"], [np.nan, "v"], ["y", pd.NA]], object),
    "list": TEXT,
    "list with NaN": [["x", "u"], [float("nan"), "v"], ["y", float("nan")]],
    "frame object": as_frame(TEXT, object),
    # Before pandas 3, "str" turned None into text.
    "frame str": as_frame(TEXT, "str" if pd.__version__ >= "3" else object),
    "frame string": as_frame(TEXT, "string"),
    "frame string[pyarrow]": as_frame(TEXT, "string[pyarrow]"),
    "frame category": as_frame(TEXT, "category"),
    "masked array": np.ma.masked_array(
        [["x", "u"], ["?", "v"], ["y", "?"]], [[0, 0], [1, 0], [0, 1]]
    ),
    "polars": pl.DataFrame({"a": ["x", H, "y"], "b": ["u", "v", H]}),
    "polars categorical": pl.DataFrame(
        {"a": ["x", H, "y"], "b": ["u", "v", H]},
        schema={"a": pl.Categorical, "b": pl.Categorical},
    ),
}


@pytest.mark.parametrize("y", TEXT_CONTAINERS.values(), ids=TEXT_CONTAINERS.keys())
def test_text_with_holes_means_the_same_in_every_container(y):
    tasks, codes = encode_targets(y)
    assert codes.tolist() == [[0, 0], [-1, 1], [1, -1]]
    assert [c.tolist() for c in tasks.classes] == [["x", "y"], ["u", "v"]]
    decoded = decode_targets(np.array([[0, 1], [1, 0]]), tasks)
    assert decoded.tolist() == [["x", "v"], ["y", "u"]]


@pytest.mark.parametrize(
    "y",
    [
        [1, None, 2],
        np.array([1, np.nan, 2]),
        pd.Series([1, pd.NA, 2], dtype="Int64"),
        pl.Series([1, None, 2]),
        np.ma.masked_array([1, 9, 2], [0, 1, 0]),
    ],
    ids=["list", "array", "pandas", "polars", "masked"],
)
def test_one_axis(y):
    tasks, codes = encode_targets(y)
    assert tasks.is_1d
    assert codes.tolist() == [[0], [-1], [1]]
    assert decode_targets(codes[[0, 2]], tasks).tolist() == [1, 2]


def test_sparse_targets_are_fully_observed():
    for make in (sparse.csr_array, sparse.csc_matrix):
        tasks, codes = encode_targets(make(np.array([[0, 2], [1, 0]])))
        assert codes.tolist() == [[0, 1], [1, 0]]
        assert [c.tolist() for c in tasks.classes] == [[0, 1], [0, 2]]


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr"])
@pytest.mark.parametrize("make", [sparse.coo_array, sparse.coo_matrix])
def test_entries_of_sparse_targets_may_be_zero_or_missing(form, make):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, size=(60, 3)).astype(float)
    y[rng.random(y.shape) < 0.3] = np.nan
    rows, columns = np.indices(y.shape).reshape(2, -1)
    p = rng.random(y.shape)
    tasks, codes = encode_targets(y)
    folds = [test.tolist() for _, test in MultiTaskStratifiedKFold(3).split(y, y)]
    for is_stored in (np.ones(y.size, bool), (y.ravel() != 0) | (p.ravel() < 0.5)):
        entries = y.ravel()[is_stored], (rows[is_stored], columns[is_stored])
        table = make(entries, shape=y.shape).asformat(form)
        found, found_codes = encode_targets(table)
        assert_array_equal(found_codes, codes)
        assert [c.tolist() for c in found.classes] == [
            c.tolist() for c in tasks.classes
        ]
        assert multitask_score("roc_auc", table, p) == multitask_score("roc_auc", y, p)
        splits = MultiTaskStratifiedKFold(3).split(y, table)
        assert [test.tolist() for _, test in splits] == folds


def test_every_column_keeps_its_own_kind_of_label():
    y = pd.DataFrame(
        {
            "int": pd.array([3, None, 5], dtype="Int64"),
            "bool": pd.array([True, None, False], dtype="boolean"),
            "float": [1.0, np.nan, 2.0],
            "str": ["b", None, "a"],
            "enum": pd.Categorical(["lo", None, "lo"], categories=["lo", "hi"]),
        }
    )
    tasks, codes = encode_targets(y)
    assert classes_of(y) == [[3, 5], [False, True], [1, 2], ["a", "b"], ["hi", "lo"]]
    assert codes.tolist() == [[0, 1, 0, 1, 1], [-1] * 5, [1, 0, 1, 0, 1]]
    decoded = decode_targets(codes[[0]], tasks)
    assert decoded.dtype == object
    assert [type(v) for v in decoded[0]] == [int, bool, int, str, str]
    assert tasks.names.tolist() == list(y.columns)


def test_a_polars_enum_declares_its_classes():
    y = pl.DataFrame({"a": pl.Series(["lo", None], dtype=pl.Enum(["lo", "hi"]))})
    assert classes_of(y) == [["hi", "lo"]]


def test_labels_come_back_in_their_own_dtype():
    for y, dtype in [
        (np.array([[1, 2], [2, 3]], dtype=np.int32), np.int32),
        (np.array([[1, 0], [1, 1]], dtype=np.uint8), np.uint8),
        (np.array([[1, 0], [np.nan, 1]], dtype=np.float16), np.int64),
        (np.array([[1.0, 2.0], [2.0, np.nan]]), np.int64),
        (np.array([["a", "b"], ["c", "d"]]), np.dtype("U1")),
        (np.array([[True, False], [False, True]]), bool),
        (np.array([["a", None], ["c", "d"]], dtype=object), object),
    ]:
        tasks, codes = encode_targets(y)
        decoded = decode_targets(np.maximum(codes, 0), tasks)
        assert decoded.dtype == dtype
        assert_array_equal(decoded[codes >= 0], np.asarray(y)[codes >= 0])


def test_binary_rule_holds_only_where_all_labels_are_zero_or_one():
    assert classes_of([[0, 1], [0, 1]]) == [[0, 1], [0, 1]]
    assert classes_of([[0, 2], [0, 2]]) == [[0], [2]]
    assert classes_of(pd.DataFrame({"a": [True], "b": [0.0]})) == [
        [False, True],
        [0, 1],
    ]
    assert classes_of([0, 0]) == [[0]]  # 1-D: as any scikit-learn classifier


def test_constant_and_unlabelled_tasks_are_legal():
    y = pd.DataFrame({"constant": ["a", "a"], "empty": [None, None]})
    tasks, codes = encode_targets(y)
    assert [c.tolist() for c in tasks.classes] == [["a"], [0, 1]]
    assert codes.tolist() == [[0, -1], [0, -1]]
    with pytest.warns(UserWarning, match=r"1 of 2 tasks have no observed.*'empty'"):
        check_labelled(tasks, np.array([True, False]))
    with pytest.raises(ValueError, match="at least one observed label"):
        check_labelled(tasks, np.array([False, False]))


def test_a_column_of_nothing_but_nat_is_a_task_without_labels():
    y = pd.DataFrame({"a": [0, 1], "b": pd.to_datetime([pd.NaT, pd.NaT])})
    tasks, codes = encode_targets(y)
    assert codes.tolist() == [[0, -1], [1, -1]]
    assert tasks.classes[1].tolist() == [0, 1]


def test_codes_take_the_smallest_type_that_holds_them():
    for n_classes, dtype in [(2, np.int8), (127, np.int8), (128, np.int16)]:
        _, codes = encode_targets(np.arange(n_classes))
        assert codes.dtype == dtype
        assert codes[:, 0].tolist() == list(range(n_classes))
    _, codes = encode_targets(np.arange(40_000))
    assert codes.dtype == np.int32


def test_task_names_are_unique_strings():
    assert encode_targets(np.zeros((2, 3)))[0].names.tolist() == [
        "task_0",
        "task_1",
        "task_2",
    ]
    named = encode_targets(pd.DataFrame([[0, 1]], columns=[7, "b"]))[0]
    assert named.names.tolist() == ["7", "b"]
    with pytest.raises(ValueError, match=r"unique.*'a'.*Rename"):
        encode_targets(pd.DataFrame([[0, 1]], columns=["a", "a"]))
    with pytest.raises(ValueError, match=r"unique.*'1'"):
        encode_targets(pd.DataFrame([[0, 1]], columns=[1, "1"]))


def test_known_tasks_encode_new_rows_the_same_way():
    tasks, _ = encode_targets(pd.DataFrame({"a": ["x", "y", "z"], "b": [1, 2, 3]}))
    new = pd.DataFrame({"a": ["z", None], "b": [3.0, np.nan]})
    assert codes_of(new, tasks=tasks) == [[2, 2], [-1, -1]]
    assert codes_of(new.to_numpy(), tasks=tasks) == [[2, 2], [-1, -1]]
    unseen = pd.DataFrame({"a": ["w", "x"], "b": [9, 1]})
    assert codes_of(unseen, tasks=tasks, unseen="extra") == [[3, 3], [0, 0]]
    with pytest.raises(ValueError, match=r"'a' must be among its classes.*got \['w'\]"):
        encode_targets(unseen, tasks=tasks)
    with pytest.raises(ValueError, match=r"same order.*Reorder"):
        encode_targets(new[["b", "a"]], tasks=tasks)
    with pytest.raises(ValueError, match=r"same shape as in fit.*got \(n_samples,\)"):
        encode_targets([1, 2], tasks=tasks)
    with pytest.raises(ValueError, match=r"\(n_samples, 2\); got \(n_samples, 3\)"):
        encode_targets(np.zeros((2, 3)), tasks=tasks)


@pytest.mark.parametrize(
    "classes",
    [[[0, 1, 2], ["a", "b"]], {"t": [0, 1, 2], "u": ["b", "a"]}],
    ids=["list", "mapping"],
)
def test_given_classes_replace_the_learned_ones(classes):
    y = pd.DataFrame({"t": [0, 0], "u": ["a", None]})
    assert classes_of(y, classes=classes) == [[0, 1, 2], ["a", "b"]]
    with pytest.raises(ValueError, match=r"'t' must be among its classes.*\[5\]"):
        encode_targets(y.assign(t=5), classes=classes)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([[0, 1]], "array for each of the 2 tasks with classes; got 1"),
        ({"t": [0, 1]}, "name each task once"),
        ([[0, 1], []], "'u' must be one-dimensional, with at least one"),
        ([[0, 1], ["a", None]], "no missing ones"),
        ([[0, 1], [0.5]], "continuous"),
        (5, "must be a list of arrays"),
    ],
)
def test_unusable_classes_are_refused(classes, message):
    y = pd.DataFrame({"t": [0, 1], "u": ["a", "b"]})
    with pytest.raises(ValueError, match=message):
        encode_targets(y, classes=classes)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        ([[1, 2], [3]], "must have the same length"),
        (np.zeros((2, 2, 2)), "3 axes"),
        ("abc", "0 axes"),
        (np.zeros((3, 0)), "at least one column"),
        (pd.DataFrame(index=[0, 1]), "at least one column"),
        (
            [0.5, 1.0],
            "Unknown label type: continuous.*'task_0'.*use MultiTaskNetRegressor",
        ),
        (np.array([[1, np.inf]]), "infinity in task 'task_1'"),
        (pd.DataFrame({"t": [1.0, -np.inf]}), "infinity in task 't'"),
        ([1 + 1j, 2], "dtype complex128"),
        (np.array([b"a", b"b"]), "numbers, strings or booleans; got dtype"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "got dtype datetime64"),
        (np.array([1, "a"], dtype=object), r"all strings.*\['int', 'str'\]"),
        ([{1: 2}, {3: 4}], "got.*dict"),
        ([2**70, 1], "Convert the column"),
        ([1e300, 1.0], r"below 2\*\*53; got 1e\+300"),
        ([2**53 + 1, np.nan], r"below 2\*\*53; got 9007199254740992"),
    ],
)
def test_unusable_targets_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        encode_targets(y)


def test_text_that_looks_like_a_hole_is_pointed_out():
    with pytest.warns(UserWarning, match="look like missing labels.*'task_0'.*'nan'"):
        tasks, codes = encode_targets(np.array(["a", np.nan, "b"]))
    assert tasks.classes[0].tolist() == ["a", "b", "nan"]
    assert codes.tolist() == [[0], [2], [1]]


@pytest.mark.parametrize("mark", ["", "?", "NA", "null"])
def test_every_mark_of_a_hole_is_pointed_out(mark):
    with pytest.warns(UserWarning, match=re.escape(f"('b', [{mark!r}])")):
        encode_targets(pd.DataFrame({"a": ["x", "y"], "b": ["x", mark]}))


def test_pandas_is_not_imported_to_read_targets():
    import subprocess

    program = (
        "import sys; from skmtl._targets import encode; "
        "encode([['a', None], [None, 1]], 'class'); assert 'torch' not in sys.modules; "
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8, np.uint8, bool])
@pytest.mark.parametrize(
    "make",
    [
        np.asarray,
        np.asfortranarray,
        lambda values: pd.DataFrame(values, columns=["a", "b", "c", 4]),
        lambda values: pd.DataFrame(values, columns=list("abcd")).astype("category"),
        lambda values: pd.DataFrame(values, columns=list("abcd")).astype(object),
    ],
)
def test_tables_of_0_and_1_are_encoded_as_column_by_column(dtype, make, monkeypatch):
    values = np.array([[0, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]], dtype)
    if values.dtype.kind == "f":
        values[0, 0] = values[1, 2] = np.nan
        values[:, 3] = np.nan
    tasks, codes = encode_targets(make(values))
    monkeypatch.setattr(
        "skmtl._targets._encoding._TIDY_TABLES",
        dict.fromkeys(("class", "number", "auto"), lambda y: None),
    )
    expected, expected_codes = encode_targets(make(values))
    assert codes.dtype == expected_codes.dtype
    assert_array_equal(codes, expected_codes)
    assert tasks.names.tolist() == expected.names.tolist()
    assert (tasks.is_named, tasks.is_1d) == (expected.is_named, expected.is_1d)
    for found, learned in zip(tasks.classes, expected.classes, strict=True):
        assert_array_equal(found, learned)
        assert found.dtype == learned.dtype


@pytest.mark.parametrize(
    ("y", "got"), [({"a": [0, 1]}, "dict"), ([{"a": 0}, {"a": 1}], "a list of dicts")]
)
def test_dicts_are_refused_with_what_to_pass(y, got):
    with pytest.raises(ValueError, match=rf"got {got}\. Pass pd\.DataFrame\(y\)"):
        encode_targets(y)


# Names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "name"),
    [
        (pd.Series([0, 1], name="toxic"), "toxic"),
        (pd.Series([0, 1], name=3), "3"),
        (pd.Series([0, 1]), "task_0"),
        (pl.Series("toxic", [0, 1]), "toxic"),
        (pl.Series([0, 1]), "task_0"),
        (pa.chunked_array([[0, 1]]), "task_0"),
        (np.array([0, 1]), "task_0"),
    ],
)
def test_the_name_of_a_series_is_that_of_its_task(y, name):
    tasks, _ = encode_targets(y)
    assert tasks.names.tolist() == [name]
    assert tasks.is_1d
    # Later calls may bring another: y_train and y_test are often called so.
    for later in (pd.Series([1, 0], name="later"), np.array([1, 0])):
        assert encode_targets(later, tasks=tasks)[1].tolist() == [[1], [0]]


@pytest.mark.parametrize("task_types", ["class", {"b": "class", "c": "number"}])
def test_the_columns_of_new_tasks_are_read_once(task_types, monkeypatch):
    old, _ = encode_targets(pd.DataFrame({"a": [0, 1]}))
    module, read = "skmtl._targets._encoding", []

    def read_columns(y):
        read.append(y)
        return containers.read_columns(y)

    monkeypatch.setattr(f"{module}.read_columns", read_columns)
    y_new = pd.DataFrame({"b": ["u", None], "c": [1, 2]})
    new = encode_new_tasks(y_new, old, task_types)
    assert len(read) == 1
    assert new.tasks.names.tolist() == ["b", "c"]
    assert new.codes[:, 0].tolist() == [0, -1]


def test_lazy_frames_are_refused_with_the_call_that_computes_them():
    y = pl.DataFrame({"a": [0, 1], "b": [1, 0]})
    with pytest.raises(ValueError, match=r"got a LazyFrame.*Pass y.collect\(\)"):
        encode_targets(y.lazy())
    dask = pytest.importorskip("dask.dataframe")
    with pytest.raises(ValueError, match=r"got a DataFrame.*Pass y.compute\(\)"):
        encode_targets(dask.from_pandas(y.to_pandas(), 1))


def test_columns_may_have_the_names_of_methods():
    tasks, _ = encode_targets(pd.DataFrame({"compute": [0, 1], "collect": [1, 0]}))
    assert tasks.names.tolist() == ["compute", "collect"]
