"""Write tables to files block by block; a file is complete, or it does not exist."""

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
    """Anything that writes blocks of a table."""

    def write_table(self, table: pa.Table) -> None: ...


@contextlib.contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """Write to a temporary file, which is moved to `path` if no error occurs."""
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
    """Whether the suffix names a format in which tables are written."""
    is_compressed_twice = is_parquet(path) and path.suffix == ".gz"
    return _format(path) in _SUFFIXES and not is_compressed_twice


def is_parquet(path: Path) -> bool:
    """Whether it is the name of a Parquet file, also if it ends with .gz."""
    return _format(path) in (".parquet", ".pq")


def is_special(path: Path) -> bool:
    """Whether it is a device or a pipe, which no file must replace."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _format(path: Path) -> str:
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
