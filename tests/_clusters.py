"""Searches on a cluster and in turn: `python tests/_clusters.py dask`, or `ray`.

A script of its own, since its interpreter must end. It prints what it finds as JSON.
"""

import contextlib
import json
import os
import sys
import threading

import joblib
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_validate as stock_cross_validate

from skmtl import MultiTaskNetClassifier
from skmtl.datasets import make_multitask_classification
from skmtl.model_selection import (
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


def look(estimator, X, y):
    """A scorer: the accuracy, this process, and the threads that a fit in it has."""
    callback = LookAtThreads()
    n_before = threading.active_count()
    clone(estimator).set_callbacks(callback).fit(X, y)
    return {
        "accuracy": estimator.score(X, y),
        "process": os.getpid(),
        "torch": max(*callback.torch, torch.get_num_threads()),
        "more": max(callback.python) - n_before,
    }


X, Y = make_multitask_classification(120, 6, 3, missing_rate=0.4, random_state=0)
CLF = MultiTaskNetClassifier(n_members=2, max_iter=3, random_state=0)
ALPHAS = {"alpha": [0.1, 1.0]}


def randomized_search():
    settings = {"n_iter": 2, "cv": 2, "random_state": 0}
    search = RandomizedSearchCV(CLF, ALPHAS, **settings).fit(X, Y)
    names = [name for name in search.cv_results_ if name.startswith("split")]
    scores = [search.cv_results_[name].tolist() for name in names]
    return scores, search.predict_proba(X[:5]).tolist()


def validation():
    """What `look` says, with lists instead of arrays."""
    result = cross_validate(CLF, X, Y, cv=4, scoring=look)
    return {name: values.tolist() for name, values in result.items()}


def stock_validation():
    """Of scikit-learn itself."""
    cv = MultiTaskStratifiedKFold(2)
    return stock_cross_validate(CLF, X, Y, cv=cv)["test_score"].tolist()


def optuna_search():
    from optuna.distributions import FloatDistribution
    from optuna_integration import OptunaSearchCV

    settings = {"cv": MultiTaskStratifiedKFold(2), "n_trials": 2, "random_state": 0}
    space = {"alpha": FloatDistribution(0.01, 1, log=True)}
    search = OptunaSearchCV(CLF, space, **settings).fit(X, Y)
    return [trial.value for trial in search.study_.trials]


# ray starts its processes anew for each search or trial, which takes seconds.
SEARCHES = {
    "dask": [randomized_search, stock_validation, optuna_search],
    "ray": [randomized_search],
}


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
    searches = [*SEARCHES[engine], validation]
    in_turn = {search.__name__: search() for search in searches}
    with cluster(engine):
        on_cluster = {search.__name__: search() for search in searches}
    print(json.dumps([os.getpid(), in_turn, on_cluster]))


if __name__ == "__main__":
    main(sys.argv[1])
