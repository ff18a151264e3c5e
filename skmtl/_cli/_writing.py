"""Checks to be made before a file is written."""

from pathlib import Path

import pyarrow as pa

from skmtl._cli._console import Failure, listed, usage_failure
from skmtl._prediction_files._writer import STDOUT, is_of_table, is_parquet, is_special


def check_output(path: Path, force: bool, *, is_stream: bool = False) -> None:
    """Raise, before the work begins, if the output could not be written after it."""
    if is_stream and (path == STDOUT or is_special(path)):
        return
    if path == STDOUT:
        raise usage_failure(
            "--out must be the name of a file here; got -, the standard output, which "
            "is for tables only. Type a file name."
        )
    if path.is_dir() or is_special(path):
        raise Failure(
            f"--out must be the name of a file; got {str(path)!r}, a folder or device. "
            "Type a file name."
        )
    if path.exists() and not force:
        raise Failure(
            f"--out must be the name of a new file, but {str(path)!r} exists. Add "
            "--force to overwrite it, or choose another name."
        )
    if not path.parent.is_dir():
        raise Failure(
            f"{str(path)!r} must be in an existing folder, but {str(path.parent)!r} "
            "does not exist. Create it first."
        )


def check_suffix(path: Path) -> None:
    """Raise if the suffix does not name a format in which tables are written."""
    if path == STDOUT or is_special(path):
        return
    if is_parquet(path) and path.suffix == ".gz":
        raise usage_failure(
            f"--out must end with .parquet, which is compressed already; got "
            f"{str(path)!r}. Leave out .gz."
        )
    if is_of_table(path):
        return
    raise usage_failure(
        f"--out must end with .csv, .tsv, .csv.gz, .tsv.gz or .parquet; got "
        f"{str(path)!r}. Type - for the standard output."
    )


def check_types(path: Path, schema: pa.Schema) -> None:
    """Raise, before writing, if a column has values that a text cell cannot hold."""
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested and not is_parquet(path):
        raise Failure(
            f"A column of a CSV must have one value in each cell, but {listed(nested)} "
            "has lists or other nested values. Leave it out of --id, or write .parquet."
        )
