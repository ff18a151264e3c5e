"""MultiTaskTunedThresholdClassifierCV: the threshold of each task."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import (
    cohen_kappa_score,
    f1_score,
    fbeta_score,
    get_scorer,
    make_scorer,
    matthews_corrcoef,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    KFold,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler, TargetEncoder

from skmtl import MultiTaskNet, MultiTaskNetClassifier
from skmtl.metrics import multitask_score, multitask_scorer
from skmtl.model_selection import (
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    MultiTaskTunedThresholdClassifierCV,
    cross_val_predict,
)
from skmtl.model_selection._out_of_fold import TaskOutOfFold
from skmtl.model_selection._thresholds import objectives_by_task, tune


class Recording(MultiTaskNetClassifier):
    """Counts its fits, in all clones together."""

    n_fits = 0

    def fit(self, X, y, sample_weight=None):
        type(self).n_fits += 1
        return super().fit(X, y, sample_weight)


class Given(ClassifierMixin, BaseEstimator):
    """Says of each task what is in the column of X."""

    def __init__(self, classes=None):
        self.classes = classes

    def fit(self, X, y):
        n_tasks = np.shape(X)[1]
        self.classes_ = self.classes or [np.array([0, 1])] * n_tasks
        return self

    def predict_proba(self, X):
        return [np.column_stack([1 - p, p]) for p in np.asarray(X).T]

    def predict(self, X):
        return (np.asarray(X) > 0.5).astype(int)


@pytest.fixture
def rare():
    """X (300, 4) and a DataFrame of two rare tasks, a third of it missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    labels = (X[:, :2] + rng.normal(size=(300, 2)) > 1.8).astype(float)
    labels[rng.random(labels.shape) < 1 / 3] = np.nan
    return X, pd.DataFrame(labels, columns=["toxic", "soluble"])


def network(**params):
    return MultiTaskNetClassifier((8,), **{"random_state": 0, "max_iter": 5} | params)


def of_one_task(p, y, weights=None):
    table = np.column_stack([1 - p, p])
    return TaskOutOfFold("a", np.array([0, 1]), y.astype(int), table, weights)


def share_right(y_true, y_pred):
    """A metric of one's own, which takes no weights."""
    return np.mean(y_true == y_pred)


# The threshold of one task ------------------------------------------------------------


