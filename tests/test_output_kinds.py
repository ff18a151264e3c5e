"""Losses of numbers and of classes beside them, against plain formulas."""

import copy
import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import MultiTaskNet, MultiTaskNetRegressor
from skmtl._outputs import (
    NUMBER_KINDS,
    Binary,
    Gaussian,
    Multiclass,
    Targets,
    constant_loss,
    logit_gradient,
    moments,
    output_groups,
    task_losses,
    weigh_labels,
)

LOSSES = list(NUMBER_KINDS)
every_loss = pytest.mark.parametrize("loss", LOSSES)


def outputs_with(loss):
    """Two numbers between tasks of two and three classes, not in groups."""
    number = NUMBER_KINDS[loss]
    return number, Binary(), number, Multiclass(3), Binary()


def batch(outputs, n_members=2, n_samples=9, seed=0):
    """Logits, targets of which a third are missing, a weight table, label weights."""
    rng = np.random.default_rng(seed)
    n_logits = sum(kind.n_logits for kind in outputs)
    logits = torch.from_numpy(rng.normal(size=(n_members, n_samples, n_logits)))
    shape = n_samples, len(outputs)
    numbers = rng.normal(size=shape)
    codes = np.zeros(shape, dtype=np.int8)
    for t, kind in enumerate(outputs):
        n_classes = getattr(kind, "n_classes", 1)
        codes[:, t] = rng.integers(n_classes, size=n_samples)
    codes[rng.random(shape) < 1 / 3] = -1
    numbers[codes < 0] = 0
    targets = Targets(torch.from_numpy(codes), torch.from_numpy(numbers))
    table = torch.from_numpy(rng.uniform(0.5, 2, size=(len(outputs), 4)))
    table[:, 0] = 0
    weight = torch.from_numpy(rng.uniform(0.5, 2, size=shape))
    return logits, targets, table, weight


def plain_loss(kind, z, code, number):
    """Of one label, from its logits."""
    if kind == NUMBER_KINDS["squared_error"]:
        return 0.5 * (z[0] - number) ** 2
    if kind == NUMBER_KINDS["absolute_error"]:
        return abs(z[0] - number)
    if kind == Gaussian():
        variance = math.log1p(math.exp(z[1] + math.log(math.e - 1))) + 1e-4
        return 0.5 * (math.log(variance) + (z[0] - number) ** 2 / variance)
    if kind == Binary():
        return math.log1p(math.exp(z[0])) - (z[0] if code == 1 else 0)
    return math.log(sum(math.exp(k) for k in z)) - z[code]


def columns_of(outputs, task):
    """Positions of a task's logits."""
    for group in output_groups(outputs):
        if task in group.tasks:
            first = group.columns.start + group.tasks.index(task) * group.kind.n_logits
            return list(range(first, first + group.kind.n_logits))
    raise IndexError(task)


@every_loss
@pytest.mark.parametrize("per_task", [False, True])
def test_losses_equal_a_plain_double_loop(loss, per_task):
    outputs = outputs_with(loss)
    groups = output_groups(outputs)
    logits, targets, table, weight = batch(outputs)
    weight = weight if per_task else weight[:, :1]
    labels = weigh_labels(targets, table, weight, groups)
    losses = task_losses(logits, labels, groups)
    expected = np.zeros(len(outputs))
    for member in logits.tolist():
        for i, row in enumerate(member):
            for t, kind in enumerate(outputs):
                code = int(targets.codes[i, t])
                if code < 0:
                    continue
                z = [row[c] for c in columns_of(outputs, t)]
                each = float(table[t, code + 1] * weight[i, t if per_task else 0])
                number = float(targets.numbers[i, t])
                expected[t] += each * plain_loss(kind, z, code, number) / len(logits)
    assert_allclose(losses, expected, rtol=1e-12)


@every_loss
def test_the_gradient_in_closed_form_is_autograds(loss):
    outputs = outputs_with(loss)
    groups = output_groups(outputs)
    logits, targets, table, weight = batch(outputs)
    labels = weigh_labels(targets, table, weight, groups)
    logits.requires_grad_()
    (task_losses(logits, labels, groups).sum() * len(logits)).backward()
    assert_allclose(
        logit_gradient(logits.detach(), labels, groups), logits.grad, atol=1e-14
    )


