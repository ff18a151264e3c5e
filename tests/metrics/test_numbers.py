"""Metrics of numbers: multitask_score, multitask_scorer and multitask_report."""

import functools
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression
from sklearn.metrics import (
    explained_variance_score,
    get_scorer,
    get_scorer_names,
    make_scorer,
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNetRegressor
from skmtl.metrics import multitask_report, multitask_score, multitask_scorer
from skmtl.model_selection import MultiTaskStratifiedKFold

REGRESSION = [
    name
    for name in get_scorer_names()
    if get_scorer(name)._score_func.__module__ == "sklearn.metrics._regression"
]


def regressor(**changes):
    """A small and quick network."""
    settings = {
        "hidden_layer_sizes": (20,),
        "max_iter": 20,
        "n_members": 1,
        "learning_rate_init": 0.01,
        "random_state": 0,
    }
    return MultiTaskNetRegressor(**(settings | changes))


def number_problem(seed=0, n_samples=60, n_tasks=4, missing=0.4):
    """Positive Y of several units, a part of it missing, and predictions."""
    rng = np.random.default_rng(seed)
    units = 10.0 ** np.arange(n_tasks)
    Y = units * rng.gamma(2, size=(n_samples, n_tasks))
    predicted = Y * rng.uniform(0.5, 1.5, size=Y.shape)
    Y[rng.random(Y.shape) < missing] = np.nan
    return Y, predicted


def fit_problem(seed=0, n_samples=120):
    """X (n_samples, 4) and Y (n_samples, 3) of numbers, 30 % of it missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, 4))
    Y = X[:, :3] * [1, 10, 100] + rng.normal(size=(n_samples, 3)) * [0.1, 1, 10]
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def by_hand(function, Y, predicted, weight=None, **kwargs):
    """A loop over the stock metric on the observed rows."""
    scores = []
    for j, rows in enumerate(~np.isnan(Y.T)):
        if weight is not None:
            own = weight if weight.ndim == 1 else weight[:, j]
            kwargs["sample_weight"] = own[rows]
        scores.append(function(Y[rows, j], predicted[rows, j], **kwargs))
    return np.array(scores)


# multitask_score ----------------------------------------------------------------------


@pytest.mark.parametrize("name", REGRESSION)
def test_every_regression_scorer_equals_a_loop_over_the_observed_rows(name):
    Y, predicted = number_problem()
    scorer = get_scorer(name)
    expected = scorer._sign * by_hand(scorer._score_func, Y, predicted)
    scores = multitask_score(name, Y, predicted, average=None)
    assert_allclose(scores, expected, rtol=1e-12)
    assert multitask_score(name, Y, predicted) == pytest.approx(expected.mean())
    function = multitask_score(scorer._score_func, Y, predicted, average=None)
    assert_allclose(function, scorer._sign * expected, rtol=1e-12)


def test_regression_scorers_are_all_those_of_scikit_learn():
    assert {"r2", "neg_mean_squared_error", "d2_absolute_error_score"} <= set(
        REGRESSION
    )
    assert len(REGRESSION) >= 12


@pytest.mark.parametrize("shape", ["rows", "labels"])
def test_weights_of_rows_and_of_values(shape):
    Y, predicted = number_problem()
    weight = np.random.default_rng(0).uniform(0.1, 2, size=Y.shape).astype(np.float32)
    weight[:6] = 0
    weight = weight if shape == "labels" else weight[:, 0]
    scores = multitask_score("r2", Y, predicted, average=None, sample_weight=weight)
    assert_allclose(scores, by_hand(r2_score, Y, predicted, weight), rtol=1e-6)
    totals = (np.broadcast_to(weight.T, Y.T.shape) * ~np.isnan(Y.T)).sum(axis=1)
    weighted = multitask_score(
        "r2", Y, predicted, average="weighted", sample_weight=weight
    )
    assert weighted == pytest.approx(np.average(scores, weights=totals))


def test_a_whole_weight_counts_as_so_many_rows():
    Y, predicted = number_problem()
    repeats = np.random.default_rng(0).integers(0, 4, size=len(Y))
    for name in ("r2", "neg_root_mean_squared_error", "d2_absolute_error_score"):
        weighted = multitask_score(name, Y, predicted, sample_weight=repeats)
        repeated = multitask_score(
            name, np.repeat(Y, repeats, axis=0), np.repeat(predicted, repeats, axis=0)
        )
        assert weighted == pytest.approx(repeated, rel=1e-6), name


@pytest.mark.parametrize("average", ["macro", "weighted", None])
@pytest.mark.parametrize("name", ["r2", "neg_mean_absolute_error"])
def test_order_of_rows_and_tasks_changes_nothing(name, average):
    Y, predicted = number_problem()
    expected = multitask_score(name, Y, predicted, average=average)
    rng = np.random.default_rng(0)
    rows, tasks = rng.permutation(len(Y)), rng.permutation(4)
    permuted = multitask_score(
        name, Y[rows][:, tasks], predicted[rows][:, tasks], average=average
    )
    assert_allclose(permuted, expected[tasks] if average is None else expected)


@pytest.mark.parametrize("unit", [1e200, 1e-200, 1e300])
@pytest.mark.parametrize("name", ["r2", "explained_variance"])
def test_ratios_of_squares_hold_in_units_whose_squares_are_out_of_range(name, unit):
    Y, predicted = number_problem()
    scores = multitask_score(name, Y * unit, predicted * unit, average=None)
    assert_allclose(scores, multitask_score(name, Y, predicted, average=None))


def test_the_unit_of_a_task_changes_its_error_and_not_its_r2():
    Y, predicted = number_problem()
    for name, factor in [("r2", 1), ("neg_root_mean_squared_error", 1000)]:
        scores = multitask_score(name, Y, predicted, average=None)
        scaled = multitask_score(name, Y * 1000, predicted * 1000, average=None)
        assert_allclose(scaled, factor * scores, rtol=1e-10)


def containers(Y):
    frame = pd.DataFrame(Y, columns=list("abcd"))
    objects = np.full(Y.shape, None, dtype=object)
    observed = ~np.isnan(Y)
    objects[observed] = [Decimal(value) for value in Y[observed].tolist()]
    return {
        "array": Y,
        "list": np.where(observed, Y, None).tolist(),
        "frame": frame,
        "nullable": frame.astype("Float64"),
        "arrow": frame.astype("double[pyarrow]"),
        "decimals": objects,
        "masked": np.ma.masked_invalid(Y),
        "polars": pl.DataFrame(
            {name: [None if v != v else v for v in frame[name]] for name in frame}
        ),
    }


@pytest.mark.parametrize("kind", containers(number_problem()[0]))
def test_every_container_means_the_same(kind):
    Y, predicted = number_problem()
    expected = multitask_score("r2", Y, predicted, average=None)
    y_true = containers(Y)[kind]
    for y_pred in (
        predicted,
        predicted.tolist(),
        list(predicted.T),
        pd.DataFrame(predicted),
        pl.DataFrame(predicted),
        predicted.astype(object),
    ):
        assert_allclose(multitask_score("r2", y_true, y_pred, average=None), expected)


@pytest.mark.parametrize("dtype", [int, "Int64", np.float32, object])
def test_whole_numbers_are_numbers_to_a_metric_of_numbers(dtype):
    rng = np.random.default_rng(0)
    Y = pd.DataFrame(rng.integers(0, 4, size=(40, 2))).astype(dtype)
    predicted = rng.normal(1.5, 1, size=(40, 2))
    expected = by_hand(mean_squared_error, Y.to_numpy(float), predicted)
    scores = multitask_score(mean_squared_error, Y, predicted, average=None)
    assert_allclose(scores, expected)


@pytest.mark.parametrize("form", ["1-D", "column", "list"])
def test_one_task(form):
    Y, predicted = number_problem(n_tasks=1)
    y_pred = {"1-D": predicted[:, 0], "column": predicted, "list": [predicted[:, 0]]}
    expected = by_hand(r2_score, Y, predicted)[0]
    assert multitask_score("r2", Y[:, 0], y_pred[form]) == pytest.approx(expected)
    assert multitask_score("r2", Y, y_pred[form]) == pytest.approx(expected)


def test_as_many_rows_as_tasks_are_a_table_of_rows():
    Y = np.array([[0.5, 2.0], [1.5, 5.0]])
    rows = [np.array([0.6, 3.0]), np.array([1.4, 5.0])]
    expected = by_hand(mean_absolute_error, Y, np.array(rows))
    scores = multitask_score(mean_absolute_error, Y, rows, average=None)
    assert_allclose(scores, expected)


def test_arguments_of_a_metric():
    Y, predicted = number_problem()
    expected = by_hand(mean_pinball_loss, Y, predicted, alpha=0.9)
    for metric, kwargs in [
        (mean_pinball_loss, {"alpha": 0.9}),
        (functools.partial(mean_pinball_loss, alpha=0.9), {}),
    ]:
        scores = multitask_score(metric, Y, predicted, average=None, **kwargs)
        assert_allclose(scores, expected)
    scorer = make_scorer(mean_pinball_loss, greater_is_better=False, alpha=0.9)
    assert_allclose(multitask_score(scorer, Y, predicted, average=None), -expected)
    partial = make_scorer(functools.partial(mean_pinball_loss, alpha=0.9))
    whole = np.where(np.isnan(Y), np.nan, np.ceil(Y))  # only its name says what it is
    found = multitask_score(partial, whole, predicted, average=None)
    assert_allclose(found, by_hand(mean_pinball_loss, whole, predicted, alpha=0.9))


def within_ten_percent(y_true, y_pred):
    return np.mean(np.abs(y_pred - y_true) <= 0.1 * np.abs(y_true))


def test_a_function_of_the_users_own_gets_numbers_if_there_are_decimals():
    Y, predicted = number_problem()
    scores = multitask_score(within_ten_percent, Y, predicted, average=None)
    assert_allclose(scores, by_hand(within_ten_percent, Y, predicted))
    seen = []

    def own(y_true, y_pred):
        seen.append((y_true.dtype.kind, y_pred.dtype.kind))
        return 0.0

    multitask_score(own, Y, predicted)
    counts = np.array([[1, 0.5], [2, np.nan], [3, 1.5]])  # one column has decimals
    multitask_score(own, counts, np.ones((3, 2)))
    assert set(seen) == {("f", "f")}


def test_undefined_tasks_are_nan_and_named_once():
    Y, predicted = number_problem()
    Y = pd.DataFrame(Y, columns=["fine", "one value", "empty", "too"])
    Y.loc[1:, "one value"] = np.nan
    Y.loc[0, "one value"] = 3.5
    Y["empty"] = np.nan
    for name in ("r2", "explained_variance", "d2_absolute_error_score"):
        message = rf"{name} is undefined for 2 of 4 .*'one value', 'empty'.*Pass more"
        with pytest.warns(UndefinedMetricWarning, match=message) as record:
            scores = multitask_score(name, Y, predicted, average=None)
        assert len(record) == 1
        assert record[0].filename == __file__
        assert_array_equal(np.isnan(scores), [False, True, True, False])
        with pytest.warns(UndefinedMetricWarning):
            macro = multitask_score(name, Y, predicted)
        assert macro == pytest.approx(np.nanmean(scores))
    with pytest.warns(UndefinedMetricWarning, match=r"1 of 4 .*'empty'"):
        errors = multitask_score(mean_absolute_error, Y, predicted, average=None)
    assert errors[1] == pytest.approx(abs(3.5 - predicted[0, 1]))
    with pytest.warns(UndefinedMetricWarning, match="4 of 4"):
        assert np.isnan(multitask_score("r2", Y * np.nan, predicted))


def test_values_of_weight_zero_count_nowhere():
    Y, predicted = number_problem(n_tasks=2, missing=0)
    weight = np.ones(Y.shape)
    weight[1:, 0] = 0
    with pytest.warns(UndefinedMetricWarning, match=r"1 of 2 .*'task_0'"):
        scores = multitask_score("r2", Y, predicted, average=None, sample_weight=weight)
    assert scores[1] == pytest.approx(r2_score(Y[:, 1], predicted[:, 1]))


@pytest.mark.parametrize("form", ["array", "frame", "objects", "list"])
def test_a_missing_prediction_is_an_error(form):
    Y, predicted = number_problem()
    predicted[3, 2] = np.nan
    y_pred = {
        "array": predicted,
        "frame": pd.DataFrame(predicted),
        "objects": predicted.astype(object),
        "list": list(predicted.T),
    }[form]
    with pytest.raises(ValueError, match=r"missing predictions.*'solubility'"):
        multitask_score("r2", Y, y_pred, task_names=["a", "b", "solubility", "c"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"average": "micro"}, "pools .* r2 is computed from numbers, whose units"),
        ({"average": "median"}, "average must be"),
        ({"y_pred": np.ones((59, 4))}, "inconsistent"),
        ({"y_pred": np.ones((60, 3))}, "column of numbers per task, 4 like y_true"),
        ({"y_pred": np.full((60, 4), "yes")}, "must be numbers"),
        ({"y_pred": np.full((60, 4), np.inf)}, "infinity"),
        ({"y_pred": [np.ones((60, 2))] * 4}, r"numbers of shape \(60,\); got shape"),
        ({"y_pred": [None] * 4}, r"numbers of shape \(60,\); got None"),
        ({"sample_weight": np.ones(3)}, "sample_weight must have shape"),
        ({"task_names": ["a"]}, "each of the 4 tasks"),
        ({"task_types": "number"}, "task_types must map .*; got 'number'"),
    ],
)
def test_unusable_arguments_are_refused(change, message):
    Y, predicted = number_problem()
    arguments = {"metric": "r2", "y_true": Y, "y_pred": predicted} | change
    with pytest.raises(ValueError, match=message):
        multitask_score(**arguments)


def test_a_function_of_the_users_own_does_not_pool_numbers():
    Y, predicted = number_problem()
    with pytest.raises(ValueError, match=r"within_ten_percent.*units may differ"):
        multitask_score(within_ten_percent, Y, predicted, average="micro")


@pytest.mark.parametrize("name", ["accuracy", "roc_auc", "neg_log_loss", "f1_macro"])
@pytest.mark.parametrize("kind", ["array", "nullable", "decimals", "polars"])
def test_a_metric_of_classes_refuses_numbers_with_decimals(name, kind):
    Y, predicted = number_problem()
    message = rf"{name} is a classification metric, but y_true .*Use a regression metr"
    with pytest.raises(ValueError, match=message):
        multitask_score(name, containers(Y)[kind], predicted)
    one = pd.DataFrame({"toxic": [0, 1, 1], "logp": [0.5, np.nan, 1.5]})
    with pytest.raises(ValueError, match=r"decimals in tasks \['logp'\]"):
        multitask_score(name, one, one.to_numpy())


def test_a_metric_of_numbers_refuses_text():
    Y = pd.DataFrame({"logp": [0.5, 1.5, None], "colour": ["red", None, "blue"]})
    message = r"r2 is a regression metric, but .*\['colour'\]. Use a classification"
    with pytest.raises(ValueError, match=message):
        multitask_score("r2", Y, np.ones((3, 2)))


def test_infinite_numbers_are_named_as_such():
    for name in ("r2", "accuracy"):
        with pytest.raises(ValueError, match="contains infinity in task 'task_1'"):
            multitask_score(name, [[0.0, 1], [1, np.inf]], [[0.0, 1], [1, 1]])


def test_an_error_of_the_metric_names_the_task():
    Y, predicted = number_problem()
    with pytest.raises(ValueError, match="strictly positive") as error:
        multitask_score("neg_mean_gamma_deviance", Y, -predicted)
    assert any("'task_0'" in note for note in error.value.__notes__)


# multitask_scorer ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        regressor(),
        make_pipeline(StandardScaler(), regressor()),
        RandomForestRegressor(5, random_state=0),
        LinearRegression(),
        TransformedTargetRegressor(LinearRegression()),
    ],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("name", ["r2", "neg_root_mean_squared_error"])
def test_any_regressor_is_scored_on_the_observed_values(estimator, name):
    X, Y = fit_problem()
    fitted = estimator.fit(X, np.nan_to_num(Y))
    expected = multitask_score(name, Y, fitted.predict(X))
    assert multitask_scorer(name)(fitted, X, Y) == pytest.approx(expected)
    assert_allclose(
        multitask_scorer(name).score_tasks(fitted, X, Y),
        multitask_score(name, Y, fitted.predict(X), average=None),
    )


def test_the_scorer_of_r2_is_the_estimators_score():
    X, Y = fit_problem()
    reg = regressor().fit(X, Y)
    assert multitask_scorer("r2")(reg, X, Y) == pytest.approx(reg.score(X, Y))
    weight = np.random.default_rng(0).uniform(0.5, 2, size=Y.shape)
    assert multitask_scorer("r2")(reg, X, Y, sample_weight=weight) == pytest.approx(
        reg.score(X, Y, sample_weight=weight)
    )


def test_whole_numbers_of_a_regressor_are_numbers_to_any_function():
    X, Y = fit_problem()
    Y = np.round(Y)
    reg = regressor().fit(X, Y)
    found = multitask_scorer(within_ten_percent)(reg, X, Y)
    assert found == by_hand(within_ten_percent, Y, reg.predict(X)).mean()


def test_losses_have_the_right_sign():
    X, Y = fit_problem()
    reg = regressor().fit(X, Y)
    for loss in (mean_squared_error, mean_absolute_error, mean_pinball_loss):
        expected = -multitask_score(loss, Y, reg.predict(X))
        assert multitask_scorer(loss)(reg, X, Y) == pytest.approx(expected)
        assert expected < 0
    for score in (r2_score, explained_variance_score):
        assert multitask_scorer(score)(reg, X, Y) > 0


@pytest.mark.parametrize(
    "name", ["r2", "explained_variance", "d2_absolute_error_score"]
)
def test_equal_values_have_no_score_relative_to_the_best_constant(name):
    Y = np.array([[1.5, 2.5], [2.5, 2.5], [0.5, 2.5]])
    # Exact for the constant, for which scikit-learn therefore returns 1.
    predicted = Y + np.array([0.25, 0.0])
    with pytest.warns(UndefinedMetricWarning, match="no two different.*'task_1'"):
        scores = multitask_score(name, Y, predicted, average=None)
    assert np.isnan(scores).tolist() == [False, True]
    assert multitask_score("neg_mean_absolute_error", Y, predicted) == -0.125


def test_one_task_equals_the_stock_scorer():
    X, Y = fit_problem()
    y = np.nan_to_num(Y[:, 0])
    for name in ("r2", "neg_median_absolute_error", "neg_max_error"):
        options = {"cv": KFold(3)}
        ours = cross_val_score(
            LinearRegression(), X, y, scoring=multitask_scorer(name), **options
        )
        stock = cross_val_score(LinearRegression(), X, y, scoring=name, **options)
        assert_allclose(ours, stock)


def test_search_equals_a_hand_written_loop():
    X, Y = fit_problem()
    Y = pd.DataFrame(Y, columns=list("abc"))
    model = make_pipeline(StandardScaler(), regressor())
    grid = {"multitasknetregressor__hidden_layer_sizes": [(), (10,)]}
    cv = MultiTaskStratifiedKFold(3)
    search = GridSearchCV(
        model, grid, cv=cv, scoring=multitask_scorer("r2"), n_jobs=2
    ).fit(X, Y)
    for parameters, found in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        scores = []
        for train, test in cv.split(X, Y):
            model.set_params(**parameters).fit(X[train], Y.iloc[train])
            predicted = model.predict(X[test])
            scores.append(by_hand(r2_score, Y.to_numpy()[test], predicted).mean())
        assert found == pytest.approx(np.mean(scores))
    best = search.best_estimator_
    expected = multitask_score("r2", Y, best.predict(X))
    assert multitask_scorer("r2")(search, X, Y) == pytest.approx(expected)


@pytest.mark.parametrize("cv", [3, None])
def test_folds_of_scikit_learn_serve_numbers_too(cv):
    X, Y = fit_problem()
    scores = cross_val_score(regressor(), X, Y, cv=cv, scoring=multitask_scorer("r2"))
    assert len(scores) == (cv or 5)
    assert np.isfinite(scores).all()


def test_scores_by_task_in_cross_validate():
    X, Y = fit_problem()
    Y = pd.DataFrame(Y, columns=list("abc"))
    scorer = multitask_scorer("neg_mean_absolute_error", per_task=True)
    results = cross_validate(regressor(), X, Y, cv=3, scoring=scorer)
    by_task = [results[f"test_{task}"] for task in "abc"]
    assert_allclose(np.mean(by_task, axis=0), results["test_mean"])
    assert np.mean(by_task[0]) > np.mean(by_task[1]) > np.mean(by_task[2])  # units


def test_some_tasks_only():
    X, Y = fit_problem()
    Y = pd.DataFrame(Y, columns=list("abc"))
    reg = regressor(main_tasks=["c", "a"]).fit(X, Y)
    expected = multitask_score("r2", Y, reg.predict(X), average=None)
    for names, positions in [(["c", "a"], [0, 2]), ("b", [1]), (None, [0, 1, 2])]:
        scorer = multitask_scorer("r2", tasks=names)
        assert scorer(reg, X, Y) == pytest.approx(expected[positions].mean())
        # An array has no names; those of fit hold.
        assert scorer(reg, X, Y.to_numpy()) == pytest.approx(scorer(reg, X, Y))
        by_task = scorer.score_tasks(reg, X, Y)
        assert np.flatnonzero(~np.isnan(by_task)).tolist() == positions
    main = multitask_scorer("r2", tasks=reg.main_tasks)
    assert main(reg, X, Y) == pytest.approx(reg.score(X, Y))
    named = multitask_scorer("r2", tasks=["c", "a"], per_task=True)
    assert list(named(reg, X, Y)) == ["a", "c", "mean"]
    assert repr(main) == "multitask_scorer('r2', average='macro', tasks=['c', 'a'])"
    forest = RandomForestRegressor(5, random_state=0).fit(X, Y.fillna(0))
    of_forest = multitask_score("r2", Y["b"], forest.predict(X)[:, 1])
    assert multitask_scorer("r2", tasks="b")(forest, X, Y) == pytest.approx(of_forest)
    with pytest.raises(ValueError, match=r"tasks must be among the tasks .*\['d'\]"):
        multitask_scorer("r2", tasks=["a", "d"])(reg, X, Y)


def test_unusable_scorers_and_targets_are_refused():
    X, Y = fit_problem()
    reg = regressor().fit(X, Y)
    with pytest.raises(ValueError, match="r2 is computed from numbers"):
        multitask_scorer("r2", average="micro")
    with pytest.raises(ValueError, match="accuracy is a classification metric"):
        multitask_scorer("accuracy")(reg, X, Y)
    with pytest.raises(ValueError, match=r"the 3 tasks of fit; got 2. Pass one column"):
        multitask_scorer("r2")(reg, X, Y[:, :2])
    frame = pd.DataFrame(Y, columns=list("abc"))
    named = regressor().fit(X, frame)
    with pytest.raises(ValueError, match="in the same order"):
        multitask_scorer("r2")(named, X, frame[["b", "a", "c"]])


def test_it_can_be_pickled():
    X, Y = fit_problem()
    reg = regressor().fit(X, Y)
    scorer = multitask_scorer(mean_absolute_error, average="weighted")
    assert pickle.loads(pickle.dumps(scorer))(reg, X, Y) == scorer(reg, X, Y)


# multitask_report ---------------------------------------------------------------------


def test_report_is_the_stock_metrics_on_the_observed_rows():
    Y, predicted = number_problem()
    frame = pd.DataFrame(Y, columns=list("abcd"))
    report = multitask_report(frame, predicted)
    assert report.columns.tolist() == ["n_labelled", "mean", "std", "r2", "rmse", "mae"]
    assert report.index.tolist() == list("abcd")
    assert report["n_labelled"].tolist() == frame.notna().sum().tolist()
    assert_allclose(report["mean"], frame.mean())
    assert_allclose(report["std"], frame.std(ddof=0))
    assert_allclose(report["r2"], by_hand(r2_score, Y, predicted))
    assert_allclose(report["rmse"], by_hand(root_mean_squared_error, Y, predicted))
    assert_allclose(report["mae"], by_hand(mean_absolute_error, Y, predicted))
    # Of R2 = 1 - MSE / variance.
    assert_allclose(report["r2"], 1 - (report["rmse"] / report["std"]) ** 2)


def test_a_report_of_whole_weights_is_that_of_repeated_rows():
    Y, predicted = number_problem()
    repeats = np.where(np.arange(len(Y)) < 10, 2, 1)
    weighted = multitask_report(Y, predicted, sample_weight=repeats)
    repeated = multitask_report(
        np.repeat(Y, repeats, axis=0), np.repeat(predicted, repeats, axis=0)
    )
    assert_allclose(weighted.iloc[:, 1:], repeated.iloc[:, 1:], rtol=1e-6)


@pytest.mark.parametrize(
    "y", [np.arange(100, 160), np.arange(0, 120, 2).astype(float), np.arange(60) / 2]
)
def test_a_report_knows_numbers_by_decimals_or_by_many_whole_ones(y):
    predicted = y + np.tile([1.0, -1.0], 30)
    report = multitask_report(y, predicted)
    assert report["rmse"].tolist() == [1]
    counts = np.arange(60) % 4
    forced = multitask_report(counts, counts + 1, task_types={"task_0": "number"})
    assert forced["mae"].tolist() == [1]
    named = multitask_report(
        counts, counts + 1, task_names=["n"], task_types={"n": "number"}
    )
    assert named.index.tolist() == ["n"]


def test_many_classes_of_whole_numbers_are_known_by_their_probabilities():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(100, 140), 3)
    p = rng.dirichlet(np.ones(40), len(y))
    for y_true, y_pred in [(y, p), (np.column_stack([y, y]), [p, p])]:
        assert "roc_auc" in multitask_report(y_true, y_pred)


def test_undefined_numbers_of_a_report_are_named_once():
    Y, predicted = number_problem(n_tasks=2)
    Y[1:, 0] = np.nan
    Y[0, 0] = 2.5
    with pytest.warns(UndefinedMetricWarning, match=r"r2 .* 1 of 2 .*'task_0'") as seen:
        report = multitask_report(Y, predicted)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert report.loc["task_0", ["n_labelled", "mean", "std"]].tolist() == [1, 2.5, 0]
    assert np.isnan(report.loc["task_0", "r2"])
    assert report.loc["task_0", "mae"] == pytest.approx(abs(2.5 - predicted[0, 0]))
    with pytest.warns(UndefinedMetricWarning, match="2 of 2"):
        empty = multitask_report(
            Y * np.nan, predicted, task_types={"task_0": "number", "task_1": "number"}
        )
    assert empty.drop(columns="n_labelled").isna().all(axis=None)


def test_report_of_a_fitted_regressor():
    X, Y = fit_problem()
    reg = regressor().fit(X, Y)
    report = multitask_report(Y, reg.predict(X))
    assert report["r2"].mean() == pytest.approx(reg.score(X, Y))
