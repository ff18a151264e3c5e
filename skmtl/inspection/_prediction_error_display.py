"""MultiTaskPredictionErrorDisplay: predicted against observed numbers, task by task."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import PredictionErrorDisplay, r2_score
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skmtl._messages import shorten
from skmtl._predictions import (
    entries_of,
    fitted_network,
    guess_task_types,
    named_task_types,
)
from skmtl._targets import Tasks, read_columns
from skmtl.inspection._panels import (
    are_named,
    names_for_panels,
    panel_axes,
    write_in_panel,
)
from skmtl.inspection._result_display import drawn_names
from skmtl.metrics._by_type import Metrics, check_n_tasks
from skmtl.metrics._metric import resolve_metric
from skmtl.metrics._tasks import observed_tasks

_KINDS = ("actual_vs_predicted", "residual_vs_predicted")


class MultiTaskPredictionErrorDisplay:
    """Observed against predicted numbers, a panel for each task.

    Each panel is scikit-learn's `PredictionErrorDisplay` of the rows in which the task
    was observed, with the name of the task and its R2 as the title.

    Parameters
    ----------
    task_names : list of str
        The names of the tasks.
    y_true : list of ndarray of shape (n_observed,)
        The observed values of each task.
    y_pred : list of ndarray of shape (n_observed,)
        The predictions of these values.

    Attributes
    ----------
    r2_ : ndarray of shape (n_tasks,)
        The R2 of each task on all its observed values, NaN for fewer than two, after
        `plot`.
    displays_ : list of PredictionErrorDisplay or None
        That of each panel, after `plot`; None for a task without any observed value.
    axes_ : ndarray of matplotlib Axes of shape (n_tasks,)
        The axes of the panels, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    skmtl.metrics.multitask_report : Errors as numbers, task by task.
    sklearn.metrics.PredictionErrorDisplay : One panel.

    Examples
    --------
    Two numbers, of which every third is missing:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetRegressor
    >>> from skmtl.inspection import MultiTaskPredictionErrorDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> Y = np.column_stack([X[:, 0] - X[:, 1], 1000 * X[:, 0]])
    >>> Y[::3, 0] = Y[1::3, 1] = np.nan
    >>> reg = MultiTaskNetRegressor((8,), n_members=1, max_iter=3).fit(X, Y)
    >>> display = MultiTaskPredictionErrorDisplay.from_estimator(reg, X, Y)
    >>> [len(values) for values in display.y_true]
    [40, 40]
    """

    def __init__(
        self, task_names: list[str], y_true: list[NDArray], y_pred: list[NDArray]
    ) -> None:
        self.task_names = task_names
        self.y_true = y_true
        self.y_pred = y_pred

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        kind: str = "actual_vs_predicted",
        tasks: Any = None,
        task_names: Any = None,
        axes: Any = None,
        random_state: Any = None,
        subsample: float | int | None = 1000,
    ) -> Self:
        """Predict and draw the errors of each task of numbers.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator that predicts numbers: one of skmtl, a Pipeline or a
            search around one, or another one that predicts several numbers.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input, as a rule of rows that were held out.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true values, with NaN, None or pd.NA where missing.
        kind : {"actual_vs_predicted", "residual_vs_predicted"}, \
                default="actual_vs_predicted"
            Whether to draw the observed values, or the residuals (observed minus
            predicted), against the predicted values.
        tasks : str or list of str, default=None
            Names of the tasks to draw; by default all tasks of numbers. For an
            estimator that is not one of skmtl, as in `from_predictions`.
        task_names : array-like of shape (n_tasks,), default=None
            Names of all tasks; by default the columns of `y` if it is a DataFrame.
        axes : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each task; by default a new figure.
        random_state : int, RandomState instance or None, default=None
            Seed of the choice of rows.
        subsample : float, int or None, default=1000
            Number or share of the observed values of each task to draw; None for all of
            them. R2 is computed from all of them.

        Returns
        -------
        display : MultiTaskPredictionErrorDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is no task of numbers, or if the predictions do not fit `y`.
        """
        fitted = fitted_network(estimator)
        known = None if fitted is None else fitted._tasks
        observed = _observed(y, estimator.predict(X), tasks, task_names, known)
        return cls(*observed).plot(
            kind=kind, axes=axes, random_state=random_state, subsample=subsample
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        kind: str = "actual_vs_predicted",
        tasks: Any = None,
        task_names: Any = None,
        axes: Any = None,
        random_state: Any = None,
        subsample: float | int | None = 1000,
    ) -> Self:
        """Draw the errors of each task of numbers.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true values, with NaN, None or pd.NA where missing.
        y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
            What `predict` gives, or a list with an entry (n_samples,) for each task.
        kind : {"actual_vs_predicted", "residual_vs_predicted"}, \
                default="actual_vs_predicted"
            Whether to draw the observed values, or the residuals (observed minus
            predicted), against the predicted values.
        tasks : str or list of str, default=None
            Names of the tasks to draw, whose values must be numbers. By default these
            are the tasks that have decimals in `y_true` or `y_pred`, or 30 or more
            different whole numbers.
        task_names : array-like of shape (n_tasks,), default=None
            Names of all tasks; by default the columns of `y_true` if it is a DataFrame.
        axes : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each task; by default a new figure.
        random_state : int, RandomState instance or None, default=None
            Seed of the choice of rows.
        subsample : float, int or None, default=1000
            Number or share of the observed values of each task to draw; None for all of
            them. R2 is computed from all of them.

        Returns
        -------
        display : MultiTaskPredictionErrorDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is no task of numbers, or if the predictions do not fit `y_true`.
        """
        return cls(*_observed(y_true, y_pred, tasks, task_names, None)).plot(
            kind=kind, axes=axes, random_state=random_state, subsample=subsample
        )

    def plot(
        self,
        *,
        kind: str = "actual_vs_predicted",
        axes: Any = None,
        random_state: Any = None,
        subsample: float | int | None = 1000,
    ) -> Self:
        """Draw a panel for each task.

        Parameters
        ----------
        kind : {"actual_vs_predicted", "residual_vs_predicted"}, \
                default="actual_vs_predicted"
            Whether to draw the observed values, or the residuals (observed minus
            predicted), against the predicted values.
        axes : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each task; by default a new figure.
        random_state : int, RandomState instance or None, default=None
            Seed of the choice of rows.
        subsample : float, int or None, default=1000
            Number or share of the observed values of each task to draw; None for all of
            them. R2 is computed from all of them.

        Returns
        -------
        display : MultiTaskPredictionErrorDisplay
            The display itself.
        """
        check_matplotlib_support("MultiTaskPredictionErrorDisplay.plot")
        from matplotlib.ticker import MaxNLocator

        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {list(_KINDS)}; got {kind!r}.")
        self.axes_ = panel_axes(axes, len(self.task_names))
        self.figure_ = self.axes_[0].figure
        self.r2_ = np.full(len(self.task_names), np.nan)
        self.displays_: list[PredictionErrorDisplay | None] = []
        names = drawn_names(self.task_names)
        pairs = zip(self.y_true, self.y_pred, strict=True)
        for t, (ax, name, (true, predicted)) in enumerate(
            zip(self.axes_, names, pairs, strict=True)
        ):
            if len(true) > 1:
                self.r2_[t] = r2_score(true, predicted)
                name = f"{name}, R2 = {self.r2_[t]:.2f}"
            ax.set_title(name)
            panel = None
            if len(true):
                panel = PredictionErrorDisplay.from_predictions(
                    true,
                    predicted,
                    kind=kind,
                    ax=ax,
                    random_state=random_state,
                    subsample=subsample,
                )
                for axis in (ax.xaxis, ax.yaxis):  # few ticks, since panels are small
                    axis.set_major_locator(MaxNLocator(4))
            else:
                write_in_panel(ax, "no observed value")
            self.displays_.append(panel)
        return self


def _observed(
    y_true: Any, y_pred: Any, only: Any, names: Any, fitted: Tasks | None
) -> tuple[list[str], list[NDArray], list[NDArray]]:
    """Names of the tasks that are drawn, their observed values and the predictions.

    `fitted` are the tasks that the predictions are of, if known.
    """
    columns, own_names, _ = read_columns(y_true)
    if fitted is not None:
        check_n_tasks(len(columns), fitted)
        are_numbers = fitted.are_numbers
    else:
        are_numbers = _guess_numbers(y_true, y_pred, len(columns))
    names = names_for_panels(y_true, names, None if fitted is None else fitted.names)
    is_drawn = are_numbers if only is None else are_named(names, only)
    of_classes = names[is_drawn & ~are_numbers]
    if fitted is not None and len(of_classes):
        raise ValueError(
            f"tasks must be tasks of numbers; got {shorten(of_classes)}, which have "
            "classes. Leave them out."
        )
    if not is_drawn.any():
        raise ValueError(
            "A task must have numbers to be drawn, but the values look like classes in "
            f"all tasks, {shorten(names)}. Name with tasks those that are numbers."
        )
    metrics = Metrics({"number": resolve_metric("r2", {})}, is_mapping=True)
    observed = observed_tasks(
        metrics,
        y_true,
        lambda _: y_pred,
        types=named_task_types(own_names, are_numbers | is_drawn),
        task_names=names,
        fitted=fitted,
    ).tasks
    drawn = [task for task in observed if is_drawn[task.position]]
    return (
        [task.name for task in drawn],
        [task.y for task in drawn],
        [task.prediction for task in drawn],
    )


def _guess_numbers(y_true: Any, y_pred: Any, n_tasks: int) -> NDArray:
    """(n_tasks,) of bool: whether the values, or the predictions, look like numbers."""
    are_numbers = _look_like_numbers(y_true, n_tasks)
    entries = entries_of(y_pred, len(read_columns(y_true)[0][0].observed), n_tasks)
    if entries is None:
        predicted = _look_like_numbers(y_pred, n_tasks)
    else:
        predicted = np.array(
            [np.ndim(part) == 1 and _look_like_numbers(part, 1)[0] for part in entries]
        )
    # Those of another number of tasks are refused when they are read.
    return are_numbers | predicted if len(predicted) == n_tasks else are_numbers


def _look_like_numbers(y: Any, n_tasks: int) -> NDArray:
    types = guess_task_types(y)
    if isinstance(types, str):
        return np.full(n_tasks, types == "number")
    return np.array([task_type == "number" for task_type in types.values()])
