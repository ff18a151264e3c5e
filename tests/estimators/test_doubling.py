"""The number of epochs doubles while left-out labels are predicted ever better."""

import math

import numpy as np
import pytest
from _estimators import AtEpoch, assert_same_parameters
from scipy import sparse
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.metrics import log_loss

from skmtl import MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl._estimators import _automatic
from skmtl._files import read_file, write_file
from skmtl._training._doubling import FALL_TO_DOUBLE, Doubling
from skmtl.inspection import task_affinity


def table(noise, n_rows=120, seed=0):
    """Two numbers, one of which needs two columns at once."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 3))
    Y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 0] * X[:, 1]])
    return X, Y + noise * rng.normal(size=Y.shape)


def regressor(**changes):
    settings = {"hidden_layer_sizes": (16,), "n_members": 2, "random_state": 0}
    return MultiTaskNetRegressor(**({"oob_score": True} | settings | changes))


@pytest.fixture
def few_epochs(monkeypatch):
    """As many as it takes for the loss to fall, instead of hundreds of "auto"."""
    monkeypatch.setattr(_automatic, "n_epochs", lambda data, batch_size: 32)


def planned(estimator, X, Y):
    """The number of epochs of members that leave out no rows."""
    return clone(estimator).set_params(oob_score=False).fit(X, Y).n_iter_


def test_numbers_without_noise_are_learned_for_longer_and_better():
    X, Y = table(noise=0)
    reg = regressor().fit(X, Y)
    assert reg.n_iter_ == 4 * planned(reg, X, Y)
    shorter = regressor(max_iter=reg.n_iter_ // 4).fit(X, Y)
    assert shorter.n_iter_ == reg.n_iter_ // 4
    new = table(noise=0, n_rows=500, seed=1)
    assert reg.score(*new) > shorter.score(*new) + 0.01
    # Up to the first doubling, the fits are the same.
    n_same = shorter.n_iter_ // 2
    assert reg.loss_curve_[:n_same] == shorter.loss_curve_[:n_same]
    assert reg.loss_curve_[n_same] != shorter.loss_curve_[n_same]


def test_noise_is_not_learned_for_longer():
    X, Y = table(noise=10)
    memorises = {"hidden_layer_sizes": (64,), "dropout": 0.0, "input_dropout": 0.0}
    reg = regressor(**memorises).fit(X, Y)
    assert reg.n_iter_ == planned(reg, X, Y)
    # The training loss falls by more than an eighth in the second quarter.
    quarter, half = (reg.loss_curve_[reg.n_iter_ // n - 1] for n in (4, 2))
    assert half < (1 - FALL_TO_DOUBLE) * quarter


@pytest.mark.usefixtures("few_epochs")
@pytest.mark.parametrize(
    "changes",
    [{"loss": "gaussian"}, {"oob_score": "auto", "early_stopping": True}],
    ids=str,
)
def test_what_has_no_comparable_loss_of_left_out_rows_does_not_double(changes):
    X, Y = table(noise=0)
    assert regressor().fit(X, Y).n_iter_ > planned(regressor(), X, Y)
    reg = regressor(**changes).fit(X, Y)
    assert reg.n_iter_ <= planned(reg.set_params(early_stopping=False), X, Y)


def classifier(**changes):
    settings = {"hidden_layer_sizes": (32,), "n_members": 2, "random_state": 0}
    return MultiTaskNetClassifier(**({"oob_score": True} | settings | changes))


def rules(n_rows, noise=0.0, seed=0):
    """Two classes by thresholds of pairs of columns, some of them wrong."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n_rows, 4))
    Y = np.column_stack(
        [(X[:, 0] > 0.6) & (X[:, 1] > 0.5), (X[:, 2] < 0.3) | (X[:, 3] > 0.9)]
    )
    return X, Y ^ (rng.random(Y.shape) < noise)


def test_rules_are_learned_for_longer_and_better():
    X, Y = rules(1_000)
    clf = classifier().fit(X, Y)
    n_planned = planned(clf, X, Y)
    assert clf.n_iter_ == 4 * n_planned
    shorter = classifier(max_iter=n_planned).fit(X, Y)
    new, new_labels = rules(1_000, seed=1)
    longer_loss, loss = (
        log_loss(new_labels.ravel(), each.predict_proba(new).ravel())
        for each in (clf, shorter)
    )
    assert longer_loss < 0.8 * loss


