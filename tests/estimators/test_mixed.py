"""MultiTaskNet: classes and numbers in one network."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNet, MultiTaskNetClassifier

TYPES = {"color": "class", "mass": "number", "ripe": "class", "price": "number"}


def net(**changes):
    settings = {"hidden_layer_sizes": (16,), "max_iter": 5, "random_state": 0}
    return MultiTaskNet(**(settings | changes))


@pytest.fixture
def fruit():
    """X (150, 4) and two classes beside two numbers, a quarter of them missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4))
    Y = pd.DataFrame(
        {
            "color": np.array(["green", "red", "yellow"])[
                np.digitize(X[:, 0], [-0.5, 0.5])
            ],
            "mass": 100 + 20 * X[:, 1],
            "ripe": X[:, 2] > 0,
            "price": 0.01 * (X[:, 0] + X[:, 3]),
        }
    ).astype(object)
    return X, Y.mask(rng.random(Y.shape) < 0.25, None)


def test_each_task_keeps_its_type_and_unit(fruit):
    X, Y = fruit
    clf = MultiTaskNet(random_state=0).fit(X, Y)
    assert clf.task_types_ == TYPES
    assert [None if c is None else c.tolist() for c in clf.classes_] == [
        ["green", "red", "yellow"],
        None,
        [False, True],
        None,
    ]
    predicted = clf.predict(X)
    assert predicted.dtype == object
    assert predicted.shape == (150, 4)
    assert set(predicted[:, 0]) <= {"green", "red", "yellow"}
    assert 50 < predicted[:, 1].astype(float).mean() < 150
    p = clf.predict_proba(X)
    assert [None if part is None else part.shape for part in p] == [
        (150, 3),
        None,
        (150, 2),
        None,
    ]
    log_p = clf.predict_log_proba(X)
    assert_allclose(np.exp(log_p[0]), p[0])
    assert [part is None for part in clf.oob_prediction_] == [False] * 4
    assert clf.oob_prediction_[1].shape == (150,)


def test_score_is_the_mean_of_accuracies_and_r2(fruit):
    X, Y = fruit
    clf = net(max_iter=30).fit(X, Y)
    predicted, each = clf.predict(X), []
    for t, name in enumerate(Y):
        known = Y[name].notna().to_numpy()
        y, given = Y.loc[known, name], predicted[known, t]
        if TYPES[name] == "class":
            each.append(accuracy_score(y.astype(str), given.astype(str)))
        else:
            each.append(r2_score(y.astype(float), given.astype(float)))
    assert clf.score(X, Y) == pytest.approx(np.mean(each))
    main = clf.set_params(main_tasks=["mass", "ripe"])
    assert main.score(X, Y) == pytest.approx(np.mean(each[1:3]))


def test_task_types_as_given_are_those_of_auto(fruit):
    X, Y = fruit
    auto, given = net().fit(X, Y), net(task_types=TYPES).fit(X, Y)
    assert_array_equal(auto.predict(X), given.predict(X))


def test_whole_numbers_are_what_the_user_says():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 2))
    Y = np.column_stack([np.arange(80) % 7, X[:, 0] > 0]).astype(float)
    with pytest.raises(ValueError, match=r"whole numbers in tasks \['task_0'\]"):
        net().fit(X, Y)
    for given in ("class", "number"):
        fitted = net(task_types={"task_0": given, "task_1": "class"}).fit(X, Y)
        assert (fitted.classes_[0] is None) == (given == "number")


@pytest.mark.parametrize(
    ("types", "match"),
    [
        ({"color": "class"}, r"no type for \['mass', 'ripe', 'price'\]"),
        (TYPES | {"size": "number"}, r"other keys \['size'\]"),
        (TYPES | {"mass": "numeric"}, r"'class' or 'number'; got \['numeric'\]"),
        (TYPES | {"color": "number"}, "task 'color' must be numbers"),
    ],
)
def test_wrong_task_types_are_refused(fruit, types, match):
    X, Y = fruit
    with pytest.raises(ValueError, match=match):
        net(task_types=types).fit(X, Y)


