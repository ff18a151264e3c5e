"""The logistic part of classes: logistic regressions beside the network."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import AtEpoch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import PredefinedSplit, cross_val_predict

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl._estimators import _fit_logistic, _trainable
from skmtl._files import read_file, write_file
from skmtl._network import SparseRows
from skmtl._outputs import Binary, Labels, Multiclass
from skmtl._rows import Rows
from skmtl._training import Inputs, fit_logistic

SETTINGS = {"hidden_layer_sizes": (16,), "max_iter": 20, "random_state": 0}


def classifier(**changes):
    return MultiTaskNetClassifier(**(SETTINGS | changes))


def linear_problem(n=200, n_classes=2, seed=0):
    """Classes that follow noisy sums of many columns; a third of the labels missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 20))
    z = X @ rng.normal(size=(20, 3)) / 2 + rng.logistic(size=(n, 3))
    cuts = np.linspace(0, 1, n_classes + 1)[1:-1]
    Y = np.column_stack([np.searchsorted(np.quantile(c, cuts), c) for c in z.T]) * 1.0
    Y[rng.random(Y.shape) < 1 / 3] = np.nan
    return X, Y


def network_alone(fitted):
    """The same estimator without its logistic part."""
    alone = pickle.loads(pickle.dumps(fitted))
    alone.network_.logistic_part = None
    return alone


# The regressions ----------------------------------------------------------------------


def labels_of(codes, kind, weights=None):
    """Labels of tasks of one kind, as the loss reads them."""
    codes = torch.as_tensor(codes)
    weights = torch.ones(codes.shape) if weights is None else torch.as_tensor(weights)
    weights = weights * (codes >= 0)
    if isinstance(kind, Binary):
        targets = (codes == 1).float()
        return Labels(targets, weights, -weights * targets)
    is_class = codes.unsqueeze(2) == torch.arange(kind.n_classes)
    pull = -weights.unsqueeze(2) * is_class
    return Labels(is_class.float().flatten(1), weights, pull.flatten(1))


def problem(kind, n=120, n_tasks=2, seed=0):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 4)).astype(np.float32))
    codes = rng.integers(-1, kind.n_classes, size=(n, n_tasks))
    noisy = x[:, 0].numpy() + rng.logistic(size=n) > 0
    codes[:, 0] = np.where(codes[:, 0] < 0, -1, noisy)
    fold = torch.from_numpy(rng.integers(-1, 4, size=n))
    return x, codes, fold


every_kind = pytest.mark.parametrize("kind", [Binary(), Multiclass(3)], ids=str)


@every_kind
def test_with_much_data_they_are_those_of_scikit_learn(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3)).astype(np.float32)
    z = x @ rng.normal(size=(3, kind.n_classes)) + rng.gumbel(size=(4000, 1))
    z += rng.gumbel(size=z.shape)
    codes = z.argmax(axis=1)
    fold = np.arange(4000) % 4
    labels = labels_of(codes[:, None], kind)
    inputs = Inputs.of(torch.from_numpy(x), 3)
    found = fit_logistic(inputs, labels, kind, torch.from_numpy(fold))
    expected = cross_val_predict(
        LogisticRegression(C=np.inf),
        x,
        codes,
        cv=PredefinedSplit(fold),
        method="predict_proba",
    )
    p = kind.probabilities(found.left_out.unsqueeze(0))[0, :, 0].numpy()
    assert_allclose(p, expected, atol=0.02)
    lines = inputs.lines(found.coefficients)
    p = kind.probabilities(lines.unsqueeze(0))[0, :, 0].numpy()
    assert_allclose(p, expected, atol=0.05)


def test_left_out_rows_are_not_fitted():
    x, codes, fold = problem(Binary(), n=400)
    inputs = Inputs.of(x, 4)
    before = fit_logistic(inputs, labels_of(codes, Binary()), Binary(), fold)
    is_own = fold.numpy() == 1
    row = np.flatnonzero(is_own & (codes[:, 0] >= 0))[0]
    codes[row, 0] = 1 - codes[row, 0]
    after = fit_logistic(inputs, labels_of(codes, Binary()), Binary(), fold)
    assert torch.equal(after.left_out[is_own], before.left_out[is_own])
    is_other = (fold.numpy() >= 0) & ~is_own
    assert (after.left_out[is_other, 0] != before.left_out[is_other, 0]).all()


