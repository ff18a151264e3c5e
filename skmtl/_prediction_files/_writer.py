"""Files of tables that are written whole or not at all, block by block."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from skmtl._files import replaced

STDOUT = Path("-")
_SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")


class Writer(Protocol):
    """What takes blocks of a table."""

    def write_table(self, table: pa.Table) -> None: ...


@contextlib.contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """Writes under another name, which becomes `path` if all went well."""
    with contextlib.ExitStack() as stack:
        if path == STDOUT:
            file: Any = sys.stdout.buffer
        elif is_special(path):
            file = stack.enter_context(open(path, "wb"))
        else:
            part = stack.enter_context(replaced(path))
            file = stack.enter_context(open(part, "wb"))
        if path.suffix == ".gz":
            file = stack.enter_context(pa.CompressedOutputStream(file, "gzip"))
        if is_parquet(path):
            writer = pa.parquet.ParquetWriter(file, schema)
        else:
            delimiter = "\t" if _format(path) == ".tsv" else ","
            options = pa.csv.WriteOptions(delimiter=delimiter, quoting_style="needed")
            writer = pa.csv.CSVWriter(file, schema, write_options=options)
        yield stack.enter_context(writer)
    if path == STDOUT:
        sys.stdout.flush()


def is_of_table(path: Path) -> bool:
    """Whether the name says in what format a table is written."""
    is_compressed_twice = is_parquet(path) and path.suffix == ".gz"
    return _format(path) in _SUFFIXES and not is_compressed_twice


def is_parquet(path: Path) -> bool:
    """Whether it is the name of a Parquet file, compressed once more or not."""
    return _format(path) in (".parquet", ".pq")


def is_special(path: Path) -> bool:
    """A device or a pipe, in whose place no file must be put."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _format(path: Path) -> str:
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
