"""Plots with any task names: no name is read as a formula, left out or cut off."""

from itertools import pairwise

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _estimators import small_network

from skmtl.inspection import (
    CapacityCurveDisplay,
    LabelCurveDisplay,
    LabelReportDisplay,
    TaskAffinityDisplay,
    TrainingCurveDisplay,
    TransferGainDisplay,
    capacity_curve,
    label_curve,
    label_report,
    task_affinity,
    transfer_gain,
)

matplotlib.use("Agg")

NAMES = ["$x_^$", "_hidden", "the longest name of a task that there is, number 3"]
SHORTENED = ["$x_^$", "_hidden", "the longest …umber 3"]


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).normal(size=(60, 4))
    return X, pd.DataFrame((X[:, :3] > 0).astype(float), columns=NAMES)


def drawn(display):
    """All texts as they are read, after drawing."""
    display.figure_.draw_without_rendering()
    texts = display.figure_.findobj(plt.Text)
    return [text.get_text().replace(r"\$", "$") for text in texts]


def assert_nothing_is_cut(display):
    figure = display.figure_
    figure.draw_without_rendering()
    box = figure.get_tightbbox()  # inches; a layout is right to a few pixels
    assert (box.min > -0.05).all()
    assert (box.max < figure.get_size_inches() + 0.05).all()


def network(**changes):
    return small_network(4, max_iter=2, **changes)


PLOTS = {
    "transfer gain": lambda X, Y: TransferGainDisplay.from_estimator(
        network(), X, Y, cv=3, n_repeats=1
    ),
    "affinity": lambda X, Y: TaskAffinityDisplay.from_estimator(network(), X, Y),
    "label report": lambda X, Y: LabelReportDisplay(label_report(Y)).plot(),
    "training curve": lambda X, Y: TrainingCurveDisplay.from_estimator(
        network(early_stopping=True).fit(X, Y), per_task=True
    ),
}


@pytest.mark.parametrize("plot", PLOTS)
def test_every_name_is_shown_as_it_is_or_shortened(data, plot):
    display = PLOTS[plot](*data)
    assert set(SHORTENED) <= set(drawn(display))
    assert_nothing_is_cut(display)


@pytest.mark.parametrize("plot", PLOTS)
def test_names_that_differ_in_the_middle_are_told_apart(data, plot):
    X, Y = data
    names = [f"satisfaction_with_{of}_of_product" for of in ("price", "look", "size")]
    display = PLOTS[plot](X, Y.set_axis(names, axis=1))
    assert {f"satisfaction… ({i})" for i in range(3)} <= set(drawn(display))


@pytest.mark.parametrize("name", [0, 2])
def test_the_one_task_of_a_label_curve(data, name):
    display = LabelCurveDisplay.from_estimator(
        network(), *data, NAMES[name], n_labels=[8], cv=2
    )
    assert f"labels of task '{SHORTENED[name]}'" in drawn(display)


@pytest.mark.parametrize("kind", ["lookahead", "cosine", "colabelled_cosine"])
def test_the_title_of_two_affinities_is_not_cut(data, kind):
    X, Y = data
    display = TaskAffinityDisplay(task_affinity(network(), X, Y.iloc[:, :2]))
    assert_nothing_is_cut(display.plot(kind=kind))


def test_the_legend_of_many_tasks_covers_no_curve():
    X = np.random.default_rng(0).normal(size=(60, 9))
    clf = network(early_stopping=True).fit(X, X > 0)
    display = TrainingCurveDisplay.from_estimator(clf, per_task=True)
    display.figure_.draw_without_rendering()
    ax = display.axes_[1]
    assert ax.get_legend().get_window_extent().x0 >= ax.bbox.x1
    assert_nothing_is_cut(display)


def overlapping(labels):
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    return [a for a, b in pairwise(boxes) if a.x1 > b.x0]


def test_numbers_of_labels_that_are_close_together_do_not_overlap(data):
    n_labels = [10, 11, 12, 13, 28]
    curve = label_curve(network(), *data, "_hidden", n_labels=n_labels, cv=2)
    for width in (3, 12):
        _, ax = plt.subplots(figsize=(width, 3), layout="constrained")
        display = LabelCurveDisplay.from_result(curve, ax=ax)
        display.figure_.draw_without_rendering()
        assert ax.get_xticks().tolist() == n_labels
        assert not overlapping(ax.get_xticklabels())
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["10", "11", "12", "13", "28"], "there is room for all"


def test_sizes_of_as_many_units_have_a_place_each(data):
    curve = capacity_curve(network(), *data, sizes=[8, (4, 4), 2], cv=2)
    ax = CapacityCurveDisplay.from_result(curve).ax_
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["(2,)", "(8,)", "(4, 4)"]
    mean = ax.lines[3]  # after a line for each of three tasks
    assert mean.get_xdata().tolist() == [0, 1, 2]
    assert mean.get_ydata().tolist() == curve.table["gain"].iloc[[2, 0, 1]].tolist()


def test_a_result_of_another_function_is_refused(data):
    gain = transfer_gain(network(), *data, cv=2, n_repeats=1)
    with pytest.raises(TypeError, match="draws a TaskAffinity; got TransferGain"):
        TaskAffinityDisplay.from_result(gain)
    with pytest.raises(TypeError, match="draws a TransferGain; got tuple"):
        TransferGainDisplay.from_result(gain.mean_gain)
