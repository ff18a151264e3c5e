"""What each default is worth, and whether choices on half of the sets carry over.

Run with the folder of data sets in the environment variable SKMTL_DATA:

    python docs/benchmarks/bench_defaults.py results.jsonl
    python docs/benchmarks/bench_defaults.py results.jsonl --table

The script fits the defaults with one of them changed, on a split that is used nowhere
else. With `--table` it prints what each change gains on each half of the sets, and how
the change that is best on one half does on the other. Finished cells are not run again.
Everything runs on one thread.
"""

import argparse
import time
from functools import cache
from pathlib import Path

from _data import class_tables, print_or_run
from bench_accuracy import (
    HALVES,
    RANKED,
    decimals,
    defaults,
    print_table,
    scores_of,
    split,
)

SPLIT = 100
# Sets on which a fit takes seconds.
QUICK = {
    "emotions",
    "foodtruck",
    "medical",
    "landmine",
    "flags",
    "birds",
    "clintox",
    "thyroid_l7",
}
SETS_OF = {half: [s for s in sets if s in QUICK] for half, sets in HALVES.items()}
FRACTIONS = [0.0, 0.8]
DEFAULTS = "the defaults"


@cache
def chosen(name, fraction):
    """Return the values that "auto" stands for on these data."""
    X, Y, *_ = split(name, SPLIT, fraction)
    network = defaults(0).fit(X, Y)
    architecture = network.network_.architecture
    return {
        "max_iter": network.n_iter_,
        "dropout": architecture.dropout,
        "input_dropout": architecture.input_dropout,
        "n_members": architecture.n_members,
    }


def scaled(factor):
    return lambda auto: {"max_iter": max(1, round(factor * auto["max_iter"]))}


CHANGES = {
    DEFAULTS: lambda auto: {},
    "half of the steps": scaled(0.5),
    "twice the steps": scaled(2.0),
    "one member": lambda auto: {"n_members": 1},
    "no rows left out": lambda auto: {"oob_score": False},
    "no logistic regressions": lambda auto: {"logistic": "none"},
    "256 units in each layer": lambda auto: {"hidden_layer_sizes": (256, 256)},
    "8 bins": lambda auto: {"n_bins": 8},
    "the same dropout throughout": lambda auto: {"dropout": auto["dropout"]},
    "no input dropout": lambda auto: {"input_dropout": 0.0},
}


def run_cell(name, fraction, change):
    X, Y, X_test, Y_test = split(name, SPLIT, fraction)
    settings = CHANGES[change](chosen(name, fraction))
    start = time.process_time()
    model = defaults(0, **settings).fit(X, Y)
    seconds = time.process_time() - start
    return scores_of(class_tables(model, X_test), Y_test) | {"cpu_seconds": seconds}


def gains_of(results, metric):
    """Return gains over the defaults: changes in rows, sets and shares in columns."""
    table = results.pivot_table(metric, "change", ["set", "fraction"])
    gains = table - table.loc[DEFAULTS]
    return (-gains if metric == "log_loss" else gains).reindex(CHANGES)


def of_half(table, half):
    return table.loc[:, table.columns.get_level_values("set").isin(SETS_OF[half])]


def print_tables(results):
    gains = {metric: gains_of(results, metric) for metric in RANKED}
    seconds = results.pivot_table("cpu_seconds", "change", ["set", "fraction"])
    header = ["change", *(f"{m}, {h}" for m in RANKED.values() for h in HALVES)]
    rows = []
    for change in CHANGES:
        row = [
            decimals(of_half(gains[metric], half).loc[change].mean(), sign="+")
            for metric in RANKED
            for half in HALVES
        ]
        ratio = (seconds.loc[change] / seconds.loc[DEFAULTS]).mean()
        rows.append([change, *row, decimals(ratio, 2)])
    print_table("Gains over the defaults", [*header, "CPU time"], rows)

    rows = []
    for metric, label in RANKED.items():
        for half, other in (("A", "B"), ("B", "A")):
            means = of_half(gains[metric], half).mean(axis=1)
            best = means.idxmax()
            there = of_half(gains[metric], other).loc[best]
            row = [f"{label}, {half}", best, decimals(means[best], sign="+")]
            error = there.std() / len(there) ** 0.5
            rows.append(
                [*row, f"{decimals(there.mean(), sign='+')} ({decimals(error)})"]
            )
    header = ["chosen by", "best change there", "gain there", "gain on the other half"]
    print_table("Chosen on one half, reported on the other", header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    cells = [
        (name, fraction, change)
        for name in [*SETS_OF["A"], *SETS_OF["B"]]
        for fraction in FRACTIONS
        for change in CHANGES
    ]
    keys = ("set", "fraction", "change")
    print_or_run(options, print_tables, keys, cells, run_cell)


if __name__ == "__main__":
    main()
