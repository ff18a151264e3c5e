"""Predictions for rows that the model has not seen."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted, indexable

from skmtl._predictions import fitted_network
from skmtl._targets import Encoded, Tasks, encode, is_binary
from skmtl.inspection._comparison import (
    check_scoring,
    encode_for,
    repeated_splits,
)
from skmtl.inspection._model_comparison import (
    ModelComparison,
    check_models,
    comparison_of,
    run_models,
)
from skmtl.model_selection._out_of_fold import (
    FittedSplit,
    encode_for_fitted,
    learned_probabilities,
)


class TaskHeldOut(NamedTuple):
    """One task, on the held-out rows with an observed label and a prediction."""

    name: str
    position: int
    classes: NDArray | None  # None for numbers
    y: NDArray  # (n,): class codes or numbers
    p: NDArray | None  # (n, n_classes); None for numbers
    predicted: NDArray  # (n,): class codes or numbers
    fold: NDArray  # (n,): which model predicted the row

    @property
    def is_number(self) -> bool:
        """Whether the task is numeric."""
        return self.classes is None

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes, and both were observed."""
        is_two = self.classes is not None and is_binary(len(self.classes))
        return is_two and self.varies

    @property
    def n_rarest(self) -> int:
        """Number of labels of the rarest class, or of all values of a numeric task."""
        if self.p is None:
            return len(self.y)
        return int(np.bincount(self.y, minlength=self.p.shape[1]).min())

    @property
    def varies(self) -> bool:
        """Whether more than one value was observed."""
        return len(self.y) > 0 and bool((self.y != self.y[0]).any())


class HeldOut(NamedTuple):
    """Labels and predictions of all held-out rows, fold after fold."""

    folds: list[FittedSplit]
    truth: Encoded  # observed labels, fold after fold
    decided: Encoded  # the output of `predict`
    probabilities: list[NDArray | None]  # (n, n_classes) per task; None for numbers

    @property
    def tasks(self) -> Tasks:
        """The tasks of y."""
        return self.truth.tasks

    def by_task(self) -> Iterator[TaskHeldOut]:
        """Yield each task, on the rows with a label and a prediction."""
        sizes = [len(fold.rows) for fold in self.folds]
        fold_of = np.repeat(np.arange(len(sizes)), sizes)
        for t in range(self.tasks.n_tasks):
            yield self._task(t, fold_of)

    def _task(self, t: int, fold_of: NDArray) -> TaskHeldOut:
        rows = self.truth.codes[:, t] >= 0
        p = self.probabilities[t]
        name = str(self.tasks.names[t])
        if p is not None:
            rows &= np.isfinite(p).all(axis=1)
            y, predicted = (e.codes[rows, t] for e in (self.truth, self.decided))
            classes, fold = self.tasks.classes[t], fold_of[rows]
            return TaskHeldOut(
                name, t, classes, y.astype(np.intp), p[rows], predicted, fold
            )
        assert self.truth.numbers is not None
        assert self.decided.numbers is not None
        y, predicted = (e.numbers[rows, t] for e in (self.truth, self.decided))  # type: ignore[index]
        return TaskHeldOut(name, t, None, y, None, predicted, fold_of[rows])


def cross_validated(
    estimator: Any,
    X: Any,
    y: Any,
    cv: Any,
    models: Any,
    scoring: Any,
    n_jobs: int | None,
    random_state: Any,
) -> tuple[HeldOut, ModelComparison]:
    """Return out-of-fold predictions, and the comparison on the same splits."""
    encoded = encode_for(estimator, y)
    tasks = encoded.tasks
    names = check_models(models, estimator, tasks)
    splits = repeated_splits(cv, X, y, tasks, 1, random_state)
    scorer = check_scoring(scoring, tasks)
    runs = run_models(
        names, estimator, X, y, tasks, splits, scorer, n_jobs, kept=names[0]
    )
    comparison = comparison_of(runs, encoded, splits, scorer)
    folds = [
        FittedSplit(run.fitted, split.test)
        for run, split in zip(runs[names[0]], splits, strict=True)
    ]
    return _predicted(folds, X, encoded), comparison


def prefit(estimator: Any, X: Any, y: Any) -> HeldOut:
    """Return the predictions of a fitted estimator."""
    check_is_fitted(estimator)
    encoded = encode_for_fitted(estimator, y)
    whole = FittedSplit(estimator, np.arange(len(encoded.codes)))
    return _predicted([whole], X, encoded)


def _predicted(folds: list[FittedSplit], X: Any, encoded: Encoded) -> HeldOut:
    tasks, codes, numbers = encoded
    (X,) = indexable(X)
    decided: list[Encoded] = []
    parts: list[list[NDArray | None]] = []
    for estimator, rows in folds:
        X_rows = _safe_indexing(X, rows)
        parts.append(probabilities_of(estimator, X_rows, tasks))
        labels = np.asarray(estimator.predict(X_rows))
        decided.append(encode(labels, "auto", tasks=tasks, unseen="extra"))
    rows = np.concatenate([fold.rows for fold in folds])
    truth = Encoded(tasks, codes[rows], None if numbers is None else numbers[rows])
    return HeldOut(
        folds,
        truth,
        Encoded(tasks, *_joined(decided, numbers is not None)),
        [
            None if part is None else np.concatenate([p[t] for p in parts])
            for t, part in enumerate(parts[0])
        ],
    )


def _joined(parts: list[Encoded], has_numbers: bool) -> tuple[NDArray, NDArray | None]:
    codes = np.concatenate([part.codes for part in parts])
    if not has_numbers:
        return codes, None
    return codes, np.concatenate([part.numbers for part in parts])


def probabilities_of(estimator: Any, X: Any, tasks: Tasks) -> list[NDArray | None]:
    """Return (n, n_classes) per task, NaN if it had no labels; None for numbers."""
    if tasks.are_numbers.all():
        return [None] * tasks.n_tasks
    return learned_probabilities(estimator, estimator.predict_proba(X), tasks)


def networks_of(held_out: HeldOut) -> list[Any]:
    """Return the fitted network of each fold that has one of ours."""
    found = [fitted_network(fold.estimator) for fold in held_out.folds]
    return [network for network in found if network is not None]
