import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator

from skmtl import MultiTaskNetClassifier
from skmtl._inputs import check_inputs
from skmtl.trunks import ConvTrunk


class Reader(BaseEstimator):
    """Something to keep the parameters, names and number of columns on."""

    def __init__(
        self, input_encoding="auto", categorical_features="from_dtype", trunk=None
    ):
        self.input_encoding = input_encoding
        self.categorical_features = categorical_features
        self.trunk = trunk


def read(X, reader=None, columns=None, **parameters):
    return check_inputs(reader or Reader(**parameters), X, columns)[0]


@pytest.mark.parametrize(
    ("X", "got"),
    [
        ([{"a": 1.0}, {"a": 2.0, "b": 1.0}], "a list of dicts"),
        (({"a": 1.0},), "a list of dicts"),
        ({"a": [1.0, 2.0]}, "dict"),
    ],
)
def test_dicts_are_refused_with_what_to_pass(X, got):
    with pytest.raises(ValueError, match=rf"got {got}\..*DataFrame\(X\).*DictVector"):
        read(X)


# Numbers --------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["piecewise", "none"])
@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64]
)
def test_dense_input_keeps_its_memory(dtype, encoding):
    X = np.ones((3, 2), dtype=dtype)
    assert np.shares_memory(read(X, input_encoding=encoding), X)


def test_sparse_input_becomes_csr_and_is_never_made_dense():
    dense = np.random.default_rng(0).normal(size=(5, 7))
    X = sparse.coo_array(np.where(dense > 1, dense, 0))
    for form in ("csr", "csc", "coo"):
        read_X, columns = check_inputs(Reader(), X.asformat(form))
        assert columns.encoding == "none"
        assert read_X.format == "csr"
        assert (read_X != X).nnz == 0


def test_columns_are_learned_and_then_required():
    reader = Reader()
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    _, columns = check_inputs(reader, frame)
    assert reader.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="feature names"):
        read(frame.rename(columns={"a": "c"}), reader, columns)
    nameless = Reader()
    _, columns = check_inputs(nameless, frame.to_numpy())
    with pytest.raises(ValueError, match="expecting 2 features"):
        read(np.ones((2, 3)), nameless, columns)


FRAMES = {
    "numpy": lambda x: np.array([[np.nan if v is None else v] for v in x]),
    "masked": lambda x: np.ma.array(
        [[7 if v is None else v] for v in x], mask=[[v is None] for v in x]
    ),
    "list": lambda x: [[v] for v in x],
    "list of pd.NA": lambda x: [[pd.NA if v is None else v] for v in x],
    "float": lambda x: pd.DataFrame({"a": np.array(x, dtype=float)}),
    "Int64": lambda x: pd.DataFrame({"a": pd.array(x, dtype="Int64")}),
    "arrow": lambda x: pd.DataFrame({"a": pd.array(x, dtype="int64[pyarrow]")}),
    "object": lambda x: pd.DataFrame({"a": x}, dtype=object),
    "pd.NA": lambda x: pd.DataFrame(
        {"a": [pd.NA if v is None else v for v in x]}, dtype=object
    ),
    "polars": lambda x: pl.DataFrame({"a": x}),
    "pyarrow": lambda x: pa.table({"a": x}),
}


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_holes_of_every_container_are_nan(make):
    X = read(make([1, None, 3, 0]))
    assert_array_equal(X[:, 0].astype(float), [1, np.nan, 3, 0])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series([True, None, False], dtype="bool[pyarrow]"),
        pd.Series([True, None, False], dtype=object),
        pl.Series([True, None, False]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_booleans_are_0_and_1(column):
    module = pl if isinstance(column, pl.Series) else pd
    X = read(module.DataFrame({"a": column, "b": [0.5, 1.5, 2.5]}))
    assert_array_equal(X.astype(float), [[1, 0.5], [np.nan, 1.5], [0, 2.5]])


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, pd.DataFrame])
def test_a_linear_layer_reads_no_missing_values(make):
    X = np.eye(3)
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN.*SimpleImputer.*piecewise"):
        read(make(X), input_encoding="none")


