"""Decide which columns of a training table are tasks, ids and features."""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from skmtl._cli._console import (
    Failure,
    listed,
    nearest,
    quoted,
    usage_failure,
    warn,
)
from skmtl._cli._plan import Plan, as_sparse, misfits_at
from skmtl._cli._readings import (
    USUAL_MISSING,
    Labels,
    Reading,
    Values,
    are_whole_beyond_exact,
    as_categories,
    as_floats,
    as_labels,
    guess_labels,
    guess_reading,
    have_decimal_commas,
    have_decimal_points,
    have_thousands,
    is_different_in_most_rows,
    is_zero_one,
    n_different,
    odd_ones_among_numbers,
    values_of,
)
from skmtl._cli._sources import Source

# A table becomes a sparse matrix if it has at least this many columns, all of them
# small counts, and at most this share of its cells differs from 0.
_MANY_COLUMNS = 100
_SHARE_OF_VALUES = 0.1
_GREATEST_COUNT = 255
# Largest root mean square of a column. The largest found in count fingerprints is 8
# (1,024 bits, 50,000 molecules); ages have about 50.
_GREATEST_SIZE = 10.0
# Columns named in --categorical lead to a warning from this share of distinct values.
_SHARE_TO_WARN = 0.9
# Names that pandas gives to an index that becomes a column.
_NAMES_OF_INDEX = ("index", "level_0")


@dataclass(frozen=True)
class Choices:
    """What the user says about the columns, as names or patterns."""

    tasks: Sequence[str] = ()
    ids: Sequence[str] = ()
    drop: Sequence[str] = ()
    categorical: Sequence[str] = ()
    numbers: Sequence[str] = ()
    classes: Sequence[str] = ()
    missing: Sequence[str] = ()
    blank_only: bool = False
    may_be_sparse: bool = True


@dataclass(frozen=True)
class Row:
    """One line of the table that shows how each column is read."""

    name: str
    read_as: str
    missing: float
    note: str = ""


@dataclass
class Decided:
    """The plan, the lines that show it, and the data."""

    plan: Plan
    rows: list[Row]
    X: Any  # a table, or a sparse matrix
    y: pa.Table
    n_rows: int

    def check_has_features(self, source: Source) -> None:
        """Raise, and name the columns that were left out, if no feature remains."""
        if self.plan.features:
            return
        left_out = [row for row in self.rows if row.read_as == "dropped" and row.name]
        but = "all columns are tasks or ids."
        if left_out:
            reasons = [f"{r.name!r} ({r.note.partition(';')[0]})" for r in left_out[:8]]
            more = f" and {len(left_out) - 8:,} more" if len(left_out) > 8 else ""
            but = f"these columns were left out: {', '.join(reasons)}{more}."
        texts = [row.name for row in left_out if row.note.startswith("text, ")]
        todo = (
            f"Compute features from {listed(texts)} and add them as columns, for "
            "example fingerprints from SMILES."
            if texts
            else "Make --tasks narrower, or keep a column with --categorical or "
            "--numbers."
        )
        raise Failure(f"{source.path} must have at least one feature, but {but} {todo}")


@dataclass(frozen=True)
class _Roles:
    """The columns that the user named, in the order of the file."""

    tasks: list[str]
    ids: list[str]
    drop: list[str]
    categorical: list[str]
    numbers: list[str]
    classes: list[str]


def decide(source: Source, choices: Choices) -> Decided:
    """Read a whole table and decide what each of its columns is."""
    roles = _roles(source, choices)
    missing = {mark.strip() for mark in choices.missing} | {""}
    if not choices.blank_only:
        missing.update(USUAL_MISSING)
    table = source.whole("to learn from")
    marks = tuple(sorted(missing))
    _warn_of_unused_marks(table, choices.missing, source)
    return _Reader(source, roles, table, marks, choices.may_be_sparse).decide()


def _warn_of_unused_marks(
    table: pa.Table, marks: Iterable[str], source: Source
) -> None:
    if not marks:
        return
    columns = [table[name] for name in source.names if name]
    n_known = [values_of(column, ()).n_missing for column in columns]
    for mark in filter(None, map(str.strip, marks)):
        pairs = zip(columns, n_known, strict=True)
        if not any(
            values_of(column, (mark,), source.decimal).n_missing > n
            for column, n in pairs
        ):
            warn(
                f"--missing {quoted(mark)} has no effect: no cell of {source.path} has "
                "this value.",
            )


