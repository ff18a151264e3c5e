"""Networks: banks of linear maps, column layers, stacks, trunks and heads."""

from skmtl._network._banks import (
    SparseRows,
    parameter_device,
    transposed,
    weighted_sum,
    without_memory,
)
from skmtl._network._cells import Cells, cells_of_batches
from skmtl._network._columns import (
    ColumnEncoder,
    Positions,
    split_rows,
    split_with_columns,
)
from skmtl._network._dropout import DropoutStock
from skmtl._network._linear_parts import (
    LINEAR_PARTS,
    LogisticPart,
    RidgePart,
    linear_parts,
)
from skmtl._network._module_trunk import ModuleTrunk, build_module_trunk
from skmtl._network._network import Architecture, NetworkPass, Tape, TrunkAndHeads
from skmtl._network._products import without_derivatives
from skmtl._network._specs import describe, without_addresses
from skmtl._network._stacks import ACTIVATIONS

__all__ = [
    "ACTIVATIONS",
    "LINEAR_PARTS",
    "Architecture",
    "Cells",
    "ColumnEncoder",
    "DropoutStock",
    "LogisticPart",
    "ModuleTrunk",
    "NetworkPass",
    "Positions",
    "RidgePart",
    "SparseRows",
    "Tape",
    "TrunkAndHeads",
    "build_module_trunk",
    "cells_of_batches",
    "describe",
    "linear_parts",
    "parameter_device",
    "split_rows",
    "split_with_columns",
    "transposed",
    "weighted_sum",
    "without_addresses",
    "without_derivatives",
    "without_memory",
]
