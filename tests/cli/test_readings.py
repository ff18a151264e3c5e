"""How columns are read, where it is easy to read them wrongly."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import skmtl
from skmtl._cli._console import Failure
from skmtl._cli._deciding import Choices, decide
from skmtl._cli._fitting import _joined
from skmtl._cli._models import load_model
from skmtl._cli._plan import Plan
from skmtl._cli._readings import (
    Misfit,
    as_categories,
    as_floats,
    guess_reading,
    values_of,
)
from skmtl._cli._sources import Source


def column(values, kind=None, missing=(), decimal="."):
    array = pa.chunked_array([pa.array(values, kind)])
    return values_of(array, missing, decimal)


@pytest.fixture
def decided(tmp_path):
    """`decided({"x": [...]}, tasks=["t"])`: of a CSV, or of a Parquet file."""

    def decide_it(columns, decimal=".", is_parquet=False, **choices):
        choices = {"tasks": ["t"]} | choices
        n_rows = len(next(iter(columns.values())))
        columns = columns | ({} if "t" in columns else {"t": np.arange(n_rows) % 2})
        path = tmp_path / ("t.parquet" if is_parquet else "t.csv")
        if is_parquet:
            pq.write_table(pa.table(columns), path)
        else:
            pd.DataFrame(columns).to_csv(path, index=False, sep=";")
        return decide(Source(path, decimal=decimal), Choices(**choices))

    return decide_it


def note_of(decided, name):
    return next(row.note for row in decided.rows if row.name == name)


# Sparse matrices ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "is_sparse"),
    [
        (np.arange(40) % 3 == 0, True),
        (np.arange(40) % 5 + 1, True),  # a bit that most molecules have
        (np.arange(40) % 10 * 3, False),  # nearly all differ from 0
        ((np.arange(40) == 0) * 300, False),
        ((np.arange(40) == 0) * 0.5, False),
        ((np.arange(40) == 0) * -1, False),
    ],
)
def test_a_sparse_matrix_has_small_counts_alone(decided, other, is_sparse):
    columns = {f"bit {j}": np.arange(40) % 20 == j % 20 for j in range(120)}
    columns = {name: bits.astype(int) for name, bits in columns.items()}
    got = decided(columns | {"other": pd.Series(other) * 1})
    assert got.plan.is_sparse == is_sparse


# Categories and classes ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2", "2.0", "2.00", None], None),
        ([2, 2, 2, None], pa.int32()),
        ([2.0, 2.0, 2.0, None], pa.float64()),
        ([2.0, 2.0, 2.0, None], pa.float32()),
        ([Decimal("2.00")] * 3 + [None], pa.decimal128(5, 2)),
    ],
)
def test_whole_numbers_are_one_category(values, kind):
    assert as_categories(column(values, kind)).to_pylist() == ["2", "2", "2", None]


def test_other_categories_stay_as_they_are():
    text = ["02", "02.0", "2.5", "1.0.0", "v2.0", "-0.0"]
    assert as_categories(column(text)).to_pylist() == text
    assert as_categories(column([0.5, 1e20])).to_pylist() == ["0.5", "1e+20"]


def test_categories_of_another_file_are_recognised(run, tmp_path, quick):
    codes = np.arange(40) % 4
    path, new = tmp_path / "t.csv", tmp_path / "new.parquet"
    frame = pd.DataFrame({"code": codes.astype(float), "y": codes % 2})
    frame.to_csv(path, index=False)
    frame.astype({"code": int}).to_parquet(new, index=False)
    out = tmp_path / "m.skmtl"
    words = ["fit", path, "--tasks", "y", "--categorical", "code", "--out", out]
    assert run(*words, *quick)[0] == 0
    predicted = [run("predict", out, table, "--out", "-")[1] for table in (path, new)]
    assert predicted[0] == predicted[1]


def test_digits_with_leading_zeros_are_classes(decided):
    got = decided({"x": range(6), "t": ["01", "02", "001"] * 2})
    assert got.plan.tasks == {"t": "text"}
    assert got.y["t"].unique().to_pylist() == ["01", "02", "001"]
    assert note_of(got, "t") == "3 classes"
    got = decided({"x": range(6), "t": ["01", "02", "001"] * 2}, numbers=["t"])
    assert got.plan.tasks == {"t": "number"}


def test_classes_are_counted_as_they_are_read(decided):
    got = decided({"x": range(6), "t": ["1", "1.0", "2"] * 2}, classes=["t"])
    assert note_of(got, "t") == "2 classes"


# Dates and booleans -------------------------------------------------------------------


@pytest.mark.parametrize("values", [[None, 18_262], [None, 18_262.5]])
def test_numbers_are_no_dates(values):
    with pytest.raises(Misfit) as raised:
        as_floats(column(values), "date")
    assert (raised.value.row, raised.value.must_be) == (1, "a date")
    nothing = as_floats(column([None, None], pa.int64()), "date")
    assert np.isnan(nothing).all()


@pytest.mark.parametrize(
    ("values", "row", "must_be"),
    [
        (["2020-01-01", None, "2020-13-04"], 2, "an ISO date"),
        (["2020-01-01", "04.01.2020", "2020-01-02"], 1, "an ISO date"),
        (
            ["2020-01-01", "2020-01-02", "2020-01-04 10:00+02:00"],
            2,
            "an ISO date without a time zone, as in other rows,",
        ),
        (
            ["2020-01-01T10:00Z", "2020-01-02T09:00-0300", "2020-01-03"],
            2,
            "an ISO date with a time zone, as in other rows,",
        ),
        (["2020-01-01T10+02:00", "2020-01-02 10Z", "2020-01-01 10:00 Z"], 2, None),
    ],
)
def test_the_date_that_is_unlike_the_others_is_named(values, row, must_be):
    with pytest.raises(Misfit) as raised:
        as_floats(column(values), "date")
    assert raised.value.row == row
    assert must_be in (raised.value.must_be, None)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1_600_000_000_123_456_789, None], pa.timestamp("ns")),
        (["2020-09-13 12:26:40.123456789", None], None),
        (["2020-09-13T12:26:40.123456789Z", None], None),
    ],
)
def test_nanoseconds_are_cut_off(values, kind):
    values = column(values, kind)
    assert guess_reading(values) == "date"
    days = as_floats(values, "date")
    assert days[0] == 1_600_000_000_123 / 86_400_000
    assert np.isnan(days[1])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 0, None], pa.int8()),
        ([1.0, 0.0, None], pa.float64()),
        (["1", "0", None], None),
        (["1.0", "0.0", None], None),
        (["True", "false", None], None),
        ([True, False, None], pa.bool_()),
    ],
)
def test_booleans(values, kind):
    np.testing.assert_array_equal(
        as_floats(column(values, kind), "boolean"), [1.0, 0.0, np.nan]
    )


@pytest.mark.parametrize("value", [2, 0.5, "2", "yes"])
def test_other_values_are_no_booleans(value):
    with pytest.raises(Misfit) as raised:
        as_floats(column([None, value]), "boolean")
    assert (raised.value.row, raised.value.value) == (1, str(value))


# Numbers with commas ------------------------------------------------------------------


def test_decimal_commas_are_those_of_numbers(run, tmp_path, quick):
    path, out = tmp_path / "t.csv", tmp_path / "m.skmtl"
    lines = [f"1,{i};{i},5;{i % 2},5;{'ab'[i % 2]},5;A 1,{i % 2}" for i in range(20)]
    path.write_text("id;x;code;t;other\n" + "\n".join(lines))
    words = ["--id", "id", "--tasks", "t", "--categorical", "code", "--decimal", ","]
    assert run("fit", path, *words, "--out", out, *quick)[0] == 0
    features = load_model(out)[1].features
    assert features == {"x": "number", "code": "category", "other": "category"}
    assert skmtl.load(out).classes_[0].tolist() == ["a,5", "b,5"]
    shown = run("predict", out, path, "--decimal", ",", "--out", "-")[1]
    assert [line.split('",')[0] for line in shown.splitlines()[1:3]] == ['"1,0', '"1,1']
    source = Source(path, decimal=",")
    X = load_model(out)[1].X(next(source.blocks()), source)
    assert X["x"].to_pylist()[:2] == [0.5, 1.5]
    assert X["code"].to_pylist()[:2] == ["0,5", "1,5"]


@pytest.mark.parametrize("value", ["1.234", "1.234,5"])
def test_points_are_refused_beside_decimal_commas(tmp_path, value):
    path = tmp_path / "t.csv"
    path.write_text(f"x\n2,5\n{value}\n")
    source = Source(path, delimiter=";", decimal=",")
    with pytest.raises(Failure, match=r"line 3: .* without points, .* has '1\.234"):
        Plan({"x": "number"}, {}).X(next(source.blocks()), source)


def test_decimal_commas_that_were_not_announced(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x;y\n2;1\n2,5;1\n")
    source = Source(path)
    with pytest.raises(Failure, match=r"line 3: .* has '2,5' here.* --decimal , if"):
        Plan({"x": "number"}, {}).X(next(source.blocks()), source)


@pytest.mark.parametrize(
    ("values", "decimal", "hint"),
    [
        (["1,234", "12,345", "7"], ".", "',' between thousands"),
        (["1,234.5", "12,345", "7.5"], ".", "',' between thousands"),
        (["1.234", "12.345,5", "7,5"], ",", "'.' between thousands"),
        (["0,234", "0,345", "7"], ".", "--decimal ,"),
        (["1,234", "1,23", "7"], ".", "--decimal ,"),
        (["1.234", "2020.01", "7"], ",", "leave out --decimal ,"),
        (["1.234", "2020.01.x", "7"], ",", ""),
        (["A,1", "B,2", "7"], ".", ""),
        (["0", "1", "x"], ",", ""),
    ],
)
def test_hints_at_commas(decided, values, decimal, hint):
    note = note_of(decided({"x": values * 4}, decimal), "x")
    assert hint in note
    assert ("thousands" in note) == ("thousands" in hint)
    task = note_of(decided({"x": [1] * 4, "t": ["a", "b"] * 2}, decimal), "t")
    assert task == "2 classes"
    assert ("--decimal" in note) == ("--decimal" in hint)


# What is missing ----------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["-99", "-99.0", "-9.9e1"])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["-99", "-99.0", "-99.00", "1.5"], None),
        ([-99, -99, -99, 1], pa.int64()),
        ([-99.0, -99.0, -99.0, 1.5], pa.float32()),
        (np.array([-99.0, -99.0, -99.0, 1.5], np.float16), pa.float16()),
        ([Decimal("-99.00")] * 3 + [Decimal("1.50")], pa.decimal128(6, 2)),
    ],
)
def test_a_number_that_is_missing_may_be_written_in_other_ways(values, kind, mark):
    assert column(values, kind, [mark]).n_missing == 3


def test_codes_are_no_numbers_that_are_missing():
    assert column(["007", "7"], missing=["7"]).array.to_pylist() == ["007", None]
    assert column(["7,0", "7,5"], missing=["7"], decimal=",").n_missing == 1


def test_a_mark_that_stands_nowhere_is_a_warning(decided, capsys):
    columns = {"x": [1.5, -99.0, np.nan, 2.5], "u": ["a", "b", "a", "gone"]}
    decided(columns, missing=["-99", "gone"])
    assert capsys.readouterr().err == ""
    decided(columns, missing=["-99", "-98"])
    error = capsys.readouterr().err
    assert error.startswith("Warning: --missing -98 has no effect: no cell of")
    assert "-99" not in error


# Long numbers and row numbers ---------------------------------------------------------

LONG = [2**60 + i for i in range(20)]


@pytest.mark.parametrize("is_parquet", [False, True])
def test_numbers_as_long_as_ids_are_dropped_with_a_word(decided, is_parquet):
    columns = {"h": LONG, "x": np.arange(20) / 2}
    got = decided(columns, is_parquet=is_parquet)
    assert list(got.plan.features) == ["x"]
    assert "numbers as long as ids; to keep it: --categorical h" in note_of(got, "h")
    got = decided(columns, is_parquet=is_parquet, numbers=["h"])
    assert got.X["h"].to_pylist() == [float(h) for h in LONG]
    got = decided(columns, is_parquet=is_parquet, categorical=["h"])
    assert got.X["h"].to_pylist() == [str(h) for h in LONG]


@pytest.mark.parametrize("is_parquet", [False, True])
def test_long_numbers_of_tasks_must_be_told(decided, is_parquet):
    columns = {"t": [10**17 + i % 2 for i in range(20)], "x": np.arange(20) / 2}
    with pytest.raises(Failure, match="--classes t or --numbers t"):
        decided(columns, is_parquet=is_parquet)
    got = decided(columns, is_parquet=is_parquet, classes=["t"])
    assert got.y["t"].unique().to_pylist() == [str(10**17), str(10**17 + 1)]


def test_the_index_of_pandas_is_dropped_with_a_word(tmp_path):
    frame = pd.DataFrame({"x": np.arange(9) / 2, "t": [0, 1, 1] * 3})
    frame = frame.sample(frac=1, random_state=0)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.rename_axis("row").to_parquet(tmp_path / "b.parquet")
    frame.to_csv(tmp_path / "c.csv")
    pd.read_csv(tmp_path / "c.csv").to_csv(tmp_path / "d.csv", index=False)
    frame.reset_index(drop=True).reset_index().to_csv(tmp_path / "e.csv", index=False)
    names = {
        "a.parquet": "__index_level_0__",
        "b.parquet": "row",
        "d.csv": "Unnamed: 0",
        "e.csv": "index",
    }
    for file, name in names.items():
        source = Source(tmp_path / file)
        got = decide(source, Choices(["t"]))
        assert list(got.plan.features) == ["x"]
        assert "pandas index; to keep it: --numbers" in note_of(got, name)
        got = decide(source, Choices(["t"], numbers=[name]))
        assert set(got.plan.features) == {"x", name}
    frame.reset_index().to_csv(tmp_path / "f.csv", index=False)
    got = decide(Source(tmp_path / "f.csv"), Choices(["t"]))
    assert set(got.plan.features) == {"index", "x"}  # it is no count of rows


# The table of what was decided --------------------------------------------------------


def test_columns_with_other_notes_are_not_joined(decided):
    names = [f"smiles {i}" for i in range(3)]
    text = [f"C{'C' * i}" for i in range(20)]
    columns = dict.fromkeys(names, text)
    columns |= {f"empty {i}": [None] * 20 for i in range(3)}
    columns |= {f"no {i}": range(20) for i in range(3)}
    got = decided(columns | {"x": range(20)}, drop=["no *"])
    shown = [row.name for row in _joined(got.rows)]
    assert shown == ["t", *names, "empty 0 ... empty 2", "no 0 ... no 2", "x"]
