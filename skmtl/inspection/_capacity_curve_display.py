"""CapacityCurveDisplay plots the gain from joint training against the trunk size."""

from typing import Any

import numpy as np

from skmtl.inspection._capacity_curve import CapacityCurve, capacity_curve
from skmtl.inspection._result_display import ResultDisplay, log_ticks


class CapacityCurveDisplay(ResultDisplay):
    """Plot of the gain from joint training against the number of units in the trunk.

    Thin lines show the tasks, and a thick line shows their mean with its confidence
    interval. If two sizes have the same number of units, the sizes are spread evenly
    over the axis instead, sorted by units.

    Parameters
    ----------
    result : CapacityCurve
        The result of `capacity_curve`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    capacity_curve : The function that computes the result.

    Examples
    --------
    Compare and plot in one call:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import CapacityCurveDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier(n_members=1, max_iter=3)
    >>> display = CapacityCurveDisplay.from_estimator(clf, X, X > 0, sizes=[2, 8], cv=2)
    >>> display.ax_.get_xlabel()
    'units in the trunk'
    """

    _inspect = staticmethod(capacity_curve)
    _result_class = CapacityCurve

    def _draw(self, ax: Any) -> None:
        columns = ("n_units", "gain", "ci_low", "ci_high")
        units, gain, low, high = (np.asarray(self.result.table[c]) for c in columns)
        order = np.argsort(units, kind="stable")
        units, gains = units[order], self.result.gains[order]
        is_repeated = len(np.unique(units)) < len(units)
        places = np.arange(len(units)) if is_repeated else units
        for task, values in enumerate(gains.T):
            label = "each task" if task == 0 else None
            ax.plot(places, values, color="0.7", linewidth=0.8, label=label)
        first = self.result.results[0]
        level = f"{100 * first.confidence:.0f} %"
        ax.fill_between(places, low[order], high[order], color="#0072B2", alpha=0.2)
        ax.plot(
            places,
            gain[order],
            color="#0072B2",
            marker="o",
            label=f"mean over tasks, {level} interval",
        )
        ax.axhline(0.0, color="black", linewidth=0.8)
        if is_repeated:
            sizes = [str(self.result.hidden_layer_sizes[i]) for i in order]
            ax.set_xticks(places, sizes, rotation=30, ha="right")
        else:
            log_ticks(ax, units)
        ax.set(
            xlabel="layers of the trunk" if is_repeated else "units in the trunk",
            ylabel=f"gain in {first.scoring}\nfrom joint training",
        )
        ax.legend()
