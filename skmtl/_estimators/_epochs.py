"""Reports the epochs of a fit to scikit-learn's callbacks and to the user."""

import math
import time
from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackContext

from skmtl._training import Epoch


class EpochReports:
    """Reports epochs, each of which is one task in the sense of `sklearn.callback`."""

    def __init__(
        self,
        estimator: Any,
        context: CallbackContext,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        is_quiet: bool = False,
    ) -> None:
        self._estimator = estimator
        self._is_verbose = estimator.verbose and not is_quiet
        self._context = context
        self._epoch: CallbackContext | None = None
        self._n_epochs = 0
        self._clock = _Clock()
        self._data = {"estimator": estimator, "X": X, "y": y}
        if sample_weight is not None:
            self._data["metadata"] = {"sample_weight": sample_weight}
        context.call_on_fit_task_begin(**self._data)

    def begin(self, number: int, n_epochs: int) -> None:
        """Announce an epoch, numbered from the start of the fit if it was resumed.

        `n_epochs` is how many epochs there will be, as far as is known.
        """
        self._context.max_subtasks = n_epochs  # for callbacks, too
        for _ in range(self._n_epochs, number + 1):
            epoch = self._context.subcontext(task_name="epoch")
        self._n_epochs = number + 1
        epoch.call_on_fit_task_begin(**self._data)
        self._epoch = epoch
        self._clock.start()

    def end(self, epoch: Epoch, fitted_attributes: Callable[[], dict]) -> bool:
        """Report an epoch; returns True if a callback asks to stop.

        `fitted_attributes` is called only if a callback wants a fitted estimator.
        """
        if self._is_verbose:
            n_epochs = self._context.max_subtasks
            score = epoch.validation_score
            validation = "" if score is None else f", validation score = {score:.6f}"
            print(
                f"Epoch {epoch.number + 1} of {n_epochs}, "
                f"loss = {epoch.loss:.8f}{validation}, "
                f"{self._clock.remaining(n_epochs - epoch.number - 1)} left"
            )
        return self._end_epoch(reconstruction_attributes=fitted_attributes)

    def finish(self, fitted_attributes: Callable[[], dict]) -> None:
        """Report the end of the fit, and of an epoch that an interrupt left open."""
        self._end_epoch()
        self._context.call_on_fit_task_end(
            **self._data, reconstruction_attributes=fitted_attributes
        )

    def _end_epoch(self, **attributes: Any) -> bool:
        if self._epoch is None:
            return False
        epoch, self._epoch = self._epoch, None
        return bool(epoch.call_on_fit_task_end(**self._data, **attributes))


class _Clock:
    """Estimates the time that is left, from the mean time of the epochs so far."""

    def __init__(self) -> None:
        self._started_at: float | None = None
        self._n_done = 0

    def start(self) -> None:
        """Start the clock when the first epoch begins."""
        if self._started_at is None:
            self._started_at = time.perf_counter()

    def remaining(self, n_epochs: int) -> str:
        """The time left after one more epoch, with `n_epochs` to come."""
        self._n_done += 1
        elapsed = time.perf_counter() - (self._started_at or 0.0)
        seconds = math.ceil(elapsed / self._n_done * n_epochs)
        if seconds < 100:
            return f"{seconds} s"
        return f"{seconds // 60} min {seconds % 60} s"
