"""Warnings point to the user's line, come once, and not without a reason."""

import inspect
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool
from threading import Thread

import numpy as np
import pandas as pd
import polars as pl
import pytest
from _estimators import classifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl import (
    MultiTaskNet,
    MultiTaskNetClassifier,
    MultiTaskNetRegressor,
    model_selection,
    observed_rows,
)
from skmtl._estimators._base import BaseMultiTaskNet
from skmtl._messages import warn
from skmtl._targets import encode, warn_of_suspects
from skmtl._weights import label_totals
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.inspection import (
    compare_models,
    label_curve,
    label_report,
    task_affinity,
    transfer_gain,
)
from skmtl.metrics import multitask_report, multitask_score, multitask_scorer
from skmtl.model_selection import (
    MultiTaskStratifiedKFold,
    MultiTaskStratifiedShuffleSplit,
    cross_val_predict,
    multitask_train_test_split,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
Y = (X > 0).astype(float)
P = np.full(Y.shape, 0.5)
TEXT = np.where(Y > 0, "yes", "NA").astype(object)  # as if "NA" were an answer
RARE = np.where(np.arange(60)[:, None] == 0, 2, Y)
FEW = np.where(np.arange(60)[:, None] > [59, 59, 0], np.nan, Y)
EMPTY = np.column_stack([np.full(60, np.nan), Y[:, 1:]])  # nothing to score by
CONSTANT = np.column_stack([np.ones(60), X[:, 1:]])
FOLDS = MultiTaskStratifiedKFold(3)
AUC = multitask_scorer("roc_auc")
CLF = classifier(max_iter=1).fit(X, Y)
LABELS = "look like missing labels"
UNDEFINED = "undefined"


def clf(**changes):
    return classifier(max_iter=1, **changes)


def reg():
    return MultiTaskNetRegressor((5,), max_iter=1, n_members=1)


# Each on a line of its own, which is the one that the warning must point to.
CALLS = {
    "fit": (lambda: clf().fit(X, TEXT), LABELS),
    "fit, late": (lambda: clf(learning_rate="constant").fit(X, Y), "converged yet"),
    "fit of numbers": (lambda: reg().fit(X, CONSTANT), "one value only"),
    "fit of both": (lambda: MultiTaskNet(max_iter=1).fit(X, TEXT), LABELS),
    "oob_score": (lambda: clf(oob_score=True, n_members=60).fit(X, Y), "oob_score"),
    "fit, unlabelled": (lambda: clf().fit(X, EMPTY), "no observed label"),
    "early_stopping": (lambda: clf(early_stopping=True).fit(X, FEW), "too few labels"),
    "add_tasks, few": (
        lambda: clf(early_stopping=True).fit(X, Y).add_tasks(X, FEW),
        "too few labels",
    ),
    "add_tasks, unlabelled": (
        lambda: clf().fit(X, Y).add_tasks(X, EMPTY),
        "no observed label",
    ),
    "partial_fit of numbers": (
        lambda: reg().partial_fit(X, CONSTANT).partial_fit(X, X),
        "not learned",
    ),
    "fit of a Pipeline": (
        lambda: make_pipeline(StandardScaler(), clf()).fit(X, TEXT),
        LABELS,
    ),
    "partial_fit": (lambda: clf().partial_fit(X, TEXT), LABELS),
    "add_tasks": (lambda: clf().fit(X, Y).add_tasks(X, TEXT), LABELS),
    "score": (lambda: CLF.score(X, EMPTY), UNDEFINED),
    "split": (lambda: list(FOLDS.split(X, TEXT)), LABELS),
    "split, rare": (lambda: [0 for _ in FOLDS.split(X, RARE)], "fewer labels"),
    "shuffle split": (
        lambda: next(MultiTaskStratifiedShuffleSplit().split(X, TEXT)),
        LABELS,
    ),
    "train_test_split": (lambda: multitask_train_test_split(X, TEXT), LABELS),
    "cross_val_predict": (lambda: cross_val_predict(clf(), X, TEXT, cv=3), LABELS),
    "cross_validate": (lambda: cross_validate(clf(), X, TEXT, cv=FOLDS), LABELS),
    "multitask_score": (lambda: multitask_score("roc_auc", EMPTY, P), UNDEFINED),
    "multitask_score, text": (lambda: multitask_score("accuracy", TEXT, TEXT), LABELS),
    "multitask_report": (lambda: multitask_report(EMPTY, P), UNDEFINED),
    "scorer": (lambda: AUC(CLF, X, EMPTY), UNDEFINED),
    "search": (
        lambda: GridSearchCV(clf(), {"alpha": [0, 1]}, scoring=AUC, cv=FOLDS).fit(
            X, TEXT
        ),
        LABELS,
    ),
    "label_report": (lambda: label_report(TEXT), LABELS),
    "task_affinity": (lambda: task_affinity(CLF, X, EMPTY), "no label"),
    "transfer_gain": (lambda: transfer_gain(clf(), X, TEXT, cv=2, n_repeats=1), LABELS),
    "label_curve": (
        lambda: label_curve(clf(), X, TEXT, "task_0", n_labels=[9], cv=2),
        LABELS,
    ),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_warnings_point_to_the_line_of_the_user(call, message):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert any(message in str(warning.message) for warning in caught)
    code = call.__code__
    last = max(line for *_, line in code.co_lines() if line is not None)
    lines = range(code.co_firstlineno, last + 1)
    for warning in caught:
        assert warning.filename == __file__, warning.message
        assert warning.lineno in lines, warning.message


def test_warnings_of_a_thread_of_the_user_point_to_its_line():
    def call():
        clf().fit(X, TEXT)

    with ThreadPoolExecutor(1) as pool, pytest.warns(UserWarning, match=LABELS) as w:
        pool.submit(call).result()
    assert w[0].filename == __file__
    assert w[0].lineno == call.__code__.co_firstlineno + 1


@pytest.mark.parametrize("pool", [ThreadPool, ThreadPoolExecutor])
def test_warnings_of_a_worker_without_a_line_of_the_user_point_to_fit(pool):
    with pool(1) as workers, pytest.warns(UserWarning, match=LABELS) as caught:
        list(workers.map(partial(clf().fit, X), [TEXT]))
    assert_at_fit(caught[0])


def test_warnings_of_a_thread_without_a_line_of_the_user_point_to_fit():
    def call():
        thread = Thread(target=clf().fit, args=(X, TEXT))
        thread.start()
        thread.join()

    with pytest.warns(UserWarning, match=LABELS) as caught:
        call()
    assert_at_fit(caught[0])


def assert_at_fit(warning):
    body, first = inspect.getsourcelines(BaseMultiTaskNet.fit)
    assert warning.filename == inspect.getsourcefile(BaseMultiTaskNet)
    assert first < warning.lineno < first + len(body)


# Once ------------------------------------------------------------------------------

SCRIPT = """
import numpy as np
from sklearn.model_selection import GridSearchCV, cross_val_score
from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import MultiTaskStratifiedKFold, cross_val_predict

X = np.random.default_rng(0).normal(size=(30, 2))
Y = np.where(X > 0, "yes", "NA").astype(object)
clf = MultiTaskNetClassifier((5,), n_members=1, max_iter=1)
grid, cv = {"alpha": [0, 1]}, MultiTaskStratifiedKFold(3)
scoring = multitask_scorer("accuracy")
GridSearchCV(clf, grid, cv=cv, scoring=scoring).fit(X, Y)
cross_val_predict(clf, X, Y, cv=3)
for _ in range(3):
    clf.fit(X, Y)
"""


def test_a_line_shows_the_same_warning_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stderr.splitlines() if LABELS in line]
    source = SCRIPT.splitlines()
    calls = ("GridSearchCV(clf", "cross_val_predict(clf", "    clf.fit")
    numbers = [1 + i for i, line in enumerate(source) if line.startswith(calls)]
    places = [f"{script}:{number}" for number in numbers]
    assert [line.partition(": UserWarning")[0] for line in lines] == places


def search():
    GridSearchCV(clf(), {"alpha": [0, 1]}, scoring=AUC, cv=FOLDS).fit(X, TEXT)


def counted(action):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        search()
    return sum(LABELS in str(warning.message) for warning in caught)


def test_filters_decide_how_often_a_warning_is_shown():
    for _ in range(2):  # what was shown in one block does not count in the next
        assert counted("default") == 1
        assert counted("once") == 1
        assert counted("always") > 6  # two networks, three folds, and the last fit
        assert counted("ignore") == 0
    with pytest.raises(UserWarning, match=LABELS):
        search()  # an error in all tests


def test_a_cell_that_runs_again_warns_again():
    code = compile("show('careful')", "<cell>", "exec")
    names = {"__name__": "__main__", "show": warn}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            exec(code, names)
        assert len(caught) == 1
        del names["__warningregistry__"]  # as IPython does before a cell
        exec(code, names)
    assert [(w.filename, w.lineno) for w in caught] == [("<cell>", 1)] * 2


@pytest.mark.parametrize(
    ("settings", "n_shown"),
    [
        ({"message": "care"}, 1),
        ({"message": "other"}, 2),
        ({"module": "__main__"}, 1),
        ({"module": "skmtl"}, 2),
        ({"lineno": 1}, 1),
        ({"lineno": 2}, 2),
        ({"category": UserWarning}, 1),
        ({"category": FutureWarning}, 2),
    ],
)
def test_filters_are_read_as_python_reads_them(settings, n_shown):
    # Where another block forgets what was shown, the filter that applies decides.
    code = compile("show('careful')", "<cell>", "exec")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("default", **settings)
        names = {"__name__": "__main__", "show": warn}
        for _ in range(2):
            exec(code, names)
            with warnings.catch_warnings():
                pass
    assert len(caught) == n_shown


# Legal, and hardly ever meant ------------------------------------------------------


def fit(y, X=X, **kwargs):
    return clf(hidden_layer_sizes=(5,)).fit(X[: len(y)], y, **kwargs)


def category(values, categories):
    dtype = pd.CategoricalDtype(categories)
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype), "b": TEXT_OF_Y})