@pytest.mark.parametrize(
    ("task", "label", "remedy"),
    [("ripe", 0.5, "'ripe': 'number'"), ("mass", "heavy", "'mass': 'class'")],
)
def test_labels_of_the_other_type_are_refused_with_the_type_to_set(
    fruit, task, label, remedy
):
    X, Y = fruit
    clf = net().fit(X, Y)
    Y.loc[3, task] = label
    with pytest.raises(ValueError, match=rf"MultiTaskNet with task_types={{{remedy}, "):
        clf.score(X, Y)


def test_class_weight_is_for_classes(fruit):
    X, Y = fruit
    balanced = net(class_weight="balanced").fit(X, Y)
    by_name = net(class_weight=dict.fromkeys(("color", "ripe"), "balanced")).fit(X, Y)
    assert_array_equal(balanced.predict(X), by_name.predict(X))
    with pytest.raises(ValueError, match="'mass', which is numeric"):
        net(class_weight={"mass": "balanced"}).fit(X, Y)


def test_main_tasks_must_be_tasks(fruit):
    X, Y = fruit
    for wrong in ("size", ["mass", "size"]):
        with pytest.raises(ValueError, match="main_tasks must be among the tasks"):
            net(main_tasks=wrong).fit(X, Y)
    with pytest.raises(ValueError, match="at least one task"):
        net(main_tasks=[]).fit(X, Y)


def test_early_stopping_follows_the_main_tasks(fruit):
    X, Y = fruit
    for sharing in ("hard", "none"):
        settings = {"early_stopping": True, "sharing": sharing, "max_iter": 8}
        clf = net(main_tasks=["ripe", "price"], **settings).fit(X, Y)
        means = clf.task_validation_scores_[:, [2, 3]].mean(axis=1)
        assert_allclose(clf.validation_scores_, means)


@pytest.mark.parametrize("in_blocks", [False, True])
def test_a_warm_start_keeps_the_types(in_blocks):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("xyz"))
    Y = pd.DataFrame({"a": X["x"] > 0, "b": X["y"] > 0}).astype(float)
    if in_blocks:
        table = pa.Table.from_pandas(pd.concat([X, Y], axis=1))
        X, Y = pyarrow.dataset.dataset(table), ["a", "b"]
    types = {"a": "class", "b": "number"}
    net = MultiTaskNet((8,), task_types=types, max_iter=2, warm_start=True).fit(X, Y)
    net.set_params(task_types={"a": "number", "b": "class"})
    with pytest.raises(ValueError, match=r"in the first call.*\['a', 'b'\].*Set them"):
        net.fit(X, Y)
    assert net.set_params(task_types=types).fit(X, Y).task_types_ == types


def test_gaussian_gives_deviations_of_numbers_alone(fruit):
    X, Y = fruit
    clf = net(loss="gaussian").fit(X, Y)
    predicted, deviation = clf.predict(X, return_std=True)
    assert_array_equal(predicted, clf.predict(X))
    assert_array_equal(np.isnan(deviation[0]), [True, False, True, False])
    assert (deviation[:, [1, 3]] > 0).all()
    with pytest.raises(ValueError, match="loss='gaussian'"):
        net().fit(X, Y).predict(X, return_std=True)


def test_1d_y_of_either_kind(fruit):
    X, Y = fruit
    classes = net().fit(X, Y["color"])
    assert classes.predict(X).shape == (150,)
    assert classes.predict_proba(X).shape == (150, 3)
    numbers = net().fit(X, Y["mass"])
    assert numbers.predict(X).dtype == np.float64
    for without in (numbers, net(task_types={"task_0": "number"})):
        assert not hasattr(without, "predict_proba")
        with pytest.raises(AttributeError, match="predict_log_proba"):
            without.predict_log_proba(X)


def test_tasks_come_and_go(fruit):
    X, Y = fruit
    for types in ("auto", TYPES):
        clf = (
            net(task_types=types).fit(X, Y[["color", "mass"]])
            if (types == "auto")
            else net(task_types={"color": "class", "mass": "number"})
            .fit(X, Y[["color", "mass"]])
            .set_params(task_types=types)
        )
        before = clf.predict(X)
        clf.add_tasks(X, Y[["ripe", "price"]])
        assert clf.task_types_ == TYPES
        assert_array_equal(clf.predict(X)[:, :2], before)
        clf.drop_tasks(["color", "ripe"])
        assert clf.task_types_ == {"mass": "number", "price": "number"}
        assert_array_equal(clf.predict(X)[:, 0], before[:, 1])


