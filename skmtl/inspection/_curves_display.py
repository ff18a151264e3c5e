"""What displays of curves have in common: a panel for each task of classes."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skmtl._messages import shorten, warn
from skmtl._predictions import entries_of, fitted_network, named_task_types
from skmtl._targets import Tasks, read_columns, without_labels
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
_MOST_CLASSES = 6  # in a legend


class CurvesDisplay:
    """Curves of each task of classes, on the rows where it was observed."""

    _axis_names: ClassVar[tuple[str, str]]
    _methods: ClassVar[tuple[str, ...]] = ("predict_proba", "decision_function")
    _needs_two_classes: ClassVar[bool] = True  # that were observed, not only known

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
        """Predict and draw the curves of each task of classes.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with `predict_proba`: one of skmtl, a Pipeline or a
            search around one, or another one that predicts classes.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input, as a rule of rows that were held out.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, with NaN, None or pd.NA where missing.
        tasks : str or list of str, default=None
            Names of the tasks to draw; by default all tasks of classes.
        task_names : array-like of shape (n_tasks,), default=None
            Names of all tasks; by default the columns of `y` if it is a DataFrame, or
            else those that the estimator knows.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.
        axes : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each task; by default a new figure.
        **kwargs : object
            Passed on to the function that computes a curve.

        Returns
        -------
        display : object
            The display, drawn.

        Raises
        ------
        ValueError
            If there is no task of classes, or if the predictions do not fit `y`.

        Warns
        -----
        UndefinedMetricWarning
            If a task has no curve, for want of labels. Its panel says so.
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
        """Draw the curves of each task of classes.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, with NaN, None or pd.NA where missing.
        y_pred : array-like or list of array-like
            Probabilities as `predict_proba` gives them. In a list that has an array
            (n_samples, n_classes) for some of the tasks, entries that are None or have
            one axis are those of tasks of numbers, which are left out.
        classes : list of array-like or dict, default=None
            The classes of each task, as `classes_` of an estimator, or by the names of
            the tasks. Without it they are the classes in `y_true`.
        tasks : str or list of str, default=None
            Names of the tasks to draw; by default all tasks of classes.
        task_names : array-like of shape (n_tasks,), default=None
            Names of all tasks; by default the columns of `y_true` if it is a DataFrame.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.
        axes : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each task; by default a new figure.
        **kwargs : object
            Passed on to the function that computes a curve.

        Returns
        -------
        display : object
            The display, drawn.

        Raises
        ------
        ValueError
            If there is no task of classes, if the predictions do not fit `y_true`, or
            if labels come instead of probabilities.

        Warns
        -----
        UndefinedMetricWarning
            If a task has no curve, for want of labels. Its panel says so.
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
        """Draw a panel for each task.

        Parameters
        ----------
        axes : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each task; by default a new figure.

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
            f"For {cls.__name__}, {type(estimator).__name__} must have one of the "
            f"methods {list(cls._methods)}. Choose another estimator; for numbers "
            "there is MultiTaskPredictionErrorDisplay."
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
        """In words, with the positives of a binary task."""
        counts = list(self.class_counts[t].values())
        if len(counts) == 2:
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
        """A curve for each class; thin ones if there are several."""
        is_binary = len(self.class_counts[t]) == 2
        style |= {"color": COLOUR} if is_binary else {"linewidth": 1}
        lines = [ax.plot(x[label], y[label], **style)[0] for label in x]
        if is_binary:
            name_positive_class(ax, lines, self.class_counts[t])
        elif len(lines) <= _MOST_CLASSES:
            names = zip(drawn_names(x), scores.values(), strict=True)
            _add_legend(ax, lines, [f"{name}: {score:.2f}" for name, score in names])
        return lines


def name_positive_class(ax: Any, lines: list[Any], classes: Iterable[Any]) -> None:
    """A legend, unless it is 1 or True."""
    positive = list(classes)[-1]
    if positive != 1:
        _add_legend(ax, lines, [f"positive: {drawn_names([positive])[0]}"])


def _add_legend(ax: Any, lines: list[Any], texts: list[str]) -> None:
    numbers = [str(i) for i in range(len(lines))]
    legend = ax.legend(lines, numbers, fontsize="x-small")
    # Only now, since labels that begin with "_" are left out of a legend.
    for drawn, text in zip(legend.get_texts(), texts, strict=True):
        drawn.set_text(text)


def counts_by_class(tasks: list[Task]) -> list[dict[Any, int]]:
    """The number of observed labels of all classes of each task."""
    return [
        {label: int((task.y == label).sum()) for label in task.classes.tolist()}
        for task in tasks
    ]


def for_each_class(
    function: Callable, tasks: list[Task], **kwargs: Any
) -> list[dict[Any, Any]]:
    """What a metric function of labels of 0 and 1 gives for each class that is drawn.

    That is the greater of two, or each of several that was observed, against the rest;
    none where there are no labels of two classes.
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
    if not task.has_two_classes:
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
    """`fitted` are the tasks that the predictions are of, if known."""
    columns, own_names, _ = read_columns(y_true)
    if fitted is None:
        are_numbers = _are_numbers(y_pred, len(columns[0].observed), len(columns))
    else:
        are_numbers = fitted.are_numbers
    is_drawn = ~are_numbers if only is None else are_named(names, only)
    of_numbers = names[is_drawn & are_numbers]
    if len(of_numbers) or not is_drawn.any():
        raise ValueError(
            "A task must have classes for its curve to be drawn; got "
            f"{shorten(of_numbers if len(of_numbers) else names)}, which have numbers. "
            "Leave them out, or use MultiTaskPredictionErrorDisplay."
        )
    if are_numbers.any():  # what is None is left out
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
    """(n_tasks,) of bool: tasks without probabilities of their classes."""
    entries = entries_of(y_pred, n_samples, n_tasks)
    if entries is None:
        return np.zeros(n_tasks, dtype=bool)
    n_axes = [0 if entry is None else np.ndim(entry) for entry in entries]
    return np.array([n == 0 or n < max(n_axes) for n in n_axes])


def _name_outer_axes(axes: NDArray) -> None:
    """Of a grid whose panels have the same axes."""
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
        " They have no observed label, here or in fit, or labels of one class. Pass "
        "more rows, or choose the tasks to draw with tasks.",
        UndefinedMetricWarning,
    )
