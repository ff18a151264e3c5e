"""skmtl evaluate, info, compare and report."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import skmtl
from skmtl.metrics import multitask_report


def test_scores_are_those_of_python(run, model, train, tmp_path):
    out = tmp_path / "scores.csv"
    code, shown, errors = run("evaluate", model, train, "--out", out)
    assert (code, errors) == (0, "")
    assert all(word in shown for word in ("tox a", "tox b", "ROC AUC", "MCC", "mean"))
    fitted = skmtl.load(model)
    frame = pd.read_csv(train)
    frame["sold"] = (pd.to_datetime(frame["sold"]) - pd.Timestamp(0)).dt.days
    frame["new"] = frame["new"].astype("boolean")
    X, y = frame[list(fitted.feature_names_in_)], frame[["tox a", "tox b"]]
    expected = multitask_report(y, fitted.predict_proba(X), classes=fitted.classes_)
    got = pd.read_csv(out, index_col="task")
    pd.testing.assert_frame_equal(got, expected, check_names=False)


def test_thresholds_are_used(run, train, tmp_path, quick):
    model, scores, out = (tmp_path / name for name in ("m", "s.csv", "p.csv"))
    words = ["--tasks", "tox a", "--thresholds", "f1", "--drop", "tox b"]
    run("fit", train, *words, "--out", model, "--quiet", *quick)
    assert run("evaluate", model, train, "--out", scores)[0] == 0
    run("predict", model, train, "--out", out)
    truth, predicted = pd.read_csv(train)["tox a"], pd.read_csv(out)["tox a"]
    seen = truth.notna()
    accuracy = (truth[seen] == predicted[seen]).mean()
    assert_allclose(pd.read_csv(scores)["accuracy"], accuracy)


def test_classes_and_numbers(run, tmp_path, quick):
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    path, model = tmp_path / "t.csv", tmp_path / "m"
    pd.DataFrame({"x": x, "r": x + 0.5, "c": x > 0}).to_csv(path, index=False)
    words = ["--tasks", "r", "--tasks", "c"]
    assert run("fit", path, *words, "--out", model, *quick)[0] == 0
    code, shown, errors = run("evaluate", model, path)
    assert (code, errors) == (0, "")
    assert all(word in shown for word in ("RMSE", "ROC AUC"))
    code, shown, _ = run("info", model)
    assert code == 0
    assert all(word in shown for word in ("false, true", "number", "MultiTaskNet"))


def test_tasks_that_are_not_there(run, model, train, tmp_path):
    other = tmp_path / "t.csv"
    frame = pd.read_csv(train)
    frame.drop(columns="tox b").to_csv(other, index=False)
    code, shown, errors = run("evaluate", model, other)
    assert code == 0
    assert "no column 'tox b'" in errors
    assert "tox a" in shown
    frame.drop(columns=["tox a", "tox b"]).to_csv(other, index=False)
    code, _, errors = run("evaluate", model, other)
    assert code == 1
    assert "skmtl predict" in errors


def test_a_label_that_training_has_not_seen(run, model, train):
    train.write_text(train.read_text().replace(",high\n", ",huge\n"))
    code, _, errors = run("evaluate", model, train)
    assert code == 0
    assert errors.startswith("Warning: Task 'tox b' has labels")
    assert "'huge'" in errors


def test_info(run, model):
    code, shown, errors = run("info", model)
    assert (code, errors) == (0, "")
    for word in ("MultiTaskNetClassifier", "high, low", "category", "id: 'id'"):
        assert word in shown


def test_compare(run, train, tmp_path, quick):
    out = tmp_path / "c.csv"
    models = ["--model", "joint", "--model", "forest", "--cv", "3"]
    words = ["compare", train, "--tasks", "tox *", "--id", "id", *models]
    code, shown, errors = run(*words, *quick, "--out", out)
    assert (code, errors) == (0, "")
    for word in ("joint against forest", "total fit time (s)", "tox b", "mean"):
        assert word in shown
    scores = pd.read_csv(out, index_col="task")
    assert list(scores) == ["n_labelled", "joint", "forest"]
    assert (scores["joint"] > 0).all()
    code, _, errors = run(*words, "--model", "jiont")
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "Did you mean 'joint'?" in errors


def test_a_report_is_of_a_model_or_of_tasks(run, model, train, tmp_path):
    out = tmp_path / "report.html"
    words = ["report", train, "--model", model, "--out", out]
    for typed in (
        ["--tasks", "tox a"],
        ["--drop", "size"],
        ["--blank-only"],
        ["--set", "max_iter=3"],
        ["--settings", train],
        ["--cv", "5"],
    ):
        code, _, errors = run(*words, *typed)
        assert (code, len(errors.splitlines())) == (2, 1)
        assert (
            "--model already defines the tasks, the columns and the settings, but "
            f"{typed[0]}" in errors
        )
    assert not out.exists()


@pytest.mark.parametrize("form", ["train", "model"])
def test_report(run, model, train, tmp_path, quick, form):
    pytest.importorskip("jinja2")
    out = tmp_path / "report.html"
    words = ["--model", model]
    if form == "train":
        words = ["--tasks", "tox *", "--id", "id", "--cv", "2", *quick]
    code, _, errors = run("report", train, *words, "--out", out, "--quiet")
    assert code == 0, errors
    page = out.read_text()
    assert "<html" in page
    assert "tox a" in page


def test_one_task_is_compared(run, train, quick):
    words = ["compare", train, "--tasks", "tox a", "--drop", "tox b", "--cv", "2"]
    words += ["--model", "forest", "--model", "joint", *quick]
    code, shown, errors = run(*words)
    assert (code, errors) == (0, "")
    assert "network against forest" in shown
    assert "no interval (it needs three splits" in shown
    assert "nan" not in shown
    code, _, errors = run(*words, "--model", "separate")
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "Leave it out" in errors


def test_scores_on_the_standard_output_are_alone_there(run, model, train, quick):
    compare = ["compare", train, "--tasks", "tox *", "--cv", "2", "--model", "joint"]
    for words in (["evaluate", model, train], [*compare, *quick]):
        code, shown, errors = run(*words, "--out", "-")
        assert code == 0
        lines = shown.splitlines()
        assert lines[0].startswith('"task","n_labelled"')
        assert [line.split(",")[0] for line in lines[1:]] == ['"tox a"', '"tox b"']
        assert "labels" in errors


def test_further_text_that_is_missing(run, model, train, tmp_path):
    path, out = tmp_path / "t.csv", tmp_path / "s.csv"
    frame = pd.read_csv(train, dtype=str)
    frame["size"], frame["tox a"] = (
        frame["size"].fillna("-"),
        frame["tox a"].fillna("-"),
    )
    frame.to_csv(path, index=False)
    code, _, errors = run("evaluate", model, path)
    assert code == 1
    assert "add --missing" in errors
    assert run("evaluate", model, path, "--missing", "-", "--out", out)[::2] == (0, "")
    expected = tmp_path / "e.csv"
    run("evaluate", model, train, "--out", expected)
    assert out.read_text() == expected.read_text()


def test_categories_that_training_has_not_seen(run, model, train, tmp_path):
    train.write_text(train.read_text().replace(",red,", ",rouge,"))
    n = train.read_text().count(",rouge,")
    for command in (["predict"], ["evaluate"]):
        out = tmp_path / f"{command[0]}.csv"
        code, _, errors = run(*command, model, train, "--out", out, "--quiet")
        assert (code, len(errors.splitlines())) == (0, 1)
        assert errors.startswith("Warning: ")
        assert "column 'colour' has categories" in errors
        assert f"in {n} of 90 rows, such as 'rouge'" in errors


def test_a_model_whose_package_is_not_installed(run, train, quick, monkeypatch):
    module = "skmtl.inspection._separate_models.find_spec"
    monkeypatch.setattr(module, lambda name: None)
    words = ["compare", train, "--tasks", "tox *", "--model", "lightgbm", *quick]
    code, _, errors = run(*words)
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "pip install lightgbm" in errors
