"""Ridge regressions on the raw columns, averaged with the network's numbers.

A network reads the ranks of a column, and clips its tails. A linear function of the
values themselves follows numbers with long tails better. `skmtl._estimators._fit_ridge`
fits the regressions.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skmtl._network._banks import parameter_device
from skmtl._network._columns import ColumnEncoder
from skmtl._outputs import OutputGroup, predicted_means


class RidgePart(nn.Module):
    """Prediction of task t: share[t] * network + inputs @ weight[:, t] + bias[t].

    The inputs are standardised numbers, indicators of missing numbers and, if there are
    few of them, indicators of categories. All numbers are on the standardised scales of
    the tasks. Tasks without a linear part have a share of 1 and weights of 0.
    """

    # float64, since raw columns can have any scale.
    center: Tensor  # (n_numbers,)
    scale: Tensor  # (n_numbers,)
    low: Tensor  # (n_numbers,), standardised: smaller numbers are clipped
    high: Tensor  # (n_numbers,)
    weight: Tensor  # (n_inputs, n_tasks)
    bias: Tensor  # (n_tasks,)
    share: Tensor  # (n_tasks,)

    def __init__(
        self, encoder: ColumnEncoder | None, n_features: int, n_tasks: int
    ) -> None:
        super().__init__()
        n_numbers = n_features if encoder is None else len(encoder.numeric)
        n_inputs = n_numbers
        if encoder is not None:
            n_inputs += len(encoder.missing) + encoder.n_indicators
        sizes: dict[str, tuple[int, ...]] = {
            "center": (n_numbers,),
            "scale": (n_numbers,),
            "low": (n_numbers,),
            "high": (n_numbers,),
            "weight": (n_inputs, n_tasks),
            "bias": (n_tasks,),
            "share": (n_tasks,),
        }
        for name, size in sizes.items():
            empty = torch.empty(size, dtype=torch.float64, device=parameter_device())
            self.register_buffer(name, empty)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # Only the device changes: in another precision, raw columns would be rounded.
        device = fn(self.share).device
        return super()._apply(lambda tensor: tensor.to(device), recurse)

    def learn_inputs(self, x: Tensor, encoder: ColumnEncoder | None) -> None:
        """Learn from the training rows how numbers are standardised and clipped.

        Numbers outside the range of a column in training are clipped where they are
        farther away than the width of this range.
        """
        numbers = _numbers(x, encoder)
        is_missing = numbers.isnan()
        n_known = (~is_missing).sum(0).clamp(min=1)
        # The squares of large numbers would overflow.
        unit = numbers.abs().nan_to_num(0.0).amax(0).clamp(min=1e-300)
        scaled = numbers / unit
        mean = scaled.nan_to_num(0.0).sum(0) / n_known
        squares = (scaled - mean).square().nan_to_num(0.0).sum(0) / n_known
        deviation = squares.sqrt()
        self.center = mean * unit
        self.scale = torch.where(deviation > 0, deviation * unit, 1.0)
        z = self._standardised(numbers).nan_to_num(0.0)
        # A column that does not vary gives 0, for any new number too.
        z.mul_(deviation > 0)
        low, high = z.amin(0), z.amax(0)
        self.low, self.high = low - (high - low), high + (high - low)

    def inputs(self, x: Tensor, encoder: ColumnEncoder | None) -> Tensor:
        """(batch, n_features) -> (batch, n_inputs); a missing number gives 0."""
        numbers = _numbers(x, encoder)
        z = self._standardised(numbers).clamp(self.low, self.high)
        parts = [z.nan_to_num(0.0)]
        if encoder is not None:
            parts.append(numbers.isnan()[:, encoder.missing].to(z))
            if encoder.n_indicators:
                encoded = encoder(x, 0.0, None).numbers
                parts.append(encoded[:, -encoder.n_indicators :].to(z))
        return torch.cat(parts, dim=1)

    def _standardised(self, numbers: Tensor) -> Tensor:
        # Divide before taking the difference, which could overflow.
        return numbers / self.scale - self.center / self.scale

    def add_to(
        self,
        logits: Tensor,
        x: Tensor,
        encoder: ColumnEncoder | None,
        groups: Sequence[OutputGroup],
    ) -> None:
        """Replace the network's predictions of numbers by the average, in place."""
        line = self.inputs(x, encoder) @ self.weight + self.bias
        for group in groups:
            means = predicted_means(logits, group)
            if means is not None:
                tasks = list(group.tasks)
                means.mul_(self.share[tasks]).add_(line[:, tasks])

    def of_tasks(self, positions: Sequence[int]) -> "RidgePart":
        """The ridge part of other tasks: those at these positions, -1 for new ones."""
        part = copy.deepcopy(self)
        own_tasks = torch.tensor(positions, device=self.share.device)
        is_new, own_tasks = own_tasks < 0, own_tasks.clamp(min=0)
        part.weight = self.weight.index_select(1, own_tasks).masked_fill(is_new, 0.0)
        part.bias = self.bias.index_select(0, own_tasks).masked_fill(is_new, 0.0)
        part.share = self.share.index_select(0, own_tasks).masked_fill(is_new, 1.0)
        return part


def _numbers(x: Tensor, encoder: ColumnEncoder | None) -> Tensor:
    x = x.to(torch.float64)
    return x if encoder is None else x.index_select(1, encoder.numeric)
