"""Members that leave out rows in turn, and what they say of those."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import classifier, parameters_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import FunctionTransformer

import skmtl
from skmtl import MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl._estimators._training_set import _conformal_quantile
from skmtl._network import TrunkAndHeads
from skmtl.trunks import ConvTrunk


def problem(n=300, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    Y = (X @ rng.normal(size=(4, 3)) + 0.3 * rng.normal(size=(n, 3)) > 0).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def cross_fitted(n_members=4, **changes):
    settings = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.01}
    settings |= {"n_members": n_members, "oob_score": True}
    return classifier(**(settings | changes))


def left_out_by(clf, X):
    """(n, n_members): whose own prediction is the out-of-bag one of a row."""
    positions = clf.network_.columns.place(torch.from_numpy(X))
    members = [clf.network_.part([m], range(3)) for m in range(clf.network_.n_members)]
    with torch.no_grad():
        own = [member(positions).sigmoid()[0].numpy() for member in members]
    same = [np.isclose(p, clf.oob_prediction_, atol=1e-5).all(axis=1) for p in own]
    return np.column_stack(same)


@pytest.mark.parametrize("n_members", [2, 3, 4])
def test_each_row_is_predicted_by_one_member_and_each_leaves_out_its_share(n_members):
    X, Y = problem()
    clf = cross_fitted(n_members, logistic="none").fit(X, Y)
    assert clf.oob_prediction_.shape == (300, 3)
    has_label = ~np.isnan(Y).all(axis=1)
    assert not has_label.all()
    # Nobody was trained on the others.
    whole = clf.predict_proba(X[~has_label])
    assert_allclose(clf.oob_prediction_[~has_label], whole, atol=1e-6)
    is_owner = left_out_by(clf, X)[has_label]
    assert (is_owner.sum(axis=1) == 1).all()
    counts = is_owner.sum(axis=0)
    assert np.ptp(counts) <= 1


def test_oob_score_is_the_accuracy_of_the_predictions_on_observed_labels():
    X, Y = problem()
    clf = cross_fitted().fit(X, Y)
    scores = []
    for t in range(3):
        known = ~np.isnan(Y[:, t])
        predicted = clf.oob_prediction_[known, t] > 0.5
        scores.append(accuracy_score(Y[known, t], predicted))
    assert clf.oob_score_ == pytest.approx(np.mean(scores))


def test_oob_score_of_noise_is_chance_where_the_training_score_is_not():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(400, 30)), rng.integers(2, size=(400, 2)).astype(float)
    clf = cross_fitted(hidden_layer_sizes=(64,), max_iter=60).fit(X, Y)
    # Of 800 labels: four standard errors are 0.07.
    assert clf.oob_score_ == pytest.approx(0.5, abs=0.07)
    assert clf.score(X, Y) > 0.9


def test_forms_are_those_of_predict_proba():
    X, Y = problem()
    one = cross_fitted().fit(X, np.where(Y[:, 0] == 1, "yes", "no"))
    assert one.oob_prediction_.shape == one.predict_proba(X).shape == (300, 2)
    mixed = pd.DataFrame({"a": np.arange(300) % 3, "b": Y[:, 1]})
    several = cross_fitted().fit(X, mixed)
    shapes = [p.shape for p in several.oob_prediction_]
    assert shapes == [p.shape for p in several.predict_proba(X)]
    for p in several.oob_prediction_:
        known = ~np.isnan(p).any(axis=1)
        assert_allclose(p[known].sum(axis=1), 1)


def test_a_row_of_a_rare_class_is_left_out_by_nobody():
    X, Y = problem()
    Y[:, 0] = 0
    Y[:3, 0] = 1  # fewer than members
    clf = cross_fitted().fit(X, Y)
    missing = np.flatnonzero(np.isnan(clf.oob_prediction_).any(axis=1))
    assert_array_equal(missing, [0, 1, 2])


def test_no_row_is_left_out_if_most_rows_have_a_rare_class():
    X, _ = problem()
    Y = pd.DataFrame({"many": X[:, 0] > 0, "code": [f"c{i // 3}" for i in range(300)]})
    Y.loc[150:, "code"] = "other"
    clf = MultiTaskNetClassifier((8,), n_members=4, max_iter=2, oob_score=True)
    clf.fit(X, Y)
    assert np.isfinite(clf.oob_prediction_[0][:, 0]).sum() == 150
    Y.loc[150:151, "code"] = "rare"
    with pytest.warns(UserWarning, match="fewer than half of the rows"):
        clf.fit(X, Y)
    assert not hasattr(clf, "oob_prediction_")


def test_rows_of_a_numeric_task_with_few_values_are_left_out_too():
    X, _ = problem()
    Y = np.full((300, 3), np.nan)
    Y[:, 0] = X[:, 0]
    Y[:6, 1] = X[:6, 1]
    Y[10:13, 2] = X[10:13, 2]  # fewer than members
    reg = MultiTaskNetRegressor((8,), n_members=4, max_iter=2, oob_score=True)
    reg.fit(X, Y)
    missing = np.flatnonzero(np.isnan(reg.oob_prediction_).any(axis=1))
    assert_array_equal(missing, [10, 11, 12])


@pytest.mark.parametrize("weight", [0.1, 1.0, 3.0])
def test_equal_weights_give_the_rank_of_the_conformal_quantile(weight):
    for n in range(1, 200):
        rank = min(math.ceil(0.9 * (n + 1)), n)
        sizes = np.arange(1.0, n + 1)
        assert _conformal_quantile(sizes, np.full(n, weight)) == rank
        # Residuals that hardly count are as if they were not there.
        more, few = np.r_[sizes, sizes / 2], np.r_[np.ones(n), np.full(n, 1e-9)]
        assert _conformal_quantile(more, few) == rank


@pytest.mark.parametrize("weight", [0.0, 1e-9])
def test_deviations_are_those_of_the_rows_that_count(weight):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = X[:, 0] + 0.3 * rng.normal(size=400)
    y[::2] += 20 * rng.normal(size=200)
    weights = np.where(np.arange(400) % 2, 1.0, weight)
    reg = MultiTaskNetRegressor((32,), loss="gaussian", max_iter=60, random_state=0)
    mean, std = reg.fit(X, y, weights).predict(X[1::2], return_std=True)
    covered = np.abs(y[1::2] - mean) <= 1.645 * std
    assert 0.85 < covered.mean() < 1
    assert std.mean() < 1


@pytest.mark.filterwarnings("ignore:1 of 3 tasks have no observed label:UserWarning")
def test_the_score_leaves_out_tasks_that_nobody_learned():
    X, Y = problem()
    found = cross_fitted(task_weight=[1, 0, 1]).fit(X, Y)
    p = found.oob_prediction_
    rows = ~np.isnan(Y) & ~np.isnan(p)
    right = [((p[:, t] > 0.5) == Y[:, t])[rows[:, t]].mean() for t in (0, 2)]
    assert found.oob_score_ == pytest.approx(np.mean(right))


def test_deviations_of_tasks_with_few_values_cover_new_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 5))
    clean = X @ rng.normal(size=(5, 80)) / 2
    Y = clean + rng.normal(size=clean.shape)
    few = np.full((200, 80), np.nan)
    for t in range(80):
        rows = rng.choice(200, 4, replace=False)
        few[rows, t] = Y[rows, t]
    reg = MultiTaskNetRegressor((64,), loss="gaussian", max_iter=100, random_state=0)
    mean, std = reg.fit(X[:200], few).predict(X[200:], return_std=True)
    covered = (np.abs(Y[200:] - mean) <= 1.645 * std).mean(axis=0)
    # The largest of a task's own four residuals would cover 0.88 and 0.40.
    assert 0.9 < covered.mean() < 0.97
    assert np.quantile(covered, 0.02) > 0.55


@pytest.mark.parametrize("seed", range(3))
def test_an_easy_task_does_not_shrink_the_deviations_of_a_hard_one(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(1200, 5))
    easy = X @ rng.normal(size=5)
    hard = X @ rng.normal(size=5) / 2 + rng.normal(size=1200)
    Y = np.full((200, 2), np.nan)
    Y[:, 0], Y[:8, 1] = easy[:200], hard[:8]
    reg = MultiTaskNetRegressor((64,), loss="gaussian", max_iter=60, random_state=seed)
    mean, std = reg.fit(X[:200], Y).predict(X[200:], return_std=True)
    assert np.mean(np.abs(hard[200:] - mean[:, 1]) <= 1.645 * std[:, 1]) > 0.6


def squares(inverse):
    return FunctionTransformer(np.square, inverse, check_inverse=False)


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_task_with_predictions_that_cannot_be_inverted_has_no_oob_score(lost):
    X, _ = problem()
    transformer = squares(lambda z: np.sqrt(np.where(z < 0, lost**2, z)))
    Y = pd.DataFrame({"plain": X[:, 1], "root": np.sqrt(np.maximum(X[:, 0], 0))})
    settings = {"max_iter": 30, "oob_score": True, "random_state": 0}
    reg = MultiTaskNetRegressor((8,), transformer={"root": transformer}, **settings)
    with pytest.warns(UserWarning, match=r"1 of 2 tasks.*score.*\('root', \d+\)") as w:
        reg.fit(X, Y)
    n_lost = (~np.isfinite(reg.oob_prediction_[:, 1])).sum()
    assert n_lost > 0
    assert len(w) == 1
    assert f"('root', {n_lost})" in str(w[0].message)
    expected = r2_score(X[:, 1], reg.oob_prediction_[:, 0])
    assert reg.oob_score_ == pytest.approx(expected)
    with pytest.warns(UserWarning, match="1 of 1 tasks have no out-of-bag score"):
        reg.set_params(transformer=transformer).fit(X, Y["root"])
    assert np.isnan(reg.oob_score_)


def test_a_task_with_labels_that_cannot_be_inverted_has_no_oob_score():
    X, _ = problem()
    y = np.abs(X[:, 0])

    def inverse(z):  # of one label, it has no number, whatever the rounding
        return np.where(np.abs(z - y[0] ** 2) < 1e-6, np.nan, np.sqrt(np.abs(z)))

    settings = {"max_iter": 2, "oob_score": True, "random_state": 0}
    reg = MultiTaskNetRegressor((8,), transformer=squares(inverse), **settings)
    with pytest.warns(UserWarning, match=r"no out-of-bag score.*\('task_0', 1\)"):
        reg.fit(X, y)
    assert np.isfinite(reg.oob_prediction_).all()
    assert np.isnan(reg.oob_score_)


def test_numbers_near_the_largest_float_are_fitted_without_oob_score():
    X, _ = problem()
    reg = MultiTaskNetRegressor((8,), max_iter=30, oob_score=True, random_state=0)
    with pytest.warns(UserWarning, match="too large for float64"):
        reg.fit(X, np.where(X[:, 0] > 0, 1.7e308, -1.7e308))
    assert np.isnan(reg.oob_score_)


def test_auto_leaves_rows_out_with_four_members_on_tables_of_some_size():
    X, Y = problem()
    for settings, leaves_out in [
        ({"n_members": 4}, True),
        ({"n_members": 3}, False),
        ({"n_members": 4, "early_stopping": True}, False),
        ({"n_members": 4, "oob_score": False}, False),
    ]:
        clf = cross_fitted(**({"oob_score": "auto"} | settings)).fit(X, Y)
        assert hasattr(clf, "oob_score_") == leaves_out
    small = cross_fitted(oob_score="auto").fit(X[:60], Y[:60])
    assert not hasattr(small, "oob_score_")


def test_what_trains_on_forgets_what_was_out_of_bag(problem):
    X, Y = problem
    clf = cross_fitted(2).fit(X, Y)
    assert hasattr(clf, "oob_prediction_")
    clf.partial_fit(X, Y)
    assert not hasattr(clf, "oob_prediction_")
    clf = cross_fitted(2).fit(X, Y)
    assert not hasattr(clf.drop_tasks("task_0"), "oob_score_")


def test_members_with_a_trunk_of_the_user_leave_no_rows_out_by_themselves():
    X, Y = problem()
    clf = classifier(trunk=ConvTrunk((4,)), n_members=4, max_iter=1)
    clf.fit(X.reshape(300, 1, 2, 2), Y)
    assert not hasattr(clf, "oob_score_")


class OwnNetwork(TrunkAndHeads):
    """A network of the user's own, which cannot be divided into its members."""


