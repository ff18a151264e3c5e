"""The estimator's parameters: what is legal, and what they make."""

import copy
import math
import re
from dataclasses import fields, replace
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skmtl._classifier._training_set import TrainingSet
from skmtl._inputs import ColumnEncoding, InputColumns
from skmtl._layers import ACTIVATIONS
from skmtl._targets import Tasks
from skmtl._steps import Freeze, TrainingPlan
from skmtl.sharing import HardSharing, NoSharing
from skmtl.sharing._network import Architecture, TrunkAndHeads
from skmtl.trunks import UnfreezeAfter
from skmtl.trunks._module import build_module_trunk, trunk_label

_SHARING = {"hard": HardSharing, "none": NoSharing}

PARAMETER_CONSTRAINTS: dict[str, list] = {
    "hidden_layer_sizes": [
        "array-like",
        Interval(Integral, 1, None, closed="left"),
    ],
    "head_hidden_layer_sizes": [
        "array-like",
        Interval(Integral, 1, None, closed="left"),
    ],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "input_encoding": [StrOptions({"auto", "piecewise", "none"})],
    "n_bins": [Interval(Integral, 1, 255, closed="both")],
    "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
    "sharing": [StrOptions(set(_SHARING)), HasMethods("build")],
    "trunk": [callable, HasMethods("build"), None],
    "pretrained": [HasMethods("fit"), None],
    "freeze": [
        StrOptions({"none", "trunk"}),
        Interval(Integral, 0, None, closed="left"),
        UnfreezeAfter,
    ],
    "solver": [StrOptions({"auto", "adam", "sgd"})],
    "alpha": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    "input_dropout": [Interval(Real, 0, 1, closed="left")],
    "n_members": [Interval(Integral, 1, None, closed="left")],
    "task_weight": [StrOptions({"balanced"}), dict, "array-like", None],
    "class_weight": [StrOptions({"balanced"}), dict, None],
    "batch_size": [
        StrOptions({"auto"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "learning_rate": [StrOptions({"constant", "cosine"})],
    "learning_rate_init": [
        StrOptions({"auto"}),
        Interval(Real, 0, None, closed="neither"),
    ],
    "max_iter": [Interval(Integral, 0, None, closed="left")],
    "shuffle": ["boolean"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "warm_start": ["boolean"],
    "checkpoint_dir": [str, PathLike, None],
    "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
    "device": [str],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def build_network(
    estimator: Any,
    training_set: TrainingSet,
    index: NDArray,
    encoding: ColumnEncoding | None,
    generator: torch.Generator,
) -> TrunkAndHeads:
    """A new network, to be trained on the rows `index`."""
    device = _check_device(estimator.device)
    spec = sharing_spec(estimator)
    dropout = estimator.dropout
    if dropout == "auto":
        dropout = _dropout_for(_network_loss(spec, training_set, index), len(index))
    tasks, columns = training_set.tasks, training_set.columns
    architecture = _architecture(estimator, tasks, columns, encoding, spec, dropout)
    network: TrunkAndHeads = spec.build(architecture, generator)
    return network.to(device)


def _network_loss(spec: Any, training_set: TrainingSet, index: NDArray) -> float:
    """The loss of the best constant prediction that a network can expect to see.

    Without sharing, a network sees one task; what is "auto" for it must not depend on
    how many other networks there are.
    """
    n_networks = training_set.tasks.n_tasks if isinstance(spec, NoSharing) else 1
    return training_set.constant_loss(index) / n_networks


def _dropout_for(constant_loss: float, n_rows: int) -> float:
    """Less where the labels tell more, and so can teach more units."""
    doublings = math.log2(max(n_rows * constant_loss, 1.0) / 15_000)
    return round(min(0.5, max(0.2, 0.5 - 0.1 * doublings)), 3)


def copy_network(estimator: Any, tasks: Tasks) -> TrunkAndHeads:
    """A copy of the fitted network, to go on with."""
    device = _check_device(estimator.device)
    check_unchanged(estimator, tasks)
    return copy.deepcopy(estimator.network_).to(device)


def check_unchanged(estimator: Any, tasks: Tasks) -> None:
    """The parameters must ask for what was fitted."""
    fitted = estimator.network_.architecture
    wanted = _architecture(
        estimator,
        tasks,
        estimator._columns,
        fitted.encoding,
        sharing_spec(estimator),
        fitted.dropout if estimator.dropout == "auto" else estimator.dropout,
    )
    if wanted != fitted:
        raise ValueError(
            f"To go on, the network must stay what it is, {fitted}; the "
            f"parameters now ask for {wanted}. Set them back, or begin anew with a "
            "clone."
        )


def training_plan(
    estimator: Any,
    training_set: TrainingSet,
    index: NDArray,
    network: TrunkAndHeads,
    *,
    freeze: Any,
) -> TrainingPlan:
    """The parameters that the loop needs to train on the rows `index`."""
    plan = {
        field.name: as_python(getattr(estimator, field.name))
        for field in fields(TrainingPlan)
    }
    plan["freeze"] = _frozen_layers(freeze, network)
    n_rows, is_sparse = len(index), sparse.issparse(training_set.X)
    if plan["solver"] == "auto":
        plan["solver"] = "sgd" if is_sparse else "adam"
    if "auto" in (plan["alpha"], plan["learning_rate_init"]):
        loss = _network_loss(sharing_spec(estimator), training_set, index)
        _scale_by_loss(plan, loss, training_set.mean_weight(index), network)
    if plan["batch_size"] == "auto":
        plan["batch_size"] = 200 if is_sparse else min(max(100, n_rows // 20), 200)
    # A batch is never larger than the data.
    plan["batch_size"] = max(1, min(int(plan["batch_size"]), n_rows))
    return TrainingPlan(**plan)


def as_python(value: Any) -> Any:
    """A parameter from an array, as searches pass them, as torch and JSON take it."""
    return value.item() if isinstance(value, np.generic) else value


def _frozen_layers(freeze: Any, network: TrunkAndHeads) -> Freeze:
    n_layers = network.trunk.n_layers
    if isinstance(freeze, bool):  # an integer to Python
        raise ValueError(
            "freeze must be 'none', 'trunk', a number of layers or an UnfreezeAfter; "
            f"got {freeze}. Use 'trunk' for all layers, or 'none'."
        )
    if freeze == "none":
        return Freeze()
    if not network.has_trunk:
        raise ValueError(
            f"freeze={freeze!r} needs a trunk, but hidden_layer_sizes is (): there is "
            "none. Use freeze='none', or at least one hidden layer."
        )
    if isinstance(freeze, UnfreezeAfter):
        freeze._validate_params()
        return Freeze(n_layers, int(freeze.n_epochs), float(freeze.step_factor))
    if freeze == "trunk":
        return Freeze(n_layers)
    if freeze > n_layers:
        raise ValueError(
            f"freeze must be at most the number of the trunk's layers, {n_layers}; got "
            f"{freeze}. Use freeze='trunk' for all of them."
        )
    return Freeze(int(freeze))


def _scale_by_loss(
    plan: dict[str, Any],
    constant_loss: float,
    mean_weight: float,
    network: TrunkAndHeads,
) -> None:
    """Fill in the L2 term and the step, which depend on the scale of the loss."""
    if plan["alpha"] == "auto":
        # It is divided by the weight of a batch, whose scale shall not matter.
        plan["alpha"] = 0.03 * constant_loss * mean_weight
    if plan["learning_rate_init"] == "auto":
        # Adam's step does not depend on the scale of the loss. Heads alone take no
        # harm from a large one, and UnfreezeAfter gives the trunk a part of it.
        sgd = 1.0 / max(10.0, constant_loss)
        trains_heads = network.has_trunk and (
            plan["freeze"].n_layers == network.trunk.n_layers
        )
        adam = 0.02 if trains_heads else 0.002
        plan["learning_rate_init"] = sgd if plan["solver"] == "sgd" else adam


def check_partial_fit_parameters(estimator: Any) -> None:
    """Refuse what needs all rows at once, and what was set since the last call."""
    estimator._validate_params()  # scikit-learn looks before the first call alone
    if estimator.early_stopping:
        raise ValueError(
            "partial_fit has no rows to hold out, but early_stopping is True. Set "
            "early_stopping=False, or use fit."
        )
    if isinstance(estimator.freeze, UnfreezeAfter):
        raise ValueError(
            "partial_fit trains for one epoch and knows no schedule, but freeze is "
            f"{estimator.freeze}. Use freeze='trunk' in the first calls and set it to "
            "'none' later, or use fit."
        )
    class_weight = [estimator.class_weight]
    if isinstance(estimator.class_weight, dict):
        class_weight += estimator.class_weight.values()
    weights = {"task_weight": [estimator.task_weight], "class_weight": class_weight}
    for name, given in weights.items():
        if any(isinstance(weight, str) for weight in given):
            raise ValueError(
                f"partial_fit needs weights that do not depend on all labels, but "
                f"{name} is 'balanced'. Pass the weights themselves, for instance "
                "computed with sklearn.utils.compute_class_weight."
            )


def sharing_spec(estimator: Any) -> Any:
    """The object that builds a network."""
    spec = estimator.sharing
    if isinstance(spec, type):
        raise ValueError(
            f"sharing must be 'hard', 'none' or a spec object; got the class "
            f"{spec.__name__}. Make an object of it: {spec.__name__}()."
        )
    return _SHARING[spec]() if isinstance(spec, str) else spec


def _architecture(
    estimator: Any,
    tasks: Tasks,
    columns: InputColumns,
    encoding: ColumnEncoding | None,
    spec: Any,
    dropout: float,
) -> Architecture:
    is_encoded = encoding is not None
    if estimator.input_encoding != "auto":
        is_encoded = estimator.input_encoding == "piecewise"
    architecture = Architecture(
        sharing=repr(spec),
        n_features=estimator.n_features_in_,
        n_bins=int(estimator.n_bins) if is_encoded else None,
        n_classes=tuple(tasks.n_classes.tolist()),
        hidden_layer_sizes=_layer_sizes(estimator, "hidden_layer_sizes"),
        head_hidden_layer_sizes=_layer_sizes(estimator, "head_hidden_layer_sizes"),
        activation=as_python(estimator.activation),
        dropout=as_python(dropout),
        input_dropout=as_python(estimator.input_dropout),
        n_members=int(estimator.n_members),
        encoding=encoding,
    )
    if estimator.trunk is None:
        return architecture
    return with_own_trunk(architecture, estimator.trunk, columns)


def with_own_trunk(
    architecture: Architecture, trunk: Any, columns: InputColumns
) -> Architecture:
    """With the parameter `trunk` in place of hidden layers."""
    shape = columns.row_shape or (architecture.n_features,)
    scale = 1 / 255 if columns.is_uint8 else 1.0
    return replace(
        architecture,
        hidden_layer_sizes=(),
        input_dropout=0.0,
        trunk=trunk_label(trunk),
        input_shape=shape,
        make_trunk=partial(build_module_trunk, trunk, shape, scale),
    )


def _layer_sizes(estimator: Any, parameter: str) -> tuple[int, ...]:
    given = getattr(estimator, parameter)
    sizes = (given,) if np.ndim(given) == 0 else tuple(given)
    if not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
        raise ValueError(
            f"{parameter} must be a list of layer sizes, integers of at least 1; got "
            f"{given!r}. Use () for no layer."
        )
    return tuple(int(size) for size in sizes)


def _check_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda' or a numbered one such as 'cuda:1'; "
            f"got {device!r}. Use device='auto' for a GPU where there is one."
        )
    number = int(device.partition(":")[2] or 0)
    if device != "cpu" and number >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} is not there: torch sees {torch.cuda.device_count()} "
            "CUDA device(s). Use device='auto'."
        )
    return torch.device(device)
