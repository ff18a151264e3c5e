"""The content of the page, section by section."""

import platform
from datetime import datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

import skmtl
from skmtl._predictions import fitted_network
from skmtl._report._charts import (
    MOST_CLASSES,
    DotRows,
    close_range,
    drawn_classes,
    plots_of,
    score_range,
    training_plots,
)
from skmtl._report._findings import Findings
from skmtl._report._held_out import TaskHeldOut, networks_of
from skmtl._report._importance import Importances
from skmtl._report._scores import N_DRAWS
from skmtl._report._tables import (
    NOTHING,
    HtmlTable,
    cell,
    columns_of,
    html_table,
    three_digits,
)
from skmtl._targets import is_binary
from skmtl.inspection import LabelReport, ModelComparison

_MOST_HEAT_ROWS = 20
_N_TOP = 5
_MOST_OPEN = 12  # rows of a table of gains that is not folded
_MODELS = {
    "joint": "joint network",
    "network": "network",
    "separate": "separate networks",
    "forest": "random forests",
    "lightgbm": "LightGBM",
}
_OF_THRESHOLDS = {"balanced_accuracy": "balanced accuracy", "f1": "F1", "mcc": "MCC"}
_SHORT = {"lightgbm": "LightGBM"}
_METRICS = {
    "roc_auc_ovr": "ROC AUC",
    "r2": "R2",
    "roc_auc_ovr and r2": "ROC AUC and R2",
}


# Labels ------------------------------------------------------------------------------


def labels_section(f: Findings) -> dict[str, Any]:
    """Return the number of labels per class and task."""
    report = f.labels
    counts = [report.class_counts[t] for t in f.drawn]
    n_classes = [len(c) for c in counts if c is not None]
    are_binary = max(n_classes, default=0) <= 2
    legend: list[tuple[str, int | str | None]] = []
    if n_classes and are_binary:
        legend += [("positive (second class)", 0), ("negative", "faint")]
    elif n_classes:
        n_colours = min(max(n_classes), MOST_CLASSES)
        legend += [(f"class {i + 1}", i) for i in range(n_colours)]
        if max(n_classes) > MOST_CLASSES:
            legend[-1] = (f"class {MOST_CLASSES} and others", MOST_CLASSES - 1)
    if any(c is None for c in counts):
        legend.append(("numbers", 2 if are_binary else "faint"))
    colour_of_numbers = legend[-1][1] if legend else None
    return {
        "how": (
            "Each bar stands for all rows. The grey part is the missing labels, which "
            "nobody measured. Tasks with few labels, or few labels of one class, are "
            "hard to learn and to score."
        ),
        "summary": report._summary(),
        "remarks": report._remarks(),
        "legend": [*legend, ("missing", None)],
        "rows": [_label_row(report, t, are_binary, colour_of_numbers) for t in f.drawn],
        "left_out": f.left_out("The bars show"),
        "table": html_table("Labels of each task", f.names, columns_of(report.table)),
    }


def _label_row(
    report: LabelReport, t: int, are_binary: bool, colour_of_numbers: Any
) -> dict[str, Any]:
    n_rows, n_labelled = len(report.observed), int(report.observed[:, t].sum())
    counts, classes = report.class_counts[t], report.classes[t]
    text, name = f"{n_labelled:,}", report.task_names[t]
    sizes: list[tuple[int, Any]] = [(n_labelled, colour_of_numbers)]
    words = f"{n_labelled} values"
    if counts is not None and classes is not None:
        last = MOST_CLASSES - 1
        sizes = [(int(n), min(code, last)) for code, n in enumerate(counts)]
        if are_binary and is_binary(len(counts)):
            sizes = [(int(counts[1]), 0), (int(counts[0]), "faint")]
        if is_binary(len(counts)) and n_labelled:
            share = 100 * counts[1] / n_labelled
            text += f", {share:.1f} % {_name_of_positive(classes[1])}"
        pairs = zip(classes[:8], counts[:8], strict=True)
        words = ", ".join(f"{n} labels of class {c}" for c, n in pairs)
    parts, start = [], 0.0
    for size, colour in sizes:
        width = 100 * size / n_rows
        if size:
            parts.append((round(start, 2), round(width, 2), colour))
        start += width
    words = f"{name}: {words}; {n_rows - n_labelled} missing"
    return {"name": name, "parts": parts, "words": words, "text": text}


