"""`skmtl evaluate`, `compare`, `report` and `info`: scores and facts about models."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import skmtl
from skmtl._cli._console import (
    Failure,
    listed,
    nearest,
    say,
    show_table,
    usage_failure,
    warn,
    working,
)
from skmtl._cli._deciding import Choices
from skmtl._cli._fitting import read_to_learn
from skmtl._cli._models import load_model, with_missing
from skmtl._cli._new_rows import NewRows
from skmtl._cli._plan import Plan
from skmtl._cli._settings import Model
from skmtl._cli._sources import Source, check_is_file
from skmtl._cli._writing import check_output, check_suffix
from skmtl._prediction_files._columns import as_written
from skmtl._prediction_files._writer import STDOUT, table_writer
from skmtl._predictions import fitted_network, probabilities_by_task
from skmtl.inspection import compare_models
from skmtl.inspection._comparison import encode_for
from skmtl.inspection._model_comparison import check_models
from skmtl.metrics import multitask_report

_MODELS = ["joint", "separate", "forest", "lightgbm"]
# The columns of the report that are shown; a file contains all of them.
_OF_CLASSES = {
    "n_labelled": "labels",
    "share_positive": "positive",
    "roc_auc": "ROC AUC",
    "average_precision": "avg. prec.",
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "f1": "F1",
    "mcc": "MCC",
}
_OF_NUMBERS = {
    "n_labelled": "labels",
    "mean": "mean",
    "std": "std",
    "r2": "R2",
    "rmse": "RMSE",
    "mae": "MAE",
}


def evaluate(
    model_path: Path,
    source: Source,
    *,
    missing: Iterable[str],
    out: Path | None,
    force: bool,
    quiet: bool,
) -> int:
    """Show the scores of each task on rows with labels."""
    if out is not None:
        check_output(out, force, is_stream=True)
        check_suffix(out)
    estimator, plan = load_model(model_path)
    X, y = read_to_check(source, estimator, with_missing(plan, missing))
    _warn_of_unknown_labels(estimator, y)
    report = multitask_report(
        y,
        _predictions_by_task(estimator, X),
        classes=getattr(estimator, "classes_", None),
        thresholds=getattr(estimator, "best_thresholds_", None),
    )
    if not quiet:
        are_numbers = estimator._tasks.are_numbers
        _show_report(report, list(plan.tasks), are_numbers, to_errors=out == STDOUT)
    if out is not None:
        columns = {name: np.asarray(report[name]) for name in report}
        table = pa.table({"task": list(plan.tasks)} | columns)
        with table_writer(out, table.schema) as writer:
            writer.write_table(table)
    return 0


def read_to_check(source: Source, estimator: Any, plan: Plan) -> tuple[Any, pa.Table]:
    """Return X and y; tasks without a column in the table have no labels."""
    check_is_file(source.path)
    plan.check_has(source.names, source)
    lacking = [name for name in plan.tasks if name not in source.names]
    if len(lacking) == len(plan.tasks):
        raise Failure(
            f"{source.path} must have labels of at least one of the tasks "
            f"{listed(plan.tasks)}, but has none of these columns. For rows without "
            "labels, use skmtl predict."
        )
    if lacking:
        say(f"{source.path} has no column {listed(lacking)}.", to_errors=True)
    table = source.whole("with labels")
    for name in lacking:
        table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    rows = NewRows(estimator, plan, source)
    X, y = rows.X(table), plan.y(table, source)
    rows.warn_of_unknown()
    return X, y


def _warn_of_unknown_labels(estimator: Any, y: pa.Table) -> None:
    tasks = estimator._tasks
    for name, classes in zip(y.column_names, tasks.classes, strict=True):
        known = set() if classes is None else set(classes.tolist())
        labels = set(y[name].unique().to_pylist()) - known - {None}
        if labels and classes is not None:
            warn(
                f"Task {name!r} has labels that the model does not know: "
                f"{listed(sorted(map(str, labels)))}. Every prediction counts as wrong "
                "in these rows.",
            )


def _predictions_by_task(estimator: Any, X: Any) -> list[NDArray]:
    tasks = estimator._tasks
    by_task: list[Any] = [None] * tasks.n_tasks
    if not tasks.are_numbers.all():
        probabilities = estimator.predict_proba(X)
        by_task = probabilities_by_task(probabilities, estimator.classes_, tasks)
    if tasks.are_numbers.any():
        numbers = estimator.predict(X).reshape(X.shape[0], -1)
        for t in np.flatnonzero(tasks.are_numbers):
            by_task[t] = numbers[:, t].astype(np.float64)
    return by_task


def _show_report(
    report: Any, names: list[str], are_numbers: NDArray, *, to_errors: bool
) -> None:
    for is_number, shown in ((False, _OF_CLASSES), (True, _OF_NUMBERS)):
        rows = np.flatnonzero(are_numbers == is_number)
        if len(rows) == 0:
            continue
        columns = [np.asarray(report[name], dtype=float)[rows] for name in shown]
        cells = np.column_stack(columns)
        lines = [[names[t], *_cells(row)] for t, row in zip(rows, cells, strict=True)]
        if len(rows) > 1:
            means = [_mean(column) for column in columns[1:]]
            lines.append(["mean", "", *map(_number, means)])
        show_table(["task", *shown.values()], lines, to_errors=to_errors)


def _cells(row: NDArray) -> list[str]:
    return [f"{int(row[0]):,}", *map(_number, row[1:])]


def _mean(values: NDArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _number(value: float) -> str:
    """Format with three decimals, or three digits if the number is large or tiny."""
    if math.isnan(value):
        return "-"
    is_usual = value == 0 or 0.001 <= abs(value) < 1e5
    return f"{value:.3f}" if is_usual else f"{value:.3g}"


def compare(
    source: Source,
    choices: Choices,
    model: Model,
    *,
    cv: int,
    models: Sequence[str],
    out: Path | None,
    force: bool,
    quiet: bool,
) -> int:
    """Cross-validate joint and separate networks, forests and LightGBM."""
    if out is not None:
        check_output(out, force, is_stream=True)
        check_suffix(out)
    _check_names(models)
    to_errors = out == STDOUT
    decided = read_to_learn(source, choices, quiet=quiet, to_errors=to_errors)
    estimator = model.estimator(decided.plan.tasks)
    with working(f"Comparing in {cv} folds", quiet):
        result = compare_models(
            estimator,
            decided.X,
            decided.y,
            models=_with_network(models, estimator, decided.y),
            cv=cv,
            random_state=model.random_state,
        )
    names = list(result.models)
    scores = np.column_stack([np.asarray(result.table[name]) for name in names])
    n_labelled = np.asarray(result.table["n_labelled"])
    if not quiet:
        _show_comparison(result, scores, n_labelled, to_errors=to_errors)
    if out is not None:
        columns = {"task": result.task_names.tolist(), "n_labelled": n_labelled}
        columns |= dict(zip(names, scores.T, strict=True))
        table = pa.table(columns)
        with table_writer(out, table.schema) as writer:
            writer.write_table(table)
    return 0


def _check_names(models: Sequence[str]) -> None:
    for name in models:
        if name not in (*_MODELS, "network"):
            raise usage_failure(
                f"--model must be one of {', '.join(_MODELS)}; got {name!r}. "
                f"{nearest(name, _MODELS)}"
            )


def _with_network(models: Sequence[str], estimator: Any, y: Any) -> list[str] | None:
    """Return the names of the models, the network first, under the name it has here.

    It is "network" instead of "joint" if the tasks share no layer.
    """
    if not models:
        return None
    own = check_models(None, estimator, encode_for(estimator, y).tasks)[0]
    if own == "network" and "separate" in models:
        raise usage_failure(
            "--model separate needs several tasks that share a layer in the joint "
            "network, but there is only one task, or the tasks share no layer. Leave "
            "it out."
        )
    others = [name for name in models if name not in ("joint", "network")]
    return [own, *dict.fromkeys(others)]


def _show_comparison(
    result: Any, scores: NDArray, n_labelled: NDArray, *, to_errors: bool
) -> None:
    names, tasks = list(result.models), result.task_names.tolist()
    lines = [
        [task, f"{n:,}", *map(_number, row)]
        for task, n, row in zip(tasks, n_labelled.tolist(), scores, strict=True)
    ]
    if result.has_mean:
        lines.append(["mean", "", *map(_number, result.mean_scores().values())])
    seconds = [f"{result.seconds[name]:.1f}" for name in names]
    lines.append(["total fit time (s)", "", *seconds])
    headers = ["task", "labels", *names]
    show_table(headers, lines, title=result.scoring, to_errors=to_errors)
    for than, (gain, low, high) in result.mean_gains.items():
        interval = f"{result.confidence:.0%} interval from {low:+.4f} to {high:+.4f}"
        if math.isnan(low):
            interval = "no interval (it needs three splits with different scores)"
        say(
            f"{names[0]} against {than}: mean gain {gain:+.4f}, {interval}.",
            to_errors=to_errors,
        )


def info(path: Path) -> int:
    """Show the tasks and the columns of a model."""
    estimator, plan = load_model(path)
    network = fitted_network(estimator)
    say(f"{path}: {type(estimator).__name__}, {path.stat().st_size / 1e6:.2f} MB")
    thresholds = getattr(estimator, "best_thresholds_", {})
    classes = network.classes_ if hasattr(network, "classes_") else []
    lines = []
    for t, name in enumerate(plan.tasks):
        is_number = estimator._tasks.are_numbers[t]
        what = "number" if is_number else ", ".join(_first(classes[t]))
        threshold = thresholds.get(name, math.nan)
        lines.append([name, what, "" if math.isnan(threshold) else f"{threshold:.3f}"])
    headers = ["task", "classes", *["threshold"] * bool(thresholds)]
    lines = [line[: len(headers)] for line in lines]
    show_table(headers, lines, n_text_columns=2)
    by_reading: dict[str, list[str]] = {}
    for name, reading in plan.features.items():
        by_reading.setdefault(reading, []).append(name)
    show_table(
        ["read as", "columns"],
        [[r, f"{len(names):,}: {listed(names)}"] for r, names in by_reading.items()],
        n_text_columns=2,
    )
    if plan.ids:
        say(f"id: {listed(plan.ids)}")
    say(f"{network.n_iter_} epochs, {network.network_.n_members} members: {network!r}")
    return 0


def _first(classes: NDArray) -> list[str]:
    shown = list(map(as_written, classes.tolist()))
    return shown if len(shown) <= 8 else [*shown[:7], f"... ({len(shown)} in all)"]


def report(
    source: Source,
    choices: Choices,
    model: Model,
    *,
    model_path: Path | None,
    cv: int,
    out: Path,
    force: bool,
    quiet: bool,
) -> int:
    """Write an HTML report on a model to be cross-validated, or on a fitted one."""
    check_output(out, force)
    folds: int | str = cv
    if model_path is None:
        decided = read_to_learn(source, choices, quiet=quiet)
        plan, X, y = decided.plan, decided.X, decided.y
        estimator: Any = model.estimator(plan.tasks)
    else:
        estimator, plan = load_model(model_path)
        plan = with_missing(plan, choices.missing)
        X, y = read_to_check(source, estimator, plan)
        folds = "prefit"
    with working("Writing the report", quiet):
        skmtl.report(
            estimator,
            X,
            y,
            path=out,
            cv=folds,
            feature_names=list(plan.features),
            random_state=model.random_state,
        )
    if not quiet:
        say(f"Wrote {out}.")
    return 0
