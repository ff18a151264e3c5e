"""MultiTaskPredictionErrorDisplay: predicted against observed numbers, task by task."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import PredictionErrorDisplay
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skmtl._predictions import entries_of, fitted_network, guess_task_types
from skmtl._targets import TaskTypes, named_tasks, read_columns, shorten, task_names
from skmtl.inspection._result_display import drawn_names
from skmtl.metrics._by_type import Metrics, types_of_fitted
from skmtl.metrics._metric import resolve_metric, score_task
from skmtl.metrics._task import Task
from skmtl.metrics._tasks import observed_tasks

_KINDS = ("actual_vs_predicted", "residual_vs_predicted")
_MOST_COLUMNS = 4
_PANEL = 3.2, 3.2  # inches


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
        The R2 of each task on all its observed values, NaN for fewer than two.
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
            Whether to draw observed values, or what the prediction lacks of them.
        tasks : str or list of str, default=None
            Names of the tasks to draw; by default all tasks of numbers.
        task_names : array-like of shape (n_tasks,), default=None
            Names of all tasks; by default the columns of `y` if it is a DataFrame.
        axes : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each task; by default a new figure.
        random_state : int, RandomState instance or None, default=None
            Seed of the choice of rows.
        subsample : float, int or None, default=1000
            The number, or the share, of the observed values of a task that are drawn;
            None for all of them. R2 is that of all.

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
        observed = _observed(
            y,
            estimator.predict(X),
            tasks,
            task_names,
            None if known is None else types_of_fitted(known, y),
            known,
        )
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
            Whether to draw observed values, or what the prediction lacks of them.
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
            The number, or the share, of the observed values of a task that are drawn;
            None for all of them. R2 is that of all.

        Returns
        -------
        display : MultiTaskPredictionErrorDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is no task of numbers, or if the predictions do not fit `y_true`.
        """
        return cls(*_observed(y_true, y_pred, tasks, task_names, None, None)).plot(
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
            Whether to draw observed values, or what the prediction lacks of them.
        axes : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each task; by default a new figure.
        random_state : int, RandomState instance or None, default=None
            Seed of the choice of rows.
        subsample : float, int or None, default=1000
            The number, or the share, of the observed values of a task that are drawn;
            None for all of them. R2 is that of all.

        Returns
        -------
        display : MultiTaskPredictionErrorDisplay
            The display itself.
        """
        check_matplotlib_support("MultiTaskPredictionErrorDisplay.plot")
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {list(_KINDS)}; got {kind!r}.")
        self.axes_ = _check_axes(axes, len(self.task_names))
        self.figure_ = self.axes_[0].figure
        names = drawn_names(self.task_names)
        for ax, name, r2 in zip(self.axes_, names, self.r2_, strict=True):
            ax.set_title(name if np.isnan(r2) else f"{name}, R2 = {r2:.2f}")
        settings = {"kind": kind, "random_state": random_state, "subsample": subsample}
        self.displays_ = [
            PredictionErrorDisplay.from_predictions(true, predicted, ax=ax, **settings)
            if len(true)
            else None
            for ax, true, predicted in zip(
                self.axes_, self.y_true, self.y_pred, strict=True
            )
        ]
        return self
