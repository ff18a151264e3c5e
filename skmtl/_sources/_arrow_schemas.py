"""Check the schemas of the files of a pyarrow dataset, which casts them to one."""

import sys
from collections.abc import Collection, Iterator
from typing import Any

from skmtl._messages import shorten, warn

_ADVICE = (
    "Merge the schemas of the files with "
    'pa.unify_schemas([...], promote_options="permissive") and pass the result, '
    "ds.dataset(files, schema=...)"
)
# Kinds of types in a file, and wider kinds in the dataset.
_WIDENINGS = {("bool", "integer"), ("bool", "float"), ("integer", "float")}
_NUMBERS = ("bool", "integer", "float")
# In these formats, values are text, and a value that does not fit its type is an error.
_FORMATS_OF_TEXT = ("csv", "json")


def check_types(dataset: Any, names: list[str]) -> None:
    """Raise if files have columns whose values do not fit the types of the dataset."""
    narrowed = [
        f"{name} ({type_} in {path}, {dataset.schema.field(name).type} in X.schema)"
        for path, schema in _schemas(dataset, but=_FORMATS_OF_TEXT)
        for name, type_ in zip(schema.names, schema.types, strict=True)
        if name in names and not _is_held(type_, dataset.schema.field(name).type)
    ]
    if narrowed:
        raise ValueError(
            "The schema of X (that of its first file, unless you pass another one) "
            f"must be able to hold the values of all files; got {shorten(narrowed)}, "
            f"for which reading would change values or fail. {_ADVICE}, if the types "
            "can be merged. Otherwise, set the wider type in the schema (float64 for "
            "bool and double), or write the column with one type."
        )


def warn_of_columns_left_out(dataset: Any) -> None:
    """Warn of columns that the first file does not have: they are not read."""
    schemas = list(_schemas(dataset))
    known = set(dataset.schema.names)
    if not schemas or not known.issuperset(schemas[0][1].names):
        return  # the user passed a schema without some columns on purpose
    left_out: dict[str, str] = {}
    for path, schema in schemas:
        for name in schema.names:
            if name not in known and name not in index_of_pandas(schema):
                left_out.setdefault(name, path)
    if left_out:
        shown = [f"{name} (in {path})" for name, path in left_out.items()]
        warn(
            "All files of X should have the columns of its schema (that of the first "
            f"file), but some have more: {shorten(shown)}. These are not used as "
            f"features. To use them: {_ADVICE[0].lower()}{_ADVICE[1:]}."
        )


def check_weights(schema: Any, names: list[str]) -> None:
    """Raise if columns of weights are not numbers."""
    wrong = [
        f"{name} ({schema.field(name).type})"
        for name in names
        if _kind(_of_values(schema.field(name).type)) not in _NUMBERS
    ]
    if wrong:
        raise ValueError(
            "The columns that sample_weight names must be numeric; got "
            f"{shorten(wrong)}. Name other columns, or write them as numbers."
        )


def index_of_pandas(schema: Any) -> set[str]:
    """Return columns that were the index of a DataFrame: they are not features."""
    index = (schema.pandas_metadata or {}).get("index_columns", ())
    return {name for name in index if isinstance(name, str)}


def _schemas(dataset: Any, but: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the path and the schema of each file, except those of these formats."""
    try:
        fragments = list(dataset.get_fragments())
    except ValueError:  # the dataset is filtered
        files = getattr(dataset, "files", ())
        fragments = [
            dataset.format.make_fragment(path, dataset.filesystem) for path in files
        ]
    for fragment in fragments:
        format_ = getattr(fragment, "format", None)
        if format_ is not None and format_.default_extname not in but:
            yield fragment.path, fragment.physical_schema


def _is_held(given: Any, held: Any) -> bool:
    """Whether a cast keeps all values, or fails if it cannot."""
    given, held = _of_values(given), _of_values(held)
    kinds = _kind(given), _kind(held)
    if kinds == ("integer", "integer"):
        is_signed = sys.modules["pyarrow"].types.is_signed_integer
        signs = is_signed(given), is_signed(held)
        if signs == (False, True):
            return bool(given.bit_width < held.bit_width)
        return signs[0] == signs[1] and bool(given.bit_width <= held.bit_width)
    return kinds[0] in (kinds[1], "null") or kinds in _WIDENINGS


def _of_values(type_: Any) -> Any:
    is_dictionary = sys.modules["pyarrow"].types.is_dictionary
    return type_.value_type if is_dictionary(type_) else type_


def _kind(type_: Any) -> str:
    types = sys.modules["pyarrow"].types
    if types.is_boolean(type_):
        return "bool"
    if types.is_integer(type_):
        return "integer"
    if types.is_floating(type_) or types.is_decimal(type_):
        return "float"
    if types.is_temporal(type_):
        return "time"
    name = str(type_)
    is_text = any(part in name for part in ("string", "binary"))
    return "text" if is_text and not types.is_nested(type_) else name
