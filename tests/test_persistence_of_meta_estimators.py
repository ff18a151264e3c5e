"""Files of calibrated estimators and of those with tuned thresholds."""

import contextlib
import json

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier
from skmtl._files import read_file, write_file
from skmtl._persistence._save_load import _KINDS
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.model_selection import (
    MultiTaskStratifiedKFold,
    MultiTaskTunedThresholdClassifierCV,
)

SMALL = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0}
Calibrated = MultiTaskCalibratedClassifierCV
Tuned = MultiTaskTunedThresholdClassifierCV


@pytest.fixture(scope="module")
def data():
    """X (160, 3) and Y of a binary, a three-class and a number task."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(160, 3)), columns=["a", "b", "c"])
    Y = pd.DataFrame(
        {
            "active": X["a"] > 0.8,
            "kind": np.array(["x", "y", "z"])[np.digitize(X["b"], [-0.4, 0.4])],
            "dose": X["c"] * 2.5,
        }
    )
    return X, Y.mask(rng.random(Y.shape) < 0.2)


def classifier():
    return MultiTaskNetClassifier(**SMALL)


META = {
    "sigmoid": lambda: Calibrated(classifier()),
    "isotonic": lambda: Calibrated(classifier(), method="isotonic"),
    "temperature": lambda: Calibrated(classifier(), method="temperature"),
    "ensemble": lambda: Calibrated(classifier(), ensemble=True, cv=2),
    "tuned": lambda: Tuned(classifier(), scoring="f1", store_cv_results=True),
    "gains": lambda: Tuned(
        classifier(),
        scoring={"active": {"fp": -1, "fn": -5}},
        cv=MultiTaskStratifiedKFold(2, shuffle=True, random_state=0),
    ),
    "tuned around calibrated": lambda: Tuned(Calibrated(classifier())),
}


def assert_same(one, other, X):
    first, second = one.predict_proba(X), other.predict_proba(X)
    for p, q in zip(first, second, strict=True):
        np.testing.assert_array_equal(p, q)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


@pytest.mark.parametrize("name", META)
def test_predictions_are_the_same_to_the_last_bit(name, data, tmp_path):
    X, Y = data
    fitted = META[name]().fit(X, Y[["active", "kind"]])
    skmtl.save(fitted, tmp_path / "model")
    back = skmtl.load(tmp_path / "model")
    assert type(back) is type(fitted)
    assert_same(fitted, back, X)
    assert back.task_names_.tolist() == ["active", "kind"]
    assert back.feature_names_in_.tolist() == ["a", "b", "c"]
    if isinstance(fitted, Tuned):
        assert back.best_thresholds_ == fitted.best_thresholds_
        assert back.best_scores_ == fitted.best_scores_
        for name, results in getattr(fitted, "cv_results_", {}).items():
            for key, values in results.items():
                np.testing.assert_array_equal(back.cv_results_[name][key], values)
    # It can be fitted anew, with the parameters that it had.
    assert_same(clone(back).fit(X, Y[["active", "kind"]]), fitted, X)


def test_around_a_fitted_network_of_classes_and_numbers(data, tmp_path):
    X, Y = data
    network = MultiTaskNet(**SMALL).fit(X[:80], Y[:80])
    for meta in (
        Tuned(FrozenEstimator(network)),
        Tuned(network, cv="prefit", refit=False),
        Calibrated(FrozenEstimator(network)),
    ):
        fitted = meta.fit(X[80:], Y[80:])
        skmtl.save(fitted, tmp_path / "model")
        back = skmtl.load(tmp_path / "model")
        np.testing.assert_array_equal(back.predict(X), fitted.predict(X))
        p, q = fitted.predict_proba(X), back.predict_proba(X)
        assert p[2] is q[2] is None
        np.testing.assert_array_equal(p[1], q[1])
        assert back.set_params(cv=None if back.cv is None else "prefit").fit(X, Y)


def test_what_a_file_has_no_words_for(data, tmp_path):
    X, Y = data
    Y = Y[["active", "kind"]]
    whole = Y.notna().astype(int)
    forest = Tuned(RandomForestClassifier(3, random_state=0)).fit(X, whole)
    pipeline = Tuned(make_pipeline(StandardScaler(), classifier())).fit(X, Y)
    for fitted in (forest, pipeline):
        with pytest.raises(TypeError, match=r"Save it with skops\.io"):
            skmtl.save(fitted, tmp_path / "model")
    by_function = Tuned(classifier(), scoring=lambda y, p: np.mean(y == p)).fit(X, Y)
    with pytest.raises(ValueError, match=r"estimator/scoring is of type function"):
        skmtl.save(by_function, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["sigmoid", "tuned around calibrated"])
def test_skops_takes_a_pipeline_around_it(name, data):
    X, Y = data
    pipeline = make_pipeline(StandardScaler(), META[name]())
    pipeline.fit(X, Y[["active", "kind"]])
    content = skops.io.dumps(pipeline)
    unknown = skops.io.get_untrusted_types(data=content)
    assert all(t.startswith(("skmtl.", "sklearn.")) for t in unknown), unknown
    back = skops.io.loads(content, trusted=unknown)
    assert_same(pipeline, back, X)


class NotAModel(Exception):
    """What `load` says of a file that it does not take."""


def load(path):
    try:
        return skmtl.load(path)
    except ValueError as error:
        if "is not a model written by skmtl.save" in str(error):
            raise NotAModel from error
        raise


def changes_of(node, place=()):
    """Each part of a document with something else in its place."""
    if isinstance(node, dict):
        for key in node:
            yield (*place, key), "gone"
            yield from changes_of(node[key], (*place, key))
    elif isinstance(node, list):
        for i, item in enumerate(node):
            yield from changes_of(item, (*place, i))
    else:
        for other in (None, 7, "x", [], {"float": "nan"}):
            yield place, other


def changed(document, place, other):
    document = json.loads(json.dumps(document))
    node = document
    for key in place[:-1]:
        node = node[key]
    if other == "gone":
        del node[place[-1]]
    else:
        node[place[-1]] = other
    return document


@pytest.mark.parametrize("name", ["isotonic", "tuned around calibrated"])
def test_a_changed_file_is_refused_or_predicts(name, data, tmp_path):
    """Whoever changes and signs a file gets an error that says so, or predictions."""
    X, Y = data
    fitted = META[name]().fit(X, Y[["active", "kind"]])
    path = tmp_path / "model"
    skmtl.save(fitted, path)
    kind = _KINDS[type(fitted).__name__]
    document, arrays = read_file(path, [kind])
    every = list(changes_of(document))
    outside = [c for c in every if "MultiTaskNetClassifier" not in c[0]]
    assert len(outside) > 50
    for place, other in outside[:: len(outside) // 50]:
        write_file(path, kind, changed(document, place, other), arrays)
        with contextlib.suppress(NotAModel):
            assert load(path).predict(X).shape == (160, 2)
