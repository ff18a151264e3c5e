"""The common base of curve displays, with a panel for each classification task."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skmtl._messages import shorten, warn
from skmtl._predictions import entries_of, fitted_network, named_task_types
from skmtl._targets import Tasks, is_binary, read_columns, without_labels
from skmtl.inspection._panels import (
    are_named,
    columns_of_grid,
    names_for_panels,
    panel_axes,
    write_in_panel,
)
from skmtl.inspection._result_display import drawn_names
from skmtl.metrics._by_type import Metrics, check_n_tasks
from skmtl.metrics._metric import resolve_metric
from skmtl.metrics._report import refuse_labels
from skmtl.metrics._task import Task
from skmtl.metrics._tasks import observed_tasks

COLOUR = "#0072B2"  # of the curve of a binary task
_MOST_CLASSES = 6  # with a legend


class CurvesDisplay:
    """Curves of each classification task on its observed rows."""

    _axis_names: ClassVar[tuple[str, str]]
    _methods: ClassVar[tuple[str, ...]] = ("predict_proba", "decision_function")
    _needs_two_classes: ClassVar[bool] = True  # two observed classes, not only known

    def __init__(
        self, task_names: list[str], class_counts: list[dict[Any, int]]
    ) -> None:
        self.task_names = task_names
        self.class_counts = class_counts

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        tasks: Any = None,
        task_names: Any = None,
        sample_weight: Any = None,
        axes: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Predict with an estimator and plot the curves of each classification task.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with `predict_proba`: a skmtl estimator, a Pipeline or a
            search around one, or any other classifier.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data, usually of held-out rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels. Missing labels are NaN, None or pd.NA.
        tasks : str or list of str, default=None
            Names of the tasks to plot; by default all classification tasks.
        task_names : array-like of shape (n_tasks,), default=None
            Names of all tasks. By default, they are the column names of `y` if it is a
            DataFrame, otherwise the task names of the estimator.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.
        axes : matplotlib Axes or sequence of them, default=None
            Axes to draw on, one for each task; by default those of a new figure.
        **kwargs : object
            Passed to the function that computes the curves.

        Returns
        -------
        display : object
            The plotted display.

        Raises
        ------
        ValueError
            If there is no classification task, or if the predictions do not match `y`.

        Warns
        -----
        UndefinedMetricWarning
            If a task has too few labels for a curve. Its panel says so.
        """
        fitted = fitted_network(estimator)
        known = None if fitted is None else fitted._tasks
        if known is not None:
            check_n_tasks(len(read_columns(y)[0]), known)
            y = without_labels(y, ~fitted._is_labelled)
        if known is None:
            own_names = getattr(estimator, "task_names_", None)
        else:
            own_names = known.names
        observed = _tasks_to_draw(
            y,
            cls._predict(estimator, X),
            only=tasks,
            names=names_for_panels(y, task_names, own_names),
            classes=getattr(estimator, "classes_", None),
            sample_weight=sample_weight,
            fitted=known,
        )
        return cls._from_tasks(observed, **kwargs).plot(axes=axes)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        classes: Any = None,
        tasks: Any = None,
        task_names: Any = None,
        sample_weight: Any = None,
        axes: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the curves of each classification task from predictions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels. Missing labels are NaN, None or pd.NA.
        y_pred : array-like or list of array-like
            Probabilities in the form that `predict_proba` returns. In a list, if the
            entry of a task has shape (n_samples, n_classes), entries that are None or
            have one dimension are those of numeric tasks, which are left out.
        classes : list of array-like or dict, default=None
            The classes of each task, such as `classes_` of an estimator, or a dict with
            task names as keys. By default, they are the classes in `y_true`.
        tasks : str or list of str, default=None
            Names of the tasks to plot; by default all classification tasks.
        task_names : array-like of shape (n_tasks,), default=None
            Names of all tasks; by default the column names of `y_true` if it is a
            DataFrame.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.
        axes : matplotlib Axes or sequence of them, default=None
            Axes to draw on, one for each task; by default those of a new figure.
        **kwargs : object
            Passed to the function that computes the curves.

        Returns
        -------
        display : object
            The plotted display.

        Raises
        ------
        ValueError
            If there is no classification task, if the predictions do not match
            `y_true`, or if `y_pred` has labels instead of probabilities.

        Warns
        -----
        UndefinedMetricWarning
            If a task has too few labels for a curve. Its panel says so.
        """
        observed = _tasks_to_draw(
            y_true,
            y_pred,
            only=tasks,
            names=names_for_panels(y_true, task_names, None),
            classes=classes,
            sample_weight=sample_weight,
        )
        return cls._from_tasks(observed, **kwargs).plot(axes=axes)

    def plot(self, *, axes: Any = None) -> Self:
        """Plot one panel per task.

        Parameters
        ----------
        axes : matplotlib Axes or sequence of them, default=None
            Axes to draw on, one for each task; by default those of a new figure.

        Returns
        -------
        display : object
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        is_grid, n_tasks = axes is None, len(self.task_names)
        self.axes_ = panel_axes(axes, n_tasks)
        self.figure_ = self.axes_[0].figure
        self.lines_: list[list[Any]] = []
        empty = []
        for t, (ax, name) in enumerate(
            zip(self.axes_, drawn_names(self.task_names), strict=True)
        ):
            reason = self._why_empty(t)
            if reason is None:
                ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
                ax.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
                ax.set_title(f"{name}\n{self._subtitle(t)}", fontsize="medium")
                self.lines_.append(self._draw(ax, t))
            else:
                ax.set_title(f"{name}\n", fontsize="medium")
                ax.set_box_aspect(1)
                write_in_panel(ax, reason)
                self.lines_.append([])
                empty.append(self.task_names[t])
            ax.set(xlabel=self._axis_names[0], ylabel=self._axis_names[1])
        if is_grid:
            _name_outer_axes(self.axes_)
        if empty:
            _warn_empty(type(self).__name__, empty, n_tasks)
        return self

    @classmethod
    def _predict(cls, estimator: Any, X: Any) -> Any:
        for method in cls._methods:
            if hasattr(estimator, method):
                return getattr(estimator, method)(X)
        raise AttributeError(
            f"{cls.__name__} needs an estimator with one of the methods "
            f"{list(cls._methods)}, but {type(estimator).__name__} has none. Choose "
            "another estimator, or use MultiTaskPredictionErrorDisplay for numeric "
            "tasks."
        )

    @classmethod
    def _from_tasks(cls, *args: Any, **kwargs: Any) -> Self:
        raise NotImplementedError

    def _draw(self, ax: Any, t: int) -> list[Any]:
        raise NotImplementedError

    def _subtitle(self, t: int) -> str:
        raise NotImplementedError

    def _why_empty(self, t: int) -> str | None:
        counts = self.class_counts[t]
        seen = [label for label, n in counts.items() if n]
        if not seen:
            return "no labels"
        if len(seen if self._needs_two_classes else counts) < 2:
            return f"all {counts[seen[0]]:,} labels\nare {drawn_names(seen)[0]}"
        return None

    def _n_labels(self, t: int) -> str:
        """The number of labels in words, with the positives of a binary task."""
        counts = list(self.class_counts[t].values())
        if is_binary(len(counts)):
            return f"{counts[1]:,} of {sum(counts):,} positive"
        return f"{sum(counts):,} labels"

    def _draw_curves(
        self,
        ax: Any,
        t: int,
        x: dict[Any, NDArray],
        y: dict[Any, NDArray],
        scores: dict[Any, float],
        **style: Any,
    ) -> list[Any]:
        """Draw a curve for each class, thin ones if there are several."""
        is_two = is_binary(len(self.class_counts[t]))
        style |= {"color": COLOUR} if is_two else {"linewidth": 1}
        lines = [ax.plot(x[label], y[label], **style)[0] for label in x]
        if is_two:
            name_positive_class(ax, lines, self.class_counts[t])
        elif len(lines) <= _MOST_CLASSES:
            names = zip(drawn_names(x), scores.values(), strict=True)
            _add_legend(ax, lines, [f"{name}: {score:.2f}" for name, score in names])
        return lines


