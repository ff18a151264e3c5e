"""Check that an input is a file, not a stream, and of the kind that its name says."""

from pathlib import Path

from skmtl._cli._console import Failure, quoted

_STDIN = Path("-")


def check_is_no_stream(path: Path) -> None:
    """Raise for a stream: tables are read more than once."""
    is_typed = path == _STDIN and not path.exists()
    if is_typed or (path.exists() and not path.is_file() and not path.is_dir()):
        raise Failure(
            f"{str(path)!r} must be a file, but it is a stream, which cannot be read "
            "twice. Write it to a file first."
        )


def check_kind(path: Path) -> None:
    """Raise if the first bytes belong to an archive."""
    if not path.is_file():
        return
    with open(path, "rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        raise Failure(
            f"{path} must be CSV, TSV or Parquet, but it is a ZIP archive (.xlsx is "
            "one too). Unpack it, or save it as CSV."
        )
    if start[:3] == b"\x1f\x8b\x08" and path.suffix != ".gz":
        new = path.with_name(path.name + ".gz")
        raise Failure(
            f"A table compressed with gzip must have a name that ends with .gz; got "
            f"{str(path)!r}. Rename it to {quoted(str(new))}, or unpack it."
        )