def test_partial_fit_declares_classes(fruit):
    X, Y = fruit
    classes = {"color": ["green", "red", "yellow", "black"], "ripe": [False, True]}
    clf = net(task_types=TYPES).partial_fit(X[:75], Y[:75], classes=classes)
    clf.partial_fit(X[75:], Y[75:])
    assert clf.classes_[0].tolist() == ["black", "green", "red", "yellow"]


def test_partial_fit_does_not_guess_the_type_of_a_task_without_labels(fruit):
    X, Y = fruit
    Y.loc[:50, ["mass", "ripe"]] = None
    with pytest.raises(ValueError, match=r"none in tasks \['mass', 'ripe'\]"):
        net().partial_fit(X[:50], Y[:50])
    # Known types need no label; neither do later calls.
    two = Y[["color", "ripe"]]
    types = {"color": "class", "ripe": "class"}
    assert net(task_types=types).partial_fit(X[:50], two[:50]).task_types_ == types
    classes = [["green", "red", "yellow"], [False, True]]
    assert net().partial_fit(X[:50], two[:50], classes).task_types_ == types
    clf = net().partial_fit(X, Y).partial_fit(X[:50], Y[:50])
    assert clf.task_types_ == TYPES


def test_fit_says_that_a_task_without_labels_is_read_as_classes(fruit):
    X, Y = fruit
    Y["mass"] = None
    with pytest.warns(UserWarning, match=r"\['mass'\]. task_types='auto' reads them"):
        clf = net().fit(X, Y)
    assert clf.task_types_["mass"] == "class"
    new = Y[["ripe", "mass"]].add_suffix("_too")
    with pytest.warns(UserWarning, match=r"_too'\]. task_types='auto' reads them"):
        clf.add_tasks(X, new)
    # If nothing is guessed, it does not.
    told = net(task_types=TYPES | {"mass": "class"})
    with pytest.warns(UserWarning, match=r"\['mass'\]. Nothing can be learned"):
        told.fit(X, Y)
    told = MultiTaskNetClassifier((4,), max_iter=1, n_members=1).fit(X, Y["ripe"])
    with pytest.warns(UserWarning, match=r"_too'\]. Nothing can be learned"):
        told.add_tasks(X, new)


def test_grid_search_over_head_sizes_in_a_pipeline(fruit):
    X, Y = fruit
    model = make_pipeline(StandardScaler(), net(max_iter=10))
    grid = {"multitasknet__head_hidden_layer_sizes": [(), (8,)]}
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_classes_may_be_those_of_another_network(fruit):
    X, Y = fruit
    other = net(task_types=TYPES).fit(X, Y)
    again = net(task_types=TYPES).partial_fit(X, Y, classes=other.classes_)
    assert again.classes_[0].tolist() == other.classes_[0].tolist()


@pytest.mark.parametrize(
    ("loss", "n_numbers", "solver"),
    [
        ("squared_error", 1, "sgd"),
        ("gaussian", 1, "adam"),
        ("squared_error", 5, "adam"),
    ],
)
def test_the_automatic_solver_of_sparse_rows(loss, n_numbers, solver):
    rng = np.random.default_rng(0)
    X = sparse.random(200, 40, density=0.1, random_state=0, format="csr")
    numbers = rng.normal(size=(200, n_numbers))
    Y = pd.DataFrame(np.column_stack([numbers, rng.random((200, 3)) < 0.5]))
    types = {str(t): "number" if t < n_numbers else "class" for t in range(Y.shape[1])}
    automatic = net(loss=loss, task_types=types).fit(X, Y)
    expected = net(loss=loss, task_types=types, solver=solver).fit(X, Y)
    assert_array_equal(automatic.predict(X), expected.predict(X))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([np.inf, 1.0, 2.0, 3.0], "infinity in task"),
        ([10**400, 1, 2, 3], "one that float64 cannot represent"),
        ([5, 1, 2, 3], "the type of each task of y, not only of these"),
    ],
    ids=str,
)
def test_numbers_whose_type_is_not_clear(values, message):
    y = pd.DataFrame({"odd": np.array(values, dtype=object), "plain": [0.5, 1.5, 2, 3]})
    with pytest.raises(ValueError, match=message):
        MultiTaskNet(max_iter=1).fit(np.eye(4), y)
