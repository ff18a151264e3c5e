import contextlib
import copy
import pickle
import signal
import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import (
    AtEpoch,
    assert_same_parameters,
    classifier,
    parameters_of,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import (
    ConvergenceWarning,
    NotFittedError,
    UndefinedMetricWarning,
)
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNetClassifier
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.sharing import HardSharing
from skmtl.trunks import ConvTrunk

every_sharing = pytest.mark.parametrize("sharing", ["hard", "none"])
every_solver = pytest.mark.parametrize("solver", ["adam", "sgd"])


# The loss and its weights ---------------------------------------------------------


def lecture_loss(clf, X, Y, label_weight, m):
    """The lecture's double loop in float64, with the network as it is."""
    probabilities = clf.predict_proba(X)
    if not isinstance(probabilities, list):
        probabilities = [np.column_stack([1 - p, p]) for p in probabilities.T]
    total = 0.0
    for i in range(len(Y)):
        for j in range(Y.shape[1]):
            if not pd.isna(Y[i, j]):
                (code,) = np.flatnonzero(clf.classes_[j] == Y[i, j])
                total -= label_weight[i, j] * np.log(probabilities[j][i, code])
    return total / m


@every_sharing
@pytest.mark.parametrize("kind", ["problem", "mixed_problem"])
def test_first_loss_is_the_lectures_formula(sharing, kind, request):
    X, Y = request.getfixturevalue(kind)
    Y[3] = None  # a row without labels counts nowhere
    settings = {"sharing": sharing, "alpha": 0, "batch_size": 1000}
    untrained = classifier(max_iter=0, **settings).fit(X, Y)
    m = (~pd.isna(Y)).any(axis=1).sum()
    expected = lecture_loss(untrained, X, Y, np.ones(Y.shape), m)
    assert_allclose(classifier(max_iter=1, **settings).fit(X, Y).loss_, expected, 1e-6)


@pytest.mark.parametrize("per_label", [False, True])
def test_weights_enter_the_formula_as_documented(mixed_problem, per_label):
    X, Y = mixed_problem
    Y[3] = None
    rng = np.random.default_rng(0)
    sample_weight = rng.uniform(0.5, 2, size=Y.shape if per_label else len(Y))
    sample_weight[:5] = 0
    settings = {
        "alpha": 0,
        "batch_size": 1000,
        "task_weight": {"task_1": 3},
        "class_weight": {"task_0": {"a": 2, "b": 0.5}, "task_2": "balanced"},
    }
    untrained = classifier(max_iter=0, **settings).fit(X, Y, sample_weight)
    trained = classifier(max_iter=1, **settings).fit(X, Y, sample_weight)

    observed = ~pd.isna(Y)
    weight = sample_weight if per_label else np.tile(sample_weight[:, None], 3)
    weight = np.where(observed, weight, 0)
    rows = weight.sum(axis=1) > 0
    m = (weight[rows].sum(axis=1) / observed[rows].sum(axis=1)).sum()
    label_weight = weight.copy()
    label_weight[:, 1] *= 3
    label_weight[Y[:, 0] == "a", 0] *= 2
    label_weight[Y[:, 0] == "b", 0] *= 0.5
    for label in range(4):
        share = weight[Y[:, 2] == label, 2].sum() / weight[:, 2].sum()
        label_weight[Y[:, 2] == label, 2] /= 4 * share
    expected = lecture_loss(untrained, X, Y, label_weight, m)
    assert_allclose(trained.loss_, expected, rtol=1e-5)


def test_balanced_tasks_have_equal_influence(problem):
    X, Y = problem
    Y[5:, 0] = np.nan
    Y[0, 0] = 1  # the others of its labels are 0
    sums = (~np.isnan(Y)).sum(axis=0)
    by_hand = dict(zip(["task_0", "task_1", "task_2"], sums.mean() / sums, strict=True))
    assert_allclose(
        classifier(task_weight="balanced").fit(X, Y).predict_proba(X),
        classifier(task_weight=by_hand).fit(X, Y).predict_proba(X),
        rtol=1e-4,
    )


@every_sharing
@every_solver
def test_rows_without_labels_or_weight_are_as_if_not_there(problem, sharing, solver):
    X, Y = problem
    Y[10:15] = np.nan
    weight = np.ones(len(X))
    weight[20:25] = 0
    kept = np.r_[0:10, 15:20, 25 : len(X)]
    settings = {"sharing": sharing, "solver": solver, "shuffle": False}
    everything = classifier(**settings).fit(X, Y, weight)
    only_kept = classifier(**settings).fit(X[kept], Y[kept])
    assert_allclose(
        everything.predict_proba(X), only_kept.predict_proba(X), rtol=1e-4, atol=1e-5
    )


# Learning -------------------------------------------------------------------------


@every_sharing
@every_solver
@pytest.mark.parametrize("n_members", [1, 2])
def test_twenty_rows_can_be_learned_by_heart(sharing, solver, n_members):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 4))
    Y = np.column_stack([rng.integers(k, size=20) for k in (2, 3, 2)]).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    clf = classifier(
        hidden_layer_sizes=(64,),
        sharing=sharing,
        solver=solver,
        n_members=n_members,
        learning_rate_init=0.05 if solver == "adam" else 0.5,
        alpha=0,
        max_iter=150,
    ).fit(X, Y)
    assert clf.score(X, Y) == 1
    assert clf.loss_ < 0.1


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "silu", "logistic"])
def test_every_activation_learns_what_is_not_linear(activation):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(400, 2))
    Y = np.column_stack([X[:, 0] * X[:, 1] > 0, (X**2).sum(axis=1) > 0.6]).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    settings = {"learning_rate_init": 0.1, "max_iter": 200}
    assert classifier(activation=activation, **settings).fit(X, Y).score(X, Y) > 0.95
    linear = classifier(activation="identity", input_encoding="none", **settings)
    assert linear.fit(X, Y).score(X, Y) < 0.8