def words(n_rows, seed=0):
    """Sparse rows, two of whose columns are the classes."""
    X = np.random.default_rng(seed).random((n_rows, 30)) < 0.1
    return sparse.csr_matrix(X.astype(float)), X[:, :2]


@pytest.mark.parametrize(
    ("X", "Y"),
    [rules(1_200, noise=0.4), rules(999), words(1_200)],
    ids=["noise", "few rows", "sparse"],
)
def test_other_classes_are_learned_for_as_long_as_planned(X, Y):
    clf = classifier().fit(X, Y)
    assert clf.n_iter_ == planned(clf, X, Y)


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 4, 7, 20, 64, 100])
@pytest.mark.parametrize("fall", [0.9, 1.01])  # times the fall that is needed
def test_a_fall_by_an_eighth_in_the_second_quarter_doubles(n_epochs, fall):
    # The loss falls after a quarter, half and all of the epochs.
    falls = [n_epochs // 4, n_epochs // 2, n_epochs]
    doubling = Doubling(n_epochs, 2)
    n_done, measured = 0, []
    while n_done < doubling.n_epochs:
        n_done += 1
        if doubling.needs_loss_after(n_done):
            measured.append(n_done)
            n_falls = sum(n_done > end for end in falls)
            doubling.update(n_done, (1 - fall * FALL_TO_DOUBLE) ** n_falls)
    # A quarter of fewer than four is no whole epoch.
    doubles = fall > 1 and n_epochs >= 4
    assert doubling.n_epochs == n_epochs * (4 if doubles else 1)
    assert len(set(measured)) == len(measured)
    assert len(measured) <= 2 + doubling.n_epochs / 8


def test_a_loss_that_goes_up_and_down_has_not_fallen():
    doubling = Doubling(64, 2)
    # The last of a quarter is high, the last of half is low.
    for n_done in range(1, 65):
        if doubling.needs_loss_after(n_done):
            is_high = (n_done % 2 == 0) == (n_done <= 16)
            doubling.update(n_done, 1.5 if is_high else 0.5)
    assert doubling.n_epochs == 64


def test_a_loss_that_is_nan_does_not_double():
    doubling = Doubling(8, 2)
    doubling.update(2, 1.0)
    doubling.update(4, math.nan)
    assert doubling.n_epochs == 8
    assert not any(map(doubling.needs_loss_after, range(9)))


@pytest.mark.usefixtures("few_epochs")
def test_a_checkpoint_knows_how_often_the_number_has_doubled(tmp_path):
    X, Y = table(noise=0)
    expected = regressor().fit(X, Y)
    n = expected.n_iter_ // 4
    assert n == planned(expected, X, Y)

    def fail():
        raise InterruptedError

    for epoch in (n // 4, n // 2 + 1, n + 1):
        stopped = regressor(checkpoint_dir=tmp_path, checkpoint_every=n // 8)
        with pytest.raises(InterruptedError):
            stopped.set_callbacks(AtEpoch(epoch, fail)).fit(X, Y)
    reg = regressor(checkpoint_dir=tmp_path, checkpoint_every=n).fit(X, Y)
    assert_same_parameters(reg, expected)
    assert reg.loss_curve_ == expected.loss_curve_


def stopped_after(n_epochs, X, Y, folder):
    """The document and the arrays of a checkpoint after so many epochs."""
    callback = AtEpoch(n_epochs, lambda: 1 / 0)
    stopped = regressor(checkpoint_dir=folder, checkpoint_every=n_epochs)
    with pytest.raises(ZeroDivisionError):
        stopped.set_callbacks(callback).fit(X, Y)
    return read_file(folder / "fit.safetensors", ["skmtl.checkpoint"])


@pytest.mark.usefixtures("few_epochs")
def test_a_fit_resumes_if_no_main_task_has_left_out_labels(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1_200, 4))
    Y = np.full((1_200, 2), np.nan)
    Y[:300, 0] = (
        np.arange(300) % 150
    )  # classes with two labels, which nobody leaves out
    Y[300:, 1] = X[300:, 0] > 0
    settings = {"n_members": 4, "oob_score": True, "main_tasks": "task_0"}
    clf = MultiTaskNetClassifier((4,), random_state=0, **settings)
    with pytest.warns(UserWarning, match="oob_score_ is NaN"):
        whole = clone(clf).fit(X, Y)
    clf.set_params(checkpoint_dir=tmp_path)
    # While the loss is measured, just before a quarter of the epochs are over.
    stopped = clone(clf).set_callbacks(AtEpoch(whole.n_iter_ // 4 - 1, lambda: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        stopped.fit(X, Y)
    with pytest.warns(UserWarning, match="oob_score_ is NaN"):
        assert_same_parameters(clf.fit(X, Y), whole)


@pytest.mark.usefixtures("few_epochs")
def test_a_checkpoint_of_an_earlier_version_does_not_double(tmp_path):
    X, Y = table(noise=0)
    n = planned(regressor(), X, Y)
    document, arrays = stopped_after(5, X, Y, tmp_path)
    del arrays["doubling"]
    write_file(tmp_path / "fit.safetensors", "skmtl.checkpoint", document, arrays)
    again = regressor(checkpoint_dir=tmp_path, checkpoint_every=5).fit(X, Y)
    assert_same_parameters(again, regressor(max_iter=n).fit(X, Y))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state[:4],
        lambda state: state.astype(np.float32),
        lambda state: state * [3, 1, 1, 1, 1],
        lambda state: state + np.array([0, 1, 0, 0, 0]),
        lambda state: state * [np.nan, 1, 1, 1, 1],
        lambda state: state + np.array([0, 0, 0, 0, np.inf]),
        lambda state: state + np.array([0, 0, 0, 0, 0.5]),
        lambda state: state + np.array([0, 0, 0, np.nan, 0]),
        # Only possible later.
        lambda state: state * [2, 0.5, 1, 1, 1],
        lambda state: state * [1, 0, 1, 1, 1],
        lambda state: state * [1, 0.5, 1, 1, 1],
    ],
)
def test_a_state_that_cannot_be_is_refused(tmp_path, change):
    X, Y = table(noise=0)
    document, arrays = stopped_after(10, X, Y, tmp_path)
    arrays["doubling"] = change(arrays["doubling"])
    write_file(tmp_path / "fit.safetensors", "skmtl.checkpoint", document, arrays)
    with pytest.raises(ValueError, match="must be a checkpoint of this fit, but"):
        regressor(checkpoint_dir=tmp_path).fit(X, Y)


class Expects(AtEpoch):
    """A callback that notes in each epoch how many there will be."""

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "fit":
            self.n_expected = []
        else:
            self.n_expected.append(context.parent.max_subtasks)


@pytest.mark.usefixtures("few_epochs")
def test_who_watches_hears_of_all_epochs(capsys):
    X, Y = table(noise=0)
    watches = Expects(None, bool)
    callbacks = ProgressBar(), watches
    reg = regressor(verbose=True).set_callbacks(*callbacks).fit(X, Y)
    lines = [line for line in capsys.readouterr().out.splitlines() if "Epoch" in line]
    n = reg.n_iter_
    assert len(lines) == n == 4 * planned(regressor(), X, Y)
    of = {1: n // 4, n // 8: n // 4, n // 8 + 1: n // 2, n // 4 + 1: n, n: n}
    for number, n_known in of.items():
        assert lines[number - 1].startswith(f"Epoch {number} of {n_known},")
        assert watches.n_expected[number - 1] == n_known


@pytest.mark.usefixtures("few_epochs")
def test_affinity_is_measured_until_the_last_epoch():
    X, Y = table(noise=0)
    affinity = task_affinity(regressor(), X, Y, n_snapshots=5)
    n = affinity.estimator.n_iter_
    assert n > planned(regressor(), X, Y)
    assert len(affinity.epochs) == 5
    assert affinity.epochs[[0, -1]].tolist() == [1, n]
    assert np.abs(affinity.epochs - np.linspace(1, n, 5)).max() <= n / 8


def test_only_main_tasks_count():
    X, Y = rules(1_200)
    coin = np.random.default_rng(1).random(len(X)) < 0.5
    both = np.column_stack([Y[:, 0], coin])
    n_planned = planned(classifier(), X, both)
    assert classifier().fit(X, both).n_iter_ == n_planned
    assert classifier(main_tasks="task_0").fit(X, both).n_iter_ > n_planned
    assert classifier(main_tasks="task_1").fit(X, both).n_iter_ == n_planned
