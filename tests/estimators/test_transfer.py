import copy

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import assert_same_parameters, classifier
from _trunks import OfPictures, WithStatistics
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmtl.metrics import multitask_report
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.trunks import UnfreezeAfter

# Trunks of every kind: encoded columns, members, plain columns, a module.
SETTINGS = {
    "columns": {"hidden_layer_sizes": (8, 6)},
    "members": {"hidden_layer_sizes": (8, 6), "n_members": 2},
    "heads": {"hidden_layer_sizes": (8, 6), "head_hidden_layer_sizes": (5,)}
    | {"n_members": 2},
    "plain": {"hidden_layer_sizes": (8, 6), "input_encoding": "none"},
    "module": {"trunk": WithStatistics, "n_members": 2},
}
every_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
every_sharing = pytest.mark.parametrize("sharing", ["hard", "none"])


def fitted(problem, **settings):
    return classifier(**{"max_iter": 3} | settings).fit(*problem)


def on_trunk_of(fitted, **changes):
    return clone(fitted).set_params(pretrained=FrozenEstimator(fitted), **changes)


def state_of(trunk):
    return {name: value.clone() for name, value in trunk.state_dict().items()}


def assert_same_state(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def few_rows(problem):
    """One other task with labels for a third of the rows."""
    X, _ = problem
    y = np.where(np.arange(len(X)) % 3 == 0, X[:, 0] > X[:, 1], np.nan)
    return X, y[:, None].astype(float)


def by_task(p):
    """(n, n_classes) of each task, of either form of predict_proba."""
    return p if isinstance(p, list) else [np.column_stack([1 - c, c]) for c in p.T]


# A trunk that has learned before --------------------------------------------------


@every_setting
@every_sharing
def test_without_an_epoch_the_features_are_those_of_the_trunk_taken_over(
    problem, settings, sharing
):
    many = fitted(problem, **settings)
    few = on_trunk_of(many, max_iter=0, sharing=sharing, freeze="none")
    X, Y = few_rows(problem)
    few.fit(X, np.hstack([Y, Y]))
    n_trunks = 2 if sharing == "none" else 1
    members = np.split(many.transform(X), many.n_members, axis=1)
    expected = [features for features in members for _ in range(n_trunks)]
    # How a processor rounds can depend on the number of trunks.
    assert_allclose(few.transform(X), np.hstack(expected), rtol=1e-4, atol=1e-6)


@every_setting
def test_without_an_epoch_a_head_of_the_old_task_predicts_the_same(problem, settings):
    many = fitted(problem, **settings)
    same = on_trunk_of(many, max_iter=0).fit(*problem)
    same.network_.heads.load_state_dict(many.network_.heads.state_dict())
    X = problem[0]
    assert_array_equal(same.predict_proba(X), many.predict_proba(X))


@every_setting
@every_sharing
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_frozen_trunk_does_not_move(problem, settings, sharing, solver):
    many = fitted(problem, **settings)
    settings = {"freeze": "trunk", "sharing": sharing, "solver": solver, "dropout": 0.3}
    X, Y = few_rows(problem)
    begin = on_trunk_of(many, max_iter=0, **settings).fit(X, Y)
    end = on_trunk_of(many, max_iter=3, **settings).fit(X, Y)
    assert_same_state(state_of(begin.network_.trunk), state_of(end.network_.trunk))
    assert not np.array_equal(*(clf.predict_proba(X) for clf in (begin, end)))


@pytest.mark.parametrize("freeze", ["none", 1, UnfreezeAfter(1)])
@every_setting
def test_what_is_not_frozen_moves(problem, settings, freeze):
    many = fitted(problem, **settings)
    few = on_trunk_of(many, freeze=freeze).fit(*few_rows(problem))
    before, after = state_of(many.network_.trunk), state_of(few.network_.trunk)
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_the_pretrained_estimator_is_left_alone(problem):
    many = fitted(problem)
    before = copy.deepcopy(many)
    on_trunk_of(many).fit(*few_rows(problem))
    assert_same_parameters(many, before)
    assert vars(many).keys() == vars(before).keys()


def test_columns_are_checked_by_name(problem):
    X, Y = problem
    frame = pd.DataFrame(X, columns=list("abcde"))
    few = on_trunk_of(fitted((frame, Y)))
    with pytest.raises(ValueError, match="feature names"):
        few.fit(frame.rename(columns={"b": "z"}), Y)
    with pytest.raises(ValueError, match="feature names"):
        few.fit(frame[list("bacde")], Y)
    assert not hasattr(few, "n_features_in_")
    with pytest.raises(ValueError, match="expecting 5 features"):
        on_trunk_of(fitted(problem)).fit(X[:, :4], Y)
    assert few.fit(frame, Y).feature_names_in_.tolist() == list("abcde")


def test_categories_keep_their_codes(problem):
    X, Y = problem
    colour = np.where(X[:, 0] > 0, "red", "blue")
    frame = pd.DataFrame({"a": X[:, 1], "colour": pd.Categorical(colour)})
    many = fitted((frame, Y))
    red = frame[colour == "red"].reset_index(drop=True)
    red["colour"] = red["colour"].cat.remove_unused_categories()
    few = on_trunk_of(many, max_iter=0).fit(red, Y[colour == "red"])
    assert_array_equal(few.transform(red), many.transform(red))


def test_a_trunk_of_sparse_rows(problem):
    X = sparse.csr_array(np.where(problem[0] > 0, problem[0], 0))
    many = fitted((X, problem[1]))
    few = on_trunk_of(many, max_iter=0).fit(X, problem[1])
    assert_array_equal(few.transform(X), many.transform(X))


def test_what_cannot_be_taken_over_is_refused(problem):
    many = fitted(problem)

    def refuses(message, **changes):
        clf = clone(many).set_params(**changes)
        with pytest.raises(ValueError, match=f"(?s){message}"):
            clf.fit(*problem)

    refuses("FrozenEstimator.*clone and searches", pretrained=many)
    refuses(
        "no trained network.*Fit it first", pretrained=FrozenEstimator(classifier())
    )
    refuses("no trained network", pretrained=FrozenEstimator(StandardScaler()))
    alone = FrozenEstimator(fitted(problem, sharing="none"))
    refuses("has one for each of 3.*sharing='hard'", pretrained=alone)
    bare = FrozenEstimator(fitted(problem, hidden_layer_sizes=()))
    refuses("must have a trunk, but", pretrained=bare)
    frozen = FrozenEstimator(many)
    for change in (
        {"hidden_layer_sizes": (7,)},
        {"activation": "tanh"},
        {"n_members": 3},
        {"input_encoding": "none"},
        {"trunk": WithStatistics},
    ):
        (name,) = change
        refuses(f"must match {name}, which asks for", pretrained=frozen, **change)


def test_a_trunk_of_another_width_is_refused(problem):
    def factory(width):
        return lambda shape, generator: WithStatistics(shape, generator, width)

    many = fitted(problem, trunk=factory(4))
    with pytest.raises(ValueError, match=r"must have the same width .* 4; got 5"):
        on_trunk_of(many, trunk=factory(5)).fit(*problem)
    with pytest.raises(ValueError, match=r"must have the same width .* 4; got 5"):
        many.set_params(trunk=factory(5)).add_tasks(*few_rows(problem))
    assert many.n_outputs_ == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze": 2}, "at most the number of layers of the trunk, 1; got 2"),
        ({"freeze": -1}, "The 'freeze' parameter"),
        ({"freeze": "heads"}, "The 'freeze' parameter"),
        ({"freeze": True}, "got True. Use 'trunk' for all layers"),
        ({"freeze": 1, "hidden_layer_sizes": ()}, "needs a trunk"),
        ({"freeze": "trunk", "hidden_layer_sizes": ()}, "needs a trunk"),
    ],
)
def test_bad_freezing_is_refused(problem, changes, message):
    with pytest.raises(ValueError, match=message):
        classifier(**changes).fit(*problem)


