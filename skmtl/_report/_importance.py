"""How much the score of each task drops if a column of X is shuffled."""

from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import indexable

from skmtl._report._held_out import HeldOut, probabilities_of
from skmtl._report._scores import mean_auc, r2
from skmtl._targets import Encoded, encode

MOST_ROWS = 5_000  # in all folds together
N_SHUFFLES = 5  # of all rows, if one model predicts all of them


class Importances(NamedTuple):
    """Mean drop in the main score, and how many columns and rows were used."""

    columns: list[str]
    drops: NDArray  # (n_columns, n_tasks)
    n_columns: int  # in X
    n_rows: int  # predicted


def column_names(X: Any, given: Any) -> list[str] | None:
    """Return the names given, those of X, or x0, x1, ...; None if X is not 2-D."""
    shape = getattr(X, "shape", np.shape(X))
    if len(shape) != 2:
        return None
    n_columns = shape[1]
    if given is not None and len(given) != n_columns:
        raise ValueError(
            f"feature_names must have a name for each of the {n_columns} columns of X; "
            f"got {len(given)} names."
        )
    names = given
    if names is None and hasattr(
        X, "column_names"
    ):  # pyarrow, whose columns are arrays
        names = X.column_names
    elif names is None:
        names = getattr(X, "columns", None)
    if names is None:
        return [f"x{j}" for j in range(n_columns)]
    return [str(name) for name in names]


def permutation_importances(
    held_out: HeldOut,
    X: Any,
    names: list[str] | None,
    max_columns: int,
    rng: np.random.RandomState,
) -> Importances | None:
    """Shuffle one column at a time, for all tasks at once; None if X has no columns."""
    if names is None:
        return None
    (X,) = indexable(X)
    if isinstance(X, list):
        X = np.asarray(X)
    n_columns = len(names)
    folds = _rows_of_folds(held_out, rng)
    all_rows = np.concatenate([rows for _, rows, _ in folds])
    chosen = np.arange(n_columns)
    if n_columns > max_columns:
        outputs = np.concatenate([_outputs(*fold[:2], X, held_out) for fold in folds])
        relevance = _relevance(_safe_indexing(X, all_rows), outputs)
        chosen = np.sort(np.argsort(-relevance, kind="stable")[:max_columns])
    drops = [_drops_on_fold(fold, X, chosen, held_out, rng) for fold in folds]
    mean = _mean_of_finite(np.array(drops))
    return Importances([names[j] for j in chosen], mean, n_columns, len(all_rows))


_FoldRows = tuple[Any, NDArray, NDArray]