@pytest.mark.parametrize("encoding", ["auto", "none"])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, pd.DataFrame])
def test_infinity_is_refused(make, encoding):
    X = np.eye(3)
    X[0, 0] = -np.inf
    with pytest.raises(ValueError, match="infinity"):
        read(make(X), input_encoding=encoding)


@pytest.mark.parametrize("value", [1e39, -1e39])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_values_beyond_float32_are_refused_by_a_linear_layer(make, value):
    X = np.eye(3)
    X[1, 1] = value
    with pytest.raises(ValueError, match=r"float32.*StandardScaler"):
        read(make(X), input_encoding="none")
    assert read(X)[1, 1] == value


# Text -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_large_numbers_of_both_signs_are_read_without_a_warning(make):
    X = np.full((64, 64), 3e38, dtype=np.float32)
    X[:, ::2] *= -1  # the partial sums overflow both ways
    assert np.shape(read(make(X))) == X.shape


TEXT = {
    "object": pd.Series(["x", None, "y"], dtype=object),
    "object and numbers": pd.Series(["x", 1.5, None], dtype=object),
    "str": pd.Series(["x", None, "y"], dtype="str"),
    "string": pd.Series(["x", None, "y"], dtype="string"),
    "arrow": pd.Series(["x", None, "y"], dtype="string[pyarrow]"),
    "polars": pl.Series(["x", None, "y"]),
    "numbers in text": pd.Series(["1", "2", "3"]),
    "datetime": pd.to_datetime(pd.Series(["2020-01-01", None, "2021-01-01"])),
    "date": pl.Series([datetime.date(2020, 1, 1), None, None]),
}


@pytest.mark.parametrize("kind", TEXT)
def test_text_and_dates_in_a_frame_are_refused_with_advice(kind):
    column, is_text = TEXT[kind], not kind.startswith("date")
    module = pl if isinstance(column, pl.Series) else pd
    frame = module.DataFrame({"number": [0.0, 1.0, 2.0], "city": column})
    text, time = (
        r"astype\('category'\).*TableVectorizer",
        r"numbers.*since a fixed date: .*dt\.days",
    )
    with pytest.raises(ValueError, match=rf"got \['city .*{text if is_text else time}"):
        read(frame)
    both = module.DataFrame({"text": ["a", "b", "c"], "city": column})
    with pytest.raises(ValueError, match=rf"\['text.*'city.*{text}") as refused:
        read(both)
    assert ("dt.days" in str(refused.value)) != is_text


def test_categories_that_are_left_out_are_refused():
    frame = pd.DataFrame({"a": pd.Categorical(["x", "y"]), "b": [1, 2]})
    with pytest.raises(ValueError, match=r"categories in `fit` too; got.*'a \(Categ"):
        read(frame, categorical_features=None)
    with pytest.raises(ValueError, match=r"'a \(Categ"):
        read(frame, categorical_features=["b"])


