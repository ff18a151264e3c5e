import itertools

import numpy as np
import pytest
from _estimators import assert_same_parameters, classifier
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning


def test_early_stopping_keeps_the_best_epoch():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 20))
    Y = (X[:, :3] + rng.normal(size=(200, 3)) > 0).astype(float)
    Y[rng.random(Y.shape) < 0.5] = np.nan
    settings = {
        "early_stopping": True,
        "learning_rate": "constant",
        "learning_rate_init": 0.01,
        "n_iter_no_change": 5,
        "validation_fraction": 0.3,
    }
    clf = classifier(max_iter=200, **settings).fit(X, Y)
    scores = clf.validation_scores_
    best = int(np.argmax(scores))
    assert clf.best_validation_score_ == scores[best]
    assert clf.best_loss_ is None
    assert clf.n_iter_ == len(scores) < 200
    assert best < clf.n_iter_ - 1
    with pytest.warns(ConvergenceWarning):
        until_best = classifier(max_iter=best + 1, **settings).fit(X, Y)
    assert_same_parameters(clf, until_best)


def test_early_stopping_names_tasks_that_it_cannot_validate(problem):
    X, Y = problem
    Y[1:, 2] = np.nan
    Y[0, 2] = 1
    with (
        pytest.warns(UserWarning, match=r"1 of 3 tasks have too few.*'task_2'"),
        pytest.warns(UserWarning, match="one class only"),
    ):
        classifier(early_stopping=True).fit(X, Y)
    with (
        pytest.warns(UserWarning, match="one class only"),
        pytest.raises(ValueError, match="0 labelled rows were held out and 1 "),
    ):
        classifier(early_stopping=True).fit(X[:1], np.array([[1.0]]))


ONE_SIDED = "labels of positive weight on both sides of the split"


def test_early_stopping_needs_labels_of_a_main_task_on_both_sides(problem):
    X, Y = problem
    Y[1:, 2] = np.nan
    Y[0, 2] = 1
    with (
        pytest.warns(UserWarning, match="one class only"),
        pytest.raises(ValueError, match=f"{ONE_SIDED} for main_tasks"),
    ):
        classifier(early_stopping=True, main_tasks="task_2").fit(X, Y)


@pytest.mark.filterwarnings("ignore:.*(no observed label|one class only)")
@pytest.mark.parametrize(
    "weights",
    [
        {"task_weight": {"task_0": 0, "task_1": 0}},
        {"class_weight": {t: {0: 0, 1: 0} for t in ("task_0", "task_1")}},
    ],
)
def test_early_stopping_needs_labels_whose_task_and_class_count(problem, weights):
    X, Y = problem
    Y[1:, 2] = np.nan
    Y[0, 2] = 1
    with pytest.raises(ValueError, match=ONE_SIDED):
        classifier(early_stopping=True, **weights).fit(X, Y)


def test_early_stopping_says_nothing_more_of_a_task_without_labels(problem):
    X, Y = problem
    Y[:, 2] = np.nan
    with pytest.warns(UserWarning, match="no observed label") as caught:
        classifier(early_stopping=True).fit(X, Y)
    assert len(caught) == 1


@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_scores_of_each_task_and_epoch(problem, sharing):
    clf = classifier(early_stopping=True, sharing=sharing).fit(*problem)
    by_task = clf.task_validation_scores_
    assert by_task.shape == (len(clf.validation_scores_), 3)
    assert_allclose(by_task.mean(axis=1), clf.validation_scores_)
    own = (
        by_task.max(axis=0).mean() if sharing == "none" else by_task.mean(axis=1).max()
    )
    assert clf.best_validation_score_ == pytest.approx(own)
    untrained = classifier(early_stopping=True, max_iter=0).fit(*problem)
    assert untrained.task_validation_scores_.shape == (0, 3)
    assert untrained.best_validation_score_ == -np.inf
    assert classifier(max_iter=1).fit(*problem).task_validation_scores_ is None


@pytest.mark.parametrize("fraction", [0.1, 0.4])
def test_the_fraction_asked_for_is_held_out(problem, monkeypatch, fraction):
    sizes = []

    def record(network, pieces, world):
        ((data, index, _),) = pieces
        sizes.append(len(index))
        return np.zeros(data.codes.shape[1])

    monkeypatch.setattr("skmtl._training._loop.mean_task_losses", record)
    X, Y = problem
    n_rows = (~np.isnan(Y)).any(axis=1).sum()
    classifier(early_stopping=True, validation_fraction=fraction, max_iter=1).fit(X, Y)
    assert sizes == [int(np.ceil(fraction * n_rows))]


def test_a_task_of_measurements_is_doubted_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    Y = np.full((40, 3), np.nan)
    Y[:, 0] = rng.integers(0, 2, size=40)
    Y[:22, 1] = np.arange(22) % 12  # 12 classes of 22 labels
    Y[:22, 2] = np.arange(22) % 11
    clf = classifier(max_iter=1)
    message = r"\['task_1'\]: \[12\] classes.*use MultiTaskNetRegressor"
    with pytest.warns(UserWarning, match=message):
        clf.fit(X, Y)
    clf.fit(X[:20], Y[:20])  # too few labels to say so
    clf.partial_fit(X, Y)
    classifier().partial_fit(X, Y, classes=[[0, 1], range(12), range(11)])


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("encoding", ["piecewise", "none"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_label_of_weight_zero_is_as_missing(
    problem, solver, encoding, early_stopping
):
    X, Y = problem
    weight = np.random.default_rng(0).integers(0, 3, Y.shape).astype(float)
    settings = {
        "solver": solver,
        "alpha": "auto",
        "input_encoding": encoding,
        "early_stopping": early_stopping,
    }
    weighted = classifier(**settings).fit(X, Y, sample_weight=weight)
    observed = np.where(weight > 0, Y, np.nan)
    without = classifier(**settings).fit(X, observed, np.maximum(weight, 1))
    assert_same_parameters(weighted, without)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_order_of_sparse_entries_does_not_matter(problem, method):
    """In which dropout draws; nor whether a number is in one piece."""
    dense, Y = problem
    X = sparse.csr_array(np.where(dense > 0, dense, 0))
    flipped = X[:, ::-1][:, ::-1]
    backwards = sparse.csr_array((X.data, X.indices, X.indptr), X.shape, copy=True)
    for start, end in itertools.pairwise(X.indptr):
        backwards.data[start:end] = X.data[start:end][::-1]
        backwards.indices[start:end] = X.indices[start:end][::-1]
    halves = sparse.csr_array(
        (np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr), X.shape
    )
    settings = {"input_dropout": 0.4, "max_iter": 3}
    expected = getattr(classifier(**settings), method)(X, Y)
    for other in (flipped, backwards, halves):
        given = other.data.copy()
        found = getattr(classifier(**settings), method)(other, Y)
        assert_same_parameters(found, expected)
        assert_array_equal(other.data, given)  # which is left as it was
