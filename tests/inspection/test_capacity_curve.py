import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from _estimators import small_network
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNetClassifier
from skmtl.datasets import make_multitask_classification
from skmtl.inspection import CapacityCurveDisplay, capacity_curve, transfer_gain
from skmtl.trunks import ConvTrunk

matplotlib.use("Agg")


def test_each_size_is_a_transfer_gain_on_the_same_splits(problem):
    clf = small_network(max_iter=3)
    curve = capacity_curve(clf, *problem, sizes=[2, (5, 4)], cv=2, random_state=0)
    assert_array_equal(curve.table["n_units"], [2, 9])
    for size, result in zip([(2,), (5, 4)], curve.results, strict=True):
        clf.set_params(hidden_layer_sizes=size)
        alone = transfer_gain(clf, *problem, cv=2, n_repeats=1, random_state=0)
        assert_array_equal(result.joint_scores, alone.joint_scores)
        assert_array_equal(result.separate_scores, alone.separate_scores)
    assert curve.gains.shape == (2, 3)
    assert_allclose(curve.table["gain"], curve.gains.mean(axis=1))
    assert_allclose(curve.table["gain"], curve.table["joint"] - curve.table["separate"])
    assert "(5, 4)" in repr(curve)


def test_unrelated_tasks_are_hurt_less_where_the_trunk_is_large():
    X, Y = make_multitask_classification(
        400, 5, 4, relatedness=0.0, n_hidden=1, random_state=0
    )
    clf = small_network(max_iter=40)
    curve = capacity_curve(clf, X, Y, sizes=[3, 64], cv=3, random_state=0)
    small, large = curve.table["gain"]
    assert small < -0.05
    assert large > small + 0.05


@pytest.mark.parametrize("random_state", [None, 0, np.random.RandomState(0)])
def test_a_pipeline_and_the_picture(problem, random_state):
    model = make_pipeline(StandardScaler(), small_network(max_iter=2))
    curve = capacity_curve(
        model, *problem, sizes=[8, 2], cv=2, random_state=random_state
    )
    _, ax = plt.subplots()
    display = CapacityCurveDisplay.from_result(curve, ax=ax)
    assert display.ax_ is ax
    mean = ax.lines[3]  # after a line for each of three tasks
    assert_array_equal(mean.get_xdata(), [2, 8])
    assert_allclose(mean.get_ydata(), curve.table["gain"].to_numpy()[::-1])
    plt.close("all")


def test_an_iterator_of_splits_is_read_once_for_all_sizes(problem):
    X, Y = problem
    pairs = list(GroupKFold(3).split(X, Y, np.repeat(np.arange(12), 5)))
    of_list, of_iterator = (
        capacity_curve(
            small_network(max_iter=2),
            X,
            Y,
            sizes=[2, 3],
            cv=cv,
            n_repeats=2,
            random_state=0,
        )
        for cv in (pairs, iter(pairs))
    )
    assert of_list.results[1].joint_scores.shape == (6, 3)
    assert_array_equal(of_iterator.gains, of_list.gains)


def test_a_splitter_without_a_seed_gives_the_same_splits_at_each_size(problem):
    splitter = ShuffleSplit(2, random_state=np.random.RandomState(0))
    curve = capacity_curve(
        small_network(max_iter=2), *problem, sizes=[3, 3], cv=splitter, random_state=0
    )
    assert_array_equal(*curve.gains)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([], "at least one size"),
        (5, "sizes must be a sequence"),
        (None, "sizes must be a sequence"),
        ("large", "sizes must be a sequence"),
        ([4, "auto"], r"sizes must be trunk sizes.*got \[4, 'auto'\]"),
        ([4, 0], "sizes must be trunk sizes"),
        ([4, ()], r"must share layers.*hidden_layer_sizes=\(\)"),
    ],
)
def test_sizes_that_are_refused(problem, sizes, message):
    """Before anything is fitted, or even split."""
    with pytest.raises(ValueError, match=message):
        capacity_curve(MultiTaskNetClassifier(), *problem, sizes=sizes, cv=[])


def test_a_trunk_that_no_size_changes_is_refused(problem):
    clf = MultiTaskNetClassifier(trunk=ConvTrunk((4,)))
    with pytest.raises(ValueError, match=r"got trunk=ConvTrunk.*Use trunk=None"):
        capacity_curve(clf, *problem, sizes=[4])


def test_the_gain_is_the_difference_also_where_splits_cannot_be_scored():
    X, Y = make_multitask_classification(60, 4, 3, random_state=0)
    Y[:, 1] = np.arange(60) < 2
    Y[1, 1] = 0
    clf = small_network(max_iter=2)
    with (
        pytest.warns(UndefinedMetricWarning, match="task_1"),
        pytest.warns(UserWarning, match=r"one class only.*'task_1', 0"),
    ):
        curve = capacity_curve(
            clf, X, Y, sizes=[2, 4], cv=KFold(3), n_repeats=1, scoring="roc_auc"
        )
    table = curve.table
    assert_allclose(table["joint"] - table["separate"], table["gain"])
    for i, result in enumerate(curve.results):
        per_split = np.nanmean(result.joint_scores, axis=1)
        assert_allclose(table["joint"].iloc[i], per_split.mean())


def test_tasks_that_cannot_be_scored_are_named_once():
    X, Y = make_multitask_classification(60, 4, 3, random_state=0)
    Y[:, 1] = np.arange(60) == 0
    clf = small_network(max_iter=2)
    with (
        pytest.warns(UserWarning, match="one class only"),
        pytest.warns(UndefinedMetricWarning) as caught,
    ):
        capacity_curve(clf, X, Y, sizes=[2, 4], cv=KFold(2), n_repeats=1)
    said = [str(w.message) for w in caught if w.category is UndefinedMetricWarning]
    assert len(said) == 1
    assert "['task_1']" in said[0]
    assert caught[0].filename == __file__
