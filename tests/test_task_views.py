import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

import skmtl
from skmtl import (
    MultiTaskNet,
    MultiTaskNetClassifier,
    MultiTaskNetRegressor,
    observed_rows,
    task_view,
    task_views,
)
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import MultiTaskTunedThresholdClassifierCV

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
BINARY = (X[:, :3] + RNG.normal(size=(90, 3)) > 0).astype(int)
NUMBERS = 5 * X[:, :3] + RNG.normal(size=(90, 3))
# A table of three classes, of text and of numbers, a third of it missing.
TABLE = pd.DataFrame(
    {
        "level": np.digitize(X[:, 0], [-0.5, 0.5]) + 5.0,
        "side": np.where(X[:, 1] > 0, "left", "right"),
        "dose": NUMBERS[:, 2],
    }
).mask(RNG.random((90, 3)) < 1 / 3)
TYPES = {"level": "class", "side": "class", "dose": "number"}
SETTINGS = {"n_members": 1, "max_iter": 3, "random_state": 0}


def net(**settings):
    return MultiTaskNetClassifier(
        **({"hidden_layer_sizes": (8,)} | SETTINGS | settings)
    )


@pytest.fixture(scope="module")
def mixed():
    """Classes and numbers with deviations."""
    net = MultiTaskNet((8,), task_types=TYPES, loss="gaussian", **SETTINGS)
    return net.fit(X, TABLE)


def masked(y):
    return np.where(np.random.default_rng(1).random(y.shape) < 1 / 3, np.nan, y)


# Every form in which estimators predict -----------------------------------------------

CLASSIFIERS = [
    (net(), masked(BINARY)),  # a column per task
    (net(), TABLE[["level", "side"]]),  # a list with an array per task
    (RandomForestClassifier(5, random_state=0), BINARY),
    (DecisionTreeClassifier(max_depth=3), np.column_stack([BINARY[:, 0] * 2, BINARY])),
    (KNeighborsClassifier(), np.where(BINARY, "yes", "no")),
    (DummyClassifier(), BINARY),
    (MultiOutputClassifier(LogisticRegression()), BINARY.sum(1)[:, None] - BINARY),
    (MultiOutputClassifier(RidgeClassifier()), BINARY),
    (ClassifierChain(LogisticRegression()), BINARY),
    (OneVsRestClassifier(LogisticRegression()), BINARY),
    (OneVsRestClassifier(LogisticRegression()), sparse.csr_array(BINARY)),
    (RidgeClassifier(), BINARY),
    (MLPClassifier((4,), solver="lbfgs", alpha=10, random_state=0), BINARY),
]


@pytest.mark.parametrize(
    ("clf", "y"), CLASSIFIERS, ids=lambda value: type(value).__name__
)
def test_a_view_of_classes_predicts_what_the_estimator_does(clf, y):
    predicted = clf.fit(X, y).predict(X)
    predicted = predicted.toarray() if sparse.issparse(predicted) else predicted
    views = task_views(clf)
    assert len(views) == y.shape[1]
    for t, view in enumerate(views.values()):
        assert is_classifier(view)
        labels = view.predict(X)
        assert_array_equal(labels, predicted[:, t])
        assert labels.dtype == view.classes_.dtype
        assert hasattr(view, "predict_proba") == hasattr(clf, "predict_proba")
        if hasattr(view, "predict_proba"):
            p = view.predict_proba(X)
            assert p.shape == (90, len(view.classes_))
            assert_allclose(p.sum(axis=1), 1)
            assert_array_equal(view.classes_[p.argmax(axis=1)], labels)
            assert_allclose(np.exp(view.predict_log_proba(X)), p, atol=1e-12)
        assert hasattr(view, "decision_function") == hasattr(clf, "decision_function")
        if hasattr(view, "decision_function"):
            is_positive = view.decision_function(X) > 0
            assert_array_equal(is_positive, labels == view.classes_[1])


REGRESSORS = [
    MultiTaskNetRegressor((8,), **SETTINGS),
    RandomForestRegressor(3, random_state=0),
    LinearRegression(),
    MultiOutputRegressor(LinearRegression()),
    RegressorChain(LinearRegression()),
]


