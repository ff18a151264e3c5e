"""scikit-learn's cross-validation and curves, on labels of which some are missing."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import model_selection as stock
from sklearn.base import clone
from sklearn.utils import Tags, get_tags

from skmtl._interrupts import call_uncaught
from skmtl._sources import check_not_in_blocks
from skmtl._targets import Tasks, encode
from skmtl.model_selection._habits import (
    check_one_number,
    known_task_types,
    multitask_cv,
    multitask_scoring,
)


def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: int | str = "2*n_jobs",
    return_train_score: bool = False,
    return_estimator: bool = False,
    return_indices: bool = False,
    error_score: Any = np.nan,
) -> dict[str, Any]:
    """Score an estimator on each fold, with one metric or several.

    It is scikit-learn's function, whose habits hold where labels are missing too.

    Parameters
    ----------
    estimator : estimator
        A classifier, a regressor or a MultiTaskNet, or a pipeline or search around one.
        It is cloned for each fold.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        The labels or numbers, with NaN, None or pd.NA where missing, if the estimator
        takes them.
    groups : array-like of shape (n_samples,), default=None
        Groups of rows, for a splitter that needs them; with metadata routing, pass them
        in `params`.
    scoring : str, callable, list, tuple or dict, default=None
        As in `GridSearchCV`: a metric's name stands for `multitask_scorer(name)`, in a
        list and as the value of a dict too. A callable that gives a dict, such as
        `multitask_scorer(..., per_task=True)`, is several metrics.
    cv : int, splitter or iterable, default=None
        A number of folds stands for `MultiTaskStratifiedKFold`, None for five.
    n_jobs : int, default=None
        Folds side by side, in processes of their own.
    verbose : int, default=0
        How much to print.
    params : dict, default=None
        Parameters for `fit`, such as `sample_weight`, which is split with the rows;
        with metadata routing, for the splitter and the scorer too.
    pre_dispatch : int or str, default="2*n_jobs"
        How many fits to hand to the processes at once.
    return_train_score : bool, default=False
        Whether to score the training rows too.
    return_estimator : bool, default=False
        Whether to keep the fitted estimators.
    return_indices : bool, default=False
        Whether to keep the rows of each fold.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, or whether it raises.

    Returns
    -------
    scores : dict of ndarray
        "test_score" (or "test_roc_auc" and so on, of several metrics), "fit_time" and
        "score_time", each with an entry per fold; on demand "train_score", "estimator"
        and "indices".

    See Also
    --------
    sklearn.model_selection.cross_validate : What it does, at length.
    cross_val_score : One metric, as an array.
    cross_val_predict : Predictions of each row.

    Examples
    --------
    Two metrics on three folds:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.model_selection import cross_validate
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> Y = np.where(rng.random((60, 2)) < 0.5, np.nan, X[:, :2] > 0)
    >>> net = MultiTaskNetClassifier(n_members=1, max_iter=20, random_state=0)
    >>> scores = cross_validate(net, X, Y, cv=3, scoring=["roc_auc", "accuracy"])
    >>> sorted(scores)
    ['fit_time', 'score_time', 'test_accuracy', 'test_roc_auc']
    >>> scores["test_roc_auc"].shape
    (3,)
    """
    check_not_in_blocks(X, "cross_validate")
    return call_uncaught(
        stock.cross_validate,
        estimator,
        X,
        y,
        groups=groups,
        scoring=multitask_scoring(estimator, scoring, y),
        cv=multitask_cv(estimator, cv, y),
        n_jobs=n_jobs,
        verbose=verbose,
        params=params,
        pre_dispatch=pre_dispatch,
        return_train_score=return_train_score,
        return_estimator=return_estimator,
        return_indices=return_indices,
        error_score=error_score,
    )


def cross_val_score(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: int | str = "2*n_jobs",
    error_score: Any = np.nan,
) -> NDArray:
    """Score an estimator on each fold, with one metric.

    It is scikit-learn's function, whose habits hold where labels are missing too.

    Parameters
    ----------
    estimator : estimator
        A classifier, a regressor or a MultiTaskNet, or a pipeline or search around one.
        It is cloned for each fold.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        The labels or numbers, with NaN, None or pd.NA where missing, if the estimator
        takes them.
    groups : array-like of shape (n_samples,), default=None
        Groups of rows, for a splitter that needs them; with metadata routing, pass them
        in `params`.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: a name stands for `multitask_scorer(name)`,
        and `{"class": "roc_auc_ovr", "number": "r2"}` is for classes and numbers.
    cv : int, splitter or iterable, default=None
        A number of folds stands for `MultiTaskStratifiedKFold`, None for five.
    n_jobs : int, default=None
        Folds side by side, in processes of their own.
    verbose : int, default=0
        How much to print.
    params : dict, default=None
        Parameters for `fit`, such as `sample_weight`, which is split with the rows;
        with metadata routing, for the splitter and the scorer too.
    pre_dispatch : int or str, default="2*n_jobs"
        How many fits to hand to the processes at once.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, or whether it raises.

    Returns
    -------
    scores : ndarray of shape (n_splits,)
        The score of each fold.

    Raises
    ------
    ValueError
        If `scoring` gives several numbers.

    See Also
    --------
    sklearn.model_selection.cross_val_score : What it does, at length.
    cross_validate : Several metrics, times and fitted estimators.

    Examples
    --------
    The mean over two tasks of the ROC AUC, on each of three folds:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.model_selection import cross_val_score
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> Y = np.where(rng.random((60, 2)) < 0.5, np.nan, X[:, :2] > 0)
    >>> net = MultiTaskNetClassifier(n_members=1, max_iter=20, random_state=0)
    >>> cross_val_score(net, X, Y, cv=3, scoring="roc_auc").shape
    (3,)
    """
    check_one_number(scoring, "cross_val_score")
    return call_uncaught(
        stock.cross_val_score,
        estimator,
        X,
        y,
        groups=groups,
        scoring=multitask_scoring(estimator, scoring, y),
        cv=multitask_cv(estimator, cv, y),
        n_jobs=n_jobs,
        verbose=verbose,
        params=params,
        pre_dispatch=pre_dispatch,
        error_score=error_score,
    )


def learning_curve(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    train_sizes: Any = (0.1, 0.325, 0.55, 0.775, 1.0),
    cv: Any = None,
    scoring: Any = None,
    exploit_incremental_learning: bool = False,
    n_jobs: int | None = None,
    pre_dispatch: int | str = "all",
    verbose: int = 0,
    shuffle: bool = False,
    random_state: Any = None,
    error_score: Any = np.nan,
    return_times: bool = False,
    params: dict[str, Any] | None = None,
) -> tuple[NDArray, ...]:
    """Score an estimator that was fitted on more and more rows.

    It is scikit-learn's function, whose habits hold where labels are missing too.

    Parameters
    ----------
    estimator : estimator
        A classifier, a regressor or a MultiTaskNet, or a pipeline or search around one.
        It is cloned for each fold and number of rows.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks) or None
        The labels or numbers, with NaN, None or pd.NA where missing, if the estimator
        takes them.
    groups : array-like of shape (n_samples,), default=None
        Groups of rows, for a splitter that needs them; with metadata routing, pass them
        in `params`.
    train_sizes : array-like of shape (n_ticks,), default=(0.1, 0.325, 0.55, 0.775, 1.0)
        Numbers of training rows, or shares of them if they have decimals.
    cv : int, splitter or iterable, default=None
        A number of folds stands for `MultiTaskStratifiedKFold`, None for five.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: a name stands for `multitask_scorer(name)`,
        and `{"class": "roc_auc_ovr", "number": "r2"}` is for classes and numbers.
    exploit_incremental_learning : bool, default=False
        Whether to go on with `partial_fit` from each number of rows to the next. It
        learns all classes of `y` from its first call on.
    n_jobs : int, default=None
        Fits side by side, in processes of their own.
    pre_dispatch : int or str, default="all"
        How many fits to hand to the processes at once.
    verbose : int, default=0
        How much to print.
    shuffle : bool, default=False
        Whether to take the training rows in random order.
    random_state : int, RandomState instance or None, default=None
        Seed of the order.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, or whether it raises.
    return_times : bool, default=False
        Whether to return the times too.
    params : dict, default=None
        Parameters for `fit` or `partial_fit`, such as `sample_weight`, which is split
        with the rows; with metadata routing, for the splitter and the scorer too.

    Returns
    -------
    train_sizes_abs : ndarray of shape (n_ticks,)
        Numbers of training rows, each once.
    train_scores : ndarray of shape (n_ticks, n_splits)
        Scores of the training rows.
    test_scores : ndarray of shape (n_ticks, n_splits)
        Scores of the test rows.
    fit_times : ndarray of shape (n_ticks, n_splits)
        Seconds of the fits; only with `return_times`.
    score_times : ndarray of shape (n_ticks, n_splits)
        Seconds of the scores; only with `return_times`.

    Raises
    ------
    ValueError
        If `scoring` gives several numbers.

    See Also
    --------
    sklearn.model_selection.learning_curve : What it does, at length.
    sklearn.model_selection.LearningCurveDisplay : Draws what this function returns.
    skmtl.inspection.label_curve : A curve for each task, over its number of labels.

    Examples
    --------
    Ten, twenty and forty rows:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.model_selection import learning_curve
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> Y = np.where(rng.random((60, 2)) < 0.2, np.nan, X[:, :2] > 0)
    >>> net = MultiTaskNetClassifier(n_members=1, max_iter=20, random_state=0)
    >>> sizes, train_scores, test_scores = learning_curve(
    ...     net, X, Y, cv=3, train_sizes=[10, 20, 40], scoring="roc_auc"
    ... )
    >>> sizes, test_scores.shape
    (array([10, 20, 40]), (3, 3))
    """
    check_one_number(scoring, "learning_curve")
    scoring = multitask_scoring(estimator, scoring, y)
    cv = multitask_cv(estimator, cv, y)
    types = known_task_types(estimator)
    if exploit_incremental_learning and types is not None:
        tasks = encode(y, types).tasks
        if not tasks.are_numbers.all():
            estimator = _WithClasses(estimator, tasks)
    return call_uncaught(
        stock.learning_curve,
        estimator,
        X,
        y,
        groups=groups,
        train_sizes=train_sizes,
        cv=cv,
        scoring=scoring,
        exploit_incremental_learning=exploit_incremental_learning,
        n_jobs=n_jobs,
        pre_dispatch=pre_dispatch,
        verbose=verbose,
        shuffle=shuffle,
        random_state=random_state,
        error_score=error_score,
        return_times=return_times,
        params=params,
    )


class _WithClasses:
    """An estimator whose clones know the classes at their first `partial_fit`.

    scikit-learn reads them from a complete y if the estimator is a classifier, which
    this is not, though its clones are.
    """

    def __init__(self, estimator: Any, tasks: Tasks) -> None:
        classes = [labels for labels in tasks.classes if labels is not None]
        self._estimator = estimator
        self._classes = classes[0] if tasks.is_1d else classes

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pickle asks before there is an estimator
            raise AttributeError(name)
        return getattr(self._estimator, name)

    def __sklearn_tags__(self) -> Tags:
        return replace(get_tags(self._estimator), estimator_type=None)

    def __sklearn_clone__(self) -> Any:
        cloned = clone(self._estimator)
        learn = functools.partial(cloned.partial_fit, classes=self._classes)
        cloned.partial_fit = learn
        return cloned


def validation_curve(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    param_name: str,
    param_range: Any,
    groups: Any = None,
    cv: Any = None,
    scoring: Any = None,
    n_jobs: int | None = None,
    pre_dispatch: int | str = "all",
    verbose: int = 0,
    error_score: Any = np.nan,
    params: dict[str, Any] | None = None,
) -> tuple[NDArray, NDArray]:
    """Score an estimator with different values of one parameter.

    It is scikit-learn's function, whose habits hold where labels are missing too.

    Parameters
    ----------
    estimator : estimator
        A classifier, a regressor or a MultiTaskNet, or a pipeline or search around one.
        It is cloned for each fold and value.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks) or None
        The labels or numbers, with NaN, None or pd.NA where missing, if the estimator
        takes them.
    param_name : str
        Name of the parameter.
    param_range : array-like of shape (n_values,)
        Its values.
    groups : array-like of shape (n_samples,), default=None
        Groups of rows, for a splitter that needs them; with metadata routing, pass them
        in `params`.
    cv : int, splitter or iterable, default=None
        A number of folds stands for `MultiTaskStratifiedKFold`, None for five.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: a name stands for `multitask_scorer(name)`,
        and `{"class": "roc_auc_ovr", "number": "r2"}` is for classes and numbers.
    n_jobs : int, default=None
        Fits side by side, in processes of their own.
    pre_dispatch : int or str, default="all"
        How many fits to hand to the processes at once.
    verbose : int, default=0
        How much to print.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, or whether it raises.
    params : dict, default=None
        Parameters for `fit`, such as `sample_weight`, which is split with the rows;
        with metadata routing, for the splitter and the scorer too.

    Returns
    -------
    train_scores : ndarray of shape (n_values, n_splits)
        Scores of the training rows.
    test_scores : ndarray of shape (n_values, n_splits)
        Scores of the test rows.

    Raises
    ------
    ValueError
        If `scoring` gives several numbers.

    See Also
    --------
    sklearn.model_selection.validation_curve : What it does, at length.
    sklearn.model_selection.ValidationCurveDisplay : Draws what this function returns.
    GridSearchCV : Several parameters and metrics.

    Examples
    --------
    Two penalties, three folds:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.model_selection import validation_curve
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> Y = np.where(rng.random((60, 2)) < 0.2, np.nan, X[:, :2] > 0)
    >>> net = MultiTaskNetClassifier(n_members=1, max_iter=20, random_state=0)
    >>> train_scores, test_scores = validation_curve(
    ...     net, X, Y, cv=3, param_name="alpha", param_range=[0.1, 10]
    ... )
    >>> test_scores.shape
    (2, 3)
    """
    check_one_number(scoring, "validation_curve")
    return call_uncaught(
        stock.validation_curve,
        estimator,
        X,
        y,
        param_name=param_name,
        param_range=param_range,
        groups=groups,
        cv=multitask_cv(estimator, cv, y),
        scoring=multitask_scoring(estimator, scoring, y),
        n_jobs=n_jobs,
        pre_dispatch=pre_dispatch,
        verbose=verbose,
        error_score=error_score,
        params=params,
    )