@every_loss
def test_a_missing_number_has_zero_gradient(loss):
    outputs = outputs_with(loss)
    groups = output_groups(outputs)
    logits, targets, table, _ = batch(outputs)
    gradient = logit_gradient(
        logits, weigh_labels(targets, table, None, groups), groups
    )
    for t in range(len(outputs)):
        own = gradient[..., columns_of(outputs, t)].abs().sum((0, 2))
        assert_array_equal(own > 0, targets.codes[:, t] >= 0)


@every_loss
def test_weights_of_two_are_doubled_rows(loss):
    outputs = outputs_with(loss)
    groups = output_groups(outputs)
    logits, targets, table, _ = batch(outputs)
    weight = torch.ones(len(targets.codes), 1, dtype=torch.float64)
    weight[::2] = 2
    weighted = task_losses(logits, weigh_labels(targets, table, weight, groups), groups)
    rows = torch.tensor([i for i in range(len(weight)) for _ in range(int(weight[i]))])
    doubled = Targets(targets.codes[rows], targets.numbers[rows])
    labels = weigh_labels(doubled, table, None, groups)
    assert_allclose(weighted, task_losses(logits[:, rows], labels, groups))


@every_loss
def test_tasks_permute(loss):
    outputs = outputs_with(loss)
    groups = output_groups(outputs)
    logits, targets, table, weight = batch(outputs)
    order = [3, 0, 4, 2, 1]
    permuted = tuple(outputs[t] for t in order)
    columns = [0] * logits.shape[2]
    for new, old in enumerate(order):
        pairs = zip(columns_of(permuted, new), columns_of(outputs, old), strict=True)
        for there, here in pairs:
            columns[there] = here
    index = torch.tensor(order)
    losses = task_losses(logits, weigh_labels(targets, table, weight, groups), groups)
    labels = weigh_labels(
        targets.of_tasks(index), table[index], weight[:, index], output_groups(permuted)
    )
    after = task_losses(logits[..., columns], labels, output_groups(permuted))
    assert_allclose(after, losses[index], rtol=1e-14)


@every_loss
def test_losses_and_gradients_stay_finite_for_huge_logits(loss):
    (group,) = output_groups((NUMBER_KINDS[loss],))
    targets = Targets(torch.tensor([[0], [-1]]), torch.tensor([[3.0], [0.0]]))
    labels = weigh_labels(targets, torch.tensor([[0.0, 1.0]]), None, [group])
    for value in (1e15, -1e15):
        logits = torch.full((1, 2, group.kind.n_logits), value)
        assert torch.isfinite(task_losses(logits, labels, [group])).all()
        assert torch.isfinite(logit_gradient(logits, labels, [group])).all()


def test_the_mixture_of_normals_has_the_moments_of_draws():
    (group,) = output_groups((Gaussian(),))
    logits = torch.tensor([[[0.0, 0.5]], [[2.0, -1.0]], [[-1.0, 0.0]]])
    mean, noise, spread = moments(logits, group)[0, 0].tolist()
    means, variances = Gaussian().moments(logits.double())
    rng = np.random.default_rng(0)
    draws = rng.normal(means, variances.sqrt(), size=(200_000, *means.shape))
    assert_allclose([draws.mean(), draws.var()], [mean, noise + spread], rtol=0.01)


def test_the_constant_loss_is_that_of_the_best_constant():
    rng = np.random.default_rng(0)
    z = rng.normal(size=100_000)
    totals = np.array([[60_000.0, 40_000.0], [100_000.0, 0.0]])
    entropy = -(60_000 * math.log(0.6) + 40_000 * math.log(0.4))
    for loss in LOSSES:
        kind = NUMBER_KINDS[loss]
        value = constant_loss(totals, (Binary(), kind))
        constant = [0.0] * kind.n_logits
        mean = np.mean([plain_loss(kind, constant, 0, number) for number in z[:20_000]])
        assert_allclose(value - entropy, mean * len(z), rtol=0.02)