@pytest.mark.parametrize(
    ("freeze", "step"),
    [("none", 0.003), (1, 0.003), ("trunk", 0.02), (2, 0.02), (UnfreezeAfter(2), 0.02)],
)
def test_heads_alone_take_larger_steps(problem, freeze, step):
    settings = {"hidden_layer_sizes": (8, 6), "freeze": freeze, "max_iter": 3}
    given, automatic = (
        fitted(problem, learning_rate_init=rate, **settings) for rate in (step, "auto")
    )
    assert_same_parameters(given, automatic)


@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_tasks_are_added_to_a_network_without_a_trunk(problem, sharing):
    X, _ = problem
    settings = {"hidden_layer_sizes": (), "head_hidden_layer_sizes": (5,)}
    # Without an encoding, which would be learned from other rows.
    settings |= {"input_encoding": "none", "learning_rate_init": "auto"}
    clf = fitted(problem, sharing=sharing, **settings)
    alone = clone(clf).fit(*few_rows(problem))
    before = clf.predict_proba(X)
    clf.add_tasks(*few_rows(problem))
    p = clf.predict_proba(X)
    assert_allclose(p[:, :3], before, atol=1e-6)
    assert_allclose(p[:, 3:], alone.predict_proba(X), atol=1e-6)


def test_partial_fit_begins_with_the_trunk_and_keeps_it_frozen(problem):
    many = fitted(problem)
    few = on_trunk_of(many, freeze="trunk")
    for _ in range(2):
        few.partial_fit(*few_rows(problem))
    assert_same_state(state_of(many.network_.trunk), state_of(few.network_.trunk))
    with pytest.raises(ValueError, match="cannot follow a schedule"):
        on_trunk_of(many, freeze=UnfreezeAfter(2)).partial_fit(*problem)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@every_setting
