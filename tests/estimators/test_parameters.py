import pickle

import numpy as np
import pytest
from _estimators import assert_same_parameters, classifier, parameters_of
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.stats import norm
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.sharing import HardSharing
from skmtl.trunks import ConvTrunk, UnfreezeAfter


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones((59, 5))}, "inconsistent numbers of samples"),
        ({"X": np.ones(60)}, "Expected 2D array"),
        ({"X": np.full((60, 5), np.nan), "input_encoding": "none"}, "SimpleImputer"),
        ({"X": np.full((60, 5), np.inf)}, "infinity"),
        ({"y": np.full((60, 3), np.nan)}, "at least one observed label"),
        ({"y": np.full((60, 3), 0.5)}, "continuous.*use MultiTaskNetRegressor"),
        ({"y": np.full((60, 3), np.inf)}, "infinity"),
        ({"y": None}, "y is None"),
        ({"sample_weight": np.ones((60, 2))}, r"got shape \(60, 2\)"),
        ({"sample_weight": -np.ones(60)}, "must not be negative"),
        ({"sample_weight": np.full(60, np.nan)}, "sample_weight contains NaN"),
        ({"sample_weight": np.zeros(60)}, "non-zero"),
        ({"task_weight": {"nobody": 1}}, r"keyed by task names.*'nobody'"),
        ({"hidden_layer_sizes": (5, 0)}, r"hidden_layer_sizes must.*\(5, 0\)"),
        ({"head_hidden_layer_sizes": (2.5,)}, "head_hidden_layer_sizes must"),
        ({"dropout": 1.0}, "The 'dropout' parameter"),
        ({"solver": "lbfgs"}, "The 'solver' parameter"),
        ({"sharing": "some"}, "The 'sharing' parameter"),
        ({"max_iter": -1}, "The 'max_iter' parameter"),
        ({"device": "tpu"}, "device must be 'auto'"),
        ({"device": "cuda:x"}, "device must be 'auto'"),
        ({"device": "cpu:1"}, "device must be 'auto'"),
        ({"device": "cuda:99"}, "torch finds"),
        ({"sharing": HardSharing}, r"Pass an object: HardSharing\(\)"),
        ({"task_weight": [1, 1e40, 2]}, "fit float32"),
    ],
)
def test_bad_input_is_refused_before_training(problem, change, message):
    X, Y = problem
    data = {"X": X, "y": Y} | {
        k: v for k, v in change.items() if k in ("X", "y", "sample_weight")
    }
    clf = classifier(**{k: v for k, v in change.items() if k not in data})
    with pytest.raises(ValueError, match=f"(?s){message}"):
        clf.fit(**data)
    assert not hasattr(clf, "n_features_in_")
    assert not hasattr(clf, "network_")


AUTO = ("solver", "alpha", "batch_size", "learning_rate_init")


def assert_close_parameters(one, other):
    for a, b in zip(parameters_of(one), parameters_of(other), strict=True):
        assert_allclose(a, b, atol=1e-6)


def table_with_labels(n_rows, n_tasks):
    """Half of the labels of classes 0 and 1, of unequal size; ten rows without any."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows + 10, 3))
    Y = (rng.random((n_rows + 10, n_tasks)) < 0.3).astype(float)
    Y[:n_rows][rng.random((n_rows, n_tasks)) < 0.5] = np.nan
    Y[:n_rows, 0] = rng.integers(0, 2, n_rows)
    Y[n_rows:] = np.nan
    return X, Y


def row_weights(Y, weight):
    """The mean weight of each row's labels, without those of weight 0."""
    is_labelled = ~np.isnan(Y) & (weight > 0)
    return (weight * is_labelled).sum(axis=1) / np.maximum(is_labelled.sum(axis=1), 1)


def constant_loss(Y, weight=1.0):
    """By the formula of J, each label predicted with the frequency of its class."""
    weight = np.where(np.isnan(Y), 0.0, weight)
    loss = 0.0
    for y, w in zip(Y.T, weight.T, strict=True):
        for label in (0, 1):
            total = w[y == label].sum()
            loss -= total * np.log(total / w.sum())
    return loss / row_weights(Y, weight).sum()


