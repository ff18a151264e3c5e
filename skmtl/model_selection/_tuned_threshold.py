"""MultiTaskTunedThresholdClassifierCV: the threshold of each binary task."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skmtl._messages import shorten, warn
from skmtl._predictions import probabilities_by_task
from skmtl._sources import check_not_in_blocks
from skmtl.model_selection._meta_estimator import MultiTaskMetaEstimator
from skmtl.model_selection._out_of_fold import (
    FitParams,
    OutOfFold,
    encode_for,
    fit_out_of_fold,
    fit_splits,
    is_frozen,
    of_splits,
    out_of_bag_predictions,
)
from skmtl.model_selection._thresholds import (
    Tuned,
    check_thresholds,
    objectives_by_task,
    tune,
)


class MultiTaskTunedThresholdClassifierCV(MultiTaskMetaEstimator):
    """Decide each binary task at the threshold that is best for a metric.

    A network that says "5 %" of everybody never predicts a rare class, since no
    probability reaches 0.5. This estimator fits another one, looks at probabilities of
    rows that it was not fitted on, and chooses for each binary task, among a hundred
    thresholds, the one at which a metric of the labels is best, on the labels that were
    observed. `predict`
    decides by these thresholds; `predict_proba` is the estimator's own. Tasks with more
    than two classes get the most probable class, and tasks of numbers what the
    estimator predicts.

    Names and meanings are those of
    :class:`sklearn.model_selection.TunedThresholdClassifierCV`, which takes one task
    without missing labels; the differences are in the Notes.

    Parameters
    ----------
    estimator : estimator
        A multi-task classifier with `predict_proba` (ours, a MultiTaskNet, any other
        that takes the `y` at hand), or a Pipeline or search around one. In a
        FrozenEstimator it is taken as it is, and `fit` reads rows that it has not seen.
    scoring : str, callable or dict, default="balanced_accuracy"
        What is maximised: the name of a scorer that is computed from labels
        ("matthews_corrcoef", "f1"), a metric function, or what each outcome is worth,
        a dict such as `{"fp": -1, "fn": -10}` with keys among "tn", "fp", "fn" and
        "tp" (0 if left out). For another objective in each task, a dict of these by the
        names of the binary tasks.
    thresholds : int or array-like of float, default=100
        The largest number of thresholds to try, or the thresholds themselves.
    cv : int, float, splitter, iterable, "prefit" or None, default=None
        Where the probabilities come from. None: the predictions that our network has
        made of the rows each member left out (`oob_score`), so that no further fit is
        needed; if there are none, five folds. A number of folds of
        `MultiTaskStratifiedKFold`; the share of the rows of a single test part; a
        splitter; or pairs of training and test rows. "prefit" takes a fitted estimator
        as it is, as FrozenEstimator does.
    refit : bool, default=True
        Whether to fit the estimator on all rows. False keeps the one that was fitted on
        the training rows of a single split. Not used with a fitted estimator.
    n_jobs : int, default=None
        Number of folds that are fitted side by side.
    random_state : int, RandomState instance or None, default=None
        Seed of the single split, if `cv` is a float.
    store_cv_results : bool, default=False
        Whether to keep the scores of all thresholds in `cv_results_`.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    best_thresholds_ : dict of str to float
        By the name of each binary task: the greater class is predicted if its
        probability is at least this. NaN for a task that could not be tuned, which is
        decided as the estimator decides it.
    best_scores_ : dict of str to float
        The score of each of these thresholds, on the labels by which it was chosen:
        too good, since it is the best of many. NaN for a task that could not be tuned.
    cv_results_ : dict of str to dict
        "thresholds" and "scores" of each binary task, with `store_cv_results=True`.
    classes_ : ndarray or list of ndarray
        Sorted classes of each task, None for numbers; for 1-D `y` the array itself.
    task_names_ : ndarray of shape (n_tasks,)
        Names of the tasks.
    n_outputs_ : int
        Number of tasks.
    n_features_in_ : int
        Number of columns of `X`, if the estimator says so.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Columns of `X`, if the estimator says so.

    See Also
    --------
    skmtl.calibration.MultiTaskCalibratedClassifierCV : Mend the probabilities instead.
    sklearn.model_selection.TunedThresholdClassifierCV : One task, all labels observed.

    Notes
    -----
    It differs from scikit-learn's estimator in four ways. The probabilities of all
    folds are put together before a threshold is chosen, where scikit-learn averages
    curves of the folds: a task with few positives has hardly one in each fold.
    Thresholds to try lie between the observed probabilities, in even steps through
    positives and negatives, where scikit-learn has an even grid. Of equally good
    neighbours the middle one is taken. And there is no `response_method`:
    probabilities it is.

    Metrics of a positive class, such as F1, look at the label 1 if there is one, as
    scikit-learn's do, and else at the greater class. For labels 1 and 2 that is not the
    class whose probability is compared with the threshold.

    Out-of-bag predictions of a network in a Pipeline are used if all steps before it
    are known to look at `X` alone: scikit-learn's scalers, encoders, imputers,
    decompositions and the like. So are those of the best network of a search. With
    `groups` there are folds, `MultiTaskStratifiedGroupKFold` by default.

    Examples
    --------
    A positive in twenty is found by the tuned threshold, not by 0.5:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.metrics import multitask_score
    >>> from skmtl.model_selection import MultiTaskTunedThresholdClassifierCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 4))
    >>> Y = (X[:, :2] + rng.normal(size=(600, 2)) > 2.3).astype(float)
    >>> Y[rng.random(Y.shape) < 0.3] = np.nan
    >>> network = MultiTaskNetClassifier(random_state=0)
    >>> tuned = MultiTaskTunedThresholdClassifierCV(network, scoring="f1")
    >>> tuned.fit(X[:400], Y[:400]).best_thresholds_["task_0"] < 0.5
    True
    >>> at_half = tuned.estimator_.predict(X[400:])
    >>> f1 = [multitask_score("f1", Y[400:], labels)
    ...       for labels in (at_half, tuned.predict(X[400:]))]
    >>> bool(f1[0] < f1[1])
    True

    A positive that is missed costs as much as 20 false alarms:

    >>> tuned.set_params(scoring={"fp": -1, "fn": -20}).fit(X[:400], Y[:400])
    MultiTaskTunedThresholdClassifierCV(...)
    >>> all(threshold < 0.3 for threshold in tuned.best_thresholds_.values())
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "scoring": [str, callable, Mapping],
        "thresholds": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "cv": [
            "cv_object",
            StrOptions({"prefit"}),
            Interval(Real, 0.0, 1.0, closed="neither"),
        ],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "store_cv_results": ["boolean"],
    }

    def __init__(
        self,
        estimator,
        *,
        scoring="balanced_accuracy",
        thresholds=100,
        cv=None,
        refit=True,
        n_jobs=None,
        random_state=None,
        store_cv_results=False,
    ):
        self.estimator = estimator
        self.scoring = scoring
        self.thresholds = thresholds
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.store_cv_results = store_cv_results

    # The parameters of the estimator are checked by its own fit.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **params):
        """Fit the estimator and choose the thresholds.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, NaN where missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label, in the estimator's fit if it takes
            weights, and in the scores.
        **params : dict
            Parameters of the estimator's `fit`, and `groups` for the splitter.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If `scoring` is not a metric of labels or names other tasks, or if
            `refit=False` and there are several splits.

        Warns
        -----
        UserWarning
            If a binary task has no label of one of its classes, or the same probability
            for all rows; it is decided as the estimator decides it.
        """
        check_not_in_blocks(X, "Tuning thresholds")
        thresholds = check_thresholds(self.thresholds)
        given = self._fit_params(sample_weight, params)
        fitted, out_of_fold = self._fit(X, y, given)
        tuned, names = self._tune(out_of_fold, thresholds)
        self.estimator_ = fitted
        self._set_fitted(out_of_fold.tasks, fitted)
        self.best_thresholds_ = dict.fromkeys(names, np.nan)
        self.best_scores_ = dict.fromkeys(names, np.nan)
        for name, (thresholds, scores, best) in tuned.items():
            self.best_thresholds_[name] = float(thresholds[best])
            self.best_scores_[name] = float(scores[best])
        if self.store_cv_results:
            self.cv_results_ = {
                name: {"thresholds": thresholds, "scores": scores}
                for name, (thresholds, scores, _) in tuned.items()
            }
        return self

    def _fit(self, X: Any, y: Any, given: FitParams) -> tuple[Any, OutOfFold]:
        settings = {
            "cv": self.cv,
            "n_jobs": self.n_jobs,
            "random_state": self.random_state,
        }
        if self.refit or is_frozen(self.estimator, self.cv):
            return fit_out_of_fold(self.estimator, X, y, given, **settings)
        splits = fit_splits(self.estimator, X, y, given, **settings)
        if len(splits) > 1:
            raise ValueError(
                "refit=False keeps the estimator of a single split, but cv has "
                f"{len(splits)}. Use refit=True, or cv=0.2 for one split."
            )
        fitted = splits[0].estimator
        encoded = encode_for(fitted, y)
        return fitted, of_splits(splits, X, encoded, given.sample_weight)

    def _tune(
        self, out_of_fold: OutOfFold, thresholds: int | NDArray
    ) -> tuple[dict[str, Tuned], list[str]]:
        """What was tried for each task that has labels of two classes; all names."""
        tasks = [task for _, task in out_of_fold.by_task() if len(task.classes) == 2]
        names = [task.name for task in tasks]
        objectives = objectives_by_task(self.scoring, names)
        is_tuned = {task.name: task.can_be_tuned() for task in tasks}
        left = [name for name in names if not is_tuned[name]]
        if left:
            warn(
                "To choose a threshold, a task must have out-of-fold labels of both "
                f"classes and probabilities that differ, but {shorten(left)} do not. "
                "The estimator's own decisions are kept for them. Drop the columns or "
                "add labels."
            )
        return {
            task.name: tune(task, objectives[task.name], thresholds)
            for task in tasks
            if is_tuned[task.name]
        }, names

    def predict_proba(self, X):
        """Probabilities of the estimator.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        probabilities : ndarray or list of ndarray
            In the estimator's own form.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def _probabilities_by_task(self, X: Any) -> list[NDArray | None]:
        classes = getattr(self.estimator_, "classes_", None)
        return probabilities_by_task(self.predict_proba(X), classes, self._tasks)

    def _decide(self, t: int, probabilities: NDArray) -> NDArray:
        name = str(self._tasks.names[t])
        threshold = self.best_thresholds_.get(name, np.nan)
        if np.isnan(threshold):
            return super()._decide(t, probabilities)
        return (probabilities[:, 1] >= threshold).astype(np.intp)

    def _out_of_bag_predictions(self) -> Any:
        """Those of the estimator, for an estimator around this one."""
        return out_of_bag_predictions(self.estimator_)
