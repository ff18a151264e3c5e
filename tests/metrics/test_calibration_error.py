import functools

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.calibration import calibration_curve
from sklearn.dummy import DummyClassifier

from skmtl.metrics import (
    expected_calibration_error,
    multitask_score,
    multitask_scorer,
)


@pytest.fixture
def binary():
    rng = np.random.default_rng(0)
    p = rng.random(200)
    return (rng.random(200) < p**2).astype(int), p


def test_numbers_by_hand():
    y, p = [0, 0, 1, 1, 0], [0.1, 0.2, 0.3, 0.8, 0.9]
    # (0, 0.5] has the mean 0.2 and a third of positives, (0.5, 1] 0.85 and a half.
    assert expected_calibration_error(y, p, n_bins=2) == pytest.approx(
        3 / 5 * (1 / 3 - 0.2) + 2 / 5 * (0.85 - 0.5)
    )
    # Every probability has a bin of its own.
    assert expected_calibration_error(y, p) == pytest.approx(
        (0.1 + 0.2 + 0.7 + 0.2 + 0.9) / 5
    )
    assert expected_calibration_error(y, p, n_bins=1) == pytest.approx(2.3 / 5 - 2 / 5)
    # An edge is in the bin below.
    assert expected_calibration_error([0, 1], [0.5, 1.0], n_bins=2) == 0.25
    assert expected_calibration_error([0, 1, 1], [0.0, 1.0, 1.0]) == 0


def test_of_several_classes_the_most_probable_one_counts():
    y = ["a", "b", "c", "c"]
    p = np.array([[0.7, 0.2, 0.1], [0.6, 0.4, 0], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])
    # 0.6 and 0.6: one is right; 0.7: right; 0.8: wrong.
    assert expected_calibration_error(y, p) == pytest.approx(
        1 / 2 * 0.1 + 1 / 4 * 0.3 + 1 / 4 * 0.8
    )
    with_fourth = np.column_stack([p, np.zeros(4)])
    assert expected_calibration_error(
        y, with_fourth, labels=list("abcd")
    ) == expected_calibration_error(y, p)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("n_bins", [1, 5, 10])
def test_bins_are_those_of_calibration_curve(binary, strategy, n_bins):
    y, p = binary
    true, predicted = calibration_curve(y, p, n_bins=n_bins, strategy=strategy)
    if strategy == "quantile":
        sizes = np.full(n_bins, len(p) / n_bins)
    else:
        sizes, _ = np.histogram(p, np.linspace(0, 1, n_bins + 1))
    error = expected_calibration_error(y, p, n_bins=n_bins, strategy=strategy)
    assert error == pytest.approx(np.average(np.abs(true - predicted), weights=sizes))


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_a_weight_of_2_is_a_doubled_row_and_one_of_0_none(binary, strategy):
    y, p = binary
    rows = np.r_[0:100, 0:30]
    weight = np.repeat([2, 1, 0], [30, 70, 100])
    assert expected_calibration_error(
        y, p, strategy=strategy, sample_weight=weight
    ) == pytest.approx(expected_calibration_error(y[rows], p[rows], strategy=strategy))


def test_quantiles_of_equal_probabilities_make_one_bin():
    y, p = [0, 1, 1, 1], [0.5] * 4
    for strategy in ("uniform", "quantile"):
        assert expected_calibration_error(y, p, strategy=strategy) == 0.25


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [-1, 1], [3, 7]])
def test_the_greater_label_is_the_one_of_the_probability(binary, labels):
    y, p = binary
    expected = expected_calibration_error(y, p)
    named = np.array(labels)[y]
    for y_prob in (p, p[:, None], np.column_stack([1 - p, p]), p.tolist()):
        assert expected_calibration_error(named, y_prob) == pytest.approx(expected)
    assert expected_calibration_error(named, p, labels=labels[::-1]) == expected
    constant = np.array(labels)[np.zeros(200, dtype=int)]
    assert expected_calibration_error(constant, p, labels=labels) == pytest.approx(
        p.mean()
    )


