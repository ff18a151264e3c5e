"""Ctrl-C at any moment leaves the best weights so far, or the estimator as it was."""

import copy
import os
import signal
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from _estimators import assert_same_parameters, classifier

import skmtl

PACKAGE = str(Path(skmtl.__file__).parent)
METHODS = {
    "fit": lambda clf, X, Y: clf.fit(X, Y),
    "partial_fit": lambda clf, X, Y: clf.partial_fit(X, Y),
    "add_tasks": lambda clf, X, Y: clf.add_tasks(X, Y[:, 0]),
}


class Interrupt:
    """Raise KeyboardInterrupt at the n-th moment at which Python looks for signals.

    That is where a function begins, or one that is written in C has returned; here
    those of the package itself, in this thread.
    """

    def __init__(self, moment):
        self.moment = moment
        self.n_moments = 0

    def __enter__(self):
        sys.setprofile(self.on_event)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def on_event(self, frame, event, argument):
        if event not in ("call", "c_return") or argument is sys.setprofile:
            return
        # What is raised where a generator is thrown away, Python itself ignores.
        is_generator = frame.f_code.co_name == "<genexpr>"
        if frame.f_code.co_filename.startswith(PACKAGE) and not is_generator:
            self.n_moments += 1
            if self.n_moments == self.moment:
                raise KeyboardInterrupt


class InterruptWhileKeeping(Interrupt):
    """The same, of the moments at which the weights so far are copied."""

    def on_event(self, frame, event, argument):
        callers = frame, frame.f_back, frame.f_back and frame.f_back.f_back
        if any(f and f.f_code.co_name == "keep_parameters" for f in callers):
            super().on_event(frame, event, argument)


def global_state():
    return (
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
    )


FITTED = []  # once for all tests, on the same rows


def fresh(method, X, Y):
    """An estimator to call the method of; for fit it begins unfitted."""
    settings = {"hidden_layer_sizes": (4,), "n_members": 2, "early_stopping": False}
    if method == "fit":
        settings |= {"early_stopping": True, "validation_fraction": 0.3}
    clf = classifier(max_iter=2, batch_size=30, dropout=0.2, **settings)
    if method == "fit":
        return clf
    if not FITTED:
        FITTED.append(clf.fit(X, Y))
    return copy.deepcopy(FITTED[0])


def n_moments_of(method, X, Y, kind=Interrupt):
    clf = fresh(method, X, Y)
    METHODS[method](copy.deepcopy(clf), X, Y)  # what is made once has been made
    with kind(None) as trace:
        METHODS[method](clf, X, Y)
    return trace.n_moments


def is_as_before(clf, before):
    after = vars(clf)
    return after.keys() == before.keys() and all(after[k] is before[k] for k in after)


def assert_interrupted_well(method, X, Y, moment, kept, kind=Interrupt):
    """Returns the outcome; adds the weights of an interrupted fit to `kept`."""
    clf = fresh(method, X, Y)
    before, state = dict(vars(clf)), global_state()
    raised = False
    with warnings.catch_warnings(record=True) as caught, kind(moment):
        warnings.simplefilter("always")
        try:
            METHODS[method](clf, X, Y)
        except KeyboardInterrupt:
            raised = True
    assert global_state() == state, f"moment {moment}"
    if raised and is_as_before(clf, before):
        return "as before"
    if raised:  # at the last moments, when all was done
        assert_same_parameters(clf, METHODS[method](fresh(method, X, Y), X, Y))
        return "done"
    for p in np.atleast_3d(clf.predict_proba(X)):
        assert np.isfinite(p).all()
    messages = [str(warning.message) for warning in caught]
    assert any("was interrupted" in message for message in messages), f"moment {moment}"
    kept.add(b"".join(p.detach().numpy().tobytes() for p in clf.network_.parameters()))
    # Those of the start or of one of two epochs, and no mixture of them.
    assert len(kept) <= 3, f"moment {moment}"
    return "best so far"


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupt_at_any_moment(problem, method):
    X, Y = problem
    n_moments = n_moments_of(method, X, Y)
    moments = np.linspace(1, n_moments - 1, 60).astype(int).tolist()
    kept = set()
    outcomes = {
        assert_interrupted_well(method, X, Y, moment, kept) for moment in moments
    }
    assert "as before" in outcomes
    assert ("best so far" in outcomes) == (method != "partial_fit")


def test_an_interrupt_while_weights_are_copied_leaves_no_mixture(problem):
    X, Y = problem
    kind, kept = InterruptWhileKeeping, set()
    n_moments = n_moments_of("fit", X, Y, kind)
    assert n_moments > 10
    for moment in range(1, n_moments + 1):
        assert_interrupted_well("fit", X, Y, moment, kept, kind)
    assert len(kept) > 1


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_an_interrupt_at_every_moment(problem, method):
    X, Y = problem
    n_moments = n_moments_of(method, X, Y)
    kept = set()
    for moment in range(1, n_moments):
        assert_interrupted_well(method, X, Y, moment, kept)


@pytest.fixture
def interrupts_are_heard():
    """A shell that starts the tests in the background has them ignored."""
    handler_before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler_before)


@pytest.mark.usefixtures("interrupts_are_heard")
def test_an_interrupt_from_the_keyboard(problem):
    """The signal itself, at moments that no line of Python decides on."""
    X, Y = np.tile(problem[0], (10, 1)), np.tile(problem[1], (10, 1))
    rng = np.random.default_rng(0)
    outcomes = []
    for seconds in rng.uniform(0, 0.2, size=10):
        clf = classifier(hidden_layer_sizes=(64,), max_iter=5000)
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()  # it may be over before this line is
            with pytest.warns(RuntimeWarning, match="was interrupted"):
                clf.fit(X, Y)
        except KeyboardInterrupt:
            assert not hasattr(clf, "network_")
            outcomes.append("as before")
            continue
        finally:
            timer.join()
        assert np.isfinite(clf.predict_proba(X)).all()
        outcomes.append("best so far")
    assert "best so far" in outcomes
