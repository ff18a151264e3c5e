import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmtl.inspection import LabelReportDisplay, label_report


@pytest.fixture(autouse=True)
def close_figures():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def test_both_heat_maps_show_the_report():
    Y = pd.DataFrame({"a": [0, 1, 0, 1], "b": [0, None, 1, None], "c": [None] * 4})
    display = LabelReportDisplay(label_report(Y)).plot()
    rows, tasks = display.axes_
    assert_allclose(rows.images[0].get_array(), Y.notna())
    expected = [[1, 0.5, 0], [1, 1, 0], [0, 0, 0]]
    assert_allclose(tasks.images[0].get_array(), expected)
    for labels in (rows.get_xticklabels(), tasks.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["a", "b", "c"]
    assert display.figure_ is rows.figure


def test_many_rows_are_averaged_and_many_names_left_out():
    rng = np.random.default_rng(0)
    Y = np.where(rng.random((1000, 50)) < 0.3, np.nan, 1.0)
    display = LabelReportDisplay.from_targets(Y)
    image = display.axes_[0].images[0].get_array()
    assert image.shape == (200, 50)
    assert_allclose(image[0], np.isfinite(Y[:5]).mean(axis=0))
    assert "task_0" not in [t.get_text() for t in display.axes_[1].get_yticklabels()]


def test_given_axes_are_drawn_on():
    figure, axes = plt.subplots(1, 2)
    display = LabelReportDisplay.from_targets([[0, 1], [1, None]], axes=axes)
    assert display.figure_ is figure
    assert (display.axes_ == axes).all()
