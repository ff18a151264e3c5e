"""scikit-learn's successive halving searches for `y` with missing labels."""

from typing import Any

from sklearn.model_selection import _search_successive_halving as stock

from skmtl._targets import encode
from skmtl.model_selection._habits import known_task_types
from skmtl.model_selection._search import MultiTaskSearch


class _MultiTaskHalving(MultiTaskSearch, stock.BaseSuccessiveHalving):
    """Find the smallest number of rows; scikit-learn needs one complete task for it."""

    min_resources: Any

    def _check_input_parameters(self, X: Any, y: Any, split_params: Any) -> None:
        given = self.min_resources
        is_chosen = self.resource == "n_samples" and given in ("smallest", "exhaust")
        # scikit-learn raises if both are to be chosen.
        if is_chosen and given != getattr(self, "n_candidates", None):
            n_splits = self._checked_cv_orig.get_n_splits(X, y, **split_params)
            self.min_resources = 2 * n_splits * _most_classes(self.estimator, y)
        super()._check_input_parameters(X, y, split_params)
        self.min_resources = given  # `self` is a copy, so an error leaves no trace


def _most_classes(estimator: Any, y: Any) -> int:
    """The largest number of classes of a task; 1 if no task has classes."""
    types = known_task_types(estimator)
    if y is None or types is None:
        return 1
    return int(encode(y, types).tasks.n_codes.max())


class HalvingGridSearchCV(_MultiTaskHalving, stock.HalvingGridSearchCV):
    """scikit-learn's HalvingGridSearchCV for `y` with missing labels.

    The first round compares all candidates on few rows (or with little of another
    resource), the next round the best third of them on three times as many, and so on.
    `cv=5` balances the labels of every task over the folds, and `scoring="roc_auc"`
    scores each task on its observed labels. scikit-learn's class is experimental and
    must be enabled before it is imported; this one can be imported directly.

    Parameters
    ----------
    estimator : estimator
        The estimator to tune. A clone of it is fitted for each candidate and fold.
    param_grid : dict or list of dict
        The values to try, with parameter names as keys, or a list of such grids.
    factor : int or float, default=3
        Each round keeps one in `factor` candidates and gives them `factor` times the
        resources.
    resource : str, default="n_samples"
        The resource that grows from round to round: the rows, or a parameter of the
        estimator such as "max_iter", for which you must also set `max_resources`.
    max_resources : int, default="auto"
        The largest amount of the resource for a candidate; all rows by default.
    min_resources : int, "exhaust" or "smallest", default="exhaust"
        The amount of the resource for each candidate in the first round. "smallest"
        means two rows for each fold and each class of the task with the most classes.
        "exhaust" means at least as many, chosen so that the last round uses
        `max_resources`.
    aggressive_elimination : bool, default=False
        Whether to repeat the first round until so few candidates are left that the last
        round compares at most `factor` of them.
    cv : int, splitter or iterable, default=5
        As in `GridSearchCV`: an integer is the number of folds of a
        `MultiTaskStratifiedKFold`. A splitter must return the same folds in every call.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: the name of a metric means
        `multitask_scorer(name)`.
    refit : bool or callable, default=True
        Whether to fit the best candidate on all rows.
    error_score : "raise" or float, default=np.nan
        The score to record if a fit fails; "raise" raises the error instead.
    return_train_score : bool, default=True
        Whether to also score the training rows.
    random_state : int, RandomState instance or None, default=None
        Seed for drawing the rows of each round.
    n_jobs : int, default=None
        Number of fits to run in parallel, each in its own process.
    verbose : int, default=0
        The verbosity level.

    Attributes
    ----------
    n_resources_, n_candidates_ : list of int
        The resources per candidate and the number of candidates in each round.
    min_resources_, max_resources_ : int
        The resources of the first round and the largest amount allowed.
    n_iterations_, n_required_iterations_, n_possible_iterations_ : int
        The number of rounds, the number needed to get down to `factor` candidates or
        fewer, and the number that the resources allow.
    n_remaining_candidates_ : int
        The number of candidates left after the last round.

    See Also
    --------
    sklearn.model_selection.HalvingGridSearchCV : The original, documented in full.
    GridSearchCV : All candidates on all rows; it documents the other attributes.
    HalvingRandomSearchCV : Random candidates.

    Notes
    -----
    Each round draws its rows at random from each fold. If a task has few labels, the
    rows of the first round may contain none of them. A warning says so; start with more
    rows in that case (`min_resources`).

    Examples
    --------
    Compare four candidates on 20 rows, then the best two on 60:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.model_selection import HalvingGridSearchCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 2))
    >>> Y = np.where(rng.random((60, 2)) < 0.2, np.nan, X > 0)
    >>> net = MultiTaskNetClassifier(n_members=1, max_iter=5, random_state=0)
    >>> grid = {"alpha": [0.01, 0.1, 1, 10]}
    >>> search = HalvingGridSearchCV(net, grid, cv=3, random_state=0).fit(X, Y)
    >>> search.n_resources_, search.n_candidates_
    ([20, 60], [4, 2])
    """


