"""TrainingCurveDisplay plots the loss and validation loss of each epoch."""

from typing import Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from skmtl.inspection._comparison import mean_or_nan, parameter_prefix
from skmtl.inspection._result_display import drawn_names

_MOST_NAMES = 10  # task names in the legend


class TrainingCurveDisplay:
    """Plot of the training loss and, with early stopping, the validation loss.

    The two losses have separate axes, because they are not comparable. The training
    loss is the sum over the tasks, with the L2 term and with dropout. The validation
    loss is the mean over the tasks, without either.

    Parameters
    ----------
    loss_curve : list of float
        The training loss of each epoch.
    task_validation_scores : ndarray of shape (n_epochs, n_tasks) or None
        The negative mean loss on the held-out labels of each task.
    task_names : ndarray of shape (n_tasks,)
        The names of the tasks.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        One axes, or two with a validation loss, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    skmtl.MultiTaskNetClassifier : An estimator with `loss_curve_` and
        `task_validation_scores_`.

    Examples
    --------
    Plot the curves of a fitted network:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import TrainingCurveDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier(max_iter=5, early_stopping=True, random_state=0)
    >>> display = TrainingCurveDisplay.from_estimator(clf.fit(X, X > 0), per_task=True)
    >>> len(display.axes_)
    2
    """

    def __init__(
        self, loss_curve: list[float], task_validation_scores: Any, task_names: Any
    ) -> None:
        self.loss_curve = loss_curve
        self.task_validation_scores = task_validation_scores
        self.task_names = task_names

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, per_task: bool = False, axes: Any = None
    ) -> "TrainingCurveDisplay":
        """Plot the curves of a fitted network.

        Parameters
        ----------
        estimator : skmtl estimator, or a Pipeline around one
            The fitted network.
        per_task : bool, default=False
            Whether to also plot the validation loss of each task.
        axes : matplotlib Axes or sequence of two, default=None
            Axes to draw on; by default those of a new figure.

        Returns
        -------
        display : TrainingCurveDisplay
            The plotted display.
        """
        prefix = parameter_prefix(estimator).removesuffix("__")
        network = estimator.get_params()[prefix] if prefix else estimator
        check_is_fitted(network)
        display = cls(
            network.loss_curve_, network.task_validation_scores_, network.task_names_
        )
        return display.plot(per_task=per_task, axes=axes)

    def plot(
        self, *, per_task: bool = False, axes: Any = None
    ) -> "TrainingCurveDisplay":
        """Plot the curves.

        Parameters
        ----------
        per_task : bool, default=False
            Whether to also plot the validation loss of each task.
        axes : matplotlib Axes or sequence of two, default=None
            Axes to draw on; by default those of a new figure.

        Returns
        -------
        display : TrainingCurveDisplay
            The display itself.
        """
        check_matplotlib_support("TrainingCurveDisplay.plot")
        import matplotlib.pyplot as plt

        validates = self.task_validation_scores is not None
        if per_task and not validates:
            raise ValueError(
                "per_task=True needs the validation loss of each task, but the network "
                "was fitted with early_stopping=False and has none. Fit it with "
                "early_stopping=True."
            )
        n_axes = 1 + validates
        if axes is None:
            size = (4.5 * n_axes + 2 * per_task, 4)
            _, axes = plt.subplots(1, n_axes, figsize=size, layout="constrained")
        axes = np.atleast_1d(axes)
        if len(axes) != n_axes:
            raise ValueError(
                f"axes must be {n_axes} axes, one for the training loss and one for "
                f"the validation loss if there is one; got {len(axes)}. Pass as many."
            )
        epochs = np.arange(1, len(self.loss_curve) + 1)
        axes[0].plot(epochs, self.loss_curve, color="#0072B2")
        axes[0].set(xlabel="epoch", ylabel="training loss (sum over tasks)")
        if validates:
            self._plot_validation(axes[1], epochs, per_task)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _plot_validation(self, ax: Any, epochs: Any, per_task: bool) -> None:
        losses = -self.task_validation_scores
        epochs = epochs[len(epochs) - len(losses) :]  # epochs of the last fit
        is_scored = ~np.isnan(losses).all(axis=0)
        names = self.task_names[is_scored]
        losses = losses[:, is_scored]
        is_named = per_task and len(names) <= _MOST_NAMES
        lines = []
        if per_task:
            style: dict[str, Any] = {} if is_named else {"color": "0.7"}
            lines = ax.plot(epochs, losses, linewidth=0.8, **style)
        if is_named:
            for line, name in zip(lines, drawn_names(names), strict=True):
                line.set_label(name)
        mean = mean_or_nan(losses, axis=1)
        lines += ax.plot(
            epochs, mean, color="black", linewidth=2, label="mean over tasks"
        )
        if losses.size:
            best = int(mean.argmin())
            lines += ax.plot(
                epochs[best],
                mean[best],
                color="#D55E00",
                marker="o",
                linestyle="none",
                label=f"best, epoch {epochs[best]}",
            )
        ax.set(xlabel="epoch", ylabel="validation loss")
        if is_named:
            _legend_beside(ax, lines)
        else:
            ax.legend()


def _legend_beside(ax: Any, lines: list[Any]) -> None:
    """Add a legend to the right of the axes."""
    numbers = [str(i) for i in range(len(lines))]
    legend = ax.legend(lines, numbers, loc="upper left", bbox_to_anchor=(1, 1))
    # Set the texts only now, because a legend leaves out labels that begin with "_".
    for text, line in zip(legend.get_texts(), lines, strict=True):
        text.set_text(line.get_label())