def test_a_network_for_one_complete_task_is_as_good_as_mlpclassifier():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 5))
    y = (np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] > 0).astype(int)
    settings = {"random_state": 0, "max_iter": 100}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = MultiTaskNetClassifier(**settings).fit(X[:300], y[:300])
        mlp = MLPClassifier(**settings).fit(X[:300], y[:300])
    assert ours.score(X[300:], y[300:]) > mlp.score(X[300:], y[300:]) - 0.03


def test_a_constant_task_and_a_task_without_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    Y = pd.DataFrame(
        {
            "binary": (X[:, 0] > 0).astype(int),
            "constant": "same",
            "nobody": None,
            "empty category": pd.Categorical([None] * 30, categories=["a", "b", "c"]),
        }
    )
    with (
        pytest.warns(UserWarning, match=r"2 of 4 tasks.*'nobody', 'empty category'"),
        pytest.warns(UserWarning, match=r"1 of 4 tasks.*one class.*'constant', 'same'"),
    ):
        clf = classifier().fit(X, Y)
    _, constant, nobody, category = clf.predict_proba(X)
    assert_array_equal(constant, np.ones((30, 1)))
    assert_array_equal(nobody, np.full((30, 2), 0.5))
    assert_allclose(category, np.full((30, 3), 1 / 3))
    assert (clf.predict(X)[:, 1] == "same").all()


def test_binary_task_where_only_one_side_was_seen():
    X = np.random.default_rng(0).normal(size=(40, 3))
    Y = np.column_stack([X[:, 0] > 0, np.zeros(40)]).astype(float)
    with pytest.warns(UserWarning, match=r"one class only.*'task_1', 0"):
        clf = classifier(max_iter=60, learning_rate_init=0.05).fit(X, Y)
    assert [c.tolist() for c in clf.classes_] == [[0, 1], [0, 1]]
    p = clf.predict_proba(X)
    assert p.shape == (40, 2)
    assert (p[:, 1] < 0.1).all()


def test_a_task_of_weight_zero_is_as_one_without_labels(problem):
    X, Y = problem
    with pytest.warns(UserWarning, match=r"1 of 3 tasks.*positive weight.*'task_1'"):
        clf = classifier(task_weight={"task_1": 0}).fit(X, Y)
    assert (clf.predict_proba(X)[:, 1] == 0.5).all()
    nothing = {f"task_{t}": {0: 0, 1: 0} for t in range(3)}
    with pytest.raises(ValueError, match="at least one observed label"):
        classifier(class_weight=nothing).fit(X, Y)


# What comes out -------------------------------------------------------------------


def test_one_dimensional_targets_make_an_ordinary_classifier():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3))
    y = np.array(["a", "b", "c"], dtype=object)[np.digitize(X[:, 0], [-0.5, 0.5])]
    y[::4] = None
    clf = classifier(max_iter=60, learning_rate_init=0.02).fit(X, y)
    assert clf.classes_.tolist() == ["a", "b", "c"]
    assert clf.n_outputs_ == 1
    p = clf.predict_proba(X)
    assert p.shape == (90, 3)
    assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    predicted = clf.predict(X)
    assert predicted.shape == (90,)
    assert_array_equal(predicted, clf.classes_[p.argmax(axis=1)])
    known = np.array([label is not None for label in y])
    assert clf.score(X, y) == (predicted[known] == y[known]).mean() > 0.9
    binary = classifier().fit(X, X[:, 0] > 0)
    assert binary.predict_proba(X).shape == (90, 2)
    assert binary.predict(X).dtype == bool


