"""Check that the fitted attributes of an estimator are consistent.

A file may contain anything. So whatever an index points at must exist, and no size may
ask for more memory than the arrays in the file take.
"""

import math
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skmtl._estimators import BaseMultiTaskNet
from skmtl._estimators._automatic import LabelledData
from skmtl._estimators._chunks import Calls
from skmtl._estimators._network_state import NetworkState
from skmtl._estimators._parameters import outputs_of
from skmtl._inputs import (
    FIRST_CODE_SLOT,
    CategoricalColumns,
    ColumnEncoding,
    Declared,
    InputColumns,
    NumericColumns,
)
from skmtl._network import (
    ACTIVATIONS,
    LINEAR_PARTS,
    Architecture,
    LogisticPart,
    RidgePart,
    TrunkAndHeads,
    linear_parts,
)
from skmtl._outputs import Binary, OutputKind
from skmtl._targets import Classes, Numbers, Tasks
from skmtl._training import Freeze, SolverState


def check_attributes(fitted: dict[str, Any], estimator: BaseMultiTaskNet) -> None:
    """Check everything except the network, which is not built yet."""
    n_features = fitted["n_features_in_"]
    require(_is_count(n_features), "n_features_in_ must be a whole number of columns")
    names = fitted.get("feature_names_in_")
    if names is not None:
        require(_is_text(names), "feature_names_in_ must be an array of text")
        require(
            len(names) == n_features, "feature_names_in_ must have a name per column"
        )
    tasks, columns, state = fitted["_tasks"], fitted["_columns"], fitted["network_"]
    check_tasks(tasks)
    _check_types(tasks, estimator)
    _check_array(fitted["_is_labelled"], np.bool_, (tasks.n_tasks,), "_is_labelled")
    _check_columns(columns, n_features)
    require(type(state) is NetworkState, "network_ must be a network")
    _check_architecture(state.architecture, outputs_of(estimator, tasks), n_features)
    _check_own_trunk(state, columns, estimator.trunk)
    for name in LINEAR_PARTS:
        if any(array.startswith(f"{name}_part.") for array in state.arrays):
            has_parameter = name in estimator.get_params(deep=False)
            require(has_parameter, f"only estimators with {name}= have such models")
    _check_encoding(state.architecture, columns)
    _check_history(fitted, tasks.n_tasks)
    _check_out_of_bag(fitted, tasks, estimator)
    _check_calls(fitted.get("_calls"))


def check_network(network: TrunkAndHeads, solver_state: SolverState | None) -> None:
    """Check the network after it is built, and the state of its solver."""
    require(
        all(bool(t.isfinite().all()) for t in network.state_dict().values()),
        "the parameters of the network must be finite",
    )
    for linear_part in linear_parts(network):
        _check_linear_part(linear_part)
    if solver_state is None:
        return
    require(
        type(solver_state) is SolverState, "_solver_state must be the state of a solver"
    )
    require(
        type(solver_state.moments) is dict
        and all(
            type(parts) is list and all(isinstance(part, np.ndarray) for part in parts)
            for parts in solver_state.moments.values()
        ),
        "the moments must be lists of arrays",
    )
    _check_freeze(solver_state.freeze, network.trunk.n_layers)
    require(
        solver_state.suits_network(network), "_solver_state belongs to another network"
    )
    for name, parts in solver_state.moments.items():
        least = -np.inf if name in ("mean", "velocity") else 0
        for part in parts:
            require(
                bool((part >= least).all()),  # false for NaN
                f"the solver's {name} must be numbers; squares and counts must not be "
                "below 0",
            )
    generator = torch.Generator()
    size = (generator.get_state().numel(),)
    _check_array(solver_state.generator, np.uint8, size, "the generator's state")
    generator.set_state(torch.from_numpy(solver_state.generator))


def _check_linear_part(part: RidgePart | LogisticPart) -> None:
    is_share = (part.share >= 0) & (part.share <= 1)
    require(bool(is_share.all()), "the share of the network must be from 0 to 1")
    require(bool((part.scale > 0).all()), "the scale of a column must be positive")


