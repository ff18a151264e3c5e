"""The training rows, all at once or piece by piece."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from skmtl._network import ColumnEncoder
from skmtl._rows import LabelledRows

# Returns an order of n items.
Order = Callable[[int], Tensor]


class Piece(NamedTuple):
    """Rows in memory, in the order in which they are trained on."""

    data: LabelledRows
    rows: Tensor  # (n_rows,), positions in the data
    left_out_by: Tensor | None = None  # (n_samples,), the member that skips each row

    def rows_of(self, member: int) -> Tensor:
        """The rows that a member is trained on."""
        if self.left_out_by is None:
            return self.rows
        return self.rows[self.left_out_by[self.rows] != member]


def rows_apart(rows_of_members: list[Tensor], batch_size: int) -> Tensor:
    """Batch by batch, `batch_size` rows of each member, one member after another.

    Members with fewer rows than others have -1 at the end.
    """
    rows = pad_sequence(rows_of_members, batch_first=True, padding_value=-1)
    return torch.cat([batch.flatten() for batch in rows.split(batch_size, dim=1)])


class TrainingRows(Protocol):
    """Labelled rows, some of which can be held out to validate on."""

    @property
    def is_validating(self) -> bool:
        """Whether rows are held out."""

    @property
    def leaves_out(self) -> bool:
        """Whether members leave out rows."""

    @property
    def width(self) -> int:
        """Elements of a row when it is read."""

    def n_rows_of(self, member: int) -> int:
        """Number of rows that a member is trained on in an epoch."""

    def placed(self, encoder: ColumnEncoder, like: Tensor) -> "TrainingRows":
        """The same rows, with everything precomputed that never changes."""

    def epoch(self, order: Order, batch_size: int) -> Iterator[Piece]:
        """All rows once, in pieces of whole batches, except for the last piece."""

    def held_out(self) -> Iterator[Piece]:
        """The held-out rows, to validate on."""

    def left_out(self, member: int) -> Iterator[Piece]:
        """The rows that a member leaves out."""


@dataclass(frozen=True)
class RowsInMemory:
    """All rows as one piece."""

    data: LabelledRows
    index: Tensor  # rows to train on
    held_out_index: Tensor | None = None
    left_out_by: Tensor | None = None

    @property
    def is_validating(self) -> bool:
        return self.held_out_index is not None

    @property
    def leaves_out(self) -> bool:
        return self.left_out_by is not None

    @property
    def width(self) -> int:
        return self.data.rows.width

    def n_rows_of(self, member: int) -> int:
        return len(self._piece(self.index).rows_of(member))

    def placed(self, encoder: ColumnEncoder, like: Tensor) -> "RowsInMemory":
        if not len(self.data.rows):
            return self
        return replace(self, data=self.data.placed(encoder, like))

    def epoch(self, order: Order, batch_size: int) -> Iterator[Piece]:
        yield self._piece(self.index[order(len(self.index))])

    def held_out(self) -> Iterator[Piece]:
        if self.held_out_index is not None:
            yield self._piece(self.held_out_index)

    def left_out(self, member: int) -> Iterator[Piece]:
        if self.left_out_by is not None:
            yield self._piece(self.index[self.left_out_by[self.index] == member])

    def _piece(self, index: Tensor) -> Piece:
        return Piece(self.data, index, self.left_out_by)