def test_binary_tasks_give_a_table_of_probabilities(problem):
    X, Y = problem
    frame = pd.DataFrame(Y, columns=["a", "b", "c"])
    clf = classifier().fit(X, frame)
    assert clf.task_names_.tolist() == ["a", "b", "c"]
    table = pd.DataFrame(clf.predict_proba(X), columns=clf.task_names_)
    assert table.shape == Y.shape
    assert_array_equal(clf.predict(X), (table > 0.5).to_numpy().astype(int))
    assert_allclose(clf.predict_log_proba(X), np.log(table))


def test_mixed_tasks_give_a_list_of_probabilities(mixed_problem):
    X, Y = mixed_problem
    clf = classifier().fit(X, Y)
    p = clf.predict_proba(X)
    assert [part.shape for part in p] == [(80, 3), (80, 2), (80, 4)]
    predicted = clf.predict(X)
    for j, (part, log_part) in enumerate(zip(p, clf.predict_log_proba(X), strict=True)):
        assert_allclose(part.sum(axis=1), 1, rtol=1e-12)
        assert_allclose(log_part, np.log(part))
        expected = clf.classes_[j][part.argmax(axis=1)]
        assert predicted[:, j].tolist() == expected.tolist()


def test_score_is_the_mean_of_the_tasks_accuracies(mixed_problem):
    X, Y = mixed_problem
    clf = classifier().fit(X, Y)
    rng = np.random.default_rng(0)
    weight = rng.uniform(size=Y.shape)
    predicted, observed = clf.predict(X), ~pd.isna(Y)
    for sample_weight, w in [(None, np.ones(Y.shape)), (weight, weight)]:
        w = w * observed
        expected = np.mean((w * (predicted == Y)).sum(axis=0) / w.sum(axis=0))
        assert clf.score(X, Y, sample_weight) == pytest.approx(expected, abs=1e-6)


def test_score_says_where_it_is_undefined(problem):
    X, Y = problem
    clf = classifier().fit(X, Y)
    part = Y.copy()
    part[:, 1] = np.nan
    with pytest.warns(UndefinedMetricWarning, match=r"1 of 3.*'task_1'"):
        score = clf.score(X, part)
    accuracy = [
        np.mean((clf.predict(X)[:, j] == Y[:, j])[~np.isnan(Y[:, j])]) for j in (0, 2)
    ]
    assert score == pytest.approx(np.mean(accuracy))
    with pytest.raises(ValueError, match="observed label to score"):
        clf.score(X, np.full(Y.shape, np.nan))


def test_learned_attributes_are_the_estimators_own(problem):
    X, Y = problem
    clf = classifier().fit(X, Y)
    expected = clf.predict(X)
    clf.classes_[0] += 3
    assert clf.classes_[1].tolist() == [0, 1]
    assert_array_equal(clf.predict(X), expected)
    assert classifier().fit(X, Y).classes_[0].tolist() == [0, 1]


def test_labels_of_another_kind_are_no_silent_error(problem):
    X, Y = problem
    clf = classifier().fit(X, Y)
    text = np.where(np.isnan(Y), None, Y.astype(str).astype(object))
    with pytest.raises(
        ValueError, match=r"'task_0' must be of the same type.*mixes text"
    ):
        clf.score(X, text)


def test_a_class_unseen_in_fit_scores_as_an_error():
    X = np.random.default_rng(0).normal(size=(20, 2))
    y = np.array(["a", "b"] * 10)
    clf = classifier().fit(X, y)
    relabelled = np.where(np.arange(20) < 5, "z", clf.predict(X))
    assert clf.score(X, relabelled) == 0.75


# Input ----------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (8,)])
@every_sharing
def test_sparse_input_gives_the_network_of_dense_input(problem, sharing, hidden):
    X, Y = problem
    X[np.abs(X) < 0.8] = 0
    X[4] = 0
    settings = {"sharing": sharing, "hidden_layer_sizes": hidden}
    settings["input_encoding"] = "none"
    dense = classifier(**settings).fit(X, Y)
    for make in (sparse.csr_array, sparse.csc_matrix, sparse.dok_array):
        clf = classifier(**settings).fit(make(X), Y)
        assert_allclose(
            clf.predict_proba(make(X)), dense.predict_proba(X), rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_input_of_every_dtype(problem, dtype):
    X, Y = problem
    X = (X > 0).astype(dtype)
    expected = classifier().fit(X.astype(float), Y).predict_proba(X.astype(float))
    assert_array_equal(classifier().fit(X, Y).predict_proba(X), expected)


def test_input_that_overflows_the_network_is_an_error(problem):
    X, Y = problem
    settings = {"hidden_layer_sizes": (50, 50), "activation": "identity"}
    clf = classifier(input_encoding="none", **settings).fit(X, Y)
    huge = np.sign(X) * 3e38
    for method in ("predict", "predict_proba", "transform"):
        with pytest.raises(ValueError, match=r"must be finite.*Scale X"):
            getattr(clf, method)(huge)


def test_columns_must_be_those_of_fit(problem):
    X, Y = problem
    frame = pd.DataFrame(X, columns=list("abcde"))
    clf = classifier().fit(frame, Y)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[list("edcba")])
    with pytest.raises(ValueError, match="6 features"):
        classifier().fit(X, Y).predict(np.ones((2, 6)))