def _name_of_positive(label: Any) -> str:
    return "positive" if str(label) in ("1", "1.0", "True") else str(label)


# Scores ------------------------------------------------------------------------------

_SCORES_HOW = {
    "roc_auc": (
        "ROC AUC",
        0.5,
        "The probability that a positive row is ranked above a negative one: 0.5 is "
        "guessing, 1 is perfect. The line is a 95 % interval: the shorter it is, the "
        "more certain the score.",
    ),
    "r2": (
        "R2",
        0.0,
        "The share of the variance that the predictions explain: 0 is no better than "
        "predicting the mean of the task, 1 is perfect. The line is a 95 % interval.",
    ),
}


def scores_section(f: Findings) -> dict[str, Any]:
    """Return the main score of each task with its interval, and all scores."""
    parts = []
    for column, rows in (("roc_auc", ~f.is_number), ("r2", f.is_number)):
        drawn = [t for t in f.drawn if rows[t]]
        if drawn:
            name, chance, how = _SCORES_HOW[column]
            dots = _dots_of_scores(f, column, drawn, chance)
            parts.append({"name": name, "how": how, "dots": dots})
    return {
        "parts": parts,
        "left_out": f.left_out("The plot shows"),
        "interval": (
            f"The intervals are the 2.5th and 97.5th percentiles of {N_DRAWS} "
            "bootstrap draws of the held-out rows. They show how much a score depends "
            "on the rows that were tested, not how much it would change with another "
            "fit. Scores are computed on the predictions of all folds together. If a "
            "task has more than two classes, its ROC AUC is the mean over the classes, "
            "each against the rest."
        ),
        "table": html_table("Scores of each task on held-out rows", f.names, f.scores),
    }


def _dots_of_scores(
    f: Findings, column: str, drawn: list[int], chance: float
) -> DotRows:
    low, high = f.scores[f"{column}_low"], f.scores[f"{column}_high"]
    values = f.scores[column]
    dots = DotRows(score_range(np.r_[values[drawn], low[drawn]], chance), [])
    for t in drawn:
        interval = f"{cell(low[t])} to {cell(high[t])}"
        dots.add(
            f.names[t],
            values[[t]],
            text=cell(values[t]),
            words=f"{f.names[t]}: {cell(values[t])}, {interval}",
            interval=(low[t], high[t]),
        )
    return dots


# Other models ------------------------------------------------------------------------


def comparison_section(f: Findings) -> dict[str, Any] | None:
    """Return the mean scores of the models on the same splits."""
    result = f.comparison
    if result is None or not result.gains:
        return None
    table = columns_of(result.table)
    n_splits = len(result.scores[result.models[0]])
    parts, are_mixed = [], f.is_number.any() and not f.is_number.all()
    for name, rows in (("Classes", ~f.is_number), ("Numbers", f.is_number)):
        if rows.any():
            dots = _dots_of_models(f, table, result.models, rows)
            parts.append({"name": name if are_mixed else "", "dots": dots})
    return {
        "how": (
            f"Mean {_METRICS.get(result.scoring, result.scoring)} over {n_splits} "
            f"split{'s' * (n_splits > 1)}; further right is better. All models were "
            "fitted and tested on the same rows. A difference whose interval contains "
            "0 may be due to chance."
        ),
        "legend": [(_MODELS[m], i) for i, m in enumerate(result.models)],
        "parts": parts,
        "left_out": f.left_out("The plot shows"),
        "overall": _overall(result),
        "tables": [
            html_table("Mean score of each model", f.names, table),
            *(
                _gains(result, other, f.names)
                for other, gains in result.gains.items()
                if np.isfinite(np.asarray(gains["ci_low"])).any()
            ),
        ],
    }


