"""Rows that come chunk by chunk: what one call of partial_fit hands to the next."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from _estimators import assert_same_parameters, classifier
from numpy.testing import assert_allclose
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl._estimators._chunks import even_batch_size
from skmtl.datasets import make_multitask_classification
from skmtl.metrics import multitask_score

LATE = "Categories of X should all be known"
BEYOND = "Numbers of X should be within"


def by_file(clf, tmp_path):
    path = tmp_path / "model.safetensors"
    skmtl.save(clf, path)
    return skmtl.load(path)


# The schedule ---------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_calls_on_the_same_rows_are_epochs_of_a_fit(problem, tmp_path, solver):
    settings = {"solver": solver, "dropout": 0.2, "batch_size": 16}
    settings["input_encoding"] = "none"
    steps = classifier(**settings)
    for i in range(5):
        steps.partial_fit(*problem, n_calls=5 if i % 2 == 0 else None)
        again = pickle.loads(pickle.dumps(steps))
        assert_same_parameters(again, steps)
        steps = by_file(steps, tmp_path)
    whole = classifier(max_iter=5, **settings).fit(*problem)
    assert_same_parameters(steps, whole)
    assert steps.loss_curve_ == whole.loss_curve_


def test_dropout_follows_the_loss_of_the_last_call(problem, tmp_path):
    X, _ = problem
    Y = np.column_stack([X[:, 0] * X[:, 1], X[:, 2] ** 2])
    settings = {"input_encoding": "none", "n_members": 1, "batch_size": 20}
    settings |= {"max_iter": 4, "random_state": 0, "dropout": "auto"}
    steps = MultiTaskNetRegressor((8,), **settings)
    for _ in range(4):
        steps = by_file(steps.partial_fit(X, Y, n_calls=4), tmp_path)
    assert_same_parameters(steps, MultiTaskNetRegressor((8,), **settings).fit(X, Y))


def test_with_room_for_what_comes_late_the_function_is_the_same(problem):
    X, Y = problem
    settings = {"max_iter": 3, "batch_size": 16, "dropout": 0.2}
    steps = classifier(**settings)
    for _ in range(3):
        steps.partial_fit(X, Y, n_calls=3)
    whole = classifier(**settings).fit(X, Y)
    assert_allclose(steps.predict_proba(X), whole.predict_proba(X), atol=1e-5)


def test_passes_over_chunks_do_as_well_as_epochs():
    X, Y = make_multitask_classification(3_000, 5, 2, n_hidden=1, random_state=0)
    X, X_test, Y, Y_test = X[:2000], X[2000:], Y[:2000].astype(float), Y[2000:]
    Y[np.random.default_rng(0).random(Y.shape) < 0.3] = np.nan
    settings = {"dropout": 0.0, "input_dropout": 0.0, "learning_rate_init": 0.02}
    settings |= {"n_members": 1, "random_state": 0}
    whole = MultiTaskNetClassifier((32,), max_iter=5, **settings).fit(X, Y)
    steps = MultiTaskNetClassifier((32,), **settings)
    for _ in range(5):
        for chunk in np.array_split(np.arange(2000), 8):
            steps.partial_fit(X[chunk], Y[chunk], n_calls=40, n_rows=2000)
    scores = [
        multitask_score(roc_auc_score, Y_test, clf.predict_proba(X_test))
        for clf in (whole, steps)
    ]
    assert scores[0] > 0.98
    assert scores[1] > scores[0] - 0.01


def test_a_call_too_many_or_another_number_changes_nothing(problem):
    X, Y = problem
    clf = classifier().partial_fit(X, Y, n_calls=2, n_rows=500)
    clf.partial_fit(X, Y, n_calls=2, n_rows=500)
    before = dict(vars(clf))
    for changes, message in (
        ({}, r"at most n_calls=2 times.* this is call 3.*Start again"),
        ({"n_calls": 3}, r"n_calls must be the same as in the first call.* 2; got 3"),
        ({"n_rows": 60}, r"n_rows must be the same as in the first call.* 500; got 60"),
    ):
        with pytest.raises(ValueError, match=message):
            clf.partial_fit(X, Y, **changes)
        assert vars(clf) == before
    free = classifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"first call.* None; got 2"):
        free.partial_fit(X, Y, n_calls=2)


@pytest.mark.parametrize("name", ["n_calls", "n_rows"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "many"])
def test_numbers_of_calls_and_rows_are_checked(problem, name, value):
    with pytest.raises(ValueError, match=rf"{name} must be a whole number of at least"):
        classifier().partial_fit(*problem, **{name: value})


def test_a_failed_call_does_not_count(problem):
    X, Y = problem
    clf = classifier(solver="sgd").partial_fit(X, Y, n_calls=3)
    twin = copy.deepcopy(clf)
    clf.set_params(learning_rate_init=1e38)
    with pytest.raises(ValueError, match="diverged"):
        clf.partial_fit(X, Y)
    clf.set_params(learning_rate_init=0.001)
    for one in (clf, twin):
        one.partial_fit(X, Y).partial_fit(X, Y)
        with pytest.raises(ValueError, match="n_calls=3"):
            one.partial_fit(X, Y)
    assert_same_parameters(clf, twin)


def test_fit_and_new_tasks_end_a_series_of_calls(problem):
    X, Y = problem
    for end in (
        lambda clf: clf.fit(X, Y),
        lambda clf: clf.drop_tasks("task_0"),
        lambda clf: clf.add_tasks(X, pd.Series(Y[:, 0], name="new")),
    ):
        clf = classifier(max_iter=1).partial_fit(X, Y, n_calls=1)
        end(clf)
        clf.partial_fit(X, np.resize(Y, (60, clf.n_outputs_)), n_calls=4)


def test_a_call_without_labels_is_one_of_the_calls(problem):
    X, Y = problem
    clf = classifier().partial_fit(X, np.full(Y.shape, np.nan), [[0, 1]] * 3, n_calls=2)
    clf.partial_fit(X, Y)
    with pytest.raises(ValueError, match="n_calls=2"):
        clf.partial_fit(X, Y)


# What is "auto" -------------------------------------------------------------------


def test_auto_is_chosen_for_the_rows_of_all_chunks(problem):
    chosen = {}
    for n_rows in (None, 40_000):
        clf = MultiTaskNetClassifier((5,), random_state=0)
        clf.partial_fit(*problem, n_rows=n_rows)
        chosen[n_rows] = clf.network_.architecture
    assert [a.n_members for a in chosen.values()] == [4, 2]
    assert [a.n_bins for a in chosen.values()] == [4, 48]
    assert chosen[None].dropout > chosen[40_000].dropout


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_auto_is_chosen_at_the_first_call_with_labels(problem, solver):
    X, Y = problem
    settings = {"solver": solver, "alpha": "auto", "learning_rate_init": "auto"}
    settings |= {"batch_size": "auto", "random_state": 0, "n_members": 1}
    one, other = (MultiTaskNetClassifier((5,), **settings) for _ in range(2))
    nothing, classes = np.full(Y.shape, np.nan), [[0, 1]] * 3
    one.partial_fit(X, nothing, classes).partial_fit(X, Y)
    first = one._calls.data
    one.partial_fit(X[:7], Y[:7])
    assert one._calls.data == first
    assert first.n_rows == np.isfinite(Y).any(axis=1).sum()
    assert other.partial_fit(X, Y)._calls.data == first


@pytest.mark.parametrize("n_rows", [1, 3, 15, 16, 20, 24, 33, 100, 2500])
def test_no_batch_is_smaller_than_half_of_the_others(n_rows):
    size = even_batch_size(16, n_rows)
    sizes = [len(range(i, min(i + size, n_rows))) for i in range(0, n_rows, size)]
    assert sum(sizes) == n_rows
    assert min(sizes) >= 0.5 * max(sizes)
    assert max(sizes) < 2 * 16


@pytest.mark.parametrize(("batch_size", "n_steps"), [(16, 4), ("auto", 1)])
def test_a_batch_size_that_is_given_is_kept(problem, batch_size, n_steps):
    X, Y = problem
    settings = {"solver": "adam", "n_members": 1, "random_state": 0}
    clf = MultiTaskNetClassifier((5,), batch_size=batch_size, **settings)
    has_label = (~np.isnan(Y)).any(axis=1)
    clf.partial_fit(X[has_label][:50], Y[has_label][:50])
    assert clf._solver_state.moments["n_steps"][0] == n_steps


def test_fewer_rows_in_all_than_in_one_chunk(problem):
    X, Y = problem
    with pytest.raises(
        ValueError, match="n_rows must be the number of rows with labels in all"
    ):
        MultiTaskNetClassifier().partial_fit(X, Y, n_rows=10)


# What is declared -----------------------------------------------------------------

CITIES = ["bonn", "oslo", "rome"]
SETTINGS = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "batch_size": 40}


def towns(names, seed=0):
    """A column of categories that decides the label, and one of noise."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"city": rng.choice(names, 200), "noise": rng.normal(size=200)})
    return X.assign(city=pd.Categorical(X["city"])), (X["city"] == "rome").to_numpy()


