"""CapacityCurveDisplay: the gain from joint training against the size of the trunk."""

from typing import Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skmtl.inspection._capacity_curve import CapacityCurve, capacity_curve


class CapacityCurveDisplay:
    """The gain from joint training against the number of units of the trunk.

    A thin line per task, and their mean with its confidence interval.

    Parameters
    ----------
    curve : CapacityCurve
        What `capacity_curve` found.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    capacity_curve : The numbers.

    Examples
    --------
    Compare and draw in one call:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import CapacityCurveDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier(n_members=1, max_iter=3)
    >>> display = CapacityCurveDisplay.from_estimator(clf, X, X > 0, sizes=[2, 8], cv=2)
    >>> display.ax_.get_xlabel()
    'units of the trunk'
    """

    def __init__(self, curve: CapacityCurve) -> None:
        self.curve = curve

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **settings: Any
    ) -> "CapacityCurveDisplay":
        """Compare at several sizes and draw the result.

        Parameters
        ----------
        estimator : MultiTaskNetClassifier, or a Pipeline around one
            The joint network.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples, n_tasks)
            The labels, with NaN, None or pd.NA where missing.
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        **settings : object
            Keyword arguments of `capacity_curve`.

        Returns
        -------
        display : CapacityCurveDisplay
            The display, drawn.
        """
        return cls.from_result(capacity_curve(estimator, X, y, **settings), ax=ax)

    @classmethod
    def from_result(
        cls, curve: CapacityCurve, *, ax: Any = None
    ) -> "CapacityCurveDisplay":
        """Draw a result.

        Parameters
        ----------
        curve : CapacityCurve
            What `capacity_curve` found.
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        display : CapacityCurveDisplay
            The display, drawn.
        """
        return cls(curve).plot(ax=ax)

    def plot(self, ax: Any = None) -> "CapacityCurveDisplay":
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        display : CapacityCurveDisplay
            The display itself.
        """
        check_matplotlib_support("CapacityCurveDisplay.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
        columns = ("n_units", "gain", "ci_low", "ci_high")
        units, gain, low, high = (np.asarray(self.curve.table[c]) for c in columns)
        order = np.argsort(units, kind="stable")
        units, gains = units[order], self.curve.gains[order]
        for task, values in enumerate(gains.T):
            label = "each task" if task == 0 else None
            ax.plot(units, values, color="0.7", linewidth=0.8, label=label)
        first = self.curve.results[0]
        level = f"{100 * first.confidence:.0f} %"
        ax.fill_between(units, low[order], high[order], color="#0072B2", alpha=0.2)
        ax.plot(
            units,
            gain[order],
            color="#0072B2",
            marker="o",
            label=f"mean of the tasks, {level} interval",
        )
        ax.axhline(0.0, color="black", linewidth=0.8)
        ax.set_xscale("log", base=2)
        ax.set_xticks(units, [str(n) for n in units])
        ax.set(
            xlabel="units of the trunk",
            ylabel=f"gain in {first.scoring}\nof joint training",
        )
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
