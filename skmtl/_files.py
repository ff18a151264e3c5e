"""One file of arrays and JSON, in the safetensors format, that is trusted in nothing.

The header of safetensors has room for text: there are the kind and version of the file,
a JSON document and a SHA-256 over all of it, so that no change goes unnoticed.
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
    """The file is not what its reader takes."""


def write_file(
    path: str | os.PathLike,
    kind: str,
    document: Any,
    arrays: Mapping[str, NDArray],
) -> None:
    """Write a whole file or none: until it is there, readers see the old one."""
    # Not ascontiguousarray, which gives a number an axis.
    arrays = {
        name: np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        for name, array in arrays.items()
    }
    dtypes = {array.dtype for array in arrays.values()}
    unknown = [d for d in dtypes if d.kind not in "biuf" or d.itemsize > 8]
    if unknown:
        raise ValueError(
            f"Arrays must be of numbers or booleans to be written; got {unknown}."
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
    """The document and the arrays.

    Raises FileError for whatever is not a whole file of one of these kinds. The memory
    that it takes is a small multiple of the file.
    """
    content = Path(path).read_bytes()
    metadata = _metadata(content)
    kind = metadata["kind"]
    if kind not in kinds:
        expected = " or ".join(map(repr, kinds))
        raise FileError(f"it is a file of kind {kind!r}, not {expected}")
    if metadata["version"] != str(VERSION):
        raise FileError(
            f"it has version {metadata['version']!r} of the format, and this version "
            f"of skmtl reads {VERSION}; use the version of skmtl that wrote it"
        )
    try:
        arrays = safetensors.numpy.load(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise FileError(f"its arrays cannot be read: {error}") from error
    if _digest(kind, metadata["document"], arrays) != metadata["sha256"]:
        raise FileError("its checksum does not fit its content: it is damaged")
    flags = [array for array in arrays.values() if array.dtype == bool]
    if any((array.reshape(-1).view(np.uint8) > 1).any() for array in flags):
        raise FileError("it has a flag that is neither true nor false")
    return _parse(metadata["document"]), arrays


def _metadata(content: bytes) -> dict[str, str]:
    """Our own fields of the header, after the header was looked at as text.

    safetensors checks offsets and shapes, but takes the last of two equal keys.
    """
    n_bytes = int.from_bytes(content[:8], "little")
    if len(content) < 8 or n_bytes > len(content) - 8:
        raise FileError("it is too short, or no safetensors file")
    header = _parse(content[8 : 8 + n_bytes])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or set(metadata) != _FIELDS:
        raise FileError("it was not written by skmtl: its header has other fields")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise FileError("the fields of its header are not text")
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
        raise FileError("its JSON has a key twice")
    return result


def _refuse(constant: str) -> Any:
    raise FileError(f"its JSON has {constant}, which is no number")


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
    """With its length, so that no part can pass for the beginning of the next."""
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


def _replace_file(path: Path, content: bytes) -> None:
    with replaced(path) as part, open(part, "wb") as file:
        file.write(content)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Name of a file to write, which takes the place of `path` if all went well.

    In one step, which a kill or a loss of power cannot halve.
    """
    path = path.resolve()  # a link stays one
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{str(path)!r} cannot be written: no such folder.")
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
