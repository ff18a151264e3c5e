import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier

from skmtl.inspection import label_report


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    Y = pd.DataFrame(
        {
            "half": rng.integers(2, size=100).astype(float),
            "text": rng.choice(["a", "b", "c"], 100),
            "constant": 1.0,
            "empty": np.nan,
            "rare": [1.0] * 2 + [0.0] * 98,
        }
    )
    Y.loc[rng.random(100) < 0.5, "half"] = np.nan
    Y.loc[::4, "text"] = None
    Y.loc[[5, 9]] = None
    return Y


def test_counts_are_those_of_pandas(labels):
    report = label_report(labels)
    assert_array_equal(report.table["n_labelled"], labels.notna().sum())
    assert_allclose(report.table["share_missing"], labels.isna().mean())
    assert report.table.index.tolist() == list(labels)
    for task, classes, counts in zip(
        labels, report.classes, report.class_counts, strict=True
    ):
        expected = labels[task].value_counts()
        found = dict(zip(classes.tolist(), counts.tolist(), strict=True))
        assert {k: v for k, v in found.items() if v} == expected.to_dict()
    there = labels.notna().to_numpy()
    assert_array_equal(report.observed, there)
    for i in range(5):
        for j in range(5):
            assert report.overlap[i, j] == (there[:, i] & there[:, j]).sum()
    assert report.missingness_auc is None


def test_tasks_with_too_few_labels_are_named(labels):
    report = label_report(labels, n_splits=5)
    assert report.unlabelled_tasks == ["empty"]
    assert report.constant_tasks == ["constant"]
    assert report.rare_tasks == ["rare"]
    assert label_report(labels, n_splits=2).rare_tasks == []
    text = repr(report)
    assert "100 rows (2 without any label), 5 tasks" in text
    assert "have no label: ['empty']" in text
    assert list(report.table) == text.splitlines()[1].split()
    assert "fewer than 5 labels: ['rare']" in text


@pytest.mark.parametrize("form", ["array", "frame with NaN", "sparse"])
def test_missingness_that_depends_on_the_input_is_found(form):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    Y = rng.integers(2, size=(300, 3)).astype(float)
    Y[rng.random(300) < 0.5, 0] = np.nan
    Y[X[:, 1] + 0.5 * rng.normal(size=300) > 0, 1] = np.nan
    if form == "frame with NaN":
        X = pd.DataFrame(np.where(rng.random(X.shape) < 0.05, np.nan, X))
    elif form == "sparse":
        X = sparse.csr_array(np.where(np.abs(X) < 0.3, 0, X))
    report = label_report(Y, X, random_state=0)
    at_random, dependent, complete = report.missingness_auc
    assert 0.35 < at_random < 0.6
    assert dependent > 0.85
    assert np.isnan(complete)
    assert report.predictably_missing_tasks == ["task_1"]
    assert "not missing at random: ['task_1']" in repr(report)
    assert_array_equal(report.table["missingness_auc"], report.missingness_auc)


@pytest.mark.parametrize("missing", [0.04, 0.3])
def test_labels_missing_at_random_raise_no_alarm(missing):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(300, 5))
        Y = np.where(rng.random((300, 10)) < missing, np.nan, 1.0)
        assert label_report(Y, X, random_state=seed).predictably_missing_tasks == []


def test_a_single_task_may_be_the_only_one_with_missing_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    Y = np.ones((200, 2))
    Y[X[:, 0] > 0, 1] = np.nan
    Y[:3, 0] = np.nan  # fewer than there are folds: not tested
    for estimator in (None, RandomForestClassifier(20, random_state=0)):
        report = label_report(Y, X, estimator=estimator, random_state=0)
        assert report.predictably_missing_tasks == ["task_1"]
        assert np.isnan(report.missingness_auc[0])
    with pytest.raises(ValueError, match="at least 2"):
        label_report(Y, n_splits=1)
    with pytest.raises(ValueError, match="at least one row"):
        label_report(Y[:0])


def test_another_estimator_may_predict_missingness():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    Y = np.where(np.abs(X[:, [0, 1]]) > 1, np.nan, 1.0)
    forest = RandomForestClassifier(50, random_state=0)
    report = label_report(Y, X, estimator=forest, random_state=0)
    assert (report.missingness_auc > 0.9).all()


def test_the_same_seed_gives_the_same_report():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(80, 3)), rng.random((80, 2))
    Y = np.where(Y < 0.4, np.nan, Y > 0.7)
    one, same = (label_report(Y, X, random_state=3).missingness_auc for _ in range(2))
    assert_array_equal(one, same)


def test_one_task_and_inconsistent_input():
    report = label_report([0, 1, None, 1])
    assert report.overlap.tolist() == [[3]]
    with pytest.raises(ValueError, match="inconsistent"):
        label_report([0, 1, None, 1], np.ones((3, 1)))


def test_on_real_data(load_real):
    X, Y, _ = load_real("tox21")
    report = label_report(Y, X, random_state=0)
    assert report.table["share_missing"].mean() == pytest.approx(0.17, abs=0.01)
    assert report.rare_tasks == []
    assert np.isfinite(report.missingness_auc).all()
