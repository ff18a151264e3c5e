"""Numbers: skmtl, ridge regression, forests, boosted trees and MLPRegressor.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_regression.py results.jsonl --splits 3
    python docs/benchmarks/bench_regression.py results.jsonl --table

Each cell (set, split, share of values removed, model) is a line of the file. Finished
cells are not run again. Single-task models are fitted on the rows with a value of their
task. Everything runs on one thread. The script needs the extra `bench`.
"""

import argparse
import os
import time
from functools import cache
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import torch
from _data import load_raw, preprocessing, print_or_run, rows_of
from _mulan import MULTI_TARGET
from _rdatasets import RD_OF_NUMBERS
from _uci import OF_NUMBERS
from lightgbm import LGBMRegressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNetRegressor

torch.set_num_threads(1)
# The rules for "auto" were chosen on half A. Half B had hardly any part in them.
HALVES = {
    "A": ["enb", "atp1d", "osales", "support2_numbers"],
    "B": ["jura", "oes10", "edm", "chembl_5thresh"],
}
# The sets of unseen.md.
UNTOUCHED = [*MULTI_TARGET, *OF_NUMBERS, *RD_OF_NUMBERS]
MADE = ["made_numbers_10000"]
SETS = [*HALVES["A"], *HALVES["B"], *MADE]
SUPPORT2_NUMBERS = ["slos", "d.time", "charges", "totcst"]
FRACTIONS = [0.0, 0.5, 0.8]
# Tasks need at least this many values in all, and this many in the test part.
MIN_VALUES, MIN_TEST_VALUES = 50, 2
# Nominal coverage of the intervals, and its half-width in standard deviations.
COVERAGE, Z = 0.9, 1.6448536269514722


@cache
def load(name):
    """Return X, the numeric tasks of Y, and the published splits."""
    if name.startswith("made_numbers_"):
        return made_numbers(int(name.removeprefix("made_numbers_")))
    X, Y, parts = load_raw(name.replace("_numbers", "_mixed"))
    if name == "support2_numbers":
        Y = Y[SUPPORT2_NUMBERS]
    Y = Y.astype(float)
    return X, Y.loc[:, Y.notna().sum() >= MIN_VALUES], parts


def made_numbers(n_rows, seed=0):
    """Make six numeric tasks, weighted sums of 12 hidden effects; half are missing."""
    truth, rng = np.random.default_rng(54321), np.random.default_rng(seed)
    numbers = rng.normal(size=(n_rows, 20))
    effects = []
    for i in range(12):
        a, b = truth.choice(20, 2, replace=False)
        if i < 4:
            effect = (numbers[:, a] > truth.normal()) * (numbers[:, b] > truth.normal())
        elif i < 8:
            effect = np.sin(truth.uniform(0.5, 2) * numbers[:, a]) * numbers[:, b]
        else:
            effect = numbers[:, a] + 0.3 * numbers[:, b] ** 2
        effects.append((effect - effect.mean()) / effect.std())
    Y = np.column_stack(effects) @ truth.normal(size=(12, 6))
    Y += Y.std(axis=0) * rng.normal(size=Y.shape) * 0.5
    Y[rng.random(Y.shape) < 0.5] = np.nan
    return (
        pd.DataFrame(numbers).add_prefix("x"),
        pd.DataFrame(Y).add_prefix("task "),
        {},
    )