def _check_freeze(freeze: Any, n_layers: int) -> None:
    require(type(freeze) is Freeze, "freeze must say which layers are frozen")
    require(
        _is_count(freeze.n_layers, 0) and freeze.n_layers <= n_layers,
        f"the number of frozen layers must be from 0 to {n_layers}",
    )
    require(
        freeze.n_epochs is None or _is_count(freeze.n_epochs, 0),
        "the number of epochs of the freeze must be a whole number",
    )
    factor = freeze.step_factor
    is_factor = isinstance(factor, int | float) and 0 < factor < math.inf
    require(is_factor, "step_factor must be a number above 0")


def require(holds: Any, otherwise: str) -> None:
    """Raise ValueError if the condition does not hold."""
    if not holds:
        raise ValueError(otherwise)


def _is_count(value: Any, least: int = 1) -> bool:
    return type(value) is int and value >= least


def _are_counts(values: Any) -> bool:
    return type(values) is tuple and all(map(_is_count, values))


def _is_text(array: Any) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.ndim == 1
        and array.dtype.kind in "OU"
        and all(isinstance(item, str) for item in array.tolist())
    )


def _check_array(array: Any, dtype: Any, shape: tuple[int, ...], name: str) -> None:
    require(
        isinstance(array, np.ndarray) and array.dtype == dtype and array.shape == shape,
        f"{name} must be an array of {np.dtype(dtype)} of shape {shape}",
    )


def check_tasks(tasks: Tasks) -> None:
    """Check names, classes and scales."""
    require(type(tasks) is Tasks, "_tasks must describe the tasks")
    require(_is_text(tasks.names), "the names of the tasks must be an array of text")
    require(type(tasks.targets) is list, "the targets must be a list")
    n_tasks = len(tasks.targets)
    require(n_tasks == len(tasks.names) > 0, "each task must have one name")
    require(len(set(tasks.names)) == n_tasks, "the names of the tasks must differ")
    flags = tasks.is_named, tasks.is_1d
    require(
        all(type(flag) is bool for flag in flags),
        "is_named and is_1d must be true or false",
    )
    require(not tasks.is_1d or n_tasks == 1, "a 1-D y must have exactly one task")
    for target in tasks.targets:
        if type(target) is Numbers:
            _check_numbers(target)
        else:
            require(type(target) is Classes, "a task must have classes or numbers")
            _check_classes(getattr(target, "labels", None))


def _check_classes(classes: Any) -> None:
    require(isinstance(classes, np.ndarray), "classes must be an array")
    is_text = _is_text(classes)
    is_number = classes.ndim == 1 and classes.dtype.kind in "biu"
    require(is_text or is_number, "classes must be numbers, text or booleans")
    require(len(classes) > 0, "a task must have at least one class")
    require(
        bool((classes[:-1] < classes[1:]).all()),
        "classes must be sorted and must differ",
    )


def _check_numbers(target: Numbers) -> None:
    scale = [target.mean, target.scale]
    require(_are_floats(scale), "the scale of a task must be numbers")
    require(all(map(math.isfinite, scale)), "the scale of a task must be finite")
    require(target.scale >= 0, "the scale of a task must not be negative")
    factor = target.deviation_factor
    require(_are_floats([factor]), "deviation_factor must be a number")
    require(0 <= factor < math.inf, "deviation_factor must be finite and not negative")
    require(
        target.transformer is None,
        "a file must not contain code, but a task has a transformer, which is code; "
        "use transformer=None and transform y yourself, or use joblib.dump if everyone "
        "who loads the file trusts it",
    )


def _check_types(tasks: Tasks, estimator: BaseMultiTaskNet) -> None:
    """Check that a classifier has only classes, and a regressor only numbers."""
    types, is_number = estimator.task_types, tasks.are_numbers
    if types in ("class", "number"):
        require(
            (is_number == (types == "number")).all(),
            f"each task must be of type {types!r}",
        )


