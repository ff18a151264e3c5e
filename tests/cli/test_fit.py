"""skmtl fit: what it decides, what it fits, what is an error."""

import signal

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import skmtl
from skmtl._cli import _fitting
from skmtl._cli._models import load_model


def write(path, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_columns_are_read_by_their_values(run, train, tmp_path, quick):
    out = tmp_path / "m.skmtl"
    code, shown, errors = run(
        "fit", train, "--tasks", "tox *", "--id", "id", "--out", out, *quick
    )
    assert (code, errors) == (0, "")
    _, plan = load_model(out)
    assert plan.features == {
        "size": "number",
        "colour": "category",
        "sold": "date",
        "new": "boolean",
    }
    assert plan.tasks == {"tox a": "whole", "tox b": "text"}
    assert plan.ids == ("id",)
    for word in ("colour", "category", "10.0%", "90 rows, 2 tasks, 4 columns"):
        assert word in shown


def test_the_model_is_that_of_python(run, train, table, tmp_path, quick):
    out = tmp_path / "m.skmtl"
    options = ["--tasks", "tox *", "--id", "id", "--seed", "3", "--quiet"]
    run("fit", train, *options, "--out", out, *quick)
    frame = pd.read_csv(train)
    X = pd.DataFrame(
        {
            "size": frame["size"],
            "colour": frame["colour"].astype("category"),
            "sold": (pd.to_datetime(frame["sold"]) - pd.Timestamp(0)).dt.days,
            "new": frame["new"].astype("boolean"),
        }
    )
    y = frame[["tox a", "tox b"]].astype({"tox a": "Int64"})
    clf = skmtl.MultiTaskNetClassifier((8,), max_iter=3, n_members=1, random_state=3)
    expected = clf.fit(X, y).predict_proba(X)
    loaded = skmtl.load(out)
    for p, q in zip(loaded.predict_proba(X), expected, strict=True):
        assert_array_equal(p, q)


@pytest.mark.parametrize(
    ("tasks", "kind"),
    [
        (["c"], skmtl.MultiTaskNetClassifier),
        (["r"], skmtl.MultiTaskNetRegressor),
        (["c", "r"], skmtl.MultiTaskNet),
    ],
)
def test_estimator_by_the_types_of_tasks(run, tmp_path, quick, tasks, kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    path = write(tmp_path / "t.csv", x=x, c=(x > 0).astype(int), r=x + 0.5)
    out = tmp_path / "m.skmtl"
    words = [word for task in tasks for word in ("--tasks", task)]
    dropped = [word for t in {"c", "r"} - set(tasks) for word in ("--drop", t)]
    code, _, errors = run("fit", path, *words, *dropped, "--out", out, *quick)
    assert (code, errors) == (0, "")
    assert type(skmtl.load(out)) is kind


def test_whole_numbers_must_be_told(run, tmp_path, quick):
    rng = np.random.default_rng(0)
    grade = rng.integers(1, 6, size=40)
    path = write(tmp_path / "t.csv", x=rng.normal(size=40), grade=grade)
    out = tmp_path / "m.skmtl"
    words = ["fit", path, "--tasks", "grade", "--out", out, *quick]
    code, _, errors = run(*words)
    assert code == 2
    assert "--classes grade or --numbers grade" in errors
    assert not out.exists()
    assert run(*words, "--classes", "grade")[0] == 0
    assert skmtl.load(out).classes_[0].tolist() == [1, 2, 3, 4, 5]
    assert run(*words, "--numbers", "gr*", "--force")[0] == 0
    assert type(skmtl.load(out)) is skmtl.MultiTaskNetRegressor


def test_text_that_differs_in_each_row_is_dropped_with_a_word(run, tmp_path, quick):
    n = 40
    path = write(
        tmp_path / "t.csv",
        smiles=[f"C{'C' * i}" for i in range(n)],
        dose=["1.5"] * (n - 1) + ["unclear"],
        empty=[None] * n,
        x=range(n),
        y=[0, 1] * (n // 2),
    )
    out = tmp_path / "m.skmtl"
    words = ["fit", path, "--tasks", "y", "--out", out, *quick]
    code, shown, errors = run(*words)
    assert (code, errors) == (0, "")
    assert "text, 40 different; to keep it: --categorical smiles" in shown
    assert "numbers except for 'unclear': --missing unclear?" in shown
    assert load_model(out)[1].features == {"dose": "category", "x": "number"}
    options = ["--categorical", "smiles", "--missing", "unclear", "--force"]
    errors = run(*words, *options)[2]
    assert errors.startswith("Warning: Column 'smiles' has a different category")
    features = load_model(out)[1].features
    assert features == {"smiles": "category", "dose": "number", "x": "number"}


def test_without_features_the_error_names_what_was_left_out(run, tmp_path, quick):
    n = 40
    columns = {"smiles": [f"C{'C' * i}" for i in range(n)], "y": [0, 1] * (n // 2)}
    out = tmp_path / "m.skmtl"
    path = write(tmp_path / "t.csv", **columns, empty=[None] * n)
    words = ["fit", path, "--tasks", "y", "--out", out, *quick]
    code, shown, errors = run(*words)
    assert code == 1
    assert "text, 40 different" in shown  # the table comes before the error
    assert "training on" not in shown
    assert "left out: 'smiles' (text, 40 different), 'empty' (no values)" in errors
    assert "fingerprints from SMILES" in errors
    assert len(errors.splitlines()) == 1
    assert not out.exists()
    code, _, errors = run(*words, "--drop", "smiles")
    assert (code, "'smiles' (--drop)" in errors) == (1, True)
    assert "Make --tasks narrower" in errors
    _, _, errors = run(*words, "--id", "smiles", "--id", "empty", "--quiet")
    assert "but all columns are tasks or ids. Make --tasks narrower" in errors


def test_nothing_but_blanks_is_missing_if_asked(run, tmp_path, quick):
    path = tmp_path / "t.csv"
    rows = "".join(f"{'NA' if i % 2 else 'DE'},{i % 2}\n" for i in range(20))
    path.write_text("country,y\n" + rows)
    out = tmp_path / "m.skmtl"
    words = ["fit", path, "--tasks", "y", "--out", out, *quick]
    assert "50.0%" in run(*words)[1]
    assert "2 different" in run(*words, "--blank-only", "--force")[1]


def test_many_columns_that_are_alike_take_one_line(run, tmp_path, quick):
    rng = np.random.default_rng(0)
    bits = {f"bit {j}": rng.integers(0, 2, size=30) for j in range(60)}
    path = write(tmp_path / "t.csv", **bits, y=rng.integers(0, 2, size=30))
    code, shown, _ = run(
        "fit", path, "--tasks", "y", "--out", tmp_path / "m.skmtl", *quick
    )
    assert code == 0
    assert "bit 0 ... bit 59" in shown
    assert len(shown.splitlines()) < 10


# Settings ---------------------------------------------------------------------------


def test_settings_of_a_file_and_of_options(run, train, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text(
        '[columns]\ntasks = ["tox *"]\nid = "id"\ndrop = ["new"]\n'
        "[settings]\nmax_iter = 7\nn_members = 1\nhidden_layer_sizes = [4]\n"
    )
    out = tmp_path / "m.skmtl"
    words = ["fit", train, "--settings", settings, "--out", out, "--set", "max_iter=2"]
    assert run(*words)[0] == 0
    fitted, plan = load_model(out)
    assert (fitted.max_iter, fitted.hidden_layer_sizes) == (2, [4])
    assert list(plan.features) == ["size", "colour", "sold"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "max_itr=5"], ["'max_itr'", "'max_iter'"]),
        (["--set", "max_iter=-5"], ["max_iter", "-5"]),
        (["--set", "max_iter"], ["name=value"]),
        (["--tasks", "txo a"], ["'txo a'", "'tox a'"]),
        (["--drop", "sizes"], ["--drop", "'size'"]),
        (["--classes", "colour"], ["--categorical"]),
        (["--categorical", "tox a"], ["--classes"]),
        (["--drop", "tox *"], ["must leave at least one task"]),
        (["--id", "tox a"], ["--tasks or by --id"]),
        (["--classes", "tox a", "--numbers", "tox a"], ["both"]),
        (["--encoding", "utf-99"], ["utf-99"]),
        (["--thresholds", "mc"], ["--thresholds", "mc"]),
        (["--thresholds", "roc_auc"], ["--thresholds", "roc_auc"]),
        (["--calibrate", "temp"], ["'temp'", "temperature"]),
        (["--ot", "x"], ["--ot"]),
    ],
)
def test_wrong_options_are_one_line(run, train, tmp_path, quick, options, words):
    out = tmp_path / "m.skmtl"
    code, shown, errors = run(
        "fit", train, "--tasks", "tox *", "--out", out, "-q", *quick, *options
    )
    assert code in (1, 2)
    assert shown == ""
    assert len(errors.splitlines()) == 1
    assert errors.startswith("Error: ")
    assert all(word in errors for word in words), errors
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_iter = 5", ["max_iter", "[settings]"]),
        ("[columns]\ntask = ['a']", ["'task'", "'tasks'"]),
        ("[columns]\ntasks = 5", ["tasks", "list"]),
        ("[columns]\nblank_only = 'yes'", ["true or false"]),
        ("[", ["TOML"]),
    ],
)
def test_wrong_settings_files_are_one_line(run, train, tmp_path, text, words):
    settings = tmp_path / "settings.toml"
    settings.write_text(text)
    code, _, errors = run("fit", train, "--out", tmp_path / "m", "--settings", settings)
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert all(word in errors for word in words), errors


def test_thresholds_and_calibration(run, train, tmp_path, quick):
    out = tmp_path / "m.skmtl"
    options = ["--thresholds", "mcc", "--calibrate", "temperature", "--quiet"]
    code, _, errors = run(
        "fit", train, "--tasks", "tox *", "--id", "id", "--out", out, *options, *quick
    )
    assert (code, errors) == (0, "")
    fitted = skmtl.load(out)
    assert set(fitted.best_thresholds_) == {"tox a", "tox b"}
    predictions = tmp_path / "p.csv"
    assert run("predict", out, train, "--out", predictions)[0] == 0
    p = pd.read_csv(predictions)
    positive = p["P(tox a=1)"] >= fitted.best_thresholds_["tox a"]
    assert_array_equal(p["tox a"], positive.astype(int))
    assert "threshold" in run("info", out)[1]


# What can go wrong --------------------------------------------------------------------


def test_a_file_that_is_there_is_kept(run, train, model):
    before = model.read_bytes()
    code, shown, errors = run("fit", train, "--tasks", "tox *", "--out", model)
    assert (code, shown) == (1, "")
    assert "--force" in errors
    assert model.read_bytes() == before


class InterruptAt:
    """A callback that sends a signal as an epoch ends, or as the first one begins."""

    def __init__(self, number, epoch):
        self.number, self.epoch = number, epoch

    def setup(self, estimator, context):
        self.n_epochs = 0

    def on_fit_task_begin(self, estimator, context):
        if self.epoch == 0 and context.task_name == "epoch":
            signal.raise_signal(self.number)

    def on_fit_task_end(self, estimator, context):
        self.n_epochs += context.task_name == "epoch"
        if self.n_epochs == self.epoch and context.task_name == "epoch":
            signal.raise_signal(self.number)

    def teardown(self, estimator, context):
        pass


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interrupt_keeps_the_best_weights(
    run, train, tmp_path, quick, monkeypatch, number, code
):
    monkeypatch.setattr(_fitting, "is_terminal", lambda: True)
    monkeypatch.setattr(_fitting, "ProgressBar", lambda: InterruptAt(number, 2))
    before = signal.getsignal(number)
    out = tmp_path / "m.skmtl"
    got, shown, errors = run("fit", train, "--tasks", "tox *", "--out", out, *quick)
    assert got == code
    assert "Warning: Training was interrupted after 2 epochs" in errors
    assert "Wrote" in shown
    assert skmtl.load(out).n_iter_ == 2
    assert signal.getsignal(number) is before


def test_an_interrupt_before_anything_is_learned(
    run, train, tmp_path, quick, monkeypatch
):
    monkeypatch.setattr(_fitting, "is_terminal", lambda: True)
    monkeypatch.setattr(_fitting, "ProgressBar", lambda: InterruptAt(signal.SIGINT, 0))
    out = tmp_path / "m.skmtl"
    code, _, errors = run("fit", train, "--tasks", "tox *", "--out", out, *quick)
    assert code == 130
    assert "nothing was written" in errors
    assert not out.exists()


def test_a_progress_bar_leaves_nothing_in_the_model(
    run, train, tmp_path, quick, monkeypatch
):
    monkeypatch.setattr(_fitting, "is_terminal", lambda: True)
    out = tmp_path / "m.skmtl"
    code, shown, errors = run("fit", train, "--tasks", "tox *", "--out", out, *quick)
    assert (code, errors) == (0, "")
    assert "100%" in shown
    assert skmtl.load(out).n_iter_ == 3