@pytest.mark.parametrize("reg", REGRESSORS, ids=lambda reg: type(reg).__name__)
def test_a_view_of_numbers_predicts_what_the_estimator_does(reg):
    predicted = reg.fit(X, NUMBERS).predict(X)
    views = task_views(reg)
    assert list(views) == ["task_0", "task_1", "task_2"]
    for t, view in enumerate(views.values()):
        assert is_regressor(view)
        assert_array_equal(view.predict(X), predicted[:, t])
        assert_allclose(
            view.score(X, NUMBERS[:, t]), r2_score(NUMBERS[:, t], predicted[:, t])
        )
        assert not hasattr(view, "predict_proba")
        assert not hasattr(view, "classes_")


def test_classes_and_numbers_of_one_network_are_viewed_as_what_they_are(mixed):
    level, side, dose = task_views(mixed).values()
    assert_array_equal(level.classes_, [5, 6, 7])
    assert_array_equal(side.classes_, ["left", "right"])
    for t, view in enumerate((level, side)):
        assert_array_equal(view.predict_proba(X), mixed.predict_proba(X)[t])
        assert view.predict(X).dtype == view.classes_.dtype
    assert is_regressor(dose)
    assert not hasattr(dose, "predict_proba")  # which the network has
    numbers, std = dose.predict(X, return_std=True)
    assert numbers.dtype == std.dtype == np.float64
    assert_array_equal(numbers, dose.predict(X))
    assert_array_equal(std, mixed.predict(X, return_std=True)[1][:, 2])


@pytest.mark.filterwarnings("ignore:1 of 1 tasks have labels of one class")
@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (net(), masked(BINARY[:, 0])),
        (net(), masked(BINARY[:, :1])),
        (net(), BINARY.sum(axis=1)),
        (net(), BINARY.sum(axis=1)[:, None]),
        (net(), np.ones(90)),  # one class
        (MultiTaskNetRegressor((8,), **SETTINGS), NUMBERS[:, 0]),
        (MultiTaskNet((8,), **SETTINGS), NUMBERS[:, :1]),
        (LogisticRegression(), BINARY.sum(axis=1)),
        (LogisticRegression(), BINARY[:, 0]),
    ],
)
def test_the_only_task_has_a_view_too(estimator, y):
    (view,) = task_views(estimator.fit(X, y)).values()
    assert_array_equal(view.predict(X), np.ravel(estimator.predict(X)))
    if is_classifier(view):
        assert_array_equal(view.classes_, np.unique(y[~np.isnan(y)]))
        assert view.predict_proba(X).shape == (90, len(view.classes_))
    with pytest.raises(ValueError, match="must be the name of a task"):
        task_view(estimator, 1)


def test_log_probabilities_are_finite_where_the_probability_is_rounded_to_0():
    clf = net(input_encoding="none", hidden_layer_sizes=(), max_iter=60)
    view = task_view(clf.fit(X, BINARY), 0)
    far = np.array([[1000.0, 0, 0, 0], [-1000.0, 0, 0, 0]])
    log_p = view.predict_log_proba(far)
    assert np.isfinite(log_p).all()
    assert (log_p.min(axis=1) < np.log(np.finfo(float).eps)).all()
    assert_array_equal(log_p.argmax(axis=1), clf.predict(far)[:, 0])


def test_several_deviations_of_another_estimator_are_split():
    reg = GaussianProcessRegressor(alpha=0.1).fit(X, NUMBERS)
    mean, std = task_view(reg, 1).predict(X[:5], return_std=True)
    assert_array_equal(mean, reg.predict(X[:5])[:, 1])
    assert_array_equal(std, reg.predict(X[:5], return_std=True)[1][:, 1])


# Around the estimator -----------------------------------------------------------------


def searched(estimator):
    grid = {"standardscaler__with_mean": [True]}
    pipeline = make_pipeline(StandardScaler(), estimator)
    return GridSearchCV(pipeline, grid, cv=KFold(2))


@pytest.mark.parametrize(
    "around",
    [
        lambda clf: make_pipeline(StandardScaler(), clf),
        searched,
        lambda clf: make_pipeline(StandardScaler(), searched(clf)),
    ],
)
def test_tasks_are_found_inside_of_pipelines_and_searches(around):
    Y = TABLE[["level", "side"]]
    model = around(net()).fit(X, Y)
    for estimator in (model, FrozenEstimator(model)):
        view = task_view(estimator, "side")
        assert_array_equal(view.predict(X), model.predict(X)[:, 1])
        assert_array_equal(view.predict_proba(X), model.predict_proba(X)[1])
        assert view.n_features_in_ == 4


