"""TransferGainDisplay: the gain of each task with its interval."""

from typing import Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skmtl.inspection._transfer_gain import VERDICTS, TransferGain, transfer_gain

_MOST_NAMES = 40  # of tasks at the axis
# Of Okabe and Ito's palette, which the colour-blind can tell apart; shapes say it too.
_STYLES = {
    "helps": {"color": "#0072B2", "marker": "^"},
    "hurts": {"color": "#D55E00", "marker": "v"},
    "cannot tell": {"color": "#7F7F7F", "marker": "o"},
}


class TransferGainDisplay:
    """The gain of each task from joint training, with its confidence interval.

    Tasks are sorted by their gain, the greatest on top.

    Parameters
    ----------
    result : TransferGain
        What `transfer_gain` found.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    transfer_gain : The numbers.

    Examples
    --------
    Compare and draw in one call:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import TransferGainDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> display = TransferGainDisplay.from_estimator(
    ...     MultiTaskNetClassifier((8,), n_members=1, max_iter=5),
    ...     X, X > 0, cv=2, n_repeats=1, random_state=0,
    ... )
    >>> display.ax_.get_xlabel()
    'gain in roc_auc_ovr of joint training'
    """

    def __init__(self, result: TransferGain) -> None:
        self.result = result

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        cv: Any = 5,
        scoring: Any = "roc_auc_ovr",
        n_repeats: int = 3,
        n_jobs: int | None = None,
        random_state: Any = None,
        ax: Any = None,
    ) -> "TransferGainDisplay":
        """Compare joint with separate networks and draw the result.

        Parameters
        ----------
        estimator : MultiTaskNetClassifier, or a Pipeline around one
            The joint network.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples, n_tasks)
            The labels, with NaN, None or pd.NA where missing.
        cv : int, splitter or iterable, default=5
            As in `transfer_gain`.
        scoring : str or callable, default="roc_auc_ovr"
            As in `transfer_gain`.
        n_repeats : int, default=3
            As in `transfer_gain`.
        n_jobs : int, default=None
            As in `transfer_gain`.
        random_state : int, RandomState instance or None, default=None
            As in `transfer_gain`.
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        display : TransferGainDisplay
            The display, drawn.
        """
        result = transfer_gain(
            estimator,
            X,
            y,
            cv=cv,
            scoring=scoring,
            n_repeats=n_repeats,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        return cls.from_result(result, ax=ax)

    @classmethod
    def from_result(cls, result: TransferGain, *, ax: Any = None) -> Any:
        """Draw a result.

        Parameters
        ----------
        result : TransferGain
            What `transfer_gain` found.
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        display : TransferGainDisplay
            The display, drawn.
        """
        return cls(result).plot(ax=ax)

    def plot(self, ax: Any = None) -> "TransferGainDisplay":
        """Draw the gains.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        display : TransferGainDisplay
            The display itself.
        """
        check_matplotlib_support("TransferGainDisplay.plot")
        import matplotlib.pyplot as plt

        result = self.result
        gain, low, high = (
            np.asarray(result.table[name]) for name in ("gain", "ci_low", "ci_high")
        )
        order = np.argsort(gain)  # NaN on top
        n_tasks = len(order)
        if ax is None:
            height = 1.5 + 0.25 * min(n_tasks, _MOST_NAMES)
            _, ax = plt.subplots(figsize=(7, height), layout="constrained")
        verdict = np.asarray(result.table["verdict"])[order]
        for said in VERDICTS:
            rows = np.flatnonzero(verdict == said)
            if len(rows):
                tasks = order[rows]
                errors = [gain[tasks] - low[tasks], high[tasks] - gain[tasks]]
                label = f"{said} ({len(rows)})"
                style = {"linestyle": "none", "capsize": 2} | _STYLES[said]
                ax.errorbar(gain[tasks], rows, xerr=errors, label=label, **style)
        ax.axvline(0.0, color="black", linewidth=0.8)
        ax.set(xlabel=f"gain in {result.scoring} of joint training", ylabel="task")
        if n_tasks <= _MOST_NAMES:
            ax.set_yticks(range(n_tasks), result.task_names[order].tolist())
        else:
            ax.set_yticks([])
        ax.set_ylim(-0.7, 1.3 * n_tasks + 0.2)  # room for the legend
        ax.legend(
            loc="upper left",
            ncols=3,
            title=f"Joint training, {100 * result.confidence:.0f} % interval",
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self
