"""Where decision trees split the numeric columns, so that bins can begin there."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

# A split must lower the loss of a tree by this many nats, summed over its rows, plus
# the logarithm of the number of columns: the best of many columns gains more by chance.
MIN_GAIN = 3.0
MAX_LEAVES, MIN_ROWS_OF_LEAF = 32, 5
_SETTINGS = {
    "max_leaf_nodes": MAX_LEAVES,
    "min_samples_leaf": MIN_ROWS_OF_LEAF,
    "random_state": 0,
}
# A tree reads at most so many rows, and all trees together so many numbers. There are
# no trees for fewer rows than the last number, or if a tree could not read as many.
MAX_ROWS, MAX_NUMBERS, FEWEST_ROWS = 10_000, 1_000_000, 500
# Nor is there a tree for a task with fewer labels for each of its classes (for numbers,
# as if they had two), or with more classes, with which trees take long.
LABELS_PER_CLASS, MAX_CLASSES = 20, 100

# By the position of a column, (n_splits, 2): the numbers on both sides of its splits,
# the best split first.
Splits = Mapping[int, NDArray]
# The weights of the labels of a task in some rows.
LabelWeights = Callable[[int, NDArray], NDArray]
# Runs jobs, perhaps side by side, and returns their results in order.
Run = Callable[[Sequence[Callable[[], Any]]], list]


class _TreeSplits(NamedTuple):
    column: NDArray  # (n_splits,)
    rank: NDArray  # (n_splits,) of the largest number on the left
    gain: NDArray  # (n_splits,) in nats


def n_rows_per_tree(n_columns: int, n_tasks: int) -> int:
    """How many rows a tree may read; 0 if there should be no trees."""
    n_rows = min(MAX_ROWS, MAX_NUMBERS // max(1, n_columns * n_tasks))
    return n_rows if n_rows >= FEWEST_ROWS and n_columns > 0 else 0


def find_splits(
    X: NDArray,
    columns: Sequence[int],
    rows: NDArray,
    codes: NDArray,
    values: NDArray | None,
    are_numbers: NDArray,
    label_weights: LabelWeights,
    run: Run,
) -> Splits:
    """The splits of numeric columns.

    A split separates a number from the next larger one. There is a tree for each task.
    All trees read ranks, so an increasing function of a column, or of the numbers of a
    task, does not change them. `codes` is (n_samples, n_tasks), -1 if the label is
    missing; `values` has the labels of tasks with numbers.
    """
    n_columns, n_tasks = len(columns), codes.shape[1]
    n_rows = n_rows_per_tree(n_columns, n_tasks)
    if n_rows == 0 or len(rows) < FEWEST_ROWS:
        return {}
    observed = [_some_of(rows[codes[rows, t] >= 0], n_rows) for t in range(n_tasks)]
    read = np.unique(np.concatenate(observed))
    table, numbers = _ranks(X, columns, read)

    def splits_of(t: int) -> list[_TreeSplits]:
        weights = label_weights(t, observed[t])
        own, weights = observed[t][weights > 0], weights[weights > 0]
        n_classes = 2 if are_numbers[t] else len(np.unique(codes[own, t]))
        if len(own) < LABELS_PER_CLASS * max(2, n_classes) or n_classes > MAX_CLASSES:
            return []
        of_task = table[np.searchsorted(read, own)]
        if values is not None and are_numbers[t]:
            nodes, nats = _tree_for_numbers(of_task, values[own, t], weights)
        else:
            nodes, nats = _tree_for_classes(of_task, codes[own, t], weights)
        return [_splits_that_gain(nodes, nats, n_columns)]

    found = run([partial(splits_of, t) for t in range(n_tasks)])
    below = _best_first(list(chain.from_iterable(found)))
    return {
        columns[k]: np.stack([numbers[k][ranks], numbers[k][ranks + 1]], axis=1)
        for k, ranks in below.items()
    }


def _some_of(rows: NDArray, n_rows: int) -> NDArray:
    """At most `n_rows` of these rows, the same ones each time."""
    if len(rows) <= n_rows:
        return rows
    return np.random.RandomState(0).choice(rows, n_rows, replace=False)


def _ranks(
    X: NDArray, columns: Sequence[int], rows: NDArray
) -> tuple[NDArray, list[NDArray]]:
    """(n_rows, n_columns) ranks, NaN for NaN, and the distinct numbers of each column.

    Trees read float32, in which different numbers could be the same.
    """
    ranks = np.full((len(rows), len(columns)), np.nan, dtype=np.float32)
    numbers = []
    for k, j in enumerate(columns):
        values = X[rows, j].astype(np.float64)
        is_present = ~np.isnan(values)
        distinct, inverse = np.unique(values[is_present], return_inverse=True)
        ranks[is_present, k] = inverse
        numbers.append(distinct)
    return ranks, numbers


def _best_first(found: list[_TreeSplits]) -> dict[int, NDArray]:
    """The ranks at which each column is split, ordered by their gains in all trees."""
    if not found:
        return {}
    column, rank, gain = (np.concatenate(parts) for parts in zip(*found, strict=True))
    result = {}
    for k in np.unique(column).tolist():
        ranks, which = np.unique(rank[column == k], return_inverse=True)
        total = np.bincount(which, gain[column == k])
        result[k] = ranks[np.argsort(-total, kind="stable")]
    return result


def _tree_for_classes(
    ranks: NDArray, codes: NDArray, weights: NDArray
) -> tuple[Any, NDArray]:
    """The nodes of a tree, and the log loss of each, in nats."""
    tree = DecisionTreeClassifier(criterion="entropy", **_SETTINGS)
    nodes = tree.fit(ranks, codes, sample_weight=weights / weights.mean()).tree_
    return nodes, np.log(2) * nodes.impurity * nodes.weighted_n_node_samples


def _tree_for_numbers(
    ranks: NDArray, values: NDArray, weights: NDArray
) -> tuple[Any, NDArray]:
    """The same for the ranks of numbers, on which outliers have no influence.

    The loss is that of a normal distribution with the variance that the tree leaves.
    """
    tree = DecisionTreeRegressor(**_SETTINGS)
    targets = rankdata(values) / len(values)
    nodes = tree.fit(ranks, targets, sample_weight=weights / weights.mean()).tree_
    squares = nodes.impurity * nodes.weighted_n_node_samples
    # The mean weight is 1.
    variance = squares[nodes.children_left < 0].sum() / len(values)
    return nodes, 0.5 * squares / max(variance, 1e-9)


def _splits_that_gain(nodes: Any, nats: NDArray, n_columns: int) -> _TreeSplits:
    """The splits of a tree that gain enough."""
    left, right = nodes.children_left, nodes.children_right
    # If weights differ by dozens of orders of magnitude, an impurity can be NaN.
    with np.errstate(invalid="ignore"):
        gain = np.where(left >= 0, nats - nats[left] - nats[right], 0.0)
    # The threshold between missing numbers and all others is infinite.
    is_enough = gain >= MIN_GAIN + np.log(n_columns)
    split = np.flatnonzero(is_enough & np.isfinite(nodes.threshold))
    # The threshold is halfway between two ranks of the node, which need not be adjacent
    # in the column.
    rank = np.floor(nodes.threshold[split]).astype(np.int64)
    return _TreeSplits(nodes.feature[split], rank, gain[split])
