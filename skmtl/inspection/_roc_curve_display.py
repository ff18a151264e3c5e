"""MultiTaskRocCurveDisplay plots a ROC curve for each task."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from skmtl.inspection._curves_display import (
    CurvesDisplay,
    counts_by_class,
    for_each_class,
    part,
)
from skmtl.metrics._task import Task


class MultiTaskRocCurveDisplay(CurvesDisplay):
    """ROC curves, one panel per task.

    Each panel shows the curve from scikit-learn's `roc_curve` on the observed rows of
    the task. The dashed line is the curve of random guessing. The title shows the area
    under the curve. For a task with more than two classes, there is a thin curve for
    each class against the rest, and the title shows the mean of the areas.
    `from_estimator` and `from_predictions` also accept the keyword arguments of
    `roc_curve`, such as `drop_intermediate`.

    Parameters
    ----------
    task_names : list of str
        The names of the tasks.
    class_counts : list of dict
        For each task, the number of observed labels of each class.
    fpr : list of dict
        For each task, the false positive rates of each plotted class. For two classes,
        this is the second of the two sorted classes.
    tpr : list of dict
        The true positive rates in the same form.
    roc_auc : list of dict
        The areas under the curves in the same form.

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
    skmtl.metrics.multitask_report : A table with the ROC AUC of each task.
    MultiTaskPrecisionRecallDisplay : More informative if positives are rare.
    sklearn.metrics.RocCurveDisplay : The display for a single task.

    Examples
    --------
    Two tasks, each with a third of its labels missing:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import MultiTaskRocCurveDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> Y = (X > 0).astype(float)
    >>> Y[::3, 0] = Y[1::3, 1] = np.nan
    >>> clf = MultiTaskNetClassifier((8,), n_members=1, max_iter=3).fit(X, Y)
    >>> display = MultiTaskRocCurveDisplay.from_estimator(clf, X, Y)
    >>> display.class_counts
    [{0: 21, 1: 19}, {0: 13, 1: 27}]
    """

    _axis_names = ("false positive rate", "true positive rate")

    def __init__(
        self,
        task_names: list[str],
        class_counts: list[dict[Any, int]],
        fpr: list[dict[Any, NDArray]],
        tpr: list[dict[Any, NDArray]],
        roc_auc: list[dict[Any, float]],
    ) -> None:
        super().__init__(task_names, class_counts)
        self.fpr = fpr
        self.tpr = tpr
        self.roc_auc = roc_auc

    @classmethod
    def _from_tasks(cls, tasks: list[Task], **kwargs: Any) -> Self:
        curves = for_each_class(roc_curve, tasks, **kwargs)
        return cls(
            [task.name for task in tasks],
            counts_by_class(tasks),
            part(curves, 0),
            part(curves, 1),
            for_each_class(roc_auc_score, tasks),
        )

    def _draw(self, ax: Any, t: int) -> list[Any]:
        ax.plot([0, 1], [0, 1], linestyle="--", linewidth=1, color="0.6")
        return self._draw_curves(ax, t, self.fpr[t], self.tpr[t], self.roc_auc[t])

    def _subtitle(self, t: int) -> str:
        scores = list(self.roc_auc[t].values())
        mean = "mean " if len(scores) > 1 else ""
        return f"{mean}AUC {np.mean(scores):.2f}, {self._n_labels(t)}"
