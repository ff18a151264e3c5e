"""scikit-learn's cross-validation and curves for `y` with missing labels."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import model_selection as stock
from sklearn.base import clone
from sklearn.utils import Tags, get_tags

from skmtl._inputs import warn_of_row_order
from skmtl._interrupts import call_uncaught
from skmtl._predictions import with_task_types
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
    """Score an estimator on each fold, with one or several metrics.

    It works like scikit-learn's function of the same name and also accepts missing
    labels.

    Parameters
    ----------
    estimator : estimator
        A classifier, a regressor or a MultiTaskNet, or a pipeline or search around one.
        Each fold fits a clone of it.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        The labels or numbers. Missing labels are NaN, None or pd.NA; the estimator must
        support them.
    groups : array-like of shape (n_samples,), default=None
        The group of each row, for splitters that use groups. With metadata routing
        enabled, pass the groups in `params` instead.
    scoring : str, callable, list, tuple or dict, default=None
        As in `GridSearchCV`: the name of a metric means `multitask_scorer(name)`, also
        in a list and as a value of a dict. A callable that returns a dict, such as
        `multitask_scorer(..., per_task=True)`, counts as several metrics.
    cv : int, splitter or iterable, default=None
        An integer is the number of folds of a `MultiTaskStratifiedKFold`; None means
        5 folds.
    n_jobs : int, default=None
        Number of folds to run in parallel, each in its own process.
    verbose : int, default=0
        The verbosity level.
    params : dict, default=None
        Parameters passed to `fit`, such as `sample_weight`. Arrays with one value per
        row are split with the rows. With metadata routing enabled, parameters also
        reach the splitter and the scorer.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of fits to dispatch to the processes at a time.
    return_train_score : bool, default=False
        Whether to also score the training rows.
    return_estimator : bool, default=False
        Whether to return the fitted estimators.
    return_indices : bool, default=False
        Whether to return the row indices of each fold.
    error_score : "raise" or float, default=np.nan
        The score to record if a fit fails; "raise" raises the error instead.

    Returns
    -------
    scores : dict of ndarray
        "test_score" (with several metrics "test_roc_auc" and so on), "fit_time" and
        "score_time", each with one entry per fold. If requested, also "train_score",
        "estimator" and "indices".

    See Also
    --------
    sklearn.model_selection.cross_validate : The original, documented in full.
    cross_val_score : One metric, returned as an array.
    cross_val_predict : A prediction for each row.

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
    warn_of_row_order(X, y=y)
    estimator = with_task_types(estimator, y)
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

    It works like scikit-learn's function of the same name and also accepts missing
    labels.

    Parameters
    ----------
    estimator : estimator
        A classifier, a regressor or a MultiTaskNet, or a pipeline or search around one.
        Each fold fits a clone of it.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        The labels or numbers. Missing labels are NaN, None or pd.NA; the estimator must
        support them.
    groups : array-like of shape (n_samples,), default=None
        The group of each row, for splitters that use groups. With metadata routing
        enabled, pass the groups in `params` instead.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: the name of a metric means
        `multitask_scorer(name)`. If `y` has both classification tasks and numeric
        tasks, pass a metric for each type, `{"class": "roc_auc_ovr", "number": "r2"}`.
    cv : int, splitter or iterable, default=None
        An integer is the number of folds of a `MultiTaskStratifiedKFold`; None means
        5 folds.
    n_jobs : int, default=None
        Number of folds to run in parallel, each in its own process.
    verbose : int, default=0
        The verbosity level.
    params : dict, default=None
        Parameters passed to `fit`, such as `sample_weight`. Arrays with one value per
        row are split with the rows. With metadata routing enabled, parameters also
        reach the splitter and the scorer.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of fits to dispatch to the processes at a time.
    error_score : "raise" or float, default=np.nan
        The score to record if a fit fails; "raise" raises the error instead.

    Returns
    -------
    scores : ndarray of shape (n_splits,)
        The score of each fold.

    Raises
    ------
    ValueError
        If `scoring` returns several numbers.

    See Also
    --------
    sklearn.model_selection.cross_val_score : The original, documented in full.
    cross_validate : Several metrics, run times and fitted estimators.

    Examples
    --------
    The mean ROC AUC of two tasks, on each of three folds:

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
    warn_of_row_order(X, y=y)
    estimator = with_task_types(estimator, y)
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
    """Score an estimator that is fitted on more and more rows.

    It works like scikit-learn's function of the same name and also accepts missing
    labels.

    Parameters
    ----------
    estimator : estimator
        A classifier, a regressor or a MultiTaskNet, or a pipeline or search around one.
        A clone of it is fitted for each fold and each number of rows.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks) or None
        The labels or numbers. Missing labels are NaN, None or pd.NA; the estimator must
        support them.
    groups : array-like of shape (n_samples,), default=None
        The group of each row, for splitters that use groups. With metadata routing
        enabled, pass the groups in `params` instead.
    train_sizes : array-like of shape (n_ticks,), default=(0.1, 0.325, 0.55, 0.775, 1.0)
        Numbers of training rows: integers are counts, floats are fractions of the
        largest training set.
    cv : int, splitter or iterable, default=None
        An integer is the number of folds of a `MultiTaskStratifiedKFold`; None means
        5 folds.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: the name of a metric means
        `multitask_scorer(name)`. If `y` has both classification tasks and numeric
        tasks, pass a metric for each type, `{"class": "roc_auc_ovr", "number": "r2"}`.
    exploit_incremental_learning : bool, default=False
        Whether to continue with `partial_fit` from each number of rows to the next. The
        first call already receives all classes of `y`.
    n_jobs : int, default=None
        Number of fits to run in parallel, each in its own process.
    pre_dispatch : int or str, default="all"
        Number of fits to dispatch to the processes at a time.
    verbose : int, default=0
        The verbosity level.
    shuffle : bool, default=False
        Whether to shuffle the training rows.
    random_state : int, RandomState instance or None, default=None
        Seed for the shuffling.
    error_score : "raise" or float, default=np.nan
        The score to record if a fit fails; "raise" raises the error instead.
    return_times : bool, default=False
        Whether to also return the fit and score times.
    params : dict, default=None
        Parameters passed to `fit` or `partial_fit`, such as `sample_weight`. Arrays
        with one value per row are split with the rows. With metadata routing enabled,
        parameters also reach the splitter and the scorer.

    Returns
    -------
    train_sizes_abs : ndarray of shape (n_ticks,)
        Numbers of training rows, without duplicates.
    train_scores : ndarray of shape (n_ticks, n_splits)
        Scores on the training rows.
    test_scores : ndarray of shape (n_ticks, n_splits)
        Scores on the test rows.
    fit_times : ndarray of shape (n_ticks, n_splits)
        Fit times in seconds; only with `return_times=True`.
    score_times : ndarray of shape (n_ticks, n_splits)
        Score times in seconds; only with `return_times=True`.

    Raises
    ------
    ValueError
        If `scoring` returns several numbers.

    See Also
    --------
    sklearn.model_selection.learning_curve : The original, documented in full.
    sklearn.model_selection.LearningCurveDisplay : Plots the result of this function.
    skmtl.inspection.label_curve : A curve for each task, over its number of labels.

    Examples
    --------
    Fit on 10, 20 and 40 rows:

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
    warn_of_row_order(X, y=y)
    estimator = with_task_types(estimator, y)
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

    For a classifier, scikit-learn reads the classes from `y`, which needs complete
    labels. So this wrapper does not say that it is a classifier; its clones do.
    """

    def __init__(self, estimator: Any, tasks: Tasks) -> None:
        classes = [labels for labels in tasks.classes if labels is not None]
        self._estimator = estimator
        self._classes = classes[0] if tasks.is_1d else classes

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pickle looks names up before `_estimator` is set
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
    """Score an estimator for different values of one parameter.

    It works like scikit-learn's function of the same name and also accepts missing
    labels.

    Parameters
    ----------
    estimator : estimator
        A classifier, a regressor or a MultiTaskNet, or a pipeline or search around one.
        A clone of it is fitted for each fold and each value.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks) or None
        The labels or numbers. Missing labels are NaN, None or pd.NA; the estimator must
        support them.
    param_name : str
        Name of the parameter.
    param_range : array-like of shape (n_values,)
        The values to try.
    groups : array-like of shape (n_samples,), default=None
        The group of each row, for splitters that use groups. With metadata routing
        enabled, pass the groups in `params` instead.
    cv : int, splitter or iterable, default=None
        An integer is the number of folds of a `MultiTaskStratifiedKFold`; None means
        5 folds.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: the name of a metric means
        `multitask_scorer(name)`. If `y` has both classification tasks and numeric
        tasks, pass a metric for each type, `{"class": "roc_auc_ovr", "number": "r2"}`.
    n_jobs : int, default=None
        Number of fits to run in parallel, each in its own process.
    pre_dispatch : int or str, default="all"
        Number of fits to dispatch to the processes at a time.
    verbose : int, default=0
        The verbosity level.
    error_score : "raise" or float, default=np.nan
        The score to record if a fit fails; "raise" raises the error instead.
    params : dict, default=None
        Parameters passed to `fit`, such as `sample_weight`. Arrays with one value per
        row are split with the rows. With metadata routing enabled, parameters also
        reach the splitter and the scorer.

    Returns
    -------
    train_scores : ndarray of shape (n_values, n_splits)
        Scores on the training rows.
    test_scores : ndarray of shape (n_values, n_splits)
        Scores on the test rows.

    Raises
    ------
    ValueError
        If `scoring` returns several numbers.

    See Also
    --------
    sklearn.model_selection.validation_curve : The original, documented in full.
    sklearn.model_selection.ValidationCurveDisplay : Plots the result of this function.
    GridSearchCV : Search over several parameters, with several metrics.

    Examples
    --------
    Two values of the penalty on three folds:

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
    warn_of_row_order(X, y=y)
    estimator = with_task_types(estimator, y)
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
