"""MultiTaskTunedThresholdClassifierCV tunes the threshold of each binary task."""

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
from skmtl._targets import is_binary
from skmtl.model_selection._meta_estimator import MultiTaskMetaEstimator
from skmtl.model_selection._out_of_fold import (
    FitParams,
    OutOfFold,
    encode_for_fitted,
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
    """Tune the decision threshold of each binary task for a metric.

    If a class is rare, a network may give every row a probability of about 5 %. No
    probability reaches 0.5, so `predict` never returns the rare class. This
    meta-estimator fits the given estimator and gets probabilities for rows that it was
    not fitted on. For each binary task, it then tries up to 100 thresholds and keeps
    the one with the best score on the observed labels.

    `predict` applies these thresholds, and `predict_proba` returns the probabilities of
    the estimator unchanged. For tasks with more than two classes, `predict` returns the
    most probable class; for numeric tasks, it returns the estimator's predictions.

    The parameters and attributes have the names and meanings of those of
    :class:`sklearn.model_selection.TunedThresholdClassifierCV`, which accepts one task
    without missing labels. The Notes list the differences.

    Parameters
    ----------
    estimator : estimator
        A multi-task classifier with `predict_proba`: a MultiTaskNetClassifier, a
        MultiTaskNet or any other classifier that accepts your `y`, or a Pipeline or
        search around one. An estimator inside a FrozenEstimator is not fitted again;
        pass `fit` rows that it has not seen.
    scoring : str, callable or dict, default="balanced_accuracy"
        The objective to maximise. It is the name of a scorer that uses predicted labels
        (such as "matthews_corrcoef" or "f1"), a metric function, or a dict with the
        gain of each outcome, such as `{"fp": -1, "fn": -10}`. The keys of such a dict
        are "tn", "fp", "fn" and "tp"; a key that you leave out counts 0. To use a
        different objective for each task, pass a dict of these with the names of the
        binary tasks as keys.
    thresholds : int or array-like of float, default=100
        The maximum number of thresholds to try, or the thresholds themselves.
    cv : int, float, splitter, iterable, "prefit" or None, default=None
        The source of the probabilities:

        - None: the out-of-bag predictions of a skmtl network (`oob_score`), which need
          no further fit; if there are none, 5 folds.
        - An integer: the number of folds of a `MultiTaskStratifiedKFold`.
        - A float: the fraction of test rows of a single split.
        - A splitter, or pairs of training and test rows.
        - "prefit": a fitted estimator, which is not fitted again. A FrozenEstimator has
          the same effect.
    refit : bool, default=True
        Whether to fit the estimator on all rows. False keeps the estimator that was
        fitted on the training rows of a single split. Not used with a fitted estimator.
    n_jobs : int, default=None
        Number of folds to fit in parallel.
    random_state : int, RandomState instance or None, default=None
        Seed for the single split if `cv` is a float.
    store_cv_results : bool, default=False
        Whether to store the scores of all thresholds in `cv_results_`.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    best_thresholds_ : dict of str to float
        The threshold of each binary task, by task name. `predict` returns the second of
        the two sorted classes if its probability reaches the threshold. NaN for a task
        that could not be tuned; `predict` then decides like the estimator.
    best_scores_ : dict of str to float
        The score at each of these thresholds, on the labels that were used to choose
        it. It is optimistic, because it is the best of many. NaN for a task that could
        not be tuned.
    cv_results_ : dict of str to dict
        The "thresholds" and "scores" of each binary task, if `store_cv_results=True`.
    classes_ : ndarray or list of ndarray
        The sorted classes of each task, None for a numeric task. For 1-D `y`, a single
        array.
    task_names_ : ndarray of shape (n_tasks,)
        Names of the tasks.
    n_outputs_ : int
        Number of tasks.
    n_features_in_ : int
        Number of columns of `X`, if the estimator has this attribute.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names of `X`, if the estimator has this attribute.

    See Also
    --------
    skmtl.calibration.MultiTaskCalibratedClassifierCV : Correct the probabilities.
    sklearn.model_selection.TunedThresholdClassifierCV : One task, all labels observed.

    Notes
    -----
    There are four differences from scikit-learn's estimator:

    - The probabilities of all folds are pooled before a threshold is chosen.
      scikit-learn averages the curves of the folds, but a task with few positives may
      have hardly one in each fold.
    - The thresholds to try lie between the observed probabilities, in even steps
      through positives and negatives. scikit-learn uses an even grid.
    - If several neighbouring thresholds are equally good, the middle one is taken.
    - There is no `response_method`; the estimator always uses probabilities.

    Metrics of a positive class, such as F1, use the label 1 as the positive class if
    there is one, like scikit-learn, and otherwise the second of the two sorted classes.
    If the labels are 1 and 2, the positive class is therefore not the class whose
    probability is compared with the threshold.

    For a network at the end of a Pipeline, out-of-bag predictions are used if all steps
    before it are known to use only `X`: scikit-learn's scalers, encoders, imputers,
    decompositions and so on. For a search, those of the best network are used. If you
    pass `groups`, folds are used instead, by default those of
    `MultiTaskStratifiedGroupKFold`.

    Examples
    --------
    Only one label in twenty is positive; the tuned threshold has a better F1 than 0.5:

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

    A missed positive costs as much as 20 false alarms:

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

    # The estimator's own fit checks its parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **params):
        """Fit the estimator and choose the thresholds.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels; missing labels are NaN.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label, in the scores and, if the estimator
            accepts weights, in its fit. The weights of missing labels can be NaN.
        **params : dict
            Parameters for the estimator's `fit`, and `groups` for the splitter.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If `scoring` is not a metric of predicted labels, if it names tasks that are
            not binary tasks of `y`, if a wrong decision gains more than the correct
            one, or if `refit=False` and there are several splits.

        Warns
        -----
        UserWarning
            If a binary task has no label of one of its classes, or the same probability
            for all rows. `predict` then decides like the estimator for this task. Also
            if no task is binary.
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
        encoded = encode_for_fitted(fitted, y)
        return fitted, of_splits(splits, X, encoded, given.sample_weight)

    def _tune(
        self, out_of_fold: OutOfFold, thresholds: int | NDArray
    ) -> tuple[dict[str, Tuned], list[str]]:
        """The thresholds tried for each tunable task; the names of all binary tasks."""
        # The rows may lack the other class of a binary task.
        tasks = [task for _, task in out_of_fold.by_task() if len(task.classes) <= 2]
        names = [task.name for task in tasks]
        whole = [task.name for task in tasks if is_binary(len(task.classes))]
        if not names:
            warn(
                "At least one task should have two classes, since thresholds are for "
                f"these, but {shorten(out_of_fold.tasks.names)} do not. No threshold "
                "is tuned. Use the estimator on its own, or pass a binary task."
            )
        objectives = objectives_by_task(self.scoring, whole, known=names)
        is_tuned = {task.name: task.can_be_tuned() for task in tasks}
        left = [name for name in names if not is_tuned[name]]
        if left:
            warn(
                "To tune its threshold, a task must have out-of-fold labels of both "
                "classes and probabilities that are not all equal, but "
                f"{shorten(left)} do not. They keep the estimator's own decisions. "
                "Drop these columns, add labels or, for classes with fewer labels than "
                "the network has members, pass cv=5."
            )
        return {
            task.name: tune(task, objectives[task.name], thresholds)
            for task in tasks
            if is_tuned[task.name]
        }, names

    def predict_proba(self, X):
        """Predict probabilities with the fitted estimator.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        probabilities : ndarray or list of ndarray
            In the form that the estimator returns.
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
        """Those of the estimator; for a meta-estimator around this one."""
        return out_of_bag_predictions(self.estimator_)
