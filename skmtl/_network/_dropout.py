"""Dropout with our own random generators."""

from typing import cast

import torch
from torch import Tensor


class DropoutStock:
    """Dropout factors for the next steps, drawn together.

    For a small layer, the calls take longer than the drawing, and keep other threads
    from running Python. For a large one, the factors would not stay in the cache.
    """

    MAX_STEPS = 16
    MAX_ELEMENTS = 131_072

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.n_steps = 1
        self._factors: dict[tuple[int, float], list[Tensor]] = {}

    def begin(self, n_steps: int) -> None:
        """Start anew before `n_steps` steps, from the state of the generator alone."""
        self.n_steps = min(n_steps, self.MAX_STEPS)
        self._factors.clear()

    def forget(self) -> None:
        """Drop the stock when rates change: unused factors would fill the memory."""
        self._factors.clear()

    def take(self, x: Tensor, rate: float) -> Tensor | None:
        """As `dropout_factors`."""
        if rate == 0:
            return None
        key = x.numel(), rate
        stock = self._factors.setdefault(key, [])
        if not stock:
            n_at_once = max(1, self.MAX_ELEMENTS // max(1, x.numel()))
            n_steps = min(self.n_steps, n_at_once)
            many = x.new_empty(1).expand(n_steps, x.numel())
            factors = dropout_factors(many, rate, self.generator)
            stock.extend(cast(Tensor, factors).unbind())
        return stock.pop().view(x.shape)


def apply_dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Inverted dropout with our own generator; without one, nothing is dropped."""
    keep = dropout_factors(x, rate, generator)
    return x if keep is None else x * keep


def dropout_factors(
    x: Tensor, rate: float, generator: torch.Generator | None
) -> Tensor | None:
    """Factors of inverted dropout, 0 for dropped elements; None without dropout.

    Eight random bits decide on each element, so the rate is rounded to a multiple of
    1/256. The factor for the other elements is exact for that rate. bernoulli_ draws a
    double for each element, which takes twelve times as long.
    """
    if generator is None or rate == 0:
        return None
    n_dropped = min(max(round(rate * 2**8), 1), 2**8 - 1)  # of 2**8 values
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=generator)
    values = words.view(torch.int8)[: x.numel()].view(x.shape)
    # In place, as bytes: torch's comparison to bool takes fourteen times as long, and
    # the conversion of bool five times.
    kept = values.ge_(n_dropped - 2**7)
    return kept.to(x.dtype).mul_(2**8 / (2**8 - n_dropped))
