"""The strata that the splitters balance: classes, and ranks of numbers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmtl._predictions import guess_task_types
from skmtl._targets import N_STRATA, Tasks, TaskTypes, as_codes_by_rank, encode
from skmtl.model_selection._stratify import pairs_of


class Strata(NamedTuple):
    """Codes to stratify by."""

    tasks: Tasks
    codes: NDArray  # (n_samples, n_tasks), -1 where missing
    n_codes: NDArray  # (n_tasks,)

    def pairs(self) -> NDArray:
        """(n_samples, n_tasks): index of the pair of task and code."""
        return pairs_of(self.codes, self.n_codes)


def strata_of(y: Any, n_parts: float, task_types: TaskTypes | None = None) -> Strata:
    """Classes, and quantiles of numbers, few enough for each part to have each of them.

    The smallest part has one in `n_parts` of the rows.
    """
    types = guess_task_types(y) if task_types is None else task_types
    tasks, codes, numbers = encode(y, types)
    if numbers is None:
        return Strata(tasks, codes, tasks.n_codes)
    return Strata(tasks, *binned(tasks, codes, lambda t: numbers[:, t], n_parts))


def binned(
    tasks: Tasks, codes: NDArray, values: Callable[[int], NDArray], n_parts: float
) -> tuple[NDArray, NDArray]:
    """The codes with numbers as bins of their ranks, and how many each task has.

    The bins have at least `n_parts` values if possible. `values` of a task (n_samples,)
    are read where its code is not negative.
    """
    codes = codes.astype(np.int32)  # numbers may need more codes than classes
    n_codes = tasks.n_codes
    for t in np.flatnonzero(tasks.are_numbers).tolist():
        observed = codes[:, t] >= 0
        n_codes[t] = np.clip(int(observed.sum()) // n_parts, 1, N_STRATA)
        known = np.where(observed, values(t).astype(np.float64), np.nan)
        codes[:, t] = as_codes_by_rank(known, int(n_codes[t]))
    return codes, n_codes
