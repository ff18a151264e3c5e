import copy
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from _properties import (
    SHARINGS,
    SOLVERS,
    build,
    every_network,
    every_shape,
    every_solver,
    lecture_loss,
    losses_of,
    permuted_tasks,
    probabilities_of,
    random_batch,
    unit_table,
)
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.stats import entropy

from skmtl._network._module_trunk import build_module_trunk
from skmtl._rows import LabelledRows, Rows, as_tensor
from skmtl._training import (
    Epoch,
    Piece,
    RowsInMemory,
    best_validation_score,
    iter_chunks,
    mean_task_losses,
    train,
)
from skmtl._training._doubling import Doubling
from skmtl._training._loop import _measure_left_out
from skmtl._training._parts import Parts
from skmtl._training._solvers import Adam, FlatParameters, Group
from skmtl._training._steps import Freeze, TrainingPlan, schedule_factor
from skmtl._training._threads import thread_limit

N_EPOCHS = 8  # of a plan that does not say how many


def plan(**changes):
    settings = {
        "solver": "adam",
        "alpha": 0.01,
        "batch_size": 5,
        "learning_rate": "constant",
        "learning_rate_init": 0.01,
        "max_iter": N_EPOCHS,
        "shuffle": False,
        "tol": 0.0,
        "n_iter_no_change": 1000,
        "momentum": 0.9,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-8,
        "freeze": Freeze(),
    }
    return TrainingPlan(**(settings | changes))


def labelled(x, codes, n_classes=(2, 3, 2, 4), sample_weight=None, row_weight=None):
    table = unit_table(n_classes).float()
    rows = Rows(x, encoded=False)
    return LabelledRows(rows, codes, None, table, sample_weight, row_weight)


def run(network, data, plan, index=None, held_out=None, left_out_by=None, **kwargs):
    index = torch.arange(len(data.rows)) if index is None else index
    rows = RowsInMemory(data, index, held_out, left_out_by)
    return train(network, rows, plan, torch.Generator().manual_seed(0), **kwargs)


def parameters_of(network):
    return np.concatenate([p.detach().numpy().ravel() for p in network.parameters()])


@every_network
@every_solver
@pytest.mark.parametrize("learning_rate", ["constant", "cosine"])
@pytest.mark.parametrize("trunk", [{}, {"trunk": "module"}], ids=["banks", "module"])
def test_training_equals_a_plain_loop_over_the_formula(
    sharing, solver, learning_rate, trunk
):
    network = build(sharing, **trunk)
    reference = copy.deepcopy(network)
    x, codes = random_batch()
    settings = {"momentum": 0.7, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.01}
    ours = plan(solver=solver, learning_rate=learning_rate, **settings)
    run(network, labelled(x, codes), ours)

    # The same in plain torch: J + alpha / (2 m) ||W||^2 by autograd, m rows a batch.
    named = list(reference.named_parameters())
    parameters = [p for _, p in named]
    if solver == "adam":
        optimizer = torch.optim.Adam(parameters, lr=1, betas=(0.8, 0.9), eps=0.01)
    else:
        optimizer = torch.optim.SGD(parameters, lr=1, momentum=0.7, nesterov=True)
    for epoch in range(N_EPOCHS):
        for i, rows in enumerate(torch.arange(len(x)).split(5)):
            done = (3 * epoch + i + 0.5) / (3 * N_EPOCHS)  # of all steps
            optimizer.param_groups[0]["lr"] = 0.01 * schedule_factor(ours, done)
            optimizer.zero_grad()
            loss = losses_of(reference, x[rows], codes[rows]).sum()
            # Not on biases, and not on the factors of a normalisation.
            matrices = [p for n, p in named if n.endswith("weight") and p.ndim > 1]
            penalty = sum(p.square().sum() for p in matrices)
            ((loss + 0.01 / 2 * penalty) / len(rows)).backward()
            optimizer.step()
    assert_allclose(parameters_of(network), parameters_of(reference), rtol=1e-9)


