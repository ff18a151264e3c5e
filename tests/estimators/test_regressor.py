"""MultiTaskNetRegressor: containers of numbers, units, losses, and bad input."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmtl import MultiTaskNetClassifier, MultiTaskNetRegressor


def regressor(**changes):
    settings = {"hidden_layer_sizes": (16,), "max_iter": 5, "random_state": 0}
    return MultiTaskNetRegressor(**(settings | changes))


@pytest.fixture
def numbers():
    """X (120, 4) and Y (120, 3) of numbers of different units, a third missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    Y = X @ rng.normal(size=(4, 3)) * [1, 100, 0.01] + [0, 7, -3]
    Y[rng.random(Y.shape) < 1 / 3] = np.nan
    return X, Y


def as_decimals(Y):
    return pd.DataFrame(Y).map(lambda v: None if np.isnan(v) else Decimal(repr(v)))


CONTAINERS = {
    "list": lambda Y: Y.tolist(),
    "frame": lambda Y: pd.DataFrame(Y),
    "nullable": lambda Y: pd.DataFrame(Y).astype("Float64"),
    "arrow": lambda Y: pd.DataFrame(Y).astype("double[pyarrow]"),
    "decimals": as_decimals,
    "objects": lambda Y: np.where(np.isnan(Y), None, Y),
    "masked": lambda Y: np.ma.masked_invalid(Y),
    "polars": lambda Y: pl.DataFrame(Y, schema=["0", "1", "2"]).fill_nan(None),
    "pyarrow": lambda Y: CONTAINERS["polars"](Y).to_arrow(),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_means_the_same(numbers, container):
    X, Y = numbers
    expected = regressor().fit(X, Y).predict(X)
    found = regressor().fit(X, CONTAINERS[container](Y)).predict(X)
    assert_array_equal(found, expected)
    assert found.dtype == np.float64


def test_whole_numbers_and_fractions_are_numbers(numbers):
    X, _ = numbers
    y = np.arange(120) % 50
    expected = regressor().fit(X, y.astype(float)).predict(X)
    for same in (y, y.tolist(), pd.Series(y).astype("Int64")):
        assert_array_equal(regressor().fit(X, same).predict(X), expected)
    halves = np.array([Fraction(int(v), 2) for v in y], dtype=object)
    assert_allclose(regressor().fit(X, halves).predict(X), expected / 2)


def test_1d_y_is_an_ordinary_regressor(numbers):
    X, Y = numbers
    reg = regressor().fit(X, Y[:, 0])
    assert reg.predict(X).shape == (120,)
    known = ~np.isnan(Y[:, 0])
    expected = r2_score(Y[known, 0], reg.predict(X)[known])
    assert reg.score(X, Y[:, 0]) == pytest.approx(expected)
    assert not hasattr(reg, "classes_")


def test_score_is_the_mean_r2_on_observed_values(numbers):
    X, Y = numbers
    reg = regressor().fit(X, Y)
    weight = np.random.default_rng(1).random(Y.shape)
    each = []
    for t, column in enumerate(reg.predict(X).T):
        known = ~np.isnan(Y[:, t])
        each.append(
            r2_score(Y[known, t], column[known], sample_weight=weight[known, t])
        )
    assert reg.score(X, Y, weight) == pytest.approx(np.mean(each))
    main = regressor(main_tasks=["task_1", "task_2"]).fit(X, Y)
    assert main.score(X, Y, weight) == pytest.approx(np.mean(each[1:]))


def test_score_names_tasks_with_fewer_than_two_values(numbers):
    X, Y = numbers
    reg = regressor().fit(X, Y)
    few = Y.copy()
    few[1:, 2] = np.nan
    few[0, 2] = 1.0
    with pytest.warns(UndefinedMetricWarning, match="task_2"):
        score = reg.score(X, few)
    assert score == pytest.approx(
        regressor(main_tasks=["task_0", "task_1"]).fit(X, Y).score(X, Y)
    )


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gaussian"])
@pytest.mark.parametrize("factor", [1e-30, 1e30, 1e200])
def test_the_unit_of_a_task_changes_nothing(numbers, loss, factor):
    X, Y = numbers
    base = regressor(loss=loss).fit(X, Y).predict(X)
    scaled = regressor(loss=loss).fit(X, Y * factor).predict(X)
    # To single precision: a standardised value may be rounded the other way.
    assert_allclose(scaled / factor, base, rtol=1e-4, atol=1e-4 * np.abs(base).max())


def test_a_shift_of_a_task_changes_nothing_else(numbers):
    X, Y = numbers
    base = regressor().fit(X, Y).predict(X)
    shift = np.array([1000, 0, 0])
    moved = regressor().fit(X, Y + shift).predict(X)
    assert_allclose(moved - shift, base, rtol=1e-3, atol=1e-3)


def test_values_are_standardised_by_weight(numbers):
    X, Y = numbers
    weight = np.random.default_rng(0).integers(0, 3, size=Y.shape).astype(float)
    reg = regressor().fit(X, Y, sample_weight=weight)
    for t, target in enumerate(reg._tasks.targets):
        known = ~np.isnan(Y[:, t])
        y, w = Y[known, t], weight[known, t]
        mean = np.average(y, weights=w)
        deviation = np.sqrt(np.average((y - mean) ** 2, weights=w))
        assert_allclose([target.mean, target.scale], [mean, deviation])


def test_one_value_is_predicted_exactly_with_a_warning(numbers):
    X, Y = numbers
    Y[:, 1] = np.where(np.isnan(Y[:, 1]), np.nan, 0.1)
    with pytest.warns(UserWarning, match="one value only.*task_1"):
        reg = regressor(loss="gaussian").fit(X, Y)
    mean, deviation = reg.predict(X, return_std=True)
    assert_array_equal(mean[:, 1], 0.1)
    assert_array_equal(deviation[:, 1], 0.0)
    with pytest.warns(UndefinedMetricWarning, match="no two different.*task_1"):
        score = reg.score(X, Y)
    others = [t for t in range(Y.shape[1]) if t != 1]
    known = ~np.isnan(Y)
    expected = [r2_score(Y[known[:, t], t], mean[known[:, t], t]) for t in others]
    assert score == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("inverse", [None, np.expm1])
def test_a_transformer_that_does_not_invert_is_named(inverse):
    X = np.random.default_rng(0).normal(size=(80, 2))
    Y = pd.DataFrame({"price": np.exp(X[:, 0]), "other": np.exp(X[:, 1])})
    wrong = FunctionTransformer(np.log, inverse, check_inverse=False)
    right = FunctionTransformer(np.log, np.exp)
    reg = regressor(transformer={"price": wrong, "other": right})
    with pytest.warns(
        UserWarning, match="should undo transform.*'price'.*expm1"
    ) as one:
        reg.fit(X, Y)
    assert len(one) == 1


def test_a_single_constant_task_has_the_score_of_scikit_learn():
    X = np.random.default_rng(0).normal(size=(80, 2))
    y = X[:, 0].copy()
    reg = regressor().fit(X, y)
    assert reg.score(X[:5], np.zeros(5)) == r2_score(np.zeros(5), reg.predict(X[:5]))


def test_each_task_learns_its_function():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    Y = np.column_stack([X[:, 0] - X[:, 1], 50 * np.abs(X[:, 2]) + 1000])
    Y[::2, 0] = Y[1::2, 1] = np.nan
    settings = {"max_iter": 60, "learning_rate_init": 0.01}
    for loss in ("squared_error", "absolute_error", "gaussian"):
        reg = MultiTaskNetRegressor((32,), loss=loss, random_state=0, **settings)
        reg.fit(X, Y)
        assert reg.score(X, Y) > 0.9
        assert reg.oob_score_ > 0.85
        assert reg.oob_prediction_.shape == (400, 2)


def test_absolute_error_minds_outliers_less():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2))
    truth = X[:, 0]
    y = truth.copy()
    y[::25] += 50
    errors = {
        loss: np.abs(
            regressor(loss=loss, max_iter=60, hidden_layer_sizes=(64,))
            .fit(X, y)
            .predict(X)
            - truth
        ).mean()
        for loss in ("squared_error", "absolute_error")
    }
    assert errors["absolute_error"] < 0.5 * errors["squared_error"]


