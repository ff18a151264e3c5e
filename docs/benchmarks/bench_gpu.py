"""Seconds and accuracy of the same fits on the CPU and on a GPU.

Run on a machine with a GPU, with the folder of data sets in the environment variable
SKMTL_DATA:

    python docs/benchmarks/bench_gpu.py [--cases NAME ...]

Each line is a fit on three quarters of the rows, and a prediction of the others, with
the defaults of skmtl or with a wide network. Times are wall times, and the CPU uses all
its cores. On the GPU, the second of two fits is timed, because the first one loads
libraries.
"""

import argparse
import os
import platform
import time

import numpy as np
import torch
from _data import load_raw, rows_of

from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_score

WIDE = {"hidden_layer_sizes": (2048, 2048), "max_iter": 10}
CASES = {
    "made_1000": {},
    "made_10000": {},
    "made_100000": {},
    "yeast": {},
    "bibtex": {},
    "tox21": {},
    "landmine": {},
    "htsfp5": {},
    "made_10000, wide": WIDE,
    "yeast, wide": WIDE,
    "tox21, wide": WIDE,
}


def measure(name, settings, device):
    X, Y, _ = load_raw(name.partition(",")[0])
    test, train = np.split(np.random.default_rng(0).permutation(len(Y)), [len(Y) // 4])
    Y = Y.to_numpy(dtype=float)
    seconds = {}
    for _ in range(2 if device == "cuda" else 1):
        clf = MultiTaskNetClassifier(device=device, random_state=0, **settings)
        start = time.perf_counter()
        clf.fit(rows_of(X, train), Y[train])
        seconds["fit"] = time.perf_counter() - start
    clf.predict_proba(rows_of(X, test[:10]))
    start = time.perf_counter()
    p = clf.predict_proba(rows_of(X, test))
    seconds["predict"] = time.perf_counter() - start
    return seconds, multitask_score("roc_auc", Y[test], p)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    chosen = parser.parse_args().cases
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"{gpu}; {platform.processor()}, {os.cpu_count()} cores; torch", end=" ")
    print(torch.__version__)
    print("| fit | CPU: fit, predict (s) | GPU: fit, predict (s) | AUC: CPU, GPU |")
    print("|---|---:|---:|---:|")
    for name in chosen:
        cells = []
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            cells.append(measure(name, CASES[name], device))
        times = [f"{s['fit']:.2f}, {s['predict']:.3f}" for s, _ in cells]
        scores = ", ".join(f"{score:.3f}" for _, score in cells)
        print(f"| {name} | {' | '.join(times)} | {scores} |", flush=True)


if __name__ == "__main__":
    main()
