"""Accuracy on real data: defaults beside forests, boosted trees and other networks.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_accuracy.py results.jsonl --splits 3
    python docs/benchmarks/bench_accuracy.py results.jsonl --table

Every cell (set, split, share of labels removed, model) is a line of the file; finished
cells are not run again, so that it can be run in parts. Single-task models are fitted
on each task's own labelled rows. All on one thread. Needs the extra `bench`; DeepChem
takes part where it is installed.
"""

import argparse
import os
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import torch
from _data import class_tables, load_raw, print_or_run
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    log_loss,
    matthews_corrcoef,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import MultiTaskStratifiedKFold

torch.set_num_threads(1)
# The two halves: what was chosen on one is reported on the other.
HALVES = {
    "A": [
        "emotions",
        "foodtruck",
        "medical",
        "yeast",
        "support2",
        "landmine",
        "tox21",
        "adult",
        "bibtex",
    ],
    "B": [
        "flags",
        "birds",
        "clintox",
        "drug_consumption",
        "scene",
        "thyroid_l7",
        "toxcast",
        "htsfp5",
    ],
}
MADE = ["made_1000", "made_10000", "made_100000", "made_1000000"]
SETS = [*HALVES["A"], *HALVES["B"], *MADE]
FRACTIONS = [0.0, 0.8]
METRICS = ["auc", "ap", "log_loss", "balanced_accuracy", "mcc"]


# Data -----------------------------------------------------------------------------


load = cache(load_raw)


def rows_of(X, index):
    return X[index] if sparse.issparse(X) else X.iloc[index]


