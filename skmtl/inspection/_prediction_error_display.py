"""MultiTaskPredictionErrorDisplay plots observed against predicted numbers."""

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
    """Observed against predicted numbers, one panel per task.

    Each panel is a scikit-learn `PredictionErrorDisplay` of the observed rows of the
    task. Its title shows the name of the task and its R2.

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
        The R2 of each task on all its observed values, after `plot`; NaN without two
        different values.
    displays_ : list of PredictionErrorDisplay or None
        The display of each panel, after `plot`; None for a task without observed
        values.
    axes_ : ndarray of matplotlib Axes of shape (n_tasks,)
        The axes of the panels, after `plot`.
    figure_ : matplotlib Figure
        The figure, after `plot`.

    See Also
    --------
    skmtl.metrics.multitask_report : A table with the errors of each task.
    sklearn.metrics.PredictionErrorDisplay : The display for a single task.

    Examples
    --------
    Two numeric tasks, each with a third of its labels missing:

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
        """Predict with an estimator and plot the errors of each numeric task.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator that predicts numbers: a skmtl estimator, a Pipeline or a
            search around one, or any other regressor.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data, usually of held-out rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true values. Missing labels are NaN, None or pd.NA.
        kind : {"actual_vs_predicted", "residual_vs_predicted"}, \
                default="actual_vs_predicted"
            Whether to plot the observed values or the residuals (observed minus
            predicted) against the predicted values.
        tasks : str or list of str, default=None
            Names of the tasks to plot; by default all numeric tasks. For an estimator
            from another package, as in `from_predictions`.
        task_names : array-like of shape (n_tasks,), default=None
            Names of all tasks; by default the column names of `y` if it is a DataFrame.
        axes : matplotlib Axes or sequence of them, default=None
            Axes to draw on, one for each task; by default those of a new figure.
        random_state : int, RandomState instance or None, default=None
            Seed for the choice of rows.
        subsample : float, int or None, default=1000
            Number or fraction of the observed values of each task to plot; None means
            all of them. R2 is always computed from all of them.

        Returns
        -------
        display : MultiTaskPredictionErrorDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If there is no numeric task, or if the predictions do not match `y`.
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
        """Plot the errors of each numeric task from predictions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true values. Missing labels are NaN, None or pd.NA.
        y_pred : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
            The output of `predict`, or a list with an entry of shape (n_samples,) for
            each task.
        kind : {"actual_vs_predicted", "residual_vs_predicted"}, \
                default="actual_vs_predicted"
            Whether to plot the observed values or the residuals (observed minus
            predicted) against the predicted values.
        tasks : str or list of str, default=None
            Names of the tasks to plot, which must be numeric. By default, these are the
            tasks that have decimals in `y_true` or `y_pred`, or at least 30 different
            whole numbers.
        task_names : array-like of shape (n_tasks,), default=None
            Names of all tasks; by default the column names of `y_true` if it is a
            DataFrame.
        axes : matplotlib Axes or sequence of them, default=None
            Axes to draw on, one for each task; by default those of a new figure.
        random_state : int, RandomState instance or None, default=None
            Seed for the choice of rows.
        subsample : float, int or None, default=1000
            Number or fraction of the observed values of each task to plot; None means
            all of them. R2 is always computed from all of them.

        Returns
        -------
        display : MultiTaskPredictionErrorDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If there is no numeric task, or if the predictions do not match `y_true`.
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
        """Plot one panel per task.

        Parameters
        ----------
        kind : {"actual_vs_predicted", "residual_vs_predicted"}, \
                default="actual_vs_predicted"
            Whether to plot the observed values or the residuals (observed minus
            predicted) against the predicted values.
        axes : matplotlib Axes or sequence of them, default=None
            Axes to draw on, one for each task; by default those of a new figure.
        random_state : int, RandomState instance or None, default=None
            Seed for the choice of rows.
        subsample : float, int or None, default=1000
            Number or fraction of the observed values of each task to plot; None means
            all of them. R2 is always computed from all of them.

        Returns
        -------
        display : MultiTaskPredictionErrorDisplay
            The display itself.
        """
        check_matplotlib_support("MultiTaskPredictionErrorDisplay.plot")
        from matplotlib.ticker import MaxNLocator

        if kind not in _KINDS:
            raise ValueError(
                f"kind must be one of {list(_KINDS)}; got {kind!r}. Pass one of these."
            )
        self.axes_ = panel_axes(axes, len(self.task_names))
        self.figure_ = self.axes_[0].figure
        self.r2_ = np.full(len(self.task_names), np.nan)
        self.displays_: list[PredictionErrorDisplay | None] = []
        names = drawn_names(self.task_names)
        pairs = zip(self.y_true, self.y_pred, strict=True)
        for t, (ax, name, (true, predicted)) in enumerate(
            zip(self.axes_, names, pairs, strict=True)
        ):
            if len(true) and (true != true[0]).any():
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
                for axis in (ax.xaxis, ax.yaxis):  # few ticks, as panels are small
                    axis.set_major_locator(MaxNLocator(4))
            else:
                write_in_panel(ax, "no observed value")
            self.displays_.append(panel)
        return self


def _observed(
    y_true: Any, y_pred: Any, only: Any, names: Any, fitted: Tasks | None
) -> tuple[list[str], list[NDArray], list[NDArray]]:
    """The names of the tasks to draw, their observed values and the predictions.

    `fitted` are the tasks of the predictions, if known.
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
            f"tasks must be numeric tasks; got {shorten(of_classes)}, which have "
            "classes. Leave them out."
        )
    if not is_drawn.any():
        raise ValueError(
            "At least one task must be numeric, but the values of all tasks, "
            f"{shorten(names)}, look like classes. Pass the names of the numeric tasks "
            "as tasks."
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
    """(n_tasks,) of bool: whether the values or the predictions look like numbers."""
    are_numbers = _look_like_numbers(y_true, n_tasks)
    entries = entries_of(y_pred, len(read_columns(y_true)[0][0].observed), n_tasks)
    if entries is None:
        predicted = _look_like_numbers(y_pred, n_tasks)
    else:
        predicted = np.array(
            [np.ndim(part) == 1 and _look_like_numbers(part, 1)[0] for part in entries]
        )
    # A wrong number of tasks raises an error later, when the predictions are read.
    return are_numbers | predicted if len(predicted) == n_tasks else are_numbers


def _look_like_numbers(y: Any, n_tasks: int) -> NDArray:
    types = guess_task_types(y)
    if isinstance(types, str):
        return np.full(n_tasks, types == "number")
    return np.array([task_type == "number" for task_type in types.values()])