def _dots_of_models(
    f: Findings,
    table: dict[str, NDArray],
    models: tuple[str, ...],
    rows: NDArray,
) -> DotRows:
    drawn = [t for t in f.drawn if rows[t]]
    scores = np.array([table[m] for m in models])  # (n_models, n_tasks)
    known = np.isfinite(scores).all(axis=0) & rows
    lines = [(f.names[t], scores[:, t], False) for t in drawn]
    if known.sum() > 1:
        mean = scores[:, known].mean(axis=1)
        lines.append((f"mean of {known.sum()} tasks", mean, True))
    shown = [scores[:, drawn].ravel(), *(values for _, values, _ in lines)]
    dots = DotRows(close_range(np.concatenate(shown)), [])
    for name, values, is_mean in lines:
        pairs = zip(models, values, strict=True)
        text = NOTHING
        if np.isfinite(values).all():
            best = int(values.argmax())
            text = f"{_SHORT.get(models[best], models[best])} {cell(values[best])}"
        dots.add(
            name,
            values,
            text=text,
            words=f"{name}: " + ", ".join(f"{m} {cell(v)}" for m, v in pairs),
            is_mean=is_mean,
        )
    return dots


def _overall(result: ModelComparison) -> HtmlTable:
    """Return the mean gain over each other model, and the fit times."""
    means, first = result.mean_scores(), _MODELS[result.models[0]]
    gains = [result.mean_gains.get(m, (np.nan,) * 3) for m in result.models]
    columns: dict[str, list[Any]] = {"mean score": [means[m] for m in result.models]}
    if result.gains:
        for i, name in enumerate(("gain", "ci_low", "ci_high")):
            columns[name] = [gain[i] for gain in gains]
        for verdict in ("better", "worse", "cannot tell"):
            columns[f"tasks: {verdict}"] = [
                len(result.tasks_with(verdict, m)) if m in result.gains else None
                for m in result.models
            ]
    columns["seconds"] = [result.seconds[m] for m in result.models]
    return html_table(
        f"Mean scores over the tasks; gain of the {first} over each other model; "
        "number of tasks in which it is clearly better or worse; total fit time in "
        "seconds",
        [_MODELS[m] for m in result.models],
        columns,
        first="model",
    )


def _gains(result: ModelComparison, other: str, names: list[str]) -> HtmlTable:
    caption = f"Gain of the {_MODELS[result.models[0]]} over {_MODELS[other]}"
    return html_table(
        caption,
        names,
        columns_of(result.gains[other]),
        summary=f"{caption}, by task",
        is_folded=len(names) > _MOST_OPEN,
    )


# Curves ------------------------------------------------------------------------------


def curves_section(f: Findings) -> dict[str, Any]:
    """Return a card with plots for each task that is drawn."""
    kinds = []
    if not f.is_number.all():
        kinds.append(
            "ROC and precision-recall curves show the trade-off at each threshold. The "
            "closer a curve is to the upper left corner (ROC) or the upper right "
            "corner (precision-recall), the better. The reliability plot shows whether "
            "30 % of the rows with a predicted probability of 0.3 are positive: then "
            "the dots lie on the dashed line."
        )
    if f.is_number.any():
        kinds.append(
            "For numbers, dots on the dashed line are exact predictions, and most "
            "errors should be close to 0."
        )
    return {
        "how": " ".join(kinds),
        "left_out": f.left_out("Curves are drawn for"),
        "cards": [_card(f.tasks[t], f.main[t]) for t in f.drawn],
    }


