"""skmtl predict: what it writes, block by block, and what is an error."""

import gzip
import os
import re
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

import skmtl
from skmtl._cli import _models, _sources
from skmtl._prediction_files import _columns
from skmtl._training import _losses

HAS_DEV_FULL = os.path.exists("/dev/full")
# pandas 2 would read the last digit as another, and pandas 3 knows no other way.
EXACT = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}
read_csv = partial(pd.read_csv, **EXACT)


def python_predictions(model, path):
    """As somebody computes them who reads the table with pandas."""
    fitted = skmtl.load(model)
    frame = read_csv(path)
    days = (pd.to_datetime(frame["sold"]) - pd.Timestamp(0)).dt.days
    frame["sold"], frame["new"] = days, frame["new"].astype("boolean")
    X = frame[list(fitted.feature_names_in_)]
    return fitted.predict(X), fitted.predict_proba(X)


def assert_as_in_python(predictions, model, path):
    labels, probabilities = python_predictions(model, path)
    assert_array_equal(predictions["tox a"], labels[:, 0].astype(int))
    assert_array_equal(predictions["tox b"], labels[:, 1])
    # To the last bit: the table says them exactly.
    assert_array_equal(predictions["P(tox a=1)"], probabilities[:, 0])
    assert_array_equal(predictions["P(tox b=low)"], probabilities[:, 1])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet"])
def test_predictions_are_those_of_python(run, model, train, tmp_path, suffix):
    out = tmp_path / f"p{suffix}"
    code, shown, errors = run("predict", model, train, "--out", out)
    assert (code, shown, errors) == (0, f"Wrote {out}: 90 rows.\n", "")
    if suffix == ".parquet":
        predictions = pd.read_parquet(out)
    else:
        predictions = read_csv(out, sep="\t" if suffix == ".tsv" else ",")
    expected = ["id", "tox a", "P(tox a=1)", "tox b", "P(tox b=low)"]
    assert list(predictions) == expected
    assert predictions["id"].tolist() == [f"m{i}" for i in range(90)]
    assert_as_in_python(predictions, model, train)
    assert not list(tmp_path.glob(".*.part"))


