import functools
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    get_scorer,
    get_scorer_names,
    log_loss,
    roc_auc_score,
)

from skmtl.metrics import multitask_score

NOT_FOR_A_COLUMN = {
    "f1_samples": "averages over rows of an indicator matrix, not over one task",
    "jaccard_samples": "averages over rows of an indicator matrix, not over one task",
    "precision_samples": "averages over rows of an indicator matrix, not over one task",
    "recall_samples": "averages over rows of an indicator matrix, not over one task",
    "neg_mean_gamma_deviance": "regression: positive values only",
    "neg_mean_poisson_deviance": "regression: positive predictions only",
}
BINARY_ONLY = {
    name: "scikit-learn refuses several classes, or asks for an average"
    for name in [
        "f1",
        "precision",
        "recall",
        "jaccard",
        "roc_auc",
        "positive_likelihood_ratio",
        "neg_negative_likelihood_ratio",
    ]
}


def binary_problem(seed=0, n_samples=60, n_tasks=4):
    rng = np.random.default_rng(seed)
    Y = rng.integers(2, size=(n_samples, n_tasks))
    P = np.clip(rng.normal(0.3 + 0.4 * Y, 0.3), 0.01, 0.99)
    return Y, P


def multiclass_problem(seed=0, n_samples=60, n_classes=(3, 4)):
    rng = np.random.default_rng(seed)
    Y = np.column_stack([rng.integers(k, size=n_samples) for k in n_classes])
    P = [
        rng.dirichlet(np.ones(k), n_samples) * 0.5 + 0.5 * np.eye(k)[y]
        for k, y in zip(n_classes, Y.T, strict=True)
    ]
    return Y, P


def with_missing(Y, seed=1, missing=0.4):
    removed = np.random.default_rng(seed).random(Y.shape) < missing
    return np.where(removed, np.nan, Y.astype(float)), ~removed


def takes_scores(name):
    return get_scorer(name)._response_method != "predict"


def stock(name, y, prediction):
    """The scorer as scikit-learn calls it, on predictions."""
    scorer = get_scorer(name)
    kwargs = dict(scorer._kwargs)
    return scorer._sign * scorer._score_func(y, prediction, **kwargs)


SCORERS = [n for n in get_scorer_names() if n not in NOT_FOR_A_COLUMN]


@pytest.mark.filterwarnings("ignore:'k' .2. greater than")  # top_k_accuracy, 2 classes
@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("is_missing", [False, True])
def test_binary_tasks_equal_the_stock_metric_on_observed_rows(name, is_missing):
    Y, P = binary_problem()
    Y_true, observed = with_missing(Y) if is_missing else (Y, np.ones(Y.shape, bool))
    predictions = P if takes_scores(name) else (P > 0.5).astype(int)
    scores = multitask_score(name, Y_true, predictions, average=None)
    expected = [
        stock(name, Y[rows, j], predictions[rows, j])
        for j, rows in enumerate(observed.T)
    ]
    assert_allclose(scores, expected, rtol=1e-12)
    assert_allclose(multitask_score(name, Y_true, predictions), np.mean(expected))


@pytest.mark.parametrize("name", [n for n in SCORERS if n not in BINARY_ONLY])
@pytest.mark.parametrize("is_missing", [False, True])
def test_multiclass_tasks_equal_the_stock_metric_on_observed_rows(name, is_missing):
    Y, P = multiclass_problem()
    Y_true, observed = with_missing(Y) if is_missing else (Y, np.ones(Y.shape, bool))
    labels = np.column_stack([p.argmax(axis=1) for p in P])
    scores = multitask_score(
        name, Y_true, P if takes_scores(name) else labels, average=None
    )
    for j, rows in enumerate(observed.T):
        prediction = P[j][rows] if takes_scores(name) else labels[rows, j]
        assert_allclose(scores[j], stock(name, Y[rows, j], prediction), rtol=1e-12)


def test_every_scorer_is_tested_or_named_with_a_reason():
    assert set(NOT_FOR_A_COLUMN) | set(BINARY_ONLY) <= set(get_scorer_names())
    for reasons in (NOT_FOR_A_COLUMN, BINARY_ONLY):
        assert all(reasons.values())


