"""Read pyarrow datasets (Parquet, Feather or CSV files), row group by row group."""

import sys
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from sklearn.utils.validation import check_consistent_length

from skmtl._messages import shorten
from skmtl._sources._arrow_schemas import (
    check_types,
    check_weights,
    index_of_pandas,
    warn_of_columns_left_out,
)
from skmtl._sources._beside import rows_in_memory
from skmtl._sources._source import Part, Source, rows_of_block, rows_of_part

# In these formats, rows can be counted without reading them.
_COUNTED_FORMATS = ("arrow", "feather", "ipc")


def is_arrow_dataset(X: Any) -> bool:
    """Whether X is a pyarrow dataset."""
    module = sys.modules.get("pyarrow.dataset")
    return module is not None and isinstance(X, module.Dataset)


class _Columns(NamedTuple):
    """Names of columns."""

    features: list[str]
    labels: list[str]
    weights: list[str]

    @property
    def all(self) -> list[str]:
        return [*self.features, *self.labels, *self.weights]


class ArrowSource(Source):
    """A source whose blocks are Parquet row groups or whole files, merged if small."""

    def __init__(
        self, dataset: Any, y: Any, sample_weight: Any, names: Collection[str] | None
    ) -> None:
        self._dataset, self._y, self._weight = dataset, y, sample_weight
        self._columns = _check_columns(dataset, y, sample_weight, names)
        check_types(dataset, self._columns.all)
        if names is None and y is not None:
            warn_of_columns_left_out(dataset)
        row_bytes = 8 * len(self._columns.all)
        self._part_rows = rows_of_part(row_bytes)
        self._blocks, lengths = _blocks(dataset, rows_of_block(row_bytes))
        self._has_own_weight = not (sample_weight is None or self._columns.weights)
        if self._has_own_weight:
            lengths = [
                sum(piece.count_rows() for piece in block) if length is None else length
                for block, length in zip(self._blocks, lengths, strict=True)
            ]
            self._starts = np.cumsum([0, *lengths]).tolist()
            check_consistent_length(np.empty(self._starts[-1]), self._weight)
        super().__init__(lengths)

    def _read(self, block: int) -> Iterator[Part]:
        n_read = 0
        for table in self._tables(block):
            yield self._part(table, block, n_read)
            n_read += table.num_rows

    def _part(self, table: Any, block: int, n_read: int) -> Part:
        weight = _weights_of(table, self._weight)
        if self._has_own_weight:
            first = self._starts[block] + n_read
            weight = rows_in_memory(weight, first, first + table.num_rows)
        X = table.select(self._columns.features)
        return Part(X, _labels_of(table, self._y), weight)

    def _tables(self, block: int) -> Iterator[Any]:
        """Yield the batches in pieces with the same number of rows."""
        from_batches = sys.modules["pyarrow"].Table.from_batches
        waiting: list[Any] = []
        n_waiting = 0
        for batch in self._batches(block):
            waiting.append(batch)
            n_waiting += batch.num_rows
            while n_waiting >= self._part_rows:
                table = from_batches(waiting)
                yield table.slice(0, self._part_rows)
                rest = table.slice(self._part_rows)
                waiting, n_waiting = rest.to_batches(), rest.num_rows
        if n_waiting:
            yield from_batches(waiting)

    def _batches(self, block: int) -> Iterator[Any]:
        settings: dict[str, Any] = {
            "columns": self._columns.all,
            "batch_size": self._part_rows,
            # Each batch that is read ahead takes memory.
            "batch_readahead": 1,
            "fragment_readahead": 1,
        }
        for piece in self._blocks[block]:
            if piece is self._dataset:
                settings["use_threads"] = False  # threads read further ahead
            else:
                settings["schema"] = self._dataset.schema
            yield from piece.to_batches(
                fragment_scan_options=_scan_options(piece), **settings
            )


def _labels_of(table: Any, y: Any) -> Any:
    """Return the columns that y names; for a single name, a Series with that name."""
    if isinstance(y, str):
        return nw.from_native(table.select([y]), eager_only=True)[y]
    return None if y is None else table.select(_as_names(y))


def _weights_of(table: Any, sample_weight: Any) -> Any:
    """Return (n_rows,) for a name, (n_rows, n_names) for several, or the weights."""
    if isinstance(sample_weight, str):
        return _weight_of(table, sample_weight)
    names = _as_names(sample_weight)
    # Which labels are missing, and so need no weight, is known later.
    columns = [_weight_of(table, name, may_be_missing=True) for name in names]
    return np.column_stack(columns) if columns else sample_weight


def _weight_of(table: Any, name: str, *, may_be_missing: bool = False) -> Any:
    values = table[name].to_numpy()
    numbers = values.astype(float)
    if np.isinf(numbers).any() or (np.isnan(numbers).any() and not may_be_missing):
        raise ValueError(
            "Weights must be finite numbers, but the sample_weight column "
            f"{name!r} has missing or infinite values. Write 0 for rows that should "
            "not count."
        )
    return values