def test_gaussian_deviations_follow_the_noise():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(1200, 1))
    noise = np.where(X[:, 0] > 0, 3.0, 0.3)
    y = 10 * X[:, 0] + noise * rng.normal(size=1200)
    reg = MultiTaskNetRegressor((64, 64), loss="gaussian", random_state=0).fit(X, y)
    mean, deviation = reg.predict([[-0.7], [0.7]], return_std=True)
    assert mean.shape == deviation.shape == (2,)
    assert_allclose(deviation, [0.3, 3.0], rtol=0.5)


@pytest.mark.parametrize(
    ("changes", "match"),
    [({}, "loss='gaussian'"), ({"transformer": StandardScaler()}, "transformer")],
)
def test_return_std_says_what_it_needs(numbers, changes, match):
    X, Y = numbers
    loss = "gaussian" if changes else "squared_error"
    reg = regressor(loss=loss, **changes).fit(X, Y)
    with pytest.raises(ValueError, match=match):
        reg.predict(X, return_std=True)


def test_transformers_are_per_task_on_observed_values(numbers):
    X, _ = numbers
    rng = np.random.default_rng(0)
    Y = np.exp(X[:, :2] + 0.1 * rng.normal(size=(120, 2)))
    Y[rng.random(Y.shape) < 1 / 3] = np.nan
    log = FunctionTransformer(np.log, np.exp)
    # As tasks with a transformer are predicted, by the network alone.
    alone = regressor(ridge="none")
    by_hand = alone.fit(X, np.log(Y)).predict(X)
    assert_allclose(regressor(transformer=log).fit(X, Y).predict(X), np.exp(by_hand))
    half = regressor(ridge="none", transformer={"task_1": log}).fit(X, Y)
    mixed = np.column_stack([Y[:, 0], np.log(Y[:, 1])])
    expected = alone.fit(X, mixed).predict(X)
    assert_allclose(half.predict(X)[:, 0], expected[:, 0])
    assert_allclose(half.predict(X)[:, 1], np.exp(expected[:, 1]))
    assert not hasattr(log, "n_features_in_")
    with pytest.raises(ValueError, match="transformer must be among the tasks"):
        regressor(transformer={"other": log}).fit(X, Y)