@pytest.mark.parametrize("name", sorted(BINARY_ONLY))
def test_binary_metrics_name_the_multiclass_task_that_they_refuse(name):
    Y, P = multiclass_problem()
    labels = np.column_stack([p.argmax(axis=1) for p in P])
    with pytest.raises(ValueError) as error:  # noqa: PT011
        multitask_score(name, Y, P if takes_scores(name) else labels)
    assert any("'task_0'" in note for note in error.value.__notes__)


@pytest.mark.parametrize("name", ["roc_auc", "neg_log_loss", "f1", "accuracy"])
@pytest.mark.parametrize("average", ["macro", "weighted", "micro", None])
def test_order_of_rows_and_tasks_and_unit_weights_change_nothing(name, average):
    Y, P = binary_problem()
    Y, _ = with_missing(Y)
    P = P if takes_scores(name) else (P > 0.5).astype(int)
    expected = multitask_score(name, Y, P, average=average)
    rng = np.random.default_rng(0)
    rows, tasks = rng.permutation(len(Y)), rng.permutation(4)
    permuted = multitask_score(
        name, Y[rows][:, tasks], P[rows][:, tasks], average=average
    )
    assert_allclose(permuted, expected[tasks] if average is None else expected)
    for shape in [len(Y), Y.shape]:
        weighted = multitask_score(
            name, Y, P, average=average, sample_weight=np.ones(shape)
        )
        assert_allclose(weighted, expected)


def test_averages_are_what_their_names_say():
    Y, P = binary_problem()
    Y, observed = with_missing(Y)
    Y[:40, 1] = np.nan
    observed[:40, 1] = False
    scores = multitask_score("roc_auc", Y, P, average=None)
    assert multitask_score("roc_auc", Y, P) == pytest.approx(scores.mean())
    sizes = observed.sum(axis=0)
    weighted = multitask_score("roc_auc", Y, P, average="weighted")
    assert weighted == pytest.approx(np.average(scores, weights=sizes))
    micro = multitask_score("roc_auc", Y, P, average="micro")
    assert micro == pytest.approx(roc_auc_score(Y[observed], P[observed]))
    with pytest.raises(ValueError, match="average must be"):
        multitask_score("roc_auc", Y, P, average="median")


def test_weights_reach_the_metric():
    Y, P = binary_problem()
    Y, observed = with_missing(Y)
    weight = np.random.default_rng(0).uniform(0.1, 2, size=Y.shape).astype(np.float32)
    weight[:6] = 0
    scores = multitask_score("roc_auc", Y, P, average=None, sample_weight=weight)
    by_row = multitask_score("roc_auc", Y, P, average=None, sample_weight=weight[:, 0])
    for j, rows in enumerate(observed.T):
        expected = roc_auc_score(Y[rows, j], P[rows, j], sample_weight=weight[rows, j])
        assert scores[j] == pytest.approx(expected)
        expected = roc_auc_score(Y[rows, j], P[rows, j], sample_weight=weight[rows, 0])
        assert by_row[j] == pytest.approx(expected)
    weighted = multitask_score(
        "roc_auc", Y, P, average="weighted", sample_weight=weight
    )
    totals = (weight * observed).sum(axis=0)
    assert weighted == pytest.approx(np.average(scores, weights=totals))


def test_undefined_tasks_are_nan_and_named_once():
    Y, P = binary_problem()
    Y = pd.DataFrame(Y.astype(float), columns=["fine", "one class", "empty", "too"])
    Y["one class"] = 1.0
    Y["empty"] = np.nan
    for name in ("roc_auc", "average_precision"):
        message = rf"{name} is undefined for 2 of 4.*'one class', 'empty'"
        with pytest.warns(UndefinedMetricWarning, match=message) as record:
            scores = multitask_score(name, Y, P, average=None)
        assert len(record) == 1
        assert record[0].filename == __file__
        assert_array_equal(np.isnan(scores), [False, True, True, False])
        with pytest.warns(UndefinedMetricWarning):
            assert multitask_score(name, Y, P) == pytest.approx(np.nanmean(scores))
    with pytest.warns(UndefinedMetricWarning, match=r"1 of 4.*'empty'"):
        multitask_score("accuracy", Y, (P > 0.5).astype(int))
    with pytest.warns(UndefinedMetricWarning, match="4 of 4"):
        assert np.isnan(multitask_score("roc_auc", Y * np.nan, P))


