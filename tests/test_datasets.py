import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

from skmtl.datasets import make_multitask_classification, make_multitask_regression


def test_shapes_and_labels():
    X, y, complete = make_multitask_classification(
        50, 7, 3, missing_rate=0.4, return_complete=True, random_state=0
    )
    assert X.shape == (50, 7)
    assert y.shape == complete.shape == (50, 3)
    assert set(np.unique(complete)) == {0, 1}
    there = ~np.isnan(y)
    assert_array_equal(y[there], complete[there])


def test_the_same_seed_makes_the_same_data():
    one, other, third = (
        make_multitask_classification(missing_rate=0.5, random_state=seed)
        for seed in (3, 3, 4)
    )
    for a, b in zip(one, other, strict=True):
        assert_array_equal(a, b)
    assert (one[0] != third[0]).any()


def agreement(relatedness, **settings):
    """Mean absolute correlation of the labels of different tasks."""
    found = []
    for seed in range(10):
        _, y = make_multitask_classification(
            2000, relatedness=relatedness, n_hidden=1, random_state=seed, **settings
        )
        correlation = np.abs(np.corrcoef(y.T))
        found.append(correlation[np.triu_indices(y.shape[1], 1)].mean())
    return np.mean(found)


def test_related_tasks_agree_and_unrelated_ones_do_not():
    unrelated, half, same = agreement(0.0), agreement(0.5), agreement(1.0)
    assert same == 1  # one product, of the same directions
    assert unrelated + 0.05 < half < same - 0.05
    assert unrelated < 0.05


def test_a_contradictory_task_is_the_first_one_turned():
    _, y = make_multitask_classification(
        500, n_hidden=1, n_contradictory=1, random_state=0
    )
    assert_array_equal(y[:, -1], 1 - y[:, 0])


def test_linear_models_learn_nothing():
    X, y = make_multitask_classification(5000, 5, random_state=0)
    scores = [
        LogisticRegression().fit(X[:2500], column[:2500]).score(X[2500:], column[2500:])
        for column in y.T
    ]
    # A column's mean, and three standard errors of a share of 2,500.
    most = [max(column.mean(), 1 - column.mean()) + 0.03 for column in y.T]
    assert (np.array(scores) < most).all()


def test_noise_turns_its_share_of_the_labels():
    _, clean = make_multitask_classification(5000, random_state=0)
    _, noisy = make_multitask_classification(5000, label_noise=0.2, random_state=0)
    # Four standard errors of a share of 5,000.
    assert_allclose((clean != noisy).mean(axis=0), 0.2, atol=0.023)


MECHANISMS = ["completely_at_random", "at_random", "not_at_random"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_rates_are_those_asked_for(mechanism):
    rates = [0.0, 0.3, 0.6, 0.95]
    _, y = make_multitask_classification(
        5000, missing_rate=rates, mechanism=mechanism, random_state=0
    )
    assert_allclose(np.isnan(y).mean(axis=0), rates, atol=0.03)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_mechanisms_differ_in_what_missing_labels_depend_on(mechanism):
    X, y, complete = make_multitask_classification(
        20000,
        missing_rate=0.5,
        mechanism=mechanism,
        return_complete=True,
        random_state=0,
    )
    missing = np.isnan(y)
    by_column = missing[X[:, 0] < 0].mean() - missing[X[:, 0] > 0].mean()
    by_label = missing[complete == 1].mean() - missing[complete == 0].mean()
    assert (abs(by_column) > 0.1) == (mechanism == "at_random")
    assert (abs(by_label) > 0.1) == (mechanism == "not_at_random")


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
def test_a_positive_label_is_missing_with_twice_the_odds(rate):
    _, y, complete = make_multitask_classification(
        50000,
        missing_rate=rate,
        mechanism="not_at_random",
        return_complete=True,
        random_state=0,
    )
    p, q = (np.isnan(y)[complete == label].mean() for label in (1, 0))
    # Four standard errors of a log odds ratio of 25,000 labels of each class and task.
    error = 4 * np.sqrt(2 / (100000 * rate * (1 - rate)))
    assert_allclose(np.log(p / (1 - p)) - np.log(q / (1 - q)), np.log(2), atol=error)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_contradictory": 4}, "n_contradictory must be less than n_tasks"),
        ({"missing_rate": [0.1, 0.2]}, "one number in .* for each of the 4 tasks"),
        ({"missing_rate": [0.1, 0.2, 0.3, 1.0]}, "missing_rate must be"),
        ({"relatedness": 1.5}, "'relatedness' parameter"),
        ({"mechanism": "mnar"}, "'mechanism' parameter"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        make_multitask_classification(**settings)


def test_labels_are_the_signs_of_the_numbers():
    X, labels = make_multitask_classification(300, random_state=0)
    same, numbers = make_multitask_regression(300, random_state=0)
    assert_array_equal(X, same)
    assert_array_equal(labels, numbers > 0)
    assert_allclose(numbers.std(axis=0), 1)


def test_noise_leaves_the_stated_share_to_explain():
    _, clean = make_multitask_regression(20_000, random_state=0)
    _, noisy = make_multitask_regression(20_000, noise=0.5, random_state=0)
    explained = [
        np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(clean.T, noisy.T, strict=True)
    ]
    assert_allclose(explained, 1 / (1 + 0.5**2), atol=0.02)


@pytest.mark.parametrize(
    "mechanism", ["completely_at_random", "at_random", "not_at_random"]
)
def test_numbers_are_missing_at_the_stated_rate(mechanism):
    rates = [0.2, 0.5, 0.7]
    X, y, complete = make_multitask_regression(
        20_000,
        n_tasks=3,
        missing_rate=rates,
        mechanism=mechanism,
        return_complete=True,
        random_state=0,
    )
    missing = np.isnan(y)
    assert_allclose(missing.mean(axis=0), rates, atol=0.015)
    assert_array_equal(y[~missing], complete[~missing])
    small, positive = X[:, 0] < 0, complete[:, 1] > 0
    assert (missing[small].mean() > missing[~small].mean() + 0.1) == (
        mechanism == "at_random"
    )
    assert (missing[positive, 1].mean() > missing[~positive, 1].mean() + 0.1) == (
        mechanism == "not_at_random"
    )
