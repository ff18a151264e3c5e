"""Raw tables: forms of the input layer, forests and boosted trees.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_inputs.py results.jsonl --splits 3

Finished cells are read from the file and not run again. `--table` prints the means.
`--memory` measures the peak memory of a fit on 1,000,000 x 50 numbers instead. The
script needs the extra `bench`. Everything runs on one thread.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from _data import class_tables, load_raw, print_or_run
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

from skmtl import MultiTaskNetClassifier

torch.set_num_threads(1)
SETS = ["emotions", "flags", "drug_consumption", "support2", "adult", "yeast", "scene"]
FRACTIONS = [0.0, 0.5]
MAX_TRAIN = 4000
N_STEPS = 1000


class PiecewiseLinear(TransformerMixin, BaseEstimator):
    """Encode numbers cumulatively: how far each of 8 quantile bins is filled."""

    def fit(self, X, y=None):
        self.edges_ = [np.unique(np.quantile(x, np.arange(9) / 8)) for x in X.T]
        return self

    def transform(self, X):
        parts = []
        for x, edges in zip(X.T, self.edges_, strict=True):
            if len(edges) > 1:
                width = np.diff(edges)
                parts.append(((x[:, None] - edges[:-1]) / width).clip(0, 1))
        return np.hstack(parts)


def network(n_rows, seed, **parameters):
    n_batches = int(np.ceil(n_rows / 200))
    return MultiTaskNetClassifier(
        hidden_layer_sizes=(128, 128),
        solver="adam",
        alpha=1e-4,
        dropout=0.5,
        input_dropout=0.0,
        n_members=4,
        batch_size=200,
        learning_rate_init=0.002,
        max_iter=int(np.clip(N_STEPS // n_batches, 10, 150)),
        random_state=seed,
        **parameters,
    )


def table(numbers):
    """Impute numbers and apply `numbers` to them; encode categories one-hot."""
    impute = SimpleImputer(strategy="median", add_indicator=True)
    return make_column_transformer(
        (make_pipeline(impute, numbers), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_include="category"),
        ),
    )


def hat():
    return SplineTransformer(n_knots=9, degree=1, knots="quantile")


def network_on(numbers):
    return lambda n, seed: make_pipeline(
        table(numbers()), network(n, seed, input_encoding="none")
    )


NETWORKS = {
    "none": network_on(StandardScaler),
    "hat": network_on(hat),
    "cumulative": network_on(PiecewiseLinear),
    "hat, linear": network_on(lambda: make_union(hat(), StandardScaler())),
    "cumulative, linear": network_on(
        lambda: make_union(PiecewiseLinear(), StandardScaler())
    ),
    "default": network,
}
TREES = {
    "forest": lambda seed: make_pipeline(
        table("passthrough"),
        RandomForestClassifier(n_estimators=300, random_state=seed),
    ),
    "LightGBM": lambda seed: LGBMClassifier(random_state=seed, n_jobs=1, verbose=-1),
}


def split(X, Y, seed, fraction):
    """Hold out a random quarter to test on, and remove labels from the rest."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    n_test = len(X) // 4
    test, train = order[:n_test], order[n_test:][:MAX_TRAIN]
    Y_train = Y.iloc[train]
    Y_train = Y_train.mask(rng.random(Y_train.shape) < fraction)
    return X.iloc[train], X.iloc[test], Y_train, Y.iloc[test]


def probabilities(name, X_train, Y_train, X_test, seed):
    """Return the classes and probabilities (n, n_classes) of each task."""
    if name in NETWORKS:
        model = NETWORKS[name](len(X_train), seed).fit(X_train, Y_train)
        return class_tables(model, X_test)
    results = []
    for task in Y_train:
        observed = Y_train[task].notna()
        model = clone(TREES[name](seed))
        model.fit(X_train[observed], Y_train.loc[observed, task])
        results.append((model.classes_, model.predict_proba(X_test)))
    return results


def mean_auc(predictions, Y):
    """Average over the tasks, and over classes with at least five test rows."""
    tasks = []
    for task, (classes, p) in zip(Y, predictions, strict=True):
        y = Y[task].dropna()
        p = p[Y[task].notna()]
        columns = [1] if len(classes) == 2 else range(len(classes))
        truth = [(y == classes[c], p[:, c]) for c in columns]
        scores = [roc_auc_score(t, s) for t, s in truth if 5 <= t.sum() <= len(y) - 5]
        tasks += [np.mean(scores)] if scores else []
    return float(np.mean(tasks))


def print_tables(results):
    order = [*NETWORKS, *TREES]
    for column, digits in (("auc", 4), ("seconds", 1)):
        means = results.pivot_table(
            index=["fraction", "set"], columns="model", values=column
        )[order]
        means.loc[("", "mean"), :] = means.mean()
        print(means.to_string(float_format=f"{{:.{digits}f}}".format), "\n")


def print_memory():
    """Print the peak memory of an epoch with each encoding, each in its own process."""
    for encoding in ("none", "piecewise"):
        command = [sys.executable, __file__, "", "--measure", encoding]
        print(encoding, subprocess.check_output(command, text=True), end="")


def measure(encoding):
    rng = np.random.default_rng(0)
    X = rng.random((1_000_000, 50), dtype=np.float32)
    Y = np.where(
        rng.random((1_000_000, 4), dtype=np.float32) < 0.5, np.nan, X[:, :4] > 0.5
    )
    Y = Y.astype(np.float32)
    model = MultiTaskNetClassifier(
        (100,),
        input_encoding=encoding,
        dropout=0.0,
        input_dropout=0.0,
        n_members=1,
        batch_size=2000,
        max_iter=1,
    )
    model.fit(X[:1000], Y[:1000])
    peaks = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]
    model.fit(X, Y)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    model.predict_proba(X)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    before, fit, predict = (peak / 1024 for peak in peaks)
    print(f"before {before:.0f} MiB, fit {fit:.0f} MiB, predict {predict:.0f} MiB")


def run_cell(name, seed, fraction, model):
    X_train, X_test, Y_train, Y_test = split(*load_raw(name)[:2], seed, fraction)
    start = time.perf_counter()
    predictions = probabilities(model, X_train, Y_train, X_test, seed)
    seconds = time.perf_counter() - start
    return {"auc": mean_auc(predictions, Y_test), "seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--models", nargs="+", default=[*NETWORKS, *TREES])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure or options.memory:
        measure(options.measure) if options.measure else print_memory()
        return
    cells = [
        (name, seed, fraction, model)
        for seed in range(options.splits)
        for name in options.sets
        for fraction in FRACTIONS
        for model in options.models
    ]
    keys = ("set", "split", "fraction", "model")
    print_or_run(options, print_tables, keys, cells, run_cell)


if __name__ == "__main__":
    main()
