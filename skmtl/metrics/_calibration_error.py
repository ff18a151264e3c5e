"""expected_calibration_error: how far probabilities are from observed shares."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.multiclass import type_of_target

from skmtl._messages import shorten
from skmtl._targets import read_columns


class ReliabilityBins(NamedTuple):
    """Probabilities in bins, beside the shares of what they are probabilities of."""

    edges: NDArray  # (n_bins + 1,)
    weight: NDArray  # (n_bins,): sum of the weights
    predicted: NDArray  # (n_bins,): mean probability, NaN of empty bins
    observed: NDArray  # (n_bins,): share of hits, NaN of empty bins

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

    Among the rows with probabilities around 0.3, 30 % should be positive. The
    probabilities are put into bins, and the error is the mean over the bins, weighted
    by their numbers of rows, of the distance between mean probability and share of
    positives. 0 is best, and 1 worst.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        The labels, none of them missing. For several tasks, or missing labels, pass
        this function to `multitask_score`.
    y_prob : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities of the greater class, or of each class in sorted order.
    n_bins : int, default=10
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Whether bins have the same width, or about the same number of rows (or sum of
        weights).
    labels : array-like of shape (n_classes,), default=None
        All classes. By default those in `y_true`, which are 0 and 1 (or -1 and 1) if
        one of these alone occurs.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row.

    Returns
    -------
    error : float
        The expected calibration error.

    Raises
    ------
    ValueError
        If labels are missing or not among `labels`, if `y_prob` has other values than
        probabilities, or if it has not a column for each class.

    See Also
    --------
    multitask_report : It has the error of each task.
    multitask_score : This metric, or any other, for several tasks.
    skmtl.inspection.MultiTaskCalibrationDisplay : Draws the bins.
    sklearn.calibration.calibration_curve : The bins of a binary task.

    Notes
    -----
    For two classes this is the measure of Naeini et al. [1]_: bins of the probability
    of the greater class. For more classes it is that of Guo et al. [2]_: bins of the
    probability of the most probable class, and how often that class is right. For
    two classes the latter, which is another number, is not computed.

    Bins of the same width are the usual ones. If positives are rare, nearly all rows
    are in the first of them; `strategy="quantile"`, the adaptive bins of Nixon et al.
    [3]_, looks into these. Unlike theirs, the error is weighted by the rows of each
    bin, which matters only for ties, and not averaged over all classes. The edges are
    observed probabilities, so that a row of weight 2 counts as two rows;
    `calibration_curve` interpolates between them.

    Chance alone makes the error greater than 0, and the more so the fewer rows there
    are in a bin: compare errors of the same rows.

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
    Three rows have the probability 0.2 and one of them is positive; one has 0.9:

    >>> from skmtl.metrics import expected_calibration_error, multitask_score
    >>> y_true, y_prob = [0, 0, 1, 1], [0.2, 0.2, 0.2, 0.9]
    >>> round(expected_calibration_error(y_true, y_prob), 3)  # 3/4 * 2/15 + 1/4 * 1/10
    0.125

    Several tasks, with a missing label:

    >>> Y, P = [[0, 1], [0, 0], [1, None], [1, 1]], [[p, 0.5] for p in y_prob]
    >>> multitask_score(expected_calibration_error, Y, P, average=None).round(3)
    array([0.125, 0.167])
    """
    if not all(column.observed.all() for column in read_columns(y_true)[0]):
        raise ValueError(
            "y_true must be complete, but it has missing labels. Use "
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
    """(n_samples,) each: whether something came true, and its probability.

    Of two classes that is the greater one, of more the most probable one.
    """
    if prediction.min() < 0 or prediction.max() > 1:
        raise ValueError(
            "y_prob must be probabilities, from 0 to 1; got values from "
            f"{prediction.min():.3g} to {prediction.max():.3g}. Pass what "
            "predict_proba gives."
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
    """Mean probability and share of hits, bin by bin; a bin has its upper edge."""
    share = np.linspace(0, 1, n_bins + 1)
    edges = share
    probability = probability.astype(float)
    if strategy == "quantile":  # the only method of numpy's that takes weights
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
            "use a metric of numbers."
        )
    seen = np.unique(y_true)
    if labels is not None:
        classes = np.unique(labels)
        unknown = [label for label in seen.tolist() if label not in classes.tolist()]
        if unknown:
            raise ValueError(
                f"labels must have all classes of y_true; got "
                f"{shorten(classes.tolist())} without {shorten(unknown)}. Add them."
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
            "y_prob must have a column for each of at least two classes, or the "
            f"probability of the greater of two; got {n_columns} column(s) and the "
            f"classes {shorten(classes.tolist())}. Pass all classes as labels."
        )
    return y_prob.reshape(len(y_prob), -1)[:, -1] if len(classes) == 2 else y_prob
