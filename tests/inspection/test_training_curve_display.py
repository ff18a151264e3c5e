import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _estimators import classifier
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl.inspection import TrainingCurveDisplay

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


def test_the_loss_alone_without_early_stopping(problem):
    clf = classifier().fit(*problem)
    display = TrainingCurveDisplay.from_estimator(clf)
    (ax,) = display.axes_
    assert_allclose(ax.lines[0].get_ydata(), clf.loss_curve_)
    with pytest.raises(ValueError, match="early_stopping=True"):
        display.plot(per_task=True)


@pytest.mark.parametrize("per_task", [False, True])
def test_losses_of_the_tasks_and_their_mean(problem, per_task):
    X, Y = problem
    Y[1:, 2] = np.nan
    Y[0, 2] = 1  # no label to validate with
    clf = classifier(early_stopping=True, n_iter_no_change=3, max_iter=30)
    model = make_pipeline(StandardScaler(), clf)
    with (
        pytest.warns(UserWarning, match="too few labels"),
        pytest.warns(UserWarning, match="one class only"),
    ):
        model.fit(X, Y)
    network = model[-1]
    display = TrainingCurveDisplay.from_estimator(model, per_task=per_task)
    _, ax = display.axes_
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert_allclose(lines["mean over tasks"], -np.array(network.validation_scores_))
    assert ("task_0" in lines) == per_task
    assert "task_2" not in lines
    best = int(np.argmax(network.validation_scores_))
    assert_allclose(lines[f"best, epoch {best + 1}"], -network.best_validation_score_)


def test_tasks_keep_their_curves(problem, tmp_path):
    """Where some are dropped, and others added that this fit has not seen."""
    X, Y = problem
    clf = classifier(early_stopping=True).fit(X, Y)
    scores = dict(zip(clf.task_names_, -clf.task_validation_scores_.T, strict=True))
    clf.drop_tasks("task_0").add_tasks(X, pd.Series(Y[:, 0], name="new"))
    skmtl.save(clf, tmp_path / "model")
    for network in (clf, skmtl.load(tmp_path / "model")):
        _, ax = TrainingCurveDisplay.from_estimator(network, per_task=True).axes_
        lines = {line.get_label(): line.get_ydata() for line in ax.lines}
        assert set(lines) >= {"task_1", "task_2", "mean over tasks"}
        assert not set(lines) & {"task_0", "new"}
        assert_allclose(lines["task_1"], scores["task_1"])
        assert_allclose(lines["task_2"], scores["task_2"])
    clf.drop_tasks(["task_1", "task_2"])
    _, ax = TrainingCurveDisplay.from_estimator(clf).axes_
    assert np.isnan(ax.lines[0].get_ydata()).all()


def test_epochs_are_counted_on_after_a_warm_start(problem):
    clf = classifier(early_stopping=True, warm_start=True, max_iter=3, tol=0)
    clf.fit(*problem).fit(*problem)
    _, ax = TrainingCurveDisplay.from_estimator(clf).axes_
    assert_allclose(ax.lines[0].get_xdata(), [4, 5, 6])


def test_axes_that_do_not_fit_and_estimators_that_are_not_fitted(problem):
    with pytest.raises(NotFittedError):
        TrainingCurveDisplay.from_estimator(classifier())
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match="axes must be 1"):
        TrainingCurveDisplay.from_estimator(classifier().fit(*problem), axes=axes)
