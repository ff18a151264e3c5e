"""The common parts of displays: names in plots, ticks, and results on axes."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

LONGEST_NAME = 20  # characters of a task name in a plot


def drawn_text(text: str) -> str:
    """Keep matplotlib from rendering text between two dollar signs as a formula."""
    return text.replace("$", r"\$")


def drawn_names(names: Iterable[Any]) -> list[str]:
    """Task names for a plot; long names keep their beginning and end.

    Names that become equal get the number of the task.
    """
    texts = [str(name) for name in names]
    short = [
        text if len(text) <= LONGEST_NAME else f"{text[:12]}…{text[-7:]}"
        for text in texts
    ]
    counts = Counter(short)
    return [
        drawn_text(text if counts[text] == 1 else f"{text[:12]}… ({i})")
        for i, text in enumerate(short)
    ]


def log_ticks(ax: Any, positions: NDArray) -> None:
    """Set a tick at each of these sorted numbers, with a label if there is room."""
    ax.set_xscale("log")
    width = ax.bbox.width / ax.figure.dpi  # inches
    place = np.log(positions / positions[0])
    place = place / max(place[-1], 1e-9) * 0.9 * width  # between the margins
    labels, end = [], -np.inf
    for middle, number in zip(place, positions, strict=True):
        half = 0.05 * len(str(number))  # a digit of the default size is 0.09 inches
        fits = middle - half > end
        labels.append(str(number) if fits else "")
        end = middle + half if fits else end
    ax.set_xticks(positions, labels)
    ax.minorticks_off()


class ResultDisplay:
    """The common base of displays of a result of this module."""

    _inspect: ClassVar[Callable[..., Any]]  # estimator, X, y, ... -> the result
    _result_class: ClassVar[type]

    def __init__(self, result: Any) -> None:
        if not isinstance(result, self._result_class):
            raise TypeError(
                f"{type(self).__name__} draws a {self._result_class.__name__}; got "
                f"{type(result).__name__}. Pass the result of "
                f"{self._inspect.__name__}."
            )
        self.result: Any = result

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *args: Any, ax: Any = None, **settings: Any
    ) -> Self:
        """Compute the result and plot it.

        Parameters
        ----------
        estimator : skmtl estimator, or a Pipeline around one
            The joint network.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples, n_tasks)
            The labels or numbers. Missing labels are NaN, None or pd.NA.
        *args : object
            Further positional arguments of the function that computes the result.
        ax : matplotlib Axes, default=None
            Axes to draw on; by default those of a new figure.
        **settings : object
            Keyword arguments of this function.

        Returns
        -------
        display : object
            The plotted display.
        """
        return cls.from_result(cls._inspect(estimator, X, y, *args, **settings), ax=ax)

    @classmethod
    def from_result(cls, result: Any, *, ax: Any = None) -> Self:
        """Plot an existing result.

        Parameters
        ----------
        result : object
            The result of the function.
        ax : matplotlib Axes, default=None
            Axes to draw on; by default those of a new figure.

        Returns
        -------
        display : object
            The plotted display.
        """
        return cls(result).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Plot the result.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; by default those of a new figure.

        Returns
        -------
        display : object
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=self._figure_size(), layout="constrained")
        self._draw(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _figure_size(self) -> tuple[float, float]:
        return 7, 4.5

    def _draw(self, ax: Any) -> None:
        raise NotImplementedError