def _card(task: TaskHeldOut, score: float) -> dict[str, Any]:
    text = f"{len(task.y):,} held-out labels"
    legend: list[tuple[str, str]] = []
    if task.classes is None:
        text += f", R2 {cell(score)}"
    else:
        if is_binary(len(task.classes)) and len(task.y):
            share = 100 * np.mean(task.y == 1)
            text += f", {share:.1f} % {_name_of_positive(task.classes[1])}"
        text += f", ROC AUC {cell(score)}"
        if len(task.classes) > 2 and task.varies:
            drawn = drawn_classes(task)
            legend = [(str(task.classes[c]), str(i)) for i, c in enumerate(drawn)]
            if len(drawn) < len(task.classes):
                text += f"; {len(drawn)} of {len(task.classes)} classes are drawn"
            text += "; the reliability plot is about the most probable class"
    plots = plots_of(task)
    if not plots:
        text += ". There is no plot: it needs labels of two classes, or two values."
    return {"name": task.name, "text": text, "legend": legend, "plots": plots}


# Thresholds --------------------------------------------------------------------------


def thresholds_section(f: Findings) -> dict[str, Any] | None:
    """Return the best threshold for each metric, and the scores with it."""
    if not f.binary:
        return None
    names = [task.name for task in f.binary]
    columns = {
        name.replace("_", " ")
        .replace("balanced accuracy", "bal. acc.")
        .replace("f1", "F1")
        .replace("mcc", "MCC")
        .replace("at half", "at 0.5"): values.tolist()
        for name, values in f.thresholds.items()
    }
    if len(names) > 1:
        names.append("mean")
        for name, values in columns.items():
            known = [v for v in values if np.isfinite(v)]
            is_score = " at " in name and bool(known)
            values.append(float(np.mean(known)) if is_score else None)
    return {
        "means": _means_of_thresholds(f) if len(f.binary) > 1 else "",
        "how": (
            "To get labels from probabilities, you need a threshold, and 0.5 is rarely "
            "the best one for rare classes. The table shows the best threshold on all "
            "held-out rows. The score at the threshold is not biased by this choice: "
            "each part of the rows is scored at the best threshold of the other parts."
        ),
        "table": html_table(
            "Best threshold of each binary task for balanced accuracy, F1 and MCC, "
            "with the scores at 0.5 and at the threshold",
            names,
            columns,
            summary=f"Table of all {len(f.binary)} binary tasks",
        ),
    }


def _means_of_thresholds(f: Findings) -> str:
    means = []
    for metric, name in _OF_THRESHOLDS.items():
        half, tuned = (
            float(np.nanmean(f.thresholds[f"{metric}_{at}"]))
            for at in ("at_half", "at_threshold")
        )
        means.append(f"{name} {half:.3f} and {tuned:.3f}")
    return (
        f"Mean scores of {len(f.binary)} tasks at 0.5 and at the best thresholds: "
        f"{', '.join(means)}."
    )


# Importance --------------------------------------------------------------------------


def importance_section(f: Findings) -> dict[str, Any]:
    """Return the importances of columns for tasks."""
    found = f.importances
    if found is None:
        how = "Data with several axes, such as images, has no columns to shuffle."
        return {"how": how, "note": "", "heat": None}
    known = np.nan_to_num(found.drops, nan=-np.inf)
    most = known[:, f.drawn].max(axis=1, initial=-np.inf)
    order = np.argsort(-most, kind="stable")[:_MOST_HEAT_ROWS]
    return {
        "how": (
            "The table shows how much the score of a task (ROC AUC, or R2 for numbers) "
            "drops if the values of one column are shuffled among the held-out rows. "
            "The stronger the colour of a cell, the more the network relies on the "
            "column. If two columns carry the same information, each can replace the "
            "other, and both look unimportant."
        ),
        "note": _importance_note(found, len(order), f),
        "heat": {
            "caption": "Drop in score if the column is shuffled",
            "head": ["column", *(f.names[t] for t in f.drawn)],
            "rows": [
                (
                    found.columns[j],
                    _heat(found.drops[j, f.drawn], found.drops[:, f.drawn]),
                )
                for j in order
            ],
        },
        "top": html_table(
            "The most important columns, and the drop in score",
            f.names,
            {"columns": [_top(found, known[:, t]) for t in range(len(f.tasks))]},
            summary=f"The {_N_TOP} most important columns of each task",
            is_folded=True,
        ),
    }


