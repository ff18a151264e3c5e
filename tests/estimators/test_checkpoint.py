"""A fit that is killed and begun again ends as one that was never killed."""

import copy
import os
import re
import signal
import subprocess
import sys
import time

import filelock
import numpy as np
import pytest
import torch
from _estimators import AtEpoch, assert_same_parameters, classifier
from _trunks import WithStatistics
from safetensors.numpy import load_file
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from torch import nn

import skmtl
from skmtl._files import read_file, write_file
from skmtl.trunks import UnfreezeAfter


class KilledError(Exception):
    """Raised by a callback in the middle of a fit."""


def fit_and_fail(clf, X, y, epoch):
    """A fit that ends in this epoch, before its checkpoint is written."""

    def fail():
        raise KilledError

    clf.set_callbacks(AtEpoch(epoch, fail))
    with pytest.raises(KilledError):
        clf.fit(X, y)
    assert not hasattr(clf, "network_")


def shared():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(50, 5))
    return FrozenEstimator(classifier(hidden_layer_sizes=(9,)).fit(X, X[:, 0] > 0))


SETTINGS = {
    "adam": {},
    "sgd": {"solver": "sgd", "batch_size": 20},
    "no momentum": {"solver": "sgd", "momentum": 0},
    "dropout": {"dropout": 0.4, "input_dropout": 0.2, "n_members": 3},
    "not shuffled": {"shuffle": False},
    "separate": {"sharing": "none"},
    "validated": {"early_stopping": True, "validation_fraction": 0.3},
    "separate, validated": {
        "sharing": "none",
        "early_stopping": True,
        "validation_fraction": 0.3,
    },
    "stops early": {
        "learning_rate": "constant",
        "tol": 10.0,
        "n_iter_no_change": 6,
        "max_iter": 30,
    },
    "thawing": {"pretrained": "shared", "freeze": UnfreezeAfter(2)},
    "thawing later": {"pretrained": "shared", "freeze": UnfreezeAfter(7)},
    "own module": {"trunk": WithStatistics},
}


def made(name, **changes):
    settings = {"hidden_layer_sizes": (9,), "max_iter": 10, "batch_size": 20}
    settings |= SETTINGS[name] | changes
    if settings.get("pretrained") == "shared":
        settings["pretrained"] = shared()
    return classifier(**settings)


@pytest.mark.parametrize("epochs", [[0], [1, 2, 5, 6, 9]], ids=str)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_fit_goes_on_where_it_was(problem, tmp_path, name, epochs):
    X, Y = problem
    expected = made(name).fit(X, Y)
    for epoch in epochs:
        if epoch < expected.n_iter_:
            fit_and_fail(made(name, checkpoint_dir=tmp_path), X, Y, epoch)
    clf = made(name, checkpoint_dir=tmp_path).fit(X, Y)
    assert_same_parameters(clf, expected)
    for key, tensor in expected.network_.state_dict().items():  # statistics too
        assert torch.equal(clf.network_.state_dict()[key], tensor)
    assert clf.loss_curve_ == expected.loss_curve_
    assert clf.validation_scores_ == expected.validation_scores_
    assert clf.best_validation_score_ == expected.best_validation_score_


def test_what_was_done_is_not_done_again(problem, tmp_path):
    X, Y = problem
    fit_and_fail(made("adam", checkpoint_dir=tmp_path), X, Y, 6)
    seen = AtEpoch(None, lambda: False)
    made("adam", checkpoint_dir=tmp_path).set_callbacks(seen).fit(X, Y)
    assert seen.hooks.count(("end", "epoch")) == 10 - 6
    made("adam", checkpoint_dir=tmp_path).set_callbacks(seen).fit(X, Y)
    assert seen.hooks.count(("end", "epoch")) == 0


def test_a_checkpoint_is_written_after_every_so_many_epochs(problem, tmp_path):
    X, Y = problem
    settings = {"checkpoint_dir": tmp_path, "checkpoint_every": 4}
    fit_and_fail(made("adam", **settings), X, Y, 7)
    seen = AtEpoch(None, lambda: False)
    clf = made("adam", **settings).set_callbacks(seen).fit(X, Y)
    assert seen.hooks.count(("end", "epoch")) == 10 - 4
    assert_same_parameters(clf, made("adam").fit(X, Y))


def test_a_callback_that_stops_a_fit_has_stopped_it_for_good(problem, tmp_path):
    X, Y = problem
    clf = made("adam", checkpoint_dir=tmp_path)
    clf.set_callbacks(AtEpoch(3, lambda: True)).fit(X, Y)
    again = made("adam", checkpoint_dir=tmp_path).fit(X, Y)
    assert again.n_iter_ == clf.n_iter_ == 4
    assert_same_parameters(again, clf)