# The trunk's features -------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "width"),
    [
        ({}, 100),
        ({"hidden_layer_sizes": (8, 6)}, 6),
        ({"hidden_layer_sizes": (6,), "sharing": "none"}, 18),
        ({"hidden_layer_sizes": (6,), "n_members": 4}, 24),
        ({"hidden_layer_sizes": (6,), "sharing": "none", "n_members": 2}, 36),
    ],
)
def test_transform_gives_the_trunks_side_by_side(problem, settings, width):
    X, Y = problem
    clf = classifier(input_encoding="none", **settings).fit(X, Y)
    features = clf.transform(X)
    assert features.shape == (60, width)
    names = clf.get_feature_names_out()
    assert names.tolist() == [f"multitasknetclassifier{i}" for i in range(width)]
    frame = clf.set_output(transform="pandas").transform(X)
    assert frame.columns.tolist() == names.tolist()

    weight, bias = (
        p.detach().double() for p in clf.network_.trunk.layers[0].parameters()
    )
    if len(clf.network_.trunk.layers) == 1:
        expected = np.einsum("ij,ajrk->irk", X, weight) + bias[0].numpy()
        expected = np.maximum(expected, 0).reshape(len(X), -1)
        assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def test_transform_without_a_trunk_is_an_error(problem):
    clf = classifier(hidden_layer_sizes=()).fit(*problem)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes is \(\)"):
        clf.transform(problem[0])
    with pytest.raises(ValueError, match="at least one hidden layer"):
        clf.get_feature_names_out()


def test_as_a_transformer_in_a_pipeline(problem):
    from sklearn.multioutput import MultiOutputClassifier
    from sklearn.neighbors import KNeighborsClassifier

    X, Y = problem
    features = make_pipeline(StandardScaler(), classifier()).fit(X, Y)
    complete = np.nan_to_num(Y)
    knn = MultiOutputClassifier(KNeighborsClassifier())
    knn.fit(features.transform(X), complete)
    assert knn.predict(features.transform(X)).shape == Y.shape


# Randomness, copies ---------------------------------------------------------------


@every_sharing
@every_solver
def test_the_same_seed_gives_the_same_weights(problem, sharing, solver):
    settings = {
        "sharing": sharing,
        "solver": solver,
        "dropout": 0.3,
        "input_dropout": 0.1,
        "n_members": 2,
        "early_stopping": True,
    }
    one = classifier(**settings).fit(*problem)
    assert_same_parameters(one, classifier(**settings).fit(*problem))
    assert_same_parameters(one, clone(one).fit(*problem))
    other = classifier(**(settings | {"random_state": 1})).fit(*problem)
    for a, b in zip(parameters_of(one), parameters_of(other), strict=True):
        assert not np.array_equal(a, b)


def test_without_a_seed_fits_differ(problem):
    fits = [classifier(random_state=None, max_iter=0).fit(*problem) for _ in range(2)]
    assert not np.array_equal(parameters_of(fits[0])[0], parameters_of(fits[1])[0])


