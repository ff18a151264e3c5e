"""How a column is read: what its values say, and the values themselves."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Reading = Literal["number", "boolean", "date", "category"]
# What the labels of a task are: classes but for the last.
Labels = Literal["whole", "boolean", "text", "number"]
READINGS, LABELS = get_args(Reading), get_args(Labels)
# Text that means a missing value, without blanks around it: what pandas takes for it,
# and what files from elsewhere have.
USUAL_MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "n/a", "NULL", "null"),
    *("NaN", "nan", "-NaN", "-nan", "NaT", "None", "1.#IND", "-1.#IND"),
    *("1.#QNAN", "-1.#QNAN", "?"),
)

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_MILLISECONDS_OF_DAY = 86_400_000.0
# Text with more different values than this share of the rows tells nothing.
_SHARE_DIFFERENT = 0.5
_FEWEST_DIFFERENT = 10


class Values(NamedTuple):
    """A column: text without blanks around it, or typed values; null is missing."""

    array: Any  # pa.ChunkedArray
    is_text: bool

    @property
    def n_missing(self) -> int:
        return int(self.array.null_count)

    @property
    def is_empty(self) -> bool:
        return self.n_missing == len(self.array)


class Misfit(ValueError):
    """A value that cannot be read as it must be."""

    def __init__(self, row: int, value: str, must_be: str) -> None:
        super().__init__(value)
        self.row, self.value, self.must_be = row, value, must_be


def values_of(column: pa.ChunkedArray, missing: Iterable[str]) -> Values:
    """The column without the text that means a missing value."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        if pa.types.is_floating(kind):
            column = pc.if_else(pc.is_nan(column), None, column)
        if pa.types.is_floating(kind) or pa.types.is_integer(kind):
            column = pc.if_else(_is_marked(column, missing), None, column)
        return Values(column, is_text=False)
    column = pc.utf8_trim_whitespace(column)
    marks = pa.array(sorted(missing), kind)
    is_missing = pc.is_in(column, value_set=marks)
    return Values(pc.if_else(is_missing, pa.scalar(None, kind), column), is_text=True)


def _is_marked(column: pa.ChunkedArray, missing: Iterable[str]) -> pa.ChunkedArray:
    """Numbers that are written as one of the marks."""
    marks = []
    for mark in missing:
        with contextlib.suppress(ValueError):
            marks.append(float(mark))
    numbers = column.cast(pa.float64(), safe=False)
    return pc.is_in(numbers, value_set=pa.array(marks, pa.float64()))


# What a column is -----------------------------------------------------------------


def guess_reading(values: Values) -> Reading | None:
    """None for what is neither text nor a number nor a time."""
    if values.is_text:
        # A few values say quickly what a column is not.
        first = Values(values.array.drop_null().slice(0, 100), is_text=True)
        for reading, read in _READERS.items():
            if _can(read, first) and _can(read, values):
                return reading
        return "category"
    kind = values.array.type
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "date"
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if is_number or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return "number"
    return None


def guess_labels(values: Values, reading: Reading) -> Labels:
    """What the labels of a task are, where its column is read in this way."""
    if reading == "category":
        return "text"
    if reading == "boolean":
        return "boolean"
    numbers = as_floats(values, "number")
    known = numbers[~np.isnan(numbers)]
    is_whole = (known == np.floor(known)).all() and (np.abs(known) < 2**53).all()
    return "whole" if is_whole else "number"


def is_zero_one(values: Values) -> bool:
    numbers = as_floats(values, "number")
    return bool(np.isin(numbers[~np.isnan(numbers)], (0, 1)).all())


def n_different(values: Values) -> int:
    return int(pc.count_distinct(values.array).as_py())


def is_different_in_most_rows(values: Values) -> bool:
    """Whether there is nothing to learn from its categories."""
    n_known = len(values.array) - values.n_missing
    n = n_different(values)
    return n > _FEWEST_DIFFERENT and n > _SHARE_DIFFERENT * n_known