TEXT_OF_Y = np.where(Y[:, 0] > 0, "p", "q")
LETTERS = np.array(["x", "y", "z"])[np.arange(60) % 3]
ONE_HOT = np.eye(3)[np.arange(60) % 3]
GAPS = rng.random(Y.shape) < 0.4
MARKED = np.where(GAPS, -1, Y)
SUSPECTS = {
    "one class": (
        np.column_stack([Y[:, 0], np.zeros(60)]),
        r"1 of 2 tasks have labels of one class only.*\('task_1', 0\)",
    ),
    "one class beside missing labels": (
        np.column_stack([Y[:, 0], np.where(GAPS[:, 0], np.nan, 1)]),
        r"\('task_1', 1\)",
    ),
    "one class of text": (np.full(60, "yes"), r"\('task_0', 'yes'\)"),
    "one class of those declared": (
        category(["x"] * 60, ["x", "y"]),
        r"one class only.*\('a', 'x'\)",
    ),
    "unused categories": (
        category(LETTERS, ["x", "y", "z", "v", "w"]),
        r"\('a', \['v', 'w'\]\).*y\['a'\].cat.remove_unused_categories\(\)",
    ),
    "unused categories of one task": (
        pd.Series(pd.Categorical(LETTERS, list("xyzw")), name="a"),
        r"\('a', \['w'\]\).*: y = y\.cat\.remove_unused_categories\(\)",
    ),
    "unused categories of polars": (
        pl.DataFrame(
            {"a": pl.Series(LETTERS, dtype=pl.Enum(["x", "y", "z", "w"])), "b": Y[:, 0]}
        ),
        r"\('a', \['w'\]\)",
    ),
    "one-hot": (ONE_HOT, r"a single 1 in its 3 columns.*idxmax\(axis=1\)"),
    "one-hot of bool": (pd.DataFrame(ONE_HOT > 0, columns=list("abc")), "idxmax"),
    "-1": (MARKED, r"-1 next to 0 and 1.*'task_0', 'task_1', 'task_2'.*y != -1"),
    "-1 in some": (np.column_stack([MARKED[:, :2], Y]), r"\['task_0', 'task_1'\]"),
    "-99": (np.where(GAPS, -99, Y), r"-99 next to 0 and 1"),
    "999 of one task": (np.where(GAPS, 999, Y)[:, 0], r"999 next to 0 and 1"),
    "-9 beside classes": (
        np.column_stack([np.where(GAPS, -9, Y)[:, 0], np.arange(60) % 4]),
        r"-9 next to 0 and 1.*\['task_0'\]",
    ),
}