def _heat(drops: NDArray, all_drops: NDArray) -> list[tuple[str, float]]:
    """Return the text of each cell, and its darkness from 0 to 1."""
    largest = max(float(np.nanmax(all_drops, initial=0.0)), 1e-12)
    shares = np.nan_to_num(np.clip(drops / largest, 0, 1)).round(3)
    texts = [three_digits(d) if np.isfinite(d) else NOTHING for d in drops]
    return list(zip(texts, shares.tolist(), strict=True))


def _top(found: Importances, drops: NDArray) -> str:
    best = np.argsort(-drops, kind="stable")[:_N_TOP]
    named = [f"{found.columns[j]} ({drops[j]:.3f})" for j in best if drops[j] > 0]
    return ", ".join(named) or "none"


def _importance_note(found: Importances, n_shown: int, f: Findings) -> str:
    notes = []
    n_tried = len(found.columns)
    if n_tried < found.n_columns:
        notes.append(
            f"{n_tried} of {found.n_columns:,} columns were shuffled (max_columns): "
            "first text and categories, then the columns that correlate most with a "
            "prediction of the network. Other columns may be important too."
        )
    if n_shown < n_tried:
        notes.append(
            f"The table shows the {n_shown} most important of {n_tried} columns."
        )
    n_rows = len(f.held_out.truth.codes)
    if found.n_rows < n_rows:
        notes.append(f"{found.n_rows:,} of {n_rows:,} held-out rows were used.")
    return " ".join([*notes, f.left_out("It has columns for")]).strip()


# Training and settings ----------------------------------------------------------------


def training_section(f: Findings) -> dict[str, Any]:
    """Return the loss curves."""
    is_one = len(f.held_out.folds) == 1
    lines = (
        "The line shows the network"
        if is_one
        else "Each line shows the network of one fold"
    )
    return {
        "how": (
            f"{lines}. If the loss still falls steeply at the end, train for more "
            "epochs (max_iter). If the validation score falls again, use early "
            "stopping."
        ),
        "plots": training_plots(networks_of(f.held_out)),
    }


def settings_section(
    estimator: Any, f: Findings, n_columns: int | None, run: dict[str, Any]
) -> dict[str, Any]:
    """Return the parameters, the versions and the settings of the run."""
    network = fitted_network(f.held_out.folds[0].estimator)
    parameters = network.get_params(deep=False)
    defaults = type(network)().get_params(deep=False)
    is_changed = {k: repr(v) != repr(defaults[k]) for k, v in parameters.items()}
    ordered = sorted(parameters, key=lambda name: not is_changed[name])
    shown = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "rows": f"{len(f.labels.observed):,}",
        "columns of X": NOTHING if n_columns is None else f"{n_columns:,}",
        "tasks": f"{len(f.tasks):,}",
        **{name: _short(value) for name, value in run.items()},
        "skmtl": skmtl.__version__,
        **{name: version(name) for name in ("torch", "scikit-learn", "numpy")},
        "Python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    n_changed = sum(is_changed.values())
    return {
        "version": skmtl.__version__,
        "run": html_table("This run", shown, {"value": shown.values()}, first="item"),
        "parameters": html_table(
            f"Parameters of {type(network).__name__}",
            ordered,
            {
                "value": [_short(parameters[name]) for name in ordered],
                "status": ["changed" if is_changed[k] else "default" for k in ordered],
            },
            first="parameter",
            summary=f"All parameters; {n_changed} differ from the defaults",
            is_folded=True,
        ),
        "estimator": repr(estimator),
    }


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else text[:200] + " ..."
