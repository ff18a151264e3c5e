"""Classes and numbers side by side, with a metric for each."""

import functools
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    log_loss,
    make_scorer,
    mean_pinball_loss,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.metrics import multitask_report, multitask_score, multitask_scorer
from skmtl.model_selection import MultiTaskStratifiedKFold

BOTH = {"class": "roc_auc_ovr", "number": "r2"}
NAMES = ["toxic", "logp", "colour", "mass"]
ARE_NUMBERS = np.array([False, True, False, True])
TYPES = dict(zip(NAMES, ["class", "number"] * 2, strict=True))
SETTINGS = {
    "hidden_layer_sizes": (20,),
    "max_iter": 20,
    "n_members": 1,
    "learning_rate_init": 0.01,
    "random_state": 0,
}


def net(**changes):
    """A small and quick network."""
    return MultiTaskNet(**(SETTINGS | changes))


def mixed_targets(X, rng):
    """Two classes, three classes of text, and two numbers; 30 % missing."""
    noise = rng.normal(size=X.shape) * 0.3
    frame = pd.DataFrame(
        {
            "toxic": (X[:, 0] > 0).astype(float),
            "logp": X[:, 1] + noise[:, 1],
            "colour": np.array(["blue", "green", "red"])[
                np.digitize(X[:, 2] + noise[:, 2], [-0.5, 0.5])
            ],
            "mass": 300 + 50 * (X[:, 0] + noise[:, 0]),
        }
    )
    return frame.mask(rng.random(frame.shape) < 0.3)


