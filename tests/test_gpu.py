"""What a network does on a GPU: run `pytest -m gpu` on a machine that has one.

Without dropout and shuffling, random numbers make no difference, and a fit there is the
fit on the CPU up to rounding.
"""

import copy
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import AtEpoch, assert_same_parameters, classifier, parameters_of
from _trunks import OfPictures, WithStatistics
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.inspection import task_affinity, transfer_gain
from skmtl.model_selection import GridSearchCV
from skmtl.trunks import ConvTrunk, UnfreezeAfter

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("a GPU, and the option -m gpu", allow_module_level=True)

N_ROWS = 240
rng = np.random.default_rng(0)
NUMBERS = rng.normal(size=(N_ROWS, 6))
TABLE = pd.DataFrame(NUMBERS).add_prefix("x").mask(rng.random(NUMBERS.shape) < 0.1)
TABLE["kind"] = pd.Categorical(rng.choice(["a", "b", "c"], N_ROWS))
SPARSE = sparse.random(N_ROWS, 50, 0.1, "csr", rng=rng)
IMAGES = rng.normal(size=(N_ROWS, 3, 6, 5)).astype(np.float32)
SCORES = NUMBERS @ rng.normal(size=(6, 4)) + rng.normal(size=(N_ROWS, 4))
is_missing = rng.random(SCORES.shape) < 0.3
LABELS = np.where(is_missing, np.nan, SCORES > 0)
CLASSES = np.where(is_missing, np.nan, np.digitize(SCORES, [-1, 1]))
SCORES = np.where(is_missing, np.nan, SCORES)
MIXED = pd.DataFrame(SCORES).astype(object)
MIXED[0] = np.where(is_missing[:, 0], None, np.where(SCORES[:, 0] > 0, "yes", "no"))
MIXED[1] = np.where(is_missing[:, 1], None, np.where(SCORES[:, 1] > 0, "yes", "no"))

PLAIN = {
    "hidden_layer_sizes": (24, 12),
    "dropout": 0.0,
    "input_dropout": 0.0,
    "shuffle": False,
    "max_iter": 6,
    "batch_size": 50,
    "random_state": 0,
}
MEMBERS = {"n_members": 3, "oob_score": True}
CASES = {
    "labels": (MultiTaskNetClassifier(), NUMBERS, LABELS),
    "classes": (MultiTaskNetClassifier(), NUMBERS, CLASSES),
    "raw table": (MultiTaskNetClassifier(), TABLE, LABELS),
    "sparse": (MultiTaskNetClassifier(), SPARSE, LABELS),
    "sparse, sgd": (MultiTaskNetClassifier(solver="sgd"), SPARSE, CLASSES),
    "sgd": (MultiTaskNetClassifier(solver="sgd"), TABLE, LABELS),
    "members": (MultiTaskNetClassifier(**MEMBERS), TABLE, LABELS),
    "sparse members": (MultiTaskNetClassifier(**MEMBERS), SPARSE, LABELS),
    "separate": (MultiTaskNetClassifier(sharing="none"), TABLE, CLASSES),
    "heads": (MultiTaskNetClassifier(head_hidden_layer_sizes=(5,)), NUMBERS, LABELS),
    "weights": (MultiTaskNetClassifier(class_weight="balanced"), NUMBERS, LABELS),
    "validated": (MultiTaskNetClassifier(early_stopping=True), NUMBERS, LABELS),
    "frozen": (MultiTaskNetClassifier(freeze=UnfreezeAfter(2)), NUMBERS, LABELS),
    "images": (MultiTaskNetClassifier(trunk=ConvTrunk((4,))), IMAGES, LABELS),
    "numbers": (MultiTaskNetRegressor(), TABLE, SCORES),
    "medians": (MultiTaskNetRegressor(loss="absolute_error"), NUMBERS, SCORES),
    "deviations": (MultiTaskNetRegressor(loss="gaussian", **MEMBERS), TABLE, SCORES),
    "sparse numbers": (MultiTaskNetRegressor(**MEMBERS), SPARSE, SCORES),
    "mixed": (MultiTaskNet(**MEMBERS), TABLE, MIXED),
}
every_case = pytest.mark.parametrize("case", CASES)