@pytest.mark.parametrize(("y", "message"), SUSPECTS.values(), ids=SUSPECTS)
def test_what_is_hardly_meant_is_named_with_a_remedy(y, message):
    with pytest.warns(UserWarning, match=message) as caught:
        fit(y)
    assert len(caught) == 1


def test_new_tasks_are_looked_at_too():
    with pytest.warns(UserWarning, match="-99 next to 0 and 1"):
        fit(Y).add_tasks(X, pd.DataFrame(np.where(GAPS, -99, Y), columns=list("abc")))


def test_labels_of_weight_zero_make_no_second_class():
    with pytest.warns(UserWarning, match=r"one class only.*\('task_0', 1\)"):
        fit(Y, sample_weight=np.column_stack([Y[:, 0], np.ones((60, 2))]))


HARMLESS = {
    "0 and 1": Y,
    "missing labels": np.where(GAPS, np.nan, Y),
    "used categories": category(LETTERS, ["x", "y", "z"]),
    "one-hot but for a row": np.vstack([ONE_HOT[:-1], [1, 1, 0]]),
    "one-hot but for a missing label": np.vstack([ONE_HOT[:-1], [np.nan, 1, 0]]),
    "one or the other": np.eye(2)[np.arange(60) % 2],
    "few rows with a single 1": np.vstack([np.eye(3), np.eye(3)]),
    "-1 and 1": np.where(Y > 0, 1, -1),
    "one task of -1, 0 and 1": MARKED[:, 0],
    "one of several tasks of -1, 0 and 1": np.column_stack([MARKED[:, 0], Y]),
    "-1, 0, 1 beside text": pd.DataFrame(
        {"a": MARKED[:, 0], "b": MARKED[:, 1], "c": LETTERS}
    ),
    "-1, 0, 1 and 2": np.where(GAPS, -1, Y + (np.arange(60)[:, None] % 5 == 0)),
    "-1 as text": MARKED.astype(int).astype(str),
    "digits 0, 1 and 9": np.array([0, 1, 9])[np.arange(60) % 3],
    "-99 without 0": np.where(Y > 0, -99, 1),
}