@pytest.mark.parametrize("form", ["table", "list", "frame", "labels"])
def test_a_missing_prediction_is_an_error(form):
    Y, P = binary_problem()
    P[3, 2] = np.nan
    y_pred = {
        "table": P,
        "list": [np.column_stack([1 - p, p]) for p in P.T],
        "frame": pd.DataFrame(P),
        "labels": np.where(np.isnan(P), np.nan, P > 0.5),
    }[form]
    metric = "accuracy" if form == "labels" else "roc_auc"
    with pytest.raises(ValueError, match=r"missing predictions.*'task_2'"):
        multitask_score(metric, Y, y_pred)


@pytest.mark.parametrize("name", ["roc_auc", "neg_log_loss", "neg_brier_score"])
def test_every_form_of_probabilities_means_the_same(name):
    Y, P = binary_problem()
    Y, _ = with_missing(Y)
    pairs = [np.column_stack([1 - p, p]) for p in P.T]
    expected = multitask_score(name, Y, P, average=None)
    frame = pd.DataFrame(Y).astype("Int64")
    for y_true, y_pred in [
        (Y, pairs),
        (Y, pd.DataFrame(P)),
        (Y.tolist(), P.tolist()),
        (frame, tuple(pairs)),
        (np.ma.masked_invalid(Y), P),
    ]:
        scores = multitask_score(name, y_true, y_pred, average=None)
        assert_allclose(scores, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "name", ["roc_auc", "average_precision", "neg_log_loss", "neg_brier_score"]
)
@pytest.mark.parametrize("labels", [(1, 2), (-1, 1), ("no", "yes"), (False, True)])
def test_probabilities_are_those_of_the_greater_class_whatever_its_name(name, labels):
    Y, P = binary_problem()
    incomplete = with_missing(Y)[0]
    renamed = np.array(labels, dtype=object)[Y]
    renamed[np.isnan(incomplete)] = None
    expected = multitask_score(name, incomplete, P)
    assert multitask_score(name, renamed, P) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["f1", "precision", "recall", "jaccard"])
def test_positive_label_is_one_as_in_scikit_learn_else_the_greater(name):
    Y, P = binary_problem()
    predicted = (P > 0.5).astype(int)
    expected = multitask_score(name, Y, predicted)
    for text in [("a", "b"), ("no", "yes")]:
        names = np.array(text, dtype=object)
        score = multitask_score(name, names[Y], names[predicted])
        assert score == pytest.approx(expected)
        other = multitask_score(name, names[Y], names[predicted], pos_label=text[0])
        assert other == pytest.approx(multitask_score(name, 1 - Y, 1 - predicted))
    ones = multitask_score(name, Y + 1, predicted + 1)
    assert ones == pytest.approx(
        np.mean(
            [stock(name, y + 1, p + 1) for y, p in zip(Y.T, predicted.T, strict=True)]
        )
    )


def test_a_part_may_lack_a_class():
    Y, P = multiclass_problem(n_classes=(3, 3))
    classes = [np.arange(3)] * 2
    rows = Y[:, 0] != 1
    y, p = Y[rows], [part[rows] for part in P]
    scores = multitask_score("neg_log_loss", y, p, average=None, classes=classes)
    for j in range(2):
        assert scores[j] == pytest.approx(-log_loss(y[:, j], p[j], labels=[0, 1, 2]))
    auc = multitask_score("roc_auc_ovr", y, p, average=None, classes=classes)
    by_class = [roc_auc_score(y[:, 0] == c, p[0][:, c]) for c in (0, 2)]
    assert auc[0] == pytest.approx(np.mean(by_class))
    assert auc[1] == pytest.approx(roc_auc_score(y[:, 1], p[1], multi_class="ovr"))
    precision = multitask_score(
        "average_precision", y, p, average=None, classes=classes
    )
    by_class = [average_precision_score(y[:, 0] == c, p[0][:, c]) for c in (0, 2)]
    assert precision[0] == pytest.approx(np.mean(by_class))


