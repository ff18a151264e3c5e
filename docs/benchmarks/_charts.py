"""The charts of these pages, drawn from the records and tables beside them.

The site calls ``draw`` each time that it is built, so that no chart can differ from its
data. The chart of the README is committed; after a change of its data, draw it again:

    python docs/benchmarks/_charts.py
"""

import json
import re
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

PAGES = Path(__file__).parent
README_CHART = PAGES.parent / "_static" / "readme.svg"
# Colours of Okabe and Ito, made brighter for dark pages; grey text that can be read on
# white and on black.
THEMES = {
    "light": {
        "text": "#333333",
        "grid": "#dddddd",
        "line": "#888888",
        "blue": "#0072b2",
        "green": "#009e73",
        "orange": "#d55e00",
        "purple": "#aa4488",
    },
    "dark": {
        "text": "#dddddd",
        "grid": "#444444",
        "line": "#999999",
        "blue": "#56b4e9",
        "green": "#2fbf91",
        "orange": "#f08a3c",
        "purple": "#dd99c4",
    },
    "both": {
        "text": "#767676",
        "grid": "#76767640",
        "line": "#767676",
        "blue": "#2a8fcc",
        "green": "#1a9d77",
        "orange": "#dd6a1a",
        "purple": "#b865a0",
    },
}
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handletextpad": 0.4,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "savefig.transparent": True,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "skmtl",  # the same file each time
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
WIDTH = 5.0  # inches: 480 pixels, so that the text can still be read on a telephone


# Data -----------------------------------------------------------------------------


def records(name):
    """The lines of a file of results as a table."""
    lines = (PAGES / f"{name}.jsonl").read_text().splitlines()
    return pd.DataFrame(map(json.loads, lines))


def table(page, *columns):
    """The first Markdown table of a page that has these columns, as text.

    An empty cell of the first column repeats the one above.
    """
    lines = (PAGES / f"{page}.md").read_text().splitlines()
    for i, (line, below) in enumerate(pairwise(lines)):
        if re.fullmatch(r"[|:-]+", below) and set(columns) <= set(
            header := cells(line)
        ):
            rows = []
            for row in lines[i + 2 :]:
                if not row.startswith("|"):
                    break
                rows.append(cells(row))
            found = pd.DataFrame(rows, columns=header)
            first = found.iloc[:, 0]
            found.isetitem(0, first.where(first != "").ffill())
            return found
    raise ValueError(
        f"{page}.md must have a table with the columns {list(columns)}, for its chart."
    )


def cells(line):
    """What stands between the bars, without the marks of bold type."""
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("**", "") for cell in inner.split("|")]


def numbers(column):
    """The number that each cell of a column begins with; NaN if there is none."""
    text = column.str.replace(",", "").str.extract(r"^(-?[\d.]+)", expand=False)
    return text.astype(float)


# Parts of charts ------------------------------------------------------------------


def figure(height, n_columns=1, **settings):
    """A figure and its axes; the height is in inches."""
    fig = Figure(figsize=(WIDTH, height))
    return fig, fig.subplots(1, n_columns, **settings)


def legend_above(fig, handles, labels, n_columns):
    fig.legend(
        handles, labels, loc="outside upper center", ncols=n_columns, columnspacing=1.2
    )


