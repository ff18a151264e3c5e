import numpy as np
import pandas as pd
import pytest
from _estimators import AtEpoch, classifier
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.model_selection import cross_val_predict as stock_cross_val_predict
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from skmtl.metrics import multitask_score
from skmtl.model_selection import MultiTaskStratifiedKFold, cross_val_predict

METHODS = ["predict", "predict_proba", "predict_log_proba"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["problem", "mixed_problem"])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_it_equals_a_hand_written_loop(method, kind, n_jobs, request):
    X, Y = request.getfixturevalue(kind)
    model = make_pipeline(StandardScaler(), classifier(max_iter=5))
    cv = MultiTaskStratifiedKFold(3, shuffle=True, random_state=0)
    predictions = cross_val_predict(model, X, Y, cv=cv, method=method, n_jobs=n_jobs)
    for train, test in cv.split(X, Y):
        expected = getattr(clone(model).fit(X[train], Y[train]), method)(X[test])
        if isinstance(expected, list):
            for ours, theirs in zip(predictions, expected, strict=True):
                assert_array_equal(ours[test], theirs)
        else:
            assert_array_equal(predictions[test], expected)


@pytest.mark.parametrize("method", [*METHODS, "decision_function"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_one_complete_task_equals_the_stock_function(method, n_classes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.array(["a", "b", "c"])[rng.integers(n_classes, size=60)]
    cv = StratifiedKFold(3)
    options = {"cv": cv, "method": method}
    ours = cross_val_predict(LogisticRegression(), X, y, **options)
    stock = stock_cross_val_predict(LogisticRegression(), X, y, **options)
    if method == "predict":
        assert_array_equal(ours, stock)
    else:
        assert_allclose(ours, stock)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(5, random_state=0),
        KNeighborsClassifier(),
        MultiOutputClassifier(LogisticRegression()),
        MLPClassifier(max_iter=5, random_state=0),
    ],
    ids=lambda e: type(e).__name__,
)
def test_other_estimators_keep_their_form(estimator):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = (X + rng.normal(size=X.shape) > 0).astype(int)
    cv = MultiTaskStratifiedKFold(3)
    p = cross_val_predict(estimator, X, Y, cv=cv, method="predict_proba")
    for train, test in cv.split(X, Y):
        expected = clone(estimator).fit(X[train], Y[train]).predict_proba(X[test])
        assert isinstance(p, list) == isinstance(expected, list)
        if isinstance(p, list):
            for ours, theirs in zip(p, expected, strict=True):
                assert_array_equal(ours[test], theirs)
        else:
            assert_array_equal(p[test], expected)


def test_a_class_that_a_fold_lacks_has_probability_zero():
    X = np.random.default_rng(0).normal(size=(30, 2))
    Y = pd.DataFrame({"a": ["x", "y"] * 15, "b": ["u", "v"] * 15})
    Y.loc[0, "a"] = "rare"
    test = np.array([0, *range(1, 15)])
    cv = [(np.arange(15, 30), test), (test, np.arange(15, 30))]
    p, _ = cross_val_predict(classifier(), X, Y, cv=cv, method="predict_proba")
    assert p.shape == (30, 3)
    assert_allclose(p.sum(axis=1), 1)
    assert (p[:15, 0] == 0).all()
    assert (p[15:, 0] > 0).all()
    log_p, _ = cross_val_predict(classifier(), X, Y, cv=cv, method="predict_log_proba")
    assert np.isneginf(log_p[:15, 0]).all()
    assert_allclose(np.exp(log_p), p)


def test_a_fold_with_one_class_fits_into_the_table_of_the_others():
    X = np.random.default_rng(0).normal(size=(20, 2))
    Y = np.array([["no", "no"], ["yes", "yes"]] * 10, dtype=object)
    Y[:10, 1] = "no"
    cv = [(np.arange(10, 20), np.arange(10)), (np.arange(10), np.arange(10, 20))]
    with pytest.warns(UserWarning, match=r"one class only.*'task_1', 'no'"):
        p = cross_val_predict(classifier(), X, Y, cv=cv, method="predict_proba")
    assert p.shape == (20, 2)
    assert (p[10:, 1] == 0).all()
    assert (p[:10, 1] > 0).all()


@pytest.mark.parametrize(
    "labels", [(0, 1), (1, 2), (1, 2, 3), ("u", "v"), ("u", "v", "w")], ids=str
)
def test_a_fold_without_labels_of_a_task_knows_its_classes(labels):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 2))
    y = np.array(labels, dtype=object)[rng.integers(len(labels), size=(30, 2))]
    y[:15, 1] = None
    is_number = isinstance(labels[0], int)
    y = np.where(np.equal(y, None), np.nan, y).astype(float) if is_number else y
    cv = [(np.arange(15), np.arange(15, 30)), (np.arange(15, 30), np.arange(15))]
    found = {}
    for method in METHODS:
        with pytest.warns(UserWarning, match=r"no observed label .*\['task_1'\]"):
            found[method] = cross_val_predict(classifier(), X, y, cv=cv, method=method)
    predicted = found["predict"]
    assert set(predicted.ravel()) <= set(labels)
    assert set(predicted[15:, 1]) == {labels[0]}
    alone = classifier().fit(X[15:], y[15:]).predict(X[:15])
    assert_array_equal(predicted[:15], alone)
    assert 0 <= multitask_score("accuracy", y, predicted) <= 1
    p, log_p = found["predict_proba"], found["predict_log_proba"]
    of_task, log_of_task = (
        (p[:, 1], log_p[:, 1]) if len(labels) == 2 else (p[1], log_p[1])
    )
    assert_allclose(of_task[15:], 1 / len(labels))
    assert not np.isclose(of_task[:15], 1 / len(labels)).all()
    assert_allclose(np.exp(log_of_task), of_task, rtol=1e-6)


