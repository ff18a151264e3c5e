"""What displays have in common: names as they are drawn, ticks, results on axes."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

LONGEST_NAME = 20  # characters of a task's name that are drawn


def drawn_text(text: str) -> str:
    """For matplotlib, which takes what is between two dollar signs for a formula."""
    return text.replace("$", r"\$")


def drawn_names(names: Iterable[Any]) -> list[str]:
    """Names of tasks for a picture, of long ones the beginning and the end.

    Those that become the same get the number of the task.
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
    """A tick at each of these sorted numbers, labelled where there is room for it."""
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
    """A result of a function of this module, and how it is drawn."""

    _inspect: ClassVar[Callable[..., Any]]  # estimator, X, y, ... -> the result
    _result_class: ClassVar[type]

    def __init__(self, result: Any) -> None:
        if not isinstance(result, self._result_class):
            raise TypeError(
                f"{type(self).__name__} draws a {self._result_class.__name__}; got "
                f"{type(result).__name__}. Pass what {self._inspect.__name__} returns."
            )
        self.result: Any = result

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *args: Any, ax: Any = None, **settings: Any
    ) -> Self:
        """Make the comparison and draw it.

        Parameters
        ----------
        estimator : an estimator of skmtl, or a Pipeline around one
            The joint network.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples, n_tasks)
            The labels or numbers, with NaN, None or pd.NA where missing.
        *args : object
            Further arguments of the function that makes the result.
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        **settings : object
            Keyword arguments of this function.

        Returns
        -------
        display : object
            The display, drawn.
        """
        return cls.from_result(cls._inspect(estimator, X, y, *args, **settings), ax=ax)

    @classmethod
    def from_result(cls, result: Any, *, ax: Any = None) -> Self:
        """Draw a result.

        Parameters
        ----------
        result : object
            What the function found.
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        display : object
            The display, drawn.
        """
        return cls(result).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the result.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

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
