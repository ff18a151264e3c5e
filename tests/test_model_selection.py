import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

from skmtl._targets import encode_targets
from skmtl.model_selection import MultiTaskStratifiedKFold, train_validation_split

few_labels = pytest.mark.filterwarnings("ignore:.*fewer labels than n_splits")


def random_targets(rng, n_samples=200, n_tasks=6, missing=0.5):
    rates = rng.uniform(0.1, 0.9, size=n_tasks)
    Y = (rng.random((n_samples, n_tasks)) < rates).astype(float)
    Y[rng.random(Y.shape) < missing] = np.nan
    return Y


def counts_per_fold(splitter, Y):
    """(n_folds, n_tasks, n_classes): labels in each test fold."""
    tasks, codes = encode_targets(Y)
    return np.array(
        [
            [
                np.bincount(column[column >= 0], minlength=tasks.n_classes.max())
                for column in codes[test].T
            ]
            for _, test in splitter.split(np.zeros(len(codes)), Y)
        ]
    )


@few_labels
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_folds_are_a_balanced_partition(shuffle, seed):
    rng = np.random.default_rng(seed)
    n_splits = int(rng.integers(2, 7))
    Y = random_targets(rng, n_tasks=int(rng.integers(1, 10)))
    splitter = MultiTaskStratifiedKFold(
        n_splits, shuffle=shuffle, random_state=seed if shuffle else None
    )
    folds = list(splitter.split(np.zeros(len(Y)), Y))
    assert len(folds) == splitter.get_n_splits() == n_splits
    tests = np.concatenate([test for _, test in folds])
    assert sorted(tests) == list(range(len(Y)))
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(len(Y)))
        assert abs(len(test) - len(Y) / n_splits) <= 0.15 * len(Y) / n_splits + 1

    counts = counts_per_fold(splitter, Y)
    ideal = counts.sum(axis=0) / n_splits
    assert (np.abs(counts - ideal) <= 0.1 * ideal + 2).all()
    labelled = counts.sum(axis=2)
    assert (np.abs(labelled - labelled.mean(axis=0)) <= 0.1 * ideal.sum(1) + 2).all()


@few_labels
def test_folds_are_better_balanced_than_random_ones():
    rng = np.random.default_rng(0)
    ours, random = [], []
    for _ in range(10):
        Y = random_targets(rng, n_tasks=12)
        counts = counts_per_fold(MultiTaskStratifiedKFold(5), Y)
        ours.append(counts.std(axis=0).mean())
        _, codes = encode_targets(Y[rng.permutation(len(Y))])
        random.append(
            np.std(
                [
                    [np.bincount(c[c >= 0], minlength=2) for c in part.T]
                    for part in np.array_split(codes, 5)
                ],
                axis=0,
            ).mean()
        )
    assert np.mean(ours) < 0.3 * np.mean(random)


def test_one_complete_task_is_split_as_stratified_kfold_does():
    y = np.random.default_rng(0).integers(3, size=101)
    counts = counts_per_fold(MultiTaskStratifiedKFold(4), y)[:, 0]
    for (_, test), ours in zip(StratifiedKFold(4).split(y, y), counts, strict=True):
        assert (np.abs(np.bincount(y[test]) - ours) <= 1).all()


def test_a_rare_label_is_in_as_many_folds_as_it_has_rows():
    Y = np.zeros((50, 2))
    Y[[3, 4, 5, 6, 7], 1] = 1
    assert counts_per_fold(MultiTaskStratifiedKFold(5), Y)[:, 1, 1].tolist() == [1] * 5


@pytest.mark.parametrize(
    "y",
    [
        pd.DataFrame({"a": pd.array([0, 1, None, 0, 1, 1], dtype="Int64")}),
        pd.DataFrame({"a": ["x", "y", None, "x", "y", "y"]}),
        [["x"], ["y"], [None], ["x"], ["y"], ["y"]],
        np.array([0, 1, np.nan, 0, 1, 1]),
    ],
    ids=["Int64", "strings", "list", "1-D"],
)
def test_every_kind_of_target_can_be_split(y):
    tests = [test for _, test in MultiTaskStratifiedKFold(2).split(y, y)]
    assert sorted(np.concatenate(tests)) == list(range(6))


def test_seeds():
    Y = random_targets(np.random.default_rng(0))

    def tests(**kwargs):
        splitter = MultiTaskStratifiedKFold(3, **kwargs)
        return [test.tolist() for _, test in splitter.split(Y, Y)]

    assert tests() == tests()
    assert tests(shuffle=True, random_state=1) == tests(shuffle=True, random_state=1)
    assert tests(shuffle=True, random_state=1) != tests(shuffle=True, random_state=2)
    with pytest.raises(ValueError, match="shuffle"):
        MultiTaskStratifiedKFold(3, random_state=0)


def test_classes_rarer_than_the_folds_are_named():
    Y = pd.DataFrame({"common": [0, 1] * 10, "rare": [1.0] + [0] * 19})
    with pytest.warns(UserWarning, match=r"1 of 2 tasks.*n_splits=5.*rare: 1"):
        folds = list(MultiTaskStratifiedKFold(5).split(Y, Y))
    assert len(folds) == 5
    with pytest.raises(ValueError, match=r"n_splits=9 cannot be greater.* has 8"):
        next(MultiTaskStratifiedKFold(9).split(Y[1:17], Y[["common"]][1:17]))


def test_unusable_arguments_are_refused():
    with pytest.raises(ValueError, match="n_splits"):
        MultiTaskStratifiedKFold(1)
    with pytest.raises(ValueError, match="y is None"):
        next(MultiTaskStratifiedKFold(2).split(np.zeros((4, 1)), None))
    with pytest.raises(ValueError, match="inconsistent"):
        next(MultiTaskStratifiedKFold(2).split(np.zeros((4, 1)), np.zeros((3, 1))))


def test_repr_is_that_of_scikit_learns_splitters():
    expected = "MultiTaskStratifiedKFold(n_splits=3, random_state=None, shuffle=False)"
    assert repr(MultiTaskStratifiedKFold(3)) == expected


@pytest.mark.parametrize("seed", range(30))
def test_held_out_rows_leave_every_task_labels_on_both_sides(seed):
    rng = np.random.default_rng(seed)
    Y = random_targets(rng, n_samples=80, n_tasks=10, missing=rng.uniform(0, 0.9))
    tasks, codes = encode_targets(Y)
    codes = codes[(codes >= 0).any(axis=1)]
    fraction = rng.uniform(0.05, 0.5)
    train, held_out = train_validation_split(
        codes, tasks.n_classes, fraction, np.random.RandomState(seed)
    )
    assert sorted([*train, *held_out]) == list(range(len(codes)))
    enough = (codes >= 0).sum(axis=0) >= 2
    assert ((codes[train] >= 0).any(axis=0) >= enough).all()
    assert ((codes[held_out] >= 0).any(axis=0) >= enough).all()
    assert abs(len(held_out) - fraction * len(codes)) <= 0.1 * len(codes) + 10


def test_a_single_label_is_trained_on():
    codes = np.full((20, 2), -1)
    codes[:, 0] = [0, 1] * 10
    codes[7, 1] = 0
    for seed in range(10):
        train, _ = train_validation_split(
            codes, np.array([2, 1]), 0.3, np.random.RandomState(seed)
        )
        assert 7 in train


def test_importing_splitters_loads_no_torch():
    program = "import sys, skmtl.model_selection; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
