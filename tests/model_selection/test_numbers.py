"""Splits and out-of-fold predictions of numbers, and of classes and numbers."""

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.model_selection import cross_val_predict as stock_cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNet, MultiTaskNetRegressor
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.metrics import multitask_report, multitask_scorer
from skmtl.model_selection import GridSearchCV as SearchWithGaps
from skmtl.model_selection import (
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    MultiTaskStratifiedShuffleSplit,
    MultiTaskTunedThresholdClassifierCV,
    RepeatedMultiTaskStratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    multitask_train_test_split,
    validation_curve,
)
from skmtl.model_selection._strata import strata_of

SETTINGS = {
    "hidden_layer_sizes": (20,),
    "max_iter": 10,
    "n_members": 1,
    "learning_rate_init": 0.01,
    "random_state": 0,
}


def numbers(seed, n_samples=200, n_tasks=4, missing=0.4):
    """Numbers of long tails and several units, a part of them missing."""
    rng = np.random.default_rng(seed)
    Y = 10.0 ** np.arange(n_tasks) * rng.lognormal(size=(n_samples, n_tasks))
    Y[rng.random(Y.shape) < missing] = np.nan
    return Y


def fifths(y):
    """(n_samples,): the fifth of the observed values that each belongs to, else NaN."""
    ranks = pd.Series(y).rank(method="first")
    return np.ceil(5 * ranks / ranks.max()).to_numpy()


def counts_per_part(parts, Y, n_strata=5):
    """(n_parts, n_tasks, n_strata): observed values of each fifth in each part."""
    strata = np.column_stack([fifths(y) for y in Y.T])
    return np.array(
        [
            [(strata[part] == s).sum(axis=0) for s in range(1, n_strata + 1)]
            for part in parts
        ]
    ).swapaxes(1, 2)


# Splitters ----------------------------------------------------------------------------


