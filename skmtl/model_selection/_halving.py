"""scikit-learn's searches by halving, on labels of which some are missing."""

from typing import Any

from sklearn.model_selection import _search_successive_halving as stock

from skmtl._targets import encode
from skmtl.model_selection._habits import known_task_types
from skmtl.model_selection._search import MultiTaskSearch


class _MultiTaskHalving(MultiTaskSearch, stock.BaseSuccessiveHalving):
    """The fewest rows to begin with, which scikit-learn finds for one complete task."""

    min_resources: Any

    def _check_input_parameters(self, X: Any, y: Any, split_params: Any) -> None:
        given = self.min_resources
        is_chosen = self.resource == "n_samples" and given in ("smallest", "exhaust")
        # scikit-learn refuses to choose both.
        if is_chosen and given != getattr(self, "n_candidates", None):
            n_splits = self._checked_cv_orig.get_n_splits(X, y, **split_params)
            self.min_resources = 2 * n_splits * _most_classes(self.estimator, y)
        super()._check_input_parameters(X, y, split_params)
        self.min_resources = given  # of a copy: after an error it does not matter


def _most_classes(estimator: Any, y: Any) -> int:
    """Number of classes of the task that has most of them; 1 if none has classes."""
    types = known_task_types(estimator)
    if y is None or types is None:
        return 1
    return int(encode(y, types).tasks.n_codes.max())


class HalvingGridSearchCV(_MultiTaskHalving, stock.HalvingGridSearchCV):
    """scikit-learn's HalvingGridSearchCV, with its habits where labels are missing.

    All candidates are compared on few rows (or with little of another resource), the
    best third of them on three times as many, and so on. `cv=5` balances the labels of
    every task over the folds, and `scoring="roc_auc"` scores each task on the labels
    that are there. scikit-learn's class is experimental, and has to be enabled; this
    one has not.

    Parameters
    ----------
    estimator : estimator
        What is cloned, given the parameters of each candidate, and fitted.
    param_grid : dict or list of dict
        The values to try, by the names of parameters; of a list, each grid in turn.
    factor : int or float, default=3
        One in `factor` candidates goes on, on `factor` times as much.
    resource : str, default="n_samples"
        What there is more of in each round: rows, or a parameter of the estimator such
        as "max_iter", which then needs `max_resources`.
    max_resources : int, default="auto"
        The most of it that a candidate gets; by default all rows.
    min_resources : int, "exhaust" or "smallest", default="exhaust"
        What each candidate gets in the first round. "smallest" is two rows for each
        fold and class, of the task that has most classes; "exhaust" at least as many,
        and so many that the last round has `max_resources`.
    aggressive_elimination : bool, default=False
        Whether to repeat the first round until so few candidates are left that the last
        one can end with `factor` of them or fewer.
    cv : int, splitter or iterable, default=5
        As in `GridSearchCV`: a number of folds stands for `MultiTaskStratifiedKFold`.
        A splitter must give the same folds at every call.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: a name stands for `multitask_scorer(name)`.
    refit : bool or callable, default=True
        Whether to fit the best candidate on all rows.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, or whether it raises.
    return_train_score : bool, default=True
        Whether to score the training rows too.
    random_state : int, RandomState instance or None, default=None
        Seed of the rows of each round.
    n_jobs : int, default=None
        Fits side by side, in processes of their own.
    verbose : int, default=0
        How much to print.

    Attributes
    ----------
    n_resources_, n_candidates_ : list of int
        Resources and candidates of each round.
    min_resources_, max_resources_ : int
        Resources of the first round, and the most that there are.
    n_iterations_, n_required_iterations_, n_possible_iterations_ : int
        Number of rounds, how many end with `factor` candidates or fewer, and how many
        the resources allow.
    n_remaining_candidates_ : int
        How many are left after the last round.

    See Also
    --------
    sklearn.model_selection.HalvingGridSearchCV : What it does, at length.
    GridSearchCV : All candidates on all rows; the other attributes.
    HalvingRandomSearchCV : Random candidates.

    Notes
    -----
    The rows of a round are drawn at random, of each fold. Where few labels are there,
    a task may have none in the first round, of which a warning tells: then begin with
    more (`min_resources`).

    Examples
    --------
    Four candidates on 20 rows, two of them on 60:

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
    """scikit-learn's HalvingRandomSearchCV, with its habits where labels are missing.

    Random candidates are compared on few rows (or with little of another resource), the
    best third of them on three times as many, and so on. `cv=5` balances the labels of
    every task over the folds, and `scoring="roc_auc"` scores each task on the labels
    that are there. scikit-learn's class is experimental, and has to be enabled; this
    one has not.

    Parameters
    ----------
    estimator : estimator
        What is cloned, given the parameters of each candidate, and fitted.
    param_distributions : dict or list of dict
        Lists of values, or distributions of `scipy.stats`, by the names of parameters.
    n_candidates : int or "exhaust", default="exhaust"
        Number of candidates of the first round; "exhaust" is so many that the last one
        has `max_resources`.
    factor : int or float, default=3
        One in `factor` candidates goes on, on `factor` times as much.
    resource : str, default="n_samples"
        What there is more of in each round: rows, or a parameter of the estimator such
        as "max_iter", which then needs `max_resources`.
    max_resources : int, default="auto"
        The most of it that a candidate gets; by default all rows.
    min_resources : int, "exhaust" or "smallest", default="smallest"
        What each candidate gets in the first round. "smallest" is two rows for each
        fold and class, of the task that has most classes; "exhaust" at least as many,
        and so many that the last round has `max_resources`.
    aggressive_elimination : bool, default=False
        Whether to repeat the first round until so few candidates are left that the last
        one can end with `factor` of them or fewer.
    cv : int, splitter or iterable, default=5
        As in `GridSearchCV`: a number of folds stands for `MultiTaskStratifiedKFold`.
        A splitter must give the same folds at every call.
    scoring : str, callable or dict, default=None
        One metric, as in `GridSearchCV`: a name stands for `multitask_scorer(name)`.
    refit : bool or callable, default=True
        Whether to fit the best candidate on all rows.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, or whether it raises.
    return_train_score : bool, default=True
        Whether to score the training rows too.
    random_state : int, RandomState instance or None, default=None
        Seed of the candidates and of the rows of each round.
    n_jobs : int, default=None
        Fits side by side, in processes of their own.
    verbose : int, default=0
        How much to print.

    Attributes
    ----------
    n_resources_, n_candidates_ : list of int
        Resources and candidates of each round.
    min_resources_, max_resources_ : int
        Resources of the first round, and the most that there are.

    See Also
    --------
    sklearn.model_selection.HalvingRandomSearchCV : What it does, at length.
    HalvingGridSearchCV : All candidates of a grid; more attributes.
    RandomizedSearchCV : All candidates on all rows.

    Examples
    --------
    As many candidates as it takes to end with all rows:

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
