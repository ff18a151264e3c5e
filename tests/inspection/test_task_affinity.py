import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import AtEpoch, assert_same_parameters, classifier, small_network
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNetClassifier
from skmtl.datasets import make_multitask_classification
from skmtl.inspection import TaskAffinity, TaskAffinityDisplay, task_affinity
from skmtl.trunks import ConvTrunk, UnfreezeAfter

matplotlib.use("Agg")


def plain_losses(X, Y, class_weight, parameters):
    """Mean loss of each task over its labels: one tanh layer, linear binary heads."""
    features = plain_features(X, parameters)
    return features, plain_head(features, Y, class_weight, parameters)


def plain_features(X, parameters):
    weight, bias, _, _ = parameters
    return torch.tanh(torch.einsum("ni,imh->mnh", X, weight[0]) + bias[0, 0][:, None])


def plain_head(features, Y, class_weight, parameters):
    _, _, weight, bias = parameters
    z = torch.einsum("mnh,mht->mnt", features, weight[..., 0]) + bias[..., 0]
    target = Y.nan_to_num()
    per_label = torch.nn.functional.binary_cross_entropy_with_logits(
        z, target.expand_as(z), reduction="none"
    ).mean(0)
    weight = (class_weight[0] + (class_weight[1] - class_weight[0]) * target) * (
        ~Y.isnan()
    )
    return (per_label * weight).sum(0) / weight.sum(0)


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("class_weight", [(1.0, 1.0), (1.0, 4.0)])
def test_the_last_look_by_plain_torch(n_members, class_weight):
    X, Y = make_multitask_classification(80, 5, 3, missing_rate=0.4, random_state=0)
    names = [f"task_{i}" for i in range(3)]
    weights = {name: dict(enumerate(class_weight)) for name in names}
    clf = small_network(
        6, activation="tanh", n_members=n_members, max_iter=4, class_weight=weights
    )
    found = task_affinity(clf, X, Y, max_samples=None)
    assert_array_equal(found.epochs, [1, 2, 3, 4])
    network = found.estimator.network_
    parameters = [p.detach().double().requires_grad_() for p in network.parameters()]
    trunk = parameters[:2]
    X, Y = torch.tensor(X), torch.tensor(Y)
    features, before = plain_losses(X, Y, class_weight, parameters)
    length = torch.cat([p.flatten() for p in trunk]).norm()
    for i in range(3):
        gradient = torch.autograd.grad(before[i], trunk, retain_graph=True)
        slope = torch.cat([p.flatten() for p in gradient]).norm()
        step = 0.01 * length / slope
        moved = [p - step * g for p, g in zip(trunk, gradient, strict=True)]
        _, after = plain_losses(X, Y, class_weight, [*moved, *parameters[2:]])
        expected = (1 - after / before).detach()
        assert_allclose(found.lookahead_by_epoch[-1, i], expected, atol=2e-6)
    features = features.detach().requires_grad_()
    losses = plain_head(features, Y, class_weight, parameters)
    gradients = torch.stack(
        [torch.autograd.grad(loss, features, retain_graph=True)[0] for loss in losses]
    )
    for i in range(3):
        for j in range(3):
            both = ~(Y[:, i].isnan() | Y[:, j].isnan())
            assert found.n_colabelled[i, j] == both.sum()
            for rows, measure in [
                (slice(None), found.cosine_by_epoch),
                (both, found.colabelled_cosine_by_epoch),
            ]:
                a, b = gradients[i][:, rows].flatten(), gradients[j][:, rows].flatten()
                expected = torch.nn.functional.cosine_similarity(a, b, dim=0)
                assert_allclose(measure[-1, i, j], expected, atol=1e-5)


def as_pictures(X):
    return np.tile(X[:, :4].reshape(-1, 1, 2, 2), (1, 1, 4, 4)).astype(np.float32)


SHAPES = {
    "defaults": (MultiTaskNetClassifier((16, 8), max_iter=3), lambda X: X),
    "sparse": (small_network(16, max_iter=3), sparse.csr_array),
    "heads with a layer": (
        small_network(8, head_hidden_layer_sizes=(4,), max_iter=3, n_members=3),
        lambda X: X,
    ),
    "images": (
        MultiTaskNetClassifier(trunk=ConvTrunk((4, 8)), n_members=2, max_iter=3),
        as_pictures,
    ),
    "a frozen layer": (small_network(8, 8, freeze=1, max_iter=3), lambda X: X),
    "early stopping": (small_network(8, early_stopping=True, max_iter=3), lambda X: X),
    "a pipeline": (
        make_pipeline(StandardScaler(), small_network(8, max_iter=3)),
        pd.DataFrame,
    ),
}