@every_kind
def test_rows_without_labels_do_not_count(kind):
    x, codes, fold = problem(kind)
    found = fit_logistic(Inputs.of(x, 4), labels_of(codes, kind), kind, fold)
    more = torch.cat([x, 100 * x])
    codes = np.concatenate([codes, np.full_like(codes, -1)])
    same = fit_logistic(
        Inputs.of(more, 4), labels_of(codes, kind), kind, torch.cat([fold, fold])
    )
    assert_allclose(same.coefficients, found.coefficients, rtol=1e-4, atol=1e-5)


@every_kind
def test_weights_of_two_are_doubled_rows(kind):
    x, codes, fold = problem(kind)
    twice = fit_logistic(
        Inputs.of(torch.cat([x, x]), 4),
        labels_of(np.concatenate([codes, codes]), kind),
        kind,
        torch.cat([fold, fold]),
    )
    labels = labels_of(codes, kind, np.full(codes.shape, 2.0, dtype=np.float32))
    heavy = fit_logistic(Inputs.of(x, 4), labels, kind, fold)
    assert_allclose(heavy.coefficients, twice.coefficients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-27, 1e-6, 1e18])
@every_kind
def test_the_scale_of_weights_does_not_matter(kind, scale):
    x, codes, fold = problem(kind)
    found = fit_logistic(Inputs.of(x, 4), labels_of(codes, kind), kind, fold)
    scaled = labels_of(codes, kind, np.full(codes.shape, scale, dtype=np.float32))
    same = fit_logistic(Inputs.of(x, 4), scaled, kind, fold)
    assert_allclose(same.coefficients, found.coefficients, rtol=1e-3, atol=1e-4)


@every_kind
def test_sparse_rows_give_the_same(kind):
    x, codes, fold = problem(kind)
    x[x.abs() < 0.7] = 0
    rows = sparse.csr_array(x.numpy())
    parts = [torch.from_numpy(p) for p in (rows.indices, rows.indptr, rows.data)]
    labels = labels_of(codes, kind)
    found = fit_logistic(Inputs.of(SparseRows(*parts), 4), labels, kind, fold)
    dense = fit_logistic(Inputs.of(x, 4), labels, kind, fold)
    assert_allclose(found.coefficients, dense.coefficients, rtol=1e-3, atol=1e-4)
    assert_allclose(found.left_out, dense.left_out, rtol=1e-3, atol=1e-4)


# The average --------------------------------------------------------------------------


def standardised(X, Y):
    """By the rows with a label."""
    labelled = X[~np.isnan(Y).all(axis=1)]
    return (X - labelled.mean(axis=0)) / labelled.std(axis=0)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_members", [4, 6])
def test_probabilities_are_the_average_with_logistic_regressions(n_classes, n_members):
    X, Y = linear_problem(n_classes=n_classes)
    clf = classifier(n_members=n_members, oob_score=True).fit(X, Y)
    share, part = clf.logistic_share_, clf.network_.logistic_part
    assert 0 < share <= 0.75
    z = standardised(X, Y) @ part.weight.numpy() + part.bias.numpy()
    own, found = network_alone(clf).predict_proba(X), clf.predict_proba(X)
    if n_classes == 2:
        assert_allclose(found, (1 - share) * own + share * expit(z), atol=1e-6)
        return
    for t, line in enumerate(np.split(z, 3, axis=1)):
        p = (1 - share) * own[t] + share * softmax(line, axis=1)
        assert_allclose(found[t], p, atol=1e-6)
        assert_allclose(found[t].sum(axis=1), 1, rtol=1e-12)