@every_network
def test_loss_of_an_epoch_is_the_formula(sharing):
    network = build(sharing)
    (probabilities,) = probabilities_of(network, random_batch()[0])
    x, codes = random_batch()
    result = run(
        network, labelled(x, codes), plan(batch_size=12, max_iter=1, alpha=0.0)
    )
    expected = lecture_loss(probabilities, codes.numpy()) / len(x)
    assert_allclose(result.epochs[0].loss, expected, rtol=1e-12)


@every_network
@pytest.mark.parametrize("n_members", [1, 3])
def test_loss_of_an_epoch_has_the_l2_term_of_each_batch(sharing, n_members):
    # As MLPClassifier has it: alpha / (2 m) ||W||^2 a batch of m rows, averaged over
    # the rows; a step of nothing leaves the parameters what they are.
    network = build(sharing, n_members=n_members)
    x, codes = random_batch()
    still = plan(batch_size=5, max_iter=1, learning_rate_init=1e-30)
    result = run(network, labelled(x, codes), still)
    members = probabilities_of(network, x)
    loss = np.mean([lecture_loss(p, codes.numpy()) for p in members])
    squares = sum(
        p.detach().square().sum().item()
        for name, p in network.named_parameters()
        if name.endswith("weight")
    )
    n_batches = 3
    expected = (loss + n_batches * 0.01 / 2 * squares / n_members) / len(x)
    assert_allclose(result.epochs[0].loss, expected, rtol=1e-9)


@every_network
@every_solver
def test_weight_two_is_a_doubled_row_and_weight_zero_a_removed_one(sharing, solver):
    x, codes = random_batch()
    weight = torch.tensor([0, 1, 2, 3, 1, 1, 0, 2, 1, 1, 2, 1], dtype=torch.float32)
    repeated = torch.arange(12).repeat_interleave(weight.long())
    weighted, plain = build(sharing), build(sharing)
    full_batch = plan(solver=solver, batch_size=100)
    run(
        weighted,
        labelled(x, codes, sample_weight=weight[:, None], row_weight=weight),
        full_batch,
        index=torch.nonzero(weight).flatten(),
    )
    run(plain, labelled(x[repeated], codes[repeated]), full_batch)
    assert_allclose(parameters_of(weighted), parameters_of(plain), rtol=1e-8)


@every_solver
@every_shape
def test_networks_without_sharing_train_as_if_alone(solver, shape):
    x, codes = random_batch((2,) * 4)
    codes = codes.clamp_min(0)  # complete, so that m is the same for all
    together = build(SHARINGS[1], n_classes=(2,) * 4, **shape)
    alone = []
    for task in range(4):
        network = build(SHARINGS[1], n_classes=(2,), **shape)
        network.take_task(0, together, task)
        run(network, labelled(x, codes[:, [task]], (2,)), plan(solver=solver))
        alone.append(network(x).detach().numpy()[..., 0])
    run(together, labelled(x, codes, (2,) * 4), plan(solver=solver))
    outputs = together(x).detach().numpy()
    assert_allclose(outputs, np.stack(alone, axis=-1), rtol=1e-7, atol=1e-9)


@every_network
@every_solver
def test_members_train_as_if_alone(sharing, solver):
    x, codes = random_batch((2, 2))
    together = build(sharing, n_classes=(2, 2), n_members=3)
    start = copy.deepcopy(together)
    run(together, labelled(x, codes, (2, 2)), plan(solver=solver))
    for member in range(3):
        network = build(sharing, n_classes=(2, 2))
        with torch.no_grad():
            for own, joint in zip(
                network.parameters(), start.parameters(), strict=True
            ):
                axis = 0 if joint.shape[0] > own.shape[0] else 2
                n_banks = own.shape[axis]
                own.copy_(joint.narrow(axis, member * n_banks, n_banks))
        run(network, labelled(x, codes, (2, 2)), plan(solver=solver))
        assert_allclose(
            together(x)[member].detach(), network(x)[0].detach(), rtol=1e-7, atol=1e-9
        )