def test_a_class_that_training_lacked_has_probability_zero():
    y = np.array(["a", "b", "c", "a", "b"])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.7, 0.3], [0.4, 0.6]])
    message = r"probability 0.*dominates a log loss.*\('task_0', \['c'\]\)"
    with pytest.warns(UserWarning, match=message) as caught:
        score = multitask_score("neg_log_loss", y, p, classes=["a", "b"])
    assert len(caught) == 1
    padded = np.column_stack([p, np.zeros(5)])
    assert score == pytest.approx(-log_loss(y, padded, labels=["a", "b", "c"]))
    with pytest.warns(UserWarning, match=message):
        table = multitask_score(
            "neg_log_loss", y[:, None], p[:, [1]], classes=[np.array(["a", "b"])]
        )
    assert table == pytest.approx(score)


@pytest.mark.parametrize("name", ["neg_log_loss", "neg_brier_score", "roc_auc_ovr"])
def test_a_class_that_training_lacked_is_named_if_it_counts(name):
    y = np.array(["a", "b", "c", "a", "b"])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.7, 0.3], [0.4, 0.6]])
    with pytest.warns(UserWarning, match=r"\('task_0', \['c'\]\)"):
        multitask_score(name, y, p, classes=["a", "b"])
    weight = [1, 1, 0, 1, 1]
    multitask_score(name, y, p, classes=["a", "b"], sample_weight=weight)


def test_constant_tasks_of_a_forest_can_be_scored():
    Y, P = binary_problem(n_tasks=2)
    y_pred = [np.column_stack([1 - P[:, 0], P[:, 0]]), np.ones((60, 1))]
    classes = [np.array([0, 1]), np.array([0])]
    with pytest.warns(UserWarning, match=r"\('task_1', \[1\]\)"):
        scores = multitask_score("roc_auc", Y, y_pred, average=None, classes=classes)
    assert scores[0] == roc_auc_score(Y[:, 0], P[:, 0])
    assert scores[1] == 0.5


@pytest.mark.parametrize("metric", ["roc_auc_ovr", "neg_log_loss"])
def test_labels_none_of_which_are_classes_are_noticed(metric):
    Y = np.array([["a", "c"], ["b", "d"], ["a", "d"]])
    p = [np.full((3, 2), 0.5)] * 2
    classes = [["a", "b"], ["c", "d"]]
    multitask_score(metric, Y, p, classes=classes)
    with pytest.warns(
        UserWarning, match=r"have none.*\('b', \['c', 'd'\], \['a', 'b'\]"
    ):
        multitask_score(metric, Y[:, ::-1], p, classes=classes, task_names=["b", "a"])


def test_text_is_not_compared_with_classes_that_are_numbers():
    Y = pd.DataFrame({"a": [0, 1, 0], "b": ["x", "y", "y"]}).astype(object)
    p = [np.full((3, 2), 0.5)] * 2
    with pytest.raises(ValueError, match=r"classes of task 'b' .* same kind.*order"):
        multitask_score("roc_auc", Y[["b", "a"]], p, classes=[[0, 1], ["x", "y"]])


def test_predictions_of_rows_in_another_order_are_noticed():
    index = ["r", "s", "t", "u"]
    Y = pd.DataFrame({"a": [0, 1, 0, 1], "b": [0, 0, 1, 1]}, index=index)
    P = pd.DataFrame(
        np.linspace(0, 1, 8).reshape(4, 2), index=index, columns=["a", "b"]
    )
    multitask_score("roc_auc", Y, P)
    with pytest.warns(UserWarning, match=r"y_pred should have the index of y_true"):
        multitask_score("roc_auc", Y, P[::-1])
    multitask_score("roc_auc", Y, P[::-1].reset_index(drop=True))