def test_all_predictions_are_those_of_the_average():
    X, Y = linear_problem(n_classes=3)
    clf = classifier().fit(X, Y)
    p = clf.predict_proba(X)
    assert clf.logistic_share_ > 0
    assert_array_equal(clf.predict(X), np.stack([part.argmax(axis=1) for part in p], 1))
    for one, other in zip(clf.predict_log_proba(X), p, strict=True):
        assert_allclose(np.exp(one), other, rtol=1e-6)
    # The features of the trunk are the network's alone.
    assert_array_equal(clf.transform(X), network_alone(clf).transform(X))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_helps_where_classes_are_linear_and_labels_are_few(n_classes):
    X, Y = linear_problem(1200, n_classes)
    (X, new), (Y, truth) = np.split(X, [200]), np.split(Y, [200])
    losses = []
    for logistic in ("auto", "none"):
        clf = classifier(logistic=logistic, max_iter="auto").fit(X, Y)
        p = clf.predict_proba(new)
        p = p.T if n_classes == 2 else p
        observed = [~np.isnan(y) for y in truth.T]
        pairs = zip(truth.T, p, observed, strict=True)
        losses.append(np.mean([log_loss(y[is_], own[is_]) for y, own, is_ in pairs]))
    assert losses[0] < losses[1]
    assert clf.logistic_share_ == 0


def test_it_is_left_out_where_nothing_is_linear():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(400, 2))
    Y = np.column_stack([np.abs(X[:, 0]) > 0.5, np.abs(X[:, 1]) > 0.4]) * 1.0
    settings = {"hidden_layer_sizes": (64,), "max_iter": "auto"}
    clf = classifier(**settings).fit(X, Y)
    assert clf.logistic_share_ == 0
    assert clf.network_.logistic_part is None
    without = classifier(**settings, logistic="none").fit(X, Y)
    assert_array_equal(clf.predict_proba(X), without.predict_proba(X))


@pytest.mark.parametrize(
    "settings",
    [{"n_members": 1}, {"oob_score": False}, {"early_stopping": True}],
    ids=str,
)
def test_it_needs_rows_that_were_left_out(settings):
    assert classifier(**settings).fit(*linear_problem()).logistic_share_ == 0


def sparse_problem(n=5_600, seed=0):
    """Classes that follow sums of many sparse columns; half of the labels missing."""
    rng = np.random.default_rng(seed)
    X = sparse.random_array((n, 300), density=0.05, format="csr", rng=rng)
    z = 3 * X @ rng.normal(size=(300, 4)) + rng.logistic(size=(n, 4))
    Y = (z > 0) * 1.0
    Y[rng.random(Y.shape) < 1 / 2] = np.nan
    return X, Y


FEW_STEPS = {"hidden_layer_sizes": (32,), "max_iter": 3}


def test_on_many_sparse_rows_it_needs_few_that_were_left_out():
    X, Y = sparse_problem(6_600)
    (X, new), (Y, truth) = (X[:5_600], X[5_600:]), np.split(Y, [5_600])
    both, network = (
        classifier(**FEW_STEPS, logistic=logistic).fit(X, Y)
        for logistic in ("auto", "none")
    )
    assert 0 < both.logistic_share_ <= 0.75
    known = ~np.isnan(truth)
    losses = [
        log_loss(truth[known], clf.predict_proba(new)[known]) for clf in (both, network)
    ]
    assert losses[0] < losses[1]
    # Most rows have no out-of-bag prediction.
    assert not hasattr(both, "oob_score_")
    assert not hasattr(both, "oob_prediction_")


@pytest.mark.parametrize("n_members", ["auto", 17])
def test_without_it_no_sparse_row_is_left_out(n_members):
    X, Y = sparse_problem()
    settings = FEW_STEPS | {"max_iter": 1, "n_members": n_members}
    none = classifier(**settings, logistic="none").fit(X, Y)
    every = classifier(**settings, oob_score=False).fit(X, Y)
    assert every.logistic_share_ == 0
    assert_array_equal(none.predict_proba(X), every.predict_proba(X))


