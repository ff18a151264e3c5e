"""All numbers of a report, before they become text."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmtl._report._held_out import HeldOut, TaskHeldOut
from skmtl._report._importance import Importances
from skmtl.inspection import LabelReport, ModelComparison

ENOUGH = 10  # held-out labels of each class, for a score that means something


@dataclass
class Findings:
    """All numbers of a report."""

    held_out: HeldOut
    tasks: list[TaskHeldOut]
    labels: LabelReport
    scores: dict[str, NDArray]
    thresholds: dict[str, NDArray]  # of the binary tasks
    comparison: ModelComparison | None
    importances: Importances | None
    max_plots: int

    @property
    def names(self) -> list[str]:
        """Of the tasks."""
        return [task.name for task in self.tasks]

    @property
    def is_number(self) -> NDArray:
        """(n_tasks,) of bool."""
        return np.array([task.is_number for task in self.tasks])

    @property
    def main(self) -> NDArray:
        """(n_tasks,): ROC AUC or R2."""
        nan = np.full(len(self.tasks), np.nan)
        auc, r2 = self.scores.get("roc_auc", nan), self.scores.get("r2", nan)
        return np.where(self.is_number, r2, auc)

    @property
    def binary(self) -> list[TaskHeldOut]:
        """Tasks that have a threshold."""
        return [task for task in self.tasks if task.is_binary]

    @cached_property
    def drawn(self) -> list[int]:
        """Positions of the tasks with plots."""
        if len(self.tasks) <= self.max_plots:
            return list(range(len(self.tasks)))
        pool = self._worth_drawing()
        order = pool[np.argsort(self.main[pool], kind="stable")].tolist()
        n_high = self.max_plots // 2
        if len(order) > self.max_plots:
            order = order[: self.max_plots - n_high] + order[len(order) - n_high :]
        return sorted(order)

    def _worth_drawing(self) -> NDArray:
        """Positions of tasks whose score means something, or that have one at all."""
        is_scored = np.isfinite(self.main)
        is_sure = is_scored & [task.n_rarest >= ENOUGH for task in self.tasks]
        is_enough = is_sure.sum() >= self.max_plots
        return np.flatnonzero(is_sure if is_enough else is_scored)

    def left_out(self, what: str) -> str:
        """A sentence on what is not drawn."""
        n_tasks, n_drawn, pool = len(self.tasks), len(self.drawn), self._worth_drawing()
        if n_tasks == n_drawn:
            return ""
        if len(pool) == n_drawn:
            return f"{what} {n_drawn} of {n_tasks} tasks: those that have a score."
        return (
            f"{what} {n_drawn} of {n_tasks} tasks: half of them with the lowest, half "
            f"with the highest scores of {len(pool)} tasks that have enough held-out "
            "labels for one. The tables have all."
        )