def made(case, **changes):
    estimator, X, Y = CASES[case]
    return clone(estimator).set_params(**(PLAIN | changes)), X, Y


def answers(estimator, X):
    """Predictions of all tasks, as one array of numbers."""
    if isinstance(estimator, MultiTaskNet):
        numbers = np.asarray(estimator.predict(X))[:, 2:].astype(float)
        return np.column_stack([*estimator.predict_proba(X)[:2], numbers])
    probabilities = getattr(estimator, "predict_proba", None)
    found = estimator.predict(X) if probabilities is None else probabilities(X)
    return np.column_stack(found) if isinstance(found, list) else np.asarray(found)


def is_on_gpu(estimator):
    return all(p.is_cuda for p in estimator.network_.parameters())


# The fit --------------------------------------------------------------------------


@every_case
def test_a_fit_is_the_one_on_the_cpu(case):
    estimator, X, Y = made(case)
    here = clone(estimator).set_params(device="cpu").fit(X, Y)
    there = clone(estimator).set_params(device="cuda").fit(X, Y)
    assert is_on_gpu(there)
    assert not is_on_gpu(here)
    assert_allclose(there.loss_curve_, here.loss_curve_, rtol=1e-3)
    for one, other in zip(parameters_of(there), parameters_of(here), strict=True):
        assert_allclose(one, other, rtol=0, atol=1e-3)
    assert_allclose(answers(there, X), answers(here, X), rtol=0, atol=1e-3)
    if estimator.oob_score is True:
        assert_allclose(there.oob_score_, here.oob_score_, rtol=0, atol=0.01)


@every_case
def test_a_fit_is_the_same_each_time(case):
    estimator, X, Y = made(case, dropout=0.3, input_dropout=0.1, shuffle=True)
    one, other = (clone(estimator).fit(X, Y) for _ in range(2))
    assert is_on_gpu(one), "device='auto' takes the GPU"
    assert_same_parameters(one, other)
    assert_array_equal(answers(one, X), answers(other, X))


@every_case
def test_defaults_predict_as_well_as_on_the_cpu(case):
    estimator, X, Y = CASES[case]
    estimator = clone(estimator).set_params(random_state=0)
    fits = [
        clone(estimator).set_params(device=device).fit(X[:160], Y[:160])
        for device in ("cuda", "cpu")
    ]
    there, here = (np.asarray(fitted.score(X[160:], Y[160:])) for fitted in fits)
    assert_allclose(there, here, rtol=0, atol=0.1)


@pytest.mark.parametrize("module", [WithStatistics, OfPictures])
def test_modules_with_statistics_and_dropout(module):
    settings = PLAIN | {"trunk": module, "hidden_layer_sizes": ()}
    one, other = (MultiTaskNetClassifier(**settings) for _ in range(2))
    assert_same_parameters(one.fit(IMAGES, LABELS), other.fit(IMAGES, LABELS))
    assert is_on_gpu(one)


def test_a_resumed_fit_is_the_whole_fit(tmp_path):
    class KilledError(Exception):
        pass

    def fail():
        raise KilledError

    settings = {"dropout": 0.3, "n_members": 2, "checkpoint_dir": tmp_path}
    broken = classifier(**settings)
    broken.set_callbacks(AtEpoch(8, fail))
    with pytest.raises(KilledError):
        broken.fit(NUMBERS, LABELS)
    resumed = classifier(**settings).fit(NUMBERS, LABELS)
    whole = classifier(**(settings | {"checkpoint_dir": None})).fit(NUMBERS, LABELS)
    assert_same_parameters(resumed, whole)


