"""The network against plain references: differences, torch.nn, the same data twice."""

import copy
import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import classifier, parameters_of
from numpy.testing import assert_allclose
from scipy import sparse
from torch import nn
from torch.nn import functional as F

from skmtl._network import ACTIVATIONS
from skmtl._rows import Rows

every_sharing = pytest.mark.parametrize("sharing", ["hard", "none"])
every_input = pytest.mark.parametrize("kind", ["dense", "sparse", "piecewise"])
every_solver = pytest.mark.parametrize("solver", ["adam", "sgd"])
every_trunk = pytest.mark.parametrize("trunk", [(), (5,), (5, 4)], ids=str)
some_members = pytest.mark.parametrize("n_members", [1, 3])

# Of the four tasks: the groups are not in the order of the tasks.
N_CLASSES = (3, 2, 4, 2)


def labelled_rows(n=24, seed=0):
    """X (n, 5), codes (n, 4) as floats with missing labels, and one row without any.

    The numbers are such that float32 holds them and their weighted sums.
    """
    rng = np.random.default_rng(seed)
    X = np.round(rng.normal(size=(n, 5)) * 64) / 64
    Y = np.column_stack([np.arange(n) % k for k in N_CLASSES]).astype(float)
    Y = rng.permuted(Y, axis=0)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    Y[2], Y[5] = np.nan, [0, 1, np.nan, 0]
    return X, Y


def input_of(kind, X):
    """X of this kind, and the parameters that it needs."""
    if kind == "piecewise":
        return X, {"input_encoding": "piecewise", "n_bins": 4}
    if kind == "sparse":
        X = np.where(np.abs(X) < 0.5, 0, X)
        X[4] = 0
        X = sparse.csr_array(X)
    return X, {"input_encoding": "none"}


def random_weights(shape, seed=1):
    """Eighths from 0 to 2, which float32 holds."""
    weight = np.random.default_rng(seed).integers(1, 17, size=shape) / 8
    weight[7] = 0
    return weight


def initial(X, Y, sample_weight=None, **settings):
    """The untrained network in float64, without zeros in its weights.

    Steps of `partial_fit`, and of `fit` with a warm start, go on from it.
    """
    settings = {"batch_size": 1000, "shuffle": False, "hidden_layer_sizes": (5,)} | (
        settings
    )
    clf = classifier(max_iter=0, **settings).fit(X, Y, sample_weight)
    clf.network_.double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in clf.network_.parameters():
            noise = torch.empty_like(parameter).uniform_(-0.3, 0.3, generator=generator)
            parameter += noise
    return clf


def rows_of(clf, X):
    """All rows of X as the network reads them."""
    network, X = clf.network_, clf._check_for_prediction(X)
    rows = Rows.of(X, encoded=network.columns is not None)
    return rows.read(slice(None), network.like)


# Gradients ------------------------------------------------------------------------


def stated_loss(clf, X, Y, label_weight, m, alpha):
    """Sum over the members of J + alpha / (2 m) ||W||^2, as the docstring has it."""
    with torch.no_grad():
        logits = clf.network_(rows_of(clf, X)).numpy()
    total, first = 0.0, 0
    for size in sorted(set(N_CLASSES)):
        for task in np.flatnonzero(np.equal(N_CLASSES, size)):
            n_logits = 1 if size == 2 else size
            z = logits[..., first : first + n_logits]
            first += n_logits
            if size == 2:
                z = np.concatenate([np.zeros_like(z), z], axis=-1)
            log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
            for code in range(size):
                rows = Y[:, task] == code
                total -= (label_weight[rows, task] * log_p[:, rows, code]).sum()
    squares = sum(
        float(parameter.detach().square().sum())
        for name, parameter in clf.network_.named_parameters()
        if name.endswith("weight")
    )
    return (total + alpha / 2 * squares) / m


def row_weight(weight, observed):
    """(n,): the mean of a row's weights over its observed labels, 0 without any."""
    return (weight * observed).sum(axis=1) / np.maximum(observed.sum(axis=1), 1)


