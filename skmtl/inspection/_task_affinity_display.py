"""TaskAffinityDisplay plots which tasks pull the shared layers the same way."""

from typing import Any, Self

import numpy as np

from skmtl.inspection._result_display import ResultDisplay, drawn_names
from skmtl.inspection._task_affinity import (
    TaskAffinity,
    cluster_order,
    symmetric,
    task_affinity,
)

_MOST_NAMES = 40
_TITLES = {
    "lookahead": "Lookahead affinity",
    "cosine": "Cosine of gradients",
    "colabelled_cosine": "Cosine of gradients,\nrows with both labels",
}


class TaskAffinityDisplay(ResultDisplay):
    """Heat map of the affinities of all pairs of tasks, with similar tasks together.

    Blue means that the tasks pull the same way, or that a step for the task of the row
    reduces the loss of the task of the column; red means the opposite. Undefined values
    and the diagonal are grey. A hierarchical clustering determines the order of the
    tasks.

    Parameters
    ----------
    result : TaskAffinity
        The result of `task_affinity`.

    Attributes
    ----------
    order_ : ndarray of shape (n_tasks,)
        The tasks from top to bottom, after `plot`.
    ax_ : matplotlib Axes
        The axes, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    task_affinity : The function that computes the result.

    Examples
    --------
    Fit and plot in one call:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import TaskAffinityDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier((8,), n_members=1, max_iter=3)
    >>> display = TaskAffinityDisplay.from_estimator(clf, X, X > 0)
    >>> display.ax_.get_ylabel()
    'step for task'
    """

    _inspect = staticmethod(task_affinity)
    _result_class = TaskAffinity
    _kind = "lookahead"

    def plot(self, ax: Any = None, *, kind: str = "lookahead") -> Self:
        """Plot one of the measures.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; by default those of a new figure.
        kind : {"lookahead", "cosine", "colabelled_cosine"}, default="lookahead"
            The measure to plot, an attribute of the result.

        Returns
        -------
        display : TaskAffinityDisplay
            The display itself.
        """
        if kind not in _TITLES:
            raise ValueError(
                f"kind must be one of {list(_TITLES)}; got {kind!r}. Pass one of these."
            )
        self._kind = kind
        return super().plot(ax)

    def _figure_size(self) -> tuple[float, float]:
        names = drawn_names(self.result.task_names)
        side = 3 + 0.3 * min(len(names), _MOST_NAMES)
        if len(names) <= _MOST_NAMES:
            side += 0.08 * max(map(len, names))  # 0.08 inches per letter
        return side + 1, side

    def _draw(self, ax: Any) -> None:
        affinity = getattr(self.result, self._kind)
        self.order_ = cluster_order(symmetric(affinity))
        shown = affinity[np.ix_(self.order_, self.order_)]
        np.fill_diagonal(shown, np.nan)
        known = np.abs(shown[np.isfinite(shown)])
        limit = known.max() if known.any() else 1.0
        ax.set_facecolor("0.8")
        image = ax.imshow(shown, cmap="RdBu", vmin=-limit, vmax=limit)
        is_lookahead = self._kind == "lookahead"
        meaning = "relative reduction of the loss" if is_lookahead else "cosine"
        ax.figure.colorbar(image, ax=ax, label=meaning)
        ax.set(
            title=_TITLES[self._kind],
            xlabel="loss of task" if is_lookahead else "task",
            ylabel="step for task" if is_lookahead else "task",
        )
        ax.set_xticks([])
        ax.set_yticks([])
        if len(shown) <= _MOST_NAMES:
            names = drawn_names(self.result.task_names[self.order_])
            ax.set_xticks(range(len(names)), names, rotation=90)
            ax.set_yticks(range(len(names)), names)