def test_fits_go_on():
    clf = classifier(warm_start=True, dropout=0.3).fit(NUMBERS, LABELS[:, :3])
    clf.fit(NUMBERS, LABELS[:, :3])
    clf.partial_fit(NUMBERS, LABELS[:, :3])
    clf.add_tasks(NUMBERS, LABELS[:, 3])
    assert is_on_gpu(clf)
    assert clf.predict_proba(NUMBERS).shape == (N_ROWS, 4)
    clf.drop_tasks(["task_1"])
    assert is_on_gpu(clf)
    shared = FrozenEstimator(clf)
    tuned = classifier(pretrained=shared, freeze="trunk").fit(NUMBERS, LABELS)
    assert is_on_gpu(tuned)


def test_rows_from_disk(tmp_path):
    dataset = pytest.importorskip("pyarrow.dataset")
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    Y = pd.DataFrame(LABELS).add_prefix("y")
    table = arrow.Table.from_pandas(pd.concat([TABLE, Y], axis=1))
    parquet.write_table(table, tmp_path / "rows.parquet")
    rows = dataset.dataset(tmp_path / "rows.parquet")
    clf = classifier().fit(rows, y=list(Y.columns))
    assert is_on_gpu(clf)
    copied = pickle.loads(pickle.dumps(clf))
    assert_allclose(clf.predict_proba(TABLE), copied.predict_proba(TABLE), atol=1e-5)


# The model ------------------------------------------------------------------------


@every_case
def test_copies_are_on_the_cpu_and_predict_the_same(case, tmp_path):
    estimator, X, Y = made(case)
    estimator.fit(X, Y)
    expected = answers(estimator, X)
    skmtl.save(estimator, tmp_path / "model.safetensors")
    joblib.dump(estimator, tmp_path / "model.joblib")
    for twin in (
        skmtl.load(tmp_path / "model.safetensors"),
        joblib.load(tmp_path / "model.joblib"),
        pickle.loads(pickle.dumps(estimator)),
        copy.deepcopy(estimator),
    ):
        assert not is_on_gpu(twin)
        assert_allclose(answers(twin, X), expected, rtol=1e-4, atol=1e-5)


def test_a_model_fitted_on_a_gpu_is_read_without_one(problem, tmp_path):
    X, Y = problem
    clf = classifier(device="cuda").fit(X, Y)
    joblib.dump((clf, X, clf.predict_proba(X)), tmp_path / "clf.joblib")
    program = (
        "import joblib, numpy as np, sys; clf, X, p = joblib.load(sys.argv[1]); "
        "assert np.allclose(clf.predict_proba(X), p, atol=1e-5)"
    )
    subprocess.run(
        [sys.executable, "-c", program, tmp_path / "clf.joblib"],
        check=True,
        env={"CUDA_VISIBLE_DEVICES": ""},
    )


def test_onnx(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    estimator, X, Y = made("labels", **MEMBERS)
    skmtl.to_onnx(estimator.fit(X, Y), tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    found = session.run(["task_0.proba"], {"X": X})[0]
    expected = estimator.predict_proba(X)[:, 0]
    assert_allclose(found[:, 1], expected, rtol=0, atol=1e-4)


# What is around it ----------------------------------------------------------------


def test_searches_in_processes_of_their_own():
    pipe = make_pipeline(StandardScaler(), classifier(max_iter=3))
    grid = {"multitasknetclassifier__hidden_layer_sizes": [(4,), (8,)]}
    search = GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(NUMBERS, LABELS)
    assert is_on_gpu(search.best_estimator_[-1])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_calibrated_probabilities():
    clf = MultiTaskCalibratedClassifierCV(classifier(max_iter=3), cv=2)
    p = clf.fit(NUMBERS, LABELS).predict_proba(NUMBERS)
    assert np.isfinite(p).all()


def test_inspection():
    settings = {"max_iter": 3, "device": "cuda"}
    there = task_affinity(classifier(**settings, shuffle=False), NUMBERS, LABELS)
    settings["device"] = "cpu"
    here = task_affinity(classifier(**settings, shuffle=False), NUMBERS, LABELS)
    by_epoch = (there.lookahead_by_epoch, here.lookahead_by_epoch)
    assert_allclose(*by_epoch, rtol=0, atol=1e-2)
    gains = transfer_gain(classifier(max_iter=3), NUMBERS, LABELS)
    assert np.isfinite(gains.joint_scores).all()
