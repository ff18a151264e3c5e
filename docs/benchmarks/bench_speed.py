"""Speed of steps, many tasks, sparse and raw input, prediction; and memory.

    python docs/benchmarks/bench_speed.py [--cases NAME ...] [--json FILE]

Each case times skmtl and its alternatives in one process, one after the other, in
several rounds, and reports medians and ratios. Sizes, batches, epochs and optimiser are
the same for all, and there is no early stopping. The script needs the extra `bench`.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import sklearn
import torch
from scipy import sparse
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import SplineTransformer
from torch import nn
from torch.nn import functional as F

from skmtl import MultiTaskNetClassifier
from skmtl._network._products import affine, without_derivatives
from skmtl.model_selection import MultiTaskStratifiedKFold

CASES = {}


def case(goal):
    """Register a case. Its docstring is its title; `goal` has the ratios to reach."""

    def register(function):
        CASES[function.__name__] = (function, goal)
        return function

    return register


def medians(work, n_rounds=5, n_warm_up=1):
    """Return the median seconds of each callable; they take turns, after a warm-up.

    The pauses let the threads of the previous callable, which spin for a while, sleep.
    """
    seconds = {name: [] for name in work}
    for i in range(-n_warm_up, n_rounds):
        for name, function in work.items():
            time.sleep(0.1)
            start = time.perf_counter()
            function()
            if i >= 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


# What is timed --------------------------------------------------------------------


def data(n, d, n_tasks, missing=0.0, seed=0):
    """Make a standard normal float32 X, and a float32 Y of 0, 1 and missing labels."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32)
    weight = rng.standard_normal((d, n_tasks), dtype=np.float32)
    Y = (X @ weight > 0).astype(np.float32)
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y


def ours(hidden, epochs, batch_size=200, **parameters):
    settings = {
        "hidden_layer_sizes": hidden,
        "input_encoding": "none",
        "solver": "adam",
        "alpha": 1e-4,
        "dropout": 0.0,
        "input_dropout": 0.0,
        "n_members": 1,
        "batch_size": batch_size,
        "learning_rate": "constant",
        "learning_rate_init": 1e-3,
        "max_iter": epochs,
        "n_iter_no_change": epochs,
        "random_state": 0,
    }
    return MultiTaskNetClassifier(**settings | parameters)


def mlp(hidden, epochs, batch_size=200):
    return MLPClassifier(
        hidden,
        batch_size=batch_size,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=0,
    )


def sequential(sizes):
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def plain_loop(network, X, Y, epochs, batch_size=200):
    """Train as one would by hand: fused Adam, batches by index."""
    X, Y = torch.from_numpy(X), torch.from_numpy(Y)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(batch_size):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(network(X[rows]), Y[rows])
            loss.backward()
            optimizer.step()


class ManyHeads(nn.Module):
    """Heads as one module per task, as in most multi-task code."""

    def __init__(self, trunk, width, n_tasks, head):
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(
            sequential((width, *head, 1)) for _ in range(n_tasks)
        )

    def forward(self, x):
        features = self.trunk(x)
        return torch.cat([head(features) for head in self.heads], dim=1)


def skorch_net(sizes, X, Y, epochs):
    from skorch import NeuralNet

    net = NeuralNet(
        sequential,
        module__sizes=sizes,
        criterion=nn.BCEWithLogitsLoss,
        optimizer=torch.optim.Adam,
        lr=0.001,
        batch_size=200,
        max_epochs=epochs,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    )
    net.fit(X, Y)


def deepchem_fit(sizes, X, Y, epochs):
    from deepchem.data import NumpyDataset
    from deepchem.models import MultitaskClassifier

    model = MultitaskClassifier(
        sizes[-1],
        sizes[0],
        layer_sizes=list(sizes[1:-1]),
        dropouts=0.0,
        weight_decay_penalty=1e-4,
        batch_size=200,
        learning_rate=0.001,
    )
    model.fit(NumpyDataset(X, Y), nb_epoch=epochs)