@every_sharing
def test_global_state_is_left_alone(problem, sharing):
    X, Y = problem
    torch.manual_seed(5)
    state = (
        torch.get_rng_state(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        list(warnings.filters),
    )
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    X.flags.writeable = Y.flags.writeable = False
    clf = classifier(sharing=sharing, dropout=0.2, early_stopping=True).fit(X, Y)
    clf.predict(X), clf.transform(X), clf.score(X, Y)
    with pytest.raises(ValueError, match="infinity"):
        clf.fit(np.full_like(X, np.inf), Y)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert state[1:] == (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        list(warnings.filters),
    )
    assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


@contextlib.contextmanager
def default_of_torch(name):
    if name == "device":
        with torch.device("meta"):
            yield
        return
    torch.set_default_dtype(getattr(torch, name))
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["float64", "bfloat16", "device"])
def test_a_fit_does_not_depend_on_the_defaults_of_torch(problem, name):
    X, Y = problem
    many = np.tile(X, (5, 1)), np.tile(Y, (5, 1))
    images = np.random.default_rng(0).normal(size=(60, 1, 4, 4))
    fits = {
        "plain": (classifier(), X, Y),
        "in order": (classifier(shuffle=False), X, Y),
        "logistic": (MultiTaskNetClassifier(max_iter=3, random_state=0), *many),
        "sparse": (
            MultiTaskNetClassifier(max_iter=3, random_state=0),
            sparse.csr_array(many[0]),
            many[1],
        ),
        "images": (classifier(trunk=ConvTrunk((4,)), max_iter=2), images, Y),
    }
    expected = {key: clone(clf).fit(x, y) for key, (clf, x, y) in fits.items()}
    assert expected["logistic"].logistic_share_ > 0
    with default_of_torch(name):
        found = {key: clf.fit(x, y) for key, (clf, x, y) in fits.items()}
    for key, clf in found.items():
        assert_same_parameters(clf, expected[key])
        assert_array_equal(
            clf.predict_proba(fits[key][1]), expected[key].predict_proba(fits[key][1])
        )


def test_fits_in_threads_agree_with_each_other(problem):
    results = {}

    def work(i):
        results[i] = classifier(dropout=0.3, max_iter=15).fit(*problem)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    before = torch.get_num_threads()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = classifier(dropout=0.3, max_iter=15).fit(*problem)
    for clf in results.values():
        assert_same_parameters(clf, expected)
    assert torch.get_num_threads() == before


@every_sharing
def test_copies_predict_the_same(problem, sharing, tmp_path):
    X, Y = problem
    clf = classifier(sharing=sharing, n_members=2).fit(X, Y)
    expected = clf.predict_proba(X)
    joblib.dump(clf, tmp_path / "clf.joblib")
    for twin in (
        pickle.loads(pickle.dumps(clf)),
        copy.deepcopy(clf),
        joblib.load(tmp_path / "clf.joblib"),
        joblib.load(tmp_path / "clf.joblib", mmap_mode="r"),
    ):
        assert_array_equal(twin.predict_proba(X), expected)
    assert not hasattr(clone(clf), "network_")


# Going on -------------------------------------------------------------------------


def test_warm_start_goes_on_with_the_network(problem):
    X, Y = problem
    settings = {"learning_rate": "constant", "n_iter_no_change": 1000}
    with pytest.warns(ConvergenceWarning):
        clf = classifier(warm_start=True, **settings).fit(X, Y)
    first = clf.loss_curve_
    with pytest.warns(ConvergenceWarning):
        clf.fit(X, Y)
    assert clf.n_iter_ == 30
    assert clf.loss_curve_[:15] == first
    assert clf.loss_ < first[-1]
    with pytest.raises(ValueError, match="among its classes"):
        clf.fit(X, np.full(Y.shape, 2))
    with pytest.raises(ValueError, match="must describe the fitted network"):
        clf.set_params(hidden_layer_sizes=(7,)).fit(X, Y)
    assert clf.n_iter_ == 30


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_going_on_with_another_network_is_refused(problem, method):
    X, Y = problem
    for change in (
        {"sharing": "none"},
        {"hidden_layer_sizes": (7,)},
        {"n_members": 2},
        {"activation": "tanh"},
    ):
        clf = classifier(warm_start=True)
        getattr(clf, method)(X, Y)
        clf.set_params(**change)
        with pytest.raises(ValueError, match="must describe the fitted network"):
            getattr(clf, method)(X, Y)


def test_a_task_labelled_before_keeps_what_it_learned(problem):
    X, Y = problem
    without = Y.copy()
    without[:, 1] = np.nan
    warm = classifier(warm_start=True).fit(X, Y)
    steps = classifier().partial_fit(X, Y)
    for clf in (warm.fit(X, without), steps.partial_fit(X, without)):
        assert (clf.predict_proba(X)[:, 1] != 0.5).any()
    fresh = classifier().partial_fit(X, without)
    assert (fresh.predict_proba(X)[:, 1] == 0.5).all()


def test_fit_forgets_what_partial_fit_kept(problem):
    X, Y = problem
    used, fresh = classifier(), classifier()
    for _ in range(3):
        used.partial_fit(X, Y)
    for clf in (used, fresh):
        clf.fit(X, Y).partial_fit(X, Y)
    assert_same_parameters(used, fresh)


