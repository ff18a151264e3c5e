"""ResultDisplay: what the displays of results on one pair of axes have in common."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

from sklearn.utils._optional_dependencies import check_matplotlib_support


class ResultDisplay:
    """A result of a function of this module, and how it is drawn."""

    _inspect: ClassVar[Callable[..., Any]]  # estimator, X, y, ... -> the result

    def __init__(self, result: Any) -> None:
        self.result = result

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *args: Any, ax: Any = None, **settings: Any
    ) -> Self:
        """Make the comparison and draw it.

        Parameters
        ----------
        estimator : MultiTaskNetClassifier, or a Pipeline around one
            The joint network.
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.
        y : array-like of shape (n_samples, n_tasks)
            The labels, with NaN, None or pd.NA where missing.
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
