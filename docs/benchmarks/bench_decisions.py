"""Decisions at 0.5 and with tuned thresholds, and the effect of calibration.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_decisions.py results.jsonl --seeds 3
    python docs/benchmarks/bench_decisions.py results.jsonl --table

Tox21 uses its scaffold split and several seeds of the network. HTSFP5 has labels
removed and is tested on a random quarter. Thresholds and calibrators see the training
rows only. Each cell (set, share of labels removed, seed, model) is a line of the file.
Finished cells are not run again. Everything runs on one thread.
"""

import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from _data import load_raw, print_or_run_seeds, rows_of

from skmtl import MultiTaskNetClassifier
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.metrics import expected_calibration_error, multitask_score
from skmtl.model_selection import MultiTaskTunedThresholdClassifierCV

torch.set_num_threads(1)
SHARES = [0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]
# Test MCC of the ten best of many settings (de la Vega de Leon, Chen, Gillet 2018).
PUBLISHED = [0.429, 0.423, 0.411, 0.389, 0.353, 0.325, 0.284, 0.246]
SCORES = {
    "mcc": "matthews_corrcoef",
    "f1": "f1",
    "balanced_accuracy": "balanced_accuracy",
    "auc": "roc_auc",
    "log_loss": "neg_log_loss",
    "ece": expected_calibration_error,
}
OF_LABELS = ("mcc", "f1", "balanced_accuracy")


def tuned(scoring, **settings):
    def make(seed):
        network = MultiTaskNetClassifier(random_state=seed, **settings)
        return MultiTaskTunedThresholdClassifierCV(network, scoring=scoring)

    return make


def calibrated(method, **settings):
    def make(seed):
        network = MultiTaskNetClassifier(random_state=seed, **settings)
        return MultiTaskCalibratedClassifierCV(network, method=method)

    return make


# On sets of this size the default network has no out-of-bag predictions, so five folds
# are used unless `oob_score` is set.
MODELS = {
    "network": lambda seed: MultiTaskNetClassifier(random_state=seed),
    "tuned for MCC, folds": tuned("matthews_corrcoef"),
    "tuned for F1, folds": tuned("f1"),
    "sigmoid, folds": calibrated("sigmoid"),
    "temperature, folds": calibrated("temperature"),
    "network, out of bag": lambda seed: MultiTaskNetClassifier(
        oob_score=True, random_state=seed
    ),
    "tuned for MCC, out of bag": tuned("matthews_corrcoef", oob_score=True),
    "tuned for F1, out of bag": tuned("f1", oob_score=True),
    "sigmoid, out of bag": calibrated("sigmoid", oob_score=True),
}
OF_HTSFP5 = ["network", "tuned for MCC, folds", "tuned for MCC, out of bag"]


def split(name, share):
    """Return the training part, with labels removed, and the test part."""
    X, Y, parts = load_raw(name)
    rng = np.random.default_rng(1)
    if name == "tox21":
        train = np.concatenate([parts["train_idx"], parts["valid_idx"]])
        test = parts["test_idx"]
    else:
        test, train = np.split(rng.permutation(len(Y)), [len(Y) // 4])
    Y_train = Y.iloc[train]
    Y_train = Y_train.mask(rng.random(Y_train.shape) < share)
    return rows_of(X, train), Y_train, rows_of(X, test), Y.iloc[test]


def run(name, share, seed, model):
    X_train, Y_train, X_test, Y_test = split(name, share)
    begin = time.process_time()
    fitted = MODELS[model](seed).fit(X_train, Y_train)
    seconds = time.process_time() - begin
    labels, p = fitted.predict(X_test), fitted.predict_proba(X_test)
    scores = {
        key: multitask_score(metric, Y_test, labels if key in OF_LABELS else p)
        for key, metric in SCORES.items()
    }
    return {key: float(score) for key, score in scores.items()} | {"seconds": seconds}


def cells(seeds):
    for share in SHARES:
        yield from (("htsfp5", share, 0, model) for model in OF_HTSFP5)
    for seed in range(seeds):
        yield from (("tox21", 0.0, seed, model) for model in MODELS)


def print_tables(results):
    tox21 = results[results["set"] == "tox21"].groupby("model", sort=False)
    columns = [*SCORES, "seconds"]
    print(tox21[columns].mean().round(3).to_markdown(), "\n")
    print("standard errors over seeds")
    print(tox21[columns].sem().round(4).to_markdown(), "\n")
    htsfp5 = results[results["set"] == "htsfp5"]
    table = htsfp5.pivot_table("mcc", "share", "model", sort=False)
    table.insert(0, "published", PUBLISHED[: len(table)])
    print(table.round(3).to_markdown(), "\n")
    print(htsfp5.pivot_table("seconds", "share", "model").round(0).to_markdown())


if __name__ == "__main__":
    keys = ["set", "share", "seed", "model"]
    print_or_run_seeds(__doc__, 3, print_tables, keys, cells, run)