def test_ctrl_c_ends_a_loop_of_partial_fit(problem, monkeypatch):
    X, Y = problem
    clf = classifier().partial_fit(X, Y)
    before = dict(vars(clf))

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("skmtl._training._steps.logit_gradient", interrupted)
    with pytest.raises(KeyboardInterrupt):
        clf.partial_fit(X, Y)
    assert vars(clf) == before


def test_warm_start_does_not_touch_a_copy(problem):
    X, Y = problem
    clf = classifier(warm_start=True).fit(X, Y)
    network = clf.network_
    before = [p.clone() for p in network.parameters()]
    clf.fit(X, Y)
    assert clf.network_ is not network
    for old, now in zip(before, network.parameters(), strict=True):
        assert torch.equal(old, now)


@every_sharing
@every_solver
def test_partial_fit_epoch_by_epoch_is_fit(problem, sharing, solver):
    X, Y = problem
    settings = {"sharing": sharing, "solver": solver, "dropout": 0.2, "batch_size": 16}
    settings["input_encoding"] = "none"  # else there is room for what comes later
    steps = classifier(**settings)
    for _ in range(5):
        steps.partial_fit(X, Y)
        steps = pickle.loads(pickle.dumps(steps))
    with pytest.warns(ConvergenceWarning):
        whole = classifier(max_iter=5, learning_rate="constant", **settings).fit(X, Y)
    assert_same_parameters(steps, whole)
    assert steps.n_iter_ == 5
    assert steps.loss_curve_ == whole.loss_curve_


def test_partial_fit_takes_all_classes_at_the_first_call():
    X = np.random.default_rng(0).normal(size=(20, 2))
    labels = pd.DataFrame({"a": ["x", "y"] * 10, "b": [0, 1, 2, 3] * 5})
    classes = {"a": ["x", "y"], "b": [0, 1, 2, 3]}
    ranges = {0: (-3.0, 3.0), 1: (-3.0, 3.0)}
    clf = classifier().partial_fit(X[:1], labels[:1], classes=classes, columns=ranges)
    for i in range(1, 20):
        clf.partial_fit(X[[i]], labels[i : i + 1])
    assert [c.tolist() for c in clf.classes_] == [["x", "y"], [0, 1, 2, 3]]
    clf.partial_fit(X, labels, classes=classes)
    with pytest.raises(ValueError, match=r"those of the first call.*\['x', 'y', 'z'\]"):
        clf.partial_fit(X, labels, classes={**classes, "a": ["x", "y", "z"]})
    with pytest.raises(ValueError, match=r"'b' must be among.*\[9\].*first call"):
        clf.partial_fit(X, labels.assign(b=9))
    nothing = pd.DataFrame({"a": [None] * 20, "b": [None] * 20})
    before = parameters_of(clf)
    clf.partial_fit(X, nothing)
    for a, b in zip(before, parameters_of(clf), strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"early_stopping": True}, "cannot hold out rows"),
        ({"task_weight": "balanced"}, "task_weight is 'balanced'"),
        ({"class_weight": "balanced"}, "class_weight is 'balanced'"),
        ({"class_weight": {"task_0": "balanced"}}, "class_weight is 'balanced'"),
    ],
)
def test_partial_fit_refuses_what_needs_all_rows(problem, settings, message):
    with pytest.raises(ValueError, match=message):
        classifier(**settings).partial_fit(*problem)


def test_parameters_are_checked_in_each_call_of_partial_fit(problem):
    clf = classifier().partial_fit(*problem).set_params(learning_rate_init=-1.0)
    with pytest.raises(ValueError, match="The 'learning_rate_init' parameter"):
        clf.partial_fit(*problem)


def test_a_failing_partial_fit_leaves_the_estimator_as_it_was(problem):
    X, Y = problem
    clf = classifier(solver="sgd").partial_fit(X, Y)
    twin = copy.deepcopy(clf)
    clf.set_params(learning_rate_init=1e38)
    with pytest.raises(ValueError, match="diverged"):
        clf.partial_fit(X, Y)
    clf.set_params(learning_rate_init=0.001).partial_fit(X, Y)
    assert_same_parameters(clf, twin.partial_fit(X, Y))


# Bad luck -------------------------------------------------------------------------


