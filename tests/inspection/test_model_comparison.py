import importlib.util

import numpy as np
import pandas as pd
import pytest
from _estimators import small_network
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from skmtl import (
    MultiTaskNet,
    MultiTaskNetClassifier,
    MultiTaskNetRegressor,
    observed_rows,
)
from skmtl.inspection import _model_comparison, compare_models, transfer_gain
from skmtl.inspection._comparison import corrected_gain
from skmtl.inspection._separate_models import SeparateModels

HAS_LIGHTGBM = importlib.util.find_spec("lightgbm") is not None
needs_lightgbm = pytest.mark.skipif(not HAS_LIGHTGBM, reason="lightgbm not installed")
EVERY_KIND = ["forest", pytest.param("lightgbm", marks=needs_lightgbm)]


def quick(**changes):
    return small_network(8, max_iter=3, **changes)


def test_joint_and_separate_are_those_of_transfer_gain(problem):
    X, Y = problem
    settings = {"cv": 3, "random_state": 0}
    result = compare_models(quick(), X, Y, models=["separate", "joint"], **settings)
    other = transfer_gain(quick(), X, Y, n_repeats=1, **settings)
    assert result.models == ("joint", "separate")
    assert_array_equal(result.scores["joint"], other.joint_scores)
    assert_array_equal(result.scores["separate"], other.separate_scores)
    for column in ("gain", "ci_low", "ci_high", "p_value", "n_scored"):
        assert_array_equal(result.gains["separate"][column], other.table[column])
    assert result.mean_gains["separate"] == other.mean_gain
    verdicts = {"better": "helps", "worse": "hurts", "cannot tell": "cannot tell"}
    for own, of_other in verdicts.items():
        assert result.tasks_with(own, "separate") == other.tasks_with(of_other)


def test_the_forest_is_that_of_scikit_learn_on_the_observed_rows(problem):
    X, Y = problem
    cv = list(KFold(3).split(X))
    models = ["joint", "forest"]
    result = compare_models(quick(), X, Y, models=models, cv=cv, random_state=0)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    # Each split and each task once.
    for s, (train, test) in enumerate(cv):
        forest = RandomForestClassifier(random_state=seed)
        forest.fit(*observed_rows(X[train], Y[train], s))
        X_test, y_test = observed_rows(X[test], Y[test], s)
        score = roc_auc_score(y_test, forest.predict_proba(X_test)[:, 1])
        assert_allclose(result.scores["forest"][s, s], score)
    table = result.table
    assert_allclose(table["forest"], result.scores["forest"].mean(axis=0))
    assert_array_equal(table["n_labelled"], np.isfinite(Y).sum(axis=0))
    gain = corrected_gain(result.scores["joint"] - result.scores["forest"], 0.5)
    assert_allclose(result.gains["forest"]["gain"], gain.mean)
    assert_allclose(result.gains["forest"]["ci_low"], gain.low)
    assert_allclose(result.mean_scores()["forest"], table["forest"].mean())
    assert min(result.seconds.values()) > 0
    assert "joint against forest: mean gain" in repr(result)
    assert "<p>total time of the fits: joint" in result._repr_html_()


