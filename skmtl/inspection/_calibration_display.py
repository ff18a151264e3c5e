"""MultiTaskCalibrationDisplay plots a calibration curve for each task."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skmtl._targets import is_binary
from skmtl.inspection._curves_display import (
    COLOUR,
    CurvesDisplay,
    counts_by_class,
    name_positive_class,
)
from skmtl.metrics._calibration_error import (
    ReliabilityBins,
    expected_calibration_error,
    hits,
    reliability_bins,
)
from skmtl.metrics._metric import resolve_metric, score_task
from skmtl.metrics._task import Task


class MultiTaskCalibrationDisplay(CurvesDisplay):
    """Calibration curves, one panel per task.

    The probabilities are sorted into bins. For each bin, the curve shows the mean
    probability and the fraction of positive labels. On the dashed diagonal, both are
    equal. The bars show the fraction of all labels in each bin; a low bar means that
    the curve is based on few labels there. The title shows the expected calibration
    error (ECE).

    For a binary task, the probabilities are those of the positive class (the second of
    the two sorted classes). For a task with more classes, they are those of the most
    probable class, and the curve shows how often that class is right.

    `from_estimator` and `from_predictions` also accept the keyword arguments `n_bins`
    (10 by default) and `strategy` ("uniform" by default) of
    `skmtl.metrics.expected_calibration_error`.

    Parameters
    ----------
    task_names : list of str
        The names of the tasks.
    class_counts : list of dict
        For each task, the number of observed labels of each class.
    prob_true : list of ndarray
        For each task, the observed frequency in each bin that is not empty.
    prob_pred : list of ndarray
        For each task, the mean probability in each bin that is not empty.
    bin_edges : list of ndarray of shape (n_bins + 1,)
        For each task, the edges of the bins.
    bin_shares : list of ndarray of shape (n_bins,)
        For each task, the fraction of the labels in each bin, counted with their
        weights.
    calibration_error : ndarray of shape (n_tasks,)
        The expected calibration error of each task.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_tasks,)
        The axes of the panels, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.
    lines_ : list of list of matplotlib Line2D
        The curve of each task, after `plot`.

    See Also
    --------
    skmtl.metrics.expected_calibration_error : The error as a number.
    skmtl.metrics.multitask_report : A table with the error and other scores per task.
    sklearn.calibration.CalibrationDisplay : The display for a single task.

    Examples
    --------
    Two tasks, each with a third of its labels missing:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import MultiTaskCalibrationDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> Y = (X > 0).astype(float)
    >>> Y[::3, 0] = Y[1::3, 1] = np.nan
    >>> clf = MultiTaskNetClassifier((8,), n_members=1, max_iter=3).fit(X, Y)
    >>> display = MultiTaskCalibrationDisplay.from_estimator(clf, X, Y, n_bins=5)
    >>> [round(float(shares.sum()), 9) for shares in display.bin_shares]
    [1.0, 1.0]
    """

    _axis_names = ("probability", "observed frequency\n(bars: fraction of labels)")
    _methods = ("predict_proba",)
    _needs_two_classes = False

    def __init__(
        self,
        task_names: list[str],
        class_counts: list[dict[Any, int]],
        prob_true: list[NDArray],
        prob_pred: list[NDArray],
        bin_edges: list[NDArray],
        bin_shares: list[NDArray],
        calibration_error: NDArray,
    ) -> None:
        super().__init__(task_names, class_counts)
        self.prob_true = prob_true
        self.prob_pred = prob_pred
        self.bin_edges = bin_edges
        self.bin_shares = bin_shares
        self.calibration_error = calibration_error

    @classmethod
    def _from_tasks(
        cls, tasks: list[Task], n_bins: int = 10, strategy: str = "uniform"
    ) -> Self:
        settings = {"n_bins": n_bins, "strategy": strategy}
        metric = resolve_metric(expected_calibration_error, settings)
        errors = [score_task(metric, task) for task in tasks]
        bins = [_bins_of(task, n_bins, strategy) for task in tasks]
        filled = [part.weight > 0 for part in bins]
        return cls(
            [task.name for task in tasks],
            counts_by_class(tasks),
            [part.observed[rows] for part, rows in zip(bins, filled, strict=True)],
            [part.predicted[rows] for part, rows in zip(bins, filled, strict=True)],
            [part.edges for part in bins],
            [part.weight / part.weight.sum() for part in bins],
            np.array(errors),
        )

    def _draw(self, ax: Any, t: int) -> list[Any]:
        edges = self.bin_edges[t]
        ax.bar(
            edges[:-1],
            self.bin_shares[t],
            np.diff(edges),
            align="edge",
            color="0.88",
            edgecolor="white",
        )
        ax.plot([0, 1], [0, 1], linestyle="--", linewidth=1, color="0.6")
        style = {"color": COLOUR, "marker": "o", "markersize": 4}
        lines: list[Any] = ax.plot(self.prob_pred[t], self.prob_true[t], **style)
        if is_binary(len(self.class_counts[t])):
            name_positive_class(ax, lines, self.class_counts[t])
        return lines

    def _subtitle(self, t: int) -> str:
        n_classes = len(self.class_counts[t])
        of_classes = f", {n_classes} classes" if n_classes > 2 else ""
        return f"ECE {self.calibration_error[t]:.3f}, {self._n_labels(t)}{of_classes}"


def _bins_of(task: Task, n_bins: int, strategy: str) -> ReliabilityBins:
    if len(task.y) == 0 or len(task.classes) < 2:
        none = np.zeros(0)
        return ReliabilityBins(np.zeros(1), none, none, none)
    is_hit, probability = hits(task.y, task.prediction, task.classes)
    return reliability_bins(is_hit, probability, task.weight, n_bins, strategy)
