"""What carries over from one call of partial_fit to the next, besides the solver.

k passes over c chunks are k * c calls. Each call runs its share of the learning-rate
schedule. "auto" values are chosen once, for the rows of all chunks.
"""

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

from skmtl._estimators._automatic import LabelledData
from skmtl._estimators._parameters import as_python
from skmtl._training import TrainingPlan


@dataclass(frozen=True)
class Calls:
    """The calls so far, and what the first of them declared."""

    n_calls: int | None = None  # over which the schedule runs; None: constant rate
    n_rows: int | None = None  # of all chunks
    n_done: int = 0
    # What "auto" was chosen for, and the last epoch's loss; None before any label.
    data: LabelledData | None = None
    last_loss: float | None = None

    def next(self, n_calls: Any, n_rows: Any) -> "Calls":
        """The state for a call with these arguments, which the first call fixes."""
        n_calls = _checked("n_calls", n_calls, "the total, passes times chunks")
        n_rows = _checked("n_rows", n_rows, "the total number of rows of all chunks")
        if self.n_done == 0:
            return replace(self, n_calls=n_calls, n_rows=n_rows)
        _check_repeated("n_calls", n_calls, self.n_calls)
        _check_repeated("n_rows", n_rows, self.n_rows)
        if self.n_done == self.n_calls:
            raise ValueError(
                f"partial_fit must be called at most n_calls={self.n_calls} times, as "
                f"declared in the first call, but this is call {self.n_done + 1}: the "
                "learning rate has fallen to 0. Start again with a clone and a larger "
                "n_calls (passes times chunks), or without it, at a constant rate."
            )
        return self

    def labelled_data(self, chunk: LabelledData) -> LabelledData:
        """What the rules for "auto" use, given the data of this call's chunk."""
        if self.n_rows is not None and chunk.n_rows > self.n_rows:
            raise ValueError(
                "n_rows must be the number of rows with labels in all chunks; got "
                f"{self.n_rows}, but this chunk alone has {chunk.n_rows}. Pass the "
                "total, or leave it out."
            )
        if self.data is not None:
            return self.data
        return chunk if self.n_rows is None else replace(chunk, n_rows=self.n_rows)

    def plan(
        self, plan: TrainingPlan, n_rows: int, *, evens_batches: bool
    ) -> TrainingPlan:
        """The plan of this call: one pass over its rows, one share of the schedule."""
        plan = replace(plan, max_iter=min(1, n_rows), last_loss=self.last_loss)
        if evens_batches:
            plan = replace(plan, batch_size=even_batch_size(plan.batch_size, n_rows))
        if self.n_calls is None:
            return replace(plan, learning_rate="constant")
        share = self.n_done / self.n_calls, (self.n_done + 1) / self.n_calls
        return replace(plan, schedule=share)

    def after(self, data: LabelledData, loss: float | None) -> "Calls":
        """The state for the next call; `loss` is None if the chunk had no label."""
        if loss is None:
            return replace(self, n_done=self.n_done + 1)
        plain = {name: as_python(value) for name, value in vars(data).items()}
        data = replace(data, **plain)
        return replace(self, n_done=self.n_done + 1, data=data, last_loss=loss)


def even_batch_size(batch_size: int, n_rows: int) -> int:
    """The smallest size from `batch_size` on whose last batch is at least half full.

    A small batch is a noisy step. A fit has one per epoch, but a pass over chunks has
    one per chunk.
    """
    if n_rows < batch_size:
        return batch_size

    def last_batch(size: int) -> float:
        return min((n_rows % size or size) / size, 0.5)

    return max(range(batch_size, 2 * batch_size), key=last_batch)


def _checked(name: str, given: Any, what: str) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, Integral) or given < 1:
        raise ValueError(
            f"{name} must be a whole number of at least 1, or None; got {given!r}. "
            f"Pass {what}."
        )
    return int(given)


def _check_repeated(name: str, given: int | None, first: int | None) -> None:
    if given not in (None, first):
        raise ValueError(
            f"{name} must be the same as in the first call of partial_fit, {first}; "
            f"got {given}. Leave it out, or start again with a clone."
        )
