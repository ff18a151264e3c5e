"""Labels and weights in memory for an X that is read block by block."""

from typing import Any

from sklearn.utils import _safe_indexing


def rows_in_memory(values: Any, start: int, stop: int) -> Any:
    """Return some rows of any container; None stays None."""
    return None if values is None else _safe_indexing(values, slice(start, stop))