def test_divergence_keeps_no_half_trained_state(problem):
    X, Y = problem
    clf = classifier(solver="sgd", learning_rate_init=1e38)
    with pytest.raises(
        ValueError, match=r"diverged in epoch 1.*learning_rate_init=1e\+38"
    ):
        clf.fit(X, Y)
    assert not [name for name in vars(clf) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        clf.predict(X)

    fitted = classifier(solver="sgd").fit(X, Y)
    before = dict(vars(fitted))
    with pytest.raises(ValueError, match="diverged"):
        fitted.set_params(learning_rate_init=1e38).fit(X[:, :3], Y)
    after = dict(vars(fitted), learning_rate_init=0.001)
    assert after == before


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_warns_and_keeps_a_usable_model(problem, early_stopping):
    X, Y = problem
    clf = classifier(early_stopping=early_stopping, learning_rate="constant")
    clf.set_callbacks(AtEpoch(3, lambda: signal.raise_signal(signal.SIGINT)))
    # As in a terminal, also where the tests run in the background.
    handler_before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.warns(RuntimeWarning, match="interrupted after 4 epochs"):
        clf.fit(X, Y)
    signal.signal(signal.SIGINT, handler_before)
    assert clf.n_iter_ == 4
    assert np.isfinite(clf.predict_proba(X)).all()
    clf.set_callbacks()
    clf.set_params(max_iter=4)
    with pytest.warns(ConvergenceWarning):
        assert_same_parameters(clf, clone(clf).fit(X, Y))


def test_ctrl_c_before_the_first_epoch_leaves_the_initial_network(problem):
    class Interrupts(AtEpoch):
        def on_fit_task_begin(self, estimator, context):
            if context.task_name == "epoch":
                raise KeyboardInterrupt

    clf = classifier().set_callbacks(Interrupts(0, bool))
    with pytest.warns(RuntimeWarning, match="after 0 epochs"):
        clf.fit(*problem)
    assert clf.loss_curve_ == []
    assert_same_parameters(clf, classifier(max_iter=0).fit(*problem))


# In scikit-learn's hands ----------------------------------------------------------


def frame_of(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 4))
    raw = (X[:, :3] + 0.3 * rng.normal(size=(90, 3)) > 0).astype(float)
    removed = rng.random(raw.shape) < 0.3
    if kind == "NaN":
        Y = pd.DataFrame(np.where(removed, np.nan, raw), columns=list("abc"))
    elif kind == "Int64":
        Y = pd.DataFrame(raw, columns=list("abc")).astype("Int64").mask(removed)
        assert (Y.dtypes == "Int64").all()
    else:
        text = np.where(raw > 0, "yes", "no").astype(object)
        text[removed] = None
        Y = pd.DataFrame(text, columns=list("abc"), dtype=object)
        assert Y.iloc[:, 0].isna().any()
    return X, Y


@pytest.mark.parametrize("kind", ["NaN", "Int64", "strings"])
def test_grid_search_over_head_sizes(kind):
    X, Y = frame_of(kind)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier(max_iter=20)),
        {"multitasknetclassifier__head_hidden_layer_sizes": [(), (16,), (64,)]},
        cv=MultiTaskStratifiedKFold(3),
        error_score="raise",
    ).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.6
    assert search.predict(X).shape == Y.shape
    assert search.score(X, Y) > 0.7


def test_grid_search_over_spec_objects_and_many_parameters(problem):
    X, Y = problem
    grid = {
        "sharing": ["none", HardSharing()],
        "task_weight": [None, "balanced"],
        "hidden_layer_sizes": [(), (5,)],
    }
    search = GridSearchCV(
        classifier(max_iter=2),
        grid,
        cv=MultiTaskStratifiedKFold(2),
        error_score="raise",
    ).fit(X, Y)
    assert len(search.cv_results_["params"]) == 8


def test_sample_weight_is_routed_through_a_search(problem):
    X, Y = problem
    with config_context(enable_metadata_routing=True):
        clf = classifier(max_iter=3).set_fit_request(sample_weight=True)
        clf.set_score_request(sample_weight=True)
        search = GridSearchCV(
            clf, {"alpha": [0.1, 0.01]}, cv=MultiTaskStratifiedKFold(2)
        ).fit(X, Y, sample_weight=np.ones(len(X)))
    assert np.isfinite(search.best_score_)


def test_the_name_of_a_series_is_that_of_the_task(problem):
    X = problem[0]
    y = pd.Series((X[:, 0] > 0).astype(int), name="toxic")
    clf = classifier(max_iter=1).fit(X, y)
    assert clf.task_names_.tolist() == ["toxic"]
    assert clf.score(X, y.rename("y_test")) == clf.score(X, y.to_numpy())
    clf.partial_fit(X, y.rename("y_later")).add_tasks(X, y.rename("soluble"))
    assert clf.task_names_.tolist() == ["toxic", "soluble"]


def test_cross_validation_of_one_task_with_holes():
    X, Y = frame_of("strings")
    clf = classifier(max_iter=100)
    scores = cross_val_score(clf, X, Y["a"], cv=MultiTaskStratifiedKFold(3))
    assert scores.mean() > 0.6


# Nothing to go by ----------------------------------------------------------------


