"""Numbers as targets: check them, and standardise each task."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmtl._messages import shorten, warn
from skmtl._targets._containers import Column

# To stratify by numbers, their ranks are cut into this many parts of about equal size.
N_STRATA = 5
# As many labels show whether a transformer can be inverted, as in scikit-learn.
_ROWS_TO_INVERT = 1000
_EXACT = (bool, np.bool_)
_NUMBERS = (int, float, np.integer, np.floating, Decimal, Fraction)
_TIMES = (date, timedelta, np.datetime64, np.timedelta64)


@dataclass(frozen=True)
class Numbers:
    """A numeric task, and how it is standardised."""

    mean: float = 0.0  # weighted mean of the observed values
    scale: float = 1.0  # their standard deviation; 0 if there is only one value
    transformer: Any = None  # fitted; applied first
    deviation_factor: float = 1.0  # for the members' deviations, from held-out rows

    @property
    def n_codes(self) -> int:
        """One: a number has code 0 if it is observed, and -1 if it is missing."""
        return 1

    def standardised(self, values: NDArray) -> NDArray:
        """Convert (n,) in units of the task to mean 0 and deviation 1 in training."""
        values = _applied(self.transformer, "transform", values)
        if self.scale == 0:
            return np.zeros_like(values)
        # Divide before taking the difference, which could overflow.
        return np.asarray(values / self.scale - self.mean / self.scale)

    def deviation_in_units(self, variance: NDArray, spread: NDArray) -> NDArray:
        """Combine the members' mean variance and the variance of their means."""
        total = self.deviation_factor**2 * variance + spread
        return np.asarray(self.scale * np.sqrt(total))

    def in_units(self, standardised: NDArray) -> NDArray:
        """Invert `standardised`. If a task has only one value, the result is exact."""
        with np.errstate(over="ignore", invalid="ignore"):  # callers check the result
            values = self.mean + self.scale * standardised
        known = ~np.isnan(values)
        values[known] = _applied(self.transformer, "inverse_transform", values[known])
        return values


def _applied(transformer: Any, method: str, values: NDArray) -> NDArray:
    if transformer is None or len(values) == 0:
        return values
    result = np.asarray(getattr(transformer, method)(values.reshape(-1, 1)))
    if result.size != len(values):
        raise ValueError(
            f"{method} of transformer must return one column; got shape "
            f"{result.shape} for input of shape ({len(values)}, 1). Use a transformer "
            "for one column."
        )
    return result.reshape(len(values)).astype(np.float64)


def learn_scale(
    values: NDArray, weight: NDArray | None, transformer: Any, name: str
) -> Numbers:
    """Learn the mean and deviation of the observed values (n,) of a task.

    This fits the transformer, so each task needs its own.
    """
    task, given = Numbers(transformer=None), values
    if transformer is not None:
        task = Numbers(transformer=transformer.fit(values.reshape(-1, 1)))
        values = task.standardised(values)
        if not np.isfinite(values).all():
            raise ValueError(
                f"transformer must return finite numbers, but for task {name!r}, it "
                f"returns {shorten(values[~np.isfinite(values)].tolist())}. Use "
                "another transformer for this task, or none."
            )
        _warn_unless_inverted(task, given, values, name)
    if len(values) == 0:  # an error elsewhere, unless the values come later
        return task
    if (values == values[0]).all():
        return replace(task, mean=float(values[0]), scale=0.0)
    # The squares of numbers as large as 1e300, or as small as 1e-300, are out of range.
    unit = float(np.abs(values).max())
    scaled = values / unit
    mean = float(np.average(scaled, weights=weight))
    variance = float(np.average((scaled - mean) ** 2, weights=weight))
    return replace(task, mean=mean * unit, scale=float(np.sqrt(variance)) * unit)


