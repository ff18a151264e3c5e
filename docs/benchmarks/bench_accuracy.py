"""Accuracy on real data: skmtl, forests, boosted trees and other networks.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_accuracy.py results.jsonl --splits 3
    python docs/benchmarks/bench_accuracy.py results.jsonl --table

Each cell (set, split, share of labels removed, model) is a line of the file. Finished
cells are not run again, so you can run the benchmark in parts. Single-task models are
fitted on the rows with a label of their task. Everything runs on one thread. The script
needs the extra `bench`, and includes DeepChem if it is installed.
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
from _data import class_tables, load_raw, preprocessing, print_or_run, rows_of
from _mulan import MULTI_LABEL
from _rdatasets import RD_OF_CLASSES
from _uci import OF_CLASSES
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
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
from sklearn.preprocessing import FunctionTransformer
from xgboost import XGBClassifier

from skmtl import MultiTaskNetClassifier

torch.set_num_threads(1)
# Changes that are best on one half are reported on the other.
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
# The sets of unseen.md.
UNTOUCHED = [*MULTI_LABEL, *OF_CLASSES, *RD_OF_CLASSES]
MADE = ["made_1000", "made_10000", "made_100000", "made_1000000"]
SETS = [*HALVES["A"], *HALVES["B"], *MADE]
FRACTIONS = [0.0, 0.8]
METRICS = ["auc", "ap", "log_loss", "balanced_accuracy", "mcc"]


# Data -----------------------------------------------------------------------------


load = cache(load_raw)


def split(name, number, fraction):
    """Return the training part, with labels removed, and the test part.

    Split -1 is the published split of the set (by scaffold, or Mulan's), if it has one.
    The others hold out a random quarter.
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


def histogram_trees(X, seed):
    trees = HistGradientBoostingClassifier(random_state=seed)
    return make_pipeline(_densified(), trees) if sparse.issparse(X) else trees


def _densified():
    return FunctionTransformer(lambda X: X.toarray(), accept_sparse=True)


def mlp(X, seed):
    return make_pipeline(preprocessing(X, scale=True), MLPClassifier(random_state=seed))


def xgboost(X, seed):
    return _OfCodes(XGBClassifier(random_state=seed, n_jobs=1, enable_categorical=True))


class _OfCodes:
    """Encode the classes as 0, 1, ..., as XGBoost needs them."""

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
    """Turn categories into text without missing values, as CatBoost needs them."""

    def __init__(self, model, columns):
        self.model, self.columns = model, columns

    def _as_text(self, X):
        if sparse.issparse(X):
            return sparse.csr_matrix(X)
        text = {name: X[name].astype(object).fillna("missing") for name in self.columns}
        return X.assign(**text) if text else X

    def fit(self, X, y):
        self.model.fit(self._as_text(X), y)
        self.classes_ = self.model.classes_

    def predict_proba(self, X):
        return self.model.predict_proba(self._as_text(X))


def realmlp(X, seed):
    from pytabkit import RealMLP_TD_Classifier

    return _of_pytabkit(RealMLP_TD_Classifier, X, seed)


def tabm(X, seed):
    from pytabkit import TabM_D_Classifier

    return _of_pytabkit(TabM_D_Classifier, X, seed)


def _of_pytabkit(kind, X, seed):
    """Impute numbers; the models encode categories themselves, missing or not."""
    network = kind(device="cpu", n_threads=1, random_state=seed)
    if sparse.issparse(X):
        return make_pipeline(_densified(), network)
    impute = SimpleImputer(strategy="median", add_indicator=True)
    numbers = make_column_selector(dtype_include="number")
    columns = make_column_transformer((impute, numbers), remainder="passthrough")
    return make_pipeline(columns.set_output(transform="pandas"), network)


PER_TASK = {
    "logistic": logistic,
    "forest": forest,
    "LightGBM": boosted_trees,
    "MLPClassifier": mlp,
    "CatBoost": catboost,
    "XGBoost": xgboost,
    "HistGradientBoosting": histogram_trees,
    "RealMLP": realmlp,
    "TabM": tabm,
}


def defaults(seed, **parameters):
    return MultiTaskNetClassifier(random_state=seed, **parameters)


JOINT = {
    "separate networks": lambda seed: defaults(seed, sharing="none"),
    "skmtl": defaults,
}


def fit_predict(model, X, Y, X_test, seed):
    """Return the classes and probabilities (n, n_classes) of each task."""
    if model == "DeepChem":
        return deepchem(X, Y, X_test, seed)
    if model in JOINT:
        return class_tables(JOINT[model](seed).fit(X, Y), X_test)
    results = []
    for task in Y:
        observed = np.flatnonzero(Y[task].notna())
        y = Y[task].iloc[observed]
        counts = y.value_counts()
        if len(counts) < 2:  # a single class needs no model
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
    """Fit MultitaskClassifier with its defaults for 10 epochs, on binary tasks only."""
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
    """Return each score as a mean over the tasks for which it is defined."""
    totals = {metric: [] for metric in METRICS}
    for task, (classes, p) in zip(Y, predictions, strict=True):
        is_known = Y[task].notna().to_numpy()
        y = Y[task].to_numpy()[is_known]
        labels = np.unique(np.concatenate([np.unique(y), np.asarray(classes)]))
        table = np.zeros((len(y), len(labels)))
        table[:, np.searchsorted(labels, classes)] = p[is_known]
        if len(np.unique(y)) < 2:
            continue
        # Skip classes with fewer than five test rows: their ranking says little.
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

OURS = "skmtl"
COLUMNS = [
    OURS,
    "forest",
    "LightGBM",
    "XGBoost",
    "HistGradientBoosting",
    "CatBoost",
    "RealMLP",
    "TabM",
    "logistic",
    "MLPClassifier",
    "DeepChem",
]
# The models that users try first, and the margins by which skmtl counts as behind.
RIVALS = ["forest", "LightGBM", "logistic"]
MARGINS = {"auc": 0.01, "ap": 0.02}
RANKED = {"auc": "ROC AUC", "ap": "AP", "log_loss": "log loss", "mcc": "MCC"}
# Models that were run on few splits: tables of their own rank all models on these.
SLOW = ["RealMLP", "TabM"]
# Sets that had hardly any part in forming the rules behind "auto".
UNSEEN = ["scene", "toxcast"]
# Fits that take fewer CPU seconds are always fast enough.
LEAST_SECONDS = 2.0


def decimals(value, n_digits=3, sign=""):
    """Format a number as the page does, with a dash for NaN."""
    return "-" if pd.isna(value) else f"{value:{sign}.{n_digits}f}"


def print_table(title, header, rows):
    print(f"\n{title}\n\n| {' | '.join(header)} |")
    print(f"|---|{'---:|' * (len(header) - 1)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")


def cell_name(name, fraction):
    return f"{name.replace('_', ' ')}, {fraction:.0%}"


def by_split(results, metric):
    """Return a row per set, share removed and split, and a column per model."""
    models = [model for model in COLUMNS if model in set(results["model"])]
    cells = results[results["fraction"].isin(FRACTIONS)]
    cells = cells.pivot_table(metric, ["set", "fraction", "split"], "model")
    return cells[cells[OURS].notna()].reindex(columns=models)


def mean_table(results, metric):
    """Average over the splits of skmtl; a row per set and share removed."""
    means = by_split(results, metric).groupby(level=["set", "fraction"]).mean()
    names = [name for name in [*SETS, *UNTOUCHED] if name in means.index]
    return means.reindex(names, level="set")


def print_scores(results, metric, label):
    is_low = metric == "log_loss"
    table, rows = mean_table(results, metric), []
    for (name, fraction), means in table.iterrows():
        best = means.min() if is_low else means.max()
        shown = [f"**{decimals(m)}**" if m == best else decimals(m) for m in means]
        rows.append([cell_name(name, fraction), *shown])
    print_table(label, ["labels removed", *table.columns], rows)


def print_mean_ranks(title, results, chosen):
    """Rank the models in each cell of the chosen splits, and average the ranks.

    A model counts by its mean distance from skmtl on the splits on which it was run.
    """
    rows = []
    for metric, label in RANKED.items():
        scores = chosen(by_split(results, metric))
        distances = scores.sub(scores[OURS], axis=0)
        means = distances.groupby(level=["set", "fraction"]).mean()
        ranks = means.rank(axis=1, ascending=metric == "log_loss").mean()
        rows.append([label, *(decimals(r, 2) for r in ranks)])
    print_table(title, ["by", *ranks.index], rows)


def print_ranks(results):
    groups = {
        "all": SETS,
        "half A": HALVES["A"],
        "half B": HALVES["B"],
        "hardly any part in the rules": UNSEEN,
        "the sets of unseen.md": UNTOUCHED,
    }
    for group, sets in groups.items():
        if not results["set"].isin(sets).any():
            continue
        print_mean_ranks(
            f"Mean rank, {group}",
            results,
            lambda cells, sets=sets: cells[
                cells.index.get_level_values("set").isin(sets)
            ],
        )
    for model in SLOW:
        if (results["model"] == model).any():
            print_mean_ranks(
                f"Mean rank, the splits on which {model} was run",
                results,
                lambda cells, model=model: cells[cells[model].notna()],
            )


def print_gains(results):
    """Print the gain of skmtl over each model, paired by split."""
    for metric, label in RANKED.items():
        cells, rows = by_split(results, metric), []
        sign = -1 if metric == "log_loss" else 1
        for model in cells.columns[1:]:
            paired = (sign * (cells[OURS] - cells[model])).dropna()
            if len(paired) == 0:
                continue
            gain = paired.groupby(level=["set", "fraction"]).mean()
            rows.append(
                [
                    model,
                    len(gain),
                    f"{decimals(gain.mean(), sign='+')} ({decimals(gain.std())})",
                    int((gain > 0).sum()),
                    int((gain < 0).sum()),
                    f"{decimals(gain.min(), sign='+')}, {cell_name(*gain.idxmin())}",
                ]
            )
        header = ["against", "cells", "mean gain (deviation)", "ahead", "behind"]
        print_table(f"Gain in {label}", [*header, "worst"], rows)


def print_losses(results):
    """Print the cells in which skmtl is behind the best by more than the margin."""
    rows = []
    for metric, margin in MARGINS.items():
        cells = by_split(results, metric)
        rivals = [model for model in RIVALS if model in cells]
        behind = cells[rivals].max(axis=1) - cells[OURS]
        grouped = behind.groupby(level=["set", "fraction"])
        table = pd.DataFrame({"mean": grouped.mean(), "error": grouped.sem()})
        for (name, fraction), row in table[table["mean"] > margin].iterrows():
            best = cells.loc[(name, fraction), rivals].mean().idxmax()
            error = "one split" if pd.isna(row["error"]) else decimals(row["error"])
            rows.append(
                [
                    cell_name(name, fraction),
                    RANKED[metric],
                    best,
                    decimals(row["mean"]),
                    error,
                ]
            )
    header = ["labels removed", "by", "best of the three", "behind", "standard error"]
    print_table("Behind by more than the margin", header, rows)


def print_seconds(results):
    means = mean_table(results, "cpu_seconds").xs(0.0, level="fraction")
    rows = []
    for name, row in means.iterrows():
        allowed = max(2 * row["LightGBM"], LEAST_SECONDS)
        shown = [decimals(value, 1) for value in row]
        share = decimals(row[OURS] / allowed, 2)
        rows.append([name.replace("_", " "), *shown, share])
    header = ["CPU seconds, nothing removed", *means.columns, "ours / allowed"]
    print_table("CPU seconds", header, rows)


def print_shares(results):
    """Print the mean ROC AUC of joint and separate networks as labels are removed."""
    if "separate networks" not in set(results["model"]):
        return
    first = results[results["split"] == 0]
    scores = first.pivot_table("auc", ["set", "fraction"], "model")
    models = [OURS, "separate networks", "forest", "LightGBM"]
    groups = scores[models].dropna().groupby(level="fraction")
    rows = [
        [f"{fraction:.0%}", len(group), *(decimals(m) for m in group.mean())]
        for fraction, group in groups
    ]
    print_table("ROC AUC, split 0", ["labels removed", "sets", *models], rows)


def print_tables(results):
    for metric, label in RANKED.items():
        print_scores(results, metric, label)
    print_ranks(results)
    print_gains(results)
    print_losses(results)
    print_seconds(results)
    print_shares(results)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--splits", type=int, default=3, help="number of random splits")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=[*SETS, *UNTOUCHED])
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