def test_a_class_that_nobody_told_leaves_probabilities_undefined():
    # All labels are 1, and whether 1 or the other class is the greater is not known.
    y_true, p = [[1, 1], [1, 2]], [[0.1, 0.1], [0.1, 0.9]]
    for name in ("neg_brier_score", "neg_log_loss", "roc_auc"):
        with pytest.warns(UndefinedMetricWarning, match=r"'task_0'.*Pass `classes`"):
            scores = multitask_score(name, y_true, p, average=None)
        assert np.isnan(scores).tolist() == [True, False]
    brier = multitask_score(
        "neg_brier_score", y_true, p, average=None, classes=[[1, 2], [1, 2]]
    )
    assert_allclose(brier, [-0.01, -0.01])
    same = [["yes", "no"], ["yes", "yes"]]  # nor whether "yes" is the positive one
    with pytest.warns(UndefinedMetricWarning, match=r"'task_0'.*Pass `classes`"):
        scores = multitask_score("f1", same, same, average=None)
    assert_array_equal(scores, [np.nan, 1])
    classes = {name: ["no", "yes"] for name in ("task_0", "task_1")}
    scores = multitask_score("f1", same, same, average=None, classes=classes)
    assert scores.tolist() == [1, 1]


@pytest.mark.parametrize("name", ["f1", "precision", "recall", "jaccard"])
@pytest.mark.parametrize("negative", [0, 0.0, False, -1])
@pytest.mark.parametrize("make", [np.array, lambda y: np.array(y)[:, None]])
def test_the_negative_class_alone_is_not_taken_for_the_positive(name, negative, make):
    labels = make([negative] * 3)
    with pytest.warns(UndefinedMetricWarning, match="ill-defined"):  # scikit-learn's
        assert multitask_score(name, labels, labels) == 0
    rare = np.array([[1, negative], [negative, negative], [1, negative]])
    with pytest.warns(UndefinedMetricWarning, match="ill-defined"):
        assert multitask_score(name, rare, rare, average=None).tolist() == [1, 0]


@pytest.mark.parametrize(
    "metric",
    [
        "f1_macro",
        "f1_micro",
        "jaccard_macro",
        functools.partial(f1_score, average="macro"),
    ],
)
def test_metrics_of_all_classes_are_defined_for_one(metric):
    same = [["a", "c"], ["a", "d"]]
    assert multitask_score(metric, same, same, average=None).tolist() == [1, 1]


def test_the_positive_class_may_be_given():
    same = [["yes", "no"], ["yes", "yes"]]
    metric = functools.partial(f1_score, pos_label="yes")
    assert multitask_score(metric, same, same, average=None).tolist() == [1, 1]


@pytest.mark.parametrize("of", [np.bool_, np.asarray, Decimal, np.float32])
def test_a_metric_may_return_any_number(of):
    labels = np.array([[0, 1], [1, 0]])
    assert multitask_score(lambda y, p: of(int((y == p).all())), labels, labels) == 1


@pytest.mark.parametrize("by", ["names of y", "task_names"])
def test_classes_by_name(by):
    y = np.array([["a", "u"], ["a", "v"]])
    p = np.array([[0.1, 0.2], [0.2, 0.6]])
    names = ["first", "second"]
    classes = dict(zip(names, [["a", "b"], ["u", "v"]], strict=True))
    given = {"task_names": names}
    if by == "names of y":
        y, given = pd.DataFrame(y, columns=names), {}
    found = multitask_score("neg_brier_score", y, p, classes=classes, **given)
    expected = multitask_score("neg_brier_score", y, p, classes=list(classes.values()))
    assert found == expected


def test_labels_of_another_kind_are_refused():
    message = "same kind of labels as y_true.*Convert one"
    y_true = np.array(["1", "0", None], dtype=object)
    with pytest.raises(ValueError, match=message):
        multitask_score("accuracy", y_true, [1, 0, 1])


@pytest.mark.parametrize(
    "metric",
    [confusion_matrix, functools.partial(f1_score, average=None), lambda *_: None],
)
def test_a_metric_must_return_a_number(metric):
    labels = np.array([[0, 1], [1, 0], [1, 1]])
    with pytest.raises(TypeError, match=r"return a single number; got .*Pass another"):
        multitask_score(metric, labels, labels)


@pytest.mark.parametrize("y_pred", [None, []])
def test_predictions_must_be_there(y_pred):
    with pytest.raises(ValueError, match="y_pred must have a prediction for each row"):
        multitask_score("roc_auc", [[0, 1], [1, 0]], y_pred)


def test_classes_by_name_must_be_those_of_all_tasks():
    y = pd.DataFrame({"a": [0, 1], "b": [1, 0]})
    with pytest.raises(ValueError, match=r"none for \['b'\]"):
        multitask_score("neg_log_loss", y, y.to_numpy(), classes={"a": [0, 1]})