def response(clf, city):
    """The probability of a label in a city."""
    X = pd.DataFrame({"city": pd.Categorical([city]), "noise": [0.0]})
    return clf.predict_proba(X)[0, 1]


def declared(X, how):
    """X and `columns`, in which all cities are declared."""
    if how == "by name":
        return X, {"city": CITIES}
    if how == "by position":
        return X, {0: np.array(CITIES)}
    X = X.assign(city=pd.Categorical(X["city"], CITIES, ordered=how == "in order"))
    return (pl.from_pandas(X) if how == "polars" else X), None


@pytest.mark.parametrize(
    "how", ["by name", "by position", "by dtype", "in order", "polars"]
)
def test_a_declared_category_that_comes_late_has_weights_of_its_own(how):
    classes = [False, True]
    X, columns = declared(towns(["bonn", "oslo"])[0], how)
    if how == "polars":
        X = X.with_columns(pl.col("city").cast(pl.Enum(CITIES)))
    y = np.resize(classes, 200)  # nothing to learn
    clf = classifier(**SETTINGS).partial_fit(X, y, classes, columns=columns)
    assert response(clf, "rome") == response(clf, "york")  # nobody has seen them
    X, y = towns(CITIES, seed=1)
    for _ in range(20):
        clf.partial_fit(X, y, columns={"city": CITIES})
    assert response(clf, "rome") > 0.9
    assert response(clf, "bonn") < 0.1


