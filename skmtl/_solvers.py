"""Solvers on two long vectors: all weights of a network, and all its biases.

A step is one fused kernel of torch for each vector, however many layers there are.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class FlatParameters:
    """The parameters of a network and their gradients as views of a few vectors.

    The L2 term is on weights and not on biases, hence two vectors.
    """

    def __init__(self, network: nn.Module) -> None:
        named = list(network.named_parameters())
        self._parameters = [
            [p for name, p in named if not name.endswith("bias")],
            [p for name, p in named if name.endswith("bias")],
        ]
        self.values = [_joined(parameters) for parameters in self._parameters]
        self.gradients = [torch.zeros_like(values) for values in self.values]
        for parameters, values, gradients in zip(
            self._parameters, self.values, self.gradients, strict=True
        ):
            sizes = [p.numel() for p in parameters]
            parts = zip(values.split(sizes), gradients.split(sizes), strict=True)
            for p, (value, gradient) in zip(parameters, parts, strict=True):
                p.data, p.grad = value.view(p.shape), gradient.view(p.shape)

    @property
    def weights(self) -> Tensor:
        """All but the biases."""
        return self.values[0]

    def release(self) -> None:
        """Give each parameter memory of its own again, and no gradient."""
        for parameters in self._parameters:
            for p in parameters:
                p.data, p.grad = p.data.clone(), None


def _joined(parameters: list[nn.Parameter]) -> Tensor:
    return torch.cat([p.detach().flatten() for p in parameters])


class Solver(Protocol):
    """Descends along the gradients of `FlatParameters`."""

    state: dict[str, list[Tensor]]  # what a later run needs to go on

    def step(self, step_size: float, weight_decay: float) -> None:
        """One step; `weight_decay` times the weights is added to their gradient."""


class Adam:
    """Kingma & Ba 2015, Algorithm 1."""

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
                torch.zeros((), dtype=torch.float32, device=flat.weights.device)
            ],
        }
        if state is not None:
            self.state = _on_device(state, flat)
        # What the kernel takes, for the weights and for the biases.
        self._arguments: list[Any] = [
            ([values], [gradients], [mean], [square], [], self.state["n_steps"])
            for values, gradients, mean, square in zip(
                flat.values,
                flat.gradients,
                self.state["mean"],
                self.state["square"],
                strict=True,
            )
        ]

    def step(self, step_size: float, weight_decay: float) -> None:
        """One step."""
        self.state["n_steps"][0] += 1
        for arguments, decay in zip(self._arguments, (weight_decay, 0.0), strict=True):
            torch._fused_adam_(
                *arguments, lr=step_size, weight_decay=decay, **self._settings
            )


class NesterovSGD:
    """Stochastic gradient descent, with Nesterov's momentum where there is any."""

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
            self.state = _on_device(state, flat)

    def step(self, step_size: float, weight_decay: float) -> None:
        """One step."""
        velocity = self.state["velocity"]
        is_first = self._momentum > 0 and not velocity
        if is_first:
            velocity += [torch.empty_like(values) for values in self._flat.values]
        for i, decay in enumerate((weight_decay, 0.0)):
            torch._fused_sgd_(
                [self._flat.values[i]],
                [self._flat.gradients[i]],
                [velocity[i]] if self._momentum > 0 else [],
                weight_decay=decay,
                momentum=self._momentum,
                lr=step_size,
                dampening=0.0,
                nesterov=self._momentum > 0,
                maximize=False,
                is_first_step=is_first,
            )


def _on_device(
    state: dict[str, list[Tensor]], flat: FlatParameters
) -> dict[str, list[Tensor]]:
    """A copy: the run that goes on from a state may fail."""
    device = flat.weights.device
    return {
        name: [t.to(device).clone() for t in parts] for name, parts in state.items()
    }