def test_a_transformer_that_gives_infinity_is_named(numbers):
    X, Y = numbers
    Y[:, 0] = np.abs(Y[:, 0])
    Y[3, 0] = 0.0
    log = FunctionTransformer(np.log, np.exp)
    with (
        np.errstate(divide="ignore"),
        pytest.raises(ValueError, match="task 'task_0', it returns"),
    ):
        regressor(transformer=log).fit(X, Y)


def test_partial_fit_keeps_the_scale_of_the_first_call(numbers):
    X, Y = numbers
    reg = regressor().partial_fit(X, Y)
    scale = [(t.mean, t.scale) for t in reg._tasks.targets]
    reg.partial_fit(X, Y + 100)
    assert [(t.mean, t.scale) for t in reg._tasks.targets] == scale
    empty = np.full((5, 3), np.nan)
    reg.partial_fit(X[:5], empty)
    with pytest.raises(ValueError, match=r"\['task_0'\] have none"):
        regressor().partial_fit(X, np.column_stack([np.full(120, np.nan), Y[:, 1]]))


def test_warm_start_goes_on_with_the_scale(numbers):
    X, Y = numbers
    reg = regressor(warm_start=True, oob_score=False).fit(X, Y)
    first = reg.predict(X)
    reg.set_params(max_iter=0).fit(X, Y + 100)
    assert_array_equal(reg.predict(X), first)


