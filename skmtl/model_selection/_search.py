"""scikit-learn's searches, on labels of which some are missing."""

import copy
from collections.abc import Mapping
from typing import Any, Self

from sklearn.model_selection import GridSearchCV as _GridSearchCV
from sklearn.model_selection import RandomizedSearchCV as _RandomizedSearchCV
from sklearn.model_selection._search import BaseSearchCV

from skmtl._interrupts import call_uncaught
from skmtl._sources import check_not_in_blocks
from skmtl._targets import read_columns
from skmtl.model_selection._habits import multitask_cv, multitask_scoring


class MultiTaskSearch(BaseSearchCV):
    """What the searches do in another way than scikit-learn's.

    A copy with `cv` and `scoring` spelled out is fitted, so that parameters never
    change, and nothing does if the fit fails.
    """

    def _spelled_out(self, y: Any = None) -> Self:
        resolved = copy.copy(self)
        resolved.cv = multitask_cv(self.estimator, self.cv, y)
        resolved.scoring = multitask_scoring(self.estimator, self.scoring, y)
        return resolved

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Score every candidate on all folds, and fit the best on all rows.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            The labels or numbers, with NaN, None or pd.NA where missing, if the
            estimator takes them.
        **params : object
            For `fit` of the estimator (`sample_weight`), the splitter (`groups`) and
            the scorer; what has a value per row is split with the rows.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        KeyboardInterrupt
            If it is interrupted: a network that was cut short would be compared as if
            it were whole. The search is then as it was before the call.
        """
        check_not_in_blocks(X, "A search")
        if isinstance(y, Mapping):
            read_columns(y)  # which says what to pass instead of a dict
        resolved = self._spelled_out(y)
        fit = super(MultiTaskSearch, resolved).fit
        call_uncaught(fit, X, y, **params)
        parameters = self.get_params(deep=False)
        learned = {k: v for k, v in vars(resolved).items() if k not in parameters}
        self.__dict__.update(learned)
        return self

    def _get_scorers(self) -> Any:
        return super(MultiTaskSearch, self._spelled_out())._get_scorers()


class GridSearchCV(MultiTaskSearch, _GridSearchCV):
    """scikit-learn's GridSearchCV, with its habits where labels are missing.

    `cv=5` balances the labels of every task over the folds, and `scoring="roc_auc"`
    scores each task on the labels that are there. It is scikit-learn's class in all
    else, and takes every estimator that it takes.

    Parameters
    ----------
    estimator : estimator
        What is cloned, given the parameters of each candidate, and fitted.
    param_grid : dict or list of dict
        The values to try, by the names of parameters; of a list, each grid in turn.
    scoring : str, callable, list, tuple or dict, default=None
        A metric's name stands for `multitask_scorer(name)`, in a list and as the value
        of a dict too. `{"class": "roc_auc_ovr", "number": "r2"}` is one metric, for
        tasks of classes and of numbers. Callables are taken as they are; one that gives
        a dict, such as `multitask_scorer(..., per_task=True)`, is several metrics. None
        is `score` of the estimator.
    n_jobs : int, default=None
        Fits side by side, in processes of their own.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate on all rows. With several metrics, the name of
        the one that decides ("mean" of a scorer with `per_task=True`), or a function
        from `cv_results_` to the index of the best.
    cv : int, splitter or iterable, default=None
        A number of folds stands for `MultiTaskStratifiedKFold`, None for five. Others,
        such as `MultiTaskStratifiedGroupKFold()` for groups, are taken as they are.
    verbose : int, default=0
        How much to print.
    pre_dispatch : int or str, default="2*n_jobs"
        How many fits to hand to the processes at once.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, or whether it raises.
    return_train_score : bool, default=False
        Whether to score the training rows too.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        Scores, times and parameters of each candidate; `pandas.DataFrame(cv_results_)`
        is a table.
    best_estimator_ : estimator
        The best candidate, fitted on all rows; not with `refit=False`.
    best_score_ : float
        Its mean score over the folds; not with a function as `refit`.
    best_params_ : dict
        Its parameters.
    best_index_ : int
        Its position in `cv_results_`.
    scorer_ : callable or dict
        The scorer, or those of several metrics by name.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds of the last fit; not with `refit=False`.
    multimetric_ : bool
        Whether there are several metrics.
    classes_ : ndarray or list of ndarray
        Those of `best_estimator_`.
    n_features_in_ : int
        Number of columns of `X`.
    feature_names_in_ : ndarray of str
        Names of the columns of `X`, if all are strings.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : What it does, at length.
    RandomizedSearchCV : Random candidates from a larger space.
    HalvingGridSearchCV : Many candidates on few rows, few on many.
    skmtl.metrics.multitask_scorer : What a name as `scoring` stands for.

    Notes
    -----
    A single score for several tasks is the mean over the tasks: "accuracy" is the mean
    of the tasks' accuracies and not the share of rows in which all labels are right, as
    scikit-learn has it. A task for which the metric is undefined on a fold is left out
    there, with a warning.

    Estimators that are neither classifiers nor regressors nor a `MultiTaskNet`, such as
    clusterings, have their scorers from scikit-learn; without `y`, the folds too.

    Examples
    --------
    Half of the labels are missing, and nothing else is different:

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
    """scikit-learn's RandomizedSearchCV, with its habits where labels are missing.

    `cv=5` balances the labels of every task over the folds, and `scoring="roc_auc"`
    scores each task on the labels that are there. It is scikit-learn's class in all
    else, and takes every estimator that it takes.

    Parameters
    ----------
    estimator : estimator
        What is cloned, given the parameters of each candidate, and fitted.
    param_distributions : dict or list of dict
        Lists of values, or distributions of `scipy.stats`, by the names of parameters.
    n_iter : int, default=10
        Number of candidates.
    scoring : str, callable, list, tuple or dict, default=None
        As in `GridSearchCV`: a metric's name stands for `multitask_scorer(name)`.
    n_jobs : int, default=None
        Fits side by side, in processes of their own.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate on all rows; with several metrics, which one
        decides.
    cv : int, splitter or iterable, default=None
        As in `GridSearchCV`: a number of folds stands for `MultiTaskStratifiedKFold`,
        None for five.
    verbose : int, default=0
        How much to print.
    pre_dispatch : int or str, default="2*n_jobs"
        How many fits to hand to the processes at once.
    random_state : int, RandomState instance or None, default=None
        Seed of the candidates.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, or whether it raises.
    return_train_score : bool, default=False
        Whether to score the training rows too.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        Scores, times and parameters of each candidate.
    best_estimator_ : estimator
        The best candidate, fitted on all rows; not with `refit=False`.
    best_score_, best_params_, best_index_ : float, dict, int
        Its mean score over the folds, parameters, and position in `cv_results_`.

    See Also
    --------
    sklearn.model_selection.RandomizedSearchCV : What it does, at length.
    GridSearchCV : All candidates of a grid; all attributes.
    HalvingRandomSearchCV : Many candidates on few rows, few on many.

    Examples
    --------
    Three penalties, from a distribution over orders of magnitude:

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
