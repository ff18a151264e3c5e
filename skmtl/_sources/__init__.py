"""X with its labels and weights, if the rows are read block by block.

A block is a row group or a file of a pyarrow dataset, a partition of a dask DataFrame,
or some chunks of a zarr, HDF5 or dask array. This package does not import those
packages: whoever passes such an object has imported them.
"""

from skmtl._sources._as_source import (
    as_source,
    check_in_memory,
    check_not_in_blocks,
    is_source,
    labels_in_memory,
    parts_in_order,
)
from skmtl._sources._source import PART_ROWS, Part, Source

__all__ = [
    "PART_ROWS",
    "Part",
    "Source",
    "as_source",
    "check_in_memory",
    "check_not_in_blocks",
    "is_source",
    "labels_in_memory",
    "parts_in_order",
]
