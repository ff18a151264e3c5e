"""Many tasks, rare labels, mapped files and steps that are too long."""

import warnings

import numpy as np
import pytest
from _estimators import classifier
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.metrics import roc_auc_score


def test_ten_thousand_tasks():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4))
    Y = np.where(rng.random((50, 10_000)) < 0.9, np.nan, X[:, [0]] > 0)
    is_positive = X[:, 0] > 0
    for row in (is_positive.argmax(), is_positive.argmin()):  # no task without labels
        Y[row] = is_positive[row]
    clf = classifier(hidden_layer_sizes=(8,), max_iter=80, learning_rate_init=0.02)
    p = clf.fit(X, Y).predict_proba(X)
    assert p.shape == Y.shape
    assert np.isfinite(p).all()
    assert roc_auc_score(is_positive, p.mean(axis=1)) > 0.95


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_one_positive_of_a_hundred_thousand(solver):
    """Probabilities near the frequency, and no harm to the task beside it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 3)).astype(np.float32)
    y = np.zeros((100_000, 2))
    y[77, 0] = 1
    y[:, 1] = X[:, 1] > 0
    clf = classifier(hidden_layer_sizes=(8,), solver=solver, max_iter=5, alpha="auto")
    clf.set_params(learning_rate_init="auto")
    p = clf.fit(X, y).predict_proba(X)
    assert np.isfinite(p).all()
    assert p[:, 0].max() < 0.05
    assert roc_auc_score(y[:, 1], p[:, 1]) > 0.99


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("step", [1e4, 1e20, 1e38])
def test_a_step_that_is_too_long_is_a_clear_error_or_a_sane_model(
    problem, solver, step
):
    X, Y = problem
    clf = classifier(solver=solver, learning_rate_init=step, max_iter=5)
    try:
        clf.fit(X, Y)
    except ValueError as error:
        assert "lower learning_rate_init" in str(error)  # noqa: PT017
        assert not hasattr(clf, "network_")
    else:
        p = clf.predict_proba(X)
        assert ((p >= 0) & (p <= 1)).all()


def test_a_mapped_file_is_read_and_not_written(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 6)).astype(np.float32)
    Y = np.where(rng.random((500, 3)) < 0.3, np.nan, X[:, :3] > 0)
    mapped = np.memmap(tmp_path / "X", np.float32, "w+", shape=X.shape)
    mapped[:] = X
    mapped.flush()
    read_only = np.memmap(tmp_path / "X", np.float32, "r", shape=X.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = classifier(max_iter=2).fit(read_only, Y).predict_proba(read_only)
    assert_array_equal(p, classifier(max_iter=2).fit(X, Y).predict_proba(X))
    assert_array_equal(read_only, X)


def test_inputs_that_say_nothing_leave_the_frequencies():
    """A sparse matrix without entries, and columns that do not vary."""
    y = np.array([0, 1, 1, 1] * 10)
    for X in (sparse.csr_array((40, 3)), np.ones((40, 3))):
        p = classifier(max_iter=60, learning_rate_init=0.05).fit(X, y).predict_proba(X)
        assert np.allclose(p, p[0])
        assert abs(p[0, 1] - 0.75) < 0.05