@pytest.mark.parametrize("n_splits", [2, 3, 5])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_folds_balance_the_fifths_of_every_task(seed, shuffle, n_splits):
    Y = numbers(seed)
    cv = MultiTaskStratifiedKFold(
        n_splits, shuffle=shuffle, random_state=seed if shuffle else None
    )
    parts = [test for _, test in cv.split(Y, Y)]
    assert sorted(np.concatenate(parts)) == list(range(len(Y)))
    assert {len(part) for part in parts} <= {
        len(Y) // n_splits,
        -(-len(Y) // n_splits),
    }
    counts = counts_per_part(parts, Y)
    ideal = counts.sum(axis=0) / n_splits
    assert (np.abs(counts - ideal) <= 2.5).all()
    labelled = counts.sum(axis=2)
    assert (np.abs(labelled - labelled.mean(axis=0)) <= 2.5).all()


def test_one_complete_task_is_split_as_evenly_as_can_be():
    y = np.random.default_rng(0).normal(size=100)
    parts = [test for _, test in MultiTaskStratifiedKFold(4).split(y, y)]
    counts = counts_per_part(parts, y[:, None])[:, 0]
    assert (np.ptp(counts, axis=0) <= 1).all()


def test_folds_are_more_alike_than_random_ones():
    ours, random = [], []
    for seed in range(5):
        Y = numbers(seed, missing=0.2)
        parts = [test for _, test in MultiTaskStratifiedKFold(5).split(Y, Y)]
        order = np.random.default_rng(seed).permutation(len(Y))
        for spreads, folds in [(ours, parts), (random, np.array_split(order, 5))]:
            medians = [np.nanmedian(Y[fold], axis=0) for fold in folds]
            spreads.append(np.std(np.log(medians), axis=0).mean())
    assert np.mean(ours) < 0.7 * np.mean(random)


def test_classes_and_numbers_are_balanced_together():
    Y = numbers(0, missing=0.2)
    colour = np.array(["blue", "green", "red"])[
        np.random.default_rng(1).integers(3, size=200)
    ]
    frame = pd.DataFrame(Y, columns=list("abcd")).assign(colour=colour)
    parts = [test for _, test in MultiTaskStratifiedKFold(4).split(Y, frame)]
    counts = counts_per_part(parts, Y)
    assert (np.abs(counts - counts.mean(axis=0)) <= 2.5).all()
    by_colour = np.array([frame["colour"].iloc[part].value_counts() for part in parts])
    assert (np.ptp(by_colour, axis=0) <= 2).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("test_size", [0.1, 0.25, 0.5])
def test_random_splits_balance_the_fifths(seed, test_size):
    Y = numbers(seed)
    cv = MultiTaskStratifiedShuffleSplit(3, test_size=test_size, random_state=seed)
    for train, test in cv.split(Y, Y):
        assert len(test) == test_size * len(Y)
        assert not set(train) & set(test)
        counts = counts_per_part([np.arange(len(Y)), test], Y)
        assert (np.abs(counts[1] - test_size * counts[0]) <= 2.5).all()


def test_train_test_split_and_repetitions():
    Y = pd.DataFrame(numbers(0), columns=list("abcd"))
    X = np.arange(len(Y))[:, None]
    X_train, X_test, Y_train, Y_test = multitask_train_test_split(
        X, Y, test_size=0.2, random_state=0
    )
    assert sorted([*X_train[:, 0], *X_test[:, 0]]) == list(range(len(Y)))
    assert_array_equal(Y_train.index, X_train[:, 0])
    ideal = 0.2 * Y.notna().sum()
    assert (np.abs(Y_test.notna().sum() - ideal) <= 2.5).all()
    cv = RepeatedMultiTaskStratifiedKFold(n_splits=2, n_repeats=2, random_state=0)
    tests = [test for _, test in cv.split(X, Y)]
    assert sorted(np.concatenate(tests[:2])) == list(range(len(Y)))
    assert set(tests[0]) != set(tests[2])


def test_groups_are_whole_and_numbers_balanced():
    rng = np.random.default_rng(0)
    groups = rng.integers(60, size=300)
    Y = rng.normal(size=(300, 2)) + rng.normal(size=(60, 2))[groups]
    Y[rng.random(Y.shape) < 0.3] = np.nan
    folds = list(MultiTaskStratifiedGroupKFold(3).split(Y, Y, groups))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
    counts = counts_per_part([test for _, test in folds], Y)
    ideal = counts.mean(axis=0)
    assert (np.abs(counts - ideal) <= 0.35 * ideal + 2).all()


@pytest.mark.parametrize("n_observed", [2, 5, 9, 10, 14, 23, 30])
def test_few_numbers_are_spread_without_a_warning(n_observed):
    rng = np.random.default_rng(0)
    y = np.full(60, np.nan)
    y[rng.choice(60, n_observed, replace=False)] = rng.normal(size=n_observed)
    Y = np.column_stack([np.arange(60) % 2, y])
    parts = [test for _, test in MultiTaskStratifiedKFold(5).split(Y, Y)]
    n_per_part = [np.isfinite(y[part]).sum() for part in parts]
    assert max(n_per_part) - min(n_per_part) <= 1


@pytest.mark.parametrize("seed", range(20))
def test_each_fold_has_each_stratum_however_few_numbers_there_are(seed):
    rng = np.random.default_rng(seed)
    n_samples, n_splits = int(rng.integers(10, 80)), int(rng.integers(2, 7))
    n_observed = int(rng.integers(n_splits, n_samples + 1))
    y = np.full(n_samples, np.nan)
    y[rng.choice(n_samples, n_observed, replace=False)] = rng.normal(size=n_observed)
    codes = strata_of(y, n_splits).codes[:, 0]
    n_strata = max(1, min(5, n_observed // n_splits))
    totals = np.bincount(codes[codes >= 0])
    assert len(totals) == n_strata
    assert np.ptp(totals) <= 1
    for low in range(n_strata - 1):
        assert y[codes == low].max() < y[codes == low + 1].min()
    parts = [test for _, test in MultiTaskStratifiedKFold(n_splits).split(y, y)]
    counts = np.array(
        [[(codes[part] == s).sum() for s in range(n_strata)] for part in parts]
    )
    assert counts.min() >= 1
    assert (np.ptp(counts, axis=0) <= 1).all()


def test_ties_are_legal():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(100) < 0.8, 0.0, rng.gamma(2, size=100))
    parts = [test for _, test in MultiTaskStratifiedKFold(5).split(y, y)]
    n_zeros = [(y[part] == 0).sum() for part in parts]
    assert max(n_zeros) - min(n_zeros) <= 1
    same = np.full(20, 0.5)
    assert len(list(MultiTaskStratifiedKFold(5).split(same, same))) == 5


def test_more_folds_than_numbers_are_refused():
    y = np.array([0.5, np.nan, 1.5, 2.5])
    with pytest.raises(ValueError, match=r"numeric task .*n_splits=4 .* has 3. Use"):
        next(MultiTaskStratifiedKFold(4).split(y, y))
    with pytest.raises(ValueError, match="contains infinity in task 'task_0'"):
        next(MultiTaskStratifiedKFold(2).split(y, [0.5, np.inf, 1.5, 2.5]))


def test_rare_classes_are_named_and_numbers_are_not():
    Y = pd.DataFrame({"rare": [1] + [0] * 19, "mass": np.arange(20) + 0.5})
    with pytest.warns(UserWarning, match=r"1 of 2 tasks.*\['rare: 1'\]") as record:
        list(MultiTaskStratifiedKFold(5).split(Y, Y))
    assert len(record) == 1


def containers(y):
    kinds = {
        "float32": y.astype(np.float32),
        "list": y.tolist(),
        "object": y.astype(object),
        "decimals": np.array([Decimal(value) for value in y.tolist()], dtype=object),
        "nullable": pd.Series(y, dtype="Float64"),
        "arrow": pd.Series(y, dtype="double[pyarrow]"),
        "polars": pl.DataFrame({"y": y}),
    }
    return kinds


@pytest.mark.parametrize("kind", containers(np.arange(2.0)))
def test_every_container_is_split_alike(kind):
    y = np.random.default_rng(0).normal(size=60)
    expected = [test.tolist() for _, test in MultiTaskStratifiedKFold(3).split(y, y)]
    own = containers(y)[kind]
    found = [test.tolist() for _, test in MultiTaskStratifiedKFold(3).split(y, own)]
    assert found == expected


def test_many_whole_numbers_are_numbers_and_few_are_classes():
    rng = np.random.default_rng(0)
    many = rng.permutation(np.arange(100, 160))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = [test for _, test in MultiTaskStratifiedKFold(3).split(many, many)]
    counts = counts_per_part(parts, many[:, None].astype(float))
    assert (np.ptp(counts, axis=0) <= 1).all()
    large = many * 1e18  # beyond what float64 holds exactly
    assert len(list(MultiTaskStratifiedKFold(3).split(large, large))) == 3
    # Classes that somebody has numbered.
    letters = np.r_[np.repeat(np.arange(40), 2), 0]
    with pytest.warns(UserWarning, match="a class with fewer labels than n_splits"):
        list(MultiTaskStratifiedKFold(3).split(letters, letters))
    ids = 10**17 + np.arange(60) % 3
    parts = [test for _, test in MultiTaskStratifiedKFold(5).split(ids, ids)]
    for part in parts:
        assert np.unique(ids[part], return_counts=True)[1].tolist() == [4, 4, 4]


def test_order_of_tasks_does_not_change_how_even_folds_are():
    Y = numbers(0)
    spreads = []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        parts = [test for _, test in MultiTaskStratifiedKFold(5).split(Y, Y[:, order])]
        counts = counts_per_part(parts, Y)
        spreads.append(np.abs(counts - counts.mean(axis=0)).max())
    assert max(spreads) <= 2.5


# cross_val_predict --------------------------------------------------------------------


def fit_problem(seed=0, n_samples=100):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, 3))
    Y = X * [1, 10, 100] + rng.normal(size=X.shape) * [0.1, 1, 10]
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def mixed_problem(seed=0, n_samples=100):
    X, numbers = fit_problem(seed, n_samples)
    colours = np.array(["blue", "green", "red"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    frame = pd.DataFrame(
        {
            "colour": colours,
            "logp": numbers[:, 1],
            "toxic": (X[:, 2] > 0).astype(float),
            "mass": numbers[:, 2],
        }
    )
    hidden = np.random.default_rng(seed).random(frame.shape) < 0.2
    return X, frame.mask(hidden)


@pytest.mark.parametrize(
    "estimator",
    [
        MultiTaskNetRegressor(**SETTINGS),
        make_pipeline(StandardScaler(), MultiTaskNetRegressor(**SETTINGS)),
    ],
    ids=["network", "pipeline"],
)
def test_every_number_is_of_a_network_that_did_not_see_the_row(estimator):
    X, Y = fit_problem()
    predicted = cross_val_predict(estimator, X, Y)
    assert predicted.shape == Y.shape
    assert predicted.dtype == np.float64
    n_folds = 0
    for train, test in MultiTaskStratifiedKFold(5).split(X, Y):
        alone = clone(estimator).fit(X[train], Y[train]).predict(X[test])
        assert_array_equal(predicted[test], alone)
        n_folds += 1
    assert n_folds == 5
    in_parallel = cross_val_predict(estimator, X, Y, n_jobs=2)
    assert_array_equal(in_parallel, predicted)


@pytest.mark.parametrize(
    "estimator", [RandomForestRegressor(5, random_state=0), LinearRegression()]
)
@pytest.mark.parametrize("n_tasks", [1, 3])
def test_other_regressors_equal_the_stock_function(estimator, n_tasks):
    X, Y = fit_problem()
    Y = np.nan_to_num(Y)
    Y = Y[:, 0] if n_tasks == 1 else Y
    cv = list(MultiTaskStratifiedKFold(3).split(X, Y))
    ours = cross_val_predict(estimator, X, Y, cv=cv)
    assert_array_equal(ours, stock_cross_val_predict(estimator, X, Y, cv=cv))


@pytest.mark.parametrize(
    "estimator", [MultiTaskNetRegressor(**SETTINGS), LinearRegression()]
)
def test_whole_numbers_of_a_regressor_are_no_rare_classes(estimator):
    X, _ = fit_problem(n_samples=40)
    y = np.arange(40) % 19  # classes would have two or three labels
    predicted = cross_val_predict(estimator, X, y)
    assert predicted.shape == (40,)


def test_a_search_in_a_pipeline_in_parallel():
    X, Y = fit_problem()
    pipeline = make_pipeline(StandardScaler(), MultiTaskNetRegressor(**SETTINGS))
    search = GridSearchCV(
        pipeline,
        {"multitasknetregressor__alpha": [1e-4, 0.1]},
        scoring=multitask_scorer("r2"),
        cv=MultiTaskStratifiedKFold(2),
        n_jobs=2,
    )
    predicted = cross_val_predict(search, X, Y, cv=2)
    for train, test in MultiTaskStratifiedKFold(2).split(X, Y):
        alone = clone(search).fit(X[train], Y[train]).predict(X[test])
        assert_array_equal(predicted[test], alone)


def test_a_mixed_table_has_labels_and_numbers():
    X, Y = mixed_problem()
    net = MultiTaskNet(**SETTINGS)
    predicted = cross_val_predict(net, X, Y, cv=3)
    assert predicted.dtype == object
    assert set(predicted[:, 0]) <= {"blue", "green", "red"}
    assert {type(value) for value in predicted[:, 1]} == {float}
    for train, test in MultiTaskStratifiedKFold(3).split(X, Y):
        alone = clone(net).fit(X[train], Y.iloc[train]).predict(X[test])
        assert_array_equal(predicted[test], alone)


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
def test_probabilities_of_mixed_tasks_are_none_for_numbers(method):
    X, Y = mixed_problem()
    net = MultiTaskNet(**SETTINGS)
    found = cross_val_predict(net, X, Y, cv=3, method=method)
    assert [None if p is None else p.shape for p in found] == [
        (100, 3),
        None,
        (100, 2),
        None,
    ]
    for train, test in MultiTaskStratifiedKFold(3).split(X, Y):
        model = clone(net).fit(X[train], Y.iloc[train])
        for ours, alone in zip(found, getattr(model, method)(X[test]), strict=True):
            if alone is not None:
                assert_array_equal(ours[test], alone)
    if method == "predict_proba":
        numbers = cross_val_predict(net, X, Y, cv=3)
        y_pred = [
            numbers[:, t].astype(float) if p is None else p for t, p in enumerate(found)
        ]
        report = multitask_report(Y, y_pred)
        assert report["type"].tolist() == ["class", "number"] * 2


def test_types_that_are_given_reach_the_folds():
    X, Y = mixed_problem()
    Y["mass"] = Y["mass"].round()
    types = {"colour": "class", "logp": "number", "toxic": "class", "mass": "number"}
    net = MultiTaskNet(task_types=types, **SETTINGS)
    assert cross_val_predict(net, X, Y).shape == Y.shape
    with pytest.raises(ValueError, match=r"\['mass'\]. Set the type"):
        cross_val_predict(MultiTaskNet(**SETTINGS), X, Y)


def deciding_value_in_few_rows():
    """A number whose only decimals are in one row; a number known in few rows."""
    X = np.random.default_rng(0).normal(size=(90, 3))
    Y = pd.DataFrame({"active": X[:, 0] > 0, "grade": (X[:, 1] > 0) * 1.0})
    Y.loc[0, "grade"] = 0.5
    Y["dose"] = np.where(np.arange(90) < 30, 50 + X[:, 2], np.nan)
    return X, Y


def test_folds_read_the_types_of_all_rows():
    X, Y = deciding_value_in_few_rows()
    net = MultiTaskNet(**SETTINGS)
    told = clone(net).set_params(
        task_types={"active": "class", "grade": "number", "dose": "number"}
    )
    predicted = cross_val_predict(net, X, Y, cv=3)
    assert_array_equal(predicted, cross_val_predict(told, X, Y, cv=3))
    assert predicted[:, 1].astype(float).std() > 0
    # No row to train on has a dose.
    with pytest.raises(ValueError, match=r"\['dose'\] have none.* of a fold"):
        cross_val_predict(net, X, Y, cv=KFold(3))


@pytest.mark.parametrize("make", [lambda net: net, make_pipeline], ids=["alone", "in"])
def test_searches_and_scores_read_the_types_of_all_rows(make):
    X, Y = deciding_value_in_few_rows()
    net = make(MultiTaskNet(**SETTINGS))
    (name,) = (name for name in net.get_params() if name.endswith("task_types"))
    alpha = name.replace("task_types", "alpha")
    told = clone(net).set_params(
        **{name: {"active": "class", "grade": "number", "dose": "number"}}
    )
    expected = cross_val_score(told, X, Y, cv=3)
    assert np.isfinite(expected).all()
    assert_array_equal(cross_val_score(net, X, Y, cv=3), expected)
    assert_array_equal(cross_validate(net, X, Y, cv=3)["test_score"], expected)
    scores = validation_curve(
        net, X, Y, cv=3, param_name=alpha, param_range=[net.get_params()[alpha]]
    )
    assert_array_equal(scores[1][0], expected)
    search = SearchWithGaps(net, {alpha: [0.1, 1.0]}, cv=3).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.get_params()[f"estimator__{name}"] == "auto"
    assert search.best_estimator_.get_params()[name] == "auto"
    search.best_estimator_.fit(X, Y[["active"]])  # it can have other tasks


def test_task_types_that_cannot_be_are_refused_in_folds_too():
    X, Y = deciding_value_in_few_rows()
    net, cv = MultiTaskNet(task_types="number", **SETTINGS), KFold(2, shuffle=True)
    with pytest.raises(ValueError, match="The 'task_types' parameter"):
        cross_val_score(net, X, Y[["grade"]], cv=cv, error_score="raise")


def test_learning_curves_read_the_types_of_all_rows():
    X, Y = deciding_value_in_few_rows()
    Y = Y[["active", "grade"]]
    net = MultiTaskNet(**SETTINGS)
    told = clone(net).set_params(task_types={"active": "class", "grade": "number"})
    scores, expected = (
        learning_curve(model, X, Y, cv=3, train_sizes=[0.5, 1.0], error_score="raise")
        for model in (net, told)
    )
    assert_array_equal(scores[2], expected[2])


def test_calibrators_and_thresholds_read_the_types_of_all_rows():
    X, Y = deciding_value_in_few_rows()
    net = MultiTaskNet(**SETTINGS)
    told = clone(net).set_params(
        task_types={"active": "class", "grade": "number", "dose": "number"}
    )
    calibrated, expected = (
        MultiTaskCalibratedClassifierCV(model, cv=3).fit(X, Y) for model in (net, told)
    )
    assert_array_equal(
        calibrated.predict_proba(X)[0], expected.predict_proba(X)[0], strict=True
    )
    tuned, expected = (
        MultiTaskTunedThresholdClassifierCV(model, cv=3).fit(X, Y)
        for model in (net, told)
    )
    assert tuned.best_thresholds_ == expected.best_thresholds_


def test_a_numeric_task_with_a_single_value():
    X, Y = deciding_value_in_few_rows()
    Y.loc[1:, "dose"] = np.nan
    with pytest.warns(UserWarning, match=r"1 of 3 tasks have a single value: \['dose"):
        list(MultiTaskStratifiedKFold(3).split(X, Y))
    Y["active"] = Y["active"].where(Y.index == 0)  # too few labels, but of a class
    with (
        pytest.warns(UserWarning, match="1 of 3 tasks have a class with fewer"),
        pytest.warns(UserWarning, match=r"1 of 3 tasks have a single value: \['dose"),
    ):
        list(MultiTaskStratifiedKFold(3).split(X, Y))
    X, Y = deciding_value_in_few_rows()
    Y.loc[2:, "dose"] = np.nan
    for train, _ in MultiTaskStratifiedKFold(3).split(X, Y):
        assert Y["dose"].iloc[train].notna().any()


@pytest.mark.parametrize("column", ["logp", "colour"])
def test_one_task_of_a_mixed_network(column):
    X, Y = mixed_problem()
    y = Y[column]
    predicted = cross_val_predict(MultiTaskNet(**SETTINGS), X, y, cv=3)
    assert predicted.shape == (100,)
    if column == "colour":
        p = cross_val_predict(
            MultiTaskNet(**SETTINGS), X, y, cv=3, method="predict_proba"
        )
        assert p.shape == (100, 3)
        assert_allclose(p.sum(axis=1), 1)


def test_a_fold_without_labels_of_a_class_beside_numbers():
    X, Y = mixed_problem()
    Y.loc[:49, "colour"] = None
    cv = [(np.arange(50), np.arange(50, 100)), (np.arange(50, 100), np.arange(50))]
    net = MultiTaskNet(
        task_types={**dict.fromkeys(Y, "number"), "colour": "class", "toxic": "class"},
        **SETTINGS,
    )
    with pytest.warns(UserWarning, match=r"no observed label .*\['colour'\]"):
        predicted = cross_val_predict(net, X, Y, cv=cv)
    assert set(predicted[50:, 0]) == {"blue"}  # the first of all classes
    alone = clone(net).fit(X[50:], Y.iloc[50:]).predict(X[:50])
    assert_array_equal(predicted[:50], alone)
    with pytest.warns(UserWarning, match="no observed label"):
        p = cross_val_predict(net, X, Y, cv=cv, method="predict_proba")
    assert_allclose(p[0][50:], 1 / 3)
    assert p[0].shape == (100, 3)
    assert p[1] is None


@pytest.mark.parametrize("kind", [MultiTaskNet, MultiTaskNetRegressor])
def test_numbers_have_no_probabilities(kind):
    X, Y = fit_problem()
    message = "method='predict_proba' needs a classification task.*Use method='predict'"
    with pytest.raises(ValueError, match=message):
        cross_val_predict(kind(**SETTINGS), X, Y, method="predict_proba")
