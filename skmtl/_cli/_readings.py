"""Guess from its values how a column is to be read, and read it."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Reading = Literal["number", "boolean", "date", "category"]
# The kinds of labels of a task. All are classes, except the last.
Labels = Literal["whole", "boolean", "text", "number"]
READINGS, LABELS = get_args(Reading), get_args(Labels)
# Texts that mean a missing value, without whitespace around them: those of pandas, and
# "?", which other programs write.
USUAL_MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "n/a", "NULL", "null"),
    *("NaN", "nan", "-NaN", "-nan", "NaT", "None", "1.#IND", "-1.#IND"),
    *("1.#QNAN", "-1.#QNAN", "?"),
)

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
# 007 is a code; it does not count as missing if 7 does.
_NUMBER_OR_CODE = r"^[+-]?0\d"
_THOUSANDS = r"^[+-]?[1-9]\d{0,2}(%s\d{3})+%s$"
_ZONE = r"[T ]\d\d(:\d\d)*(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)$"
# Above this, float64 cannot tell neighbouring whole numbers apart.
_MOST_EXACT = 2**53
_MILLISECONDS_OF_DAY = 86_400_000.0
# Text with more distinct values than this share of the rows is not used.
_SHARE_DIFFERENT = 0.5
_FEWEST_DIFFERENT = 10


class Values(NamedTuple):
    """A column of typed values, or of stripped text; null is missing."""

    array: Any  # pa.ChunkedArray
    is_text: bool
    decimal: str = "."  # decimal mark of numbers in text

    @property
    def n_missing(self) -> int:
        return int(self.array.null_count)

    @property
    def is_empty(self) -> bool:
        return self.n_missing == len(self.array)


class Misfit(ValueError):
    """A value that cannot be read as its column requires."""

    def __init__(self, row: int, value: str, must_be: str) -> None:
        super().__init__(value)
        self.row, self.value, self.must_be = row, value, must_be


def values_of(
    column: pa.ChunkedArray, missing: Iterable[str], decimal: str = "."
) -> Values:
    """Return the column with null for each text or number that means missing."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    marks = _numeric(missing)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        if pa.types.is_float16(kind):
            column = column.cast(pa.float32())
        if pa.types.is_floating(kind):
            column = pc.if_else(pc.is_nan(column), None, column)
        if _is_numeric(kind) and marks:
            numbers = column.cast(pa.float64(), safe=False)
            column = pc.if_else(_is_in(numbers, marks), None, column)
        return Values(column, is_text=False)
    column = pc.utf8_trim_whitespace(column)
    is_missing = pc.is_in(column, value_set=pa.array(sorted(missing), kind))
    if marks:
        text = _with_points(column) if decimal == "," else column
        is_code = pc.match_substring_regex(text, _NUMBER_OR_CODE)
        is_number = pc.match_substring_regex(text, _NUMBER)
        text = pc.if_else(pc.and_not(is_number, is_code), text, None)
        is_missing = pc.or_(is_missing, _is_in(text.cast(pa.float64()), marks))
    column = pc.if_else(is_missing, pa.scalar(None, kind), column)
    return Values(column, is_text=True, decimal=decimal)


def _numeric(marks: Iterable[str]) -> list[float]:
    """Return the marks that are numbers."""
    numbers = []
    for mark in marks:
        with contextlib.suppress(ValueError):
            numbers.append(float(mark))
    return [number for number in numbers if not np.isnan(number)]


def _is_in(column: pa.ChunkedArray, numbers: list[float]) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(numbers, pa.float64()))


def _is_numeric(kind: pa.DataType) -> bool:
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(is_number or pa.types.is_decimal(kind))


