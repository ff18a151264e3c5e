"""ROC, precision-recall and reliability curves, task by task."""

import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import calibration_curve
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.inspection import (
    MultiTaskCalibrationDisplay,
    MultiTaskPrecisionRecallDisplay,
    MultiTaskRocCurveDisplay,
)
from skmtl.metrics import expected_calibration_error, multitask_report
from skmtl.model_selection import MultiTaskStratifiedKFold

matplotlib.use("Agg")

SETTINGS = {"n_members": 1, "max_iter": 3, "random_state": 0}
CLASSES = [[0, 1], ["no", "yes"], ["a", "b", "c", "d"]]  # nobody observed "d"
DISPLAYS = [
    MultiTaskRocCurveDisplay,
    MultiTaskPrecisionRecallDisplay,
    MultiTaskCalibrationDisplay,
]


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def problem():
    """Labels of which a quarter is missing, and probabilities."""
    rng = np.random.default_rng(0)
    Y = pd.DataFrame(
        {
            "binary": rng.integers(2, size=80).astype(float),
            "text": rng.choice(["no", "yes"], 80),
            "three": rng.choice(["a", "b", "c"], 80),
        }
    )
    Y = Y.mask(rng.random(Y.shape) < 0.25)
    return Y, [rng.dirichlet(np.ones(k), 80) for k in (2, 2, 4)]


@pytest.fixture
def binary(problem):
    """Two tasks as tables with a column per task."""
    Y = problem[0].assign(text=problem[0]["text"].map({"no": 0.0, "yes": 1.0}))
    p = np.column_stack([part[:, 1] for part in problem[1][:2]])
    return Y[["binary", "text"]], p


def curves_by_hand(display, y, p, classes):
    """What scikit-learn gives for the curves of one task: x and y for each."""
    if display is MultiTaskCalibrationDisplay:
        if len(classes) == 2:
            true, predicted = calibration_curve(y == classes[1], p[:, 1], n_bins=10)
        else:
            hit = y == np.array(classes)[p.argmax(axis=1)]
            true, predicted = calibration_curve(hit, p.max(axis=1), n_bins=10)
        return [(predicted, true)]
    curves = []
    drawn = classes[1:] if len(classes) == 2 else classes[:3]
    for label in drawn:
        is_class, score = (y == label).astype(int), p[:, classes.index(label)]
        if display is MultiTaskRocCurveDisplay:
            curves.append(roc_curve(is_class, score)[:2])
        else:
            precision, recall, _ = precision_recall_curve(is_class, score)
            curves.append((recall, precision))
    return curves


def assert_same_curves(display, other):
    for lines, others in zip(display.lines_, other.lines_, strict=True):
        for line, same in zip(lines, others, strict=True):
            assert_allclose(line.get_xydata(), same.get_xydata(), atol=1e-12)


@pytest.mark.parametrize("kind", DISPLAYS)
def test_curves_are_those_of_scikit_learn_on_the_observed_rows(kind, problem):
    Y, p = problem
    display = kind.from_predictions(Y, p, classes=CLASSES)
    assert display.task_names == ["binary", "text", "three"]
    for t, name in enumerate(Y):
        seen = Y[name].notna().to_numpy()
        y = Y[name][seen].to_numpy()
        expected = curves_by_hand(kind, y, p[t][seen], CLASSES[t])
        for line, (x_values, y_values) in zip(display.lines_[t], expected, strict=True):
            assert_allclose(line.get_xdata(), x_values)
            assert_allclose(line.get_ydata(), y_values)
        assert display.class_counts[t] == {c: (y == c).sum() for c in CLASSES[t]}
    assert display.figure_ is display.axes_[0].figure


def test_scores_are_those_of_the_report(problem):
    Y, p = problem
    report = multitask_report(Y, p, classes=CLASSES)
    roc = MultiTaskRocCurveDisplay.from_predictions(Y, p, classes=CLASSES)
    pr = MultiTaskPrecisionRecallDisplay.from_predictions(Y, p, classes=CLASSES)
    for scores, name in [
        (roc.roc_auc, "roc_auc"),
        (pr.average_precision, "average_precision"),
    ]:
        means = [np.mean(list(by_class.values())) for by_class in scores]
        assert_allclose(means, report[name])
    assert_allclose(
        [share[label] for share, label in zip(pr.prevalence, (1, "yes"), strict=False)],
        report["share_positive"][:2],
    )
    calibration = MultiTaskCalibrationDisplay.from_predictions(Y, p, classes=CLASSES)
    assert_allclose(calibration.calibration_error, report["ece"])
    titles = [ax.get_title() for ax in roc.axes_]
    auc, n = report["roc_auc"], report["n_labelled"]
    n_positive = (Y["binary"] == 1).sum()
    of_all = f"{n_positive} of {n.iloc[0]} positive"
    assert titles[0] == f"binary\nAUC {auc.iloc[0]:.2f}, {of_all}"
    assert titles[2] == f"three\nmean AUC {auc.iloc[2]:.2f}, {n.iloc[2]} labels"
    ece = report["ece"].iloc[2]
    title = calibration.axes_[2].get_title()
    assert title == f"three\nECE {ece:.3f}, {n.iloc[2]} labels, 4 classes"


