"""Regressors and mixed networks in files: to the last bit, and nothing illegal."""

import copy
import json
import pickle

import numpy as np
import pytest
from _estimators import assert_same_parameters
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl._files import read_file, write_file

SMALL = {"hidden_layer_sizes": (6,), "max_iter": 2, "random_state": 0}


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    Y = X[:, :2] * [1e30, 1] + [0, 5]
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def fitted(kind, X, Y):
    labels = np.where(X[:, 2] > 0, "yes", "no").astype(object)
    table = np.column_stack([Y.astype(object), labels])
    return {
        "regressor": lambda: MultiTaskNetRegressor(**SMALL).fit(X, Y),
        "1-D": lambda: MultiTaskNetRegressor(**SMALL).fit(X, Y[:, 1]),
        "gaussian": lambda: MultiTaskNetRegressor(loss="gaussian", **SMALL).fit(X, Y),
        "main": lambda: MultiTaskNetRegressor(main_tasks=["task_1"], **SMALL).fit(X, Y),
        "partial": lambda: MultiTaskNetRegressor(**SMALL).partial_fit(X, Y),
        "mixed": lambda: MultiTaskNet(**SMALL).fit(X, table),
        "pretrained": lambda: MultiTaskNetRegressor(
            pretrained=FrozenEstimator(MultiTaskNetClassifier(**SMALL).fit(X, X > 0)),
            **SMALL,
        ).fit(X, Y),
    }[kind]()


KINDS = ["regressor", "1-D", "gaussian", "main", "partial", "mixed", "pretrained"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_comes_back_to_the_last_bit(numbers, tmp_path, kind):
    X, Y = numbers
    estimator = fitted(kind, X, Y)
    skmtl.save(estimator, tmp_path / "model")
    for again in (
        skmtl.load(tmp_path / "model"),
        pickle.loads(pickle.dumps(estimator)),
    ):
        assert type(again) is type(estimator)
        assert_same_parameters(again, estimator)
        assert_array_equal(again.predict(X), estimator.predict(X))
        if kind in ("regressor", "mixed"):
            before = [np.asarray(p) for p in estimator.oob_prediction_]
            after = [np.asarray(p) for p in again.oob_prediction_]
            for one, other in zip(before, after, strict=True):
                assert_array_equal(one, other)
        learned = {name for name in vars(estimator) if name.endswith("_")}
        assert learned == {name for name in vars(again) if name.endswith("_")}


def test_a_loaded_regressor_goes_on_as_the_saved_one_would(numbers, tmp_path):
    X, Y = numbers
    reg = fitted("partial", X, Y)
    skmtl.save(reg, tmp_path / "model")
    again = skmtl.load(tmp_path / "model")
    assert_same_parameters(again.partial_fit(X, Y), reg.partial_fit(X, Y))


def test_a_transformer_is_not_written(numbers, tmp_path):
    X, Y = numbers
    reg = MultiTaskNetRegressor(transformer=StandardScaler(), **SMALL).fit(X, Y)
    with pytest.raises(ValueError, match=r"transformer|StandardScaler"):
        skmtl.save(reg, tmp_path / "model")


def changed_file(path, change):
    """The file with another document, and a checksum that fits it."""
    kind = "skmtl.MultiTaskNetRegressor"
    document, arrays = read_file(path, [kind])
    document = copy.deepcopy(document)
    change(document)
    write_file(path, kind, json.loads(json.dumps(document)), arrays)


def targets_in(document):
    tasks = document["MultiTaskNetRegressor"]["fitted"]["_tasks"]["Tasks"]
    return tasks["targets"]


def set_number(field, value):
    return lambda document: targets_in(document)[0]["Numbers"].update({field: value})


def set_output(kind):
    def change(document):
        state = document["MultiTaskNetRegressor"]["fitted"]["network_"]["NetworkState"]
        outputs = state["architecture"]["Architecture"]["outputs"]["tuple"]
        outputs[0] = {kind: {}}

    return change


CHANGES = {
    "negative scale": set_number("scale", -1.0),
    "infinite mean": set_number("mean", {"float": "inf"}),
    "text for a mean": set_number("mean", "0"),
    "code": set_number("transformer", {"ConvTrunk": {}}),
    "another loss": set_output("AbsoluteError"),
    "more logits": set_output("Gaussian"),
    "a class": lambda document: targets_in(document).__setitem__(
        0, {"Classes": {"labels": [0, 1]}}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_values_that_no_fit_gives_are_refused(numbers, tmp_path, change):
    path = tmp_path / "model"
    skmtl.save(fitted("regressor", *numbers), path)
    skmtl.load(path)
    changed_file(path, CHANGES[change])
    with pytest.raises(ValueError, match="not a model written by skmtl"):
        skmtl.load(path)