def test_tasks_come_and_go(numbers):
    X, Y = numbers
    reg = regressor().fit(X, Y[:, :2])
    before = reg.predict(X)
    reg.add_tasks(X, pd.Series(Y[:, 2], name="late"))
    assert reg.task_names_.tolist() == ["task_0", "task_1", "late"]
    assert_array_equal(reg.predict(X)[:, :2], before)
    reg.drop_tasks("task_0")
    assert_array_equal(reg.predict(X)[:, 0], before[:, 1])
    with pytest.raises(ValueError, match="infinity"):
        reg.add_tasks(X, np.where(np.arange(120) == 3, np.inf, Y[:, 0]))


def test_a_trunk_moves_between_numbers_and_classes(numbers):
    X, Y = numbers
    reg = regressor().fit(X, Y)
    labels = (X[:, :2] > 0).astype(float)
    clf = MultiTaskNetClassifier(
        (16,), pretrained=FrozenEstimator(reg), freeze="trunk", max_iter=3
    ).fit(X, labels)
    assert_array_equal(clf.transform(X), reg.transform(X))
    back = regressor(pretrained=FrozenEstimator(clf), freeze="trunk").fit(X, Y)
    assert_array_equal(back.transform(X), reg.transform(X))


def test_early_stopping_and_main_tasks(numbers):
    X, Y = numbers
    reg = regressor(early_stopping=True, max_iter=8, main_tasks="task_1").fit(X, Y)
    assert reg.task_validation_scores_.shape == (reg.n_iter_, 3)
    assert_allclose(reg.validation_scores_, reg.task_validation_scores_[:, 1])
    assert reg.best_validation_score_ == max(reg.validation_scores_)


def test_grid_search_over_head_sizes_in_a_pipeline(numbers):
    X, Y = numbers
    model = make_pipeline(StandardScaler(), regressor(max_iter=30))
    grid = {"multitasknetregressor__head_hidden_layer_sizes": [(), (8,), (8, 4)]}
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == Y.shape


def test_sparse_x_and_raw_tables(numbers):
    X, Y = numbers
    assert regressor().fit(sparse.csr_array(X), Y).predict(X).shape == Y.shape
    table = (
        pd.DataFrame(X).add_prefix("x").assign(kind=pd.Categorical(list("abc") * 40))
    )
    table.iloc[::7, 0] = np.nan
    assert regressor().fit(table, Y).predict(table).shape == Y.shape


# Bad input ------------------------------------------------------------------------


def wrong(column):
    Y = np.empty((20, 2), dtype=object)
    Y[:, 0] = np.arange(20) / 3
    Y[:, 1] = column
    return Y


BAD = {
    "infinity": (wrong([np.inf] + [1.5] * 19), "infinity in task 'task_1'"),
    "text": (wrong(["1.5 mg"] * 20), "task 'task_1' must be numbers; got .*'str'"),
    "booleans": (wrong([True, False] * 10), "must be numbers; got .*'bool'"),
    "complex": (np.full((20, 2), 1 + 2j), "must be numbers; got dtype complex"),
    "dates": (
        pd.DataFrame({"a": pd.date_range("2020-01-01", periods=20)}),
        "task 'a' must be numbers; got dtype .*days since",
    ),
    "days": (wrong([datetime.date(2020, 1, 1)] * 20), "days since"),
    "categories": (pd.DataFrame({"a": pd.Categorical([1, 2] * 10)}), "categories"),
    "all missing": (wrong([None] * 20), r"\['task_1'\] have none. Drop these columns"),
    "nothing": (np.full((20, 2), np.nan), "at least one observed label"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_y_is_refused_with_advice(case):
    y, match = BAD[case]
    with pytest.raises(ValueError, match=match):
        regressor().fit(np.zeros((20, 3)), y)


def test_the_classifier_names_the_regressor():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    clf = MultiTaskNetClassifier((4,), max_iter=1)
    with pytest.raises(ValueError, match="use MultiTaskNetRegressor"):
        clf.fit(X, X[:, 0])
    days = rng.integers(0, 60, size=300) * 2
    with pytest.warns(UserWarning, match="look like measurements.*task_0"):
        clf.fit(X, days)
    clf.fit(X, np.arange(300) % 40)  # numbered classes


def test_deviations_cover_new_rows_also_after_few():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2300, 8))
    y = X[:, 0] * X[:, 1] + 0.5 * rng.normal(size=2300)
    settings = {"max_iter": 80, "learning_rate_init": 0.01, "random_state": 0}
    reg = MultiTaskNetRegressor((64, 64), loss="gaussian", **settings)
    reg.fit(X[:300], y[:300])
    mean, deviation = reg.predict(X[300:], return_std=True)
    standardised = (y[300:] - mean) / deviation
    assert 0.8 < np.mean(np.abs(standardised) < 1.645) < 0.98
    reg.set_params(oob_score=False).fit(X[:300], y[:300])
    mean, deviation = reg.predict(X[300:], return_std=True)
    too_small = (y[300:] - mean) / deviation
    assert np.mean(standardised**2) < np.mean(too_small**2)