@every_network
@every_solver
def test_training_permuted_tasks_gives_permuted_networks(sharing, solver):
    order = [2, 0, 3, 1]
    x, codes = random_batch((2,) * 4)
    network = build(sharing, n_classes=(2,) * 4)
    permuted = permuted_tasks(network, order)
    run(network, labelled(x, codes, (2,) * 4), plan(solver=solver))
    run(permuted, labelled(x, codes[:, order], (2,) * 4), plan(solver=solver))
    assert_allclose(
        permuted(x).detach(), network(x)[..., order].detach(), rtol=1e-7, atol=1e-9
    )


def test_a_step_on_sparse_rows_equals_one_on_dense_rows():
    X = np.random.default_rng(0).normal(size=(12, 5))
    X[np.abs(X) < 0.8] = 0
    _, codes = random_batch()
    networks = []
    for x in (torch.from_numpy(X), sparse.csr_array(X)):
        network = build(SHARINGS[0])
        table = unit_table((2, 3, 2, 4))
        data = LabelledRows(Rows(x, encoded=False), codes, None, table, None, None)
        run(network, data, plan(shuffle=True))
        networks.append(parameters_of(network))
    assert_allclose(networks[1], networks[0], rtol=1e-10)


@every_network
def test_dropout_of_sparse_and_dense_input_has_the_same_mean(sharing):
    network = build(sharing, hidden_layer_sizes=(), input_dropout=0.3)
    # Each of equal rows loses columns of its own.
    X = np.ones((400, 5))
    generator = torch.Generator().manual_seed(0)
    expected = network(torch.from_numpy(X[:1])).detach().numpy()
    for rows in (
        Rows(torch.from_numpy(X), encoded=False),
        Rows(sparse.csr_array(X), encoded=False),
    ):
        like = next(network.parameters())
        x = rows.read(slice(0, 400), like)
        outputs = [network(x, generator).detach().numpy() for _ in range(10)]
        outputs = np.concatenate(outputs, axis=1)  # (1, 4000, n_outputs)
        spread = np.std(outputs, axis=1, keepdims=True) / np.sqrt(4000)
        means = np.mean(outputs, axis=1, keepdims=True)
        assert (np.abs(means - expected) < 5 * spread).all()


def test_rows_are_shuffled_anew_in_each_epoch():
    seen = []

    class Recorded(LabelledRows):
        def read(self, index, like):
            seen.extend(index.tolist())
            return super().read(index, like)

    x, codes = random_batch()
    data = labelled(x, codes)
    recorded = Recorded(*(getattr(data, f) for f in data.__dataclass_fields__))
    run(build(SHARINGS[0]), recorded, plan(max_iter=2, shuffle=True))
    epochs = [seen[:12], seen[12:]]
    for epoch in epochs:
        assert sorted(epoch) == list(range(12))
        assert epoch != list(range(12))
    assert epochs[0] != epochs[1]
    seen.clear()
    run(build(SHARINGS[0]), recorded, plan(max_iter=1, shuffle=False))
    assert seen == list(range(12))


def test_dropout_reaches_training():
    x, codes = random_batch()
    losses = []
    for rates in ({}, {"dropout": 0.5}, {"input_dropout": 0.5}):
        network = build(SHARINGS[0], **rates)
        still = plan(max_iter=1, learning_rate_init=1e-30)
        losses.append(run(network, labelled(x, codes), still).epochs[0].loss)
    assert len(set(losses)) == 3


def test_an_interrupt_restores_the_best_epoch_so_far():
    x, codes = random_batch()

    def interrupt_late(epoch, update):
        if epoch.number == 5:
            raise KeyboardInterrupt
        return False

    # A step so large that the loss rises from the second epoch on.
    wild = plan(solver="sgd", learning_rate_init=3.0, momentum=0.9)
    network, shorter = build(SHARINGS[0]), build(SHARINGS[0])
    with pytest.warns(RuntimeWarning, match="interrupted after 6 epochs"):
        result = run(network, labelled(x, codes), wild, on_epoch_end=interrupt_late)
    losses = [epoch.loss for epoch in result.epochs]
    best = int(np.argmin(losses))
    assert best < 5, "the last epoch must not be the best, or nothing is tested"
    until_best = replace(wild, max_iter=best + 1)
    run(shorter, labelled(x, codes), until_best)
    assert_allclose(parameters_of(network), parameters_of(shorter), rtol=1e-12)


