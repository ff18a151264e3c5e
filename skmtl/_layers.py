"""The bank, many linear maps in one call, and the small blocks around it."""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS = {
    "identity": lambda x: x,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": F.gelu,
    "silu": F.silu,
}


class SparseRows(NamedTuple):
    """A batch of CSR rows: row i owns the entries from offsets[i] to offsets[i + 1]."""

    indices: Tensor  # (n_entries,)
    offsets: Tensor  # (batch,)
    values: Tensor  # (n_entries,)


class LinearBank(nn.Module):
    """`n_inputs * n_readers` linear maps, each input read by `n_readers` of them.

    The maps that read the same input lie side by side in memory, so that they are the
    columns of one product; inputs of their own go through one batched product. Linear
    heads are one input with a reader per task, an ensemble one input per member.
    """

    def __init__(
        self,
        n_inputs: int,
        in_features: int,
        n_readers: int,
        out_features: int,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.empty(
                n_inputs, in_features, n_readers, out_features, dtype=torch.float32
            )
        )
        self.bias = nn.Parameter(
            torch.empty(n_inputs, 1, n_readers, out_features, dtype=torch.float32)
        )

    @torch.no_grad()
    def initialize(self, activation: str, generator: torch.Generator) -> None:
        """Draw as MLPClassifier does (Glorot & Bengio 2010, eq. 16, biases too)."""
        _, in_features, _, out_features = self.weight.shape
        factor = 2.0 if activation == "logistic" else 6.0
        bound = math.sqrt(factor / (in_features + out_features))
        self.weight.uniform_(-bound, bound, generator=generator)
        self.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor | SparseRows) -> Tensor:
        """(n_inputs, batch, in) -> (n_inputs, batch, n_readers, out)."""
        n_readers, out_features = self.weight.shape[2:]
        weight = self.weight.flatten(2)  # (n_inputs, in, n_readers * out)
        bias = self.bias.flatten(2)  # (n_inputs, 1, n_readers * out)
        if isinstance(x, SparseRows):
            out = F.embedding_bag(
                x.indices,
                weight[0],
                x.offsets,
                mode="sum",
                per_sample_weights=x.values,
            )
            out = (out + bias[0]).unsqueeze(0)
        else:
            out = torch.baddbmm(bias, x, weight)
        return out.unflatten(2, (n_readers, out_features))


def banks_first(x: Tensor) -> Tensor:
    """(n_inputs, batch, n_readers, out) -> (n_inputs * n_readers, batch, out)."""
    return x.transpose(1, 2).flatten(0, 1)


def apply_dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Inverted dropout from a generator of our own; without one, nothing is dropped."""
    if generator is None or rate == 0.0:
        return x
    keep = torch.empty_like(x).bernoulli_(1.0 - rate, generator=generator)
    return x * keep.div_(1.0 - rate)


class BankStack(nn.Module):
    """Layers of banks; the first reads `n_inputs` inputs, later ones their own bank."""

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
    ) -> None:
        super().__init__()
        self.activation = activation
        self.dropout = dropout
        self.activate_last = activate_last
        self.layers = nn.ModuleList()
        for in_features, out_features in pairwise(sizes):
            layer = LinearBank(n_inputs, in_features, n_banks // n_inputs, out_features)
            layer.initialize(activation, generator)
            self.layers.append(layer)
            n_inputs = n_banks

    def forward(
        self, x: Tensor | SparseRows, generator: torch.Generator | None
    ) -> Tensor:
        """(n_inputs, batch, in) -> (n_banks, batch, out) of the activated last layer.

        Without `activate_last`, the last layer's own (inputs, batch, readers, out).
        """
        *hidden, last = self.layers
        for layer in hidden:
            x = self._activate(layer(x), generator)
        out: Tensor = last(x)
        return self._activate(out, generator) if self.activate_last else out

    def _activate(self, out: Tensor, generator: torch.Generator | None) -> Tensor:
        activated = ACTIVATIONS[self.activation](out)
        return banks_first(apply_dropout(activated, self.dropout, generator))


class OutputGroup(NamedTuple):
    """Tasks with the same number of classes; their logits are computed together."""

    n_classes: int
    tasks: tuple[int, ...]
    columns: slice  # of the flat block of logits

    @property
    def n_logits(self) -> int:
        """One logit for a binary (or constant) task, else one per class."""
        return logits_per_task(self.n_classes)


def logits_per_task(n_classes: int) -> int:
    """Logits of one task: the logistic loss needs one, cross-entropy one per class."""
    return 1 if n_classes <= 2 else n_classes


def output_groups(n_classes: tuple[int, ...]) -> list[OutputGroup]:
    """Split the tasks by number of classes and the logits' columns likewise."""
    groups, start = [], 0
    for size in sorted(set(n_classes)):
        tasks = tuple(t for t, n in enumerate(n_classes) if n == size)
        stop = start + len(tasks) * logits_per_task(size)
        groups.append(OutputGroup(size, tasks, slice(start, stop)))
        start = stop
    return groups
