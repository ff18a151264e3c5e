"""MultiTaskCalibratedClassifierCV calibrates the probabilities of every task."""

from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted

from skmtl._messages import shorten, warn
from skmtl._predictions import (
    declared_task_types,
    guess_task_types,
)
from skmtl._sources import check_not_in_blocks
from skmtl._targets import Tasks, encode, is_binary
from skmtl.calibration._calibrators import Calibrator, fit_calibrator
from skmtl.model_selection._meta_estimator import MultiTaskMetaEstimator
from skmtl.model_selection._out_of_fold import (
    FEW_LABELS,
    FitParams,
    OutOfFold,
    fit_out_of_fold,
    fit_splits,
    is_frozen,
    learned_probabilities,
    of_splits,
    out_of_bag_predictions,
)


class CalibratedClassifier(NamedTuple):
    """A fitted estimator and the calibrators of its tasks."""

    estimator: Any
    calibrators: list[Calibrator | None]  # per task; None leaves probabilities alone

    def by_task(self, probabilities: Any, tasks: Tasks) -> list[NDArray | None]:
        """Calibrate the estimator's probabilities; (n_samples, n_classes) per task.

        NaN for a task that the estimator had no labels of to learn from, and for rows
        without an out-of-bag prediction.
        """
        given = learned_probabilities(self.estimator, probabilities, tasks)
        return [
            p if p is None or calibrator is None else _calibrate_known(calibrator, p)
            for p, calibrator in zip(given, self.calibrators, strict=True)
        ]


def _calibrate_known(calibrator: Calibrator, probabilities: NDArray) -> NDArray:
    """Calibrate (n_samples, n_classes) probabilities; rows with NaN stay NaN."""
    is_known = ~np.isnan(probabilities).any(axis=1)
    calibrated = np.full(probabilities.shape, np.nan)
    if is_known.any():
        calibrated[is_known] = calibrator.calibrate(probabilities[is_known])
    return calibrated