def test_a_later_run_has_the_plans_settings_and_the_earlier_moments():
    x, codes = random_batch()
    data = labelled(x, codes)
    for solver, changes in [
        ("adam", {"alpha": 5.0}),
        ("adam", {"beta_1": 0.1}),
        ("adam", {"beta_2": 0.1}),
        ("adam", {"epsilon": 1.0}),
        ("sgd", {"alpha": 5.0}),
        ("sgd", {"momentum": 0.1}),
    ]:
        outcomes = []
        for change in ({}, changes):
            network = build(SHARINGS[0])
            first = run(network, data, plan(solver=solver, max_iter=3))
            later = plan(solver=solver, max_iter=3, **change)
            run(network, data, later, solver_state=first.solver_state)
            outcomes.append(parameters_of(network))
        assert not np.allclose(*outcomes), changes


def test_without_momentum_the_velocity_is_forgotten():
    x, codes = random_batch()
    data = labelled(x, codes)
    network, fresh = build(SHARINGS[0]), build(SHARINGS[0])
    with_momentum, without = plan(solver="sgd"), plan(solver="sgd", momentum=0.0)
    state = None
    for settings in (with_momentum, without, with_momentum):
        state = run(network, data, settings, solver_state=state).solver_state
    run(fresh, data, with_momentum)
    run(fresh, data, without)
    run(fresh, data, with_momentum)
    assert_allclose(parameters_of(network), parameters_of(fresh), rtol=1e-12)


@every_solver
def test_another_solver_begins_anew(solver):
    x, codes = random_batch()
    data = labelled(x, codes)
    (other,) = set(SOLVERS) - {solver}
    earlier = run(build(SHARINGS[0]), data, plan(solver=other, max_iter=1))
    network, fresh = build(SHARINGS[0]), build(SHARINGS[0])
    run(network, data, plan(solver=solver), solver_state=earlier.solver_state)
    run(fresh, data, plan(solver=solver))
    assert_allclose(parameters_of(network), parameters_of(fresh), rtol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        # Weights and means are tiny after 200 steps, and would be so at the end.
        {"solver": "adam", "learning_rate_init": 0.72, "epsilon": 1.0}
        | {"beta_1": 0.407, "beta_2": 0.407, "max_iter": 210},
        # Weights and velocities are tiny at the end, and at no hundredth step.
        {"solver": "sgd", "learning_rate_init": 0.5, "momentum": 0.5, "max_iter": 190},
    ],
    ids=["adam", "sgd"],
)
def test_what_has_shrunk_to_nothing_becomes_zero(settings):
    x, codes = random_batch()
    data = labelled(x.float(), codes)
    network = build(SHARINGS[0], activation="relu").float()
    with torch.no_grad():  # no row activates a unit
        network.trunk.layers[0].bias.fill_(-1e3)

    def n_tiny(values):
        return int(((values != 0) & (np.abs(values) < 1e-36)).sum())

    seen = []

    def on_epoch_end(epoch, update):
        if (epoch.number + 1) % 100 == 0:
            seen.append(n_tiny(parameters_of(network)))
        return False

    # One step in each epoch.
    settings = plan(batch_size=len(x), alpha=5.0, **settings)
    result = run(network, data, settings, on_epoch_end=on_epoch_end)
    assert sum(seen) == 0
    assert n_tiny(parameters_of(network)) == 0
    assert (network.trunk.layers[0].weight == 0).any()
    for moments in result.solver_state.moments.values():
        assert not any(map(n_tiny, moments))


