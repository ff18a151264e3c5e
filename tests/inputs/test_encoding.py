import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from skmtl._inputs import learn_encoding
from skmtl._inputs._encoding import place_knots


def learn(X, categorical=(), n_bins=8, rows=None, row_weight=None, seed=0):
    categories = {j: range(int(np.nanmax(X[:, j], initial=0)) + 1) for j in categorical}
    return learn_encoding(
        X,
        categories,
        n_bins,
        rows=np.arange(len(X)) if rows is None else rows,
        row_weight=row_weight,
        rng=np.random.RandomState(seed),
    )


def knots_of(numeric, k=0):
    return 2 * numeric.knots[k, : numeric.n_knots[k]]


def assert_same_encoding(one, other):
    for part in ("numeric", "categorical"):
        a, b = getattr(one, part), getattr(other, part)
        for field in a.__dataclass_fields__:
            assert_allclose(getattr(a, field), getattr(b, field), rtol=1e-9, atol=1e-9)


# Numbers --------------------------------------------------------------------------


@pytest.mark.parametrize("n_bins", [1, 2, 8, 30])
def test_knots_are_quantiles_that_occur(n_bins):
    x = np.random.default_rng(0).normal(size=(1000, 1))
    knots = knots_of(learn(x, n_bins=n_bins).numeric)
    levels = np.r_[0.01, np.arange(1, n_bins) / n_bins, 0.99]
    assert_array_equal(knots, np.quantile(x, levels, method="inverted_cdf"))


def test_few_values_are_the_knots_and_a_constant_has_none():
    X = np.array([[7.0, 1, 0, 5], [7, 2, 1, 5], [7, 3, 0, 5], [7, 3, 1, 6]])
    numeric = learn(X).numeric
    # The columns with a curve come first.
    assert numeric.positions.tolist() == [1, 2, 3]
    assert numeric.n_curved == 1
    assert_array_equal(knots_of(numeric, 0), [1, 2, 3])
    assert_array_equal(knots_of(numeric, 1), [0, 1])
    assert_array_equal(knots_of(numeric, 2), [5, 6])


def test_a_frequent_value_leaves_the_other_knots_to_the_rest():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(2000) < 0.9, 0, rng.exponential(size=2000))[:, None]
    knots = knots_of(learn(x).numeric)
    assert len(knots) == 9
    levels = np.r_[0.01, np.arange(1, 7) / 7, 0.99]
    positive = np.quantile(x[x > 0], levels, method="inverted_cdf")
    assert_array_equal(knots, np.r_[0, positive])