def test_lines_of_chance(binary):
    Y, p = binary
    roc = MultiTaskRocCurveDisplay.from_predictions(Y, p)
    assert_array_equal(roc.axes_[0].lines[0].get_xydata(), [[0, 0], [1, 1]])
    pr = MultiTaskPrecisionRecallDisplay.from_predictions(Y, p)
    assert_allclose(pr.axes_[1].lines[1].get_ydata(), Y["text"].mean())
    calibration = MultiTaskCalibrationDisplay.from_predictions(Y, p)
    assert_array_equal(calibration.axes_[0].lines[0].get_xydata(), [[0, 0], [1, 1]])


def test_bars_are_shares_of_the_labels(binary):
    Y, p = binary
    display = MultiTaskCalibrationDisplay.from_predictions(Y, p, n_bins=4)
    for t, name in enumerate(Y):
        seen = Y[name].notna()
        counts, edges = np.histogram(p[seen, t], 4, (0, 1))
        bars = display.axes_[t].patches
        assert_allclose([bar.get_height() for bar in bars], counts / seen.sum())
        assert_allclose([bar.get_x() for bar in bars], edges[:-1], atol=1e-12)
    display = MultiTaskCalibrationDisplay.from_predictions(
        Y, p, n_bins=3, strategy="quantile"
    )
    for t, name in enumerate(Y):
        seen = Y[name].notna()
        assert_allclose(display.bin_shares[t], 1 / 3, atol=1 / seen.sum())
        assert display.calibration_error[t] == pytest.approx(
            expected_calibration_error(
                Y[name][seen], p[seen, t], n_bins=3, strategy="quantile"
            )
        )


@pytest.mark.parametrize("kind", DISPLAYS)
def test_predictions_where_labels_are_missing_do_not_matter(kind, problem):
    Y, p = problem
    display = kind.from_predictions(Y, p, classes=CLASSES)
    others = [part.copy() for part in p]
    for t, name in enumerate(Y):
        others[t][Y[name].isna()] = 1 / p[t].shape[1]
    assert_same_curves(display, kind.from_predictions(Y, others, classes=CLASSES))


@pytest.mark.parametrize("kind", DISPLAYS)
def test_permuted_tasks_have_permuted_panels(kind, problem):
    Y, p = problem
    order = [2, 0, 1]
    display = kind.from_predictions(Y, p, classes=CLASSES)
    permuted = kind.from_predictions(
        Y.iloc[:, order], [p[t] for t in order], classes=[CLASSES[t] for t in order]
    )
    assert permuted.task_names == [Y.columns[t] for t in order]
    display.lines_ = [display.lines_[t] for t in order]
    assert_same_curves(display, permuted)
    chosen = kind.from_predictions(Y, p, classes=CLASSES, tasks=["text", "binary"])
    assert chosen.task_names == ["binary", "text"]
    display.lines_ = display.lines_[1:]
    assert_same_curves(display, chosen)


@pytest.mark.parametrize("kind", DISPLAYS)
def test_a_weight_of_2_is_a_doubled_row_and_one_of_0_none(kind, binary):
    Y, p = binary
    rows = np.r_[0:60, 0:20]
    weight = np.repeat([2, 1, 0], [20, 40, 20])
    doubled = kind.from_predictions(Y.iloc[rows], p[rows])
    assert_same_curves(kind.from_predictions(Y, p, sample_weight=weight), doubled)
    by_task = np.column_stack([weight, np.ones(80)])
    display = kind.from_predictions(Y, p, sample_weight=by_task)
    plain = kind.from_predictions(Y, p)
    display.lines_ = [display.lines_[1]]
    plain.lines_ = [plain.lines_[1]]
    assert_same_curves(display, plain)


