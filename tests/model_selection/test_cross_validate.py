"""Cross-validation and curves, with scikit-learn's habits, on missing labels."""

import inspect

import numpy as np
import pandas as pd
import pytest
from _estimators import AtEpoch, classifier
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn import model_selection as stock
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNet, MultiTaskNetRegressor
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import (
    GridSearchCV,
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)

CURVE = {"param_name": "alpha", "param_range": [0.1, 10]}
FUNCTIONS = {
    "cross_validate": (cross_validate, stock.cross_validate, {}),
    "cross_val_score": (cross_val_score, stock.cross_val_score, {}),
    "learning_curve": (learning_curve, stock.learning_curve, {"train_sizes": [20, 40]}),
    "validation_curve": (validation_curve, stock.validation_curve, CURVE),
}
ONE_NUMBER = ["cross_val_score", "learning_curve", "validation_curve"]


def quick(**changes):
    return classifier(**({"max_iter": 3, "hidden_layer_sizes": (8,)} | changes))


def scores_of(result):
    """What was found, without the times."""
    if isinstance(result, dict):
        return {key: result[key] for key in result if "test" in key or "train" in key}
    return dict(enumerate(result)) if isinstance(result, tuple) else {0: result}


def assert_same_scores(one, other):
    ours, theirs = scores_of(one), scores_of(other)
    assert set(ours) == set(theirs)
    for key, values in theirs.items():
        assert_array_equal(ours[key], values)


# The same as scikit-learn's with all spelled out ------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scoring", ["neg_log_loss", None, {"class": "accuracy"}])
def test_it_equals_the_stock_function_with_splitter_and_scorer(problem, name, scoring):
    X, Y = problem
    ours, theirs, settings = FUNCTIONS[name]
    found = ours(quick(), X, Y, cv=3, scoring=scoring, **settings)
    scorer = None if scoring is None else multitask_scorer(scoring)
    cv = MultiTaskStratifiedKFold(3)
    expected = theirs(quick(), X, Y, cv=cv, scoring=scorer, **settings)
    assert_same_scores(found, expected)
    assert all(np.isfinite(values).all() for values in scores_of(found).values())


def test_signatures_are_scikit_learns():
    for ours, theirs, _ in FUNCTIONS.values():
        found = inspect.signature(ours).parameters
        expected = inspect.signature(theirs).parameters
        assert list(found) == list(expected)
        for name, parameter in expected.items():
            assert found[name].kind == parameter.kind
            np.testing.assert_equal(
                np.asarray(found[name].default), np.asarray(parameter.default)
            )


@pytest.mark.parametrize("scoring", [["roc_auc", "accuracy"], {"a": "roc_auc"}])
def test_several_metrics(problem, scoring):
    X, Y = problem
    found = cross_validate(quick(), X, Y, cv=3, scoring=scoring)
    names = scoring if isinstance(scoring, list) else list(scoring)
    for name in names:
        metric = name if isinstance(scoring, list) else scoring[name]
        expected = cross_val_score(quick(), X, Y, cv=3, scoring=metric)
        assert_array_equal(found[f"test_{name}"], expected)


def test_each_task_by_its_name(problem):
    X, Y = problem
    scorer = multitask_scorer("roc_auc", per_task=True)
    found = cross_validate(quick(), X, Y, cv=3, scoring=scorer)
    assert {"test_task_0", "test_task_1", "test_task_2", "test_mean"} <= set(found)
    expected = cross_val_score(quick(), X, Y, cv=3, scoring="roc_auc")
    assert_array_equal(found["test_mean"], expected)


def test_what_cross_validate_returns_on_demand(problem):
    X, Y = problem
    Y = pd.DataFrame(Y).astype("boolean")
    found = cross_validate(
        make_pipeline(StandardScaler(), quick()),
        X,
        Y,
        scoring="roc_auc",
        return_estimator=True,
        return_indices=True,
        return_train_score=True,
    )
    assert len(found["estimator"]) == 5  # cv=None
    scorer = multitask_scorer("roc_auc")
    for fold, model in enumerate(found["estimator"]):
        train, test = (found["indices"][part][fold] for part in ("train", "test"))
        assert found["test_score"][fold] == scorer(model, X[test], Y.iloc[test])
        assert found["train_score"][fold] == scorer(model, X[train], Y.iloc[train])


def test_numbers_and_mixed_tasks(problem):
    X, _ = problem
    table = pd.DataFrame({"a": X[:, 0] > 0, "b": X[:, 1] + 1.5}).astype(object)
    table = table.mask(np.random.default_rng(0).random((60, 2)) < 1 / 3)
    settings = {"n_members": 1, "max_iter": 3, "random_state": 0}
    types = {"a": "class", "b": "number"}
    net = MultiTaskNet((8,), task_types=types, **settings)
    mapping = {"class": "roc_auc", "number": "r2"}
    scores = cross_val_score(net, X, table, cv=3, scoring=mapping)
    assert np.isfinite(scores).all()
    net = MultiTaskNetRegressor((8,), **settings)
    numbers = table["b"].astype(float)
    found = cross_val_score(net, X, numbers, cv=3, scoring="neg_mean_absolute_error")
    assert (found < 0).all()