def three_kinds(missing_rate=0.5):
    """Tasks of two and of three classes, some in words."""
    X, Y = make_multitask_classification(
        150, 6, 4, missing_rate=missing_rate, random_state=0
    )
    Y = pd.DataFrame(Y, columns=list("abcd")).astype(object)
    Y["b"] = Y["b"].map({0.0: "no", 1.0: "yes"})
    Y.loc[Y["c"].notna() & (X[:, 0] > 0.5), "c"] = 2.0
    return X, Y


@pytest.mark.filterwarnings("ignore:.*converge:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("shape", SHAPES)
def test_what_holds_for_every_network(shape):
    X, Y = three_kinds()
    estimator, convert = SHAPES[shape]
    found = task_affinity(estimator, convert(X), Y, n_snapshots=2)
    assert_array_equal(found.epochs, [1, 3])
    own = np.diagonal(found.lookahead_by_epoch, axis1=1, axis2=2)
    assert (own > 0).all(), "a step for a task lowers its own loss"
    assert np.isfinite(found.lookahead_by_epoch).all()
    for cosine in (found.cosine_by_epoch, found.colabelled_cosine_by_epoch):
        assert_allclose(cosine, cosine.transpose(0, 2, 1), atol=1e-12)
        assert_allclose(np.diagonal(cosine, axis1=1, axis2=2), 1.0)
        assert (np.abs(cosine) < 1 + 1e-12).all()
    shrunk = np.abs(found.colabelled_cosine_by_epoch) - np.abs(found.cosine_by_epoch)
    assert (shrunk > -1e-12).all(), "a row without one of the labels pulls at nothing"
    is_labelled = Y.notna().to_numpy().astype(int)
    assert_array_equal(found.n_colabelled, is_labelled.T @ is_labelled)
    assert sorted(name for group in found.groups() for name in group) == list("abcd")
    assert [len(found.groups(k)) for k in (1, 2, 3, 4)] == [1, 2, 3, 4]


def two_kinds(seed):
    """Three tasks of one kind and three of another, which read other columns."""
    parts = [
        make_multitask_classification(400, 6, 3, n_hidden=1, random_state=s)
        for s in (seed, seed + 100)
    ]
    X, Y = (np.hstack(arrays) for arrays in zip(*parts, strict=True))
    return X, Y


RIGHT = [["task_0", "task_1", "task_2"], ["task_3", "task_4", "task_5"]]
WITHIN = np.kron(np.eye(2), np.ones((3, 3))).astype(bool)
BETWEEN_TASKS = ~np.eye(6, dtype=bool)


@pytest.mark.parametrize("seed", range(3))
def test_related_tasks_are_grouped(seed):
    X, Y = two_kinds(seed)
    found = task_affinity(small_network(32, random_state=seed), X, Y)
    assert found.groups() == found.groups(2) == RIGHT
    for affinity in (found.lookahead, found.cosine):
        assert affinity[WITHIN].min() > affinity[~WITHIN].max()
    assert_allclose(found.cosine, found.colabelled_cosine, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_related_tasks_are_grouped_where_no_row_has_two_labels(seed):
    X, Y = two_kinds(seed)
    X, Y = np.tile(X, (3, 1)), np.tile(Y, (3, 1))
    own = np.random.default_rng(seed).integers(6, size=len(Y))
    Y[own[:, None] != np.arange(6)] = np.nan
    settings = {"n_members": 1, "n_bins": 8, "max_iter": 80}
    clf = MultiTaskNetClassifier((64,), random_state=seed, **settings)
    found = task_affinity(clf, X, Y)
    assert found.groups() == found.groups(2) == RIGHT
    assert found.lookahead[WITHIN & BETWEEN_TASKS].mean() > 0
    assert found.lookahead[~WITHIN].mean() < 0
    assert_allclose(found.cosine, np.eye(6), atol=1e-12)
    assert np.isnan(found.colabelled_cosine[BETWEEN_TASKS]).all()
    TaskAffinityDisplay(found).plot(kind="colabelled_cosine")
    plt.close("all")


def test_the_fit_is_an_ordinary_one(problem):
    clf = classifier(max_iter=4)
    kept = AtEpoch(9, bool)
    clf.set_callbacks(kept)
    plain = clone(clf)
    before = clf.get_params()
    found = task_affinity(clf, *problem)
    assert_same_parameters(found.estimator, plain.fit(*problem))
    assert found.estimator._skl_callbacks == [kept]
    assert clf.get_params() == before
    assert not hasattr(clf, "network_")


def test_rows_without_labels_change_nothing(problem):
    X, Y = problem
    clf = small_network(8, max_iter=3, random_state=0)
    found = task_affinity(clf, X, Y)
    X, Y = np.vstack([X, X[:5] + 3]), np.vstack([Y, np.full((5, Y.shape[1]), np.nan)])
    longer = task_affinity(clf, X, Y)
    for name in ("lookahead", "cosine", "colabelled_cosine"):
        assert_allclose(getattr(found, name), getattr(longer, name), atol=1e-6)


def test_a_fit_that_ends_early_is_looked_at_while_it_lasts(problem):
    clf = small_network(8, learning_rate="constant", tol=10.0, n_iter_no_change=3)
    found = task_affinity(clf, *problem, n_snapshots=40)
    n_epochs = found.estimator.n_iter_
    assert 3 < n_epochs < 40
    assert_array_equal(found.epochs, np.arange(1, n_epochs + 1))


def test_a_trunk_that_waits_is_not_pulled(problem):
    clf = small_network(8, freeze=UnfreezeAfter(2), max_iter=4)
    found = task_affinity(clf, *problem)
    assert_array_equal(found.epochs, [1, 2, 3, 4])
    is_known = np.isfinite(found.lookahead_by_epoch).all(axis=(1, 2))
    assert_array_equal(is_known, [False, False, True, True])
    assert np.isfinite(found.lookahead).all()


def test_a_task_without_labels_is_said_and_stands_alone():
    X, Y = two_kinds(0)
    Y[:, 1] = np.nan
    with (
        pytest.warns(UserWarning, match="have no observed label"),
        pytest.warns(
            UserWarning, match=r"400 measured rows: \['task_1'\].*NaN. Drop"
        ) as seen,
    ):
        found = task_affinity(small_network(32, random_state=0), X, Y)
    assert seen[-1].filename == __file__
    for measure in (found.lookahead, found.cosine, found.colabelled_cosine):
        others = np.delete(np.delete(measure, 1, 0), 1, 1)
        assert np.isfinite(others).all()
        assert np.isnan(measure[1]).all()
        assert np.isnan(measure[:, 1]).all()
    right = [["task_0", "task_2"], ["task_1"], ["task_3", "task_4", "task_5"]]
    assert found.groups(3) == right
    assert pd.isna(found.table.loc["task_1", "best"])
    assert found.table.loc["task_0", "best"] == "task_2"
    display = TaskAffinityDisplay.from_result(found)
    assert display.order_[-1] == 1
    plt.close("all")


def test_fewer_rows_are_enough_to_see_it():
    X, Y = two_kinds(0)
    clf = small_network(32, random_state=0)
    all_rows, some = (
        task_affinity(clf, X, Y, max_samples=n, random_state=0) for n in (None, 150)
    )
    assert_array_equal(np.diag(some.n_colabelled), np.full(6, 150))
    assert np.corrcoef(some.cosine.ravel(), all_rows.cosine.ravel())[0, 1] > 0.95
    assert some.groups(2) == all_rows.groups(2)


def test_labels_that_were_not_looked_at_are_a_matter_of_max_samples():
    X, Y = two_kinds(0)
    Y = np.where(np.eye(400, 6), Y, np.nan)  # a label per task, in rows of their own
    with (
        pytest.warns(UserWarning, match=r"4 measured rows.*Use a larger max_samples"),
        pytest.warns(UserWarning, match="6 of 6 tasks have labels of one class only"),
    ):
        task_affinity(small_network(8, max_iter=1), X, Y, max_samples=4, random_state=0)


@pytest.mark.parametrize(
    ("estimator", "settings", "message"),
    [
        (small_network(8, sharing="none"), {}, "sharing='none'"),
        (small_network(), {}, "Use a hidden layer"),
        (small_network(8, max_iter=0), {}, "max_iter of at least 1"),
        (StandardScaler(), {}, "must be a skmtl estimator"),
        (small_network(8, alpha=-1), {}, "The 'alpha' parameter"),
        (small_network(8, max_iter="few"), {}, "The 'max_iter' parameter"),
        (small_network(8), {"n_snapshots": 0}, "n_snapshots"),
        (small_network(8), {"max_samples": 0}, "max_samples"),
        (small_network(8), {"y": np.zeros(60)}, "at least two tasks"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(problem, estimator, settings, message):
    X, Y = problem
    with pytest.raises(ValueError, match=message):
        task_affinity(estimator, X, settings.pop("y", Y), **settings)


@pytest.mark.parametrize("form", ["csr", "coo", "dia"])
def test_sparse_rows_of_any_form(problem, form):
    X, Y = problem
    clf = small_network(8, max_iter=2, solver="adam", random_state=0)
    found = task_affinity(clf, sparse.csr_array(X).asformat(form), Y, n_snapshots=1)
    expected = task_affinity(clf, X, Y, n_snapshots=1)
    assert_allclose(found.lookahead, expected.lookahead, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("freeze", ["trunk", 1, UnfreezeAfter(9)])
def test_a_trunk_that_is_never_trained_is_refused(problem, freeze):
    source = FrozenEstimator(small_network(8, max_iter=2).fit(*problem))
    clf = small_network(8, pretrained=source, freeze=freeze, max_iter=3)
    with pytest.raises(ValueError, match=r"all frozen after epochs \[1, 2, 3\]"):
        task_affinity(clf, *problem)


def made_affinity(lookahead):
    lookahead = np.asarray(lookahead, dtype=float)
    names = np.array([f"t{i}" for i in range(len(lookahead))], dtype=object)
    return TaskAffinity(
        names,
        np.array([1]),
        *[lookahead[None]] * 3,
        np.ones(lookahead.shape, dtype=int),
        None,
    )


def test_groups_are_joined_while_their_mean_affinity_is_positive():
    # The pairs agree; between them 0.1, 0.1, -0.3 and -0.1: on average they do not.
    affinity = [[9, 0.3, 0.1, 0.1], [0.5, 9, -0.3, -0.1], [0.1, -0.3, 9, 0.2]]
    found = made_affinity([*affinity, [0.1, -0.1, 0.2, 9]])
    assert found.groups() == [["t0", "t1"], ["t2", "t3"]]
    assert found.groups(3) == [["t0", "t1"], ["t2"], ["t3"]]
    assert found.groups(1) == [["t0", "t1", "t2", "t3"]]
    assert made_affinity(-np.ones((3, 3))).groups() == [["t0"], ["t1"], ["t2"]]
    assert made_affinity(np.ones((3, 3))).groups() == [["t0", "t1", "t2"]]
    assert found.table["best"].tolist() == ["t1", "t0", "t3", "t2"]
    assert_allclose(found.table["affinity_of_best"], [0.5, 0.3, 0.2, 0.2])
    assert found.table["worst"].tolist() == ["t2", "t2", "t1", "t1"]
    for n_groups in (0, 5, 1.5, "a"):
        with pytest.raises(ValueError, match=f"from 1 to .* 4; got {n_groups!r}"):
            found.groups(n_groups)


def test_the_heat_map_puts_similar_tasks_side_by_side():
    lookahead = np.full((50, 50), -0.1)
    lookahead[np.ix_([0, 7, 49], [0, 7, 49])] = 0.4
    lookahead[7, 0] = np.nan
    display = TaskAffinityDisplay(made_affinity(lookahead))
    for kind in ("lookahead", "cosine"):
        _, ax = plt.subplots()
        assert display.plot(ax, kind=kind).ax_ is ax
        places = np.sort(np.flatnonzero(np.isin(display.order_, [0, 7, 49])))
        assert_array_equal(np.diff(places), [1, 1])
        shown = ax.images[0].get_array()
        order = display.order_
        expected = lookahead[np.ix_(order, order)]
        np.fill_diagonal(expected, np.nan)
        assert_allclose(shown.filled(np.nan), expected)
        low, high = ax.images[0].get_clim()
        assert -low == high == 0.4
        assert not ax.get_xticklabels()
    with pytest.raises(ValueError, match="kind must be one of"):
        display.plot(kind="distance")
    few = TaskAffinityDisplay.from_result(made_affinity(np.ones((3, 3))))
    names = [label.get_text() for label in few.ax_.get_yticklabels()]
    assert sorted(names) == ["t0", "t1", "t2"]
    plt.close("all")
