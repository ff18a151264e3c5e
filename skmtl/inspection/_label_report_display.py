"""LabelReportDisplay plots observed labels and their overlap as heat maps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skmtl.inspection._label_report import LabelReport, label_report
from skmtl.inspection._result_display import drawn_names

_MOST_BANDS = 200  # bands of rows in the plot; more rows are averaged
_MOST_NAMES = 40  # task names on the axes


class LabelReportDisplay:
    """Heat maps of the observed labels.

    The left plot shows the fraction of observed labels in bands of rows, in the order
    of the rows. The right plot shows the overlap of each pair of tasks: of the rows
    with a label of one task (the row of the plot), the fraction that also has a label
    of the other task (the column).

    Parameters
    ----------
    report : LabelReport
        The result of `label_report`.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure, after `plot`.
    axes_ : ndarray of matplotlib Axes of shape (2,)
        The axes of the two plots, after `plot`.

    See Also
    --------
    label_report : The function that computes the numbers.

    Examples
    --------
    Plot the labels directly:

    >>> import numpy as np
    >>> from skmtl.inspection import LabelReportDisplay
    >>> Y = np.where(np.random.default_rng(0).random((50, 3)) < 0.4, np.nan, 1.0)
    >>> display = LabelReportDisplay.from_targets(Y)
    >>> len(display.axes_)
    2
    """

    def __init__(self, report: LabelReport) -> None:
        self.report = report

    @classmethod
    def from_targets(cls, y: Any, *, axes: Any = None) -> "LabelReportDisplay":
        """Make a label report and plot it.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels. Missing labels are NaN, None or pd.NA.
        axes : sequence of two matplotlib Axes, default=None
            Axes to draw on; by default those of a new figure.

        Returns
        -------
        display : LabelReportDisplay
            The plotted display.
        """
        return cls(label_report(y)).plot(axes=axes)

    def plot(self, *, axes: Any = None) -> "LabelReportDisplay":
        """Plot both heat maps.

        Parameters
        ----------
        axes : sequence of two matplotlib Axes, default=None
            Axes to draw on; by default those of a new figure.

        Returns
        -------
        display : LabelReportDisplay
            The display itself.
        """
        check_matplotlib_support("LabelReportDisplay.plot")
        import matplotlib.pyplot as plt

        if axes is None:
            _, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
        rows, tasks = axes
        report = self.report
        n_samples, n_tasks = report.observed.shape
        colours = {"vmin": 0, "vmax": 1, "cmap": "viridis", "interpolation": "nearest"}
        rows.imshow(
            _bands(report.observed),
            aspect="auto",
            extent=(-0.5, n_tasks - 0.5, n_samples, 0),
            **colours,
        )
        rows.set(title="Fraction of observed labels", xlabel="task", ylabel="row")
        image = tasks.imshow(_share_of_row(report.overlap), aspect="auto", **colours)
        tasks.set(
            title="Overlap of the tasks",
            xlabel="fraction with a label of",
            ylabel="rows with a label of",
        )
        rows.figure.colorbar(image, ax=list(axes))
        if n_tasks <= _MOST_NAMES:
            names = drawn_names(report.task_names)
            rows.set_xticks(range(n_tasks), names, rotation=90)
            tasks.set_xticks(range(n_tasks), names, rotation=90)
            tasks.set_yticks(range(n_tasks), names)
        self.axes_ = np.array([rows, tasks])
        self.figure_ = rows.figure
        return self


def _bands(observed: NDArray) -> NDArray:
    """(n_bands, n_tasks): fraction of observed labels in bands of rows."""
    bands = np.array_split(observed, min(_MOST_BANDS, len(observed)))
    return np.array([band.mean(axis=0) for band in bands])


def _share_of_row(overlap: NDArray) -> NDArray:
    labelled = np.diag(overlap)[:, None]
    return np.divide(overlap, labelled, out=np.zeros(overlap.shape), where=labelled > 0)