def test_each_member_leaves_out_a_sixteenth_of_many_sparse_rows(monkeypatch):
    given = []

    def record(*args):
        given.append(args)

    monkeypatch.setattr(_trainable, "fit_logistic_part", record)
    X, Y = sparse_problem(6_000)
    Y[:, 3] = np.nan
    Y[:300, 3] = 0
    Y[:5, 3] = 1  # a class with fewer labels than folds
    clf = classifier(**FEW_STEPS).fit(X, Y)
    ((network, _, index, left_out_by, out_of_bag),) = given
    assert network.n_members == 2
    assert set(left_out_by) == {-1, 0, 1}
    assert (left_out_by[:5] == -1).all()
    labelled = np.flatnonzero(~np.isnan(Y).all(axis=1))
    assert_array_equal(index, labelled)
    p = np.stack(out_of_bag)[..., 1].T
    assert np.isnan(p[labelled][left_out_by[labelled] < 0]).all()
    for member in range(2):
        rows = np.flatnonzero(left_out_by == member)
        assert abs(len(rows) - (len(labelled) - 5) / 16) <= 1
        alone = clf.network_.part([member], range(4))
        x = Rows.of(X[rows], encoded=False).read(slice(0, len(rows)), alone.like)
        with torch.no_grad():
            own = alone(x)[0].sigmoid().numpy()
        assert_allclose(p[rows], own, rtol=1e-5)


def test_a_checkpoint_of_an_earlier_version_leaves_out_no_sparse_row(tmp_path):
    X, Y = sparse_problem()
    settings = FEW_STEPS | {"checkpoint_dir": tmp_path}
    stopped = classifier(**settings, logistic="none")
    with pytest.raises(ZeroDivisionError):
        stopped.set_callbacks(AtEpoch(1, lambda: 1 / 0)).fit(X, Y)
    path = tmp_path / "fit.safetensors"
    document, arrays = read_file(path, ["skmtl.checkpoint"])
    del document["version"]
    document["fingerprint"]["parameters"]["logistic"] = "'auto'"
    write_file(path, "skmtl.checkpoint", document, arrays)
    every = classifier(**FEW_STEPS, oob_score=False).fit(X, Y)
    for _ in range(2):  # the file of the resumed fit is of the same kind
        again = classifier(**settings).fit(X, Y)
        assert again.logistic_share_ == 0
        assert_array_equal(again.predict_proba(X), every.predict_proba(X))


def test_numbers_on_many_sparse_rows_leave_out_nothing():
    X, Y = sparse_problem()
    settings = {"hidden_layer_sizes": (8,), "max_iter": 1, "random_state": 0}
    automatic = MultiTaskNetRegressor(**settings).fit(X, Y)
    every = MultiTaskNetRegressor(**settings, oob_score=False).fit(X, Y)
    assert_array_equal(automatic.predict(X), every.predict(X))


def test_out_of_bag_predictions_include_it():
    X, Y = linear_problem()
    X, Y = np.r_[X, X[:9]], np.r_[Y, np.full((9, 3), np.nan)]
    clf = classifier().fit(X, Y)
    without = classifier(logistic="none").fit(X, Y)
    share, part = clf.logistic_share_, clf.network_.logistic_part
    assert share > 0
    p = (clf.oob_prediction_ - (1 - share) * without.oob_prediction_) / share
    assert ((p > 0) & (p < 1)).all()
    z = standardised(X, Y) @ part.weight.numpy() + part.bias.numpy()
    # Rows without labels are predicted by all folds, the others by the one without.
    is_labelled = ~np.isnan(Y).all(axis=1)
    assert_allclose(p[~is_labelled], expit(z[~is_labelled]), rtol=1e-6)
    assert not np.isclose(p[is_labelled], expit(z[is_labelled])).any(axis=1).all()
    own, fitted = p[is_labelled], expit(z[is_labelled])
    y = Y[is_labelled]
    known = ~np.isnan(y)
    assert log_loss(y[known], own[known]) > log_loss(y[known], fitted[known])


@pytest.mark.parametrize("n_members", [4, 6])
def test_the_share_follows_from_out_of_bag_predictions(n_members):
    X, Y = linear_problem()
    clf = classifier(n_members=n_members, oob_score=True).fit(X, Y)
    without = clone(clf).set_params(logistic="none").fit(X, Y)
    share, network = clf.logistic_share_, without.oob_prediction_
    line = (clf.oob_prediction_ - (1 - share) * network) / share
    known = ~np.isnan(Y)

    def loss(weight):
        return log_loss(Y[known], ((1 - weight) * network + weight * line)[known])

    grid = np.linspace(0, 1, 201)
    best = grid[np.argmin([loss(weight) for weight in grid])]
    assert share == pytest.approx(min(max(best / 2, best**2), 0.75), abs=0.01)
    assert loss(share) < 0.99 * loss(0)


