"""A task on the rows where it was observed."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Task(NamedTuple):
    """Labels or numbers, and what was predicted."""

    name: str
    position: int  # among the columns of y_true
    y: NDArray  # labels or numbers
    prediction: NDArray  # labels, values of the greater class or of each, or numbers
    form: Literal["labels", "scores", "numbers"]  # of the prediction
    classes: NDArray  # sorted; none for numbers
    weight: NDArray | None

    @property
    def type(self) -> Literal["class", "number"]:
        """Whether its values are classes or numbers."""
        return "number" if self.form == "numbers" else "class"

    @property
    def is_labels(self) -> bool:
        """Whether the prediction is labels."""
        return self.form == "labels"

    @property
    def has_two_classes(self) -> bool:
        """Whether labels of at least two classes were observed."""
        return len(self.y) > 0 and bool((self.y != self.y[0]).any())

    @property
    def size(self) -> float:
        """The weight of its observed values; their number without weights."""
        return len(self.y) if self.weight is None else float(self.weight.sum())

    def with_most_probable_labels(self) -> "Task":
        """Labels in place of probabilities."""
        if self.prediction.ndim == 1:
            codes = (self.prediction > 0.5).astype(np.intp)
        else:
            codes = self.prediction.argmax(axis=1)
        return self._replace(prediction=self.classes[codes], form="labels")
