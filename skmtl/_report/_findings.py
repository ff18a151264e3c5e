"""All numbers of a report, before they become text."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmtl._report._held_out import HeldOut, TaskHeldOut
from skmtl._report._importance import Importances
from skmtl.inspection import LabelReport, ModelComparison


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
        n_tasks, n_drawn = len(self.tasks), self.max_plots
        if n_tasks <= n_drawn:
            return list(range(n_tasks))
        order = np.argsort(self.main, kind="stable")  # NaN last
        order = order[: max(int(np.isfinite(self.main).sum()), n_drawn)]
        n_high = n_drawn // 2
        chosen = [*order[: n_drawn - n_high], *order[len(order) - n_high :]]
        return sorted(int(t) for t in chosen)

    def left_out(self, what: str) -> str:
        """A sentence on what is not drawn."""
        n_tasks, n_drawn = len(self.tasks), len(self.drawn)
        if n_tasks == n_drawn:
            return ""
        return (
            f"{what} {n_drawn} of {n_tasks} tasks: half of them with the lowest, half "
            "with the highest scores. The tables have all."
        )
