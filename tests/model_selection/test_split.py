import numpy as np
import pandas as pd
import pytest
from _targets import encode_targets
from scipy import sparse
from sklearn import config_context
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.tree import DecisionTreeClassifier

from skmtl.metrics import multitask_scorer
from skmtl.model_selection import (
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    MultiTaskStratifiedShuffleSplit,
    RepeatedMultiTaskStratifiedKFold,
    multitask_train_test_split,
)
from skmtl.model_selection._split import train_validation_split

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
                np.bincount(column[column >= 0], minlength=tasks.n_codes.max())
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
        assert len(Y) // n_splits <= len(test) <= len(Y) // n_splits + 1

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


@few_labels
@pytest.mark.parametrize("shuffle", [False, True])
def test_shares_of_text_beside_a_task_without_labels_are_exact(shuffle):
    labels = np.repeat(np.array(["a", "b", "c"], dtype=object), [30, 15, 5])
    for seed in range(5):
        own = np.random.default_rng(seed).permutation(labels)
        y = np.column_stack([own, np.full(50, np.nan, dtype=object)])
        cv = MultiTaskStratifiedKFold(
            5, shuffle=shuffle, random_state=seed if shuffle else None
        )
        for _, test in cv.split(y, y):
            assert [(own[test] == c).sum() for c in "abc"] == [6, 3, 1]


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
    message = r"1 of 2 tasks.*n_splits=5.*rare: 1"
    with pytest.warns(UserWarning, match=message) as record:
        folds = list(MultiTaskStratifiedKFold(5).split(Y, Y))
    assert record[0].filename == __file__
    assert len(folds) == 5
    with pytest.raises(ValueError, match=r"must have n_splits=9 labels.* has 8"):
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
        codes, tasks.n_codes, fraction, np.random.RandomState(seed)
    )
    assert sorted([*train, *held_out]) == list(range(len(codes)))
    enough = (codes >= 0).sum(axis=0) >= 2
    assert ((codes[train] >= 0).any(axis=0) >= enough).all()
    assert ((codes[held_out] >= 0).any(axis=0) >= enough).all()
    # As many as asked for, but for rows moved so that each task has both sides.
    assert abs(len(held_out) - fraction * len(codes)) <= 1 + codes.shape[1]


def test_tasks_of_two_labels_have_one_on_each_side():
    # So many that no stratification by shares could ensure it.
    rng = np.random.default_rng(0)
    codes = np.full((400, 60), -1)
    codes[:, 0] = rng.integers(2, size=400)
    for task in range(1, 60):
        codes[rng.choice(400, 2, replace=False), task] = 0
    for seed in range(3):
        train, held_out = train_validation_split(
            codes, np.array([2] + [1] * 59), 0.1, np.random.RandomState(seed)
        )
        assert (codes[train] >= 0).any(axis=0).all()
        assert (codes[held_out] >= 0).any(axis=0).all()
        # Only some rows were moved for it.
        assert len(held_out) < 110


def test_the_only_label_of_a_class_is_trained_on():
    n_seen = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shape = rng.integers(15, 60), rng.integers(2, 6)
        codes = (rng.random(shape) < rng.uniform(0.02, 0.5, size=shape[1])).astype(int)
        codes[rng.random(shape) < 0.3] = -1
        codes = codes[(codes >= 0).any(axis=1)]
        train, _ = train_validation_split(
            codes,
            np.full(shape[1], 2),
            rng.uniform(0.1, 0.4),
            np.random.RandomState(seed),
        )
        for value in (0, 1):
            single = ((codes == value).sum(axis=0) == 1) & (
                (codes >= 0).sum(axis=0) > 4
            )
            assert (codes[train][:, single] == value).any(axis=0).all()
            n_seen += single.sum()
    assert n_seen > 40


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_as_many_rows_are_held_out_as_asked_for(fraction):
    codes = np.random.default_rng(0).integers(2, size=(200, 3))
    _, held_out = train_validation_split(
        codes, np.full(3, 2), fraction, np.random.RandomState(0)
    )
    assert len(held_out) == fraction * 200


def test_a_single_label_is_trained_on():
    codes = np.full((20, 2), -1)
    codes[:, 0] = [0, 1] * 10
    codes[7, 1] = 0
    for seed in range(10):
        train, _ = train_validation_split(
            codes, np.array([2, 1]), 0.3, np.random.RandomState(seed)
        )
        assert 7 in train


