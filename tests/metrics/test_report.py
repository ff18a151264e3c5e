import builtins

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    r2_score,
    roc_auc_score,
)

from skmtl._tables import Table
from skmtl.metrics import expected_calibration_error, multitask_report

COLUMNS = [
    "n_labelled",
    "share_positive",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "mcc",
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


def assert_scores_decisions(row, y, predicted):
    f1 = {"average": "macro"}
    if y.nunique() == 2:
        f1 = {"pos_label": y.max()}
    assert row["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(y, predicted)
    )
    assert row["f1"] == pytest.approx(f1_score(y, predicted, **f1))
    assert row["mcc"] == pytest.approx(matthews_corrcoef(y, predicted))


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
        assert_scores_decisions(row, y, most_probable)
        calibration_error = expected_calibration_error(y, probabilities)
        assert row["ece"] == pytest.approx(calibration_error)
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


def test_a_label_that_dominates_the_log_loss_is_named():
    Y = np.array(["a", "b", "once", "a"])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.7, 0.3]])
    with pytest.warns(UserWarning, match=r"dominates a log loss.*\['once'\]"):
        multitask_report(Y, p, classes=["a", "b"])


def test_scores_of_a_task_whose_other_class_is_unknown_are_undefined():
    Y = pd.DataFrame({"two": ["no", "yes", "no", "yes"], "one": ["yes"] * 4})
    P = np.array([[0.1, 0.2], [0.9, 0.7], [0.2, 0.1], [0.8, 0.4]])
    with pytest.warns(UndefinedMetricWarning, match="'one'.*Pass `classes`"):
        report = multitask_report(Y, P)
    assert report.loc["two", "accuracy"] == 1
    assert report.loc["one"].drop("n_labelled").isna().all()
    with pytest.warns(UndefinedMetricWarning, match="'one'"):
        report = multitask_report(Y, P, classes=[["no", "yes"]] * 2)
    assert report.loc["one", "accuracy"] == 0.25


def test_whole_numbers_beside_predictions_with_decimals_are_numbers():
    y, predicted = np.array([3, 5, 4, 5]), np.array([3.5, 4.5, 4.0, 5.5])
    report = multitask_report(y, predicted)
    assert report["r2"].tolist() == [pytest.approx(r2_score(y, predicted))]
    with pytest.raises(ValueError, match="whole numbers or booleans, like labels"):
        multitask_report(y, np.array([3, 5, 5, 5]))
    # A label that the estimator does not know does not make numbers of the others.
    Y = np.array([[0, 1], [1, 0], [2, 1], [0, 1]])
    p = np.array([[0.2, 0.9], [0.7, 0.1], [0.4, 0.7], [0.1, 0.8]])
    with pytest.warns(UserWarning, match=r"\('task_0', \[2\]\)"):
        report = multitask_report(Y, p, classes=[[0, 1]] * 2)
    assert report.loc["task_1", "roc_auc"] == 1
    counts = np.array([0, 1, 0, 1])
    types = {"task_0": "number"}
    report = multitask_report(counts, counts + 0.25, task_types=types)
    assert report["mae"].tolist() == [0.25]


def test_constant_tasks_do_not_spoil_the_report():
    Y = pd.DataFrame({"same": ["a"] * 4, "other": ["n", "y", "n", "n"]})
    p = [np.ones((4, 1)), np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.5, 0.5]])]
    with pytest.warns(UndefinedMetricWarning, match="'same'"):
        report = multitask_report(Y, p, classes=[["a"], ["n", "y"]])
    assert report.loc["same", "accuracy"] == 1
    undefined = ["roc_auc", "log_loss", "brier", "ece", "f1", "mcc"]
    assert report.loc["same", undefined].isna().all()
    # If both classes have 0.5, the first is predicted, as the classifier does.
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
    with pytest.raises(ValueError, match="must be probabilities, but it contains"):
        multitask_report(y_true, labels)
    multitask_report(y_true, labels.astype(float))


# Decisions --------------------------------------------------------------------------


def test_decisions_by_hand():
    # Of three positives the first is found, of five negatives one is taken for one.
    y = np.array([[1, 1, 1, 0, 0, 0, 0, 0]]).T
    p = np.array([[0.9, 0.4, 0.2, 0.6, 0.3, 0.3, 0.1, 0.1]]).T
    row = multitask_report(y, p, task_names=["toxic"]).loc["toxic"]
    assert row["accuracy"] == 5 / 8
    assert row["balanced_accuracy"] == pytest.approx((1 / 3 + 4 / 5) / 2)
    assert row["f1"] == pytest.approx(2 / (2 + 1 + 2))
    assert row["mcc"] == pytest.approx((1 * 4 - 1 * 2) / np.sqrt(2 * 3 * 5 * 6))
    for thresholds in ({"toxic": 0.4}, [0.4], np.array([0.4])):
        # Two positives are found, the one at the threshold among them.
        row = multitask_report(y, p, task_names=["toxic"], thresholds=thresholds).loc[
            "toxic"
        ]
        assert row["accuracy"] == 6 / 8
        assert row["balanced_accuracy"] == pytest.approx((2 / 3 + 4 / 5) / 2)
        assert row["f1"] == pytest.approx(4 / (4 + 1 + 1))
        assert row["mcc"] == pytest.approx((2 * 4 - 1 * 1) / np.sqrt(3 * 3 * 5 * 5))