def test_blocks_of_rows_change_nothing(run, model, train, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole.csv", tmp_path / "parts.csv"
    run("predict", model, train, "--out", whole)
    monkeypatch.setattr(_sources, "_BLOCK_BYTES", 300)
    monkeypatch.setattr(_models, "_CELLS_AT_ONCE", 40)
    monkeypatch.setattr(_models, "chunk_size", lambda *_: 7)
    assert run("predict", model, train, "--out", parts)[0] == 0
    a, b = read_csv(whole), read_csv(parts)
    pd.testing.assert_frame_equal(a, b, rtol=1e-5)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(model, train, tmp_path):
    long, wide = tmp_path / "long.csv", tmp_path / "p.csv"
    names, *rows = train.read_text().splitlines(keepends=True)
    program = (
        "import resource, sys\n"
        "from skmtl._cli._app import run\n"
        "assert run(sys.argv[1:]) == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = []
    for n in (1_000, 8_000):
        long.write_text(names + "".join(rows) * n)
        words = ["predict", model, long, "--out", wide, "--force", "--quiet"]
        result = subprocess.run(
            [sys.executable, "-c", program, *words],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(result.stdout))
    assert peaks[1] < 1.25 * peaks[0], peaks


def test_other_formats_are_read_alike(run, model, train, tmp_path):
    expected = tmp_path / "expected.csv"
    run("predict", model, train, "--out", expected)
    frame = read_csv(train)
    typed = frame.assign(sold=pd.to_datetime(frame["sold"]), new=frame["new"] == "true")
    typed["new"] = frame["new"].astype("boolean")
    typed["colour"] = frame["colour"].astype("category")
    typed.to_parquet(tmp_path / "t.parquet")
    text = train.read_text()
    (tmp_path / "t.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "t.csv").write_text(text.replace(",", ";"))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "t16.csv").write_text(text, "utf-16")
    (tmp_path / "bom.csv").write_text(text, "utf-8-sig", newline="\r\n")
    out = tmp_path / "out.csv"
    names = ("t.parquet", "t.tsv", "t.csv", "t.csv.gz", "t16.csv", "bom.csv")
    for name in names:
        code, _, errors = run(
            "predict", model, tmp_path / name, "--out", out, "--force"
        )
        assert (code, errors) == (0, ""), name
        assert out.read_text() == expected.read_text(), name


def test_fingerprints_are_sparse(run, tmp_path, quick, monkeypatch):
    rng = np.random.default_rng(0)
    X = (rng.random((80, 120)) < 0.05) * rng.integers(1, 4, size=(80, 120))
    frame = pd.DataFrame(X, columns=[f"bit {j}" for j in range(120)])
    y = np.where(X[:, :3].any(axis=1), "hit", "none")
    path, model, out = (tmp_path / name for name in ("t.csv", "m", "p.csv"))
    frame.assign(y=y).to_csv(path, index=False)
    words = ["fit", path, "--tasks", "y", "--out", model, *quick]
    code, shown, _ = run(*words)
    assert code == 0
    assert "sparse matrix" in shown
    clf = skmtl.MultiTaskNetClassifier((8,), max_iter=3, n_members=1, random_state=0)
    clf.fit(sparse.csr_matrix(X), y[:, None])
    # Chunks of rows of which the network sees several in a block, and in the whole.
    monkeypatch.setattr(_models, "_CELLS_AT_ONCE", 1)
    for module in (_models, _losses):
        monkeypatch.setattr(module, "chunk_size", lambda *_: 7)
    expected = clf.predict_proba(sparse.csr_matrix(X))
    assert run("predict", model, path, "--out", out)[0] == 0
    assert_array_equal(read_csv(out)["P(y=none)"], expected[:, 0])
    assert run("evaluate", model, path)[0] == 0
    new = tmp_path / "new.csv"
    blanked = frame.astype(object).mask((frame.index == 50)[:, None] & (X == 0))
    blanked.assign(y=y).to_csv(new, index=False)
    for command in (["predict", "--out", out, "--force"], ["evaluate"]):
        code, _, errors = run(*command, model, new)
        assert code == 1
        assert "line 52: the model reads a sparse matrix" in errors
        assert "'bit 0' is empty" in errors
    code, shown, _ = run(*words, "--force", "--set", "input_encoding=piecewise")
    assert code == 0
    assert "sparse matrix" not in shown


def test_typed_columns(run, tmp_path, quick):
    path, model, out = (tmp_path / name for name in ("t.parquet", "m", "p.csv"))
    n = 40
    frame = pd.DataFrame(
        {
            "name": pd.Categorical([f"m{i}" for i in range(n)]),
            "dose": pd.array([-99, *range(1, n)], dtype="Int32"),
            "when": pd.date_range("2021-03-01", periods=n, tz="Europe/Paris"),
            "kind": pd.Categorical(["a", "b"] * (n // 2)),
            "list": [[1]] * n,
            "y": pd.array([True, False, None, False] * (n // 4), dtype="boolean"),
        }
    )
    frame.to_parquet(path)
    words = ["--tasks", "y", "--id", "name", "--missing", "-99", "--out", model]
    code, shown, _ = run("fit", path, *words, *quick)
    assert code == 0
    for words in (
        r"dose +number +2\.5%",
        "when +date",
        "kind +category",
        "list +dropped",
    ):
        assert re.search(words, shown), words
    assert run("predict", model, path, "--out", out)[0] == 0
    predictions = read_csv(out)
    assert list(predictions) == ["name", "y", "P(y=true)"]
    csv = tmp_path / "t.csv"
    frame.assign(when=frame["when"].dt.tz_convert("UTC")).to_csv(csv, index=False)
    assert run("predict", model, csv, "--out", out, "--force")[0] == 0
    pd.testing.assert_frame_equal(read_csv(out), predictions)


def test_numbers_with_deviations(run, tmp_path, quick):
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    path, model = tmp_path / "t.csv", tmp_path / "m.skmtl"
    pd.DataFrame({"x": x, "y": x + 0.5, "c": x > 0}).to_csv(path, index=False)
    tasks = ["--tasks", "y", "--tasks", "c", "--set", "loss=gaussian"]
    assert run("fit", path, *tasks, "--out", model, "--quiet", *quick)[0] == 0
    code, shown, _ = run("predict", model, path, "--out", "-")
    assert code == 0
    assert shown.splitlines()[0] == '"y","std(y)","c","P(c=true)"'
    out = tmp_path / "p.csv"
    run("predict", model, path, "--out", out)
    predictions = read_csv(out)
    y, std = skmtl.load(model).predict(pd.DataFrame({"x": x}), return_std=True)
    assert_array_equal(predictions["y"], y[:, 0].astype(float))
    assert_array_equal(predictions["std(y)"], std[:, 0])


def test_more_than_two_classes_have_a_column_each(run, tmp_path, quick):
    path, model = tmp_path / "t.csv", tmp_path / "m.skmtl"
    rows = "".join(f"{i},{'abc'[i % 3]}\n" for i in range(30))
    path.write_text("x,y\n" + rows)
    run("fit", path, "--tasks", "y", "--out", model, "--quiet", *quick)
    _, shown, _ = run("predict", model, path, "--out", "-")
    assert shown.splitlines()[0] == '"y","P(y=a)","P(y=b)","P(y=c)"'


def test_a_model_of_python(run, table, tmp_path):
    frame = pd.DataFrame(
        {
            "size": pd.to_numeric(pd.Series(table["size"])),
            "colour": pd.Categorical([c or None for c in table["colour"]]),
            "floor": pd.Categorical(np.arange(90) % 3),
        }
    )
    y = pd.Series(table["tox b"], name="tox b").replace("", None)
    clf = skmtl.MultiTaskNetClassifier((8,), max_iter=3, n_members=1, random_state=0)
    clf.fit(frame, y)
    model, path, out = (tmp_path / name for name in ("m", "t.csv", "p.csv"))
    skmtl.save(clf, model)
    frame.to_csv(path, index=False)
    code, _, errors = run("predict", model, path, "--out", out)
    assert (code, errors) == (0, "")
    predictions = read_csv(out)
    assert_array_equal(predictions["P(tox b=low)"], clf.predict_proba(frame)[:, 1])
    assert_array_equal(predictions["tox b"], clf.predict(frame))


def test_a_model_of_an_array_has_no_names(run, train, tmp_path):
    clf = skmtl.MultiTaskNetClassifier((8,), max_iter=1, n_members=1)
    model = tmp_path / "m"
    skmtl.save(clf.fit(np.zeros((20, 1)), [[0], [1]] * 10), model)
    code, _, errors = run("predict", model, train, "--out", "-")
    assert code == 1
    assert "DataFrame" in errors


def test_ids(run, model, train, table, tmp_path):
    out = tmp_path / "p.csv"
    run("predict", model, train, "--out", out, "--id", "colour", "--id", "id")
    assert list(read_csv(out))[:2] == ["colour", "id"]
    code, _, errors = run("predict", model, train, "--out", out, "--id", "no")
    assert code == 1
    without = tmp_path / "w.csv"
    read_csv(train).drop(columns="id").to_csv(without, index=False)
    code, _, errors = run("predict", model, without, "--out", out, "--force")
    assert code == 0
    assert "no id column 'id'" in errors
    assert next(iter(read_csv(out))) == "tox a"


def test_an_id_that_is_also_predicted_is_refused(run, model, train, tmp_path):
    out = tmp_path / "p.csv"
    frame = read_csv(train).assign(**{"P(tox a=1)": 1})
    frame.to_csv(train, index=False)
    for name in ("tox a", "P(tox a=1)"):
        words = ["predict", model, train, "--out", out, "--id", "id", "--id", name]
        code, _, errors = run(*words, "--quiet")
        assert (code, len(errors.splitlines())) == (1, 1)
        assert f"two would be called {name!r}: an id and a column of" in errors
    assert not out.exists()


def test_an_id_that_a_cell_of_text_cannot_hold(run, model, train, tmp_path):
    path = tmp_path / "t.parquet"
    read_csv(train).assign(parts=[[1, 2]] * 90).to_parquet(path)
    words = ["predict", model, path, "--id", "parts", "--out"]
    code, _, errors = run(*words, tmp_path / "p.csv")
    assert (code, len(errors.splitlines())) == (1, 1)
    assert "'parts' has lists" in errors
    assert run(*words, tmp_path / "p.parquet")[0] == 0
    assert pd.read_parquet(tmp_path / "p.parquet")["parts"][3].tolist() == [1, 2]
    code, _, errors = run(*words, tmp_path / "p.parquet.gz")
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "Leave out .gz" in errors


def test_unknown_categories_are_counted_over_blocks(
    run, model, train, tmp_path, monkeypatch
):
    monkeypatch.setattr(_models, "_CELLS_AT_ONCE", 40)
    monkeypatch.setattr(_models, "chunk_size", lambda *_: 7)
    text = train.read_text()
    train.write_text(text.replace(",red,", ",Red,").replace(",blue,", ",Blue,"))
    n = text.count(",red,") + text.count(",blue,")
    code, _, errors = run("predict", model, train, "--out", tmp_path / "p.csv")
    assert (code, len(errors.splitlines())) == (0, 1)
    assert f"'colour' has categories not seen in training in {n} of 90" in errors
    assert "'Red'" in errors
    assert "'Blue'" in errors


def test_other_columns(run, model, train, tmp_path):
    other, out = tmp_path / "o.csv", tmp_path / "p.csv"
    frame = read_csv(train).rename(columns={"size": "length", "sold": "bought"})
    frame.to_csv(other, index=False)
    code, _, errors = run("predict", model, other, "--out", out)
    assert code == 1
    assert len(errors.splitlines()) == 1
    assert all(name in errors for name in ("'size'", "'sold'", "'length'", "'bought'"))
    assert not out.exists()
    shuffled = read_csv(train).iloc[:, ::-1].assign(more=1)
    shuffled.to_csv(other, index=False)
    code, _, errors = run("predict", model, other, "--out", out)
    assert code == 0
    assert "not used: 'more'" in errors
    assert_as_in_python(read_csv(out), model, train)


def test_a_value_that_cannot_be_read_has_a_line(run, model, train, tmp_path):
    lines = train.read_text().splitlines()
    lines.insert(1, "")  # a blank line and a value of two lines before it
    lines[3] = '"m 1\nx"' + lines[3].removeprefix("m1")
    lines[40] = lines[40].replace(lines[40].split(",")[1], "big", 1)
    path, out = tmp_path / "t.csv", tmp_path / "p.csv"
    path.write_text("\n".join(lines) + "\n")
    code, _, errors = run("predict", model, path, "--out", out)
    assert code == 1
    assert "line 42: column 'size' must have a number" in errors
    assert "'big'" in errors
    assert not out.exists()
    assert not list(tmp_path.glob(".*.part"))


def test_an_error_in_a_later_block_leaves_no_half_file(
    run, model, train, tmp_path, monkeypatch
):
    monkeypatch.setattr(_sources, "_BLOCK_BYTES", 300)
    monkeypatch.setattr(_models, "_CELLS_AT_ONCE", 40)
    path, out = tmp_path / "t.csv", tmp_path / "p.csv"
    path.write_text(train.read_text() + "m90,1,2\n")
    out.write_text("as it was")
    monkeypatch.setattr(_models, "chunk_size", lambda *_: 7)
    code, _, errors = run("predict", model, path, "--out", out, "--force")
    assert code == 1
    assert "line 92" in errors
    assert out.read_text() == "as it was"
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interrupt_leaves_no_half_file(
    run, model, train, tmp_path, monkeypatch, number, code
):
    monkeypatch.setattr(
        _columns, "_labels_and_deviations", lambda *_: signal.raise_signal(number)
    )
    out = tmp_path / "p.csv"
    got, _, errors = run("predict", model, train, "--out", out)
    assert (got, errors) == (code, "Error: interrupted; nothing was written.\n")
    assert not out.exists()
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["too short"]),
        (b"\x00" * 100, ["not a model"]),
        (b"id,size\n1,2\n", ["not a model"]),
    ],
)
def test_a_file_that_is_not_a_model(run, train, tmp_path, content, words):
    model = tmp_path / "m.skmtl"
    model.write_bytes(content)
    code, _, errors = run("predict", model, train, "--out", tmp_path / "p.csv")
    assert code == 1
    assert len(errors.splitlines()) == 1
    assert all(word in errors for word in words)


def test_a_damaged_plan_is_refused(run, train, model, tmp_path):
    from skmtl._persistence import read_model, write_model

    estimator, plan = read_model(model)
    changes = [
        {"version": 2},
        {"version": None},
        {"features": [["size", "number"]]},
        {"features": [[name, "magic"] for name, _ in plan["features"]]},
        {"tasks": plan["tasks"][:1]},
        {"ids": 5},
        {"is_sparse": 1},
        {"missing": [1]},
    ]
    other = tmp_path / "other.skmtl"
    for change in [*changes, None]:
        write_model(estimator, other, plan | change if change else [])
        code, _, errors = run("predict", other, train, "--out", "-")
        assert (code, len(errors.splitlines())) == (1, 1), change
        assert ("another skmtl" in errors) == (not change or "version" in change)
        skmtl.load(other)  # as an ordinary estimator it can be used


def test_files_that_are_not_there(run, model, train, tmp_path):
    out = tmp_path / "p.csv"
    for words in (
        ["predict", tmp_path / "modal.skmtl", train, "--out", out],
        ["predict", model, tmp_path / "tra.csv", "--out", out],
        ["predict", model, tmp_path, "--out", out],
        ["predict", model, train, "--out", tmp_path / "no" / "p.csv"],
        ["predict", model, train, "--out", tmp_path],
    ):
        code, _, errors = run(*words)
        assert (code, len(errors.splitlines())) == (1, 1)
    assert "Did you mean" in run("info", tmp_path / "modal.skmtl")[2]
    assert run("predict", model, train, "--out", tmp_path / "p.xlsx")[0] == 2
    out.write_text("")
    assert "--force" in run("predict", model, train, "--out", out)[2]


@pytest.mark.skipif(not HAS_DEV_FULL, reason="a device that is always full")
def test_a_full_device(run, model, train):
    code, _, errors = run("predict", model, train, "--out", "/dev/full")
    assert code == 1
    assert "No space left" in errors
    assert not os.path.isfile("/dev/full")
    code, _, errors = run("fit", train, "--tasks", "tox a", "--out", "/dev/full")
    assert code == 1
    assert not os.path.isfile("/dev/full")


@pytest.mark.slow  # a new process has to load torch
@pytest.mark.skipif(os.name == "nt", reason="limits of a process")
def test_a_full_disk_leaves_no_half_file(model, train, tmp_path):
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))\n"
        "from skmtl._cli._app import run\n"
        "model, train, folder = sys.argv[1:]\n"
        "assert run(['predict', model, train, '--out', folder + '/p.csv']) == 1\n"
        "quick = ['--set', 'max_iter=1', '--quiet']\n"
        "words = ['fit', train, '--tasks', 'tox a', '--out', folder + '/m']\n"
        "assert run([*words, *quick]) == 1\n"
    )
    folder = tmp_path / "full"
    folder.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", program, model, train, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(result.stderr.splitlines()) == 2
    assert list(folder.iterdir()) == []


@pytest.mark.slow  # the same
@pytest.mark.skipif(os.name == "nt", reason="pipes of a shell")
def test_a_closed_pipe_is_no_error(model, train, tmp_path):
    names, *rows = train.read_text().splitlines(keepends=True)
    long = tmp_path / "long.csv"
    long.write_text(names + "".join(rows) * 40)
    command = [sys.executable, "-m", "skmtl", "predict", model, long, "--out", "-"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().startswith('"id"')
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
