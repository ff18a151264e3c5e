"""Out-of-fold predictions for `y` with missing labels."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_regressor
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, _num_samples, indexable

from skmtl._inputs import warn_of_row_order
from skmtl._interrupts import call_uncaught
from skmtl._predictions import (
    declared_task_types,
    fitted_network,
    guess_task_types,
    is_of_one_task,
    split_classes,
    split_scores,
    tasks_at,
    with_task_types,
)
from skmtl._sources import check_not_in_blocks
from skmtl._targets import Tasks, TaskTypes, decode, encode, is_binary
from skmtl.model_selection._split import as_splitter

Method = Literal["predict", "predict_proba", "predict_log_proba", "decision_function"]
# The value for a class that the training rows of a fold lack, as in scikit-learn.
_ABSENT = {
    "predict_proba": 0.0,
    "predict_log_proba": -np.inf,
    "decision_function": np.finfo(np.float64).min,
}


class _Fold(NamedTuple):
    """The predictions of a model for its test rows."""

    predictions: Any
    classes: Any  # the classes of these predictions
    unlearned: NDArray  # (n_tasks,) or (1,): whether the training rows had no label

    def at(self, positions: NDArray) -> "_Fold":
        """Some of the tasks, if predictions and classes are lists."""
        return _Fold(
            [self.predictions[t] for t in positions],
            [self.classes[t] for t in positions],
            self.unlearned[positions],
        )


def cross_val_predict(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    method: Method = "predict",
) -> NDArray | list[NDArray | None]:
    """Predict each row with a model that was fitted without it.

    Parameters
    ----------
    estimator : estimator
        A classifier, a regressor or a MultiTaskNet, or a pipeline or search around one.
        Each fold fits a clone of it.
    X : array-like of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels or numbers. Missing labels are NaN, None or pd.NA; the estimator must
        support them.
    groups : array-like of shape (n_samples,), default=None
        The group of each row, for splitters that use groups.
    cv : int, splitter or iterable, default=None
        The number of folds of a `MultiTaskStratifiedKFold` (None means 5), a splitter,
        or pairs of training and test rows. Each row must be a test row exactly once.
    n_jobs : int, default=None
        Number of folds to fit in parallel.
    verbose : int, default=0
        The verbosity level of joblib.
    params : dict, default=None
        Parameters passed to `fit`, such as `{"sample_weight": w}`. Arrays with one
        value per row are split with the rows.
    method : str, default="predict"
        "predict", "predict_proba", "predict_log_proba" or "decision_function".

    Returns
    -------
    predictions : ndarray or list of ndarray
        Predictions in the form that the estimator returns. Labels and numbers are an
        array of shape (n_samples,) or (n_samples, n_tasks), of objects if `y` has both.
        Probabilities are an array of shape (n_samples, n_tasks), with the second of the
        two sorted classes of each binary task, or a list with one entry per task: an
        array of shape (n_samples, n_classes), or None for a numeric task. The columns
        of such an array are the sorted classes of all of `y`.

        If the training rows of a fold lack a class, its probability is 0 in that fold
        (its log probability is minus infinity). If they have no label of a task at all,
        `fit` of a skmtl estimator warns; the probabilities of that task are then
        uniform and its label is the first of all classes.

    Raises
    ------
    ValueError
        If the test rows are not a partition of all rows, if `method` is unknown, or if
        it needs classes and all tasks are numeric.

    See Also
    --------
    MultiTaskStratifiedKFold : The splitter behind the folds.
    sklearn.model_selection.cross_val_predict : The original. For several tasks, it
        encodes the labels as integers before the fit and turns NaN into one more class.

    Examples
    --------
    Each probability comes from a network that has not seen the row:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.model_selection import cross_val_predict
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> Y = np.where(rng.random((60, 2)) < 0.5, np.nan, X[:, :2] > 0)
    >>> clf = MultiTaskNetClassifier(max_iter=5)
    >>> cross_val_predict(clf, X, Y, method="predict_proba").shape
    (60, 2)

    The same works for numeric tasks:

    >>> from skmtl import MultiTaskNetRegressor
    >>> Y = np.where(rng.random((60, 2)) < 0.5, np.nan, X[:, :2])
    >>> cross_val_predict(MultiTaskNetRegressor(max_iter=5), X, Y).shape
    (60, 2)
    """
    if method != "predict" and method not in _ABSENT:
        raise ValueError(
            f"method must be 'predict' or one of {list(_ABSENT)}; got {method!r}. Use "
            "one of these."
        )
    check_not_in_blocks(X, "cross_val_predict")
    warn_of_row_order(X, y=y)
    X, y, groups = indexable(X, y, groups)
    estimator = with_task_types(estimator, y)
    types = _task_types(estimator, y, method)
    tasks = encode(y, types).tasks
    if method != "predict" and tasks.are_numbers.all():
        raise ValueError(
            f"method={method!r} needs a classification task, but all tasks are "
            "numeric. Use method='predict'."
        )
    splits = _check_splits(as_splitter(cv, types), X, y, groups)
    parts = Parallel(n_jobs=n_jobs, verbose=verbose)(
        delayed(_fit_and_predict)(clone(estimator), X, y, train, test, params, method)
        for train, test in splits
    )
    order = np.argsort(np.concatenate([test for _, test in splits]))
    if method == "predict":
        return np.concatenate([_labels_of(fold, tasks) for fold in parts])[order]
    of_classes = np.flatnonzero(~tasks.are_numbers)
    if len(of_classes) == tasks.n_tasks:
        return _join_scores(parts, order, tasks, method)
    parts = [fold.at(of_classes) for fold in parts]  # our estimators give lists
    scores = iter(_join_scores(parts, order, tasks_at(tasks, of_classes), method))
    return [None if is_number else next(scores) for is_number in tasks.are_numbers]


def _task_types(estimator: Any, y: Any, method: Method) -> TaskTypes:
    """How the estimator reads its tasks."""
    types = declared_task_types(estimator)
    if types is not None:
        return types
    if is_regressor(estimator):
        return "number"
    return guess_task_types(y) if method == "predict" else "class"


def _check_splits(
    splitter: Any, X: Any, y: Any, groups: Any
) -> list[tuple[NDArray, NDArray]]:
    splits = list(splitter.split(X, y, groups))
    tests = np.sort(np.concatenate([test for _, test in splits]))
    n_samples = _num_samples(X)
    if not np.array_equal(tests, np.arange(n_samples)):
        raise ValueError(
            f"Each of the {n_samples} rows must be a test row exactly once, but the "
            f"{len(splits)} splits of cv have {len(tests)} test rows, "
            f"{len(np.unique(tests))} of them distinct. Use a splitter such as "
            "MultiTaskStratifiedKFold."
        )
    return splits


def _fit_and_predict(
    estimator: Any,
    X: Any,
    y: Any,
    train: NDArray,
    test: NDArray,
    params: dict[str, Any] | None,
    method: str,
) -> _Fold:
    fit_on_rows(estimator, X, y, train, params or {})
    predictions = getattr(estimator, method)(_safe_indexing(X, test))
    fitted = fitted_network(estimator)
    unlearned = np.zeros(1, bool) if fitted is None else ~fitted._is_labelled
    return _Fold(predictions, getattr(estimator, "classes_", None), unlearned)


def fit_on_rows(
    estimator: Any, X: Any, y: Any, rows: NDArray, params: dict[str, Any]
) -> None:
    """Fit on some of the rows; KeyboardInterrupt is raised."""
    fit_params = _check_method_params(X, params, rows)
    X_train, y_train = _safe_indexing(X, rows), _safe_indexing(y, rows)
    call_uncaught(estimator.fit, X_train, y_train, **fit_params)


def _labels_of(fold: _Fold, tasks: Tasks) -> NDArray:
    """The predicted labels and numbers; the first class for a task without labels."""
    labels = np.asarray(fold.predictions)
    if not fold.unlearned.any():
        return labels
    by_task = []
    for t, classes in enumerate(tasks.classes):
        if fold.unlearned[t]:
            by_task.append(np.zeros(len(labels), dtype=np.intp))
        elif classes is None:
            by_task.append(labels[:, t])
        else:
            by_task.append(np.searchsorted(classes, labels[:, t].astype(classes.dtype)))
    return decode(by_task, tasks)


def _join_scores(
    parts: list[_Fold], order: NDArray, tasks: Tasks, method: str
) -> NDArray | list[NDArray | None]:
    gives_tables = any(not isinstance(fold.predictions, list) for fold in parts)
    is_single = gives_tables and all(
        is_of_one_task(np.asarray(fold.predictions), tasks)
        for fold in parts
        if not isinstance(fold.predictions, list)
    )
    as_table = not is_single and gives_tables and all(map(is_binary, tasks.n_codes))
    by_fold = []
    for fold in parts:
        by_task = zip(
            split_scores(fold.predictions, tasks),
            split_classes(fold.classes, tasks) or tasks.classes,
            tasks.classes,
            np.broadcast_to(fold.unlearned, tasks.n_tasks),
            strict=True,
        )
        by_fold.append([_align(*task, method, as_table) for task in by_task])
    if len({tuple(np.ndim(s) for s in fold) for fold in by_fold}) > 1:
        raise ValueError(
            f"{method} must have the same shape in all folds, but the training rows of "
            "some folds lack a class, so that only two classes are left and "
            f"{method} has one value per row. Use method='predict_proba', or fewer "
            "folds."
        )
    joined = [np.concatenate(folds)[order] for folds in zip(*by_fold, strict=True)]
    if as_table:
        return np.column_stack(joined)
    return joined[0] if is_single else joined


def _align(
    scores: NDArray,
    classes: NDArray,
    everywhere: NDArray,
    is_unlearned: bool,
    method: str,
    as_table: bool,
) -> NDArray:
    """A column for each class of all rows, or the column of the second of two."""
    if is_unlearned:  # the fit did not know its classes
        share = 1 / len(everywhere)
        value = np.log(share) if method == "predict_log_proba" else share
        columns = () if as_table else (len(everywhere),)
        return np.full((len(scores), *columns), value)
    if scores.ndim == 1 and (as_table or method == "decision_function"):
        return scores
    if method == "decision_function" and scores.shape[1] != len(classes):
        return scores  # a value for each pair of classes
    if scores.ndim == 1:  # in a fold whose training rows had two classes in every task
        log_scale = method == "predict_log_proba"
        rest = np.log1p(-np.exp(scores)) if log_scale else 1 - scores
        scores = np.column_stack([rest, scores])
    aligned = np.full((len(scores), len(everywhere)), _ABSENT[method])
    aligned[:, np.searchsorted(everywhere, classes)] = scores
    return aligned[:, 1] if as_table else aligned