def test_weights_enter_scores_and_shares(binary):
    Y, p = binary
    weight = np.linspace(0.5, 2, 80)
    pr = MultiTaskPrecisionRecallDisplay.from_predictions(Y, p, sample_weight=weight)
    roc = MultiTaskRocCurveDisplay.from_predictions(Y, p, sample_weight=weight)
    for t, name in enumerate(Y):
        seen = Y[name].notna()
        args = Y[name][seen], p[seen, t]
        own = {"sample_weight": weight[seen]}
        assert roc.roc_auc[t][1] == pytest.approx(roc_auc_score(*args, **own))
        ap = average_precision_score(*args, **own)
        assert pr.average_precision[t][1] == pytest.approx(ap)
        share = np.average(args[0], weights=weight[seen])
        assert pr.prevalence[t][1] == pytest.approx(share)


def test_arguments_of_the_curves_are_passed_on(binary):
    Y, p = binary
    seen = Y["binary"].notna()
    display = MultiTaskRocCurveDisplay.from_predictions(Y, p, drop_intermediate=False)
    fpr, _, _ = roc_curve(Y["binary"][seen], p[seen, 0], drop_intermediate=False)
    assert_array_equal(display.fpr[0][1], fpr)
    with pytest.raises(TypeError, match="bins"):
        MultiTaskCalibrationDisplay.from_predictions(Y, p, bins=3)


# Tasks without a curve ----------------------------------------------------------------


@pytest.mark.parametrize("kind", DISPLAYS)
def test_tasks_without_a_curve_have_a_panel_that_says_why(kind, binary):
    Y, p = binary
    Y = Y.assign(none=np.nan, same=0.0, one=1.0)
    p = np.column_stack([p, p[:, :1], p[:, :1], p[:, :1]])
    classes = [[0, 1]] * 4 + [[1]]
    entries = [np.column_stack([1 - part, part]) for part in p.T]
    entries[-1] = np.ones((80, 1))
    draws_one_class = kind is MultiTaskCalibrationDisplay
    message = r"2 of 5 tasks: \['none', 'one'\]. They have no observed label.*Pass more"
    if not draws_one_class:
        message = r"3 of 5 tasks: \['none', 'same', 'one'\]"
    with pytest.warns(UndefinedMetricWarning, match=message) as seen:
        display = kind.from_predictions(Y, entries, classes=classes)
    assert seen[0].filename == __file__
    texts = [[text.get_text() for text in ax.texts] for ax in display.axes_]
    same = [] if draws_one_class else ["all 80 labels\nare 0"]
    assert texts == [[], [], ["no labels"], same, ["all 80 labels\nare 1"]]
    assert [len(lines) for lines in display.lines_] == [1, 1, 0, draws_one_class, 0]
    assert [ax.get_title().split("\n")[0] for ax in display.axes_] == list(Y)
    plain = kind.from_predictions(Y[["binary", "text"]], p[:, :2])
    display.lines_ = display.lines_[:2]
    assert_same_curves(display, plain)
    if draws_one_class:
        assert display.calibration_error[3] == pytest.approx(
            expected_calibration_error(np.zeros(80), p[:, 0])
        )


# Estimators ---------------------------------------------------------------------------


@pytest.fixture
def data(binary):
    """X, the labels of two tasks, and without missing ones."""
    X = np.random.default_rng(1).normal(size=(80, 3))
    Y = (X[:, :2] + 0.5 * X[:, 2:] > 0).astype(float)
    frame = pd.DataFrame(Y, columns=["left", "right"])
    return X, frame.mask(binary[0].isna().to_numpy()), frame


@pytest.mark.parametrize("kind", DISPLAYS)
@pytest.mark.parametrize("model", ["network", "pipeline", "search", "forest"])
def test_estimators(kind, model, data):
    X, Y, complete = data
    network = MultiTaskNetClassifier((8,), **SETTINGS)
    if model == "forest":
        estimator = RandomForestClassifier(5, random_state=0).fit(X, complete)
        p = np.column_stack([part[:, 1] for part in estimator.predict_proba(X)])
    else:
        estimator = {
            "network": network,
            "pipeline": make_pipeline(StandardScaler(), network),
            "search": GridSearchCV(
                network, {"alpha": [0.1]}, cv=MultiTaskStratifiedKFold(2)
            ),
        }[model].fit(X, Y)
        p = estimator.predict_proba(X)
    display = kind.from_estimator(estimator, X, Y)
    assert display.task_names == ["left", "right"]
    assert_same_curves(display, kind.from_predictions(Y, p))
    one = kind.from_estimator(estimator, X, Y, tasks="right", sample_weight=X[:, 0] > 0)
    rows = X[:, 0] > 0
    other = kind.from_predictions(Y[rows][["right"]], p[rows, 1:])
    assert_same_curves(one, other)
    unnamed = kind.from_estimator(estimator, X, Y.to_numpy())
    names = ["left", "right"] if model in ("network", "pipeline", "search") else None
    assert unnamed.task_names == (names or ["task_0", "task_1"])


