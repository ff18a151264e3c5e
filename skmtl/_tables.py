"""Tables of results with one row per task, with or without pandas."""

from html import escape
from typing import Any

from numpy.typing import NDArray


class Table(dict):
    """Columns of equal length that print as a table if pandas is not installed."""

    def __init__(self, columns: dict[str, NDArray], names: list[str]) -> None:
        super().__init__(columns)
        self._names = names

    def _cells(self) -> list[list[str]]:
        """The cells, line by line; the first line has the column names."""
        rows = [["", *self], *zip(self._names, *self.values(), strict=True)]
        return [
            [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row]
            for row in rows
        ]

    def __repr__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) for cell, width in zip(row, widths, strict=True)
            )
            for row in cells
        )

    def _repr_html_(self) -> str:
        head, *body = (list(map(escape, row)) for row in self._cells())
        lines = ["".join(f"<th>{cell}</th>" for cell in head)]
        for name, *cells in body:
            lines.append(f"<th>{name}</th>" + "".join(f"<td>{c}</td>" for c in cells))
        rows = "\n".join(f"<tr>{line}</tr>" for line in lines)
        return without_formulas(f'<table class="dataframe">\n{rows}\n</table>')


def as_table(columns: dict[str, NDArray], names: list[str]) -> Any:
    """A DataFrame, or without pandas a dict that prints like one."""
    try:
        import pandas as pd
    except ImportError:
        return Table(columns, names)
    return pd.DataFrame(columns, index=names)


def as_text(table: Any) -> str:
    """The table as text: all columns, and the first and last rows if there are many."""
    if isinstance(table, Table):
        return repr(table)
    return table.to_string(max_rows=40, float_format="{:.3f}".format)


def as_html(table: Any) -> str:
    """The same as `as_text`, for a notebook.

    The CSS class is that of a DataFrame, which notebooks style for both themes.
    """
    if isinstance(table, Table):
        return table._repr_html_()
    html: str = table.to_html(max_rows=40, float_format="{:.3f}".format, border=0)
    return html


def without_formulas(html: str) -> str:
    """Keep notebooks from rendering text between two dollar signs as a formula."""
    return f'<div class="tex2jax_ignore mathjax_ignore">\n{html}\n</div>'
