"""The state of a solver, as arrays."""

from dataclasses import dataclass

import numpy as np

from skmtl._network import TrunkAndHeads
from skmtl._training._steps import Freeze, TrainingPlan, parameter_groups


@dataclass(frozen=True)
class SolverState:
    """What a later run needs to continue as if there had been no break."""

    solver: str
    freeze: Freeze
    moments: dict[str, list[np.ndarray]]  # of each part, group by group
    generator: np.ndarray  # its state, of uint8

    def suits_plan(self, plan: TrainingPlan) -> bool:
        """Whether the moments are of the same kind and for the same parameters."""
        return self.solver == plan.solver and self.freeze == plan.freeze

    def suits_network(
        self, network: TrunkAndHeads, sizes_of_parts: list[list[int]] | None = None
    ) -> bool:
        """Whether the moments have the sizes of the network's parameters.

        `sizes_of_parts` has the sizes of each part's groups if there are several parts.
        """
        groups = parameter_groups(network, self.freeze)
        sizes = [sum(p.numel() for p in group.parameters) for group in groups]
        sizes_of_parts = sizes_of_parts or [sizes]
        shapes = {
            name: [part.shape for part in parts] for name, parts in self.moments.items()
        }
        if any(p.dtype != np.float32 for parts in self.moments.values() for p in parts):
            return False
        if self.solver == "adam":
            vectors = [(size,) for part in sizes_of_parts for size in part]
            numbers: list[tuple] = [()] * len(vectors)
            return shapes == {"mean": vectors, "square": vectors, "n_steps": numbers}
        if self.solver != "sgd" or set(shapes) != {"velocity"}:
            return False
        # A group has no velocity before it is trained, or without momentum.
        n_groups = len(shapes["velocity"]) // len(sizes_of_parts)
        trained = [(n,) for part in sizes_of_parts for n in part[:n_groups]]
        return shapes["velocity"] == trained
