"""`skmtl predict`: from a model file and a table to a table of predictions."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from skmtl._cli._console import Failure, listed, say
from skmtl._cli._models import load_model, rows_at_once, with_missing
from skmtl._cli._new_rows import NewRows
from skmtl._cli._sources import Source, check_is_file
from skmtl._cli._writing import check_output, check_suffix, check_types
from skmtl._prediction_files._columns import plain, prediction_columns, repeated
from skmtl._prediction_files._writer import STDOUT, table_writer


def predict(
    model_path: Path,
    source: Source,
    *,
    ids: list[str],
    missing: list[str],
    out: Path,
    force: bool,
    quiet: bool,
) -> int:
    """Write the predictions block by block and return the exit code."""
    check_output(out, force, is_stream=True)
    check_suffix(out)
    estimator, plan = load_model(model_path)
    plan = with_missing(plan, missing)
    check_is_file(source.path)
    extra = plan.check_has(source.names, source)
    kept = _ids(ids or list(plan.ids), bool(ids), source)
    unused = [name for name in extra if name not in kept]
    if unused and not quiet:
        say(f"{source.path}: columns not used: {listed(unused)}.", to_errors=True)
    rows = NewRows(estimator, plan, source)
    n_at_once = rows_at_once(estimator, plan)
    blocks = _predicted(estimator, rows, kept, n_at_once)
    first = next(blocks, None)
    if first is None:
        raise source.without_rows("to predict")
    check_types(out, first.schema)
    with table_writer(out, first.schema) as writer:
        for block in chain([first], blocks):
            writer.write_table(block)
    if out != STDOUT and not quiet:
        say(f"Wrote {out}: {rows.n_rows:,} rows.")
    rows.warn_of_unknown()
    return 0


def _ids(names: list[str], is_typed: bool, source: Source) -> list[str]:
    lacking = [name for name in names if name not in source.names]
    if lacking and is_typed:
        raise Failure(
            f"--id must name columns of {source.path}, but it has no "
            f"{listed(lacking)}. Its columns are {listed(source.names)}."
        )
    if lacking:
        say(
            f"{source.path} has no id column {listed(lacking)}; predictions are in the "
            "order of the rows.",
            to_errors=True,
        )
    return [name for name in names if name in source.names]


def _predicted(
    estimator: Any, rows: NewRows, ids: list[str], n_at_once: int
) -> Iterator[pa.Table]:
    """Yield ids and predictions, block by block."""
    for block in rows.source.blocks_of(n_at_once):
        named = prediction_columns(estimator, rows.X(block))
        named = [(name, plain(block[name])) for name in ids] + named
        names = [name for name, _ in named]
        _check_differ(names, ids)
        yield pa.table([column for _, column in named], names)


def _check_differ(names: list[str], ids: list[str]) -> None:
    """Raise if two columns of the predictions have the same name."""
    twice = repeated(names)
    if not twice:
        return
    clash = [name for name in twice if name in ids]
    advice = (
        "Leave it out of --id, or rename the column."
        if clash
        else "Rename a task and fit the model again."
    )
    raise Failure(
        "The columns of the predictions must have different names, but two would be "
        f"called {listed(clash or twice)}: {'an id and a' if clash else 'each a'} "
        f"column of predictions. {advice}"
    )
