"""MultiTaskCalibratedClassifierCV: calibrated probabilities of every task."""

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
from skmtl._targets import Tasks, encode
from skmtl.calibration._calibrators import Calibrator, fit_calibrator
from skmtl.model_selection._meta_estimator import MultiTaskMetaEstimator
from skmtl.model_selection._out_of_fold import (
    FitParams,
    OutOfFold,
    fit_out_of_fold,
    fit_splits,
    is_frozen,
    learned_probabilities,
    of_splits,
    out_of_bag_predictions,
)

# Fewer say nothing of how often a probability comes true.
_MIN_LABELS_PER_CLASS = 5


class CalibratedClassifier(NamedTuple):
    """A fitted estimator, and what mends its probabilities of each task."""

    estimator: Any
    calibrators: list[Calibrator | None]  # per task; None if they stay as they are

    def by_task(self, probabilities: Any, tasks: Tasks) -> list[NDArray | None]:
        """(n_samples, n_classes) of each task, of probabilities of its estimator.

        NaN if the estimator had no label of a task to learn from.
        """
        given = learned_probabilities(self.estimator, probabilities, tasks)
        return [
            p if p is None or calibrator is None else calibrator.calibrate(p)
            for p, calibrator in zip(given, self.calibrators, strict=True)
        ]


class MultiTaskCalibratedClassifierCV(MultiTaskMetaEstimator):
    """Calibrate the probabilities of every task on its observed labels.

    Fits a multi-task estimator, looks at probabilities of rows that it was not fitted
    on, and learns for each task how often they come true. `predict_proba` gives the
    calibrated probabilities, `predict` the class of the greatest. Tasks of numbers stay
    as they are.

    Names and meanings are those of :class:`sklearn.calibration.CalibratedClassifierCV`,
    which takes one task without missing labels; the differences are in the Notes.

    Parameters
    ----------
    estimator : estimator
        A multi-task classifier with `predict_proba` (ours, a MultiTaskNet, any other
        that takes the `y` at hand), or a Pipeline or search around one. In a
        FrozenEstimator it is taken as it is, and `fit` reads rows that it has not seen.
    method : {"sigmoid", "isotonic", "temperature"}, default="sigmoid"
        "sigmoid" fits slope and intercept of the log odds [1]_; "isotonic" any rising
        function, for a thousand labels and more [2]_; "temperature" the slope alone,
        the same for all classes of a task, so that the most probable class stays [3]_.
        With more than two classes, the first two treat each class against the rest.
    cv : int, splitter, iterable or None, default=None
        Where the probabilities come from. None: the predictions that our network has
        made of the rows each member left out (`oob_score`), so that no further fit is
        needed; if there are none, five folds. A number of folds of
        `MultiTaskStratifiedKFold`, a splitter, or pairs of training and test rows.
    n_jobs : int, default=None
        Number of folds that are fitted side by side.
    ensemble : bool, default=False
        Whether to keep the estimator of each fold, with calibrators of its own, and to
        average their probabilities. By default one estimator is fitted on all rows, and
        its calibrators on the probabilities of all folds.

    Attributes
    ----------
    calibrated_classifiers_ : list
        Pairs of a fitted `estimator` and its `calibrators`, one per task; one pair, or
        one for each fold with `ensemble=True`. The calibrator of a task that could not
        be calibrated is None.
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
    skmtl.model_selection.MultiTaskTunedThresholdClassifierCV : Decide by thresholds.
    skmtl.inspection.MultiTaskCalibrationDisplay : Plot how often probabilities come
        true.
    sklearn.calibration.CalibratedClassifierCV : One task, all labels observed.

    Notes
    -----
    It differs from scikit-learn's estimator in three ways. All methods read
    probabilities, "sigmoid" as log odds and "temperature" as logarithms; scikit-learn
    reads a decision function if there is one, and else "sigmoid" reads probabilities
    as they are, which suits it less. `ensemble` is False, since a network of
    several members is an ensemble already, and out-of-bag predictions need no folds.
    And a task stays as it is if one of its classes has fewer than five labels out of
    fold.

    Out-of-bag predictions of a network in a Pipeline are used if all steps before it
    are known to look at `X` alone: scikit-learn's scalers, encoders, imputers,
    decompositions and the like. So are those of the best network of a search. With
    `groups` there are folds, `MultiTaskStratifiedGroupKFold` by default. Each
    out-of-bag prediction comes from a single member, which is more often too sure than
    the mean of all members.

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
    A network that is trained for long and without regularisation is too sure of itself:

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

    # The parameters of the estimator are checked by its own fit.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **params):
        """Fit the estimator and its calibrators.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, NaN where missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label, in the estimator's fit if it takes
            weights, and in that of the calibrators.
        **params : dict
            Parameters of the estimator's `fit`, and `groups` for the splitter.

        Returns
        -------
        self : object
            The fitted estimator.

        Warns
        -----
        UserWarning
            If a class of a task has fewer than five labels out of fold: the
            probabilities of this task stay as they are.
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
        """A pair for each fold, calibrated on its test rows."""
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
            if len(n_labels) > 1 and n_labels.min() >= _MIN_LABELS_PER_CLASS:
                calibrators[t] = fit_calibrator(task, self.method)
        return CalibratedClassifier(fitted, calibrators)

    def predict_proba(self, X):
        """Calibrated probabilities of every task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        probabilities : ndarray or list of ndarray
            In the estimator's form: (n_samples, n_tasks) of the greater classes, or a
            list of (n_samples, n_classes), None for numbers; for 1-D `y` (n_samples,
            n_classes).
        """
        check_is_fitted(self)
        given = self._uncalibrated(X)
        return _in_form_of(given[0], self._mean(given), self._tasks)

    def _probabilities_by_task(self, X: Any) -> list[NDArray | None]:
        return self._mean(self._uncalibrated(X))

    def _uncalibrated(self, X: Any) -> list[Any]:
        """Of each estimator, in its own form."""
        return [
            pair.estimator.predict_proba(X) for pair in self.calibrated_classifiers_
        ]

    def _mean(self, given: list[Any]) -> list[NDArray | None]:
        """Of the calibrated probabilities, of those of each estimator."""
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
        """Calibrated ones, for an estimator around this one."""
        if len(self.calibrated_classifiers_) > 1:
            return None
        given = out_of_bag_predictions(self.calibrated_classifiers_[0].estimator)
        if given is None:
            return None
        return _in_form_of(given, self._mean([given]), self._tasks)


