"""Any input gives a documented error or sound predictions; hypothesis draws it."""

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from _estimators import parameters_of
from _strategies import (
    FLAWS,
    LARGEST,
    SPARSE,
    Case,
    Truth,
    cases,
    make_class_weight,
    make_numbers,
    make_sample_weight,
    make_task_weight,
    make_truth,
    make_x,
    make_y,
    spoil,
)
from hypothesis import event, given
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning

from skmtl import MultiTaskNetClassifier

NO_LABEL = "y must have at least one observed label"
DIVERGED = "Training must keep the loss finite"
OVERFLOWS = "The network's output must be finite"
ONE_SIDED = "early_stopping needs labels of positive weight on both sides"
TASK_WITHOUT_LABEL = "tasks have no observed label"
NOT_CONVERGED = "Maximum number of epochs"
# Documented, and whether they come depends on more than this file works out.
OTHER_WARNINGS = {
    UserWarning: "too few labels for early_stopping|number of classes is greater|"
    "labels that look like missing labels|labels of one class only|"
    "categories without a row|a single 1 in its|looks like a mark"
}


@dataclass(frozen=True)
class Data:
    """What `fit` gets, and what is known of it."""

    X: Any
    y: Any
    sample_weight: Any
    numbers: np.ndarray
    truth: Truth
    has_weight: np.ndarray  # (n, t)
    parameters: dict


def make_data(case: Case) -> Data:
    rng = np.random.default_rng(case.seed)
    numbers, truth = make_numbers(case, rng), make_truth(case, rng)
    sample_weight = make_sample_weight(case, truth, rng)
    task_weight = make_task_weight(case, truth, rng)
    class_weight = make_class_weight(case, truth, rng)
    parameters = case.parameters | {
        "task_weight": task_weight,
        "class_weight": class_weight,
        "device": "cpu",
    }
    X, y = make_x(case.x_form, numbers, case), make_y(case, truth)
    if case.x_form == "object" and case.n_categories:
        parameters["categorical_features"] = list(range(case.n_categories))
    has_weight = weighs(case, truth, sample_weight, task_weight, class_weight)
    X, y, sample_weight, parameters = spoil(case, X, y, sample_weight, parameters)
    return Data(X, y, sample_weight, numbers, truth, has_weight, parameters)


def weighs(case, truth, sample_weight, task_weight, class_weight) -> np.ndarray:
    """(n, t): whether a label is there and of positive weight."""
    result = truth.observed.copy()
    if sample_weight is not None:
        result &= np.reshape(np.asarray(sample_weight), (case.n_rows, -1)) > 0
    if case.task_weight == "array":
        result &= task_weight > 0
    if isinstance(class_weight, dict):
        for t, name in enumerate(truth.names):
            of_task = class_weight if case.is_1d else class_weight[name]
            result[:, t] &= [of_task.get(label, 1) > 0 for label in truth.labels[:, t]]
    return result


def errors_due(case: Case, data: Data) -> list[str]:
    """What is wrong with the case: one of these must be raised, before training."""
    due = [FLAWS[case.flaw]] if case.flaw != "none" else []
    is_sparse = case.x_form in SPARSE
    encoding = case.parameters["input_encoding"]
    if encoding == "piecewise" and is_sparse:
        due.append("needs dense X")
    if np.isinf(data.numbers).any():
        due.append("infinity")
    if not is_encoded(case):
        if case.n_categories:
            due.append("columns .* are categories")
        if np.isnan(data.numbers).any():
            due.append("NaN")
        if np.abs(data.numbers).max(initial=0, where=~np.isnan(data.numbers)) > LARGEST:
            due.append("must fit float32")
    if data.sample_weight is not None and not np.any(data.sample_weight):
        due.append("Sample weights must contain at least one non-zero")
    if case.task_weight == "array" and not np.any(data.parameters["task_weight"]):
        due.append("task_weight must not be negative and not 0 for every task")
    n_labelled_rows = data.has_weight.any(axis=1).sum()
    if n_labelled_rows == 0:
        due.append(NO_LABEL)
    stops_early = case.parameters["early_stopping"]
    if stops_early and n_labelled_rows == 1 and not has_zero_weights(case):
        due.append(ONE_SIDED)
    return due