class OwnSharing(BaseEstimator):
    def build(self, architecture, generator):
        return OwnNetwork(architecture, 1, generator)


def test_members_of_a_network_of_the_user_leave_no_rows_out():
    X, Y = problem()
    settings = {"sharing": OwnSharing(), "n_members": 4, "max_iter": 1}
    clf = classifier(**settings).fit(X, Y)
    assert not hasattr(clf, "oob_score_")
    other = classifier(**settings, oob_score=False).fit(X, Y)
    assert_array_equal(clf.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize(
    "changes",
    [{"n_members": 1}, {"trunk": ConvTrunk((4,))}, {"sharing": OwnSharing()}],
)
def test_what_cannot_leave_rows_out_says_so(changes):
    X, Y = problem()
    X = X.reshape(300, 1, 2, 2) if "trunk" in changes else X
    with pytest.raises(ValueError, match="oob_score=True needs at least two members"):
        cross_fitted(**changes).fit(X, Y)


def test_saved_and_loaded_and_cloned(tmp_path):
    X, Y = problem()
    clf = cross_fitted().fit(X, Y)
    skmtl.save(clf, tmp_path / "model.safetensors")
    loaded = skmtl.load(tmp_path / "model.safetensors")
    assert_array_equal(loaded.oob_prediction_, clf.oob_prediction_)
    assert loaded.oob_score_ == clf.oob_score_
    assert clone(clf).oob_score is True


def test_the_same_seed_leaves_out_the_same_rows():
    X, Y = problem()
    one, other = (
        MultiTaskNetClassifier((16,), max_iter=3, random_state=1).fit(X, Y)
        for _ in range(2)
    )
    assert_array_equal(one.oob_prediction_, other.oob_prediction_)
    for a, b in zip(parameters_of(one), parameters_of(other), strict=True):
        assert_array_equal(a, b)


def test_more_members_than_labels_of_a_class_leave_out_nothing_and_say_so(problem):
    with pytest.warns(UserWarning, match="Use fewer members"):
        clf = cross_fitted(60, max_iter=1).fit(*problem)
    assert not hasattr(clf, "oob_score_")


def test_many_members_each_leave_out_their_share():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 2)), np.arange(600) % 2
    clf = cross_fitted(200, hidden_layer_sizes=(2,), max_iter=1).fit(X, y)
    assert not np.isnan(clf.oob_prediction_).any()