@pytest.mark.parametrize(
    "scoring",
    [
        "accuracy",
        "balanced_accuracy",
        "f1",
        "matthews_corrcoef",
        "precision",
        "recall",
        "jaccard",
        cohen_kappa_score,
        matthews_corrcoef,
        make_scorer(fbeta_score, beta=2),
        share_right,
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore:Precision is ill-defined")
def test_the_threshold_is_the_best_of_all(scoring, weighted):
    rng = np.random.default_rng(3)
    y = rng.random(40) < 0.3
    p = np.round(rng.beta(1 + y, 2), 2)  # with ties
    weighted = weighted and scoring is not share_right
    weights = rng.integers(1, 4, 40).astype(float) if weighted else None
    (objective,) = objectives_by_task(scoring, ["a"]).values()
    thresholds, scores, best = tune(of_one_task(p, y, weights), objective, 1000)
    metric = get_scorer(scoring)._score_func if isinstance(scoring, str) else scoring
    kwargs = {} if weights is None else {"sample_weight": weights}
    if hasattr(metric, "_score_func"):
        metric, kwargs = metric._score_func, kwargs | metric._kwargs

    def score_at(threshold):
        return metric(y.astype(int), (p >= threshold).astype(int), **kwargs)

    np.testing.assert_allclose(scores, [score_at(t) for t in thresholds], atol=1e-12)
    everywhere = np.unique(np.concatenate([p, p + 1e-9, [0.0]]))
    assert scores[best] >= max(map(score_at, everywhere)) - 1e-12


def test_of_equally_good_thresholds_the_middle_one_is_taken():
    p = np.array([0.1, 0.2, 0.6, 0.7])
    (objective,) = objectives_by_task("accuracy", ["a"]).values()
    tuned = tune(of_one_task(p, np.array([0, 0, 1, 1])), objective, 100)
    assert tuned.thresholds[tuned.best] == pytest.approx(0.4)
    # Of the grid all between 0.2 and 0.6 are perfect.
    grid = np.linspace(0, 1, 101)
    tuned = tune(of_one_task(p, np.array([0, 0, 1, 1])), objective, grid)
    assert tuned.thresholds[tuned.best] == pytest.approx(0.4, abs=0.011)


def test_few_thresholds_do_not_skip_few_positives():
    rng = np.random.default_rng(0)
    y = np.arange(5000) < 10
    p = np.where(y, rng.uniform(0.3, 0.4, 5000), rng.uniform(0, 0.35, 5000))
    (objective,) = objectives_by_task("f1", ["a"]).values()
    few = tune(of_one_task(p, y), objective, 50)
    every = tune(of_one_task(p, y), objective, 10_000)
    assert len(few.thresholds) <= 50
    assert few.scores[few.best] > every.scores[every.best] - 0.1


@pytest.mark.parametrize("gains", [{"fp": 1, "fn": 30}, {"fn": 5, "tp": 1}, {"tn": -1}])
def test_wrong_decisions_may_not_gain_more_than_correct_ones(gains):
    with pytest.raises(ValueError, match=r"tn as fp and tp as fn.*negative gains"):
        objectives_by_task(gains, ["a"])


def test_no_binary_task_is_noticed(rare):
    X, _ = rare
    three = pd.DataFrame({"of_three": np.digitize(np.asarray(X)[:, 0], [-0.5, 0.5])})
    tuned = MultiTaskTunedThresholdClassifierCV(
        MultiTaskNetClassifier((8,), n_members=1, max_iter=2), cv=2
    )
    with pytest.warns(UserWarning, match=r"two classes.*\['of_three'\] do not"):
        tuned.fit(X, three)
    assert tuned.best_thresholds_ == {}


def test_gains_are_those_of_each_outcome():
    p = np.array([0.1, 0.4, 0.5, 0.9])
    y = np.array([0, 1, 0, 1])
    gains = {"tp": 3, "fp": -2, "fn": -7}
    (objective,) = objectives_by_task(gains, ["a"]).values()
    tuned = tune(of_one_task(p, y), objective, np.array([0.0, 0.3, 0.45, 0.6, 1.0]))
    by_hand = [3 + 3 - 2 - 2, 3 + 3 - 2, 3 - 7 - 2, 3 - 7, -7 - 7]
    np.testing.assert_allclose(tuned.scores * 4, by_hand)
    assert tuned.thresholds[tuned.best] == 0.3


def test_costs_alone_move_the_threshold_of_honest_probabilities():
    # A positive is worth predicting from cost_fp / (cost_fp + cost_fn) on.
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = rng.random(20_000) < p
    (objective,) = objectives_by_task({"fp": -1, "fn": -4}, ["a"]).values()
    tuned = tune(of_one_task(p, y), objective, 100)
    assert tuned.thresholds[tuned.best] == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(
    ("scoring", "words"),
    [
        ("roc_auc", "must be a metric of predicted labels"),
        ("r2", "must be a metric of predicted labels"),
        ({"toxic": "f1"}, r"without the keys \['soluble'\]"),
        ({"toxic": "f1", "soluble": "f1", "other": "f1"}, r"unknown keys \['other'\]"),
        ({"toxic": {"tp": 1}, "soluble": {"hit": 1}}, "keys from"),
    ],
)
def test_objectives_that_cannot_be_are_refused(rare, scoring, words):
    X, Y = rare
    tuned = MultiTaskTunedThresholdClassifierCV(network(), scoring=scoring)
    with pytest.raises(ValueError, match=words):
        tuned.fit(X, Y)
    assert not hasattr(tuned, "estimator_")


# The estimator ------------------------------------------------------------------------


def test_one_complete_task_is_decided_as_scikit_learn_decides_it(rare):
    """The thresholds of a given grid, on a single split."""
    X, Y = rare
    rows = Y["toxic"].notna()
    X, y = X[rows], Y["toxic"][rows].astype(int).to_numpy()
    cv = [(np.arange(100), np.arange(100, len(y)))]
    grid = np.linspace(0.01, 0.6, 60)
    forest = RandomForestClassifier(20, random_state=0)
    settings = {"scoring": "f1", "thresholds": grid, "cv": cv, "store_cv_results": True}
    stock = TunedThresholdClassifierCV(forest, **settings).fit(X, y)
    ours = MultiTaskTunedThresholdClassifierCV(forest, **settings).fit(X, y)
    at_all = cross_scores(forest, X, y, cv, grid)
    np.testing.assert_allclose(ours.cv_results_["task_0"]["scores"], at_all)
    assert max(at_all) == ours.best_scores_["task_0"]
    # scikit-learn reads scores between its own thresholds off by interpolation.
    assert stock.best_score_ == pytest.approx(ours.best_scores_["task_0"], abs=0.02)
    np.testing.assert_array_equal(stock.predict_proba(X), ours.predict_proba(X))
    fixed = FixedThresholdClassifier(
        FrozenEstimator(stock.estimator_),
        threshold=ours.best_thresholds_["task_0"],
        response_method="predict_proba",
    ).fit(X, y)
    np.testing.assert_array_equal(fixed.predict(X), ours.predict(X))


def cross_scores(estimator, X, y, cv, thresholds):
    ((train, test),) = cv
    p = clone(estimator).fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    return [f1_score(y[test], p >= threshold) for threshold in thresholds]


def test_the_default_network_is_fitted_once(rare):
    X, Y = rare
    Recording.n_fits = 0
    tuned = MultiTaskTunedThresholdClassifierCV(
        Recording((8,), max_iter=5, random_state=0), scoring="f1"
    ).fit(X, Y)
    assert Recording.n_fits == 1
    out_of_bag = tuned.estimator_.oob_prediction_
    for t, name in enumerate(Y):
        labels = (out_of_bag[:, t] >= tuned.best_thresholds_[name]).astype(float)
        rows = Y[name].notna() & np.isfinite(out_of_bag[:, t])
        f1 = f1_score(Y[name][rows], labels[rows])
        assert tuned.best_scores_[name] == pytest.approx(f1)
    Recording.n_fits = 0
    clone(tuned).set_params(cv=3).fit(X, Y)
    assert Recording.n_fits == 4


def test_folds_are_put_together(rare):
    X, Y = rare
    cv = MultiTaskStratifiedKFold(3)
    clf = network(n_members=1)
    tuned = MultiTaskTunedThresholdClassifierCV(clf, scoring="f1", cv=cv).fit(X, Y)
    p = cross_val_predict(clf, X, Y, cv=cv, method="predict_proba")
    for t, name in enumerate(Y):
        rows = Y[name].notna()
        labels = p[rows, t] >= tuned.best_thresholds_[name]
        assert tuned.best_scores_[name] == pytest.approx(
            f1_score(Y[name][rows], labels)
        )
    np.testing.assert_array_equal(
        tuned.predict_proba(X), clone(clf).fit(X, Y).predict_proba(X)
    )
    thresholds = [tuned.best_thresholds_[name] for name in Y]
    np.testing.assert_array_equal(
        tuned.predict(X), (tuned.predict_proba(X) >= thresholds).astype(int)
    )


def test_missing_labels_do_not_count(rare):
    Y = rare[1]
    p = np.random.default_rng(1).random(Y.shape)
    for scoring in ("balanced_accuracy", "f1"):
        tuned = MultiTaskTunedThresholdClassifierCV(
            Given(), scoring=scoring, cv="prefit", refit=False
        )
        tuned.estimator.fit(p, None)
        tuned.fit(p, Y)
        for t, name in enumerate(Y):
            rows = Y[name].notna().to_numpy()
            alone = clone(tuned).set_params(estimator=Given().fit(p[:, [t]], None))
            alone.fit(p[rows][:, [t]], Y.loc[rows, [name]].astype(int))
            assert alone.best_thresholds_ == {name: tuned.best_thresholds_[name]}


@pytest.mark.parametrize("frozen", [False, True])
def test_a_fitted_estimator_is_taken_as_it_is(rare, frozen):
    X, Y = rare
    fitted = network(n_members=1).fit(X[:150], Y[:150])
    given = FrozenEstimator(fitted) if frozen else fitted
    cv = None if frozen else "prefit"
    tuned = MultiTaskTunedThresholdClassifierCV(given, cv=cv, scoring="f1")
    tuned.fit(X[150:], Y[150:])
    assert tuned.estimator_ is given
    p = fitted.predict_proba(X[150:])
    for t, name in enumerate(Y):
        rows = Y[name][150:].notna().to_numpy()
        f1 = f1_score(Y[name][150:][rows], p[rows, t] >= tuned.best_thresholds_[name])
        assert tuned.best_scores_[name] == pytest.approx(f1)


def test_a_single_split_without_refit(rare):
    X, Y = rare
    clf = network(n_members=1)
    tuned = MultiTaskTunedThresholdClassifierCV(
        clf, cv=0.25, refit=False, random_state=0
    ).fit(X, Y)
    assert set(tuned.best_thresholds_) == {"toxic", "soluble"}
    assert tuned.predict(X).shape == (300, 2)
    with pytest.raises(ValueError, match="of a single split, but cv has 3"):
        MultiTaskTunedThresholdClassifierCV(clf, cv=3, refit=False).fit(X, Y)


def test_other_tasks_are_decided_as_they_were():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 3))
    Y = pd.DataFrame(
        {
            "rare": np.where(X[:, 0] > 1.2, "yes", "no"),
            "many": np.array(["a", "b", "c"])[np.digitize(X[:, 1], [-0.5, 0.5])],
            "dose": X[:, 2] * 10,
        }
    ).mask(rng.random((150, 3)) < 0.2)
    net = MultiTaskNet((8,), max_iter=5, random_state=0)
    tuned = MultiTaskTunedThresholdClassifierCV(net, scoring="balanced_accuracy")
    tuned.fit(X, Y)
    assert list(tuned.best_thresholds_) == ["rare"]
    labels, own = tuned.predict(X), tuned.estimator_.predict(X)
    np.testing.assert_array_equal(labels[:, 1:], own[:, 1:])
    p = tuned.predict_proba(X)
    assert p[2] is None
    expected = np.where(p[0][:, 1] >= tuned.best_thresholds_["rare"], "yes", "no")
    np.testing.assert_array_equal(labels[:, 0].astype(str), expected)
    assert tuned.classes_[2] is None
    metric = {"class": "accuracy", "number": "r2"}
    assert tuned.score(X, Y) == pytest.approx(
        multitask_score(
            metric,
            Y,
            [*labels.T],
            task_types={"rare": "class", "many": "class", "dose": "number"},
        )
    )


