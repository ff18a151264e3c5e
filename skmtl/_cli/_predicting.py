"""`skmtl predict`: the file of a model and a table to a table of predictions."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skmtl._cli._console import Failure, listed, say
from skmtl._cli._models import load_model, rows_at_once, with_missing
from skmtl._cli._new_rows import NewRows
from skmtl._cli._sources import Source, check_is_file
from skmtl._cli._writing import (
    STDOUT,
    check_output,
    check_suffix,
    check_types,
    table_writer,
)
from skmtl._predictions import fitted_network, probabilities_by_task


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
    """Write predictions block by block; the exit code."""
    check_output(out, force, is_stream=True)
    check_suffix(out)
    estimator, plan = load_model(model_path)
    plan = with_missing(plan, missing)
    check_is_file(source.path)
    extra = plan.check_has(source.names, source)
    kept = _ids(ids or list(plan.ids), bool(ids), source)
    unused = [name for name in extra if name not in kept]
    if unused and not quiet:
        say(f"{source.path}: not used: {listed(unused)}.", to_errors=True)
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
    estimator: Any, rows: NewRows, ids: list[str], n_at_once: int
) -> Iterator[pa.Table]:
    """Ids and predictions, block by block."""
    for block in rows.source.blocks_of(n_at_once):
        named = predictions(estimator, rows.X(block))
        named = [(name, _plain(block[name])) for name in ids] + named
        names = [name for name, _ in named]
        _check_differ(names, ids)
        yield pa.table([column for _, column in named], names)


def _check_differ(names: list[str], ids: list[str]) -> None:
    """An id, or a task, must not have the name of another column of predictions."""
    twice = [name for name, n in Counter(names).items() if n > 1]
    if not twice:
        return
    clash = [name for name in twice if name in ids]
    advice = (
        "Leave it out of --id, or rename the column."
        if clash
        else "Rename a task and fit the model anew."
    )
    raise Failure(
        "The columns of the predictions must have different names, but there would be "
        f"two {listed(clash or twice)}: {'an id and' if clash else 'both'} what is "
        f"predicted. {advice}"
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    is_coded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_coded else column


def predictions(estimator: Any, X: Any) -> list[tuple[str, Any]]:
    """Columns of each task: its label, and how sure it is."""
    tasks = estimator._tasks
    labels, deviations = _labels_and_deviations(estimator, X)
    by_task: list[Any] = [None] * tasks.n_tasks
    if not tasks.are_numbers.all():
        probabilities = estimator.predict_proba(X)
        by_task = probabilities_by_task(probabilities, estimator.classes_, tasks)
    columns: list[tuple[str, Any]] = []
    for t, name in enumerate(tasks.names.tolist()):
        columns.append((name, pa.array(labels[:, t].tolist())))
        if tasks.are_numbers[t]:
            if deviations is not None:
                columns.append((f"std({name})", pa.array(deviations[:, t])))
            continue
        classes = tasks.classes[t].tolist()
        shown = classes[1:] if len(classes) == 2 else classes
        for label in shown:
            code = classes.index(label)
            of_label = pa.array(np.ascontiguousarray(by_task[t][:, code]))
            columns.append((f"P({name}={as_written(label)})", of_label))
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
