"""One task of a fitted multi-task estimator, for tools that accept a single target."""

import re
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import ClassifierMixin, RegressorMixin, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.utils import Tags, TargetTags, _safe_indexing
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skmtl._inputs import warn_of_row_order
from skmtl._messages import shorten
from skmtl._predictions import looks_like_numbers
from skmtl._targets import (
    Column,
    finite_numbers,
    is_binary,
    read_columns,
    task_names,
    tidy_labels,
)

# The public functions ---------------------------------------------------------------


def task_view(estimator: Any, task: str | int) -> "TaskClassifier | TaskRegressor":
    """Return one task of a fitted estimator as a single-task classifier or regressor.

    With such a view, everything in scikit-learn that accepts a single target works for
    the task: displays such as `RocCurveDisplay`, `permutation_importance`,
    `CalibratedClassifierCV` and `TunedThresholdClassifierCV`. So do packages such as
    SHAP and MAPIE.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator with several tasks: a skmtl estimator, a multi-output
        classifier or regressor from scikit-learn, or a Pipeline or search around one.
    task : str or int
        Name of the task (from `task_names_` of the estimator), or its position. If the
        estimator has no task names, they are "task_0", "task_1" and so on.

    Returns
    -------
    view : TaskClassifier or TaskRegressor
        A classifier, or a regressor for a numeric task. A classifier has `classes_`,
        `score` and `predict`, which returns labels of shape (n_samples,). If the
        estimator has them, it also has `decision_function`, and `predict_proba` and
        `predict_log_proba`, which return arrays of shape (n_samples, n_classes). The
        attribute `task` is the name of the task, and `estimator` is the estimator
        itself, not a copy.

        The view is frozen like a `sklearn.frozen.FrozenEstimator`: `fit` changes
        nothing and `clone` returns the view itself. `score` leaves out rows without a
        label; for other tools, select the rows with `observed_rows`.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If the estimator has no such task, or is neither a classifier nor a regressor.

    See Also
    --------
    task_views : Views of all tasks, by name.
    observed_rows : The rows that have a label of a task.
    sklearn.frozen.FrozenEstimator : A fitted estimator that `fit` does not change.

    Examples
    --------
    Compute the ROC AUC of one task on its observed rows, with a scorer from
    scikit-learn:

    >>> import numpy as np
    >>> from sklearn.metrics import get_scorer
    >>> import skmtl
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> Y = np.where(rng.random((200, 2)) < 0.5, np.nan, X[:, :2] > 0)
    >>> clf = skmtl.MultiTaskNetClassifier(random_state=0).fit(X, Y)
    >>> view = skmtl.task_view(clf, "task_1")
    >>> view.predict_proba(X).shape
    (200, 2)
    >>> X_1, y_1 = skmtl.observed_rows(X, Y, "task_1")
    >>> get_scorer("roc_auc")(view, X_1, y_1) > 0.9
    True
    """
    known = _known_tasks(estimator)
    position = _position_of(task, known.names)
    name = f"task_{position}" if known.names is None else known.names[position]
    is_number = known.classes is None or known.classes[position] is None
    return (TaskRegressor if is_number else TaskClassifier)(estimator, name)


def task_views(estimator: Any) -> "dict[str, TaskClassifier | TaskRegressor]":
    """Return each task of a fitted estimator as a classifier or regressor.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator with several tasks, as in `task_view`.

    Returns
    -------
    views : dict
        The view of each task, with task names as keys, in the order of the tasks.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If the estimator is neither a classifier nor a regressor, or if its number of
        tasks is unknown.

    See Also
    --------
    task_view : The view of a single task, with its methods.

    Examples
    --------
    Print the classes of each task of a forest:

    >>> import numpy as np
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> import skmtl
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> Y = np.column_stack([np.digitize(X[:, 0], [-1, 1]), X[:, 1] > 0])
    >>> forest = RandomForestClassifier(10).fit(X, Y)
    >>> for name, view in skmtl.task_views(forest).items():
    ...     print(name, view.classes_)
    task_0 [0 1 2]
    task_1 [0 1]
    """
    names = _known_tasks(estimator).names
    if names is None:
        raise ValueError(
            "estimator must say how many tasks it has, for example in n_outputs_, but "
            f"{type(estimator).__name__} does not. Use task_view with the position of "
            "each task."
        )
    return {name: task_view(estimator, name) for name in names}


