"""scikit-learn's searches, with `cv=5` and `scoring="roc_auc"` on missing labels."""

import inspect
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from _estimators import AtEpoch, classifier
from numpy.testing import assert_array_equal
from scipy.stats import uniform
from sklearn import config_context
from sklearn import model_selection as stock
from sklearn.base import clone, is_classifier
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import KFold
from sklearn.model_selection import _search_successive_halving as stock_halving
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skmtl import MultiTaskNet, MultiTaskNetRegressor
from skmtl._predictions import fitted_network
from skmtl.metrics import multitask_score, multitask_scorer
from skmtl.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    RandomizedSearchCV,
)

ALPHAS = {"alpha": [0.01, 10]}
SEARCHES = {
    "grid": (GridSearchCV, stock.GridSearchCV, ALPHAS, {}),
    "random": (
        RandomizedSearchCV,
        stock.RandomizedSearchCV,
        {"alpha": uniform(0, 1)},
        {"n_iter": 2, "random_state": 0},
    ),
    "halving grid": (
        HalvingGridSearchCV,
        stock_halving.HalvingGridSearchCV,
        ALPHAS,
        {"min_resources": 24, "factor": 2, "random_state": 0},
    ),
    "halving random": (
        HalvingRandomSearchCV,
        stock_halving.HalvingRandomSearchCV,
        {"alpha": uniform(0, 1)},
        {"n_candidates": 2, "min_resources": 24, "factor": 2, "random_state": 0},
    ),
}
MAPPING = {"class": "roc_auc_ovr", "number": "r2"}


def quick(**changes):
    return classifier(**({"max_iter": 3, "hidden_layer_sizes": (8,)} | changes))


def scores_of(search):
    """What the search found, without the times."""
    results = search.cv_results_
    return {key: results[key] for key in results if "_test_" in key or "_train_" in key}


def assert_same_scores(one, other):
    ours, theirs = scores_of(one), scores_of(other)
    assert set(ours) == set(theirs)
    for key, values in theirs.items():
        assert_array_equal(ours[key], values, err_msg=key)


