"""Tables of the page: format their names and numbers."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOTHING = "\N{EN DASH}"
# Longer tables are folded.
_LONG = 30
_NAMES = {
    "n_labelled": "labels",
    "n_tested": "tested",
    "n_scored": "splits scored",
    "n_classes": "classes",
    "n_distinct": "distinct values",
    "share_missing": "missing",
    "share_positive": "positive",
    "roc_auc": "ROC AUC",
    "roc_auc_low": "from",
    "roc_auc_high": "to",
    "r2": "R2",
    "r2_low": "from",
    "r2_high": "to",
    "ci_low": "from",
    "ci_high": "to",
    "p_value": "p",
    "average_precision": "average precision",
    "brier": "Brier",
    "ece": "ECE",
    "mcc": "MCC",
    "rmse": "RMSE",
    "mae": "MAE",
    "lightgbm": "LightGBM",
}
# Columns in the unit of each task.
_IN_UNITS = ("mean", "std", "min", "max", "rmse", "mae")


@dataclass
class HtmlTable:
    """Text of a table, with a name for each row."""

    caption: str
    head: list[str]
    are_text: list[bool]  # for each column: text is left-aligned
    rows: list[tuple[str, list[str]]]
    summary: str = ""
    is_folded: bool = False


def html_table(
    caption: str,
    names: Any,
    columns: dict[str, Any],
    *,
    first: str = "task",
    summary: str = "",
    is_folded: bool = False,
) -> HtmlTable:
    """Make a table from columns, folded if it is long."""
    names = list(map(str, names))
    written = [_written(name, list(values)) for name, values in columns.items()]
    rows = list(zip(names, map(list, zip(*written, strict=True)), strict=True))
    return HtmlTable(
        caption,
        [first, *(heading(name) for name in columns)],
        [any(isinstance(v, str) for v in values) for values in columns.values()],
        rows,
        summary or f"Table of all {len(names)} tasks",
        is_folded or len(names) > _LONG,
    )


def heading(name: str) -> str:
    """Return the name of a column in words."""
    return _NAMES.get(name, name.replace("_", " "))


def _written(name: str, values: list[Any]) -> list[str]:
    numbers = [v for v in values if not isinstance(v, str) and _is_known(v)]
    if all(float(v).is_integer() for v in numbers) and name not in _IN_UNITS:
        is_count = name.startswith(("n_", "smallest", "largest")) or any(
            isinstance(v, int | np.integer) for v in numbers
        )
        if is_count:
            return [f"{int(v):,}" if _is_known(v) else _text(v) for v in values]
    if name == "seconds":
        return [f"{v:.1f}" for v in values]
    largest = max((abs(float(v)) for v in numbers), default=0.0)
    if name in _IN_UNITS or largest >= 1_000:
        return [cell(v) for v in values]
    return [three_digits(v) if _is_known(v) else _text(v) for v in values]


def _is_known(value: Any) -> bool:
    is_text = value is None or isinstance(value, str)
    return not is_text and math.isfinite(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else NOTHING


def three_digits(value: float) -> str:
    """Format a score with three decimals, without a negative zero."""
    text = f"{value:.3f}"
    return text.removeprefix("-") if float(text) == 0 else text


def cell(value: Any) -> str:
    """Format a number of any size."""
    if not _is_known(value):
        return _text(value)
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    number = float(value)
    if number == 0 or 0.001 <= abs(number) < 1_000:
        return f"{number:.3f}"
    if 1_000 <= abs(number) < 1e7:
        return f"{number:,.0f}"
    return f"{number:.2e}"


def columns_of(table: Any) -> dict[str, NDArray]:
    """Return the columns of a table, with or without pandas."""
    return {str(name): np.asarray(table[name]) for name in table}