def test_late_categories_are_named_and_count_as_one():
    X, y = towns(["bonn", "oslo"])
    X = X.assign(
        sky=pd.Categorical(["blue", "grey"] * 100), noise=pd.Categorical([1] * 200)
    )
    clf = classifier(**SETTINGS).partial_fit(X, y, [False, True])
    X, y = towns(CITIES, seed=1)
    X = X.assign(
        sky=pd.Categorical(["pink", "grey"] * 100), noise=pd.Categorical([2] * 200)
    )
    message = rf"{LATE}.*: 'city': \['rome'\]; 'noise': \[2\]; 'sky': \['pink'\]"
    with pytest.warns(UserWarning, match=message) as shown:
        clf.partial_fit(X, y)
    assert len(shown) == 1
    assert "columns={column: categories}" in str(shown[0].message)
    clf.predict(X)  # without a warning
    for _ in range(20):
        with pytest.warns(UserWarning, match=LATE):
            clf.partial_fit(X, y)
    assert clf.score(X, y) > 0.95


@pytest.mark.parametrize("going_on", ["warm start", "add_tasks", "pretrained"])
def test_a_fit_that_goes_on_names_late_categories(going_on):
    X, y = towns(["bonn", "oslo"])
    clf = classifier(max_iter=1, warm_start=True).fit(X, np.resize([False, True], 200))
    X, y = towns(CITIES)
    go_on = {
        "warm start": clf.fit,
        "add_tasks": clf.add_tasks,
        "pretrained": classifier(max_iter=1, pretrained=FrozenEstimator(clf)).fit,
    }
    with pytest.warns(UserWarning, match=rf"{LATE}.*'city': \['rome'\]"):
        go_on[going_on](X, pd.Series(y, name="new"))


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_missing_value_that_comes_late_is_learned(solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    settings = {**SETTINGS, "solver": solver, "learning_rate_init": 0.05}
    clf = classifier(**settings).partial_fit(X, np.resize([0, 1], 200))
    blank = X.copy()
    blank[::2, 0] = np.nan
    middle = np.array([[0.0, 0.0], [np.nan, 0.0]])
    assert np.isfinite(clf.predict_proba(middle)).all()
    for _ in range(20):
        clf.partial_fit(blank, np.resize([1, 0], 200))
    assert clf.predict_proba(middle)[1, 1] > 0.9 > 0.5 > clf.predict_proba(middle)[0, 1]


@pytest.mark.parametrize("key", [0, "a"])
def test_nothing_within_a_declared_range_is_clipped(key):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((200, 2)), columns=["a", "b"])
    columns = {key: (0, 100)}
    clf = classifier(**SETTINGS).partial_fit(X, X["b"] > 0.5, columns=columns)
    encoder = clf.network_.columns
    placed = encoder.place(torch.tensor([[0.0, 0.5], [99.0, 0.5], [100.0, 0.5]])).values
    assert (placed[1:, 0] > placed[:-1, 0]).all()
    wide = X.assign(a=100 * X["a"])
    for _ in range(20):
        clf.partial_fit(wide, wide["a"] > 50, columns=columns)
    assert clf.score(wide, wide["a"] > 50) > 0.9
    with pytest.warns(UserWarning, match=rf"{BEYOND}.*exceed it: \['a'\]"):
        clf.partial_fit(wide.assign(a=wide["a"] + 1), wide["a"] > 50)


