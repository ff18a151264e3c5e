"""Probabilities for rows from a model that was not fitted on them."""

from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, indexable

from skmtl._inputs import warn_of_row_order
from skmtl._interrupts import call_uncaught
from skmtl._label_weights import label_weights
from skmtl._messages import shorten
from skmtl._predictions import (
    declared_task_types,
    fitted_network,
    guess_task_types,
    probabilities_by_task,
    split_classes,
    with_task_types,
)
from skmtl._targets import Encoded, Tasks, TaskTypes, encode, read_columns
from skmtl._weights import check_sample_weight
from skmtl.model_selection._split import (
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedShuffleSplit,
    as_splitter,
)
from skmtl.model_selection._validation import fit_on_rows

# Fewer labels of a class are not enough to estimate how often a probability comes true.
FEW_LABELS = 5


class TaskOutOfFold(NamedTuple):
    """One task on the rows with an observed label."""

    name: str
    classes: NDArray
    codes: NDArray  # (n,): indices into the classes
    probabilities: NDArray  # (n, n_classes)
    weights: NDArray | None  # (n,)

    def labels_per_class(self) -> NDArray:
        """(n_classes,): number of labels of each class."""
        return np.bincount(self.codes, minlength=len(self.classes))

    def are_all_right(self) -> bool:
        """Whether no class is more probable than the label, in any row."""
        own = self.probabilities[np.arange(len(self.codes)), self.codes]
        return bool((own == self.probabilities.max(axis=1)).all())

    def can_be_tuned(self) -> bool:
        """Whether every class has labels and the probabilities are not all equal."""
        p = self.probabilities
        return bool(self.labels_per_class().all()) and bool((p != p[0]).any())


class OutOfFold(NamedTuple):
    """Labels, and probabilities from models that were not fitted on them."""

    tasks: Tasks
    codes: NDArray  # (n, n_tasks), -1 where missing
    probabilities: list[NDArray | None]  # (n, n_classes) per task; None if numeric
    weights: NDArray | None  # (n, n_tasks) or (n, 1)

    def by_task(self) -> Iterator[tuple[int, TaskOutOfFold]]:
        """Each classification task and its position."""
        for t, probabilities in enumerate(self.probabilities):
            if probabilities is None:
                continue
            # A row that every member was trained on has NaN.
            rows = self._labelled(t) & np.isfinite(probabilities).all(axis=1)
            weights = label_weights(self.weights, t)
            yield (
                t,
                TaskOutOfFold(
                    str(self.tasks.names[t]),
                    self.tasks.classes[t],
                    self.codes[rows, t].astype(np.intp),
                    probabilities[rows],
                    None if weights is None else weights[rows],
                ),
            )

    def has_most_labels(self) -> bool:
        """Whether each class has probabilities for at least half of its labels.

        Tasks with a rare class do not count: few labels say little either way.
        """
        for t, task in self.by_task():
            found = task.labels_per_class()
            given = self.codes[self._labelled(t), t].astype(np.intp)
            n_labels = np.bincount(given, minlength=len(found))
            is_rare = n_labels[n_labels > 0] < FEW_LABELS
            if not is_rare.any() and (2 * found < n_labels).any():
                return False
        return True

    def _labelled(self, t: int) -> NDArray:
        """(n,): whether a row has a label of positive weight."""
        weights = label_weights(self.weights, t)
        is_labelled: NDArray = self.codes[:, t] >= 0
        return is_labelled if weights is None else is_labelled & (weights > 0)


class FitParams(NamedTuple):
    """The arguments that `fit` of a meta-estimator passes on."""

    to_estimator: dict[str, Any]
    to_splitter: dict[str, Any]
    sample_weight: Any


class FittedSplit(NamedTuple):
    """A model and the rows that it was not fitted on."""

    estimator: Any
    rows: NDArray