def rows_from_above(ax, labels):
    """A row for each label, the first at the top."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="y", alpha=0)


def zero_line(ax, colour, at=0.0):
    ax.axvline(at, color=colour["line"], linewidth=1, zorder=1)


def dots(ax, x, y, colour, marker, is_filled=True):
    """Markers without a line; the handle for a legend."""
    (handle,) = ax.plot(
        x,
        y,
        marker,
        color=colour,
        markerfacecolor=colour if is_filled else "none",
        markeredgewidth=1.3,
        zorder=3,
    )
    return handle


def title_of(name):
    """A data set as the pages write it."""
    kind, _, n_rows = name.rpartition("_")
    if n_rows.isdecimal():
        name = f"{kind} {int(n_rows):,}"
    return name.replace("_", " ")


# Pages ----------------------------------------------------------------------------

OTHERS = ["forest", "LightGBM", "XGBoost", "CatBoost", "RealMLP", "TabM", "logistic"]
OTHERS += ["MLPClassifier", "DeepChem"]


def least_gain(results, metric):
    """Mean gain of skmtl over the model against which it is smallest.

    A model is compared on the splits on which both were run.
    """
    scores = results.pivot_table(metric, ["set", "fraction", "split"], "model")
    gains = scores[OTHERS].rsub(scores["skmtl"], axis=0)
    return gains.groupby(level=["set", "fraction"]).mean().min(axis=1)


def accuracy(colour):
    """skmtl less the best other model of each set."""
    results = records("accuracy")
    fig, axes = figure(0.8 + 0.26 * results["set"].nunique(), 2, sharey=True)
    sets = None
    for ax, metric, title in zip(
        axes, ["auc", "ap"], ["ROC AUC", "average precision"], strict=True
    ):
        gain = least_gain(results, metric).unstack()[[0.0, 0.8]].dropna(how="all")
        sets = gain[0.0].sort_values(ascending=False).index if sets is None else sets
        y = np.arange(len(sets))
        zero_line(ax, colour)
        handles = [
            dots(ax, gain.loc[sets, 0.0], y - 0.13, colour["blue"], "o"),
            dots(ax, gain.loc[sets, 0.8], y + 0.13, colour["orange"], "D", False),
        ]
        rows_from_above(ax, [title_of(name) for name in sets])
        limit = 1.1 * np.nanmax(np.abs(gain))
        ax.set(xlim=(-limit, limit), title=title, xlabel="behind ← 0 → ahead")
        ax.xaxis.set_major_formatter("{x:g}")
    labels = ["all labels", "80 % of the labels removed"]
    legend_above(fig, handles, labels, 2)
    return fig


def decisions(colour):
    """MCC on HTSFP5, published and with three ways to decide."""
    mcc = table("decisions", "labels removed", "published")
    removed = numbers(mcc["labels removed"])
    fig, ax = figure(3.4)
    styles = {
        "published": (colour["line"], "s:"),
        "default network at 0.5": (colour["orange"], "D--"),
        "tuned for MCC, folds": (colour["blue"], "o-"),
        "tuned for MCC, out of bag": (colour["green"], "^-"),
    }
    for name, (shade, style) in styles.items():
        ax.plot(removed, numbers(mcc[name]), style, color=shade, label=name)
    ax.set(
        xlabel="labels removed, %",
        ylabel="Matthews correlation",
        ylim=(0, 0.5),
        xticks=[0, 20, 40, 60, 80, 95],
    )
    ax.legend(loc="lower left")
    return fig


REGRESSORS = {
    "skmtl": ("blue", "o", True),
    "forest": ("green", "^", True),
    "lightgbm": ("orange", "D", False),
    "ridge": ("purple", "s", False),
}
LEAST_R2 = -0.2  # lower values are drawn at the edge


def regression(colour):
    """R2 of four models on each set."""
    results = records("regression")
    means = results.pivot_table("r2", ["set", "removed"], "model", sort=False)
    sets = sorted(results["set"].unique(), key=lambda name: name.startswith("made"))
    places = np.arange(len(sets))
    fig, axes = figure(0.8 + 0.38 * len(sets), 2, sharey=True, sharex=True)
    for ax, removed in zip(axes, [0.0, 0.8], strict=True):
        zero_line(ax, colour)
        part = means.xs(removed, level="removed").reindex(sets)
        shifts = np.linspace(-0.24, 0.24, len(REGRESSORS))
        handles = []
        for shift, (model, (shade, marker, is_filled)) in zip(
            shifts, REGRESSORS.items(), strict=True
        ):
            r2, y = part[model], places + shift
            inside = r2.where(r2 >= LEAST_R2)
            outside = r2.where(r2 < LEAST_R2).clip(lower=LEAST_R2)
            handles.append(dots(ax, inside, y, colour[shade], marker, is_filled))
            dots(ax, outside, y, colour[shade], "<")
        between = places[1:] - 0.5
        ax.hlines(between, LEAST_R2, 1, color=colour["grid"], linewidth=0.6)
        rows_from_above(ax, [title_of(name.replace("_numbers", "")) for name in sets])
        is_below = part[[*REGRESSORS]].lt(LEAST_R2).any(axis=None)
        ax.set(
            title=f"{100 * removed:.0f} % removed" if removed else "all values",
            xlabel=f"R2 (\u25c2 below {LEAST_R2})" if is_below else "R2",
            xlim=(LEAST_R2 - 0.05, 1.03),
            xticks=[0, 0.5, 1],
        )
    labels = [{"lightgbm": "LightGBM"}.get(name, name) for name in REGRESSORS]
    legend_above(fig, handles, labels, 4)
    return fig


ENCODINGS = {
    "default": ("blue", "o", True),
    "cumulative, linear": ("purple", "P", True),
    "hat, linear": ("line", "x", True),
    "forest": ("green", "^", True),
    "LightGBM": ("orange", "D", False),
}


def inputs(colour):
    """Each input layer less standardised columns."""
    scores = table("inputs", "labels removed", "none", "hat", "default")
    split = scores["labels removed"].str.extract(r"(?P<set>.+), (?P<removed>\d+) %")
    scores = scores.join(split).dropna(subset="set")
    fig, axes = figure(4.2, 2, sharey=True, sharex=True)
    for ax, removed in zip(axes, ["0", "50"], strict=True):
        part = scores[scores["removed"] == removed]
        zero_line(ax, colour)
        handles = []
        shifts = np.linspace(-0.24, 0.24, len(ENCODINGS))
        for shift, (name, (shade, marker, on)) in zip(
            shifts, ENCODINGS.items(), strict=True
        ):
            gain = numbers(part[name]) - numbers(part["none"])
            y = np.arange(len(part)) + shift
            handles.append(dots(ax, gain, y, colour[shade], marker, on))
        rows_from_above(ax, part["set"])
        title = "all labels" if removed == "0" else f"{removed} % of the labels removed"
        ax.set(title=title, xlabel="gain in ROC AUC")
        ax.xaxis.set_major_formatter("{x:g}")
    legend_above(fig, handles, list(ENCODINGS), 3)
    return fig


def onnx(colour):
    """Seconds in onnxruntime and of the estimator."""
    results = records("onnx")
    fig, ax = figure(5.2)
    y = np.arange(len(results))
    names = [f"{row.setting} ({title_of(row.set)})" for row in results.itertuples()]
    handles = [
        ax.barh(y - 0.19, results["seconds"], 0.36, color=colour["blue"]),
        ax.barh(y + 0.19, results["seconds of predict"], 0.36, color=colour["orange"]),
    ]
    rows_from_above(ax, names)
    ax.set(xlabel="CPU seconds for 10,000 rows")
    legend_above(fig, handles, ["onnxruntime", "the estimator"], 2)
    return fig


def scale(colour):
    """Seconds of a search by engine; memory and seconds of a fit."""
    search = table("scale", "engine", "workers", "seconds")
    memory = table("scale", "fit", "MiB at the peak, above the imports")
    peak = numbers(memory["MiB at the peak, above the imports"])
    engines = [
        "one process" if engine == "none" else f"{engine}, {n}"
        for engine, n in zip(search["engine"], search["workers"], strict=True)
    ]
    fits = ["from files", "in memory"]
    fig, axes = figure(2.0, 3, width_ratios=[1, 0.7, 0.7])
    panels = [
        (numbers(search["seconds"]), engines, "search, seconds"),
        (peak, fits, "fit, peak in MiB"),
        (numbers(memory["seconds"]), [""] * 2, "fit, seconds"),
    ]
    for ax, (values, labels, title) in zip(axes, panels, strict=True):
        bars = ax.barh(
            range(len(values)), values, 0.15 * len(values), color=colour["blue"]
        )
        ax.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3)
        rows_from_above(ax, labels)
        ax.set(title=title, xlim=(0, 1.4 * max(values)), xticks=[])
    return fig


def speed(colour):
    """How many times as fast as the other, before and after."""
    ratios = table("speed", "case", "against", "before", "after", "goal")
    # The table has the settings of a case; the chart needs its name only.
    settings = r"( \(|, batch|, 8 bins|, 512|, 50 ->).*"
    case = ratios["case"].str.replace(settings, "", regex=True).str.replace("`", "")
    names = case.str.replace("->", "\u2192") + "\n" + ratios["against"]
    fig, ax = figure(5.4)
    y = np.arange(len(ratios))
    zero_line(ax, colour, at=1)
    before, after = numbers(ratios["before"]), numbers(ratios["after"])
    ax.hlines(y, before, after, color=colour["line"], linewidth=1)
    handles = [
        dots(ax, before, y, colour["orange"], "D", False),
        dots(ax, after, y, colour["blue"], "o"),
        dots(ax, numbers(ratios["goal"]), y, colour["text"], "|"),
    ]
    rows_from_above(ax, names)
    ax.tick_params(axis="y", labelsize=8)
    ax.set(xscale="log", xlim=(0.15, 20), xlabel="times as fast as the other (log)")
    ticks = [0.2, 0.5, 1, 2, 5, 10, 20]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{tick:g}" for tick in ticks])
    legend_above(fig, handles, ["before", "after", "goal"], 3)
    return fig


SPLITTERS = {
    "KFold": "orange",
    "iterative-stratification": "green",
    "MultiTaskStratifiedKFold": "blue",
}


def splitters(colour):
    """Deviations and seconds of three splitters."""
    results = table("splitters", "data", "splitter", "class shares")
    panels = {
        "class shares": "class shares,\npercentage points",
        "labelled shares": "labelled shares,\npercentage points",
        "seconds a split": "time,\nseconds a split",
    }
    fig, axes = figure(3.6, 3, sharey=True)
    sets = list(dict.fromkeys(results["data"]))
    for ax, (column, title) in zip(axes, panels.items(), strict=True):
        handles = []
        for shift, (name, shade) in zip(
            (-0.27, 0.0, 0.27), SPLITTERS.items(), strict=True
        ):
            own = results[results["splitter"] == name].set_index("data")[column]
            values = numbers(own.reindex(sets))
            y = np.arange(len(sets)) + shift
            handles.append(ax.barh(y, values, 0.25, color=colour[shade]))
        rows_from_above(ax, sets)
        ax.set(xlabel=title)
    legend_above(fig, handles, list(SPLITTERS), 3)
    return fig


LEARNERS = {
    "skmtl": ("joint network", "blue", "o-"),
    "separate networks": ("separate networks", "purple", "s--"),
    "forest": ("random forests", "green", "^-."),
    "LightGBM": ("LightGBM", "orange", "D:"),
}


def label_shares():
    """ROC AUC of the learners on one split; a row per set and share removed."""
    results = records("joint")
    return results.pivot_table("auc", ["set", "fraction"], "model")


def joint(colour):
    """Joint network less separate ones, a line for each set."""
    scores = label_shares()
    gains = (scores["skmtl"] - scores["separate networks"]).unstack("set")
    fig, ax = figure(3.4)
    places = range(len(gains))
    ax.axhline(0, color=colour["line"], linewidth=1)
    (thin, *_) = ax.plot(
        places, gains, ".-", color=colour["purple"], linewidth=0.9, alpha=0.6
    )
    (bold,) = ax.plot(places, gains.mean(axis=1), "o-", color=colour["blue"])
    large = gains.loc[0.8][gains.loc[0.8] > 0.05]  # these can be told apart
    for name, gain in large.items():
        ax.annotate(title_of(name), (2, gain), (0, 5), textcoords="offset points")
    ax.set(
        xticks=places,
        xlabel="labels removed, %",
        ylabel="gain in ROC AUC",
    )
    ax.set_xticklabels([f"{100 * share:.0f}" for share in gains.index])
    legend_above(fig, [bold, thin], ["mean", "one data set"], 2)
    return fig


def readme(colour):
    """Mean ROC AUC of four learners as labels go missing."""
    scores = label_shares().groupby(level="fraction").mean()
    fig, ax = figure(3.2)
    places = range(len(scores))
    for model, (label, shade, style) in LEARNERS.items():
        ax.plot(places, scores[model], style, color=colour[shade], label=label)
    ax.set(
        xticks=places,
        xlabel="training labels removed, %",
        ylabel="mean ROC AUC",
        ylim=(0.5, None),
    )
    ax.set_xticklabels([f"{100 * share:.0f}" for share in scores.index])
    ax.legend(loc="lower left")
    return fig


def readme_description():
    """The numbers that the chart of the README shows, in words."""
    scores = label_shares()
    n_sets = scores.index.get_level_values("set").nunique()
    means = scores.groupby(level="fraction").mean()
    shares = ", ".join(f"{100 * share:.0f}" for share in means.index)
    lines = [f"Mean ROC AUC over {n_sets} data sets, {shares} % of the labels removed."]
    for model, (label, *_) in LEARNERS.items():
        lines.append(f"{label}: {', '.join(f'{m:.3f}' for m in means[model])}.")
    return " ".join(lines)


SCORES_OF_UNSEEN = {
    "R2 (numbers)": "r2",
    "ROC AUC": "auc",
    "average precision": "ap",
    "log loss": "log_loss",
    "MCC at 0.5": "mcc",
}


def mean_ranks_of_unseen():
    """A row per score, a column per model: 1 is the best of four."""
    numeric = records("regression_unseen")
    linear = {"LightGBM": "lightgbm", "logistic": "ridge"}
    classes = records("accuracy_unseen").replace({"model": linear})
    ranks = {}
    for label, metric in SCORES_OF_UNSEEN.items():
        results = numeric if metric == "r2" else classes
        share = "removed" if metric == "r2" else "fraction"
        means = results.pivot_table(metric, ["set", share], "model")[list(REGRESSORS)]
        means = means.dropna()
        ranks[label] = means.rank(axis=1, ascending=metric == "log_loss").mean()
    return pd.DataFrame(ranks).T


def unseen(colour):
    """Mean ranks on the sets of unseen.md."""
    ranks = mean_ranks_of_unseen()
    fig, ax = figure(2.4)
    places = np.arange(len(ranks))
    handles = [
        dots(ax, ranks[model], places, colour[shade], marker, is_filled)
        for model, (shade, marker, is_filled) in REGRESSORS.items()
    ]
    rows_from_above(ax, ranks.index)
    ax.set(xlabel="mean rank of four models (1 is best)", xlim=(0.9, 4.1))
    ax.set_xticks([1, 2, 3, 4])
    labels = ["skmtl", "forest", "LightGBM", "ridge or logistic"]
    legend_above(fig, handles, labels, 4)
    return fig


CHARTS = {
    "accuracy": accuracy,
    "decisions": decisions,
    "inputs": inputs,
    "joint": joint,
    "onnx": onnx,
    "regression": regression,
    "scale": scale,
    "speed": speed,
    "splitters": splitters,
    "unseen": unseen,
}


# Files ----------------------------------------------------------------------------


def save(make, theme, path, description=None):
    colour = THEMES[theme]
    of_theme = {
        "axes.edgecolor": colour["line"],
        "axes.labelcolor": colour["text"],
        "axes.titlecolor": colour["text"],
        "grid.color": colour["grid"],
        "text.color": colour["text"],
        "xtick.labelcolor": colour["text"],
        "ytick.labelcolor": colour["text"],
    }
    with mpl.rc_context(STYLE | of_theme):
        metadata = {"Date": None, "Description": description}
        make(colour).savefig(path, metadata=metadata)


def draw(folder):
    """Write ``<page>_light.svg`` and ``<page>_dark.svg`` for each page with a chart."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for page, make in CHARTS.items():
        for theme in ("light", "dark"):
            save(make, theme, folder / f"{page}_{theme}.svg")


def draw_readme(path=README_CHART):
    """Write the chart of the README, for light and dark pages alike."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    save(readme, "both", path, readme_description())


if __name__ == "__main__":
    draw_readme()
