"""Logistic regressions for many tasks at once, each without a fold of the rows in turn.

They are fitted by gradient descent, which stops when predictions for left-out rows
become worse.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from skmtl._network import SparseRows, transposed, weighted_sum
from skmtl._outputs import Labels, OutputKind

MAX_STEPS = 200
_POWER_STEPS = 20
# The power iteration finds a slightly smaller eigenvalue.
_SAFETY = 1.05


class Inputs(NamedTuple):
    """Rows as a matrix that can be multiplied from both sides."""

    x: Tensor | SparseRows  # (n_rows, n_inputs)
    columns: Tensor | SparseRows  # its transpose
    n_inputs: int

    @classmethod
    def of(cls, x: Tensor | SparseRows, n_inputs: int) -> "Inputs":
        """The inputs of these rows."""
        columns = x.T if isinstance(x, Tensor) else transposed(x, n_inputs)
        return cls(x, columns, n_inputs)

    @property
    def n_entries(self) -> int:
        """Number of entries that a product reads."""
        return (self.x if isinstance(self.x, Tensor) else self.x.values).numel()

    def lines(self, coefficients: Tensor) -> Tensor:
        """(1 + n_inputs, ...), with the biases first -> (n_rows, ...)."""
        shape = coefficients.shape[1:]
        out = _product(self.x, coefficients[1:].flatten(1)).unflatten(1, shape)
        return out.add_(coefficients[0])

    def gradient(self, of_lines: Tensor) -> Tensor:
        """(n_rows, ...) -> (1 + n_inputs, ...): that of the coefficients."""
        of_weights = _product(self.columns, of_lines.flatten(1))
        of_weights = of_weights.unflatten(1, of_lines.shape[1:])
        return torch.cat([of_lines.sum(0, keepdim=True), of_weights])


class FittedLogistic(NamedTuple):
    """Logistic regressions, and their logits for rows that were left out."""

    coefficients: Tensor  # (1 + n_inputs, n_logits), with the biases first
    left_out: Tensor  # (n_rows, n_logits); rows in no fold are predicted by the first


def fit_logistic(
    inputs: Inputs, labels: Labels, kind: OutputKind, fold: Tensor
) -> FittedLogistic:
    """Fit the tasks of one kind of classes.

    `fold` (n_rows,) counts from 0, and is -1 for rows that are never left out. The
    result is the mean over the folds, after the step at which the loss of the left-out
    rows, summed over the tasks, is smallest. Gradient descent that stops early acts as
    an L2 penalty (Yao, Rosasco & Caponnetto 2007). It has the momentum of Beck &
    Teboulle (2009, section 4) and a step size for each task, from a bound of the
    curvature.
    """
    any_kind: Any = kind
    labels = _scaled(labels)
    weights, device = labels.weights, labels.weights.device
    folds = torch.arange(int(fold.max()) + 1, device=device)
    is_kept = (fold != folds.unsqueeze(1)).to(weights.dtype)
    of_left_out = _masked(labels, (fold >= 0).to(weights.dtype))
    biases = [any_kind.constant_logits(_masked(labels, kept)) for kept in is_kept]
    bias = torch.stack(biases).unsqueeze(0)
    # Of shape (1 + n_inputs, folds, n_logits).
    now = torch.cat([bias, bias.new_zeros(inputs.n_inputs, *bias.shape[1:])])
    curvature = any_kind.max_curvature * _SAFETY * _largest_eigenvalues(inputs, weights)
    step_size = curvature.clamp(min=1e-30).reciprocal()
    step_size = step_size.repeat_interleave(kind.n_logits)
    own_fold = fold.clamp(min=0).long()
    row = torch.arange(len(fold), device=device)
    ahead, momentum = now, 1.0
    best, best_step, least = None, 0, torch.inf
    for step in range(MAX_STEPS):
        lines = inputs.lines(ahead)  # (n_rows, folds, n_logits)
        left_out = lines[row, own_fold]
        loss = float(any_kind.losses(left_out.unsqueeze(0), of_left_out).sum())
        if best is None or loss < least:
            best, best_step, least = FittedLogistic(ahead.mean(1), left_out), step, loss
        elif step > 1.1 * best_step + 10:  # the loss hardly ever falls again
            break
        slope = any_kind.gradient(lines.transpose(0, 1), labels)
        slope = slope.mul_(is_kept.unsqueeze(2)).transpose(0, 1)
        earlier, now = now, ahead - step_size * inputs.gradient(slope)
        former, momentum = momentum, (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = now + (former - 1) / momentum * (now - earlier)
    assert best is not None
    return best


def _scaled(labels: Labels) -> Labels:
    """With weights up to 1, which do not change the result, but stay within float32."""
    largest = labels.weights.max()
    if largest <= 0:
        return labels
    weights, pull = labels.weights / largest, labels.pull / largest
    return labels._replace(weights=weights, pull=pull)


def _masked(labels: Labels, mask: Tensor) -> Labels:
    """With weights of 0 where the mask (n_rows,) is 0."""
    mask = mask.unsqueeze(1)
    return labels._replace(weights=labels.weights * mask, pull=labels.pull * mask)


def _largest_eigenvalues(inputs: Inputs, weights: Tensor) -> Tensor:
    """(n_tasks,): of X.T diag(weights of the task) X, with a column of ones in X."""
    generator = torch.Generator("cpu").manual_seed(0)
    shape = 1 + inputs.n_inputs, weights.shape[1]
    vectors = torch.rand(shape, generator=generator, dtype=weights.dtype, device="cpu")
    vectors = vectors.to(weights.device)
    size = vectors.norm(dim=0)
    for _ in range(_POWER_STEPS):
        vectors = vectors / size.clamp(min=1e-30)
        vectors = inputs.gradient(weights * inputs.lines(vectors))
        size = vectors.norm(dim=0)
    return size


def _product(matrix: Tensor | SparseRows, other: Tensor) -> Tensor:
    if isinstance(matrix, Tensor):
        return matrix @ other
    return weighted_sum(other.contiguous(), matrix)