def _check_columns(columns: InputColumns, n_features: int) -> None:
    require(type(columns) is InputColumns, "_columns must describe the columns of X")
    require(
        type(columns.encoding) is str and columns.encoding in ("piecewise", "none"),
        "the encoding must be 'piecewise' or 'none'",
    )
    require(type(columns.is_uint8) is bool, "is_uint8 must be true or false")
    _check_declared(columns, n_features)
    shape = columns.row_shape
    if shape is not None:
        require(_are_counts(shape), "row_shape must be a tuple of whole numbers")
        require(
            math.prod(shape) == n_features, "row_shape must have a value per column"
        )
    require(type(columns.categories) is dict, "the categories must be a dict")
    for position, codes in columns.categories.items():
        is_position = _is_count(position, 0) and position < n_features
        require(is_position, f"a column with categories cannot be {position!r}")
        require(type(codes) is dict, "the categories of a column must be a dict")
        require(
            all(type(code) is int for code in codes.values())
            and list(codes.values()) == list(range(len(codes))),
            f"the category codes of column {position} must be 0, 1, 2 and so on",
        )


def _check_declared(columns: InputColumns, n_features: int) -> None:
    declared = columns.declared
    if declared is None:
        return
    require(type(declared) is Declared, "the declared inputs must be of type Declared")
    require(
        type(declared.categories) is tuple
        and set(declared.categories) <= set(columns.categories),
        "a column with declared categories must have categories",
    )
    require(type(declared.ranges) is dict, "the declared ranges must be a dict")
    for position, ends in declared.ranges.items():
        is_position = _is_count(position, 0) and position < n_features
        is_number = is_position and position not in columns.categories
        require(is_number, f"a column with a range cannot be {position!r}")
        require(
            type(ends) is tuple and len(ends) == 2 and _are_floats(list(ends)),
            "a range must be a pair of numbers",
        )
        require(
            -math.inf < ends[0] < ends[1] < math.inf,
            "a range must be finite, with its lower end first",
        )


def _check_architecture(
    architecture: Architecture, outputs: tuple[OutputKind, ...], n_features: int
) -> None:
    require(type(architecture) is Architecture, "the network must have an architecture")
    a = architecture
    require(_is_count(a.n_features), "n_features must be a whole number of columns")
    require(
        a.n_features == n_features,
        f"the network must read {n_features} columns, but reads {a.n_features}",
    )
    require(
        type(a.outputs) is tuple and a.outputs == outputs,
        "the outputs of the network must match the tasks",
    )
    sizes = a.hidden_layer_sizes, a.head_hidden_layer_sizes
    require(all(map(_are_counts, sizes)), "the sizes of layers must be at least 1")
    require(
        type(a.activation) is str and a.activation in ACTIVATIONS,
        f"the activation {a.activation!r} is unknown",
    )
    for rate in (a.dropout, a.input_dropout):
        is_rate = isinstance(rate, int | float) and 0 <= rate < 1
        require(is_rate, "dropout must be at least 0 and below 1")
    require(_is_count(a.n_members), "n_members must be at least 1")
    require(type(a.sharing) is str, "sharing must be text")
    require(a.make_trunk is None, "make_trunk must be None: it would be code")


def _check_own_trunk(state: NetworkState, columns: InputColumns, trunk: Any) -> None:
    """Check that no more modules are to be built than there are arrays for."""
    a = state.architecture
    require(
        (a.trunk is None) == (trunk is None) and type(a.trunk) in (str, type(None)),
        "the parameter trunk describes another network than the fitted one",
    )
    require(
        type(state.arrays) is dict
        and all(
            isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
            for array in state.arrays.values()
        ),
        "the network must have a dict of numeric arrays",
    )
    # The heads of tasks with equally many classes are parts of the same layers.
    n_head_layers = len(set(a.outputs)) * (len(a.head_hidden_layer_sizes) + 1)
    n_modules = len(a.hidden_layer_sizes) + n_head_layers
    if a.trunk is not None:
        require(columns.encoding == "none", "the trunk cannot read encoded columns")
        n_trunks = len(a.outputs) if a.sharing == "NoSharing()" else 1
        n_modules += a.n_members * n_trunks * len(trunk.channels)
        shape = columns.row_shape or (a.n_features,)
        require(_are_counts(a.input_shape), "input_shape must be whole numbers")
        require(
            a.input_shape == shape,
            f"the trunk must read rows of shape {shape}, but reads {a.input_shape}",
        )
    require(n_modules <= len(state.arrays), "the network has too few arrays")


