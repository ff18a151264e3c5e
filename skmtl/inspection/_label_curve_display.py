"""LabelCurveDisplay plots a task's score against its number of labels."""

from typing import Any

import numpy as np

from skmtl.inspection._comparison import mean_or_nan
from skmtl.inspection._label_curve import LabelCurve, label_curve
from skmtl.inspection._result_display import ResultDisplay, drawn_names, log_ticks


class LabelCurveDisplay(ResultDisplay):
    """Plot of a task's score against its number of labels, with and without others.

    The bands show the standard deviation over the splits.

    Parameters
    ----------
    result : LabelCurve
        The result of `label_curve`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    label_curve : The function that computes the result.

    Examples
    --------
    Compare and plot in one call:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import LabelCurveDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier((8,), n_members=1, max_iter=3)
    >>> display = LabelCurveDisplay.from_estimator(
    ...     clf, X, X > 0, "task_0", n_labels=[5, 20], cv=2
    ... )
    >>> display.ax_.get_xlabel()
    "labels of task 'task_0'"
    """

    _inspect = staticmethod(label_curve)
    _result_class = LabelCurve

    def _draw(self, ax: Any) -> None:
        curve = self.result
        for scores, label, color, marker in [
            (curve.joint_scores, "with the other tasks", "#0072B2", "o"),
            (curve.alone_scores, "alone", "#D55E00", "s"),
        ]:
            mean = mean_or_nan(scores, axis=0)
            spread = np.sqrt(mean_or_nan((scores - mean) ** 2, axis=0))
            low, high = mean - spread, mean + spread
            ax.fill_between(curve.n_labels, low, high, color=color, alpha=0.2)
            ax.plot(curve.n_labels, mean, label=label, color=color, marker=marker)
        log_ticks(ax, curve.n_labels)
        (name,) = drawn_names([curve.task_name])
        ax.set(xlabel=f"labels of task '{name}'", ylabel=curve.scoring)
        ax.legend()