@pytest.mark.parametrize(
    "values",
    [
        [datetime.date(2020, 1, 1), None, None],
        [datetime.timedelta(1), None, None],
        [[1], [2], None],
        [1 + 2j, 0j, None],
        [{"a": 1}, None, None],
        [b"1", b"2", b"3"],
        [10**400, 1, 2],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_objects_that_are_no_numbers_are_refused_with_advice(values):
    column = np.empty(3, dtype=object)
    column[:] = values
    with pytest.raises(ValueError, match=r"numbers, booleans.*got \['thing"):
        read(pd.DataFrame({"thing": pd.Series(column, dtype=object)}))


@pytest.mark.parametrize(
    "column",
    [
        pd.period_range("2020", periods=3, freq="D"),
        pd.interval_range(0, periods=3),
        pd.arrays.SparseArray(["a", "b", "c"]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_columns_that_only_pandas_knows_are_refused_with_advice(column):
    frame = pd.DataFrame({"number": [0.0, 1.0, 2.0], "thing": column})
    with pytest.raises(ValueError, match=r"numbers, booleans.*got \['thing \("):
        read(frame)


@pytest.mark.parametrize("encoding", ["piecewise", "none"])
@pytest.mark.parametrize("unit", ["M8[D]", "M8[ns]", "m8[s]"])
@pytest.mark.parametrize("make", [np.array, list, np.ma.array])
def test_times_in_an_array_are_refused_with_advice(make, unit, encoding):
    times = make(np.array([[1], [2], [3]]).astype(unit))
    with pytest.raises(
        ValueError, match=r"numeric; got (datetime|timedelta).*Convert tim"
    ):
        read(times, input_encoding=encoding)


def test_times_among_objects_are_refused_with_advice():
    times = np.array([[pd.Timestamp("2020-01-01")], [None]], dtype=object)
    with pytest.raises(TypeError, match=r"X must be numeric: .*times to days"):
        read(times)


def test_sparse_columns_that_leave_out_nan_are_refused_with_advice():
    frame = pd.DataFrame(np.eye(3)).astype(pd.SparseDtype(float))
    with pytest.raises(ValueError, match="must be 0, not NaN: use"):
        read(frame, input_encoding="none")


def test_a_lazy_frame_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"in memory.*Pass X.collect\(\)"):
        read(pl.LazyFrame({"a": [1.0, 2.0]}))


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_a_table_without_columns_is_refused(make):
    with pytest.raises(ValueError, match=r"at least one column; got shape \(0, 0\)"):
        check_inputs(Reader(), make(), None)


def test_columns_of_the_same_name_are_refused():
    with pytest.raises(ValueError, match=r"different names.*\n.*'a' 2 times.*Rename"):
        read(pd.DataFrame(np.ones((2, 3)), columns=["a", "a", "b"]))


@pytest.mark.parametrize(
    ("fitted", "later"), [([1, 2, 3], ["1", "2", "3"]), (["1", "2", "3"], [1.0, 2, 3])]
)
def test_categories_that_have_become_text_or_numbers_are_refused(fitted, later):
    def table(values):
        return pd.DataFrame({"kind": pd.Series(values, dtype="category")})

    reader = Reader()
    _, columns = check_inputs(reader, table(fitted))
    with pytest.raises(ValueError, match=r"Column .kind. of X must contain cat"):
        read(table(later), reader, columns)
    X = read(table([*later[:2], fitted[0]]), reader, columns)  # a new one is legal
    assert X[:, 0].tolist() == [-1, -1, 0]
    assert np.isnan(read(table([None, None]), reader, columns)).all()


def test_text_of_numpy_is_text():
    reader, X = Reader(categorical_features=[0]), [[np.str_("a")], [np.str_("b")]]
    _, columns = check_inputs(reader, np.array(X, dtype=object))
    assert read(np.array([["new"]], dtype=object), reader, columns).tolist() == [[-1]]


@pytest.mark.parametrize("make", [np.array, list, pd.DataFrame])
def test_text_in_an_array_is_refused_with_advice(make):
    X = np.array([[1.5, "a"], [2.5, "b"]], dtype=object)
    with pytest.raises(ValueError, match=r"astype\('category'\)"):
        read(make(X.tolist()) if make is list else make(X))


NOTHING = {
    "object": lambda: pd.DataFrame({"a": [1.5, 2.5], "b": [None, None]}),
    "pd.NA": lambda: pd.DataFrame({"a": [1.5, 2.5], "b": [pd.NA, pd.NA]}),
    "NaT": lambda: pd.DataFrame({"a": [1.5, 2.5], "b": [pd.NaT, pd.NaT]}),
    "polars": lambda: pl.DataFrame({"a": [1.5, 2.5], "b": [None, None]}),
    "pyarrow": lambda: pa.table({"a": [1.5, 2.5], "b": pa.nulls(2)}),
    "pyarrow category": lambda: pa.table(
        {"a": [1.5, 2.5], "b": pa.nulls(2, pa.string()).dictionary_encode()}
    ),
    "array": lambda: np.array([[1.5, None], [2.5, pd.NA]], dtype=object),
}


@pytest.mark.parametrize("make", NOTHING.values(), ids=NOTHING)
def test_a_column_of_holes_is_read_as_holes(make):
    assert_array_equal(read(make()), [[1.5, np.nan], [2.5, np.nan]])


def test_sparse_columns_of_pandas():
    frame = pd.DataFrame(np.eye(3), columns=list("abc")).astype(
        pd.SparseDtype(float, 0)
    )
    reader = Reader()
    X, columns = check_inputs(reader, frame)
    assert columns.encoding == "none"
    assert X.format == "csr"
    assert reader.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.warns(UserWarning, match="converted to a dense numpy array"):
        mixed, columns = check_inputs(Reader(), frame.assign(d=[1.5, np.nan, 2.5]))
    assert columns.encoding == "piecewise"
    assert_array_equal(mixed[:, :3], np.eye(3))


def test_names_of_features_are_warned_of_once():
    reader = Reader()
    _, columns = check_inputs(reader, np.eye(3))
    with pytest.warns(UserWarning, match="feature names") as record:
        read(pd.DataFrame(np.eye(3), columns=list("abc")), reader, columns)
    assert len(record) == 1


def test_true_twice_in_a_sparse_array_is_true():
    X = sparse.csr_array(
        (np.ones(3, dtype=bool), np.array([0, 0, 1]), np.array([0, 2, 3])), shape=(2, 2)
    )
    assert_array_equal(read(X).toarray(), [[True, False], [False, True]])
    assert X.nnz == 3


# Categories -----------------------------------------------------------------------


CATEGORIES = {
    "category": lambda x: pd.DataFrame({"a": [0.5] * len(x), "b": pd.Categorical(x)}),
    "ordered": lambda x: pd.DataFrame(
        {"a": [0.5] * len(x), "b": pd.Categorical(x, ["z", "w", "x", "y"], True)}
    ),
    "arrow": lambda x: pd.DataFrame(
        {
            "a": [0.5] * len(x),
            "b": pd.Series(x).astype(
                pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
            ),
        }
    ),
    "polars": lambda x: pl.DataFrame(
        {"a": [0.5] * len(x), "b": pl.Series(x, dtype=pl.Categorical)}
    ),
    "enum": lambda x: pl.DataFrame(
        {"a": [0.5] * len(x), "b": pl.Series(x, dtype=pl.Enum(["z", "w", "x", "y"]))}
    ),
    "pyarrow": lambda x: pa.table(
        {"a": [0.5] * len(x), "b": pa.array(x).dictionary_encode()}
    ),
}


@pytest.mark.parametrize("make", CATEGORIES.values(), ids=CATEGORIES)
@pytest.mark.parametrize("make_later", CATEGORIES.values(), ids=CATEGORIES)
def test_categories_become_codes_in_any_frame(make, make_later):
    reader = Reader()
    X, columns = check_inputs(reader, make(["y", "w", None, "y"]))
    assert columns.categories == {1: {"w": 0, "y": 1}}
    assert_array_equal(X, [[0.5, 1], [0.5, 0], [0.5, np.nan], [0.5, 1]])
    later = read(make_later(["z", "y", None, "w"]), reader, columns)
    assert_array_equal(later[:, 1], [-1, 1, np.nan, 0])


def test_categories_of_other_types_and_of_several():
    days = pd.to_datetime(["2021-01-01", "2020-01-01", None, "2021-01-01"])
    frame = pd.DataFrame(
        {
            "int": pd.Categorical([3, 1, None, 3]),
            "day": pd.Categorical(days),
            "mixed": pd.Categorical([2, "b", None, 1]),
            "bool": pd.Categorical([True, False, None, True]),
        }
    )
    expected = [[1, 1, 1, 1], [0, 0, 2, 0], [np.nan] * 4, [1, 1, 0, 1]]
    assert_array_equal(read(frame), expected)


def test_times_are_the_same_in_another_unit():
    days = pd.Series(pd.to_datetime(["2021-01-01", "2020-01-01", None]))
    reader = Reader()
    frame = pd.DataFrame({"day": days.astype("datetime64[ns]").astype("category")})
    X, columns = check_inputs(reader, frame)
    for unit in ("s", "ms", "us"):
        later = days.astype(f"datetime64[{unit}]").astype("category")
        assert_array_equal(read(pd.DataFrame({"day": later}), reader, columns), X)


def test_holes_of_every_kind_among_categories_of_an_array():
    missing = [None, np.nan, np.float32("nan"), pd.NA, pd.NaT]
    X = np.array([["a"], ["b"], *([value] for value in missing)], dtype=object)
    codes = read(X, categorical_features=[0]).astype(float)
    assert_array_equal(codes[:, 0], [0, 1] + [np.nan] * 5)


@pytest.mark.parametrize("make", [np.asarray, pd.DataFrame])
def test_infinity_is_no_category(make):
    X = make(np.array([[1.0], [np.inf], [1]]))
    with pytest.raises(ValueError, match=r"categories, but contains infinity"):
        read(X, categorical_features=[0])


def test_sparse_rows_after_categories_are_refused():
    X = np.array([[0, 1.5], [1, 2.5]])
    reader = Reader(categorical_features=[0])
    _, columns = check_inputs(reader, X)
    with pytest.raises(ValueError, match=r"X must be dense, since columns \[0\]"):
        read(sparse.csr_array(X), reader, columns)


@pytest.mark.parametrize(
    "given", [[False, True, False], [1], ["b"], np.array([1]), pd.Index(["b"])]
)
def test_category_columns_by_mask_position_and_name(given):
    frame = pd.DataFrame({"a": [1.5, 2.5, 0], "b": [9, 7, 9], "c": [1, 2, 3]})
    X, columns = check_inputs(Reader(categorical_features=given), frame)
    assert columns.categories == {1: {7: 0, 9: 1}}
    assert_array_equal(X, [[1.5, 1, 1], [2.5, 0, 2], [0, 1, 3]])


@pytest.mark.parametrize("none", [None, [], [False, False]])
def test_no_category_columns(none):
    X = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert np.shares_memory(read(X, categorical_features=none), X)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, object])
def test_categories_of_an_array(dtype):
    X = np.array([[5, 1], [2, 1], [5, 0]], dtype=dtype)
    reader = Reader(categorical_features=[0])
    codes, columns = check_inputs(reader, X)
    assert_array_equal(codes.astype(float), [[1, 1], [0, 1], [1, 0]])
    assert X[0, 0] == 5
    assert_array_equal(read(X * 2, reader, columns)[:, 0].astype(float), [-1] * 3)


def test_text_as_categories_of_an_array_or_of_a_named_column():
    X = np.array([["b", 1.5], ["a", None], [None, 2]], dtype=object)
    codes = read(X, categorical_features=[0])
    assert_array_equal(codes.astype(float), [[1, 1.5], [0, np.nan], [np.nan, 2]])
    frame = pd.DataFrame(X, columns=["city", "size"]).astype({"size": float})
    assert_array_equal(read(frame, categorical_features=["city"]), codes)


@pytest.mark.parametrize(
    "given",
    [[True], ["nobody"], [3], [-1], [0.5], [[0, 1]], [True, "a"]],
    ids=str,
)
def test_bad_category_columns_are_an_error(given):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    for X in (frame, frame.to_numpy()):
        with pytest.raises(ValueError, match="categorical_features must be"):
            read(X, categorical_features=given)


def test_names_of_categories_need_a_frame():
    with pytest.raises(ValueError, match="X has no column names"):
        read(np.eye(3), categorical_features=["a"])


def test_encodings_that_do_not_fit_the_input():
    with pytest.raises(ValueError, match="needs dense X"):
        read(sparse.csr_array(np.eye(3)), input_encoding="piecewise")
    frame = pd.DataFrame({"a": pd.Categorical(["x", "y"])})
    with pytest.raises(ValueError, match="OneHotEncoder"):
        read(frame, input_encoding="none")
    with pytest.raises(ValueError, match=r"columns \[1\] are categories"):
        read(sparse.csr_array(np.eye(3)), categorical_features=[1])


def test_a_wrong_number_of_columns_is_refused_in_the_usual_words():
    reader = Reader(categorical_features=[2])
    _, columns = check_inputs(reader, np.eye(3))
    with pytest.raises(ValueError, match="expecting 3 features"):
        read(np.eye(2), reader, columns)
    with pytest.raises(ValueError, match="Expected 2D array"):
        read(np.ones(3), reader, columns)


def test_one_narrow_dtype_where_the_columns_allow_it():
    frame = pd.DataFrame({"a": np.ones(2, np.float32), "b": pd.Categorical(["x", "y"])})
    assert read(frame).dtype == np.float32


# Rows of several axes -------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_images_become_flat_rows_on_the_same_memory(dtype):
    X = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(dtype)
    flat, columns = check_inputs(Reader(trunk=ConvTrunk()), X)
    assert_array_equal(flat, X.reshape(2, -1))
    assert np.shares_memory(flat, X)
    assert columns.row_shape == (3, 4, 5)
    assert columns.is_uint8 == (dtype == np.uint8)


def test_images_need_a_trunk_that_reads_them():
    with pytest.raises(ValueError, match=r"rows have shape \(3, 4, 5\).*ConvTrunk"):
        read(np.ones((2, 3, 4, 5)))


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (2, 60), (2, 4, 15)])
def test_rows_of_another_shape_are_refused_later(shape):
    reader = Reader(trunk=ConvTrunk())
    _, columns = check_inputs(reader, np.ones((2, 3, 4, 5)))
    with pytest.raises(ValueError, match=r"must have rows of \(3, 4, 5\).*Reshape X"):
        read(np.ones(shape), reader, columns)


