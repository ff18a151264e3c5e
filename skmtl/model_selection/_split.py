"""Splitters that balance the labels of every task."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseShuffleSplit, check_cv
from sklearn.model_selection._split import (
    GroupsConsumerMixin,
    _BaseKFold,
    _RepeatedSplits,
    _validate_shuffle_split,
)
from sklearn.utils import _safe_indexing, check_random_state, column_or_1d
from sklearn.utils.validation import (
    _num_samples,
    check_consistent_length,
    indexable,
)

from skmtl._inputs import warn_of_row_order
from skmtl._messages import shorten, warn
from skmtl._sources import check_not_in_blocks
from skmtl._targets import TaskTypes, encode
from skmtl.model_selection._strata import Strata, strata_of
from skmtl.model_selection._stratify import (
    groups_as_units,
    pairs_of,
    rows_as_units,
    stratify,
)


def as_splitter(cv: Any, task_types: TaskTypes | None = None, **settings: Any) -> Any:
    """The splitter for `cv`: for a number of folds (None means 5) a new one, else `cv`.

    `task_types`, if known, and `settings` apply to a new splitter only.
    """
    if cv is None or isinstance(cv, Integral):
        splitter = MultiTaskStratifiedKFold(5 if cv is None else int(cv), **settings)
        splitter._task_types = task_types
        return splitter
    return check_cv(cv)


class MultiTaskStratifiedKFold(_BaseKFold):
    """K folds that balance positives, negatives and labelled rows of every task.

    The labels of each class of each task are spread evenly over the folds, as far as
    rows with labels for several tasks allow. A missing label is not a class. Numeric
    tasks are balanced by quantiles: the fifths of the observed values act as classes.
    In this module, `cv=5` means this splitter. You can also pass it as `cv` to
    scikit-learn's own `GridSearchCV` and `cross_validate` if `y` contains NaN.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to process the rows in random order and break ties at random.
    random_state : int, RandomState instance or None, default=None
        Seed for the shuffling; only used with `shuffle=True`.

    Warns
    -----
    UserWarning
        In `split`, if a class of a task has fewer labels than there are folds, or if a
        numeric task has a single value.

    See Also
    --------
    sklearn.model_selection.StratifiedKFold : For one task without missing labels.

    Notes
    -----
    A column of `y` counts as numeric if it has decimals, or at least 30 different whole
    numbers other than consecutive numbers from 0 or 1. Text, booleans and other whole
    numbers are classes. A numeric task with fewer than `5 * n_splits` observed values
    has fewer quantiles, so that each fold can get a value of each quantile.

    The algorithm is iterative stratification [1]_ over pairs of task and observed
    class: it takes the pair with the fewest rows left and puts each of its rows into
    the fold that lacks them most. It differs from the paper in three ways:

    - The paper balances only the positive labels. Here all classes are balanced, and
      with them the number of labelled rows of a task.
    - In the paper, the rarest pair decides which fold lacks a row most. Here it is the
      sum over all pairs of the row, each divided by the number of its rows left.
    - The folds have the same sizes as those of KFold.

    For Tox21 (12 tasks, 5 folds), the standard deviation of a pair's count over the
    folds is 0.5 rows instead of 2.2; for ToxCast (617 tasks) it is 1.5 instead of 2.7.

    References
    ----------
    .. [1] K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the Stratification of Multi-Label
       Data", ECML PKDD 2011, Algorithm 1. :doi:`10.1007/978-3-642-23808-6_10`

    Examples
    --------
    The second task has labels in every other row; each fold gets two of them:

    >>> import numpy as np
    >>> from skmtl.model_selection import MultiTaskStratifiedKFold
    >>> Y = np.array([[0, 1, 0, 1, 0, 1, 0, 1], [0, np.nan, 0, np.nan] * 2]).T
    >>> for train, test in MultiTaskStratifiedKFold(2).split(np.zeros((8, 1)), Y):
    ...     print(test, np.isfinite(Y[test]).sum(axis=0))
    [0 1 4 5] [4 2]
    [2 3 6 7] [4 2]

    Each fold gets small and large values of a numeric task:

    >>> y = np.array([0.5, 0.6, 0.7, 0.8, 7.5, 7.6, 7.7, 7.8])
    >>> for train, test in MultiTaskStratifiedKFold(2).split(y, y):
    ...     print(y[test])
    [0.5 0.7 7.5 7.7]
    [0.6 0.8 7.6 7.8]
    """

    _task_types: TaskTypes | None = None  # None: guess them from y

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None):
        super().__init__(n_splits=n_splits, shuffle=shuffle, random_state=random_state)

    def split(self, X, y, groups=None):
        """Generate indices of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Only its length is used.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels or numbers. Missing labels are NaN, None or pd.NA.
        groups : object, default=None
            Ignored, with a warning; present for API consistency.

        Yields
        ------
        train : ndarray
            The training rows of this fold.
        test : ndarray
            The test rows of this fold.
        """
        _warn_of_groups(groups, self)
        return super().split(X, y, groups)

    def _iter_test_indices(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[NDArray]:
        strata = strata_of(y, self.n_splits, self._task_types)
        pairs = strata.pairs()
        _check_counts(pairs, strata, self.n_splits)
        rng = check_random_state(self.random_state) if self.shuffle else None
        sizes = _even_sizes(len(pairs), self.n_splits)
        fold_of = stratify(rows_as_units(pairs), sizes, rng)
        for fold in range(self.n_splits):
            yield np.flatnonzero(fold_of == fold)


class RepeatedMultiTaskStratifiedKFold(_RepeatedSplits):
    """Repeated `MultiTaskStratifiedKFold` with different random folds each time.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    n_repeats : int, default=10
        Number of repetitions.
    random_state : int, RandomState instance or None, default=None
        Seed for all repetitions.

    See Also
    --------
    MultiTaskStratifiedKFold : The same without repetition.

    Examples
    --------
    Two folds, repeated three times:

    >>> import numpy as np
    >>> from skmtl.model_selection import RepeatedMultiTaskStratifiedKFold
    >>> Y = np.array([[0, 1, 0, 1, 0, 1, 0, 1], [0, np.nan, 0, np.nan] * 2]).T
    >>> cv = RepeatedMultiTaskStratifiedKFold(n_splits=2, n_repeats=3, random_state=0)
    >>> len(list(cv.split(Y, Y)))
    6
    """

    def __init__(self, *, n_splits=5, n_repeats=10, random_state=None):
        super().__init__(
            MultiTaskStratifiedKFold,
            n_repeats=n_repeats,
            random_state=random_state,
            n_splits=n_splits,
        )


class MultiTaskStratifiedShuffleSplit(BaseShuffleSplit):
    """Random splits into training and test rows, balanced for every task.

    Parameters
    ----------
    n_splits : int, default=10
        Number of independent splits.
    test_size : float or int, default=None
        Fraction or number of test rows; by default what `train_size` leaves, or 0.1.
    train_size : float or int, default=None
        Fraction or number of training rows; by default what `test_size` leaves.
    random_state : int, RandomState instance or None, default=None
        Seed for all splits.

    See Also
    --------
    MultiTaskStratifiedKFold : Splits whose test rows do not overlap.
    multitask_train_test_split : One split, which returns data instead of indices.

    Examples
    --------
    The second task has four labels, and two of them are in the test half:

    >>> import numpy as np
    >>> from skmtl.model_selection import MultiTaskStratifiedShuffleSplit
    >>> Y = np.array([[0, 1, 0, 1, 0, 1, 0, 1], [0, np.nan, 0, np.nan] * 2]).T
    >>> cv = MultiTaskStratifiedShuffleSplit(3, test_size=0.5, random_state=0)
    >>> for train, test in cv.split(Y, Y):
    ...     print(len(test), np.isfinite(Y[test, 1]).sum())
    4 2
    4 2
    4 2
    """

    def __init__(
        self, n_splits=10, *, test_size=None, train_size=None, random_state=None
    ):
        super().__init__(
            n_splits=n_splits,
            test_size=test_size,
            train_size=train_size,
            random_state=random_state,
        )
        self._default_test_size = 0.1

    def split(self, X, y, groups=None):
        """Generate indices of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Only its length is used.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels or numbers. Missing labels are NaN, None or pd.NA.
        groups : object, default=None
            Ignored, with a warning; present for API consistency.

        Yields
        ------
        train : ndarray
            The training rows of this split, in random order.
        test : ndarray
            The test rows of this split, in random order.
        """
        _warn_of_groups(groups, self)
        return super().split(X, y, groups)

    def _iter_indices(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray, NDArray]]:
        n_samples = _num_samples(X)
        n_train, n_test = _validate_shuffle_split(
            n_samples, self.test_size, self.train_size, self._default_test_size
        )
        strata = strata_of(y, n_samples / min(n_train, n_test))
        units = rows_as_units(strata.pairs())
        sizes = np.array([n_train, n_test, n_samples - n_train - n_test])
        rng = check_random_state(self.random_state)
        for _ in range(self.n_splits):
            part_of = stratify(units, sizes[sizes > 0], rng)
            yield (
                rng.permutation(np.flatnonzero(part_of == 0)),
                rng.permutation(np.flatnonzero(part_of == 1)),
            )


class MultiTaskStratifiedGroupKFold(GroupsConsumerMixin, _BaseKFold):
    """K folds that balance the labels of every task and never split a group.

    Use it if rows belong together, such as molecules with the same scaffold, frames of
    the same video or visits of the same patient. No group is in both the training rows
    and the test rows of a fold.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2 and at most the number of groups.
    shuffle : bool, default=False
        Whether to break ties at random.
    random_state : int, RandomState instance or None, default=None
        Seed for the shuffling; only used with `shuffle=True`.

    Warns
    -----
    UserWarning
        In `split`, if a class of a task has fewer labels than there are folds, or if a
        numeric task has a single value.

    See Also
    --------
    MultiTaskStratifiedKFold : Without groups.
    sklearn.model_selection.StratifiedGroupKFold : For one task without missing labels.

    Notes
    -----
    The algorithm is that of `MultiTaskStratifiedKFold`, applied to groups instead of
    rows, with the largest groups first.

    Examples
    --------
    Four groups of two rows:

    >>> import numpy as np
    >>> from skmtl.model_selection import MultiTaskStratifiedGroupKFold
    >>> Y = np.array([[0, 1, 0, 1, 0, 1, 0, 1], [0, np.nan, 0, np.nan] * 2]).T
    >>> groups = np.repeat(["a", "b", "c", "d"], 2)
    >>> for train, test in MultiTaskStratifiedGroupKFold(2).split(Y, Y, groups):
    ...     print(groups[test])
    ['a' 'a' 'c' 'c']
    ['b' 'b' 'd' 'd']
    """

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None):
        super().__init__(n_splits=n_splits, shuffle=shuffle, random_state=random_state)

    def split(self, X, y, groups=None):
        """Generate indices of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Only its length is used.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels or numbers. Missing labels are NaN, None or pd.NA.
        groups : array-like of shape (n_samples,), default=None
            The group of each row. This argument is required.

        Yields
        ------
        train : ndarray
            The training rows of this fold.
        test : ndarray
            The test rows of this fold.
        """
        return super().split(X, y, groups)

    def _iter_test_indices(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[NDArray]:
        if groups is None:
            raise ValueError(
                "groups must be an array with one group for each row, but it is None. "
                "Pass groups to split, or to fit of a search."
            )
        strata = strata_of(y, self.n_splits)
        check_consistent_length(strata.codes, groups)
        group_of, n_groups = _number_groups(groups)
        if n_groups < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} cannot be greater than the number of "
                f"groups, {n_groups}. Use fewer folds."
            )
        pairs = strata.pairs()
        _check_counts(pairs, strata, self.n_splits)
        rng = check_random_state(self.random_state) if self.shuffle else None
        units = groups_as_units(pairs, group_of, n_groups)
        sizes = _even_sizes(len(pairs), self.n_splits)
        fold_of = stratify(units, sizes, rng)[group_of]
        for fold in range(self.n_splits):
            yield np.flatnonzero(fold_of == fold)


def multitask_train_test_split(
    *arrays: Any,
    test_size: float | int | None = None,
    train_size: float | int | None = None,
    random_state: Any = None,
    stratify: Any = None,
) -> list[Any]:
    """Split data into training and test rows, balanced for every task.

    Parameters
    ----------
    *arrays : sequence of array-likes of the same length
        Lists, arrays, sparse matrices or DataFrames, usually `X, Y`.
    test_size : float or int, default=None
        Fraction or number of test rows; by default what `train_size` leaves, or 0.25.
    train_size : float or int, default=None
        Fraction or number of training rows; by default what `test_size` leaves.
    random_state : int, RandomState instance or None, default=None
        Seed for the split.
    stratify : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        The labels or numbers to balance; by default the second array.

    Returns
    -------
    splitting : list of length 2 * len(arrays)
        The training rows and the test rows of each array, in the order of
        `sklearn.model_selection.train_test_split`.

    See Also
    --------
    MultiTaskStratifiedShuffleSplit : Several splits, returned as indices.

    Examples
    --------
    Both parts have labels of both tasks:

    >>> import numpy as np
    >>> from skmtl.model_selection import multitask_train_test_split
    >>> X = np.arange(8).reshape(8, 1)
    >>> Y = np.array([[0, 1, 0, 1, 0, 1, 0, 1], [0, np.nan, 0, np.nan] * 2]).T
    >>> X_train, X_test, Y_train, Y_test = multitask_train_test_split(
    ...     X, Y, test_size=0.5, random_state=0
    ... )
    >>> np.isfinite(Y_train).sum(axis=0), np.isfinite(Y_test).sum(axis=0)
    (array([4, 2]), array([4, 2]))
    """
    if not arrays or (len(arrays) < 2 and stratify is None):
        raise ValueError(
            "multitask_train_test_split needs labels to balance: the second array or "
            f"stratify; got {len(arrays)} array(s) and stratify=None. Pass X and Y, or "
            "stratify=Y."
        )
    for array in arrays:
        check_not_in_blocks(array, "multitask_train_test_split")
    arrays = indexable(*arrays)
    y = arrays[1] if stratify is None else stratify
    others = {f"arrays[{i}]": a for i, a in enumerate(arrays) if i > 0 and a is not y}
    warn_of_row_order(arrays[0], y=y, **others)
    splitter = MultiTaskStratifiedShuffleSplit(
        1, test_size=test_size, train_size=train_size, random_state=random_state
    )
    splitter._default_test_size = 0.25
    train, test = next(splitter.split(arrays[0], y))
    return [_safe_indexing(a, rows) for a in arrays for rows in (train, test)]


def train_validation_split(
    codes: NDArray,
    n_classes: NDArray,
    validation_fraction: float,
    rng: np.random.RandomState,
) -> tuple[NDArray, NDArray]:
    """Rows to train on and rows to hold out, stratified.

    Every task with at least two labels gets at least one on each side, unless the other
    tasks of these rows prevent it. If this leaves room, every class also has a row to
    train on.
    """
    pairs = pairs_of(codes, n_classes)
    n_held_out = int(np.ceil(validation_fraction * len(codes)))
    sizes = np.array([len(codes) - n_held_out, n_held_out])
    held_out = np.zeros(len(codes), dtype=bool)
    if sizes.all():
        held_out = stratify(rows_as_units(pairs), sizes, rng) == 1
    _train_on_every_class(pairs, held_out)
    _give_every_task_both_sides(pairs, held_out)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _number_groups(groups: Any) -> tuple[NDArray, int]:
    """The index of each row's group, in the order of their names, and their number."""
    codes = encode(column_or_1d(groups, input_name="groups"), "class").codes
    n_missing = int((codes < 0).sum())
    if n_missing:
        raise ValueError(
            "groups must not have missing values, but "
            f"{n_missing} of {len(codes)} are missing. Put each row without a group "
            "into a group of its own."
        )
    # A category column may declare groups without rows.
    present, group_of = np.unique(codes[:, 0], return_inverse=True)
    return group_of, len(present)


