"""Rows in blocks. Each block can be read any number of times."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

# Largest size of what is in memory at a time.
PART_ROWS = 65_536
_PART_BYTES = 2**25
# Small neighbouring blocks are merged up to this size.
_BLOCK_BYTES = 2**23


class Part(NamedTuple):
    """Some rows in memory."""

    X: Any  # pyarrow Table, ndarray, CSR or pandas DataFrame
    y: Any  # an input of `read_columns` of the targets, or None
    sample_weight: Any  # array-like or None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])


def rows_of_part(row_bytes: int) -> int:
    """Return the largest number of rows of a part."""
    return min(PART_ROWS, max(1, _PART_BYTES // max(row_bytes, 1)))


def rows_of_block(row_bytes: int) -> int:
    """Return the number of rows up to which small blocks are merged."""
    return min(PART_ROWS, max(1, _BLOCK_BYTES // max(row_bytes, 1)))


class Source:
    """Rows of X with their labels and weights, block by block.

    Each pass must give the same rows in the same order.
    """

    def __init__(self, lengths: Sequence[int | None]) -> None:
        self._lengths = list(lengths)
        self._check_not_empty()

    @property
    def n_blocks(self) -> int:
        """Number of blocks. Some may have no rows."""
        return len(self._lengths)

    @property
    def lengths(self) -> list[int] | None:
        """Number of rows of each block; None as long as some must be read for it."""
        known = [length for length in self._lengths if length is not None]
        return known if len(known) == len(self._lengths) else None

    def read(self, block: int) -> Iterator[Part]:
        """Yield the rows of a block in order, in parts of at most `PART_ROWS` rows."""
        n_rows = 0
        for part in self._read(block):
            if part.n_rows:
                n_rows += part.n_rows
                yield part
        known = self._lengths[block]
        if known is None:
            self._lengths[block] = n_rows
            self._check_not_empty()
        elif known != n_rows:
            raise ValueError(
                "X must have the same rows each time it is read, but block "
                f"{block} had {known:,} rows before and now has {n_rows:,}. Do not "
                "change the data during the call, and do not pass a random sample."
            )

    def parts(self) -> Iterator[Part]:
        """Yield the rows of all blocks in order."""
        for block in range(self.n_blocks):
            yield from self.read(block)

    def _read(self, block: int) -> Iterator[Part]:
        raise NotImplementedError

    def _check_not_empty(self) -> None:
        lengths = self.lengths
        if lengths is not None and sum(lengths) == 0:
            raise ValueError(
                "Found array with 0 sample(s) while a minimum of 1 is required: X has "
                "no rows. Pass data with rows."
            )
