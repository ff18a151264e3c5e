"""Networks that start with the trunk of another, and tasks added or dropped."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator

from skmtl._estimators._parameters import sharing_spec
from skmtl._messages import shorten
from skmtl._network import LINEAR_PARTS, Architecture, ModuleTrunk, TrunkAndHeads
from skmtl._outputs import OutputKind
from skmtl._weights import weights_by_name

# What must be the same in both networks, by the parameter that determines it.
_OF_THE_TRUNK = {
    "trunk": "trunk",
    "hidden_layer_sizes": "hidden_layer_sizes",
    "activation": "activation",
    "n_members": "n_members",
    "input_encoding": "n_bins",
}


def pretrained_estimator(estimator: Any) -> Any:
    """The fitted estimator of the parameter `pretrained`; None without one."""
    given = estimator.pretrained
    if given is None:
        return None
    is_frozen = isinstance(given, FrozenEstimator)
    inner = given.estimator if is_frozen else given
    network = getattr(inner, "network_", None)
    if not isinstance(network, TrunkAndHeads):
        raise ValueError(
            "pretrained must be a fitted skmtl estimator in sklearn.frozen."
            f"FrozenEstimator; got {given!r}, which has no trained network. Fit it "
            "first."
        )
    if not is_frozen:
        raise ValueError(
            "pretrained must be wrapped in sklearn.frozen.FrozenEstimator; got a bare "
            "estimator, which clone and searches would replace by an unfitted copy. "
            "Pass FrozenEstimator(fitted)."
        )
    if not network.has_trunk:
        raise ValueError(
            "pretrained must have a trunk, but it was fitted with "
            "hidden_layer_sizes=(). Fit it with at least one hidden layer."
        )
    if network.n_trunks > 1:
        raise ValueError(
            "pretrained must have one trunk for all of its tasks, but it has one for "
            f"each of {network.n_trunks} tasks. Fit it with sharing='hard'."
        )
    return inner


def take_columns(estimator: Any, pretrained: Any) -> None:
    """Expect the columns of `pretrained`, by their names if they have names."""
    estimator.n_features_in_ = pretrained.n_features_in_
    if hasattr(pretrained, "feature_names_in_"):
        estimator.feature_names_in_ = pretrained.feature_names_in_
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def take_trunk(network: TrunkAndHeads, pretrained: Any) -> None:
    """Start with the trunk of `pretrained`."""
    source = pretrained.network_
    _check_same_trunk(network.architecture, source.architecture)
    network.take_trunk(source)


def _check_same_trunk(own: Architecture, source: Architecture) -> None:
    for parameter, field in _OF_THE_TRUNK.items():
        wanted, found = getattr(own, field), getattr(source, field)
        if wanted != found:
            raise ValueError(
                f"The trunk of pretrained must match {parameter}, which asks for "
                f"{field} {wanted!r}, but it has {found!r}. Use the same parameters: "
                "clone(fitted).set_params(pretrained=FrozenEstimator(fitted))."
            )


# Tasks that are added or dropped --------------------------------------------------


def network_for(estimator: Any, outputs: tuple[OutputKind, ...]) -> TrunkAndHeads:
    """A network like the fitted one, but for other tasks; `take_task` fills it."""
    fitted: TrunkAndHeads = estimator.network_
    architecture = replace(fitted.architecture, outputs=outputs)
    trunk = fitted.trunk
    if isinstance(trunk, ModuleTrunk):
        architecture = replace(
            architecture, make_trunk=lambda n_banks, _: trunk.with_banks(n_banks)
        )
    network: TrunkAndHeads = sharing_spec(estimator).build(
        architecture, torch.Generator()
    )
    return network.to(fitted.like.device)


def take_linear_parts(
    network: TrunkAndHeads, fitted: TrunkAndHeads, fitted_tasks: NDArray
) -> None:
    """Take over the linear parts; `fitted_tasks` are positions, -1 for new tasks."""
    positions = fitted_tasks.tolist()
    for name in LINEAR_PARTS:
        part = getattr(fitted, f"{name}_part", None)
        if part is not None:
            part = part.of_tasks(positions, fitted.groups, network.groups)
            if (part.share < 1).any():
                setattr(network, f"{name}_part", part)


def linear_share(network: Any, name: str) -> float:
    """The share in predictions of the linear part of this name."""
    part = getattr(network, f"{name}_part", None)
    return 0.0 if part is None else 1.0 - float(part.share.min())


def weights_of_tasks(
    weight: Any, parameter: str, names: NDArray, others: NDArray
) -> Any:
    """The part of `task_weight` or `class_weight` for the tasks in `names`."""
    if weight is None or isinstance(weight, str):
        return weight
    if isinstance(weight, Mapping):
        by_name = weights_by_name(weight, np.append(others, names), parameter) or {}
        return {name: by_name[name] for name in names if name in by_name}
    raise ValueError(
        f"{parameter} must be None, 'balanced' or a dict by task name for a network "
        f"with other tasks; got {shorten(np.asarray(weight).tolist())}, one weight per "
        f"task. Set {parameter} to a dict."
    )
