"""Make sources of data that is read block by block, and check what comes with it."""

from collections.abc import Collection, Iterator
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.utils.validation import _num_samples

from skmtl._sources._arrays import ArraySource, is_chunked_array
from skmtl._sources._arrow_datasets import (
    ArrowSource,
    dataset_labels,
    is_arrow_dataset,
)
from skmtl._sources._beside import rows_in_memory
from skmtl._sources._dask_frames import DaskFrameSource, is_dask_frame
from skmtl._sources._source import PART_ROWS, Source


def is_source(X: Any) -> bool:
    """Whether X is read block by block, and never as a whole."""
    return is_arrow_dataset(X) or is_dask_frame(X) or is_chunked_array(X)


def as_source(
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    columns: Collection[str] | None = None,
    needs_y: bool = False,
) -> Source:
    """Return the rows of X with their labels and weights.

    `columns` are the names of the features that `fit` saw, if any: other columns of a
    dataset are not read. With `needs_y`, y must not be None.
    """
    is_dataset = is_arrow_dataset(X)
    if y is None and needs_y:
        advice = "Pass the labels, one column per task."
        if is_dataset:
            advice = (
                "Name the label columns of the dataset, y='a' or y=['a', 'b']; all "
                "others, except weights, are features."
            )
        raise ValueError(
            "skmtl requires y to be passed, but the target y is None. " + advice
        )
    if is_dataset:
        return ArrowSource(X, y, sample_weight, columns)
    kind = DaskFrameSource if is_dask_frame(X) else ArraySource
    return kind(X, y, sample_weight)


def parts_in_order(X: Any, columns: Collection[str] | None = None) -> Iterator[Any]:
    """Yield all rows of X in parts, also if X is in memory."""
    if is_source(X):
        for part in as_source(X, columns=columns).parts():
            yield part.X
        return
    check_in_memory(X)
    for start in range(0, _num_samples(X), PART_ROWS):
        yield rows_in_memory(X, start, start + PART_ROWS)


def labels_in_memory(X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Return labels and weights of all rows, if X is read block by block."""
    if is_arrow_dataset(X):
        return dataset_labels(X, y, sample_weight)
    if is_source(X):
        return _in_memory(y), _in_memory(sample_weight)
    return y, sample_weight


def _in_memory(values: Any) -> Any:
    if hasattr(values, "compute"):
        return values.compute()
    return np.asarray(values[:]) if is_chunked_array(values) else values


def check_in_memory(X: Any) -> None:
    """Raise if X is not in memory and cannot be read block by block here."""
    if nw.dependencies.is_polars_lazyframe(X):
        raise ValueError(
            "X must be in memory; got a lazy frame. Pass X.collect(). If that is too "
            "large, pass its files as a pyarrow.dataset.Dataset to `fit` or `predict`."
        )
    is_arrow = type(X).__module__.partition(".")[0] == "pyarrow"
    if is_arrow and not (hasattr(X, "column_names") or hasattr(X, "to_numpy")):
        raise ValueError(
            f"X must be in memory here; got {type(X).__name__}. Pass a table; only "
            "`fit`, `score` and predictions read rows block by block, and those from a "
            "pyarrow.dataset.Dataset."
        )


def check_not_in_blocks(X: Any, what: str) -> None:
    """Raise if X is read in blocks, but `what` needs all rows at once."""
    if is_source(X):
        raise ValueError(
            f"{what} needs X in memory; got {type(X).__name__}, which is read in "
            "blocks. Read some of its rows into memory, or use fit."
        )