def split(name, number, fraction):
    """Return the training part, with values removed, and the test part.

    Split -1 is the published split of the set (by scaffold), if it has one. The others
    hold out a random quarter.
    """
    X, Y, parts = load(name)
    rng = np.random.default_rng(number + 1)
    if number >= 0:
        test, train = np.split(rng.permutation(len(Y)), [len(Y) // 4])
    elif "train_idx" in parts:
        train = np.concatenate([parts["train_idx"], parts["valid_idx"]])
        test = parts["test_idx"]
    else:
        return None
    Y_train = Y.iloc[train]
    Y_train = Y_train.mask(rng.random(Y_train.shape) < fraction)
    Y_train = Y_train.loc[:, Y_train.notna().any()]
    Y_test = Y.iloc[test][Y_train.columns]
    train_labelled = Y_train.notna().any(axis=1).to_numpy()
    test_labelled = Y_test.notna().any(axis=1).to_numpy()
    return (
        rows_of(X, train[train_labelled]),
        Y_train[train_labelled],
        rows_of(X, test[test_labelled]),
        Y_test[test_labelled],
    )


# Models ---------------------------------------------------------------------------


def ridge(X, seed):
    return make_pipeline(preprocessing(X, scale=True), RidgeCV(np.logspace(-2, 4, 13)))


def forest(X, seed):
    trees = RandomForestRegressor(300, max_features=1 / 3, random_state=seed)
    return make_pipeline(preprocessing(X, scale=False), trees)


def boosted_trees(X, seed):
    return LGBMRegressor(random_state=seed, n_jobs=1, verbose=-1)


def mlp(X, seed):
    network = MLPRegressor(random_state=seed)
    return make_pipeline(
        preprocessing(X, scale=True),
        TransformedTargetRegressor(network, transformer=StandardScaler()),
    )


PER_TASK = {"ridge": ridge, "forest": forest, "lightgbm": boosted_trees, "mlp": mlp}
NETWORKS = {
    "skmtl": {},
    "skmtl, separate": {"sharing": "none"},
    "skmtl, absolute error": {"loss": "absolute_error"},
    "skmtl, gaussian": {"loss": "gaussian"},
}
MODELS = [*NETWORKS, *PER_TASK]
# Without MLPRegressor, which was not run on chembl_5thresh and is often last.
RANKED = ["skmtl", "forest", "lightgbm", "ridge"]


def predict(model, seed, X_train, Y_train, X_test):
    """Return predictions (n, t), with ``"gaussian"`` also deviations and constants.

    The constant deviation of a task is that of the training rows, see ``constants``.
    """
    if model in NETWORKS:
        network = MultiTaskNetRegressor(random_state=seed, **NETWORKS[model])
        network.fit(X_train, Y_train)
        if network.loss == "gaussian":
            deviation = network.predict(X_test, return_std=True)
            return *deviation, constants(network, Y_train)
        return network.predict(X_test), None, None
    columns = []
    for name in Y_train:
        y = Y_train[name]
        rows = np.flatnonzero(y.notna())
        if len(rows) == 1:
            columns.append(np.full(X_test.shape[0], y.iloc[rows[0]]))
            continue
        fitted = PER_TASK[model](X_train, seed).fit(
            rows_of(X_train, rows), y.iloc[rows]
        )
        columns.append(fitted.predict(X_test))
    return np.column_stack(columns), None, None


def constants(network, Y_train):
    """Return the deviation (t,) of each task that is the same for all rows.

    It is that of the residuals of out-of-bag predictions; for fewer than five of them,
    that of the task's values.
    """
    residuals = Y_train.to_numpy(float) - network.oob_prediction_.reshape(Y_train.shape)
    deviations = np.sqrt(np.nanmean(np.square(residuals), axis=0))
    n_residuals = (~np.isnan(residuals)).sum(axis=0)
    return np.where(n_residuals < 5, Y_train.std(ddof=0), deviations)


# Scores ---------------------------------------------------------------------------


def scores_of(Y_train, Y_test, predicted, deviation, constant=None):
    """Average over the tasks with enough values in the test part."""
    r2, relative, covered, gain, over_best = [], [], [], [], []
    for t, name in enumerate(Y_test):
        y, known = Y_test[name].to_numpy(), Y_test[name].notna().to_numpy()
        if known.sum() < MIN_TEST_VALUES or np.ptp(y[known]) == 0:
            continue
        y, p = y[known], predicted[known, t]
        mean = Y_train[name].mean()
        r2.append(1 - np.square(y - p).sum() / np.square(y - y.mean()).sum())
        relative.append(np.sqrt(np.square(y - p).sum() / np.square(y - mean).sum()))
        if deviation is not None:
            s = deviation[known, t]
            covered.append(np.mean(np.abs(y - p) <= Z * s))
            own = nll(y, p, s)
            gain.append(own - nll(y, p, constant[t]))
            over_best.append(own - nll(y, p, np.sqrt(np.square(y - p).mean())))
    result = {
        "n_tasks": len(r2),
        "r2": float(np.mean(r2)),
        "median_r2": float(np.median(r2)),
        "arrmse": float(np.mean(relative)),
    }
    if deviation is not None:
        result |= {
            "coverage": float(np.mean(covered)),
            "nll_gain": float(np.mean(gain)),
            "nll_over_best": float(np.mean(over_best)),
        }
    return result


def nll(y, mean, std):
    return np.mean(np.log(std) + 0.5 * np.square((y - mean) / std))


def run(name, number, fraction, model):
    parts = split(name, number, fraction)
    if parts is None or (name.startswith("chembl") and number > 0):
        return None
    X_train, Y_train, X_test, Y_test = parts
    begin, began_at = time.process_time(), time.perf_counter()
    predicted, *deviations = predict(model, number + 1, X_train, Y_train, X_test)
    seconds = {
        "cpu_seconds": round(time.process_time() - begin, 3),
        "seconds": round(time.perf_counter() - began_at, 3),
    }
    result = scores_of(Y_train, Y_test, predicted, *deviations)
    print(name, number, fraction, model, result, seconds, flush=True)
    return result | seconds


def print_tables(results):
    keys = ["set", "removed"]
    for metric in ("r2", "median_r2", "arrmse", "cpu_seconds"):
        means = results.pivot_table(metric, keys, "model", "mean", sort=False)
        print(f"\n{metric}\n{means.round(3).to_markdown()}")
    means = results.pivot_table("r2", keys, "model", "mean")
    rivals = means[RANKED].dropna()
    real = HALVES["A"] + HALVES["B"]
    groups = {"all real sets": real, **HALVES, "the sets of unseen.md": UNTOUCHED}
    for name, sets in groups.items():
        own = rivals[rivals.index.get_level_values(0).isin(sets)]
        if len(own) == 0:
            continue
        ranks = own.rank(axis=1, ascending=False).mean()
        print(f"\nmean rank in R2, {name}, {len(own)} cells")
        print(ranks.round(2).to_markdown())
    if "coverage" in results:
        gaussian = results[results.model == "skmtl, gaussian"].groupby(keys, sort=False)
        scores = gaussian[["coverage", "nll_gain", "nll_over_best"]].mean()
        print(f"\n{scores.round(3).to_markdown()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--fractions", nargs="*", type=float, default=FRACTIONS)
    parser.add_argument("--splits", type=int, default=1, help="number of random splits")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    cells = (
        (name, number, fraction, model)
        for name in options.sets
        for number in range(-1, options.splits)
        for fraction in options.fractions
        for model in options.models
    )
    print_or_run(
        options, print_tables, ["set", "split", "removed", "model"], cells, run
    )


if __name__ == "__main__":
    main()