@pytest.mark.parametrize("kind", DISPLAYS)
def test_one_task_in_one_axis(kind, data):
    X, Y, complete = data
    _, ax = plt.subplots()
    for estimator in (MultiTaskNetClassifier((8,), **SETTINGS), LogisticRegression()):
        estimator.fit(X, complete["left"])
        y = Y["left"].to_numpy()
        display = kind.from_estimator(estimator, X, y, axes=ax, task_names=["is left"])
        assert display.axes_[0] is ax
        assert ax.get_title().startswith("is left\n")
        p = estimator.predict_proba(X)[:, 1]
        assert_same_curves(display, kind.from_predictions(Y[["left"]], p[:, None]))


@pytest.mark.parametrize("kind", DISPLAYS)
def test_tasks_of_numbers_are_left_out(kind, data):
    X, Y, _ = data
    mixed = pd.DataFrame({"left": Y["left"], "dose": X[:, 1], "right": Y["right"]})
    net = MultiTaskNet((8,), **SETTINGS).fit(X, mixed)
    p = net.predict_proba(X)
    assert p[1] is None
    display = kind.from_estimator(net, X, mixed)
    assert display.task_names == ["left", "right"]
    assert_same_curves(display, kind.from_predictions(Y, [p[0], p[2]]))
    numbers = net.predict(X)[:, 1].astype(float)
    for y_pred in (p, [p[0], numbers, p[2]]):
        other = kind.from_predictions(mixed, y_pred, classes=net.classes_)
        assert other.task_names == ["left", "right"]
        assert_same_curves(display, other)
    for draw in (
        lambda: kind.from_estimator(net, X, mixed, tasks=["left", "dose"]),
        lambda: kind.from_predictions(mixed, p, tasks="dose"),
    ):
        with pytest.raises(
            ValueError, match=r"Only tasks with classes.*got \['dose'\], which are num"
        ):
            draw()


def test_decision_values_have_roc_and_precision_recall_curves(data):
    X, Y, complete = data
    ridge = RidgeClassifier().fit(X, complete)
    display = MultiTaskRocCurveDisplay.from_estimator(ridge, X, Y)
    seen = Y["left"].notna()
    auc = roc_auc_score(Y["left"][seen], ridge.decision_function(X)[seen, 0])
    assert display.roc_auc[0][1] == pytest.approx(auc)
    assert display.task_names == ["left", "right"]
    with pytest.raises(
        AttributeError, match=r"\['predict_proba'\], but .* Choose another"
    ):
        MultiTaskCalibrationDisplay.from_estimator(ridge, X, Y)
    with pytest.raises(ValueError, match="from 0 to 1"):
        MultiTaskCalibrationDisplay.from_predictions(Y, ridge.decision_function(X))
    reg = MultiTaskNetRegressor((8,), **SETTINGS).fit(X, X[:, :2])
    with pytest.raises(AttributeError, match="or use MultiTaskPredictionErrorDisplay"):
        MultiTaskRocCurveDisplay.from_estimator(reg, X, Y)


def test_tasks_that_fit_had_no_labels_of_have_no_curve(data):
    X, Y, _ = data
    with pytest.warns(UserWarning, match="left"):
        clf = MultiTaskNetClassifier((8,), **SETTINGS).fit(X, Y.assign(left=np.nan))
    with pytest.warns(UndefinedMetricWarning, match=r"\['left'\]. They have no"):
        display = MultiTaskRocCurveDisplay.from_estimator(clf, X, Y)
    assert [len(lines) for lines in display.lines_] == [0, 1]


# Bad input ---------------------------------------------------------------------------


def test_predictions_that_do_not_fit_are_refused(binary):
    Y, p = binary
    draw = MultiTaskRocCurveDisplay.from_predictions
    with pytest.raises(ValueError, match="must be probabilities, but it contains"):
        draw(Y, Y.fillna(0).astype(int))
    with pytest.raises(ValueError, match=r"missing predictions, but .* \['text'\]"):
        draw(Y, np.where([False, True], np.nan, p))
    with pytest.raises(ValueError, match="inconsistent"):
        draw(Y, p[:50])
    with pytest.raises(ValueError, match=r"tasks must be .*got \['none such'\]"):
        draw(Y, p, tasks="none such")
    with pytest.raises(ValueError, match=r"task_names must name each of the 2 tasks"):
        draw(Y, p, task_names=["a"])
    with pytest.raises(ValueError, match=r"axes must be 2.*got 3. Pass as many"):
        draw(Y, p, axes=plt.subplots(1, 3)[1])