def test_a_task_without_labels_is_nan_for_labels_too():
    y_true = pd.DataFrame({"a": ["x", "y"], "b": [None, None]})
    y_pred = np.array([["x", "u"], ["x", "v"]], dtype=object)
    with pytest.warns(UndefinedMetricWarning, match="'b'"):
        scores = multitask_score("accuracy", y_true, y_pred, average=None)
    assert_array_equal(scores, [0.5, np.nan])


def test_partials_are_their_function_with_arguments():
    Y, P = binary_problem()
    names = np.array(["no", "yes"], dtype=object)
    predicted = (P > 0.5).astype(int)
    partial = functools.partial(f1_score, pos_label="no")
    expected = multitask_score("f1", names[Y], names[predicted], pos_label="no")
    assert multitask_score(partial, names[Y], names[predicted]) == expected
    ovo = functools.partial(roc_auc_score, multi_class="ovo")
    Y, P = multiclass_problem()
    P = [np.roll(p, 1, axis=0) for p in P]
    assert multitask_score(ovo, Y, P) == multitask_score("roc_auc_ovo", Y, P)
    assert multitask_score(ovo, Y, P) != multitask_score("roc_auc_ovr", Y, P)


def test_one_class_against_one_leaves_pairs_without_rows_out():
    Y, P = multiclass_problem(n_classes=(4,))
    rows = Y[:, 0] != 1
    y, p = Y[rows, 0], np.roll(P[0], 1, axis=0)[rows]
    score = multitask_score("roc_auc_ovo", y, p, classes=[0, 1, 2, 3])
    expected = roc_auc_score(y, p, multi_class="ovo", labels=[0, 1, 2, 3])
    assert score == pytest.approx(expected)


def test_defaults_of_a_function_of_the_users_own_are_left_alone():
    seen = []

    def own(y_true, y_pred, labels="mine", pos_label="mine too"):
        seen.append((labels, pos_label))
        return 0.0

    Y, P = binary_problem()
    multitask_score(own, Y, P)
    assert set(seen) == {("mine", "mine too")}


@pytest.mark.parametrize("labels", [(0, 1), (1, 2), ("no", "yes")])
@pytest.mark.parametrize("positive", [None, 0, 1])
def test_pooled_tasks_have_the_positive_class_of_each(labels, positive):
    Y, P = binary_problem()
    incomplete, observed = with_missing(Y)
    names = np.array(labels, dtype=object)
    Y_true = names[Y]
    Y_true[np.isnan(incomplete)] = None
    predicted = (P > 0.5).astype(int)
    weight = np.random.default_rng(0).uniform(0.5, 2, size=Y.shape).astype(np.float32)
    kwargs = {} if positive is None else {"pos_label": labels[positive]}
    score = multitask_score(
        "f1", Y_true, names[predicted], average="micro", sample_weight=weight, **kwargs
    )
    if positive is None:
        positive = 0 if labels == (1, 2) else 1
    expected = f1_score(
        Y[observed],
        predicted[observed],
        pos_label=positive,
        sample_weight=weight[observed],
    )
    assert score == pytest.approx(expected)


def test_an_undefined_pool_is_named():
    Y, P = binary_problem()
    with pytest.warns(UndefinedMetricWarning, match="1 of 1.*pooled") as record:
        assert np.isnan(multitask_score("roc_auc", Y * 0, P, average="micro"))
    assert record[0].filename == __file__


def test_columns_of_predictions_are_those_of_the_targets():
    Y, P = binary_problem(n_tasks=2)
    Y, P = pd.DataFrame(Y, columns=["a", "b"]), pd.DataFrame(P, columns=["a", "b"])
    expected = multitask_score("roc_auc", Y, P.to_numpy())
    assert multitask_score("roc_auc", Y, P) == expected
    assert multitask_score("roc_auc", Y, P.set_axis([0, 1], axis=1)) == expected
    with pytest.raises(ValueError, match=r"order of the tasks.*got \['b', 'a'\]"):
        multitask_score("roc_auc", Y, P[["b", "a"]])


