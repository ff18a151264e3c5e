"""Threads and processes give what one alone gives, and global state is left alone."""

import contextlib
import copy
import importlib
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import AtEpoch, assert_same_parameters, classifier, parameters_of
from _processes import answer, fit, predict
from _trunks import WithStatistics
from joblib import Parallel, delayed, parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone

from skmtl._network._products import without_derivatives
from skmtl._training._threads import thread_limit

can_fork = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this platform has no fork"
)


@pytest.fixture
def two_threads():
    """As many threads for torch, also for threads that begin in the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def in_threads(functions):
    """What each gives, all begun at the same time in threads of their own.

    Python goes from one to another as often as it can, so that they meet everywhere.
    """
    barrier = threading.Barrier(len(functions))
    interval = sys.getswitchinterval()

    def run(function):
        barrier.wait(60)
        return function()

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(functions)) as pool:
            return list(pool.map(run, functions))
    finally:
        sys.setswitchinterval(interval)


def in_a_new_thread(function):
    return in_threads([function])[0]


# Threads --------------------------------------------------------------------------

SETTINGS = [
    {"dropout": 0.3, "n_members": 2},
    {"sharing": "none", "solver": "sgd", "head_hidden_layer_sizes": (4,)},
    {"input_encoding": "none", "hidden_layer_sizes": ()},
    {"early_stopping": True, "activation": "gelu", "input_dropout": 0.3},
    {"trunk": WithStatistics},
    {"hidden_layer_sizes": (200, 200), "n_members": 4, "batch_size": 60},
]


def fitted(problem, **settings):
    return classifier(**settings).fit(*problem)


def test_different_fits_in_threads_are_those_made_one_by_one(problem, one_thread):
    work = [
        lambda settings=settings, seed=seed: fitted(
            problem, max_iter=3, random_state=seed, **settings
        )
        for settings in SETTINGS
        for seed in range(2)
    ]
    one_by_one = [function() for function in work]
    for together, alone in zip(in_threads(work), one_by_one, strict=True):
        assert_same_parameters(together, alone)
        assert together.loss_curve_ == alone.loss_curve_


def test_large_fits_beside_small_ones_are_those_made_alone(problem, two_threads):
    # How many threads share a product depends on who else is there, and on it the last
    # digits of the product.
    large = {"hidden_layer_sizes": (256, 256), "n_members": 4, "batch_size": 60}
    work = [
        lambda settings=settings: fitted(problem, max_iter=3, **settings)
        for settings in [large, {}, large, {"sharing": "none"}]
    ]
    one_by_one = [function() for function in work]
    for together, alone in zip(in_threads(work), one_by_one, strict=True):
        for a, b in zip(parameters_of(together), parameters_of(alone), strict=True):
            assert_allclose(a, b, rtol=0, atol=1e-5)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("kind", ["dense", "sparse", "categories", "module"])
def test_one_model_predicts_in_many_threads(problem, kind, one_thread):
    X, Y = problem
    settings = {"n_members": 2, "max_iter": 5}
    if kind == "sparse":
        X = sparse.csr_array(np.where(np.abs(X) < 0.8, 0, X))
    elif kind == "categories":
        X = pd.DataFrame(X).assign(c=pd.Categorical(np.arange(60) % 4))
        X.columns = X.columns.astype(str)
    elif kind == "module":
        settings["trunk"] = WithStatistics
    clf = classifier(**settings).fit(X, Y)
    before = [p.clone() for p in clf.network_.parameters()]

    def work(i):
        rows = slice(i, 60 - i)
        part = X.iloc[rows] if kind == "categories" else X[rows]
        n_times = 2 if kind == "categories" else 8
        results = [
            (clf.predict_proba(part), clf.transform(part)) for _ in range(n_times)
        ]
        return [*results, (clf.predict(part), clf.score(part, Y[rows]))]

    one_by_one = [work(i) for i in range(8)]
    together = in_threads([lambda i=i: work(i) for i in range(8)])
    for of_thread, expected in zip(together, one_by_one, strict=True):
        for ours, alone in zip(of_thread, expected, strict=True):
            assert_array_equal(ours[0], alone[0])
            assert_array_equal(ours[1], alone[1])
    for old, now in zip(before, clf.network_.parameters(), strict=True):
        assert torch.equal(old, now)


def test_a_model_predicts_while_a_copy_of_it_goes_on(problem, one_thread):
    X, Y = problem
    clf = classifier(max_iter=5).fit(X, Y)
    expected = clf.predict_proba(X)

    def learn():
        twin = copy.copy(clf).set_params(warm_start=True)
        for _ in range(10):
            twin.fit(X, Y).partial_fit(X, Y)

    predictions = in_threads(
        [learn, *[lambda: [clf.predict_proba(X) for _ in range(20)]] * 4]
    )
    for of_thread in predictions[1:]:
        for p in of_thread:
            assert_array_equal(p, expected)


def test_derivatives_beside_a_thread_that_needs_none(one_thread):
    # The kernels that may stand in there have none.
    X, Y = wide_problem()
    network = classifier(**WIDE, input_encoding="none").fit(X, Y).network_
    held, done = threading.Event(), threading.Event()

    def predict_slowly():
        with without_derivatives(torch.device("cpu")):
            held.set()
            done.wait(60)

    def gradients():
        network.zero_grad()
        network(torch.from_numpy(X)).square().sum().backward()
        return [p.grad.clone() for p in network.parameters()]

    expected = gradients()
    other = threading.Thread(target=predict_slowly)
    other.start()
    held.wait(60)
    try:
        beside = gradients()
    finally:
        done.set()
        other.join(60)
    for a, b in zip(beside, expected, strict=True):
        assert_array_equal(a, b)


def test_every_thread_keeps_its_number_of_threads(problem, two_threads):
    clf = classifier(max_iter=2).fit(*problem)

    def work():
        clf.predict_proba(problem[0])
        return torch.get_num_threads()

    for _ in range(20):
        assert set(in_threads([work] * 8)) == {2}
        assert in_a_new_thread(torch.get_num_threads) == 2
    assert torch.get_num_threads() == 2


def test_the_limit_of_one_thread_does_not_stay_in_another(two_threads):
    # The second thread comes with the limit of the first, which has gone by then; the
    # caller is here beside the second one.
    limited, asked, gone, second_in, main_in = (threading.Event() for _ in range(5))

    def first():
        with thread_limit(1):
            limited.set()
            asked.wait(60)
        gone.set()

    def second():
        limited.wait(60)
        torch.get_num_threads()
        asked.set()
        gone.wait(60)
        with thread_limit(1):
            second_in.set()
            main_in.wait(60)

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    second_in.wait(60)
    with thread_limit(1):
        main_in.set()
        threads[1].join(60)
    assert torch.get_num_threads() == 2


def test_a_new_thread_leaves_with_the_number_of_the_first_one(two_threads):
    def second():
        with thread_limit(1):
            pass
        return torch.get_num_threads()

    with thread_limit(1):
        assert in_a_new_thread(second) == 2
    assert torch.get_num_threads() == 2


def test_a_limit_within_a_limit_ends_alone(two_threads):
    with thread_limit(1):
        with thread_limit(1e15):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_a_callback_that_predicts_changes_nothing(problem, two_threads):
    seen = []

    def look():
        clf.predict_proba(problem[0])
        seen.append(torch.get_num_threads())
        return False

    clf = classifier(max_iter=3).fit(*problem)
    expected = parameters_of(clf)
    again = classifier(max_iter=3).set_callbacks(AtEpoch(1, look)).fit(*problem)
    for a, b in zip(parameters_of(again), expected, strict=True):
        assert_array_equal(a, b)
    assert seen == [1], "a small network must not wait for a second thread"


# Processes ------------------------------------------------------------------------


def wide_problem(n=300):
    """X and Y for which two threads are worth it, where there are two."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 40)).astype(np.float32)
    Y = (X[:, :3] > 0).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


