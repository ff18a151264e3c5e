"""multitask_scorer: score an estimator if some labels are missing."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.metrics._scorer import _BaseScorer
from sklearn.utils._metadata_requests import _MetadataRequester
from sklearn.utils.metadata_routing import MetadataRequest

from skmtl._messages import shorten
from skmtl._predictions import fitted_network
from skmtl._sources import labels_in_memory
from skmtl._targets import Tasks, named_tasks, without_labels
from skmtl.metrics._average import average_scores, check_average, score_pooled
from skmtl.metrics._by_type import (
    Metrics,
    resolve_metrics,
    score_each,
    types_of_fitted,
    warn_undefined,
)
from skmtl.metrics._metric import Metric, as_tuple, sign_of
from skmtl.metrics._tasks import Observed, check_metric_of_each, observed_tasks


def multitask_scorer(
    metric: str | Callable | Mapping[str, Any],
    *,
    average: Literal["macro", "micro", "weighted"] = "macro",
    per_task: bool = False,
    tasks: Any = None,
    response_method: str | Sequence[str] | None = None,
    greater_is_better: bool | None = None,
    **kwargs: Any,
) -> "_MultiTaskScorer":
    """Make a scorer that accepts missing labels, to pass as `scoring`.

    Parameters
    ----------
    metric : str, callable or dict
        The name of a scorer, such as "roc_auc" or "r2", or a metric function. If the
        estimator has both classification and numeric tasks, like a MultiTaskNet, pass a
        dict with a metric for each type, such as
        `{"class": "roc_auc_ovr", "number": "r2"}`. With only one key, tasks of the
        other type are left out.
    average : {"macro", "micro", "weighted"}, default="macro"
        The average over the tasks, as in `multitask_score`.
    per_task : bool, default=False
        Whether to return a dict with the score of each task, by task name, and their
        average as "mean". `cross_validate` and searches treat such a dict as several
        metrics (`refit="mean"`).
    tasks : str or list of str, default=None
        Names of the tasks to score (from `task_names_` of the estimator), for example
        its `main_tasks`. By default, all tasks are scored.
    response_method : str or sequence of str, default=None
        The method of the estimator that makes the predictions. If you pass several
        names, the first one that the estimator has is used. By default, it is the
        method of scikit-learn's scorer for the metric, or "predict" if scikit-learn has
        no scorer for it. It cannot be combined with a dict of metrics; use scorers from
        `sklearn.metrics.make_scorer` as the values of the dict instead.
    greater_is_better : bool, default=None
        Whether a metric function is a score (True) or a loss (False). The sign of a
        loss is flipped. By default, it is the sign of scikit-learn's scorer for the
        function; if there is none, a function is a loss if its name ends in "_loss",
        "_error" or "_deviance". It cannot be combined with a dict of metrics.
    **kwargs : object
        Passed on to the metric.

    Returns
    -------
    scorer : callable
        A function `scorer(estimator, X, y, sample_weight=None)` that returns a float,
        or a dict of floats; greater is better. It works with every estimator whose
        predictions have one of the forms that `multitask_score` accepts, and it can be
        pickled. With metadata routing enabled, call
        `set_score_request(sample_weight=True)` to pass weights to it.

    See Also
    --------
    multitask_score : The same for predictions.

    Examples
    --------
    Search over parameters while half of the labels are missing:

    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.metrics import multitask_scorer
    >>> from skmtl.model_selection import MultiTaskStratifiedKFold
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 3))
    >>> Y = np.where(rng.random((100, 3)) < 0.5, np.nan, X > 0)
    >>> search = GridSearchCV(
    ...     MultiTaskNetClassifier(n_members=1, random_state=0),
    ...     {"hidden_layer_sizes": [(), (20,)]},
    ...     scoring=multitask_scorer("roc_auc"),
    ...     cv=MultiTaskStratifiedKFold(3),
    ... )
    >>> bool(search.fit(X, Y).best_score_ > 0.8)
    True

    Score classification tasks by ROC AUC and numeric tasks by R2, one score per task:

    >>> from skmtl import MultiTaskNet
    >>> Y = np.column_stack([X[:, 0] > 0, X[:, 1]])
    >>> Y[::3, 0] = Y[1::3, 1] = np.nan
    >>> net = MultiTaskNet(n_members=1, random_state=0).fit(X, Y)
    >>> metric = {"class": "roc_auc_ovr", "number": "r2"}
    >>> scores = multitask_scorer(metric, per_task=True)(net, X, Y)
    >>> list(scores)
    ['task_0', 'task_1', 'mean']
    """
    metrics = resolve_metrics(metric, kwargs)
    check_average(average, metrics, "macro", "micro", "weighted")
    if metrics.is_mapping and not (response_method is greater_is_better is None):
        raise ValueError(
            "response_method and greater_is_better must belong to a single metric, but "
            "metric is a mapping. Use scorers from sklearn.metrics.make_scorer as the "
            "values of the mapping."
        )
    given = metric if isinstance(metric, Mapping) else {}
    by_type = {
        task_type: _as_scorer(
            resolved, given.get(task_type, metric), response_method, greater_is_better
        )
        for task_type, resolved in metrics.by_type.items()
    }
    metrics = replace(metrics, by_type=by_type)
    if per_task:
        return _MultiTaskScorer(metrics, average, per_task, tasks)
    return _AveragingScorer(metrics, average, tasks)


def _as_scorer(
    resolved: Metric,
    given: Any,
    response_method: str | Sequence[str] | None,
    greater_is_better: bool | None,
) -> Metric:
    """The metric with the sign that makes greater better."""
    if response_method is not None:
        resolved = replace(resolved, response=as_tuple(response_method))
    if isinstance(given, str | _BaseScorer):
        if greater_is_better is not None:
            raise ValueError(
                "greater_is_better must come with a metric function, but metric is "
                f"the scorer {resolved.name!r}, which has a sign. Leave "
                "greater_is_better out."
            )
        return resolved
    sign = sign_of(resolved)
    if greater_is_better is not None:
        sign = 1 if greater_is_better else -1
    return replace(resolved, sign=sign)


class _MultiTaskScorer(_MetadataRequester):
    """The scorer that `multitask_scorer` returns."""

    def __init__(
        self, metric: Metrics, average: str, per_task: bool, tasks: Any
    ) -> None:
        self._metric = metric
        self._average = average
        self._per_task = per_task
        self._only = tasks
        # With metadata routing, weights must be requested or declined, as with
        # scikit-learn's scorers. The owner appears in messages only; it is a string
        # rather than this object because skops cannot read circular references.
        self._metadata_request = MetadataRequest(owner=repr(self))
        self._metadata_request.score.add_request(param="sample_weight", alias=None)

    def __repr__(self) -> str:
        by_type = self._metric.by_type
        metric = next(iter(by_type.values()))
        names: Any = metric.name
        if self._metric.is_mapping:
            names = {task_type: metric.name for task_type, metric in by_type.items()}
        shown = [repr(names), f"average={self._average!r}"]
        if self._per_task:
            shown.append("per_task=True")
        if self._only is not None:
            shown.append(f"tasks={self._only!r}")
        if not self._metric.is_mapping:
            own = {}  # arguments that are part of the named scorer
            if metric.name in get_scorer_names():
                own = get_scorer(metric.name)._kwargs
            given = {k: v for k, v in metric.kwargs.items() if own.get(k) != v}
            shown += [f"{key}={value!r}" for key, value in given.items()]
        return f"multitask_scorer({', '.join(shown)})"

    def set_score_request(self, *, sample_weight: bool | str | None) -> Self:
        """Set whether metadata routing passes weights to the metric."""
        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "set_score_request needs metadata routing, but it is not enabled. "
                "Enable it with sklearn.set_config(enable_metadata_routing=True)."
            )
        self._metadata_request.score.add_request(
            param="sample_weight", alias=sample_weight
        )
        return self

    @property
    def gives_dict(self) -> bool:
        """Whether it returns a number for each task."""
        return self._per_task

    def check_tasks(self, tasks: Tasks) -> None:
        """Raise, before anything is fitted, for tasks that it cannot score."""
        are_numbers, is_scored = tasks.are_numbers, np.ones(tasks.n_tasks, dtype=bool)
        if self._only is not None:
            is_scored = named_tasks(tasks, self._only, "tasks")
        are_mixed = are_numbers.any() and not are_numbers.all()
        if self._metric.is_mapping or are_mixed:  # else the metric sets the type of y
            check_metric_of_each(self._metric, tasks, is_scored, tasks.names.tolist())
        metric = self._metric.by_type.get("class")
        many = is_scored & ~are_numbers & (tasks.n_codes > 2)
        if metric is not None and metric.is_of_two_classes and many.any():
            raise ValueError(
                f"{metric.name!r} can only score tasks with two classes, but the tasks "
                f"{shorten(tasks.names[many])} have more. Use a metric for any number "
                "of classes, such as 'roc_auc_ovr', 'f1_macro' or 'accuracy'."
            )

    def _accept_sample_weight(self) -> bool:
        """Called by ScoringMonitor if the fit has weights."""
        return True

    def __call__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None
    ) -> float | dict[str, float]:
        """Score a fitted estimator; greater is better."""
        metrics = self._metric
        tasks = self._observed(estimator, X, y, sample_weight).tasks
        if self._average == "micro":
            average = score_pooled(metrics, tasks)
            if not self._per_task:
                return average
        scores = score_each(metrics, tasks)
        warn_undefined(metrics, tasks, scores)
        if self._average != "micro":
            average = average_scores(scores, tasks, self._average)
        if not self._per_task:
            return average
        names = [task.name for task in tasks]
        if "mean" in names:
            raise ValueError(
                "With per_task=True, no task can be named 'mean', because the average "
                "has this name, but a task of y is. Rename the column of y."
            )
        return dict(zip(names, scores.tolist(), strict=True)) | {"mean": average}

    def score_tasks(self, estimator: Any, X: Any, y: Any) -> NDArray:
        """(n_tasks,): NaN, without a warning, if the metric is undefined."""
        observed = self._observed(estimator, X, y)
        return observed.in_place(score_each(self._metric, observed.tasks))

    def _observed(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None
    ) -> Observed:
        y, sample_weight = labels_in_memory(X, y, sample_weight)
        fitted = fitted_network(estimator)
        known = None if fitted is None else fitted._tasks
        if fitted is not None:  # a task without labels in fit was not learned
            y = without_labels(y, ~fitted._is_labelled)

        @functools.cache  # both metrics may use the same method
        def predictions(method: str) -> Any:
            return getattr(estimator, method)(X)

        return observed_tasks(
            self._metric,
            y,
            lambda metric: predictions(_response_method(estimator, metric)),
            types=None if known is None else types_of_fitted(known, y),
            classes=getattr(estimator, "classes_", None),
            sample_weight=sample_weight,
            fitted=known,
            only=self._only,
        )


class _AveragingScorer(_MultiTaskScorer, _BaseScorer):
    """A scorer that returns a number; scikit-learn treats it as one of its own."""

    def __init__(self, metric: Metrics, average: str, tasks: Any) -> None:
        first = next(iter(metric.by_type.values()))
        response = ["predict"] if metric.is_mapping else list(_methods_of(first))
        _BaseScorer.__init__(self, first.function, first.sign, first.kwargs, response)
        _MultiTaskScorer.__init__(self, metric, average, per_task=False, tasks=tasks)

    def _score(
        self,
        method_caller: Callable,
        estimator: Any,
        X: Any,
        y_true: Any,
        **kwargs: Any,
    ) -> float | dict[str, float]:
        """Called instead of `__call__` if there are several scorers.

        `method_caller` caches predictions for other scorers, but it changes the form of
        the predictions for several tasks, so it is not used.
        """
        return self(estimator, X, y_true, **kwargs)


def _methods_of(metric: Metric) -> tuple[str, ...]:
    return metric.response or ("predict",)


def _response_method(estimator: Any, metric: Metric) -> str:
    methods = _methods_of(metric)
    for method in methods:
        if hasattr(estimator, method):
            return method
    raise AttributeError(
        f"To compute {metric.name}, the estimator must have one of the methods "
        f"{list(methods)}, but {type(estimator).__name__} has none of them. Use "
        "another metric or estimator."
    )
