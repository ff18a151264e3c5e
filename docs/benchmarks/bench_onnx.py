"""Models in onnxruntime and the estimators: differences, sizes and times.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_onnx.py results.jsonl
    python docs/benchmarks/bench_onnx.py results.jsonl --table

Each estimator has its defaults except for what the setting says, and is fitted on at
most 4,000 rows. It then predicts 10,000 rows; the rows of a smaller set are repeated.
Times are CPU seconds on one thread, the least of five runs.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnxruntime
import torch
from _data import load_raw, loader_of, preprocessing, print_or_run, rows_of
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.model_selection import MultiTaskTunedThresholdClassifierCV
from skmtl.trunks import ConvTrunk

torch.set_num_threads(1)
N_TRAIN, N_ROWS = 4_000, 10_000


def classifier(**settings):
    return MultiTaskNetClassifier(random_state=0, **settings)


def calibrated_and_tuned():
    network = MultiTaskCalibratedClassifierCV(classifier(oob_score=True))
    return MultiTaskTunedThresholdClassifierCV(network, scoring="f1")


# For each setting, the data set and a function that makes the estimator.
SETTINGS = {
    "raw table, missing values": ("support2", lambda X: classifier()),
    "raw table, categories": ("adult", lambda X: classifier()),
    "one member": ("adult", lambda X: classifier(n_members=1)),
    "eight members": ("adult", lambda X: classifier(n_members=8)),
    "separate networks": ("adult", lambda X: classifier(sharing="none")),
    "heads with a hidden layer": (
        "support2",
        lambda X: classifier(head_hidden_layer_sizes=(64,)),
    ),
    "several classes": ("drug_consumption", lambda X: classifier()),
    "sparse counts": ("tox21", lambda X: classifier()),
    "ConvTrunk": ("digits", lambda X: classifier(trunk=ConvTrunk())),
    "numbers": ("enb", lambda X: MultiTaskNetRegressor(random_state=0)),
    "numbers with deviations": (
        "enb",
        lambda X: MultiTaskNetRegressor(loss="gaussian", random_state=0),
    ),
    "classes and numbers": (
        "support2_mixed",
        lambda X: MultiTaskNet(task_types=TYPES, random_state=0),
    ),
    "calibrated, tuned thresholds": ("support2", lambda X: calibrated_and_tuned()),
    "pipeline of scikit-learn's steps": (
        "adult",
        lambda X: make_pipeline(preprocessing(X, scale=True), classifier()),
    ),
}
NUMBERS = ["slos", "d.time", "charges", "totcst"]
TYPES = dict.fromkeys(["hospdead", "death", "sfdm2", "dnr", "ca"], "class")
TYPES |= dict.fromkeys(NUMBERS, "number")
DTYPES = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(string)": object,
}


def load(name):
    if name == "digits":
        images, digit = load_digits(return_X_y=True)
        labels = np.column_stack([digit % 2, digit > 4, digit])
        return images.reshape(-1, 1, 8, 8) / 16, labels
    if name == "enb":  # a matrix of numbers
        X, Y, _ = loader_of(os.environ["SKMTL_DATA"])(name)
        return np.asarray(X), Y
    X, Y, _ = load_raw(name)
    return X, Y


def inputs_of(session, X):
    inputs = {}
    for wanted in session.get_inputs():
        columns = X if wanted.name == "X" else X[[wanted.name]]
        if hasattr(columns, "toarray"):
            columns = columns.toarray()
        inputs[wanted.name] = np.asarray(columns, dtype=DTYPES[wanted.type])
    return inputs


def predicted(estimator, X):
    """Return the probabilities or numbers of each task, to compare a model with."""
    p = [None] * len(estimator.predict(X[:1]).T)
    if hasattr(estimator, "predict_proba"):
        p = estimator.predict_proba(X)
        if not isinstance(p, list):
            p = [np.column_stack([1 - q, q]) for q in p.T]
    if any(part is None for part in p):
        numbers = estimator.predict(X).T
        p = [y if part is None else part for part, y in zip(p, numbers, strict=True)]
    return p


def differences(estimator, session, X, inputs):
    """Return the largest difference of probabilities, and of numbers in deviations."""
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, inputs), strict=True))
    largest = {"probability": None, "number": None}
    tasks = dict.fromkeys(name.rpartition(".")[0] for name in names)
    for task, expected in zip(tasks, predicted(estimator, X), strict=True):
        kind, given = "probability", outputs.get(f"{task}.proba")
        if given is None:
            kind, given = "number", outputs[f"{task}.value"]
            expected = expected.astype(float)
        scale = expected.std() if kind == "number" else 1.0
        difference = float(np.abs(given - expected).max() / scale)
        largest[kind] = max(difference, largest[kind] or 0.0)
    return largest


def n_other_labels(estimator, session, X, inputs):
    """Count the labels that differ from those of the estimator."""
    tasks = json.loads(session.get_modelmeta().custom_metadata_map["tasks"])
    n_other = 0
    for task, expected in zip(tasks, estimator.predict(X).T, strict=True):
        if task["type"] == "class":
            (labels,) = session.run([f"{task['name']}.label"], inputs)
            n_other += int((labels.astype(str) != expected.astype(str)).sum())
    return n_other


def seconds(function):
    times = []
    for _ in range(5):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return min(times)


def run(setting):
    name, make = SETTINGS[setting]
    X, Y = load(name)
    n_rows = X.shape[0]
    rng = np.random.default_rng(0)
    train = rng.permutation(n_rows)[:N_TRAIN]
    labels = Y.iloc[train] if hasattr(Y, "iloc") else Y[train]
    is_array = isinstance(X, np.ndarray)
    part = X[train] if is_array else rows_of(X, train)
    estimator = make(part).fit(part, labels)
    rows = np.resize(np.arange(n_rows), N_ROWS)
    X = X[rows] if is_array else rows_of(X, rows)
    folder = Path(tempfile.mkdtemp())
    begin = time.perf_counter()
    sample = X[:10] if hasattr(estimator, "steps") else None
    skmtl.to_onnx(estimator, folder / "model.onnx", sample)
    export = time.perf_counter() - begin
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    inputs = inputs_of(session, X)
    saved = None
    if not hasattr(estimator, "steps"):
        skmtl.save(estimator, folder / "model.skmtl")
        saved = (folder / "model.skmtl").stat().st_size
    numbers = [o.name for o in session.get_outputs() if not o.name.endswith(".label")]
    predict = getattr(estimator, "predict_proba", estimator.predict)
    return {
        "set": name,
        **differences(estimator, session, X, inputs),
        "other labels": n_other_labels(estimator, session, X, inputs),
        "bytes": (folder / "model.onnx").stat().st_size,
        "bytes saved": saved,
        "export": export,
        "seconds": seconds(lambda: session.run(numbers, inputs)),
        "seconds of predict": seconds(lambda: predict(X)),
    }


def print_tables(results):
    for column in ("bytes", "bytes saved"):
        results[column] = (results[column] / 1e6).round(2)
    for column in ("probability", "number"):
        results[column] = results[column].astype(float).map("{:.0e}".format)
    for column in ("seconds", "seconds of predict"):
        results[column] = results[column].round(3)
    results["export"] = results["export"].round(1)
    print(results.to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    cells = [(setting,) for setting in SETTINGS]
    print_or_run(options, print_tables, ["setting"], cells, run)