@pytest.mark.parametrize("n", [40, 60, 95, 500])
@pytest.mark.parametrize("share_of_zeros", [0.0, 0.9])
def test_one_outlier_is_no_knot(n, share_of_zeros):
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 100, size=(n, 1))
    x = np.vstack([x, np.zeros((int(9 * n * share_of_zeros), 1))])
    expected = knots_of(learn(x).numeric)
    x[n // 2] = 1e12
    knots = knots_of(learn(x).numeric)
    assert knots.max() <= 100
    assert_allclose(knots, expected, atol=20)


def test_a_few_values_are_knots_whatever_they_are():
    x = np.array([0.0, 1, 2, 1e12] * 5)[:, None]
    assert_array_equal(knots_of(learn(x).numeric), [0, 1, 2, 1e12])


@pytest.mark.parametrize("n_values", [10, 12, 24])
def test_ends_that_many_rows_have_are_knots(n_values):
    x = np.tile(np.arange(1.0, n_values + 1), 50)[:, None]
    knots = knots_of(learn(x).numeric)
    assert knots[0] == 1
    assert knots[-1] == n_values


def test_a_column_that_varies_has_two_knots():
    for weights in ([200, 200, 200], [1, 98, 1], [1, 1, 98]):
        for n_bins in (1, 2):
            x = np.repeat([0.0, 1, 2], weights)[:, None]
            assert len(knots_of(learn(x, n_bins=n_bins).numeric)) >= 2


def test_bins_that_no_column_has_take_no_room():
    X = np.column_stack([np.arange(20) % 4, np.arange(20) % 3])
    assert learn(X, n_bins=255).numeric.knots.shape == (2, 4)


def test_weights_of_any_ratio():
    x = np.repeat([0.0, 1, 2, 3], 15)[:, None] + np.arange(60)[:, None] * 1e-3
    for small in (1e-10, 1e-20, 1e-300):
        weight = np.full(60, small)
        weight[:2] = 1
        for n_bins in (1, 2, 8):
            numeric = learn(x, n_bins=n_bins, row_weight=weight).numeric
            assert np.isfinite(numeric.scores).all()
            assert (numeric.n_knots <= n_bins + 1).all()


def test_there_are_never_more_bins_than_asked_for():
    rng = np.random.default_rng(0)
    for _ in range(300):
        n_values, n_bins = rng.integers(1, 40), int(rng.integers(1, 10))
        values = np.unique(rng.normal(size=n_values))
        weights = rng.exponential(size=len(values)) ** rng.integers(1, 5)
        knots = place_knots(values, weights, n_bins)
        assert 1 <= len(knots) <= n_bins + 1
        assert (np.diff(knots) > 0).all()
        assert set(knots) <= set(values)


def test_one_outlier_moves_the_knots_little():
    x = np.random.default_rng(0).normal(size=(500, 1))
    expected = knots_of(learn(x).numeric)
    x[3] = 1e12
    assert_allclose(knots_of(learn(x).numeric), expected, atol=0.3)


@pytest.mark.parametrize(
    "function", [lambda x: 1e6 * x, lambda x: x + 1e9, np.exp, lambda x: x**3]
)
def test_an_increasing_function_maps_knots_to_knots(function):
    x = np.random.default_rng(0).normal(size=(300, 1)).round(4)
    one, other = learn(x).numeric, learn(function(x)).numeric
    assert_allclose(knots_of(other), function(knots_of(one)), rtol=1e-12)


def test_scores_are_normal_quantiles_of_the_training_rows_with_mean_0():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.exponential(size=400), rng.integers(2, size=400)])
    weight = rng.exponential(size=400)
    numeric = learn(X, row_weight=weight).numeric
    for k, j in enumerate(numeric.positions):
        n = numeric.n_knots[k]
        z = np.interp(X[:, j], 2 * numeric.knots[k, :n], numeric.scores[k, :n])
        assert (np.diff(numeric.scores[k, :n]) > 0).all()
        assert np.average(z, weights=weight) == pytest.approx(0, abs=1e-12)
        if n > 2:
            assert np.average(z**2, weights=weight) == pytest.approx(1, abs=0.15)
    # Of few values: the normal quantiles of the middles of their ranks.
    x = np.array([0.0] * 6 + [1] * 3 + [4])[:, None]
    expected = norm.ppf([0.3, 0.75, 0.95])
    mean = expected @ [0.6, 0.3, 0.1]
    assert_allclose(learn(x).numeric.scores[0, :3], expected - mean)


def test_scores_of_a_rare_value_stay_small():
    x = np.zeros((10_000, 1))
    x[:3] = 1
    assert np.abs(learn(x).numeric.scores).max() < 4


def test_bin_means_are_those_of_the_training_rows():
    x = np.random.default_rng(0).normal(size=(200, 1))
    numeric = learn(x, n_bins=4).numeric
    knots = knots_of(numeric)
    filled = ((x - knots[:-1]) / np.diff(knots)).clip(0, 1)
    assert_allclose(numeric.bin_means[0], filled.mean(axis=0))


def test_missing_numbers_are_seen_in_all_rows_and_used_in_none():
    X = np.random.default_rng(0).normal(size=(50, 3))
    complete = learn(X).numeric
    blank = np.vstack([X, np.full((2, 3), np.nan)])
    numeric = learn(blank).numeric
    assert numeric.has_missing.all()
    assert not complete.has_missing.any()
    assert_array_equal(numeric.knots, complete.knots)
    assert_array_equal(numeric.scores, complete.scores)
    # A constant with missing values still separates them; missing values alone do not.
    X = np.array([[1, np.nan], [np.nan, np.nan]])
    assert learn(X).numeric.positions.tolist() == [0]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int64, np.float16])
def test_numbers_of_every_dtype(dtype):
    X = np.random.default_rng(0).integers(0, 2, size=(60, 2)).astype(dtype)
    assert_same_encoding(learn(X), learn(X.astype(np.float64)))


