"""Doubling the number of epochs while the loss of left-out rows falls."""

import math

import numpy as np

# The number doubles if the loss falls by this share from a quarter of the epochs on
# until half of them are over. On numbers with much noise, it then hardly falls.
FALL_TO_DOUBLE = 0.125
# Both losses are means over the last epochs, this share of them, since the loss of few
# rows goes up and down.
SHARE_MEASURED = 1 / 16


class Doubling:
    """How many epochs there will be, as far as is known.

    Half of the epochs become a quarter when the number doubles, so each loss is
    measured once.
    """

    def __init__(self, n_epochs: int, n_left: int) -> None:
        self.n_epochs = n_epochs
        self.n_left = n_left  # how often the number can still double
        self._loss_at_quarter = math.nan
        # Of the losses measured since the last mean.
        self._total, self._n_measured = 0.0, 0

    def needs_loss_after(self, n_done: int) -> bool:
        """Whether the loss of the left-out rows counts after this many epochs."""
        n_before = max(1, int(self.n_epochs * SHARE_MEASURED))
        return self.n_left > 0 and any(
            end - n_before < n_done <= end
            for end in (self.n_epochs // 4, self.n_epochs // 2)
        )

    def update(self, n_done: int, loss: float) -> None:
        """Take note of the loss of the left-out rows after this many epochs."""
        self._total += loss
        self._n_measured += 1
        is_half = n_done == self.n_epochs // 2
        if not is_half and n_done != self.n_epochs // 4:
            return
        mean = self._total / self._n_measured
        if is_half and mean < (1 - FALL_TO_DOUBLE) * self._loss_at_quarter:
            self.n_epochs *= 2
            self.n_left -= 1
        elif is_half:
            self.n_left = 0
        self._loss_at_quarter = mean
        self._total, self._n_measured = 0.0, 0

    def state(self) -> np.ndarray:
        measured = self._loss_at_quarter, self._total, self._n_measured
        return np.array([self.n_epochs, self.n_left, *measured])

    def accepts(self, state: np.ndarray, n_done: int) -> bool:
        """Whether this run can have this `state` after so many epochs."""
        if state.dtype != np.float64 or state.shape != (5,):
            return False
        n_epochs, n_left, possible = self.n_epochs, self.n_left, []
        while n_left > 0 and 0 < n_epochs // 2 <= n_done:
            possible.append((n_epochs, 0))
            n_epochs, n_left = 2 * n_epochs, n_left - 1
        possible.append((n_epochs, n_left))
        is_count = state[4] in range(n_epochs)
        return tuple(state[:2]) in possible and is_count and np.isfinite(state[3])

    def restore(self, state: np.ndarray) -> None:
        """Restore the `state` of another run."""
        self.n_epochs, self.n_left = int(state[0]), int(state[1])
        self._loss_at_quarter, self._total = map(float, state[2:4])
        self._n_measured = int(state[4])
