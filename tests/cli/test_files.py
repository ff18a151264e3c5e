"""Tables in files: what a CSV may be, and where it is wrong."""

import contextlib
from pathlib import Path

import pyarrow as pa
import pytest
from _hostile_csv import hostile_csv
from hypothesis import given
from hypothesis import strategies as st

from skmtl._cli import _sources
from skmtl._cli._console import Failure
from skmtl._cli._deciding import Choices, decide
from skmtl._cli._readings import Values, guess_reading, values_of
from skmtl._cli._sources import Source


def rows_of(path, **kwargs):
    source = Source(path, **kwargs)
    return source.names, pa.concat_tables(source.blocks()).to_pylist()


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3,4\n",
        b"a,b\r\n1,2\r\n3,4\r\n",
        b"a,b\r1,2\r3,4",
        b"a;b\n1;2\n3;4\n",
        b"a\tb\n1\t2\n3\t4\n",
        b"\n\na,b\n\n1,2\n3,4\n\n\n",
        b'"a","b"\n"1","2"\n3,4\n',
        b" a , b\n1,2\n3,4\n",
        "a,b\n1,2\n3,4\n".encode("utf-16"),
        b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
    ],
)
def test_one_table_in_many_forms(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    expected = [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert rows_of(path) == (["a", "b"], expected)


def test_numbers_with_commas(tmp_path, run):
    path = tmp_path / "t.csv"
    path.write_text("x;y;z\n1,5;0;a,5\n-,5e3;1;1\n")
    decided = decide(Source(path, decimal=","), Choices(["y"]))
    assert decided.X.to_pydict() == {"x": [1.5, -500.0], "z": ["a,5", "1"]}
    decided = decide(Source(path), Choices(["y"]))
    assert "numbers with commas: add --decimal ," in decided.rows[1].note
    words = ["fit", path, "--tasks", "y", "--out", tmp_path / "m", "--decimal", "x"]
    code, _, errors = run(*words)
    assert code == 2
    assert "--decimal" in errors


def test_delimiters(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a:b,c\n1:2,3\n")
    assert rows_of(path, delimiter=":")[0] == ["a", "b,c"]
    path.write_text("a\tb\n1\t2\n")
    assert rows_of(path, delimiter="\\t")[0] == ["a", "b"]
    for delimiter in ("ab", "", '"'):
        with pytest.raises(Failure, match="one character"):
            rows_of(path, delimiter=delimiter)


def test_encodings(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("größe,b\nä,1\n", "latin-1")
    with pytest.raises(Failure, match=r"line 1.*--encoding"):
        rows_of(path)
    expected = ["größe", "b"], [{"größe": "ä", "b": "1"}]
    assert rows_of(path, encoding="latin-1") == expected
    path.write_text("a,b\n1,2\nx,ä\n", "latin-1")
    with pytest.raises(Failure, match=r"line 3.*--encoding"):
        rows_of(path)


def test_one_column_may_have_blanks(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n\n2\n")
    assert [row["a"] for row in rows_of(path)[1]] == ["1", "", "2"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"a,a\n1,2\n", "several are called 'a'"),
        (b"a,b\n1,2\n\n3\n", "line 4: each row must have 2 values.*has 1"),
        (b'a,b\n"x\ny",2\n3,4,5\n', "line 4.*has 3"),
        (b'a,b\n1,"2\n3,4\n', "a quote must be closed"),
        (b"\x1f\x8b\x08\x00damaged", "encoding utf-8"),
        (b"a,b\n" + b"x" * 5000 + b",1\n", "must be shorter"),
        ("a,b\n1,2\n".encode("utf-16-le"), "utf-16"),
    ],
)
def test_what_is_wrong_has_a_place(tmp_path, monkeypatch, content, words):
    monkeypatch.setattr(_sources, "_BLOCK_BYTES", 300)
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(Failure, match=words):
        rows_of(path)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv.gz", "t.tsv.gz"])
def test_files_that_are_not_what_their_name_says(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(Failure, match="cannot be read as"):
        rows_of(path)


@pytest.mark.parametrize(
    ("values", "reading"),
    [
        (["1", "2.5", None, "-3e5", "+1", ".5"], "number"),
        (["0", "1"], "number"),
        (["true", "FALSE", None], "boolean"),
        (["2020-01-02", "1066-10-14"], "date"),
        (["2020-01-02T03:04:05Z", "2020-01-02T03:04:05+01:00"], "date"),
        (["2020-01-02 03:04", "2020-01-02T03:04:05.5"], "date"),
        (["2020-01-02", "2020-13-02"], "category"),
        (["01/02/2020"], "category"),
        (["1", "x"], "category"),
        (["1,5", "2"], "category"),
        (["yes", "no"], "category"),
    ],
)
def test_readings(values, reading):
    column = Values(pa.chunked_array([pa.array(values, pa.string())]), is_text=True)
    assert guess_reading(column) == reading


def test_what_is_missing():
    column = pa.chunked_array([["", " ", "NA", "nan", "None", "N/A", "?", "-", "none"]])
    from skmtl._cli._readings import USUAL_MISSING

    assert values_of(column, USUAL_MISSING).array.to_pylist()[-2:] == ["-", "none"]
    assert values_of(column, USUAL_MISSING).n_missing == 7
    assert values_of(column, ["", "-"]).n_missing == 3


def test_infinity_and_dates_of_tasks_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n1,2020-01-01\n1e400,2020-01-02\n")
    with pytest.raises(Failure, match="task 'y' must have classes or numbers"):
        decide(Source(path), Choices(["y"]))
    with pytest.raises(Failure, match="line 3: column 'x' must have a finite number"):
        decide(Source(path), Choices(["y"], classes=["y"]))


def test_columns_without_a_name_are_dropped_with_a_word(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",x,y,\n0,1,0,\n1,2,1,\n")
    decided = decide(Source(path), Choices(["y"]))
    assert list(decided.plan.features) == ["x"]
    assert decided.rows[-1].note == "2 without a name"


# Hostile files ------------------------------------------------------------------------


def learn_and_predict(run, folder, content):
    """A model and predictions, or one line."""
    path, model, out = folder / "t.csv", folder / "m.skmtl", folder / "p.csv"
    path.write_bytes(content)
    model.unlink(missing_ok=True)
    small = ["--set", "max_iter=1", "--set", "hidden_layer_sizes=[2]"]
    words = ["--tasks", "task", *small, "--set", "n_members=1", "--quiet"]
    code, _, errors = run("fit", path, "--out", model, *words)
    lines = errors.splitlines()
    assert all(line.startswith(("Error: ", "Warning: ")) for line in lines), errors
    assert code in (0, 1, 2), errors
    assert sum(line.startswith("Error: ") for line in lines) == (code != 0)
    assert model.exists() == (code == 0)
    if code == 0:
        words = ["predict", model, path, "--out", out, "--force", "--quiet"]
        assert run(*words)[::2] == (0, "")
    return code


@pytest.mark.parametrize("seed", range(12))
def test_a_hostile_file(run, tmp_path, seed):
    learn_and_predict(run, tmp_path, hostile_csv(seed))


@pytest.mark.slow
def test_five_hundred_hostile_files(run, tmp_path):
    codes = [
        learn_and_predict(run, tmp_path, hostile_csv(1_000 + seed))
        for seed in range(500)
    ]
    assert min(codes.count(0), codes.count(1), codes.count(2)) > 50


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_a_table_or_a_failure(tmp_path_factory, content):
    path = Path(tmp_path_factory.getbasetemp()) / "t.csv"
    path.write_bytes(content)
    with contextlib.suppress(Failure):
        decide(Source(path), Choices(["*"]))
