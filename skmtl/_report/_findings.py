"""All numbers of a report, before they are turned into text."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmtl._report._held_out import HeldOut, TaskHeldOut
from skmtl._report._importance import Importances
from skmtl.inspection import LabelReport, ModelComparison

ENOUGH = 10  # held-out labels of each class, for a meaningful score


@dataclass
class Findings:
    """All numbers of a report."""

    held_out: HeldOut
    tasks: list[TaskHeldOut]
    labels: LabelReport
    scores: dict[str, NDArray]
    thresholds: dict[str, NDArray]  # one value per binary task
    comparison: ModelComparison | None
    importances: Importances | None
    max_plots: int

    @property
    def names(self) -> list[str]:
        """Names of the tasks."""
        return [task.name for task in self.tasks]

    @property
    def is_number(self) -> NDArray:
        """(n_tasks,) of bool: which tasks are numeric."""
        return np.array([task.is_number for task in self.tasks])

    @property
    def main(self) -> NDArray:
        """(n_tasks,): the main score, ROC AUC or R2."""
        nan = np.full(len(self.tasks), np.nan)
        auc, r2 = self.scores.get("roc_auc", nan), self.scores.get("r2", nan)
        return np.where(self.is_number, r2, auc)

    @property
    def binary(self) -> list[TaskHeldOut]:
        """Tasks that have a threshold."""
        return [task for task in self.tasks if task.is_binary]

    @cached_property
    def drawn(self) -> list[int]:
        """Positions of the tasks that are drawn."""
        if len(self.tasks) <= self.max_plots:
            return list(range(len(self.tasks)))
        pool = self._worth_drawing()
        order = pool[np.argsort(self.main[pool], kind="stable")].tolist()
        n_high = self.max_plots // 2
        if len(order) > self.max_plots:
            order = order[: self.max_plots - n_high] + order[len(order) - n_high :]
        return sorted(order)

    def _worth_drawing(self) -> NDArray:
        """Positions of tasks with a meaningful score, or else with any score."""
        is_scored = np.isfinite(self.main)
        is_sure = is_scored & [task.n_rarest >= ENOUGH for task in self.tasks]
        is_enough = is_sure.sum() >= self.max_plots
        return np.flatnonzero(is_sure if is_enough else is_scored)

    def left_out(self, what: str) -> str:
        """Return a sentence that says which tasks are not drawn, or an empty one."""
        n_tasks, n_drawn, pool = len(self.tasks), len(self.drawn), self._worth_drawing()
        if n_tasks == n_drawn:
            return ""
        if len(pool) == n_drawn:
            return f"{what} {n_drawn} of {n_tasks} tasks: those that have a score."
        return (
            f"{what} {n_drawn} of {n_tasks} tasks: those with the lowest and the "
            f"highest scores among {len(pool)} tasks with enough held-out labels for a "
            "score. The tables contain all tasks."
        )
