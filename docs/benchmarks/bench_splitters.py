"""How evenly three splitters spread the labels over the folds.

Run ``python docs/benchmarks/bench_splitters.py --data FOLDER``, where FOLDER has a file
``load.py`` with a function ``load(name) -> X, Y, extras``. For each data set and
splitter, the script prints the seconds of one split and two mean absolute deviations of
a fold from the whole data, in percentage points: that of the share of each class among
the labels, and that of the share of labelled rows. They are means over all tasks and
over five random splits into 5 folds.

The package iterative-stratification accepts complete 0/1 labels only. If some labels
are missing, it is given the positive and the negative labels as two sets of complete
labels.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _data import loader_of
from sklearn.model_selection import KFold

from skmtl._targets import encode
from skmtl.model_selection import MultiTaskStratifiedKFold

NAMES = ["yeast", "tox21", "toxcast", "bibtex", "support2"]


def iterative_stratification(codes):
    """Return the package's splitter and labels that it accepts, or None."""
    try:
        from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
    except ImportError:
        return None
    if codes.max() > 1:
        return None
    labels = codes == 1
    if (codes < 0).any():
        labels = np.column_stack([labels, codes == 0])
    return MultilabelStratifiedKFold, labels.astype(int)


def deviations(codes, n_classes, tests):
    """Return the mean absolute deviations of class shares and labelled shares."""
    classes, labelled = [], []
    for t, n in enumerate(n_classes):
        column = codes[:, t]
        whole = np.bincount(column[column >= 0], minlength=n) / (column >= 0).sum()
        for test in tests:
            part = column[test]
            n_labels = max((part >= 0).sum(), 1)
            shares = np.bincount(part[part >= 0], minlength=n) / n_labels
            classes += list(np.abs(shares - whole))
            labelled.append(abs((part >= 0).mean() - (column >= 0).mean()))
    return 100 * np.mean(classes), 100 * np.mean(labelled)


def measure(splitter, codes, n_classes, y):
    """Average over five seeds."""
    results = []
    for seed in range(5):
        cv = splitter(5, shuffle=True, random_state=seed)
        start = time.perf_counter()
        tests = [test for _, test in cv.split(np.zeros((len(codes), 1)), y)]
        seconds = time.perf_counter() - start
        results.append([*deviations(codes, n_classes, tests), seconds])
    return np.mean(results, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", nargs="+", default=NAMES)
    options = parser.parse_args()
    load = loader_of(options.data)
    warnings.simplefilter("ignore")
    print(f"{'data':9} {'splitter':26} {'classes':>8} {'labelled':>8} {'seconds':>8}")
    for name in options.names:
        _, Y, _ = load(name)
        tasks, codes, _ = encode(Y, "class")
        splitters = {
            "KFold": (KFold, Y),
            "iterative-stratification": iterative_stratification(codes),
            "MultiTaskStratifiedKFold": (MultiTaskStratifiedKFold, Y),
        }
        for label, pair in splitters.items():
            if pair is not None:
                classes, labelled, seconds = measure(
                    pair[0], codes, tasks.n_classes, pair[1]
                )
                row = f"{name:9} {label:26} {classes:8.3f} {labelled:8.3f}"
                print(f"{row} {seconds:8.2f}", flush=True)


if __name__ == "__main__":
    main()
