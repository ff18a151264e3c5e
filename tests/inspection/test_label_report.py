from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier

from skmtl._tables import Table
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


@pytest.mark.parametrize("is_frame", [True, False])
def test_in_a_notebook_it_is_a_table_with_remarks(labels, is_frame):
    labels.columns = ["<half>", "$text$", "a & b", "empty", "rare"]
    report = label_report(labels)
    if not is_frame:
        columns = {name: report.table[name].to_numpy() for name in report.table}
        report = replace(report, table=Table(columns, report.task_names.tolist()))
    html = report._repr_html_()
    assert "<p>100 rows (2 without any label), 5 tasks, " in html
    assert html.count("<table") == html.count("</table>") == 1
    assert all(f"<th>{name}</th>" in html for name in report.table)
    assert "<half>" not in html
    for name in ("&lt;half&gt;", "a &amp; b"):
        assert f"<th>{name}</th>" in html
    assert "<li>1 of 5 tasks have labels of one class only: [&#x27;a &amp; b" in html
    assert html.count("<li>") == len(repr(report).splitlines()) - 7
    assert "mathjax_ignore" in html  # or $text$ is a formula


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
    report = label_report(Y[::4], X[::4], random_state=0)
    assert report.table["share_missing"].mean() == pytest.approx(0.17, abs=0.01)
    assert report.rare_tasks == []
    assert np.isfinite(report.missingness_auc).all()


# Numbers ----------------------------------------------------------------------------


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    Y = pd.DataFrame(
        {
            "logp": np.round(rng.normal(size=100), 1),
            "mass": 1e3 * rng.random(100),
            "constant": 2.5,
            "few": [0.5, 1.5] + [np.nan] * 98,
        }
    )
    Y.loc[::3, "logp"] = np.nan
    Y.loc[[5, 9]] = np.nan
    return Y


def test_statistics_of_numbers_are_those_of_pandas(numbers):
    report = label_report(numbers)
    table = report.table
    assert list(table) == [
        *("n_labelled", "share_missing", "n_distinct", "mean", "std", "min", "max")
    ]
    assert_array_equal(table["n_labelled"], numbers.notna().sum())
    assert_array_equal(table["n_distinct"], numbers.nunique())
    assert table["n_distinct"].dtype.kind == "i"
    for name, expected in [
        ("mean", numbers.mean()),
        ("std", numbers.std(ddof=0)),
        ("min", numbers.min()),
        ("max", numbers.max()),
    ]:
        assert_allclose(table[name], expected, atol=1e-12)
    assert report.classes == report.class_counts == [None] * 4
    there = numbers.notna().to_numpy().astype(int)
    assert_array_equal(report.overlap, there.T @ there)
    assert report.unlabelled_tasks == []
    assert report.constant_tasks == ["constant"]
    assert report.rare_tasks == ["few"]
    assert label_report(numbers, n_splits=2).rare_tasks == []
    text = repr(report)
    assert "1 of 4 tasks have one value only: ['constant']" in text
    assert "1 of 4 tasks have fewer than 5 values: ['few']" in text
    assert "class" not in text


def test_classes_beside_numbers_have_the_rows_of_reports_of_their_own(labels, numbers):
    numbers.columns = ["logp", "mass", "one value", "few"]
    of_classes, of_numbers = label_report(labels), label_report(numbers)
    both = pd.concat([labels, numbers], axis=1)
    report = label_report(both)
    assert report.table["type"].tolist() == ["class"] * 5 + ["number"] * 4
    for part, other in [(of_classes, of_numbers), (of_numbers, of_classes)]:
        rows = report.table.loc[part.task_names]
        for name in part.table:
            assert_array_equal(rows[name], part.table[name])
        for name in set(other.table) - set(part.table):
            assert rows[name].isna().all()
    assert report.class_counts[5:] == report.classes[5:] == [None] * 4
    for one, alone in zip(report.class_counts, of_classes.class_counts, strict=False):
        assert_array_equal(one, alone)
    assert report.unlabelled_tasks == ["empty"]
    assert report.constant_tasks == ["constant", "one value"]
    assert report.rare_tasks == ["rare", "few"]
    text = repr(report)
    assert "have labels of one class only: ['constant']" in text
    assert "have one value only: ['one value']" in text
    assert "have a class with fewer than 5 labels: ['rare']" in text
    assert "have fewer than 5 values: ['few']" in text


def test_permuted_tasks_have_permuted_rows(labels, numbers):
    numbers.columns = ["logp", "mass", "one value", "few"]
    both = pd.concat([labels, numbers], axis=1)
    order = np.random.default_rng(0).permutation(9)
    report, permuted = label_report(both), label_report(both.iloc[:, order])
    pd.testing.assert_frame_equal(permuted.table, report.table.iloc[order])
    assert_array_equal(permuted.overlap, report.overlap[np.ix_(order, order)])


def test_whole_numbers_are_classes_unless_they_are_many():
    rng = np.random.default_rng(0)
    Y = pd.DataFrame(
        {
            "stars": rng.integers(1, 6, size=100),
            "year": np.arange(100) % 40 + 1980,
            "identity": np.arange(100) % 40,
        }
    )

    def types(**settings):
        return label_report(Y, **settings).table["type"].tolist()

    assert types() == ["class", "number", "class"]
    assert types(task_types={"stars": "number"}) == ["number", "number", "class"]
    assert types(task_types={"identity": "number"}) == ["class", "number", "number"]
    report = label_report(Y, task_types={"year": "class"})
    assert "type" not in report.table
    assert report.table["n_classes"].tolist() == [5, 40, 40]
    empty = pd.DataFrame({"a": [1.5, 2.5], "b": [np.nan, np.nan]})
    report = label_report(empty, task_types={"a": "number", "b": "number"})
    assert report.table["n_distinct"].tolist() == [2, 0]
    assert np.isnan(report.table["mean"]["b"])
    assert report.unlabelled_tasks == ["b"]
    assert report.constant_tasks == []


@pytest.mark.parametrize(
    ("task_types", "message"),
    [
        ("number", "task_types must map"),
        ({"colour": "class"}, r"other keys \['colour'\]. Correct"),
        ({"mass": "text"}, "must be 'class' or 'number'; got"),
        ({"mass": "class"}, "Labels of task 'mass' must be classes"),
    ],
)
def test_types_that_are_refused(numbers, task_types, message):
    with pytest.raises(ValueError, match=message):
        label_report(numbers, task_types=task_types)


def test_missing_numbers_that_depend_on_the_input_are_found():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    Y = rng.normal(size=(300, 2))
    Y[rng.random(300) < 0.5, 0] = np.nan
    Y[X[:, 1] > 0, 1] = np.nan
    report = label_report(Y, X, random_state=0)
    assert report.predictably_missing_tasks == ["task_1"]
    signs = label_report(np.where(np.isnan(Y), np.nan, Y > 0), X, random_state=0)
    assert_array_equal(report.missingness_auc, signs.missingness_auc)


def test_numbers_as_large_as_float64_has_them():
    report = label_report([[1e300, 0.5], [-1e300, 0.5], [None, 1.5]])
    assert_allclose(report.table["mean"], [0, 2.5 / 3])
    assert_allclose(report.table["std"].iloc[0], 1e300)