def test_squares_of_adam_are_zeroed_only_if_they_are_subnormal():
    parameter = torch.nn.Parameter(torch.tensor([1.0, 1e-37]))
    flat = FlatParameters([Group([parameter], True, 1.0, 0)])
    adam = Adam(flat, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    adam.state["mean"][0][:] = torch.tensor([1e-37, 1e-18])
    adam.state["square"][0][:] = torch.tensor([1e-40, 1e-36])
    adam.zero_tiny()
    assert flat.values[0].tolist() == [1.0, 0.0]
    assert adam.state["mean"][0][0] == 0 < adam.state["mean"][0][1]
    assert adam.state["square"][0][0] == 0 < adam.state["square"][0][1]


@pytest.mark.parametrize("freeze", [Freeze(1), Freeze(1, 5)], ids=str)
def test_frozen_weights_stay_however_small(freeze):
    x, codes = random_batch()
    network = build(SHARINGS[0])
    weight = network.trunk.layers[0].weight
    with torch.no_grad():
        weight.fill_(1e-40)
    run(network, labelled(x, codes), plan(max_iter=3, freeze=freeze))
    assert (weight == 1e-40).all()


def measured(parts):
    """The mean loss of left-out labels, and its share of the constant loss."""
    means = []

    class Recorder(Doubling):
        def update(self, n_done, loss):
            means.append(loss)

    _measure_left_out(parts, Recorder(4, 1), 1)
    return means[0], parts.left_out_share


def test_the_loss_of_left_out_rows_is_that_of_the_members_that_left_them_out():
    x, codes = random_batch(n_samples=30)
    network = build(SHARINGS[0], n_members=3)
    data = labelled(x, codes)
    left_out_by = torch.arange(30) % 4  # 3 stands for nobody
    left_out_by[left_out_by == 3] = -1
    index = torch.arange(5, 30)
    rows = RowsInMemory(data, index, None, left_out_by)
    follows = plan(max_iter=1, follows_left_out=True)
    parts = Parts(network, rows, follows, torch.Generator())
    losses, n_labels = 0.0, 0
    for member in range(3):
        own = index[left_out_by[index] == member]
        alone = network.part([member], [0, 1, 2, 3])
        means = mean_task_losses(alone, [Piece(data, own)])
        n_of_tasks = (codes[own] >= 0).sum(0).numpy()
        losses += np.nansum(means * n_of_tasks)
        n_labels += n_of_tasks.sum()
    mean, share = measured(parts)
    assert_allclose(mean, losses / n_labels, rtol=1e-12)
    # The frequencies of the classes in the left-out rows.
    own = codes[index[left_out_by[index] >= 0]].numpy()
    counts = [np.unique(c[c >= 0], return_counts=True)[1] for c in own.T]
    constant = sum(n.sum() * entropy(n) for n in counts)
    assert_allclose(share, losses / constant, rtol=1e-4)
    parts.plan = replace(parts.plan, main_tasks=(1,))
    of_main, same = measured(parts)
    assert of_main != mean
    assert same == share


def test_best_epoch_is_restored():
    x, codes = random_batch(n_samples=40)
    held_out = torch.arange(30, 40)
    data = labelled(x, codes)
    overfit = plan(max_iter=60, learning_rate_init=0.1, alpha=0.0)
    network, shorter = build(SHARINGS[0]), build(SHARINGS[0])
    result = run(network, data, overfit, index=torch.arange(30), held_out=held_out)
    scores = [epoch.validation_score for epoch in result.epochs]
    best = int(np.argmax(scores))
    assert best < len(scores) - 1, "the data must overfit, or nothing is tested"
    restored = -mean_task_losses(network, [Piece(data, held_out)])
    assert_allclose(restored.mean(), scores[best], rtol=1e-12)

    until_best = plan(max_iter=best + 1, learning_rate_init=0.1, alpha=0.0)
    run(shorter, data, until_best, index=torch.arange(30))
    assert_allclose(parameters_of(network), parameters_of(shorter), rtol=1e-12)


def test_validation_loss_is_the_mean_over_tasks_of_their_mean_losses():
    network = build(SHARINGS[0])
    x, codes = random_batch(n_samples=30)
    codes[:, 1] = -1
    losses = losses_of(network, x, codes).detach().numpy()
    observed = (codes.numpy() >= 0).sum(axis=0)
    expected = np.mean([losses[t] / observed[t] for t in (0, 2, 3)])
    values = mean_task_losses(network, [Piece(labelled(x, codes), torch.arange(30))])
    assert np.isnan(values[1])
    epoch = Epoch(0, 0.0, -values)
    assert_allclose(epoch.validation_score, -expected, rtol=1e-12)


@every_shape
def test_each_separate_network_has_its_own_best_epoch(shape):
    x, codes = random_batch(n_samples=40)
    codes[:, 3] = -1
    codes[:30, 3] = 1  # no label to validate with
    held_out = torch.arange(30, 40)
    data = labelled(x, codes)
    settings = plan(learning_rate_init=0.1, alpha=0.0, max_iter=20)
    network, plain = build(SHARINGS[1], **shape), build(SHARINGS[1], **shape)
    epochs = run(network, data, settings, torch.arange(30), held_out).epochs
    scores = np.array([epoch.task_scores for epoch in epochs])
    outputs = []

    def remember(epoch, update):
        update()
        outputs.append(plain(x).detach())
        return False

    run(plain, data, settings, torch.arange(30), on_epoch_end=remember)
    best = scores[:, :3].argmax(axis=0)
    assert len(set(best)) > 1, "the tasks must differ, or nothing is tested"
    expected = [*best, np.nanmean(scores, axis=1).argmax()]
    for group in network.groups:
        for i, task in enumerate(group.tasks):
            columns = slice(
                group.columns.start + i * group.kind.n_logits,
                group.columns.start + (i + 1) * group.kind.n_logits,
            )
            assert_allclose(
                network(x)[..., columns].detach(),
                outputs[expected[task]][..., columns],
                rtol=1e-9,
                atol=1e-12,
            )
    assert best_validation_score(
        [Epoch(i, 0.0, row) for i, row in enumerate(scores)], by_task=True
    ) == pytest.approx(scores[:, :3].max(axis=0).mean())


def test_training_stops_when_the_loss_no_longer_falls():
    x, codes = random_batch()
    stalled = plan(learning_rate_init=1e-12, tol=1e-4, n_iter_no_change=3)
    result = run(build(SHARINGS[0]), labelled(x, codes), stalled)
    assert result.stopped_by == "tol"
    assert (
        len(result.epochs) == 5
    )  # the first counts as progress, then 3, then one more
    cosine = plan(
        learning_rate_init=1e-12, tol=1e-4, n_iter_no_change=3, learning_rate="cosine"
    )
    result = run(build(SHARINGS[0]), labelled(x, codes), cosine)
    assert result.stopped_by == "max_iter"
    assert len(result.epochs) == N_EPOCHS


def test_cosine_rises_to_the_full_step_and_falls_to_zero():
    cosine = plan(learning_rate="cosine")
    steps = [schedule_factor(cosine, p) for p in np.linspace(0, 1, 201)]
    peak = int(np.argmax(steps))
    assert steps[0] == 0
    assert steps[peak] == pytest.approx(1)
    assert peak == 20
    assert steps[-1] == pytest.approx(0, abs=1e-12)
    assert (np.diff(steps[: peak + 1]) > 0).all()
    assert (np.diff(steps[peak:]) < 0).all()
    assert schedule_factor(plan(), 0.3) == 1


def test_parameters_that_overflow_in_the_last_step_are_a_divergence():
    x, codes = random_batch()
    last = plan(
        solver="sgd", learning_rate_init=1e308, max_iter=1, batch_size=100, alpha=0.0
    )
    with pytest.raises(ValueError, match="parameters are no longer finite"):
        run(build(SHARINGS[0], activation="identity"), labelled(x * 1e10, codes), last)


def test_divergence_names_the_epoch_and_the_learning_rate():
    x, codes = random_batch()
    wild = plan(solver="sgd", learning_rate_init=1e150)
    with pytest.raises(ValueError, match=r"epoch \d+.*learning_rate_init=1e\+150"):
        run(build(SHARINGS[0], activation="identity"), labelled(x, codes), wild)


@pytest.mark.parametrize("fails", [False, True])
def test_thread_limit_leaves_the_number_of_threads_as_it_was(fails):
    before = torch.get_num_threads()
    seen = []

    def work():
        with thread_limit(1):
            seen.append(torch.get_num_threads())
            if fails:
                raise RuntimeError

    if fails:
        with pytest.raises(RuntimeError):
            work()
    else:
        work()
    assert seen == [1]
    assert torch.get_num_threads() == before


def test_thread_limit_never_exceeds_what_the_process_had():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with thread_limit(1e15):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_thread_limit_survives_overlapping_users():
    before = torch.get_num_threads()
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def first():
        with thread_limit(1):
            first_is_in.set()
            second_is_in.wait()

    def second():
        first_is_in.wait()
        with thread_limit(1):
            second_is_in.set()
            threads[0].join()

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a,
        lambda a: a[::2],
        lambda a: a[::-1],
        lambda a: a.T,
        lambda a: a.astype(">f8"),
        lambda a: np.broadcast_to(a[:1], a.shape),
    ],
    ids=["plain", "strided", "reversed", "transposed", "big endian", "broadcast"],
)
@pytest.mark.parametrize("writeable", [True, False])
def test_tensors_of_any_array_are_right_and_silent(make, writeable):
    array = make(np.arange(12.0).reshape(4, 3))
    if not writeable:
        array.flags.writeable = False
    assert_allclose(as_tensor(array), array)


