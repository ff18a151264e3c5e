from typing import ClassVar

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from _estimators import small_network
from _targets import encode_targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNetClassifier
from skmtl._targets import mask_targets
from skmtl.datasets import make_multitask_classification
from skmtl.inspection import LabelCurveDisplay, label_curve
from skmtl.inspection._label_curve import _nested_order
from skmtl.metrics import multitask_score
from skmtl.trunks import UnfreezeAfter

matplotlib.use("Agg")

every_container = pytest.mark.parametrize(
    "make",
    [
        np.array,
        lambda y: y.astype(bool),
        lambda y: y.astype(int).tolist(),
        lambda y: np.ma.array(y, mask=y > 1),
        pd.DataFrame,
        lambda y: pd.DataFrame(y.astype(bool), columns=list("abc")),
        lambda y: pd.DataFrame(y.astype(int)).astype("Int64"),
        lambda y: pd.DataFrame(y.astype(int)).astype("category"),
        lambda y: pd.DataFrame(np.where(y > 0, "yes", "no")),
        lambda y: pl.DataFrame(y.astype(int), schema=["a", "b", "c"], orient="row"),
        lambda y: pl.DataFrame(y > 0, schema=["a", "b", "c"], orient="row"),
    ],
)


@every_container
def test_masked_labels_of_any_container_are_the_others_and_holes(make):
    rng = np.random.default_rng(0)
    y = make(rng.integers(2, size=(20, 3)).astype(float))
    removed = rng.random((20, 3)) < 0.4
    tasks, codes = encode_targets(y)
    masked_tasks, masked = encode_targets(mask_targets(y, removed))
    assert_array_equal(masked, np.where(removed, -1, codes))
    assert_array_equal(masked_tasks.names, tasks.names)
    for one, other in zip(tasks.classes, masked_tasks.classes, strict=True):
        assert_array_equal(one, other)
    assert_array_equal(encode_targets(y)[1], codes)  # y is left as it was


@every_container
def test_every_container_of_labels_gives_the_same_curve(make):
    """So the columns and the rows that are taken from it are those of the array."""
    X, Y = make_multitask_classification(40, 4, 3, random_state=0)
    clf = small_network(4, max_iter=2)
    settings = {"n_labels": [8], "cv": 2, "random_state": 0}
    y = make(Y)
    names = encode_targets(y)[0].names
    curve = label_curve(clf, X, y, names[1], **settings)
    plain = label_curve(clf, X, Y, "task_1", **settings)
    assert_allclose(curve.joint_scores, plain.joint_scores)
    assert_allclose(curve.alone_scores, plain.alone_scores)


def test_first_labels_have_the_classes_in_their_proportions():
    codes = np.array([-1] * 10 + [0] * 80 + [1] * 20)
    order = _nested_order(codes, np.random.default_rng(0))
    assert_array_equal(np.sort(order), np.flatnonzero(codes >= 0))
    for n in (10, 25, 50):
        assert abs((codes[order[:n]] == 1).sum() - 0.2 * n) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_first_labels_have_all_classes(seed):
    codes = np.repeat([-1, 0, 1, 2], [10, 500, 5, 1])
    order = _nested_order(codes, np.random.default_rng(seed))
    assert sorted(codes[order[:3]]) == [0, 1, 2]