@pytest.mark.parametrize("y", HARMLESS.values(), ids=HARMLESS)
def test_harmless_labels_are_fitted_in_silence(y):
    fit(y)


def test_a_batch_may_lack_classes():
    clf().partial_fit(X, np.zeros((60, 2))).partial_fit(X, ONE_HOT[:, :2])


@pytest.mark.parametrize(
    "name",
    [
        *("yeast", "scene", "emotions", "flags", "medical", "birds", "foodtruck"),
        *("landmine", "tox21", "drug_consumption", "adult", "support2", "thyroid_l7"),
    ],
)
def test_tables_as_they_are_published_are_not_suspected(load_real, name):
    tasks, codes, _ = encode(load_real(name)[1], "class")
    warn_of_suspects(tasks, codes, label_totals(codes, None, tasks.n_codes))


# The order of rows -----------------------------------------------------------------

FRAME = pd.DataFrame(X, index=[f"row {i}" for i in range(60)], columns=list("abc"))
TARGETS = pd.DataFrame(Y, index=FRAME.index, columns=list("pqr"))
ORDER = r"{} should have the index of X in the same order.*{}\.loc"


@pytest.mark.parametrize("kind", ["frame", "series"])
def test_rows_in_another_order_are_noticed(kind):
    y = TARGETS[::-1] if kind == "frame" else TARGETS["p"][::-1]
    with pytest.warns(UserWarning, match=ORDER.format("y", "y")):
        fit(y, FRAME)
    with pytest.warns(UserWarning, match=ORDER.format("y", "y")):
        clf().partial_fit(FRAME, y)
    with pytest.warns(UserWarning, match=ORDER.format("y_new", "y_new")):
        fit(TARGETS[["q"]], FRAME).add_tasks(FRAME, y if kind == "series" else y[["p"]])


