"""The ridge part of numeric tasks: ridge regressions beside the network."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.preprocessing import FunctionTransformer

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetRegressor
from skmtl._estimators import _fit_ridge
from skmtl._estimators._fit_ridge import ALPHAS, FittedRidge, fit_ridge

SETTINGS = {"hidden_layer_sizes": (16,), "max_iter": 20, "random_state": 0}


def regressor(**changes):
    return MultiTaskNetRegressor(**(SETTINGS | changes))


def linear_problem(n=160):
    """Sums of columns with long tails, which a network that sees ranks misses."""
    rng = np.random.default_rng(0)
    X = np.exp(1.5 * rng.normal(size=(n, 6)))
    Y = X @ rng.normal(size=(6, 3)) + 0.1 * rng.normal(size=(n, 3))
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def steps_problem(n=400, seed=0):
    """Steps in which nothing is linear."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 3))
    return X, np.column_stack([np.abs(X[:, 0]) > 0.5, X[:, 1] ** 2 > 0.3]) * 1.0


def standardised(X, Y):
    """By the rows with a label."""
    labelled = X[~np.isnan(Y).all(axis=1)]
    return (X - labelled.mean(axis=0)) / labelled.std(axis=0)


def network_alone(fitted):
    """The same estimator without its ridge part."""
    alone = pickle.loads(pickle.dumps(fitted))
    alone.network_.ridge_part = None
    return alone


# The ridge regression ----------------------------------------------------------------


@pytest.mark.parametrize("shape", [(14, 4), (9, 20), (10, 10)])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_left_out_rows_are_predicted_as_by_a_ridge_regression_without_them(
    shape, is_weighted
):
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape)
    y = x[:, 0] - x[:, 1] + rng.normal(size=len(x))
    weight = rng.uniform(0.2, 2.0, len(x)) if is_weighted else np.ones(len(x))
    weight /= weight.mean()

    def left_out(alpha):
        folds = LeaveOneOut()
        params = {"sample_weight": weight}
        return cross_val_predict(Ridge(alpha=alpha), x, y, cv=folds, params=params)

    predicted = [left_out(alpha) for alpha in ALPHAS]
    errors = [weight @ np.square(y - p) for p in predicted]
    best = int(np.argmin(errors))
    found = fit_ridge(x, y, weight)
    assert_allclose(found.left_out, predicted[best], atol=1e-8)
    expected = Ridge(alpha=ALPHAS[best]).fit(x, y, weight)
    assert_allclose(found.weight, expected.coef_, atol=1e-9)
    assert found.bias == pytest.approx(expected.intercept_)


def test_a_row_with_nearly_all_the_weight():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(20, 2))
    weight = np.full(20, 1e-18)
    weight[0] = 20.0
    found = fit_ridge(x, x[:, 0] + rng.normal(size=20), weight)
    assert np.isfinite(found.left_out).all()
    assert np.isfinite(found.weight).all()


def test_repeated_columns_and_columns_that_do_not_vary():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(50, 3))
    y = x[:, 0] + 0.1 * rng.normal(size=50)
    weight = np.ones(50)
    odd = np.column_stack([x, x[:, 0], np.zeros(50)])
    found = fit_ridge(odd, y, weight)
    assert np.isfinite(found.left_out).all()
    assert found.weight[0] == pytest.approx(found.weight[3])
    assert found.weight[4] == pytest.approx(0, abs=1e-9)


# Its share ---------------------------------------------------------------------------


def test_the_prediction_is_the_average_with_ridge_regressions():
    X, Y = linear_problem()
    reg = regressor().fit(X, Y)
    share = reg.ridge_share_
    assert 0 < share <= 1
    z = standardised(X, Y)
    for t, y in enumerate(Y.T):
        rows = ~np.isnan(y)
        ridge = RidgeCV(ALPHAS).fit(z[rows], y[rows])  # leaves out row by row
        expected = (1 - share) * network_alone(reg).predict(X)[:, t]
        expected += share * ridge.predict(z)
        assert_allclose(reg.predict(X)[:, t], expected, rtol=1e-5, atol=1e-5)


def share_of_network(of_network, of_line, weight=None):
    """The share of a network and a line with these errors."""
    of_network, of_line = np.array(of_network), np.array(of_line)
    weight = np.ones(len(of_line)) if weight is None else np.array(weight)
    line = FittedRidge(np.zeros(1), 0.0, of_line)
    known = {0: (np.zeros(len(of_line)), weight)}
    return _fit_ridge._share_of_network(known, {0: of_network}, {0: line})


@pytest.mark.parametrize(
    ("of_line", "expected"),
    [
        ([1.0, 1, -1, -1], 4 / 7.5),
        ([3.0, 3, -3, -3], 36 / 39.5),
        ([1.0, 1, 0, -1], 2 / 4.5),  # errors with a positive covariance
        ([-1.0, 1, -1, 1], 8 / 15.5),  # and with a negative one
        ([0.5, -0.5, 0.5, -0.5], 0),
        ([2.0, -2, 2, -2], None),
        ([20.0, 20, -20, -20], None),
    ],
)
def test_the_share_has_the_smallest_squared_error(of_line, expected):
    # The mean of the members has 7/8 of the squared error of one, which is 4.
    share = share_of_network([1.0, -1, 1, -1], of_line)
    assert share == (expected if expected is None else pytest.approx(expected))