def test_a_task_of_one_class_is_named_and_decided_as_before(rare):
    X, Y = rare
    fitted = network().fit(X, Y.assign(never=Y["toxic"]))
    Y = Y.assign(never=0.0)
    with pytest.warns(UserWarning, match=r"but \['never'\] do not"):
        tuned = MultiTaskTunedThresholdClassifierCV(
            FrozenEstimator(fitted), scoring="f1"
        ).fit(X, Y)
    assert np.isnan(tuned.best_thresholds_["never"])
    assert np.isnan(tuned.best_scores_["never"])
    np.testing.assert_array_equal(tuned.predict(X)[:, 2], fitted.predict(X)[:, 2])


def test_weights_reach_fit_and_scores(rare):
    X, Y = rare
    weights = np.random.default_rng(0).integers(0, 3, 300)
    clf = network(n_members=1)
    cv = KFold(2)
    weighted = MultiTaskTunedThresholdClassifierCV(clf, scoring="f1", cv=cv)
    weighted.fit(X, Y, sample_weight=weights)
    by_hand = clone(clf).fit(X, Y, sample_weight=weights)
    np.testing.assert_array_equal(
        weighted.estimator_.predict_proba(X), by_hand.predict_proba(X)
    )
    p = cross_val_predict(
        clf, X, Y, cv=cv, method="predict_proba", params={"sample_weight": weights}
    )
    labels = p >= list(weighted.best_thresholds_.values())
    scores = multitask_score(
        "f1", Y.to_numpy(), labels.astype(int), average=None, sample_weight=weights
    )
    np.testing.assert_allclose(list(weighted.best_scores_.values()), scores)