def test_partial_fit_releases_the_trunk_where_freeze_says_so(problem, settings, solver):
    few = on_trunk_of(fitted(problem, **settings), freeze="trunk", solver=solver)
    few.partial_fit(*few_rows(problem))
    before = state_of(few.network_.trunk)
    few.set_params(freeze="none").partial_fit(*few_rows(problem))
    after = state_of(few.network_.trunk)
    assert not all(torch.equal(before[name], after[name]) for name in before)
    few.set_params(freeze=1).partial_fit(*few_rows(problem))


def test_all_of_it_can_be_searched(problem):
    X, Y = problem
    many = fitted(problem)
    grid = {
        "pretrained": [None, FrozenEstimator(many)],
        "freeze": ["none", "trunk", 1, UnfreezeAfter(1)],
    }
    search = GridSearchCV(
        clone(many), grid, cv=MultiTaskStratifiedKFold(2), error_score="raise"
    )
    search.fit(*few_rows(problem))
    assert len(search.cv_results_["params"]) == 8
    nested = {"freeze__n_epochs": [0, 2]}
    few = on_trunk_of(many, freeze=UnfreezeAfter())
    GridSearchCV(few, nested, cv=MultiTaskStratifiedKFold(2), error_score="raise").fit(
        X, Y
    )


# Tasks that come and go -----------------------------------------------------------

MIXED = pd.DataFrame({"few": [0, 1, 2, None] * 15, "many": list("ab") * 30})


@every_setting
@every_sharing
def test_old_tasks_are_what_they_were(problem, settings, sharing):
    X, _ = problem
    clf = fitted(problem, sharing=sharing, **settings)
    before, trunk = clf.predict_proba(X), state_of(clf.network_.trunk)
    clf.add_tasks(X, MIXED)
    if sharing == "hard":
        assert_same_state(state_of(clf.network_.trunk), trunk)
    after = by_task(clf.predict_proba(X))
    for old, new in zip(by_task(before), after, strict=False):
        assert_allclose(new, old, rtol=0, atol=1e-6)
    names = ["task_0", "task_1", "task_2", "few", "many"]
    assert clf.task_names_.tolist() == names
    assert [len(p[0]) for p in after] == [2, 2, 2, 3, 2]
    # As they come, they go.
    clf.drop_tasks(["few", "many"])
    assert_allclose(clf.predict_proba(X), before, rtol=0, atol=1e-6)
    clf.drop_tasks("task_1")
    assert_allclose(clf.predict_proba(X), before[:, [0, 2]], rtol=0, atol=1e-6)
    assert clf.n_outputs_ == 2


@every_sharing
def test_new_tasks_are_learned(problem, sharing):
    X, Y = problem
    y_new = pd.DataFrame(
        {"sum": X.sum(axis=1) > 0, "first": np.digitize(X[:, 0], [-0.5, 0.5])}
    )
    clf = classifier(sharing=sharing, max_iter=150, learning_rate="cosine")
    clf.set_params(batch_size=20, learning_rate_init=0.01)
    clf.fit(X, Y).add_tasks(X, y_new)
    new = clf.predict(X)[:, 3:]
    assert (new == y_new.to_numpy()).mean() > 0.9
    assert clf.score(X, np.column_stack([Y, y_new])) > 0.9


@every_setting
def test_a_new_task_is_what_a_head_on_the_frozen_trunk_learns(problem, settings):
    clf = fitted(problem, **settings)
    X, Y = few_rows(problem)
    alone = on_trunk_of(clf, freeze="trunk").fit(X, Y)
    clf.add_tasks(X, Y)
    assert_allclose(clf.predict_proba(X)[:, 3:], alone.predict_proba(X), atol=1e-6)


