"""What the estimators that stand around a multi-task estimator have in common."""

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
    """Predicts by the probabilities of another estimator; subclasses say how."""

    def _fit_params(self, sample_weight: Any, params: dict[str, Any]) -> FitParams:
        """Who gets what of the arguments of `fit`."""
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
                    f"sample_weight is not used by {type(self.estimator).__name__}, "
                    "whose fit does not take it, but only in what follows its fit. In "
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
            self.__dict__.pop(name, None)  # of an earlier fit
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def _decide(self, t: int, probabilities: NDArray) -> NDArray:
        """(n_samples,): class indices of a task."""
        return probabilities.argmax(axis=1)

    def _probabilities_by_task(self, X: Any) -> list[NDArray | None]:
        """(n_samples, n_classes) of each task, None for numbers."""
        raise NotImplementedError

    def _wrapped_estimator(self) -> Any:
        """The fitted estimator, or before a fit the one that was given."""
        return getattr(self, "estimator_", self.estimator)

    def predict(self, X):
        """Predict the labels of every task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels in their own dtype. Numbers of a MultiTaskNet are those of the
            estimator.
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
        """Logarithms of `predict_proba`, in the same form.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        log_probabilities : ndarray or list of ndarray
            As `predict_proba`, with logarithms.
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            if isinstance(probabilities, list):
                return [None if p is None else np.log(p) for p in probabilities]
            return np.log(probabilities)

    def score(self, X, y, sample_weight=None):
        """Mean over the tasks of the accuracy on observed labels, and R2 of numbers.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true labels, NaN where missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.

        Returns
        -------
        score : float
            Mean over the tasks, or over the `main_tasks` of our estimator.

        Warns
        -----
        UndefinedMetricWarning
            If a task has too few labels in `y`; it is left out of the mean.
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
        """Metadata routing of `fit`: the estimator's and the splitter's.

        Returns
        -------
        routing : MetadataRouter
            What goes where.
        """
        fit = {"callee": "fit", "caller": "fit"}
        split = {"callee": "split", "caller": "fit"}
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self.estimator, method_mapping=MethodMapping().add(**fit))
            .add(splitter=self.cv, method_mapping=MethodMapping().add(**split))
        )
