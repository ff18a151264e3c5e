"""TaskAffinityDisplay: which tasks pull the shared layers the same way."""

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
    """Affinities of all pairs of tasks as a heat map, similar tasks side by side.

    Blue is where tasks pull the same way, or where a step for the task of the row
    lowers the loss of the task of the column; red is the opposite. What is undefined,
    and a task beside itself, is grey. Tasks are in the order of the leaves of a
    hierarchical clustering.

    Parameters
    ----------
    result : TaskAffinity
        What `task_affinity` found.

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
    task_affinity : The numbers.

    Examples
    --------
    Fit and draw in one call:

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
        """Draw one of the measures.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        kind : {"lookahead", "cosine", "colabelled_cosine"}, default="lookahead"
            Which attribute of the result to draw.

        Returns
        -------
        display : TaskAffinityDisplay
            The display itself.
        """
        if kind not in _TITLES:
            raise ValueError(f"kind must be one of {list(_TITLES)}; got {kind!r}.")
        self._kind = kind
        return super().plot(ax)

    def _figure_size(self) -> tuple[float, float]:
        names = drawn_names(self.result.task_names)
        side = 3 + 0.3 * min(len(names), _MOST_NAMES)
        if len(names) <= _MOST_NAMES:
            side += 0.08 * max(map(len, names))  # inches of a letter
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
        meaning = "share of the loss taken away" if is_lookahead else "cosine"
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