@every_setting
def test_a_trunk_that_may_move_moves_and_old_heads_stay(problem, settings):
    clf = fitted(problem, **settings)
    trunk, heads = clf.network_.trunk, clf.network_.heads[0].state_dict()
    clf.add_tasks(*few_rows(problem), freeze_trunk=False)
    before, after = state_of(trunk), state_of(clf.network_.trunk)
    assert not all(torch.equal(before[name], after[name]) for name in before)
    clf.drop_tasks("task_3")
    for name, value in clf.network_.heads[0].state_dict().items():
        assert torch.equal(value, heads[name])


def test_names_of_new_tasks(problem):
    X, Y = problem
    clf = fitted((X, pd.DataFrame(Y, columns=["a", "b", "task_3"])))
    clf.add_tasks(X, Y[:, :2])
    clf.add_tasks(X, pd.Series(Y[:, 2], name="later"))
    names = ["a", "b", "task_3", "task_4", "task_5", "later"]
    assert clf.task_names_.tolist() == names
    with pytest.raises(ValueError, match=r"already has \['b'\].*drop_tasks"):
        clf.add_tasks(X, pd.DataFrame({"b": Y[:, 0]}))
    assert clf.task_names_.tolist() == names
    table = pd.DataFrame(np.hstack([Y, Y]), columns=names)
    report = multitask_report(table, clf.predict_proba(X), classes=clf.classes_)
    assert report.index.tolist() == names
    assert clf.score(X, table) == pytest.approx(report["accuracy"].mean())


def test_a_first_task_of_one_axis_becomes_the_first_of_several(problem):
    X, Y = problem
    y = np.nan_to_num(Y[:, 0])
    clf = fitted((X, y))
    before = clf.predict_proba(X)
    clf.add_tasks(X, Y[:, 1])
    assert [labels.tolist() for labels in clf.classes_] == [[0, 1], [0, 1]]
    assert_allclose(clf.predict_proba(X)[:, 0], before[:, 1], atol=1e-6)
    assert clf.predict(X).shape == (60, 2)


def test_weights_of_tasks(problem):
    X, _ = problem
    weight = np.r_[np.zeros(30), np.ones(30)]
    clf, other = fitted(problem), fitted(problem)
    y_new = pd.DataFrame({"new": X[:, 0] > 0})
    clf.add_tasks(X, y_new, sample_weight=weight)
    other.add_tasks(X[30:], y_new[30:])
    assert_allclose(clf.predict_proba(X), other.predict_proba(X), atol=1e-6)
    named = fitted(problem, task_weight={"task_0": 2.0})
    named.set_params(task_weight={"task_0": 2.0, "new": 3.0}).add_tasks(X, y_new)
    by_position = fitted(problem, task_weight=[1, 2, 3])
    with pytest.raises(ValueError, match="dict by task name for a network with other"):
        by_position.add_tasks(X, y_new)


@pytest.mark.parametrize("parameter", ["task_weight", "class_weight"])
def test_weights_of_no_task_are_refused(problem, parameter):
    clf = fitted(problem).set_params(**{parameter: {"taks_3": {1: 5.0}}})
    with pytest.raises(ValueError, match=rf"{parameter} must be keyed by .*'taks_3'"):
        clf.add_tasks(problem[0], problem[1][:, 0])


def test_class_weights_of_the_only_task_must_be_named_to_add_others(problem):
    X, Y = problem
    clf = fitted((X, np.nan_to_num(Y[:, 0])), class_weight={0: 1.0, 1: 9.0})
    with pytest.raises(ValueError, match=r"keyed by task names; got \['0', '1'\]"):
        clf.add_tasks(X, Y[:, 1])
    clf.set_params(class_weight={"task_1": {0: 1.0, 1: 9.0}}).add_tasks(X, Y[:, 1])


def test_a_series_without_a_name_is_numbered(problem):
    polars = pytest.importorskip("polars")
    clf = fitted(problem)
    for _ in range(2):
        clf.add_tasks(problem[0], polars.Series((problem[0][:, 0] > 0).astype(int)))
    assert clf.task_names_.tolist() == [f"task_{t}" for t in range(5)]


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_new_task_with_one_class_so_far_is_binary_in_every_form(problem, label):
    X, _ = problem
    y_new = pd.Series(np.where(np.arange(60) < 5, label, np.nan), name="new")
    for form in (y_new, y_new.to_numpy(), y_new.to_frame()):
        clf = fitted(problem)
        with pytest.warns(UserWarning, match="labels of one class only"):
            clf.add_tasks(X, form)
        assert clf.predict_proba(X).shape == (60, 4)
        assert_array_equal(clf.classes_[-1], [0, 1])


