"""Members on threads of their own: the same weights, and nothing left at work."""

import _thread
import signal
import threading
import time

import numpy as np
import pytest
import torch
from _estimators import assert_same_parameters, classifier, parameters_of
from _properties import SHARINGS, build, every_network, every_solver, random_batch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from test_training import N_EPOCHS, labelled, plan, run

from skmtl import MultiTaskNet, MultiTaskNetClassifier
from skmtl._network import ColumnEncoder
from skmtl._training._losses import left_out_losses, mean_task_losses
from skmtl._training._parts import ROWS_PER_STEP, Parts
from skmtl._training._threads import CancelledJob, Workers
from skmtl._training._training_rows import Piece, RowsInMemory
from skmtl.trunks import UnfreezeAfter

N_THREADS = (1, 2, 4)


@pytest.fixture
def threads():
    """Sets torch's number of threads for the time of a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def always_at_once(monkeypatch):
    """Threads for parts of any size."""
    monkeypatch.setattr("skmtl._training._parts.MIN_WORK_SIDE_BY_SIDE", 0)


@pytest.fixture
def divide_into(monkeypatch):
    """Sets into how many parts the members are divided."""

    def divide(n_parts):
        monkeypatch.setattr(Parts, "_n_parts_of_members", lambda self: n_parts)

    return divide


def large(n=600, is_sparse=False):
    """Enough columns for members that are trained side by side."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 40))
    Y = (X[:, :5] + rng.normal(size=(n, 5)) > 0).astype(float)
    Y[rng.random(Y.shape) < 0.4] = np.nan
    if is_sparse:
        X[rng.random(X.shape) < 0.8] = 0
        X = sparse.csr_array(X)
    return X, Y


@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_members": 3},
        {"sharing": "none", "n_members": 2},
        {"sharing": "none", "n_members": 1},
    ],
    ids=["auto", "three members", "separate", "separate, one member"],
)
@pytest.mark.parametrize("least_work", [0, 10**12], ids=["pairs", "in one pass"])
def test_the_same_weights_with_any_number_of_threads(
    threads, monkeypatch, settings, is_sparse, least_work
):
    monkeypatch.setattr("skmtl._training._parts.MIN_WORK_SIDE_BY_SIDE", least_work)
    X, Y = large(160, is_sparse)  # two batches
    fitted = []
    for n_threads in N_THREADS:
        threads(n_threads)
        clf = MultiTaskNetClassifier(max_iter=1, random_state=0, **settings)
        fitted.append(clf.fit(X, Y))
        assert torch.get_num_threads() == n_threads
    for other in fitted[1:]:
        assert_same_parameters(fitted[0], other)


def test_rows_are_prepared_on_one_thread(threads, monkeypatch):
    """On busy cores, several threads would wait for one another."""
    threads(2)
    seen = []
    place = ColumnEncoder.place

    def observed(self, x):
        seen.append(torch.get_num_threads())
        return place(self, x)

    monkeypatch.setattr(ColumnEncoder, "place", observed)
    MultiTaskNetClassifier(max_iter=1, random_state=0).fit(*large())
    assert set(seen) == {1}


def test_the_same_predictions_with_any_number_of_threads(threads):
    X, Y = large()
    clf = MultiTaskNetClassifier(max_iter=1, random_state=0).fit(X, Y)
    many = np.tile(X, (20, 1))  # several blocks
    predicted = []
    for n_threads in N_THREADS:
        threads(n_threads)
        predicted.append(clf.predict_proba(many))
    assert_array_equal(predicted[0], predicted[1])
    assert_array_equal(predicted[0], predicted[2])


@every_network
@every_solver
def test_members_side_by_side_are_trained_as_in_one_pass(monkeypatch, sharing, solver):
    monkeypatch.setattr("skmtl._training._parts.MIN_WORK_PER_PART", 0)
    x, codes = random_batch()
    networks = [build(sharing, n_members=3) for _ in range(2)]
    for network, in_one_pass in zip(networks, (False, True), strict=True):
        ours = plan(solver=solver, learning_rate="cosine")
        result = run(network, labelled(x, codes), ours, in_one_pass=in_one_pass)
        assert len(result.epochs) == N_EPOCHS
    one, other = (
        torch.cat([p.detach().flatten() for p in network.parameters()])
        for network in networks
    )
    assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@every_solver
