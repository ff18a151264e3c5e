"""MultiTaskPrecisionRecallDisplay plots a precision-recall curve for each task."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from skmtl.inspection._curves_display import (
    CurvesDisplay,
    counts_by_class,
    for_each_class,
    part,
)
from skmtl.metrics._task import Task


class MultiTaskPrecisionRecallDisplay(CurvesDisplay):
    """Precision-recall curves, one panel per task.

    Each panel shows the curve from scikit-learn's `precision_recall_curve` on the
    observed rows of the task. The dashed line marks the fraction of positives, which is
    the precision of random guessing. The title shows the average precision (AP). For a
    task with more than two classes, there is a thin curve for each class against the
    rest, and the title shows the mean of their average precisions. `from_estimator` and
    `from_predictions` also accept the keyword arguments of `precision_recall_curve`,
    such as `drop_intermediate`.

    Parameters
    ----------
    task_names : list of str
        The names of the tasks.
    class_counts : list of dict
        For each task, the number of observed labels of each class.
    precision : list of dict
        For each task, the precisions of each plotted class. For two classes, this is
        the second of the two sorted classes.
    recall : list of dict
        The recalls in the same form.
    average_precision : list of dict
        The average precisions in the same form.
    prevalence : list of dict
        The fraction of labels of each plotted class, counted with their weights, in the
        same form.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_tasks,)
        The axes of the panels, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.
    lines_ : list of list of matplotlib Line2D
        The curves of each task, after `plot`.

    See Also
    --------
    skmtl.metrics.multitask_report : A table with the average precision of each task.
    MultiTaskRocCurveDisplay : ROC curves.
    sklearn.metrics.PrecisionRecallDisplay : The display for a single task.

    Examples
    --------
    Two tasks, each with a third of its labels missing:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import MultiTaskPrecisionRecallDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> Y = (X > 0).astype(float)
    >>> Y[::3, 0] = Y[1::3, 1] = np.nan
    >>> clf = MultiTaskNetClassifier((8,), n_members=1, max_iter=3).fit(X, Y)
    >>> display = MultiTaskPrecisionRecallDisplay.from_estimator(clf, X, Y)
    >>> display.prevalence
    [{1: 0.475}, {1: 0.675}]
    """

    _axis_names = ("recall", "precision")

    def __init__(
        self,
        task_names: list[str],
        class_counts: list[dict[Any, int]],
        precision: list[dict[Any, NDArray]],
        recall: list[dict[Any, NDArray]],
        average_precision: list[dict[Any, float]],
        prevalence: list[dict[Any, float]],
    ) -> None:
        super().__init__(task_names, class_counts)
        self.precision = precision
        self.recall = recall
        self.average_precision = average_precision
        self.prevalence = prevalence

    @classmethod
    def _from_tasks(cls, tasks: list[Task], **kwargs: Any) -> Self:
        curves = for_each_class(precision_recall_curve, tasks, **kwargs)
        return cls(
            [task.name for task in tasks],
            counts_by_class(tasks),
            part(curves, 0),
            part(curves, 1),
            for_each_class(average_precision_score, tasks),
            for_each_class(_share, tasks),
        )

    def _draw(self, ax: Any, t: int) -> list[Any]:
        lines = self._draw_curves(
            ax,
            t,
            self.recall[t],
            self.precision[t],
            self.average_precision[t],
            drawstyle="steps-post",
        )
        for line, share in zip(lines, self.prevalence[t].values(), strict=True):
            colour = line.get_color() if len(lines) > 1 else "0.6"
            ax.axhline(share, linestyle="--", linewidth=1, color=colour, zorder=1)
        return lines

    def _subtitle(self, t: int) -> str:
        scores = list(self.average_precision[t].values())
        mean = "mean " if len(scores) > 1 else ""
        return f"{mean}AP {np.mean(scores):.2f}, {self._n_labels(t)}"


def _share(is_class: NDArray, _: NDArray, sample_weight: NDArray | None) -> float:
    return float(np.average(is_class, weights=sample_weight))
