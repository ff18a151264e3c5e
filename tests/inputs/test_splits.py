import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import MultiTaskNetClassifier
from skmtl._inputs import find_splits, learn_encoding
from skmtl._inputs._encoding import place_knots
from skmtl._inputs._splits import MAX_LEAVES, MAX_NUMBERS
from skmtl._training import Workers


def splits_of(X, Y, weights=None, n_threads=1):
    """The splits by all tasks: classes, -1 if missing, or floats without gaps."""
    weights = np.ones(Y.shape) if weights is None else weights
    are_numbers = np.full(Y.shape[1], Y.dtype.kind == "f")
    with Workers(n_threads) as workers:
        return find_splits(
            X,
            list(range(X.shape[1])),
            np.arange(len(X)),
            np.zeros(Y.shape, dtype=int) if are_numbers[0] else Y,
            Y if are_numbers[0] else None,
            are_numbers,
            lambda task, rows: weights[rows, task],
            workers.run,
        )


def rule(n_rows=2000, n_columns=4, seed=0):
    """X, and labels that follow from two thresholds."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_columns))
    return X, ((X[:, 1] > 0.3) & (X[:, 2] > -0.5)).astype(int)[:, None]


def test_both_sides_of_the_thresholds_of_a_rule_are_found():
    X, Y = rule()
    splits = splits_of(X, Y)
    assert splits.keys() == {1, 2}
    for j, threshold in {1: 0.3, 2: -0.5}.items():
        below, above = splits[j][0]
        assert_allclose([below, above], threshold, atol=0.01)
        assert below in X[:, j]
        assert above == X[X[:, j] > below, j].min()


def test_splits_do_not_depend_on_the_number_of_threads():
    X, _ = rule()
    Y = (X > [-1, 0, 0.5, 1]).astype(int)
    expected = splits_of(X, Y)
    found = splits_of(X, Y, n_threads=3)
    assert expected.keys() == found.keys() == {0, 1, 2, 3}
    for j in expected:
        assert_array_equal(found[j], expected[j])


def test_numbers_are_split_where_they_jump_whatever_their_scale():
    X, Y = rule()
    rng = np.random.default_rng(1)
    numbers = Y + 0.1 * rng.normal(size=Y.shape)
    expected = splits_of(X, numbers)
    assert {1, 2} <= expected.keys()
    assert_allclose(expected[1][0], 0.3, atol=0.01)
    assert_allclose(expected[2][0], -0.5, atol=0.01)
    outliers = np.sinh(9 * numbers)
    splits = splits_of(X, outliers)
    assert splits.keys() == expected.keys()
    for j, pairs in expected.items():
        assert_array_equal(splits[j], pairs)


def test_few_splits_are_found_where_there_is_nothing_to_find():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(1000, 5)), rng.integers(0, 2, size=(1000, 40))
    n_splits = sum(map(len, splits_of(X, Y).values()))
    assert n_splits < 0.15 * 40 * (MAX_LEAVES - 1)


def test_missing_labels_and_labels_without_weight_have_no_influence():
    X, Y = rule()
    expected = splits_of(X[:1500], Y[:1500])
    missing = Y.copy()
    missing[1500:] = -1
    weightless = np.ones(Y.shape)
    weightless[1500:] = 0
    wrong = Y.copy()
    wrong[1500:] = 1 - wrong[1500:]
    for splits in (splits_of(X, missing), splits_of(X, wrong, weightless)):
        assert splits.keys() == expected.keys()
        for j, pairs in expected.items():  # the next numbers can come from other rows
            assert_allclose(splits[j][0], pairs[0], atol=0.01)


def test_only_the_ratios_of_weights_count():
    X, Y = rule()
    weights = np.random.default_rng(1).uniform(0.5, 2, size=Y.shape)
    expected, scaled = splits_of(X, Y, weights), splits_of(X, Y, 2**-30 * weights)
    assert scaled.keys() == expected.keys()
    for j, pairs in expected.items():
        assert_array_equal(scaled[j], pairs)


@pytest.mark.parametrize("increasing", [np.exp, np.cbrt, lambda x: 1e300 * x])
def test_an_increasing_function_maps_splits_to_splits(increasing):
    X, Y = rule()
    expected, splits = splits_of(X, Y), splits_of(increasing(X), Y)
    assert splits.keys() == expected.keys()
    for j, pairs in expected.items():
        assert_array_equal(splits[j], increasing(pairs))


def test_columns_with_missing_numbers_are_split_too():
    X, Y = rule()
    X[::3, 1] = np.nan
    X[1::3, 0] = np.nan
    splits = splits_of(X, Y)
    assert_allclose(splits[1][0], 0.3, atol=0.01)
    assert all(np.isfinite(pairs).all() for pairs in splits.values())


def test_rows_are_sampled_if_there_are_many_and_trees_left_out_if_they_take_long():
    X, Y = rule(n_rows=30_000)
    splits = splits_of(X, Y)
    assert_allclose(splits[1][0], 0.3, atol=0.01)
    assert splits_of(X[:400], Y[:400]) == {}
    X, Y = rule(n_rows=1000, n_columns=40)
    n_tasks = MAX_NUMBERS // (40 * 400)  # each tree could read 400 rows only
    assert splits_of(X, np.repeat(Y, n_tasks, axis=1)) == {}


@pytest.mark.filterwarnings("error")
def test_tasks_with_few_labels_for_each_class_have_no_tree():
    X, Y = rule()
    many = np.arange(2000)[:, None] // 10  # 200 classes
    rare = np.where(np.arange(2000)[:, None] < 30, Y, -1)
    mostly_weightless = np.where(np.arange(2000)[:, None] < 30, 1.0, 0.0)
    assert splits_of(X, many) == splits_of(X, rare) == {}
    assert splits_of(X, Y, mostly_weightless) == {}
    expected = splits_of(X, Y)
    splits = splits_of(X, np.hstack([many, Y, rare]))
    assert splits.keys() == expected.keys()


@pytest.mark.filterwarnings("error")
def test_weights_of_any_size_raise_no_warning():
    X, Y = rule()
    weights = 10.0 ** np.random.default_rng(0).uniform(-30, 30, size=Y.shape)
    splits_of(X, Y, weights)


def test_splits_take_two_thirds_of_the_bins_and_quantiles_the_rest():
    values = np.arange(1000.0)
    splits = np.array([[500.0, 501.0], [20.0, 21.0], [21.0, 22.0], [900.0, 901.0]])
    knots = place_knots(values, np.ones(1000), 9, splits=splits)
    assert set(splits[:3].ravel()) <= set(knots)
    assert 900.0 not in knots
    assert len(knots) <= 10
    assert set(place_knots(values, np.ones(1000), 9 - 5)) <= set(knots)
    # Too few bins for a step and for anything else.
    few = place_knots(values, np.ones(1000), 2, splits=splits)
    assert_array_equal(few, place_knots(values, np.ones(1000), 2))


def test_sides_of_splits_may_be_beyond_the_sampled_rows():
    X = np.arange(100.0)[:, None]
    splits = {0: np.array([[120.0, 130.0], [50.0, 50.5]])}
    encoding = learn_encoding(
        X, {}, 9, rows=np.arange(100), row_weight=None, rng=None, splits=splits
    )
    knots = 2 * encoding.numeric.knots[0]
    assert {50.0, 50.5, 120.0, 130.0} <= set(knots)
    scores = encoding.numeric.scores[0]
    assert np.isfinite(scores).all()
    assert (np.diff(scores[np.isfinite(knots)]) >= 0).all()


def test_labels_count_by_their_weights():
    X = np.random.default_rng(0).normal(size=(3000, 2))
    y = X[:, 0] > np.repeat([0.7, -0.7], 1500)
    weight = np.repeat([1.0, 0.001], 1500)
    clf = MultiTaskNetClassifier((8,), max_iter=1, n_bins=20, random_state=0)
    coin = np.random.default_rng(1).random(3000) < 0.5
    Y = np.column_stack([coin, y])
    of_labels = np.column_stack([np.ones(3000), weight])
    for labels, weights, thresholds in (
        (y, weight, [0.7]),
        (y, None, [-0.7, 0.7]),
        (Y, of_labels, [0.7]),
    ):
        clf.fit(X, labels.astype(float), weights)
        knots = 2 * clf.network_.architecture.encoding.numeric.knots[0]
        steps = knots[:-1][np.diff(knots) < 0.005]
        for threshold in (-0.7, 0.7):
            has_step = np.abs(steps - threshold).min() < 0.02
            assert has_step == (threshold in thresholds)


def test_a_network_learns_the_rules_of_rare_classes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 6))
    Y = np.column_stack(
        [
            (X[:, 0] > 1.2) & (X[:, 1] > 1.0),
            (X[:, 2] < -1.4) & (X[:, 3] > 0.7),
        ]
    ).astype(float)
    X_test = rng.normal(size=(6000, 6))
    truth = (X_test[:, 0] > 1.2) & (X_test[:, 1] > 1.0)
    clf = MultiTaskNetClassifier(random_state=0).fit(X, Y)
    knots = 2 * clf.network_.architecture.encoding.numeric.knots[0]
    is_narrow = np.diff(knots) < 0.003  # the others are wider
    assert np.abs(knots[:-1][is_narrow] - 1.2).min() < 0.01
    found = clf.predict(X_test)[:, 0] == 1
    assert np.mean(found[truth]) > 0.85
    assert np.mean(truth[found]) > 0.85