@pytest.mark.filterwarnings("ignore:.*Some folds lack that class:UserWarning")
def test_folds_where_few_labels_of_a_task_have_out_of_bag_predictions():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 3))
    # 100 rows have a label of a rare class, so that no member leaves them out.
    code = [f"c{i // 2}" for i in range(100)] + ["other"] * 140
    ill = np.where(X[:, 0] + rng.normal(size=240) > 0.5, "yes", "no").astype(object)
    ill[140:] = None
    Y = pd.DataFrame({"ill": ill, "code": code})
    network = MultiTaskNetClassifier((8,), max_iter=5, oob_score=True, random_state=0)
    tuned = MultiTaskTunedThresholdClassifierCV(network).fit(X, Y)
    known = np.isfinite(tuned.estimator_.oob_prediction_[0][:, 0])
    assert known.sum() == 140
    in_folds = MultiTaskTunedThresholdClassifierCV(network, cv=5).fit(X, Y)
    assert tuned.best_thresholds_ == in_folds.best_thresholds_
    # Enough labels of the task have such predictions, but not of each class.
    Y["ill"] = np.where((np.arange(240) < 38) | (np.arange(240) > 237), "yes", "no")
    tuned = MultiTaskTunedThresholdClassifierCV(network).fit(X, Y)
    in_folds = MultiTaskTunedThresholdClassifierCV(network, cv=5).fit(X, Y)
    assert tuned.best_thresholds_ == in_folds.best_thresholds_
    # Nor do the tasks count that have a class with few labels.
    Y["ill"] = np.where(np.arange(240) < 4, "yes", "no")
    Recording.n_fits = 0
    network = Recording((8,), max_iter=5, oob_score=True, random_state=0)
    with pytest.warns(UserWarning, match=r"but \['ill'\] do not.*pass cv=5"):
        MultiTaskTunedThresholdClassifierCV(network).fit(X, Y)
    assert Recording.n_fits == 1
    # Enough labels of each class.
    Y["ill"] = np.where(X[:, 0] > 0.5, "yes", "no")
    Recording.n_fits = 0
    network = Recording((8,), max_iter=5, oob_score=True, random_state=0)
    MultiTaskTunedThresholdClassifierCV(network).fit(X, Y)
    assert Recording.n_fits == 1


