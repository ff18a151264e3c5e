"""Fit the ridge part of a network: a ridge regression for each numeric task.

Its share in the prediction follows from predictions for rows that were left out: those
of the network's members, and those of the ridge regression without one row at a time.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skmtl._estimators._prediction import map_rows, rows_of
from skmtl._estimators._training_set import TrainingSet
from skmtl._label_weights import label_weights
from skmtl._network import RidgePart, TrunkAndHeads
from skmtl._rows import as_tensor
from skmtl._targets import Numbers

# Strengths of the L2 penalty, for standardised columns.
ALPHAS = np.logspace(-2, 4, 13)
# The mean of the members has a smaller squared error than the single member that
# predicts a left-out row: by 5 to 17 % on the data sets for which this was chosen.
_ENSEMBLE_GAIN = 1 / 8
# The part is left out if it lowers the squared error by less than this share.
_MIN_GAIN = 0.01
_MIN_VALUES = 5
# Multiply-adds for all tasks; more would take longer than a few seconds.
_MAX_WORK = 2e10


class FittedRidge(NamedTuple):
    """A ridge regression, and its prediction of each row from the other rows."""

    weight: NDArray  # (n_inputs,)
    bias: float
    left_out: NDArray  # (n_rows,)


def fit_ridge_part(
    network: TrunkAndHeads,
    training_set: TrainingSet,
    index: NDArray,
    out_of_bag: Sequence[NDArray],
) -> tuple[RidgePart, list[NDArray]] | None:
    """The ridge part of a network that was trained on the rows `index`.

    `out_of_bag` has the moments (n_samples, 3) of each numeric task, from the member
    that left a row out, NaN for other rows. Returns the part, and these moments with
    the means that include it; None if the part would not help.
    """
    tasks = _tasks_with_means(training_set)
    if not tasks or training_set.is_sparse:
        return None
    part = RidgePart(network.columns, training_set.n_features, network.groups)
    part = part.to(network.like.device)
    observed = {t: index[training_set.counted[index, t] >= 0] for t in tasks}
    observed = {t: rows for t, rows in observed.items() if len(rows) >= _MIN_VALUES}
    is_empty = len(part.weight) == 0 or not observed
    if is_empty or _work(part, observed) > _MAX_WORK:
        return None
    x = _inputs(part, network, training_set, index)
    known = {t: _values_and_weights(training_set, t, r) for t, r in observed.items()}
    ridges = {t: fit_ridge(x[rows], *known[t]) for t, rows in observed.items()}
    of_network = {t: out_of_bag[t][rows, 0] for t, rows in observed.items()}
    share = _share_of_network(known, of_network, ridges)
    if share is None:
        return None
    part.clear()
    moments = list(out_of_bag)
    for t, rows in observed.items():
        ridge = ridges[t]
        part.share[t] = share
        part.weight[:, t] = torch.from_numpy((1 - share) * ridge.weight)
        part.bias[t] = (1 - share) * ridge.bias
        line = x @ ridge.weight + ridge.bias
        line[rows] = ridge.left_out
        moments[t] = moments[t].copy()
        moments[t][:, 0] = share * moments[t][:, 0] + (1 - share) * line
    return part, moments


def fit_ridge(x: NDArray, y: NDArray, weight: NDArray) -> FittedRidge:
    """Fit with the penalty that predicts left-out rows best, of `ALPHAS`.

    `weight` (n_rows,) has mean 1; the intercept is not penalised. With the singular
    values s and left singular vectors U of the centred, weighted rows, the residual of
    a left-out row is that of the fit, divided by

        1 - h_ii = sum_k U_ik^2 alpha / (s_k^2 + alpha) + 1 - sum_k U_ik^2 - w_i / n

    (Golub, Heath & Wahba 1979, section 2, for one row at a time).
    """
    n_rows = len(y)
    root = np.sqrt(weight)
    x_mean, y_mean = weight @ x / n_rows, weight @ y / n_rows
    a, b = root[:, None] * (x - x_mean), root * (y - y_mean)
    u, squares, to_weight = _singular(a)
    projected, leverage = u.T @ b, np.square(u)
    rest = (1 - leverage.sum(axis=1) - weight / n_rows).clip(0)
    best, best_error = None, np.inf
    for alpha in ALPHAS:
        shrunk = squares / (squares + alpha)
        residual = b - u @ (shrunk * projected)
        divisor = leverage @ (1 - shrunk) + rest
        # Nearly 0 if one row has nearly all the weight: nothing predicts it.
        residual /= np.maximum(divisor, np.finfo(float).eps)
        error = float(np.square(residual).sum())
        if best is None or error < best_error:
            best, best_error = (alpha, residual), error
    assert best is not None
    alpha, residual = best
    coefficients = to_weight @ (projected / (squares + alpha))
    bias = y_mean - x_mean @ coefficients
    return FittedRidge(coefficients, bias, y - residual / root)


def _singular(a: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Left singular vectors, squared singular values, and a.T @ vectors.

    From the smaller one of the two Gram matrices, which takes a tenth of the time of a
    singular value decomposition.
    """
    n_rows, n_inputs = a.shape
    if n_rows <= n_inputs:
        squares, u = np.linalg.eigh(a @ a.T)
        kept = squares > squares[-1] * n_rows * np.finfo(float).eps
        squares, u = squares[kept], u[:, kept]
        return u, squares, a.T @ u
    squares, v = np.linalg.eigh(a.T @ a)
    kept = squares > squares[-1] * n_inputs * np.finfo(float).eps
    squares, v = squares[kept], v[:, kept]
    length = np.sqrt(squares)
    return a @ v / length, squares, v * length