def test_the_share_follows_weights_and_rows_that_were_left_out():
    of_network, of_line, weight = [1.0, -1, 1, -1], [1.0, 2, -1, -3], [1, 2, 3, 4]
    expected = share_of_network(
        np.repeat(of_network, weight), np.repeat(of_line, weight)
    )
    assert 0 < expected < 1
    assert share_of_network(of_network, of_line, weight) == pytest.approx(expected)
    share = share_of_network([*of_network, np.nan], [*of_line, 9], [*weight, 5])
    assert share == pytest.approx(expected)


def test_it_helps_where_numbers_have_long_tails():
    X, Y = linear_problem()
    with_ridge = regressor().fit(X, Y)
    without = regressor(ridge="none").fit(X, Y)
    assert with_ridge.ridge_share_ > 0.5
    assert with_ridge.score(X, Y) > without.score(X, Y)
    assert with_ridge.oob_score_ > without.oob_score_ + 0.1
    assert without.ridge_share_ == 0


def test_it_is_left_out_where_nothing_is_linear():
    X, Y = steps_problem()
    settings = {"hidden_layer_sizes": (32,), "max_iter": 60}
    settings |= {"learning_rate_init": 0.02}
    reg = regressor(**settings).fit(X, Y)
    assert reg.ridge_share_ == 0
    assert reg.network_.ridge_part is None
    without = regressor(**settings, ridge="none").fit(X, Y)
    assert_array_equal(reg.predict(X), without.predict(X))


@pytest.mark.parametrize(
    "settings",
    [
        {"n_members": 1},
        {"oob_score": False},
        {"loss": "absolute_error"},
        {"early_stopping": True},
    ],
    ids=str,
)
def test_it_needs_rows_that_were_left_out_and_predicted_means(settings):
    reg = regressor(**settings).fit(*linear_problem())
    assert reg.ridge_share_ == 0


def test_a_task_with_a_transformer_is_predicted_by_the_network_alone():
    X, Y = linear_problem()
    logarithm = FunctionTransformer(np.log1p, np.expm1)
    Y = pd.DataFrame(np.abs(Y), columns=["a", "b", "c"])
    reg = regressor(transformer={"a": logarithm}).fit(X, Y)
    assert reg.ridge_share_ > 0
    alone = network_alone(reg).predict(X)
    assert_array_equal(reg.predict(X)[:, 0], alone[:, 0])
    assert not np.array_equal(reg.predict(X)[:, 1], alone[:, 1])
    assert regressor(transformer=logarithm).fit(X, Y).ridge_share_ == 0


def test_a_task_with_few_values_is_predicted_by_the_network_alone():
    X, Y = linear_problem()
    Y[:, 0] = np.nan
    Y[:4, 0] = [0.5, 1.5, 2.5, 1.0]
    reg = regressor().fit(X, Y)
    assert reg.ridge_share_ > 0
    alone = network_alone(reg).predict(X)
    assert_array_equal(reg.predict(X)[:, 0], alone[:, 0])
    assert not np.array_equal(reg.predict(X)[:, 1], alone[:, 1])


def test_out_of_bag_predictions_include_it():
    X, Y = linear_problem()
    reg = regressor().fit(X, Y)
    without = regressor(ridge="none").fit(X, Y)
    share = reg.ridge_share_
    z = standardised(X, Y)
    for t, y in enumerate(Y.T):
        rows = ~np.isnan(y)
        standard = (y[rows] - y[rows].mean()) / y[rows].std()
        left_out = fit_ridge(z[rows], standard, np.ones(rows.sum())).left_out
        left_out = left_out * y[rows].std() + y[rows].mean()
        expected = (1 - share) * without.oob_prediction_[rows, t] + share * left_out
        assert_allclose(reg.oob_prediction_[rows, t], expected, rtol=1e-5, atol=1e-5)


# Inputs ------------------------------------------------------------------------------


def raw_table(n=200, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(np.exp(1.5 * rng.normal(size=(n, 3)))).add_prefix("x")
    X["group"] = pd.Categorical(rng.choice(["a", "b", "c"], n))
    Y = X[["x0", "x1"]].to_numpy() + (X["group"] == "a").to_numpy()[:, None] * 5
    X.loc[rng.random(n) < 0.2, "x2"] = np.nan
    return X, Y


def test_raw_tables_with_missing_numbers_and_categories():
    X, Y = raw_table()
    reg = regressor().fit(X, Y)
    assert reg.ridge_share_ > 0.5
    in_a, in_b = (
        X.assign(group=pd.Categorical([g] * len(X), ["a", "b", "c"])) for g in "ab"
    )
    line = (reg.predict(in_a) - network_alone(reg).predict(in_a)).mean()
    other = (reg.predict(in_b) - network_alone(reg).predict(in_b)).mean()
    assert line > other + 0.5  # the network alone does not see the difference fully
    new = X.head(4).copy()
    new["group"] = pd.Categorical([None, "unheard of", "a", "b"])
    new.loc[0, "x0"] = np.nan
    assert np.isfinite(reg.predict(new)).all()


def test_numbers_far_outside_the_training_rows_are_clipped():
    X, Y = linear_problem()
    reg = regressor().fit(X, Y)
    width = np.ptp(X, axis=0)
    edge, beyond = X[:1].copy(), X[:1].copy()
    edge[0, 0] = X[:, 0].max() + width[0]
    beyond[0, 0] = 1e30
    assert_allclose(reg.predict(beyond), reg.predict(edge), rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-30, 1e30, 1e300])