def test_flat_rows_do_not_become_pictures_later():
    reader = Reader(trunk=ConvTrunk())
    _, columns = check_inputs(reader, np.ones((2, 60)))
    with pytest.raises(ValueError, match=r"without axes of their own.*Reshape X"):
        read(np.ones((2, 3, 4, 5)), reader, columns)


def test_numbers_scaled_in_fit_are_not_read_unscaled_later():
    X = np.full((3, 4), 200, dtype=np.uint8)
    reader = Reader(trunk=ConvTrunk())
    _, columns = check_inputs(reader, X)
    with pytest.raises(ValueError, match=r"uint8, as in the first call.*got float64"):
        read(X.astype(float), reader, columns)
    _, columns = check_inputs(reader, X.astype(float))
    with pytest.raises(ValueError, match=r"float, as in the first call.*got uint8"):
        read(X, reader, columns)


def test_what_a_trunk_of_the_users_own_does_not_read_is_refused():
    own = {"trunk": ConvTrunk()}
    with pytest.raises(ValueError, match=r"sparse.*toarray"):
        read(sparse.eye_array(3).tocsr(), **own)
    with pytest.raises(ValueError, match=r"input_encoding is 'piecewise'.*'auto'"):
        read(np.ones((3, 2)), input_encoding="piecewise", **own)
    with pytest.raises(ValueError, match="contains NaN"):
        read(np.full((3, 1, 2, 2), np.nan), **own)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1.0, 2.0, 3.0]).astype("category"),
        pl.Series(list("abc"), dtype=pl.Enum(["a", "b", "c"])),
    ],
    ids=["category", "enum"],
)
def test_a_number_that_comes_as_a_category_should_become_a_number_again(column):
    frame = pd.DataFrame if isinstance(column, pd.Series) else pl.DataFrame
    clf = MultiTaskNetClassifier((2,), n_members=1, max_iter=1)
    clf.fit(frame({"a": [1.0, 2.0, 3.0]}), [[0], [1], [0]])
    with pytest.raises(ValueError, match="were numbers in `fit` back to numbers"):
        clf.predict(frame({"a": column}))