@few_labels
@pytest.mark.parametrize("seed", range(5))
def test_repetitions_are_different_balanced_partitions(seed):
    Y = random_targets(np.random.default_rng(seed))
    cv = RepeatedMultiTaskStratifiedKFold(n_splits=3, n_repeats=2, random_state=seed)
    tests = [test for _, test in cv.split(Y, Y)]
    assert len(tests) == cv.get_n_splits() == 6
    for repetition in (tests[:3], tests[3:]):
        assert sorted(np.concatenate(repetition)) == list(range(len(Y)))
    assert {tuple(test) for test in tests[:3]} != {tuple(test) for test in tests[3:]}
    again = [test for _, test in cv.split(Y, Y)]
    assert all(np.array_equal(a, b) for a, b in zip(tests, again, strict=True))


@pytest.mark.parametrize(
    ("sizes", "n_train", "n_test"),
    [
        ({}, 180, 20),
        ({"test_size": 0.3}, 140, 60),
        ({"test_size": 30}, 170, 30),
        ({"train_size": 0.5}, 100, 100),
        ({"train_size": 50, "test_size": 50}, 50, 50),
    ],
)
def test_random_splits_have_the_sizes_asked_for_and_balance_labels(
    sizes, n_train, n_test
):
    Y = random_targets(np.random.default_rng(0))
    cv = MultiTaskStratifiedShuffleSplit(4, random_state=0, **sizes)
    splits = list(cv.split(Y, Y))
    assert len(splits) == cv.get_n_splits() == 4
    for train, test in splits:
        assert (len(train), len(test)) == (n_train, n_test)
        assert not set(train) & set(test)
        for value in (0, 1):
            ideal = (value == Y).sum(axis=0) * n_test / len(Y)
            assert (np.abs((Y[test] == value).sum(axis=0) - ideal) <= 2.5).all()
    assert len({tuple(sorted(test)) for _, test in splits}) == 4


def grouped_targets(seed, n_samples=300):
    """Groups whose sizes have a long tail, and whose rows have similar labels."""
    rng = np.random.default_rng(seed)
    sizes = np.minimum(rng.zipf(1.7, size=n_samples), n_samples // 8)
    groups = np.repeat(np.arange(n_samples), sizes)[:n_samples]
    Y = (rng.normal(size=(n_samples, 5)) + rng.normal(size=(n_samples, 5))[groups]) > 0
    Y = np.where(rng.random(Y.shape) < 0.4, np.nan, Y)
    order = rng.permutation(n_samples)
    return Y[order], groups[order]


@few_labels
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("shuffle", [False, True])
def test_groups_are_never_split_and_labels_are_balanced(seed, shuffle):
    Y, groups = grouped_targets(seed)
    cv = MultiTaskStratifiedGroupKFold(
        4, shuffle=shuffle, random_state=seed if shuffle else None
    )
    folds = list(cv.split(Y, Y, groups))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(Y)))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert len(test) == pytest.approx(len(Y) / 4, abs=0.04 * len(Y))
    ours = spread_over(folds, Y)
    plain = spread_over(GroupKFold(4).split(Y, Y, groups), Y)
    assert ours < 0.8 * plain


def spread_over(folds, Y):
    return np.mean(
        [
            np.std([(Y[test] == value).sum(axis=0) for _, test in folds], axis=0).mean()
            for folds in [list(folds)]
            for value in (0, 1)
        ]
    )


def test_groups_of_one_task_are_split_as_well_as_scikit_learn_does():
    ours, stock = [], []
    for seed in range(10):
        Y, groups = grouped_targets(seed)
        y = np.nan_to_num(Y[:, 0])
        ours.append(
            spread_over(
                MultiTaskStratifiedGroupKFold(4).split(y, y, groups), y[:, None]
            )
        )
        stock.append(
            spread_over(StratifiedGroupKFold(4).split(y, y, groups), y[:, None])
        )
    assert np.mean(ours) <= 1.05 * np.mean(stock)


