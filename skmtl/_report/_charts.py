"""Plots as numbers in pixels and percent, from which the templates make SVG."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from skmtl._report._held_out import TaskHeldOut

WIDTH, HEIGHT = 242, 206
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 38
_MOST_POINTS = 90  # in a line
_MOST_DOTS = 300
MOST_CLASSES = 6  # lines in a plot
_N_BINS = 10
_CHARACTER = 6.2  # pixels
_DIAGONAL = np.array([0.0, 1.0])


@dataclass
class Line:
    """A line. Its colour is a number, or "guide"."""

    colour: str
    path: str


@dataclass
class Plot:
    """A small plot with axes."""

    title: str
    description: str
    x_label: str
    y_label: str
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)
    width: int = WIDTH
    lines: list[Line] = field(default_factory=list)
    dots: list[tuple[float, float]] = field(default_factory=list)
    bars: list[tuple[float, float, float, float]] = field(default_factory=list)
    whiskers: list[tuple[float, float, float]] = field(default_factory=list)

    height = HEIGHT
    left, top = _LEFT, _TOP

    @property
    def right(self) -> int:
        """Right edge of the plotting area."""
        return self.width - _RIGHT

    @property
    def bottom(self) -> int:
        """Lower edge of the plotting area."""
        return HEIGHT - _BOTTOM

    def x(self, values: Any) -> Any:
        """Pixels from the left."""
        low, high = self.x_range
        return self.left + (values - low) / (high - low) * (self.right - self.left)

    def y(self, values: Any) -> Any:
        """Pixels from the top."""
        low, high = self.y_range
        return self.bottom - (values - low) / (high - low) * (self.bottom - self.top)

    def add_line(self, x: NDArray, y: NDArray, colour: str) -> None:
        """Add a line through the points, thinned out if there are many."""
        px, py = self.x(np.asarray(x, float)), self.y(np.asarray(y, float))
        kept = _few(px, py)
        points = [f"{a:.1f} {b:.1f}" for a, b in zip(px[kept], py[kept], strict=True)]
        self.lines.append(Line(colour, "M" + "L".join(points)))

    @property
    def x_ticks(self) -> list[tuple[float, float, str]]:
        """Positions of the ticks, positions of their labels, and the labels.

        The labels stay within the plot.
        """
        found = []
        for value, text in ticks(*self.x_range):
            x, half = self.x(value), _CHARACTER / 2 * len(text)
            found.append((x, min(x, self.width - half), text))
        return found

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Positions of the ticks, and their labels."""
        return [(self.y(v), text) for v, text in ticks(*self.y_range)]


def _few(x: NDArray, y: NDArray) -> NDArray:
    """Return the indices of points at even distances along the line."""
    if len(x) <= _MOST_POINTS:
        return np.arange(len(x))
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0, length[-1], _MOST_POINTS)
    return np.unique(np.searchsorted(length, wanted).clip(0, len(x) - 1))


