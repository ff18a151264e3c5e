"""A grid of panels, one for each task, and the tasks that are drawn."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._messages import shorten
from skmtl._targets import read_columns
from skmtl._targets import task_names as names_of_tasks

_PANEL = 3.2  # inches of its sides
_ONLY_PANEL = 4.5


def panel_axes(axes: Any, n_tasks: int) -> NDArray:
    """(n_tasks,): axes, new ones in a grid if there are none."""
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
            f"axes must be {n_tasks}, one for each task that is drawn; got {len(axes)}."
            " Pass as many, or choose the tasks with tasks."
        )
    return axes


def columns_of_grid(n_tasks: int) -> int:
    """Up to four, and more only where matplotlib could not draw so high a figure."""
    if n_tasks <= 3:
        return n_tasks
    side = math.sqrt(n_tasks)
    return max(min(math.ceil(side), 4), math.ceil(side / 4))


def write_in_panel(ax: Any, text: str) -> None:
    """Say why nothing is drawn."""
    ax.set(xticks=[], yticks=[])
    style = {"ha": "center", "va": "center", "transform": ax.transAxes}
    ax.text(0.5, 0.5, text, **style)


def names_for_panels(y: Any, given: Any, known: Iterable | None) -> NDArray:
    """(n_tasks,) of str: the given names, or those of y, or those that are known."""
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
            f"{len(names)}: {shorten(names)}. Correct them."
        )
    return names


def are_named(names: NDArray, only: Any) -> NDArray:
    """(n_tasks,) of bool."""
    given = [only] if isinstance(only, str) or not isinstance(only, Iterable) else only
    given = [str(name) for name in given]
    unknown = sorted(set(given) - set(names))
    if unknown or not given:
        raise ValueError(
            f"tasks must be a name or names of tasks, {shorten(names)}; got "
            f"{shorten(unknown or given)}. Correct them, or use None for all tasks."
        )
    return np.isin(names, given)
