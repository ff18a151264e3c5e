"""Specs differ by type and parameters, whatever scikit-learn prints."""

import functools

import numpy as np
import pytest
import sklearn
from _estimators import assert_same_parameters
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl import MultiTaskNetClassifier
from skmtl._network import describe
from skmtl.sharing import HardSharing, NoSharing
from skmtl.trunks import ConvTrunk, UnfreezeAfter


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 1, 6, 6))
    return X, (X[:, 0, :2, 0] > 0).astype(float)


def small(**changes):
    settings = {"trunk": ConvTrunk((4,)), "max_iter": 1, "random_state": 0}
    return MultiTaskNetClassifier(**(settings | changes))


def test_what_is_printed_decides_nothing(images, tmp_path):
    X, Y = images
    clf = small(warm_start=True).fit(X, Y)
    checkpointed = small(checkpoint_dir=tmp_path / "fit", max_iter=2)
    whole = checkpointed.fit(X, Y)
    with sklearn.config_context(print_changed_only=False):
        skmtl.save(clf, tmp_path / "model")
        loaded = skmtl.load(tmp_path / "model")
        assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
        again = small(checkpoint_dir=tmp_path / "fit", max_iter=2).fit(X, Y)
        assert_same_parameters(again, whole)
        small(pretrained=FrozenEstimator(clf)).fit(X, Y)
        clf.fit(X, Y)
        clf.add_tasks(X, Y[:, 0])
        small().partial_fit(X, Y)
    loaded.partial_fit(X, Y)


def test_specs_of_other_parameters_differ():
    specs = [
        ConvTrunk(),
        ConvTrunk((4,)),
        ConvTrunk((4,), dropout=0.0),
        ConvTrunk((4,), kernel_size=5),
        HardSharing(),
        NoSharing(),
        UnfreezeAfter(3),
        functools.partial(ConvTrunk, (4,)),
        functools.partial(ConvTrunk, (5,)),
        StandardScaler(),
        FrozenEstimator(StandardScaler()),
        FrozenEstimator(StandardScaler(with_mean=False)),
    ]
    texts = [describe(spec) for spec in specs]
    assert len(set(texts)) == len(texts)
    with sklearn.config_context(print_changed_only=False):
        assert [describe(spec) for spec in specs] == texts
    assert describe(ConvTrunk((4,))) == describe(ConvTrunk((4,), kernel_size=3))


def test_a_class_of_the_same_name_elsewhere_is_another():
    class HardSharing(sklearn.base.BaseEstimator):
        pass

    assert describe(HardSharing()) != describe(skmtl.sharing.HardSharing())