def difference_along(clf, parameter, direction, loss, h=1e-5):
    """Central difference of the loss at the classifier's network."""
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            parameter += sign * h * direction
        values.append(loss())
        with torch.no_grad():
            parameter -= sign * h * direction
    return (values[0] - values[1]) / (2 * h)


def assert_a_step_is_along_the_differences(clf, X, Y, sample_weight=None):
    """One plain step of size 1 must be the gradient of the stated loss.

    In a random direction of each parameter: an error in any entry shows in it.
    """
    stepped = copy.deepcopy(clf).partial_fit(X, Y, sample_weight=sample_weight)
    observed = ~np.isnan(Y)
    weight = np.ones(Y.shape)
    if sample_weight is not None:
        weight = sample_weight.reshape(len(Y), -1) * weight
    m = row_weight(weight, observed).sum()
    label_weight = weight * observed * task_and_class_weights(clf, Y)

    def loss():
        return stated_loss(clf, X, Y, label_weight, m, clf.alpha)

    generator = torch.Generator().manual_seed(2)
    pairs = zip(clf.network_.parameters(), stepped.network_.parameters(), strict=True)
    for before, after in pairs:
        gradient = (before - after).detach()
        size = gradient.norm()
        assert size > 0
        direction = torch.randn(before.shape, dtype=torch.float64, generator=generator)
        slope = (gradient * direction).sum()
        expected = difference_along(clf, before, direction, loss)
        assert_allclose(slope, expected, rtol=1e-6, atol=1e-7 * size)


def task_and_class_weights(clf, Y):
    """(n, n_tasks): task weight times class weight of each label."""
    weight = np.ones(Y.shape)
    if clf.task_weight is not None:
        weight *= clf.task_weight
    for name, by_class in (clf.class_weight or {}).items():
        task = clf.task_names_.tolist().index(name)
        for code, factor in by_class.items():
            weight[Y[:, task] == code, task] *= factor
    return weight


PLAIN_STEP = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 1.0}
WEIGHTS = {
    "task_weight": [1.0, 0.5, 3.0, 2.0],
    "class_weight": {"task_0": {0: 2.0, 1: 0.25}, "task_3": {1: 4.0}},
}


# Heads and members: two of the four pairs for each network and input, and the other two
# for the next one.
PAIRS = [[((), 1), ((3, 2), 3)], [((), 3), ((3, 2), 1)]]
NETWORKS = product(
    ["hard", "none"], [(), (5,), (5, 4)], ["dense", "sparse", "piecewise"]
)


@pytest.mark.parametrize(
    ("sharing", "trunk", "kind", "head", "n_members"),
    [(*own, *pair) for i, own in enumerate(NETWORKS) for pair in PAIRS[i % 2]],
    ids=str,
)
def test_gradient_is_that_of_the_stated_loss(sharing, trunk, kind, head, n_members):
    X, Y = labelled_rows()
    settings = {
        "hidden_layer_sizes": trunk,
        "head_hidden_layer_sizes": head,
        "sharing": sharing,
        "n_members": n_members,
        "activation": "tanh",
        "alpha": 0.5,
    }
    X, encoding = input_of(kind, X)
    settings |= encoding
    sample_weight = random_weights(len(Y))
    clf = initial(X, Y, sample_weight, **settings, **PLAIN_STEP, **WEIGHTS)
    assert_a_step_is_along_the_differences(clf, X, Y, sample_weight)


@every_sharing
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_gradient_of_every_activation(sharing, activation):
    X, Y = labelled_rows()
    settings = {"hidden_layer_sizes": (5, 4), "head_hidden_layer_sizes": (3,)}
    settings |= {"activation": activation, "input_encoding": "none"}
    clf = initial(X, Y, sharing=sharing, **settings, **PLAIN_STEP)
    assert_a_step_is_along_the_differences(clf, X, Y)