def test_scores_are_those_of_two_fits_by_hand(problem):
    X, Y = problem
    clf = small_network(8, max_iter=5)
    (pair,) = ShuffleSplit(1, test_size=0.5, random_state=0).split(X)
    n = int(np.isfinite(Y[pair[0], 1]).sum())  # all labels: nothing is drawn
    curve = label_curve(clf, X, Y, "task_1", n_labels=[n], cv=[pair], random_state=0)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    (train, test), own = pair, np.isfinite(Y[pair[0], 1])
    joint = clone(clf).set_params(random_state=seed).fit(X[train], Y[train])
    n_rows = np.isfinite(Y[train]).any(axis=1).sum()
    alone = clone(clf).set_params(random_state=seed, max_iter=-(-5 * n_rows // n))
    alone.fit(X[train][own], Y[train][own][:, [1]])
    expected = [
        multitask_score("roc_auc", Y[test][:, [1]], p)
        for p in (joint.predict_proba(X[test])[:, [1]], alone.predict_proba(X[test]))
    ]
    assert_allclose([curve.joint_scores[0, 0], curve.alone_scores[0, 0]], expected)


class KeptFits(MultiTaskNetClassifier):
    """A network that remembers its clones' fits: all that were made from it."""

    fits: ClassVar[list] = []

    def fit(self, X, y):
        self.fits.append(super().fit(X, y))
        return self


@pytest.fixture
def fits():
    KeptFits.fits.clear()
    yield KeptFits.fits
    KeptFits.fits.clear()


def test_alone_the_network_waits_as_many_rows_for_a_better_epoch(fits):
    X, Y = make_multitask_classification(200, 5, 3, n_hidden=1, random_state=0)
    plain = small_network(8, early_stopping=True, max_iter=4, n_iter_no_change=2)
    clf = KeptFits(**plain.get_params())
    (pair,) = ShuffleSplit(1, test_size=0.5, random_state=0).split(X)
    label_curve(clf, X, Y, "task_0", n_labels=[20, 30], cv=[pair], random_state=0)
    scaled = [(fit.max_iter, fit.n_iter_no_change) for fit in fits]
    # 100 rows: five times, and ten thirds of the epochs, rounded up.
    assert scaled == [(4, 2), (20, 10), (4, 2), (14, 7)]


def test_alone_the_network_is_frozen_for_as_many_rows(problem, fits):
    X, Y = problem
    Y = np.nan_to_num(Y)
    source = FrozenEstimator(small_network(8, max_iter=1).fit(X, Y))
    settings = {"pretrained": source, "freeze": UnfreezeAfter(2), "max_iter": 4}
    clf = KeptFits(**small_network(8, **settings).get_params(deep=False))
    (pair,) = ShuffleSplit(1, test_size=0.5, random_state=0).split(X)
    settings = {"cv": [pair], "n_labels": [10], "scoring": "accuracy"}
    label_curve(clf, X, Y, "task_0", **settings)
    assert [(fit.max_iter, fit.freeze.n_epochs) for fit in fits] == [(4, 2), (12, 6)]
    assert clf.freeze.n_epochs == 2


@pytest.mark.parametrize("task", ["text", "truth", "number"])
def test_both_networks_know_the_same_classes(fits, task):
    """Of columns that declare no classes and of which one is rare."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    is_rare = X[:, 0] > 1.2
    frame = pd.DataFrame(
        {
            "text": np.where(is_rare, "yes", "no"),
            "truth": is_rare,
            "number": np.where(is_rare, 1, 0),
        }
    )
    clf = KeptFits(**small_network(4, max_iter=2).get_params())
    label_curve(clf, X, frame, task, n_labels=[2, 5], cv=3, random_state=0)
    position = frame.columns.get_loc(task)
    for joint, alone in zip(fits[::2], fits[1::2], strict=True):
        assert_array_equal(joint.classes_[position], alone.classes_[0])
        assert len(alone.classes_[0]) == 2


def test_numbers_of_the_default_that_no_split_has_are_left_out(problem):
    clf = small_network(4, max_iter=1)
    message = r"\[30, 100, 300, 1000\] are left out"
    with pytest.warns(UserWarning, match=message) as seen:
        curve = label_curve(clf, *problem, "task_0", cv=2, random_state=0)
    assert seen[0].filename == __file__
    assert_array_equal(curve.n_labels, [10])
    X, Y = problem
    with pytest.warns(UserWarning, match=r"\[10, 30, 100, 300, 1000\] are left out"):
        curve = label_curve(clf, X[:12], Y[:12], "task_0", cv=2, random_state=0)
    assert_array_equal(curve.n_labels, [3])  # as many as there are


def test_a_default_is_at_least_the_number_of_classes(problem):
    X, Y = problem
    Y[:, 0] = np.arange(60) % 15
    clf = small_network(4, max_iter=1)
    with pytest.warns(
        UserWarning, match=r"15 classes .*\[10, 100, 300, 1000\] are left"
    ):
        curve = label_curve(clf, X, Y, "task_0", cv=3, scoring="accuracy")
    assert_array_equal(curve.n_labels, [30])


def test_a_split_without_labels_of_the_task_is_left_out(problem):
    X, Y = problem
    Y[:20, 0] = np.nan
    rows = np.arange(60)
    cv = [(rows[:20], rows[40:]), (rows[20:40], rows[40:])]
    clf = small_network(4, max_iter=1)
    settings = {"cv": cv, "n_labels": [6], "scoring": "accuracy"}
    curve = label_curve(clf, X, Y, "task_0", **settings)
    assert curve.table["n_scored"].tolist() == [1]


def test_a_task_needs_as_many_labels_as_classes(problem):
    X, Y = problem
    Y[:, 0] = np.nan
    Y[:2, 0] = 0, 1
    rows = np.arange(60)
    with pytest.raises(ValueError, match=r"at least 2 labels .*; got 1"):
        label_curve(small_network(4), X, Y, "task_0", cv=[(rows[1:40], rows[40:])])


def test_splits_as_masks_are_those_of_their_rows(problem):
    pairs = list(ShuffleSplit(2, test_size=0.3, random_state=0).split(problem[0]))
    pairs = [[np.sort(rows) for rows in pair] for pair in pairs]
    masks = [[np.isin(np.arange(60), rows) for rows in pair] for pair in pairs]
    by_number, by_mask = (
        label_curve(
            small_network(4, max_iter=2),
            *problem,
            "task_0",
            n_labels=[8],
            cv=cv,
            random_state=0,
        )
        for cv in (pairs, masks)
    )
    assert_array_equal(by_mask.table, by_number.table)


def test_few_labels_gain_from_related_tasks_and_many_need_them_less():
    X, Y = make_multitask_classification(600, 8, 6, n_hidden=1, random_state=0)
    clf = small_network(32, max_iter=12, learning_rate_init=0.03)
    frame = pd.DataFrame(Y, columns=[f"t{i}" for i in range(6)])
    model = make_pipeline(StandardScaler(), clf)
    curve = label_curve(model, X, frame, "t0", n_labels=[400, 20], cv=3, random_state=0)
    assert curve.table.index.tolist() == ["20", "400"]
    few, many = curve.table["gain"]
    assert few > 0.2
    assert abs(many) < few
    assert "'t0'" in repr(curve)
    display = LabelCurveDisplay.from_result(curve)
    joint, alone = display.ax_.lines
    assert_array_equal(joint.get_xdata(), [20, 400])
    assert_allclose(joint.get_ydata(), curve.table["joint"])
    assert_allclose(alone.get_ydata(), curve.table["alone"])
    plt.close("all")


def test_weights_that_name_tasks_and_labels_of_text(problem):
    X, Y = problem
    Y = pd.DataFrame(np.where(np.isnan(Y), None, np.where(Y > 0, "b", "a")))
    clf = small_network(4, max_iter=2, task_weight={"1": 2.0, "2": 0.5})
    curve = label_curve(clf, X, Y, "0", n_labels=[8], cv=2, random_state=0)
    assert curve.table["n_scored"].tolist() == [2]


def test_splits_that_cannot_be_scored_are_counted(problem):
    """Not those that have fewer labels of the task than are asked for."""
    X, Y = (array.copy() for array in problem)
    Y[:, 0] = np.nan
    Y[::2, 0] = np.arange(30) % 2
    Y[40:, 0] = np.where(np.isnan(Y[40:, 0]), np.nan, 1.0)
    rows = np.arange(60)
    cv = [(rows[:40], rows[40:]), (rows[20:], rows[:20]), (rows[4:40], rows[:20])]
    clf = small_network(4, max_iter=2)
    settings = {"n_labels": [4, 20], "random_state": 0}
    message = "undefined in 1 of 3 splits"
    with pytest.warns(UndefinedMetricWarning, match=message) as seen:
        curve = label_curve(clf, X, Y, "task_0", cv=cv, **settings)
    assert {warning.filename for warning in seen} == {__file__}
    assert curve.table["n_scored"].tolist() == [2, 1]
    curve = label_curve(clf, X, Y, "task_0", cv=cv[1:], **settings)
    assert curve.table["n_scored"].tolist() == [2, 1]


def test_a_network_without_shared_layers_is_refused(problem):
    with pytest.raises(ValueError, match="must share layers"):
        label_curve(small_network(), *problem, "task_0", n_labels=[5])


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("none such", {}, "task must be a name"),
        ("task_0", {"n_labels": [5, 1000]}, "n_labels must be whole numbers"),
        ("task_0", {"n_labels": [1]}, "at least 2 labels, the number of classes"),
        ("task_0", {"n_labels": [0]}, "n_labels must be whole numbers"),
        ("task_0", {"n_labels": []}, "n_labels must be whole numbers"),
        ("task_0", {"n_labels": [2.5]}, "n_labels must be whole numbers"),
    ],
)
def test_errors(problem, task, settings, message):
    with pytest.raises(ValueError, match=message):
        label_curve(MultiTaskNetClassifier(), *problem, task, **settings)


def test_weights_of_tasks_by_position_are_refused(problem):
    clf = small_network(4, task_weight=np.ones(problem[1].shape[1]))
    with pytest.raises(
        ValueError, match=r"task_weight must be None.*a dict by task name"
    ):
        label_curve(clf, *problem, "task_0", n_labels=[5])
