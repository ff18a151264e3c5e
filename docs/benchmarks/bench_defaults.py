"""What each default is worth: the defaults with one of them changed.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_defaults.py results.jsonl
    python docs/benchmarks/bench_defaults.py results.jsonl --table

On a split of its own, that on which the defaults were chosen. Finished cells are not
run again. All on one thread.
"""

import argparse
import time
from pathlib import Path

from _data import class_tables, print_or_run
from bench_accuracy import defaults, scores_of, split

SPLIT = 100
SETS = ["flags", "emotions", "clintox", "yeast", "tox21"]
FRACTIONS = [0.0, 0.8]
CHANGES = {
    "the defaults": {},
    "one member": {"n_members": 1},
    "one layer of 256": {"hidden_layer_sizes": (256,)},
    "two layers of 64": {"hidden_layer_sizes": (64, 64)},
    "no dropout": {"dropout": 0.0},
    "no input dropout": {"input_dropout": 0.0},
    "no L2 term": {"alpha": 0.0},
    "a constant step": {"learning_rate": "constant"},
    "20 epochs": {"max_iter": 20},
    "batches of 200": {"batch_size": 200},
    "Adam": {"solver": "adam"},
    "SGD": {"solver": "sgd"},
    "100 epochs": {"max_iter": 100},
}


def run_cell(name, fraction, change):
    X, Y, X_test, Y_test = split(name, SPLIT, fraction)
    start = time.perf_counter()
    model = defaults(0, **CHANGES[change]).fit(X, Y)
    seconds = time.perf_counter() - start
    return scores_of(class_tables(model, X_test), Y_test) | {"seconds": seconds}


def print_tables(results):
    for metric, digits in (("auc", 3), ("log_loss", 3), ("seconds", 1)):
        table = results.pivot_table(
            index="change", columns=["set", "fraction"], values=metric
        )
        order = [change for change in CHANGES if change in table.index]
        print(f"\n{metric}\n{table.loc[order].round(digits).to_string()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    cells = [
        (name, fraction, change)
        for change in CHANGES
        for name in SETS
        for fraction in FRACTIONS
    ]
    keys = ("set", "fraction", "change")
    print_or_run(options, print_tables, keys, cells, run_cell)


if __name__ == "__main__":
    main()