def test_deviations_reach_through_a_search():
    network = MultiTaskNetRegressor((8,), loss="gaussian", **SETTINGS)
    model = searched(network).fit(X, NUMBERS)
    _, std = task_view(model, "task_1").predict(X, return_std=True)
    expected = model.best_estimator_.predict(X, return_std=True)[1]
    assert_array_equal(std, expected[:, 1])


@pytest.mark.parametrize("inner", [net(), KNeighborsClassifier()])
def test_thresholds_and_calibrators_of_several_tasks_count(inner):
    y = pd.DataFrame(BINARY, columns=["a", "b", "c"])
    model = make_pipeline(StandardScaler(), inner)
    tuned = MultiTaskTunedThresholdClassifierCV(model, scoring="f1", cv=2).fit(X, y)
    calibrated = MultiTaskCalibratedClassifierCV(model, cv=2).fit(X, y)
    for estimator in (tuned, calibrated):
        p = estimator.predict_proba(X)
        p = np.column_stack([own[:, 1] for own in p]) if isinstance(p, list) else p
        views = task_views(make_pipeline(FrozenEstimator(estimator)).fit(X, y))
        assert list(views) == ["a", "b", "c"]
        for t, view in enumerate(views.values()):
            assert_array_equal(view.predict(X), estimator.predict(X)[:, t])
            assert_array_equal(view.predict_proba(X)[:, 1], p[:, t])


def test_a_loaded_network_has_views(mixed, tmp_path):
    skmtl.save(mixed, tmp_path / "net.skmtl")
    view = task_view(skmtl.load(tmp_path / "net.skmtl"), "side")
    assert_array_equal(view.predict_proba(X), mixed.predict_proba(X)[1])


def test_a_view_knows_its_task_by_name_when_others_are_dropped():
    clf = net().fit(X, TABLE[["level", "side"]])
    view = task_view(clf, "side")
    expected = view.predict_proba(X)
    clf.drop_tasks("level")
    assert_allclose(view.predict_proba(X)[:, 1], clf.predict_proba(X)[:, 0])
    assert_allclose(view.predict_proba(X), expected)


# As an estimator of scikit-learn ------------------------------------------------------


@pytest.mark.parametrize("task", TYPES)
def test_a_view_is_frozen(mixed, task):
    view = task_view(mixed, task)
    expected = view.predict(X)
    nonsense = np.full(90, np.nan)
    assert view.fit(X[:, :1], nonsense, sample_weight=nonsense) is view
    assert clone(view) is view
    assert clone(make_pipeline(view)).steps[0][1] is view
    assert_array_equal(view.predict(X), expected)
    assert view.get_params() == {"estimator": mixed, "task": task}
    assert view.set_params() is view
    with pytest.raises(ValueError, match=r"cannot be changed.*Make another view"):
        view.set_params(task="side")
    check_is_fitted(view)


@pytest.mark.parametrize("task", TYPES)
def test_a_view_can_be_stored(mixed, task):
    view = task_view(mixed, task)
    data = skops.io.dumps(view)
    trusted = skops.io.get_untrusted_types(data=data)
    stored = [pickle.loads(pickle.dumps(view)), skops.io.loads(data, trusted=trusted)]
    for again in stored:
        assert_array_equal(again.predict(X), view.predict(X))


def test_a_view_shows_its_estimator_and_task():
    view = task_view(KNeighborsClassifier().fit(X, BINARY), 1)
    expected = "TaskClassifier(estimator=KNeighborsClassifier(), task='task_1')"
    assert repr(view) == expected
    for name in ("TaskClassifier", "KNeighborsClassifier", "task_1"):
        assert name in view._repr_html_()


@pytest.mark.parametrize("routing", [False, True])
def test_weights_are_for_what_is_around_the_view(routing):
    view = task_view(net().fit(X, BINARY), 1)
    weight = RNG.random(90)
    with config_context(enable_metadata_routing=routing):
        weighted, plain = (
            CalibratedClassifierCV(view).fit(X, BINARY[:, 1], sample_weight=w)
            for w in (weight, None)
        )
    assert (weighted.predict_proba(X) != plain.predict_proba(X)).all()


def test_tags_are_those_of_a_single_target_and_of_the_input(mixed):
    level, side, dose = (get_tags(view) for view in task_views(mixed).values())
    assert level.estimator_type == side.estimator_type == "classifier"
    assert level.classifier_tags.multi_class
    assert not side.classifier_tags.multi_class
    assert dose.estimator_type == "regressor"
    assert dose.classifier_tags is None
    for tags in (level, side, dose):
        assert tags.input_tags == get_tags(mixed).input_tags
        assert tags.target_tags.required
        assert tags.target_tags.single_output
        assert not tags.target_tags.multi_output
        assert tags.transformer_tags is None
    assert get_tags(mixed).target_tags.multi_output