def test_separate_networks_side_by_side_are_trained_as_in_one_pass(monkeypatch, solver):
    monkeypatch.setattr("skmtl._training._parts.MIN_WORK_PER_PART", 1)
    x, codes = random_batch()
    weight = torch.rand(codes.shape, generator=torch.Generator().manual_seed(0))
    data = labelled(x, codes, sample_weight=weight, row_weight=weight.mean(1))
    networks = [build(SHARINGS[1]) for _ in range(2)]
    losses = []
    for network, in_one_pass in zip(networks, (False, True), strict=True):
        ours = plan(solver=solver, learning_rate="cosine")
        result = run(network, data, ours, in_one_pass=in_one_pass)
        losses.append([epoch.loss for epoch in result.epochs])
    one, other = (
        torch.cat([p.detach().flatten() for p in network.parameters()])
        for network in networks
    )
    assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert_allclose(*losses, rtol=1e-9)


SPARSE_ROWS = pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "csr"])


@every_network
@every_solver
@SPARSE_ROWS
@pytest.mark.parametrize("is_weighted", [False, True], ids=["rows", "weighted rows"])
def test_members_in_one_pass_on_rows_of_their_own_are_trained_as_apart(
    divide_into, sharing, solver, is_sparse, is_weighted
):
    x, codes = random_batch(n_samples=40)
    # Each is trained on 31 to 35 rows, in 7 batches.
    sizes = torch.tensor([5, 9, 6, 8, 7, 5])
    left_out_by = torch.tensor([0, 1, 2, 3, 4, -1]).repeat_interleave(sizes)
    weights = {}
    if is_weighted:
        weight = torch.rand(codes.shape, generator=torch.Generator().manual_seed(0))
        weights = {"sample_weight": weight, "row_weight": weight.mean(1)}
    if is_sparse:
        x = sparse.csr_array(np.where(x.numpy() > 0, x.numpy(), 0))
    data = labelled(x, codes, **weights)
    rows = RowsInMemory(data, torch.arange(40), left_out_by=left_out_by)
    # The penalty of a batch is the same for all members, whatever their rows are.
    settings = {"learning_rate": "cosine", "alpha": 0.0, "shuffle": True}
    ours = plan(solver=solver, max_iter=5, **settings)
    outcomes = []
    for n in (5, 2, 1):
        divide_into(n)
        network = build(sharing, n_members=5)
        parts = Parts(network, rows, ours, torch.Generator())
        found = [len(share.members) for share in parts.shares]
        assert found == {5: [1] * 5, 2: [3, 2], 1: [5]}[n]
        parts.release()
        epochs = run(network, data, ours, left_out_by=left_out_by).epochs
        weights_and_biases = [p.detach().flatten() for p in network.parameters()]
        losses = [epoch.loss for epoch in epochs]
        outcomes.append((torch.cat(weights_and_biases), losses))
    for parameters, losses in outcomes[1:]:
        assert_allclose(parameters, outcomes[0][0], rtol=1e-5, atol=1e-8)
        # A mean over the rows of several members, not one of the means of members.
        assert_allclose(losses, outcomes[0][1], rtol=0.05 if is_weighted else 0.005)


@pytest.mark.parametrize(
    ("n_members", "of_small", "of_large"),
    [(2, [2], [1, 1]), (3, [3], [2, 1]), (4, [4], [2, 2]), (7, [7], [3, 2, 2])],
)
def test_small_members_are_one_part_and_large_ones_pairs(
    monkeypatch, n_members, of_small, of_large
):
    x, codes = random_batch()
    left_out_by = torch.arange(len(x)) % n_members
    rows = RowsInMemory(
        labelled(x, codes), torch.arange(len(x)), left_out_by=left_out_by
    )
    network = build(SHARINGS[0], n_members=n_members)
    for least_work, expected in ((10**12, of_small), (0, of_large)):
        monkeypatch.setattr("skmtl._training._parts.MIN_WORK_SIDE_BY_SIDE", least_work)
        parts = Parts(network, rows, plan(), torch.Generator())
        assert [len(share.members) for share in parts.shares] == expected


def test_sparse_rows_are_work_where_they_have_entries():
    x, codes = np.ones((200, 50)), random_batch(n_samples=200)[1]
    network = build(SHARINGS[0], n_features=50, n_members=2)
    rest = network.work_per_row - 2 * 50 * 6  # multiply-adds after the first layer

    def work(X):
        rows = RowsInMemory(labelled(X, codes), torch.arange(200))
        return Parts(network, rows, plan(batch_size=100), torch.Generator())._work

    assert work(torch.from_numpy(x)) == 100 * network.work_per_row
    x[:, 10:] = 0
    # 10 entries of 50 in each of 100 rows, and the solver's step on all weights.
    expected = 100 * rest + (100 * 10 / 50 + ROWS_PER_STEP) * 2 * 50 * 6
    assert work(sparse.csr_array(x)) == pytest.approx(expected)