def test_weights_in_another_order_are_noticed():
    weight = pd.Series(1.0, index=FRAME.index[::-1])
    with pytest.warns(
        UserWarning, match=ORDER.format("sample_weight", "sample_weight")
    ):
        fit(TARGETS, FRAME, sample_weight=weight)
    with pytest.warns(UserWarning, match=ORDER.format("y and sample_weight", "y")):
        fit(TARGETS[::-1], FRAME, sample_weight=weight)


@pytest.mark.parametrize(
    "y",
    [
        TARGETS.to_numpy()[::-1],
        TARGETS[::-1].reset_index(drop=True),
        TARGETS.set_axis(["row 0"] * 60),
        TARGETS[::-1].set_axis([*FRAME.index[1:], "other"]),
        pl.DataFrame(Y[::-1]),
        Y[::-1].tolist(),
    ],
    ids=["array", "other index", "not unique", "one other", "polars", "list"],
)
def test_other_indices_are_fitted_in_silence(y):
    fit(y, FRAME)
    fit(y, FRAME.to_numpy())
    fit(y, FRAME.set_axis(["row 0"] * 60))


@pytest.mark.parametrize(
    "call",
    [
        lambda X, y: multitask_train_test_split(X, y, random_state=0),
        lambda X, y: multitask_train_test_split(X, X, stratify=y, random_state=0),
        lambda X, y: model_selection.cross_validate(clf(), X, y, cv=2),
        lambda X, y: model_selection.cross_val_score(clf(), X, y, cv=2),
        lambda X, y: cross_val_predict(clf(), X, y, cv=2),
        lambda X, y: model_selection.learning_curve(
            clf(), X, y, cv=2, train_sizes=[0.9]
        ),
        lambda X, y: model_selection.validation_curve(
            clf(), X, y, cv=2, param_name="alpha", param_range=[0.1]
        ),
        lambda X, y: MultiTaskCalibratedClassifierCV(clf(), cv=2, ensemble=True).fit(
            X, y
        ),
        lambda X, y: transfer_gain(clf(), X, y, cv=2, n_repeats=1),
        lambda X, y: compare_models(clf(), X, y, cv=2),
        lambda X, y: label_curve(clf(), X, y, "p", n_labels=[9], cv=2),
        lambda X, y: skmtl.report(clf(), X, y, cv=2, models=["joint", "separate"]),
    ],
)
def test_rows_in_another_order_are_noticed_before_they_are_split(call):
    with pytest.warns(UserWarning, match=ORDER.format("y", "y")) as caught:
        call(FRAME, TARGETS[::-1])
    # Python shows the same message of the same line once.
    shown = {(str(w.message), w.filename, w.lineno) for w in caught}
    assert sum("same order" in message for message, *_ in shown) == 1


def test_a_third_array_in_another_order_is_noticed_in_a_split():
    with pytest.warns(UserWarning, match=ORDER.format(r"arrays\[2\]", r"arrays\[2\]")):
        multitask_train_test_split(FRAME, TARGETS, FRAME[::-1], random_state=0)


def test_rows_in_another_order_are_noticed_after_the_fit_too():
    X = pd.DataFrame(np.arange(40.0).reshape(20, 2))
    Y = pd.DataFrame({"a": X[0] > 20, "b": X[1] > 13})
    clf = MultiTaskNetClassifier((4,), max_iter=1, random_state=0).fit(X, Y)
    for call in (lambda y: clf.score(X, y), lambda y: observed_rows(X, y, "a")):
        call(Y)
        with pytest.warns(UserWarning, match="the order differs"):
            call(Y[::-1])


def test_a_dict_of_labels_is_refused_by_what_stands_around_an_estimator():
    X = np.arange(40.0).reshape(20, 2)
    Y = {"a": X[:, 0] > 20, "b": X[:, 1] > 13}
    clf = MultiTaskNetClassifier((4,), max_iter=1, random_state=0)
    for around in (
        model_selection.MultiTaskTunedThresholdClassifierCV(clf),
        model_selection.GridSearchCV(clf, {"alpha": [0.1]}),
    ):
        with pytest.raises(ValueError, match=r"pd\.DataFrame\(y\)"):
            around.fit(X, Y)