def test_a_view_has_the_columns_of_the_input_and_nothing_else_of_the_estimator():
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = net().fit(frame, BINARY)
    view = task_view(clf, 0)
    assert_array_equal(view.feature_names_in_, list("abcd"))
    assert not hasattr(task_view(net().fit(X, BINARY), 0), "feature_names_in_")
    for name in ("transform", "network_", "task_names_", "add_tasks", "no_such_name"):
        assert not hasattr(view, name)


def test_score_leaves_out_rows_without_a_label(mixed):
    weight = RNG.random(90)
    for view, metric in [
        (task_view(mixed, "level"), accuracy_score),
        (task_view(mixed, "side"), accuracy_score),
        (task_view(mixed, "dose"), r2_score),
    ]:
        y = TABLE[view.task]
        rows = y.notna().to_numpy()
        args = y[rows], view.predict(X[rows])
        assert_allclose(view.score(X, y), metric(*args))
        expected = metric(*args, sample_weight=weight[rows])
        assert_allclose(view.score(X, y, weight), expected)
        assert_allclose(view.score(X, y.to_frame()), metric(*args))


def test_score_refuses_what_is_not_one_column_of_labels(mixed):
    view = task_view(mixed, "side")
    with pytest.raises(ValueError, match=r"task 'side'; got 3 columns. Pass observed"):
        view.score(X, TABLE)
    with pytest.raises(
        ValueError, match="must have an observed label in y, but all 90"
    ):
        view.score(X, np.full(90, np.nan))


# What cannot be viewed ----------------------------------------------------------------


@pytest.mark.parametrize("task", ["no such", 3, -1, True, None, 1.0, "0"])
def test_unknown_tasks_are_refused(mixed, task):
    with pytest.raises(ValueError, match=r"one of \['level', .* or its position"):
        task_view(mixed, task)
    with pytest.raises(ValueError, match=r"one of \['level', .* or its position"):
        observed_rows(X, TABLE, task)


def test_a_position_that_is_the_name_of_another_task_is_refused():
    Y = pd.DataFrame(BINARY, columns=[2, 1, 0])
    clf = net().fit(X, Y)
    assert_array_equal(task_view(clf, "2").predict(X), clf.predict(X)[:, 0])
    assert_array_equal(task_view(clf, 1).predict(X), clf.predict(X)[:, 1])
    for call in (lambda: task_view(clf, 2), lambda: observed_rows(X, Y, 2)):
        with pytest.raises(ValueError, match="2 could be both: the task named '2'"):
            call()


@pytest.mark.parametrize(
    "estimator",
    [net(), RandomForestClassifier(), make_pipeline(StandardScaler(), net())],
)
def test_an_estimator_must_be_fitted(estimator):
    for call in (lambda: task_view(estimator, 0), lambda: task_views(estimator)):
        with pytest.raises(NotFittedError, match="must be fitted before you can"):
            call()


def test_an_estimator_must_predict_classes_or_numbers():
    search = GridSearchCV(KNeighborsClassifier(), {}, cv=KFold(2), refit=False)
    for estimator in (StandardScaler().fit(X), search.fit(X, BINARY)):
        with pytest.raises(ValueError, match="must be a classifier or regressor that"):
            task_view(estimator, 0)


def test_a_regressor_that_does_not_say_how_many_tasks_it_has_is_viewed_by_position():
    reg = KNeighborsRegressor().fit(X, NUMBERS)
    for task in (2, "task_2"):
        view = task_view(reg, task)
        assert view.task == "task_2"
        assert_array_equal(view.predict(X), reg.predict(X)[:, 2])
    with pytest.raises(
        ValueError, match=r"must say how many.*KNeighborsRegressor does"
    ):
        task_views(reg)
    with pytest.raises(ValueError, match="one of 'task_0', 'task_1' and so on"):
        task_view(reg, "dose")
    with pytest.raises(
        ValueError, match=r"returns 3 column.*'task_3' is at position 3"
    ):
        task_view(reg, 3).predict(X)


