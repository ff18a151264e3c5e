"""Missing labels filled with 0, or ignored.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_filled.py results.jsonl --seeds 5
    python docs/benchmarks/bench_filled.py results.jsonl --table

Tox21 by its scaffold split and yeast by Mulan's, with training labels removed in
several ways, and landmine, where each row was measured for one task of 29. Test labels
are neither removed nor filled: scores use the observed ones. Every cell (set, way of
removing, seed, model) is a line of the file; the script measures the missing ones.
All on one thread.
"""

import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import torch
from _data import load_raw, print_or_run_seeds, rows_of
from sklearn.ensemble import RandomForestClassifier

from skmtl import MultiTaskNetClassifier
from skmtl.metrics import expected_calibration_error, multitask_score
from skmtl.model_selection import multitask_train_test_split

torch.set_num_threads(1)
SCORES = {
    "auc": "roc_auc",
    "ap": "average_precision",
    "log_loss": "neg_log_loss",
    "brier": "neg_brier_score",
    "ece": expected_calibration_error,
}
MODELS = ["network, ignored", "network, filled", "forest, ignored", "forest, filled"]
# Leaves of one row, scikit-learn's default; "forest" has leaves of five rows or more.
DEEP = ["deep forest, ignored", "deep forest, filled"]
CASES = [  # set, which training labels are removed, models
    ("tox21", "none", MODELS),
    ("tox21", "random 50", MODELS + DEEP),
    ("tox21", "random 80", MODELS),
    ("tox21", "large rows", MODELS),
    # Filled, the removed zeros are zeros again: these would be the fits of "none".
    ("tox21", "negatives", ["network, ignored", "forest, ignored"]),
    ("yeast", "random 50", MODELS),
    ("yeast", "random 80", MODELS),
    ("landmine", "none", MODELS),
]


def split(name, seed):
    """Training and test part; for landmine a random quarter to test."""
    X, Y, parts = load_raw(name)
    if not parts:
        X_train, X_test, Y_train, Y_test = multitask_train_test_split(
            X, Y, test_size=0.25, random_state=seed
        )
        return X_train, Y_train, X_test, Y_test
    train = np.concatenate([i for part, i in parts.items() if part != "test_idx"])
    test = parts["test_idx"]
    return rows_of(X, train), Y.iloc[train], rows_of(X, test), Y.iloc[test]


def is_removed(X, Y, removed, rng):
    """Which labels to remove, the observed ones among them.

    "random 50" and "random 80" remove that share of all labels. "large rows" removes
    90 % of the labels of rows whose features have a sum above the median, and 10 % of
    the others: molecules that are large, for fingerprints. "negatives" removes 80 % of
    the zeros and none of the ones, as if most people wrote down only what they found.
    """
    draws = rng.random(Y.shape)
    if removed == "none":
        return np.zeros(Y.shape, bool)
    if removed == "large rows":
        size = np.asarray(X.sum(axis=1)).ravel()
        return draws < np.where(size > np.median(size), 0.9, 0.1)[:, None]
    if removed == "negatives":
        return (draws < 0.8) & (Y.to_numpy() == 0)
    return draws < int(removed.removeprefix("random ")) / 100


def probabilities(model, seed, X_train, Y_train, X_test):
    """The probability of 1 of each test row and task."""
    if model.startswith("network"):
        network = MultiTaskNetClassifier(random_state=seed)
        return network.fit(X_train, Y_train).predict_proba(X_test)
    least = 1 if model.startswith("deep") else 5
    columns = []
    for task in Y_train:
        y = Y_train[task].to_numpy()
        index = np.flatnonzero(~np.isnan(y))
        forest = RandomForestClassifier(50, min_samples_leaf=least, random_state=seed)
        p = forest.fit(rows_of(X_train, index), y[index]).predict_proba(X_test)
        columns.append(p @ forest.classes_)
    return np.column_stack(columns)


def run(name, removed, seed, model):
    X_train, Y_train, X_test, Y_test = split(name, seed)
    rng = np.random.default_rng(seed)
    Y_train = Y_train.mask(is_removed(X_train, Y_train, removed, rng))
    share_missing = Y_train.isna().to_numpy().mean()
    if model.endswith("filled"):
        Y_train = Y_train.fillna(0)
    begin = time.process_time()
    p = probabilities(model, seed, X_train, Y_train, X_test)
    seconds = time.process_time() - begin
    scores = {key: multitask_score(metric, Y_test, p) for key, metric in SCORES.items()}
    decided = (p > 0.5).astype(float)
    scores["mcc"] = multitask_score("matthews_corrcoef", Y_test, decided)
    observed = np.where(Y_test.notna(), p, np.nan)
    scores["mean_probability"] = np.nanmean(observed, axis=0).mean()
    scores["share_positive"] = Y_test.mean().mean()
    scores["share_missing"] = share_missing
    return {key: float(score) for key, score in scores.items()} | {"seconds": seconds}


def cells(seeds):
    for seed in range(seeds):
        for name, removed, models in CASES:
            yield from ((name, removed, seed, model) for model in models)


def print_tables(results):
    """Scores with labels ignored and filled, their differences and standard errors."""
    results[["model", "labels"]] = results["model"].str.split(", ", expand=True).values
    results[["log_loss", "brier"]] *= -1
    # Filled, "negatives" has the labels of "none".
    same = results[(results["set"] == "tox21") & (results["removed"] == "none")]
    same = same[same["labels"] == "filled"].assign(removed="negatives")
    case, seed = ["model", "set", "removed"], ["model", "set", "removed", "seed"]
    columns = [*SCORES, "mcc", "mean_probability", "share_positive", "share_missing"]
    runs = pd.concat([results, same]).set_index(seed)
    ignored, filled = (
        runs.loc[runs["labels"] == labels, columns] for labels in ("ignored", "filled")
    )
    tables = {
        "ignored": ignored.groupby(case, sort=False).mean(),
        "filled": filled.groupby(case, sort=False).mean(),
        "filled minus ignored": (filled - ignored).groupby(case).mean(),
        "standard errors of the difference": (filled - ignored).groupby(case).sem(),
    }
    for model in ("network", "forest", "deep forest"):
        for name, table in tables.items():
            print(f"\n{model}, {name}\n\n{table.loc[model].round(3).to_markdown()}")


if __name__ == "__main__":
    keys = ["set", "removed", "seed", "model"]
    print_or_run_seeds(__doc__, 5, print_tables, keys, cells, run)
