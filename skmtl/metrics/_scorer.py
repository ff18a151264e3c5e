"""multitask_scorer: an estimator against labels with holes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

from numpy.typing import NDArray
from sklearn import get_config
from sklearn.metrics._scorer import _BaseScorer
from sklearn.utils._metadata_requests import _MetadataRequester
from sklearn.utils.metadata_routing import MetadataRequest

from skmtl._predictions import fitted_classifier
from skmtl._targets import without_labels
from skmtl.metrics._metric import (
    Metric,
    as_tuple,
    average_scores,
    check_average,
    resolve_metric,
    score_each,
    score_pooled,
    sign_of,
    warn_undefined,
)
from skmtl.metrics._tasks import Task, observed_tasks


def multitask_scorer(
    metric: str | Callable,
    *,
    average: Literal["macro", "micro", "weighted"] = "macro",
    per_task: bool = False,
    response_method: str | Sequence[str] | None = None,
    greater_is_better: bool | None = None,
    **kwargs: Any,
) -> "_MultiTaskScorer":
    """Make a scorer that understands missing labels, for `scoring=`.

    Parameters
    ----------
    metric : str or callable
        A scorer's name, such as "roc_auc", or a metric function.
    average : {"macro", "micro", "weighted"}, default="macro"
        How tasks are averaged, see `multitask_score`.
    per_task : bool, default=False
        Whether to give a dict with the score of each task, by its name, and their
        average, by the name "mean", as `cross_validate` and a search over several
        metrics take it (`refit="mean"`).
    response_method : str or sequence of str, default=None
        The estimator's method that makes the predictions, or several of which the
        first that it has is taken. By default that of scikit-learn's scorer, and
        "predict" for a function that scikit-learn does not know.
    greater_is_better : bool, default=None
        Whether a function is a score (True) or a loss (False), whose sign is turned. By
        default that of scikit-learn's scorer; of a function that has none, losses are
        those whose name ends in "_loss", "_error" or "_deviance".
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
    """
    check_average(average, "macro", "micro", "weighted")
    resolved = resolve_metric(metric, kwargs)
    if response_method is not None:
        resolved = replace(resolved, response=as_tuple(response_method))
    if not isinstance(metric, str | _BaseScorer):
        sign = sign_of(resolved)
        if greater_is_better is not None:
            sign = 1 if greater_is_better else -1
        resolved = replace(resolved, sign=sign)
    elif greater_is_better is not None:
        raise ValueError(
            "greater_is_better is for metric functions, but metric is the scorer "
            f"{resolved.name!r}, whose sign is known. Leave it out."
        )
    if per_task:
        return _MultiTaskScorer(resolved, average, per_task)
    return _AveragingScorer(resolved, average)


class _MultiTaskScorer(_MetadataRequester):
    """What `multitask_scorer` makes."""

    def __init__(self, metric: Metric, average: str, per_task: bool) -> None:
        self._metric = metric
        self._average = average
        self._per_task = per_task
        # With metadata routing, weights must be asked for or refused, as with
        # scikit-learn's scorers.
        self._metadata_request = MetadataRequest(owner=self)
        self._metadata_request.score.add_request(param="sample_weight", alias=None)

    def __repr__(self) -> str:
        shown = [repr(self._metric.name), f"average={self._average!r}"]
        if self._per_task:
            shown.append("per_task=True")
        shown += [f"{key}={value!r}" for key, value in self._metric.kwargs.items()]
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

    def _accept_sample_weight(self) -> bool:
        """Asked by ScoringMonitor, where the fit has weights."""
        return True

    def __call__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None
    ) -> float | dict[str, float]:
        """Score a fitted estimator; greater is better."""
        metric, tasks = self._metric, self._tasks(estimator, X, y, sample_weight)
        if self._average == "micro":
            average = score_pooled(metric, tasks)
            if not self._per_task:
                return average
        scores = score_each(metric, tasks)
        warn_undefined(metric.name, tasks, scores)
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
        return score_each(self._metric, self._tasks(estimator, X, y))

    def _tasks(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None
    ) -> list[Task]:
        metric, fitted = self._metric, fitted_classifier(estimator)
        if fitted is not None:  # nothing can be learned without labels
            y = without_labels(y, ~fitted._is_labelled)
        y_pred = _response_of(estimator, metric)(X)
        return observed_tasks(
            y,
            y_pred,
            takes_scores=metric.takes_scores(y_pred),
            classes=getattr(estimator, "classes_", None),
            sample_weight=sample_weight,
            fitted=None if fitted is None else fitted._tasks,
        )


class _AveragingScorer(_MultiTaskScorer, _BaseScorer):
    """One that gives a number, as all do that scikit-learn takes for its own."""

    def __init__(self, metric: Metric, average: str) -> None:
        response = list(metric.response or ("predict",))
        _BaseScorer.__init__(
            self, metric.function, metric.sign, metric.kwargs, response
        )
        _MultiTaskScorer.__init__(self, metric, average, per_task=False)

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


def _response_of(estimator: Any, metric: Metric) -> Callable:
    methods = metric.response or ("predict",)
    for method in methods:
        if hasattr(estimator, method):
            return getattr(estimator, method)
    raise AttributeError(
        f"To compute {metric.name}, {type(estimator).__name__} must have one of the "
        f"methods {list(methods)}. Choose another metric or estimator."
    )