@pytest.mark.parametrize("random_state", ["global", "instance"])
def test_random_numbers_are_those_that_the_fit_began_with(
    problem, tmp_path, random_state
):
    """Also where a new process would draw others."""
    X, Y = problem

    def seeded(**settings):
        if random_state == "global":
            np.random.seed(3)  # noqa: NPY002
            return made("validated", random_state=None, **settings)
        return made("validated", random_state=np.random.RandomState(3), **settings)

    expected = seeded().fit(X, Y)
    fit_and_fail(seeded(checkpoint_dir=tmp_path), X, Y, 4)
    resumed = seeded(checkpoint_dir=tmp_path)
    np.random.seed(9)  # noqa: NPY002
    assert_same_parameters(resumed.fit(X, Y), expected)


@pytest.mark.parametrize("random_state", ["global", "instance"])
@pytest.mark.parametrize("kill_at", [4, None])
def test_a_script_begun_again_goes_on_with_the_same_random_numbers(
    problem, tmp_path, random_state, kill_at
):
    """Those after the fit are not those that it began with."""

    def script(kill_at=None, **folders):
        np.random.seed(3)  # noqa: NPY002
        rng = np.random.RandomState(3) if random_state == "instance" else None
        first = made("validated", checkpoint_dir=folders.get("a"), random_state=rng)
        if kill_at is not None:
            return fit_and_fail(first, *problem, kill_at)
        first.fit(*problem)
        second = made("adam", checkpoint_dir=folders.get("b"), random_state=rng)
        after = np.random if rng is None else rng
        return second.fit(*problem), after.randint(2**31)

    expected, number = script()
    folders = {name: tmp_path / name for name in ("a", "b")}
    script(kill_at, **folders)
    clf, number_of_resumed = script(**folders)
    assert_same_parameters(clf, expected)
    assert number_of_resumed == number


def test_random_numbers_of_another_fit_are_not_repeated(problem, tmp_path):
    clf = made("adam", checkpoint_dir=tmp_path, random_state=None).fit(*problem)
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.RandomState(5).randint(2**31)
    clf.fit(*problem)  # is over at once, and has drawn nothing
    assert np.random.randint(2**31) == expected  # noqa: NPY002


def test_other_random_numbers_are_another_fit(problem, tmp_path):
    def seeded(seed):
        rng = np.random.RandomState(seed)
        return made("adam", random_state=rng, checkpoint_dir=tmp_path)

    first = seeded(3).fit(*problem)
    assert_same_parameters(seeded(3).fit(*problem), first)
    with pytest.raises(ValueError, match=r"a different random_state"):
        seeded(4).fit(*problem)


def test_random_numbers_that_cannot_be_written_are_refused(problem, tmp_path):
    rng = np.random.RandomState(np.random.PCG64(0))
    clf = made("adam", checkpoint_dir=tmp_path, random_state=rng)
    with pytest.raises(ValueError, match="MT19937 generator; got one with a PCG64"):
        clf.fit(*problem)