def name_positive_class(ax: Any, lines: list[Any], classes: Iterable[Any]) -> None:
    """Add a legend with the positive class, unless it is 1 or True."""
    positive = list(classes)[-1]
    if positive != 1:
        _add_legend(ax, lines, [f"positive: {drawn_names([positive])[0]}"])


def _add_legend(ax: Any, lines: list[Any], texts: list[str]) -> None:
    numbers = [str(i) for i in range(len(lines))]
    legend = ax.legend(lines, numbers, fontsize="x-small")
    # Set the texts only now, because a legend leaves out labels that begin with "_".
    for drawn, text in zip(legend.get_texts(), texts, strict=True):
        drawn.set_text(text)


def counts_by_class(tasks: list[Task]) -> list[dict[Any, int]]:
    """The number of observed labels of each class, for each task."""
    return [
        {label: int((task.y == label).sum()) for label in task.classes.tolist()}
        for task in tasks
    ]


def for_each_class(
    function: Callable, tasks: list[Task], **kwargs: Any
) -> list[dict[Any, Any]]:
    """Call a metric function with labels 0 and 1 for each class that is drawn.

    This is the second of two classes, or each observed class of several against the
    rest; there is none if only one class was observed.
    """
    return [
        {
            label: function(is_class, values, sample_weight=task.weight, **kwargs)
            for label, is_class, values in _one_against_the_rest(task)
        }
        for task in tasks
    ]


