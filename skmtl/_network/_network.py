"""The network: trunks that read the input, and heads that read the trunks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from skmtl._inputs import ColumnEncoding
from skmtl._network._banks import (
    LinearBank,
    LinearPass,
    SparseRows,
    as_many,
    columns_by_input,
    one_or_many,
)
from skmtl._network._cells import Cells, CellsPass, CellsRecord
from skmtl._network._columns import (
    ColumnEncoder,
    EncodedRows,
    Features,
    Positions,
    rows_by_input,
)
from skmtl._network._dropout import DropoutStock, apply_dropout
from skmtl._network._linear_parts import LogisticPart, RidgePart
from skmtl._network._module_trunk import ModulePass, ModuleTrunk
from skmtl._network._stacks import BankStack, Record, StackPass
from skmtl._outputs import OutputKind, output_groups


@dataclass(frozen=True)
class Architecture:
    """The sizes and settings that define a network."""

    sharing: str  # the spec that builds it
    n_features: int
    n_bins: int | None  # of the input layer; None for a linear layer
    outputs: tuple[OutputKind, ...]  # per task
    hidden_layer_sizes: tuple[int, ...]
    head_hidden_layer_sizes: tuple[int, ...]
    activation: str
    dropout: float
    input_dropout: float
    n_members: int
    trunk: str | None = None  # a module of the user's own, instead of hidden layers
    input_shape: tuple[int, ...] | None = None  # of a row that such a module reads
    # What the input layer has learned from the training rows.
    encoding: ColumnEncoding | None = field(default=None, compare=False, repr=False)
    # Makes the given number of banks of the user's own trunk.
    make_trunk: Callable[[int, torch.Generator], ModuleTrunk] | None = field(
        default=None, compare=False, repr=False
    )


class Tape(NamedTuple):
    """What the layers of a forward pass read and returned."""

    trunk: list[Any]
    heads: list[list[Record] | CellsRecord]  # of each group of tasks


class TrunkAndHeads(nn.Module):
    """Trunks and heads: per member, one trunk or one per task, and a head per task.

    `encode` computes the trunks and `decode` the heads. Trunk m * n_trunks + t belongs
    to member m. If there is no hidden layer, the features are the input itself. All
    members read the same rows or, if there are as many inputs, each its own.
    """

    def __init__(
        self,
        architecture: Architecture,
        n_trunks: int,
        generator: torch.Generator,
        n_inputs: int = 1,
    ) -> None:
        super().__init__()
        # The maker of the trunk can be large and is not needed again, nor are the
        # initial settings of the first layer.
        encoding = architecture.encoding
        if encoding is not None:
            encoding = replace(encoding, is_shown=None)
        self.architecture = replace(architecture, make_trunk=None, encoding=encoding)
        self.n_members = architecture.n_members
        self.n_trunks = n_trunks
        self.n_inputs = n_inputs
        self.input_dropout = architecture.input_dropout
        self.groups = output_groups(architecture.outputs)
        self.columns = None if encoding is None else ColumnEncoder(encoding)
        n_banks = self.n_members * n_trunks
        self.trunk = _make_trunk(architecture, n_inputs, n_banks, generator)
        self.heads = nn.ModuleList()
        for group in self.groups:
            head_sizes = (*architecture.head_hidden_layer_sizes, group.kind.n_logits)
            head = BankStack(
                (self.trunk.width, *head_sizes),
                n_inputs=self._n_inputs(len(group.tasks)),
                n_banks=self.n_members * len(group.tasks),
                activation=architecture.activation,
                dropout=architecture.dropout,
                activate_last=False,
                generator=generator,
                encoding=None if self.has_trunk else architecture.encoding,
            )
            self.heads.append(head)
        # Only predictions use them, not the training.
        self.ridge_part: RidgePart | None = None
        self.logistic_part: LogisticPart | None = None

    @property
    def has_trunk(self) -> bool:
        """Whether there is a layer between the input and the heads."""
        return self.trunk.n_layers > 0

    @property
    def can_skip_heads(self) -> bool:
        """Whether a `NetworkPass` can compute some cells of the logits only."""
        return self.n_members == 1 and self.members_can_skip_heads

    @property
    def members_can_skip_heads(self) -> bool:
        """Whether each member could do so as a network of its own."""
        has_one_trunk = self.has_trunk and self.n_trunks == 1
        return has_one_trunk and [head.n_layers for head in self._heads()] == [1]

    @property
    def like(self) -> Tensor:
        """A parameter with the device and precision in which rows are read.

        It is not from the trunk: a module of the user's own can have any precision.
        """
        return next(self.heads.parameters())

    @property
    def n_features_out(self) -> int:
        """Number of features of all trunks."""
        return self.n_members * self.n_trunks * self.trunk.width

    @property
    def work_per_row(self) -> int:
        """Approximate number of multiply-adds of a forward pass."""
        return sum(stack.work_per_row for stack in self._stacks())

    @property
    def units_per_row(self) -> int:
        """Number of elements that the layers return for a row."""
        n_encoded = 0 if self.columns is None else self.columns.width
        return n_encoded + sum(stack.units_per_row for stack in self._stacks())

    def _stacks(self) -> list[BankStack | ModuleTrunk]:
        return [self.trunk, *self._heads()]

    def _heads(self) -> list[BankStack]:
        return cast(list[BankStack], list(self.heads))

    def take_trunk(self, source: "TrunkAndHeads") -> None:
        """Start with the trunk of another network, whose tasks all share one trunk."""
        if self.trunk.width != source.trunk.width:
            raise ValueError(
                f"The trunk must have the same width as the trunk it starts from, "
                f"{source.trunk.width}; got {self.trunk.width}. Use the same trunk."
            )
        banks = range(self.n_members * self.n_trunks)
        source_banks = [bank // self.n_trunks for bank in banks]
        self.trunk.copy_banks(banks, cast(Any, source.trunk), source_banks)

    def take_task(self, task: int, source: "TrunkAndHeads", source_task: int) -> None:
        """Take over a task of another network: its head and the trunk that it reads.

        If all tasks share a trunk, the one of the last task is used.
        """
        head, banks = self._banks_of(task)
        source_head, source_banks = source._banks_of(source_task)
        head.copy_banks(banks, source_head, source_banks)
        if self.n_trunks > 1 or task == len(self.architecture.outputs) - 1:
            banks, source_banks = self._trunks_of(task), source._trunks_of(source_task)
            self.trunk.copy_banks(banks, cast(Any, source.trunk), source_banks)

    @torch.no_grad()
    def set_output_biases(self, biases: Sequence[Tensor | None]) -> None:
        """Set the biases of the heads' last layers.

        Those of a group of tasks are (n_tasks, n_logits); with None, they stay.
        """
        for head, bias in zip(self._heads(), biases, strict=True):
            if bias is not None:
                own = cast(Tensor, head.layers[-1].bias)
                own.view(self.n_members, *bias.shape).copy_(bias)

    @property
    def can_be_divided(self) -> bool:
        """Whether `part` can divide it, which needs a network without user code.

        A module can draw from torch's global generator, which threads would share.
        """
        is_own = type(self) is TrunkAndHeads
        return is_own and not isinstance(self.trunk, ModuleTrunk)

    @property
    def can_read_apart(self) -> bool:
        """Whether members can read rows of their own, see `part`."""
        return self.columns is None or not self.columns.has_table

    def part(
        self, members: Sequence[int], tasks: Sequence[int], *, read_apart: bool = False
    ) -> "TrunkAndHeads":
        """A copy of some members as a network, with all or some separate tasks.

        If they `read_apart`, each member reads rows of its own, which follow those of
        the member before.
        """
        outputs = tuple(self.architecture.outputs[t] for t in tasks)
        architecture = replace(
            self.architecture, n_members=len(members), outputs=outputs
        )
        n_trunks = len(tasks) if self.n_trunks > 1 else 1
        n_inputs = len(members) if read_apart else 1
        part = TrunkAndHeads(architecture, n_trunks, torch.Generator(), n_inputs)
        part = part.to(self.like.device)
        if self.like.dtype != torch.float32:  # the user has converted the network
            part = part.to(self.like.dtype)
        self.copy_to_part(part, members, tasks)
        return part

    def copy_to_part(
        self, part: "TrunkAndHeads", members: Sequence[int], tasks: Sequence[int]
    ) -> None:
        """Update a network that `part` returned for these members and tasks."""
        for own, banks, other, other_banks in self._shared_with(part, members, tasks):
            other.copy_banks(other_banks, own, banks)

    def copy_from_part(
        self, part: "TrunkAndHeads", members: Sequence[int], tasks: Sequence[int]
    ) -> None:
        """Update these members and tasks from a network that `part` returned."""
        for own, banks, other, other_banks in self._shared_with(part, members, tasks):
            own.copy_banks(banks, other, other_banks)

    def _shared_with(
        self, part: "TrunkAndHeads", members: Sequence[int], tasks: Sequence[int]
    ) -> Iterator[tuple[Any, list[int], Any, range]]:
        """Pairs of a stack of this network and one of the part, with their banks."""
        trunks = tasks if self.n_trunks > 1 else [0]
        banks = [m * self.n_trunks + t for m in members for t in trunks]
        yield self.trunk, banks, part.trunk, range(len(banks))
        by_kind = {
            group.kind: (group.tasks, head)
            for group, head in zip(self.groups, self.heads, strict=True)
        }
        for group, head in zip(part.groups, part.heads, strict=True):
            own_tasks, own = by_kind[group.kind]
            positions = [own_tasks.index(tasks[t]) for t in group.tasks]
            banks = [m * len(own_tasks) + i for m in members for i in positions]
            yield own, banks, head, range(len(banks))

    def _banks_of(self, task: int) -> tuple[BankStack, list[int]]:
        """The stack of heads that contains a task, and the task's banks in it."""
        for group, head in zip(self.groups, self.heads, strict=True):
            if task in group.tasks:
                n_tasks, position = len(group.tasks), group.tasks.index(task)
                banks = [m * n_tasks + position for m in range(self.n_members)]
                return cast(BankStack, head), banks
        raise IndexError(task)

    def _trunks_of(self, task: int) -> list[int]:
        own = task if self.n_trunks > 1 else 0
        return [m * self.n_trunks + own for m in range(self.n_members)]

    def _n_inputs(self, n_tasks: int) -> int:
        if not self.has_trunk:
            return self.n_inputs
        return self.n_members * (n_tasks if self.n_trunks > 1 else 1)

    def forward(
        self,
        x: Tensor | SparseRows | Positions,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Rows of X -> logits (n_members, batch, n_logits).

        Dropout is applied if a generator is given.
        """
        network_pass = NetworkPass(self)
        read = network_pass.by_input(network_pass.read(x, generator))
        return network_pass.forward(read, generator)

    def encode(
        self,
        x: Tensor | SparseRows | Positions,
        generator: torch.Generator | None = None,
    ) -> Features:
        """Rows of X -> (n_members * n_trunks, batch, width)."""
        network_pass = NetworkPass(self)
        features: Features = as_many(
            network_pass.encode(network_pass.read(x, generator), generator)
        )
        return features

    def decode(
        self, features: Features, generator: torch.Generator | None = None
    ) -> Tensor:
        """(n_members * n_trunks, batch, width) -> (n_members, batch, n_logits)."""
        return NetworkPass(self).decode(one_or_many(features), generator)


def _make_trunk(
    architecture: Architecture, n_inputs: int, n_banks: int, generator: torch.Generator
) -> BankStack | ModuleTrunk:
    if architecture.make_trunk is not None:
        return architecture.make_trunk(n_banks, generator)
    return BankStack(
        (architecture.n_features, *architecture.hidden_layer_sizes),
        n_inputs=n_inputs,
        n_banks=n_banks,
        activation=architecture.activation,
        dropout=architecture.dropout,
        activate_last=True,
        generator=generator,
        encoding=architecture.encoding,
    )


def _pass_of(
    trunk: BankStack | ModuleTrunk, n_frozen_layers: int
) -> StackPass | ModulePass:
    if isinstance(trunk, ModuleTrunk):
        return ModulePass(trunk, n_frozen_layers)
    return StackPass(trunk, n_frozen_layers)


class NetworkPass:
    """The computation of a `TrunkAndHeads`, see `skmtl._network._banks.LinearPass`.

    Features of a single trunk are (batch, width) here. Make a new pass after the
    parameters or their gradients have moved in memory. The first `n_frozen_layers` of
    the trunk work as in prediction, and get no gradient.
    """

    def __init__(self, network: TrunkAndHeads, n_frozen_layers: int = 0) -> None:
        self.columns = network.columns
        # If the first layer is frozen, its input is not dropped either.
        is_frozen = n_frozen_layers > 0
        self.input_dropout = 0.0 if is_frozen else network.input_dropout
        self.full_input_dropout = self.input_dropout
        self.n_members, self.n_trunks = network.n_members, network.n_trunks
        self.n_inputs = network.n_inputs
        self.n_features = network.architecture.n_features
        self.trunk = None
        if network.has_trunk:
            self.trunk = _pass_of(network.trunk, n_frozen_layers)
        self.trains_trunk = self.trunk is not None and not self.trunk.is_frozen
        self.heads = [StackPass(head) for head in network._heads()]
        self.cells: CellsPass | None = None
        if network.can_skip_heads:
            head = network._heads()[0]
            self.cells = CellsPass(cast(LinearBank, head.layers[0]))
        self.groups = network.groups

    def scale_dropout(self, scale: float, of_input: float) -> None:
        """Scale the dropout of layers and of the input, not in a user's own module."""
        self.input_dropout = of_input * self.full_input_dropout
        for stack in (self.trunk, *self.heads):
            if isinstance(stack, StackPass):
                stack.dropout = scale * stack.full_dropout

    def read(
        self,
        x: Tensor | SparseRows | Positions,
        generator: torch.Generator | None = None,
    ) -> Features:
        """Rows of X -> the input of the first layer, after input dropout."""
        if isinstance(x, Positions):
            encoder = cast(ColumnEncoder, self.columns)
            return encoder.expand(x, self.input_dropout, generator)
        if isinstance(x, SparseRows):
            kept = apply_dropout(x.values, self.input_dropout, generator)
            return x._replace(values=kept)
        if self.columns is not None:
            encoded: EncodedRows = self.columns(x, self.input_dropout, generator)
            return encoded
        return apply_dropout(x, self.input_dropout, generator)

    def by_input(self, x: Features) -> Features:
        """The result of `read` of a batch, as the first layer reads it."""
        if isinstance(x, SparseRows):
            return columns_by_input(x, self.n_inputs, self.n_features)
        return cast(Features, rows_by_input(x, self.n_inputs))

    def forward(
        self,
        x: Features,
        generator: torch.Generator | DropoutStock | None = None,
        tape: Tape | None = None,
        cells: Cells | None = None,
    ) -> Tensor:
        """The result of `by_input` -> logits (n_members, batch, n_logits).

        Writes what `backward` needs to the `tape`. With `cells`, only these cells of
        the logits are computed: (1, 1, n_cells).
        """
        features = self.encode(x, generator, tape)
        if cells is None or self.cells is None:
            return self.decode(features, generator, tape)
        logits, record = self.cells.forward(cast(Tensor, features), cells)
        if tape is not None:
            tape.heads.append(record)
        return logits.view(1, 1, -1)

    def encode(
        self,
        x: Features,
        generator: torch.Generator | DropoutStock | None = None,
        tape: Tape | None = None,
    ) -> Features:
        """The result of `by_input` -> ([n_members * n_trunks,] batch, width)."""
        if self.trunk is None:
            return x
        records = None if tape is None else tape.trunk
        if isinstance(self.trunk, ModulePass) and isinstance(generator, DropoutStock):
            generator = generator.generator
        trunk: Any = self.trunk
        features: Features = trunk.forward(x, generator, records)
        return features

    def decode(
        self,
        features: Features,
        generator: torch.Generator | DropoutStock | None = None,
        tape: Tape | None = None,
    ) -> Tensor:
        """([n_members * n_trunks,] batch, width) -> (n_members, batch, n_logits)."""
        blocks = []
        for group, head in zip(self.groups, self.heads, strict=True):
            records: list[Record] | None = None
            if tape is not None:
                tape.heads.append(records := [])
            read = self._read_by(group.tasks, features)
            blocks.append(self._logits(head.forward(read, generator, records)))
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=2)

    def backward(self, tape: Tape, gradient: Tensor) -> None:
        """Set the parameters' gradients from that of the logits."""
        record = tape.heads[0]
        total: Tensor | None
        if self.cells is not None and isinstance(record, CellsRecord):
            total = self.cells.backward(record, gradient.flatten())
        else:
            total = self._backward_of_heads(tape, gradient)
        if self.trunk is not None and self.trains_trunk and total is not None:
            self.trunk.backward(tape.trunk, total, wants_input=False)

    def forget_gradient(self) -> None:
        """Assume nothing of the gradient's contents: something else has changed it."""
        for stack in (self.trunk, *self.heads):
            for layer in stack.layers if isinstance(stack, StackPass) else ():
                if isinstance(layer, LinearPass):
                    layer.columns_with_gradient = None

    def _backward_of_heads(self, tape: Tape, gradient: Tensor) -> Tensor | None:
        total: Tensor | None = None
        for group, head, records in zip(
            self.groups, self.heads, tape.heads, strict=True
        ):
            block = gradient[..., group.columns] if len(self.heads) > 1 else gradient
            block = self._from_logits(block, head.layers[-1].n_inputs)
            part = head.backward(
                cast(list[Record], records), block, wants_input=self.trains_trunk
            )
            if part is not None:
                part = self._written_by(group.tasks, part)
                total = part if total is None else total + part
        return total

    def _reads_all(self, tasks: Sequence[int]) -> bool:
        return self.trunk is None or self.n_trunks == 1 or len(tasks) == self.n_trunks

    def _read_by(self, tasks: Sequence[int], features: Features) -> Features:
        """The features that the heads of these tasks read: (inputs, batch, width)."""
        if not isinstance(features, Tensor) or self._reads_all(tasks):
            return features
        by_task = features.unflatten(0, (self.n_members, self.n_trunks))
        index = torch.tensor(tasks, device=features.device)
        read: Features = one_or_many(by_task.index_select(1, index).flatten(0, 1))
        return read

    def _written_by(self, tasks: Sequence[int], gradient: Tensor) -> Tensor:
        """The gradient of all features, from that of the features these tasks read."""
        if self._reads_all(tasks):
            return gradient
        by_task = as_many(gradient).unflatten(0, (self.n_members, len(tasks)))
        shape = (self.n_members, self.n_trunks, *gradient.shape[-2:])
        index = torch.tensor(tasks, device=gradient.device)
        return gradient.new_zeros(shape).index_copy(1, index, by_task).flatten(0, 1)

    def _logits(self, out: Tensor) -> Tensor:
        """([inputs,] batch, readers * logits) -> (n_members, batch, columns)."""
        if out.ndim == 2:
            if self.n_members == 1:
                return out.unsqueeze(0)
            return out.unflatten(1, (self.n_members, -1)).transpose(0, 1)
        if len(out) == self.n_members:
            return out
        return out.unflatten(0, (self.n_members, -1)).transpose(1, 2).flatten(2)

    def _from_logits(self, logits: Tensor, n_inputs: int) -> Tensor:
        """The inverse of `_logits`."""
        if n_inputs == 1:
            return logits[0] if len(logits) == 1 else logits.transpose(0, 1).flatten(1)
        if n_inputs == self.n_members:
            return logits
        by_input = logits.unflatten(2, (n_inputs // self.n_members, -1))
        return by_input.transpose(1, 2).flatten(0, 1)
