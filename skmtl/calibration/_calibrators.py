"""scikit-learn's calibrators for the probabilities of one task."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.calibration import _SigmoidCalibration, _TemperatureScaling
from sklearn.isotonic import IsotonicRegression

from skmtl._targets import is_binary
from skmtl.model_selection._out_of_fold import TaskOutOfFold

Method = Literal["sigmoid", "isotonic", "temperature"]
# Networks compute in float32, which rounds probabilities this close to 1 to 1.
_EPS = float(np.finfo(np.float32).eps)
_LEAST = 1e-12  # added to a probability before its logarithm, as in scikit-learn


class Calibrator(NamedTuple):
    """Calibrates the probabilities of one task."""

    method: Method
    parts: list[Any]  # one; one per class for more than two, except for "temperature"

    def calibrate(self, probabilities: NDArray) -> NDArray:
        """Calibrate (n_samples, n_classes) probabilities."""
        scores = _scores(probabilities, self.method)
        if self.method == "temperature":
            return self.parts[0].predict(scores)
        if probabilities.shape[1] == 2:
            positive = np.clip(self.parts[0].predict(scores[:, 1]), 0, 1)
            return np.column_stack([1 - positive, positive])
        by_class = [
            part.predict(s) for part, s in zip(self.parts, scores.T, strict=True)
        ]
        table = np.column_stack(by_class)
        total = table.sum(axis=1, keepdims=True)
        # A row for which every class gets 0 has uniform probabilities.
        uniform = np.full_like(table, 1 / table.shape[1])
        return np.divide(table, total, out=uniform, where=total > 0)


def fit_calibrator(task: TaskOutOfFold, method: Method) -> Calibrator:
    """Fit a calibrator to out-of-fold labels and probabilities."""
    scores = _scores(task.probabilities, method)
    if method == "temperature":
        temperature = _TemperatureScaling().fit(scores, task.codes, task.weights)
        return Calibrator(method, [temperature])
    make = _SigmoidCalibration
    if method == "isotonic":
        make = _isotonic
    n_classes = len(task.classes)
    positions = [1] if is_binary(n_classes) else range(n_classes)
    parts = [
        make().fit(scores[:, c], (task.codes == c).astype(float), task.weights)
        for c in positions
    ]
    return Calibrator(method, parts)


def _isotonic() -> IsotonicRegression:
    return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")


def _scores(probabilities: NDArray, method: Method) -> NDArray:
    """(n_samples, n_classes): the input of the calibrators."""
    p = probabilities.astype(np.float64)
    if method == "isotonic":
        return p
    if method == "temperature":
        return np.log(p + _LEAST)
    return logit(np.clip(p, _EPS, 1 - _EPS))