def gemm_seconds(n_multiply_adds):
    """Return the time of that many multiply-adds at the rate of large products.

    The rates are that of torch's own product, and the better one of torch and oneDNN.
    """
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    bias = torch.zeros(2048)
    with without_derivatives(a.device):
        seconds = medians(
            {
                "torch": lambda: a @ b,
                "oneDNN": lambda: affine(a, b, bias),
            },
            10,
        )
    share = n_multiply_adds / 2048**3
    return {
        "products, torch's rate": seconds["torch"] * share,
        "products, the best rate": min(seconds.values()) * share,
    }


def step_multiply_adds(sizes, batch_size):
    """Count forward products and gradients of weights and of inputs (but the first)."""
    products = [a * b for a, b in pairwise(sizes)]
    return batch_size * (3 * sum(products) - products[0])


# Steps ----------------------------------------------------------------------------


def step_case(sizes, batch_size, n, epochs, with_peers=True):
    X, Y = data(n, sizes[0], sizes[-1])
    hidden, n_steps = sizes[1:-1], epochs * -(-n // batch_size)
    work = {"ours": lambda: ours(hidden, epochs, batch_size).fit(X, Y)}
    if with_peers:
        work["MLPClassifier"] = lambda: mlp(hidden, epochs, batch_size).fit(X, Y)
        work["skorch"] = lambda: skorch_net(sizes, X, Y, epochs)
        if find_spec("deepchem"):  # in no extra, since only this case needs it
            work["DeepChem"] = lambda: deepchem_fit(sizes, X, Y, epochs)
    work["plain loop"] = lambda: plain_loop(sequential(sizes), X, Y, epochs, batch_size)
    seconds = {name: s / n_steps for name, s in medians(work).items()}
    return seconds | gemm_seconds(step_multiply_adds(sizes, batch_size))


@case({"MLPClassifier": 2.0, "skorch": 8.0, "plain loop": 2.0})
def step_small():
    """Step: 50 -> 100 -> 8, batch 200"""
    return step_case((50, 100, 8), 200, 4000, 20)


@case({"MLPClassifier": 2.0})
def step_deep():
    """Step: 50 -> 100 -> 100 -> 8, batch 200"""
    return step_case((50, 100, 100, 8), 200, 4000, 20)


@case({"products, torch's rate": 1 / 1.25})
def step_wide():
    """Step: 512 -> 512 -> 512 -> 12, batch 256"""
    return step_case((512, 512, 512, 12), 256, 5120, 5, with_peers=False)


# Tasks ----------------------------------------------------------------------------


def growth_case(head):
    n, epochs, sizes = 2000, 3, (2048, 256)
    n_steps = epochs * n // 200
    work = {}
    for n_tasks in (1, 10, 100, 1000):
        X, Y = data(n, 2048, n_tasks)
        clf = ours((256,), epochs, head_hidden_layer_sizes=head)
        work[f"ours, {n_tasks} tasks"] = lambda c=clf, X=X, Y=Y: c.fit(X, Y)
    if head:
        work["ModuleList, 1000 tasks"] = lambda: plain_loop(
            ManyHeads(sequential((*sizes, 256))[:2], 256, 1000, head), X, Y, 1
        )
    seconds = medians(work, 3)
    result = {
        name: s / (n // 200 if "Module" in name else n_steps)
        for name, s in seconds.items()
    }
    per_head = sum(a * b for a, b in zip((256, *head), (*head, 1), strict=True))
    result |= gemm_seconds(3 * 200 * 999 * per_head)
    added = result["ours, 1000 tasks"] - result["ours, 1 tasks"]
    result["ours"] = added
    return result


@case({"products, torch's rate": 1 / 1.5})
def growth_linear_heads():
    """2048 -> 256 -> T linear heads; ours is what 1,000 tasks cost beyond one"""
    return growth_case(())


@case({"products, torch's rate": 1 / 1.5, "ModuleList, 1000 tasks": 10.0})
def growth_heads_of_16():
    """2048 -> 256 -> T heads of 16; ours is what 1,000 tasks cost beyond one"""
    return growth_case((16,))


@case({"100 MLPClassifiers": 15.0})
def many_partly_observed():
    """100 tasks, 10,000 rows, 10 % of the labels observed, 50 -> 100 -> 1"""
    X, Y = data(10_000, 50, 100, missing=0.9)
    return against_separate(X, Y, 10)


@case({"100 MLPClassifiers": 2.0})
def the_lecture():
    """100 tasks with 1,000 rows of their own, one label per row"""
    X, Y = data(100_000, 50, 100)
    own = np.full_like(Y, np.nan)
    rows = np.arange(100_000)
    own[rows, rows % 100] = Y[rows, rows % 100]
    return against_separate(X, own, 5)


def against_separate(X, Y, epochs):
    def separate():
        for y in Y.T:
            seen = ~np.isnan(y)
            mlp((100,), epochs).fit(X[seen], y[seen])

    joint = ours((100,), epochs)
    work = {"ours": lambda: joint.fit(X, Y), "100 MLPClassifiers": separate}
    return medians(work, 3)


# Input ----------------------------------------------------------------------------


@case({"dense X": 4.0})
def sparse_input():
    """CSR X: 8,000 x 2048, 1.5 % dense, 12 tasks, 512 hidden"""
    X = sparse.random_array(
        (8000, 2048), density=0.015, dtype=np.float32, rng=np.random.default_rng(0)
    ).tocsr()
    _, Y = data(8000, 2, 12, missing=0.2)
    dense = X.toarray()
    settings = {"solver": "sgd", "dropout": 0.5}
    return medians(
        {
            "ours": lambda: ours((512,), 3, **settings).fit(X, Y),
            "dense X": lambda: ours((512,), 3, **settings).fit(dense, Y),
        },
        3,
    )


@case({"plain input": 0.5, "explicit wide matrix": 3.0})
def piecewise_input():
    """Piecewise input: 20,000 x 50, 8 bins, 256 hidden"""
    X, Y = data(20_000, 50, 8)
    wide = SplineTransformer(degree=1, n_knots=9, knots="quantile").fit_transform(X)
    wide = wide.astype(np.float32)
    return medians(
        {
            "ours": lambda: ours((256,), 5, input_encoding="piecewise").fit(X, Y),
            "plain input": lambda: ours((256,), 5).fit(X, Y),
            "explicit wide matrix": lambda: ours((256,), 5).fit(wide, Y),
        },
        3,
    )


@case({})
def very_wide_sparse_input():
    """A step on CSR X, 100 non-zeros per row: 100,000 wide (ours) and 10,000 wide"""
    _, Y = data(4000, 2, 12)
    fits, solver = {}, {}
    for width in (100_000, 10_000):
        rng = np.random.default_rng(0)
        indices = rng.integers(width, size=400_000)
        values = np.ones(400_000, np.float32)
        X = sparse.csr_array(
            (values, indices, np.arange(0, 400_001, 100)), shape=(4000, width)
        )
        for epochs in (1, 6):
            clf = ours((128,), epochs)
            fits[width, epochs] = lambda clf=clf, X=X: clf.fit(X, Y)
        solver[width] = adam_steps(128 * width)
    fits, solver = medians(fits, 3), medians(solver, 3)
    steps = {width: (fits[width, 6] - fits[width, 1]) / 100 for width in solver}
    return {
        "ours": steps[100_000],
        "10,000 wide": steps[10_000],
        "the solver alone, 100,000 wide": solver[100_000] / 100,
        "the solver alone, 10,000 wide": solver[10_000] / 100,
    }


def adam_steps(n_parameters):
    """Return a function that calls torch's kernel of Adam 100 times."""
    vectors = [[torch.rand(n_parameters)] for _ in range(4)]
    settings = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0}
    settings |= {"eps": 1e-8, "amsgrad": False, "maximize": False}
    n_steps = [torch.ones(())]

    def steps():
        for _ in range(100):
            torch._fused_adam_(*vectors, [], n_steps, **settings)

    return steps


# Banks ----------------------------------------------------------------------------


@case({"8 single fits": 1 / 0.4})
def members_small():
    """8 members, 50 -> 100 -> 8"""
    return members_case((50, 100, 8), 4000, 10)


@case({"8 single fits": 1 / 0.8})
def members_wide():
    """8 members, 512 -> 512 -> 512 -> 12"""
    return members_case((512, 512, 512, 12), 2000, 2)


def members_case(sizes, n, epochs):
    X, Y = data(n, sizes[0], sizes[-1])
    hidden = sizes[1:-1]

    def single_fits():
        for seed in range(8):
            ours(hidden, epochs, random_state=seed).fit(X, Y)

    bank = ours(hidden, epochs, n_members=8, oob_score=False)
    return medians({"ours": lambda: bank.fit(X, Y), "8 single fits": single_fits}, 3)


@case({"12 fits in a loop": 1 / 0.6})
def separate_networks():
    """sharing="none": 512 -> 256 -> 1, 12 tasks, batch 128"""
    X, Y = data(5000, 512, 12)

    def loop():
        for y in Y.T:
            ours((256,), 3, 128).fit(X, y)

    bank = ours((256,), 3, 128, sharing="none")
    return medians({"ours": lambda: bank.fit(X, Y), "12 fits in a loop": loop}, 3)


# Prediction, search, memory -------------------------------------------------------


@case({"MLPClassifier": 1.5})
def prediction():
    """predict_proba, 1,000,000 rows, 50 -> 100 -> 8"""
    X, Y = data(1_000_000, 50, 8)
    network = ours((100,), 2).fit(X[:2000], Y[:2000])
    peer = mlp((100,), 2).fit(X[:2000], Y[:2000])
    return medians(
        {
            "ours": lambda: network.predict_proba(X),
            "MLPClassifier": lambda: peer.predict_proba(X),
        },
        3,
    )


@case({"n_jobs=1": 1.6})
def grid_search():
    """GridSearchCV, 12 candidates x 5 folds, n_jobs=2 (ours) and 1"""
    X, Y = data(10_000, 50, 8, missing=0.3)
    grid = {
        "head_hidden_layer_sizes": [(), (8,), (16,)],
        "alpha": [1e-4, 1e-3, 1e-2, 1e-1],
    }

    def search(n_jobs):
        clf = ours((100,), 150)
        GridSearchCV(clf, grid, cv=MultiTaskStratifiedKFold(5), n_jobs=n_jobs).fit(X, Y)

    # There is no warm-up, so the start of the processes counts.
    work = {"ours": lambda: search(2), "n_jobs=1": lambda: search(1)}
    return medians(work, 1, n_warm_up=0)


@case({"X, y, state": 1 / 1.2})
def memory():
    """Peak memory of fit above the imports, 500,000 x 100 float32 (MiB, not ms)"""
    command = [sys.executable, __file__, "--measure-memory"]
    peak, needed = map(float, subprocess.check_output(command).split())
    return {"ours": peak / 1e3, "X, y, state": needed / 1e3}


def measure_memory():
    """Print the peak minus the memory before X, and the size of X, y and the state."""
    clf = ours((256,), 2)
    clf.fit(*data(1000, 100, 8))  # loads what the first fit of a process needs
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    X = np.empty((500_000, 100), np.float32)
    for part in np.array_split(X, 500):
        part[:] = np.random.default_rng(0).standard_normal(part.shape)
    y = np.empty((500_000, 8), np.float32)
    np.greater(X[:, :8], 0, out=y, casting="unsafe")
    clf.fit(X, y)
    # Unlike ru_maxrss, VmHWM does not include the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
    n_parameters = sum(p.numel() for p in clf.network_.parameters())
    batch = 200 * (100 + 256 + 8)
    needed = X.nbytes + y.nbytes + 4 * (4 * n_parameters + batch)
    print((peak - pages * resource.getpagesize()) / 2**20, needed / 2**20)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure-memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.measure_memory:
        measure_memory()
        return
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} "
        f"threads, Python {platform.python_version()}, torch {torch.__version__}, "
        f"scikit-learn {sklearn.__version__}"
    )
    results = {}
    for name in options.cases:
        function, goals = CASES[name]
        results[name] = seconds = function()
        print(f"\n{function.__doc__}")
        for peer, value in seconds.items():
            ratio = value / seconds["ours"]
            goal = f"  goal {goals[peer]:.2f}" if peer in goals else ""
            print(f"  {peer:24s} {value * 1e3:12.3f} ms  {ratio:8.2f}{goal}")
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
