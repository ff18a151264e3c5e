"""What must hold of a file before it is written."""

from pathlib import Path

import pyarrow as pa

from skmtl._cli._console import Failure, listed, usage_failure
from skmtl._prediction_files._writer import STDOUT, is_of_table, is_parquet, is_special


def check_output(path: Path, force: bool, *, is_stream: bool = False) -> None:
    """Refuse before the work what could not be written after it."""
    if is_stream and (path == STDOUT or is_special(path)):
        return
    if path == STDOUT:
        raise usage_failure(
            "--out must be the name of a file here: what is written is no table, which "
            "a terminal could show. Type a name."
        )
    if path.is_dir() or is_special(path):
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
        f"--out must end with .csv, .tsv, .parquet or, for instance, .csv.gz; got "
        f"{str(path)!r}. Type - for the standard output."
    )


def check_types(path: Path, schema: pa.Schema) -> None:
    """Refuse what a cell of text cannot hold, before anything is written."""
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested and not is_parquet(path):
        raise Failure(
            f"A column of a CSV must have one value in each cell, but {listed(nested)} "
            "has lists or the like. Leave it out of --id, or write .parquet."
        )