def _check_encoding(architecture: Architecture, columns: InputColumns) -> None:
    encoding = architecture.encoding
    is_encoded = columns.encoding == "piecewise"
    require(
        (encoding is not None) == is_encoded,
        "the encodings of the columns and of the network must match",
    )
    require(
        (architecture.n_bins is not None) == is_encoded,
        "n_bins must be given if, and only if, the columns are encoded",
    )
    if encoding is None:
        return
    require(_is_count(architecture.n_bins), "n_bins must be at least 1")
    require(type(encoding) is ColumnEncoding, "the encoding must be a ColumnEncoding")
    require(
        _is_count(encoding.n_features)
        and encoding.n_features == architecture.n_features,
        "the encoding and the network must have equally many columns",
    )
    require(encoding.is_shown is None, "is_shown must be None")
    _check_numeric(encoding.numeric, architecture.n_features)
    _check_categorical(encoding.categorical, columns)
    positions = [*encoding.numeric.positions, *encoding.categorical.positions]
    require(len(set(positions)) == len(positions), "no column may be encoded twice")
    require(
        not set(encoding.numeric.positions.tolist()) & set(columns.categories),
        "a column with categories must not be encoded as numbers",
    )


def _check_numeric(numeric: NumericColumns, n_features: int) -> None:
    require(
        type(numeric) is NumericColumns,
        "the columns of numbers must be of type NumericColumns",
    )
    n_columns = len(numeric.positions)
    _check_array(numeric.positions, np.int64, (n_columns,), "positions")
    require(_within(numeric.positions, 0, n_features), "positions must be columns of X")
    require(getattr(numeric.bin_means, "ndim", 0) == 2, "bin_means must be a 2-D array")
    n_bins = numeric.bin_means.shape[1]
    require(n_bins >= 1, "there must be at least one bin")
    _check_array(numeric.bin_means, np.float64, (n_columns, n_bins), "bin_means")
    _check_array(numeric.knots, np.float64, (n_columns, n_bins + 1), "knots")
    _check_array(numeric.scores, np.float64, (n_columns, n_bins + 1), "scores")
    _check_array(numeric.has_missing, np.bool_, (n_columns,), "has_missing")
    require(_within(numeric.bin_means, 0, 1 + 1e-6), "bin_means must be from 0 to 1")
    # The layers store the scores and their differences in single precision.
    largest = float(np.finfo(np.float32).max) / 2
    require(_within(numeric.scores, -largest, largest), "scores must be finite")
    # Each row ascends, and may then be infinite to its end.
    left, right = numeric.knots[:, :-1], numeric.knots[:, 1:]
    require(
        np.isfinite(numeric.knots[:, 0]).all()
        and ((left < right) | (np.isposinf(left) & np.isposinf(right))).all(),
        "knots must ascend",
    )
    is_curved = numeric.n_knots > 2
    require((is_curved[:-1] >= is_curved[1:]).all(), "curved columns must come first")


def _check_categorical(categorical: CategoricalColumns, columns: InputColumns) -> None:
    require(
        type(categorical) is CategoricalColumns,
        "the columns with categories must be of type CategoricalColumns",
    )
    positions, n_rows = categorical.positions, len(categorical.row_column)
    n_columns = len(positions)
    _check_array(positions, np.int64, (n_columns,), "positions of categories")
    require(
        set(positions.tolist()) <= set(columns.categories),
        "a column encoded as categories must have categories",
    )
    n_slots = [FIRST_CODE_SLOT + len(columns.categories[j]) for j in positions.tolist()]
    _check_array(categorical.first_slot, np.int64, (n_columns,), "first_slot")
    require(
        categorical.first_slot.tolist() == np.cumsum([0, *n_slots])[:-1].tolist(),
        "the slots of a column must follow those of the column before it",
    )
    _check_array(categorical.slot_row, np.int64, (sum(n_slots),), "slot_row")
    _check_array(categorical.row_column, np.int64, (n_rows,), "row_column")
    _check_array(categorical.row_share, np.float64, (n_rows,), "row_share")
    require(_within(categorical.slot_row, -1, n_rows), "slot_row must be rows or -1")
    require(_within(categorical.row_column, 0, n_columns), "row_column must be columns")
    require(_within(categorical.row_share, 0, 1 + 1e-6), "shares must be from 0 to 1")


def _within(values: NDArray, least: float, end: float) -> bool:
    return bool(((values >= least) & (values < end)).all())


