"""Dropout and steps follow the loss of left-out rows on tables of some size."""

import numpy as np
import pytest
from _estimators import AtEpoch, assert_same_parameters
from sklearn.metrics import log_loss

from skmtl import MultiTaskNetClassifier
from skmtl._files import read_file, write_file
from skmtl._training import _loop

# What "auto" stands for at the start of the fits below.
CONSTANT = {"dropout": 0.5, "learning_rate_init": 0.002}


def classifier(**changes):
    settings = {"hidden_layer_sizes": (32,), "max_iter": 16, "random_state": 0}
    return MultiTaskNetClassifier(**(settings | changes))


def rules(n_rows=1_200, noise=0.0, n_columns=4, seed=0):
    """Two classes by thresholds of pairs of columns, some of them wrong."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n_rows, n_columns))
    Y = np.column_stack(
        [(X[:, 0] > 0.6) & (X[:, 1] > 0.5), (X[:, 2] < 0.3) | (X[:, 3] > 0.9)]
    )
    return X, Y ^ (rng.random(Y.shape) < noise)


def test_rules_are_learned_better():
    X, Y = rules()
    new, truth = rules(seed=1)
    losses = [
        log_loss(truth.ravel(), each.fit(X, Y).predict_proba(new).ravel())
        for each in (classifier(max_iter=40), classifier(max_iter=40, **CONSTANT))
    ]
    assert losses[0] < 0.9 * losses[1]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, {"noise": 0.3}),
        ({}, {"n_rows": 999}),
        ({}, {"n_columns": 49}),
        ({"oob_score": False}, {}),
        ({"early_stopping": True}, {}),
    ],
    ids=["noise", "few rows", "many columns", "no row left out", "early stopping"],
)
def test_elsewhere_they_are_constant(changes, problem):
    X, Y = rules(**problem)
    constant = CONSTANT | ({"learning_rate_init": 0.003} if len(X) < 1000 else {})
    automatic = classifier(**changes).fit(X, Y)
    assert_same_parameters(automatic, classifier(**changes, **constant).fit(X, Y))


def test_steps_of_sgd_are_constant():
    X, Y = rules()
    automatic = classifier(solver="sgd").fit(X, Y)
    constant = classifier(solver="sgd", learning_rate_init=0.1).fit(X, Y)
    assert_same_parameters(automatic, constant)


def test_rows_with_rare_classes_count_neither_as_loss_nor_as_learned():
    """Nobody leaves them out, so the left-out rows have less to learn."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1_000, 4))
    Y = np.full((1_000, 2), np.nan)
    Y[:780, 0] = rng.permutation(np.arange(780) % 260)  # three labels each
    Y[:, 1] = rng.random(1_000) < 0.5
    settings = {"max_iter": 3, "hidden_layer_sizes": (8,)}
    automatic = classifier(**settings).fit(X, Y)
    assert_same_parameters(automatic, classifier(**settings, **CONSTANT).fit(X, Y))


def test_the_loss_is_measured_about_eight_times(monkeypatch):
    measured = []

    def measure(parts):
        measured.append(parts)
        return np.ones(2), np.ones(2)

    monkeypatch.setattr(_loop, "left_out_losses", measure)
    classifier(max_iter=32).fit(*rules())
    assert len(measured) == 8


def test_given_values_stay():
    X, Y = rules()
    each = [{}, CONSTANT, *({name: value} for name, value in CONSTANT.items())]
    losses = {classifier(**given).fit(X, Y).loss_ for given in each}
    assert len(losses) == 4


def killed(X, Y, folder, **settings):
    stopped = classifier(**settings, checkpoint_dir=folder, checkpoint_every=5)
    with pytest.raises(ZeroDivisionError):
        stopped.set_callbacks(AtEpoch(11, lambda: 1 / 0)).fit(X, Y)
    return folder / "fit.safetensors"


@pytest.mark.parametrize("n_epochs", [24, 40])  # measured every third, and every fifth
def test_a_fit_resumes_exactly(tmp_path, n_epochs):
    X, Y = rules()
    settings = {"max_iter": n_epochs}
    killed(X, Y, tmp_path, **settings)
    resumed = classifier(**settings, checkpoint_dir=tmp_path, checkpoint_every=5)
    whole = classifier(**settings).fit(X, Y)
    assert_same_parameters(resumed.fit(X, Y), whole)
    assert resumed.loss_curve_ == whole.loss_curve_


def test_a_checkpoint_of_an_earlier_version_can_be_resumed(tmp_path):
    X, Y = rules()
    path = killed(X, Y, tmp_path)
    document, arrays = read_file(path, ["skmtl.checkpoint"])
    del document["left_out_share"]
    write_file(path, "skmtl.checkpoint", document, arrays)
    resumed = classifier(checkpoint_dir=tmp_path, checkpoint_every=5).fit(X, Y)
    assert len(resumed.loss_curve_) == len(classifier().fit(X, Y).loss_curve_)


@pytest.mark.parametrize("loss", ["small", {"float": "nan"}, [0.3], True, -0.1])
def test_a_loss_that_cannot_be_is_refused(tmp_path, loss):
    X, Y = rules()
    path = killed(X, Y, tmp_path)
    document, arrays = read_file(path, ["skmtl.checkpoint"])
    document["left_out_share"] = loss
    write_file(path, "skmtl.checkpoint", document, arrays)
    with pytest.raises(ValueError, match="content is not readable"):
        classifier(checkpoint_dir=tmp_path, checkpoint_every=5).fit(X, Y)