def _tasks_with_means(training_set: TrainingSet) -> list[int]:
    """Numeric tasks of which the network predicts the mean, with several values.

    Tasks with a transformer are left out, because its inverse, such as an exponential,
    could turn a line that extrapolates into huge numbers.
    """
    pairs = zip(training_set.outputs, training_set.tasks.targets, strict=True)
    return [
        t
        for t, (kind, target) in enumerate(pairs)
        if kind.predicts_mean
        and isinstance(target, Numbers)
        and target.scale > 0
        and target.transformer is None
    ]


def _work(part: RidgePart, observed: dict[int, NDArray]) -> float:
    n_inputs = len(part.weight)
    sizes = [(len(rows), n_inputs) for rows in observed.values()]
    return sum(float(min(size)) ** 2 * max(size) for size in sizes)


def _inputs(
    part: RidgePart, network: TrunkAndHeads, training_set: TrainingSet, index: NDArray
) -> NDArray:
    """(n_samples, n_inputs), with the scales of the training rows."""
    rows = rows_of(network, training_set.X)
    with torch.no_grad():
        x = rows.read(as_tensor(index), network.like)
        assert isinstance(x, torch.Tensor)  # not sparse
        part.learn_inputs(x, network.columns)
    (inputs,) = map_rows(
        network, training_set.X, lambda x: [part.inputs(x, network.columns)]
    )
    return inputs


def _values_and_weights(
    training_set: TrainingSet, task: int, rows: NDArray
) -> tuple[NDArray, NDArray]:
    """The standardised values of a task, and the weights of the rows, of mean 1."""
    numbers = training_set.data.numbers
    assert numbers is not None
    values = numbers[:, task].numpy()[rows].astype(np.float64)
    given = training_set.data.sample_weight
    if given is None:
        return values, np.ones(len(rows))
    weight: Any = label_weights(given.numpy(), task, rows)
    return values, weight / weight.mean()


def _share_of_network(
    known: dict[int, tuple[NDArray, NDArray]],
    out_of_bag: dict[int, NDArray],
    ridges: dict[int, FittedRidge],
) -> float | None:
    """The share of the network that gives the smallest squared error, for all tasks.

    `known` are the values of each task, and their weights. None if the network alone is
    about as good.
    """
    network = line = both = 0.0
    for t, (values, weight) in known.items():
        is_known = ~np.isnan(out_of_bag[t])
        of_network = (values - out_of_bag[t])[is_known]
        of_line = (values - ridges[t].left_out)[is_known]
        weight = weight[is_known]
        network += float(weight @ np.square(of_network))
        line += float(weight @ np.square(of_line))
        both += float(weight @ (of_network * of_line))
    network *= 1 - _ENSEMBLE_GAIN
    both = min(both, math.sqrt(network * line))
    share = (line - both) / max(network + line - 2 * both, np.finfo(float).tiny)
    share = min(max(share, 0.0), 1.0)
    error = share**2 * network + (1 - share) ** 2 * line
    error += 2 * share * (1 - share) * both
    return share if error < (1 - _MIN_GAIN) * network else None