def _mean_of_learned(parts: tuple[NDArray, ...]) -> NDArray:
    """The mean over those that have learned the task; uniform if none has."""
    learned = [part for part in parts if not np.isnan(part).any()]
    if learned:
        return np.mean(learned, axis=0)
    return np.full(parts[0].shape, 1 / parts[0].shape[1])


def _in_form_of(given: Any, by_task: list[Any], tasks: Tasks) -> Any:
    if tasks.is_1d:
        return by_task[0]
    # In a fold whose training rows lack a class, it may be a table and here is not.
    is_table = not isinstance(given, list) and (tasks.n_codes == 2).all()
    return np.column_stack([p[:, 1] for p in by_task]) if is_table else by_task


def _warn_of_uncalibrated(pairs: list[CalibratedClassifier], tasks: Tasks) -> None:
    left = [
        str(tasks.names[t])
        for t, is_number in enumerate(tasks.are_numbers)
        if not is_number and any(pair.calibrators[t] is None for pair in pairs)
    ]
    if left:
        warn(
            f"To be calibrated, a task must have {_MIN_LABELS_PER_CLASS} labels of "
            f"each class out of fold, but {shorten(left)} have fewer. Their "
            "probabilities stay as they are (with ensemble=True, in the folds that "
            "have too few; folds without any to train on are left out). Add labels, or "
            "join rare classes."
        )