def fit_out_of_fold(
    estimator: Any,
    X: Any,
    y: Any,
    params: FitParams,
    *,
    cv: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> tuple[Any, OutOfFold]:
    """The estimator fitted on all rows, and out-of-fold probabilities.

    There are three sources of probabilities. A frozen estimator has not seen the rows,
    so its own are used. A network with out-of-bag predictions (`oob_score`) uses those
    unless `cv` or groups are given, or a task whose classes are not rare has such
    predictions for fewer than half of the labels of a class. Otherwise a clone is
    fitted for each split.
    """
    if isinstance(y, Mapping):
        read_columns(y)  # raises an error that says what to pass instead of a dict
    warn_of_row_order(X, y=y)
    X, y = indexable(X, y)
    if is_frozen(estimator, cv):
        check_is_fitted(estimator)
        encoded = encode_for_fitted(estimator, y)
        whole = [FittedSplit(estimator, np.arange(len(encoded.codes)))]
        return estimator, of_splits(whole, X, encoded, params.sample_weight)
    fitted = clone(estimator)
    call_uncaught(fitted.fit, X, y, **params.to_estimator)
    encoded = encode_for_fitted(fitted, y)
    if encoded.tasks.are_numbers.all():
        raise ValueError(
            "At least one task of y must have classes, but all tasks are numeric: "
            f"{shorten(encoded.tasks.names)}. Only classes have probabilities. Pass a "
            "y with a classification task, or use the estimator on its own."
        )
    has_groups = bool(params.to_splitter)  # members do not keep groups together
    is_free = cv is None and not has_groups
    out_of_bag = out_of_bag_predictions(fitted) if is_free else None
    if out_of_bag is not None:
        tasks, codes, _ = encoded
        classes = getattr(fitted, "classes_", None)
        probabilities = probabilities_by_task(out_of_bag, classes, tasks)
        weights = check_sample_weight(params.sample_weight, codes, tasks)
        found = OutOfFold(tasks, codes, probabilities, weights)
        if found.has_most_labels():
            return fitted, found
    splits = fit_splits(estimator, X, y, params, cv, n_jobs, random_state)
    return fitted, of_splits(splits, X, encoded, params.sample_weight)


def is_frozen(estimator: Any, cv: Any) -> bool:
    """Whether the estimator is used as it is, without a fit."""
    return isinstance(estimator, FrozenEstimator) or (
        isinstance(cv, str) and cv == "prefit"
    )


def fit_splits(
    estimator: Any,
    X: Any,
    y: Any,
    params: FitParams,
    cv: Any,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> list[FittedSplit]:
    """For each split, a clone fitted on its training rows, and its test rows."""
    warn_of_row_order(X, y=y)
    X, y = indexable(X, y)
    estimator = with_task_types(estimator, y)
    has_groups = "groups" in params.to_splitter
    if cv is None and has_groups:
        cv = MultiTaskStratifiedGroupKFold()
    splitter = _splitter(cv, declared_task_types(estimator), random_state)
    splits = list(splitter.split(X, y, **params.to_splitter))
    return Parallel(n_jobs=n_jobs)(
        delayed(_fit_split)(clone(estimator), X, y, train, test, params.to_estimator)
        for train, test in splits
    )


def _splitter(cv: Any, task_types: TaskTypes | None, random_state: Any) -> Any:
    if isinstance(cv, Real) and not isinstance(cv, Integral):
        return MultiTaskStratifiedShuffleSplit(
            1, test_size=float(cv), random_state=random_state
        )
    return as_splitter(cv, task_types)


def _fit_split(
    estimator: Any, X: Any, y: Any, train: NDArray, test: NDArray, params: dict
) -> FittedSplit:
    fit_on_rows(estimator, X, y, train, params)
    return FittedSplit(estimator, test)


def of_splits(
    splits: list[FittedSplit], X: Any, encoded: Encoded, sample_weight: Any
) -> OutOfFold:
    """The predictions of each model for its rows, stacked."""
    tasks, codes, _ = encoded
    parts = [_predict(split, X, tasks) for split in splits]
    joined = [
        None if is_number else np.concatenate([part[t] for part in parts])
        for t, is_number in enumerate(tasks.are_numbers)
    ]
    rows = np.concatenate([split.rows for split in splits])
    weights = check_sample_weight(sample_weight, codes, tasks)
    weights = None if weights is None else weights[rows]
    return OutOfFold(tasks, codes[rows], joined, weights)


def _predict(split: FittedSplit, X: Any, tasks: Tasks) -> list[NDArray | None]:
    estimator, rows = split
    given = estimator.predict_proba(_safe_indexing(X, rows))
    return learned_probabilities(estimator, given, tasks)


def learned_probabilities(
    estimator: Any, probabilities: Any, tasks: Tasks
) -> list[NDArray | None]:
    """(n, n_classes) for each task, NaN for a task without a label to learn from."""
    classes = getattr(estimator, "classes_", None)
    network = fitted_network(estimator)
    unlearned: Any = [] if network is None else np.flatnonzero(~network._is_labelled)
    if len(unlearned) and classes is not None:
        classes = list(classes) if not tasks.is_1d else [classes]
        for t in unlearned:
            classes[t] = tasks.classes[t]  # the fit could not know these classes
    by_task = probabilities_by_task(probabilities, classes, tasks)
    for t in unlearned:
        p = by_task[t]
        if p is not None:
            by_task[t] = np.full((len(p), len(tasks.classes[t])), np.nan)
    return by_task


def encode_for_fitted(fitted: Any, y: Any) -> Encoded:
    """Tasks and codes of y, using the classes of a fitted estimator."""
    network = fitted_network(fitted)
    if network is not None:
        return encode(y, "auto", tasks=network._tasks)
    types = guess_task_types(y)
    encoded = encode(y, types)
    classes = split_classes(getattr(fitted, "classes_", None), encoded.tasks)
    if classes is None or types != "class":
        return encoded
    given = classes[0] if encoded.tasks.is_1d else classes
    return encode(y, types, classes=given)


def out_of_bag_predictions(fitted: Any) -> Any:
    """Out-of-bag predictions of our network, also inside a Pipeline or a search.

    None if there are none, or if a step before the network may have read the labels of
    the out-of-bag rows.
    """
    if isinstance(fitted, FrozenEstimator):  # its out-of-bag rows are other rows
        return None
    if isinstance(fitted, BaseSearchCV):
        return out_of_bag_predictions(fitted.best_estimator_)
    if isinstance(fitted, Pipeline):
        if not all(_ignores_labels(step) for _, step in fitted.steps[:-1]):
            return None
        return out_of_bag_predictions(fitted.steps[-1][1])
    if hasattr(fitted, "_out_of_bag_predictions"):
        return fitted._out_of_bag_predictions()
    is_ours = fitted_network(fitted) is fitted
    return getattr(fitted, "oob_prediction_", None) if is_ours else None


# The transformers of these modules read X only; other steps may also read y.
_OF_X_ALONE = tuple(
    f"sklearn.{module}."
    for module in (
        *("decomposition", "feature_extraction", "impute", "kernel_approximation"),
        *("preprocessing", "random_projection"),
    )
)


def _ignores_labels(step: Any) -> bool:
    if step is None or isinstance(step, str):  # "passthrough", "drop"
        return True
    if isinstance(step, Pipeline):
        inside = [own for _, own in step.steps]
    elif isinstance(step, ColumnTransformer):
        inside = [own for _, own, _ in step.transformers_]
    elif isinstance(step, FeatureUnion):
        inside = [own for _, own in step.transformer_list]
    else:
        is_known = type(step).__module__.startswith(_OF_X_ALONE)
        return is_known and not get_tags(step).target_tags.required
    return all(map(_ignores_labels, inside))