def test_tensors_share_memory_where_torch_can_read_it():
    array = np.arange(12.0).reshape(4, 3)
    array.flags.writeable = False
    for view in (array, array[::2], array.T):
        assert np.shares_memory(as_tensor(view).numpy(), array)


def test_chunks_cover_the_rows_once_and_bound_memory():
    network = build(SHARINGS[1], hidden_layer_sizes=(2000,), n_classes=(2,) * 20)
    rows = Rows(torch.zeros(1000, 5), encoded=False)
    chunks = list(iter_chunks(network, rows, 1000))
    covered = [i for chunk in chunks for i in range(chunk.start, chunk.stop)]
    assert covered == list(range(1000))
    assert len(chunks) > 1
    narrow = build(SHARINGS[0], hidden_layer_sizes=())
    wide = Rows(torch.zeros(1).expand(1000, 100_000), encoded=False)
    assert len(list(iter_chunks(narrow, wide, 1000))) > 10
    thin = Rows(sparse.csr_array((1000, 100_000)), encoded=False)
    assert len(list(iter_chunks(narrow, thin, 1000))) == 1


# Frozen layers --------------------------------------------------------------------

TRUNKS = [
    {"hidden_layer_sizes": (6, 5, 4)},
    {"hidden_layer_sizes": (6, 5, 4), "n_bins": 3, "n_members": 2},
    {"trunk": "module", "n_members": 2},
]
every_trunk = pytest.mark.parametrize("shape", TRUNKS, ids=["banks", "bins", "module"])