# A plain loop of torch ----------------------------------------------------------------


def plain_batch_loss(network, x, Y, kinds):
    """J of the rows, from masks and torch's own losses."""
    logits, total = network(x)[0], 0.0
    for t, kind in enumerate(kinds):
        z, y = logits[:, columns_of(kinds, t)], Y[:, t]
        known = ~y.isnan()
        z, y = z[known], y[known]
        if kind == Binary():
            total = total + torch.nn.functional.binary_cross_entropy_with_logits(
                z[:, 0], y, reduction="sum"
            )
        elif kind == NUMBER_KINDS["squared_error"]:
            total = total + 0.5 * (z[:, 0] - y).square().sum()
        elif kind == NUMBER_KINDS["absolute_error"]:
            total = total + (z[:, 0] - y).abs().sum()
        else:
            variance = Gaussian().moments(z)[1][:, 0]
            loss = torch.nn.functional.gaussian_nll_loss(
                z[:, 0], y, variance, eps=1e-12, reduction="sum"
            )
            total = total + loss
    return total / len(x)


@every_loss
@pytest.mark.parametrize("sharing", ["hard", "none"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_plain_loop_of_torch_gives_the_same_weights(loss, sharing, solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4)).astype(np.float32)
    Y = np.column_stack([X[:, 0] + X[:, 1], X[:, 2] ** 2, X[:, 1] > 0])
    Y[rng.random(Y.shape) < 0.3] = np.nan
    Y[:, 0] *= 100
    settings = {
        "hidden_layer_sizes": (6,),
        "head_hidden_layer_sizes": (3,),
        "activation": "tanh",
        "loss": loss,
        "sharing": sharing,
        "solver": solver,
        "task_types": {"task_0": "number", "task_1": "number", "task_2": "class"},
        "input_encoding": "none",
        "n_members": 1,
        "dropout": 0.0,
        "input_dropout": 0.0,
        "alpha": 0.0,
        "batch_size": 10,
        "learning_rate": "constant",
        "learning_rate_init": 0.01,
        "shuffle": False,
        "momentum": 0.5,
        "random_state": 0,
        "tol": 0.0,
        "n_iter_no_change": 100,
    }
    start = MultiTaskNet(max_iter=0, **settings).fit(X, Y)
    network = copy.deepcopy(start.network_)
    standardised = np.array(Y, dtype=np.float64)
    for t, target in enumerate(start._tasks.targets[:2]):
        known = Y[~np.isnan(Y[:, t]), t]
        assert_allclose([target.mean, target.scale], [known.mean(), known.std()])
        standardised[:, t] = (Y[:, t] - known.mean()) / known.std()
    kinds = (*[NUMBER_KINDS[loss]] * 2, Binary())
    parameters = list(network.parameters())
    if solver == "adam":
        optimizer = torch.optim.Adam(parameters, lr=0.01)
    else:
        optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.5, nesterov=True)
    with_label = ~np.isnan(Y).all(axis=1)
    x = torch.from_numpy(X[with_label])
    y = torch.from_numpy(standardised[with_label].astype(np.float32))
    for _ in range(3):
        for rows in torch.arange(len(x)).split(10):
            optimizer.zero_grad()
            plain_batch_loss(network, x[rows], y[rows], kinds).backward()
            optimizer.step()
    with pytest.warns(match="hasn't converged"):
        fitted = MultiTaskNet(max_iter=3, **settings).fit(X, Y)
    pairs = zip(fitted.network_.parameters(), parameters, strict=True)
    for ours, plain in pairs:
        assert_allclose(ours.detach(), plain.detach(), rtol=2e-4, atol=2e-6)


def test_a_regressor_is_a_mixed_net_of_numbers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = X[:, :2] + 0.1 * rng.normal(size=(60, 2))
    settings = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
    reg = MultiTaskNetRegressor(**settings).fit(X, Y)
    net = MultiTaskNet(**settings).fit(X, Y)
    assert_array_equal(reg.predict(X), net.predict(X))