def test_a_member_without_rows_in_the_last_batch_does_not_change(divide_into):
    x, codes = random_batch(n_samples=20)
    # 11, 10 and 19 rows, in batches of 5.
    left_out_by = torch.tensor([0] * 9 + [1] * 10 + [2])
    networks = [build(SHARINGS[0], n_members=3) for _ in range(2)]
    for network, n_parts in zip(networks, (3, 1), strict=True):
        divide_into(n_parts)
        ours = plan(solver="sgd", momentum=0.0, alpha=0.0, learning_rate="constant")
        run(network, labelled(x, codes), ours, left_out_by=left_out_by)
    one, other = (
        torch.cat([p.detach().flatten() for p in network.parameters()])
        for network in networks
    )
    assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("freeze", ["trunk", 1, UnfreezeAfter(2)], ids=str)
def test_a_frozen_layer_reads_sparse_rows_of_each_member(divide_into, freeze):
    X, Y = large(130, is_sparse=True)
    settings = {"n_members": 4, "oob_score": True, "shuffle": False}
    sizes = {"hidden_layer_sizes": (8, 6)}
    source = classifier(n_members=4, max_iter=2, **sizes).fit(X, Y)
    settings |= sizes | {"pretrained": FrozenEstimator(source), "freeze": freeze}
    fitted = []
    for n_parts in (4, 2, 1):
        divide_into(n_parts)
        clf = classifier(batch_size=40, max_iter=4, **settings)
        fitted.append(parameters_of(clf.fit(X, Y)))
    for apart, in_pairs, together in zip(*fitted, strict=True):
        assert_allclose(in_pairs, apart, atol=1e-4)
        assert_allclose(together, apart, atol=1e-4)


@pytest.mark.parametrize("n_parts", [1, 2, 4])
def test_left_out_rows_are_scored_by_the_member_that_leaves_them_out(
    divide_into, n_parts
):
    x, codes = random_batch(n_samples=40)
    sizes = torch.tensor([6, 9, 3, 12, 10])
    left_out_by = torch.arange(-1, 4).repeat_interleave(sizes)
    data, network = labelled(x, codes), build(SHARINGS[0], n_members=4)
    rows = RowsInMemory(data, torch.arange(40), left_out_by=left_out_by)
    divide_into(n_parts)
    parts = Parts(network, rows, plan(), torch.Generator())
    losses, weights = left_out_losses(parts)
    expected = np.zeros(4)
    for member in range(4):
        own = left_out_by == member
        alone = [Piece(data, torch.nonzero(own).flatten())]
        means = mean_task_losses(network.part([member], range(4)), alone)
        expected += np.nan_to_num(means) * (codes[own] >= 0).sum(0).numpy()
    assert_array_equal(weights, (codes[left_out_by >= 0] >= 0).sum(0))
    assert_allclose(losses, expected)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sharing": "none"},
        {"loss": "gaussian"},
        {"hidden_layer_sizes": ()},
        {"head_hidden_layer_sizes": (5,)},
    ],
    ids=["shared", "separate", "gaussian", "no trunk", "heads with layers"],
)
def test_raw_tables_in_one_pass_are_learned_as_apart(divide_into, settings):
    pd = pytest.importorskip("pandas")
    X, Y = large(150)
    X, Y = pd.DataFrame(X[:, :5]), pd.DataFrame(Y)
    X[4] = pd.Categorical(np.where(X[4] > 0.5, "p", np.where(X[3] > 0, "q", "r")))
    X.iloc[::9, 0] = np.nan
    Y[4] = (X[0] * 5 + X[1]).where(Y[4].notna())
    settings = {"hidden_layer_sizes": (12,)} | settings
    fitted = []
    for n_parts in (4, 2, 1):
        divide_into(n_parts)
        net = MultiTaskNet(
            task_types=dict.fromkeys(range(4), "class") | {4: "number"},
            max_iter=4,
            batch_size=40,
            alpha=0.0,
            dropout=0.0,
            input_dropout=0.0,
            shuffle=False,
            ridge="none",
            logistic="none",
            random_state=0,
            **settings,
        )
        net.fit(X, Y)
        assert net.network_.n_members == 4
        fitted.append(parameters_of(net))
    for apart, in_pairs, together in zip(*fitted, strict=True):
        assert_allclose(in_pairs, apart, atol=1e-4)
        assert_allclose(together, apart, atol=1e-4)