def layers_of(trunk):
    """Parameters of each layer, from the input on."""
    if hasattr(trunk, "layers"):
        return [list(layer.parameters()) for layer in trunk.layers]
    by_bank = [
        [list(child.parameters()) for child in module if list(child.parameters())]
        for module in trunk.banks
    ]
    return [[p for part in parts for p in part] for parts in zip(*by_bank, strict=True)]


def values_of(layers):
    return [[p.detach().clone() for p in layer] for layer in layers]


def moved(before, after):
    """Whether each layer has moved; an unfrozen one must move in all parameters."""
    moves = []
    for old, new in zip(before, after, strict=True):
        differs = {not torch.equal(*pair) for pair in zip(old, new, strict=True)}
        assert len(differs) == 1
        moves.append(differs.pop())
    return moves


@every_network
@every_solver
@every_trunk
@pytest.mark.parametrize("n_frozen", [0, 1, 2, 3])
def test_frozen_layers_do_not_move_and_the_others_do(sharing, solver, shape, n_frozen):
    network = build(sharing, dropout=0.3, **shape)
    x, codes = random_batch()
    before = values_of(layers_of(network.trunk))
    heads = [p.detach().clone() for p in network.heads.parameters()]
    run(network, labelled(x, codes), plan(solver=solver, freeze=Freeze(n_frozen)))
    after = values_of(layers_of(network.trunk))
    assert moved(before, after) == [i >= n_frozen for i in range(3)]
    for old, new in zip(heads, network.heads.parameters(), strict=True):
        assert not torch.equal(old, new)


