"""Read dask DataFrames, partition by partition."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length

from skmtl._sources._beside import rows_in_memory
from skmtl._sources._source import Part, Source, rows_of_part


def is_dask_frame(X: Any) -> bool:
    """Whether X is a dask DataFrame."""
    return _is_of_frames(X) and hasattr(X, "columns") and X.ndim == 2


def _is_of_frames(values: Any) -> bool:
    """Whether the values are a dask DataFrame, Series or similar."""
    return all(hasattr(values, name) for name in ("npartitions", "divisions", "ndim"))


class DaskFrameSource(Source):
    """A source whose blocks are the partitions."""

    def __init__(self, X: Any, y: Any, sample_weight: Any) -> None:
        beside = {"y": y, "sample_weight": sample_weight}
        for name, values in beside.items():
            _check_partitions(name, values, X)
        self._frames = X, y, sample_weight
        self._part_rows = rows_of_part(8 * len(X.columns))
        lengths: list[int | None] = [None] * X.npartitions
        in_memory = [
            values
            for values in beside.values()
            if values is not None and not _is_of_frames(values)
        ]
        if in_memory:
            lengths = [int(n) for n in X.map_partitions(len).compute()]
            self._starts = np.cumsum([0, *lengths]).tolist()
            check_consistent_length(np.empty(self._starts[-1]), *in_memory)
        super().__init__(lengths)

    def _read(self, block: int) -> Iterator[Part]:
        frames = [
            values.partitions[block]
            if _is_of_frames(values)
            else self._in_memory(values, block)
            for values in self._frames
        ]
        # In one call, so that common parts are computed once.
        part = Part(*sys.modules["dask"].compute(*frames, traverse=False))
        _check_rows(part, block)
        for start in range(0, part.n_rows, self._part_rows):
            stop = start + self._part_rows
            yield Part(*(rows_in_memory(values, start, stop) for values in part))

    def _in_memory(self, values: Any, block: int) -> Any:
        if values is None:
            return None
        return rows_in_memory(values, self._starts[block], self._starts[block + 1])


def _check_partitions(name: str, values: Any, X: Any) -> None:
    if isinstance(values, str) or _are_names(values, X):
        raise ValueError(
            f"If X is a dask DataFrame, {name} must be a dask DataFrame or Series, or "
            f"in memory; got the column names {values!r}. Pass ddf[{values!r}], and X "
            "without these columns."
        )
    if hasattr(values, "compute") and not _is_of_frames(values):
        raise ValueError(
            f"If X is a dask DataFrame, {name} must be a dask DataFrame or Series, or "
            f"in memory; got {type(values).__name__}. Pass {name}.compute()."
        )
    if not _is_of_frames(values):
        return
    are_known = X.known_divisions and values.known_divisions
    if values.npartitions != X.npartitions or (
        are_known and values.divisions != X.divisions
    ):
        raise ValueError(
            f"{name} must have the same {X.npartitions} partitions as X; got "
            f"{values.npartitions}. Take both from one DataFrame, or pass "
            f"{name}.compute() if it fits in memory."
        )


def _are_names(values: Any, X: Any) -> bool:
    if not isinstance(values, list) or not values:
        return False
    return all(isinstance(name, str) and name in X.columns for name in values)


def _check_rows(part: Part, block: int) -> None:
    for name in ("y", "sample_weight"):
        values = getattr(part, name)
        if values is not None and len(values) != part.n_rows:
            raise ValueError(
                f"{name} must have the same rows as X, but in partition {block}, X has "
                f"{part.n_rows:,} rows and {name} has {len(values):,}. Take both from "
                f"one DataFrame, or pass {name}.compute() if it fits in memory."
            )
