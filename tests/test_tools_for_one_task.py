"""What takes one target takes a task: scikit-learn's tools, SHAP, MAPIE, crepes."""

import crepes
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from mapie.classification import SplitConformalClassifier
from mapie.regression import SplitConformalRegressor
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import betabinom
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.ensemble import VotingClassifier
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    permutation_importance,
)
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
    confusion_matrix,
    f1_score,
    log_loss,
)
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNet, MultiTaskNetClassifier, observed_rows, task_view
from skmtl.metrics import multitask_score

matplotlib.use("Agg")
FEATURES = ["age", "bmi", "ldl", "hdl"]
TYPES = {"ill": "class", "kind": "class", "dose": "number"}
# SHAP and MAPIE make arrays of the DataFrame that the Pipeline was fitted with.
ignore_names = pytest.mark.filterwarnings("ignore:X does not have valid feature names")


def make_rows(n_rows, seed):
    """X and Y of pandas: 0 and 1, three strings and numbers, a third missing."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n_rows, 4)), columns=FEATURES)
    ill = X["age"] + X["bmi"] + rng.normal(size=n_rows) > 1
    kind = np.digitize(X["bmi"] - X["ldl"] + 0.5 * rng.normal(size=n_rows), [-1, 1])
    dose = 10 + 3 * X["age"] - X["ldl"] + rng.normal(size=n_rows)
    Y = pd.DataFrame(
        {
            "ill": ill.astype(float),
            "kind": np.array(["a", "b", "c"])[kind],
            "dose": dose,
        }
    )
    return X.mask(rng.random(X.shape) < 0.05), Y.mask(rng.random(Y.shape) < 1 / 3)


X_HELD_OUT, Y_HELD_OUT = make_rows(600, seed=1)


def fitted(network):
    """A Pipeline around it."""
    X, Y = make_rows(300, seed=0)
    Y = Y if isinstance(network, MultiTaskNet) else Y[["ill", "kind"]]
    return make_pipeline(StandardScaler(), network).fit(X, Y)


@pytest.fixture(scope="module")
def model():
    net = MultiTaskNet(
        (32,), task_types=TYPES, n_members=1, max_iter=40, n_bins=8, random_state=0
    )
    return fitted(net)


@pytest.fixture
def view(model):
    return task_view(model, "ill")


@pytest.fixture
def rows():
    return observed_rows(X_HELD_OUT, Y_HELD_OUT, "ill")


@pytest.fixture(autouse=True)
def _closes_plots():
    yield
    plt.close("all")


def score_of_task(metric, model):
    """What the metric of several tasks gives."""
    p = model.predict_proba(X_HELD_OUT)[0]
    return multitask_score(metric, Y_HELD_OUT[["ill"]], [p])


# Displays -----------------------------------------------------------------------------


def test_roc_curve_has_the_auc_of_the_task(model, view, rows):
    display = RocCurveDisplay.from_estimator(view, *rows, name=view.task)
    assert_allclose(display.roc_auc, score_of_task("roc_auc", model))
    assert display.roc_auc > 0.75
    assert "ill" in display.ax_.get_legend().get_texts()[0].get_text()


def test_precision_recall_curve_has_the_average_precision_of_the_task(
    model, view, rows
):
    display = PrecisionRecallDisplay.from_estimator(view, *rows, name=view.task)
    expected = score_of_task("average_precision", model)
    assert_allclose(display.average_precision, expected)


def test_det_curve_trades_one_error_for_the_other(view, rows):
    display = DetCurveDisplay.from_estimator(view, *rows, name=view.task)
    assert (np.diff(display.fpr) <= 0).all()
    assert (np.diff(display.fnr) >= 0).all()


def test_calibration_curve_is_that_of_the_probabilities_of_the_task(view, rows):
    X, y = rows
    display = CalibrationDisplay.from_estimator(
        view, X, y, n_bins=4, strategy="quantile", name=view.task
    )
    assert_array_equal(display.y_prob, view.predict_proba(X)[:, 1])
    assert (np.diff(display.prob_true) > 0).all()


@pytest.mark.parametrize("task", ["ill", "kind"])
def test_confusion_matrix_counts_the_observed_labels(model, task):
    X, y = observed_rows(X_HELD_OUT, Y_HELD_OUT, task)
    view = task_view(model, task)
    display = ConfusionMatrixDisplay.from_estimator(view, X, y)
    assert_array_equal(display.confusion_matrix, confusion_matrix(y, view.predict(X)))
    assert display.confusion_matrix.sum() == Y_HELD_OUT[task].notna().sum()
    assert_array_equal(display.display_labels, view.classes_)


def test_prediction_errors_are_those_of_the_numbers(model):
    X, y = observed_rows(X_HELD_OUT, Y_HELD_OUT, "dose")
    view = task_view(model, "dose")
    display = PredictionErrorDisplay.from_estimator(view, X, y, subsample=None)
    assert_array_equal(display.y_pred, view.predict(X))


@pytest.mark.parametrize("task", ["side", "height"])
def test_decision_boundary_lies_where_the_labels_change(task):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["u", "v"])
    names = {True: "up", False: "down"}
    Y = pd.DataFrame({"side": X["u"] > 0, "height": X["v"].gt(0).map(names)})
    net = MultiTaskNetClassifier((20,), n_members=1, max_iter=60, random_state=0)
    model = make_pipeline(StandardScaler(), net)
    model.fit(X, Y.astype(object).mask(rng.random(Y.shape) < 1 / 3))
    display = DecisionBoundaryDisplay.from_estimator(
        task_view(model, task), X, response_method="predict_proba", grid_resolution=9
    )
    axis = display.xx0 if task == "side" else display.xx1
    is_clear = np.abs(axis) > 0.5
    assert ((display.response > 0.5) == (axis > 0))[is_clear].mean() > 0.9


# Importance and explanations ----------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "target", "cause"),
    [("ill", None, "age"), ("kind", "c", "ldl"), ("dose", None, "age")],
)
def test_partial_dependence_is_that_of_the_task(model, task, target, cause):
    X, _ = observed_rows(X_HELD_OUT, Y_HELD_OUT, task)
    display = PartialDependenceDisplay.from_estimator(
        task_view(model, task),
        X[:80].fillna(0.0),  # scikit-learn's grid has no place for NaN
        [cause, "hdl"],
        target=target,
        grid_resolution=5,
    )
    of_target = [part.average[display.target_idx] for part in display.pd_results]
    assert np.ptp(of_target[0]) > np.ptp(of_target[1])


@pytest.mark.parametrize(
    ("task", "causes"),
    [("ill", {"age", "bmi"}), ("kind", {"bmi", "ldl"}), ("dose", {"age", "ldl"})],
)
def test_permutation_importance_finds_what_the_task_depends_on(model, task, causes):
    X, y = observed_rows(X_HELD_OUT, Y_HELD_OUT, task)
    result = permutation_importance(
        task_view(model, task), X, y, n_repeats=3, random_state=0
    )
    order = np.argsort(result.importances_mean)
    assert {FEATURES[i] for i in order[-2:]} == causes


@ignore_names
@pytest.mark.filterwarnings("ignore:The set_.* function:PendingDeprecationWarning")
@pytest.mark.parametrize("task", TYPES)
def test_shap_values_add_up_to_the_prediction(model, task):
    import shap  # it uses what matplotlib deprecates

    view = task_view(model, task)
    function = view.predict if task == "dose" else view.predict_proba
    X, _ = observed_rows(X_HELD_OUT, Y_HELD_OUT, task)
    explainer = shap.KernelExplainer(function, X[:8])
    values = explainer.shap_values(X[8:13], silent=True)
    total = values.sum(axis=1) + explainer.expected_value
    assert_allclose(total, function(X[8:13]), atol=1e-3)


# Other probabilities and decisions ----------------------------------------------------


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibration_keeps_the_order_and_lowers_the_loss(view, rows, method):
    X, y = rows
    half = len(y) // 2
    calibrated = CalibratedClassifierCV(view, method=method, cv=3)
    calibrated.fit(X[:half], y[:half])
    p, before = calibrated.predict_proba(X[half:]), view.predict_proba(X[half:])
    assert_allclose(p.sum(axis=1), 1)
    assert (np.diff(p[np.argsort(before[:, 1]), 1]) >= -1e-12).all()
    # All rows make one calibrator, since nothing is fitted anew.
    assert len(calibrated.calibrated_classifiers_) == 1
    if method != "isotonic":  # it gives probabilities of 0
        assert log_loss(y[half:], p) < log_loss(y[half:], before)


def test_a_tuned_threshold_is_better_for_its_metric_than_a_half(view, rows):
    X, y = rows
    tuned = TunedThresholdClassifierCV(
        view, scoring="f1", cv="prefit", refit=False, thresholds=50
    ).fit(X, y)
    p = view.predict_proba(X)[:, 1]
    assert_array_equal(tuned.predict(X), p >= tuned.best_threshold_)
    assert f1_score(y, tuned.predict(X)) > f1_score(y, view.predict(X))
    assert tuned.estimator_ is view


def test_a_fixed_threshold_decides(view, rows):
    X, y = rows
    fixed = FixedThresholdClassifier(view, threshold=0.2).fit(X, y)
    assert_array_equal(fixed.predict(X), view.predict_proba(X)[:, 1] >= 0.2)


@pytest.mark.parametrize("task", ["ill", "kind"])
def test_views_vote(model, task):
    X, y = observed_rows(X_HELD_OUT, Y_HELD_OUT, task)
    other = fitted(MultiTaskNetClassifier((8,), n_members=1, max_iter=5))
    views = [task_view(model, task), task_view(other, task)]
    vote = VotingClassifier([("a", views[0]), ("b", views[1])], voting="soft")
    mean = (views[0].predict_proba(X) + views[1].predict_proba(X)) / 2
    assert_allclose(vote.fit(X, y).predict_proba(X), mean)
    assert vote.estimators_ == views


# Coverage -----------------------------------------------------------------------------


def halves(task):
    """Rows to calibrate with and rows to cover."""
    X, y = observed_rows(X_HELD_OUT, Y_HELD_OUT, task)
    half = len(y) // 2
    return (X[:half], y[:half]), (X[half:], y[half:])


def assert_covers(is_covered, n_calibration, confidence=0.9):
    """As the theory of split conformal prediction has it, of exchangeable rows."""
    n_below = np.ceil((n_calibration + 1) * confidence)
    n_above = n_calibration + 1 - n_below
    low, high = betabinom.interval(0.999, len(is_covered), n_below, n_above)
    assert low <= np.sum(is_covered) <= high


@ignore_names
@pytest.mark.parametrize("task", ["ill", "kind"])
def test_mapie_and_crepes_cover_the_classes(model, task):
    view = task_view(model, task)
    (X, y), (X_test, y_test) = halves(task)
    code = np.searchsorted(view.classes_, y_test)
    conformal = SplitConformalClassifier(view, confidence_level=0.9, prefit=True)
    _, sets = conformal.conformalize(X, y).predict_set(X_test)
    assert_covers(sets[np.arange(len(code)), code, 0], len(y))
    conformal = crepes.WrapClassifier(view)
    conformal.calibrate(X, y)
    p_values = conformal.predict_p(X_test, seed=0)
    assert_covers(p_values[np.arange(len(code)), code] > 0.1, len(y))


@ignore_names
def test_mapie_and_crepes_cover_the_numbers(model):
    view = task_view(model, "dose")
    (X, y), (X_test, y_test) = halves("dose")
    conformal = SplitConformalRegressor(view, confidence_level=0.9, prefit=True)
    _, intervals = conformal.conformalize(X, y).predict_interval(X_test)
    low, high = intervals[:, :, 0].T
    assert_covers((low <= y_test) & (y_test <= high), len(y))
    conformal = crepes.WrapRegressor(view)
    conformal.calibrate(X, y)
    low, high = conformal.predict_int(X_test, confidence=0.9).T
    assert_covers((low <= y_test) & (y_test <= high), len(y))