def observed_rows(X: Any, y: Any, task: str | int) -> tuple[Any, NDArray]:
    """Select the rows that have a label of one task.

    Parameters
    ----------
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data, or anything else with one row or value per row of `y`, such as
        sample weights.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels; missing labels are NaN, None or pd.NA.
    task : str or int
        Name of the column of `y`, or its position. Columns without names are called
        "task_0", "task_1" and so on.

    Returns
    -------
    X_task : array-like, DataFrame or sparse matrix
        The rows of `X` that have a label, in the same container as `X`.
    y_task : ndarray of shape (n_observed,)
        The labels of these rows. Numbers are floats. Classes have the dtype of
        `classes_` of a skmtl estimator; for example, whole numbers are integers, even
        if NaN made them floats in `y`.

    Raises
    ------
    ValueError
        If `y` has no such task, or no observed label of it.

    Warns
    -----
    UserWarning
        If `y` has the same index as `X`, but in another order.

    See Also
    --------
    task_view : The estimator for these rows.

    Examples
    --------
    The third row has no label of the second task:

    >>> import numpy as np
    >>> from skmtl import observed_rows
    >>> X = np.array([[0.5], [1.5], [2.5]])
    >>> Y = np.array([[0, 1], [np.nan, 0], [1, np.nan]])
    >>> X_task, y_task = observed_rows(X, Y, "task_1")
    >>> X_task
    array([[0.5],
           [1.5]])
    >>> y_task
    array([1, 0])
    """
    warn_of_row_order(X, y=y)
    column, name = _column_of(y, task)
    check_consistent_length(X, column.observed)
    rows = np.flatnonzero(column.observed)
    if len(rows) == 0:
        raise ValueError(
            f"Task {name!r} must have an observed label in y, but all "
            f"{len(column.observed)} are missing. Pass rows with labels, or choose "
            "another task."
        )
    if looks_like_numbers(column):
        labels = finite_numbers(column, name)
    else:
        labels = tidy_labels(column, name).values
    return _safe_indexing(X, rows), labels


def _column_of(y: Any, task: Any) -> tuple[Column, str]:
    """The column of a task and its name."""
    is_frame = hasattr(y, "iloc")
    if getattr(y, "ndim", 1) == 2 and (is_frame or isinstance(y, np.ndarray)):
        # Read only this column; reading 1,000 columns takes seconds.
        names = task_names(list(y.columns) if is_frame else None, y.shape[1]).tolist()
        position = _position_of(task, names)
        own = [position]
        columns, _, _ = read_columns(y.iloc[:, own] if is_frame else y[:, own])
        return columns[0], names[position]
    columns, given, _ = read_columns(y)
    names = task_names(given, len(columns)).tolist()
    position = _position_of(task, names)
    return columns[position], names[position]


# The tasks of an estimator ------------------------------------------------------------


class _KnownTasks(NamedTuple):
    names: list[str] | None  # None if the number of tasks is unknown
    classes: list[Any] | None  # per task, None if numeric; None if all tasks are


def _known_tasks(estimator: Any) -> _KnownTasks:
    check_is_fitted(
        estimator,
        msg="estimator must be fitted before you can view its tasks, but %(name)s is "
        "not. Call fit first.",
    )
    layers = list(_layers(estimator))
    inner = layers[-1]
    names = next((e.task_names_ for e in layers if hasattr(e, "task_names_")), None)
    classes = _classes_by_task(inner)
    if not hasattr(estimator, "predict") or (
        classes is None and names is None and not is_regressor(inner)
    ):
        raise ValueError(
            "estimator must be a classifier or regressor that can predict; got "
            f"{type(estimator).__name__}. Pass another estimator; fit a search with "
            "refit=True."
        )
    if names is not None:
        return _KnownTasks(list(names), classes)
    n_tasks = _n_outputs(inner) if classes is None else len(classes)
    texts = None if n_tasks is None else task_names(None, n_tasks).tolist()
    return _KnownTasks(texts, classes)


def _layers(estimator: Any) -> Iterator[Any]:
    """The estimator, and the estimators inside searches and Pipelines."""
    yield estimator
    if hasattr(estimator, "best_estimator_"):
        yield from _layers(estimator.best_estimator_)
    elif isinstance(getattr(estimator, "steps", None), list):
        yield from _layers(estimator.steps[-1][1])