def test_warm_start_goes_on_from_a_checkpoint(problem, tmp_path):
    X, Y = problem
    first = made("adam").fit(X, Y).set_params(warm_start=True)
    expected = copy.deepcopy(first).fit(X, Y)
    killed = copy.deepcopy(first).set_params(checkpoint_dir=tmp_path)
    killed.set_callbacks(AtEpoch(5, lambda: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        killed.fit(X, Y)
    resumed = copy.deepcopy(first).set_params(checkpoint_dir=tmp_path).fit(X, Y)
    assert_same_parameters(resumed, expected)
    assert resumed.loss_curve_ == expected.loss_curve_


# Files of others --------------------------------------------------------------------


def change_of(name, X, Y):
    """(parameters, X, y, sample weight) of a fit that differs in one thing."""
    weight = np.ones(len(X))
    weight[0] = 2
    return {
        "alpha": ({"alpha": 1.0}, X, Y, None),
        "max_iter": ({"max_iter": 11}, X, Y, None),
        "X, y or sample_weight": ({}, X + 1, Y, None),
        "rows": ({}, X[:-1], Y[:-1], None),
        "labels": ({}, X, np.where(np.isnan(Y), 1, Y), None),
        "weights": ({}, X, Y, weight),
    }[name]


@pytest.mark.parametrize(
    "name", ["alpha", "max_iter", "X, y or sample_weight", "rows", "labels", "weights"]
)
def test_a_checkpoint_of_another_fit_is_refused(problem, tmp_path, name):
    X, Y = problem
    fit_and_fail(made("adam", checkpoint_dir=tmp_path), X, Y, 3)
    before = (tmp_path / "fit.safetensors").read_bytes()
    changes, *data = change_of(name, X, Y)
    clf = made("adam", checkpoint_dir=tmp_path, **changes)
    named = name if name in ("alpha", "max_iter") else "X, y or sample_weight"
    with pytest.raises(ValueError, match=rf"a different .*{named}.*Delete it"):
        clf.fit(*data)
    assert not hasattr(clf, "network_")
    assert (tmp_path / "fit.safetensors").read_bytes() == before


def test_a_folder_in_which_a_fit_is_at_work_is_refused(problem, tmp_path):
    other = made("adam", checkpoint_dir=tmp_path)

    def fit_other():
        with pytest.raises(
            ValueError, match=r"another fit is using .*a separate folder"
        ):
            other.fit(*problem)

    clf = made("adam", checkpoint_dir=tmp_path).set_callbacks(AtEpoch(3, fit_other))
    clf.fit(*problem)
    assert not hasattr(other, "network_")
    expected = made("adam").fit(*problem)
    assert_same_parameters(clf, expected)
    again = made("adam", checkpoint_dir=tmp_path).fit(*problem)  # the folder is free
    assert_same_parameters(again, expected)


@pytest.mark.parametrize("error", [PermissionError, OSError, NotImplementedError])
def test_a_folder_that_cannot_be_locked_is_used_with_a_warning(
    problem, tmp_path, monkeypatch, error
):
    def acquire(*_, **__):
        raise error("no locks here")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    message = "cannot be locked: no locks here. Make sure"
    with pytest.warns(UserWarning, match=message) as seen:
        clf = made("adam", checkpoint_dir=tmp_path).fit(*problem)
    assert seen[0].filename == __file__
    assert_same_parameters(clf, made("adam").fit(*problem))
    assert (tmp_path / "fit.safetensors").exists()


def test_a_value_of_numpy_is_no_other_fit(problem, tmp_path):
    fit_and_fail(made("adam", alpha=0.25, checkpoint_dir=tmp_path), *problem, 3)
    clf = made("adam", alpha=np.float64(0.25), checkpoint_dir=tmp_path).fit(*problem)
    assert_same_parameters(clf, made("adam", alpha=0.25).fit(*problem))


def trunk_with(activation):
    def make(input_shape, generator):
        return nn.Sequential(nn.Linear(*input_shape, 4), activation())

    return make


def test_layers_without_parameters_tell_fits_apart(problem, tmp_path):
    """Functions of the same name make them, and weights that begin the same."""
    tanh, relu = (
        made("adam", trunk=trunk_with(activation), checkpoint_dir=tmp_path)
        for activation in (nn.Tanh, nn.ReLU)
    )
    fit_and_fail(clone(tanh), *problem, 3)
    with pytest.raises(ValueError, match="a different initial network"):
        relu.fit(*problem)
    expected = made("adam", trunk=trunk_with(nn.Tanh)).fit(*problem)
    assert_same_parameters(tanh.fit(*problem), expected)


def test_a_callback_may_change_the_directory(problem, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(tmp_path)
    clf = made("adam", checkpoint_dir="checkpoints")
    clf.set_callbacks(AtEpoch(3, lambda: os.chdir(other))).fit(*problem)
    assert (tmp_path / "checkpoints" / "fit.safetensors").exists()
    assert not list(other.iterdir())


def test_a_checkpoint_of_other_sparse_rows_is_refused(problem, tmp_path):
    _, Y = problem
    X = sparse.random_array((60, 5), density=0.3, format="csr", random_state=0)
    fit_and_fail(made("adam", checkpoint_dir=tmp_path), X, Y, 3)
    other = X.copy()
    other.indices = 4 - other.indices
    with pytest.raises(ValueError, match="X, y or sample_weight"):
        made("adam", checkpoint_dir=tmp_path).fit(other, Y)
    expected = made("adam").fit(X, Y)
    assert_same_parameters(made("adam", checkpoint_dir=tmp_path).fit(X, Y), expected)


def test_a_damaged_checkpoint_is_refused(problem, tmp_path):
    X, Y = problem
    fit_and_fail(made("dropout", checkpoint_dir=tmp_path), X, Y, 3)
    path = tmp_path / "fit.safetensors"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:n] for n in (0, 7, 100, len(whole) // 2, len(whole) - 1)]
    for position in rng.integers(len(whole), size=30).tolist():
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        clf = made("dropout", checkpoint_dir=tmp_path)
        with pytest.raises(ValueError, match="must be a checkpoint of this fit, but"):
            clf.fit(X, Y)
        assert path.read_bytes() == content


SIGNED_CHANGES = {
    "moments of one number": (
        "moments/(mean|square|velocity)/",
        lambda a: np.ones(1, "f4"),
    ),
    "moments in float64": ("moments/", lambda a: a.astype("f8")),
    "no moments": ("moments/", None),
    "another network": ("network/", lambda a: a[:0]),
    "no network": ("network/", None),
    "random state": ("^generator$", lambda a: a[:7]),
    "random state of dropout": ("dropout_generator", lambda a: a.astype("f4")),
    "first random state": ("random_numbers", lambda a: a[:9]),
    "one loss": ("progress/losses", lambda a: a[0]),
    "many losses": ("progress/losses", lambda a: np.zeros(10**6)),
    "no losses": ("progress/losses", lambda a: a[:0]),
    "losses of nothing": ("progress/losses", lambda a: a * np.nan),
    "kept": ("progress/kept", lambda a: a[:0]),
    "best": ("progress/best", None),
}


@pytest.mark.parametrize("settings", ["adam", "sgd", "separate, validated"])
@pytest.mark.parametrize("name", SIGNED_CHANGES)
def test_a_checkpoint_that_somebody_has_signed_again_is_refused(
    problem, tmp_path, name, settings
):
    X, Y = problem
    fit_and_fail(made(settings, checkpoint_dir=tmp_path), X, Y, 3)
    path = tmp_path / "fit.safetensors"
    document, arrays = read_file(path, ["skmtl.checkpoint"])
    pattern, change = SIGNED_CHANGES[name]
    chosen = [key for key in arrays if re.search(pattern, key)]
    assert chosen
    for key in chosen:
        array = arrays.pop(key)
        if change is not None:
            arrays[key] = change(array)
    write_file(path, "skmtl.checkpoint", document, arrays)
    with pytest.raises(ValueError, match="must be a checkpoint of this fit, but"):
        made(settings, checkpoint_dir=tmp_path).fit(X, Y)


@pytest.mark.parametrize(
    "change",
    [
        None,
        {"solver": "x"},
        {"freeze": [1, None, 1.0]},
        {"stopped_by": "x"},
        {"stopped_by": 0},
        {"random_numbers": ["MT19937", 10**30, 0, 0.0]},
    ],
    ids=str,
)
def test_a_document_that_somebody_has_signed_again_is_refused(
    problem, tmp_path, change
):
    X, Y = problem
    fit_and_fail(made("adam", checkpoint_dir=tmp_path), X, Y, 3)
    path = tmp_path / "fit.safetensors"
    document, arrays = read_file(path, ["skmtl.checkpoint"])
    document = change if change is None else document | change
    write_file(path, "skmtl.checkpoint", document, arrays)
    with pytest.raises(ValueError, match="must be a checkpoint of this fit, but"):
        made("adam", checkpoint_dir=tmp_path).fit(X, Y)


def test_a_saved_model_is_no_checkpoint(problem, tmp_path):
    skmtl.save(made("adam").fit(*problem), tmp_path / "fit.safetensors")
    with pytest.raises(ValueError, match=r"of kind 'skmtl\.MultiTask"):
        made("adam", checkpoint_dir=tmp_path).fit(*problem)


# Kills from outside -----------------------------------------------------------------

PROGRAM = """
import sys
import numpy as np
import skmtl

folder, result, max_iter = sys.argv[1:]
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 8))
Y = np.where(rng.random((400, 4)) < 0.3, np.nan, X[:, :4] + X[:, 4:] > 0)
clf = skmtl.MultiTaskNetClassifier(
    (32,), max_iter=int(max_iter), early_stopping=True, random_state=0,
    checkpoint_dir=folder or None,
)
print("begins", flush=True)
skmtl.save(clf.fit(X, Y), result)
"""


def run(folder, result, max_iter):
    command = [sys.executable, "-c", PROGRAM, str(folder), str(result), str(max_iter)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


@pytest.mark.slow
def test_twenty_kills_lose_nothing(tmp_path):
    folder = tmp_path / "checkpoints"
    rng = np.random.default_rng(0)
    n_written = 0
    for _ in range(20):
        with run(folder, tmp_path / "killed", 400) as process:
            assert process.stdout.readline() == "begins\n"
            time.sleep(rng.uniform(0.05, 0.5))  # any moment will do
            process.send_signal(signal.SIGKILL)
        n_written += (folder / "fit.safetensors").exists()
    assert n_written > 0
    for place, result in ((folder, "killed"), ("", "whole")):
        with run(place, tmp_path / result, 400) as process:
            assert process.wait() == 0
    killed, whole = (load_file(tmp_path / name) for name in ("killed", "whole"))
    assert killed.keys() == whole.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(killed[name], array)
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["fit.lock", "fit.safetensors"]
