"""Classes and numbers of the same patients: one network, or one for each type.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_mixed.py results.jsonl --splits 3
    python docs/benchmarks/bench_mixed.py results.jsonl --table

The script compares one `MultiTaskNet` for the nine tasks of support2_mixed with a
classifier for the five classification tasks and a regressor for the four numeric tasks.
Everything runs on one thread.
"""

import argparse
import os
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from _data import load_raw, print_or_run

from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.metrics import multitask_scorer

torch.set_num_threads(1)
NUMBERS = ["slos", "d.time", "charges", "totcst"]
SCORES = {"auc": "roc_auc_ovr", "log_loss": "neg_log_loss"}
FRACTIONS = [0.0, 0.5, 0.8]


def split(number, fraction):
    """Return the training part, with labels removed, and the test part."""
    X, Y, _ = load_raw("support2_mixed")
    rng = np.random.default_rng(number + 1)
    test, train = np.split(rng.permutation(len(Y)), [len(Y) // 4])
    Y_train = Y.iloc[train].astype(object)
    Y_train = Y_train.mask(rng.random(Y_train.shape) < fraction, None)
    return X.iloc[train], Y_train, X.iloc[test], Y.iloc[test].astype(object)


def joint(seed, X, Y):
    types = {name: "number" if name in NUMBERS else "class" for name in Y}
    net = MultiTaskNet(task_types=types, random_state=seed).fit(X, Y)
    return net, net


def apart(seed, X, Y):
    classes = Y.drop(columns=NUMBERS)
    classifier = MultiTaskNetClassifier(random_state=seed).fit(X, classes)
    regressor = MultiTaskNetRegressor(random_state=seed).fit(X, Y[NUMBERS])
    return classifier, regressor


MODELS = {"one network": joint, "a classifier and a regressor": apart}


def run(number, fraction, model):
    X_train, Y_train, X_test, Y_test = split(number, fraction)
    begin = time.process_time()
    of_classes, of_numbers = MODELS[model](number + 1, X_train, Y_train)
    seconds = time.process_time() - begin
    result = {"cpu_seconds": round(seconds, 1)}
    is_joint = of_classes is of_numbers
    classes = [name for name in Y_test if name not in NUMBERS]
    for name, metric in SCORES.items():
        Y = Y_test if is_joint else Y_test[classes]
        scorer = multitask_scorer({"class": metric} if is_joint else metric)
        result[name] = float(scorer(of_classes, X_test, Y))
    Y = Y_test if is_joint else Y_test[NUMBERS]
    scorer = multitask_scorer({"number": "r2"} if is_joint else "r2")
    result["r2"] = float(scorer(of_numbers, X_test, Y))
    print(number, fraction, model, result, flush=True)
    return result


def print_tables(results):
    metrics = [*SCORES, "r2", "cpu_seconds"]
    keys = ["removed", "model"]
    print(results.groupby(keys)[metrics].mean().round(3).to_markdown())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    cells = (
        (number, fraction, model)
        for number in range(options.splits)
        for fraction in FRACTIONS
        for model in MODELS
    )
    print_or_run(options, print_tables, ["split", "removed", "model"], cells, run)


if __name__ == "__main__":
    main()
