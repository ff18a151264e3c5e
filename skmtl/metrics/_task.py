"""A task on the rows with an observed label."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Task(NamedTuple):
    """Observed labels or numbers, and their predictions."""

    name: str
    position: int  # among the columns of y_true
    y: NDArray  # labels or numbers
    prediction: NDArray  # labels, scores of the second class or of each, or numbers
    form: Literal["labels", "scores", "numbers"]  # of the prediction
    classes: NDArray  # sorted; empty for numbers
    weight: NDArray | None

    @property
    def type(self) -> Literal["class", "number"]:
        """Whether its values are classes or numbers."""
        return "number" if self.form == "numbers" else "class"

    @property
    def is_labels(self) -> bool:
        """Whether the predictions are labels."""
        return self.form == "labels"

    @property
    def varies(self) -> bool:
        """Whether at least two different values were observed."""
        return len(self.y) > 0 and bool((self.y != self.y[0]).any())

    @property
    def size(self) -> float:
        """The total weight of the observed values; without weights, their number."""
        return len(self.y) if self.weight is None else float(self.weight.sum())

    def with_most_probable_labels(self) -> "Task":
        """Replace probabilities by the most probable labels.

        Scores of the second class remain scores if only one class is known.
        """
        if self.prediction.ndim == 1:
            if len(self.classes) < 2:
                return self
            codes = (self.prediction > 0.5).astype(np.intp)
        else:
            codes = self.prediction.argmax(axis=1)
        return self._replace(prediction=self.classes[codes], form="labels")
