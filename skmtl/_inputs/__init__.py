"""The meaning of X: numbers, categories and holes, dense or sparse."""

from skmtl._inputs._check import InputColumns, canonical, check_inputs
from skmtl._inputs._encoding import (
    FIRST_CODE_SLOT,
    MISSING_SLOT,
    CategoricalColumns,
    ColumnEncoding,
    NumericColumns,
    learn_encoding,
)
from skmtl._inputs._row_order import warn_of_row_order

__all__ = [
    "FIRST_CODE_SLOT",
    "MISSING_SLOT",
    "CategoricalColumns",
    "ColumnEncoding",
    "InputColumns",
    "NumericColumns",
    "canonical",
    "check_inputs",
    "learn_encoding",
    "warn_of_row_order",
]