@needs_lightgbm
def test_lightgbm_is_that_of_its_package(problem):
    import lightgbm

    X, Y = np.tile(problem[0], (3, 1)), np.tile(problem[1], (3, 1))
    models = SeparateModels("lightgbm", quick(), "class", 0).fit(X, Y)
    X_1, y_1 = observed_rows(X, Y, 1)
    own = lightgbm.LGBMClassifier(n_jobs=1, verbose=-1, random_state=0).fit(X_1, y_1)
    p = own.predict_proba(X_1)[:, 1]
    assert_allclose(models.predict_proba(X_1)[:, 1], p)
    assert_array_equal(models.predict(X_1)[:, 1], own.predict(X_1))


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("container", ["pandas", "polars", "pyarrow"])
def test_categories_and_missing_values_are_read_as_the_network_reads_them(
    kind, container
):
    package = pytest.importorskip(container)
    rng = np.random.default_rng(0)
    letters, number = rng.integers(0, 3, 120), rng.normal(size=120)
    number[::4] = np.nan
    y = ((letters == 1) | np.isnan(number)).astype(float)
    frame = pd.DataFrame(
        {
            "number": number,
            "letter": pd.Categorical.from_codes(letters, ["x", "y", "z"]),
        }
    )
    X = frame
    if container == "polars":
        X = package.from_pandas(frame)
    elif container == "pyarrow":
        X = package.Table.from_pandas(frame)
    models = SeparateModels(kind, MultiTaskNetClassifier(), "class", 0)
    p = models.fit(X, np.column_stack([y, 1 - y])).predict_proba(X)
    assert roc_auc_score(y, p[:, 0]) > 0.99
    assert_allclose(p.sum(axis=1), 1, atol=0.05)


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_counts(kind, container):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, size=(100, 6))
    Y = X[:, :2].astype(float)
    given = container(X.astype(np.int8))
    models = SeparateModels(kind, MultiTaskNetClassifier(), "class", 0).fit(given, Y)
    assert_array_equal(models.predict(given), Y)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_form_of_y_comes_back_as_the_network_gives_it(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3))
    Y = np.empty((90, 3), dtype=object)
    Y[:, 0] = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    Y[:, 1] = (X[:, 1] > 0).tolist()
    Y[:, 2] = X[:, 2].tolist()
    Y[::5] = None
    types = {"task_0": "class", "task_1": "class", "task_2": "number"}
    net = MultiTaskNet((8,), task_types=types, max_iter=2, n_members=1).fit(X, Y)
    models = SeparateModels(kind, net, types, 0).fit(X, Y)
    predictions, p = models.predict(X), models.predict_proba(X)
    assert predictions.dtype == net.predict(X).dtype == object
    assert [type(value) for value in predictions[0]] == [str, bool, float]
    assert [np.shape(part) for part in p] == [(90, 3), (90, 2), ()]
    rows = np.arange(90) % 5 != 0
    assert (predictions[rows, 0] == Y[rows, 0]).mean() > 0.9
    for own, of_net in zip(models.classes_, net.classes_, strict=True):
        assert_array_equal(own, of_net)
    one = SeparateModels(kind, net, "class", 0).fit(X[rows], Y[rows, 0].astype(str))
    assert one.predict_proba(X).shape == (90, 3)
    assert one.predict(X).shape == (90,)


def test_numbers_by_the_forest_of_numbers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = 1000 + 50 * X[:, :2]
    Y[::3, 1] = np.nan
    net = MultiTaskNetRegressor((8,), n_members=1, max_iter=2)
    models = SeparateModels("forest", net, "number", 0).fit(X, Y)
    forest = RandomForestRegressor(random_state=0).fit(*observed_rows(X, Y, 1))
    assert_allclose(models.predict(X)[:, 1], forest.predict(X))
    assert not hasattr(models, "predict_proba")
    result = compare_models(net, X, Y, models=["joint", "forest"], cv=2, random_state=0)
    assert result.scoring == "r2"
    assert (result.table["forest"] > 0.5).all()


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_one_class_and_no_label(kind):
    X = np.random.default_rng(0).normal(size=(40, 2))
    Y = np.column_stack([np.zeros(40), np.full(40, np.nan), X[:, 0] > 0])
    models = SeparateModels(kind, quick(), "class", 0)
    with pytest.warns(
        UserWarning, match=r"1 of 3 tasks have no observed label.*task_1"
    ):
        p = models.fit(X, Y).predict_proba(X)
    assert_array_equal(p[:, 0], 0)
    assert_array_equal(p[:, 1], 0.5)