def test_numbers_that_leave_what_the_first_call_showed_are_named():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(100, 2)), np.ones(100)])
    y = X[:, 0] > 0
    clf = classifier().partial_fit(X, y)
    clf.partial_fit(np.column_stack([rng.normal(size=(100, 2)), np.ones(100)]), y)
    with pytest.warns(UserWarning, match=r"exceed it: \[0, 2\].*shuffle the rows"):
        clf.partial_fit(X + np.array([2, 0, 1]), y)
    fitted = classifier(max_iter=1).fit(X, y)
    with pytest.warns(UserWarning, match=r"exceed it: \[2\]"):
        fitted.partial_fit(X * rng.random((100, 1)), y)


def test_a_declaration_may_be_repeated_and_not_changed(tmp_path):
    X, y = towns(CITIES)
    columns = {"city": CITIES, "noise": (-5.0, 5.0)}
    clf = classifier().partial_fit(X, y, columns=columns)
    clf = by_file(clf, tmp_path).partial_fit(X, y, columns=columns)
    clf.partial_fit(X, y, columns={0: CITIES[::-1]})
    for change in (
        {"city": [*CITIES, "york"]},
        {"city": CITIES[:2]},
        {"noise": (-5.0, 6.0)},
    ):
        with pytest.raises(
            ValueError, match=r"must be the same as in the first call.*got"
        ):
            clf.partial_fit(X, y, columns=change)
    fitted = classifier(max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match=r"first call \(not declared\); got"):
        fitted.partial_fit(X, y, columns=columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["city"], "must be a mapping"),
        (
            {"town": CITIES},
            "must be names of columns of X.*got 'town'.*'city', 'noise'",
        ),
        ({2: CITIES}, "positions from 0 to 1; got 2"),
        ({"city": CITIES, 0: CITIES}, "each column once, but 'city' and 0"),
        ({"city": "rome"}, r"columns\['city'\] must list the categories"),
        ({"city": []}, r"columns\['city'\] must list the categories"),
        ({"city": ["rome", "rome"]}, "each once"),
        ({"city": ["rome", None]}, "without missing values"),
        ({"noise": (1, 0)}, r"columns\['noise'\] must be a range"),
        ({"noise": (0, np.inf)}, "must be a range"),
        ({"noise": ["low", "high"]}, "must be a range.*categorical_features"),
        ({"noise": [0, 1, 2]}, "must be a range"),
        ({"noise": 3}, "must be a range"),
    ],
    ids=str,
)
def test_wrong_declarations_are_refused(columns, message):
    X, y = towns(CITIES)
    with pytest.raises(ValueError, match=message):
        classifier().partial_fit(X, y, columns=columns)


def test_without_an_encoding_there_is_nothing_to_declare(problem):
    with pytest.raises(ValueError, match="columns must be None without a piecewise"):
        classifier(input_encoding="none").partial_fit(*problem, columns={0: (0, 1)})


@pytest.mark.parametrize("estimator", [MultiTaskNetRegressor, MultiTaskNet])
def test_other_estimators_take_the_same(estimator, tmp_path):
    X, y = towns(CITIES)
    y = X["noise"] + y
    net = estimator((5,), n_members=1, random_state=0)
    said = {"columns": {"city": CITIES, "noise": (-9, 9)}, "n_calls": 3, "n_rows": 400}
    for _ in range(3):
        net = by_file(net.partial_fit(X, y, **said), tmp_path)
    with pytest.raises(ValueError, match="n_calls=3"):
        net.partial_fit(X, y)


def test_the_first_call_may_declare_all_and_show_nothing():
    X, y = towns(CITIES)
    columns = {"city": CITIES, "noise": (-5.0, 5.0)}
    nothing = pd.DataFrame({"city": pd.Categorical([None]), "noise": [np.nan]})
    clf = classifier(**SETTINGS)
    clf.partial_fit(nothing, [True], [False, True], [0.5], columns=columns)
    for _ in range(20):
        clf.partial_fit(X, y)
    assert clf.score(X, y) > 0.95