WIDE = {"hidden_layer_sizes": (256, 256), "n_members": 4, "max_iter": 2}


def answer_of(method, work, *args):
    """What a child process gives."""
    result = pickle.loads(message_of(method, answer, work, args))
    if isinstance(result, Exception):
        raise result
    return result


def message_of(method, target, *args):
    """The bytes that a child process sends."""
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=target, args=(sender, *args))
    with warnings.catch_warnings():
        # Python 3.12 says so of every fork beside threads, and torch has some.
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        child.start()
    sender.close()
    try:
        if not receiver.poll(60):
            pytest.fail(f"The {method}ed process gave no answer in 60 s: it hangs.")
        message = receiver.recv_bytes()
        child.join(60)
        assert child.exitcode == 0
    finally:
        child.kill()
        child.join()
    return message


def assert_same_answers(ours, expected, atol):
    for a, b in zip(ours, expected, strict=True):
        assert_allclose(a, b, rtol=0, atol=atol)


@can_fork
def test_a_forked_process_predicts_as_its_parent(problem):
    clf = classifier(max_iter=3).fit(*problem)
    expected = predict(clf, *problem)
    assert_same_answers(answer_of("fork", predict, clf, *problem), expected, atol=0)


@can_fork
def test_a_forked_process_works_after_torch_has_had_several_threads(two_threads):
    # Without care, it waits forever for threads that only the parent has.
    X, Y = wide_problem()
    clf = classifier(**WIDE).fit(X, Y)
    expected = predict(clf, X, Y)
    assert_same_answers(answer_of("fork", predict, clf, X, Y), expected, atol=1e-5)
    again, p = answer_of("fork", fit, clone(clf), X, Y)
    assert_allclose(p, expected[0], rtol=0, atol=1e-4)
    for a, b in zip(parameters_of(again), parameters_of(clf), strict=True):
        assert_allclose(a, b, rtol=0, atol=1e-4)
    assert torch.get_num_threads() == 2