def test_weights_and_groups(problem):
    X, Y = problem
    weight = np.random.default_rng(0).uniform(0.1, 5, size=60)
    groups = np.arange(60) // 3
    cv = MultiTaskStratifiedGroupKFold(2)
    found = cross_validate(
        quick(),
        X,
        Y,
        cv=cv,
        groups=groups,
        params={"sample_weight": weight},
        scoring="neg_log_loss",
        return_estimator=True,
    )
    for fold, (train, _) in enumerate(cv.split(X, Y, groups)):
        clf = quick().fit(X[train], Y[train], sample_weight=weight[train])
        p = found["estimator"][fold].predict_proba(X)
        assert_array_equal(p, clf.predict_proba(X))
    with config_context(enable_metadata_routing=True):
        scorer = multitask_scorer("neg_log_loss").set_score_request(sample_weight=False)
        routed = cross_validate(
            quick().set_fit_request(sample_weight=True),
            X,
            Y,
            cv=cv,
            params={"sample_weight": weight, "groups": groups},
            scoring=scorer,
        )
    assert_array_equal(routed["test_score"], found["test_score"])


def test_scores_of_a_search(problem):
    X, Y = problem
    inner = GridSearchCV(quick(), {"alpha": [0.1, 1]}, cv=2, scoring="accuracy")
    scores = cross_val_score(inner, X, Y, cv=2, scoring="neg_log_loss")
    assert np.isfinite(scores).all()


def test_an_interrupt_ends_it(problem):
    def interrupt():
        raise KeyboardInterrupt

    clf = quick(max_iter=6).set_callbacks(AtEpoch(3, interrupt))
    with pytest.raises(KeyboardInterrupt):
        cross_validate(clf, *problem, cv=2)


# One number ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ONE_NUMBER)
@pytest.mark.parametrize(
    "scoring",
    [multitask_scorer("roc_auc", per_task=True), ["roc_auc"], {"a": "roc_auc"}],
    ids=str,
)
def test_several_numbers_are_refused_where_there_is_room_for_one(
    problem, name, scoring
):
    function, _, settings = FUNCTIONS[name]
    message = rf"{name} must return one number .*Pass one metric.*cross_validate"
    with pytest.raises(ValueError, match=message):
        function(quick(), *problem, scoring=scoring, **settings)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_metrics_of_two_classes_are_refused_for_more(mixed_problem, name):
    function, _, settings = FUNCTIONS[name]
    with pytest.raises(ValueError, match=r"'roc_auc' can only score tasks with two"):
        function(quick(), *mixed_problem, scoring="roc_auc", **settings)


# Learning step by step ----------------------------------------------------------------


def by_hand(model, X, Y, classes, sizes, cv, scorer):
    """(n_sizes, n_splits): test scores after each call of partial_fit."""
    scores = []
    for train, test in cv.split(X, Y):
        fitted, begin = clone(model), 0
        for size in sizes:
            rows = train[begin:size]
            fitted.partial_fit(X[rows], Y[rows], classes=classes)
            scores.append(scorer(fitted, X[test], Y[test]))
            begin = size
    return np.reshape(scores, (-1, len(sizes))).T


def test_incremental_learning_with_missing_labels(problem):
    X, Y = problem
    Y = Y.copy()
    Y[:, 0] = np.where(np.arange(60) < 30, np.where(Y[:, 0] == 1, 2, Y[:, 0]), 1)
    options = {"cv": 3, "scoring": "roc_auc_ovr", "train_sizes": [20, 40]}
    sizes, _, found = learning_curve(
        quick(), X, Y, exploit_incremental_learning=True, **options
    )
    classes = [[0, 1, 2], [0, 1], [0, 1]]
    cv, scorer = MultiTaskStratifiedKFold(3), multitask_scorer("roc_auc_ovr")
    assert_array_equal(found, by_hand(quick(), X, Y, classes, sizes, cv, scorer))


@pytest.mark.parametrize("kind", ["Int64", "strings"])
def test_incremental_learning_of_tables(problem, kind):
    X, Y = problem
    frame = pd.DataFrame(Y)
    if kind == "Int64":
        frame = frame.astype("Int64")
    else:
        frame = frame.map({0: "no", 1: "yes"}.get, na_action="ignore").astype(object)
    options = {"cv": 3, "train_sizes": [20, 40], "exploit_incremental_learning": True}
    found = learning_curve(quick(), X, frame, **options)
    assert_same_scores(found, learning_curve(quick(), X, Y, **options))


def test_incremental_learning_of_other_estimators(problem):
    X, Y = problem
    sgd = SGDClassifier(random_state=0)
    options = {"train_sizes": [20, 40], "exploit_incremental_learning": True}
    y = np.where(X[:, 0] > 0, "yes", "no")
    cv = MultiTaskStratifiedKFold(3)
    scorer = make_scorer(roc_auc_score, response_method="decision_function")
    found = learning_curve(sgd, X, y, cv=3, scoring=scorer, **options)
    expected = stock.learning_curve(sgd, X, y, cv=cv, scoring=scorer, **options)
    assert_same_scores(found, expected)
    complete = np.nan_to_num(Y)
    several = MultiOutputClassifier(sgd)
    sizes, _, scores = learning_curve(
        several, X, complete, cv=3, scoring="accuracy", **options
    )
    classes, scorer = [[0, 1]] * 3, multitask_scorer("accuracy")
    expected = by_hand(several, X, complete, classes, sizes, cv, scorer)
    assert_allclose(scores, expected)


def test_incremental_learning_of_numbers_and_of_what_has_no_partial_fit(problem):
    X, _ = problem
    net = MultiTaskNetRegressor((8,), n_members=1, max_iter=3, random_state=0)
    options = {"cv": 2, "train_sizes": [0.5, 1.0]}
    _, _, scores = learning_curve(
        net, X, X[:, :2], exploit_incremental_learning=True, **options
    )
    assert np.isfinite(scores).all()
    pipeline = make_pipeline(StandardScaler(), quick())
    with pytest.raises(ValueError, match="partial_fit"):
        learning_curve(pipeline, *problem, exploit_incremental_learning=True, **options)
