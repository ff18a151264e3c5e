"""What the columns of a table are for and how they are read, as part of a model."""

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
    """Names of the columns, in the order that the estimator knows."""

    features: dict[str, Reading]
    tasks: dict[str, Labels]
    ids: tuple[str, ...] = ()
    missing: tuple[str, ...] = USUAL_MISSING
    is_sparse: bool = False  # X is a matrix of mostly zeros

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
        """The features: numbers, and categories as text."""
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
        """The labels of the tasks."""
        columns = {}
        for name, labels in self.tasks.items():
            values = values_of(block[name], self.missing, source.decimal)
            with misfits_at(source, name):
                columns[name] = as_labels(values, labels)
        return pa.table(columns)

    def check_has(self, names: Collection[str], source: Source) -> list[str]:
        """Refuse a table without all features; the columns that are of no use."""
        known = {*self.features, *self.tasks, *self.ids, ""}
        extra = [name for name in names if name not in known]
        lacking = [name for name in self.features if name not in names]
        if lacking:
            more = f" There are others: {listed(extra)}." if extra else ""
            raise Failure(
                f"{source.path}: the model reads {len(self.features)} columns, but "
                f"{len(lacking)} of them are not there: {listed(lacking)}.{more} "
                "Rename or add columns; blanks are missing values."
            )
        return extra


def as_sparse(columns: Iterable[Any]) -> sparse.csr_matrix:
    """Columns of numbers as a matrix that leaves out the zeros."""
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
    """Say where a value is that cannot be read."""
    try:
        yield
    except Misfit as misfit:
        where = source.line_of_row(first_row + misfit.row)
        value = misfit.value if len(misfit.value) < 40 else misfit.value[:40] + "..."
        has_comma = re.fullmatch(r"[+-]?\d+,\d+", misfit.value) is not None
        option = (
            "--decimal , if numbers have commas"
            if has_comma and source.decimal == "."
            else "--missing with what stands for a missing value"
        )
        raise Failure(
            f"{source.path}, {where}: column {name!r} must have {misfit.must_be} in "
            f"each row, but has {value!r} here. Mend it, or type {option}."
        ) from misfit