@pytest.mark.parametrize("weight", [None, 0.0])
def test_sparse_rows_that_do_not_count_choose_nothing(weight):
    X = sparse.random_array((300, 50), density=0.1, rng=np.random.default_rng(0))
    y = np.asarray(X.sum(axis=1) > 2.5).ravel().astype(float)
    longer = sparse.vstack([X, 200 * X], format="csr")
    labels = np.r_[y, np.full(300, np.nan if weight is None else 1.0)]
    weights = None if weight is None else np.r_[np.ones(300), np.zeros(300)]
    settings = {"max_iter": 2, "logistic": "none", "random_state": 0}
    expected = MultiTaskNetClassifier(**settings).fit(X.tocsr(), y)
    found = MultiTaskNetClassifier(**settings).fit(longer, labels, weights)
    assert found.network_.architecture == expected.network_.architecture
    assert_close_parameters(found, expected)


def test_a_boolean_of_numpy_is_one():
    X, Y = table_with_labels(5200, 1)
    one, other = (
        classifier(oob_score=given, n_members="auto", max_iter=1).fit(X, Y)
        for given in (True, np.True_)
    )
    assert one.network_.n_members == other.network_.n_members == 4
    assert one.oob_score_ == other.oob_score_


@pytest.mark.parametrize(
    ("is_sparse", "n_rows", "n_tasks", "solver", "batch_size"),
    [
        (False, 50, 1, "adam", 50),
        (False, 300, 1, "adam", 100),
        (False, 2600, 5, "adam", 130),
        (False, 4400, 3, "adam", 200),
        (True, 300, 1, "sgd", 200),
        (True, 100, 2, "sgd", 100),
        (True, 300, 50, "sgd", 200),
        (True, 300, 4, "adam", 200),
    ],
)
def test_auto_is_chosen_by_the_rows_with_labels(
    is_sparse, n_rows, n_tasks, solver, batch_size
):
    X, Y = table_with_labels(n_rows, n_tasks)
    X *= {2: 10, 4: 30}.get(n_tasks, 1)
    squared_length = np.square(X[:n_rows]).sum(axis=1).mean()
    assert (15 / squared_length < 0.3) == (n_tasks in (2, 4))
    assert (squared_length > 1_000) == (n_tasks == 4)
    X = sparse.csr_array(X) if is_sparse else X
    loss = constant_loss(Y)
    assert (loss > 10) == (n_tasks == 50)
    step = 0.003 if n_rows < 1000 and not is_sparse else 0.002
    if solver == "sgd":
        step = min(0.3, 1 / loss, 15 / squared_length)
    given = dict(zip(AUTO, (solver, 0.03 * loss, batch_size, step), strict=True))
    named = classifier(max_iter=2, **given).fit(X, Y)
    automatic = classifier(max_iter=2, **dict.fromkeys(AUTO, "auto")).fit(X, Y)
    assert_close_parameters(automatic, named)
    others = {
        "solver": "sgd" if solver == "adam" else "adam",
        "alpha": 1.1 * given["alpha"] + 0.1,
        "batch_size": batch_size - 1,
        "learning_rate_init": 1.1 * step,
    }
    for name, other in others.items():
        changed = classifier(max_iter=2, **given | {name: other}).fit(X, Y)
        assert not np.allclose(
            parameters_of(changed)[0], parameters_of(named)[0], rtol=0, atol=1e-6
        )


@pytest.mark.parametrize(
    ("n_tasks", "n_copies", "weight"), [(2, 1, 1), (40, 1, 3), (40, 2, 0.5), (40, 8, 1)]
)
def test_dropout_is_less_where_the_labels_tell_more(n_tasks, n_copies, weight):
    X, Y = table_with_labels(2000, n_tasks)
    nats = n_copies * constant_loss(Y) * 2000
    expected = 0.5 - 0.1 * np.log2(nats / 15_000)
    assert (expected > 0.5) == (n_tasks == 2)
    assert (expected < 0.2) == (n_copies == 8)
    X, Y = np.tile(X, (n_copies, 1)), np.tile(Y, (n_copies, 1))
    clf = classifier(dropout="auto", max_iter=0)
    clf.fit(X, Y, sample_weight=np.full(len(X), weight))
    rate = clf.network_.architecture.dropout
    assert rate == pytest.approx(min(0.5, max(0.2, expected)), abs=1e-3)
    # It is a matter of the first call.
    clf.set_params(warm_start=True).fit(X[:20], Y[:20])
    clf.partial_fit(X[:20], Y[:20])
    assert clf.network_.architecture.dropout == rate


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_auto_means_the_same_for_each_separate_network_as_for_one_alone(solver):
    X, Y = table_with_labels(200, 1)
    loss = constant_loss(Y)
    named, automatic = (
        classifier(
            sharing="none",
            solver=solver,
            alpha=alpha,
            learning_rate_init=step,
            max_iter=3,
        )
        for alpha, step in [
            (0.03 * loss, 0.1 if solver == "sgd" else 0.003),
            ("auto", "auto"),
        ]
    )
    Y = np.tile(Y, (1, 20))
    assert_close_parameters(automatic.fit(X, Y), named.fit(X, Y))


