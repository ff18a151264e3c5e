"""Searches by successive halving, on labels of which some are missing."""

import numpy as np
import pandas as pd
import pytest
from _estimators import classifier
from scipy.stats import uniform
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import KFold
from sklearn.model_selection import _search_successive_halving as stock

from skmtl import MultiTaskNet
from skmtl.model_selection import HalvingGridSearchCV, HalvingRandomSearchCV

ALPHAS = {"alpha": [0.01, 10]}
# In the first round.
few_labels = pytest.mark.filterwarnings(
    "ignore:.*(no observed label|fewer labels|one class only)"
)


def quick():
    return classifier(max_iter=3, hidden_layer_sizes=(8,))


@pytest.mark.parametrize("min_resources", ["smallest", "exhaust"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_rows_to_begin_with_are_scikit_learns_of_one_task(min_resources, n_classes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = np.array(["a", "b", "c"])[np.arange(60) % n_classes]
    grid = {"strategy": ["prior", "most_frequent", "uniform"]}
    settings = {"min_resources": min_resources, "random_state": 0, "cv": 2}
    dummy = DummyClassifier(random_state=0)
    search = HalvingGridSearchCV(dummy, grid, **settings).fit(X, y)
    expected = stock.HalvingGridSearchCV(dummy, grid, **settings).fit(X, y)
    for name in ("min_resources_", "n_resources_", "n_candidates_", "n_iterations_"):
        assert getattr(search, name) == getattr(expected, name), name
    assert search.min_resources == min_resources


@few_labels
@pytest.mark.parametrize("kind", ["NaN", "Int64", "None"])
def test_rows_to_begin_with_of_several_tasks(problem, kind):
    X, Y = problem
    if kind == "Int64":
        Y = pd.DataFrame(Y).astype("Int64")
    elif kind == "None":
        Y = np.where(np.isnan(Y), None, np.where(Y == 1, "yes", "no"))
    search = HalvingRandomSearchCV(
        quick(), {"alpha": uniform(0, 1)}, cv=3, scoring="accuracy", random_state=0
    ).fit(X, Y)
    assert search.min_resources_ == 2 * 3 * 2
    assert search.n_resources_ == [12, 36]
    assert np.isfinite(search.best_score_)


@few_labels
def test_the_task_of_most_classes_counts(mixed_problem):
    search = HalvingGridSearchCV(
        quick(), ALPHAS, cv=2, min_resources="smallest", random_state=0
    ).fit(*mixed_problem)
    assert search.min_resources_ == 2 * 2 * 4
    assert search.min_resources == "smallest"


@few_labels
def test_halving_of_classes_and_numbers(problem):
    X, Y = problem
    Y = np.column_stack([Y[:, 0], np.where(np.isnan(Y[:, 1]), np.nan, X[:, 1])])
    Y = pd.DataFrame(Y, columns=["active", "dose"])
    types = {"active": "class", "dose": "number"}
    net = MultiTaskNet((8,), task_types=types, n_members=1, max_iter=2, random_state=0)
    settings = {"cv": 2, "min_resources": "smallest", "random_state": 0}
    metric = {"class": "roc_auc", "number": "r2"}
    search = HalvingGridSearchCV(net, ALPHAS, scoring=metric, **settings)
    assert search.fit(X, Y).min_resources_ == 2 * 2 * 2
    assert np.isfinite(search.score(X, Y))


def test_epochs_as_resource(problem):
    search = HalvingGridSearchCV(
        quick(),
        ALPHAS,
        cv=2,
        scoring="roc_auc",
        resource="max_iter",
        max_resources=4,
        factor=2,
    ).fit(*problem)
    assert search.n_resources_ == [2, 4]
    assert search.best_estimator_.max_iter == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_candidates": "exhaust", "min_resources": "exhaust"}, "cannot be both"),
        ({"scoring": ["roc_auc", "accuracy"]}, "'scoring' parameter of HalvingRandom"),
        ({"max_resources": 5, "n_candidates": 2}, "min_resources_=8 is greater than"),
        ({"cv": KFold(2, shuffle=True)}, "must yield consistent folds"),
    ],
)
def test_what_halving_refuses(problem, change, message):
    space = {"alpha": uniform(0, 1)}
    search = HalvingRandomSearchCV(quick(), space, **({"cv": 2} | change))
    with pytest.raises(ValueError, match=message):
        search.fit(*problem)
