"""The observed labels of tables with many missing ones."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from skmtl._network import Cells, TrunkAndHeads, cells_of_batches
from skmtl._outputs import Labels, Targets
from skmtl._rows import LabelledRows
from skmtl._training._blocks import LabelledBlock
from skmtl._training._training_rows import RowsInMemory, TrainingRows

# Up to this share of observed labels, and from this many multiply-adds of the heads in
# a batch, only the logits of observed labels are computed. With AVX2, 100 features and
# 100 tasks, the heads took 0.6 times as long with 10 % of the labels, and 1.5 times as
# long with 30 %.
MAX_SHARE = 0.125
MIN_WORK = 1_000_000
# Rows whose labels are counted at once.
_ROWS_AT_ONCE = 8192


class BatchLabels(NamedTuple):
    """The labels of a batch."""

    labels: Labels
    cells: Cells | None  # to compute of the logits; None for all of them


class ObservedLabels:
    """The observed labels of all rows, which are read without the missing ones.

    With few of them, this saves most of the time of the loss and of the heads.
    """

    def __init__(self, data: LabelledRows, network: TrunkAndHeads) -> None:
        (group,) = network.groups
        self.kind = group.kind
        is_observed = (data.codes >= 0).numpy()
        n_tasks = is_observed.shape[1]
        index = np.flatnonzero(is_observed)
        offsets = np.append(0, np.cumsum(np.count_nonzero(is_observed, axis=1)))
        entries = np.arange(len(index)), index % n_tasks, offsets
        self.positions = sparse.csr_array(entries, shape=is_observed.shape)
        self.weight_table = data.weight_table
        cells = torch.from_numpy(index)

        def at_cells(part: Tensor) -> Tensor:
            return part.flatten().index_select(0, cells)

        self.codes = at_cells(data.codes)
        self.numbers = None if data.numbers is None else at_cells(data.numbers)
        weight = self.sample_weight = data.sample_weight
        if weight is not None:
            is_per_row = weight.shape[1] == 1
            own = cells // n_tasks if is_per_row else cells
            self.sample_weight = weight.flatten().index_select(0, own)

    def read_block(
        self, data: LabelledRows, index: Tensor, like: Tensor, batch_size: int
    ) -> tuple[LabelledBlock, list[BatchLabels]]:
        """These rows, with each label as a task of its own in a single row."""
        part, n_logits = self.positions[index.numpy()], self.kind.n_logits
        columns = part.indices
        if n_logits > 1:
            logits = np.arange(n_logits, dtype=columns.dtype)
            columns = np.add.outer(n_logits * columns, logits).ravel()
        cells = cells_of_batches(
            columns, n_logits * part.indptr, n_logits * part.shape[1], batch_size
        )
        labels = self._weigh(part, like)
        n_labels = [own.n_cells // n_logits for own in cells]
        batches = map(BatchLabels, labels.split_tasks(n_labels, n_logits), cells)
        x, row_weight = data.rows.read(index, like), data.row_weight
        if row_weight is not None:
            row_weight = row_weight.index_select(0, index)
        return LabelledBlock(x, labels, row_weight), list(batches)

    def _weigh(self, part: sparse.csr_array, like: Tensor) -> Labels:
        positions, tasks = map(torch.from_numpy, (part.data, part.indices))
        codes = self.codes.index_select(0, positions).unsqueeze(0)
        numbers, weight = (
            None if own is None else own.index_select(0, positions).unsqueeze(0)
            for own in (self.numbers, self.sample_weight)
        )
        table = self.weight_table.to(like).index_select(0, tasks)
        numbers = None if numbers is None else numbers.to(like)
        weight = None if weight is None else weight.to(like)
        return self.kind.weigh(Targets(codes, numbers), table, weight)


def observed_labels(
    rows: TrainingRows, network: TrunkAndHeads, batch_size: int
) -> ObservedLabels | None:
    """The observed labels, if it is worth while to skip the others."""
    if not network.can_skip_heads or not isinstance(rows, RowsInMemory):
        return None
    if not skips_missing(rows, network, batch_size):
        return None
    return ObservedLabels(rows.data, network)


def skips_missing(rows: TrainingRows, network: TrunkAndHeads, batch_size: int) -> bool:
    """Whether it is worth while for a member to skip the logits of missing labels.

    This does not depend on the speed of the machine, so that all CPUs compute the same.
    """
    if not isinstance(rows, RowsInMemory) or network.like.device.type != "cpu":
        return False
    codes = rows.data.codes
    n_weights = sum(p.numel() for p in network.heads.parameters()) / network.n_members
    if not network.members_can_skip_heads or batch_size * n_weights < MIN_WORK:
        return False
    if codes.shape[1] != len(network.architecture.outputs):  # a part of the tasks
        return False
    n_labels = sum(
        int((codes.index_select(0, index) >= 0).sum())
        for index in rows.index.split(_ROWS_AT_ONCE)
    )
    return n_labels <= MAX_SHARE * len(rows.index) * codes.shape[1]
