import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.inspection import MultiTaskPredictionErrorDisplay
from skmtl.metrics import multitask_scorer

matplotlib.use("Agg")

SETTINGS = {"n_members": 1, "max_iter": 3, "random_state": 0}
NAMES = ["is_toxic", "logp", "mass"]


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def mixed():
    """X (80, 4) and a frame of a class and two numbers, a quarter missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4))
    Y = np.column_stack([X[:, 0] > 0, X[:, 1], 200 + 50 * X[:, 2]])
    Y[rng.random(Y.shape) < 0.25] = np.nan
    return X, pd.DataFrame(Y, columns=NAMES)


def points(ax):
    return np.asarray(ax.collections[0].get_offsets())


def assert_draws(display, y_true, y_pred, kind="actual_vs_predicted"):
    """Each task on its observed rows, with its R2 as scikit-learn computes it."""
    assert len(display.axes_) == y_true.shape[1]
    for t, ax in enumerate(display.axes_):
        rows = ~np.isnan(y_true[:, t])
        true, predicted = y_true[rows, t], y_pred[rows, t]
        drawn = true if kind == "actual_vs_predicted" else true - predicted
        assert_allclose(points(ax), np.column_stack([predicted, drawn]))
        r2 = r2_score(true, predicted)
        assert_allclose(display.r2_[t], r2)
        assert ax.get_title() == f"{display.task_names[t]}, R2 = {r2:.2f}"


@pytest.mark.parametrize("kind", ["actual_vs_predicted", "residual_vs_predicted"])
def test_observed_values_are_drawn(mixed, kind):
    X, Y = mixed
    Y = Y[["logp", "mass"]]
    reg = MultiTaskNetRegressor((8,), **SETTINGS).fit(X, Y)
    display = MultiTaskPredictionErrorDisplay.from_estimator(reg, X, Y, kind=kind)
    assert display.task_names == ["logp", "mass"]
    assert_draws(display, Y.to_numpy(), reg.predict(X), kind)
    other = MultiTaskPredictionErrorDisplay.from_predictions(
        Y, reg.predict(X), kind=kind
    )
    assert_draws(other, Y.to_numpy(), reg.predict(X), kind)
    assert all(ax.figure is display.figure_ for ax in display.axes_)
    assert [panel.ax_ for panel in display.displays_] == list(display.axes_)


@pytest.mark.parametrize("is_named", [False, True])
def test_tasks_of_classes_are_left_out(mixed, is_named):
    X, Y = mixed
    net = MultiTaskNet((8,), **SETTINGS).fit(X, Y)
    predicted = net.predict(X)[:, 1:].astype(float)
    y = Y if is_named else Y.to_numpy()
    display = MultiTaskPredictionErrorDisplay.from_estimator(net, X, y)
    assert display.task_names == ["logp", "mass"]
    assert_draws(display, Y.to_numpy()[:, 1:], predicted)
    for y_pred in (net.predict(X), list(net.predict(X).T)):
        display = MultiTaskPredictionErrorDisplay.from_predictions(Y, y_pred)
        assert_draws(display, Y.to_numpy()[:, 1:], predicted)
    display = MultiTaskPredictionErrorDisplay.from_estimator(net, X, y, tasks="mass")
    assert_draws(display, Y.to_numpy()[:, 2:], predicted[:, 1:])


def test_permuted_tasks_have_permuted_panels(mixed):
    Y = mixed[1]
    predicted = Y.fillna(1.0) * 0.9
    order = ["mass", "is_toxic", "logp"]
    display = MultiTaskPredictionErrorDisplay.from_predictions(Y, predicted)
    permuted = MultiTaskPredictionErrorDisplay.from_predictions(
        Y[order], predicted[order]
    )
    by_name = dict(zip(display.task_names, display.axes_, strict=True))
    assert permuted.task_names == order
    for name, ax in zip(order, permuted.axes_, strict=True):
        assert_array_equal(points(ax), points(by_name[name]))


def test_whole_numbers_are_numbers_to_a_regressor_and_where_they_are_named():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 2)), rng.integers(4, size=(40, 2)).astype(float)
    reg = MultiTaskNetRegressor((8,), **SETTINGS).fit(X, Y)
    display = MultiTaskPredictionErrorDisplay.from_estimator(reg, X, Y)
    assert_draws(display, Y, reg.predict(X))
    display = MultiTaskPredictionErrorDisplay.from_predictions(Y, reg.predict(X))
    assert_draws(display, Y, reg.predict(X))  # which has decimals
    with pytest.raises(ValueError, match=r"\['task_0', 'task_1'\], look like classes"):
        MultiTaskPredictionErrorDisplay.from_predictions(Y, Y[::-1])
    display = MultiTaskPredictionErrorDisplay.from_predictions(
        Y, Y[::-1], tasks=["b"], task_names=["a", "b"]
    )
    assert display.task_names == ["b"]
    assert_draws(display, Y[:, 1:], Y[::-1, 1:])


def test_pipelines_searches_and_other_estimators(mixed):
    X, Y = mixed
    Y = Y[["logp", "mass"]]
    reg = MultiTaskNetRegressor((8,), **SETTINGS)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), reg),
        {"multitasknetregressor__max_iter": [2]},
        scoring=multitask_scorer("r2"),
        cv=2,
    )
    complete = Y.fillna(0.5)
    for model in (search.fit(X, Y), LinearRegression().fit(X, complete)):
        display = MultiTaskPredictionErrorDisplay.from_estimator(model, X, Y)
        assert_draws(display, Y.to_numpy(), np.asarray(model.predict(X)))


def test_one_task_in_one_axis(mixed):
    X, Y = mixed
    y = Y["logp"].to_numpy()
    reg = MultiTaskNetRegressor((8,), **SETTINGS).fit(X, y)
    _, ax = plt.subplots()
    display = MultiTaskPredictionErrorDisplay.from_estimator(
        reg, X, y, axes=ax, task_names=["logp"]
    )
    assert display.axes_[0] is ax
    assert_draws(display, y[:, None], reg.predict(X)[:, None])


def test_some_of_many_values_are_drawn_and_all_are_scored(mixed):
    Y = mixed[1][["logp", "mass"]]
    predicted = Y.fillna(0.0) * 0.9
    settings = {"subsample": 10, "random_state": 0}
    one, same = (
        MultiTaskPredictionErrorDisplay.from_predictions(Y, predicted, **settings)
        for _ in range(2)
    )
    for t, name in enumerate(Y):
        known = Y[name].dropna()
        assert len(points(one.axes_[t])) == 10
        assert np.isin(points(one.axes_[t])[:, 1], known).all()
        assert_array_equal(points(one.axes_[t]), points(same.axes_[t]))
        assert_allclose(one.r2_[t], r2_score(known, 0.9 * known))


def test_tasks_with_few_values_have_a_panel():
    y = pd.DataFrame({"none": [np.nan] * 3, "one": [0.5, np.nan, np.nan], "same": 1.5})
    y["a$b"] = [1.5, 2.5, np.nan]
    predicted = np.full((3, 4), 0.25)
    display = MultiTaskPredictionErrorDisplay.from_predictions(y, predicted)
    assert [ax.get_title() for ax in display.axes_[:3]] == ["none", "one", "same"]
    assert display.axes_[3].get_title().startswith(r"a\$b, R2 = ")
    assert_array_equal(np.isnan(display.r2_), [True, True, True, False])
    assert display.displays_[0] is None
    assert display.axes_[0].texts[0].get_text() == "no observed value"
    assert points(display.axes_[1]).tolist() == [[0.25, 0.5]]
    display.figure_.draw_without_rendering()


def test_panels_form_a_grid():
    y = np.random.default_rng(0).normal(size=(10, 5))
    display = MultiTaskPredictionErrorDisplay.from_predictions(y, y)
    assert len(display.figure_.axes) == len(display.axes_) == 5
    _, axes = plt.subplots(1, 6)
    display.plot(axes=axes[1:], kind="residual_vs_predicted")
    assert (display.axes_ == axes[1:]).all()
    assert not axes[0].collections
    with pytest.raises(ValueError, match=r"axes must be 5.*got 6. Pass as many"):
        display.plot(axes=axes)
    with pytest.raises(ValueError, match="kind must be one of"):
        display.plot(kind="qq")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": "none such"}, r"tasks must be .*got \['none such'\]"),
        ({"tasks": []}, r"tasks must be .*got \[\]"),
        ({"tasks": 3}, r"tasks must be .*got \['3'\]"),
        ({"tasks": ["is_toxic", "mass"]}, r"must be numeric tasks; got \['is_toxic'\]"),
        ({"task_names": ["a", "b"]}, "task_names must name each of the 3 tasks"),
    ],
)
def test_what_cannot_be_drawn_is_refused(mixed, settings, message):
    X, Y = mixed
    net = MultiTaskNet((8,), **SETTINGS).fit(X, Y)
    with pytest.raises(ValueError, match=message):
        MultiTaskPredictionErrorDisplay.from_estimator(net, X, Y, **settings)


def test_predictions_that_do_not_fit_are_refused(mixed):
    Y = mixed[1]
    predicted = Y.fillna(0.5)
    draw = MultiTaskPredictionErrorDisplay.from_predictions
    with pytest.raises(ValueError, match="y_pred must not have missing predictions"):
        draw(Y, Y)
    with pytest.raises(ValueError, match=r"y_pred must have .* 3 like y_true; got 2"):
        draw(Y, predicted[["logp", "mass"]])
    with pytest.raises(ValueError, match="inconsistent"):
        draw(Y, predicted[:50])
    with pytest.raises(ValueError, match=r"order of the tasks.*Reorder"):
        draw(Y, predicted[NAMES[::-1]])
    with pytest.raises(ValueError, match="y to be passed"):
        draw(None, predicted)


def test_classes_alone_are_refused(mixed):
    X, Y = mixed
    classes = np.column_stack([X[:, 0] > 0, X[:, 1] > 0])
    clf = MultiTaskNetClassifier((8,), **SETTINGS).fit(X, classes)
    with pytest.raises(ValueError, match="At least one task must be numeric"):
        MultiTaskPredictionErrorDisplay.from_estimator(clf, X, classes)
    one = LogisticRegression().fit(X, classes[:, 0])
    with pytest.raises(ValueError, match="At least one task must be numeric"):
        MultiTaskPredictionErrorDisplay.from_estimator(one, X, classes[:, 0])
    reg = MultiTaskNetRegressor((8,), **SETTINGS).fit(X, Y[["logp", "mass"]])
    with pytest.raises(ValueError, match=r"y must have the 2 tasks of fit; got 3"):
        MultiTaskPredictionErrorDisplay.from_estimator(reg, X, Y)


def test_matplotlib_is_asked_for(monkeypatch):
    display = MultiTaskPredictionErrorDisplay(["a"], [np.ones(2)], [np.zeros(2)])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = "MultiTaskPredictionErrorDisplay.plot requires matplotlib"
    with pytest.raises(ImportError, match=message):
        display.plot()
