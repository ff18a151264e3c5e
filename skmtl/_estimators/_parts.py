"""X with its labels as parts in memory, whether or not all of X is in memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_consistent_length

from skmtl._sources import Part, as_source, is_source
from skmtl._targets import Encoded, Tasks, TaskTypes, encode, without_labels
from skmtl._weights import check_sample_weight


def parts_of(
    estimator: Any, X: Any, y: Any = None, sample_weight: Any = None, **settings: Any
) -> Iterator[Part]:
    """The rows as a fitted estimator reads them; see `as_source` for the settings."""
    if not is_source(X):
        return iter([Part(X, y, sample_weight)])
    names = getattr(estimator, "feature_names_in_", None)
    return as_source(X, y, sample_weight, columns=names, **settings).parts()


class LabelsToScore:
    """The labels and weights that predictions are scored with, collected by part."""

    def __init__(
        self, tasks: Tasks, task_types: TaskTypes, is_labelled: NDArray
    ) -> None:
        self.tasks, self.task_types = tasks, task_types
        self._is_labelled = is_labelled
        self._encoded: list[Encoded] = []
        self._weights: list[NDArray] = []

    def add(self, part: Part) -> None:
        """Add the labels of the next rows."""
        # Tasks without labels in `fit` are not scored: nothing was learned.
        y = without_labels(part.y, ~self._is_labelled)
        encoded = encode(y, self.task_types, tasks=self.tasks, unseen="extra")
        check_consistent_length(part.X, encoded.codes)
        weights = (encoded.codes >= 0).astype(np.float64)
        sample_weight = check_sample_weight(
            part.sample_weight, encoded.codes, self.tasks, may_be_0=True
        )
        if sample_weight is not None:
            weights *= sample_weight
        self._encoded.append(encoded)
        self._weights.append(weights)

    @property
    def encoded(self) -> Encoded:
        """The labels of all rows."""
        _, codes, numbers = zip(*self._encoded, strict=True)
        return Encoded(
            self.tasks,
            np.concatenate(codes),
            None if numbers[0] is None else np.concatenate(numbers),
        )

    @property
    def weights(self) -> NDArray:
        """(n_samples, n_tasks): 0 if a label is missing."""
        return np.concatenate(self._weights)