def _check_history(fitted: dict[str, Any], n_tasks: int) -> None:
    """Check the losses and scores of the epochs."""
    losses = fitted["loss_curve_"]
    require(_are_floats(losses), "loss_curve_ must be a list of numbers")
    require(_is_count(fitted["n_iter_"], 0), "n_iter_ must be a number of epochs")
    require(fitted["n_iter_"] == len(losses), "loss_curve_ must have n_iter_ losses")
    require(_are_floats([fitted["loss_"]]), "loss_ must be a number")
    scores, by_task = fitted["validation_scores_"], fitted["task_validation_scores_"]
    best = fitted["best_validation_score_"], fitted["best_loss_"]
    require(
        all(value is None or _are_floats([value]) for value in best),
        "the best score and loss must be numbers or None",
    )
    require(
        (scores is None) == (by_task is None),
        "validation_scores_ and task_validation_scores_ belong together",
    )
    if scores is not None:
        require(_are_floats(scores), "validation_scores_ must be a list of numbers")
        shape = len(scores), n_tasks
        _check_array(by_task, np.float64, shape, "task_validation_scores_")


def _check_out_of_bag(
    fitted: dict[str, Any], tasks: Tasks, estimator: BaseMultiTaskNet
) -> None:
    score, given = fitted.get("oob_score_"), fitted.get("oob_prediction_")
    require(
        (score is None) == (given is None),
        "oob_score_ and oob_prediction_ belong together",
    )
    if given is None:
        return
    require(_are_floats([score]), "oob_score_ must be a number")
    parts, shapes, is_probability = _forms_of_out_of_bag(given, tasks, estimator)
    is_list = type(parts) is list and len(parts) == len(shapes)
    require(is_list, "oob_prediction_ must have an array for each task")
    n_rows = len(parts[0])
    for part, shape, limited in zip(parts, shapes, is_probability, strict=True):
        _check_array(part, np.float64, (n_rows, *shape), "oob_prediction_")
        if limited:
            is_probability_or_nan = np.isnan(part) | ((part >= 0) & (part <= 1 + 1e-6))
            require(
                is_probability_or_nan.all(), "oob_prediction_ must be probabilities"
            )


def _forms_of_out_of_bag(
    given: Any, tasks: Tasks, estimator: BaseMultiTaskNet
) -> tuple[Any, list[tuple[int, ...]], list[bool]]:
    """Return the arrays, the shape of a row in each, and which are probabilities."""
    are_numbers = tasks.are_numbers
    is_table = all(kind == Binary() for kind in outputs_of(estimator, tasks))
    joins = is_table if estimator.task_types == "class" else are_numbers.all()
    if joins and estimator.task_types in ("class", "number") and not tasks.is_1d:
        return [given], [(tasks.n_tasks,)], [not are_numbers.any()]
    shapes: list[tuple[int, ...]] = [
        () if is_number else (n,)
        for is_number, n in zip(are_numbers, tasks.n_codes.tolist(), strict=True)
    ]
    return [given] if tasks.is_1d else given, shapes, (~are_numbers).tolist()


def _check_calls(calls: Any) -> None:
    """Check the state from which partial_fit continues."""
    if calls is None:
        return
    require(type(calls) is Calls, "_calls must be the state of partial_fit")
    for count in (calls.n_calls, calls.n_rows):
        require(
            count is None or _is_count(count),
            "n_calls and n_rows must be at least 1, or None",
        )
    require(_is_count(calls.n_done), "n_done must be at least 1")
    require(
        calls.n_done <= (calls.n_calls or math.inf), "n_done must not exceed n_calls"
    )
    require(
        (calls.data is None) == (calls.last_loss is None),
        "data and last_loss belong together",
    )
    if calls.data is None:
        return
    require(type(calls.data) is LabelledData, "data must be of type LabelledData")
    require(math.isfinite(calls.last_loss), "last_loss must be finite")
    for field in fields(LabelledData):
        value = getattr(calls.data, field.name)
        is_number = type(value) is field.type and math.isfinite(value)
        is_allowed = is_number and (value >= 0 or field.name.endswith("loss"))
        require(
            is_allowed,
            f"{field.name} must be a finite number, and only a loss may be negative",
        )


def _are_floats(values: Any) -> bool:
    return type(values) is list and all(type(value) is float for value in values)
