"""Data-parallel fits: `python tests/_ranks.py FOLDER RANK N_PROCESSES SCENARIO`.

A process of a group, which writes what it finds into the folder.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _estimators import AtEpoch, classifier, parameters_of
from scipy import sparse
from sklearn.preprocessing import QuantileTransformer
from torch import distributed as dist
from torch import nn

from skmtl import MultiTaskNet, MultiTaskNetRegressor
from skmtl._training import _steps

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 5))
LOGITS = X @ RNG.normal(size=(5, 3))
Y = (LOGITS > 0).astype(float)
MISSING = RNG.random(Y.shape) < 1 / 3
MISSING[:, 0] &= MISSING[:, 1:].any(axis=1)
Y[MISSING] = np.nan
Y[np.isnan(Y).all(axis=1), 0] = 1.0  # each row has a label
WEIGHT = RNG.uniform(0.5, 2.0, size=len(X))
BATCH = 20
SAME_BATCHES = {"shuffle": False, "batch_size": BATCH, "max_iter": 4}


def half_of_each_batch(rank, n_rows):
    """So that the batches of two processes are those of one."""
    return np.arange(n_rows).reshape(-1, 2, BATCH // 2)[:, rank].ravel()


def raw_table():
    table = pd.DataFrame(X, columns=list("abcde"))
    table.loc[::7, "a"] = None
    table["k"] = pd.Categorical(np.where(X[:, 0] > 0, "u", "v"))
    return table


def equal_fits():
    """Name -> the estimator, X, y and weights, where two halves are the whole."""
    words = pd.DataFrame({"w": np.where(X[:, 1] > 0, "yes", "no"), "n": Y[:, 0]})
    words["w"] = words["w"].astype(object)
    numbers = np.where(MISSING, np.nan, 100 + 20 * LOGITS)
    plain = {"n_members": 1, "dropout": 0.0, "input_dropout": 0.0, "random_state": 0}
    members = {"n_members": 2, "hidden_layer_sizes": (20,)}
    one = MultiTaskNetRegressor(**plain, **SAME_BATCHES)
    mixed = MultiTaskNet(**plain, **SAME_BATCHES)
    both = np.column_stack([Y[:, 1], numbers[:, 0]])
    both[np.isnan(both).all(axis=1), 0] = 0.0
    numbers[np.isnan(numbers).all(axis=1), 0] = 99.0
    clf = classifier(**SAME_BATCHES)
    balanced = classifier(**SAME_BATCHES, class_weight="balanced")
    # On so many rows, the learning rate rises as the loss falls.
    rising = classifier(**SAME_BATCHES, learning_rate_init="auto")
    many_rows = (np.tile(part, (17, 1)) for part in (X, Y))
    return {
        "classes": (clf, X, Y, None),
        "weights": (clf, X, Y, WEIGHT),
        "balanced": (balanced, X, Y, None),
        "words": (clf, raw_table(), words, None),
        "numbers": (one, X, numbers, None),
        "mixed": (mixed, X, both, None),
        "sparse": (clf, sparse.csr_array(np.where(X > 1, X, 0)), Y, None),
        "wide": (clf, wide_rows(), Y, None),
        "members": (classifier(**SAME_BATCHES, **members), X, Y, None),
        "separate": (classifier(**SAME_BATCHES, sharing="none"), X, Y, None),
        "rising": (rising, *many_rows, None),
    }


def wide_rows():
    """So many columns that a batch has entries in few of them."""
    column = np.random.default_rng(1).integers(2000, size=(240, 3)).ravel()
    row = np.repeat(np.arange(240), 3)
    return sparse.csr_array((np.ones(720), (row, column)), shape=(240, 2000))


def rows_of(table, index):
    return table.iloc[index] if hasattr(table, "iloc") else table[index]


def equal(rank):
    found = {}
    for name, (estimator, X, y, weight) in equal_fits().items():
        index = half_of_each_batch(rank, X.shape[0])
        if name == "rising":  # several blocks in an epoch, each with its own loss
            _steps.CHUNK_ELEMENTS = 2_000
        weight = None if weight is None else weight[index]
        estimator.fit(rows_of(X, index), rows_of(y, index), weight)
        found[name] = describe(estimator)
    return found


def describe(estimator):
    return {
        "parameters": [p.tolist() for p in parameters_of(estimator)],
        "losses": [float(loss) for loss in estimator.loss_curve_],
    }


def shares(rank):
    """Shares of other sizes, and what only one process has."""
    found = {}
    index = np.arange(40) if rank == 0 else np.arange(40, len(X))
    noisy = classifier(
        max_iter=60, dropout=0.1, batch_size=40, learning_rate_init=0.005
    )
    found["uneven"] = describe(noisy.fit(X[index], Y[index]))
    found["uneven"]["score"] = noisy.score(X, Y)
    # No seed: that of rank 0 is everybody's.
    unseeded = classifier(max_iter=2, random_state=None).fit(X[index], Y[index])
    found["unseeded"] = describe(unseeded)
    table = raw_table().astype({"k": object})
    labels = np.where(X[:, 1] > 0, 1, 0).astype(object)
    if rank == 1:
        table.loc[50:60, "k"], labels[100:110] = "w", 2
    table = table.astype({"k": "category"})
    clf = classifier(max_iter=2).fit(table.iloc[index], labels[index])
    found["own"] = describe(clf)
    found["classes"] = clf.classes_.tolist()
    found["categories"] = sorted(clf._columns.categories[5])
    stopping = classifier(
        early_stopping=True, max_iter=60, n_iter_no_change=3, learning_rate_init=0.02
    )
    noise = RNG.integers(0, 2, size=(len(X), 2)).astype(float)
    found["stopped"] = describe(stopping.fit(X[index], noise[index]))
    found["scores"] = [float(score) for score in stopping.validation_scores_]
    # One process asks to stop, and so all of them do.
    called = classifier(max_iter=20)
    if rank == 1:
        called.set_callbacks(Stop(3))
    found["called"] = describe(called.fit(X[index], Y[index]))
    # Modules and transformers that draw random numbers of each process's own.
    torch.manual_seed(rank)
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
    trunk = classifier(
        trunk=module, input_encoding="none", hidden_layer_sizes=(), max_iter=2
    )
    found["module"] = describe(trunk.fit(X[index].astype("f"), Y[index]))
    ranks = QuantileTransformer(n_quantiles=10, subsample=20)
    regressor = MultiTaskNetRegressor(transformer=ranks, max_iter=2, random_state=0)
    regressor.fit(X[index], LOGITS[index])
    found["transformer"] = regressor.predict(X).tolist()
    typed = np.column_stack([Y[:, 1], LOGITS[:, 0]])
    typed[index if rank else [], 1] = np.nan  # decimals in the first process alone
    mixed = MultiTaskNet(max_iter=2, random_state=0).fit(X[index], typed[index])
    found["types"] = mixed.predict(X[:5]).tolist()
    empty = classifier(max_iter=2)
    nothing = np.full_like(Y, np.nan) if rank == 1 else Y
    found["without labels"] = describe(empty.fit(X[index], nothing[index]))
    return found


class Stop(AtEpoch):
    """A callback that ends the fit at an epoch."""

    def __init__(self, epoch):
        super().__init__(epoch, lambda: None)

    def on_fit_task_end(self, estimator, context, **kwargs):
        return context.task_name == "epoch" and context.task_id == self.epoch


def failing(rank):
    """What one process cannot use is an error in both, and none waits for it."""
    found = {}
    wrong = X.copy()
    if rank == 1:
        wrong[3, 2] = np.inf
    cases = {
        "X": (classifier(input_encoding="none"), wrong, Y),
        "tasks": (classifier(), X, Y[:, : 2 + rank]),
        "columns": (classifier(), X[:, : 4 + rank], Y),
        "oob_score": (classifier(oob_score=True), X, Y),
    }
    for name, (estimator, X_, y) in cases.items():
        try:
            estimator.fit(X_, y)
        except (ValueError, RuntimeError) as error:
            found[name] = str(error)
    y = Y[:, 1] if rank else Y[:, [1]]
    table = raw_table().assign(k=np.nan) if rank else raw_table()
    cases = {
        "alpha": (classifier(alpha=0.1 + rank), X, Y),
        "sizes": (classifier(hidden_layer_sizes=(5 + rank,)), X, Y),
        "goes on": (classifier(warm_start=True, max_iter=1), X, Y),
        "axes": (classifier(), X, y),
        "categories": (classifier(), table, Y),
    }
    if rank == 1:
        cases["goes on"][0].network_ = None  # as if it had been fitted
    for name, (estimator, X_, y_) in cases.items():
        try:
            estimator.fit(X_, y_)
        except (ValueError, RuntimeError) as error:
            found[name] = str(error)
    fitted = classifier(max_iter=1).fit(X, Y)
    for method in ("partial_fit", "add_tasks"):
        try:
            getattr(fitted, method)(X, Y)
        except ValueError as error:
            found[method] = str(error)
    return found


def alone(rank):
    estimator, X, y, _ = equal_fits()["classes"]
    return describe(estimator.fit(X, y))


def killed(rank):
    def kill():
        os._exit(9)

    clf = classifier(max_iter=1000)
    if rank == 1:
        clf.set_callbacks(AtEpoch(2, kill))
    try:
        clf.fit(X, Y)
    except RuntimeError as error:
        return {"error": str(error), "is_fitted": hasattr(clf, "network_")}
    return {}


def checkpoints(rank):
    """A fit that goes on from the first process's checkpoint, and a whole one."""
    index = half_of_each_batch(rank, len(X))
    folder = Path(sys.argv[1]) / "checkpoint"
    settings = {"dropout": 0.3, "input_dropout": 0.1, "max_iter": 6, "batch_size": 20}

    def stop():
        raise SystemExit

    with contextlib.suppress(SystemExit):
        killed = classifier(checkpoint_dir=folder, **settings)
        killed.set_callbacks(AtEpoch(3, stop)).fit(X[index], Y[index])
    resumed = classifier(checkpoint_dir=folder, **settings).fit(X[index], Y[index])
    whole = classifier(**settings).fit(X[index], Y[index])
    found = {"resumed": describe(resumed), "whole": describe(whole)}
    try:
        classifier(checkpoint_dir=folder, **settings).fit(X[index] + 1, Y[index])
    except (ValueError, RuntimeError) as error:
        found["other data"] = str(error)
    return found


if __name__ == "__main__":
    folder, rank, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=size
    )
    found = globals()[sys.argv[4]](rank)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    if sys.argv[4] != "killed":
        dist.destroy_process_group()
