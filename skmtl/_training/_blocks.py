"""Blocks of rows as the network and the loss read them."""

from typing import Any, NamedTuple

from torch import Tensor

from skmtl._outputs import Labels, OutputGroup, weigh_labels
from skmtl._rows import LabelledRows


class LabelledBlock(NamedTuple):
    """Some rows, on the network's device and in its precision."""

    x: Any
    labels: Labels
    row_weight: Tensor | None  # (n_rows,); None if each row counts 1


def read_block(
    data: LabelledRows, index: Tensor, like: Tensor, groups: list[OutputGroup]
) -> LabelledBlock:
    """These rows, with their labels in the order of the groups."""
    block = data.read(index, like)
    table = data.weight_table.to(like)
    labels = weigh_labels(block.targets, table, block.sample_weight, groups)
    return LabelledBlock(block.x, labels, block.row_weight)


def read_block_apart(
    data: LabelledRows, index: Tensor, like: Tensor, groups: list[OutputGroup]
) -> LabelledBlock:
    """As `read_block`, but what has the index -1, see `rows_apart`, has no weight."""
    block = read_block(data, index.clamp(min=0), like, groups)
    if not bool((index < 0).any()):
        return block
    is_row, row_weight = (index >= 0).to(like.device), block.row_weight
    return LabelledBlock(
        block.x,
        block.labels.times(is_row.to(like)),
        is_row if row_weight is None else row_weight * is_row,
    )
