"""The role of each column of a table and how it is read, as part of a model."""

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from skmtl._cli._console import Failure, listed
from skmtl._cli._readings import (
    USUAL_MISSING,
    Labels,
    Misfit,
    Reading,
    as_categories,
    as_floats,
    as_labels,
    values_of,
)
from skmtl._cli._sources import Source

VERSION = 1


@dataclass(frozen=True)
class Plan:
    """The columns by role, in the order that the estimator knows."""

    features: dict[str, Reading]
    tasks: dict[str, Labels]
    ids: tuple[str, ...] = ()
    missing: tuple[str, ...] = USUAL_MISSING
    is_sparse: bool = False  # whether X is a sparse matrix

    def as_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "features": [[name, reading] for name, reading in self.features.items()],
            "tasks": [[name, labels] for name, labels in self.tasks.items()],
            "ids": list(self.ids),
            "missing": list(self.missing),
            "is_sparse": self.is_sparse,
        }

    def X(self, block: pa.Table, source: Source, first_row: int = 0) -> Any:
        """Return the features: numbers, and categories as text."""
        columns = {}
        for name, reading in self.features.items():
            values = values_of(block[name], self.missing, source.decimal)
            with misfits_at(source, name, first_row):
                columns[name] = (
                    as_categories(values)
                    if reading == "category"
                    else pa.array(as_floats(values, reading), from_pandas=True)
                )
        return as_sparse(columns.values()) if self.is_sparse else pa.table(columns)

    def y(self, block: pa.Table, source: Source) -> pa.Table:
        """Return the labels of the tasks."""
        columns = {}
        for name, labels in self.tasks.items():
            values = values_of(block[name], self.missing, source.decimal)
            with misfits_at(source, name):
                columns[name] = as_labels(values, labels)
        return pa.table(columns)

    def check_has(self, names: Collection[str], source: Source) -> list[str]:
        """Raise if a feature is missing; return the columns that are not used."""
        known = {*self.features, *self.tasks, *self.ids, ""}
        extra = [name for name in names if name not in known]
        lacking = [name for name in self.features if name not in names]
        if lacking:
            more = f" Unused columns: {listed(extra)}." if extra else ""
            raise Failure(
                f"{source.path} must have the {len(self.features)} columns that the "
                f"model reads, but does not have {listed(lacking)}.{more} Rename or "
                "add columns; empty cells are read as missing values."
            )
        return extra


def as_sparse(columns: Iterable[Any]) -> sparse.csr_matrix:
    """Convert columns of numbers to a sparse matrix."""
    arrays = [column.to_numpy(zero_copy_only=False) for column in columns]
    rows = [np.flatnonzero(array) for array in arrays]
    data = [array[index] for array, index in zip(arrays, rows, strict=True)]
    ends = np.cumsum([0, *map(len, rows)])
    shape = len(arrays[0]), len(arrays)
    matrix = sparse.csc_matrix(
        (np.concatenate(data), np.concatenate(rows), ends), shape
    )
    return matrix.tocsr()


@contextlib.contextmanager
def misfits_at(source: Source, name: str, first_row: int = 0) -> Iterator[None]:
    """Name the line and the column of a value that cannot be read."""
    try:
        yield
    except Misfit as misfit:
        where = source.line_of_row(first_row + misfit.row)
        value = misfit.value if len(misfit.value) < 40 else misfit.value[:40] + "..."
        has_comma = re.fullmatch(r"[+-]?\d+,\d+", misfit.value) is not None
        option = (
            "--decimal , if numbers have commas"
            if has_comma and source.decimal == "."
            else "--missing with the text that means a missing value"
        )
        raise Failure(
            f"{source.path}, {where}: column {name!r} must have {misfit.must_be} in "
            f"each row, but has {value!r} here. Correct it, or add {option}."
        ) from misfit
