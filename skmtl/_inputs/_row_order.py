"""Check that X, y and the weights have their rows in the same order."""

from typing import Any

from skmtl._messages import warn


def warn_of_row_order(rows: Any, *, name: str = "X", **others: Any) -> None:
    """Warn if `others`, such as y and weights, have the index of X in another order.

    Instead of X, there can be other `rows`, with another `name` for messages.
    """
    index = _index_of(rows)
    if index is None:
        return
    indices = {other: _index_of(own) for other, own in others.items()}
    moved = [other for other, own in indices.items() if _is_moved(own, index)]
    if moved:
        warn(
            f"{' and '.join(moved)} should have the index of {name} in the same order, "
            "since rows are matched by position, but the order differs. Pass "
            f"{moved[0]}.loc[{name}.index], or {moved[0]}.set_axis({name}.index) if "
            "the rows are in the right order already."
        )


def _index_of(rows: Any) -> Any:
    """Return the pandas index; None for other containers."""
    return rows.index if hasattr(rows, "iloc") else None


def _is_moved(own: Any, index: Any) -> bool:
    if own is None or len(own) != len(index) or own.equals(index):
        return False
    return bool(own.is_unique and index.is_unique and own.isin(index).all())