# Values that do not count, scales that stay, transformers that misbehave ----------


def test_a_value_of_weight_0_has_no_effect(numbers):
    X, Y = numbers
    weight = np.ones(Y.shape)
    weight[3] = 0
    outlier = Y.copy()
    outlier[3] = 1e300
    expected = regressor().fit(X, Y, weight).predict(X)
    assert_array_equal(regressor().fit(X, outlier, weight).predict(X), expected)
    log = FunctionTransformer(np.log, np.exp)
    positive = np.exp(Y[:, 0])
    positive[3] = -1.0
    regressor(transformer=log).fit(X, positive, weight[:, 0])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_going_on_refuses_another_transformer(numbers, method):
    X, Y = numbers
    reg = regressor(warm_start=True)
    getattr(reg, method)(X, Y)
    reg.set_params(transformer=StandardScaler())
    with pytest.raises(
        ValueError, match="transformer must be the same as in the first call"
    ):
        getattr(reg, method)(X, Y)
    reg.set_params(transformer={"other": StandardScaler()})
    with pytest.raises(ValueError, match="must be among the tasks"):
        getattr(reg, method)(X, Y)


def test_going_on_says_that_a_constant_task_stays_one(numbers):
    X, Y = numbers
    constant = Y.copy()
    constant[:, 0] = 5.0
    with pytest.warns(UserWarning, match="one value only"):
        reg = regressor().partial_fit(X, constant)
    with pytest.warns(UserWarning, match=r"\['task_0'\] had a single value"):
        reg.partial_fit(X, Y)
    with pytest.raises(ValueError, match="'task_1' must be comparable"):
        reg.partial_fit(X, Y * [1, 1e60, 1])


def test_new_tasks_check_the_names_of_transformers(numbers):
    X, Y = numbers
    reg = regressor().fit(X, Y[:, :2])
    new = pd.Series(np.exp(Y[:, 2]), name="price")
    log = FunctionTransformer(np.log, np.exp)
    with pytest.raises(ValueError, match=r"among the tasks \['price'\]; got \['prise'"):
        reg.set_params(transformer={"prise": log}).add_tasks(X, new)
    reg.set_params(transformer={"price": log, "task_0": log}).add_tasks(X, new)
    assert (reg.predict(X)[:, 2] > 0).all()
    with pytest.raises(ValueError, match="task 'late' must be numbers"):
        reg.add_tasks(X, pd.Series(["a"] * 120, name="late"))


@pytest.mark.parametrize("wrong", ["log", StandardScaler, object()])
def test_what_is_no_transformer_is_refused(numbers, wrong):
    X, Y = numbers
    with pytest.raises(ValueError, match=r"transformer.*must be"):
        regressor(transformer={"task_0": wrong}).fit(X, Y)
    with pytest.raises(ValueError, match="transformer"):
        regressor(transformer=wrong).fit(X, Y)