def _warn_unless_inverted(
    task: Numbers, given: NDArray, transformed: NDArray, name: str
) -> None:
    """Warn if predictions would not come back to the units of the task."""
    step = max(1, len(given) // _ROWS_TO_INVERT)
    back = task.in_units(transformed[::step])
    known = np.isfinite(back)  # others are an error or a warning elsewhere
    given = given[::step]
    tolerance = 1e-8 * np.abs(given).max(initial=0.0)
    if not np.allclose(back[known], given[known], atol=tolerance):
        warn(
            "inverse_transform of the transformer should undo transform, but for task "
            f"{name!r}, it does not. Predictions may not be in the units of the labels."
            " Use a transformer that inverts, such as FunctionTransformer(np.log1p, "
            "np.expm1)."
        )


def merged_scales(
    one: Numbers | None, weight: float, other: Numbers, other_weight: float
) -> Numbers:
    """Return the mean and deviation of the values of both, with these weights."""
    if one is None or weight == 0:
        return other
    share = other_weight / (weight + other_weight)
    mean = one.mean
    if other.mean != one.mean:
        mean = one.mean * (1 - share) + other.mean * share
    # Squares and differences of numbers near the largest float are out of range.
    between = np.sqrt(share * (1 - share))
    apart = one.mean * between - other.mean * between
    within = np.hypot(one.scale * np.sqrt(1 - share), other.scale * np.sqrt(share))
    return replace(one, mean=float(mean), scale=float(np.hypot(within, apart)))


def as_numbers(column: Column, name: str) -> NDArray:
    """Return (n_samples,) float64, NaN if missing."""
    values = np.full(len(column.observed), np.nan)
    values[column.observed] = finite_numbers(column, name)
    return values


def finite_numbers(column: Column, name: str) -> NDArray:
    """Return the observed values of a column as float64."""
    given = column.values
    if column.categories is not None:
        raise _no_numbers(name, "a column of categories", _to_classes(name))
    if given.dtype.kind == "O":
        kinds = set(map(type, given.tolist()))
        if any(issubclass(kind, _TIMES) for kind in kinds):
            raise _no_numbers(name, _named(kinds), _TO_DAYS)
        if not _are_of_numbers(kinds):
            raise _no_numbers(name, _named(kinds), _to_classes(name))
    elif given.dtype.kind in "mM":
        if len(given):
            raise _no_numbers(name, f"dtype {given.dtype}", _TO_DAYS)
    elif given.dtype.kind not in "iuf":
        raise _no_numbers(name, f"dtype {given.dtype}", _to_classes(name))
    try:
        values = np.empty(0) if given.dtype.kind in "mM" else given.astype(np.float64)
    except OverflowError as error:
        got = f"one that float64 cannot represent ({error})"
        raise _no_numbers(name, got, "Use another unit.") from error
    if not np.isfinite(values).all():
        raise ValueError(
            f"Input y contains infinity in task {name!r}. Numbers must be finite and "
            "fit float64; mark missing values with NaN."
        )
    return np.asarray(values)


_TO_DAYS = "Convert times to numbers, for example to days since a date."


def _to_classes(name: str) -> str:
    return (
        "If they are classes, use MultiTaskNetClassifier or, next to numbers, "
        f"MultiTaskNet with task_types={{{name!r}: 'class', ...}}. Otherwise, convert "
        "the column, for example with astype(float)."
    )


def _no_numbers(name: str, got: str, advice: str) -> ValueError:
    return ValueError(f"Values of task {name!r} must be numbers; got {got}. {advice}")


def _named(kinds: set[type]) -> str:
    return f"values of type {shorten(sorted(kind.__name__ for kind in kinds))}"


def plain_numbers(column: Column) -> NDArray | None:
    """Return the observed numbers of a column; None for text, booleans and times."""
    values = column.values
    if values.dtype.kind == "O":
        given = values.tolist()
        if not _are_of_numbers(set(map(type, given))):
            return None
        values = np.array(given)
        if values.dtype.kind == "O":  # Decimal, Fraction, integers larger than int64
            try:
                values = values.astype(np.float64)
            except OverflowError:  # too large, and so refused like infinity
                values = np.full(len(values), np.inf)
    is_plain = column.categories is None and values.dtype.kind in "iuf"
    return values if is_plain else None


def must_be_numbers(column: Column) -> bool:
    """Whether the numbers of a column cannot be labels of classes.

    Labels are whole numbers that float64 represents exactly, not Decimal or Fraction.
    """
    values = plain_numbers(column)
    if values is None or values.dtype.kind != "f":
        return False
    if any(issubclass(kind, Decimal | Fraction) for kind in _kinds_of(column)):
        return True
    finite = values[np.isfinite(values)]
    is_too_large = bool((np.abs(finite) >= 2**53).any())
    return is_too_large or bool((finite != np.floor(finite)).any())


def _kinds_of(column: Column) -> set[type]:
    """Return the types of the objects in a column."""
    is_object = column.values.dtype.kind == "O"
    return set(map(type, column.values.tolist())) if is_object else set()


def _are_of_numbers(kinds: set[type]) -> bool:
    return all(issubclass(k, _NUMBERS) and not issubclass(k, _EXACT) for k in kinds)


def as_codes_by_rank(values: NDArray, n_strata: int = N_STRATA) -> NDArray:
    """Return int16 codes with about equally many values each, -1 if missing."""
    codes = np.full(len(values), -1, dtype=np.int16)
    observed = ~np.isnan(values)
    known = values[observed]
    if len(known):
        shares = np.arange(1, n_strata) / n_strata
        borders = np.unique(np.quantile(known, shares, method="lower"))
        codes[observed] = np.searchsorted(borders, known, side="left")
    return codes
