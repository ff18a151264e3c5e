"""TransferGainDisplay plots the gain of each task with its interval."""

from typing import Any

import numpy as np

from skmtl.inspection._result_display import ResultDisplay, drawn_names
from skmtl.inspection._transfer_gain import VERDICTS, TransferGain, transfer_gain

_MOST_NAMES = 40  # task names on the axis
# From the palette of Okabe and Ito, which colour-blind readers can tell apart. The
# shapes of the markers differ as well.
_STYLES = {
    "helps": {"color": "#0072B2", "marker": "^"},
    "hurts": {"color": "#D55E00", "marker": "v"},
    "cannot tell": {"color": "#7F7F7F", "marker": "o"},
}


class TransferGainDisplay(ResultDisplay):
    """Plot of the gain of each task from joint training, with confidence intervals.

    Tasks are sorted by their gain, with the largest at the top.

    Parameters
    ----------
    result : TransferGain
        The result of `transfer_gain`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    transfer_gain : The function that computes the result.

    Examples
    --------
    Compare and plot in one call:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import TransferGainDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> display = TransferGainDisplay.from_estimator(
    ...     MultiTaskNetClassifier((8,), n_members=1, max_iter=5),
    ...     X, X > 0, cv=2, n_repeats=1, random_state=0,
    ... )
    >>> display.ax_.get_xlabel()
    'gain in roc_auc_ovr from joint training'
    """

    _inspect = staticmethod(transfer_gain)
    _result_class = TransferGain

    def _figure_size(self) -> tuple[float, float]:
        return 7, 1.5 + 0.25 * min(len(self.result.task_names), _MOST_NAMES)

    def _draw(self, ax: Any) -> None:
        result = self.result
        gain, low, high = (
            np.asarray(result.table[name]) for name in ("gain", "ci_low", "ci_high")
        )
        order = np.argsort(gain)  # NaN on top
        n_tasks = len(order)
        verdict = np.asarray(result.table["verdict"])[order]
        for said in VERDICTS:
            rows = np.flatnonzero(verdict == said)
            if len(rows):
                tasks = order[rows]
                errors = [gain[tasks] - low[tasks], high[tasks] - gain[tasks]]
                errors = [side.tolist() for side in errors]  # old matplotlib warns
                label = f"{said} ({len(rows)})"
                style = {"linestyle": "none", "capsize": 2} | _STYLES[said]
                ax.errorbar(gain[tasks], rows, xerr=errors, label=label, **style)
        ax.axvline(0.0, color="black", linewidth=0.8)
        ax.set(xlabel=f"gain in {result.scoring} from joint training", ylabel="task")
        if n_tasks <= _MOST_NAMES:
            ax.set_yticks(range(n_tasks), drawn_names(result.task_names[order]))
        else:
            ax.set_yticks([])
        ax.set_ylim(-0.7, 1.3 * n_tasks + 0.2)  # room for the legend
        ax.legend(
            loc="upper left",
            ncols=3,
            title=f"Joint training, {100 * result.confidence:.0f} % interval",
        )