class HalvingRandomSearchCV(_MultiTaskHalving, stock.HalvingRandomSearchCV):
    """scikit-learn's HalvingRandomSearchCV for `y` with missing labels.

    The first round compares random candidates on few rows (or with little of another
    resource), the next round the best third of them on three times as many, and so on.
    `cv=5` balances the labels of every task over the folds, and `scoring="roc_auc"`
    scores each task on its observed labels. scikit-learn's class is experimental and
    must be enabled before it is imported; this one can be imported directly.

    Parameters
    ----------
    estimator : estimator
        The estimator to tune. A clone of it is fitted for each candidate and fold.
    param_distributions : dict or list of dict
        Lists of values or distributions from `scipy.stats`, with parameter names as
        keys.
    n_candidates : int or "exhaust", default="exhaust"
        Number of candidates in the first round. "exhaust" chooses it so that the last
        round uses `max_resources`.
    factor : int or float, default=3
        Each round keeps one in `factor` candidates and gives them `factor` times the
        resources.
    resource : str, default="n_samples"
        The resource that grows from round to round: the rows, or a parameter of the
        estimator such as "max_iter", for which you must also set `max_resources`.
    max_resources : int, default="auto"
        The largest amount of the resource for a candidate; all rows by default.
    min_resources : int, "exhaust" or "smallest", default="smallest"
        The amount of the resource for each candidate in the first round. "smallest"
        means two rows for each fold and each class of the task with the most classes.
        "exhaust" means at least as many, chosen so that the last round uses
        `max_resources`.
    aggressive_elimination : bool, default=False
        Whether to repeat the first round until so few candidates are left that the last
        round compares at most `factor` of them.
    cv : int, splitter or iterable, default=5
        As in `GridSearchCV`: an integer is the number of folds of a
        `MultiTaskStratifiedKFold`. A splitter must return the same folds in every call.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: the name of a metric means
        `multitask_scorer(name)`.
    refit : bool or callable, default=True
        Whether to fit the best candidate on all rows.
    error_score : "raise" or float, default=np.nan
        The score to record if a fit fails; "raise" raises the error instead.
    return_train_score : bool, default=True
        Whether to also score the training rows.
    random_state : int, RandomState instance or None, default=None
        Seed for drawing the candidates and the rows of each round.
    n_jobs : int, default=None
        Number of fits to run in parallel, each in its own process.
    verbose : int, default=0
        The verbosity level.

    Attributes
    ----------
    n_resources_, n_candidates_ : list of int
        The resources per candidate and the number of candidates in each round.
    min_resources_, max_resources_ : int
        The resources of the first round and the largest amount allowed.

    See Also
    --------
    sklearn.model_selection.HalvingRandomSearchCV : The original, documented in full.
    HalvingGridSearchCV : All candidates of a grid; it documents more attributes.
    RandomizedSearchCV : All candidates on all rows.

    Examples
    --------
    Draw as many candidates as the rows allow:

    >>> import numpy as np
    >>> from scipy.stats import loguniform
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.model_selection import HalvingRandomSearchCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 2))
    >>> Y = np.where(rng.random((60, 2)) < 0.2, np.nan, X > 0)
    >>> net = MultiTaskNetClassifier(n_members=1, max_iter=5, random_state=0)
    >>> space = {"alpha": loguniform(0.001, 10)}
    >>> search = HalvingRandomSearchCV(net, space, cv=3, random_state=0).fit(X, Y)
    >>> search.n_resources_, search.n_candidates_
    ([12, 36], [5, 2])
    """