def _roles(source: Source, choices: Choices) -> _Roles:
    names = [name for name in source.names if name]
    if not choices.tasks:
        raise usage_failure(
            "--tasks must name the columns to predict. "
            f"{source.path} has {listed(names)}."
        )
    roles = _Roles(
        **{
            role.name: _matching(source, names, getattr(choices, role.name), role.name)
            for role in fields(_Roles)
        }
    )
    _refuse_both(set(roles.tasks) & set(roles.ids), "--tasks", "--id")
    _refuse_both(set(roles.numbers) & set(roles.classes), "--numbers", "--classes")
    _refuse_both(
        set(roles.numbers) & set(roles.categorical), "--numbers", "--categorical"
    )
    for option, named, other in (
        (
            "--classes must name tasks",
            set(roles.classes) - set(roles.tasks),
            "categorical",
        ),
        (
            "--categorical must name features",
            set(roles.categorical) & set(roles.tasks),
            "classes",
        ),
    ):
        if named:
            raise usage_failure(
                f"{option}; {listed(sorted(named))} is not one. Use --{other} instead."
            )
    if set(roles.tasks) <= set(roles.drop):
        raise usage_failure(
            "--drop must leave at least one task, but it names all of them. Make its "
            "patterns narrower."
        )
    return roles


def _matching(
    source: Source, names: list[str], patterns: Iterable[str], role: str
) -> list[str]:
    """Return the columns that match the patterns. Each pattern must match one."""
    wanted = set()
    for pattern in patterns:
        matched = [pattern] if pattern in names else []
        matched = matched or [n for n in names if fnmatch.fnmatchcase(n, pattern)]
        if not matched:
            option = "--id" if role == "ids" else f"--{role}"
            raise usage_failure(
                f"{option} must name columns of {source.path}, but none matches "
                f"{pattern!r}. {nearest(pattern, names)}"
            )
        wanted.update(matched)
    return [name for name in names if name in wanted]


def _refuse_both(names: set[str], one: str, other: str) -> None:
    if names:
        raise usage_failure(
            f"A column can be named by {one} or by {other}, not by both; both name "
            f"{listed(sorted(names))}. Make the patterns narrower."
        )