def test_units_of_columns_and_tasks_do_not_matter(unit):
    X, Y = linear_problem()
    expected = regressor().fit(X, Y)
    reg = regressor().fit(X * unit, Y / unit)
    assert reg.ridge_share_ == pytest.approx(expected.ridge_share_, rel=1e-3)
    assert_allclose(reg.predict(X * unit) * unit, expected.predict(X), rtol=1e-2)


def test_plain_input_without_encoding():
    X, Y = linear_problem()
    reg = regressor(input_encoding="none").fit(X / 10, Y)
    assert reg.ridge_share_ > 0
    alone = network_alone(reg).predict(X / 10)
    assert not np.allclose(reg.predict(X / 10), alone)


# The life of an estimator ------------------------------------------------------------


def test_it_survives_pickle_save_and_clone(tmp_path):
    X, Y = linear_problem()
    reg = regressor(loss="gaussian").fit(X, Y)
    assert reg.ridge_share_ > 0
    skmtl.save(reg, tmp_path / "model.safetensors")
    for same in (
        pickle.loads(pickle.dumps(reg)),
        skmtl.load(tmp_path / "model.safetensors"),
        clone(reg).fit(X, Y),
    ):
        assert same.ridge_share_ == reg.ridge_share_
        for one, other in zip(
            same.predict(X, return_std=True),
            reg.predict(X, return_std=True),
            strict=True,
        ):
            assert_array_equal(one, other)


def test_a_network_that_is_converted_and_back_predicts_the_same():
    X, Y = linear_problem()
    reg = regressor().fit(X, Y)
    expected = reg.predict(X)
    reg.network_.double()
    assert_allclose(reg.predict(X), expected, rtol=1e-4, atol=1e-4)
    reg.network_.float()
    assert_array_equal(pickle.loads(pickle.dumps(reg)).predict(X), expected)


def test_a_file_with_an_impossible_share_is_refused(tmp_path):
    X, Y = linear_problem()
    reg = regressor().fit(X, Y)
    reg.network_.ridge_part.share[0] = 2.0
    with pytest.raises(ValueError, match="share of the network must be from 0 to 1"):
        skmtl.save(reg, tmp_path / "model.safetensors")


def test_tasks_that_are_added_and_dropped():
    X, Y = linear_problem()
    reg = regressor().fit(X, Y)
    before = reg.predict(X)
    reg.add_tasks(X, pd.DataFrame({"new": X[:, 0]}))
    assert_allclose(reg.predict(X)[:, :3], before, rtol=1e-6)
    alone = network_alone(reg).predict(X)
    assert_array_equal(reg.predict(X)[:, 3], alone[:, 3])
    reg.drop_tasks(["task_0", "new"])
    assert_allclose(reg.predict(X), before[:, 1:], rtol=1e-6)
    assert reg.ridge_share_ > 0


def test_continued_training_keeps_it():
    X, Y = linear_problem()
    reg = regressor().fit(X, Y)
    share, line = reg.ridge_share_, reg.predict(X) - network_alone(reg).predict(X)
    reg.partial_fit(X, Y)
    assert reg.ridge_share_ == share
    alone = network_alone(reg).predict(X)
    # The line is the same, and the network's share of its own change.
    assert not np.allclose(reg.predict(X) - alone, line)
    reg.set_params(warm_start=True).fit(X, Y)
    assert reg.ridge_share_ == share
    # It goes where the estimator no longer asks for it.
    reg.set_params(ridge="none").partial_fit(X, Y)
    assert reg.ridge_share_ == 0
    assert reg.network_.ridge_part is None
    reg.set_params(warm_start=False).fit(X, Y)
    assert reg.ridge_share_ == 0


def test_classes_beside_numbers_do_not_change():
    X, Y = linear_problem()
    table = pd.DataFrame({"number": Y[:, 0], "class": (X[:, 0] > 1).astype(int)})
    settings = SETTINGS | {"task_types": {"number": "number", "class": "class"}}
    net = MultiTaskNet(**settings).fit(X, table)
    without = MultiTaskNet(**settings, ridge="none").fit(X, table)
    assert net.ridge_share_ > 0
    assert_array_equal(net.predict_proba(X)[1], without.predict_proba(X)[1])
    assert not np.array_equal(net.predict(X)[:, 0], without.predict(X)[:, 0])
