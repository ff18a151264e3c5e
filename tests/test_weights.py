import numpy as np
import pandas as pd
import polars as pl
import pytest
from _targets import encode_targets
from numpy.testing import assert_allclose, assert_array_equal

from skmtl._weights import (
    check_sample_weight,
    class_weights,
    label_totals,
    mask_weightless,
    row_weights,
    task_weights,
    weight_table,
)

Y = np.array([["a", 1], ["a", None], ["b", 2], ["a", 3], [None, None]], dtype=object)
TASKS, CODES = encode_targets(Y)
UNWEIGHTED = label_totals(CODES, None, TASKS.n_codes)


def test_label_totals_count_observed_labels():
    assert UNWEIGHTED.tolist() == [[3, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("per_label", [False, True])
def test_label_totals_add_up_weights(per_label):
    rng = np.random.default_rng(0)
    weight = rng.uniform(size=CODES.shape if per_label else (5, 1)).astype(np.float32)
    totals = label_totals(CODES, weight, TASKS.n_codes)
    full = np.broadcast_to(weight, CODES.shape)
    for t in range(2):
        for c in range(3):
            assert_allclose(totals[t, c], full[CODES[:, t] == c, t].sum(), rtol=1e-6)


def check_weight(weight):
    return check_sample_weight(weight, CODES, TASKS)


def test_row_weight_is_the_mean_over_the_observed_labels():
    assert row_weights(CODES, None) is None
    one = check_weight([1, 2, 3, 4, 5])
    assert row_weights(CODES, one).tolist() == [1, 2, 3, 4, 5]
    two = check_weight([[1, 3], [5, 100], [0, 4], [2, 2], [7, 7]])
    assert row_weights(CODES, two).tolist() == [2, 5, 2, 2, 0]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (["a"] * 5, "must be numbers; got values of <U1"),
        (np.ma.array(np.ones(5), mask=[1, 0, 0, 0, 0]), "got masked values of float64"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(weight, message):
    with pytest.raises(ValueError, match=f"sample_weight .*{message}"):
        check_weight(weight)


def test_labels_of_weight_zero_are_as_missing():
    weight = check_weight([[0, 3], [5, 1], [1, 0], [1, 1], [1, 1]])
    masked = mask_weightless(CODES, weight)
    assert (masked < 0).tolist() == [
        [True, False],
        [False, True],
        [False, True],
        [False, False],
        [True, True],
    ]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(4), r"shape \(n_samples,\) = \(5,\).*got shape \(4,\)"),
        (np.ones((5, 3)), r"got shape \(5, 3\)"),
        (3.0, r"got shape \(\)"),
        ([1, 1, 1, 1, -1], "must not be negative.*-1"),
        ([1, 1, 1, 1, np.nan], "sample_weight contains NaN"),
        ([1, 1, 1, 1, np.inf], "sample_weight contains infinity"),
        (np.full((5, 2), np.inf), "sample_weight contains infinity"),
        (np.full((5, 2), np.nan), r"NaN for labels of tasks \['task_0', 'task_1'\]"),
        ([[1, 1]] * 4 + [[1, -1]], "must not be negative.*-1"),
        (np.zeros(5), "non-zero"),
    ],
)
def test_unusable_sample_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        check_weight(weight)


@pytest.mark.parametrize(
    "form",
    [
        lambda weight: weight,
        lambda weight: np.where(np.isnan(weight), None, weight),
        pd.DataFrame,
        lambda weight: pd.DataFrame(weight).astype("Float64"),
        lambda weight: pl.DataFrame(weight).fill_nan(None),
    ],
)
def test_missing_labels_need_no_weight(form):
    weight = np.arange(1.0, 11).reshape(5, 2)
    expected = np.where(CODES >= 0, weight, 0)
    found = check_weight(form(np.where(CODES >= 0, weight, np.nan)))
    assert_array_equal(found, expected)
    assert found.dtype == np.float32


def test_missing_weights_of_observed_labels_name_their_tasks():
    weight = np.ones(CODES.shape)
    weight[[0, 1], [1, 1]] = np.nan  # an observed label and a missing one
    with pytest.raises(ValueError, match=r"labels of tasks \['task_1'\]. Use 0"):
        check_weight(weight)


def test_balanced_tasks_count_the_same():
    weights = task_weights("balanced", TASKS, UNWEIGHTED)
    totals = UNWEIGHTED.sum(axis=1)
    assert_allclose(weights * totals, totals.mean())


def test_balanced_leaves_tasks_without_labels_out():
    totals = np.array([[4.0, 4.0], [0.0, 0.0], [1.0, 1.0]])
    tasks, _ = encode_targets(np.array([[0, np.nan, 1]]))
    weights = task_weights("balanced", tasks, totals)
    assert_allclose(weights, [5 / 8, 1, 5 / 2])


def test_task_weights_by_name_and_by_position():
    assert task_weights(None, TASKS, UNWEIGHTED).tolist() == [1, 1]
    assert task_weights({"task_1": 3}, TASKS, UNWEIGHTED).tolist() == [1, 3]
    assert task_weights([0, 2], TASKS, UNWEIGHTED).tolist() == [0, 2]
    series = pd.Series([3, 5], index=["task_1", "task_0"])
    assert task_weights(series, TASKS, UNWEIGHTED).tolist() == [5, 3]


