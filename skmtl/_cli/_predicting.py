"""`skmtl predict`: the file of a model and a table to a table of predictions."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skmtl._cli._console import Failure, listed, say
from skmtl._cli._models import load_model, rows_at_once
from skmtl._cli._plan import Plan
from skmtl._cli._sources import Source, check_is_file
from skmtl._cli._writing import STDOUT, check_output, check_suffix, table_writer
from skmtl._predictions import fitted_network, probabilities_by_task


def predict(
    model_path: Path,
    source: Source,
    *,
    ids: list[str],
    out: Path,
    force: bool,
    quiet: bool,
) -> int:
    """Write predictions block by block; the exit code."""
    check_output(out, force, is_stream=True)
    check_suffix(out)
    estimator, plan = load_model(model_path)
    check_is_file(source.path)
    extra = plan.check_has(source.names, source)
    kept = _ids(ids or list(plan.ids), bool(ids), source)
    unused = [name for name in extra if name not in kept]
    if unused and not quiet:
        say(f"{source.path}: not used: {listed(unused)}.", to_errors=True)
    blocks = _predicted(estimator, plan, kept, source)
    first = next(blocks, None)
    if first is None:
        raise Failure(
            f"{source.path}: there must be rows to predict, but there is only the "
            "line of names."
        )
    n_rows = 0
    with table_writer(out, first.schema) as writer:
        for block in chain([first], blocks):
            writer.write_table(block)
            n_rows += block.num_rows
    if out != STDOUT and not quiet:
        say(f"Wrote {out}: {n_rows:,} rows.")
    return 0


def _ids(names: list[str], is_typed: bool, source: Source) -> list[str]:
    lacking = [name for name in names if name not in source.names]
    if lacking and is_typed:
        raise Failure(
            f"--id must name columns of {source.path}, but {listed(lacking)} is not "
            f"there. It has {listed(source.names)}."
        )
    if lacking:
        say(
            f"{source.path}: the id {listed(lacking)} is not there; predictions are in "
            "the order of the rows.",
            to_errors=True,
        )
    return [name for name in names if name in source.names]


def _predicted(
    estimator: Any, plan: Plan, ids: list[str], source: Source
) -> Iterator[pa.Table]:
    """Ids and predictions, block by block."""
    first_row = 0
    for block in source.blocks_of(rows_at_once(estimator, plan)):
        X = plan.X(block, source, first_row)
        columns = {name: _plain(block[name]) for name in ids}
        yield pa.table(columns | predictions(estimator, X))
        first_row += block.num_rows


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    is_coded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_coded else column


def predictions(estimator: Any, X: Any) -> dict[str, Any]:
    """Columns of each task: its label, and how sure it is."""
    tasks = estimator._tasks
    labels, deviations = _labels_and_deviations(estimator, X)
    by_task: list[Any] = [None] * tasks.n_tasks
    if not tasks.are_numbers.all():
        probabilities = estimator.predict_proba(X)
        by_task = probabilities_by_task(probabilities, estimator.classes_, tasks)
    columns: dict[str, Any] = {}
    for t, name in enumerate(tasks.names.tolist()):
        columns[name] = pa.array(labels[:, t].tolist())
        if tasks.are_numbers[t]:
            if deviations is not None:
                columns[f"std({name})"] = deviations[:, t]
            continue
        classes = tasks.classes[t].tolist()
        shown = classes[1:] if len(classes) == 2 else classes
        for label in shown:
            code = classes.index(label)
            columns[f"P({name}={as_written(label)})"] = np.ascontiguousarray(
                by_task[t][:, code]
            )
    return columns


def as_written(label: Any) -> str:
    """As it stands in a CSV."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _labels_and_deviations(estimator: Any, X: Any) -> tuple[NDArray, NDArray | None]:
    """(n_samples, n_tasks) each; deviations if the estimator has any."""
    network = fitted_network(estimator)
    deviations = None
    is_gaussian = getattr(network, "loss", None) == "gaussian"
    if network is estimator and is_gaussian and not network.transformer:
        labels, deviations = estimator.predict(X, return_std=True)
        deviations = deviations.reshape(len(labels), -1)
    else:
        labels = estimator.predict(X)
    return labels.reshape(len(labels), -1), deviations
