"""A search of 60 fits without an engine, on one and two dask workers, on two of ray.

Run ``python docs/benchmarks/bench_search.py`` on an idle machine with at least two
cores. It takes about three minutes. For each engine and number of workers, it prints
the seconds of the search, without the start of the cluster, and the ratio of the time
on one worker to this time. Every worker has one thread. The scores must be the same in
all cases.

dask keeps its workers for the next search, so a short first search makes them load
torch. ray starts new workers in each search, so the measured time includes loading
torch. With one CPU for ray, joblib runs all fits in its own process, as without an
engine.
"""

import argparse
import contextlib
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import dask
import joblib
import numpy as np
import ray
from dask.distributed import Client
from ray.util.joblib import register_ray

from skmtl import MultiTaskNetClassifier
from skmtl.datasets import make_multitask_classification
from skmtl.model_selection import GridSearchCV

N_FOLDS = 3


def search_of(n_fits, n_rows, n_epochs):
    """Return a function that runs the search and returns its scores."""
    X, Y = make_multitask_classification(n_rows, missing_rate=0.5, random_state=0)
    clf = MultiTaskNetClassifier(max_iter=n_epochs, n_members=1, random_state=0)
    grid = {"alpha": np.geomspace(0.01, 10, n_fits // N_FOLDS)}
    search = GridSearchCV(clf, grid, cv=N_FOLDS, scoring="roc_auc", refit=False)
    return lambda: search.fit(X, Y).cv_results_["mean_test_score"]


@contextlib.contextmanager
def cluster(engine, n_workers):
    """Start workers with one thread each, as the backend of joblib."""
    if engine == "none":
        yield
    elif engine == "dask":
        # Without dask's own memory settings, which make fits slow (see the guide).
        environment = {"OMP_NUM_THREADS": 1}
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": environment}),
            Client(n_workers=n_workers, threads_per_worker=1, dashboard_address=None),
            joblib.parallel_config("dask"),
        ):
            yield
    else:
        with ray.init(num_cpus=n_workers), joblib.parallel_config("ray", n_jobs=-1):
            yield


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=60)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()
    register_ray()
    short = search_of(2 * N_FOLDS, 200, 1)
    search = search_of(options.fits, options.rows, options.epochs)
    settings = [("none", 1), ("dask", 1), ("dask", 2), ("ray", 2)]
    print("| engine | workers | seconds | times as fast as one |\n|---|---:|---:|---:|")
    scores, of_one_worker = None, {}
    for engine, n_workers in settings:
        with cluster(engine, n_workers):
            short()
            start = time.perf_counter()
            found = search()
            seconds = time.perf_counter() - start
        scores = found if scores is None else scores
        np.testing.assert_array_equal(found, scores)
        one = "dask" if engine == "dask" else "in turn"
        ratio = of_one_worker.setdefault(one, seconds) / seconds
        print(f"| {engine} | {n_workers} | {seconds:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
