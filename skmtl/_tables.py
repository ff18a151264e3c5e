"""Tables of results: a row per task, with or without pandas."""

from typing import Any

from numpy.typing import NDArray


class Table(dict):
    """Columns of equal length that print as a table, where pandas is not there."""

    def __init__(self, columns: dict[str, NDArray], names: list[str]) -> None:
        super().__init__(columns)
        self._names = names

    def __repr__(self) -> str:
        rows = [["", *self], *zip(self._names, *self.values(), strict=True)]
        cells = [
            [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row]
            for row in rows
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) for cell, width in zip(row, widths, strict=True)
            )
            for row in cells
        )


def as_table(columns: dict[str, NDArray], names: list[str]) -> Any:
    """A DataFrame, or where pandas is not there a dict that prints as one."""
    try:
        import pandas as pd
    except ImportError:
        return Table(columns, names)
    return pd.DataFrame(columns, index=names)


def as_text(table: Any) -> str:
    """All columns of a table, and its first and last rows if there are many."""
    if isinstance(table, Table):
        return repr(table)
    return table.to_string(max_rows=40, float_format="{:.3f}".format)