def part(curves: list[dict[Any, Any]], i: int) -> list[dict[Any, Any]]:
    """One of the arrays of each curve."""
    return [{k: arrays[i] for k, arrays in task.items()} for task in curves]


def _one_against_the_rest(task: Task) -> Iterable[tuple[Any, NDArray, NDArray]]:
    if not task.varies:
        return
    labels, columns = task.classes.tolist(), task.prediction.T
    if task.prediction.ndim == 1:
        labels, columns = labels[-1:], columns[None]
    for label, values in zip(labels, columns, strict=True):
        is_class = (task.y == label).astype(int)
        if is_class.any():
            yield label, is_class, values


def _tasks_to_draw(
    y_true: Any,
    y_pred: Any,
    *,
    only: Any,
    names: NDArray,
    classes: Any,
    sample_weight: Any,
    fitted: Tasks | None = None,
) -> list[Task]:
    """The classification tasks to draw; `fitted` are the tasks of y_pred, if known."""
    columns, own_names, _ = read_columns(y_true)
    if fitted is None:
        are_numbers = _are_numbers(y_pred, len(columns[0].observed), len(columns))
    else:
        are_numbers = fitted.are_numbers
    is_drawn = ~are_numbers if only is None else are_named(names, only)
    of_numbers = names[is_drawn & are_numbers]
    if len(of_numbers) or not is_drawn.any():
        raise ValueError(
            "Only tasks with classes have a curve; got "
            f"{shorten(of_numbers if len(of_numbers) else names)}, which are numeric. "
            "Leave them out, or use MultiTaskPredictionErrorDisplay."
        )
    if are_numbers.any():  # None marks the tasks to leave out
        y_pred = [None if n else p for n, p in zip(are_numbers, y_pred, strict=True)]
    refuse_labels([p for p in y_pred if p is not None] if are_numbers.any() else y_pred)
    metrics = Metrics({"class": resolve_metric("roc_auc_ovr", {})}, is_mapping=True)
    tasks = observed_tasks(
        metrics,
        y_true,
        lambda _: y_pred,
        types=named_task_types(own_names, are_numbers),
        classes=classes,
        sample_weight=sample_weight,
        task_names=names,
        fitted=fitted,
    ).tasks
    return [task for task in tasks if is_drawn[task.position]]


def _are_numbers(y_pred: Any, n_samples: int, n_tasks: int) -> NDArray:
    """(n_tasks,) of bool: whether a task has no probabilities of classes."""
    entries = entries_of(y_pred, n_samples, n_tasks)
    if entries is None:
        return np.zeros(n_tasks, dtype=bool)
    n_axes = [0 if entry is None else np.ndim(entry) for entry in entries]
    return np.array([n == 0 or n < max(n_axes) for n in n_axes])


def _name_outer_axes(axes: NDArray) -> None:
    """Keep axis names and tick labels only on the outer panels of a grid."""
    n_columns = columns_of_grid(len(axes))
    for i, ax in enumerate(axes):
        if i % n_columns:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        if i + n_columns < len(axes):
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)


def _warn_empty(display: str, names: list[str], n_tasks: int) -> None:
    warn(
        f"{display} has no curve for {len(names)} of {n_tasks} tasks: {shorten(names)}."
        " They have no observed label, here or in fit, or labels of one class only. "
        "Pass more rows, or choose the tasks to plot with the parameter tasks.",
        UndefinedMetricWarning,
    )
