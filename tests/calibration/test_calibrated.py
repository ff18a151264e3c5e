"""MultiTaskCalibratedClassifierCV: probabilities that come true."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from skmtl import MultiTaskNet, MultiTaskNetClassifier
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.metrics import multitask_score
from skmtl.model_selection import (
    MultiTaskStratifiedKFold,
    MultiTaskTunedThresholdClassifierCV,
)

METHODS = ["sigmoid", "isotonic", "temperature"]


class TooSure(ClassifierMixin, BaseEstimator):
    """Says three times the log odds that are in the columns of X, and one too many."""

    def fit(self, X, y):
        self.classes_ = [np.array([0, 1])] * np.shape(X)[1]
        return self

    def predict_proba(self, X):
        p = expit(3 * np.asarray(X) + 1)
        return [np.column_stack([1 - q, q]) for q in p.T]

    def predict(self, X):
        return (np.asarray(X) > 0).astype(int)


@pytest.fixture
def honest():
    """Log odds (1500, 2), and labels drawn with them, a third of them missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 2))
    Y = (rng.random(X.shape) < expit(X)).astype(float)
    Y[rng.random(Y.shape) < 1 / 3] = np.nan
    return X, Y


def network(**params):
    return MultiTaskNetClassifier((8,), **{"random_state": 0, "max_iter": 5} | params)


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_come_true(honest, method):
    X, Y = honest
    before = FrozenEstimator(TooSure().fit(X, Y))
    calibrated = MultiTaskCalibratedClassifierCV(before, method=method)
    calibrated.fit(X[:1000], Y[:1000])
    truth = [np.column_stack([1 - p, p]) for p in expit(X[1000:]).T]
    losses = [
        multitask_score("neg_brier_score", Y[1000:], p)
        for p in (
            before.predict_proba(X[1000:]),
            calibrated.predict_proba(X[1000:]),
            truth,
        )
    ]
    gained = (losses[1] - losses[0]) / (losses[2] - losses[0])
    # A temperature has no intercept, and any rising function has a lot to learn.
    assert gained > {"sigmoid": 0.95, "isotonic": 0.75, "temperature": 0.4}[method]


def test_a_temperature_is_not_fitted_if_every_label_is_the_most_probable(honest):
    X, Y = honest
    right = np.where(Y == 1, 1.0, -1.0)  # log odds whose sign is that of the label
    right[:10, 1] *= -1
    before = FrozenEstimator(TooSure().fit(right, Y))
    calibrated = MultiTaskCalibratedClassifierCV(before, method="temperature")
    with pytest.warns(
        UserWarning, match=r"probable class is wrong\), but \['task_0'\]"
    ):
        calibrated.fit(right, Y)
    p, given = calibrated.predict_proba(X), before.predict_proba(X)
    assert_allclose(p[0], given[0], rtol=1e-12)
    assert not np.allclose(p[1], given[1])


def test_sigmoid_undoes_a_line_of_the_log_odds(honest):
    X, Y = honest
    calibrated = MultiTaskCalibratedClassifierCV(FrozenEstimator(TooSure().fit(X, Y)))
    calibrated.fit(X, Y)
    for t, p in enumerate(calibrated.predict_proba(X)):
        inside = np.abs(X[:, t]) < 2
        difference = logit(p[inside, 1]) - X[inside, t]
        assert np.abs(difference).max() < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_one_complete_task_equals_scikit_learn(honest, method):
    X, Y = honest
    rows = np.isfinite(Y[:, 0])
    X, y = X[rows], Y[rows, 0].astype(int)
    # It has a decision function, the log odds.
    frozen = FrozenEstimator(LogisticRegression().fit(X[:200], y[:200]))
    X, y = X[200:] + 0.5, y[200:]
    stock = CalibratedClassifierCV(frozen, method=method, ensemble=False).fit(X, y)
    ours = MultiTaskCalibratedClassifierCV(frozen, method=method).fit(X, y)
    np.testing.assert_allclose(
        ours.predict_proba(X), stock.predict_proba(X), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(ours.classes_, stock.classes_)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ensemble", [False, True])
def test_missing_labels_and_classes_of_all_kinds(mixed_problem, method, ensemble):
    X, Y = mixed_problem
    X, Y = np.tile(X, (2, 1)), np.tile(Y, (2, 1))
    clf = network(n_members=1)
    calibrated = MultiTaskCalibratedClassifierCV(
        clf, method=method, ensemble=ensemble, cv=2
    ).fit(X, Y)
    probabilities = calibrated.predict_proba(X)
    for p, classes in zip(probabilities, calibrated.classes_, strict=True):
        assert p.shape == (160, len(classes))
        assert (p >= 0).all()
        np.testing.assert_allclose(p.sum(axis=1), 1)
    labels = calibrated.predict(X)
    for t, classes in enumerate(calibrated.classes_):
        assert (
            labels[:, t].tolist() == classes[probabilities[t].argmax(axis=1)].tolist()
        )
    for logs, p in zip(calibrated.predict_log_proba(X), probabilities, strict=True):
        np.testing.assert_allclose(np.exp(logs), p)
    assert len(calibrated.calibrated_classifiers_) == (2 if ensemble else 1)
    assert 0 <= calibrated.score(X, Y) <= 1


def test_one_task_does_not_change_another(honest):
    X, Y = honest
    frozen = FrozenEstimator(TooSure().fit(X, Y))
    both = MultiTaskCalibratedClassifierCV(frozen).fit(X, Y)
    other = Y.copy()
    other[:, 1] = np.where(np.arange(1500) % 2, 1 - Y[:, 1], np.nan)
    changed = clone(both).fit(X, other)
    first, again = (clf.predict_proba(X) for clf in (both, changed))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[1] != again[1]).any()