@pytest.mark.parametrize(
    ("X", "y_new", "message"),
    [
        (np.ones((60, 4)), np.ones(60), "expecting 5 features"),
        (np.ones((59, 5)), np.ones(60), "inconsistent numbers"),
        (np.ones((60, 5)), np.full(60, np.nan), "at least one observed label"),
        (np.ones((60, 5)), np.full(60, 0.5), "continuous"),
    ],
)
def test_bad_new_tasks_leave_the_estimator_as_it_was(problem, X, y_new, message):
    clf = fitted(problem)
    before = dict(vars(clf))
    with pytest.raises(ValueError, match=message):
        clf.add_tasks(X, y_new)
    assert vars(clf) == before


def test_a_changed_network_takes_no_tasks(problem):
    clf = fitted(problem).set_params(hidden_layer_sizes=(5,))
    with pytest.raises(ValueError, match="must describe the fitted network"):
        clf.add_tasks(*few_rows(problem))


@pytest.mark.parametrize(("before", "after"), [("none", "hard"), ("hard", "none")])
def test_a_changed_network_drops_no_tasks(problem, before, after):
    clf = fitted(problem, sharing=before).set_params(sharing=after)
    expected = clf.predict_proba(problem[0])
    with pytest.raises(ValueError, match="must describe the fitted network"):
        clf.drop_tasks("task_0")
    assert_array_equal(clf.predict_proba(problem[0]), expected)


def test_dropping_what_is_not_there_or_all_is_refused(problem):
    clf = fitted(problem)
    with pytest.raises(ValueError, match=r"got \['nobody'\].*task_names_"):
        clf.drop_tasks(["task_0", "nobody"])
    with pytest.raises(ValueError, match="At least one task must remain"):
        clf.drop_tasks(clf.task_names_)
    with pytest.raises(
        ValueError, match="the name of a task or a list of names; got 0"
    ):
        clf.drop_tasks(0)
    assert clf.n_outputs_ == 3


def test_a_trunk_is_frozen_or_not(problem):
    clf = fitted(problem)
    with pytest.raises(ValueError, match="must be True or False; got 'no'"):
        clf.add_tasks(*few_rows(problem), freeze_trunk="no")
    assert clf.n_outputs_ == 3


def test_training_goes_on_with_all_tasks(problem):
    X, Y = problem
    clf = fitted(problem, warm_start=True)
    clf.add_tasks(X, Y[:, 0])
    clf.fit(X, np.column_stack([Y, Y[:, 0]]))
    clf.partial_fit(X, np.column_stack([Y, Y[:, 0]]))
    clf.drop_tasks("task_1").partial_fit(X, Y)
    assert clf.predict(X).shape == (60, 3)


def test_an_unlabelled_new_task_is_named_and_uniform(problem):
    X, _ = problem
    clf = fitted(problem)
    y_new = pd.DataFrame({"known": X[:, 0] > 0, "unknown": np.full(60, np.nan)})
    with pytest.warns(match="'unknown'"):
        clf.add_tasks(X, y_new)
    assert_array_equal(clf.predict_proba(X)[:, 4], np.full(60, 0.5))


# Beside scikit-learn --------------------------------------------------------------


@pytest.mark.parametrize("trunk", [WithStatistics, OfPictures])
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs")
def test_a_module_of_the_users_own_in_scikit_learns_tools(problem, trunk, tmp_path):
    Y = problem[1]
    X = np.random.default_rng(0).integers(0, 256, (60, 2, 5, 4)).astype(np.uint8)
    model = make_pipeline(
        FunctionTransformer(), classifier(trunk=trunk, max_iter=2, n_members=2)
    )
    grid = {
        "multitasknetclassifier__sharing": ["hard", "none"],
        "multitasknetclassifier__freeze": ["none", "trunk"],
    }
    search = GridSearchCV(
        model, grid, cv=MultiTaskStratifiedKFold(2), n_jobs=2, error_score="raise"
    )
    p = search.fit(X, Y).predict_proba(X)
    joblib.dump(search, tmp_path / "search.joblib")
    loaded = joblib.load(tmp_path / "search.joblib")
    assert_array_equal(loaded.predict_proba(X), p)
    best = loaded.best_estimator_[-1].add_tasks(X, Y[:, 0])
    assert best.predict(X).shape == (60, 4)