def _with_points(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace the comma in numbers such as 1,5; leave other text as it is."""
    pattern = r"^([+-]?\d*),(\d+([eE][+-]?\d+)?)$"
    return pc.replace_substring_regex(column, pattern, r"\1.\2")


# What a column is -----------------------------------------------------------------


def guess_reading(values: Values) -> Reading | None:
    """Return None if the values are neither text nor numbers nor times."""
    if values.is_text:
        # A few values are enough to rule out most readings.
        first = values._replace(array=values.array.drop_null().slice(0, 100))
        for reading, read in _READERS.items():
            if _can(read, first) and _can(read, values):
                return reading
        return "category"
    kind = values.array.type
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "date"
    return "number" if _is_numeric(kind) or pa.types.is_null(kind) else None


def guess_labels(values: Values, reading: Reading) -> Labels:
    """Return the kind of labels of a task whose column is read in this way."""
    if reading == "category":
        return "text"
    if reading == "boolean":
        return "boolean"
    if _are_codes(values):
        return "text"
    numbers = as_floats(values, "number")
    known = numbers[~np.isnan(numbers)]
    is_whole = (known == np.floor(known)).all()
    is_whole &= (np.abs(known) < _MOST_EXACT).all()
    return "whole" if is_whole else "number"


def _are_codes(values: Values) -> bool:
    """Whether all are digits, some with leading zeros, such as 01 and 02."""
    if not values.is_text:
        return False
    are_digits = pc.match_substring_regex(values.array, r"^\d+$")
    has_zeros = pc.match_substring_regex(values.array, r"^0\d")
    return bool(pc.all(are_digits).as_py() and pc.any(has_zeros).as_py())


def are_whole_beyond_exact(values: Values) -> bool:
    """Whether all are whole numbers, some too large for float64 to be exact."""
    if values.is_empty:
        return False
    kind = values.array.type
    if values.is_text:
        if pc.max(pc.binary_length(values.array)).as_py() < len(str(_MOST_EXACT)):
            return False
        are_whole = pc.match_substring_regex(values.array, r"^[+-]?\d+$")
        if not pc.all(are_whole).as_py():
            return False
    elif pa.types.is_decimal(kind):
        if kind.scale > 0:
            return False
    elif not pa.types.is_integer(kind):
        return False
    numbers = as_floats(values, "number")
    return bool(np.nanmax(np.abs(numbers)) >= _MOST_EXACT)


def is_zero_one(values: Values) -> bool:
    numbers = as_floats(values, "number")
    return bool(np.isin(numbers[~np.isnan(numbers)], (0, 1)).all())


def n_different(values: Values) -> int:
    return int(pc.count_distinct(values.array).as_py())


def is_different_in_most_rows(values: Values, share: float = _SHARE_DIFFERENT) -> bool:
    """Whether there are too many categories to learn from."""
    n_known = len(values.array) - values.n_missing
    n = n_different(values)
    return n > _FEWEST_DIFFERENT and n > share * n_known


def odd_ones_among_numbers(values: Values) -> list[str]:
    """Return the few texts in a column that is otherwise numeric."""
    if not values.is_text:
        return []
    known = values.array.drop_null()
    text = _with_points(known) if values.decimal == "," else known
    is_number = pc.match_substring_regex(text, _NUMBER)
    n_numbers = pc.sum(is_number).as_py() or 0
    others = pc.unique(known.filter(pc.invert(is_number))).to_pylist()
    is_mostly = len(others) <= 3 and n_numbers > 0.5 * len(known)
    return others if is_mostly else []


def have_decimal_commas(values: Values) -> bool:
    if not values.is_text or values.decimal == ",":
        return False
    first = values.array.drop_null().slice(0, 100)
    is_number = pc.match_substring_regex(_with_points(first), _NUMBER)
    has_comma = pc.match_substring(first, ",")
    return len(first) > 0 and bool(
        pc.all(is_number).as_py() and pc.any(has_comma).as_py()
    )


def have_decimal_points(values: Values) -> bool:
    if not values.is_text:
        return False
    has_point = pc.any(pc.match_substring(values.array, ".")).as_py()
    return bool(has_point) and _can(_numbers, values._replace(decimal="."))


def have_thousands(values: Values) -> bool:
    """Whether only thousands separators keep the values from being numbers."""
    if not values.is_text:
        return False
    mark, rest = (",", r"(\.\d*)?") if values.decimal == "." else (r"\.", r"(,\d*)?")
    known = values.array.drop_null()
    is_odd = pc.match_substring(known, mark[-1])
    are_thousands = pc.match_substring_regex(known, _THOUSANDS % (mark, rest))
    text = known.filter(pc.invert(is_odd))
    if values.decimal == ",":
        text = _with_points(text)
    are_others_numbers = pc.all(pc.match_substring_regex(text, _NUMBER)).as_py()
    return bool(
        pc.any(is_odd).as_py()
        and pc.all(are_thousands.filter(is_odd)).as_py()
        and are_others_numbers is not False
    )


# Its values -----------------------------------------------------------------------


def as_floats(values: Values, reading: Reading) -> NDArray:
    """Return (n_rows,) float64: numbers, 0/1, or days since 1970; NaN if missing."""
    result: NDArray = _READERS[reading](values).to_numpy()
    if np.isinf(result).any():
        row = int(np.isinf(result).argmax())
        raise Misfit(row, str(values.array[row].as_py()), "a finite number")
    return result


def as_categories(values: Values) -> pa.ChunkedArray:
    """Return text; 3 and 3.0 are the same category."""
    array, kind = values.array, values.array.type
    if pa.types.is_floating(kind):
        numbers = array.cast(pa.float64())
        is_whole = pc.and_(
            pc.equal(numbers, pc.floor(numbers)),
            pc.less(pc.abs(numbers), pa.scalar(float(_MOST_EXACT))),
        )
        whole = pc.if_else(is_whole, numbers, None).cast(pa.int64())
        return pc.coalesce(whole.cast(pa.string()), array.cast(pa.string()))
    text = array if values.is_text else array.cast(pa.string())
    return pc.replace_substring_regex(text, r"^(-?[1-9]\d*|0)\.0+$", r"\1")


def as_labels(values: Values, labels: Labels) -> pa.ChunkedArray:
    """Return a column of y."""
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
    array = values.array
    if pa.types.is_integer(array.type):
        return array.cast(pa.float64(), safe=False)  # rounds numbers above 2**53
    if not values.is_text or values.decimal == ".":
        return _cast(values, pa.float64(), "a number")
    has_point = pc.match_substring(array, ".")
    if pc.any(has_point).as_py():
        row = has_point.index(True).as_py()
        must_be = "a number with a decimal comma and without points, such as 1234,5,"
        raise Misfit(row, array[row].as_py(), must_be)
    return _cast(values._replace(array=_with_points(array)), pa.float64(), "a number")


def _booleans(values: Values) -> pa.ChunkedArray:
    """Read booleans, also from 0 and 1."""
    array = values.array
    if values.is_text:
        small = pc.utf8_lower(array)
        is_true = pc.is_in(small, value_set=pa.array(["true", "1", "1.0"], array.type))
        no = pc.is_in(small, value_set=pa.array(["false", "0", "0.0"], array.type))
        is_known = pc.or_(is_true, no)
    elif pa.types.is_boolean(array.type):
        return array.cast(pa.float64())
    else:
        numbers = _cast(values, pa.float64(), "true or false")
        is_true = pc.equal(numbers, 1.0)
        is_known = pc.or_(is_true, pc.equal(numbers, 0.0))
    is_known = pc.or_(is_known, pc.is_null(array))
    is_known = pc.fill_null(is_known, True)
    if pc.all(is_known).as_py() is False:
        row = is_known.index(False).as_py()
        raise Misfit(row, str(array[row].as_py()), "true or false")
    return pc.if_else(pc.is_null(array), None, is_true).cast(pa.float64())


def _days(values: Values) -> pa.ChunkedArray:
    """Read days, with hours as fractions; times with a zone are converted to UTC."""
    # Over 285 years from 1970, the number of microseconds is not exact in float64.
    array, kind = values.array, values.array.type
    exact = pa.timestamp("us")
    if values.is_text:
        array = pc.replace_substring_regex(array, r"(:\d\d\.\d{6})\d{1,3}", r"\1")
        array = _times(values._replace(array=array))
    elif pa.types.is_timestamp(kind) and kind.unit == "ns":
        array = array.cast(exact, safe=False)  # cuts off the nanoseconds
    elif pa.types.is_temporal(kind) or values.is_empty:
        array = _cast(values, exact, "a date")
    else:
        # It is unknown whether they are days, seconds or nanoseconds since 1970.
        row = array.is_valid().index(True).as_py()
        raise Misfit(row, str(array[row].as_py()), "a date")
    milliseconds = array.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    return pc.divide(milliseconds.cast(pa.float64()), _MILLISECONDS_OF_DAY)


def _times(values: Values) -> pa.ChunkedArray:
    """Read ISO dates, with a zone if most of them have one."""
    has_zone = pc.match_substring_regex(values.array, _ZONE)
    n_zones = pc.sum(has_zone).as_py() or 0
    if n_zones == 0:
        return _cast(values, pa.timestamp("us"), "an ISO date")
    have_zones = 2 * n_zones > pc.count(has_zone).as_py()
    word, zone = ("with", "UTC") if have_zones else ("without", None)
    must_be = f"an ISO date {word} a time zone, as in other rows,"
    return _cast(values, pa.timestamp("us", zone), must_be)


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
    """Return the first value that cannot be cast, found by bisection."""
    first, last = 0, len(array)
    while last - first > 1:
        middle = (first + last) // 2
        try:
            array.slice(first, middle - first).cast(kind)
            first = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            last = middle
    return first, str(array[first].as_py())
