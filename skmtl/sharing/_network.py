"""The network: trunks that read the input, heads that read the trunks."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skmtl._layers import BankStack, SparseRows, apply_dropout, output_groups


@dataclass(frozen=True)
class Architecture:
    """What a network is made of."""

    sharing: str  # the spec that builds it
    n_features: int
    n_classes: tuple[int, ...]  # per task
    hidden_layer_sizes: tuple[int, ...]
    head_hidden_layer_sizes: tuple[int, ...]
    activation: str
    dropout: float
    input_dropout: float
    n_members: int


class TrunkAndHeads(nn.Module):
    """`n_trunks` trunks per member, 1 for all tasks or one each, and a head per task.

    `encode` and `decode` are the seam between the two. Trunk m * n_trunks + t belongs
    to member m; with the trunk `()` the features are the input itself.
    """

    def __init__(
        self, architecture: Architecture, n_trunks: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.n_members = architecture.n_members
        self.n_trunks = n_trunks
        self.input_dropout = architecture.input_dropout
        self.groups = output_groups(architecture.n_classes)
        trunk_sizes = (architecture.n_features, *architecture.hidden_layer_sizes)
        self.trunk = BankStack(
            trunk_sizes,
            n_inputs=1,
            n_banks=self.n_members * n_trunks,
            activation=architecture.activation,
            dropout=architecture.dropout,
            activate_last=True,
            generator=generator,
        )
        self.heads = nn.ModuleList()
        for group in self.groups:
            head_sizes = (*architecture.head_hidden_layer_sizes, group.n_logits)
            head = BankStack(
                (trunk_sizes[-1], *head_sizes),
                n_inputs=self._n_inputs(len(group.tasks)),
                n_banks=self.n_members * len(group.tasks),
                activation=architecture.activation,
                dropout=architecture.dropout,
                activate_last=False,
                generator=generator,
            )
            self.heads.append(head)

    @property
    def has_trunk(self) -> bool:
        """Whether there is a layer between the input and the heads."""
        return len(self.trunk.layers) > 0

    def _n_inputs(self, n_tasks: int) -> int:
        if not self.has_trunk:
            return 1
        return self.n_members * (n_tasks if self.n_trunks > 1 else 1)

    def forward(
        self, x: Tensor | SparseRows, generator: torch.Generator | None = None
    ) -> Tensor:
        """(batch, n_features) -> logits (n_members, batch, n_logits).

        Dropout is applied where a generator is given.
        """
        return self.decode(self.encode(x, generator), generator)

    def encode(
        self, x: Tensor | SparseRows, generator: torch.Generator | None = None
    ) -> Tensor | SparseRows:
        """(batch, n_features) -> (n_members * n_trunks, batch, width)."""
        if isinstance(x, SparseRows):
            kept = apply_dropout(x.values, self.input_dropout, generator)
            x = x._replace(values=kept)
        else:
            x = apply_dropout(x, self.input_dropout, generator).unsqueeze(0)
        return self.trunk(x, generator) if self.has_trunk else x

    def decode(
        self, features: Tensor | SparseRows, generator: torch.Generator | None = None
    ) -> Tensor:
        """(n_members * n_trunks, batch, width) -> (n_members, batch, n_logits)."""
        blocks = [
            self._flat_logits(head(self._read_by(group.tasks, features), generator))
            for group, head in zip(self.groups, self.heads, strict=True)
        ]
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=2)

    def _read_by(
        self, tasks: tuple[int, ...], features: Tensor | SparseRows
    ) -> Tensor | SparseRows:
        """Features that the heads of these tasks read: (inputs, batch, width)."""
        reads_all = self.n_trunks == 1 or len(tasks) == self.n_trunks
        if isinstance(features, SparseRows) or not self.has_trunk or reads_all:
            return features
        by_task = features.unflatten(0, (self.n_members, self.n_trunks))
        index = torch.tensor(tasks, device=features.device)
        return by_task.index_select(1, index).flatten(0, 1)

    def _flat_logits(self, out: Tensor) -> Tensor:
        """(inputs, batch, readers, logits) -> (n_members, batch, columns)."""
        if out.shape[0] == 1:
            return out[0].unflatten(1, (self.n_members, -1)).flatten(2).transpose(0, 1)
        by_member = out.unflatten(0, (self.n_members, -1))  # member, input, batch, ...
        return by_member.transpose(1, 2).flatten(2)