def _rows_of_folds(held_out: HeldOut, rng: np.random.RandomState) -> list[_FoldRows]:
    """Return the estimator, rows of X and positions among the held-out rows."""
    n_rows = sum(len(rows) for _, rows in held_out.folds)
    start, folds = 0, []
    for estimator, rows in held_out.folds:
        places = np.arange(len(rows))
        if n_rows > MOST_ROWS:
            size = max(1, len(rows) * MOST_ROWS // n_rows)
            places = np.sort(rng.choice(len(rows), size, replace=False))
        folds.append((estimator, rows[places], start + places))
        start += len(rows)
    return folds * (N_SHUFFLES if len(folds) == 1 else 1)


def _drops_on_fold(
    fold: _FoldRows,
    X: Any,
    columns: NDArray,
    held_out: HeldOut,
    rng: np.random.RandomState,
) -> NDArray:
    """Return (n_columns, n_tasks): the drop in each score."""
    estimator, rows, places = fold
    X_rows = _safe_indexing(X, rows)
    if sparse.issparse(X_rows):
        X_rows = X_rows.tocsc()
    truth = _truth(held_out.truth, places)
    baseline = _scores(estimator, X_rows, truth, held_out.truth)
    drops = np.empty((len(columns), len(baseline)))
    for i, j in enumerate(columns.tolist()):
        shuffled = with_shuffled(X_rows, j, rng.permutation(len(rows)))
        drops[i] = baseline - _scores(estimator, shuffled, truth, held_out.truth)
    return drops


def with_shuffled(X: Any, j: int, order: NDArray) -> Any:
    """Return a copy of X with the values of column j in this order."""
    if sparse.issparse(X):
        X = X.tocsc(copy=True)
        column = slice(X.indptr[j], X.indptr[j + 1])
        X.indices[column] = np.argsort(order)[X.indices[column]]
        X.has_sorted_indices = False
        return X.tocsr()
    if hasattr(X, "iloc"):
        shuffled = X.iloc[order, j]
        shuffled.index = X.index
        X = X.copy()
        X[X.columns[j]] = shuffled
        return X
    if not isinstance(X, np.ndarray | list):
        frame = nw.from_native(X, eager_only=True)
        name = frame.columns[j]
        return frame.with_columns(frame[name][order.tolist()].alias(name)).to_native()
    X = np.array(X)
    X[:, j] = X[order, j]
    return X


def _truth(truth: Encoded, places: NDArray) -> list[tuple[NDArray, NDArray]]:
    """Return, for each task, the labelled rows, and their codes or numbers."""
    tasks, codes, numbers = truth
    found = []
    for t, is_number in enumerate(tasks.are_numbers):
        labelled = np.flatnonzero(codes[places, t] >= 0)
        values = codes[places[labelled], t].astype(np.intp)
        if is_number and numbers is not None:
            values = numbers[places[labelled], t]
        found.append((labelled, values))
    return found


def _scores(
    estimator: Any, X: Any, by_task: list[tuple[NDArray, NDArray]], truth: Encoded
) -> NDArray:
    """Return (n_tasks,): the main scores, NaN if undefined."""
    probabilities = probabilities_of(estimator, X, truth.tasks)
    predicted = None
    if truth.numbers is not None:
        predicted = _decided(estimator, X, truth).numbers
    scores = np.full(len(by_task), np.nan)
    for t, (p, (rows, y)) in enumerate(zip(probabilities, by_task, strict=True)):
        if p is not None:
            p = p[rows]
            scores[t] = mean_auc(y, p) if np.isfinite(p).all() else np.nan
        elif predicted is not None:
            scores[t] = r2(y, predicted[rows, t])
    return scores


def _decided(estimator: Any, X: Any, truth: Encoded) -> Encoded:
    labels = np.asarray(estimator.predict(X))
    return encode(labels, "auto", tasks=truth.tasks, unseen="extra")


def _mean_of_finite(drops: NDArray) -> NDArray:
    is_finite = np.isfinite(drops)
    n = is_finite.sum(axis=0)
    total = np.where(is_finite, drops, 0.0).sum(axis=0)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


# Which columns, if there are many ----------------------------------------------------


def _outputs(estimator: Any, rows: NDArray, X: Any, held_out: HeldOut) -> NDArray:
    """Return (n, n_outputs): probabilities of all classes but the first; numbers."""
    X_rows = _safe_indexing(X, rows)
    tasks = held_out.tasks
    parts = probabilities_of(estimator, X_rows, tasks)
    outputs = [np.nan_to_num(p[:, 1:]) for p in parts if p is not None]
    if tasks.are_numbers.any():
        decided = _decided(estimator, X_rows, held_out.truth).numbers
        assert decided is not None
        outputs.append(decided[:, tasks.are_numbers])
    return np.concatenate(outputs, axis=1)


def _relevance(X: Any, outputs: NDArray) -> NDArray:
    """Return (n_columns,): the largest correlation with an output; inf for text."""
    varies = outputs.std(axis=0) > 0
    outputs = outputs[:, varies]
    if not outputs.shape[1]:
        return np.zeros(X.shape[1])
    outputs = (outputs - outputs.mean(axis=0)) / outputs.std(axis=0) / len(outputs)
    is_text = np.zeros(X.shape[1], dtype=bool)
    if sparse.issparse(X):
        columns = X.astype(np.float64)
        squares = columns.multiply(columns)
    else:
        columns, is_text = _as_numbers(X)
        squares = columns**2
    products = np.abs(np.asarray(columns.T @ outputs)).max(axis=1)
    mean, square = (np.asarray(c.mean(axis=0)).ravel() for c in (columns, squares))
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    varies = deviation > 1e-9 * np.abs(mean)
    relevance = np.divide(products, deviation, out=np.zeros(len(mean)), where=varies)
    return np.where(is_text, np.inf, relevance)


def _as_numbers(X: Any) -> tuple[NDArray, NDArray]:
    """Return numeric columns, 0 for text and categories, and which columns are text."""
    if isinstance(X, np.ndarray) and X.dtype.kind in "biuf":
        columns = list(X.T.astype(np.float64))
        is_text = np.zeros(X.shape[1], dtype=bool)
    elif isinstance(X, np.ndarray | list):
        columns = [np.zeros(len(X)) for _ in X[0]]
        is_text = np.ones(len(columns), dtype=bool)
    else:
        frame = nw.from_native(X, eager_only=True)
        is_text = np.array([not dtype.is_numeric() for dtype in frame.schema.values()])
        columns = [
            np.zeros(len(frame))
            if skipped
            else np.asarray(frame[:, j].to_numpy(), dtype=np.float64)
            for j, skipped in enumerate(is_text)
        ]
    # Missing values are ignored here, but not when the columns are shuffled.
    return np.column_stack([_without_nan(column) for column in columns]), is_text


def _without_nan(column: NDArray) -> NDArray:
    known = np.isfinite(column)
    mean = column[known].mean() if known.any() else 0.0
    return np.where(known, column, mean)
