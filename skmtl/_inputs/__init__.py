"""Read X: numbers, categories and missing values, dense or sparse."""

from skmtl._inputs._check import (
    InputColumns,
    check_inputs,
    extended_columns,
)
from skmtl._inputs._declared import Declared
from skmtl._inputs._encoding import (
    CategoricalColumns,
    ColumnEncoding,
    NumericColumns,
    encoding_of,
    learn_encoding,
)
from skmtl._inputs._late import (
    declare_columns,
    warn_of_late_categories,
    warn_of_late_numbers,
)
from skmtl._inputs._row_order import warn_of_row_order
from skmtl._inputs._sample import (
    FIRST_CODE_SLOT,
    MISSING_SLOT,
    SAMPLE_SIZE,
    ColumnSample,
    has_missing,
    slots_of,
)
from skmtl._inputs._seen import ColumnsSeen, sample_size
from skmtl._inputs._splits import Splits, find_splits, n_rows_per_tree

__all__ = [
    "FIRST_CODE_SLOT",
    "MISSING_SLOT",
    "SAMPLE_SIZE",
    "CategoricalColumns",
    "ColumnEncoding",
    "ColumnSample",
    "ColumnsSeen",
    "Declared",
    "InputColumns",
    "NumericColumns",
    "Splits",
    "check_inputs",
    "declare_columns",
    "encoding_of",
    "extended_columns",
    "find_splits",
    "has_missing",
    "learn_encoding",
    "n_rows_per_tree",
    "sample_size",
    "slots_of",
    "warn_of_late_categories",
    "warn_of_late_numbers",
    "warn_of_row_order",
]