def test_names_that_are_no_strings_may_be_given_as_they_are():
    tasks, codes = encode_targets(pd.DataFrame({7: [0, 1], 8: [0, 1]}))
    totals = label_totals(codes, None, tasks.n_codes)
    for name in (7, "7"):
        assert task_weights({name: 3}, tasks, totals).tolist() == [3, 1]
        assert class_weights({name: {1: 2}}, tasks, totals).tolist() == [[1, 2], [1, 1]]


def test_columns_of_sample_weight_are_those_of_the_targets():
    tasks, codes = encode_targets(pd.DataFrame({"a": [0, 1], "b": [0, 1]}))
    weight = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert check_sample_weight(weight, codes, tasks).tolist() == [[1, 3], [2, 4]]
    with pytest.raises(ValueError, match=r"same order: \['a', 'b'\]; got \['b', 'a'\]"):
        check_sample_weight(weight[["b", "a"]], codes, tasks)


def test_balanced_classes_are_those_that_occur():
    tasks, codes = encode_targets(["a", "a", "b"], classes=["a", "b", "c"])
    totals = label_totals(codes, None, tasks.n_codes)
    assert_allclose(class_weights("balanced", tasks, totals), [[0.75, 1.5, 1]])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ({"nobody": 1}, r"keyed by task names; got \['nobody'\].*'task_0'"),
        ([1, 2, 3], r"one weight per task, shape \(2,\); got shape \(3,\)"),
        ([1, -1], "must not be negative"),
        ([0, 0], "not 0 for every task"),
        ([1, np.nan], "NaN"),
        (np.array(1.0), r"one weight per task, shape \(2,\); got shape \(1,\)"),
        ({"task_0": {}}, r"must be numbers; got \[\{\}, 1.0\]"),
        (["much", "little"], r"must be numbers; got \['much', 'little'\]"),
    ],
)
def test_unusable_task_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        task_weights(weight, TASKS, UNWEIGHTED)


def test_class_weights_of_a_task_may_be_a_series():
    weight = {"task_0": pd.Series({"b": 3.0})}
    assert class_weights(weight, TASKS, UNWEIGHTED)[0, :2].tolist() == [1, 3]


def test_balanced_classes_count_the_same_and_keep_the_tasks_total():
    weights = class_weights("balanced", TASKS, UNWEIGHTED)
    counted = weights * UNWEIGHTED
    assert_allclose(counted[0, :2], [2, 2])
    assert_allclose(counted[1], [1, 1, 1])
    assert_allclose(counted.sum(axis=1), UNWEIGHTED.sum(axis=1))


def test_class_weights_per_task():
    weights = class_weights(
        {"task_0": {"b": 5}, "task_1": "balanced"}, TASKS, UNWEIGHTED
    )
    assert_allclose(weights[0, :2], [1, 5])
    assert_allclose(weights[1], [1, 1, 1])


def test_class_weights_of_one_dimensional_targets_are_keyed_by_label():
    tasks, codes = encode_targets(["a", "b", "b", "c"])
    totals = label_totals(codes, None, tasks.n_codes)
    assert class_weights({"a": 2, "b": 3}, tasks, totals).tolist() == [[2, 3, 1]]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ({"nobody": {}}, "keyed by task names"),
        ({"task_0": {"z": 1}}, r"must name its classes \['a', 'b'\]; got \['z'\]"),
        ({"task_0": {"a": -1}}, "finite and not negative"),
        ({"task_0": {"a": np.nan}}, "finite and not negative"),
        ({"task_0": {"a": "x"}}, "finite and not negative; got 'x' for class 'a'"),
        ({"task_0": "even"}, "None, 'balanced' or a mapping"),
        ({"task_0": 3}, "None, 'balanced' or a mapping"),
    ],
)
def test_unusable_class_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        class_weights(weight, TASKS, UNWEIGHTED)


@pytest.mark.parametrize(
    ("weight", "shown"),
    [
        ([{"a": 1, "b": 5}, None], r"a list of length 2.*{'task_0': {'a': 1, 'b': 5}}"),
        (["balanced", {1: 2}], r"{'task_0': 'balanced', 'task_1': {1: 2}}"),
        ([None, None], r"class_weight=None\."),
        ([{"a": 1}], r"a list of length 1\..*class_weight={'task_0': "),
    ],
)
def test_the_form_of_forests_is_refused_with_the_dict_to_pass(weight, shown):
    with pytest.raises(ValueError, match=f"a dict by task name.*{shown}"):
        class_weights(weight, TASKS, UNWEIGHTED)


def test_weights_beyond_float32_are_refused():
    with pytest.raises(ValueError, match=r"fit float32.*1e\+40"):
        weight_table(np.array([1.0, 1e40]), np.ones((2, 2)))


def test_table_has_weight_zero_for_missing_labels():
    table = weight_table(np.array([2.0, 1.0]), np.array([[1.0, 3.0], [1.0, 1.0]]))
    assert table.dtype == np.float32
    assert_array_equal(table, [[0, 2, 6], [0, 1, 1]])