def test_stacked_probabilities_are_one_table_per_task():
    Y, P = binary_problem(n_tasks=2)
    stacked = np.array([np.column_stack([1 - p, p]) for p in P.T])
    for name in ("roc_auc", "neg_log_loss"):
        assert_allclose(
            multitask_score(name, Y, stacked, average=None),
            multitask_score(name, Y, P, average=None),
        )


def test_probabilities_are_clipped_in_their_own_precision():
    y = np.array([0, 1, 1])
    p = np.array([1, 0.5, 0.5], dtype=np.float32)
    assert multitask_score(log_loss, y, p) == pytest.approx(log_loss(y, p))
    assert multitask_score(log_loss, y, p.astype(float)) > 2 * log_loss(y, p)


def test_multiclass_roc_auc_is_refused_also_where_a_class_is_absent():
    Y, P = multiclass_problem(n_classes=(3,))
    rows = Y[:, 0] != 2
    with pytest.raises(ValueError, match="roc_auc_ovr"):
        multitask_score("roc_auc", Y[rows], [P[0][rows]], classes=[[0, 1, 2]])


@pytest.mark.parametrize("form", ["column", "one axis", "matrix", "list"])
def test_a_single_task_in_two_axes_takes_every_form(form):
    Y, P = binary_problem(n_tasks=1)
    matrix = np.column_stack([1 - P, P])
    forms = {"column": P, "one axis": P[:, 0], "matrix": matrix, "list": [matrix]}
    expected = roc_auc_score(Y[:, 0], P[:, 0])
    assert multitask_score("roc_auc", Y, forms[form]) == expected
    labels = (P > 0.5).astype(int)
    expected = accuracy_score(Y, labels)
    assert multitask_score("accuracy", Y, labels[:, 0]) == expected


def test_labels_of_weight_zero_count_nowhere():
    Y, P = binary_problem(n_tasks=1)
    weight = np.ones(len(Y))
    weight[Y[:, 0] == 1] = 0
    with pytest.warns(UndefinedMetricWarning, match="1 of 1"):
        assert np.isnan(multitask_score("roc_auc", Y, P, sample_weight=weight))


def test_decision_values_of_a_class_that_training_lacked_are_the_lowest():
    y = np.array([0, 1, 2, 0, 1, 2])
    values = np.array([[-3, -5], [-4, -2], [-3, -3], [-1, -2], [-6, -1], [-2, -2.0]])
    with pytest.warns(UserWarning, match=r"\('task_0', \[2\]\)"):
        score = multitask_score("top_k_accuracy", y, values, classes=[0, 1], k=1)
    assert score == pytest.approx(4 / 6)


def test_metric_functions_keep_their_sign_and_take_arguments():
    Y, P = binary_problem()
    Y, _ = with_missing(Y)
    assert multitask_score(log_loss, Y, P) == -multitask_score("neg_log_loss", Y, P)
    labels = (P > 0.5).astype(int)
    assert multitask_score(accuracy_score, Y, labels) == multitask_score(
        "accuracy", Y, labels
    )
    adjusted = multitask_score(balanced_accuracy_score, Y, labels, adjusted=True)
    assert adjusted == pytest.approx(
        2 * multitask_score("balanced_accuracy", Y, labels) - 1
    )
    macro = multitask_score(f1_score, Y, labels, average=None)
    assert_allclose(macro, multitask_score("f1", Y, labels, average=None))

    def mean_margin(y_true, y_pred):
        return np.mean(np.where(y_true == 1, y_pred, 1 - y_pred))

    observed = ~np.isnan(Y)
    expected = [mean_margin(Y[r, j], P[r, j]) for j, r in enumerate(observed.T)]
    assert_allclose(multitask_score(mean_margin, Y, P, average=None), expected)


