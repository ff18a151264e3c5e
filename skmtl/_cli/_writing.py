"""Files that are written whole or not at all, block by block."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from skmtl._cli._console import Failure, listed, usage_failure
from skmtl._files import replaced

STDOUT = Path("-")
_SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")


class Writer(Protocol):
    """What takes blocks of a table."""

    def write_table(self, table: pa.Table) -> None: ...


def check_output(path: Path, force: bool, *, is_stream: bool = False) -> None:
    """Refuse before the work what could not be written after it."""
    if is_stream and (path == STDOUT or _is_special(path)):
        return
    if path == STDOUT:
        raise usage_failure(
            "--out must be the name of a file here: what is written is no table, which "
            "a terminal could show. Type a name."
        )
    if path.is_dir() or _is_special(path):
        raise Failure(f"{str(path)!r} must be the name of a file, which it is not.")
    if path.exists() and not force:
        raise Failure(
            f"{str(path)!r} exists already. Type --force to replace it, or another "
            "name after --out."
        )
    if not path.parent.is_dir():
        raise Failure(
            f"{str(path)!r} must be in a folder that exists, but {str(path.parent)!r} "
            "does not. Make it."
        )


def check_suffix(path: Path) -> None:
    """A table is written in the format that its name says."""
    if path == STDOUT or _is_special(path):
        return
    if _is_parquet(path) and path.suffix == ".gz":
        raise usage_failure(
            f"--out must end with .parquet, which is compressed already; got "
            f"{str(path)!r}. Leave out .gz."
        )
    if _format(path) in _SUFFIXES:
        return
    raise usage_failure(
        f"--out must end with .csv, .tsv, .parquet or, for instance, .csv.gz; got "
        f"{str(path)!r}. Type - for the standard output."
    )


def check_types(path: Path, schema: pa.Schema) -> None:
    """Refuse what a cell of text cannot hold, before anything is written."""
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested and not _is_parquet(path):
        raise Failure(
            f"A column of a CSV must have one value in each cell, but {listed(nested)} "
            "has lists or the like. Leave it out of --id, or write .parquet."
        )


@contextlib.contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """Writes under another name, which becomes `path` if all went well."""
    with contextlib.ExitStack() as stack:
        if path == STDOUT:
            file: Any = sys.stdout.buffer
        elif _is_special(path):
            file = stack.enter_context(open(path, "wb"))
        else:
            part = stack.enter_context(replaced(path))
            file = stack.enter_context(open(part, "wb"))
        if path.suffix == ".gz":
            file = stack.enter_context(pa.CompressedOutputStream(file, "gzip"))
        if _is_parquet(path):
            writer = pa.parquet.ParquetWriter(file, schema)
        else:
            delimiter = "\t" if _format(path) == ".tsv" else ","
            options = pa.csv.WriteOptions(delimiter=delimiter, quoting_style="needed")
            writer = pa.csv.CSVWriter(file, schema, write_options=options)
        yield stack.enter_context(writer)
    if path == STDOUT:
        sys.stdout.flush()


def _format(path: Path) -> str:
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def _is_parquet(path: Path) -> bool:
    return _format(path) in (".parquet", ".pq")


def _is_special(path: Path) -> bool:
    """A device or a pipe, in whose place no file must be put."""
    return path.exists() and not path.is_file() and not path.is_dir()