def is_encoded(case: Case) -> bool:
    encoding = case.parameters["input_encoding"]
    return encoding != "none" and case.x_form not in SPARSE


def may_diverge(case: Case, data: Data) -> bool:
    """With columns that nobody has scaled, or a step or a decay far too large."""
    if not is_encoded(case) and np.abs(data.numbers).max() > 100:
        return True
    rate, alpha = case.parameters["learning_rate_init"], case.parameters["alpha"]
    if rate == 10.0 or case.sample_weight == "huge":
        return True
    # The step of Adam does not depend on the scale of the loss.
    is_sgd = case.parameters["solver"] == "sgd" or case.x_form in SPARSE
    is_weighted = (case.task_weight, case.class_weight) != ("none", "none")
    decays_fast = case.sample_weight == "tiny" and alpha not in ("auto", 0.0)
    return is_sgd and (is_weighted or decays_fast)


@given(case=cases())
def test_a_documented_error_or_sound_predictions(case):
    data = make_data(case)
    due = errors_due(case, data)
    clf = MultiTaskNetClassifier(**data.parameters)
    if due:
        assert_refused(clf, data, due)
        event(f"refused: {case.flaw if case.flaw != 'none' else due[0]}")
        return
    _, error = outcome(lambda: fit_expecting(clf, case, data))
    if error is not None:
        check_late_error(error, clf, case, data)
        return
    p, error = outcome(lambda: clf.predict_proba(data.X))
    if error is not None:
        assert str(error).startswith(OVERFLOWS), error
        assert may_diverge(case, data)
        event("overflows")
        return
    probabilities = by_task(clf, p)
    event("fitted")
    check_probabilities(clf, data, probabilities)
    predicted = clf.predict(data.X).reshape(data.truth.labels.shape)
    check_labels(clf, data, probabilities, predicted)
    check_score(clf, data, predicted)
    check_parts(clf, case, data, probabilities)