def test_one_observed_class_of_0_and_1():
    assert expected_calibration_error([0, 0], [0.2, 0.4], n_bins=1) == pytest.approx(
        0.3
    )
    assert expected_calibration_error([1, 1], [0.2, 0.4], n_bins=1) == pytest.approx(
        0.7
    )
    assert expected_calibration_error([-1], [0.2]) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("y", "p", "settings", "message"),
    [
        ([0, 1], [0.5, 1.5], {}, "from 0 to 1; got values from 0.5 to 1.5. Pass"),
        ([0, 1], [0.5, np.nan], {}, "y_prob contains NaN"),
        ([0, np.nan], [0.5, 0.5], {}, "missing labels, but .* Use multitask_score"),
        (["a", None, "b"], [0.5] * 3, {}, "missing labels, but .* Use multitask_score"),
        ([[0, 1], [1, 0]], [0.5, 0.5], {}, "1d array"),
        ([0.5, 1.5], [0.5, 0.5], {}, "must be labels; got numbers with decimals"),
        (["a", "a"], [0.5, 0.5], {}, r"of two classes; .*\['a'\]. Pass all"),
        ([0, 1, 2], [0.5] * 3, {}, r"got 1 column\(s\) and the classes \[0, 1, 2\]"),
        ([0, 1], [[0.2, 0.3, 0.5]] * 2, {}, r"got 3 column\(s\).*Pass all classes"),
        ([0, 1], [0.5] * 2, {"labels": [1, 2]}, r"\[1, 2\] without \[0\]. Add these"),
        ([0, 1], [0.5] * 3, {}, "inconsistent"),
        ([0, 1], [0.5] * 2, {"n_bins": 0}, "n_bins"),
        ([0, 1], [0.5] * 2, {"strategy": "width"}, "strategy"),
    ],
)
def test_what_is_refused(y, p, settings, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(y, p, **settings)


# Several tasks ------------------------------------------------------------------------


@pytest.fixture
def tasks():
    """Labels with a third missing, and probabilities; the last class never occurs."""
    rng = np.random.default_rng(0)
    Y = pd.DataFrame(
        {
            "binary": rng.integers(2, size=60).astype(float),
            "text": rng.choice(["no", "yes"], 60),
            "three": rng.integers(3, size=60).astype(float),
        }
    )
    Y = Y.mask(rng.random(Y.shape) < 0.3)
    return Y, [rng.dirichlet(np.ones(k), 60) for k in (2, 2, 4)]


CLASSES = [[0, 1], ["no", "yes"], [0, 1, 2, 3]]


def test_each_task_on_its_observed_rows(tasks):
    Y, p = tasks
    for settings in ({}, {"n_bins": 4, "strategy": "quantile"}):
        scores = multitask_score(
            expected_calibration_error, Y, p, average=None, classes=CLASSES, **settings
        )
        for j, name in enumerate(Y):
            seen = Y[name].notna()
            expected = expected_calibration_error(
                Y[name][seen].tolist(), p[j][seen], labels=CLASSES[j], **settings
            )
            assert scores[j] == pytest.approx(expected)
    metric = functools.partial(expected_calibration_error, n_bins=4)
    assert multitask_score(metric, Y, p, classes=CLASSES) == multitask_score(
        expected_calibration_error, Y, p, classes=CLASSES, n_bins=4
    )


def test_weights_and_certain_probabilities():
    Y, p = np.array([[0, 1], [1, 1], [1, np.nan]]), np.ones((3, 2))
    weight = np.array([[1, 1], [2, 3], [1, 5]])
    scores = multitask_score(
        expected_calibration_error, Y, p, average=None, sample_weight=weight
    )
    assert_allclose(scores, [1 / 4, 0])
    assert multitask_score(
        expected_calibration_error, Y, p, average="micro"
    ) == pytest.approx(1 / 5)


def test_as_a_scorer_less_is_better(binary):
    y, _ = binary
    X, Y = np.zeros((200, 1)), np.column_stack([y, 1 - y])
    scorer = multitask_scorer(expected_calibration_error, per_task=True)
    clf = DummyClassifier(strategy="prior").fit(X, Y)
    held_out = Y[:50].astype(float)
    held_out[10:, 1] = np.nan
    scores = scorer(clf, X[:50], held_out)
    for j, name in enumerate(["task_0", "task_1"]):
        gap = abs(np.nanmean(held_out[:, j]) - Y[:, j].mean())
        assert scores[name] == pytest.approx(-gap)
