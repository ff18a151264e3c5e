import builtins

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from skmtl.metrics import multitask_report

COLUMNS = [
    "n_labelled",
    "share_positive",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "accuracy",
]


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    Y = pd.DataFrame(
        {
            "binary": rng.integers(2, size=50).astype(float),
            "text": rng.choice(["no", "yes"], 50),
            "three": rng.integers(3, size=50).astype(float),
        }
    )
    Y = Y.mask(rng.random(Y.shape) < 0.3)
    p = [rng.dirichlet(np.ones(k), 50) for k in (2, 2, 3)]
    return Y, p


def test_every_number_is_the_stock_metrics_on_the_observed_rows(problem):
    Y, p = problem
    report = multitask_report(Y, p)
    assert report.columns.tolist() == COLUMNS
    assert report.index.tolist() == ["binary", "text", "three"]
    assert report["n_labelled"].tolist() == Y.notna().sum().tolist()
    for j, (task, row) in enumerate(report.iterrows()):
        seen = Y[task].notna()
        y, probabilities = Y[task][seen], p[j][seen]
        classes = sorted(y.unique())
        assert row["log_loss"] == pytest.approx(log_loss(y, probabilities))
        most_probable = np.array(classes)[probabilities.argmax(axis=1)]
        assert row["accuracy"] == accuracy_score(y, most_probable)
        if len(classes) == 2:
            assert row["share_positive"] == pytest.approx((y == classes[1]).mean())
            assert row["roc_auc"] == pytest.approx(
                roc_auc_score(y, probabilities[:, 1])
            )
            brier = np.mean((probabilities[:, 1] - (y == classes[1])) ** 2)
            assert row["brier"] == pytest.approx(brier)
        else:
            assert np.isnan(row["share_positive"])
            auc = roc_auc_score(y, probabilities, multi_class="ovr")
            assert row["roc_auc"] == pytest.approx(auc)


def test_weights_and_names():
    rng = np.random.default_rng(0)
    Y, p = rng.integers(2, size=(40, 2)), rng.random((40, 2))
    doubled = multitask_report(np.vstack([Y, Y[:10]]), np.vstack([p, p[:10]]))
    weight = np.where(np.arange(40) < 10, 2, 1)
    report = multitask_report(Y, p, sample_weight=weight, task_names=["a", "b"])
    assert report.index.tolist() == ["a", "b"]
    assert_allclose(report.iloc[:, 1:], doubled.iloc[:, 1:])


def test_undefined_metrics_are_nan_and_named_once(problem):
    Y, p = problem
    Y["binary"] = np.nan
    Y.loc[Y["text"] == "no", "text"] = None
    with pytest.warns(
        UndefinedMetricWarning, match=r"2 of 3.*'binary', 'text'"
    ) as seen:
        report = multitask_report(Y, p, classes=[[0, 1], ["no", "yes"], [0, 1, 2]])
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert report["roc_auc"].isna().tolist() == [True, True, False]
    assert report["log_loss"].isna().tolist() == [True, False, False]
    assert report.loc["binary"].drop("n_labelled").isna().all()


def test_constant_tasks_do_not_spoil_the_report():
    Y = pd.DataFrame({"same": ["a"] * 4, "other": ["n", "y", "n", "n"]})
    p = [np.ones((4, 1)), np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.5, 0.5]])]
    with pytest.warns(UndefinedMetricWarning, match="'same'"):
        report = multitask_report(Y, p, classes=[["a"], ["n", "y"]])
    assert report.loc["same", "accuracy"] == 1
    assert report.loc["same", ["roc_auc", "log_loss", "brier"]].isna().all()
    # Where both classes have .5, the first is predicted, as the classifier does.
    assert report.loc["other", "accuracy"] == 1
    assert report.loc["other"].notna().all()


def test_without_pandas_it_is_a_dict_that_prints_as_a_table(problem, monkeypatch):
    Y, p = problem
    expected = multitask_report(Y, p)
    real_import = builtins.__import__

    def import_without_pandas(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", import_without_pandas)
    report = multitask_report(Y.to_numpy(), p, task_names=list(Y.columns))
    assert list(report) == COLUMNS
    for name in COLUMNS:
        assert_allclose(report[name], expected[name])
    lines = repr(report).splitlines()
    assert lines[0].split() == COLUMNS
    assert [line.split()[0] for line in lines[1:]] == list(Y.columns)
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("kind", [int, bool, np.uint8])
def test_labels_are_no_probabilities(kind):
    y_true = np.array([[0, np.nan], [1, 1], [1, 0]])
    labels = np.array([[0, 1], [1, 1], [0, 0]]).astype(kind)
    with pytest.raises(ValueError, match="must be probabilities, but holds whole"):
        multitask_report(y_true, labels)
    multitask_report(y_true, labels.astype(float))