def _even_sizes(n_samples: int, n_splits: int) -> NDArray:
    """The number of rows of each fold, as in KFold."""
    sizes = np.full(n_splits, n_samples // n_splits)
    sizes[: n_samples % n_splits] += 1
    return sizes


def _warn_of_groups(groups: Any, splitter: Any) -> None:
    if groups is not None:
        warn(
            "groups needs a splitter that keeps groups together, but "
            f"{type(splitter).__name__} ignores them. Leave groups out, or pass "
            "cv=MultiTaskStratifiedGroupKFold()."
        )


def _check_counts(pairs: NDArray, strata: Strata, n_splits: int) -> None:
    counts = np.bincount(pairs[pairs >= 0], minlength=strata.n_codes.sum())
    by_task = np.split(counts, np.cumsum(strata.n_codes)[:-1])
    if counts.max() < n_splits:
        raise ValueError(
            f"At least one class or numeric task must have n_splits={n_splits} labels "
            f"or more, but the largest has {counts.max()}. Use fewer folds."
        )
    tasks = strata.tasks
    rare = [
        f"{name}: {task_counts[task_counts > 0].min()}"
        for name, task_counts, is_number in zip(
            tasks.names, by_task, tasks.are_numbers, strict=True
        )
        if not is_number and ((task_counts > 0) & (task_counts < n_splits)).any()
    ]
    if rare:
        warn(
            f"{len(rare)} of {tasks.n_tasks} tasks have a class with fewer labels than "
            f"n_splits={n_splits} (task: labels of its rarest class): {shorten(rare)}. "
            "Some folds lack that class."
        )
    is_single = [task_counts.sum() == 1 for task_counts in by_task]
    single = tasks.names[tasks.are_numbers & is_single]
    if len(single):
        warn(
            f"{len(single)} of {tasks.n_tasks} tasks have a single value: "
            f"{shorten(single)}. No row to train on has it in one of the folds, and "
            "numeric tasks without a value cannot be fitted. Drop the columns."
        )


def _train_on_every_class(pairs: NDArray, held_out: NDArray) -> None:
    """Move single rows, in place, if a class has labels on the held-out side only."""
    trained = pairs[~held_out]
    for pair in np.setdiff1d(pairs[pairs >= 0], trained[trained >= 0]):
        rows = np.flatnonzero((pairs == pair).any(axis=1))
        if held_out[rows].all():  # an earlier move may have added one
            held_out[rows[0]] = False


def _give_every_task_both_sides(pairs: NDArray, held_out: NDArray) -> None:
    """Move single rows, in place, if a task has labels on one side only."""
    observed = pairs >= 0
    for task in observed.sum(axis=0).argsort(kind="stable"):
        rows = np.flatnonzero(observed[:, task])
        if len(rows) < 2:
            continue
        for side in (True, False):  # held out, trained on
            if not (held_out[rows] == side).any():
                row = _spare_row(pairs, rows, held_out != side)
                if row is not None:
                    held_out[row] = side


def _spare_row(pairs: NDArray, rows: NDArray, side: NDArray) -> int | None:
    """The row of `rows` that its side needs least; None if a task would lose all."""
    on_side = pairs[side]
    labels_of_task = (on_side >= 0).sum(axis=0)
    labels_of_pair = np.bincount(on_side[on_side >= 0], minlength=pairs.max() + 1)
    observed = pairs[rows] >= 0
    spare_tasks = np.where(observed, labels_of_task, np.inf).min(axis=1) > 1
    rarest = np.where(observed, labels_of_pair[pairs[rows]], np.inf).min(axis=1)
    best = np.where(spare_tasks, rarest, -1).argmax()
    return int(rows[best]) if spare_tasks[best] else None
