"""A safetensors file of arrays and JSON. Its reader checks everything in it.

The header of a safetensors file has room for text. We store the kind and the version of
the file there, a JSON document, and a SHA-256 checksum of everything, so that any
change is noticed.
"""

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

VERSION = 1
_FIELDS = {"kind", "version", "document", "sha256"}


class FileError(ValueError):
    """The file cannot be read, or is not of the expected kind."""


def write_file(
    path: str | os.PathLike,
    kind: str,
    document: Any,
    arrays: Mapping[str, NDArray],
) -> None:
    """Write a file in one step: until it is complete, readers see the old one."""
    # Not ascontiguousarray, which turns a 0-D array into a 1-D one.
    arrays = {
        name: np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        for name, array in arrays.items()
    }
    dtypes = {array.dtype for array in arrays.values()}
    unknown = [d for d in dtypes if d.kind not in "biuf" or d.itemsize > 8]
    if unknown:
        raise ValueError(
            f"The arrays of a file must hold numbers or booleans; got {unknown}."
        )
    text = json.dumps(document, allow_nan=False)
    metadata = {
        "kind": kind,
        "version": str(VERSION),
        "document": text,
        "sha256": _digest(kind, text, arrays),
    }
    _replace_file(Path(path), safetensors.numpy.save(dict(arrays), metadata))


def read_file(
    path: str | os.PathLike, kinds: Collection[str]
) -> tuple[Any, dict[str, NDArray]]:
    """Return the document and the arrays.

    Raises FileError for anything but a complete file of one of these kinds. Memory use
    is a small multiple of the size of the file.
    """
    content = Path(path).read_bytes()
    metadata = _metadata(content)
    kind = metadata["kind"]
    if kind not in kinds:
        expected = " or ".join(map(repr, kinds))
        raise FileError(f"it is a file of kind {kind!r} instead of {expected}")
    if metadata["version"] != str(VERSION):
        raise FileError(
            f"its format has version {metadata['version']!r}, but this version of "
            f"skmtl reads version {VERSION}; use the version of skmtl that wrote it"
        )
    try:
        arrays = safetensors.numpy.load(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise FileError(f"its arrays cannot be read: {error}") from error
    if _digest(kind, metadata["document"], arrays) != metadata["sha256"]:
        raise FileError("its checksum does not match its content: it is damaged")
    flags = [array for array in arrays.values() if array.dtype == bool]
    if any((array.reshape(-1).view(np.uint8) > 1).any() for array in flags):
        raise FileError("one of its booleans is neither true nor false")
    return _parse(metadata["document"]), arrays


def _metadata(content: bytes) -> dict[str, str]:
    """Return our own fields of the header, which is parsed here as JSON.

    safetensors checks offsets and shapes, but keeps the last of two equal keys.
    """
    n_bytes = int.from_bytes(content[:8], "little")
    if len(content) < 8 or n_bytes > len(content) - 8:
        raise FileError("it is too short, or it is not a safetensors file")
    header = _parse(content[8 : 8 + n_bytes])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or set(metadata) != _FIELDS:
        raise FileError("skmtl did not write it: its header has other fields")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise FileError("the fields of its header must be text")
    return metadata


def _parse(text: str | bytes) -> Any:
    try:
        return json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise FileError(f"its JSON cannot be read: {error}") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise FileError("its JSON contains a key twice")
    return result


def _refuse(constant: str) -> Any:
    raise FileError(f"its JSON contains {constant}, which is not a valid number")


def _digest(kind: str, text: str, arrays: Mapping[str, NDArray]) -> str:
    digest = hashlib.sha256()
    for part in (kind, text):
        _update(digest, part.encode())
    for name in sorted(arrays):
        array = arrays[name]
        _update(digest, f"{name} {array.dtype.str} {array.shape}".encode())
        _update(digest, array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _update(digest: Any, part: Any) -> None:
    """Add a part, preceded by its length: parts split elsewhere differ then."""
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


def _replace_file(path: Path, content: bytes) -> None:
    with replaced(path) as part, open(part, "wb") as file:
        file.write(content)


def check_destination(path: Path) -> None:
    """Raise if no file can be at this resolved path."""
    if path.is_dir():
        raise IsADirectoryError(
            f"{str(path)!r} must be the name of a file, but it is a folder. Add the "
            "name of a file."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{str(path)!r} must be in an existing folder, but {str(path.parent)!r} "
            "does not exist. Create it first."
        )


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and move it to `path` if no error occurred.

    The move is atomic, also if the process is killed or the power fails.
    """
    path = path.resolve()  # so that a link stays a link
    check_destination(path)
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