@every_network
@every_solver
@every_trunk
def test_a_frozen_trunk_gives_the_heads_what_it_gives_in_prediction(
    sharing, solver, shape
):
    # So training the heads on its features is the same, whatever its dropout.
    network = build(sharing, dropout=0.5, input_dropout=0.5, **shape)
    x, codes = random_batch()
    data = labelled(x, codes)
    plain = copy.deepcopy(network)
    plain.input_dropout = plain.trunk.dropout = 0.0
    frozen = plan(solver=solver, freeze=Freeze(3))
    run(network, data, frozen)
    run(plain, data, frozen)
    assert_allclose(parameters_of(network), parameters_of(plain), rtol=1e-12)


@every_network
@every_solver
@every_trunk
def test_a_schedule_of_freezing_is_two_runs_one_after_the_other(sharing, solver, shape):
    # Plain torch: the heads alone for 8 epochs, then all, the trunk at a tenth.
    network = build(sharing, **shape)
    reference = copy.deepcopy(network)
    x, codes = random_batch()
    settings = {"epsilon": 0.01, "alpha": 0.0, "batch_size": 12, "max_iter": 12}
    freeze = Freeze(3, 8, 0.1)
    run(network, labelled(x, codes), plan(solver=solver, freeze=freeze, **settings))

    def optimizer_of(parameters, lr):
        if solver == "adam":
            return torch.optim.Adam(parameters, lr=lr, eps=0.01)
        return torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True)

    optimizers = [
        optimizer_of(reference.heads.parameters(), 0.01),
        optimizer_of(reference.trunk.parameters(), 0.001),
    ]
    for epoch in range(12):
        reference.zero_grad()
        loss = losses_of(reference, x, codes).sum() * reference.n_members
        (loss / len(x)).backward()
        for optimizer in optimizers[: 1 if epoch < 8 else 2]:
            optimizer.step()
    assert_allclose(parameters_of(network), parameters_of(reference), rtol=1e-9)


@every_trunk
def test_nothing_is_frozen_after_a_run(shape):
    network = build(SHARINGS[0], **shape)
    x, codes = random_batch()
    run(network, labelled(x, codes), plan(freeze=Freeze(2)))
    before = values_of(layers_of(network.trunk))
    run(network, labelled(x, codes), plan())
    assert all(moved(before, values_of(layers_of(network.trunk))))


def test_the_best_epoch_brings_back_its_batch_statistics():
    # Else the parameters of one epoch would meet the statistics of another.
    def with_batch_norm(input_shape, generator):
        return torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.BatchNorm1d(6))

    make = partial(build_module_trunk, with_batch_norm, (5,), 1.0)
    network = build(SHARINGS[0], trunk="module")
    architecture = replace(network.architecture, make_trunk=make)
    network = SHARINGS[0].build(architecture, torch.Generator().manual_seed(0)).double()
    x, _ = random_batch(n_samples=30)
    codes = (x[:, :4] > 0).to(torch.int8)  # so that the first epochs help
    data, seen = labelled(x, codes), []

    def remember(epoch, update):
        seen.append((epoch.validation_score, copy.deepcopy(network.state_dict())))
        return False

    held_out = torch.arange(20, 30)
    steps = plan(learning_rate_init=0.1, max_iter=15, alpha=0.0)
    index = torch.arange(20)
    run(network, data, steps, index, held_out=held_out, on_epoch_end=remember)
    best = max(range(15), key=lambda i: seen[i][0])
    assert 0 < best < 14
    for name, value in network.state_dict().items():
        assert torch.equal(value, seen[best][1][name]), name
