"""Write ids and predictions for the rows of X, block by block."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
from sklearn.utils.validation import check_is_fitted

from skmtl._messages import shorten, warn
from skmtl._prediction_files._columns import (
    METHODS,
    plain,
    prediction_columns,
    repeated,
)
from skmtl._prediction_files._writer import is_of_table, table_writer
from skmtl._predictions import fitted_tasks
from skmtl._sources import parts_in_order


def write_blocks(estimator: Any, X: Any, path: Path, ids: Any, method: str) -> int:
    """See `write_predictions`."""
    _check_method(estimator, method)
    if not is_of_table(path):
        raise ValueError(
            "path must end with .parquet, .csv, .tsv, .csv.gz or .tsv.gz; got "
            f"{str(path)!r}. Choose one of these."
        )
    _check_target(path, X)
    blocks = _predicted(estimator, X, _as_names(ids), method)
    first = next(blocks)
    n_rows = first.num_rows
    with table_writer(path, first.schema) as writer:
        writer.write_table(first)
        for block in blocks:
            writer.write_table(block)
            n_rows += block.num_rows
    return n_rows


def _check_target(path: Path, X: Any) -> None:
    """Raise if the target is a file of X, and warn if it is in the folder of X."""
    files = [
        Path(file).resolve()
        for dataset in getattr(X, "children", [X])
        if getattr(getattr(dataset, "filesystem", None), "type_name", "") == "local"
        for file in getattr(dataset, "files", ())
    ]
    target = path.resolve()
    if target in files:
        raise ValueError(
            f"path must not be a file of X, but {str(path)!r} is one and would be "
            "overwritten. Choose another name, in another folder."
        )
    if len(files) < 2:  # with one file, the dataset need not be the whole folder
        return
    folder = Path(os.path.commonpath([file.parent for file in files]))
    if folder in target.parents:
        warn(
            "path should not be in the folder with the files of X, but "
            f"{str(path)!r} is in {str(folder)!r}: a dataset of that folder would read "
            "the predictions as rows. Choose another folder."
        )


def _check_method(estimator: Any, method: str) -> None:
    if method not in METHODS:
        raise ValueError(
            f"method must be one of {', '.join(map(repr, METHODS))}; got {method!r}."
        )
    check_is_fitted(estimator)
    tasks = fitted_tasks(estimator)
    if tasks is None:
        raise TypeError(
            "estimator must be one of skmtl, or a Pipeline or search around one; got "
            f"{type(estimator).__name__}. Write the output of its predict_proba "
            "yourself."
        )
    if method == "predict_proba" and tasks.are_numbers.all():
        raise ValueError(
            "method='predict_proba' needs at least one task with classes, but all "
            "tasks are numeric. Use method='predict' or 'all'."
        )


def _as_names(ids: Any) -> list[str]:
    if ids is None:
        return []
    names = [ids] if isinstance(ids, str) else list(ids)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"ids must be the name of a column or a list of names; got {ids!r}."
        )
    if repeated(names):
        raise ValueError(
            f"ids must name each column once; got {shorten(repeated(names))} several "
            "times. Leave out the repetitions."
        )
    return names


def _predicted(estimator: Any, X: Any, ids: list[str], method: str) -> Iterator[Any]:
    """Yield ids and predictions."""
    features = getattr(estimator, "feature_names_in_", None)
    if features is not None:
        features = [str(name) for name in features]
    if hasattr(X, "get_fragments"):  # a dataset: only these columns are read
        _check_known(ids, X.schema.names)
    for rows in parts_in_order(X, _with_ids(features, ids)):
        columns = []
        if ids:
            frame = _named_columns(rows, ids)
            kept = frame.select(ids).to_arrow()
            columns = [(name, plain(kept[name])) for name in ids]
            own = features or [name for name in frame.columns if name not in ids]
            rows = frame.select(own).to_native()
        columns += prediction_columns(estimator, rows, method)
        _check_differ([name for name, _ in columns], ids)
        yield pa.table(dict(columns))


def _with_ids(features: list[str] | None, ids: list[str]) -> list[str] | None:
    if features is None:
        return None
    return [*features, *(name for name in ids if name not in features)]


def _named_columns(rows: Any, ids: list[str]) -> nw.DataFrame:
    frame = nw.from_native(rows, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        raise ValueError(
            "With ids, X must have column names, as a DataFrame or a dataset has; got "
            f"{type(rows).__name__}. Leave out ids: the predictions are in the order "
            "of the rows."
        )
    _check_known(ids, frame.columns)
    return frame


def _check_known(ids: list[str], known: list[str]) -> None:
    lacking = [name for name in ids if name not in known]
    if lacking:
        raise ValueError(
            f"ids must name columns of X, {shorten(known)}; got "
            f"{shorten(lacking)}. Correct the names."
        )


def _check_differ(names: list[str], ids: list[str]) -> None:
    twice = repeated(names)
    if twice:
        clash = [name for name in twice if name in ids]
        raise ValueError(
            "The columns of the predictions must have different names, but two would "
            f"be called {shorten(clash or twice)}. Rename "
            f"{'the id columns' if clash else 'a task and fit again'}."
        )
