"""The summary of a report: the main results, and what to do next."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmtl._report._findings import ENOUGH
from skmtl._report._held_out import TaskHeldOut
from skmtl.inspection import LabelReport, ModelComparison

_MOST_NAMES = 4
_MUCH_ECE = 0.05
_ENOUGH_FOR_ECE = 200  # labels; with fewer, it can be large by chance
_MUCH_BETTER_BY_THRESHOLD = 0.03


class _Main(NamedTuple):
    """The main score for a type of task."""

    column: str
    name: str
    chance: float


_MAIN = (_Main("roc_auc", "ROC AUC", 0.5), _Main("r2", "R2", 0.0))
_PLAIN = {
    "separate": "separate networks",
    "forest": "random forests",
    "lightgbm": "LightGBM",
}


def names_in_words(names: Sequence[str]) -> str:
    """Return the first few names, in words."""
    shown = list(map(str, names[:_MOST_NAMES]))
    if len(names) > _MOST_NAMES:
        return f"{', '.join(shown)} and {len(names) - _MOST_NAMES} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)


def key_figures(
    labels: LabelReport, scores: dict[str, NDArray], is_number: NDArray
) -> list[tuple[str, str]]:
    """Return numbers, and what they stand for."""
    n_rows, n_tasks = labels.observed.shape
    figures = [
        (f"{n_tasks:,}", "task" if n_tasks == 1 else "tasks"),
        (f"{n_rows:,}", "rows"),
        (f"{100 * labels.observed.mean():.0f} %", "of labels observed"),
    ]
    for main, rows in zip(_MAIN, (~is_number, is_number), strict=True):
        known = _finite(scores, main.column, rows)
        if len(known):
            mean = "mean " if len(known) > 1 else ""
            figures.append((f"{known.mean():.3f}", mean + main.name))
    return figures


def _finite(scores: dict[str, NDArray], column: str, rows: NDArray) -> NDArray:
    values = scores.get(column, np.empty(0))
    return values[rows & np.isfinite(values)] if len(values) else values


def sentences(
    tasks: list[TaskHeldOut],
    scores: dict[str, NDArray],
    comparison: ModelComparison | None,
) -> list[str]:
    """Return sentences with the main results."""
    found: list[str] = []
    are_sure = np.array([task.n_rarest >= ENOUGH for task in tasks])
    names = np.array([task.name for task in tasks], dtype=object)
    is_number = np.array([task.is_number for task in tasks])
    for main, rows in zip(_MAIN, (~is_number, is_number), strict=True):
        if rows.any():
            found += _of_type(main, names, scores, rows, are_sure)
    if comparison is not None:
        found += _against_all(comparison)
    return found


def _of_type(
    main: _Main,
    names: NDArray,
    scores: dict[str, NDArray],
    rows: NDArray,
    are_sure: NDArray,
) -> list[str]:
    column, name, chance = main
    rows = rows & np.isfinite(scores[column])
    values, own = scores[column][rows], names[rows]
    if not len(values):
        return [f"No task has a {name}: it needs at least two different labels."]
    if len(values) == 1:
        low, high = scores[f"{column}_low"][rows][0], scores[f"{column}_high"][rows][0]
        found = [
            f"The {name} of {own[0]} is {values[0]:.3f} ({low:.3f} to {high:.3f})."
        ]
    else:
        sure = are_sure[rows] if are_sure[rows].sum() > 1 else np.full(len(own), True)
        best = np.where(sure, values, -np.inf).argmax()
        worst = np.where(sure, values, np.inf).argmin()
        among = "" if sure.all() else f" Among the {sure.sum()} tasks with at least "
        among += f"{ENOUGH} held-out labels of each class," if among else ""
        found = [
            f"The mean {name} of {len(values)} tasks is {values.mean():.3f}.{among} "
            f"{own[best]} has the best ({values[best]:.3f}) and {own[worst]} the worst "
            f"({values[worst]:.3f})."
        ]
    guessed = own[scores[f"{column}_low"][rows] <= chance]
    if len(guessed):
        what = "guessing" if column == "roc_auc" else "predicting the mean"
        verb = "is" if len(guessed) == 1 else "are"
        found.append(
            f"{_tasks(len(guessed))} {verb} not clearly better than {what}: "
            f"{names_in_words(guessed)}."
        )
    return found


def _tasks(n: int) -> str:
    return "One task" if n == 1 else f"{n} tasks"


def _against_all(comparison: ModelComparison) -> list[str]:
    if not comparison.has_mean:
        return [_by_counts(comparison, other) for other in comparison.gains]
    given = comparison.mean_gains.items()
    gains = {other: gain for other, gain in given if not np.isnan(gain[0])}
    unsure = [other for other in gains if np.isnan(gains[other][1])]
    found = [_against(comparison, other) for other in gains if other not in unsure]
    if unsure:
        differences = names_in_words(
            [f"{gains[other][0]:+.3f} against {_PLAIN[other]}" for other in unsure]
        )
        found.append(
            f"The mean gain of {_own(comparison)} is {differences}. "
            "Intervals need at least three splits; without them, these differences may "
            "be due to chance."
        )
    return found


def _own(comparison: ModelComparison) -> str:
    """What to call the network: a single task has none to share layers with."""
    return "the network" if comparison.models[0] == "network" else "the joint network"


def _by_counts(comparison: ModelComparison, other: str) -> str:
    """Count the tasks: scores of classes and of numbers cannot be averaged."""
    counts = [len(comparison.tasks_with(v, other)) for v in ("better", "worse")]
    return (
        f"{_upper(_PLAIN[other])}: {_own(comparison)} is better in "
        f"{counts[0]} and worse in {counts[1]} of {len(comparison.task_names)} tasks; "
        "in the others, the difference is not clear."
    )


def _against(comparison: ModelComparison, other: str) -> str:
    gain, low, high = comparison.mean_gains[other]
    plain, own = _PLAIN[other], _own(comparison)
    interval = f"95 % interval {low:+.3f} to {high:+.3f}"
    if other == "separate":
        if low > 0:
            return (
                f"Sharing helps: {own} is {gain:.3f} better than {plain} ({interval})."
            )
        if high < 0:
            return (
                f"Sharing hurts: {own} is {-gain:.3f} worse than {plain} ({interval})."
            )
        return (
            "It is not clear whether sharing helps: the mean gain over separate "
            f"networks is {gain:+.3f} ({interval})."
        )
    if low > 0:
        return f"{_upper(own)} is {gain:.3f} better than {plain} ({interval})."
    if high < 0:
        return f"{_upper(own)} is {-gain:.3f} worse than {plain} ({interval})."
    return (
        f"There is no clear difference between {own} and {plain}: the mean gain is "
        f"{gain:+.3f} ({interval})."
    )


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def advice(
    tasks: list[TaskHeldOut],
    labels: LabelReport,
    scores: dict[str, NDArray],
    thresholds: dict[str, NDArray],
    comparison: ModelComparison | None,
    is_tuned: bool,
    calibrated: set[int],
) -> list[str]:
    """Return what to do next, the most useful advice first."""
    found = _about_models(comparison)
    if labels.rare_tasks:
        found.append(
            f"Get more labels for {names_in_words(labels.rare_tasks)}: a class has "
            "fewer labels than there are folds, so the scores are not reliable."
        )
    half, tuned = (
        thresholds.get(f"balanced_accuracy_{at}", np.empty(0))
        for at in ("at_half", "at_threshold")
    )
    gain = float(np.mean(tuned - half)) if len(half) else 0.0
    if gain > _MUCH_BETTER_BY_THRESHOLD and not is_tuned:
        found.append(
            "If you need labels rather than probabilities, tune the threshold of each "
            "task (MultiTaskTunedThresholdClassifierCV): the mean balanced accuracy "
            f"rises from {half.mean():.3f} to {tuned.mean():.3f}."
        )
    ece = scores.get("ece", np.empty(0))
    far = [
        task
        for task, error in zip(tasks, ece, strict=False)
        if error > _MUCH_ECE and len(task.y) >= _ENOUGH_FOR_ECE
    ]
    return (found + _about_calibration(far, calibrated))[:4]


def _about_calibration(far: list[TaskHeldOut], calibrated: set[int]) -> list[str]:
    raw = [task.name for task in far if task.position not in calibrated]
    corrected = [task.name for task in far if task.position in calibrated]
    found = []
    if raw:
        found.append(
            f"Calibrate the probabilities of {names_in_words(raw)} before you rely on "
            "them (MultiTaskCalibratedClassifierCV): on average, they are off by more "
            f"than {_MUCH_ECE:.2f}."
        )
    if corrected:
        found.append(
            f"The probabilities of {names_in_words(corrected)} are calibrated and on "
            f"average still off by more than {_MUCH_ECE:.2f}. Calibrate them on rows "
            "that resemble the held-out rows, or do not rely on them."
        )
    return found


def _about_models(comparison: ModelComparison | None) -> list[str]:
    if comparison is None:
        return []
    found = []
    gains = comparison.mean_gains
    if "separate" in gains and gains["separate"][2] < 0:
        found.append(
            "Try more units (skmtl.inspection.capacity_curve) or sharing='none': in "
            "this network, the tasks interfere with each other."
        )
    better = [
        other
        for other in ("forest", "lightgbm")
        if other in gains and gains[other][2] < 0
    ]
    if better:
        plain = " or ".join(_PLAIN[other] for other in better)
        found.append(
            "Search for better parameters (skmtl.model_selection.RandomizedSearchCV), "
            f"or use {plain}, which did better here with default parameters."
        )
    unsure = "separate" in gains and gains["separate"][1] <= 0 <= gains["separate"][2]
    if unsure:
        found.append(
            "To find out whether sharing helps, use skmtl.inspection.transfer_gain, "
            "which repeats the folds."
        )
    return found