def test_in_a_pipeline_the_forest_gets_what_the_steps_before_give(problem):
    X, Y = problem[0], problem[1][:, :2]
    steps = QuantileTransformer(n_quantiles=4)
    cv = [(np.arange(40), np.arange(40, 60))]
    models = ["joint", "forest"]
    pipeline = make_pipeline(steps, quick())
    result = compare_models(pipeline, X, Y, models=models, cv=cv, random_state=0)
    transformed = steps.fit(X[:40]).transform(X)
    plain = compare_models(
        quick(), transformed, Y, models=models, cv=cv, random_state=0
    )
    for name in models:
        assert_array_equal(result.scores[name], plain.scores[name])
    assert result.gains["forest"]["ci_low"].isna().all()


def test_without_shared_layers_it_is_called_network(problem):
    X, Y = problem
    cv = [(np.arange(40), np.arange(40, 60))]
    one = compare_models(
        quick(), X[Y[:, 0] >= 0], Y[Y[:, 0] >= 0, 0], cv=2, random_state=0
    )
    assert one.models[:2] == ("network", "forest")
    separate = quick(sharing="none")
    result = compare_models(separate, X, Y, models=["network"], cv=cv)
    assert result.models == ("network",)
    assert not result.gains
    with pytest.raises(ValueError, match=r"Its tasks share no layer"):
        compare_models(separate, X, Y, models=["joint", "forest"])


def test_a_task_that_cannot_be_scored_everywhere_is_named(problem):
    X, Y = problem
    Y[40:, 1] = 0.0
    cv = [(np.arange(40), np.arange(40, 60)), (np.arange(20, 60), np.arange(20))]
    with pytest.warns(UndefinedMetricWarning, match=r"\['task_1'\]"):
        result = compare_models(quick(), X, Y, models=["joint"], cv=cv, random_state=0)
    assert_array_equal(result.table["n_scored"], [2, 1, 2])
    assert np.isfinite(result.mean_scores()["joint"])


@pytest.mark.parametrize(
    "models",
    ["forest", ["separate"], ["joint", "joint"], ["joint", "svm"], ["network"]],
)
def test_models_that_there_are_not(problem, models):
    with pytest.raises(ValueError, match=r"models must be names from \['joint'"):
        compare_models(quick(), *problem, models=models)


def test_estimators_that_cannot_be_compared(problem):
    with pytest.raises(ValueError, match="not a search"):
        compare_models(GridSearchCV(quick(), {}), *problem)
    with pytest.raises(ValueError, match=r"with 0: \[\]|must have a network"):
        compare_models(FrozenEstimator(quick().fit(*problem)), *problem)
    result = compare_models(quick(), *problem, models="joint", cv=2)
    with pytest.raises(ValueError, match="verdict must be one of"):
        result.tasks_with("helps", "forest")
    with pytest.raises(ValueError, match="than must be one of"):
        result.tasks_with("better", "forest")


def test_without_lightgbm(problem, monkeypatch):
    from skmtl.inspection import _separate_models

    for module in (_model_comparison, _separate_models):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install lightgbm"):
        compare_models(quick(), *problem, models=["joint", "lightgbm"])
    cv = [(np.arange(40), np.arange(40, 60))]
    result = compare_models(quick(), *problem, cv=cv)
    assert result.models == ("joint", "separate", "forest")


def test_scores_of_classes_and_of_numbers_are_not_averaged():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = np.column_stack([X[:, 0] > 0, X[:, 1]])
    types = {"task_0": "class", "task_1": "number"}
    net = MultiTaskNet((8,), task_types=types, max_iter=2, n_members=1)
    models = ["joint", "forest"]
    result = compare_models(net, X, Y, models=models, cv=3, random_state=0)
    assert not result.has_mean
    assert result.mean_gains == {}
    assert np.isnan(list(result.mean_scores().values())).all()
    assert np.isfinite(result.gains["forest"]["gain"]).all()
    assert "mean" not in repr(result)
    assert "joint against forest: tasks: better" in repr(result)