def test_labels_are_never_turned_into_numbers(mixed_problem):
    X, Y = mixed_problem
    predicted = cross_val_predict(classifier(max_iter=3), X, Y, cv=3)
    assert set(predicted[:, 0]) <= {"a", "b", "c"}
    assert {type(v) for v in predicted[:, 1]} == {bool}


def test_the_stock_function_makes_nan_a_class(problem):
    # The trap that this function is there for.
    X, Y = problem
    stock = stock_cross_val_predict(
        classifier(max_iter=2),
        X,
        Y,
        cv=MultiTaskStratifiedKFold(3),
        method="predict_proba",
    )
    assert [p.shape for p in stock] == [(60, 3)] * 3
    ours = cross_val_predict(classifier(max_iter=2), X, Y, cv=3, method="predict_proba")
    assert ours.shape == (60, 3)


def test_parameters_of_fit_are_split_with_the_rows(problem):
    X, Y = problem
    weight = np.random.default_rng(0).uniform(0.1, 5, size=len(X))
    cv = MultiTaskStratifiedKFold(2)
    p = cross_val_predict(
        classifier(),
        X,
        Y,
        cv=cv,
        method="predict_proba",
        params={"sample_weight": weight},
    )
    for train, test in cv.split(X, Y):
        clf = classifier().fit(X[train], Y[train], sample_weight=weight[train])
        assert_array_equal(p[test], clf.predict_proba(X[test]))


@pytest.mark.parametrize(
    "estimator",
    [RandomForestClassifier(5, random_state=0), LogisticRegression(), classifier()],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_a_single_task_in_two_axes_has_the_estimators_form(estimator):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    y = (X[:, [0]] > 0).astype(int)
    p = cross_val_predict(estimator, X, y, cv=4, method="predict_proba")
    expected = clone(estimator).fit(X, y).predict_proba(X)
    assert p.shape == expected.shape


def test_folds_whose_decision_values_differ_in_form_are_refused():
    X = np.random.default_rng(0).normal(size=(20, 2))
    y = np.array([0, 1] * 9 + [2, 2])
    cv = [(np.arange(10), np.arange(10, 20)), (np.arange(10, 20), np.arange(10))]
    options = {"cv": cv, "method": "decision_function"}
    with pytest.raises(ValueError, match="same shape in all folds"):
        cross_val_predict(LogisticRegression(), X, y, **options)


def test_decision_values_of_pairs_of_classes():
    X = np.random.default_rng(0).normal(size=(40, 2))
    y = np.arange(40) % 4
    svc = SVC(decision_function_shape="ovo")
    options = {"cv": StratifiedKFold(2), "method": "decision_function"}
    values = cross_val_predict(svc, X, y, **options)
    assert_allclose(values, stock_cross_val_predict(svc, X, y, **options))


def test_input_is_made_indexable_and_its_length_checked(problem):
    X, Y = problem
    coo = sparse.coo_array(X)
    clf = classifier(input_encoding="none")
    p = cross_val_predict(clf, coo, Y, cv=np.int64(3), method="predict_proba")
    dense = cross_val_predict(clf, X, Y, cv=3, method="predict_proba")
    assert_allclose(p, dense, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="inconsistent"):
        cross_val_predict(classifier(), X[:-1], Y)


def test_decision_values_and_frames():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    Y = pd.DataFrame((X.to_numpy() > 0).astype(int), columns=list("uvw"))
    y = Y["u"]
    values = cross_val_predict(LinearSVC(), X, y, cv=3, method="decision_function")
    assert values.shape == (60,)
    assert ((values > 0) == (y == 1)).mean() > 0.9
    p = cross_val_predict(classifier(), X, Y, cv=3, method="predict_proba")
    assert p.shape == (60, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "transform"}, "method must be 'predict' or one of"),
        ({"cv": [(np.arange(30, 60), np.arange(30))]}, "a test row exactly once"),
        ({"cv": [(np.arange(60), np.arange(60))] * 2}, "120 test rows, 60 of them"),
        ({"y": None}, "y is None"),
    ],
)
def test_unusable_arguments_are_refused(problem, change, message):
    X, Y = problem
    arguments = {"X": X, "y": Y} | change
    with pytest.raises(ValueError, match=message):
        cross_val_predict(classifier(), **arguments)


def test_an_interrupt_ends_it(problem):
    """A network that was cut short would predict as if it were whole."""

    def interrupt():
        raise KeyboardInterrupt

    clf = classifier(max_iter=6).set_callbacks(AtEpoch(3, interrupt))
    with pytest.raises(KeyboardInterrupt):
        cross_val_predict(clf, *problem)