class MultiTaskCalibratedClassifierCV(MultiTaskMetaEstimator):
    """Calibrate the probabilities of every task on its observed labels.

    This meta-estimator fits a multi-task estimator, gets probabilities for rows that it
    was not fitted on, and learns for each task how often these probabilities come true.
    `predict_proba` returns the calibrated probabilities, and `predict` returns the
    class with the highest one. The predictions of numeric tasks do not change.

    The parameters and attributes have the names and meanings of those of
    :class:`sklearn.calibration.CalibratedClassifierCV`, which accepts one task without
    missing labels. The Notes list the differences.

    Parameters
    ----------
    estimator : estimator
        A multi-task classifier with `predict_proba`: a MultiTaskNetClassifier, a
        MultiTaskNet or any other classifier that accepts your `y`, or a Pipeline or
        search around one. An estimator inside a FrozenEstimator is not fitted again;
        pass `fit` rows that it has not seen.
    method : {"sigmoid", "isotonic", "temperature"}, default="sigmoid"
        The calibration method:

        - "sigmoid" fits a slope and an intercept to the log odds [1]_.
        - "isotonic" fits any increasing function; use it with 1,000 labels or more
          [2]_.
        - "temperature" fits one slope for all classes of a task, so that the most
          probable class stays the same [3]_.

        With more than two classes, "sigmoid" and "isotonic" treat each class against
        the rest.
    cv : int, splitter, iterable or None, default=None
        The source of the probabilities:

        - None: the out-of-bag predictions of a skmtl network (`oob_score`), which need
          no further fit; if there are none, 5 folds.
        - An integer: the number of folds of a `MultiTaskStratifiedKFold`.
        - A splitter, or pairs of training and test rows.
    n_jobs : int, default=None
        Number of folds to fit in parallel.
    ensemble : bool, default=False
        Whether to keep the estimator of each fold with its own calibrators and average
        their probabilities. By default, one estimator is fitted on all rows and one set
        of calibrators on the probabilities of all folds.

    Attributes
    ----------
    calibrated_classifiers_ : list
        Pairs of a fitted `estimator` and its `calibrators`, one for each task. There is
        a single pair, or one for each fold if `ensemble=True`. The calibrator of a task
        that could not be calibrated is None.
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
    skmtl.model_selection.MultiTaskTunedThresholdClassifierCV : Tune the thresholds.
    skmtl.inspection.MultiTaskCalibrationDisplay : Plot calibration curves.
    sklearn.calibration.CalibratedClassifierCV : One task, all labels observed.

    Notes
    -----
    There are three differences from scikit-learn's estimator:

    - All methods use probabilities: "sigmoid" uses their log odds and "temperature"
      their logarithms. scikit-learn uses a decision function if there is one;
      otherwise its "sigmoid" uses the probabilities themselves, which suit it less.
    - `ensemble` is False by default, because a network with several members is an
      ensemble already and out-of-bag predictions need no folds.
    - If a class of a task has fewer than five out-of-fold labels, the probabilities of
      the task stay unchanged.

    For a network at the end of a Pipeline, out-of-bag predictions are used if all steps
    before it are known to use only `X`: scikit-learn's scalers, encoders, imputers,
    decompositions and so on. For a search, those of the best network are used. If you
    pass `groups`, folds are used instead, by default those of
    `MultiTaskStratifiedGroupKFold`. Each out-of-bag prediction comes from a single
    member, which is overconfident more often than the mean of all members.

    References
    ----------
    .. [1] J. Platt, "Probabilistic Outputs for Support Vector Machines", Advances in
       Large Margin Classifiers, 1999.
    .. [2] B. Zadrozny, C. Elkan, "Transforming Classifier Scores into Accurate
       Multiclass Probability Estimates", KDD 2002. :doi:`10.1145/775047.775151`
    .. [3] C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section
       4.2. :arxiv:`1706.04599`

    Examples
    --------
    A network that is trained for a long time without regularisation is overconfident:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.calibration import MultiTaskCalibratedClassifierCV
    >>> from skmtl.metrics import multitask_score
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(900, 8))
    >>> Y = (X[:, :2] + 2 * rng.normal(size=(900, 2)) > 0).astype(float)
    >>> Y[rng.random(Y.shape) < 0.3] = np.nan
    >>> network = MultiTaskNetClassifier(
    ...     (64, 64), n_members=1, dropout=0, input_dropout=0, alpha=0, max_iter=150,
    ...     random_state=0,
    ... )
    >>> calibrated = MultiTaskCalibratedClassifierCV(network, cv=3)
    >>> _ = calibrated.fit(X[:400], Y[:400])
    >>> before = calibrated.calibrated_classifiers_[0].estimator
    >>> scores = [multitask_score("neg_log_loss", Y[400:], clf.predict_proba(X[400:]))
    ...           for clf in (before, calibrated)]
    >>> bool(scores[0] < scores[1] - 0.1)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "method": [StrOptions({"sigmoid", "isotonic", "temperature"})],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
        "ensemble": ["boolean"],
    }

    def __init__(
        self, estimator, *, method="sigmoid", cv=None, n_jobs=None, ensemble=False
    ):
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.n_jobs = n_jobs
        self.ensemble = ensemble

    # The estimator's own fit checks its parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **params):
        """Fit the estimator and its calibrators.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels; missing labels are NaN.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label, in the fit of the calibrators and, if
            the estimator accepts weights, in its own fit. The weights of missing labels
            can be NaN.
        **params : dict
            Parameters for the estimator's `fit`, and `groups` for the splitter.

        Returns
        -------
        self : object
            The fitted estimator.

        Warns
        -----
        UserWarning
            If a class of a task has fewer than five out-of-fold labels or, for
            "temperature", all its out-of-fold labels are the most probable ones. The
            probabilities of this task then stay unchanged.
        """
        check_not_in_blocks(X, "Calibration")
        given = self._fit_params(sample_weight, params)
        if self.ensemble and not is_frozen(self.estimator, None):
            pairs, tasks = self._fit_ensemble(X, y, given)
        else:
            fitted, out_of_fold = fit_out_of_fold(
                self.estimator, X, y, given, cv=self.cv, n_jobs=self.n_jobs
            )
            pairs, tasks = [self._calibrate(fitted, out_of_fold)], out_of_fold.tasks
        _warn_of_uncalibrated(pairs, tasks)
        self.calibrated_classifiers_ = pairs
        self._set_fitted(tasks, pairs[0].estimator)
        return self

    def _fit_ensemble(
        self, X: Any, y: Any, given: FitParams
    ) -> tuple[list[CalibratedClassifier], Tasks]:
        """A pair for each fold, calibrated on the test rows of the fold."""
        types = declared_task_types(self.estimator) or guess_task_types(y)
        encoded = encode(y, types)
        splits = fit_splits(self.estimator, X, y, given, self.cv, self.n_jobs)
        pairs = [
            self._calibrate(
                split.estimator, of_splits([split], X, encoded, given.sample_weight)
            )
            for split in splits
        ]
        return pairs, encoded.tasks

    def _calibrate(self, fitted: Any, out_of_fold: OutOfFold) -> CalibratedClassifier:
        calibrators: list[Calibrator | None] = [None] * out_of_fold.tasks.n_tasks
        for t, task in out_of_fold.by_task():
            n_labels = task.labels_per_class()
            is_enough = len(n_labels) > 1 and n_labels.min() >= FEW_LABELS
            # If no label is wrong, the likelihood rises with the slope without end.
            has_slope = self.method != "temperature" or not task.are_all_right()
            if is_enough and has_slope:
                calibrators[t] = fit_calibrator(task, self.method)
        return CalibratedClassifier(fitted, calibrators)

    def predict_proba(self, X):
        """Predict calibrated probabilities for every task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        probabilities : ndarray or list of ndarray
            In the form that the estimator returns: an array of shape (n_samples,
            n_tasks) with the second of the two sorted classes of each task, or a list
            with an array of shape (n_samples, n_classes) for each task and None for
            numeric tasks. For 1-D `y`, an array of shape (n_samples, n_classes).
        """
        check_is_fitted(self)
        given = self._uncalibrated(X)
        return _in_form_of(given[0], self._mean(given), self._tasks)

    def _probabilities_by_task(self, X: Any) -> list[NDArray | None]:
        return self._mean(self._uncalibrated(X))

    def _uncalibrated(self, X: Any) -> list[Any]:
        """The probabilities of each estimator, in its own form."""
        return [
            pair.estimator.predict_proba(X) for pair in self.calibrated_classifiers_
        ]

    def _mean(self, given: list[Any]) -> list[NDArray | None]:
        """Calibrate the probabilities of each estimator and average them."""
        calibrated = [
            pair.by_task(probabilities, self._tasks)
            for pair, probabilities in zip(
                self.calibrated_classifiers_, given, strict=True
            )
        ]
        return [
            None if parts[0] is None else _mean_of_learned(parts)
            for parts in zip(*calibrated, strict=True)
        ]

    def _wrapped_estimator(self) -> Any:
        pairs = getattr(self, "calibrated_classifiers_", None)
        return pairs[0].estimator if pairs else self.estimator

    def _out_of_bag_predictions(self) -> Any:
        """Calibrated ones; for a meta-estimator around this one."""
        if len(self.calibrated_classifiers_) > 1:
            return None
        given = out_of_bag_predictions(self.calibrated_classifiers_[0].estimator)
        if given is None:
            return None
        return _in_form_of(given, self._mean([given]), self._tasks)


def _mean_of_learned(parts: tuple[NDArray, ...]) -> NDArray:
    """The mean over the estimators that learned the task; uniform if none did."""
    learned = [part for part in parts if not np.isnan(part).all()]
    if learned:
        return np.mean(learned, axis=0)
    return np.full(parts[0].shape, 1 / parts[0].shape[1])


def _in_form_of(given: Any, by_task: list[Any], tasks: Tasks) -> Any:
    if tasks.is_1d:
        return by_task[0]
    # If the training rows of a fold lack a class, `given` may be a table although the
    # task has more than two classes in all.
    is_table = not isinstance(given, list) and all(map(is_binary, tasks.n_codes))
    return np.column_stack([p[:, 1] for p in by_task]) if is_table else by_task


def _warn_of_uncalibrated(pairs: list[CalibratedClassifier], tasks: Tasks) -> None:
    left = [
        str(tasks.names[t])
        for t, is_number in enumerate(tasks.are_numbers)
        if not is_number and any(pair.calibrators[t] is None for pair in pairs)
    ]
    if left:
        warn(
            f"To be calibrated, a task must have at least {FEW_LABELS} out-of-fold "
            'labels of each class (for method="temperature", also one for which the '
            f"most probable class is wrong), but {shorten(left)} do not. Their "
            "probabilities stay unchanged (with ensemble=True, only in such folds; "
            "folds without a training label are left out). Add labels, or merge rare "
            "classes."
        )
