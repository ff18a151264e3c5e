"""Linear models beside the network, whose predictions are averaged with its own.

A network reads the ranks of a column, and clips its tails. A linear function of the
values themselves follows numbers with long tails better, and needs fewer labels.
`skmtl._estimators._fit_ridge` and `skmtl._estimators._fit_logistic` fit the models.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skmtl._network._banks import SparseRows, parameter_device, weighted_sum
from skmtl._network._columns import ColumnEncoder
from skmtl._outputs import OutputGroup, average_logits, predicted_means


class LinearPart(nn.Module):
    """Linear functions of the columns: inputs @ weight + bias.

    The inputs of dense rows are standardised numbers, indicators of missing numbers
    and, if there are few of them, indicators of categories. Those of sparse rows are
    divided by the largest absolute value of a column in training.
    """

    # float64, since raw columns can have any scale.
    center: Tensor  # (n_numbers,)
    scale: Tensor  # (n_numbers,)
    low: Tensor  # (n_numbers,), standardised: smaller numbers are clipped
    high: Tensor  # (n_numbers,)
    weight: Tensor  # (n_inputs, n_outputs)
    bias: Tensor  # (n_outputs,)
    share: Tensor  # (n_tasks,): of the network, 1 for tasks without a linear model

    def __init__(
        self,
        encoder: ColumnEncoder | None,
        n_features: int,
        groups: Sequence[OutputGroup],
    ) -> None:
        super().__init__()
        n_tasks = sum(len(group.tasks) for group in groups)
        n_outputs = sum(map(len, self._outputs_of_tasks(groups).values()))
        n_numbers = n_features if encoder is None else len(encoder.numeric)
        n_inputs = n_numbers
        if encoder is not None:
            n_inputs += len(encoder.missing) + encoder.n_indicators
        sizes: dict[str, tuple[int, ...]] = {
            "center": (n_numbers,),
            "scale": (n_numbers,),
            "low": (n_numbers,),
            "high": (n_numbers,),
            "weight": (n_inputs, n_outputs),
            "bias": (n_outputs,),
            "share": (n_tasks,),
        }
        for name, size in sizes.items():
            empty = torch.empty(size, dtype=torch.float64, device=parameter_device())
            self.register_buffer(name, empty)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # Only the device changes: in another precision, raw columns would be rounded.
        device = fn(self.share).device
        return super()._apply(lambda tensor: tensor.to(device), recurse)

    def clear(self) -> None:
        """Leave all tasks to the network."""
        self.weight.zero_()
        self.bias.zero_()
        self.share.fill_(1.0)

    def learn_inputs(
        self, x: Tensor | SparseRows, encoder: ColumnEncoder | None
    ) -> None:
        """Learn from the training rows how numbers are scaled and clipped.

        Numbers are clipped where they are farther away from the range of a column in
        training than the width of this range.
        """
        if isinstance(x, SparseRows):
            self._learn_from_sparse(x)
            return
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
        self._clip_outside(z.amin(0), z.amax(0))

    def _learn_from_sparse(self, x: SparseRows) -> None:
        column, values = x.indices.long(), x.values.to(self.scale.dtype)
        zero = torch.zeros_like(self.scale)
        low = zero.scatter_reduce(0, column, values, "amin")
        high = zero.scatter_reduce(0, column, values, "amax")
        largest = torch.maximum(-low, high)
        self.center = zero
        self.scale = torch.where(largest > 0, largest, 1.0)
        self._clip_outside(low / self.scale, high / self.scale)

    def _clip_outside(self, low: Tensor, high: Tensor) -> None:
        self.low, self.high = low - (high - low), high + (high - low)

    def inputs(self, x: Tensor, encoder: ColumnEncoder | None) -> Tensor:
        """(batch, n_features) -> (batch, n_inputs); a missing number gives 0."""
        numbers = _numbers(x, encoder)
        z = self._clipped(numbers)
        parts = [z.nan_to_num(0.0)]
        if encoder is not None:
            parts.append(numbers.isnan()[:, encoder.missing].to(z))
            if encoder.n_indicators:
                encoded = encoder(x, 0.0, None).numbers
                parts.append(encoded[:, -encoder.n_indicators :].to(z))
        return torch.cat(parts, dim=1)

    def _standardised(
        self, numbers: Tensor, columns: Tensor | slice = slice(None)
    ) -> Tensor:
        scale = self.scale[columns]
        # Divide before taking the difference, which could overflow.
        return numbers / scale - self.center[columns] / scale

    def _clipped(
        self, numbers: Tensor, columns: Tensor | slice = slice(None)
    ) -> Tensor:
        z = self._standardised(numbers, columns)
        return z.clamp(self.low[columns], self.high[columns])

    def line(self, x: Tensor | SparseRows, encoder: ColumnEncoder | None) -> Tensor:
        """Rows of X -> (batch, n_outputs)."""
        if not isinstance(x, SparseRows):
            return self.inputs(x, encoder) @ self.weight + self.bias
        # What the entries add to a row of zeros.
        zero = self._clipped(torch.zeros_like(self.scale))
        column = x.indices.long()
        z = self._clipped(x.values.to(zero.dtype), column) - zero[column]
        rows = x._replace(values=z)
        return weighted_sum(self.weight, rows) + (zero @ self.weight + self.bias)

    def add_to(
        self,
        logits: Tensor,
        x: Tensor | SparseRows,
        encoder: ColumnEncoder | None,
        groups: Sequence[OutputGroup],
    ) -> None:
        """Replace the network's outputs by those of the average, in place."""
        line = self.line(x, encoder)
        # An infinite line would pass as a probability of 0 or 1.
        line.masked_fill_(line.isinf(), math.nan)
        for group in groups:
            self._add_line(logits, line, group)

    def _add_line(self, logits: Tensor, line: Tensor, group: OutputGroup) -> None:
        raise NotImplementedError

    def _outputs_of_tasks(self, groups: Sequence[OutputGroup]) -> dict[int, list[int]]:
        """The outputs of each task, by their positions."""
        raise NotImplementedError

    def of_tasks(
        self,
        positions: Sequence[int],
        groups: Sequence[OutputGroup],
        new_groups: Sequence[OutputGroup],
    ) -> Any:
        """The part for other tasks: those at these positions, -1 for new ones."""
        outputs = self._outputs_of_tasks(groups)
        columns: dict[int, int] = {}
        for task, new in self._outputs_of_tasks(new_groups).items():
            fitted = outputs.get(positions[task], [-1] * len(new))
            columns |= dict(zip(new, fitted, strict=True))
        part = copy.deepcopy(self)
        own_tasks, is_new_task = self._chosen(positions)
        own_columns, is_new_column = self._chosen([columns[i] for i in sorted(columns)])
        part.share = self.share[own_tasks].masked_fill(is_new_task, 1.0)
        part.weight = self.weight[:, own_columns].masked_fill(is_new_column, 0.0)
        part.bias = self.bias[own_columns].masked_fill(is_new_column, 0.0)
        return part

    def _chosen(self, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        chosen = torch.tensor(positions, device=self.share.device)
        return chosen.clamp(min=0), chosen < 0


class RidgePart(LinearPart):
    """Prediction of task t: share[t] * network + inputs @ weight[:, t] + bias[t].

    All numbers are on the standardised scales of the tasks.
    """

    def _add_line(self, logits: Tensor, line: Tensor, group: OutputGroup) -> None:
        means = predicted_means(logits, group)
        if means is not None:
            tasks = list(group.tasks)
            means.mul_(self.share[tasks]).add_(line[:, tasks])

    def _outputs_of_tasks(self, groups: Sequence[OutputGroup]) -> dict[int, list[int]]:
        return {task: [task] for group in groups for task in group.tasks}


class LogisticPart(LinearPart):
    """Probabilities of task t: share[t] * network + (1 - share[t]) * those of the line.

    The line has the outputs of the network, in the same order. Those of numbers are not
    used.
    """

    def _add_line(self, logits: Tensor, line: Tensor, group: OutputGroup) -> None:
        if group.kind.predicts_classes:
            average_logits(logits, line[:, group.columns], self.share, group)

    def _outputs_of_tasks(self, groups: Sequence[OutputGroup]) -> dict[int, list[int]]:
        outputs = {}
        for group in groups:
            n_logits = group.kind.n_logits
            for i, task in enumerate(group.tasks):
                first = group.columns.start + i * n_logits
                outputs[task] = list(range(first, first + n_logits))
        return outputs


def linear_parts(network: Any) -> list[RidgePart | LogisticPart]:
    """The linear parts that a network has."""
    # A sharing spec of the user's own builds other networks, and older pickles of
    # modules lack them.
    parts = [getattr(network, f"{name}_part", None) for name in LINEAR_PARTS]
    return [part for part in parts if part is not None]


# By the name of the parameter; the attribute of the network is this name and "_part".
LINEAR_PARTS: dict[str, type[RidgePart | LogisticPart]] = {
    "ridge": RidgePart,
    "logistic": LogisticPart,
}


def _numbers(x: Tensor, encoder: ColumnEncoder | None) -> Tensor:
    x = x.to(torch.float64)
    return x if encoder is None else x.index_select(1, encoder.numeric)
