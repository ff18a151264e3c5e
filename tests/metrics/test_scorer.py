import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from _estimators import classifier
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.callback import ScoringMonitor
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import (
    ConvergenceWarning,
    UndefinedMetricWarning,
    UnsetMetadataPassedError,
)
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    brier_score_loss,
    hamming_loss,
    log_loss,
    make_scorer,
    roc_auc_score,
    zero_one_loss,
)
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    PredefinedSplit,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skmtl.metrics import multitask_score, multitask_scorer
from skmtl.model_selection import MultiTaskStratifiedKFold


@pytest.fixture
def complete():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    Y = (X[:, :3] + rng.normal(size=(120, 3)) > 0).astype(int)
    return X, Y


def holes_of(Y, missing=0.4):
    return np.where(np.random.default_rng(1).random(Y.shape) < missing, np.nan, Y)


ESTIMATORS = {
    "ours": classifier(),
    "pipeline": make_pipeline(StandardScaler(), classifier()),
    "forest": RandomForestClassifier(10, random_state=0),
    "MultiOutputClassifier": MultiOutputClassifier(LogisticRegression()),
    "ClassifierChain": ClassifierChain(LogisticRegression()),
    "MLPClassifier": MLPClassifier(max_iter=20, random_state=0),
    "search": GridSearchCV(
        RandomForestClassifier(5, random_state=0), {"max_depth": [2, 3]}, cv=2
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS.keys())
@pytest.mark.parametrize(
    "name", ["roc_auc", "neg_log_loss", "average_precision", "accuracy", "f1"]
)
def test_any_estimator_is_scored_on_the_observed_labels(complete, estimator, name):
    X, Y = complete
    estimator = copy.deepcopy(estimator).fit(X[:80], Y[:80])
    Y_test = holes_of(Y[80:])
    if name in ("accuracy", "f1"):
        y_pred = estimator.predict(X[80:])
    elif name != "neg_log_loss" and hasattr(estimator, "decision_function"):
        y_pred = estimator.decision_function(X[80:])
    else:
        y_pred = estimator.predict_proba(X[80:])
    expected = multitask_score(name, Y_test, y_pred)
    score = multitask_scorer(name)(estimator, X[80:], Y_test)
    assert score == pytest.approx(expected)


def test_search_equals_a_hand_written_loop(complete):
    X, Y = complete
    Y = pd.DataFrame(holes_of(Y), columns=list("abc"))
    grid = {"hidden_layer_sizes": [(), (10,)]}
    cv = MultiTaskStratifiedKFold(3)
    search = GridSearchCV(
        classifier(), grid, cv=cv, scoring=multitask_scorer("roc_auc")
    ).fit(X, Y)
    for sizes, found in zip(
        grid["hidden_layer_sizes"], search.cv_results_["mean_test_score"], strict=True
    ):
        aucs = []
        for train, test in cv.split(X, Y):
            clf = classifier(hidden_layer_sizes=sizes).fit(X[train], Y.iloc[train])
            p = clf.predict_proba(X[test])
            for j, task in enumerate(Y):
                y = Y[task].iloc[test]
                aucs.append(roc_auc_score(y.dropna(), p[y.notna(), j]))
        assert found == pytest.approx(np.mean(aucs))


def test_a_forests_search_on_complete_labels_equals_a_hand_written_loop(complete):
    X, Y = complete
    cv = MultiTaskStratifiedKFold(3)
    forest = RandomForestClassifier(10, random_state=0)
    scores = cross_val_score(forest, X, Y, cv=cv, scoring=multitask_scorer("roc_auc"))
    expected = []
    for train, test in cv.split(X, Y):
        p = forest.fit(X[train], Y[train]).predict_proba(X[test])
        expected.append(
            np.mean([roc_auc_score(Y[test, j], p[j][:, 1]) for j in range(3)])
        )
    assert_allclose(scores, expected)


def test_one_task_equals_the_stock_scorer(complete):
    X, Y = complete
    for name in ("roc_auc", "neg_log_loss", "neg_brier_score", "f1", "roc_auc_ovr"):
        options = {"cv": StratifiedKFold(3)}
        ours = cross_val_score(
            LogisticRegression(), X, Y[:, 0], scoring=multitask_scorer(name), **options
        )
        stock = cross_val_score(
            LogisticRegression(), X, Y[:, 0], scoring=name, **options
        )
        assert_allclose(ours, stock)


def test_losses_have_the_right_sign(complete):
    X, Y = complete
    clf = classifier().fit(X, Y)
    p = clf.predict_proba(X)
    expected = -multitask_score(log_loss, Y, p)
    assert expected < 0
    for metric in ("neg_log_loss", log_loss):
        assert multitask_scorer(metric)(clf, X, Y) == pytest.approx(expected)
    assert multitask_scorer(brier_score_loss)(clf, X, Y) < 0
    assert multitask_scorer(roc_auc_score)(clf, X, Y) > 0
    custom = make_scorer(
        brier_score_loss, greater_is_better=False, response_method="predict_proba"
    )
    assert multitask_scorer(custom)(clf, X, Y) == multitask_scorer("neg_brier_score")(
        clf, X, Y
    )


def share_right(y_true, y_pred):
    return float(np.mean(y_true == (y_pred > 0.5)))


def test_functions_that_scikit_learn_does_not_know(complete):
    X, Y = complete
    clf = classifier().fit(X, Y)
    labels = multitask_scorer(share_right)(clf, X, Y)
    p = multitask_scorer(share_right, response_method="predict_proba")(clf, X, Y)
    assert labels == p == clf.score(X, Y)
    loss = multitask_scorer(share_right, greater_is_better=False)(clf, X, Y)
    assert loss == -labels
    with pytest.raises(ValueError, match="which has a sign"):
        multitask_scorer("roc_auc", greater_is_better=True)


def test_losses_without_a_stock_scorer_are_known_by_their_name(complete):
    X, Y = complete
    clf = classifier().fit(X, Y)
    accuracy = multitask_scorer("accuracy")(clf, X, Y)
    for loss in (zero_one_loss, hamming_loss):
        assert multitask_scorer(loss)(clf, X, Y) == pytest.approx(accuracy - 1)


def test_a_function_takes_the_responses_of_its_plain_scorer(complete):
    X, Y = complete
    chain = ClassifierChain(LinearSVC()).fit(X, Y)
    expected = multitask_score("roc_auc", Y, chain.decision_function(X))
    for metric in ("roc_auc", roc_auc_score):
        assert multitask_scorer(metric)(chain, X, Y) == pytest.approx(expected)


@pytest.mark.parametrize(
    "estimator",
    [classifier(), RandomForestClassifier(10, random_state=0), LogisticRegression()],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.filterwarnings("ignore:A column-vector y")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_a_single_task_in_two_axes(complete, estimator):
    X, Y = complete
    y = Y[:, [0]]
    two_axes = copy.deepcopy(estimator).fit(X, y)
    one_axis = copy.deepcopy(estimator).fit(X, y[:, 0])
    for name in ("roc_auc", "neg_log_loss", "accuracy"):
        expected = multitask_scorer(name)(one_axis, X, y[:, 0])
        assert multitask_scorer(name)(two_axes, X, y) == pytest.approx(expected)


def test_a_constant_task_is_undefined_and_the_others_are_scored(complete):
    X, Y = complete
    frame = pd.DataFrame({"same": "a", "other": np.where(Y[:, 0] > 0, "y", "n")})
    with pytest.warns(UserWarning, match=r"one class only.*'same', 'a'"):
        clf = classifier().fit(X, frame)
    for name in ("neg_log_loss", "neg_brier_score", "roc_auc"):
        with pytest.warns(UndefinedMetricWarning, match="'same'"):
            score = multitask_scorer(name)(clf, X, frame)
        p = clf.predict_proba(X)[1]
        assert score == pytest.approx(multitask_score(name, frame["other"], p))
    assert 0 < multitask_scorer("accuracy")(clf, X, frame) <= 1


def test_a_class_that_the_training_rows_of_a_fold_lack_is_named(complete):
    X = complete[0][:60]
    frame = pd.DataFrame({"a": ["x", "y"] * 29 + ["x", "z"], "b": ["u", "v"] * 30})
    folds = PredefinedSplit(np.r_[np.arange(59) // 2 % 2, 0])
    scoring = multitask_scorer("neg_log_loss", per_task=True)
    with pytest.warns(UserWarning, match=r"\('a', \['z'\]\)") as caught:
        cross_validate(classifier(max_iter=1), X, frame, cv=folds, scoring=scoring)
    assert len(caught) == 1
    declared = frame.astype({"a": pd.CategoricalDtype(["x", "y", "z"])})
    with pytest.warns(UserWarning, match="categories without a row"):
        scores = cross_validate(
            classifier(max_iter=1), X, declared, cv=folds, scoring=scoring
        )
    assert scores["test_a"].min() > -3


def test_a_task_named_mean_is_refused_beside_the_mean(complete):
    X, Y = complete
    Y = pd.DataFrame(Y, columns=["mean", "b", "c"])
    clf = classifier().fit(X, Y)
    assert multitask_scorer("accuracy")(clf, X, Y) > 0
    with pytest.raises(ValueError, match="be named 'mean'"):
        multitask_scorer("accuracy", per_task=True)(clf, X, Y)


def test_averages_are_checked_at_once():
    for average in ("median", None):
        with pytest.raises(ValueError, match="average must be one of"):
            multitask_scorer("roc_auc", average=average)


def test_per_task_scores_serve_a_search_over_several_metrics(complete):
    X, Y = complete
    Y = pd.DataFrame(holes_of(Y), columns=["a", "b", "c"])
    scorer = multitask_scorer("roc_auc", per_task=True)
    options = {"cv": MultiTaskStratifiedKFold(3)}
    search = GridSearchCV(
        classifier(), {"alpha": [0.1, 1]}, scoring=scorer, refit="mean", **options
    ).fit(X, Y)
    by_task = [search.cv_results_[f"mean_test_{task}"] for task in "abc"]
    assert_allclose(np.mean(by_task, axis=0), search.cv_results_["mean_test_mean"])
    results = cross_validate(classifier(), X, Y, scoring=scorer, **options)
    assert {"test_a", "test_b", "test_c", "test_mean"} <= set(results)
    micro = multitask_scorer("roc_auc", average="micro", per_task=True)
    clf = classifier().fit(X, Y)
    pooled = multitask_scorer("roc_auc", average="micro")(clf, X, Y)
    assert micro(clf, X, Y)["mean"] == pooled


def test_learning_curve_and_permutation_importance(complete):
    X, Y = complete
    Y = holes_of(Y)
    scorer = multitask_scorer("roc_auc")
    cv, train_sizes = MultiTaskStratifiedKFold(3), [0.5, 1.0]
    _, _, scores = learning_curve(
        classifier(), X, Y, cv=cv, scoring=scorer, train_sizes=train_sizes
    )
    assert np.isfinite(scores[-1]).all()
    clf = classifier(max_iter=60, learning_rate_init=0.01).fit(X, Y)
    importance = permutation_importance(clf, X, Y, scoring=scorer, random_state=0)
    means = importance.importances_mean
    assert means[:3].min() > means[3]


@pytest.mark.parametrize("as_dict", [False, True])
def test_scoring_monitor_takes_it(complete, as_dict):
    X, Y = complete
    Y = holes_of(Y)
    scorer = multitask_scorer("roc_auc")
    monitor = ScoringMonitor(scoring={"roc_auc": scorer} if as_dict else scorer)
    with pytest.warns(ConvergenceWarning):
        classifier(max_iter=3, learning_rate="constant").set_callbacks(monitor).fit(
            X, Y
        )
    scores = [
        r["roc_auc" if as_dict else "score"]
        for r in monitor.get_logs().data
        if r["task_name"] == "epoch"
    ]
    assert len(scores) == 3
    assert all(0 < score < 1 for score in scores)


def test_weights_reach_the_metric(complete):
    X, Y = complete
    clf = classifier().fit(X, Y)
    weight = np.random.default_rng(0).uniform(size=Y.shape).astype(np.float32)
    expected = multitask_score("roc_auc", Y, clf.predict_proba(X), sample_weight=weight)
    assert multitask_scorer("roc_auc")(clf, X, Y, sample_weight=weight) == expected


def test_weights_are_routed_to_it_on_request(complete):
    X, Y = complete
    weight = np.random.default_rng(0).uniform(0.1, 5, size=len(X)).astype(np.float32)
    cv = MultiTaskStratifiedKFold(2)
    weighted, unweighted = [], []
    for train, test in cv.split(X, Y):
        clf = classifier().fit(X[train], Y[train], sample_weight=weight[train])
        p = clf.predict_proba(X[test])
        for scores, w in ((weighted, weight[test]), (unweighted, None)):
            scores.append(multitask_score("roc_auc", Y[test], p, sample_weight=w))
    with config_context(enable_metadata_routing=True):
        clf = classifier().set_fit_request(sample_weight=True)
        options = {"cv": cv, "params": {"sample_weight": weight}}
        for request, expected in ((True, weighted), (False, unweighted)):
            scorer = multitask_scorer("roc_auc").set_score_request(
                sample_weight=request
            )
            scores = cross_val_score(clf, X, Y, scoring=scorer, **options)
            assert_allclose(scores, expected)
        silent = multitask_scorer("roc_auc")
        with pytest.raises(UnsetMetadataPassedError):
            cross_val_score(clf, X, Y, scoring=silent, **options)


def test_it_is_readable_and_can_be_pickled(complete):
    X, Y = complete
    clf = classifier().fit(X, Y)
    for scorer, text in [
        (multitask_scorer("roc_auc"), "multitask_scorer('roc_auc', average='macro')"),
        (
            multitask_scorer(log_loss, average="weighted", per_task=True),
            "multitask_scorer('log_loss', average='weighted', per_task=True)",
        ),
        (
            multitask_scorer("balanced_accuracy", adjusted=True),
            "multitask_scorer('balanced_accuracy', average='macro', adjusted=True)",
        ),
    ]:
        assert repr(scorer) == text
        twin = pickle.loads(pickle.dumps(scorer))
        assert twin(clf, X, Y) == scorer(clf, X, Y)


def test_parallel_search(complete):
    X, Y = complete
    search = GridSearchCV(
        classifier(),
        {"alpha": [0.1, 1]},
        scoring=multitask_scorer("roc_auc"),
        cv=MultiTaskStratifiedKFold(2),
        n_jobs=2,
    ).fit(X, holes_of(Y))
    assert np.isfinite(search.best_score_)


def test_an_estimator_without_the_method_is_refused(complete):
    from sklearn.linear_model import Perceptron

    X, Y = complete
    perceptron = MultiOutputClassifier(Perceptron()).fit(X, Y)
    with pytest.raises(AttributeError, match=r"one of the methods \['predict_proba'\]"):
        multitask_scorer("neg_log_loss")(perceptron, X, Y)


@pytest.mark.parametrize("wrap", [lambda clf: clf, lambda clf: make_pipeline(clf)])
def test_labels_in_another_order_are_refused(complete, wrap):
    X, Y = complete
    frame = pd.DataFrame(holes_of(Y)).rename(columns="t{}".format)
    model = wrap(classifier()).fit(X, frame)
    search = GridSearchCV(model, {}, cv=KFold(3), scoring=multitask_scorer("roc_auc"))
    search.fit(X, frame)
    for estimator in (model, search):
        multitask_scorer("roc_auc")(estimator, X, frame)
        with pytest.raises(ValueError, match="same tasks as in fit, in the same order"):
            multitask_scorer("roc_auc")(estimator, X, frame[frame.columns[::-1]])


CODINGS = {
    "0, 1": lambda y: y,
    "1, 2": lambda y: y + 1,
    "-1, 1": lambda y: 2 * y - 1,
    "text": lambda y: pd.DataFrame(y).apply(lambda c: c.map({0: "no", 1: "yes"})),
    "category": lambda y: CODINGS["text"](y).astype("category"),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_task_that_fit_had_no_labels_of_is_left_out(complete, coding):
    """However its labels are coded, of which the estimator could know nothing."""
    X, Y = complete
    Y = holes_of(Y)
    y = CODINGS[coding](Y)
    fitted_on = Y.copy()
    fitted_on[:, 1] = np.nan
    with pytest.warns(UserWarning, match="no observed label"):
        clf = classifier().fit(X, CODINGS[coding](fitted_on))
    with pytest.warns(UndefinedMetricWarning, match=r"\['(task_)?1'\]. They are left"):
        accuracy = clf.score(X, y)
    p = clf.predict_proba(X)
    for name in ("accuracy", "neg_log_loss", "roc_auc", "f1_macro"):
        with pytest.warns(UndefinedMetricWarning, match=r"1 of . tasks .*or in fit"):
            found = multitask_scorer(name, per_task=True)(clf, X, y)
        scores = list(found.values())
        assert np.isnan(scores).tolist() == [t == 1 for t in range(len(scores))]
        if name == "accuracy":
            assert found["mean"] == pytest.approx(accuracy)
        if name == "roc_auc":
            observed = ~np.isnan(Y[:, 0])
            auc = roc_auc_score(Y[observed, 0], p[observed, 0])
            assert scores[0] == pytest.approx(auc)


@pytest.mark.parametrize("per_task", [False, True])
def test_a_scorer_of_a_scorer_is_refused(complete, per_task):
    scorer = multitask_scorer("roc_auc", average="weighted", per_task=per_task)
    with pytest.raises(TypeError, match=r"one task; got multitask_scorer\('roc_auc'"):
        multitask_scorer(scorer)
    with pytest.raises(TypeError, match="Pass the name or the function of its metric"):
        multitask_score(scorer, complete[1], complete[1])


def test_scoring_monitor_logs_each_task(complete):
    X, Y = complete
    monitor = ScoringMonitor(scoring=multitask_scorer("roc_auc", per_task=True))
    clf = classifier(max_iter=2).set_callbacks(monitor).fit(X, Y)
    logs = [r for r in monitor.get_logs().data if r["task_name"] == "epoch"]
    expected = multitask_scorer("roc_auc", per_task=True)(clf, X, Y)
    assert {name: logs[-1][name] for name in expected} == pytest.approx(expected)


def test_names_are_compared_where_both_have_some(complete):
    X, Y = complete
    scorer = multitask_scorer("accuracy")
    clf = classifier().fit(X, Y).drop_tasks("task_0")
    clf.add_tasks(X, pd.Series(Y[:, 0], name="task_0"))
    assert clf.task_names_.tolist() == ["task_1", "task_2", "task_0"]
    y = Y[:, [1, 2, 0]]
    assert scorer(clf, X, y) == clf.score(X, y)  # an array has no names
    named = classifier().fit(X, pd.DataFrame(Y, columns=["a", "b", "c"]))
    for columns in (["b", "a", "c"], ["b", "a", "x"]):
        with pytest.raises(ValueError, match="in the same order"):
            scorer(named, X, pd.DataFrame(Y, columns=columns))


def test_estimators_of_others_may_have_what_ours_has(complete):
    """Names of tasks, or steps that are a number."""
    X, Y = complete

    class Boosted(MLPClassifier):
        steps = 3
        task_names_ = ("a",)

    scorer = multitask_scorer("accuracy")
    model = Boosted(max_iter=3, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, Y)
    assert scorer(model, X, Y) == multitask_score("accuracy", Y, model.predict(X))


def test_routing_must_be_enabled_to_ask_for_weights():
    with pytest.raises(RuntimeError, match="metadata routing, but it is not"):
        multitask_scorer("roc_auc").set_score_request(sample_weight=True)
