"""LabelCurveDisplay: a task's score against its labels, alone and beside others."""

from typing import Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skmtl.inspection._comparison import mean_or_nan
from skmtl.inspection._label_curve import LabelCurve, label_curve


class LabelCurveDisplay:
    """The score of a task against the number of its labels, alone and beside others.

    The band is the standard deviation over the splits.

    Parameters
    ----------
    curve : LabelCurve
        What `label_curve` found.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    label_curve : The numbers.

    Examples
    --------
    Compare and draw in one call:

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

    def __init__(self, curve: LabelCurve) -> None:
        self.curve = curve

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        task: str,
        *,
        ax: Any = None,
        **settings: Any,
    ) -> "LabelCurveDisplay":
        """Compare at several numbers of labels and draw the result.

        Parameters
        ----------
        estimator : MultiTaskNetClassifier, or a Pipeline around one
            The joint network.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples, n_tasks)
            The labels, with NaN, None or pd.NA where missing.
        task : str
            The name of the task.
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        **settings : object
            Keyword arguments of `label_curve`.

        Returns
        -------
        display : LabelCurveDisplay
            The display, drawn.
        """
        return cls.from_result(label_curve(estimator, X, y, task, **settings), ax=ax)

    @classmethod
    def from_result(cls, curve: LabelCurve, *, ax: Any = None) -> "LabelCurveDisplay":
        """Draw a result.

        Parameters
        ----------
        curve : LabelCurve
            What `label_curve` found.
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        display : LabelCurveDisplay
            The display, drawn.
        """
        return cls(curve).plot(ax=ax)

    def plot(self, ax: Any = None) -> "LabelCurveDisplay":
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        display : LabelCurveDisplay
            The display itself.
        """
        check_matplotlib_support("LabelCurveDisplay.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
        curve = self.curve
        for scores, style in [
            (curve.joint_scores, {"color": "#0072B2", "marker": "o"}),
            (curve.alone_scores, {"color": "#D55E00", "marker": "s"}),
        ]:
            is_joint = scores is curve.joint_scores
            mean = mean_or_nan(scores, axis=0)
            spread = np.sqrt(mean_or_nan((scores - mean) ** 2, axis=0))
            low, high = mean - spread, mean + spread
            ax.fill_between(curve.n_labels, low, high, color=style["color"], alpha=0.2)
            label = "beside the other tasks" if is_joint else "alone"
            ax.plot(curve.n_labels, mean, label=label, **style)
        ax.set_xscale("log")
        ax.set_xticks(curve.n_labels, [str(n) for n in curve.n_labels])
        ax.minorticks_off()
        ax.set(xlabel=f"labels of task {curve.task_name!r}", ylabel=curve.scoring)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
