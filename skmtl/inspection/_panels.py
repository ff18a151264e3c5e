"""A grid with one panel per task, and the selection of the tasks to draw."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._messages import shorten
from skmtl._targets import read_columns
from skmtl._targets import task_names as names_of_tasks

_PANEL = 3.2  # side length in inches
_ONLY_PANEL = 4.5


def panel_axes(axes: Any, n_tasks: int) -> NDArray:
    """(n_tasks,): the given axes, or new ones in a grid."""
    import matplotlib.pyplot as plt

    if axes is None:
        n_columns = columns_of_grid(n_tasks)
        n_rows = math.ceil(n_tasks / n_columns)
        side = _PANEL if n_tasks > 1 else _ONLY_PANEL
        size = side * n_columns, side * n_rows
        settings: dict[str, Any] = {"squeeze": False, "layout": "constrained"}
        _, grid = plt.subplots(n_rows, n_columns, figsize=size, **settings)
        axes = grid.ravel()
        for ax in axes[n_tasks:]:
            ax.remove()
        return np.asarray(axes[:n_tasks])
    axes = np.ravel(np.asarray(axes, dtype=object))
    if len(axes) != n_tasks:
        raise ValueError(
            f"axes must be {n_tasks} axes, one for each task to draw; got {len(axes)}. "
            "Pass as many, or choose the tasks with the parameter tasks."
        )
    return axes


def columns_of_grid(n_tasks: int) -> int:
    """Up to four, or more if the figure would be too tall for matplotlib."""
    if n_tasks <= 3:
        return n_tasks
    side = math.sqrt(n_tasks)
    return max(min(math.ceil(side), 4), math.ceil(side / 4))


def write_in_panel(ax: Any, text: str) -> None:
    """Write in a panel why nothing is drawn."""
    ax.set(xticks=[], yticks=[])
    style = {"ha": "center", "va": "center", "transform": ax.transAxes}
    ax.text(0.5, 0.5, text, **style)


def names_for_panels(y: Any, given: Any, known: Iterable | None) -> NDArray:
    """(n_tasks,) of str: the given names, or those of y, or the known names."""
    columns, own, _ = read_columns(y)
    names = given
    if names is None:
        names = known if own is None and known is not None else None
    if names is None:
        names = names_of_tasks(own, len(columns))
    names = np.array([str(name) for name in names], dtype=object)
    if len(names) != len(columns):
        raise ValueError(
            f"task_names must name each of the {len(columns)} tasks of y; got "
            f"{len(names)}: {shorten(names)}. Pass one name per task."
        )
    return names


def are_named(names: NDArray, only: Any) -> NDArray:
    """(n_tasks,) of bool: whether a task is named in `only`."""
    given = [only] if isinstance(only, str) or not isinstance(only, Iterable) else only
    given = [str(name) for name in given]
    unknown = sorted(set(given) - set(names))
    if unknown or not given:
        raise ValueError(
            f"tasks must be one or several of the task names {shorten(names)}; got "
            f"{shorten(unknown or given)}. Correct them, or use None for all tasks."
        )
    return np.isin(names, given)