def test_categories_in_a_table_are_read_by_each_member_apart(monkeypatch):
    pd = pytest.importorskip("pandas")
    monkeypatch.setattr(ColumnEncoder, "MAX_INDICATORS", 2)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"k": pd.Categorical(rng.choice(list("abcdef"), 200))})
    Y = (X["k"].isin(["a", "c"])).astype(float).to_frame("y")
    fitted = []
    for least_work in (0, 10**12):
        monkeypatch.setattr("skmtl._training._parts.MIN_WORK_SIDE_BY_SIDE", least_work)
        fitted.append(classifier(n_members=4, max_iter=3).fit(X, Y))
    assert_same_parameters(*fitted)


def test_skipping_heads_comes_before_one_pass(monkeypatch):
    """With one label in each row, members that skip the other heads are faster."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(400, 4)), np.full((400, 100), np.nan)
    Y[np.arange(400), np.arange(400) % 100] = np.arange(400) // 100 % 2
    fitted = []
    for least_work in (0, 10**12):
        monkeypatch.setattr("skmtl._training._parts.MIN_WORK_SIDE_BY_SIDE", least_work)
        clf = MultiTaskNetClassifier(max_iter=2, random_state=0, logistic="none")
        fitted.append(clf.fit(X, Y))
    assert_same_parameters(*fitted)


@every_network
@pytest.mark.parametrize("n_parts", [1, 2, 3])
def test_a_row_does_not_reach_the_member_that_leaves_it_out(
    divide_into, sharing, n_parts
):
    divide_into(n_parts)
    x, codes = random_batch()
    left_out_by = torch.arange(len(x)) % 4 - 1  # by nobody, and by each of three
    row = 5  # of member 0
    changed = x.clone(), codes.clone()
    changed[0][row] += 1
    changed[1][row] = codes[row].flip(0).clamp(max=1)
    networks = [build(sharing, n_members=3) for _ in range(2)]
    for network, data in zip(networks, ((x, codes), changed), strict=True):
        run(network, labelled(*data), plan(), left_out_by=left_out_by)
    for number in range(3):
        one, other = (
            torch.cat(
                [p.flatten() for p in network.part([number], range(4)).parameters()]
            )
            for network in networks
        )
        assert torch.equal(one, other) == (number == left_out_by[row])


def test_places_among_the_bins_that_are_kept_change_nothing(monkeypatch):
    X, Y = large(200)
    X[::7, 1] = np.nan
    kept = classifier(n_members=2, input_dropout=0.3).fit(X, Y)
    monkeypatch.setattr("skmtl._rows.PLACED_BYTES", 0)
    anew = classifier(n_members=2, input_dropout=0.3).fit(X, Y)
    for a, b in zip(parameters_of(kept), parameters_of(anew), strict=True):
        assert_array_equal(a, b)


def test_jobs_give_their_results_in_order():
    with Workers(3) as workers:
        jobs = [lambda i=i: (time.sleep(0.01 * (5 - i)), i)[1] for i in range(5)]
        assert workers.run(jobs) == [0, 1, 2, 3, 4]


def test_a_failed_job_ends_the_others():
    begun, ended = threading.Event(), []

    def fail():
        begun.wait()
        raise RuntimeError("it failed")

    def go_on(workers):
        begun.set()
        try:
            while True:
                workers.keep_on()
                time.sleep(0.001)
        except CancelledJob:
            ended.append(True)
            raise

    with Workers(2) as workers:
        for jobs in ([fail, lambda: go_on(workers)], [lambda: go_on(workers), fail]):
            begun.clear()
            ended.clear()
            with pytest.raises(RuntimeError, match="it failed"):
                workers.run(jobs)
            assert ended == [True]
        # And they can be used again.
        assert workers.run([lambda: 1, lambda: 2]) == [1, 2]
        workers.keep_on()


@pytest.fixture
def ctrl_c():
    """Interrupts, also where the shell has made Python ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield _thread.interrupt_main
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_keeps_the_best_weights_and_leaves_no_thread(threads, ctrl_c):
    threads(2)
    X, Y = large(2000)
    before = set(threading.enumerate())

    class Interrupt:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            if context.task_name == "epoch" and context.task_id == 2:
                ctrl_c()

        def on_fit_task_end(self, estimator, context):
            return False

    clf = MultiTaskNetClassifier(max_iter=50, random_state=0)
    clf.set_callbacks(Interrupt())
    with pytest.warns(RuntimeWarning, match="interrupted after 2 epochs"):
        clf.fit(X, Y)
    assert set(threading.enumerate()) == before
    assert clf.n_iter_ == 2
    clf.set_callbacks()
    assert np.isfinite(clf.predict_proba(X)).all()