@pytest.mark.parametrize(
    ("weight", "expected"), [(0.3, 0.15), (0.7, 0.49), (0.95, 0.75)]
)
def test_less_than_the_weight_with_the_smallest_log_loss(weight, expected):
    rng = np.random.default_rng(0)
    network, line = rng.random((2, 100_000))
    y = (rng.random(100_000) < (1 - weight) * network + weight * line).astype(int)
    share = _fit_logistic._share_of_network(
        y[:, None],
        {0: np.ones(len(y))},
        {0: np.column_stack([1 - line, line])},
        [np.column_stack([1 - network, network])],
    )
    assert 1 - share == pytest.approx(expected, abs=0.01)


def test_a_weight_of_two_in_the_share_is_as_the_row_twice():
    rng = np.random.default_rng(0)
    network, line = rng.random((2, 200))
    y = (rng.random(200) < np.where(np.arange(200) < 100, network, line)).astype(int)
    weight = np.where(np.arange(200) < 100, 1, 3)

    def share(rows, weight):
        return _fit_logistic._share_of_network(
            y[rows, None],
            {0: weight},
            {0: np.column_stack([1 - line, line])[rows]},
            [np.column_stack([1 - network, network])[rows]],
        )

    rows = np.arange(200)
    repeated = rows.repeat(weight)
    assert share(rows, weight) == pytest.approx(share(repeated, np.ones(400)))
    assert abs(share(rows, weight) - share(rows, np.ones(200))) > 0.05


def test_a_small_gain_is_not_worth_it(monkeypatch):
    X, Y = linear_problem()
    monkeypatch.setattr(_fit_logistic, "_MIN_GAIN", 0.5)
    assert classifier().fit(X, Y).logistic_share_ == 0


def test_tables_that_would_take_long_have_none(monkeypatch):
    X, Y = linear_problem()
    # 200 rows of 20 columns, of which nearly all have a label, 3 tasks and 4 folds.
    monkeypatch.setattr(_fit_logistic, "_MAX_WORK", 150 * (20 + 50) * 12)
    assert classifier().fit(X, Y).logistic_share_ == 0
    monkeypatch.setattr(_fit_logistic, "_MAX_WORK", 200 * (20 + 50) * 12)
    assert classifier().fit(X, Y).logistic_share_ > 0


def test_tasks_with_few_labels_are_predicted_by_the_network_alone():
    X, Y = linear_problem()
    Y[:, 0] = np.nan
    Y[:4, 0] = [0, 1, 0, 1]
    clf = classifier().fit(X, Y)
    assert clf.logistic_share_ > 0
    alone = network_alone(clf).predict_proba(X)
    assert_array_equal(clf.predict_proba(X)[:, 0], alone[:, 0])
    assert not np.array_equal(clf.predict_proba(X)[:, 1], alone[:, 1])


def test_class_and_sample_weights_count_in_both():
    X, Y = linear_problem()
    weights = {f"task_{t}": {0: 1.0, 1: 30.0} for t in range(3)}
    clf = classifier().fit(X, Y)
    heavy = classifier(class_weight=weights).fit(X, Y)
    assert heavy.logistic_share_ > 0
    bias = [est.network_.logistic_part.bias.numpy() for est in (clf, heavy)]
    assert_allclose(bias[1] - bias[0], np.log(30), atol=1.0)
    by_label = np.where(Y == 1, 30.0, 1.0)
    same = classifier().fit(X, Y, sample_weight=by_label)
    assert_allclose(same.network_.logistic_part.bias.numpy(), bias[1], rtol=0.2)


@pytest.mark.parametrize("n_threads", [2, 4])
def test_the_number_of_threads_does_not_matter(n_threads):
    X, Y = linear_problem()
    before = torch.get_num_threads()
    results = []
    try:
        for n in (1, n_threads):
            torch.set_num_threads(n)
            results.append(classifier().fit(X, Y).predict_proba(X))
    finally:
        torch.set_num_threads(before)
    assert_array_equal(*results)


# Inputs -------------------------------------------------------------------------------