def outcome(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What a call returns, or its error."""
    try:
        return call(), None
    except (ValueError, TypeError) as error:
        return None, error


# Errors ---------------------------------------------------------------------------


def assert_refused(clf, data: Data, due: list[str]) -> None:
    """By one of these errors, before the first epoch, without a trace."""
    epochs = CountedEpochs()
    clf.set_callbacks(epochs)
    before = dict(vars(clf))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, error = outcome(lambda: clf.fit(data.X, data.y, data.sample_weight))
    assert error is not None, f"fit must refuse this case: {due}"
    assert any(re.search(pattern, str(error)) for pattern in due), error
    assert epochs.n_begun == 0
    assert vars(clf) == before


class CountedEpochs:
    """A callback of scikit-learn's."""

    n_begun = 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.n_begun += context.task_name == "epoch"

    def on_fit_task_end(self, estimator, context, **keywords):
        pass


def check_late_error(error: Exception, clf, case: Case, data: Data) -> None:
    """The two errors that cannot be foreseen in every case."""
    assert not hasattr(clf, "network_")
    if str(error).startswith(ONE_SIDED):
        event(f"refused: {ONE_SIDED}")
        assert case.parameters["early_stopping"]
        assert has_zero_weights(case) or not has_spare_row(data.has_weight)
        assert_refused(clone(clf), data, [ONE_SIDED])
    else:
        event("diverged")
        assert str(error).startswith(DIVERGED), error
        assert may_diverge(case, data), error


def has_zero_weights(case: Case) -> bool:
    return case.task_weight == "array" or case.class_weight == "dict with zeros"


def has_spare_row(has_label: np.ndarray) -> bool:
    """Whether a row with labels can be held out and leave each task a label."""
    is_spare = ~has_label | (has_label.sum(axis=0) > 1)
    return bool((has_label.any(axis=1) & is_spare.all(axis=1)).any())


# Warnings -------------------------------------------------------------------------


def fit_expecting(clf, case: Case, data: Data) -> None:
    """Fit; no warning but those that are documented, and those that must come."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf.fit(data.X, data.y, data.sample_weight)
    texts = {(w.category, str(w.message)) for w in caught}
    without = {pair for pair in texts if TASK_WITHOUT_LABEL in pair[1]}
    assert bool(without) == (not data.has_weight.any(axis=0).all())
    late = {pair for pair in texts if pair[1].startswith(NOT_CONVERGED)}
    if late:
        assert case.parameters["learning_rate"] == "constant"
        assert {category for category, _ in late} == {ConvergenceWarning}
    for category, text in texts - without - late:
        assert re.search(OTHER_WARNINGS[category], text), text


# Predictions ----------------------------------------------------------------------


def by_task(clf, probabilities) -> list[np.ndarray]:
    """(n, n_classes) of each task, whatever form they came in."""
    if isinstance(probabilities, list):
        return probabilities
    if not isinstance(clf.classes_, list):
        return [probabilities]
    return [np.column_stack([1 - p, p]) for p in probabilities.T]


def check_probabilities(clf, data: Data, probabilities) -> None:
    n_rows, n_tasks = data.truth.labels.shape
    assert len(probabilities) == n_tasks
    for p, classes in zip(probabilities, classes_of(clf), strict=True):
        assert p.shape == (n_rows, len(classes))
        assert (p >= 0).all()
        assert (p <= 1).all()
        assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    for t in np.flatnonzero(~data.has_weight.any(axis=0)):
        p = probabilities[t]
        assert_allclose(p, np.full_like(p, 1 / p.shape[1]), rtol=1e-12)
    logarithms = clf.predict_log_proba(data.X)
    if not isinstance(logarithms, list):
        assert np.isfinite(logarithms).all()
        assert_allclose(np.exp(logarithms), clf.predict_proba(data.X), atol=1e-12)


def classes_of(clf) -> list[np.ndarray]:
    return clf.classes_ if isinstance(clf.classes_, list) else [clf.classes_]


def check_labels(clf, data: Data, probabilities, predicted) -> None:
    for t, (p, classes) in enumerate(zip(probabilities, classes_of(clf), strict=True)):
        seen = {label for label in data.truth.labels[:, t] if label is not None}
        assert seen <= set(classes.tolist())
        code_of = {label: code for code, label in enumerate(classes.tolist())}
        codes = [code_of[label] for label in predicted[:, t].tolist()]
        # Of two classes that are as probable either may be predicted.
        chosen = p[np.arange(len(p)), codes]
        assert_allclose(chosen, p.max(axis=1), rtol=0, atol=1e-12)


def check_score(clf, data: Data, predicted) -> None:
    labels, observed = data.truth.labels, data.truth.observed
    correct = [
        np.mean([a == b for a, b in zip(predicted[o, t], labels[o, t], strict=True)])
        for t, o in enumerate(observed.T)
        if data.has_weight[:, t].any()
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        score = clf.score(data.X, data.y)
    assert_allclose(score, np.mean(correct))
    assert {w.category for w in caught} <= {UndefinedMetricWarning}
    assert bool(caught) == (len(correct) < labels.shape[1])


def check_parts(clf, case: Case, data: Data, probabilities) -> None:
    """The same row, alone, in a part, or in another container."""
    numbers, rng = data.numbers, np.random.default_rng(case.seed)
    n_rows = len(numbers)
    row, cut = rng.integers(n_rows), rng.integers(n_rows + 1)
    tolerance = 1e-5 * magnitude(clf, case, data)
    if tolerance > 1:  # nothing to hold, and another order of a sum may overflow
        return
    for rows in (slice(row, row + 1), slice(0, cut), slice(cut, n_rows)):
        if rows.start < rows.stop:
            part = make_x(case.x_form, numbers[rows], case)
            assert_same(clf, part, [p[rows] for p in probabilities], tolerance)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X (has|does not have valid) feature names")
        other = make_x(case.other_form, numbers, case)
        assert_same(clf, other, probabilities, tolerance)


def magnitude(clf, case: Case, data: Data) -> float:
    """A bound on the terms of the network's sums, whose order is another in a part."""
    x = 1.0 if is_encoded(case) else np.abs(data.numbers).max(initial=1.0)
    largest = [float(np.abs(p).max(initial=1.0)) for p in parameters_of(clf)]
    return float(x) * math.prod(largest)


def assert_same(clf, X, expected, tolerance: float) -> None:
    for p, q in zip(by_task(clf, clf.predict_proba(X)), expected, strict=True):
        assert_allclose(p, q, rtol=0, atol=tolerance)
