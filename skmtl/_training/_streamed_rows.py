"""Rows that each epoch reads block by block, with a few blocks in memory."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from skmtl._network import ColumnEncoder, without_derivatives
from skmtl._rows import LabelledRows, joined_rows
from skmtl._training._training_rows import Order, Piece

Item = TypeVar("Item")

# Memory of the buffer in which rows are shuffled together.
BUFFER_BYTES = 2**26


@dataclass(frozen=True)
class StreamedRows:
    """Blocks in random order, whose rows are shuffled in a buffer.

    A thread reads the next part of a block during training on the last one.
    """

    read: Callable[[int], Iterator[LabelledRows]]  # rows of a block to train on
    n_blocks: int
    n_rows: int  # to train on, in an epoch
    width: int
    read_held_out: Callable[[int], Iterator[LabelledRows]] | None = None
    encoder: ColumnEncoder | None = None
    like: Tensor | None = None

    @property
    def leaves_out(self) -> bool:
        return False

    @property
    def is_validating(self) -> bool:
        return self.read_held_out is not None

    def n_rows_of(self, member: int) -> int:
        return self.n_rows

    def placed(self, encoder: ColumnEncoder, like: Tensor) -> "StreamedRows":
        n_columns = len(encoder.numeric) + len(encoder.categorical)
        return replace(self, encoder=encoder, like=like, width=n_columns)

    def epoch(self, order: Order, batch_size: int) -> Iterator[Piece]:
        n_buffer = max(BUFFER_BYTES // (4 * max(1, self.width)), 1)
        n_buffer = -(-n_buffer // batch_size) * batch_size
        waiting: list[LabelledRows] = []
        n_waiting = n_seen = 0
        for part in self._parts(self.read, order(self.n_blocks).tolist()):
            waiting.append(part)
            n_waiting += len(part.rows)
            n_seen += len(part.rows)
            if n_waiting >= n_buffer:
                rows = joined_rows(waiting)
                index = order(n_waiting)
                n_now = n_waiting // batch_size * batch_size
                yield Piece(rows, index[:n_now])
                waiting, n_waiting = [rows.at(index[n_now:])], n_waiting - n_now
        if n_waiting:
            yield Piece(joined_rows(waiting), order(n_waiting))
        if n_seen != self.n_rows:
            raise ValueError(
                f"X must have the same rows each time it is read, but it had "
                f"{self.n_rows} labelled rows at first and {n_seen} now. Make sure "
                "that nothing writes to it during the fit."
            )

    def held_out(self) -> Iterator[Piece]:
        if self.read_held_out is None:
            return
        for rows in self._parts(self.read_held_out, range(self.n_blocks)):
            yield Piece(rows, torch.arange(len(rows.rows), device="cpu"))

    def left_out(self, member: int) -> Iterator[Piece]:
        return iter(())

    def _parts(
        self,
        read: Callable[[int], Iterator[LabelledRows]],
        blocks: "list[int] | range",
    ) -> Iterator[LabelledRows]:
        return prefetched(
            self._place(part)
            for block in blocks
            for part in read(block)
            if len(part.rows)
        )

    def _place(self, part: LabelledRows) -> LabelledRows:
        if self.encoder is None or self.like is None:
            return part
        with without_derivatives(self.like.device):
            return part.placed(self.encoder, self.like)


def prefetched(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; a thread makes the next one while the last one is used."""
    with ThreadPoolExecutor(
        1, "skmtl-read", initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        future = pool.submit(next, items, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, items, None)
            yield item