@can_fork
def test_a_process_forked_from_within_a_fit_works(two_threads):
    X, Y = wide_problem()
    answers = []

    def fork():
        answers.append(answer_of("fork", fit, classifier(**WIDE), X, Y)[1])
        return False

    clf = classifier(**WIDE).set_callbacks(AtEpoch(0, fork)).fit(X, Y)
    assert_allclose(answers[0], clf.predict_proba(X), rtol=0, atol=1e-4)
    assert torch.get_num_threads() == 2


@can_fork
@pytest.mark.parametrize(
    "lock",
    [
        "skmtl._training._threads._thread_lock",
        "skmtl._network._module_trunk._random_lock",
    ],
)
def test_a_forked_process_does_not_wait_for_another_threads_lock(problem, lock):
    module, name = lock.rsplit(".", 1)
    clf = classifier(trunk=WithStatistics, dropout=0.2, max_iter=2).fit(*problem)
    held, done = threading.Event(), threading.Event()

    def hold():
        with getattr(sys.modules[module], name):
            held.set()
            done.wait(120)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    try:
        again, _ = answer_of("fork", fit, clone(clf), *problem)
    finally:
        done.set()
        holder.join(60)
    assert_same_parameters(again, clf)


@pytest.mark.slow
@can_fork
def test_processes_forked_beside_busy_threads_work(problem):
    X, Y = problem
    clf = classifier(trunk=WithStatistics, dropout=0.2, max_iter=3).fit(X, Y)
    expected = predict(clf, X, Y)
    done = threading.Event()

    def busy():
        while not done.is_set():
            fitted(problem, trunk=WithStatistics, max_iter=1)

    threads = [threading.Thread(target=busy, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(40):
            ours = answer_of("fork", predict, clf, X, Y)
            assert_same_answers(ours, expected, atol=0)
            again, _ = answer_of("fork", fit, clone(clf), X, Y)
            assert_same_parameters(again, clf)
    finally:
        done.set()
        for thread in threads:
            thread.join(60)


@pytest.mark.slow
def test_a_spawned_process_predicts_as_its_parent(problem):
    clf = classifier(max_iter=3).fit(*problem)
    expected = predict(clf, *problem)
    assert_same_answers(answer_of("spawn", predict, clf, *problem), expected, atol=0)


@pytest.mark.parametrize(
    "backend", [pytest.param("loky", marks=pytest.mark.slow), "threading"]
)
def test_joblib_gives_what_one_process_gives(backend, one_thread):
    # With so few bytes, X goes to the workers as a file that is mapped read-only.
    X, Y = wide_problem()
    fits = [classifier(max_iter=2, random_state=seed) for seed in range(3)]
    fits += [classifier(max_iter=2, sharing="none", trunk=WithStatistics)]
    one_by_one = [fit(clone(clf), X, Y) for clf in fits]
    with parallel_config(backend, n_jobs=2):
        parallel = Parallel(max_nbytes=1000)
        together = parallel(delayed(fit)(clf, X, Y) for clf in fits)
        predictions = parallel(delayed(predict)(clf, X, Y) for clf, _ in one_by_one)
    for (clf, p), (alone, q), ours in zip(
        together, one_by_one, predictions, strict=True
    ):
        assert_same_parameters(clf, alone)
        assert_array_equal(p, q)
        assert_same_answers(ours, predict(alone, X, Y), atol=0)


def fit_at_the_end(sender):
    """A thread that fits after the main one, and says so."""

    def work():
        threading.main_thread().join()
        torch.set_num_threads(2)
        X = np.random.default_rng(0).normal(size=(120, 5))
        classifier(n_members=2, max_iter=2).fit(X, X[:, :2] > 0)
        sender.send_bytes(b"fitted")

    threading.Thread(target=work).start()


@can_fork
def test_a_fit_after_the_main_thread_has_ended(monkeypatch):
    for name in ("MIN_WORK_PER_PART", "MIN_WORK_SIDE_BY_SIDE"):
        monkeypatch.setattr(f"skmtl._training._parts.{name}", 0)
    assert message_of("fork", fit_at_the_end) == b"fitted"


SCRIPT_THAT_FITS_AT_ITS_END = """
import threading
import numpy as np, torch
from skmtl import MultiTaskNetClassifier
from skmtl._training import _parts
torch.set_num_threads(2)
_parts.MIN_WORK_PER_PART = _parts.MIN_WORK_SIDE_BY_SIDE = 0  # members side by side
X = np.random.default_rng(0).normal(size=(1200, 5))
Y = (X[:, :2] > 0).astype(float)

def work():
    threading.main_thread().join()
    MultiTaskNetClassifier((8,), n_members=2, max_iter=2).fit(X, Y)
    print("fitted")

threading.Thread(target=work).start()
"""


@pytest.mark.slow  # it loads torch once more
def test_a_program_that_fits_after_its_main_thread_has_ended():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT_THAT_FITS_AT_ITS_END],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "fitted\n"


# Global state ---------------------------------------------------------------------


def global_state():
    """All that a call could leave changed behind it."""
    return {
        "random": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "threads of a new thread": in_a_new_thread(torch.get_num_threads),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "only warns": torch.is_deterministic_algorithms_warn_only_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "onednn": torch.backends.mkldnn.enabled,
        "filters": list(warnings.filters),
        "errstate": np.geterr(),
        "print": str(np.get_printoptions()),
        "interrupt": signal.getsignal(signal.SIGINT),
        "directory": os.getcwd(),
        "environment": dict(os.environ),
        "trace": sys.gettrace(),
    }


@contextlib.contextmanager
def nothing_changes():
    # torch imports it at the first step of a module, and then sets a variable.
    importlib.import_module("torch._dynamo")
    # Or a seed that every call sets would be there before it.
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = global_state()
    yield
    after = global_state()
    assert [name for name in before if before[name] != after[name]] == []


@contextlib.contextmanager
def unusual_settings():
    """Where what is usually the default would be a change."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("high")
    try:
        with np.errstate(all="raise"), warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning, append=True)
            yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")


AMBIENTS = {
    "usual": contextlib.nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "enable_grad": torch.enable_grad,
    "autocast": lambda: torch.autocast("cpu"),
    "another device": lambda: torch.device("meta"),
    "unusual": unusual_settings,
}
TRUNKS = {"layers": {}, "module": {"trunk": WithStatistics}}


@pytest.mark.parametrize("ambient", AMBIENTS)
@pytest.mark.parametrize("trunk", TRUNKS)
def test_no_call_changes_global_state(problem, ambient, trunk, two_threads):
    X, Y = problem
    settings = {"dropout": 0.2, "max_iter": 2, "early_stopping": True, **TRUNKS[trunk]}
    expected = classifier(**settings).fit(X, Y).predict_proba(X)
    with AMBIENTS[ambient]():
        with nothing_changes():
            clf = classifier(**settings).fit(X, Y)
        for name in ("predict", "predict_proba", "predict_log_proba", "transform"):
            with nothing_changes():
                getattr(clf, name)(X)
        # A module of the user's draws its parameters in the default dtype.
        if (trunk, ambient) != ("module", "unusual"):
            assert_array_equal(clf.predict_proba(X), expected)
        with nothing_changes():
            clf.score(X, Y)
        with nothing_changes():
            clf.add_tasks(X, Y[:, 0])
        with nothing_changes():
            clf.drop_tasks(["task_1"])
        with nothing_changes():
            clf = clone(clf).set_params(early_stopping=False)
        for _ in range(2):
            with nothing_changes():
                clf.partial_fit(X, Y)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "add_tasks", "drop_tasks"])
def test_a_network_made_in_inference_mode_can_be_trained_outside(problem, method):
    X, Y = problem
    clf = classifier(max_iter=2, warm_start=True)
    with torch.inference_mode():
        if method in ("fit", "partial_fit"):
            getattr(clf, method)(X, Y)
        elif method == "add_tasks":
            clf.fit(X, Y[:, :2]).add_tasks(X, pd.DataFrame({"new": Y[:, 2]}))
        else:
            clf.fit(X, Y).drop_tasks(["task_2"])
    for parameter in clf.network_.parameters():
        assert not parameter.is_inference()
    clf.fit(X, Y[:, : clf.n_outputs_])


def raising(error):
    def action(*args):
        raise error

    return action


def quick(**settings):
    """Two epochs, so that a failure in the second one is in the midst of a fit."""
    return classifier(**({"max_iter": 2, "dropout": 0.2} | settings))


def with_callback(error):
    return quick().set_callbacks(AtEpoch(0, raising(error)))


def raising_trunk(input_shape, generator):
    torch.rand(3)
    raise RuntimeError("no trunk")


WILD = {"solver": "sgd", "learning_rate_init": 1e38}
LINEAR = {"input_encoding": "none", "hidden_layer_sizes": (9, 9)}
LINEAR |= {"activation": "identity"}

# Calls of a fitted classifier that fail, and what their error says.
FAILURES = {
    "fit: X": (lambda clf, X, Y: clf.fit(np.full_like(X, np.inf), Y), "infinity"),
    "fit: y": (lambda clf, X, Y: clf.fit(X, Y[:-1]), "inconsistent"),
    "fit: weight": (lambda clf, X, Y: clf.fit(X, Y, -np.ones(60)), "negative"),
    "fit: step": (lambda clf, X, Y: quick(**WILD).fit(X, Y), "diverged"),
    "fit: step of a module": (
        lambda clf, X, Y: quick(trunk=WithStatistics, **WILD).fit(X, Y),
        "diverged",
    ),
    "fit: trunk": (lambda clf, X, Y: quick(trunk=raising_trunk).fit(X, Y), "no trunk"),
    "fit: callback": (
        lambda clf, X, Y: with_callback(RuntimeError("no more")).fit(X, Y),
        "no more",
    ),
    "fit: exit": (
        lambda clf, X, Y: with_callback(SystemExit("exit")).fit(X, Y),
        "exit",
    ),
    "partial_fit: y": (lambda clf, X, Y: clf.partial_fit(X, Y + 7), "among"),
    "partial_fit: step": (
        lambda clf, X, Y: clf.set_params(**WILD).partial_fit(X, Y),
        "diverged",
    ),
    "predict: X": (lambda clf, X, Y: clf.predict(X[:, :2]), "2 features"),
    "predict_proba: X": (
        lambda clf, X, Y: quick(**LINEAR).fit(X, Y).predict_proba(np.sign(X) * 3e38),
        "must be finite",
    ),
    "score: y": (lambda clf, X, Y: clf.score(X, np.full_like(Y, np.nan)), "observed"),
    "transform: no trunk": (
        lambda clf, X, Y: quick(hidden_layer_sizes=()).fit(X, Y).transform(X),
        "no trunk",
    ),
    "add_tasks: step": (
        lambda clf, X, Y: clf.set_params(**WILD).add_tasks(X, Y, freeze_trunk=False),
        "diverged",
    ),
    "drop_tasks: name": (lambda clf, X, Y: clf.drop_tasks("nobody"), "nobody"),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("ambient", ["usual", "inference_mode"])
def test_no_failing_call_changes_global_state(problem, name, ambient, two_threads):
    clf, (call, message) = quick().fit(*problem), FAILURES[name]
    errors = ValueError, RuntimeError, SystemExit
    with (
        AMBIENTS[ambient](),
        nothing_changes(),
        pytest.raises(errors, match=message),
    ):
        call(clf, *problem)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_an_interrupt_of_partial_fit_changes_no_global_state(
    problem, trunk, two_threads, monkeypatch
):
    clf = quick(**TRUNKS[trunk]).partial_fit(*problem)
    monkeypatch.setattr(
        "skmtl._training._steps.logit_gradient", raising(KeyboardInterrupt("now"))
    )
    with nothing_changes(), pytest.raises(KeyboardInterrupt, match="now"):
        clf.partial_fit(*problem)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_no_interrupt_changes_global_state(problem, trunk, two_threads):
    clf = classifier(max_iter=3, dropout=0.2, **TRUNKS[trunk])
    clf.set_callbacks(AtEpoch(1, raising(KeyboardInterrupt())))
    with nothing_changes(), pytest.warns(RuntimeWarning, match="after 2 epochs"):
        clf.fit(*problem)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_threads_leave_global_random_state_alone(problem, trunk, one_thread):
    # Of all global state: Python's filters of warnings are no matter of threads, and
    # scikit-learn's checks set them for a moment.
    names = "random", "numpy", "torch"
    before = global_state()
    in_threads([lambda: fitted(problem, max_iter=3, **TRUNKS[trunk])] * 6)
    after = global_state()
    assert [name for name in names if before[name] != after[name]] == []
