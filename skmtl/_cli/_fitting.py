"""`skmtl fit`: from a table to a model file."""

import re
import time
from pathlib import Path
from typing import Any

from sklearn.callback import ProgressBar

from skmtl._cli._console import is_terminal, say, show_table
from skmtl._cli._deciding import Choices, Decided, Row, decide
from skmtl._cli._interrupts import caught_interrupts
from skmtl._cli._settings import Model
from skmtl._cli._sources import Source, check_is_file
from skmtl._cli._writing import check_output
from skmtl._persistence import write_model
from skmtl._predictions import fitted_network

# Longer tables show similar columns in one line.
_LONGEST = 40


def read_to_learn(
    source: Source, choices: Choices, *, quiet: bool, to_errors: bool = False
) -> Decided:
    """Read a table and show how each column is read."""
    check_is_file(source.path)
    decided = decide(source, choices)
    if not quiet:
        show_decisions(decided, source, to_errors)
    decided.check_has_features(source)
    return decided


def fit(
    source: Source,
    choices: Choices,
    model: Model,
    *,
    out: Path,
    force: bool,
    quiet: bool,
) -> int:
    """Fit a model, write it and return the exit code."""
    check_output(out, force)
    decided = read_to_learn(source, choices, quiet=quiet)
    network = model.estimator(decided.plan.tasks)
    estimator = model.around(network, decided.plan.tasks)
    start = time.perf_counter()
    with caught_interrupts() as interrupts:
        fit_with_progress(estimator, network, decided, quiet=quiet)
        n_epochs = fitted_network(estimator).n_iter_
        if interrupts.code is not None and n_epochs == 0:
            raise KeyboardInterrupt
        write_model(estimator, out, decided.plan.as_json())
    if not quiet:
        seconds = time.perf_counter() - start
        oob_score = getattr(fitted_network(estimator), "oob_score_", None)
        kind = "accuracy" if "number" not in decided.plan.tasks.values() else "score"
        score = "" if oob_score is None else f", out-of-bag {kind} {oob_score:.3f}"
        say(f"Wrote {out}: {n_epochs} epochs, {seconds:.1f} s{score}.")
    return interrupts.code or 0


def fit_with_progress(
    estimator: Any, network: Any, decided: Decided, *, quiet: bool
) -> None:
    """Fit, with a progress bar for the epochs if the output is a terminal."""
    if is_terminal() and not quiet:
        network.set_callbacks(ProgressBar())
    estimator.fit(decided.X, decided.y)
    for fitted in (network, fitted_network(estimator)):
        # The callbacks belong to this fit; without this line, they would be saved.
        vars(fitted).pop("_skl_callbacks", None)


def show_decisions(decided: Decided, source: Source, to_errors: bool) -> None:
    """Show how each column is read."""
    rows = decided.rows
    plan = decided.plan
    shown = rows if len(rows) <= _LONGEST else _joined(rows)
    show_table(
        ["column", "read as", "note", "missing"],
        [[row.name, row.read_as, row.note, f"{row.missing:.1%}"] for row in shown],
        n_text_columns=3,
        to_errors=to_errors,
    )
    if not plan.features:  # which is an error
        return
    counts = [(decided.n_rows, "row"), (len(plan.tasks), "task")]
    counts.append((len(plan.features), "column"))
    shown_counts = [f"{n:,} {word}{'s' * (n != 1)}" for n, word in counts]
    say(
        f"{source.path}: training on {', '.join(shown_counts)}.",
        to_errors=to_errors,
    )
    if plan.is_sparse:
        say(
            "Most cells of these columns are 0, so they are read as a sparse matrix. "
            "To read them like other numbers, add --set input_encoding=piecewise",
            to_errors=to_errors,
        )


def _joined(rows: list[Row]) -> list[Row]:
    """Join neighbouring columns that are read in the same way."""
    joined: list[list[Row]] = []
    for row in rows:
        is_alike = (
            bool(joined)
            and _kind(joined[-1][-1]) == _kind(row)
            and not row.read_as.startswith("task")
            and ";" not in row.note  # which says what to type
        )
        if is_alike:
            joined[-1].append(row)
        else:
            joined.append([row])
    shown = []
    for group in joined:
        shown += [_as_one(group)] if len(group) > 2 else group
    return shown


def _kind(row: Row) -> tuple[str, str]:
    """Return how a column is read, and its note without the numbers in it."""
    return row.read_as, re.sub(r"[\d,]+", "", row.note)


def _as_one(group: list[Row]) -> Row:
    missing = sum(row.missing for row in group) / len(group)
    name = f"{group[0].name} ... {group[-1].name}"
    return Row(name, group[0].read_as, missing, f"{len(group):,} columns")