def dataset_labels(dataset: Any, y: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Return labels and weights of all rows; what is in memory already stays as is."""
    if not _as_names(y):
        return y, sample_weight
    columns = _check_columns(dataset, y, sample_weight, None)
    check_types(dataset, [*columns.labels, *columns.weights])
    table = dataset.to_table(columns=[*columns.labels, *columns.weights])
    return _labels_of(table, y), _weights_of(table, sample_weight)


def _scan_options(files: Any) -> Any:
    """Return options with which whole row groups of local files are not buffered."""
    format_: Any = getattr(files, "format", None)
    is_parquet = getattr(format_, "default_extname", "") == "parquet"
    if not is_parquet or files.filesystem.type_name != "local":
        return None
    options = format_.default_fragment_scan_options
    kind = type(options)
    if options != kind():  # the user set their own
        return None
    return kind(use_buffered_stream=True, pre_buffer=False)


# Blocks -----------------------------------------------------------------------------


def _blocks(dataset: Any, n_rows: int) -> tuple[list[list[Any]], list[int | None]]:
    """Return the fragments of each block, and its number of rows if it is known."""
    try:
        fragments = list(dataset.get_fragments())
    except ValueError:  # the dataset is filtered
        return [[dataset]], [None]
    blocks: list[list[Any]] = []
    lengths: list[int | None] = []
    for fragment in fragments:
        for piece, length in _pieces(fragment):
            last = lengths[-1] if lengths else None
            if last is None or length is None or last + length > n_rows:
                blocks.append([piece])
                lengths.append(length)
            else:
                blocks[-1].append(piece)
                lengths[-1] = last + length
    return blocks, lengths


def _pieces(fragment: Any) -> Iterator[tuple[Any, int | None]]:
    if hasattr(fragment, "split_by_row_group"):
        for piece in fragment.split_by_row_group():
            yield piece, sum(group.num_rows for group in piece.row_groups)
        return
    kind = getattr(getattr(fragment, "format", None), "default_extname", "arrow")
    yield fragment, fragment.count_rows() if kind in _COUNTED_FORMATS else None


# Columns ----------------------------------------------------------------------------


def _as_names(names: Any) -> list[str]:
    """Return the names of a str, list, array or index; [] for anything else."""
    if isinstance(names, str):
        return [names]
    if not isinstance(names, list | tuple) and getattr(names, "ndim", 0) != 1:
        return []
    if not isinstance(next(iter(names), None), str):
        return []
    return [str(name) for name in names]


def _check_columns(
    dataset: Any, y: Any, sample_weight: Any, names: Collection[str] | None
) -> _Columns:
    known = dataset.schema.names
    if not known:
        raise ValueError(
            "X must have columns and rows; got a dataset without any, perhaps because "
            "it has no files. Check dataset.files: each process needs at least one."
        )
    twice = [name for name, n in Counter(known).items() if n > 1]
    if twice:
        raise ValueError(
            "The columns of X must have different names, but several are called "
            f"{shorten(twice)}. Rename or drop some."
        )
    labels, weights = _as_names(y), _as_names(sample_weight)
    if y is not None and not labels:
        raise ValueError(
            "If X is a pyarrow dataset, y must name the label columns in it; got "
            f"{type(y).__name__}. Write the labels to the files and pass a name, or a "
            "list of names for several tasks."
        )
    for parameter, given in (("y", labels), ("sample_weight", weights)):
        lacking = [name for name in given if name not in known]
        if lacking:
            raise ValueError(
                f"{parameter} must name columns of the dataset X, {shorten(known)}; "
                f"got {shorten(lacking)}. Correct the names."
            )
    _check_once([*labels, *weights])
    if weights and labels and not isinstance(sample_weight, str):
        _check_n_weights(weights, labels)
    if names is None:
        others = {*labels, *weights, *index_of_pandas(dataset.schema)}
        features = [name for name in known if name not in others]
    else:
        features = [str(name) for name in names]
    columns = _Columns(features, labels, weights)
    _check_features(columns, known)
    _check_flat(dataset.schema, columns)
    check_weights(dataset.schema, weights)
    return columns


def _check_n_weights(weights: list[str], labels: list[str]) -> None:
    if len(weights) != len(labels):
        raise ValueError(
            "A list in sample_weight must name one column of weights for each of the "
            f"{len(labels)} tasks; got {shorten(weights)}. For one weight per row, "
            f"pass a name, sample_weight={weights[0]!r}."
        )


def _check_once(names: list[str]) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ValueError(
            "y and sample_weight must name each column once; got "
            f"{shorten(twice)} several times. Leave out the repetitions."
        )


def _check_features(columns: _Columns, known: list[str]) -> None:
    features, labels, weights = columns
    lacking = [name for name in features if name not in known]
    if lacking:
        raise ValueError(
            "The feature names should match those that were passed during fit, but "
            f"the dataset X has no columns {shorten(lacking)}. Its columns are "
            f"{shorten(known)}. Add or rename columns."
        )
    both = [name for name in features if name in (*labels, *weights)]
    if both:
        raise ValueError(
            "Label and weight columns must not be features, but "
            f"{shorten(both)} were features in fit, and y or sample_weight names them. "
            "Name other columns, or fit again."
        )
    if not features:
        raise ValueError(
            "X must have at least one feature, but y and sample_weight name all of "
            f"its columns, {shorten(known)}. Name only the labels and weights."
        )


def _check_flat(schema: Any, columns: _Columns) -> None:
    is_nested = sys.modules["pyarrow"].types.is_nested
    nested = [name for name in columns.all if is_nested(schema.field(name).type)]
    if nested:
        shown = [f"{name} ({schema.field(name).type})" for name in nested]
        raise ValueError(
            f"Columns of X must have one value in each row, but got {shorten(shown)}. "
            "Split them into several columns, or leave them out of the dataset."
        )
