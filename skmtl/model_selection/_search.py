"""scikit-learn's searches for `y` with missing labels."""

import copy
from collections.abc import Mapping
from typing import Any, Self

from sklearn.model_selection import GridSearchCV as _GridSearchCV
from sklearn.model_selection import RandomizedSearchCV as _RandomizedSearchCV
from sklearn.model_selection._search import BaseSearchCV

from skmtl._interrupts import call_uncaught
from skmtl._predictions import guessed_task_types, with_task_types
from skmtl._sources import check_not_in_blocks
from skmtl._targets import read_columns
from skmtl.model_selection._habits import multitask_cv, multitask_scoring


class MultiTaskSearch(BaseSearchCV):
    """The difference between these searches and those of scikit-learn.

    `fit` works on a copy whose `cv` and `scoring` are replaced by a splitter and
    scorers, and whose estimator guesses no task types. So the parameters of the search
    never change, and a failed fit changes nothing at all.
    """

    def _spelled_out(self, y: Any = None) -> Self:
        resolved = copy.copy(self)
        resolved.estimator = with_task_types(self.estimator, y)
        resolved.cv = multitask_cv(resolved.estimator, self.cv, y)
        resolved.scoring = multitask_scoring(resolved.estimator, self.scoring, y)
        return resolved

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Score every candidate on all folds, then fit the best one on all rows.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            The labels or numbers. Missing labels are NaN, None or pd.NA; the estimator
            must support them.
        **params : object
            Parameters for `fit` of the estimator (`sample_weight`), the splitter
            (`groups`) and the scorer. Arrays with one value per row are split with the
            rows.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        KeyboardInterrupt
            If the search is interrupted. A half-trained network is never compared with
            the others, and the search stays as it was before the call.
        """
        check_not_in_blocks(X, "A search")
        if isinstance(y, Mapping):
            read_columns(y)  # raises an error that says what to pass instead of a dict
        resolved = self._spelled_out(y)
        fit = super(MultiTaskSearch, resolved).fit
        call_uncaught(fit, X, y, **params)
        parameters = self.get_params(deep=False)
        learned = {k: v for k, v in vars(resolved).items() if k not in parameters}
        if "best_estimator_" in learned:  # it can be fitted on other tasks
            best = learned["best_estimator_"]
            best.set_params(**guessed_task_types(self.estimator))
        self.__dict__.update(learned)
        return self

    def _get_scorers(self) -> Any:
        return super(MultiTaskSearch, self._spelled_out())._get_scorers()


class GridSearchCV(MultiTaskSearch, _GridSearchCV):
    """scikit-learn's GridSearchCV for `y` with missing labels.

    `cv=5` balances the labels of every task over the folds, and `scoring="roc_auc"`
    scores each task on its observed labels. In all other respects it is scikit-learn's
    class, and it accepts every estimator that scikit-learn's class accepts.

    Parameters
    ----------
    estimator : estimator
        The estimator to tune. A clone of it is fitted for each candidate and fold.
    param_grid : dict or list of dict
        The values to try, with parameter names as keys, or a list of such grids.
    scoring : str, callable, list, tuple or dict, default=None
        The name of a metric means `multitask_scorer(name)`, also in a list and as a
        value of a dict. The dict `{"class": "roc_auc_ovr", "number": "r2"}` is a single
        metric, for data with classification tasks and numeric tasks. Callables are used
        unchanged; one that returns a dict, such as
        `multitask_scorer(..., per_task=True)`, counts as several metrics. None means
        the estimator's `score` method.
    n_jobs : int, default=None
        Number of fits to run in parallel, each in its own process.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate on all rows. With several metrics, pass the
        name of the one that decides ("mean" for a scorer with `per_task=True`), or a
        function that takes `cv_results_` and returns the index of the best candidate.
    cv : int, splitter or iterable, default=None
        An integer is the number of folds of a `MultiTaskStratifiedKFold`; None means
        5 folds. Splitters, such as `MultiTaskStratifiedGroupKFold()` for groups, are
        used unchanged.
    verbose : int, default=0
        The verbosity level.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of fits to dispatch to the processes at a time.
    error_score : "raise" or float, default=np.nan
        The score to record if a fit fails; "raise" raises the error instead.
    return_train_score : bool, default=False
        Whether to also score the training rows.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        Scores, times and parameters of each candidate.
        `pandas.DataFrame(search.cv_results_)` turns them into a table.
    best_estimator_ : estimator
        The best candidate, fitted on all rows. Not set if `refit=False`.
    best_score_ : float
        Its mean score over the folds. Not set if `refit` is a function.
    best_params_ : dict
        Its parameters.
    best_index_ : int
        Its position in `cv_results_`.
    scorer_ : callable or dict
        The scorer, or with several metrics a dict of scorers by name.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Time of the last fit in seconds. Not set if `refit=False`.
    multimetric_ : bool
        Whether there are several metrics.
    classes_ : ndarray or list of ndarray
        The classes of `best_estimator_`.
    n_features_in_ : int
        Number of columns of `X`.
    feature_names_in_ : ndarray of str
        Column names of `X`, if all of them are strings.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : The original, documented in full.
    RandomizedSearchCV : Random candidates from a larger space.
    HalvingGridSearchCV : Many candidates on few rows, few candidates on many rows.
    skmtl.metrics.multitask_scorer : The scorer that a name in `scoring` stands for.

    Notes
    -----
    A single score for several tasks is the mean over the tasks. For example, "accuracy"
    is the mean of the tasks' accuracies; in scikit-learn it is the fraction of rows in
    which all labels are right. If the metric of a task is undefined on a fold, the
    score of that fold leaves the task out, with a warning.

    Estimators that are neither classifiers nor regressors nor a `MultiTaskNet`, such as
    clusterers, use scikit-learn's scorers. Without `y`, the folds are scikit-learn's as
    well.

    Examples
    --------
    Half of the labels are missing, and the code stays the same:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.model_selection import GridSearchCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> Y = np.where(rng.random((60, 3)) < 0.5, np.nan, X > 0)
    >>> net = MultiTaskNetClassifier(n_members=1, max_iter=20, random_state=0)
    >>> grid = {"head_hidden_layer_sizes": [(), (16,)]}
    >>> search = GridSearchCV(net, grid, cv=3, scoring="roc_auc").fit(X, Y)
    >>> search.n_splits_, bool(search.best_score_ > 0.7)
    (3, True)
    >>> search.predict_proba(X).shape
    (60, 3)
    """


class RandomizedSearchCV(MultiTaskSearch, _RandomizedSearchCV):
    """scikit-learn's RandomizedSearchCV for `y` with missing labels.

    `cv=5` balances the labels of every task over the folds, and `scoring="roc_auc"`
    scores each task on its observed labels. In all other respects it is scikit-learn's
    class, and it accepts every estimator that scikit-learn's class accepts.

    Parameters
    ----------
    estimator : estimator
        The estimator to tune. A clone of it is fitted for each candidate and fold.
    param_distributions : dict or list of dict
        Lists of values or distributions from `scipy.stats`, with parameter names as
        keys.
    n_iter : int, default=10
        Number of candidates.
    scoring : str, callable, list, tuple or dict, default=None
        As in `GridSearchCV`: the name of a metric means `multitask_scorer(name)`.
    n_jobs : int, default=None
        Number of fits to run in parallel, each in its own process.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate on all rows; with several metrics, the name of
        the one that decides.
    cv : int, splitter or iterable, default=None
        As in `GridSearchCV`: an integer is the number of folds of a
        `MultiTaskStratifiedKFold`; None means 5 folds.
    verbose : int, default=0
        The verbosity level.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of fits to dispatch to the processes at a time.
    random_state : int, RandomState instance or None, default=None
        Seed for drawing the candidates.
    error_score : "raise" or float, default=np.nan
        The score to record if a fit fails; "raise" raises the error instead.
    return_train_score : bool, default=False
        Whether to also score the training rows.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        Scores, times and parameters of each candidate.
    best_estimator_ : estimator
        The best candidate, fitted on all rows. Not set if `refit=False`.
    best_score_, best_params_, best_index_ : float, dict, int
        Its mean score over the folds, its parameters and its position in `cv_results_`.

    See Also
    --------
    sklearn.model_selection.RandomizedSearchCV : The original, documented in full.
    GridSearchCV : All candidates of a grid; it documents all attributes.
    HalvingRandomSearchCV : Many candidates on few rows, few candidates on many rows.

    Examples
    --------
    Draw three values of the penalty from a log-uniform distribution:

    >>> import numpy as np
    >>> from scipy.stats import loguniform
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.model_selection import RandomizedSearchCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> Y = np.where(rng.random((60, 3)) < 0.5, np.nan, X > 0)
    >>> net = MultiTaskNetClassifier(n_members=1, max_iter=20, random_state=0)
    >>> space = {"alpha": loguniform(0.001, 10)}
    >>> search = RandomizedSearchCV(net, space, n_iter=3, cv=3, random_state=0)
    >>> bool(search.fit(X, Y).best_score_ > 0.6)
    True
    """
