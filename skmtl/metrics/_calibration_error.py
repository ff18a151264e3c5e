"""expected_calibration_error compares probabilities with observed frequencies."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.multiclass import type_of_target

from skmtl._messages import shorten
from skmtl._targets import is_binary, read_columns


class ReliabilityBins(NamedTuple):
    """Binned probabilities and the observed frequencies in each bin."""

    edges: NDArray  # (n_bins + 1,)
    weight: NDArray  # (n_bins,): sum of the weights
    predicted: NDArray  # (n_bins,): mean probability, NaN for empty bins
    observed: NDArray  # (n_bins,): fraction of hits, NaN for empty bins

    @property
    def error(self) -> float:
        """The expected calibration error."""
        filled = self.weight > 0
        gaps = np.abs(self.observed - self.predicted)[filled]
        return float(np.average(gaps, weights=self.weight[filled]))


@validate_params(
    {
        "y_true": ["array-like"],
        "y_prob": ["array-like"],
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "strategy": [StrOptions({"uniform", "quantile"})],
        "labels": ["array-like", None],
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def expected_calibration_error(
    y_true: Any,
    y_prob: Any,
    *,
    n_bins: int = 10,
    strategy: str = "uniform",
    labels: Any = None,
    sample_weight: Any = None,
) -> float:
    """Compute the expected calibration error of one task.

    Of the rows with probabilities around 0.3, 30 % should be positive. To measure this,
    the probabilities are sorted into bins. In each bin, the distance between the mean
    probability and the fraction of positives is computed. The error is the mean of
    these distances, weighted by the number of rows in each bin. The best value is 0 and
    the worst is 1.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        The labels, without missing ones. For several tasks or missing labels, pass this
        function to `multitask_score`.
    y_prob : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities of the positive class (the second of the two sorted classes), or
        of each class in sorted order.
    n_bins : int, default=10
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        "uniform" makes bins of the same width; "quantile" makes bins with about the
        same number of rows (or sum of weights).
    labels : array-like of shape (n_classes,), default=None
        All classes. By default, they are the classes in `y_true`; if it contains only
        one of 0 and 1 (or -1 and 1), the other one is added.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row.

    Returns
    -------
    error : float
        The expected calibration error.

    Raises
    ------
    ValueError
        If labels are missing or not among `labels`, if `y_prob` has values that are not
        probabilities, or if it does not have a column for each class.

    See Also
    --------
    multitask_report : A table that includes this error for each task.
    multitask_score : This or any other metric for several tasks.
    skmtl.inspection.MultiTaskCalibrationDisplay : Plot the bins.
    sklearn.calibration.calibration_curve : The bins of a binary task.

    Notes
    -----
    For two classes, this is the measure of Naeini et al. [1]_, which bins the
    probability of the positive class. For more classes, it is the measure of Guo et al.
    [2]_, which bins the probability of the most probable class and compares it with how
    often that class is right. For two classes these two measures differ, and only the
    first one is computed.

    Bins of the same width are the usual choice. If positives are rare, nearly all rows
    fall into the first bin. `strategy="quantile"`, the adaptive bins of Nixon et al.
    [3]_, then shows more detail. There are two differences from their measure: the
    error is weighted by the number of rows in each bin, which matters only for ties,
    and it is not averaged over all classes. The bin edges are observed probabilities,
    so that a row with weight 2 counts as two rows; `calibration_curve` interpolates
    between them.

    Even perfect probabilities have an error above 0 by chance, and the fewer rows a bin
    has, the larger it is. So compare only errors on the same rows.

    References
    ----------
    .. [1] Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using
       Bayesian binning", AAAI 2015.
    .. [2] Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks",
       ICML 2017, https://arxiv.org/abs/1706.04599.
    .. [3] Nixon, Dusenberry, Zhang, Jerfel and Tran, "Measuring calibration in deep
       learning", CVPR Workshops 2019, https://arxiv.org/abs/1904.01685.

    Examples
    --------
    Three rows have a probability of 0.2, and one of them is positive. The fourth row
    has a probability of 0.9 and is positive:

    >>> from skmtl.metrics import expected_calibration_error, multitask_score
    >>> y_true, y_prob = [0, 0, 1, 1], [0.2, 0.2, 0.2, 0.9]
    >>> round(expected_calibration_error(y_true, y_prob), 3)  # 3/4 * 2/15 + 1/4 * 1/10
    0.125

    Two tasks, one with a missing label:

    >>> Y, P = [[0, 1], [0, 0], [1, None], [1, 1]], [[p, 0.5] for p in y_prob]
    >>> multitask_score(expected_calibration_error, Y, P, average=None).round(3)
    array([0.125, 0.167])
    """
    if not all(column.observed.all() for column in read_columns(y_true)[0]):
        raise ValueError(
            "y_true must not have missing labels, but some are missing. Use "
            "multitask_score(expected_calibration_error, y_true, y_prob)."
        )
    y_true = column_or_1d(y_true)
    y_prob = check_array(y_prob, ensure_2d=False, dtype=float, input_name="y_prob")
    if sample_weight is not None:
        sample_weight = column_or_1d(sample_weight, dtype=float)
    check_consistent_length(y_true, y_prob, sample_weight)
    classes = _classes_of(y_true, labels)
    prediction = _of_greater_class(y_prob, classes)
    is_hit, probability = hits(y_true, prediction, classes)
    return reliability_bins(is_hit, probability, sample_weight, n_bins, strategy).error


def hits(y: NDArray, prediction: NDArray, classes: NDArray) -> tuple[NDArray, NDArray]:
    """(n_samples,) each: whether the event occurred, and its probability.

    The event is the second class for two classes, and the most probable class for more.
    """
    if prediction.min() < 0 or prediction.max() > 1:
        raise ValueError(
            "y_prob must be probabilities from 0 to 1; got values from "
            f"{prediction.min():.3g} to {prediction.max():.3g}. Pass the output of "
            "predict_proba."
        )
    if prediction.ndim == 1:
        return y == classes[-1], prediction
    codes = prediction.argmax(axis=1)
    return y == classes[codes], prediction[np.arange(len(y)), codes]


def reliability_bins(
    is_hit: NDArray,
    probability: NDArray,
    weight: NDArray | None,
    n_bins: int,
    strategy: str,
) -> ReliabilityBins:
    """Mean probability and fraction of hits per bin; bins include their upper edge."""
    share = np.linspace(0, 1, n_bins + 1)
    edges = share
    probability = probability.astype(float)
    if strategy == "quantile":  # the only method of NumPy that accepts weights
        edges = np.quantile(probability, share, method="inverted_cdf", weights=weight)
    bins = np.searchsorted(edges[1:-1], probability)
    weight = np.ones(len(bins)) if weight is None else weight
    sums = [
        np.bincount(bins, weights=weight * part, minlength=n_bins)
        for part in (np.ones(len(bins)), probability, is_hit)
    ]
    with np.errstate(invalid="ignore"):  # 0 / 0 of empty bins
        return ReliabilityBins(edges, sums[0], sums[1] / sums[0], sums[2] / sums[0])


def _classes_of(y_true: NDArray, labels: Any) -> NDArray:
    kind = type_of_target(y_true, input_name="y_true", raise_unknown=True)
    if kind.startswith("continuous"):
        raise ValueError(
            "y_true must be labels; got numbers with decimals. Pass the classes, or "
            "use a regression metric."
        )
    seen = np.unique(y_true)
    if labels is not None:
        classes = np.unique(labels)
        unknown = [label for label in seen.tolist() if label not in classes.tolist()]
        if unknown:
            raise ValueError(
                f"labels must contain all classes of y_true; got "
                f"{shorten(classes.tolist())} without {shorten(unknown)}. Add these."
            )
        return classes
    if len(seen) == 1:
        for pair in ([0, 1], [-1, 1]):
            if seen[0] in pair:
                return np.array(pair)
    return seen


def _of_greater_class(y_prob: NDArray, classes: NDArray) -> NDArray:
    """(n_samples,) for two classes, (n_samples, n_classes) for more."""
    n_columns = 1 if y_prob.ndim == 1 else y_prob.shape[1]
    allowed = {0: [], 1: [], 2: [1, 2]}.get(len(classes), [len(classes)])
    if n_columns not in allowed:
        raise ValueError(
            "y_prob must have a column for each class (at least two), or one column "
            f"for the second of two classes; got {n_columns} column(s) and the "
            f"classes {shorten(classes.tolist())}. Pass all classes as labels."
        )
    return y_prob.reshape(len(y_prob), -1)[:, -1] if is_binary(len(classes)) else y_prob