def odd_ones_among_numbers(values: Values) -> list[str]:
    """The text of a column that is otherwise one of numbers, if it is."""
    if not values.is_text:
        return []
    known = values.array.drop_null()
    is_number = pc.match_substring_regex(known, _NUMBER)
    n_numbers = pc.sum(is_number).as_py() or 0
    others = pc.unique(known.filter(pc.invert(is_number))).to_pylist()
    is_mostly = len(others) <= 3 and n_numbers > 0.5 * len(known)
    return others if is_mostly else []


def have_decimal_commas(values: Values) -> bool:
    if not values.is_text:
        return False
    first = values.array.drop_null().slice(0, 100)
    is_number = pc.match_substring_regex(pc.replace_substring(first, ",", "."), _NUMBER)
    has_comma = pc.match_substring(first, ",")
    return len(first) > 0 and bool(
        pc.all(is_number).as_py() and pc.any(has_comma).as_py()
    )


# Its values -----------------------------------------------------------------------


def as_floats(values: Values, reading: Reading) -> NDArray:
    """(n_rows,) float64, NaN where missing: numbers, 0 and 1, or days since 1970."""
    result: NDArray = _READERS[reading](values).to_numpy()
    if np.isinf(result).any():
        row = int(np.isinf(result).argmax())
        raise Misfit(row, str(values.array[row].as_py()), "a finite number")
    return result


def as_categories(values: Values) -> pa.ChunkedArray:
    """Text."""
    return values.array if values.is_text else values.array.cast(pa.string())


def as_labels(values: Values, labels: Labels) -> pa.ChunkedArray:
    """A column of y."""
    if labels == "text":
        return as_categories(values)
    if labels == "boolean":
        return _booleans(values).cast(pa.bool_())
    numbers = as_floats(values, "number")
    if labels == "whole":
        is_odd = numbers != np.floor(numbers)
        is_odd &= ~np.isnan(numbers)
        if is_odd.any():
            row = int(is_odd.argmax())
            raise Misfit(row, str(values.array[row].as_py()), "a whole number")
        column = pa.array(numbers, from_pandas=True).cast(pa.int64())
    else:
        column = pa.array(numbers, from_pandas=True)
    return pa.chunked_array([column])


def _numbers(values: Values) -> pa.ChunkedArray:
    return _cast(values, pa.float64(), "a number")


def _booleans(values: Values) -> pa.ChunkedArray:
    array = values.array
    if values.is_text:
        small = pc.utf8_lower(array)
        is_true = pc.equal(small, "true")
        is_known = pc.or_(is_true, pc.equal(small, "false"))
        if pc.all(is_known).as_py() is False:
            row = is_known.index(False).as_py()
            raise Misfit(row, array[row].as_py(), "true or false")
        array = is_true
    elif not pa.types.is_boolean(array.type):
        array = _cast(values, pa.bool_(), "true or false")
    return array.cast(pa.float64())


def _days(values: Values) -> pa.ChunkedArray:
    """With hours as fractions; times with a zone are those of UTC."""
    # Beyond 285 years, the microseconds since 1970 are no longer exact as float64.
    kind = pa.timestamp("ms")
    array = values.array
    if values.is_text:
        try:
            array = array.cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            array = _cast(values, pa.timestamp("us", "UTC"), "an ISO date")
    else:
        array = _cast(values, pa.timestamp("us"), "a date")
    milliseconds = array.cast(kind, safe=False).cast(pa.int64()).cast(pa.float64())
    return pc.divide(milliseconds, _MILLISECONDS_OF_DAY)


_READERS: dict[Reading, Callable[[Values], pa.ChunkedArray]] = {
    "number": _numbers,
    "boolean": _booleans,
    "date": _days,
}


def _can(read: Callable[[Values], pa.ChunkedArray], values: Values) -> bool:
    try:
        read(values)
    except Misfit:
        return False
    return True


def _cast(values: Values, kind: pa.DataType, must_be: str) -> pa.ChunkedArray:
    try:
        return values.array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row, value = _first_misfit(values.array, kind)
        raise Misfit(row, value, must_be) from error


def _first_misfit(array: pa.ChunkedArray, kind: pa.DataType) -> tuple[int, str]:
    """By halves: the first value that cannot be cast."""
    first, last = 0, len(array)
    while last - first > 1:
        middle = (first + last) // 2
        try:
            array.slice(first, middle - first).cast(kind)
            first = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            last = middle
    return first, str(array[first].as_py())
