"""Networks: banks of linear maps, column layers, stacks, trunks and heads."""

from skmtl._network._banks import SparseRows, parameter_device, without_memory
from skmtl._network._cells import Cells, cells_of_batches
from skmtl._network._columns import (
    ColumnEncoder,
    Positions,
    split_rows,
    split_with_columns,
)
from skmtl._network._dropout import DropoutStock
from skmtl._network._module_trunk import ModuleTrunk, build_module_trunk
from skmtl._network._network import Architecture, NetworkPass, Tape, TrunkAndHeads
from skmtl._network._products import without_derivatives
from skmtl._network._ridge_part import RidgePart
from skmtl._network._specs import describe, without_addresses
from skmtl._network._stacks import ACTIVATIONS

__all__ = [
    "ACTIVATIONS",
    "Architecture",
    "Cells",
    "ColumnEncoder",
    "DropoutStock",
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
    "parameter_device",
    "split_rows",
    "split_with_columns",
    "without_addresses",
    "without_derivatives",
    "without_memory",
]
