"""Searches on a cluster and the same ones in turn: `python _clusters.py dask`.

A script of its own, so that its end is the end of the interpreter. It prints what it
finds as JSON.
"""

import contextlib
import json
import os
import sys
import threading
import warnings

import joblib
import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_validate as stock_cross_validate

from skmtl import MultiTaskNetClassifier
from skmtl.datasets import make_multitask_classification
from skmtl.model_selection import (
    GridSearchCV,
    MultiTaskStratifiedKFold,
    RandomizedSearchCV,
    cross_validate,
)


class LookAtThreads:
    """A callback that keeps the numbers of threads in the middle of a fit."""

    def setup(self, estimator, context):
        self.torch, self.python = [], []

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.torch.append(torch.get_num_threads())
        self.python.append(threading.active_count())


def threads(estimator, X, y):
    """A scorer: which process this is, and the threads that a fit in it has."""
    look = LookAtThreads()
    n_before = threading.active_count()
    clone(estimator).set_callbacks(look).fit(X, y)
    return {
        "process": os.getpid(),
        "torch": torch.get_num_threads(),
        "torch_in_fit": max(look.torch),
        "more_in_fit": max(look.python) - n_before,
    }


def scores_of(search):
    names = [name for name in search.cv_results_ if name.startswith("split")]
    return [search.cv_results_[name].tolist() for name in names]


def searches(engine):
    """What is searched, by its name: functions that give scores."""
    X, Y = make_multitask_classification(120, 6, 3, missing_rate=0.4, random_state=0)
    clf = MultiTaskNetClassifier(n_members=2, max_iter=3, random_state=0)
    alphas = {"alpha": [0.1, 1.0]}

    def grid():
        search = GridSearchCV(clf, alphas, cv=2, scoring="roc_auc").fit(X, Y)
        return scores_of(search), search.predict_proba(X).tolist()

    def randomized():
        settings = {"n_iter": 2, "cv": 2, "random_state": 0}
        return scores_of(RandomizedSearchCV(clf, alphas, **settings).fit(X, Y))

    def validated():
        return cross_validate(clf, X, Y, cv=2)["test_score"].tolist()

    def stock():
        cv = MultiTaskStratifiedKFold(2)
        return stock_cross_validate(clf, X, Y, cv=cv)["test_score"].tolist()

    def optuna():
        from optuna.distributions import FloatDistribution
        from optuna_integration import OptunaSearchCV

        settings = {"cv": MultiTaskStratifiedKFold(2), "n_trials": 2, "random_state": 0}
        space = {"alpha": FloatDistribution(0.01, 1, log=True)}
        search = OptunaSearchCV(clf, space, **settings).fit(X, Y)
        return [trial.value for trial in search.study_.trials]

    def look():
        result = cross_validate(clf, X, Y, cv=4, scoring=threads)
        return {
            name.removeprefix("test_"): np.unique(values).tolist()
            for name, values in result.items()
            if name.startswith("test_")
        }

    kinds = [grid, randomized, validated, stock]
    # ray starts its processes anew for each trial, which takes long.
    return [*kinds, optuna] if engine == "dask" else kinds, look


@contextlib.contextmanager
def cluster(engine):
    """Two workers of one thread each, as joblib's backend."""
    if engine == "dask":
        from dask.distributed import Client

        with (
            Client(n_workers=2, threads_per_worker=1, dashboard_address=None),
            joblib.parallel_config(backend="dask"),
        ):
            yield
    else:
        import ray
        from ray.util.joblib import register_ray

        register_ray()
        with (
            ray.init(num_cpus=2, include_dashboard=False),
            joblib.parallel_config(backend="ray", n_jobs=-1),
        ):
            yield


def main(engine):
    warnings.filterwarnings("ignore", module="optuna")
    kinds, look = searches(engine)
    serial = {kind.__name__: kind() for kind in kinds}
    with cluster(engine):
        found = {kind.__name__: kind() for kind in kinds}
        workers = look()
    print(
        json.dumps(
            {"serial": serial, "found": found, "workers": workers, "own": os.getpid()}
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