def test_the_largest_and_smallest_numbers_have_finite_knots():
    big, tiny = np.finfo(np.float64).max, np.finfo(np.float64).smallest_subnormal
    for values in ([-big, 0, big], [0, tiny, 2 * tiny], [-big, -tiny, big]):
        numeric = learn(np.array(values)[:, None]).numeric
        assert np.isfinite(numeric.scores).all()
        assert (np.diff(numeric.knots[0, : numeric.n_knots[0]]) > 0).all()
        assert np.isfinite(np.diff(numeric.knots[0, : numeric.n_knots[0]])).all()


# Rows and weights -----------------------------------------------------------------


def mixed_columns(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).round(1)
    X[:, 1] = rng.integers(4, size=n)
    X[:, 3] = rng.integers(5, size=n)
    X[rng.random(n) < 0.2, 0] = np.nan
    return X


def test_the_narrowest_bins_are_bins():
    x = 2.0 * np.random.default_rng(0).permutation(100)[:, None]
    wide, narrow = learn(x).numeric, learn(x * 2.0**-1074).numeric
    assert_array_equal(knots_of(narrow), knots_of(wide) * 2.0**-1074)
    assert_array_equal(narrow.scores, wide.scores)
    assert_array_equal(narrow.bin_means, wide.bin_means)


def test_weights_of_2_equal_repeated_rows():
    X = mixed_columns(100)
    weight = np.random.default_rng(1).integers(1, 4, size=100)
    repeated = learn(np.repeat(X, weight, axis=0), [3])
    assert_same_encoding(learn(X, [3], row_weight=weight), repeated)


def test_only_the_training_rows_count():
    X = mixed_columns(100)
    rows = np.flatnonzero(np.random.default_rng(1).random(100) < 0.6)
    other = X.copy()
    other[np.setdiff1d(np.arange(100), rows)] = np.nan
    assert_same_encoding(learn(other, [3], rows=rows), learn(X[rows], [3]))


def test_the_order_of_rows_is_irrelevant():
    X = mixed_columns(100)
    order = np.random.default_rng(1).permutation(100)
    assert_same_encoding(learn(X[order], [3]), learn(X, [3]))


def test_many_rows_are_sampled(monkeypatch):
    X = np.random.default_rng(0).normal(size=(5000, 2))
    X[17, 1] = np.nan
    full = learn(X).numeric
    monkeypatch.setattr("skmtl._inputs._sample.SAMPLE_SIZE", 1000)
    sampled = learn(X).numeric
    assert not np.array_equal(sampled.knots, full.knots)
    assert_allclose(sampled.knots[:, 1:-1], full.knots[:, 1:-1], atol=0.1)
    assert_array_equal(sampled.has_missing, [False, True])
    assert_same_encoding(learn(X), learn(X))


# Categories -----------------------------------------------------------------------


def rows_of(X, **settings):
    """Rows of the slots of the only column: missing, unknown, code 0, ..."""
    categorical = learn(np.array(X, dtype=float)[:, None], [0], **settings).categorical
    return categorical.slot_row.tolist(), categorical.row_share.tolist()


def test_each_category_has_a_row():
    slots, share = rows_of([0, 1, 2, 0, 1, 2, 2, 2])
    assert slots == [-1, -1, 0, 1, 2]
    assert share == [0.25, 0.25, 0.5]


def test_missing_has_a_row_where_a_training_row_misses():
    slots, share = rows_of([0, 1, 0, 1, np.nan])
    assert slots == [0, -1, 1, 2]
    assert share == [0, 0.5, 0.5]


def test_rare_and_unknown_categories_share_a_row():
    slots, share = rows_of([0, 0, 1, 1, 2, 3])
    assert slots == [-1, 2, 0, 1, 2, 2]
    assert share == [1 / 3, 1 / 3, 1 / 3]


@pytest.mark.parametrize("codes", [[0, 0, 0], [0, 1, 2], [np.nan, np.nan], []], ids=str)
def test_columns_that_tell_nothing_are_left_out(codes):
    X = np.array(codes)[:, None]
    assert len(learn(X, [0], rows=np.arange(len(X))).categorical.positions) == 0


def test_slots_of_several_columns_follow_each_other():
    X = np.array([[0, 5, 1], [1, 5, 0], [0, 5, 0], [1, 5, 1]], dtype=float)
    categorical = learn(X, [2, 1, 0]).categorical
    assert categorical.positions.tolist() == [0, 2]
    assert categorical.first_slot.tolist() == [0, 4]
    assert categorical.slot_row.tolist() == [-1, -1, 0, 1, -1, -1, 2, 3]
    assert categorical.row_column.tolist() == [0, 0, 1, 1]