@pytest.fixture
def problem():
    """X (150, 3) and Y (150, 4)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 3))
    return X, mixed_targets(X, rng)


@pytest.fixture
def predictions(problem):
    """Y, a list with an entry per task, and a table of labels and numbers."""
    rng = np.random.default_rng(1)
    _, Y = problem
    n = len(Y)
    p = [rng.dirichlet(np.ones(k), n) for k in (2, 3)]
    logp, mass = rng.normal(size=n), rng.normal(300, 50, size=n)
    labels = np.empty((n, 4), dtype=object)
    labels[:, 0] = p[0].argmax(axis=1)
    labels[:, 1], labels[:, 3] = logp, mass
    labels[:, 2] = np.array(["blue", "green", "red"])[p[1].argmax(axis=1)]
    return Y, [p[0], logp, p[1], mass], labels


def entries(fitted, X):
    """Probabilities of classes and numbers, an entry per task."""
    numbers = fitted.predict(X)
    return [
        numbers[:, t].astype(float) if p is None else p
        for t, p in enumerate(fitted.predict_proba(X))
    ]


def separate_scores(Y, y_pred, **kwargs):
    """The scores of the classes alone and of the numbers alone, joined."""
    classes, numbers = Y[["toxic", "colour"]], Y[["logp", "mass"]]
    scores = np.empty(4)
    scores[[0, 2]] = multitask_score(
        "roc_auc_ovr", classes, [y_pred[0], y_pred[2]], average=None, **kwargs
    )
    scores[[1, 3]] = multitask_score(
        "r2", numbers, np.column_stack([y_pred[1], y_pred[3]]), average=None, **kwargs
    )
    return scores


# multitask_score ----------------------------------------------------------------------


def test_both_metrics_are_the_two_separate_scores_joined(predictions):
    Y, y_pred, _ = predictions
    expected = separate_scores(Y, y_pred)
    scores = multitask_score(BOTH, Y, y_pred, average=None)
    assert_allclose(scores, expected)
    seen = Y.notna().to_numpy()
    own = roc_auc_score(
        Y["colour"][seen[:, 2]], y_pred[2][seen[:, 2]], multi_class="ovr"
    )
    assert scores[2] == pytest.approx(own)
    assert scores[1] == pytest.approx(
        r2_score(Y["logp"][seen[:, 1]], y_pred[1][seen[:, 1]])
    )
    assert multitask_score(BOTH, Y, y_pred) == pytest.approx(expected.mean())
    weighted = multitask_score(BOTH, Y, y_pred, average="weighted")
    assert weighted == pytest.approx(np.average(expected, weights=seen.sum(axis=0)))


@pytest.mark.parametrize("by", ["rows", "labels"])
def test_weights_reach_both_metrics(predictions, by):
    Y, y_pred, _ = predictions
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.1, 2, size=len(Y) if by == "rows" else Y.shape)
    scores = multitask_score(BOTH, Y, y_pred, average=None, sample_weight=weight)
    for t, name in enumerate(NAMES):
        own = weight if by == "rows" else weight[:, t]
        metric = "r2" if ARE_NUMBERS[t] else "roc_auc_ovr"
        alone = multitask_score(metric, Y[name], y_pred[t], sample_weight=own)
        assert scores[t] == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("average", ["macro", "weighted", None])
def test_order_of_tasks_changes_nothing(predictions, average):
    Y, y_pred, _ = predictions
    expected = multitask_score(BOTH, Y, y_pred, average=average)
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        permuted = multitask_score(
            BOTH, Y.iloc[:, order], [y_pred[t] for t in order], average=average
        )
        assert_allclose(permuted, expected[order] if average is None else expected)


@pytest.mark.parametrize(
    "make", [np.array, pd.DataFrame, pl.DataFrame, np.ndarray.tolist]
)
def test_metrics_of_labels_take_a_table_or_a_list(predictions, make):
    Y, _, labels = predictions
    metric = {"class": "accuracy", "number": "r2"}
    expected = [
        multitask_score("r2" if is_number else "accuracy", Y[name], labels[:, t])
        for t, (name, is_number) in enumerate(zip(NAMES, ARE_NUMBERS, strict=True))
    ]
    if make is pl.DataFrame:
        columns = zip(NAMES, labels.T, strict=True)
        table = pl.DataFrame({name: column.tolist() for name, column in columns})
    else:
        table = make(labels)
    assert_allclose(multitask_score(metric, Y, table, average=None), expected)
    by_task = [labels[:, t].tolist() for t in range(4)]
    assert_allclose(multitask_score(metric, Y, by_task, average=None), expected)


def test_probabilities_of_two_classes_may_be_those_of_the_greater(predictions):
    Y, y_pred, _ = predictions
    expected = multitask_score(BOTH, Y, y_pred, average=None)
    short = [y_pred[0][:, 1], *y_pred[1:]]
    assert_allclose(multitask_score(BOTH, Y, short, average=None), expected)
    two = Y[["toxic", "logp"]]
    table = np.column_stack([y_pred[0][:, 1], y_pred[1]])
    found = multitask_score(BOTH, two, table, average=None)
    assert_allclose(found, expected[:2])


def test_one_key_leaves_the_other_tasks_out(predictions):
    Y, y_pred, _ = predictions
    both = multitask_score(BOTH, Y, y_pred, average=None)
    for key in BOTH:
        metric = {key: BOTH[key]}
        is_scored = ARE_NUMBERS if key == "number" else ~ARE_NUMBERS
        # What is left out need not be predicted: MultiTaskNet gives None.
        partly = [p if s else None for p, s in zip(y_pred, is_scored, strict=True)]
        scores = multitask_score(metric, Y, partly, average=None)
        assert_array_equal(scores, np.where(is_scored, both, np.nan))
        for average in ("macro", "weighted"):
            sizes = Y.notna().sum().to_numpy()[is_scored]
            weights = sizes if average == "weighted" else None
            expected = np.average(both[is_scored], weights=weights)
            found = multitask_score(metric, Y, partly, average=average)
            assert found == pytest.approx(expected)


def test_types_that_y_does_not_show_are_given(predictions):
    Y, y_pred, _ = predictions
    expected = multitask_score(BOTH, Y, y_pred, average=None)
    counts = Y.assign(
        logp=Y["logp"].mul(10).round(),
        colour=Y["colour"].map({"blue": 2, "green": 3, "red": 4}),
    )
    with pytest.raises(ValueError, match=r"\['logp', 'colour'\]. Set the type"):
        multitask_score(BOTH, counts, y_pred)
    found = multitask_score(BOTH, counts, y_pred, average=None, task_types=TYPES)
    assert_allclose(found[[0, 2, 3]], expected[[0, 2, 3]])
    array, names = counts.to_numpy(), {"task_names": NAMES}
    by_name = multitask_score(
        BOTH, array, y_pred, average=None, task_types=TYPES, **names
    )
    assert_allclose(by_name, found)
    numbered = {f"task_{t}": TYPES[name] for t, name in enumerate(NAMES)}
    by_number = multitask_score(BOTH, array, y_pred, average=None, task_types=numbered)
    assert_allclose(by_number, found)
    all_numbers = dict.fromkeys(NAMES[1::2], "number")
    counted = counts[NAMES[1::2]]
    alone = multitask_score(
        BOTH, counted, y_pred[1::2], average=None, task_types=all_numbers
    )
    assert_allclose(alone, found[1::2])


def test_classes_are_those_of_an_estimator_or_by_name(predictions):
    Y, y_pred, _ = predictions
    rows = (Y["colour"] != "red").to_numpy()
    Y, y_pred = Y[rows], [part[rows] for part in y_pred]
    metric = {"class": "neg_log_loss", "number": "r2"}
    colours = ["blue", "green", "red"]
    expected = multitask_score("neg_log_loss", Y["colour"], y_pred[2], classes=colours)
    for classes in (
        [[0, 1], None, colours, None],
        {"toxic": [0, 1], "colour": colours},
    ):
        found = multitask_score(metric, Y, y_pred, average=None, classes=classes)
        assert found[2] == pytest.approx(expected)
    with pytest.raises(ValueError, match="each of the 4 tasks of y_true; got 2"):
        multitask_score(metric, Y, y_pred, classes=[[0, 1], colours])


def test_undefined_tasks_are_named_by_metric(predictions):
    Y, y_pred, _ = predictions
    Y.loc[1:, "logp"] = np.nan
    Y.loc[0, "logp"] = 0.5
    Y["toxic"] = Y["toxic"].where(Y["toxic"] == 1)
    classes = [[0, 1], None, ["blue", "green", "red"], None]
    with pytest.warns(UndefinedMetricWarning) as record:
        scores = multitask_score(
            BOTH, Y, y_pred, average=None, classes=classes, task_types=TYPES
        )
    messages = sorted(str(warning.message) for warning in record)
    assert [message.split(" (")[0] for message in messages] == [
        "r2 is undefined for 1 of 2 tasks",
        "roc_auc_ovr is undefined for 1 of 2 tasks",
    ]
    assert all(warning.filename == __file__ for warning in record)
    assert np.isnan(scores).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "r2"}, r"r2 is a regression metric.*\['colour'\].*If only some"),
        (
            {"metric": "accuracy"},
            r"accuracy is a classification metric.*\['logp', 'mass'\]",
        ),
        ({"metric": {}}, r"keys of metric must be 'class' and 'number'.*got \[\]"),
        ({"metric": {"number": "r2", "text": "accuracy"}}, "'class' and 'number', or"),
        ({"metric": {"class": "r2"}}, r"metric\['class'\] must be .* got 'r2'"),
        ({"metric": {"number": "f1"}}, r"metric\['number'\] must be .* got 'f1'"),
        ({"average": "micro"}, "roc_auc_ovr and r2 is computed from numbers"),
        ({"multi_class": "ovo"}, "Keyword arguments must belong to a single metric"),
        ({"task_types": {"toxic": "class"}}, "must have a type for each task of y"),
        ({"task_types": dict.fromkeys(NAMES, "text")}, "'class' or 'number'; got"),
        ({"y_pred": np.ones((150, 3))}, "an entry or a column for each of the 4 tasks"),
        ({"y_pred": [np.ones((150, 2))] * 3}, "an entry or a column for each of the 4"),
    ],
)
def test_unusable_arguments_are_refused(predictions, change, message):
    Y, y_pred, _ = predictions
    arguments = {"metric": BOTH, "y_true": Y, "y_pred": y_pred} | change
    with pytest.raises(ValueError, match=message):
        multitask_score(**arguments)


def test_types_without_a_metric_are_refused(predictions):
    Y, y_pred, _ = predictions
    message = r"tasks of type 'class' must be given to score \['toxic', 'colour'\]"
    with pytest.raises(ValueError, match=message):
        multitask_score("r2", Y, y_pred, task_types=TYPES)
    with pytest.raises(ValueError, match="type 'number' must be given"):
        multitask_score({"class": "accuracy"}, Y[["logp"]], y_pred[1])


def test_polars_and_numpy_mean_the_same(predictions):
    Y, y_pred, _ = predictions
    expected = multitask_score(BOTH, Y, y_pred, average=None)
    for y_true in (pl.from_pandas(Y, nan_to_null=True), Y.astype(object).to_numpy()):
        assert_allclose(multitask_score(BOTH, y_true, y_pred, average=None), expected)


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_missing_prediction_is_an_error(predictions, wrong):
    Y, y_pred, _ = predictions
    y_pred[wrong][5] = np.nan
    with pytest.raises(ValueError, match=rf"missing predictions.*'{NAMES[wrong]}'"):
        multitask_score(BOTH, Y, y_pred)


# multitask_scorer ---------------------------------------------------------------------


def test_a_fitted_network_is_scored_by_both_metrics(problem):
    X, Y = problem
    fitted = net().fit(X, Y)
    y_pred = entries(fitted, X)
    expected = separate_scores(Y, y_pred)
    found = multitask_scorer(BOTH, per_task=True)(fitted, X, Y)
    assert list(found) == [*NAMES, "mean"]
    assert_allclose(list(found.values()), [*expected, expected.mean()])
    sizes = Y.notna().sum()
    weighted = multitask_scorer(BOTH, average="weighted")(fitted, X, Y)
    assert weighted == pytest.approx(np.average(expected, weights=sizes))
    assert_allclose(multitask_scorer(BOTH).score_tasks(fitted, X, Y), expected)


def test_accuracy_and_r2_are_the_estimators_score_and_are_predicted_once(
    problem, monkeypatch
):
    X, Y = problem
    fitted = net().fit(X, Y)
    expected = fitted.score(X, Y)
    calls = []
    predict = MultiTaskNet.predict

    def counted(self, X):
        calls.append("predict")
        return predict(self, X)

    monkeypatch.setattr(MultiTaskNet, "predict", counted)
    found = multitask_scorer({"class": "accuracy", "number": "r2"})(fitted, X, Y)
    assert found == pytest.approx(expected)
    assert calls == ["predict"]


def test_only_the_methods_that_are_needed_are_called(problem, monkeypatch):
    X, Y = problem
    fitted = net().fit(X, Y)

    def fail(self, X):
        raise AssertionError

    monkeypatch.setattr(MultiTaskNet, "predict_proba", fail)
    numbers = multitask_scorer({"number": "r2"}, per_task=True)(fitted, X, Y)
    assert list(numbers) == ["logp", "mass", "mean"]
    named = multitask_scorer("r2", tasks=["mass", "logp"])(fitted, X, Y)
    assert named == pytest.approx(numbers["mean"])


def test_types_are_those_of_fit_whatever_a_part_looks_like(problem):
    X, Y = problem
    Y["mass"] = Y["mass"].round()  # a part of it may be 0 and 1, and nothing says what
    Y["toxic"] += 1
    fitted = net(task_types=TYPES).fit(X, Y)
    scorer = multitask_scorer(BOTH)
    expected = separate_scores(Y, entries(fitted, X))
    assert_allclose(scorer.score_tasks(fitted, X, Y), expected)
    array = Y.to_numpy()  # without names
    assert_allclose(scorer.score_tasks(fitted, X, array), expected)
    with pytest.raises(ValueError, match=r"the 4 tasks of fit; got 3"):
        scorer(fitted, X, array[:, :3])
    with pytest.raises(ValueError, match="in the same order"):
        scorer(fitted, X, Y[NAMES[::-1]])


@pytest.mark.parametrize("metric", ["r2", "accuracy"])
def test_one_metric_is_not_for_both_types(problem, metric):
    X, Y = problem
    fitted = net().fit(X, Y)
    with pytest.raises(ValueError, match=rf"got only {metric}. Pass a mapping"):
        multitask_scorer(metric)(fitted, X, Y)


def equal_share(y_true, y_pred):
    return np.mean(y_true == y_pred)


def test_a_function_of_the_users_own_is_for_both_types(problem):
    X, Y = problem
    fitted = net().fit(X, Y)
    scores = multitask_scorer(equal_share).score_tasks(fitted, X, Y)
    accuracy = multitask_scorer({"class": "accuracy"}).score_tasks(fitted, X, Y)
    assert_array_equal(scores, np.where(ARE_NUMBERS, 0, accuracy))


def test_losses_of_a_mapping_have_the_right_sign(problem):
    X, Y = problem
    fitted = net().fit(X, Y)
    pinball = functools.partial(mean_pinball_loss, alpha=0.9)
    found = multitask_scorer({"class": log_loss, "number": pinball})
    scores = found.score_tasks(fitted, X, Y)
    y_pred = entries(fitted, X)
    losses = multitask_score(
        {"class": log_loss, "number": pinball}, Y, y_pred, average=None
    )
    assert (losses > 0).all()
    assert_allclose(scores, -losses)
    scorers = {
        "class": "neg_log_loss",
        "number": make_scorer(mean_pinball_loss, greater_is_better=False, alpha=0.9),
    }
    assert_allclose(multitask_scorer(scorers).score_tasks(fitted, X, Y), -losses)


def test_arguments_for_one_metric_are_refused_beside_a_mapping():
    for kwargs in ({"response_method": "predict"}, {"greater_is_better": True}):
        with pytest.raises(ValueError, match=r"belong to a single metric.*make_scorer"):
            multitask_scorer(BOTH, **kwargs)
    with pytest.raises(ValueError, match="r2 is computed from numbers"):
        multitask_scorer(BOTH, average="micro")
    with pytest.raises(TypeError, match="one task; got multitask_scorer"):
        multitask_scorer({"number": multitask_scorer("r2")})


def test_classes_alone_are_pooled(problem):
    X, Y = problem
    Y = pd.DataFrame({"a": (X[:, 0] > 0) * 1.0, "b": (X[:, 1] > 0) * 1.0})
    clf = MultiTaskNetClassifier(**SETTINGS).fit(X, Y)
    found = multitask_scorer({"class": "roc_auc"}, average="micro")(clf, X, Y)
    assert found == multitask_scorer("roc_auc", average="micro")(clf, X, Y)


def test_estimators_of_one_type_take_a_mapping(problem):
    X, Y = problem
    numbers, classes = Y[["logp", "mass"]], Y[["toxic", "colour"]]
    scorer = multitask_scorer(BOTH)
    reg = MultiTaskNetRegressor(**SETTINGS).fit(X, numbers)
    assert scorer(reg, X, numbers) == multitask_scorer("r2")(reg, X, numbers)
    clf = MultiTaskNetClassifier(**SETTINGS).fit(X, classes)
    expected = multitask_scorer("roc_auc_ovr")(clf, X, classes)
    assert scorer(clf, X, classes) == expected
    for y in (Y["logp"], Y["colour"], numbers, classes):
        one = net().fit(X, y)
        assert np.isfinite(scorer(one, X, y))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("metric", ["roc_auc", "accuracy"])
@pytest.mark.parametrize(
    "estimator",
    [
        MultiTaskNetClassifier(**SETTINGS),
        MLPClassifier(max_iter=5, random_state=0),
        RandomForestClassifier(5, random_state=0),
    ],
    ids=lambda e: type(e).__name__,
)
def test_some_tasks_of_classes(problem, metric, estimator):
    X, _ = problem
    Y = pd.DataFrame(X + np.array([0.3, 0, -0.3]) > 0, columns=list("abc")).astype(int)
    estimator.fit(X, Y)
    expected = multitask_scorer(metric).score_tasks(estimator, X, Y)
    scorer = multitask_scorer(metric, tasks=["c", "a"])
    assert scorer(estimator, X, Y) == pytest.approx(expected[[0, 2]].mean())


def test_a_class_without_labels_in_fit_is_left_out(problem):
    X, Y = problem
    with pytest.warns(UserWarning, match="no observed label"):
        fitted = net(task_types=TYPES).fit(X, Y.assign(toxic=np.nan))
    with pytest.warns(UndefinedMetricWarning, match=r"1 of 2 .*'toxic'"):
        found = multitask_scorer(BOTH, per_task=True)(fitted, X, Y)
    assert np.isnan(found["toxic"])
    rest = [found[name] for name in NAMES[1:]]
    assert found["mean"] == pytest.approx(np.mean(rest))


def test_search_over_a_pipeline_in_parallel_equals_a_loop(problem):
    X, Y = problem
    model = make_pipeline(StandardScaler(), net(max_iter=10))
    grid = {"multitasknet__hidden_layer_sizes": [(), (10,)]}
    cv = MultiTaskStratifiedKFold(3)
    search = GridSearchCV(
        model, grid, scoring=multitask_scorer(BOTH), cv=cv, n_jobs=2
    ).fit(X, Y)
    for parameters, found in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        expected = []
        for train, test in cv.split(X, Y):
            model.set_params(**parameters).fit(X[train], Y.iloc[train])
            y_pred = entries(model, X[test])
            expected.append(separate_scores(Y.iloc[test], y_pred).mean())
        assert found == pytest.approx(np.mean(expected))
    assert multitask_scorer(BOTH)(search, X, Y) == pytest.approx(
        separate_scores(Y, entries(search, X)).mean()
    )


def test_several_scorers_at_once(problem):
    X, Y = problem
    scoring = {
        "both": multitask_scorer(BOTH),
        "numbers": multitask_scorer({"number": "r2"}),
        "classes": multitask_scorer({"class": "accuracy"}),
    }
    results = cross_validate(net(), X, Y, cv=3, scoring=scoring)
    for name in scoring:
        assert np.isfinite(results[f"test_{name}"]).all()


def test_it_is_readable_and_can_be_pickled(problem):
    X, Y = problem
    fitted = net().fit(X, Y)
    scorer = multitask_scorer(BOTH, tasks=["toxic", "mass"])
    text = (
        "multitask_scorer({'class': 'roc_auc_ovr', 'number': 'r2'}, average='macro', "
        "tasks=['toxic', 'mass'])"
    )
    assert repr(scorer) == text
    assert pickle.loads(pickle.dumps(scorer))(fitted, X, Y) == scorer(fitted, X, Y)


# multitask_report ---------------------------------------------------------------------


def test_a_report_has_the_columns_of_both_types(predictions):
    Y, y_pred, _ = predictions
    report = multitask_report(Y, y_pred)
    assert report.index.tolist() == NAMES
    assert report["type"].tolist() == list(TYPES.values())
    assert report["n_labelled"].tolist() == Y.notna().sum().tolist()
    classes = multitask_report(Y[["toxic", "colour"]], [y_pred[0], y_pred[2]])
    numbers = multitask_report(
        Y[["logp", "mass"]], np.column_stack([y_pred[1], y_pred[3]])
    )
    expected = ["type", *classes.columns, *numbers.columns[1:]]
    assert report.columns.tolist() == expected
    for part in (classes, numbers):
        own = report.loc[part.index, part.columns]
        pd.testing.assert_frame_equal(own, part)
        others = report.drop(index=part.index)[part.columns[1:]]
        assert others.isna().all(axis=None)


def test_a_report_of_what_the_network_gives(problem):
    X, Y = problem
    fitted = net(n_members=3, oob_score=True).fit(X, Y)
    report = multitask_report(Y, entries(fitted, X), classes=fitted.classes_)
    scores = report["accuracy"].fillna(report["r2"])
    assert scores.mean() == pytest.approx(fitted.score(X, Y))
    known = [~np.isnan(p if p.ndim == 1 else p[:, 0]) for p in fitted.oob_prediction_]
    rows = np.all(known, axis=0)
    parts = [p[rows] for p in fitted.oob_prediction_]
    out_of_bag = multitask_report(Y[rows], parts, classes=fitted.classes_)
    assert out_of_bag["type"].tolist() == list(TYPES.values())


def test_a_report_of_a_table_needs_the_types(predictions):
    Y, y_pred, _ = predictions
    two = Y[["toxic", "logp"]]
    table = np.column_stack([y_pred[0][:, 1], y_pred[1]])
    types = {"toxic": "class", "logp": "number"}
    report = multitask_report(two, table, task_types=types)
    expected = multitask_report(two, y_pred[:2])
    pd.testing.assert_frame_equal(report, expected)