def test_groups_of_any_kind_and_unusable_groups():
    Y, groups = grouped_targets(0)
    cv = MultiTaskStratifiedGroupKFold(3)
    numbers = [test.tolist() for _, test in cv.split(Y, Y, groups)]
    by_name = np.char.add("g", np.char.zfill(groups.astype(str), 5))
    for names in (by_name, pd.Series(by_name), by_name.tolist()):
        assert [test.tolist() for _, test in cv.split(Y, Y, names)] == numbers
    categories = pd.Categorical(by_name, categories=[*np.unique(by_name), "unused"])
    for column in (pd.Series(categories), by_name[:, None]):
        assert [test.tolist() for _, test in cv.split(Y, Y, column)] == numbers
    with pytest.raises(ValueError, match="1 of 300 are missing"):
        next(cv.split(Y, Y, [None, *by_name[1:].tolist()]))
    with pytest.raises(ValueError, match=r"groups must be an array .* it is None"):
        next(cv.split(Y, Y))
    with pytest.raises(ValueError, match="number of groups, 2"):
        next(cv.split(Y, Y, groups=np.arange(len(Y)) % 2))


@pytest.mark.parametrize("routing", [False, True])
def test_groups_reach_the_splitter_through_a_search(routing):
    Y, groups = grouped_targets(0)
    Y = np.nan_to_num(Y).astype(int)
    X = np.random.default_rng(0).normal(size=(len(Y), 3))
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            DecisionTreeClassifier(),
            {"max_depth": [1, 2]},
            cv=MultiTaskStratifiedGroupKFold(3),
            scoring=multitask_scorer("accuracy"),
            error_score="raise",
        ).fit(X, Y, groups=groups)
    assert search.n_splits_ == 3


@few_labels
def test_two_positives_hardly_ever_stay_on_one_side_of_a_small_split():
    n_both = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        Y = (rng.random((10, 3)) < [0.5, 0.4, 0]).astype(float)
        Y[rng.choice(10, 2, replace=False), 2] = 1
        rows = np.arange(10)
        train, test = multitask_train_test_split(
            rows, stratify=Y, test_size=0.2, random_state=seed
        )
        assert len(test) == 2
        assert sorted([*train, *test]) == rows.tolist()
        n_both += Y[train, 2].sum() == Y[test, 2].sum() == 1
    assert n_both > 45  # by chance 18


@few_labels
@pytest.mark.parametrize("missing", [[], [1]])
def test_rows_of_which_no_two_are_alike_are_split(missing):
    Y = np.array([[1.0, 1], [0, 1], [1, 0]])
    Y[missing, 0] = np.nan
    for seed in range(10):
        train, test, *_ = multitask_train_test_split(
            np.arange(3), Y, test_size=0.5, random_state=seed
        )
        assert len(train) > 0
        assert len(test) > 0
        assert sorted([*train, *test]) == [0, 1, 2]


def test_train_test_split_takes_every_container():
    Y = random_targets(np.random.default_rng(0))
    frame = pd.DataFrame(Y, columns=list("abcdef"), index=np.arange(len(Y)) + 1000)
    X = np.arange(len(Y)).reshape(-1, 1)
    parts = multitask_train_test_split(
        X, frame, sparse.csr_array(X), X[:, 0].tolist(), test_size=0.2, random_state=0
    )
    X_train, X_test, _, Y_test, S_train, S_test, list_train, list_test = parts
    assert len(X_test) == len(Y_test) == S_test.shape[0] == len(list_test) == 40
    assert sorted([*X_train[:, 0], *X_test[:, 0]]) == list(range(len(Y)))
    assert Y_test.index.tolist() == (X_test[:, 0] + 1000).tolist()
    assert S_train.toarray().ravel().tolist() == list_train == X_train[:, 0].tolist()
    for value in (0, 1):
        ideal = 0.2 * (value == Y).sum(axis=0)
        assert (np.abs((Y_test == value).sum(axis=0) - ideal) <= 2.5).all()
    again = multitask_train_test_split(X, frame, test_size=0.2, random_state=0)
    assert np.array_equal(again[1], X_test)
    alone = multitask_train_test_split(X, stratify=Y, test_size=0.2, random_state=0)
    assert np.array_equal(alone[1], X_test)
    assert len(multitask_train_test_split(X, Y)[1]) == 50
    with pytest.raises(ValueError, match=r"got 1 .* Pass X and Y, or stratify=Y"):
        multitask_train_test_split(X)