def test_thresholds_decide_their_tasks_only(problem):
    Y, p = problem
    plain = multitask_report(Y, p)
    report = multitask_report(Y, p, thresholds={"text": 0.2})
    decided = COLUMNS[COLUMNS.index("accuracy") :]
    probabilities = [name for name in COLUMNS if name not in decided]
    pd.testing.assert_frame_equal(report[probabilities], plain[probabilities])
    others = ["binary", "three"]
    pd.testing.assert_frame_equal(report.loc[others], plain.loc[others])
    seen = Y["text"].notna()
    predicted = np.where(p[1][seen, 1] >= 0.2, "yes", "no")
    assert_scores_decisions(report.loc["text"], Y["text"][seen], predicted)
    for thresholds in ([np.nan, 0.2, np.nan], {"text": 0.2, "three": np.nan}):
        same = multitask_report(Y, p, thresholds=thresholds)
        pd.testing.assert_frame_equal(same, report)
    order = ["three", "text", "binary"]
    permuted = multitask_report(Y[order], p[::-1], thresholds={"text": 0.2})
    pd.testing.assert_frame_equal(permuted, report.loc[order])


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"txt": 0.2}, r"name the tasks .*got also \['txt'\]. Correct the names"),
        ({"three": 0.2}, r"for binary tasks; got one for \['three'\]. Leave"),
        ([0.1, 0.2, 0.3], r"for binary tasks; got one for \['three'\]. Leave"),
        ([0.1, 0.2], r"each of the 3 tasks; got shape \(2,\). Use NaN"),
        (0.5, r"each of the 3 tasks; got shape \(\). Use NaN"),
    ],
)
def test_thresholds_that_are_refused(problem, thresholds, message):
    with pytest.raises(ValueError, match=message):
        multitask_report(*problem, thresholds=thresholds)


def test_a_threshold_of_a_number_is_refused():
    Y = pd.DataFrame({"active": [0, 1, 1], "dose": [0.5, 1.5, 2.5]})
    y_pred = [np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), Y["dose"].to_numpy()]
    with pytest.raises(ValueError, match=r"binary tasks; got one for \['dose'\]"):
        multitask_report(Y, y_pred, thresholds={"active": 0.2, "dose": 0.2})
    report = multitask_report(Y, y_pred, thresholds={"active": 0.2})
    assert report.loc["active", "mcc"] == 1
    assert np.isnan(report.loc["dose", "mcc"])


def test_decisions_where_a_class_is_not_observed_or_never_predicted():
    classes = [[0, 1], [0, 1, 2], [1, 2]]
    y = np.array([[0, 0, 1], [0, 1, 2], [0, 0, 2]])
    p = [
        np.array([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2]]),
        np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]]),
        np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]]),
    ]
    with pytest.warns(UndefinedMetricWarning, match=r"1 of 3 tasks.*'task_0'"):
        report = multitask_report(y, p, classes=classes)
    constant, three, two = (report.loc[f"task_{t}"] for t in range(3))
    assert constant["accuracy"] == 1
    assert constant[["balanced_accuracy", "f1", "mcc"]].isna().all()
    assert three["balanced_accuracy"] == (1 / 2 + 0) / 2  # of the observed classes
    assert three["f1"] == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert two["f1"] == pytest.approx(2 / 3)  # of 2, which is greater than 1
    with pytest.warns(UndefinedMetricWarning):
        report = multitask_report(y[:, 0], p[0], classes=[0, 1], thresholds=[0.15])
    assert report["f1"].iloc[0] == 0  # a negative is predicted to be positive


def test_nobody_predicted_positive():
    y, p = [[0], [1], [0], [1]], [[0.1], [0.3], [0.2], [0.4]]
    row = multitask_report(y, p).iloc[0]
    assert row[["balanced_accuracy", "f1", "mcc"]].tolist() == [0.5, 0, 0]
    row = multitask_report(y, p, thresholds=[0.3]).iloc[0]
    assert row[["balanced_accuracy", "f1", "mcc"]].tolist() == [1, 1, 1]


# Notebooks --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["DataFrame", "Table"])
def test_in_a_notebook_it_is_a_table_with_escaped_names(kind):
    names = ["<b>&toxic", "$x_1$"]
    report = multitask_report(
        [[0, 1], [1, 0]], [[0.1, 0.9], [0.8, 0.7]], task_names=names
    )
    if kind == "Table":
        columns = {name: report[name].to_numpy() for name in report}
        report = Table(columns, names)
    html = report._repr_html_()
    assert html.count("<table") == html.count("</table>") == 1
    assert "<b>" not in html
    assert "<th>&lt;b&gt;&amp;toxic</th>" in html
    assert all(f"<th>{name}</th>" in html for name in COLUMNS)
    assert html.count("<td>") == 2 * len(COLUMNS)


def test_swapped_arguments_are_refused():
    Y = np.array([[0, 1], [1, 1], [1, 0], [0, 0]])
    P = np.array([[0.1, 0.9], [0.8, 0.7], [0.4, 0.2], [0.3, 0.1]])
    with pytest.raises(ValueError, match="Are y_true and y_pred swapped"):
        multitask_report(P, Y)
    types = {"task_0": "number", "task_1": "number"}
    assert multitask_report(P, Y, task_types=types)["r2"].shape == (2,)


def test_floats_that_are_labels_are_not_silently_probabilities():
    rng = np.random.default_rng(0)
    Y = rng.integers(0, 2, (20, 2)).astype(float)
    with pytest.warns(UserWarning, match="all values are 0 or 1"):
        multitask_report(Y, rng.integers(0, 2, (20, 2)).astype(float))


@pytest.mark.parametrize("threshold", ["x", 30, -0.1])
def test_thresholds_are_numbers_from_0_to_1(threshold):
    with pytest.raises(ValueError, match="thresholds must be numbers from 0 to 1"):
        multitask_report([[0], [1]], [[0.2], [0.7]], thresholds={"task_0": threshold})