def test_sparse_rows():
    X, Y = linear_problem()
    X = np.where(np.abs(X) > 0.5, X, 0)
    clf = classifier().fit(sparse.csr_array(X), Y)
    share, part = clf.logistic_share_, clf.network_.logistic_part
    assert share > 0
    own = network_alone(clf).predict_proba(sparse.csr_array(X))
    scaled = X / np.abs(X[~np.isnan(Y).all(axis=1)]).max(axis=0)
    z = scaled @ part.weight.numpy() + part.bias.numpy()
    found = clf.predict_proba(sparse.csr_array(X))
    assert_allclose(found, (1 - share) * own + share * expit(z), atol=1e-6)


def test_entries_that_add_up_are_one_number():
    rng = np.random.default_rng(0)
    X = sparse.random_array((300, 4), density=0.5, rng=rng).tocsr()
    y = X @ [1, 1, -1, -1] + 0.3 * rng.normal(size=300) > 0
    clf = MultiTaskNetClassifier(max_iter=3, random_state=0).fit(X, y)
    assert clf.logistic_share_ > 0
    # Both entries are clipped, or their sum.
    one = sparse.csr_array(([4.0, 2.0], [0, 2], [0, 2]), shape=(1, 4))
    two = sparse.csr_array(([2.0, 2.0, 2.0], [0, 0, 2], [0, 3]), shape=(1, 4))
    assert_array_equal(clf.predict_proba(two), clf.predict_proba(one))
    assert two.nnz == 3


@pytest.mark.parametrize("fitted_on", ["dense", "sparse"])
def test_dense_and_sparse_rows_are_predicted_alike(fitted_on):
    """Also far outside the training rows, where numbers are clipped."""
    X, Y = linear_problem()
    X = np.where(np.abs(X) > 0.5, X + 0.3, 0)
    given = sparse.csr_array(X) if fitted_on == "sparse" else X
    new = X[:50].copy()
    new[::2] *= 10
    new[0, 0] = 1e6
    for part in ("logistic", "ridge"):
        if part == "logistic":
            est = classifier(input_encoding="none").fit(given, Y)
            assert est.logistic_share_ > 0
        elif fitted_on == "sparse":
            continue  # has no ridge regressions
        else:
            est = MultiTaskNetRegressor(**SETTINGS, input_encoding="none")
            est.fit(given, X[:, :3])
            assert est.ridge_share_ > 0
        line = getattr(est.network_, f"{part}_part").line
        rows = Rows.of(sparse.csr_array(new), encoded=False)
        found = line(rows.read(slice(None), torch.zeros(())), None)
        dense = line(torch.from_numpy(new), None)
        assert_allclose(found, dense, rtol=1e-5, atol=1e-5)


def test_raw_tables_with_missing_numbers_and_categories():
    X, Y = linear_problem()
    table = pd.DataFrame(X).add_prefix("x")
    table["group"] = pd.Categorical(np.where(X[:, 0] > 0, "a", "b"))
    table.loc[::3, "x1"] = np.nan
    clf = classifier().fit(table, Y)
    assert clf.logistic_share_ > 0
    new = table.head(4).copy()
    new["group"] = pd.Categorical([None, "unheard of", "a", "b"])
    new.loc[0, "x0"] = 1e30
    p = clf.predict_proba(new)
    assert ((p > 0) & (p < 1)).all()


@pytest.mark.parametrize("unit", [1e-30, 1e30, 1e300])
def test_units_of_columns_do_not_matter(unit):
    X, Y = linear_problem()
    expected, found = classifier().fit(X, Y), classifier().fit(X * unit, Y)
    assert found.logistic_share_ == pytest.approx(expected.logistic_share_, rel=1e-3)
    assert_allclose(found.predict_proba(X * unit), expected.predict_proba(X), rtol=0.01)


# The life of an estimator -------------------------------------------------------------


def test_it_survives_pickle_save_and_clone(tmp_path):
    X, Y = linear_problem()
    clf = classifier().fit(X, Y)
    assert clf.logistic_share_ > 0
    skmtl.save(clf, tmp_path / "model.safetensors")
    for same in (
        pickle.loads(pickle.dumps(clf)),
        skmtl.load(tmp_path / "model.safetensors"),
        clone(clf).fit(X, Y),
    ):
        assert same.logistic_share_ == clf.logistic_share_
        assert_array_equal(same.predict_proba(X), clf.predict_proba(X))


