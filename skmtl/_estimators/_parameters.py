"""The estimators' parameters: which values are allowed, and what is built from them."""

import copy
import math
import re
from dataclasses import MISSING, fields, replace
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np
import torch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skmtl._estimators import _automatic
from skmtl._estimators._automatic import LabelledData
from skmtl._estimators._training_set import AnyTrainingSet, Measures
from skmtl._inputs import ColumnEncoding, InputColumns
from skmtl._network import (
    ACTIVATIONS,
    LINEAR_PARTS,
    Architecture,
    TrunkAndHeads,
    build_module_trunk,
    describe,
)
from skmtl._outputs import NUMBER_KINDS, OutputKind
from skmtl._targets import Tasks, named_tasks
from skmtl._training import Freeze, TrainingPlan
from skmtl.sharing import HardSharing, NoSharing
from skmtl.trunks import UnfreezeAfter

_SHARING = {"hard": HardSharing, "none": NoSharing}

SHARED_CONSTRAINTS: dict[str, list] = {
    "hidden_layer_sizes": [
        StrOptions({"auto"}),
        "array-like",
        Interval(Integral, 1, None, closed="left"),
    ],
    "head_hidden_layer_sizes": [
        "array-like",
        Interval(Integral, 1, None, closed="left"),
    ],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "input_encoding": [StrOptions({"auto", "piecewise", "none"})],
    "n_bins": [StrOptions({"auto"}), Interval(Integral, 1, 255, closed="both")],
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
    "input_dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    "n_members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "oob_score": [StrOptions({"auto"}), "boolean"],
    "task_weight": [StrOptions({"balanced"}), dict, "array-like", None],
    "main_tasks": [str, "array-like", None],
    "batch_size": [
        StrOptions({"auto"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "learning_rate": [StrOptions({"constant", "cosine"})],
    "learning_rate_init": [
        StrOptions({"auto"}),
        Interval(Real, 0, None, closed="neither"),
    ],
    "max_iter": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
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
# For estimators that can have classification tasks, or numeric tasks.
CLASS_CONSTRAINTS: dict[str, list] = {
    # A list, as forests take it, raises an error later, when task names are known.
    "class_weight": [StrOptions({"balanced"}), dict, list, None],
    "logistic": [StrOptions({"auto", "none"})],
}
NUMBER_CONSTRAINTS: dict[str, list] = {
    "loss": [StrOptions(set(NUMBER_KINDS))],
    "ridge": [StrOptions({"auto", "none"})],
    "transformer": [HasMethods(["fit", "transform", "inverse_transform"]), dict, None],
}


# Parameters of the network that can be "auto". Once a network is built, "auto" stands
# for the values that it was built with.
_OF_THE_NETWORK = (
    "hidden_layer_sizes",
    "n_bins",
    "dropout",
    "input_dropout",
    "n_members",
)


def build_network(
    estimator: Any,
    training_set: AnyTrainingSet,
    encoding: ColumnEncoding | None,
    chosen: dict[str, Any],
    generator: torch.Generator,
) -> TrunkAndHeads:
    """A new network; `chosen` is the result of `network_settings`."""
    device = _check_device(estimator.device)
    spec = sharing_spec(estimator)
    outputs, columns = training_set.outputs, training_set.columns
    architecture = _architecture(estimator, outputs, columns, encoding, spec, chosen)
    network: TrunkAndHeads = spec.build(architecture, generator)
    return network.to(device)


def labelled_data(
    estimator: Any, training_set: AnyTrainingSet, measures: Measures
) -> LabelledData:
    """What the rules for "auto" need to know about the training rows.

    Without sharing, a network sees one task. Its "auto" values must not depend on how
    many other networks there are.
    """
    is_separate = isinstance(sharing_spec(estimator), NoSharing)
    n_networks = training_set.tasks.n_tasks if is_separate else 1
    total, of_numbers = measures.loss, measures.loss_of_numbers
    n_features = training_set.n_features
    return LabelledData(
        n_rows=measures.n_rows,
        n_features=n_features,
        n_numeric=n_features - len(training_set.columns.categories),
        loss=total / n_networks,
        total_loss=total,
        mean_weight=measures.mean_weight,
        is_sparse=training_set.is_sparse,
        row_norm=measures.row_norm,
        has_own_trunk=estimator.trunk is not None,
        number_share=of_numbers / total if total else 0.0,
        is_log_density=not all(kind.is_bounded for kind in training_set.outputs),
    )


def main_tasks_of(estimator: Any, tasks: Tasks) -> tuple[int, ...] | None:
    """Positions of the tasks that count in scores; None for all of them."""
    if estimator.main_tasks is None:
        return None
    is_main = named_tasks(tasks, estimator.main_tasks, "main_tasks")
    if not is_main.any():
        raise ValueError(
            f"main_tasks must name at least one task; got {estimator.main_tasks!r}. "
            "Use None for all tasks."
        )
    return tuple(np.flatnonzero(is_main).tolist())


def network_settings(
    estimator: Any,
    data: LabelledData,
    fitted: Architecture | None = None,
    *,
    sees_all_rows: bool = True,
) -> dict[str, Any]:
    """The network's parameters that can be "auto", with the values it stands for.

    If the trunk comes from a fitted network, so do its sizes and the numbers of bins
    and members. `sees_all_rows` says whether this kind of fit has all rows in the
    memory of one process, and none can follow. Then some can be left out.
    """
    sizes: tuple[int, ...] = _automatic.HIDDEN_LAYER_SIZES
    # If more rows can follow, as in `partial_fit`, these few say little about the size.
    if sees_all_rows and estimator.solver != "adam":
        sizes = _automatic.hidden_layer_sizes(data)
    if fitted is not None:
        sizes = fitted.hidden_layer_sizes
    leaves_out = estimator.oob_score and not estimator.early_stopping
    automatic: dict[str, Any] = {
        "hidden_layer_sizes": sizes,
        "n_bins": _automatic.n_bins(data),
        "dropout": _automatic.dropout(data, is_narrow=_is_narrow(estimator, sizes)),
        "input_dropout": _automatic.input_dropout(data),
        "n_members": _automatic.n_members(
            data, can_leave_out=sees_all_rows and bool(leaves_out)
        ),
    }
    if estimator.oob_score not in ("auto", False):  # needs several members
        automatic["n_members"] = max(automatic["n_members"], 4)
    if fitted is not None:
        automatic |= {"n_bins": fitted.n_bins, "n_members": fitted.n_members}
    return _filled(estimator, automatic)


def n_folds(estimator: Any, data: LabelledData, network: TrunkAndHeads) -> int:
    """Into how many folds rows are divided, of which each member leaves out its own.

    0 if no row is left out. More folds than members are only for the weight of the
    logistic regressions.
    """
    n_members = network.n_members
    if estimator.oob_score == "auto":
        if estimator.early_stopping or not network.can_be_divided:
            return 0
        chosen = _automatic.n_folds(data, n_members)
        is_used = chosen <= n_members or estimator.logistic == "auto"
        return chosen if is_used else 0
    if not estimator.oob_score:
        return 0
    if not network.can_be_divided or n_members < 2:
        raise ValueError(
            "oob_score=True needs at least two members, hidden layers instead of a "
            "trunk module, and a sharing without a network of your own; got "
            f"n_members={n_members}, trunk={estimator.trunk!r} and "
            f"sharing={estimator.sharing!r}. Raise n_members, or use oob_score=False "
            "and cross_val_predict."
        )
    return n_members


def _filled(estimator: Any, automatic: dict[str, Any]) -> dict[str, Any]:
    """Parameters, with these values instead of "auto"."""
    given = {name: as_python(getattr(estimator, name)) for name in automatic}
    return {n: automatic[n] if _is_auto(v) else v for n, v in given.items()}


def _is_narrow(estimator: Any, sizes: tuple[int, ...]) -> bool:
    """Whether layers of these sizes have the steps and dropout of narrow ones."""
    is_auto = _is_auto(estimator.hidden_layer_sizes)
    return is_auto and sizes == _automatic.NARROW_LAYERS


def _is_auto(given: Any) -> bool:
    return isinstance(given, str) and given == "auto"  # an array has many values


def copy_network(estimator: Any) -> TrunkAndHeads:
    """A copy of the fitted network, to continue with.

    It keeps the linear parts, except those that the estimator no longer asks for.
    """
    device = _check_device(estimator.device)
    check_unchanged(estimator)
    network: TrunkAndHeads = copy.deepcopy(estimator.network_).to(device)
    for name in LINEAR_PARTS:
        if getattr(estimator, name) == "none" and hasattr(network, f"{name}_part"):
            setattr(network, f"{name}_part", None)
    return network


def check_unchanged(estimator: Any) -> None:
    """Raise an error if the parameters ask for a network other than the fitted one."""
    fitted = estimator.network_.architecture
    wanted = _architecture(
        estimator,
        outputs_of(estimator, estimator._tasks),
        estimator._columns,
        fitted.encoding,
        sharing_spec(estimator),
        _filled(estimator, {name: getattr(fitted, name) for name in _OF_THE_NETWORK}),
    )
    if wanted != fitted:
        different = [
            f"{field.name} was {getattr(fitted, field.name)!r} and would be "
            f"{getattr(wanted, field.name)!r}"
            for field in fields(Architecture)
            if field.compare
            and getattr(wanted, field.name) != getattr(fitted, field.name)
        ]
        raise ValueError(
            "To continue, the parameters must describe the fitted network, but they "
            f"have changed: {'; '.join(different)}. Set them back, or start again with "
            "a clone."
        )


def outputs_of(estimator: Any, tasks: Tasks) -> tuple[OutputKind, ...]:
    """The output kind of each task."""
    return tuple(map(estimator._output_kind, tasks.targets))


def training_plan(
    estimator: Any,
    data: LabelledData,
    network: TrunkAndHeads,
    *,
    freeze: Any,
    main_tasks: tuple[int, ...] | None,
) -> TrainingPlan:
    """The parameters that the training loop needs."""
    plan = {
        field.name: as_python(getattr(estimator, field.name))
        for field in fields(TrainingPlan)
        if field.default is MISSING  # the others are chosen below
    }
    plan["main_tasks"] = main_tasks
    plan["freeze"] = frozen_layers(freeze, network)
    if plan["solver"] == "auto":
        plan["solver"] = _automatic.solver(data)
    if plan["batch_size"] == "auto":
        plan["batch_size"] = _automatic.batch_size(data)
    if "auto" in (plan["alpha"], plan["learning_rate_init"]):
        is_narrow = _is_narrow(estimator, network.architecture.hidden_layer_sizes)
        _scale_by_loss(plan, data, network, is_narrow)
    # A batch is never larger than the data.
    plan["batch_size"] = max(1, min(int(plan["batch_size"]), data.n_rows))
    follows = _automatic.follows_loss(data)
    if not follows and _automatic.follows_left_out_loss(data):
        follows = plan["follows_left_out"] = True
        plan["follows_below"] = _automatic.FOLLOWED_SHARE_OF_LEFT_OUT
    if follows:
        plan["constant_loss"] = data.total_loss
        plan["is_log_density"] = data.is_log_density
        lowers_dropout = estimator.dropout == "auto"
        plan["lowers_dropout"] = lowers_dropout
        plan["ends_dropout"] = lowers_dropout and _automatic.ends_dropout(data)
        plan["ends_input_dropout"] = (
            estimator.input_dropout == "auto" and _automatic.ends_input_dropout(data)
        )
        is_auto = estimator.learning_rate_init == "auto" and plan["solver"] == "adam"
        plan["raises_steps"] = is_auto and _automatic.raises_steps(data)
    if plan["max_iter"] == "auto":
        plan["max_iter"] = _automatic.n_epochs(data, plan["batch_size"])
        plan["max_doublings"] = _automatic.max_doublings(data)
    return TrainingPlan(**plan)


def as_python(value: Any) -> Any:
    """Convert a numpy scalar, which searches pass, to Python for torch and JSON."""
    return value.item() if isinstance(value, np.generic) else value


def frozen_layers(freeze: Any, network: TrunkAndHeads) -> Freeze:
    """What the parameter `freeze` means for a network."""
    n_layers = network.trunk.n_layers
    if isinstance(freeze, bool):  # an integer in Python
        raise ValueError(
            "freeze must be 'none', 'trunk', a number of layers or an UnfreezeAfter; "
            f"got {freeze}. Use 'trunk' for all layers, or 'none'."
        )
    if freeze == "none":
        return Freeze()
    if not network.has_trunk:
        raise ValueError(
            f"freeze={freeze!r} needs a trunk, but there is none, since "
            "hidden_layer_sizes is (). Use freeze='none', or at least one hidden layer."
        )
    if isinstance(freeze, UnfreezeAfter):
        freeze._validate_params()
        return Freeze(n_layers, int(freeze.n_epochs), float(freeze.step_factor))
    if freeze == "trunk":
        return Freeze(n_layers)
    if freeze > n_layers:
        raise ValueError(
            "freeze must be at most the number of layers of the trunk, "
            f"{n_layers}; got {freeze}. Use freeze='trunk' for all of them."
        )
    return Freeze(int(freeze))


def _scale_by_loss(
    plan: dict[str, Any], data: LabelledData, network: TrunkAndHeads, is_narrow: bool
) -> None:
    """Fill in the L2 penalty and the step size, which depend on the loss's scale."""
    batch_size = int(plan["batch_size"])
    if plan["alpha"] == "auto":
        # It is divided by the weight of a batch, whose scale must not matter.
        plan["alpha"] = 0.03 * data.loss * data.mean_weight
    if plan["learning_rate_init"] == "auto":
        # Adam's step does not depend on the scale of the loss. A large step does not
        # harm heads alone, and UnfreezeAfter reduces it for the trunk.
        sgd = 1.0 / max(1 / 0.3 if data.is_sparse else 10.0, data.loss)
        trains_heads = network.has_trunk and (
            plan["freeze"].n_layers == network.trunk.n_layers
        )
        # On sparse rows, the step must be smaller for long rows and noisy batches.
        sgd = min(sgd, 15.0 / max(data.row_norm, 1e-30)) * min(1.0, batch_size / 100)
        sgd *= _automatic.NARROW_STEP_FACTOR if is_narrow else 1.0
        adam = 0.02 if trains_heads else _automatic.adam_step(data)
        adam *= max(1.0, math.sqrt(batch_size / 200))
        plan["learning_rate_init"] = sgd if plan["solver"] == "sgd" else adam


def check_partial_fit_parameters(estimator: Any) -> None:
    """Raise an error for parameters that need all rows at once, or are invalid."""
    estimator._validate_params()  # scikit-learn checks only before the first call
    if estimator.early_stopping:
        raise ValueError(
            "partial_fit cannot hold out rows, but early_stopping is True. Set "
            "early_stopping=False, or use fit."
        )
    if isinstance(estimator.freeze, UnfreezeAfter):
        raise ValueError(
            "partial_fit trains for one epoch and cannot follow a schedule, but freeze "
            f"is {estimator.freeze}. Use freeze='trunk' in the first calls and 'none' "
            "in the later ones, or use fit."
        )
    class_weight = [estimator.class_weight]
    if isinstance(estimator.class_weight, dict):
        class_weight += estimator.class_weight.values()
    weights = {"task_weight": [estimator.task_weight], "class_weight": class_weight}
    for name, given in weights.items():
        if any(isinstance(weight, str) for weight in given):
            raise ValueError(
                f"partial_fit needs weights that do not depend on all labels, but "
                f"{name} is 'balanced'. Pass the weights themselves; you can compute "
                "them with sklearn.utils.compute_class_weight."
            )


def check_owners(estimator: Any, params: dict[str, Any]) -> None:
    """Raise an error for nested parameters of an object that is not there."""
    for key in params:
        name, is_nested, inner = key.partition("__")
        if not is_nested or name not in estimator._get_param_names():
            continue  # scikit-learn raises its own error
        owner = params.get(name, getattr(estimator, name))
        if not hasattr(owner, "set_params"):
            raise ValueError(
                f"{key} is a parameter of the object {name}, but {name} is {owner!r}. "
                f"Set {name} to an object that has {inner!r}, before or in the same "
                "call."
            )


def sharing_spec(estimator: Any) -> Any:
    """The object that builds a network."""
    spec = estimator.sharing
    if isinstance(spec, type):
        raise ValueError(
            f"sharing must be 'hard', 'none' or a spec object; got the class "
            f"{spec.__name__}. Pass an object: {spec.__name__}()."
        )
    return _SHARING[spec]() if isinstance(spec, str) else spec


def _architecture(
    estimator: Any,
    outputs: tuple[OutputKind, ...],
    columns: InputColumns,
    encoding: ColumnEncoding | None,
    spec: Any,
    chosen: dict[str, Any],
) -> Architecture:
    """`chosen` has the values of the parameters that can be "auto"."""
    is_encoded = encoding is not None
    if estimator.input_encoding != "auto":
        is_encoded = estimator.input_encoding == "piecewise"
    architecture = Architecture(
        sharing=describe(spec),
        n_features=estimator.n_features_in_,
        n_bins=int(chosen["n_bins"]) if is_encoded else None,
        outputs=outputs,
        hidden_layer_sizes=_layer_sizes(
            chosen["hidden_layer_sizes"], "hidden_layer_sizes"
        ),
        head_hidden_layer_sizes=_layer_sizes(
            estimator.head_hidden_layer_sizes, "head_hidden_layer_sizes"
        ),
        activation=as_python(estimator.activation),
        dropout=chosen["dropout"],
        input_dropout=chosen["input_dropout"],
        n_members=int(chosen["n_members"]),
        encoding=encoding,
    )
    if estimator.trunk is None:
        return architecture
    return with_own_trunk(architecture, estimator.trunk, columns)


def with_own_trunk(
    architecture: Architecture, trunk: Any, columns: InputColumns
) -> Architecture:
    """With the parameter `trunk` instead of hidden layers."""
    shape = columns.row_shape or (architecture.n_features,)
    scale = 1 / 255 if columns.is_uint8 else 1.0
    return replace(
        architecture,
        hidden_layer_sizes=(),
        input_dropout=0.0,
        trunk=describe(trunk),
        input_shape=shape,
        make_trunk=partial(build_module_trunk, trunk, shape, scale),
    )


def _layer_sizes(given: Any, parameter: str) -> tuple[int, ...]:
    sizes = (given,) if np.ndim(given) == 0 else tuple(given)
    if not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
        raise ValueError(
            f"{parameter} must be a list of layer sizes, integers of at least 1; got "
            f"{given!r}. Use () for no hidden layer."
        )
    return tuple(int(size) for size in sizes)


def _check_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda' or a numbered GPU such as 'cuda:1'; "
            f"got {device!r}. Use device='auto' for a GPU if there is one."
        )
    number = int(device.partition(":")[2] or 0)
    if device != "cpu" and number >= torch.cuda.device_count():
        raise ValueError(
            f"device must exist; got {device!r}, but torch finds "
            f"{torch.cuda.device_count()} CUDA device(s). Use device='auto'."
        )
    return torch.device(device)