@pytest.mark.parametrize(
    ("step", "n_fits"),
    [
        (StandardScaler(), 1),
        (make_column_transformer((StandardScaler(), [0, 1]), ("drop", [2, 3])), 1),
        (make_union(PCA(2), make_pipeline(StandardScaler(), PCA(2))), 1),
        (TargetEncoder(), 6),
        (SelectKBest(k=2), 6),
        (make_column_transformer((TargetEncoder(), [0, 1])), 6),
        (make_union(PCA(2), SelectKBest(k=2)), 6),
    ],
    ids=str,
)
def test_out_of_bag_predictions_in_a_pipeline(rare, step, n_fits):
    """Not if a step may have read the labels of the rows that were left out."""
    X, Y = rare
    y = Y["toxic"].fillna(0).astype(int)
    Recording.n_fits = 0
    inside = Recording((8,), max_iter=2, random_state=0)
    MultiTaskTunedThresholdClassifierCV(make_pipeline(step, inside)).fit(X, y)
    assert Recording.n_fits == n_fits


def test_a_frozen_step_has_no_predictions_of_these_rows(rare):
    X, Y = rare
    fitted = MultiTaskTunedThresholdClassifierCV(network()).fit(X[:150], Y[:150])
    pipeline = make_pipeline("passthrough", FrozenEstimator(fitted))
    tuned = MultiTaskTunedThresholdClassifierCV(pipeline, scoring="f1")
    tuned.fit(X[150:], Y[150:])
    again = clone(tuned).set_params(estimator=FrozenEstimator(fitted))
    assert again.fit(X[150:], Y[150:]).best_scores_ == tuned.best_scores_


def test_scores_of_noise_are_chance_although_a_step_reads_labels():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 500)), rng.integers(0, 2, 200)
    pipeline = make_pipeline(SelectKBest(k=20), network(max_iter=10))
    tuned = MultiTaskTunedThresholdClassifierCV(pipeline).fit(X, y)
    assert tuned.best_scores_["task_0"] < 0.65  # the best of a hundred


def test_in_a_search_and_around_one(rare):
    X, Y = rare
    tuned = MultiTaskTunedThresholdClassifierCV(network(), scoring="f1")
    search = GridSearchCV(
        tuned,
        {
            "estimator__head_hidden_layer_sizes": [(), (4,)],
            "scoring": ["f1", "accuracy"],
        },
        cv=MultiTaskStratifiedKFold(2),
        scoring=multitask_scorer("f1"),
    ).fit(X, Y)
    assert search.best_estimator_.best_thresholds_
    around = MultiTaskTunedThresholdClassifierCV(
        GridSearchCV(
            network(), {"alpha": ["auto", 0.1]}, cv=MultiTaskStratifiedKFold(2)
        )
    ).fit(X, Y)
    labels = around.predict_proba(X) >= list(around.best_thresholds_.values())
    np.testing.assert_array_equal(around.predict(X), labels.astype(int))