def test_auto_dropout_is_the_same_for_each_separate_network_as_for_one_alone():
    X, Y = table_with_labels(40_000, 1)
    rates = [
        classifier(dropout="auto", sharing="none", max_iter=0)
        .fit(X, np.tile(Y, (1, n_copies)))
        .network_.architecture.dropout
        for n_copies in (1, 3)
    ]
    assert rates[0] == rates[1] < 0.45


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_the_automatic_step_is_that_of_the_given_solver(problem, solver):
    X, Y = problem
    step = {"adam": 0.003, "sgd": 0.1}[solver]
    given, automatic = (
        classifier(solver=solver, learning_rate_init=rate, max_iter=2).fit(X, Y)
        for rate in (step, "auto")
    )
    assert_same_parameters(given, automatic)


@pytest.mark.parametrize("n_rows", [4000, 3999])
def test_the_automatic_step_grows_as_the_loss_of_a_large_table_falls(n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    Y = X[:, :2] > 0
    automatic, given = (
        classifier(alpha=0, learning_rate_init=step).partial_fit(X, Y)
        for step in ("auto", 0.002)
    )
    share = given.loss_ / constant_loss(Y)
    assert 0.25 < share < 0.95
    factor = 1 / share if n_rows == 4000 else 1
    given.set_params(learning_rate_init=0.002 * factor)
    assert_close_parameters(automatic.partial_fit(X, Y), given.partial_fit(X, Y))


def test_the_automatic_step_grows_at_most_fourfold():
    X = np.random.default_rng(0).normal(size=(4000, 1))
    Y = X > 0
    automatic = classifier(alpha=0, learning_rate_init="auto")
    for _ in range(40):
        automatic.partial_fit(X, Y)
    assert automatic.loss_ < constant_loss(Y) / 4
    # Both continue from the same network and solver, with the loss of the last epoch.
    given = pickle.loads(pickle.dumps(automatic))
    given.set_params(learning_rate_init=0.008)
    assert_close_parameters(automatic.partial_fit(X, Y), given.partial_fit(X, Y))


@pytest.mark.parametrize("n_rows", [4999, 5000])
def test_many_sparse_rows_get_two_members_and_more_steps(n_rows):
    X = np.eye(5)[np.arange(n_rows) % 5]
    Y = np.column_stack([np.arange(n_rows) % 2, np.arange(n_rows) % 3 == 0])
    settings = {"hidden_layer_sizes": (2,), "input_encoding": "none"}
    dense = MultiTaskNetClassifier(**settings).fit(X, Y)
    on_sparse = MultiTaskNetClassifier(**settings).fit(sparse.csr_array(X), Y)
    is_many = n_rows == 5000
    assert dense.network_.n_members == (1 if is_many else 4)
    assert on_sparse.network_.n_members == (2 if is_many else 4)
    ratio = on_sparse.n_iter_ / dense.n_iter_
    assert ratio == pytest.approx(1.6 if is_many else 1, abs=0.05)


def few_sparse_rows(n_rows=100, n_tasks=2):
    X = np.eye(5)[np.arange(n_rows) % 5]
    Y = np.tile((np.arange(n_rows) % 2).astype(float)[:, None], (1, n_tasks))
    return sparse.csr_array(X), Y


def sizes_of(clf):
    return clf.network_.architecture.hidden_layer_sizes


# Each label carries log(2) nats.
@pytest.mark.parametrize(
    ("n_rows", "n_tasks", "is_narrow"),
    [(4900, 1, True), (5100, 1, False), (100, 70, True), (100, 75, False)],
)
@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_few_labels_of_few_sparse_rows_get_narrow_layers(
    n_rows, n_tasks, is_narrow, sharing
):
    X, Y = few_sparse_rows(n_rows, n_tasks)
    clf = MultiTaskNetClassifier(max_iter=0, n_members=1, sharing=sharing)
    assert sizes_of(clf.fit(X, Y)) == ((128, 128) if is_narrow else (256, 256))


def test_narrow_layers_are_for_classes_and_for_sgd_on_sparse_rows_of_one_fit():
    X, Y = few_sparse_rows()
    net = MultiTaskNetClassifier(max_iter=0, oob_score=False)
    reg = MultiTaskNetRegressor(max_iter=0, oob_score=False)
    wide = [
        net.partial_fit(X, Y),
        clone(net).set_params(solver="adam").fit(X, Y),
        clone(net).fit(X.toarray(), Y),
        reg.fit(X, Y),
    ]
    assert {sizes_of(each) for each in wide} == {(256, 256)}
    given = clone(net).set_params(hidden_layer_sizes=np.array([7, 6]))
    assert sizes_of(given.fit(X, Y)) == (7, 6)


def test_narrow_layers_have_larger_steps_and_less_dropout():
    X, Y = few_sparse_rows()
    settings = {"max_iter": 2, "oob_score": False, "n_members": 1, "random_state": 0}
    step = 0.3  # the largest for a constant loss of 2 log(2) and rows of length 1
    narrow = MultiTaskNetClassifier(**settings).fit(X, Y)
    given = MultiTaskNetClassifier(
        (128, 128), dropout=0.42, learning_rate_init=1.4 * step, **settings
    ).fit(X, Y)
    assert narrow.network_.architecture.dropout == 0.42
    assert_close_parameters(narrow, given)
    as_before = MultiTaskNetClassifier(
        (128, 128), dropout=0.42, learning_rate_init=step, **settings
    ).fit(X, Y)
    same = MultiTaskNetClassifier((128, 128), dropout=0.42, **settings).fit(X, Y)
    assert_close_parameters(same, as_before)


def test_a_trunk_keeps_its_sizes_on_rows_of_another_kind():
    X, Y = few_sparse_rows()
    net = MultiTaskNetClassifier(max_iter=0, oob_score=False, n_members=1)
    narrow, wide = clone(net).fit(X, Y), clone(net).partial_fit(X, Y)
    assert sizes_of(narrow.partial_fit(X, Y)) == (128, 128)
    assert sizes_of(wide.set_params(warm_start=True).fit(X, Y)) == (256, 256)
    for source in (narrow, wide):
        target = clone(net).set_params(pretrained=FrozenEstimator(source)).fit(X, Y)
        assert sizes_of(target) == sizes_of(source)
        # Dropout goes with the sizes, not with the rows.
        assert target.network_.architecture.dropout == (
            0.42 if source is narrow else 0.5
        )


def test_weights_count_in_the_loss_that_auto_is_scaled_by():
    X, Y = table_with_labels(200, 40)
    sample_weight = np.random.default_rng(1).integers(0, 3, Y.shape).astype(float)
    sample_weight[:, 0] += 1
    settings = {"solver": "sgd", "max_iter": 2, "task_weight": np.full(40, 2.0)}
    loss = 2 * constant_loss(Y, sample_weight)
    assert loss > 10
    has_weight = (sample_weight * ~np.isnan(Y)).any(axis=1)
    mean_weight = row_weights(Y, sample_weight)[has_weight].mean()
    automatic, given = (
        classifier(alpha=alpha, learning_rate_init=rate, **settings).fit(
            X, Y, sample_weight=sample_weight
        )
        for alpha, rate in [("auto", "auto"), (0.03 * loss * mean_weight, 1 / loss)]
    )
    assert_close_parameters(automatic, given)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_with_auto_the_scale_of_sample_weights_does_not_matter(problem, solver, scale):
    X, Y = problem
    clf = classifier(solver=solver, alpha="auto", learning_rate_init="auto")
    plain = parameters_of(clf.fit(X, Y))
    weighted = parameters_of(clf.fit(X, Y, sample_weight=np.full(len(Y), scale)))
    for ours, expected in zip(weighted, plain, strict=True):
        assert_allclose(ours, expected, atol=1e-4)


def of_numpy(kinds, values):
    return [(name, value, kind) for kind in kinds for name, value in values.items()]


OF_NUMPY = [
    *of_numpy(
        [np.float64, np.float32, np.float16],
        {
            "alpha": 0.25,
            "dropout": 0.25,
            "input_dropout": 0.25,
            "learning_rate_init": 0.25,
            "tol": 0.25,
            "momentum": 0.5,
            "beta_1": 0.5,
            "beta_2": 0.5,
            "epsilon": 0.25,
            "validation_fraction": 0.25,
        },
    ),
    *of_numpy(
        [np.int64, np.int8, np.uint8],
        {
            "hidden_layer_sizes": 5,
            "head_hidden_layer_sizes": 5,
            "n_bins": 4,
            "freeze": 1,
            "alpha": 0,
            "dropout": 0,
            "input_dropout": 0,
            "momentum": 0,
            "n_members": 2,
            "batch_size": 16,
            "max_iter": 3,
            "n_iter_no_change": 2,
            "random_state": 3,
        },
    ),
    *of_numpy(
        [np.bool], dict.fromkeys(["shuffle", "early_stopping", "warm_start"], True)
    ),
    *of_numpy(
        [np.str_],
        {
            "activation": "tanh",
            "input_encoding": "none",
            "sharing": "none",
            "freeze": "trunk",
            "solver": "auto",
            "alpha": "auto",
            "dropout": "auto",
            "batch_size": "auto",
            "learning_rate_init": "auto",
            "learning_rate": "constant",
            "class_weight": "balanced",
            "task_weight": "balanced",
        },
    ),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("name", "value", "kind"), OF_NUMPY)
def test_values_of_numpy_are_as_those_of_python(problem, tmp_path, name, value, kind):
    """Searches take them out of arrays."""
    solver = "sgd" if name in ("momentum", "alpha", "learning_rate_init") else "adam"
    settings = {"hidden_layer_sizes": (6,), "max_iter": 2, "solver": solver}
    settings["early_stopping"] = name in ("tol", "validation_fraction")
    expected = classifier(**settings | {name: value}).fit(*problem)
    clf = classifier(**settings | {name: kind(value)}).fit(*problem)
    assert_same_parameters(clf, expected)
    skmtl.save(clf, tmp_path / "model")
    assert_same_parameters(skmtl.load(tmp_path / "model"), expected)
    if not (clf.early_stopping or clf.class_weight or clf.task_weight):
        clf.partial_fit(*problem)
        assert_same_parameters(clf, expected.partial_fit(*problem))


def test_a_schedule_of_numbers_of_numpy(problem, tmp_path):
    plain, same = (
        classifier(freeze=UnfreezeAfter(*schedule)).fit(*problem)
        for schedule in [(2, 0.25), (np.int8(2), np.float16(0.25))]
    )
    assert_same_parameters(same, plain)
    skmtl.save(same, tmp_path / "model")
    assert_same_parameters(skmtl.load(tmp_path / "model"), plain)


def test_steps_on_sparse_rows_do_not_diverge_however_long_rows_are():
    """Counts of a fingerprint's kind, many tasks, small batches, any scale."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((600, 400), density=0.15, random_state=rng).tocsr()
    X.data[:] = rng.poisson(1.5, size=X.nnz) + 1
    Y = (X @ rng.normal(size=(400, 27)) > 0).astype(float)
    for scale in (0.1, 1.0, 10.0):
        clf = skmtl.MultiTaskNetClassifier(
            batch_size=16, max_iter=3, n_members=1, random_state=0
        )
        clf.fit(scale * X, Y)
        assert clf.loss_curve_[-1] < clf.loss_curve_[0]


def steps_of(n_rows, Y):
    """The documented number of steps for classes and dense rows."""
    nats = 0.0
    for column in Y.T:
        known = column[~np.isnan(column)]
        p = np.bincount(known.astype(int)) / len(known)
        nats -= len(known) * (p * np.log(p)).sum()
    steps = min(max(400 * (nats / 1500) ** 0.4, 50), 10_000)
    return steps if n_rows >= 1000 else 0.7 * steps


@pytest.mark.parametrize(("n", "n_tasks"), [(40, 1), (400, 6), (3000, 2)])
def test_auto_trains_for_the_documented_number_of_steps(n, n_tasks):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(n, 3)), (rng.random((n, n_tasks)) < 0.3).astype(float)
    Y[rng.random(Y.shape) < 0.2] = np.nan
    Y[:, 0] = np.nan_to_num(Y[:, 0])  # each row has a label
    clf = classifier(max_iter="auto", batch_size="auto", hidden_layer_sizes=(4,))
    batch_size = min(n, max(100, n // 20))
    n_epochs = clf.fit(X, Y).n_iter_
    assert n_epochs == max(1, round(steps_of(n, Y) / np.ceil(n / batch_size)))


def test_dropout_goes_down_where_the_labels_are_nearly_certain():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 4))
    Y = (X[:, :2] > 0).astype(float)
    settings = {"hidden_layer_sizes": (32,), "max_iter": 10, "learning_rate_init": 0.01}
    auto = classifier(dropout="auto", **settings).fit(X, Y)
    rate = auto.network_.architecture.dropout
    same = classifier(dropout=rate, **settings).fit(X, Y)
    assert auto.loss_ < 0.8 * same.loss_
    # If the labels are noise, nothing is explained, and dropout stays.
    noise = rng.integers(2, size=(4000, 2)).astype(float)
    auto, same = (
        classifier(dropout=d, **settings | {"max_iter": 1}).fit(X, noise)
        for d in ("auto", rate)
    )
    assert_same_parameters(auto, same)


def test_dropout_ends_where_the_labels_are_certain():
    X = np.random.default_rng(0).normal(size=(4000, 4))
    Y = (X[:, :2] > 0).astype(float)
    settings = {"hidden_layer_sizes": (32,), "learning_rate_init": 0.01, "alpha": 0.0}
    clf = classifier(dropout="auto", input_dropout=0.1, **settings)
    for _ in range(20):
        clf.partial_fit(X, Y, n_calls=21)
    # A step on all rows: its loss is that of the predictions before it.
    expected = 2 * log_loss(Y.ravel(), clf.predict_proba(X).ravel())
    clf.set_params(batch_size=4000).partial_fit(X, Y, n_calls=21)
    assert_allclose(clf.loss_, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("n_rows", "unexplained", "changes", "ends"),
    [
        (1_000, 0.0, {}, True),
        (1_000, 0.35, {}, True),
        (1_000, 0.5, {}, False),
        (1_000, 0.0, {"dropout": "auto"}, True),
        (999, 0.0, {}, False),
        (1_000, 0.0, {"input_dropout": 0.2}, False),
        (1_000, 0.0, {"loss": "gaussian"}, False),
    ],
)
def test_input_dropout_ends_where_numbers_are_explained(
    n_rows, unexplained, changes, ends
):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 4))
    noise = np.sqrt(2 * unexplained / (1 - unexplained))
    Y = X[:, :2] + X[:, 2:] + noise * rng.normal(size=(n_rows, 2))
    settings = {"hidden_layer_sizes": (), "dropout": 0.0, "alpha": 0.0, "n_members": 1}
    settings |= {"learning_rate_init": 0.05, "random_state": 0}
    reg = MultiTaskNetRegressor(**settings | changes)
    for _ in range(30):
        reg.partial_fit(X, Y, n_calls=31)
    assert reg.score(X, Y) > 0.9 * (1 - unexplained) - 0.1
    # A step on all rows: without dropout, its loss is that of the predictions before.
    expected = _loss(reg, X, Y)
    reg.set_params(batch_size=n_rows).partial_fit(X, Y, n_calls=31)
    assert (reg.loss_ == pytest.approx(expected, rel=1e-4)) == ends


@pytest.mark.parametrize("second", ["class", "number"])
def test_input_dropout_of_classes_only_falls_with_the_loss(second):
    X = np.random.default_rng(0).normal(size=(4_000, 4))
    Y = (X[:, :2] > 0).astype(float)
    settings = {"hidden_layer_sizes": (), "alpha": 0.0, "n_members": 1, "max_iter": 5}
    settings |= {"task_types": {"task_0": "class", "task_1": second}}
    settings |= {"learning_rate_init": 0.05, "random_state": 0}
    auto = MultiTaskNet(**settings).fit(X, Y)
    rate = auto.network_.architecture.input_dropout
    assert rate > 0
    assert_same_parameters(auto, MultiTaskNet(input_dropout=rate, **settings).fit(X, Y))


def _loss(reg, X, Y):
    """The loss of predictions, on the standardised scale and summed over the tasks."""
    scale = Y.std(axis=0)
    if reg.loss != "gaussian":
        return 0.5 * np.square((Y - reg.predict(X)) / scale).mean(axis=0).sum()
    mean, std = reg.predict(X, return_std=True)
    return -np.mean(norm.logpdf(Y, mean, std) + np.log(scale), axis=0).sum()


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "of_classes", "of_numbers"),
    [
        (999, 10, 4, 4),
        (1_000, 10, 8, 16),
        (1_000, 40, 8, 12),
        (3_999, 10, 8, 16),
        (4_000, 10, 32, 32),
    ],
)
def test_numbers_have_finer_bins(n_rows, n_columns, of_classes, of_numbers):
    X = np.random.default_rng(0).normal(size=(n_rows, n_columns))
    Y = (X[:, :2] > 0).astype(float)
    settings = {"hidden_layer_sizes": (4,), "max_iter": 0}
    found = [
        Net(**settings).fit(X, Y).network_.architecture.n_bins
        for Net in (MultiTaskNetClassifier, MultiTaskNetRegressor)
    ]
    assert found == [of_classes, of_numbers]


@pytest.mark.parametrize("settings", [{}, {"n_members": 3}, {"sharing": "none"}])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_adam_starts_halfway_to_the_class_frequencies(settings, class_weight):
    # Without hidden layers, the outputs of a row of zeros are the biases.
    X = np.random.default_rng(0).normal(size=(100, 3))
    Y = np.full((100, 2), np.nan)
    Y[:80, 0] = np.arange(80) < 4
    Y[20:, 1] = np.repeat([0, 1, 2], [48, 24, 8])
    weight = np.where(np.arange(100) < 4, 3.0, 1.0)
    plain = {"hidden_layer_sizes": (), "input_encoding": "none", "max_iter": 0}
    plain |= {"class_weight": class_weight} | settings
    start = classifier(solver="adam", **plain)
    p = start.fit(X, Y, sample_weight=weight).predict_proba(np.zeros((1, 3)))
    rare = 12 / 88 if class_weight is None else 0.5
    three = np.array([0.6, 0.3, 0.1] if class_weight is None else [1 / 3] * 3)
    # A fiftieth of equal frequencies is mixed in, and logits are halved.
    odds = np.sqrt((rare + 0.01) / (1 - rare + 0.01))
    assert_allclose(p[0][0, 1], odds / (1 + odds), rtol=1e-6)
    roots = np.sqrt(three + 0.02 / 3)
    assert_allclose(p[1][0], roots / roots.sum(), rtol=1e-6)
    # SGD starts at random: its steps follow the gradients, which would be smaller.
    other = classifier(solver="sgd", **plain).fit(X, Y, sample_weight=weight)
    assert abs(other.predict_proba(np.zeros((1, 3)))[0][0, 1] - 0.5) > 0.01


# Parameters of parameters ---------------------------------------------------------


def test_parameters_of_an_object_need_the_object():
    clf = classifier()
    with pytest.raises(ValueError, match=r"trunk__channels .* but trunk is None"):
        clf.set_params(trunk__channels=(4,))
    with pytest.raises(ValueError, match=r"sharing__depth .* but sharing is 'hard'"):
        clf.set_params(sharing__depth=2)
    with pytest.raises(ValueError, match="Invalid parameter 'trank'"):
        clf.set_params(trank__channels=(4,))
    clf.set_params(trunk__channels=(4,), trunk=ConvTrunk())
    assert clf.trunk.channels == (4,)
    assert clf.set_params(trunk__channels=(2, 2)) is clf
    assert clf.trunk.channels == (2, 2)


@pytest.mark.parametrize("weight", [[{0: 1, 1: 5}, None, None], [{0: 1, 1: 5}]])
def test_class_weights_in_the_form_of_forests_are_refused(problem, weight):
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=r"class_weight={'task_0': {0: 1, 1: 5}}"):
            getattr(classifier(class_weight=weight), method)(*problem)
