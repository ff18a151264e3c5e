"""Solvers on a few long vectors, such as all weights of a network, or all its biases.

A step is one fused torch kernel for each vector, however many layers there are.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

# Weights of units that no row activates shrink for ever, and so do their moments.
# Products with subnormal numbers, below 1.2e-38, can take ten times as long.
TINY, SUBNORMAL = 1e-36, torch.finfo(torch.float32).tiny


class Group(NamedTuple):
    """Parameters that are trained alike."""

    parameters: list[nn.Parameter]
    decays: bool  # whether the L2 penalty applies to them
    step_factor: float
    first_epoch: int


class FlatParameters:
    """Parameters and their gradients as views of a few long vectors, one per group.

    The first `n_active` groups are trained; the others wait for their first epoch.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = list(groups)
        self.begin_epoch(0)
        self.values = [_joined(group.parameters) for group in self.groups]
        self.gradients = [torch.zeros_like(values) for values in self.values]
        for group, values, gradients in zip(
            self.groups, self.values, self.gradients, strict=True
        ):
            sizes = [p.numel() for p in group.parameters]
            parts = zip(values.split(sizes), gradients.split(sizes), strict=True)
            for p, (value, gradient) in zip(group.parameters, parts, strict=True):
                p.data, p.grad = value.view(p.shape), gradient.view(p.shape)

    def begin_epoch(self, number: int) -> None:
        """Activate the groups whose first epoch has come."""
        self.n_active = sum(group.first_epoch <= number for group in self.groups)

    def release(self) -> None:
        """Give each parameter its own memory again, and no gradient."""
        for group in self.groups:
            for p in group.parameters:
                p.data, p.grad = p.data.clone(), None


def groups_of(
    named: Iterable[tuple[str, nn.Parameter]], step_factor: float, first_epoch: int
) -> list[Group]:
    """Two groups: weights, with the L2 penalty, and biases and factors, without it."""
    weights: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, p in named:
        (others if name.endswith("bias") or p.ndim < 2 else weights).append(p)
    return [
        Group(parameters, decays, step_factor, first_epoch)
        for parameters, decays in ((weights, True), (others, False))
        if parameters
    ]


def _joined(parameters: list[nn.Parameter]) -> Tensor:
    return torch.cat([p.detach().flatten() for p in parameters])


class Solver(Protocol):
    """Descends along the gradients of `FlatParameters`."""

    state: dict[str, list[Tensor]]  # what a later run needs to continue

    def step(self, step_size: float, weight_decay: float) -> None:
        """Take a step; `weight_decay` times the weights is added to their gradient."""

    def zero_tiny(self) -> None:
        """Set trained weights, and moments, that are too small to matter to 0."""


class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1)."""

    def __init__(
        self,
        flat: FlatParameters,
        *,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        state: dict[str, list[Tensor]] | None = None,
    ) -> None:
        self._settings: dict[str, Any] = {
            "beta1": beta_1,
            "beta2": beta_2,
            "eps": epsilon,
            "amsgrad": False,
            "maximize": False,
        }
        self.state = {
            "mean": [torch.zeros_like(values) for values in flat.values],
            "square": [torch.zeros_like(values) for values in flat.values],
            "n_steps": [
                torch.zeros((), dtype=torch.float32, device=values.device)
                for values in flat.values
            ],
        }
        if state is not None:
            self.state = state
        self._flat = flat
        # The kernel's arguments for each group.
        self._arguments: list[Any] = [
            ([values], [gradients], [mean], [square], [], [n_steps])
            for values, gradients, mean, square, n_steps in zip(
                flat.values,
                flat.gradients,
                self.state["mean"],
                self.state["square"],
                self.state["n_steps"],
                strict=True,
            )
        ]

    def step(self, step_size: float, weight_decay: float) -> None:
        """Take a step."""
        for i, group in enumerate(self._flat.groups[: self._flat.n_active]):
            self.state["n_steps"][i] += 1
            torch._fused_adam_(
                *self._arguments[i],
                lr=step_size * group.step_factor,
                weight_decay=weight_decay if group.decays else 0.0,
                **self._settings,
            )

    def zero_tiny(self) -> None:
        _zero(self._flat, self._flat.values, TINY)
        _zero(self._flat, self.state["mean"], TINY)
        # A larger bound would be too large for the square of a mean that stays.
        _zero(self._flat, self.state["square"], SUBNORMAL)


class NesterovSGD:
    """Stochastic gradient descent, with Nesterov momentum unless momentum is 0."""

    def __init__(
        self,
        flat: FlatParameters,
        *,
        momentum: float,
        state: dict[str, list[Tensor]] | None = None,
    ) -> None:
        self._flat = flat
        self._momentum = momentum
        self.state: dict[str, list[Tensor]] = {"velocity": []}
        if momentum > 0 and state is not None:
            self.state = state

    def step(self, step_size: float, weight_decay: float) -> None:
        """Take a step."""
        velocity = self.state["velocity"]
        for i, group in enumerate(self._flat.groups[: self._flat.n_active]):
            is_first = self._momentum > 0 and len(velocity) <= i
            if is_first:
                velocity.append(torch.empty_like(self._flat.values[i]))
            torch._fused_sgd_(
                [self._flat.values[i]],
                [self._flat.gradients[i]],
                [velocity[i]] if self._momentum > 0 else [],
                weight_decay=weight_decay if group.decays else 0.0,
                momentum=self._momentum,
                lr=step_size * group.step_factor,
                dampening=0.0,
                nesterov=self._momentum > 0,
                maximize=False,
                is_first_step=is_first,
            )

    def zero_tiny(self) -> None:
        _zero(self._flat, self._flat.values, TINY)
        _zero(self._flat, self.state["velocity"], TINY)


def _zero(flat: FlatParameters, tensors: list[Tensor], bound: float) -> None:
    """Set what is at most `bound` to 0, in the groups that are trained."""
    for each in tensors[: flat.n_active]:
        torch.hardshrink(each, bound, out=each)
