"""Tables with few labels, whose heads are computed at the observed labels only."""

import copy

import numpy as np
import pytest
import torch
from _properties import build, labels_of, random_batch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_softmax

from skmtl import MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl._network import NetworkPass, Tape, cells_of_batches
from skmtl._outputs import NUMBER_KINDS, logit_gradient, task_losses
from skmtl._rows import LabelledRows, Rows
from skmtl._training import _observed, _parts
from skmtl.sharing import HardSharing
from skmtl.trunks import UnfreezeAfter

N_TASKS = 12
two_or_three_classes = pytest.mark.parametrize("n_classes", [2, 3])


@pytest.fixture
def skips(monkeypatch):
    """Set up to which share of labels the others are skipped, in small networks too."""

    def up_to(share):
        monkeypatch.setattr(_observed, "MIN_WORK", 0)
        monkeypatch.setattr(_observed, "MAX_SHARE", share)

    return up_to


@pytest.fixture
def n_skipping(monkeypatch):
    """How many tables were read without the missing labels."""
    made = []

    class Recorder(_observed.ObservedLabels):
        def __init__(self, *args):
            made.append(args)
            super().__init__(*args)

    monkeypatch.setattr(_observed, "ObservedLabels", Recorder)
    return lambda: len(made)


def few(n_samples=300, n_classes=2, seed=0, n_labels=1):
    """X and Y, in which each row has `n_labels` labels, and some have none."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, 5)).astype(np.float32)
    score = X @ rng.normal(size=(5, N_TASKS))
    Y = np.full((n_samples, N_TASKS), np.nan)
    for i in range(n_samples - 5):
        for task in rng.permutation(N_TASKS)[:n_labels]:
            Y[i, task] = np.digitize(score[i, task], [0, 1.5][: n_classes - 1])
    return X, Y


def settings(**changes):
    return {
        "hidden_layer_sizes": (7, 6),
        "activation": "tanh",
        "input_encoding": "none",
        "n_members": 1,
        "dropout": 0.0,
        "input_dropout": 0.0,
        "batch_size": 16,
        "max_iter": 4,
        "random_state": 0,
    } | changes


def weights_of(estimator):
    return torch.cat([p.detach().flatten() for p in estimator.network_.parameters()])


def assert_same_weights(one, other):
    assert_allclose(weights_of(one), weights_of(other), rtol=2e-3, atol=2e-5)


# The parts ----------------------------------------------------------------------------


def test_cells_of_batches_are_those_of_the_matrix():
    rng = np.random.default_rng(0)
    matrix = rng.random((23, 9)) < 0.2
    matrix[5:10] = False  # a whole batch without a cell
    offsets = np.append(0, np.cumsum(matrix.sum(axis=1)))
    cells = cells_of_batches(np.nonzero(matrix)[1], offsets, 9, 5)
    assert len(cells) == 5
    for start, own in zip(range(0, 23, 5), cells, strict=True):
        part = matrix[start : start + 5]
        rows, columns = np.nonzero(part)
        assert own.n_cells == part.sum()
        assert_array_equal(own.by_row.values, rows)
        assert_array_equal(own.by_row.indices, columns)
        assert_array_equal(own.by_row.offsets.diff(), part.sum(axis=1))
        in_order = own.by_column.values
        assert_array_equal(own.by_column.indices, rows[in_order])
        assert_array_equal(np.sort(columns), columns[in_order])
        assert_array_equal(own.by_column.offsets.diff(), part.sum(axis=0))


def observed_batches(network, x, codes, sample_weight, batch_size):
    table = torch.ones(codes.shape[1], 4, dtype=torch.float64)
    data = LabelledRows(Rows(x, encoded=False), codes, None, table, sample_weight, None)
    observed = _observed.ObservedLabels(data, network)
    rows = torch.arange(len(codes))
    return observed.read_block(data, rows, network.like, batch_size)


@two_or_three_classes
@pytest.mark.parametrize("per_task", [False, True])
def test_a_plain_double_loop_gives_the_same_loss(n_classes, per_task):
    network = build(HardSharing(), n_classes=(n_classes,) * 6)
    x, codes = random_batch((n_classes,) * 6, n_samples=20)
    weight = torch.rand(20, 6 if per_task else 1, dtype=torch.float64)
    block, batches = observed_batches(network, x, codes, weight, 8)
    network_pass = NetworkPass(network)
    with torch.no_grad():
        logits = [
            network_pass.forward(part, None, Tape([], []), batch.cells)
            for part, batch in zip(x.split(8), batches, strict=True)
        ]
        losses = task_losses(torch.cat(logits, 2), block.labels, network.groups)
        dense = network(x)[0].unflatten(1, (6, -1)).numpy()
    expected = 0.0
    for i, t in np.argwhere(codes.numpy() >= 0):
        z, code = dense[i, t], int(codes[i, t])
        log_p = np.log(expit(z if code else -z)) if n_classes == 2 else log_softmax(z)
        each = weight[i, t if per_task else 0]
        expected -= float(each * log_p[0 if n_classes == 2 else code])
    assert_allclose(losses.sum(), expected, rtol=1e-12)


@two_or_three_classes
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_gradients_are_those_of_all_logits(n_classes, rate):
    network = build(HardSharing(), n_classes=(n_classes,) * 6, dropout=rate)
    x, codes = random_batch((n_classes,) * 6, n_samples=20)
    codes[3] = -1
    weight = torch.rand(codes.shape, dtype=torch.float64)
    _, ((labels, cells),) = observed_batches(network, x, codes, weight, 20)
    expected = labels_of(network, codes, sample_weight=weight)
    gradients = []
    for own, at in ((labels, cells), (expected, None)):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, np.nan)
        with torch.no_grad():
            network_pass, tape = NetworkPass(network), Tape([], [])
            generator = torch.Generator().manual_seed(0)
            logits = network_pass.forward(x, generator, tape, at)
            network_pass.backward(tape, logit_gradient(logits, own, network.groups))
        gradients.append([p.grad.clone() for p in network.parameters()])
    for ours, plain in zip(*gradients, strict=True):
        assert_allclose(ours, plain, rtol=1e-9, atol=1e-12)


# Whole fits ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"solver": "sgd", "learning_rate_init": 0.1},
        {"alpha": 0.1, "class_weight": "balanced", "task_weight": "balanced"},
        {"n_members": 3, "oob_score": True},
        {"hidden_layer_sizes": (6,), "freeze": "trunk"},
        {"freeze": UnfreezeAfter(2)},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"input_encoding": "piecewise"},
    ],
    ids=str,
)
@two_or_three_classes
def test_fits_just_below_and_above_the_share_agree(
    changes, n_classes, skips, n_skipping, monkeypatch
):
    # Members of both fits are trained apart, as those that skip labels are.
    monkeypatch.setattr(_parts.Parts, "_n_parts_of_members", lambda self: 3)
    X, Y = few(400, n_classes=n_classes)
    weight = np.random.default_rng(0).uniform(0.5, 2, size=Y.shape)
    fits = []
    for share in (0.99 / N_TASKS, 1.01 / N_TASKS):
        skips(share)
        assert n_skipping() == 0
        clf = MultiTaskNetClassifier(**settings(**changes))
        fits.append(clf.fit(X, Y, sample_weight=weight))
    assert n_skipping() == 1
    assert_same_weights(*fits)
    assert_allclose(fits[0].loss_curve_, fits[1].loss_curve_, rtol=1e-4)


@pytest.mark.parametrize("loss", NUMBER_KINDS)
def test_numbers_agree(loss, skips, n_skipping):
    X, _ = few()
    rng = np.random.default_rng(0)
    Y = X @ rng.normal(size=(5, N_TASKS)) + rng.normal(size=(300, N_TASKS))
    Y[rng.random(Y.shape) > 0.1] = np.nan
    fits = []
    for share in (0.0, 1.0):
        skips(share)
        fits.append(MultiTaskNetRegressor(**settings(loss=loss)).fit(X, Y))
    assert n_skipping() == 1
    assert_same_weights(*fits)


@pytest.mark.parametrize("n_labels", [1, 2])
def test_a_plain_loop_of_torch_gives_the_same_weights(n_labels, skips):
    skips(1.0)
    X, Y = few(n_labels=n_labels)
    changes = {
        "solver": "adam",
        "alpha": 0.0,
        "learning_rate": "constant",
        "learning_rate_init": 0.01,
        "shuffle": False,
        "n_iter_no_change": 100,
        "max_iter": 3,
    }
    start = MultiTaskNetClassifier(**settings(**changes | {"max_iter": 0})).fit(X, Y)
    network = copy.deepcopy(start.network_)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    known = ~np.isnan(Y).all(axis=1)
    x, y = torch.from_numpy(X[known]), torch.from_numpy(Y[known].astype(np.float32))
    for _ in range(3):
        for rows in torch.arange(len(x)).split(16):
            z, own = network(x[rows])[0], y[rows]
            is_observed = ~own.isnan()
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                z[is_observed], own[is_observed], reduction="sum"
            )
            (loss / len(rows)).backward()
            optimizer.step()
    with pytest.warns(match="hasn't converged"):
        fitted = MultiTaskNetClassifier(**settings(**changes)).fit(X, Y)
    pairs = zip(fitted.network_.parameters(), network.parameters(), strict=True)
    for ours, plain in pairs:
        assert_allclose(ours.detach(), plain.detach(), rtol=2e-4, atol=2e-6)


def test_other_networks_read_all_labels(skips, n_skipping):
    skips(1.0)
    X, Y = few()
    for changes in (
        {"sharing": "none"},
        {"head_hidden_layer_sizes": (3,)},
        {"hidden_layer_sizes": ()},
        {"n_members": 2},
    ):
        MultiTaskNetClassifier(**settings(**changes)).fit(X, Y)
    assert n_skipping() == 0


def test_a_task_without_labels_keeps_its_head(skips):
    skips(1.0)
    X, Y = few()
    Y[:, 3] = np.nan
    common = {"alpha": 0.0, "learning_rate_init": 0.01}
    with pytest.warns(match="no observed label"):
        start = MultiTaskNetClassifier(**settings(max_iter=0, **common)).fit(X, Y)
    with pytest.warns(match="no observed label"):
        fitted = MultiTaskNetClassifier(**settings(**common)).fit(X, Y)
    before, after = (list(est.network_.heads.parameters()) for est in (start, fitted))
    for old, new in zip(before, after, strict=True):
        is_same = (old == new).flatten(0, 1).all(0).squeeze(1)
        assert_array_equal(np.flatnonzero(is_same), [3])