@every_sharing
@every_trunk
def test_gradient_with_a_weight_for_each_label(sharing, trunk):
    X, Y = labelled_rows()
    weight = random_weights(Y.shape)
    weight[9, 1] = 0
    settings = {"hidden_layer_sizes": trunk, "activation": "tanh", "alpha": 0.5}
    clf = initial(X, Y, weight, sharing=sharing, **settings, **PLAIN_STEP, **WEIGHTS)
    assert_a_step_is_along_the_differences(clf, X, Y, weight)


@every_sharing
@pytest.mark.parametrize("trunk", [(), (5,)], ids=str)
@pytest.mark.filterwarnings("ignore:Categories of X should all be known")
def test_gradient_of_a_raw_table(sharing, trunk):
    # Missing values among numbers and categories, and one rare category.
    X, Y = labelled_rows(60)
    X[::7, 0] = np.nan
    table = pd.DataFrame(X, columns=list("abcde"))
    kinds = np.array(["x", "y", "z"], dtype=object)[np.arange(60) % 3]
    kinds[4], kinds[[5, 11]] = "rare", None
    table["f"] = pd.Categorical(kinds)
    table["g"] = pd.Categorical(np.array(["p", "q"])[np.arange(60) // 7 % 2])
    settings = {"hidden_layer_sizes": trunk, "activation": "tanh", "n_bins": 4}
    clf = initial(table, Y, sharing=sharing, n_members=2, **settings, **PLAIN_STEP)
    # Then values that the first call lacked: other missing ones, unknown categories.
    table.loc[[20, 21], "b"] = np.nan
    table["f"] = table["f"].cat.rename_categories({"z": "unknown"})
    table["g"] = table["g"].astype(object).where(np.arange(60) != 30, "new")
    table["g"] = table["g"].astype("category")
    assert_a_step_is_along_the_differences(clf, table, Y)


# Training -------------------------------------------------------------------------


class PlainNetwork(nn.Module):
    """One member as nn.Linear layers, with the initial weights of a classifier's."""

    def __init__(self, clf, member):
        super().__init__()
        network = clf.network_
        n_tasks, n_trunks = len(N_CLASSES), 1 if clf.sharing == "hard" else 4
        self.activation = getattr(torch, clf.activation)
        self.trunks = nn.ModuleList(
            nn.ModuleList(
                plain_layer(layer, member * n_trunks + t)
                for layer in network.trunk.layers
            )
            for t in range(n_trunks)
        )
        heads = {}
        for size, stack in zip(sorted(set(N_CLASSES)), network.heads, strict=True):
            tasks = np.flatnonzero(np.equal(N_CLASSES, size))
            for i, task in enumerate(tasks):
                bank = member * len(tasks) + i
                heads[task] = [plain_layer(layer, bank) for layer in stack.layers]
        self.heads = nn.ModuleList(nn.ModuleList(heads[t]) for t in range(n_tasks))

    def forward(self, x):
        """(batch, 5) -> logits of each task."""
        outputs = []
        for task, head in enumerate(self.heads):
            z = x
            for layer in self.trunks[task % len(self.trunks)]:
                z = self.activation(layer(z))
            for layer in head[:-1]:
                z = self.activation(layer(z))
            outputs.append(head[-1](z))
        return outputs

    def weights(self):
        """What the L2 term is on."""
        return [p for name, p in self.named_parameters() if name.endswith("weight")]


def plain_layer(layer, bank):
    """A map of a bank, which keeps (inputs, in, readers, out)."""
    weight, bias = (
        p.detach().transpose(1, 2).flatten(0, 1)[bank] for p in layer.parameters()
    )
    linear = nn.utils.skip_init(nn.Linear, *weight.shape, dtype=weight.dtype)
    with torch.no_grad():
        linear.weight.copy_(weight.T)
        linear.bias.copy_(bias[0])
    return linear


def plain_loss(outputs, y, weight):
    """The summed loss of the observed labels."""
    total = 0.0
    for task, z in enumerate(outputs):
        seen = ~y[:, task].isnan()
        target, w = y[seen, task], weight[seen, task]
        if N_CLASSES[task] == 2:
            total = total + F.binary_cross_entropy_with_logits(
                z[seen, 0], target.to(z), weight=w.to(z), reduction="sum"
            )
        else:
            losses = F.cross_entropy(z[seen], target.long(), reduction="none")
            total = total + (losses * w.to(z)).sum()
    return total


def plain_optimizer(solver, parameters):
    if solver == "adam":
        return torch.optim.Adam(parameters, lr=0.02, betas=(0.9, 0.999), eps=1e-8)
    return torch.optim.SGD(parameters, lr=0.02, momentum=0.9, nesterov=True)


def warmed_cosine(n_steps):
    """Factor on the step size: up over a tenth of the steps, then a half cosine."""

    def factor(step):
        done = (step + 0.5) / n_steps
        if done < 0.1:
            return done / 0.1
        return (1 + math.cos(math.pi * (done - 0.1) / 0.9)) / 2

    return factor


def train_plainly(clf, X, Y, sample_weight, *, n_epochs, batch_size, solver, alpha):
    """The members, trained as any torch user would; the probabilities' mean."""
    kept = ~np.isnan(Y).all(axis=1) & (sample_weight > 0)
    X, Y, sample_weight = X[kept], Y[kept], sample_weight[kept]
    weight = torch.from_numpy(sample_weight[:, None] * task_and_class_weights(clf, Y))
    x = torch.from_numpy(X).to(clf.network_.like)
    y, rows_weight = torch.from_numpy(Y), torch.from_numpy(sample_weight)
    batches = torch.arange(len(x)).split(batch_size)
    members = [PlainNetwork(clf, member) for member in range(clf.n_members)]
    for network in members:
        optimizer = plain_optimizer(solver, network.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, warmed_cosine(n_epochs * len(batches))
        )
        for _ in range(n_epochs):
            for rows in batches:
                optimizer.zero_grad()
                loss = plain_loss(network(x[rows]), y[rows], weight[rows])
                penalty = sum(w.square().sum() for w in network.weights())
                ((loss + alpha / 2 * penalty) / rows_weight[rows].sum()).backward()
                optimizer.step()
                schedule.step()
    return members


def plain_probabilities(members, x):
    """Of each task (n, n_classes), the mean over the members."""
    by_task = []
    with torch.no_grad():
        outputs = [network(x) for network in members]
        for task, size in enumerate(N_CLASSES):
            z = torch.stack([of_member[task] for of_member in outputs]).double()
            if size == 2:
                z = torch.cat([torch.zeros_like(z), z], dim=2)
            by_task.append(z.softmax(2).mean(0).numpy())
    return by_task


def assert_same_as_plain(clf, members, atol):
    """Parameter by parameter."""
    for member, network in enumerate(members):
        expected = PlainNetwork(clf, member).parameters()
        for ours, plain in zip(expected, network.parameters(), strict=True):
            assert_allclose(ours.detach(), plain.detach(), rtol=0, atol=atol)


def compare_with_plain_loop(clf, X, Y, weight, *, atol, **loop):
    members = train_plainly(clf, X, Y, weight, **loop)
    before = parameters_of(clf)
    clf.set_params(max_iter=loop["n_epochs"], warm_start=True).fit(X, Y, weight)
    moved = [
        np.abs(a - b).max() for a, b in zip(before, parameters_of(clf), strict=True)
    ]
    assert min(moved) > 50 * atol, "every parameter must move, or nothing is tested"
    assert_same_as_plain(clf, members, atol)
    expected = plain_probabilities(members, torch.from_numpy(X).to(clf.network_.like))
    for ours, plain in zip(clf.predict_proba(X), expected, strict=True):
        assert_allclose(ours, plain, rtol=0, atol=atol)


@every_sharing
@every_solver
@pytest.mark.parametrize(
    ("trunk", "head", "n_members"),
    [((), (4,), 1), ((6,), (4,), 1), ((6, 5), (), 3)],
    ids=str,
)
def test_training_is_a_plain_loop_of_torch(sharing, solver, trunk, head, n_members):
    X, Y = labelled_rows(64)
    loop = {"batch_size": 16, "solver": solver, "alpha": 0.05}
    clf = initial(
        X,
        Y,
        hidden_layer_sizes=trunk,
        head_hidden_layer_sizes=head,
        sharing=sharing,
        n_members=n_members,
        input_encoding="none",
        learning_rate_init=0.02,
        **loop,
        **WEIGHTS,
    )
    # The batches are of 16, 16, 16 and 14 rows: 24 steps.
    compare_with_plain_loop(
        clf, X, Y, random_weights(64), n_epochs=6, atol=1e-8, **loop
    )


@every_sharing
@every_solver
@some_members
def test_training_in_single_precision_is_a_plain_loop_too(sharing, solver, n_members):
    X, Y = labelled_rows(64)
    loop = {"batch_size": 16, "solver": solver, "alpha": 0.05}
    settings = {"hidden_layer_sizes": (6,), "head_hidden_layer_sizes": (4,)}
    settings |= {"input_encoding": "none", "n_members": n_members}
    clf = initial(X, Y, sharing=sharing, learning_rate_init=0.02, **loop, **settings)
    clf.network_.float()
    compare_with_plain_loop(clf, X, Y, np.ones(64), n_epochs=6, atol=1e-4, **loop)


@every_solver
def test_training_with_large_products_is_a_plain_loop_too(solver):
    # Layers so large that kernels other than torch's own may compute them.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 96)).astype(np.float32)
    Y = np.column_stack([np.arange(400) % k for k in N_CLASSES]).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    loop = {"batch_size": 200, "solver": solver, "alpha": 0.05}
    settings = {"hidden_layer_sizes": (224, 160), "learning_rate_init": 0.02}
    clf = initial(X, Y, input_encoding="none", **loop, **settings)
    clf.network_.float()
    compare_with_plain_loop(clf, X, Y, np.ones(400), n_epochs=4, atol=1e-5, **loop)


# The same data in another form ----------------------------------------------------


def gone_on(clf, X, Y, sample_weight=None, max_iter=8):
    """A copy of the untrained classifier after some epochs."""
    clf = copy.deepcopy(clf).set_params(max_iter=max_iter, warm_start=True)
    return clf.fit(X, Y, sample_weight)


def assert_close_parameters(one, other, rtol=1e-9, atol=1e-10):
    for a, b in zip(parameters_of(one), parameters_of(other), strict=True):
        assert_allclose(a, b, rtol=rtol, atol=atol)


@every_sharing
@every_solver
@every_input
def test_weight_two_is_a_doubled_row(sharing, solver, kind):
    X, Y = labelled_rows(40)
    X, settings = input_of(kind, X)
    weight = np.random.default_rng(3).integers(1, 3, size=40)
    twice = np.repeat(np.arange(40), weight)
    settings |= {"sharing": sharing, "solver": solver, "n_members": 2}
    # What is "auto" is another matter: it counts rows.
    settings |= {"alpha": 0.5, "task_weight": "balanced", "class_weight": "balanced"}
    weighted = initial(X, Y, weight, **settings)
    doubled = initial(X[twice], Y[twice], **settings)
    assert_close_parameters(weighted, doubled)
    for max_iter in (1, 8):
        one = gone_on(weighted, X, Y, weight, max_iter)
        other = gone_on(doubled, X[twice], Y[twice], None, max_iter)
        assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-9)
        assert_close_parameters(one, other)


@every_sharing
@every_input
def test_weight_two_is_a_doubled_row_in_single_precision(sharing, kind):
    X, Y = labelled_rows(40)
    X, settings = input_of(kind, X)
    weight = np.random.default_rng(3).integers(1, 3, size=40)
    twice = np.repeat(np.arange(40), weight)
    settings |= {"sharing": sharing, "alpha": 0.5}
    weighted = classifier(**settings).fit(X, Y, weight)
    doubled = classifier(**settings).fit(X[twice], Y[twice])
    assert_close_parameters(weighted, doubled, rtol=0, atol=1e-5)


@every_sharing
@every_input
def test_a_label_of_weight_two_is_a_second_row_with_this_label(sharing, kind):
    # The second row counts as one, a weight of two as what it adds to the mean over
    # the row's labels: it is the sum of the losses that is the same, not J.
    X, Y = labelled_rows(40)
    X, settings = input_of(kind, X)
    settings |= {"sharing": sharing, "alpha": 0.0} | PLAIN_STEP
    weight = np.random.default_rng(3).integers(1, 3, size=Y.shape)
    again = np.where(weight == 2, Y, np.nan)
    rows = np.tile(np.arange(40), 2)
    X_twice, Y_twice = X[rows], np.vstack([Y, again])
    clf = initial(X, Y, **settings)
    observed = ~np.isnan(Y)
    m = row_weight(weight, observed).sum(), (~np.isnan(Y_twice)).any(axis=1).sum()
    weighted = copy.deepcopy(clf).partial_fit(X, Y, sample_weight=weight)
    doubled = copy.deepcopy(clf).partial_fit(X_twice, Y_twice)
    assert_allclose(weighted.loss_ * m[0], doubled.loss_ * m[1], rtol=1e-6)
    steps = zip(*map(parameters_of, (clf, weighted, doubled)), strict=True)
    for before, one, other in steps:
        size = np.abs(one - before).max() * m[0]
        assert size > 0
        assert_allclose(
            (one - before) * m[0], (other - before) * m[1], rtol=0, atol=1e-6 * size
        )


@every_sharing
@every_input
@pytest.mark.parametrize("batch_size", [1000, 8])
def test_the_order_of_the_rows_of_a_batch_is_nothing(sharing, kind, batch_size):
    X, Y, order = rows_in_another_order(batch_size)
    X, settings = input_of(kind, X)
    settings |= {"sharing": sharing, "batch_size": batch_size, "n_members": 2}
    one = gone_on(initial(X, Y, **settings), X, Y)
    other = gone_on(initial(X[order], Y[order], **settings), X[order], Y[order])
    assert_close_parameters(one, other)


@every_solver
@every_input
def test_the_order_of_the_rows_is_nothing_in_single_precision(solver, kind):
    X, Y, order = rows_in_another_order(1000)
    X, settings = input_of(kind, X)
    settings |= {"solver": solver, "shuffle": False}
    one = classifier(**settings).fit(X, Y)
    other = classifier(**settings).fit(X[order], Y[order])
    assert_close_parameters(one, other, rtol=0, atol=1e-5)


def rows_in_another_order(batch_size):
    """X and Y of rows with labels, and an order that leaves each in its batch."""
    X, Y = labelled_rows(40)
    labelled = ~np.isnan(Y).all(axis=1)
    X, Y = X[labelled], Y[labelled]
    rng = np.random.default_rng(4)
    batches = np.split(np.arange(len(Y)), range(batch_size, len(Y), batch_size))
    return X, Y, np.concatenate([rng.permutation(rows) for rows in batches])


@every_sharing
@every_solver
@some_members
@pytest.mark.parametrize("trunk", [(), (5, 4)], ids=str)
def test_the_order_of_the_tasks_is_nothing(sharing, solver, n_members, trunk):
    X, Y = labelled_rows(40)
    order = [2, 0, 3, 1]
    settings = {"hidden_layer_sizes": trunk, "head_hidden_layer_sizes": (3,)}
    settings |= {"sharing": sharing, "solver": solver, "n_members": n_members}
    plain = initial(X, Y, task_weight=[1.0, 0.5, 3.0, 2.0], **settings)
    permuted = initial(X, Y[:, order], task_weight=[3.0, 1.0, 2.0, 0.5], **settings)
    # The random numbers of a head go with its place among the tasks of as many classes,
    # so that with the same seed a task begins elsewhere: its parameters are moved too.
    for task, place in enumerate(order):
        permuted.network_.take_task(task, plain.network_, place)
    p = gone_on(plain, X, Y).predict_proba(X)
    q = gone_on(permuted, X, Y[:, order]).predict_proba(X)
    for task, place in enumerate(order):
        assert_allclose(q[task], p[place], rtol=1e-8)
