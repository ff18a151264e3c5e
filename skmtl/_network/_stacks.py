"""Stacks of banks, with activations and dropout between the layers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl._inputs import ColumnEncoding
from skmtl._network._banks import (
    LinearBank,
    LinearPass,
    as_many,
    banks_first,
    one_or_many,
    readers_last,
)
from skmtl._network._columns import ColumnBank, ColumnPass, Features
from skmtl._network._dropout import DropoutStock, dropout_factors

aten = torch.ops.aten

# In place if the gradient needs only the output: large layers are bound by memory.
ACTIVATIONS = {
    "identity": lambda x: x,
    "logistic": torch.sigmoid_,
    "tanh": torch.tanh_,
    "relu": torch.relu_,
    "gelu": F.gelu,
    "silu": F.silu,
}
# Gradient of the input, which replaces that of the output, from the input and output.
ACTIVATION_GRADIENTS = {
    "identity": lambda gradient, x, out: gradient,
    "logistic": lambda gradient, x, out: aten.sigmoid_backward.grad_input(
        gradient, out, grad_input=gradient
    ),
    "tanh": lambda gradient, x, out: aten.tanh_backward.grad_input(
        gradient, out, grad_input=gradient
    ),
    "relu": lambda gradient, x, out: aten.threshold_backward.grad_input(
        gradient, out, 0, grad_input=gradient
    ),
    "gelu": lambda gradient, x, out: aten.gelu_backward(gradient, x),
    "silu": lambda gradient, x, out: aten.silu_backward(gradient, x),
}


class BankStack(nn.Module):
    """Layers of banks; the first reads `n_inputs` inputs, the others their own bank.

    With an `encoding`, the first layer reads `EncodedRows`.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        *,
        n_inputs: int,
        n_banks: int,
        activation: str,
        dropout: float,
        activate_last: bool,
        generator: torch.Generator,
        encoding: ColumnEncoding | None = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.dropout = dropout
        self.activate_last = activate_last
        self.width = sizes[-1]
        self.layers = nn.ModuleList()
        for in_features, out_features in pairwise(sizes):
            n_readers = n_banks // n_inputs
            layer: LinearBank | ColumnBank
            if encoding is not None and not self.layers:
                layer = ColumnBank(encoding, n_readers, out_features, n_inputs)
            else:
                layer = LinearBank(n_inputs, in_features, n_readers, out_features)
            layer.initialize(activation, generator)
            self.layers.append(layer)
            n_inputs = n_banks

    @property
    def n_layers(self) -> int:
        """Number of layers, which can be frozen one by one."""
        return len(self.layers)

    @property
    def work_per_row(self) -> int:
        """Approximate number of multiply-adds of a forward pass."""
        return sum(p.numel() for p in self.parameters())

    @property
    def units_per_row(self) -> int:
        """Number of elements that the layers return: one for each element of a bias."""
        return sum(cast(Tensor, layer.bias).numel() for layer in self.layers)

    def frozen_parameters(self, n_layers: int) -> list[nn.Parameter]:
        """The parameters of the first layers."""
        return [p for layer in self.layers[:n_layers] for p in layer.parameters()]

    @torch.no_grad()
    def copy_banks(
        self, banks: Sequence[int], source: "BankStack", source_banks: Sequence[int]
    ) -> None:
        """Copy the parameters of banks of another stack with the same sizes."""
        pairs = zip(self.parameters(), source.parameters(), strict=True)
        for parameter, other in pairs:
            own = _by_bank(parameter)
            own[list(banks)] = _by_bank(other)[list(source_banks)].to(own.device)
            by_input = own.unflatten(0, (parameter.shape[0], parameter.shape[2]))
            parameter.copy_(by_input.transpose(1, 2))

    def forward(self, x: Features, generator: torch.Generator | None) -> Tensor:
        """(n_inputs, batch, in) -> (n_banks, batch, out), after the last activation.

        Without `activate_last`, the result is (inputs, batch, readers * out).
        """
        out: Tensor = as_many(StackPass(self).forward(one_or_many(x), generator))
        return out


def _by_bank(parameter: Tensor) -> Tensor:
    """(n_inputs, in, n_readers, out) -> a copy (n_inputs * n_readers, in, out)."""
    return parameter.detach().transpose(1, 2).flatten(0, 1).clone()


class Record(NamedTuple):
    """What a layer read and returned in a forward pass, for the backward pass."""

    x: Features
    out: Tensor
    activated: Tensor | None  # None for a last layer without activation
    keep: Tensor | None  # dropout factors


class StackPass:
    """The forward and backward computation of a `BankStack`, see `LinearPass`."""

    def __init__(self, stack: BankStack, n_frozen_layers: int = 0) -> None:
        self.layers: list[Any] = [
            ColumnPass(layer)
            if isinstance(layer, ColumnBank)
            else LinearPass(cast(LinearBank, layer))
            for layer in stack.layers
        ]
        self.activation = ACTIVATIONS[stack.activation]
        self.activation_gradient = ACTIVATION_GRADIENTS[stack.activation]
        self.dropout = self.full_dropout = stack.dropout
        self.n_activated = len(self.layers) - (not stack.activate_last)
        self.n_frozen = n_frozen_layers
        self.is_frozen = self.n_frozen >= len(self.layers)

    def forward(
        self,
        x: Any,
        generator: torch.Generator | DropoutStock | None,
        tape: list[Record] | None = None,
    ) -> Tensor:
        """As `BankStack`; appends what `backward` needs to the `tape`.

        Frozen layers work as in prediction.
        """
        for i, layer in enumerate(self.layers):
            out = layer.forward(x)
            activated = keep = None
            if i < self.n_activated:
                activated = self.activation(out)
                source = generator if i >= self.n_frozen else None
                if isinstance(source, DropoutStock):
                    keep = source.take(activated, self.dropout)
                else:
                    keep = dropout_factors(activated, self.dropout, source)
            if tape is not None:
                tape.append(Record(x, out, activated, keep))
            if activated is None:
                return out  # of the last layer
            x = activated if keep is None else activated * keep
            x = banks_first(x, layer.n_readers)
        result: Tensor = x
        return result

    def backward(
        self, tape: list[Record], gradient: Tensor, *, wants_input: bool
    ) -> Tensor | None:
        """Set the parameters' gradients from that of the output; return that of x."""
        result: Any = gradient
        for i in reversed(range(self.n_frozen, len(self.layers))):
            layer, (x, out, activated, keep) = self.layers[i], tape[i]
            if activated is not None:
                result = readers_last(result, layer.n_readers, layer.n_inputs)
                if keep is not None:
                    result = result.mul_(keep)
                result = self.activation_gradient(result, out, activated)
            wants = wants_input or i > self.n_frozen
            result = layer.backward(x, result, wants_input=wants)
        return result