def _classes_by_task(estimator: Any) -> list[Any] | None:
    classes = getattr(estimator, "classes_", None)
    if classes is None or isinstance(classes, list):
        return classes
    binarizers = ("_label_binarizer", "label_binarizer_")
    types = (getattr(getattr(estimator, b, None), "y_type_", "") for b in binarizers)
    if any(y_type.startswith("multilabel") for y_type in types):
        # MLPClassifier, OneVsRestClassifier and RidgeClassifier number their tasks.
        return [np.array([0, 1])] * len(classes)
    return [classes]


def _n_outputs(regressor: Any) -> int | None:
    if hasattr(regressor, "n_outputs_"):
        return int(regressor.n_outputs_)
    if isinstance(regressor, MultiOutputRegressor | RegressorChain):
        return len(regressor.estimators_)
    coef = np.asarray(getattr(regressor, "coef_", None))
    return {1: 1, 2: len(coef)}[coef.ndim] if coef.ndim else None


def _position_of(task: Any, names: list[str] | None) -> int:
    if isinstance(task, Integral) and not isinstance(task, bool):
        position, text = int(task), str(task)
        if names is not None and text in names and names.index(text) != position:
            raise ValueError(
                f"task must be a name or a position, but {text} could be both: the "
                f"task named {text!r} is at position {names.index(text)}. Pass the "
                "name as a string, or rename the tasks."
            )
        if position >= 0 and (names is None or position < len(names)):
            return position
    elif names is None:
        numbered = re.fullmatch(r"task_(\d+)", str(task))
        if numbered:
            return int(numbered[1])
    elif task in names:
        return names.index(task)
    shown = "'task_0', 'task_1' and so on" if names is None else shorten(names)
    raise ValueError(
        f"task must be the name of a task, one of {shown}, or its position, counted "
        f"from 0; got {task!r}. See task_names_ of the estimator, or the columns of y."
    )


# The views --------------------------------------------------------------------------


