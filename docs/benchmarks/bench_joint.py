"""One joint network or separate ones, and the cost of hundreds of tasks.

Run ``python docs/benchmarks/bench_joint.py --data FOLDER``, where FOLDER has a file
``load.py`` with a function ``load(name) -> X, Y, extras``. The script prints

- for Tox21's scaffold split, the mean ROC AUC over the 12 tasks and the seconds of a
  fit, for one network (``sharing="hard"``) and for a network per task with the same
  size, epochs and labels (``sharing="none"``). The learning rate of each is chosen on
  the validation part;
- for dense ToxCast, the seconds of an epoch with all 617 tasks, with only the first
  task on as many rows (its missing labels filled in), and with only the first task on
  its own rows. Rows without a label are left out, so this last epoch has a fifth of the
  rows.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _data import loader_of

from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_score

STEPS = (0.03, 0.1, 0.3)
SEEDS = range(3)


def fit_tox21(X, Y, parts, **settings):
    """Return the ROC AUC on the validation and test parts, and the seconds."""
    clf = MultiTaskNetClassifier(
        solver="sgd",
        alpha=0.02,
        dropout=0.5,
        input_dropout=0.0,
        n_members=1,
        max_iter=20,
        **settings,
    )
    start = time.perf_counter()
    clf.fit(X[parts["train_idx"]], Y.iloc[parts["train_idx"]])
    seconds = time.perf_counter() - start
    aucs = [
        multitask_score(
            "roc_auc", Y.iloc[parts[part]], clf.predict_proba(X[parts[part]])
        )
        for part in ("valid_idx", "test_idx")
    ]
    return *aucs, seconds


def joint_against_separate(load, n_hidden):
    X, Y, parts = load("tox21")
    for sharing in ("hard", "none"):
        runs = {
            step: np.array(
                [
                    fit_tox21(
                        X,
                        Y,
                        parts,
                        hidden_layer_sizes=(n_hidden,),
                        sharing=sharing,
                        learning_rate_init=step,
                        random_state=seed,
                    )
                    for seed in SEEDS
                ]
            )
            for step in STEPS
        }
        best = max(STEPS, key=lambda step: runs[step][:, 0].mean())
        valid, test, seconds = runs[best].mean(axis=0)
        print(
            f"tox21 scaffold, {n_hidden} hidden, sharing={sharing!r}: step {best}, "
            f"validation {valid:.4f}, test {test:.4f} (std of seeds "
            f"{runs[best][:, 1].std(ddof=1):.4f}), {seconds:.1f} s a fit",
            flush=True,
        )


def growth_with_tasks(load):
    X, Y, _ = load("toxcast")
    X, first = X.toarray(), Y.iloc[:, [0]]
    cases = {
        "617 tasks": Y,
        "first task, all rows": first.fillna(0),
        "first task": first,
    }

    def seconds_of(Y, epochs):
        clf = MultiTaskNetClassifier(
            (256,),
            input_encoding="none",
            dropout=0.0,
            input_dropout=0.0,
            n_members=1,
            batch_size=200,
            max_iter=epochs,
            random_state=0,
        )
        start = time.perf_counter()
        clf.fit(X, Y)
        return time.perf_counter() - start

    rounds = [
        [(seconds_of(Y, 6) - seconds_of(Y, 1)) / 5 for Y in cases.values()]
        for _ in range(4)
    ]
    all_tasks, all_rows, own_rows = np.median(
        rounds[1:], axis=0
    )  # the first round is a warm-up
    print(
        f"toxcast, dense, 256 hidden: an epoch of 617 tasks {all_tasks:.3f} s, "
        f"{all_tasks / all_rows:.2f} times the first task on all rows, "
        f"{all_tasks / own_rows:.2f} times the first task on its own rows"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128])
    options = parser.parse_args()
    load = loader_of(options.data)
    warnings.simplefilter("ignore")  # fits of a fixed number of epochs
    growth_with_tasks(load)
    for n_hidden in options.hidden:
        joint_against_separate(load, n_hidden)


if __name__ == "__main__":
    main()