def test_a_forest_of_complete_tasks(rare):
    X, Y = rare
    Y = Y.fillna(0).astype(int).replace({0: "no", 1: "yes"})
    forest = RandomForestClassifier(10, random_state=0)
    tuned = MultiTaskTunedThresholdClassifierCV(forest, scoring="balanced_accuracy")
    tuned.fit(X, Y)
    p = [table[:, 1] for table in tuned.predict_proba(X)]
    for t, name in enumerate(Y):
        expected = np.where(p[t] >= tuned.best_thresholds_[name], "yes", "no")
        np.testing.assert_array_equal(tuned.predict(X)[:, t], expected)


def test_groups_are_kept_together(rare):
    X, Y = rare
    groups = np.repeat(np.arange(30), 10)
    clf = Recording((8,), max_iter=2, random_state=0)
    tuned = MultiTaskTunedThresholdClassifierCV(clf, scoring="f1")
    Recording.n_fits = 0
    tuned.fit(X, Y, groups=groups)
    assert Recording.n_fits == 6  # members do not keep groups together
    by_group = clone(tuned).set_params(cv=MultiTaskStratifiedGroupKFold())
    assert by_group.fit(X, Y, groups=groups).best_scores_ == tuned.best_scores_
    with pytest.raises(ValueError, match="groups"):
        by_group.fit(X, Y)


@pytest.mark.parametrize(
    "thresholds", [[], [[0.2, 0.3]], [0.2, np.nan], [2, 3.0], ["a"]]
)
def test_thresholds_that_cannot_be_are_refused(rare, thresholds):
    tuned = MultiTaskTunedThresholdClassifierCV(network(), thresholds=thresholds)
    with pytest.raises(ValueError, match="thresholds must be an integer"):
        tuned.fit(*rare)


@pytest.mark.parametrize("scoring", [{"fp": np.nan}, lambda y, p: np.nan])
def test_an_objective_without_a_number_names_the_task(rare, scoring):
    tuned = MultiTaskTunedThresholdClassifierCV(network(), scoring=scoring)
    with pytest.raises(ValueError, match=r"for task 'toxic' all \d+ scores are NaN"):
        tuned.fit(*rare)


def test_numbers_alone_are_refused(rare):
    X, _ = rare
    net = MultiTaskNet((4,), max_iter=1, random_state=0)
    with pytest.raises(ValueError, match="all tasks are numeric"):
        MultiTaskTunedThresholdClassifierCV(net).fit(X, X[:, :2])


def test_columns_of_an_earlier_fit_are_forgotten(rare):
    X, Y = rare
    named = pd.DataFrame(X, columns=list("abcd"))
    tuned = MultiTaskTunedThresholdClassifierCV(network(max_iter=1)).fit(named, Y)
    assert tuned.feature_names_in_.tolist() == list("abcd")
    assert not hasattr(tuned.fit(X, Y), "feature_names_in_")


def test_a_rare_class_is_found(rare):
    X, Y = rare
    tuned = MultiTaskTunedThresholdClassifierCV(
        network(max_iter="auto"), scoring="matthews_corrcoef"
    ).fit(X[:200], Y[:200])
    scores = [
        multitask_score("matthews_corrcoef", Y[200:], labels)
        for labels in (tuned.estimator_.predict(X[200:]), tuned.predict(X[200:]))
    ]
    assert scores[0] < scores[1]


@pytest.mark.parametrize("scoring", ["f1", {"a": "f1", "late": "balanced_accuracy"}])
def test_a_binary_task_of_which_the_rows_have_one_class(scoring):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    Y = pd.DataFrame({"a": (X[:, 0] > 0) * 1.0, "late": "no"})
    network = MultiTaskNetClassifier((8,), n_members=1, max_iter=3, random_state=0)
    tuned = MultiTaskTunedThresholdClassifierCV(network, scoring=scoring, cv=2)
    with (
        pytest.warns(UserWarning, match=r"To tune its threshold.*\['late'\]"),
        pytest.warns(UserWarning, match="one class only"),
    ):
        tuned.fit(X, Y)
    assert list(tuned.best_thresholds_) == ["a", "late"]
    assert np.isnan(tuned.best_thresholds_["late"])
    assert set(tuned.predict(X)[:, 1]) == {"no"}