def test_unfitted_estimators_say_so(problem):
    X, Y = problem
    for method in ("predict", "predict_proba", "predict_log_proba", "transform"):
        with pytest.raises(NotFittedError):
            getattr(classifier(), method)(X)
    with pytest.raises(NotFittedError):
        classifier().score(X, Y)


def test_no_epoch_is_legal(problem):
    clf = classifier(max_iter=0).fit(*problem)
    assert clf.n_iter_ == 0
    assert clf.loss_ == clf.best_loss_ == np.inf
    assert clf.predict(problem[0]).shape == problem[1].shape


def test_warnings_are_in_the_callers_name(problem):
    X, Y = problem
    with pytest.warns(ConvergenceWarning, match=r"\(3\) reached") as record:
        classifier(max_iter=3, learning_rate="constant").fit(X, Y)
    assert record[0].filename == __file__

    def interrupt():
        raise KeyboardInterrupt

    interrupted = classifier().set_callbacks(AtEpoch(3, interrupt))
    with pytest.warns(RuntimeWarning, match="interrupted") as record:
        interrupted.fit(X, Y)
    assert record[0].filename == __file__


def test_autocast_of_the_caller_changes_nothing():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 200))
    Y = (X[:, :20] + rng.normal(size=(300, 20)) > 0).astype(float)
    settings = {"hidden_layer_sizes": (200,), "max_iter": 2, "batch_size": 300}
    settings |= {"learning_rate": "cosine", "input_encoding": "none"}
    expected = classifier(**settings).fit(X, Y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        clf = classifier(**settings).fit(X, Y)
        p = clf.predict_proba(X)
    assert_same_parameters(clf, expected)
    assert_array_equal(p, expected.predict_proba(X))


def test_a_second_fit_without_labels_is_refused(problem):
    X, Y = problem
    clf = classifier(warm_start=True).fit(X, Y)
    before = copy.deepcopy(clf)
    with pytest.raises(ValueError, match="at least one observed label"):
        clf.fit(X, np.full_like(Y, np.nan))
    assert_same_parameters(clf, before)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "y is None"),
        ([[0, 1], [1]], "must have the same length"),
        (np.ones((60, 2)), "same shape as in fit"),
        (np.ones(60), "same shape as in fit"),
    ],
)
def test_what_cannot_be_scored_is_refused_also_without_labels_of_a_task(
    problem, y, message
):
    X, Y = problem
    Y[:, 1] = np.nan
    with pytest.warns(UserWarning, match="no observed label"):
        clf = classifier(max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match=message):
        clf.score(X, y)


def test_names_in_another_order_are_refused_also_where_they_were_numbered(problem):
    X, Y = problem
    clf = classifier().fit(X, Y)
    frame = pd.DataFrame(Y, columns=clf.task_names_)
    assert clf.score(X, frame) == clf.score(X, Y)
    with pytest.raises(ValueError, match="in the same order"):
        clf.score(X, frame[frame.columns[::-1]])
    other = pd.DataFrame(Y, columns=["a", "b", "c"])
    assert clf.score(X, other) == clf.score(X, Y)


def test_a_table_of_pyarrow_names_the_tasks(problem):
    pyarrow = pytest.importorskip("pyarrow")
    X, Y = problem
    table = pyarrow.Table.from_pandas(pd.DataFrame(Y, columns=["a", "b", "c"]))
    clf = classifier().fit(X, table)
    assert clf.task_names_.tolist() == ["a", "b", "c"]
    assert_same_parameters(clf, classifier().fit(X, Y))
    assert clf.score(X, table) == clf.score(X, Y)
    with pytest.raises(ValueError, match="in the same order"):
        clf.score(X, table.select(["b", "a", "c"]))
    Y[:, 1] = np.nan
    with pytest.warns(UserWarning, match=r"no observed label .*\['b'\]"):
        partly = classifier().fit(X, pd.DataFrame(Y, columns=["a", "b", "c"]))
    with pytest.warns(UndefinedMetricWarning, match=r"\['b'\]"):
        accuracy = partly.score(X, table)
    with pytest.warns(UndefinedMetricWarning, match=r"\['b'\]"):
        assert accuracy == partly.score(X, Y)


def test_categories_of_pyarrow_are_classes(problem):
    pyarrow = pytest.importorskip("pyarrow")
    X, _ = problem
    y = pd.Categorical(["u", "v", None] * 20, categories=["u", "v", "w"])
    table = pyarrow.Table.from_pandas(pd.DataFrame({"a": y, "b": y}))
    with pytest.warns(UserWarning, match=r"'a', \['w'\]"):
        clf = classifier(max_iter=1).fit(X, table)
    assert [labels.tolist() for labels in clf.classes_] == [["u", "v", "w"]] * 2
