"""Fit the logistic part of a network: a logistic regression for each task of classes.

Its share in the prediction follows from predictions for rows that were left out, of the
regressions and of the network's members.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from skmtl._estimators._prediction import map_rows, rows_of
from skmtl._estimators._training_set import TrainingSet
from skmtl._network import (
    LogisticPart,
    SparseRows,
    TrunkAndHeads,
    without_derivatives,
)
from skmtl._outputs import Labels, OutputGroup, Targets, weigh_labels_of_group
from skmtl._rows import as_tensor
from skmtl._training import Inputs, fit_logistic, thread_limit

_MAX_FOLDS = 4
# The mean of the members predicts better than the single member that predicts a
# left-out row, so less than the best weight of the regressions is enough: half of it,
# or its square, since this mean cannot make up for members that are far behind.
_CAUTION = 0.5
_MAX_WEIGHT = 0.75
# The part is left out if it lowers the log loss by less than this share.
_MIN_GAIN = 0.01
_MIN_LABELS = 5
# Multiply-adds of a step, for all tasks and folds; the loss of a logit takes as long as
# 50 of them.
_MAX_WORK = 1e9
_WORK_PER_LOGIT = 50


def fit_logistic_part(
    network: TrunkAndHeads,
    training_set: TrainingSet,
    index: NDArray,
    left_out_by: NDArray,
    out_of_bag: Sequence[NDArray],
) -> tuple[LogisticPart, list[NDArray]] | None:
    """The logistic part of a network that was trained on the rows `index`.

    `left_out_by` is the member that left out a row, -1 for none. `out_of_bag` has the
    probabilities (n_samples, n_classes) of each task of classes, NaN for rows that all
    members were trained on. Returns the part, and these probabilities with those of the
    part; None if the part would not help.
    """
    groups = [group for group in network.groups if group.kind.predicts_classes]
    if not groups:
        return None
    part = LogisticPart(network.columns, training_set.n_features, network.groups)
    part = part.to(network.like.device)
    part.clear()
    fold = np.where(left_out_by < 0, -1, left_out_by % _MAX_FOLDS)[index]
    lines: dict[int, NDArray] = {}
    weights: dict[int, NDArray] = {}
    with without_derivatives(network.like.device), thread_limit(0):
        inputs = _inputs(part, network, training_set, index)
        n_logits = sum(len(group.tasks) * group.kind.n_logits for group in groups)
        per_logit = inputs.n_entries + _WORK_PER_LOGIT * len(index)
        n_fits = int(fold.max()) + 1
        if inputs.n_entries == 0 or per_logit * n_logits * n_fits > _MAX_WORK:
            return None
        for group in groups:
            labels = _labels(training_set, index, group)
            fitted = fit_logistic(inputs, labels, group.kind, as_tensor(fold))
            part.bias[group.columns] = fitted.coefficients[0].to(part.bias)
            part.weight[:, group.columns] = fitted.coefficients[1:].to(part.weight)
            lines |= _probabilities(fitted.left_out, group)
            by_task = labels.weights.double().numpy().T
            weights |= dict(zip(group.tasks, by_task, strict=True))
    # Only of rows that were left out.
    weights = {
        task: np.where(fold >= 0, weight, 0.0)
        for task, weight in weights.items()
        if np.count_nonzero(weight) >= _MIN_LABELS
    }
    codes = training_set.counted[index]
    share = _share_of_network(codes, weights, lines, [p[index] for p in out_of_bag])
    if share is None:
        return None
    part.share[list(weights)] = share
    new = _predictions(part, network, training_set)
    averages = list(out_of_bag)
    for task in weights:
        line = new[task]
        line[index[fold >= 0]] = lines[task][fold >= 0]
        averages[task] = share * averages[task] + (1 - share) * line
    return part, averages


def _inputs(
    part: LogisticPart,
    network: TrunkAndHeads,
    training_set: TrainingSet,
    index: NDArray,
) -> Inputs:
    """The inputs of the training rows, in single precision."""
    x: Any = rows_of(network, training_set.X).read(as_tensor(index), network.like)
    part.learn_inputs(x, network.columns)
    if isinstance(x, SparseRows):
        scale = part.scale.index_select(0, x.indices)
        values = (x.values / scale).float().cpu()
        x = SparseRows(x.indices.cpu(), x.offsets.cpu(), values)
    else:
        x = part.inputs(x, network.columns).float().cpu()
    return Inputs.of(x, len(part.weight))


def _labels(training_set: TrainingSet, index: NDArray, group: OutputGroup) -> Labels:
    data, rows = training_set.data, as_tensor(index)
    weight = data.sample_weight
    if weight is not None:
        weight = weight.index_select(0, rows)
    targets = Targets(data.codes.index_select(0, rows), None)
    return weigh_labels_of_group(targets, data.weight_table, weight, group)


def _probabilities(lines: Tensor, group: OutputGroup) -> dict[int, NDArray]:
    """(n_rows, n_classes) for each task of the group, from (n_rows, n_logits)."""
    kind: Any = group.kind
    p = kind.probabilities(lines.double().unsqueeze(0))[0].numpy()
    return {task: p[:, i] for i, task in enumerate(group.tasks)}


def _predictions(
    part: LogisticPart, network: TrunkAndHeads, training_set: TrainingSet
) -> dict[int, NDArray]:
    """(n_samples, n_classes) for each task, as for new rows."""
    (lines,) = map_rows(
        network, training_set.X, lambda x: [part.line(x, network.columns)]
    )
    result: dict[int, NDArray] = {}
    for group in network.groups:
        if group.kind.predicts_classes:
            own = torch.from_numpy(lines[:, group.columns])
            result |= _probabilities(own, group)
    return result


def _share_of_network(
    codes: NDArray,
    weights: dict[int, NDArray],
    lines: dict[int, NDArray],
    out_of_bag: Sequence[NDArray],
) -> float | None:
    """The share of the network, for all tasks; None if it alone is about as good."""
    parts = []
    for task, weight in weights.items():
        rows = np.flatnonzero((weight > 0) & ~np.isnan(out_of_bag[task][:, 0]))
        own = codes[rows, task]
        pair = out_of_bag[task][rows, own], lines[task][rows, own]
        parts.append((weight[rows], *pair))
    if not parts:
        return None
    weight, of_network, of_line = map(np.concatenate, zip(*parts, strict=True))

    def loss(share: float) -> float:
        p = share * of_network + (1 - share) * of_line
        return -float(weight @ np.log(p.clip(min=np.finfo(float).tiny)))

    best = 1 - float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded").x)
    share = 1 - min(max(_CAUTION * best, best**2), _MAX_WEIGHT)
    return share if loss(share) < (1 - _MIN_GAIN) * loss(1.0) else None
