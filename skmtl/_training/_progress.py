"""The progress of a training: its epochs, when to stop, the best parameters so far."""

import copy
import math
from typing import Literal, NamedTuple, cast

import numpy as np
from torch import Tensor

from skmtl._network import TrunkAndHeads
from skmtl._rows import as_tensor

StoppedBy = Literal["max_iter", "tol", "callback", "interrupt"]


class Epoch(NamedTuple):
    """The results of one pass over the training rows."""

    number: int  # from 0
    loss: float
    # (n_tasks,): minus the mean loss of the held-out labels; NaN for a task without any
    task_scores: np.ndarray | None = None
    main_tasks: tuple[int, ...] | None = None  # the tasks that count; None for all

    @property
    def validation_score(self) -> float | None:
        """Mean over the tasks that count; NaN if none of them has a score."""
        if self.task_scores is None:
            return None
        return mean_score(self.task_scores, self.main_tasks)


def mean_score(task_scores: np.ndarray, main_tasks: tuple[int, ...] | None) -> float:
    """Mean over the tasks that count and have a score; NaN if there is none."""
    if main_tasks is not None:
        task_scores = task_scores[list(main_tasks)]
    scored = task_scores[~np.isnan(task_scores)]
    return float(scored.mean()) if len(scored) else math.nan


def best_validation_score(epochs: list[Epoch], *, by_task: bool) -> float:
    """The best epoch's score or, with `by_task`, the mean of each task's best score."""
    scores = [epoch.task_scores for epoch in epochs if epoch.task_scores is not None]
    if not scores:
        return -math.inf
    main_tasks = epochs[-1].main_tasks
    if by_task:
        return mean_score(np.max(scores, axis=0), main_tasks)
    return max(mean_score(task_scores, main_tasks) for task_scores in scores)


class Progress:
    """The epochs so far, when to stop, and the parameters of the best epoch."""

    def __init__(
        self,
        network: TrunkAndHeads,
        values: list[Tensor],
        *,
        validating: bool,
        main_tasks: tuple[int, ...] | None,
        may_stall: bool,
        tol: float,
        n_iter_no_change: int,
    ) -> None:
        self.values = values  # all parameters
        # Batch statistics belong to the parameters that they were computed with. They
        # are kept by name, since a module can replace the tensor of a buffer.
        self.statistics = [
            (module, name)
            for module in network.modules()
            for name, _ in module.named_buffers(recurse=False)
            if name not in module._non_persistent_buffers_set
        ]
        self.validating = validating
        self.main_tasks = main_tasks
        self.may_stall = may_stall
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.epochs: list[Epoch] = []
        self.stopped_by: StoppedBy | None = None
        self.n_stalled = 0
        self.best = -math.inf
        self.best_values: list[Tensor] | None = None
        self.own_best: _OwnBest | None = None
        if validating and network.n_trunks > 1:
            self.own_best = _OwnBest(network, main_tasks)

    @property
    def current(self) -> list[Tensor]:
        """Parameters and statistics."""
        buffers = [getattr(module, name) for module, name in self.statistics]
        return [*self.values, *buffers]

    def keep_parameters(self) -> None:
        """Keep a copy of the parameters, and from now on of those of better epochs."""
        if self.own_best is None:
            # In one assignment: an interrupt must not leave a mixture of two epochs.
            self.best_values = [values.clone() for values in self.current]

    def update(self, epoch: Epoch) -> None:
        score = epoch.validation_score
        if score is None:
            score = -epoch.loss
        elif self.own_best is not None:
            score = self.own_best.update(cast(np.ndarray, epoch.task_scores), score)
        improved = score >= self.best + self.tol
        self.n_stalled = 0 if improved else self.n_stalled + 1
        if score > self.best:
            self.best = score
            if self.best_values is not None:
                self.keep_parameters()
        self.epochs.append(epoch)

    def has_stalled(self) -> bool:
        """Whether too many epochs have passed without progress."""
        return self.may_stall and self.n_stalled > self.n_iter_no_change

    def state(self) -> dict[str, np.ndarray]:
        """The whole state, except for the reason why the run ended."""
        arrays = {
            "losses": np.array([epoch.loss for epoch in self.epochs]),
            "n_stalled": np.array(self.n_stalled),
            "best": np.array(self.best),
        }
        if self.validating:
            arrays["scores"] = np.array([epoch.task_scores for epoch in self.epochs])
        if self.own_best is not None:
            arrays["own_scores"] = self.own_best.scores
            kept = self.own_best.kept.state_dict()
        else:
            values = self.best_values or []
            kept = {str(i): value for i, value in enumerate(values)}
        kept_arrays = as_arrays(kept)
        return arrays | {f"kept/{name}": kept_arrays[name] for name in kept}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Restore the `state` of another run."""
        scores = state.get("scores", [None] * len(state["losses"]))
        self.epochs = [
            Epoch(number, float(loss), task_scores, self.main_tasks)
            for number, (loss, task_scores) in enumerate(
                zip(state["losses"], scores, strict=True)
            )
        ]
        self.n_stalled, self.best = int(state["n_stalled"]), float(state["best"])
        kept = as_tensors(
            {
                name.removeprefix("kept/"): array
                for name, array in state.items()
                if name.startswith("kept/")
            }
        )
        if self.own_best is not None:
            self.own_best.scores = state["own_scores"].copy()
            self.own_best.kept.load_state_dict(kept)
        elif self.best_values is not None:
            values = [kept[str(i)] for i in range(len(self.best_values))]
            _copy(self.best_values, values)

    def restore_best(self) -> None:
        if self.own_best is not None:
            self.own_best.restore()
        elif self.best_values is not None:
            _copy(self.current, self.best_values)


class _OwnBest:
    """Separate networks, each from the epoch that was best for its task.

    A task without a score uses the mean score of the others.
    """

    def __init__(
        self, network: TrunkAndHeads, main_tasks: tuple[int, ...] | None
    ) -> None:
        self.network, self.main_tasks = network, main_tasks
        self.kept = copy.deepcopy(network)
        self.scores = np.full(len(network.architecture.outputs), -math.inf)

    def update(self, scores: np.ndarray, mean: float) -> float:
        """Keep the tasks that have improved; returns the mean of the best scores."""
        is_scored = ~np.isnan(scores)
        scores = np.where(is_scored, scores, mean)
        for task in np.flatnonzero(scores > self.scores).tolist():
            self.kept.take_task(task, self.network, task)
        self.scores = np.maximum(self.scores, scores)
        return mean_score(np.where(is_scored, self.scores, np.nan), self.main_tasks)

    def restore(self) -> None:
        for task in range(len(self.scores)):
            self.network.take_task(task, self.kept, task)


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


def as_arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def as_tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: as_tensor(array) for name, array in arrays.items()}