def test_labels_of_other_tasks_than_those_of_fit_are_refused(data):
    X, Y, _ = data
    clf = MultiTaskNetClassifier((8,), **SETTINGS).fit(X, Y)
    draw = MultiTaskRocCurveDisplay.from_estimator
    with pytest.raises(ValueError, match=r"y must have the 2 tasks of fit; got 1"):
        draw(clf, X, Y[["left"]])
    with pytest.raises(ValueError, match="in the same order"):
        draw(clf, X, Y[["right", "left"]])


@pytest.mark.parametrize("kind", DISPLAYS)
def test_matplotlib_is_asked_for(kind, binary, monkeypatch):
    display = kind.from_predictions(*binary)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=f"{kind.__name__}.plot requires matplotlib"):
        display.plot()


# Plots --------------------------------------------------------------------------------

NAMES = ["$x_^$", "_hidden", "the longest name of a task that there is, number 3"]
SHORTENED = [r"\$x_^\$", "_hidden", "the longest …umber 3"]


@pytest.mark.parametrize(
    ("kind", "n_tasks"),
    [*[(kind, n) for kind in DISPLAYS for n in (1, 3, 5)], (DISPLAYS[2], 18)],
)
def test_plots_are_whole_and_nothing_overlaps(kind, n_tasks):
    rng = np.random.default_rng(0)
    names = (NAMES + [f"task {t}" for t in range(20)])[:n_tasks]
    Y = pd.DataFrame(rng.integers(2, size=(30, n_tasks)), columns=names)
    display = kind.from_predictions(Y, rng.random(Y.shape))
    figure, axes = display.figure_, display.axes_
    assert len(axes) == len(figure.axes) == n_tasks
    titles = [ax.get_title().split("\n")[0] for ax in axes]
    assert titles[:3] == SHORTENED[:n_tasks]
    figure.draw_without_rendering()
    box = figure.get_tightbbox()  # inches; a layout is right to a few pixels
    assert (box.min > -0.05).all()
    assert (box.max < figure.get_size_inches() + 0.05).all()
    boxes = [ax.get_tightbbox() for ax in axes]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:i])
    # Axes are named at the left, and where nothing is below.
    is_left = [ax.get_subplotspec().is_first_col() for ax in axes]
    assert [bool(ax.get_ylabel()) for ax in axes] == is_left
    has_name = [bool(ax.get_xlabel()) for ax in axes]
    n_columns = sum(ax.get_subplotspec().is_first_row() for ax in axes)
    assert has_name == [False] * (n_tasks - n_columns) + [True] * n_columns


@pytest.mark.parametrize("kind", DISPLAYS)
def test_given_axes_are_all_named(kind, binary):
    axes = plt.subplots(1, 2)[1]
    display = kind.from_predictions(*binary, axes=axes)
    assert (display.axes_ == axes).all()
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in axes)


def legend(ax):
    return ax.get_legend() and [text.get_text() for text in ax.get_legend().get_texts()]


def test_legends_name_classes(problem):
    Y, p = problem
    Y["three"] = Y["three"].replace({"a": "$_a"})
    classes = [*CLASSES[:2], ["$_a", "b", "c", "d"]]
    for kind in DISPLAYS:
        display = kind.from_predictions(Y, p, classes=classes)
        assert legend(display.axes_[0]) is None
        assert legend(display.axes_[1]) == ["positive: yes"]
    assert legend(display.axes_[2]) is None  # reliability is of the most probable class
    display = MultiTaskRocCurveDisplay.from_predictions(Y, p, classes=classes)
    scores = display.roc_auc[2]
    names = zip([r"\$_a", "b", "c"], scores.values(), strict=True)
    assert legend(display.axes_[2]) == [f"{name}: {score:.2f}" for name, score in names]
    many = np.arange(80)[:, None] % 8
    p = np.random.default_rng(0).dirichlet(np.ones(8), 80)
    display = MultiTaskRocCurveDisplay.from_predictions(many, p)
    assert len(display.lines_[0]) == 8
    assert legend(display.axes_[0]) is None