class _TaskView(FrozenEstimator):
    """The common base of both views."""

    # `fit` accepts weights so that no meta-estimator warns that it drops them.
    __metadata_request__fit: ClassVar[dict] = {"sample_weight": UNUSED}

    def __init__(self, estimator: Any, task: str) -> None:
        self.estimator = estimator
        self.task = task

    def __getattr__(self, name: str) -> Any:
        # FrozenEstimator would pass on all attributes, which are those of all tasks.
        if name in ("n_features_in_", "feature_names_in_"):
            return getattr(self.estimator, name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Do nothing; the estimator is fitted already."""
        check_is_fitted(self)
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the estimator and the name of the task."""
        return {"estimator": self.estimator, "task": self.task}

    def set_params(self, **params: Any) -> Self:
        """Raise for all parameters; a view cannot be changed."""
        if params:
            raise ValueError(
                "The view of a task cannot be changed, but set_params got "
                f"{shorten(params)}. Make another view with task_view."
            )
        return self

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.classifier_tags = tags.regressor_tags = tags.transformer_tags = None
        tags.target_tags = TargetTags(required=True)
        return tags

    def _own_part(self, output: Any) -> NDArray:
        """The part of this task in an output with an entry or column for each task."""
        names = _known_tasks(self.estimator).names
        position = _position_of(self.task, names)
        if isinstance(output, list) or np.ndim(output) == 3:
            return np.asarray(output[position])
        table = output.toarray() if sparse.issparse(output) else np.asarray(output)
        n_columns = 1 if table.ndim == 1 else table.shape[1]
        if names is not None and len(names) == 1 and n_columns > 1:
            return table  # there is one task, with a column for each class
        if position >= n_columns or (names is not None and len(names) != n_columns):
            raise ValueError(
                "The predictions of estimator must have a column for each task, but "
                f"{type(self.estimator).__name__} returns {n_columns} column(s), and "
                f"{self.task!r} is at position {position}"
                f"{'' if names is None else f' of {len(names)}'}. Pass an estimator "
                "with several tasks."
            )
        return table if table.ndim == 1 else table[:, position]

    def _observed(
        self, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Any, NDArray, NDArray | None]:
        """The rows that `score` uses."""
        if np.ndim(y) > 1 and np.shape(y)[1] > 1:
            raise ValueError(
                f"y must only have the labels of task {self.task!r}; got "
                f"{np.shape(y)[1]} columns. Pass observed_rows(X, y, {self.task!r})."
            )
        X_observed, labels = observed_rows(X, y, 0)
        if sample_weight is not None:
            sample_weight, _ = observed_rows(sample_weight, y, 0)
        return X_observed, labels, sample_weight


def _if_estimator_has(method: str) -> Callable:
    return available_if(lambda view: hasattr(view.estimator, method))


class TaskClassifier(ClassifierMixin, _TaskView):
    """One classification task of a fitted estimator; see `task_view`."""

    @property
    def classes_(self) -> NDArray:
        """The sorted classes of the task."""
        names, classes = _known_tasks(self.estimator)
        assert classes is not None
        return np.asarray(classes[_position_of(self.task, names)])

    def predict(self, X: Any) -> NDArray:
        """Predict the labels of the task, with shape (n_samples,)."""
        labels = self._own_part(self.estimator.predict(X))
        return labels.astype(self.classes_.dtype, copy=False)

    @_if_estimator_has("predict_proba")
    def predict_proba(self, X: Any) -> NDArray:
        """Predict the probabilities of the classes, (n_samples, n_classes)."""
        p = self._own_part(self.estimator.predict_proba(X))
        return self._by_class(p, lambda p: 1 - p)

    @_if_estimator_has("predict_proba")
    def predict_log_proba(self, X: Any) -> NDArray:
        """Predict the logarithms of the probabilities, (n_samples, n_classes)."""
        with np.errstate(divide="ignore"):
            if not hasattr(self.estimator, "predict_log_proba"):
                return np.log(self.predict_proba(X))
            log_p = self._own_part(self.estimator.predict_log_proba(X))
            return self._by_class(log_p, _log_of_complement)

    @_if_estimator_has("decision_function")
    def decision_function(self, X: Any) -> NDArray:
        """Compute the decision values of the task, in the form of the estimator."""
        return self._own_part(self.estimator.decision_function(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute the accuracy on the rows that have a label; see `observed_rows`."""
        return float(super().score(*self._observed(X, y, sample_weight)))

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        assert tags.classifier_tags is not None
        tags.classifier_tags.multi_class = len(self.classes_) > 2
        return tags

    def _by_class(
        self, p: NDArray, complement: Callable[[NDArray], NDArray]
    ) -> NDArray:
        """A column for each class."""
        n_classes = len(self.classes_)
        if p.ndim == 1:  # probabilities of the second of two classes
            p = (
                np.column_stack([complement(p), p])
                if is_binary(n_classes)
                else p[:, None]
            )
        if p.shape[1] != n_classes:
            raise ValueError(
                f"Probabilities of task {self.task!r} must have a column for each of "
                f"its {n_classes} classes, but {type(self.estimator).__name__} returns "
                f"{p.shape[1]}. Use MultiOutputClassifier for multi-class tasks."
            )
        return p


class TaskRegressor(RegressorMixin, _TaskView):
    """One numeric task of a fitted estimator; see `task_view`."""

    def predict(
        self, X: Any, return_std: bool = False
    ) -> NDArray | tuple[NDArray, NDArray]:
        """Predict numbers, (n_samples,), with standard deviations if `return_std`."""
        if not return_std:
            return self._own_numbers(self.estimator.predict(X))
        # predict of a search does not accept return_std.
        estimator = getattr(self.estimator, "best_estimator_", self.estimator)
        numbers, std = estimator.predict(X, return_std=True)
        return self._own_numbers(numbers), self._own_numbers(std)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute R2 on the rows that have a label; see `observed_rows`."""
        return float(super().score(*self._observed(X, y, sample_weight)))

    def _own_numbers(self, output: Any) -> NDArray:
        numbers = self._own_part(output)
        # A table with both classes and numbers has dtype object.
        return numbers.astype(np.float64) if numbers.dtype.kind == "O" else numbers


def _log_of_complement(log_p: NDArray) -> NDArray:
    """log(1 - p), exact for p near 0 and near 1."""
    near_1 = np.log(-np.expm1(log_p))
    return np.where(log_p > -np.log(2), near_1, np.log1p(-np.exp(log_p)))