@pytest.fixture
def both_types():
    """X (60, 4) and a table of a class and a number, a third of each missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    values = pd.DataFrame({"active": X[:, 0] > 0, "dose": X[:, 1] + 1.5})
    return X, values.astype(object).mask(rng.random((60, 2)) < 1 / 3)


# The same as scikit-learn's with all spelled out ------------------------------------


@pytest.mark.parametrize("kind", SEARCHES)
def test_it_equals_the_stock_search_with_splitter_and_scorer(problem, kind):
    X, Y = problem
    ours, theirs, space, settings = SEARCHES[kind]
    search = ours(quick(), space, cv=3, scoring="neg_log_loss", **settings).fit(X, Y)
    expected = theirs(
        quick(),
        space,
        cv=MultiTaskStratifiedKFold(3),
        scoring=multitask_scorer("neg_log_loss"),
        **settings,
    ).fit(X, Y)
    assert_same_scores(search, expected)
    assert search.best_params_ == expected.best_params_
    assert search.score(X, Y) == expected.score(X, Y)
    assert_array_equal(search.predict_proba(X), expected.predict_proba(X))


def columns_of(Y, kind):
    """The labels in another container, missing ones in its own way."""
    frame = pd.DataFrame(Y, columns=list("abc"))
    words = frame.map({0: "no", 1: "yes"}.get, na_action="ignore")
    return {
        "NaN": lambda: Y,
        "frame": lambda: frame,
        "Int64": lambda: frame.astype("Int64"),
        "boolean": lambda: frame.astype("boolean"),
        # Before pandas 3, "str" turned None into text.
        "str": lambda: words.astype("str" if pd.__version__ >= "3" else object),
        "string": lambda: words.astype("string"),
        "None": lambda: words.astype(object).where(words.notna(), None),
        "array of objects": lambda: np.where(np.isnan(Y), None, Y.astype(object)),
        "category": lambda: words.astype("category"),
        "polars": lambda: pl.DataFrame(Y, schema=list("abc")).fill_nan(None),
        "masked": lambda: np.ma.masked_invalid(Y),
        "list": lambda: Y.tolist(),
    }[kind]()


@pytest.fixture(scope="module")
def search_of_an_array():
    """`search(X, Y)`, fitted once, as the data of all calls are the same."""
    fitted = []

    def search(X, Y):
        if not fitted:
            settings = {"cv": 5, "scoring": "roc_auc", "refit": False}
            fitted.append(GridSearchCV(quick(), {}, **settings).fit(X, Y))
        return fitted[0]

    return search


@pytest.mark.parametrize(
    "kind",
    [
        "frame",
        "Int64",
        "boolean",
        "str",
        "string",
        "None",
        "array of objects",
        "category",
        "polars",
        "masked",
        "list",
    ],
)
def test_labels_of_every_container(problem, search_of_an_array, kind):
    X, Y = problem
    expected = search_of_an_array(X, Y)
    assert expected.n_splits_ == 5
    assert np.isfinite(expected.cv_results_["mean_test_score"]).all()
    search = clone(expected).fit(X, columns_of(Y, kind))
    assert_same_scores(search, expected)


def test_five_folds_without_cv(problem):
    search = GridSearchCV(quick(), ALPHAS, refit=False).fit(*problem)
    assert search.n_splits_ == 5
    assert search.cv is None


def test_folds_balance_a_rare_class():
    X = np.random.default_rng(0).normal(size=(60, 2))
    Y = np.zeros((60, 2))
    Y[:3, 0] = Y[3:9:2, 1] = 1
    Y[30:, 0] = np.nan
    counts = []

    def count(estimator, X, y):
        counts.append(np.nansum(y, axis=0).tolist())
        return 0.0

    GridSearchCV(quick(), {}, cv=3, scoring=count, refit=False).fit(X, Y)
    assert counts == [[1, 1]] * 3


def test_a_forest_with_complete_labels(problem):
    X, Y = problem
    Y = np.nan_to_num(Y).astype(int)
    forest = RandomForestClassifier(5, random_state=0)
    grid = {"max_depth": [1, 4]}
    search = GridSearchCV(forest, grid, cv=3, scoring="roc_auc").fit(X, Y)
    expected = stock.GridSearchCV(
        forest,
        grid,
        cv=MultiTaskStratifiedKFold(3),
        scoring=multitask_scorer("roc_auc"),
    ).fit(X, Y)
    assert_same_scores(search, expected)


@pytest.mark.parametrize("scoring", ["roc_auc", "accuracy", "neg_log_loss"])
def test_one_complete_task_has_the_stock_scores(scoring):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.where(X[:, 0] + rng.normal(size=60) > 0, "yes", "no")
    cv = MultiTaskStratifiedKFold(3)
    options = {"param_grid": {"C": [0.1, 1]}, "scoring": scoring}
    search = GridSearchCV(LogisticRegression(), cv=3, **options).fit(X, y)
    expected = stock.GridSearchCV(LogisticRegression(), cv=cv, **options).fit(X, y)
    for key, values in scores_of(expected).items():
        np.testing.assert_allclose(search.cv_results_[key], values, err_msg=key)


@pytest.mark.parametrize("scoring", ["r2", "neg_root_mean_squared_error"])
def test_numbers(problem, scoring):
    X, Y = problem
    Y = np.where(np.isnan(Y), np.nan, 10 * X[:, :3])
    net = MultiTaskNetRegressor((8,), n_members=1, max_iter=3, random_state=0)
    search = GridSearchCV(net, ALPHAS, cv=3, scoring=scoring).fit(X, Y)
    expected = stock.GridSearchCV(
        net, ALPHAS, cv=MultiTaskStratifiedKFold(3), scoring=multitask_scorer(scoring)
    ).fit(X, Y)
    assert_same_scores(search, expected)
    assert np.isfinite(search.best_score_)


def test_classes_and_numbers_with_a_metric_for_each(both_types):
    X, Y = both_types
    types = {"active": "class", "dose": "number"}
    net = MultiTaskNet((8,), task_types=types, n_members=1, max_iter=3, random_state=0)
    search = GridSearchCV(net, ALPHAS, cv=3, scoring=MAPPING).fit(X, Y)
    expected = stock.GridSearchCV(
        net, ALPHAS, cv=MultiTaskStratifiedKFold(3), scoring=multitask_scorer(MAPPING)
    ).fit(X, Y)
    assert_same_scores(search, expected)
    assert not search.multimetric_
    several = {"both": MAPPING, "numbers": {"number": "r2"}, "classes": "accuracy"}
    with pytest.raises(ValueError, match=r"type 'number' must be given .*\['dose'\]"):
        GridSearchCV(net, ALPHAS, cv=3, scoring=several, refit="both").fit(X, Y)
    several["classes"] = {"class": "accuracy"}
    search = GridSearchCV(net, ALPHAS, cv=3, scoring=several, refit="both").fit(X, Y)
    assert_array_equal(
        search.cv_results_["mean_test_both"], expected.cv_results_["mean_test_score"]
    )


def test_whole_numbers_of_a_regressor_are_numbers(problem):
    """Their folds are those of quantiles, where a class would have too few rows."""
    X, _ = problem
    y = np.random.default_rng(0).permutation(60) // 2
    net = MultiTaskNetRegressor((4,), n_members=1, max_iter=2, random_state=0)
    search = GridSearchCV(net, {}, cv=5, scoring="r2", error_score="raise").fit(X, y)
    assert search.n_splits_ == 5


# Several metrics ---------------------------------------------------------------------


@pytest.mark.parametrize("form", [list, tuple, dict])
def test_several_metrics(problem, form):
    X, Y = problem
    names = ["roc_auc", "neg_log_loss", "own"]
    own = make_scorer(lambda y, _: float(np.isnan(y).sum()))
    if form is dict:
        scoring = {"roc_auc": "roc_auc", "neg_log_loss": "neg_log_loss", "own": own}
    else:
        scoring, names = form(names[:2]), names[:2]
    search = GridSearchCV(
        quick(), ALPHAS, cv=3, scoring=scoring, refit="roc_auc", return_train_score=True
    ).fit(X, Y)
    expected = stock.GridSearchCV(
        quick(),
        ALPHAS,
        cv=MultiTaskStratifiedKFold(3),
        scoring={n: own if n == "own" else multitask_scorer(n) for n in names},
        refit="roc_auc",
        return_train_score=True,
    ).fit(X, Y)
    assert search.multimetric_
    assert_same_scores(search, expected)
    assert search.best_score_ == expected.best_score_
    assert search.score(X, Y) == expected.score(X, Y)


def test_each_task_by_its_name(problem):
    X, Y = problem
    scorer = multitask_scorer("roc_auc", per_task=True)
    search = GridSearchCV(quick(), ALPHAS, cv=3, scoring=scorer, refit="mean").fit(X, Y)
    by_task = [search.cv_results_[f"mean_test_task_{t}"] for t in range(3)]
    mean = search.cv_results_["mean_test_mean"]
    np.testing.assert_allclose(np.mean(by_task, axis=0), mean)
    assert search.best_score_ == mean.max()


def test_a_function_chooses_the_best(problem):
    search = GridSearchCV(
        quick(), ALPHAS, cv=2, scoring=["roc_auc", "accuracy"], refit=lambda _: 1
    ).fit(*problem)
    assert search.best_index_ == 1
    assert search.best_estimator_.alpha == 10
    assert not hasattr(search, "best_score_")


# A scikit-learn search in all else ----------------------------------------------------


@pytest.mark.parametrize("kind", SEARCHES)
def test_it_is_one_of_scikit_learns(problem, kind):
    ours, theirs, space, settings = SEARCHES[kind]
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    search = ours(quick(), space, cv=2, scoring="accuracy", **settings)
    assert isinstance(search, theirs)
    assert is_classifier(search)
    assert repr(search).startswith(ours.__name__)
    before = search.get_params()
    search.fit(*problem)
    assert search.get_params() == before
    assert search.cv == 2
    assert search.scoring == "accuracy"
    assert clone(search).get_params().keys() == before.keys()
    assert not hasattr(clone(search), "best_estimator_")
    assert ours.__name__ in search._repr_html_()
    back = pickle.loads(pickle.dumps(search))
    assert_array_equal(back.predict_proba(problem[0]), search.predict_proba(problem[0]))
    assert back.score(*problem) == search.score(*problem)
    back.fit(*problem)
    assert_same_scores(back, search)


def test_skops_takes_it(problem):
    search = GridSearchCV(quick(), ALPHAS, cv=2, scoring="roc_auc").fit(*problem)
    content = skops.io.dumps(search)
    trusted = skops.io.get_untrusted_types(data=content)
    back = skops.io.loads(content, trusted=trusted)
    assert back.score(*problem) == search.score(*problem)


def test_a_fit_that_fails_changes_nothing(problem):
    X, Y = problem
    search = GridSearchCV(quick(), ALPHAS, cv=2).fit(X, Y)
    before = dict(vars(search))
    search.set_params(scoring="no_such_metric")
    with pytest.raises(ValueError, match="'no_such_metric' is not a valid scoring"):
        search.fit(X, Y)
    search.set_params(scoring=None, cv="three")
    with pytest.raises(ValueError, match="'cv' parameter of GridSearchCV"):
        search.fit(X, Y)
    with pytest.raises(ValueError, match="'estimator' parameter of GridSearchCV"):
        GridSearchCV("network", {}, scoring="roc_auc").fit(X, Y)
    search.set_params(cv=2, estimator=quick(dropout=-1), error_score="raise")
    with pytest.raises(ValueError, match="dropout"):
        search.fit(X, Y)
    parameters = search.get_params(deep=False)
    assert {k: v for k, v in vars(search).items() if k not in parameters} == {
        k: v for k, v in before.items() if k not in parameters
    }


def test_an_interrupt_ends_it_and_changes_nothing(problem):
    """A network that was cut short would be compared as if it were whole."""

    def interrupt():
        raise KeyboardInterrupt

    clf = quick(max_iter=6).set_callbacks(AtEpoch(3, interrupt))
    search = GridSearchCV(clf, ALPHAS, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(*problem)
    assert not hasattr(search, "cv_results_")


def test_failed_fits_have_the_error_score(problem):
    grid = {"dropout": [0.0, -1.0]}
    search = GridSearchCV(quick(), grid, cv=2, scoring="roc_auc", error_score=0.1)
    with pytest.warns(FitFailedWarning, match="2 fits failed"):
        search.fit(*problem)
    assert search.cv_results_["mean_test_score"][1] == 0.1
    assert search.best_params_ == {"dropout": 0.0}


def test_candidates_side_by_side(problem):
    X, Y = problem[0], np.nan_to_num(problem[1])
    tree = DecisionTreeClassifier(random_state=0)  # processes need not load torch
    options = {"cv": 3, "scoring": ["roc_auc"], "refit": "roc_auc"}
    search = GridSearchCV(tree, {"max_depth": [1, 3]}, **options)
    alone = clone(search).fit(X, Y)
    assert_same_scores(search.set_params(n_jobs=2).fit(X, Y), alone)


def test_a_search_in_a_pipeline_in_a_search(problem):
    X, Y = problem
    inner = RandomizedSearchCV(
        quick(), ALPHAS, n_iter=1, cv=2, scoring="roc_auc", random_state=0
    )
    pipeline = make_pipeline(StandardScaler(), inner)
    grid = {"randomizedsearchcv__estimator__n_bins": [4, 8]}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="neg_log_loss").fit(X, Y)
    scaler, refitted = search.best_estimator_.named_steps.values()
    assert fitted_network(search) is refitted.best_estimator_
    p = refitted.best_estimator_.predict_proba(scaler.transform(X))
    assert_array_equal(search.predict_proba(X), p)
    assert search.score(X, Y) == multitask_score("neg_log_loss", Y, p)


class Recorder(AtEpoch):
    """Also whose fit it is."""

    def setup(self, estimator, context):
        super().setup(estimator, context)
        self.estimator = estimator


@pytest.mark.parametrize("kind", SEARCHES)
def test_callbacks(problem, kind, capsys):
    ours, _, space, settings = SEARCHES[kind]
    recorder = Recorder(0, lambda: False)
    search = ours(quick(), space, cv=2, **settings)
    search.set_callbacks(recorder, ProgressBar()).fit(*problem)
    assert recorder.hooks[0] == ("begin", "fit")
    assert recorder.hooks[-1] == "teardown"
    assert type(recorder.estimator) is ours
    assert f"{ours.__name__} - fit" in capsys.readouterr().out
    assert not hasattr(search, "_callback_fit_ctx")


def test_scoring_monitor_of_the_network_inside(problem):
    monitor = ScoringMonitor(scoring=multitask_scorer("roc_auc"))
    search = GridSearchCV(quick().set_callbacks(monitor), ALPHAS, cv=2).fit(*problem)
    scores = [r["score"] for r in monitor.get_logs().data if r["task_name"] == "epoch"]
    assert len(scores) == (2 * 2 + 1) * 3
    expected = multitask_scorer("roc_auc")(search.best_estimator_, *problem)
    assert any(score == pytest.approx(expected) for score in scores)


# Weights and groups ------------------------------------------------------------------


def test_weights_reach_fit_and_scores(problem):
    X, Y = problem
    weight = np.random.default_rng(0).uniform(0.1, 5, size=Y.shape)
    search = GridSearchCV(quick(), ALPHAS, cv=2, scoring="roc_auc")
    search.fit(X, Y, sample_weight=weight)
    scorer = multitask_scorer("roc_auc")
    for fold, (train, test) in enumerate(MultiTaskStratifiedKFold(2).split(X, Y)):
        clf = quick(alpha=0.01).fit(X[train], Y[train], sample_weight=weight[train])
        score = scorer(clf, X[test], Y[test], sample_weight=weight[test])
        assert search.cv_results_[f"split{fold}_test_score"][0] == score
    whole = quick(**search.best_params_).fit(X, Y, sample_weight=weight)
    assert_array_equal(search.predict_proba(X), whole.predict_proba(X))
    with config_context(enable_metadata_routing=True):
        routed = GridSearchCV(
            quick().set_fit_request(sample_weight=True),
            ALPHAS,
            cv=2,
            scoring=multitask_scorer("roc_auc").set_score_request(sample_weight=True),
        ).fit(X, Y, sample_weight=weight)
        assert_same_scores(routed, search)
        assert routed.score(X, Y, sample_weight=weight) == scorer(
            whole, X, Y, sample_weight=weight
        )


def test_weights_that_nobody_asked_for_are_refused(problem):
    X, Y = problem
    with config_context(enable_metadata_routing=True):
        net = quick().set_fit_request(sample_weight=True)
        search = GridSearchCV(net, ALPHAS, cv=2, scoring="roc_auc")
        with pytest.raises(ValueError, match=r"multitask_scorer\('roc_auc'.*\.score"):
            search.fit(X, Y, sample_weight=np.ones(len(X)))


@pytest.mark.parametrize("routing", [False, True])
def test_groups_reach_the_splitter(problem, routing):
    X, Y = problem
    groups = np.arange(60) // 3
    cv = MultiTaskStratifiedGroupKFold(2)
    seen = []

    def keep(estimator, X_test, y):
        seen.append(X_test)
        return 0.0

    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(quick(), {}, cv=cv, scoring=keep, refit=False)
        search.fit(X, Y, groups=groups)
    for rows, (_, test) in zip(seen, cv.split(X, Y, groups), strict=True):
        assert_array_equal(rows, X[test])


def test_groups_that_a_number_of_folds_ignores(problem):
    X, Y = problem
    search = GridSearchCV(quick(), {}, cv=2, refit=False)
    message = r"MultiTaskStratifiedKFold ignores them.*MultiTaskStratifiedGroupKFold"
    with pytest.warns(UserWarning, match=message) as caught:
        search.fit(X, Y, groups=np.arange(60) // 3)
    assert caught[0].filename == __file__
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(TypeError, match="groups"),
    ):
        search.fit(X, Y, groups=np.arange(60) // 3)


# What cannot be scored ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        (
            "roc_auc",
            r"'roc_auc' can only score .*\['task_0', 'task_2'\] have more",
        ),
        (["accuracy", "f1"], "'f1' can only score tasks with two classes.*'f1_macro'"),
        ({"class": "precision"}, "'precision' can only score tasks with two"),
        (multitask_scorer("roc_auc", tasks="task_2"), r"tasks \['task_2'\] have more"),
        ({"number": "r2"}, "type 'class' must be given"),
        (
            {"auc": multitask_scorer("roc_auc_ovr", per_task=True), "log": "accuracy"},
            r"must return one number, but the scorers \['auc'\] have per_task=True",
        ),
        (["accuracy", "accuracy"], "Duplicate elements"),
        ({}, "empty dict"),
    ],
)
def test_metrics_that_do_not_fit_are_refused_before_any_fit(
    mixed_problem, scoring, message
):
    def never():
        raise AssertionError

    clf = quick().set_callbacks(AtEpoch(0, never))
    search = GridSearchCV(clf, ALPHAS, cv=2, scoring=scoring, refit=False)
    with pytest.raises(ValueError, match=message):
        search.fit(*mixed_problem)


@pytest.mark.parametrize(
    "scoring",
    ["roc_auc_ovr", multitask_scorer("roc_auc", tasks="task_1"), "f1_macro"],
    ids=str,
)
def test_metrics_for_any_number_of_classes(mixed_problem, scoring):
    search = GridSearchCV(quick(), ALPHAS, cv=2, scoring=scoring).fit(*mixed_problem)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_one_metric_for_classes_and_numbers_is_refused(both_types):
    types = {"active": "class", "dose": "number"}
    net = MultiTaskNet(task_types=types)
    with pytest.raises(ValueError, match=r"to score \['dose'\]; got only accuracy"):
        GridSearchCV(net, ALPHAS, cv=2, scoring="accuracy").fit(*both_types)


def test_scorers_are_taken_as_they_are(problem):
    """One of scikit-learn's refuses missing labels, here as there."""
    X, Y = problem
    scorer = make_scorer(accuracy_score)
    search = GridSearchCV(quick(), {}, cv=2, scoring=scorer, error_score="raise")
    Y = pd.DataFrame(Y).astype(object)
    with pytest.raises(ValueError, match="mix of unknown and multilabel"):
        search.fit(X, Y)
    search = GridSearchCV(quick(), {}, cv=2, scoring=scorer)
    assert search.fit(X, Y.notna().astype(int)).scorer_ is scorer


def test_clusterings_keep_scikit_learns_folds_and_scorers(problem):
    X, _ = problem
    grid = {"n_clusters": [2, 3]}
    kmeans = KMeans(random_state=0)
    for y, scoring in ((None, None), (np.arange(60) % 3, "adjusted_rand_score")):
        options = {"cv": KFold(3), "scoring": scoring}
        expected = stock.GridSearchCV(kmeans, grid, **options).fit(X, y)
        assert_same_scores(GridSearchCV(kmeans, grid, **options).fit(X, y), expected)
    assert GridSearchCV(kmeans, grid, cv=3).fit(X).n_splits_ == 3