def table_with_rare_class(n_rows, n_rare):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 2))
    return X, (np.arange(n_rows) < n_rare)[:, np.newaxis]


# 5,200 rows, 249 of them positive, carry 999.6 nats, and 250 of them 1,002.6.
@pytest.mark.parametrize(
    ("n_rows", "n_rare", "is_sparse", "n_members"),
    [
        (5_000, 60, False, 4),
        (5_200, 249, False, 4),
        (5_200, 250, False, 1),
        (5_200, 60, True, 2),
        (29_999, 60, False, 4),
        (30_000, 60, False, 2),
    ],
)
def test_many_dense_rows_of_rare_classes_are_left_out_in_turn(
    n_rows, n_rare, is_sparse, n_members
):
    X, Y = table_with_rare_class(n_rows, n_rare)
    settings = {"hidden_layer_sizes": (4,), "max_iter": 1, "input_encoding": "none"}
    X = sparse.csr_array(X) if is_sparse else X
    clf = MultiTaskNetClassifier(**settings).fit(X, Y)
    assert clf.network_.n_members == n_members
    assert hasattr(clf, "oob_score_") == (n_members == 4)


@pytest.mark.parametrize("n_rare", [60, 180])
def test_separate_networks_have_as_many_members_as_a_joint_one(n_rare):
    X, y = table_with_rare_class(5_200, n_rare)
    Y = np.column_stack([y, np.roll(y, 200)])
    settings = {"hidden_layer_sizes": (4,), "max_iter": 1}
    joint, separate = (
        MultiTaskNetClassifier(sharing=sharing, **settings).fit(X, Y)
        for sharing in ("hard", "none")
    )
    assert joint.network_.n_members == (4 if n_rare == 60 else 1)
    assert separate.network_.n_members == joint.network_.n_members