def ticks(low: float, high: float, n_ticks: int = 5) -> list[tuple[float, str]]:
    """Return round numbers within a range, and their labels."""
    step = 10 ** math.floor(math.log10((high - low) / n_ticks))
    step *= next(m for m in (1, 2, 2.5, 5, 10) if (high - low) / (m * step) <= n_ticks)
    first = math.ceil(low / step - 1e-9)
    values = [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += step * 10**digits % 1 > 1e-6
    return [(v, _tick_text(v, digits, max(abs(low), abs(high)))) for v in values]


def _tick_text(value: float, digits: int, largest: float) -> str:
    if value == 0:
        return "0"
    if largest < 0.001 or largest >= 1e12:
        return f"{value:.3g}".replace("e-0", "e-").replace("e+", "e")
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if largest >= max(unit, 1e4):
            return f"{value / unit:.3g}{letter}"
    return f"{value:,.{digits}f}"


def wide_range(values: ArrayLike) -> tuple[float, float]:
    """Return a range with some room around all finite values."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    room = max(0.05 * (high - low), 1e-6 * max(abs(low), abs(high), 1e-6))
    return low - room, high + room


# Classes -----------------------------------------------------------------------------


def plots_of(task: TaskHeldOut) -> list[Plot]:
    """Return the plots of a task; none if it has fewer than two observed values."""
    if not task.varies:
        return []
    if task.p is None:
        return [_predicted_against_measured(task), _errors(task)]
    drawn = drawn_classes(task)
    if not drawn:
        return []
    return [_roc(task, drawn), _precision_recall(task, drawn), _reliability(task)]


def drawn_classes(task: TaskHeldOut) -> list[int]:
    """Return the classes that get a line: the second of two, or the most frequent."""
    assert task.p is not None
    counts = np.bincount(task.y, minlength=task.p.shape[1])
    if task.p.shape[1] == 2:
        return [1]
    found = np.flatnonzero((counts > 0) & (counts < len(task.y)))
    return np.sort(found[np.argsort(-counts[found])][:MOST_CLASSES]).tolist()


def _roc(task: TaskHeldOut, drawn: list[int]) -> Plot:
    assert task.p is not None
    plot = Plot(
        f"ROC curve of {task.name}",
        "True positive rate against false positive rate for all thresholds. The dashed "
        "line is guessing.",
        "false positive rate",
        "true positive rate",
    )
    plot.add_line(_DIAGONAL, _DIAGONAL, "guide")
    for i, code in enumerate(drawn):
        found = roc_curve(task.y == code, task.p[:, code])
        plot.add_line(found[0], found[1], str(i))
    return plot


def _precision_recall(task: TaskHeldOut, drawn: list[int]) -> Plot:
    assert task.p is not None
    plot = Plot(
        f"Precision-recall curve of {task.name}",
        "Precision against recall for all thresholds. The dashed line is guessing.",
        "recall",
        "precision",
    )
    for i, code in enumerate(drawn):
        is_positive = task.y == code
        precision, recall, _ = precision_recall_curve(is_positive, task.p[:, code])
        if len(drawn) == 1:
            plot.add_line(_DIAGONAL, np.full(2, is_positive.mean()), "guide")
        plot.add_line(recall[::-1], precision[::-1], str(i))
    return plot


def _reliability(task: TaskHeldOut) -> Plot:
    """Use the bins of `ece`, with Wilson intervals of the shares."""
    assert task.p is not None
    plot = Plot(
        f"Reliability of {task.name}",
        "Observed share against predicted probability in bins, with 95 % intervals. On "
        "the dashed line, the probabilities are calibrated.",
        "predicted probability",
        "observed share",
    )
    plot.add_line(_DIAGONAL, _DIAGONAL, "guide")
    p, hits = task.p[:, 1], task.y == 1
    if task.p.shape[1] > 2:
        p, hits = task.p.max(axis=1), task.p.argmax(axis=1) == task.y
    bins = np.minimum((p * _N_BINS).astype(np.intp), _N_BINS - 1)
    for b in np.unique(bins):
        rows = bins == b
        n, share = rows.sum(), hits[rows].mean()
        z2 = 1.96**2
        centre = (share + z2 / (2 * n)) / (1 + z2 / n)
        spread = (
            np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) * 1.96 / (1 + z2 / n)
        )
        x = plot.x(p[rows].mean())
        plot.dots.append((x, plot.y(share)))
        plot.whiskers.append((x, plot.y(centre - spread), plot.y(centre + spread)))
    return plot


# Numbers -----------------------------------------------------------------------------


def _predicted_against_measured(task: TaskHeldOut) -> Plot:
    rows = np.arange(len(task.y))
    if len(rows) > _MOST_DOTS:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_DOTS).astype(np.intp)]
    y, predicted = task.y[rows], task.predicted[rows]
    limits = np.percentile(np.concatenate([y, predicted]), [0.5, 99.5])
    both = wide_range(limits)
    plot = Plot(
        f"Predictions of {task.name}",
        f"Predicted against measured values for {len(rows):,} of {len(task.y):,} rows. "
        "On the dashed line they are equal. Dots on the frame lie outside it.",
        "measured",
        "predicted",
        both,
        both,
    )
    plot.add_line(np.array(both), np.array(both), "guide")
    x, y = plot.x(y.clip(*both)), plot.y(predicted.clip(*both))
    plot.dots = list(zip(x, y, strict=True))
    return plot


def _errors(task: TaskHeldOut) -> Plot:
    errors = task.predicted - task.y
    low, high = np.percentile(errors, [0.5, 99.5])
    x_range = wide_range([low, high, 0.0])
    counts, edges = np.histogram(errors.clip(*x_range), bins=20, range=x_range)
    plot = Plot(
        f"Errors of {task.name}",
        "Histogram of the errors, predicted minus measured. The dashed line is an "
        "error of 0.",
        "error (predicted - measured)",
        "rows",
        x_range,
        (0.0, counts.max() * 1.05),
    )
    x, y = plot.x(edges), plot.y(counts)
    plot.bars = [
        (left, top, right - left - 1, plot.bottom - top)
        for left, right, top in zip(x[:-1], x[1:], y, strict=True)
        if top < plot.bottom
    ]
    plot.add_line(np.zeros(2), np.array(plot.y_range), "guide")
    return plot


# Training ----------------------------------------------------------------------------


def training_plots(networks: list[Any]) -> list[Plot]:
    """Plot the loss per epoch, and the validation score if any; one line per fold."""
    losses = [np.asarray(network.loss_curve_) for network in networks]
    validation = [
        np.asarray(scores)
        for network in networks
        if (scores := getattr(network, "validation_scores_", None)) is not None
    ]
    plots = []
    for curves, title, label in [
        (losses, "Training loss", "training loss"),
        (validation, "Validation score", "score on validation labels"),
    ]:
        curves = [curve for curve in curves if len(curve) > 1]
        if curves:
            plots.append(_curves(curves, title, label))
    return plots


def _curves(curves: list[NDArray], title: str, label: str) -> Plot:
    plot = Plot(
        title,
        f"The {label} after each epoch, one line for each fit.",
        "epoch",
        label,
        (1.0, float(max(map(len, curves)))),
        wide_range(np.concatenate(curves)),
        width=340,
    )
    for i, curve in enumerate(curves):
        plot.add_line(np.arange(1, len(curve) + 1), curve, str(i % MOST_CLASSES))
    return plot


# Rows of dots, in percent of the width ------------------------------------------------


@dataclass
class DotRows:
    """A line for each task, with marks on a common scale."""

    scale: tuple[float, float]
    rows: list[dict[str, Any]]

    def at(self, value: float) -> float | None:
        """Return the percentage from the left; None if there is no value."""
        low, high = self.scale
        if not np.isfinite(value):
            return None
        return round(float(np.clip((value - low) / (high - low), 0, 1)) * 100, 2)

    def add(
        self,
        name: str,
        values: NDArray,
        *,
        text: str,
        words: str,
        interval: tuple[float, float] = (np.nan, np.nan),
        is_mean: bool = False,
    ) -> None:
        """Add a line with a mark for each value."""
        low, high = map(self.at, interval)
        marks = [(self.at(value), kind) for kind, value in enumerate(values)]
        self.rows.append(
            {"name": name, "marks": marks, "low": low, "high": high}
            | {"text": text, "words": words, "is_mean": is_mean}
        )

    @property
    def ticks(self) -> list[tuple[float | None, str]]:
        """Positions of the ticks, and their labels."""
        return [(self.at(v), text) for v, text in ticks(*self.scale)]


def close_range(values: NDArray) -> tuple[float, float]:
    """Return a tight range around the values, rounded to multiples of 0.05."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = max(known.min() - 0.01, -0.5), min(known.max() + 0.01, 1.0)
    low, high = math.floor(20 * low) / 20, math.ceil(20 * high) / 20
    return low, max(high, low + 0.05)


def score_range(values: NDArray, chance: float) -> tuple[float, float]:
    """Return the range of a score axis: from chance, or lower scores, to 1.

    It does not extend to very negative values of R2.
    """
    known = values[np.isfinite(values)]
    lowest = float(known.min()) if len(known) else chance
    low = math.floor(10 * float(np.clip(lowest, -0.5, chance))) / 10
    return low, 1.0