def test_one_dimensional_targets():
    Y, P = multiclass_problem()
    y = Y[:, 0].astype(float)
    y[::3] = np.nan
    seen = ~np.isnan(y)
    expected = roc_auc_score(y[seen], P[0][seen], multi_class="ovr")
    assert multitask_score("roc_auc_ovr", y, P[0]) == pytest.approx(expected)
    labels = P[0].argmax(axis=1)
    expected = accuracy_score(y[seen], labels[seen])
    assert multitask_score("accuracy", y, labels) == pytest.approx(expected)
    binary = (Y[:, 0] > 0).astype(int)
    for form in (P[0][:, 1], np.column_stack([1 - P[0][:, 1], P[0][:, 1]])):
        score = multitask_score("roc_auc", binary, form)
        assert score == pytest.approx(roc_auc_score(binary, P[0][:, 1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_pred": np.ones((59, 4))}, "inconsistent"),
        ({"y_pred": np.ones((60, 3))}, r"each of the 4 tasks of y_true; got 3"),
        (
            {"metric": "accuracy", "y_pred": np.ones((60, 3))},
            "column of labels per task",
        ),
        ({"classes": [[0, 1]] * 3}, "each of the 4 tasks of y_true; got 3"),
        ({"task_names": ["a"]}, "each of the 4 tasks"),
        ({"metric": "no such metric"}, "not a valid scoring"),
        ({"y_pred": {"a": 1}}, r"got a dict that.*output of predict_proba"),
        ({"y_pred": np.full((60, 4), "yes")}, r"'yes'.*output of predict_proba"),
        ({"y_pred": [np.ones((60, 3))] * 4}, "a column for each of its classes"),
        ({"sample_weight": np.ones(3)}, "sample_weight must have shape"),
    ],
)
def test_unusable_arguments_are_refused(change, message):
    Y, P = binary_problem()
    arguments = {"metric": "roc_auc", "y_true": Y, "y_pred": P} | change
    with pytest.raises(ValueError, match=message):
        multitask_score(**arguments)


def test_another_order_of_the_arguments_is_pointed_out():
    Y, P = binary_problem()
    with pytest.raises(TypeError, match=r"got ndarray. Pass it as the first argument"):
        multitask_score(Y, P, "roc_auc")


def test_multiclass_tasks_are_not_pooled():
    Y, P = multiclass_problem()
    with pytest.raises(ValueError, match=r"must have two classes.*'task_0', 'task_1'"):
        multitask_score("neg_log_loss", Y, P, average="micro")


# Arguments in the wrong place -----------------------------------------------------


def complete_problem():
    rng = np.random.default_rng(0)
    return rng.integers(2, size=(40, 3)).astype(float), rng.random((40, 3))


def as_frame(P):
    return pd.DataFrame(P, columns=["task_0", "task_1", "task_2"])


@pytest.mark.parametrize("name", ["accuracy", "f1", "matthews_corrcoef"])
@pytest.mark.parametrize("form", [np.asarray, as_frame, lambda P: list(P.T)])
def test_probabilities_in_place_of_labels_are_named(name, form):
    Y, P = complete_problem()
    message = f"{name} is computed from labels, but y_pred .*probabilities.*predict"
    with pytest.raises(ValueError, match=message):
        multitask_score(name, Y, form(P))
    with pytest.raises(ValueError, match=message):
        multitask_score(name, Y[:, 0], np.column_stack([1 - P[:, 0], P[:, 0]]))


@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "neg_log_loss"])
def test_swapped_arguments_are_named(name):
    Y, P = complete_problem()
    with pytest.raises(ValueError, match=r"'task_2'.*like probabilities. Are .*swap"):
        multitask_score(name, P, Y)
    by_task = [np.column_stack([1 - p, p]) for p in P.T]
    with pytest.raises(ValueError, match=r"y_true .* array per task.*swapped\?"):
        multitask_score(name, by_task, Y)
    with pytest.raises(ValueError, match=r"'r2'") as caught:
        multitask_score(name, 2 * P, Y)
    assert "swapped" not in str(caught.value)


@pytest.mark.parametrize("name", ["roc_auc", "neg_log_loss", "accuracy"])
@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"]], ids=str)
def test_classes_may_be_lists(name, labels):
    Y, P = complete_problem()
    y = np.array(labels, dtype=object)[Y.astype(int)]
    y[0, 0] = None
    predicted = np.array(labels, dtype=object)[(P > 0.5).astype(int)]
    y_pred = predicted if name == "accuracy" else P
    expected = multitask_score(name, y, y_pred, classes=[np.array(labels)] * 3)
    for classes in ([labels] * 3, (tuple(labels),) * 3, np.array([labels] * 3)):
        assert multitask_score(name, y, y_pred, classes=classes) == expected
