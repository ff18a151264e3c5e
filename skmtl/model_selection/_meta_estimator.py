"""The common base of the estimators that wrap a multi-task estimator."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skmtl._messages import warn
from skmtl._predictions import fitted_network
from skmtl._targets import Tasks, classes_attribute, decode
from skmtl.metrics import multitask_scorer
from skmtl.model_selection._out_of_fold import FitParams, is_frozen


class MultiTaskMetaEstimator(MetaEstimatorMixin, BaseEstimator):
    """Predicts from the probabilities of another estimator; subclasses define how."""

    def _fit_params(self, sample_weight: Any, params: dict[str, Any]) -> FitParams:
        """Distribute the arguments of `fit` to the estimator and the splitter."""
        if _routing_enabled():
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            to_splitter = routed.splitter.split
            return FitParams(routed.estimator.fit, to_splitter, sample_weight)
        params = dict(params)
        groups = params.pop("groups", None)
        to_splitter = {} if groups is None else {"groups": groups}
        if sample_weight is not None:
            if has_fit_parameter(self.estimator, "sample_weight"):
                params["sample_weight"] = sample_weight
            elif not is_frozen(self.estimator, self.cv):
                warn(
                    f"fit of {type(self.estimator).__name__} does not accept "
                    "sample_weight, so the weights are used only after that fit. For "
                    "a Pipeline, enable metadata routing with "
                    "sklearn.set_config(enable_metadata_routing=True)."
                )
        return FitParams(params, to_splitter, sample_weight)

    def _set_fitted(self, tasks: Tasks, fitted: Any) -> None:
        self._tasks = tasks
        self.task_names_ = tasks.names.copy()
        self.n_outputs_ = tasks.n_tasks
        self.classes_ = classes_attribute(tasks)
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)  # left over from an earlier fit
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def _decide(self, t: int, probabilities: NDArray) -> NDArray:
        """(n_samples,): class indices of a task."""
        return probabilities.argmax(axis=1)

    def _probabilities_by_task(self, X: Any) -> list[NDArray | None]:
        """(n_samples, n_classes) for each task, None for numeric tasks."""
        raise NotImplementedError

    def _wrapped_estimator(self) -> Any:
        """The fitted estimator, or the given one before `fit`."""
        return getattr(self, "estimator_", self.estimator)

    def predict(self, X):
        """Predict the labels of every task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels in their own dtype. The predictions of numeric tasks (of a
            MultiTaskNet) are the estimator's own.
        """
        check_is_fitted(self)
        tasks = self._tasks
        by_task = [
            None if p is None else self._decide(t, p)
            for t, p in enumerate(self._probabilities_by_task(X))
        ]
        if not tasks.are_numbers.any():
            return decode(by_task, tasks)
        table = np.array(self._wrapped_estimator().predict(X), dtype=object)
        for t, codes in enumerate(by_task):
            if codes is not None:
                table[:, t] = tasks.classes[t][codes]
        return table

    def predict_log_proba(self, X):
        """Predict the logarithms of the probabilities.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_probabilities : ndarray or list of ndarray
            The logarithms of `predict_proba`, in the same form.
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            if isinstance(probabilities, list):
                return [None if p is None else np.log(p) for p in probabilities]
            return np.log(probabilities)

    def score(self, X, y, sample_weight=None):
        """Mean over the tasks: accuracy for classes, R2 for numbers.

        Only observed labels count.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true labels; missing labels are NaN.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.

        Returns
        -------
        score : float
            Mean over the tasks, or over `main_tasks` if the estimator has them.

        Warns
        -----
        UndefinedMetricWarning
            If a task has too few labels in `y`. The mean leaves it out.
        """
        check_is_fitted(self)
        metric = "accuracy"
        if self._tasks.are_numbers.any():
            metric = {"class": "accuracy", "number": "r2"}
        main_tasks = getattr(fitted_network(self), "main_tasks", None)
        return multitask_scorer(metric, tasks=main_tasks)(self, X, y, sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        given = get_tags(self.estimator)
        for name in ("estimator_type", "classifier_tags", "input_tags", "target_tags"):
            setattr(tags, name, getattr(given, name))
        return tags

    def get_metadata_routing(self):
        """Metadata routing of `fit` to the estimator and the splitter.

        Returns
        -------
        routing : MetadataRouter
            The routing of the metadata.
        """
        fit = {"callee": "fit", "caller": "fit"}
        split = {"callee": "split", "caller": "fit"}
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self.estimator, method_mapping=MethodMapping().add(**fit))
            .add(splitter=self.cv, method_mapping=MethodMapping().add(**split))
        )