def test_a_file_of_an_estimator_without_such_models_is_refused(tmp_path):
    X, Y = linear_problem()
    reg = MultiTaskNetRegressor(**SETTINGS).fit(X, X[:, :3])
    reg.network_.ridge_part = None
    reg.network_.logistic_part = classifier().fit(X, Y).network_.logistic_part
    with pytest.raises(ValueError, match="only estimators with logistic= have such"):
        skmtl.save(reg, tmp_path / "model.safetensors")


@pytest.mark.parametrize("n_classes", [2, 3])
def test_tasks_that_are_added_and_dropped(n_classes):
    X, Y = linear_problem(n_classes=n_classes)
    clf = classifier().fit(X, Y)
    before = clf.predict_proba(X)
    before = before.T if n_classes == 2 else before
    clf.add_tasks(
        X, pd.DataFrame({"new": (X[:, 0] > 0) * 1, "three": np.arange(200) % 3})
    )
    found = clf.predict_proba(X)
    alone = network_alone(clf).predict_proba(X)
    for t in range(3):
        p = found[t][:, 1] if n_classes == 2 else found[t]
        assert_allclose(p, before[t], rtol=1e-5)
    for t in (3, 4):
        assert_array_equal(found[t], alone[t])
    clf.drop_tasks(["task_0", "new", "three"])
    found = clf.predict_proba(X)
    found = found.T if n_classes == 2 else found
    for t in range(2):
        assert_allclose(found[t], before[t + 1], rtol=1e-5)
    assert clf.logistic_share_ > 0


def test_it_goes_with_the_last_task_of_classes():
    X, Y = linear_problem()
    table = pd.DataFrame({"number": X[:, 0] ** 2, "a": Y[:, 0], "b": Y[:, 1]})
    types = {"number": "number", "a": "class", "b": "class"}
    net = MultiTaskNet(**SETTINGS, task_types=types).fit(X, table)
    assert net.logistic_share_ > 0
    net.drop_tasks(["a", "b"])
    assert net.network_.logistic_part is None


def test_a_line_that_overflows_is_refused():
    X, Y = linear_problem()
    clf = classifier().fit(X, Y)
    clf.network_.logistic_part.weight.fill_(1e308)
    with pytest.raises(ValueError, match="output must be finite"):
        clf.predict_proba(X)


def test_continued_training_keeps_it():
    X, Y = linear_problem()
    clf = classifier().fit(X, Y)
    share, part = clf.logistic_share_, clf.network_.logistic_part.weight.clone()
    clf.partial_fit(X, Y)
    assert clf.logistic_share_ == share
    assert torch.equal(clf.network_.logistic_part.weight, part)
    clf.set_params(warm_start=True).fit(X, Y)
    assert clf.logistic_share_ == share
    # It goes where the estimator no longer asks for it.
    clf.set_params(logistic="none").partial_fit(X, Y)
    assert clf.logistic_share_ == 0
    assert clf.network_.logistic_part is None
    clf.set_params(warm_start=False).fit(X, Y)
    assert clf.logistic_share_ == 0


def test_numbers_beside_classes():
    X, Y = linear_problem()
    table = pd.DataFrame({"number": np.exp(X[:, 0]), "a": Y[:, 0], "b": Y[:, 1]})
    types = {"number": "number", "a": "class", "b": "class"}
    net = MultiTaskNet(**SETTINGS, task_types=types).fit(X, table)
    assert net.ridge_share_ > 0
    assert net.logistic_share_ > 0
    for settings, changed in (({"ridge": "none"}, 0), ({"logistic": "none"}, 1)):
        one = MultiTaskNet(**SETTINGS, task_types=types, **settings).fit(X, table)
        assert (one.ridge_share_ == 0) == (changed == 0)
        assert (one.logistic_share_ == 0) == (changed == 1)
        is_same = np.array_equal(one.predict(X)[:, 0], net.predict(X)[:, 0])
        assert is_same == (changed == 1)
        pairs = zip(one.predict_proba(X)[1:], net.predict_proba(X)[1:], strict=True)
        assert all(np.array_equal(*pair) for pair in pairs) == (changed == 0)