def split(name, number, fraction):
    """Train and test parts, labels removed from the first.

    Split -1 is the ready one of the set (by scaffold, or Mulan's), if it has one; the
    others hold out a random quarter.
    """
    X, Y, parts = load(name)
    rng = np.random.default_rng(number + 1)
    if number >= 0:
        order = rng.permutation(len(Y))
        test, train = np.split(order, [len(Y) // 4])
    elif parts:
        names = [part for part in ("train_idx", "valid_idx") if part in parts]
        train = np.concatenate([parts[part] for part in names])
        test = parts["test_idx"]
    else:
        return None
    Y_train = Y.iloc[train]
    Y_train = Y_train.mask(rng.random(Y_train.shape) < fraction)
    return rows_of(X, train), Y_train, rows_of(X, test), Y.iloc[test]


# Models ---------------------------------------------------------------------------


def preprocessing(X, *, scale):
    """For models that read no holes and no categories."""
    if sparse.issparse(X):
        return MaxAbsScaler()
    impute = SimpleImputer(strategy="median", add_indicator=True)
    numbers = make_pipeline(impute, StandardScaler()) if scale else impute
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (one_hot, make_column_selector(dtype_include="category")),
    )


def logistic(X, seed):
    model = make_pipeline(
        preprocessing(X, scale=True), LogisticRegression(max_iter=300)
    )
    grid = {"logisticregression__C": np.logspace(-3, 1, 5)}
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    return GridSearchCV(model, grid, scoring="neg_log_loss", cv=folds)


def forest(X, seed):
    trees = RandomForestClassifier(300, random_state=seed)
    return (
        trees
        if sparse.issparse(X)
        else make_pipeline(preprocessing(X, scale=False), trees)
    )


def boosted_trees(X, seed):
    return LGBMClassifier(random_state=seed, n_jobs=1, verbose=-1)


def mlp(X, seed):
    return make_pipeline(preprocessing(X, scale=True), MLPClassifier(random_state=seed))


def xgboost(X, seed):
    return _OfCodes(XGBClassifier(random_state=seed, n_jobs=1, enable_categorical=True))


class _OfCodes:
    """XGBoost reads classes as numbers from 0."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.model.fit(X, codes)

    def predict_proba(self, X):
        return self.model.predict_proba(X)


def catboost(X, seed):
    columns = [] if sparse.issparse(X) else X.select_dtypes("category").columns
    return _WithText(
        CatBoostClassifier(
            random_state=seed,
            thread_count=1,
            verbose=False,
            allow_writing_files=False,
            cat_features=list(columns),
        ),
        columns,
    )


class _WithText:
    """CatBoost reads categories as text, without missing ones."""

    def __init__(self, model, columns):
        self.model, self.columns = model, columns

    def _as_text(self, X):
        text = {name: X[name].astype(object).fillna("missing") for name in self.columns}
        return X.assign(**text) if text else X

    def fit(self, X, y):
        self.model.fit(self._as_text(X), y)
        self.classes_ = self.model.classes_

    def predict_proba(self, X):
        return self.model.predict_proba(self._as_text(X))


PER_TASK = {
    "logistic": logistic,
    "forest": forest,
    "LightGBM": boosted_trees,
    "MLPClassifier": mlp,
    "CatBoost": catboost,
    "XGBoost": xgboost,
}


def defaults(seed, **parameters):
    return MultiTaskNetClassifier(random_state=seed, **parameters)


def searched(seed):
    """The best of four by the log loss of three folds."""
    return GridSearchCV(
        defaults(seed),
        {"dropout": [0.3, 0.5], "input_dropout": [0.2, 0.4]},
        scoring=multitask_scorer("neg_log_loss"),
        cv=MultiTaskStratifiedKFold(3, shuffle=True, random_state=seed),
    )


JOINT = {
    "separate networks": lambda seed: defaults(seed, sharing="none"),
    "skmtl, searched": searched,
    "skmtl": defaults,
}


def fit_predict(model, X, Y, X_test, seed):
    """Classes and probabilities (n, n_classes) of each task."""
    if model == "DeepChem":
        return deepchem(X, Y, X_test, seed)
    if model in JOINT:
        return class_tables(JOINT[model](seed).fit(X, Y), X_test)
    results = []
    for task in Y:
        observed = np.flatnonzero(Y[task].notna())
        y = Y[task].iloc[observed]
        counts = y.value_counts()
        if len(counts) < 2:  # nothing to learn: the class itself
            p = np.ones((X_test.shape[0], 1))
            results.append((counts.index.to_numpy(), p))
            continue
        single = PER_TASK[model](X, seed)
        if model == "logistic" and counts.min() < 3:  # too few labels for three folds
            single = clone(single.estimator)
        single.fit(rows_of(X, observed), y)
        results.append((single.classes_, single.predict_proba(X_test)))
    return results


def deepchem(X, Y, X_test, seed):
    """MultitaskClassifier with its defaults and 10 epochs; binary tasks alone."""
    from deepchem.data import NumpyDataset
    from deepchem.models import MultitaskClassifier

    if (Y.nunique() > 2).any():
        return None
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    transform = preprocessing(X, scale=True)
    X, X_test = (
        part.toarray() if sparse.issparse(part) else np.asarray(part)
        for part in (transform.fit_transform(X), transform.transform(X_test))
    )
    weights = Y.notna().to_numpy(np.float32)
    data = NumpyDataset(X.astype(np.float32), Y.fillna(0).to_numpy(np.float32), weights)
    model = MultitaskClassifier(Y.shape[1], X.shape[1])
    model.fit(data, nb_epoch=10)
    no_labels = np.zeros((len(X_test), Y.shape[1]), np.float32)
    p = model.predict(NumpyDataset(X_test.astype(np.float32), no_labels))
    return [(np.array([0, 1]), p[:, t]) for t in range(Y.shape[1])]


# Scores ---------------------------------------------------------------------------


def scores_of(predictions, Y):
    """Means over the tasks of what can be computed for them."""
    totals = {metric: [] for metric in METRICS}
    for task, (classes, p) in zip(Y, predictions, strict=True):
        is_known = Y[task].notna().to_numpy()
        y = Y[task].to_numpy()[is_known]
        labels = np.unique(np.concatenate([np.unique(y), np.asarray(classes)]))
        table = np.zeros((len(y), len(labels)))
        table[:, np.searchsorted(labels, classes)] = p[is_known]
        if len(np.unique(y)) < 2:
            continue
        # A class of fewer than five test rows says little about a ranking.
        columns = range(len(labels)) if len(labels) > 2 else [1]
        one_vs_rest = [(y == labels[c], table[:, c]) for c in columns]
        ranked = [pair for pair in one_vs_rest if 5 <= pair[0].sum() <= len(y) - 5]
        if ranked:
            totals["auc"].append(np.mean([roc_auc_score(*pair) for pair in ranked]))
            ap = [average_precision_score(*pair) for pair in ranked]
            totals["ap"].append(np.mean(ap))
        clipped = table.clip(1e-6)
        clipped /= clipped.sum(axis=1, keepdims=True)
        totals["log_loss"].append(log_loss(y, clipped, labels=labels))
        predicted = labels[table.argmax(axis=1)]
        totals["balanced_accuracy"].append(balanced_accuracy_score(y, predicted))
        totals["mcc"].append(matthews_corrcoef(y, predicted))
    return {metric: float(np.mean(values)) for metric, values in totals.items()}


def run_cell(name, number, fraction, model):
    parts = split(name, number, fraction)
    if parts is None:
        return None
    X, Y, X_test, Y_test = parts
    start = time.process_time()
    predictions = fit_predict(model, X, Y, X_test, number + 1)
    seconds = time.process_time() - start
    if predictions is None:
        return None
    return scores_of(predictions, Y_test) | {"cpu_seconds": seconds}


# Tables ---------------------------------------------------------------------------

COLUMNS = ["skmtl", "forest", "LightGBM", "logistic", "MLPClassifier", "DeepChem"]
RANKED = ["auc", "ap", "log_loss", "balanced_accuracy"]
# The sets on which single-task models were run at all shares of labels removed.
RANKED_SETS = [
    name for name in SETS if name not in ("adult", "bibtex", "toxcast", "htsfp5")
]
PUBLISHED_MCC = dict(
    zip(
        [0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95],
        [0.429, 0.423, 0.411, 0.389, 0.353, 0.325, 0.284, 0.246],
        strict=True,
    )
)


def decimals(value, n_digits=3, sign=""):
    """As the page writes numbers: .123, 1.23, - for none."""
    if pd.isna(value):
        return "-"
    return f"{value:{sign}.{n_digits}f}".replace("0.", ".", 1 if abs(value) < 1 else 0)


def print_table(title, header, rows):
    print(f"\n{title}\n\n| {' | '.join(header)} |")
    print(f"|---|{'---:|' * (len(header) - 1)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")


def cell_name(name, fraction):
    return f"{name.replace('_', ' ')}, {fraction:.0%}"


def mean_table(results, metric):
    """Means over the splits that ours was run on; a row per set and share removed."""
    cells = results[results["fraction"].isin(FRACTIONS)]
    cells = cells.pivot_table(metric, ["set", "fraction", "split"], "model")
    cells = cells[cells["skmtl"].notna()]
    return cells.groupby(level=["set", "fraction"]).mean().reindex(columns=COLUMNS)


def print_tables(results):
    rows = []
    for (name, fraction), means in mean_table(results, "auc").iterrows():
        best = means.max()
        shown = [f"**{decimals(m)}**" if m == best else decimals(m) for m in means]
        rows.append([cell_name(name, fraction), *shown])
    print_table("ROC AUC", ["labels removed", *COLUMNS], rows)

    rows = []
    for metric in RANKED:
        means = mean_table(results, metric).loc[RANKED_SETS]
        ranks = means.rank(axis=1, ascending=metric == "log_loss").mean()
        rows.append([metric, *(decimals(rank, 1) for rank in ranks)])
    print_table("Ranks", ["mean rank by", *COLUMNS], rows)

    cells = results[results["fraction"].isin(FRACTIONS)]
    cells = cells.pivot_table("auc", ["set", "fraction", "split"], "model")
    rows = [paired_row(cells, model) for model in COLUMNS[1:]]
    header = ["against", "cells", "mean gain", "ahead", "behind", "worst"]
    print_table("Ours against each", header, rows)

    seconds = mean_table(results, "seconds").xs(0.0, level="fraction")
    rows = [
        [name.replace("_", " "), *(decimals(value, 1) for value in row)]
        for name, row in seconds.iterrows()
    ]
    print_table("Seconds", ["seconds, nothing removed", *COLUMNS], rows)
    print_joint(cells)
    print_htsfp5(results[results["set"] == "htsfp5"])


def gain_of_ours(cells, model):
    """Mean and standard error over the splits that both were run on."""
    paired = (cells["skmtl"] - cells[model]).dropna()
    grouped = paired.groupby(level=["set", "fraction"])
    return pd.DataFrame(
        {"mean": grouped.mean(), "error": grouped.sem(), "n": grouped.count()}
    )


def with_error(row):
    error = "" if pd.isna(row["error"]) else f" ({decimals(row['error'])})"
    return decimals(row["mean"], sign="+") + error


def paired_row(cells, model):
    gain = gain_of_ours(cells, model)
    ahead, behind = (gain["mean"] > 0).sum(), (gain["mean"] < 0).sum()
    worst = gain["mean"].idxmin()
    worst_gain = f"{with_error(gain.loc[worst])}, {cell_name(*worst)}"
    mean = decimals(gain["mean"].mean(), sign="+")
    return [model, len(gain), mean, ahead, behind, worst_gain]


def print_joint(cells):
    gain = gain_of_ours(cells, "separate networks")
    both = cells[cells["separate networks"].notna() & cells["skmtl"].notna()]
    means = both.groupby(level=["set", "fraction"]).mean()
    columns = ["skmtl", "separate networks", "skmtl, searched"]
    rows = [
        [
            cell_name(*index),
            *(decimals(means.loc[index, column]) for column in columns),
            int(gain.loc[index, "n"]),
            with_error(gain.loc[index]),
        ]
        for index in gain.index
    ]
    header = ["labels removed", "joint (default)", "separate networks"]
    header += ["joint, searched", "splits", "gain of joint (standard error)"]
    print_table("Joint against separate", header, rows)


def print_htsfp5(results):
    table = results.pivot_table(["mcc", "auc", "seconds"], "fraction", "model")
    table = table.reindex(
        columns=pd.MultiIndex.from_product([["mcc", "auc", "seconds"], COLUMNS])
    )
    rows = []
    for fraction, published in PUBLISHED_MCC.items():
        row = table.loc[fraction]
        models = ["skmtl", "forest", "LightGBM", "logistic", "DeepChem"]
        rows.append(
            [
                f"{fraction:.0%}",
                decimals(published),
                *(decimals(row["mcc", model]) for model in models),
                *(decimals(row["auc", model]) for model in ("skmtl", "DeepChem")),
                *(decimals(row["seconds", m], 0) for m in ("skmtl", "DeepChem")),
            ]
        )
    header = ["labels removed", "MCC, published", "MCC, ours", "forest", "LightGBM"]
    header += ["logistic", "DeepChem", "ROC AUC, ours", "DeepChem"]
    header += ["seconds, ours", "DeepChem"]
    print_table("HTSFP5", header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--splits", type=int, default=3, help="random ones")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--fractions", nargs="+", type=float, default=FRACTIONS)
    models = [*PER_TASK, *JOINT] + ["DeepChem"] * bool(find_spec("deepchem"))
    parser.add_argument("--models", nargs="+", default=models, choices=models)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    cells = [
        (name, number, fraction, model)
        for number in range(-1, options.splits)
        for name in options.sets
        for fraction in options.fractions
        for model in options.models
    ]
    keys = ("set", "split", "fraction", "model")
    print_or_run(options, print_tables, keys, cells, run_cell)


if __name__ == "__main__":
    main()
