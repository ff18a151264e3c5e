"""multitask_scorer: an estimator against labels of which some are missing."""

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
    """Make a scorer that understands missing labels, for `scoring=`.

    Parameters
    ----------
    metric : str, callable or dict
        A scorer's name, such as "roc_auc" or "r2", or a metric function. For an
        estimator of classes and numbers, such as MultiTaskNet, a dict with a metric for
        each, such as `{"class": "roc_auc_ovr", "number": "r2"}`; with one key only,
        tasks of the other type are left out.
    average : {"macro", "micro", "weighted"}, default="macro"
        How tasks are averaged, see `multitask_score`.
    per_task : bool, default=False
        Whether to give a dict with the score of each task, by its name, and their
        average, by the name "mean", as `cross_validate` and a search over several
        metrics take it (`refit="mean"`).
    tasks : str or list of str, default=None
        Names of the tasks to score (`task_names_` of the estimator), for instance its
        `main_tasks`; all by default.
    response_method : str or sequence of str, default=None
        The estimator's method that makes the predictions, or several of which the
        first that it has is taken. By default that of scikit-learn's scorer, and
        "predict" for a function that scikit-learn does not know. Not with a dict, which
        takes scorers that `sklearn.metrics.make_scorer` makes.
    greater_is_better : bool, default=None
        Whether a function is a score (True) or a loss (False), whose sign is turned. By
        default that of scikit-learn's scorer; of a function that has none, losses are
        those whose name ends in "_loss", "_error" or "_deviance". Not with a dict.
    **kwargs : object
        Passed on to the metric.

    Returns
    -------
    scorer : callable
        `scorer(estimator, X, y, sample_weight=None)`: a float, greater is better, or a
        dict of them. It works on every estimator whose predictions have one of the
        forms that `multitask_score` takes, and it can be pickled. With metadata
        routing, `set_score_request(sample_weight=True)` lets weights reach it.

    See Also
    --------
    multitask_score : The same for predictions.

    Examples
    --------
    Half of the labels are missing, and the search does not mind:

    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.metrics import multitask_scorer
    >>> from skmtl.model_selection import MultiTaskStratifiedKFold
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 3))
    >>> Y = np.where(rng.random((100, 3)) < 0.5, np.nan, X > 0)
    >>> search = GridSearchCV(
    ...     MultiTaskNetClassifier(random_state=0),
    ...     {"hidden_layer_sizes": [(), (20,)]},
    ...     scoring=multitask_scorer("roc_auc"),
    ...     cv=MultiTaskStratifiedKFold(3),
    ... )
    >>> bool(search.fit(X, Y).best_score_ > 0.8)
    True

    Classes by ROC AUC and numbers by R2, each task by its name:

    >>> from skmtl import MultiTaskNet
    >>> Y = np.column_stack([X[:, 0] > 0, X[:, 1]])
    >>> Y[::3, 0] = Y[1::3, 1] = np.nan
    >>> net = MultiTaskNet(random_state=0).fit(X, Y)
    >>> metric = {"class": "roc_auc_ovr", "number": "r2"}
    >>> scores = multitask_scorer(metric, per_task=True)(net, X, Y)
    >>> list(scores)
    ['task_0', 'task_1', 'mean']
    """
    metrics = resolve_metrics(metric, kwargs)
    check_average(average, metrics, "macro", "micro", "weighted")
    if metrics.is_mapping and not (response_method is greater_is_better is None):
        raise ValueError(
            "response_method and greater_is_better are for one metric, but metric is a "
            "mapping. Put scorers into it, which sklearn.metrics.make_scorer makes."
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
    """A metric of which greater is better."""
    if response_method is not None:
        resolved = replace(resolved, response=as_tuple(response_method))
    if isinstance(given, str | _BaseScorer):
        if greater_is_better is not None:
            raise ValueError(
                "greater_is_better is for metric functions, but metric is the scorer "
                f"{resolved.name!r}, whose sign is known. Leave it out."
            )
        return resolved
    sign = sign_of(resolved)
    if greater_is_better is not None:
        sign = 1 if greater_is_better else -1
    return replace(resolved, sign=sign)


class _MultiTaskScorer(_MetadataRequester):
    """What `multitask_scorer` makes."""

    def __init__(
        self, metric: Metrics, average: str, per_task: bool, tasks: Any
    ) -> None:
        self._metric = metric
        self._average = average
        self._per_task = per_task
        self._only = tasks
        # With metadata routing, weights must be asked for or refused, as with
        # scikit-learn's scorers. The owner, for messages, is no reference to this
        # object, since skops cannot read circles.
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
            own = {}  # which the name stands for
            if metric.name in get_scorer_names():
                own = get_scorer(metric.name)._kwargs
            given = {k: v for k, v in metric.kwargs.items() if own.get(k) != v}
            shown += [f"{key}={value!r}" for key, value in given.items()]
        return f"multitask_scorer({', '.join(shown)})"

    def set_score_request(self, *, sample_weight: bool | str | None) -> Self:
        """Say whether weights reach the metric, with metadata routing."""
        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "set_score_request is for metadata routing, which is not enabled. "
                "Enable it with sklearn.set_config(enable_metadata_routing=True)."
            )
        self._metadata_request.score.add_request(
            param="sample_weight", alias=sample_weight
        )
        return self

    @property
    def gives_dict(self) -> bool:
        """Whether it gives a number for each task."""
        return self._per_task

    def check_tasks(self, tasks: Tasks) -> None:
        """Refuse, before anything is fitted, tasks that it could not score."""
        are_numbers, is_scored = tasks.are_numbers, np.ones(tasks.n_tasks, dtype=bool)
        if self._only is not None:
            is_scored = named_tasks(tasks, self._only, "tasks")
        are_mixed = are_numbers.any() and not are_numbers.all()
        if self._metric.is_mapping or are_mixed:  # else it decides how y is read
            check_metric_of_each(self._metric, tasks, is_scored, tasks.names.tolist())
        metric = self._metric.by_type.get("class")
        many = is_scored & ~are_numbers & (tasks.n_codes > 2)
        if metric is not None and metric.is_of_two_classes and many.any():
            raise ValueError(
                f"Tasks that {metric.name!r} scores must have two classes, but tasks "
                f"{shorten(tasks.names[many])} have more. Use a metric for any number "
                "of classes, such as 'roc_auc_ovr', 'f1_macro' or 'accuracy'."
            )

    def _accept_sample_weight(self) -> bool:
        """Asked by ScoringMonitor, where the fit has weights."""
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
                "With per_task=True no task may have the name 'mean', which is that of "
                "the average. Rename the column of y."
            )
        return dict(zip(names, scores.tolist(), strict=True)) | {"mean": average}

    def score_tasks(self, estimator: Any, X: Any, y: Any) -> NDArray:
        """(n_tasks,): NaN, without a warning, where the metric is undefined."""
        observed = self._observed(estimator, X, y)
        return observed.in_place(score_each(self._metric, observed.tasks))

    def _observed(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None
    ) -> Observed:
        y, sample_weight = labels_in_memory(X, y, sample_weight)
        fitted = fitted_network(estimator)
        known = None if fitted is None else fitted._tasks
        if fitted is not None:  # nothing can be learned without labels
            y = without_labels(y, ~fitted._is_labelled)

        @functools.cache  # metrics of classes and of numbers may be of labels both
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
    """One that gives a number, as all do that scikit-learn takes for its own."""

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
        """Called in place of `__call__` where there are several scorers.

        `method_caller` keeps predictions for other scorers, but reads those of several
        tasks in its own way.
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
        f"To compute {metric.name}, {type(estimator).__name__} must have one of the "
        f"methods {list(methods)}. Choose another metric or estimator."
    )