class ThirdParty(DecisionTreeClassifier):
    """Says the probabilities of the greatest class alone, or numbers its tasks."""

    def predict_proba(self, X):
        return np.column_stack([p[:, -1] for p in super().predict_proba(X)])


def test_probabilities_must_be_those_of_all_classes():
    clf = ThirdParty().fit(X, np.column_stack([BINARY.sum(axis=1), BINARY[:, 0]]))
    assert task_view(clf, 1).predict_proba(X).shape == (90, 2)
    with pytest.raises(
        ValueError, match="each of its 4 classes, but ThirdParty returns 1"
    ):
        task_view(clf, 0).predict_proba(X)


# observed_rows ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [np.asarray, pd.DataFrame, sparse.csr_array, np.ndarray.tolist, pl.DataFrame],
)
def test_observed_rows_keep_the_container_of_X(convert):
    rows = TABLE["side"].notna().to_numpy()
    X_side, y_side = observed_rows(convert(X), TABLE, "side")
    assert type(X_side) is type(convert(X))
    as_array = X_side.toarray() if sparse.issparse(X_side) else np.asarray(X_side)
    assert_array_equal(as_array, X[rows])
    assert_array_equal(y_side, TABLE["side"][rows])


def test_observed_labels_are_of_the_dtype_of_the_classes(mixed):
    for view in task_views(mixed).values():
        _, y = observed_rows(X, TABLE, view.task)
        assert y.ndim == 1
        expected = np.float64 if view.task == "dose" else view.classes_.dtype
        assert y.dtype == expected
    whole = np.arange(90.0).reshape(-1, 1) * 3  # as many whole numbers are measurements
    assert observed_rows(X, whole, 0)[1].dtype == np.float64


@pytest.mark.parametrize(
    "y",
    [
        np.array([[1, 0], [np.nan, 1], [0, np.nan], [1, 1]]),
        [[1, 0], [None, 1], [0, None], [1, 1]],
        np.ma.masked_equal([[1, 0], [9, 1], [0, 9], [1, 1]], 9),
        pd.DataFrame(
            {"task_0": [1, 0, 0, 1], "task_1": [0, 1, None, 1]}, dtype="Int64"
        ),
        pl.DataFrame({"task_0": [1, None, 0, 1], "task_1": [0, 1, None, 1]}),
        pl.DataFrame({"task_0": [1, None, 0, 1], "task_1": [0, 1, None, 1]}).to_arrow(),
    ],
    ids=lambda y: f"{type(y).__module__}.{type(y).__name__}",
)
def test_observed_rows_read_every_container_of_y(y):
    for task in ("task_1", 1, np.int64(1)):
        index, labels = observed_rows(np.arange(4), y, task)
        assert_array_equal(index, [0, 1, 3])
        assert_array_equal(labels, [0, 1, 1])
        assert labels.dtype == np.int64


def test_observed_rows_take_weights_and_one_column():
    y = TABLE["dose"]
    weight, values = observed_rows(np.arange(90), y.to_numpy(), "task_0")
    assert_array_equal(weight, np.flatnonzero(y.notna()))
    assert_array_equal(values, y.dropna())
    assert_array_equal(observed_rows(X, y, "dose")[1], values)


def test_observed_rows_refuse_what_has_none_or_does_not_fit():
    with pytest.raises(ValueError, match=r"Task 'task_1' must have.*all 2 are missing"):
        observed_rows(X[:2], [[1, None], [0, None]], "task_1")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        observed_rows(X, BINARY[:5], 0)
    with pytest.raises(ValueError, match="infinity in task 'task_0'"):
        observed_rows(X[:3], [[0.5], [np.inf], [1.5]], 0)


def test_our_own_tools_take_a_view():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    Y = np.where(rng.random((120, 2)) < 0.3, np.nan, X[:, :2] > 0)
    clf = MultiTaskNetClassifier((8,), max_iter=5, random_state=0).fit(X, Y)
    view = task_view(clf, "task_1")
    rows, labels = observed_rows(X, Y, "task_1")
    expected = roc_auc_score(labels, view.predict_proba(rows)[:, 1])
    assert multitask_scorer("roc_auc")(view, rows, labels) == pytest.approx(expected)
    tuned = MultiTaskTunedThresholdClassifierCV(view, scoring="f1").fit(rows, labels)
    p = view.predict_proba(rows)[:, 1]
    (threshold,) = tuned.best_thresholds_.values()
    np.testing.assert_array_equal(tuned.predict(rows), (p >= threshold).astype(int))
