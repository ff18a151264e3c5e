"""Packages around scikit-learn: Optuna, MLflow, imbalanced-learn, and SHAP."""

import numpy as np
import optuna
import pandas as pd
import pytest
import skops.io
from _estimators import small_network
from imblearn.pipeline import Pipeline as PipelineOfSamplers
from imblearn.under_sampling import RandomUnderSampler
from numpy.testing import assert_allclose, assert_array_equal
from optuna.distributions import FloatDistribution
from optuna_integration import OptunaSearchCV
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmtl import observed_rows
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import (
    GridSearchCV,
    MultiTaskStratifiedKFold,
    cross_val_score,
)

SETTINGS = {"max_iter": 10, "learning_rate_init": 0.05, "random_state": 0}


def pipeline(cls=Pipeline):
    """Numbers are scaled and text is encoded, by the names of the columns."""
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["dose", "weight"]),
            ("text", OneHotEncoder(sparse_output=False), ["site"]),
        ]
    )
    return cls([("columns", columns), ("net", small_network(8, **SETTINGS))])


@pytest.fixture
def table():
    """X and Y of pandas, a third of the labels missing."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(90, 2)), columns=["dose", "weight"])
    X["site"] = rng.choice(["u", "v", "w"], 90)
    Y = pd.DataFrame({"cured": X["dose"] > 0, "here": X["site"] == "u"})
    return X, Y.astype("boolean").mask(rng.random((90, 2)) < 1 / 3)


# Optuna -------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.filterwarnings("ignore:`optuna.terminator`:FutureWarning")  # it imports it
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_optuna_searches_over_a_pipeline(table, n_jobs):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cv, scoring = MultiTaskStratifiedKFold(2), multitask_scorer("roc_auc")
    search = OptunaSearchCV(
        pipeline(),
        {"net__alpha": FloatDistribution(0.01, 1, log=True)},
        cv=cv,
        scoring=scoring,
        n_trials=3,
        n_jobs=n_jobs,
        error_score="raise",
        random_state=0,
    ).fit(*table)
    for trial in search.study_.trials:
        candidate = pipeline().set_params(**trial.params)
        scores = cross_val_score(candidate, *table, cv=cv, scoring=scoring)
        assert trial.value == pytest.approx(scores.mean())
    assert len(search.study_.trials) == 3
    assert search.best_score_ == max(trial.value for trial in search.study_.trials)
    own = pipeline().set_params(**search.best_params_).fit(*table)
    assert_array_equal(search.predict(table[0]), own.predict(table[0]))


# MLflow -------------------------------------------------------------------------------


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """It logs every fit, into files of the test alone."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    import mlflow  # which reads the environment

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    mlflow.sklearn.autolog(
        log_models=False,
        log_datasets=False,
        log_post_training_metrics=False,
        silent=True,
    )
    yield mlflow
    mlflow.sklearn.autolog(disable=True)
    mlflow.set_tracking_uri(before)


def metrics_of(mlflow, fit):
    with mlflow.start_run() as run:
        fitted = fit()
    return fitted, mlflow.get_run(run.info.run_id).data.metrics


@pytest.mark.filterwarnings("ignore")  # it warns of its own types
def test_mlflow_logs_the_scores_and_keeps_the_model(table, mlflow, tmp_path):
    X, Y = table
    given = Y.copy()
    model, metrics = metrics_of(mlflow, lambda: pipeline().fit(X, Y))
    pd.testing.assert_frame_equal(Y, given)
    assert metrics["training_score"] == pytest.approx(model.score(X, Y))
    assert_array_equal(model.predict(X), pipeline().fit(X, Y).predict(X))
    grid = {"net__alpha": [0.01, 0.1]}
    search = GridSearchCV(pipeline(), grid, cv=2, scoring="roc_auc")
    search, metrics = metrics_of(mlflow, lambda: search.fit(X, Y))
    assert metrics["training_score"] == pytest.approx(search.score(X, Y))
    assert metrics["best_cv_score"] == pytest.approx(search.best_score_)
    trusted = skops.io.get_untrusted_types(data=skops.io.dumps(model))
    mlflow.sklearn.save_model(
        model,
        tmp_path / "model",
        pip_requirements=["skmtl"],
        serialization_format="skops",
        skops_trusted_types=trusted,
    )
    again = mlflow.sklearn.load_model(tmp_path / "model")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


# imbalanced-learn ---------------------------------------------------------------------


def test_a_pipeline_of_imbalanced_learn_is_that_of_scikit_learn(table):
    X, Y = table
    p = pipeline(PipelineOfSamplers).fit(X, Y).predict_proba(X)
    assert_array_equal(p, pipeline().fit(X, Y).predict_proba(X))


# scikit-learn warns before it refuses NaN.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_a_sampler_takes_the_observed_rows_of_one_task(table):
    X, Y = table
    X, Y = X[["dose", "weight"]], Y.astype(float)
    sampler = RandomUnderSampler(random_state=0)
    steps = [("sampler", sampler), ("net", small_network(8, **SETTINGS))]
    for y in (Y, Y.fillna(0)):
        with pytest.raises(ValueError, match=r"NaN|multioutput targets"):
            PipelineOfSamplers(steps).fit(X, y)
    rows, labels = observed_rows(X, Y, "here")
    model = PipelineOfSamplers(steps).fit(rows, labels)
    taken = sampler.fit_resample(rows, labels)
    assert np.bincount(taken[1]).tolist() == [labels.sum()] * 2
    own = small_network(8, **SETTINGS).fit(*taken)
    assert_allclose(model.predict_proba(X), own.predict_proba(X))


# SHAP ---------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore:The set_.* function:PendingDeprecationWarning")
def test_shap_explains_all_binary_tasks_at_once():
    import shap  # it uses what matplotlib deprecates

    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    Y = np.where(rng.random((120, 2)) < 1 / 3, np.nan, X[:, :2] > 0)
    clf = small_network(8, **SETTINGS).fit(X, Y)
    explainer = shap.KernelExplainer(clf.predict_proba, X[:10])
    values = np.asarray(explainer.shap_values(X[10:30], silent=True))
    assert values.shape == (20, 3, 2)
    total = explainer.expected_value + values.sum(axis=1)
    assert_allclose(total, clf.predict_proba(X[10:30]), atol=1e-3)
    assert np.abs(values).mean(axis=0).argmax(axis=0).tolist() == [0, 1]