@dataclass(frozen=True)
class _Reader:
    """Reads X and y, column by column."""

    source: Source
    roles: _Roles
    table: pa.Table
    missing: tuple[str, ...]
    may_be_sparse: bool

    def decide(self) -> Decided:
        roles = self.roles
        tasks = [name for name in roles.tasks if name not in roles.drop]
        rows, labels, y = self._tasks(tasks)
        rows += [Row(name, "id", self._share_missing(name)) for name in roles.ids]
        features: dict[str, Reading] = {}
        X = {}
        for name in filter(None, self.source.names):
            if name in roles.drop:
                rows.append(Row(name, "dropped", self._share_missing(name), "--drop"))
            elif name not in roles.tasks and name not in roles.ids:
                row, reading, column = self._feature(name)
                rows.append(row)
                if reading is not None:
                    features[name], X[name] = reading, column
        n_nameless = self.source.names.count("")
        if n_nameless:
            rows.append(Row("", "dropped", 0.0, f"{n_nameless} without a name"))
        is_sparse = self.may_be_sparse and _are_mostly_zeros(features, X)
        plan = Plan(features, labels, tuple(roles.ids), self.missing, is_sparse)
        columns = as_sparse(X.values()) if is_sparse else pa.table(X)
        return Decided(plan, rows, columns, pa.table(y), self.table.num_rows)

    def _values(self, name: str) -> Values:
        return values_of(self.table[name], self.missing, self.source.decimal)

    def _share_missing(self, name: str) -> float:
        return self._values(name).n_missing / self.table.num_rows

    # Features -----------------------------------------------------------------------

    def _feature(self, name: str) -> tuple[Row, Reading | None, pa.ChunkedArray | None]:
        values = self._values(name)
        share = values.n_missing / self.table.num_rows
        reading, note = self._reading(name, values)
        if reading is None:
            return Row(name, "dropped", share, note), None, None
        plan = Plan({name: reading}, {}, (), self.missing)
        column = plan.X(self.table, self.source)[name]
        if reading == "category":
            column = column.dictionary_encode()
        return Row(name, reading, share, note), reading, column

    def _reading(self, name: str, values: Values) -> tuple[Reading | None, str]:
        """Return how the column is read, or None if it is dropped, and a note."""
        if values.is_empty:
            return None, "no values"
        reading = guess_reading(values)
        if reading is None:
            return None, f"Parquet type {values.array.type}"
        if name in self.roles.numbers:
            return "number", ""
        is_categorical = name in self.roles.categorical
        if not is_categorical and self._is_index(name, values, reading):
            return None, f"pandas index{_how_to_keep(name, reading)}"
        if reading != "category" and not is_categorical:
            if reading == "number" and are_whole_beyond_exact(values):
                keep = _how_to_keep(name, "category")
                return None, f"numbers as long as ids{keep}"
            return reading, ""
        categories = values._replace(array=as_categories(values), is_text=True)
        different = f"{n_different(categories):,} different"
        if is_categorical:
            if is_different_in_most_rows(categories, _SHARE_TO_WARN):
                warn(
                    f"Column {name!r} has a different category in nearly every row "
                    f"({different}), so new rows have categories that the network does "
                    f"not know. Leave {quoted(name)} out of --categorical, and compute "
                    "features from it, for example fingerprints from SMILES."
                )
            return "category", different
        hint = _hint_of_marks(values)
        if not is_different_in_most_rows(categories):
            return reading, different + hint
        return None, f"text, {different}{hint or _how_to_keep(name, reading)}"

    def _is_index(self, name: str, values: Values, reading: Reading) -> bool:
        """Whether the column is an index that pandas wrote."""
        if name in self.source.row_labels:
            return True
        if name not in _NAMES_OF_INDEX or reading != "number":
            return False
        return np.array_equal(as_floats(values, reading), range(self.table.num_rows))

    # Tasks --------------------------------------------------------------------------

    def _tasks(
        self, names: list[str]
    ) -> tuple[list[Row], dict[str, Labels], dict[str, pa.ChunkedArray]]:
        rows, labels, y, unclear = [], {}, {}, []
        for name in names:
            values = self._values(name)
            with misfits_at(self.source, name):
                kind = self._labels(name, values)
                if kind is None:
                    unclear.append(name)
                    continue
                y[name] = as_labels(values, kind)
            labels[name] = kind
            share = values.n_missing / self.table.num_rows
            if kind == "number":
                rows.append(Row(name, "task: number", share))
            else:
                n_classes = n_different(Values(y[name], is_text=False))
                note = f"{n_classes:,} classes" + _hint_of_marks(values)
                rows.append(Row(name, "task: class", share, note))
        if unclear:
            example = quoted(unclear[0])
            raise usage_failure(
                "Tasks with whole numbers other than 0 and 1 must be declared as "
                f"classes or numbers, but this is open for {listed(unclear)}. Add "
                f"--classes {example} or --numbers {example}; patterns are allowed."
            )
        return rows, labels, y

    def _labels(self, name: str, values: Values) -> Labels | None:
        """Return None for whole numbers that may be classes or numbers."""
        if name in self.roles.numbers:
            return "number"
        reading = guess_reading(values)
        if reading is None or (reading == "date" and name not in self.roles.classes):
            what = "dates" if reading == "date" else f"{values.array.type}"
            raise Failure(
                f"{self.source.path}: task {name!r} must have classes or numbers, but "
                f"has {what}. Convert the column, for example to days, or add "
                f"--drop {quoted(name)}."
            )
        if reading == "date":
            return "text"
        labels = guess_labels(values, reading)
        if name in self.roles.classes:
            return "text" if labels == "number" else labels
        is_unclear = labels == "whole" and not is_zero_one(values)
        is_unclear |= labels == "number" and are_whole_beyond_exact(values)
        return None if is_unclear else labels


def _are_mostly_zeros(features: dict[str, Reading], X: dict[str, Any]) -> bool:
    """Whether all columns are small counts or bits, such as molecular fingerprints."""
    if len(X) < _MANY_COLUMNS or not {"number", "boolean"} >= set(features.values()):
        return False
    arrays = [column.to_numpy() for column in X.values()]
    n_rows = len(arrays[0])
    n_values = 0
    for array in arrays:
        are_counts = ((array >= 0) & (array <= _GREATEST_COUNT)).all()  # false for NaN
        if not (are_counts and (array == np.floor(array)).all()):
            return False
        if float((array.astype(np.float64) ** 2).mean()) > _GREATEST_SIZE**2:
            return False
        n_values += int(np.count_nonzero(array))
    return n_values <= _SHARE_OF_VALUES * len(X) * n_rows


def _how_to_keep(name: str, reading: Reading) -> str:
    """Return how to keep a column that is dropped automatically."""
    if reading in ("number", "category"):
        option = "--numbers" if reading == "number" else "--categorical"
        return f"; to keep it: {option} {quoted(name)}"
    return "; to keep it, call reset_index() before writing the table"


def _hint_of_marks(values: Values) -> str:
    """Return what to type if only a few cells keep a column from being numeric."""
    if have_thousands(values):
        mark = "," if values.decimal == "." else "."
        return f"; numbers with {mark!r} between thousands: delete these marks"
    if values.decimal == "," and have_decimal_points(values):
        return "; numbers with points: leave out --decimal ,"
    if have_decimal_commas(values):
        return "; numbers with commas: add --decimal ,"
    odd = odd_ones_among_numbers(values)
    marks = " ".join(f"--missing {quoted(mark)}" for mark in odd)
    return f"; numbers except for {listed(odd)}: {marks}?" if odd else ""