@pytest.mark.parametrize(
    "settings",
    [
        {"early_stopping": True},
        {"oob_score": False},
        {"trunk": torch.nn.Linear(2, 4)},
    ],
    ids=["early stopping", "no oob_score", "trunk"],
)
def test_many_rows_of_rare_classes_have_one_member_if_none_can_be_left_out(settings):
    X, Y = table_with_rare_class(6_000, 60)
    given = {"hidden_layer_sizes": (4,), "max_iter": 1} | settings
    assert MultiTaskNetClassifier(**given).fit(X, Y).network_.n_members == 1


def test_many_rows_of_rare_classes_have_one_member_in_partial_fit():
    X, Y = table_with_rare_class(5_200, 60)
    clf = MultiTaskNetClassifier((4,), max_iter=1)
    assert clf.partial_fit(X, Y).network_.n_members == 1


def test_gaussian_losses_have_four_members_on_more_rows():
    X, _ = table_with_rare_class(5_200, 60)
    reg = MultiTaskNetRegressor((4,), loss="gaussian", max_iter=1)
    assert reg.fit(X, X).network_.n_members == 4


def test_many_rows_have_four_members_if_some_are_to_be_left_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5_200, 2))
    Y = (X > 0).astype(float)
    clf = MultiTaskNetClassifier((4,), max_iter=1, random_state=0)
    assert clf.fit(X, Y).network_.n_members == 1
    clf.set_params(oob_score=True).fit(X, Y)
    assert clf.network_.n_members == 4
    assert np.isfinite(clf.oob_prediction_).all()