def test_the_default_network_costs_one_fit(honest):
    X, Y = honest

    class Recording(MultiTaskNetClassifier):
        n_fits = 0

        def fit(self, X, y, sample_weight=None):
            type(self).n_fits += 1
            return super().fit(X, y, sample_weight)

    clf = Recording((8,), max_iter=2, random_state=0)
    calibrated = MultiTaskCalibratedClassifierCV(clf).fit(X[:300], Y[:300])
    assert Recording.n_fits == 1
    tuned = MultiTaskTunedThresholdClassifierCV(calibrated).fit(X[:300], Y[:300])
    assert Recording.n_fits == 2
    p = tuned.predict_proba(X)
    np.testing.assert_array_equal(p, tuned.estimator_.predict_proba(X))
    labels = p >= list(tuned.best_thresholds_.values())
    np.testing.assert_array_equal(tuned.predict(X), labels.astype(int))
    clone(calibrated).set_params(cv=3).fit(X[:300], Y[:300])
    assert Recording.n_fits == 6


@pytest.mark.parametrize("method", METHODS)
def test_thresholds_around_it_if_some_rows_have_no_out_of_bag_prediction(
    honest, method
):
    X, Y = honest
    # No member leaves out the rows of a class with fewer labels than members.
    rare = np.where(np.arange(len(X)) < 3, 1.0, 0.0)
    Y = pd.DataFrame({"own": Y[:, 0], "rare": rare})
    net = MultiTaskNetClassifier((8,), max_iter=5, random_state=0)
    tuner = MultiTaskTunedThresholdClassifierCV
    with pytest.warns(UserWarning, match=r"\['rare'\] do not"):
        alone = tuner(net, scoring="f1").fit(X, Y)
    calibrated = MultiTaskCalibratedClassifierCV(net, method=method)
    with pytest.warns(UserWarning, match=r"\['rare'\]"):
        tuned = tuner(calibrated, scoring="f1").fit(X, Y)
    assert np.isnan(alone.best_thresholds_["rare"])
    assert np.isnan(tuned.best_thresholds_["rare"])
    # An increasing map of the probabilities leads to the same decisions.
    decided = tuned.predict(X), alone.predict(X)
    assert np.mean(decided[0][:, 0] == decided[1][:, 0]) > 0.95


def test_an_ensemble_is_the_mean_of_its_folds(honest):
    X, Y = honest
    X, Y = X[:400], Y[:400]
    clf, cv = network(n_members=1), KFold(2)
    calibrated = MultiTaskCalibratedClassifierCV(clf, ensemble=True, cv=cv).fit(X, Y)
    by_fold = []
    for train, test in cv.split(X):
        fitted = FrozenEstimator(clone(clf).fit(X[train], Y[train]))
        alone = MultiTaskCalibratedClassifierCV(fitted).fit(X[test], Y[test])
        by_fold.append(alone.predict_proba(X))
    np.testing.assert_allclose(calibrated.predict_proba(X), np.mean(by_fold, axis=0))