def test_a_prediction_that_cannot_be_inverted_is_named(numbers):
    X, Y = numbers
    exponential = FunctionTransformer(np.exp, np.log, check_inverse=False)
    small = np.clip(Y[:, 0], -1, 1)
    settings = {"input_encoding": "none", "oob_score": False}
    reg = regressor(transformer=exponential, **settings).fit(X, small)
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match="inverse_transform of FunctionTransformer"),
    ):
        reg.predict(1000 * X)


def root_or_nan(values):
    return np.sqrt(np.where(values < 0, np.nan, values))


def test_score_names_predictions_that_cannot_be_inverted(numbers):
    X, _ = numbers
    y = np.sqrt(np.maximum(X[:, 0], 0))
    square = FunctionTransformer(np.square, root_or_nan, check_inverse=False)
    reg = regressor(transformer=square, oob_score=False, max_iter=60).fit(X, y)
    message = "inverse_transform of FunctionTransformer"
    with pytest.raises(ValueError, match=message) as of_predict:
        reg.predict(X)
    with pytest.raises(ValueError, match=message) as of_score:
        reg.score(X, y)
    assert str(of_score.value) == str(of_predict.value)
    Y = pd.DataFrame({"plain": X[:, 1], "root": y})
    reg = clone(reg).set_params(transformer={"root": square}).fit(X, Y)
    with pytest.raises(ValueError, match="Predictions of task 'root' must be finite"):
        reg.score(X, Y)


def test_score_needs_no_predictions_of_missing_labels(numbers):
    X, _ = numbers
    y = np.sqrt(np.maximum(X[:, 0], 0))
    square = FunctionTransformer(np.square, root_or_nan, check_inverse=False)
    reg = regressor(transformer=square, oob_score=False, max_iter=60).fit(X, y)
    known = X[:, 0] > 0.5
    expected = reg.score(X[known], y[known])
    assert reg.score(X, np.where(known, y, np.nan)) == pytest.approx(expected)


def test_score_names_predictions_beyond_float64(numbers):
    X, _ = numbers
    y = np.where(X[:, 0] > 0, 1.7e308, -1.7e308)
    reg = regressor(oob_score=False, max_iter=60).fit(X, y)
    with pytest.raises(ValueError, match="rows, they are too large for float64"):
        reg.score(X, y)


def test_numbers_beyond_float64_and_missing_decimals(numbers):
    X, _ = numbers
    y = np.array([Decimal(i) / 3 for i in range(119)] + [Decimal("NaN")], dtype=object)
    assert np.isfinite(regressor().fit(X, y).predict(X)).all()
    y[3] = 10**400
    with pytest.raises(ValueError, match="float64 cannot represent"):
        regressor().fit(X, y)


@pytest.mark.parametrize("n_rows", [24, 60])
def test_deviations_cover_nine_tenths_of_new_rows_even_if_few_were_left_out(n_rows):
    covered = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n_rows + 500, 2))
        Y = X[:, [0, 1, 0, 1, 0, 1]] + rng.normal(size=(n_rows + 500, 6))
        reg = regressor(loss="gaussian", max_iter=50, random_state=seed)
        reg.fit(X[:n_rows], Y[:n_rows])
        mean, deviation = reg.predict(X[n_rows:], return_std=True)
        covered.append(np.abs(Y[n_rows:] - mean) <= 1.645 * deviation)
    assert 0.9 < np.mean(covered) < 0.99


@pytest.mark.parametrize("loss", ["squared_error", "gaussian"])
def test_the_automatic_solver_of_sparse_rows_is_adam(loss):
    rng = np.random.default_rng(0)
    X = sparse.random(200, 40, density=0.1, random_state=0, format="csr")
    Y = X[:, :2].toarray() + rng.normal(size=(200, 2))
    automatic = regressor(loss=loss).fit(X, Y)
    expected = regressor(loss=loss, solver="adam").fit(X, Y)
    assert_array_equal(automatic.predict(X), expected.predict(X))
    other = regressor(loss=loss, solver="sgd", learning_rate_init=1e-3).fit(X, Y)
    assert not np.array_equal(automatic.predict(X), other.predict(X))