def test_a_task_with_too_few_labels_stays_as_it_is(honest):
    X, Y = honest
    Y = pd.DataFrame(Y, columns=["enough", "few"])
    Y.loc[Y.index[Y["few"] == 1][4:], "few"] = np.nan
    frozen = FrozenEstimator(TooSure().fit(X, Y))
    with pytest.warns(UserWarning, match=r"5 out-of-fold.*\['few'\] do not"):
        calibrated = MultiTaskCalibratedClassifierCV(frozen).fit(X, Y)
    before, after = frozen.predict_proba(X), calibrated.predict_proba(X)
    np.testing.assert_array_equal(before[1], after[1])
    assert (before[0] != after[0]).any()


def test_numbers_stay_as_they_are():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    Y = pd.DataFrame({"class": X[:, 0] > 0, "number": X[:, 1] * 3.5})
    Y = Y.mask(rng.random(Y.shape) < 0.2)
    net = MultiTaskNet((8,), max_iter=5, random_state=0)
    calibrated = MultiTaskCalibratedClassifierCV(net).fit(X, Y)
    before = calibrated.calibrated_classifiers_[0].estimator
    assert calibrated.predict_proba(X)[1] is None
    np.testing.assert_array_equal(
        calibrated.predict(X)[:, 1].astype(float), before.predict(X)[:, 1].astype(float)
    )


def test_weights_of_labels_count_as_often(honest):
    X, Y = honest
    frozen = FrozenEstimator(TooSure().fit(X, Y))
    weights = np.random.default_rng(0).integers(0, 3, len(Y))
    calibrated = MultiTaskCalibratedClassifierCV(frozen, method="isotonic")
    weighted = clone(calibrated).fit(X, Y, sample_weight=weights)
    repeated = clone(calibrated).fit(
        X.repeat(weights, axis=0), Y.repeat(weights, axis=0)
    )
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-9
    )


def test_in_the_form_of_the_estimator(problem):
    X, Y = problem
    X, Y = np.tile(X, (3, 1)), np.tile(Y, (3, 1))
    table = MultiTaskCalibratedClassifierCV(network()).fit(X, Y)
    assert table.predict_proba(X).shape == (180, 3)
    one = MultiTaskCalibratedClassifierCV(network()).fit(X, Y[:, 0])
    assert one.predict_proba(X).shape == (180, 2)
    assert one.predict(X).shape == (180,)
    complete = np.nan_to_num(Y).astype(int)
    forest = MultiTaskCalibratedClassifierCV(
        RandomForestClassifier(5, random_state=0), cv=MultiTaskStratifiedKFold(2)
    ).fit(X, complete)
    assert [p.shape for p in forest.predict_proba(X)] == [(180, 2)] * 3


# Folds that lack something ----------------------------------------------------------


@pytest.mark.parametrize("row", [0, 199])
@pytest.mark.filterwarnings("ignore:.*(fewer labels|To be calibrated|of one class)")
def test_a_fold_may_lack_a_class(row):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    Y = (X > 0).astype(int)
    Y[row, 0] = 2
    calibrated = MultiTaskCalibratedClassifierCV(
        network(n_members=1), ensemble=True, cv=KFold(5)
    ).fit(X, Y)
    assert [p.shape[1] for p in calibrated.predict_proba(X)] == [3, 2]
    assert [len(classes) for classes in calibrated.classes_] == [3, 2]


@pytest.mark.filterwarnings(
    "ignore:.*(no observed label|To be calibrated|of one class)"
)
def test_a_fold_that_lacks_a_task_has_no_voice():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2))
    Y = pd.DataFrame(np.where(X > 0, "yes", "no"), columns=["a", "b"])
    Y.loc[:99, "b"] = None  # of the last third alone
    Y.loc[99, "b"] = "no"
    clf = network(n_members=1, max_iter=30)
    calibrated = MultiTaskCalibratedClassifierCV(
        clf,
        ensemble=True,
        cv=[(np.arange(90), np.arange(90, 150)), (np.arange(60, 150), np.arange(60))],
    ).fit(X, Y)
    alone = clone(clf).fit(X[60:], Y[60:])
    np.testing.assert_array_equal(
        calibrated.predict_proba(X)[:, 1], alone.predict_proba(X)[:, 1]
    )
