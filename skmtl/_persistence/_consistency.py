"""Whether the fitted attributes of an estimator fit together.

Of a file nothing can be taken for granted: what an index points at must be there, and
no size may ask for more memory than its arrays take.
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
from skmtl._network import ACTIVATIONS, Architecture, TrunkAndHeads
from skmtl._outputs import Binary, OutputKind
from skmtl._targets import Classes, Numbers, Tasks
from skmtl._training import Freeze, SolverState


def check_attributes(fitted: dict[str, Any], estimator: BaseMultiTaskNet) -> None:
    """Check all but the network, of which nothing has been built yet."""
    n_features = fitted["n_features_in_"]
    require(_is_count(n_features), "n_features_in_ is no number of columns")
    names = fitted.get("feature_names_in_")
    if names is not None:
        require(_is_text(names), "feature_names_in_ is not text")
        require(len(names) == n_features, "feature_names_in_ has another length")
    tasks, columns, state = fitted["_tasks"], fitted["_columns"], fitted["network_"]
    check_tasks(tasks)
    _check_types(tasks, estimator)
    _check_array(fitted["_is_labelled"], np.bool_, (tasks.n_tasks,), "_is_labelled")
    _check_columns(columns, n_features)
    require(type(state) is NetworkState, "network_ is no network")
    _check_architecture(state.architecture, outputs_of(estimator, tasks), n_features)
    _check_own_trunk(state, columns, estimator.trunk)
    _check_encoding(state.architecture, columns)
    _check_history(fitted, tasks.n_tasks)
    _check_out_of_bag(fitted, tasks, estimator)
    _check_calls(fitted.get("_calls"))


def check_network(network: TrunkAndHeads, solver_state: SolverState | None) -> None:
    """Check what has been built."""
    require(
        all(bool(t.isfinite().all()) for t in network.state_dict().values()),
        "the network has parameters that are not finite",
    )
    if solver_state is None:
        return
    require(type(solver_state) is SolverState, "_solver_state is no solver's state")
    require(
        type(solver_state.moments) is dict
        and all(
            type(parts) is list and all(isinstance(part, np.ndarray) for part in parts)
            for parts in solver_state.moments.values()
        ),
        "the moments are no lists of arrays",
    )
    _check_freeze(solver_state.freeze, network.trunk.n_layers)
    require(solver_state.is_of(network), "_solver_state is that of another network")
    for name, parts in solver_state.moments.items():
        least = -np.inf if name in ("mean", "velocity") else 0
        for part in parts:
            require(
                bool((part >= least).all()),  # NaN is not
                f"the solver's {name} must be numbers, and no square or count below 0",
            )
    generator = torch.Generator()
    size = (generator.get_state().numel(),)
    _check_array(solver_state.generator, np.uint8, size, "the generator's state")
    generator.set_state(torch.from_numpy(solver_state.generator))


def _check_freeze(freeze: Any, n_layers: int) -> None:
    require(type(freeze) is Freeze, "what is frozen is not said")
    require(
        _is_count(freeze.n_layers, 0) and freeze.n_layers <= n_layers,
        "more layers are frozen than there are",
    )
    require(
        freeze.n_epochs is None or _is_count(freeze.n_epochs, 0),
        "the epochs of the freeze are no number",
    )
    factor = freeze.step_factor
    is_factor = isinstance(factor, int | float) and 0 < factor < math.inf
    require(is_factor, "step_factor must be a number above 0")


def require(holds: Any, otherwise: str) -> None:
    """Refuse what does not hold."""
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
        f"{name} must be of {np.dtype(dtype)} and shape {shape}",
    )


def check_tasks(tasks: Tasks) -> None:
    """Check names, classes and scales."""
    require(type(tasks) is Tasks, "_tasks are no tasks")
    require(_is_text(tasks.names), "the names of the tasks are not text")
    require(type(tasks.targets) is list, "the tasks are no list")
    n_tasks = len(tasks.targets)
    require(n_tasks == len(tasks.names) > 0, "tasks and names differ in number")
    require(len(set(tasks.names)) == n_tasks, "two tasks have the same name")
    flags = tasks.is_named, tasks.is_1d
    require(all(type(flag) is bool for flag in flags), "a flag of the tasks is none")
    require(not tasks.is_1d or n_tasks == 1, "y of one axis has one task")
    for target in tasks.targets:
        if type(target) is Numbers:
            _check_numbers(target)
        else:
            require(type(target) is Classes, "a task has neither classes nor numbers")
            _check_classes(getattr(target, "labels", None))


def _check_classes(classes: Any) -> None:
    require(isinstance(classes, np.ndarray), "classes are no array")
    is_text = _is_text(classes)
    is_number = classes.ndim == 1 and classes.dtype.kind in "biu"
    require(is_text or is_number, "classes must be numbers, text or booleans")
    require(len(classes) > 0, "a task has no class")
    require(
        bool((classes[:-1] < classes[1:]).all()),
        "classes must be sorted, each once",
    )


def _check_numbers(target: Numbers) -> None:
    scale = [target.mean, target.scale]
    require(_are_floats(scale), "the scale of a task must be numbers")
    require(all(map(math.isfinite, scale)), "the scale of a task must be finite")
    require(target.scale >= 0, "the scale of a task must not be negative")
    factor = target.deviation_factor
    require(_are_floats([factor]), "the factor of deviations must be a number")
    require(0 <= factor < math.inf, "the factor of deviations must be finite")
    require(
        target.transformer is None,
        "a file must hold no code, but a task has a transformer, which is code; use "
        "transformer=None and transform y outside, or joblib.dump where the file stays "
        "with people who trust each other",
    )


def _check_types(tasks: Tasks, estimator: BaseMultiTaskNet) -> None:
    """A classifier has classes and a regressor numbers."""
    types, is_number = estimator.task_types, tasks.are_numbers
    if types in ("class", "number"):
        require((is_number == (types == "number")).all(), "a task is of another type")


def _check_columns(columns: InputColumns, n_features: int) -> None:
    require(type(columns) is InputColumns, "_columns are no columns")
    require(type(columns.encoding) is str, "the encoding is no text")
    require(columns.encoding in ("piecewise", "none"), "the encoding is unknown")
    require(type(columns.is_uint8) is bool, "is_uint8 is no flag")
    _check_declared(columns, n_features)
    shape = columns.row_shape
    if shape is not None:
        require(_are_counts(shape), "the shape of a row is none")
        require(math.prod(shape) == n_features, "a row has another number of columns")
    require(type(columns.categories) is dict, "the categories are no dict")
    for position, codes in columns.categories.items():
        is_position = _is_count(position, 0) and position < n_features
        require(is_position, f"{position!r} is no column with categories")
        require(type(codes) is dict, "the categories of a column are no dict")
        require(
            all(type(code) is int for code in codes.values())
            and list(codes.values()) == list(range(len(codes))),
            f"the codes of column {position} must count up from 0",
        )


def _check_declared(columns: InputColumns, n_features: int) -> None:
    declared = columns.declared
    if declared is None:
        return
    require(type(declared) is Declared, "what is declared is unknown")
    require(
        type(declared.categories) is tuple
        and set(declared.categories) <= set(columns.categories),
        "a column without categories declares them",
    )
    require(type(declared.ranges) is dict, "the declared ranges are no dict")
    for position, ends in declared.ranges.items():
        is_position = _is_count(position, 0) and position < n_features
        is_number = is_position and position not in columns.categories
        require(is_number, f"{position!r} is no column with a range")
        require(
            type(ends) is tuple and len(ends) == 2 and _are_floats(list(ends)),
            "a range has no two ends",
        )
        require(-math.inf < ends[0] < ends[1] < math.inf, "a range is none")


def _check_architecture(
    architecture: Architecture, outputs: tuple[OutputKind, ...], n_features: int
) -> None:
    require(type(architecture) is Architecture, "the network has no architecture")
    a = architecture
    require(_is_count(a.n_features), "n_features is no number of columns")
    require(a.n_features == n_features, "the network reads other columns")
    require(
        type(a.outputs) is tuple and a.outputs == outputs,
        "the network has other outputs than the tasks",
    )
    sizes = a.hidden_layer_sizes, a.head_hidden_layer_sizes
    require(all(map(_are_counts, sizes)), "sizes of layers must be at least 1")
    require(type(a.activation) is str, "activation is no text")
    require(a.activation in ACTIVATIONS, f"activation {a.activation!r} is unknown")
    for rate in (a.dropout, a.input_dropout):
        is_rate = isinstance(rate, int | float) and 0 <= rate < 1
        require(is_rate, "dropout must be from 0 to below 1")
    require(_is_count(a.n_members), "n_members must be at least 1")
    require(type(a.sharing) is str, "sharing is no text")
    require(a.make_trunk is None, "make_trunk is code")


def _check_own_trunk(state: NetworkState, columns: InputColumns, trunk: Any) -> None:
    """Nothing may be built more often than the arrays say."""
    a = state.architecture
    require(
        (a.trunk is None) == (trunk is None) and type(a.trunk) in (str, type(None)),
        "the parameter trunk asks for another network than was fitted",
    )
    require(
        type(state.arrays) is dict
        and all(
            isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
            for array in state.arrays.values()
        ),
        "the network has no arrays",
    )
    # Tasks of as many classes have their heads in the same layers.
    n_head_layers = len(set(a.outputs)) * (len(a.head_hidden_layer_sizes) + 1)
    n_modules = len(a.hidden_layer_sizes) + n_head_layers
    if a.trunk is not None:
        require(columns.encoding == "none", "the trunk reads no encoded columns")
        n_trunks = len(a.outputs) if a.sharing == "NoSharing()" else 1
        n_modules += a.n_members * n_trunks * len(trunk.channels)
        shape = columns.row_shape or (a.n_features,)
        require(_are_counts(a.input_shape), "the shape of the trunk's rows is none")
        require(a.input_shape == shape, "the trunk reads rows of another shape")
    require(n_modules <= len(state.arrays), "the network has too few arrays")


def _check_encoding(architecture: Architecture, columns: InputColumns) -> None:
    encoding = architecture.encoding
    is_encoded = columns.encoding == "piecewise"
    require((encoding is not None) == is_encoded, "columns and network differ")
    require((architecture.n_bins is not None) == is_encoded, "n_bins is out of place")
    if encoding is None:
        return
    require(_is_count(architecture.n_bins), "n_bins must be at least 1")
    require(type(encoding) is ColumnEncoding, "the encoding is none")
    require(_is_count(encoding.n_features), "its number of columns is none")
    require(encoding.n_features == architecture.n_features, "it has other columns")
    require(encoding.is_shown is None, "is_shown is out of place")
    _check_numeric(encoding.numeric, architecture.n_features)
    _check_categorical(encoding.categorical, columns)
    positions = [*encoding.numeric.positions, *encoding.categorical.positions]
    require(len(set(positions)) == len(positions), "a column is encoded twice")
    require(
        not set(encoding.numeric.positions.tolist()) & set(columns.categories),
        "a column of categories is encoded as numbers",
    )


def _check_numeric(numeric: NumericColumns, n_features: int) -> None:
    require(type(numeric) is NumericColumns, "the columns of numbers are none")
    n_columns = len(numeric.positions)
    _check_array(numeric.positions, np.int64, (n_columns,), "positions")
    require(_within(numeric.positions, 0, n_features), "a column is out of X")
    require(getattr(numeric.bin_means, "ndim", 0) == 2, "bin_means is no table")
    n_bins = numeric.bin_means.shape[1]
    require(n_bins >= 1, "there must be a bin")
    _check_array(numeric.bin_means, np.float64, (n_columns, n_bins), "bin_means")
    _check_array(numeric.knots, np.float64, (n_columns, n_bins + 1), "knots")
    _check_array(numeric.scores, np.float64, (n_columns, n_bins + 1), "scores")
    _check_array(numeric.has_missing, np.bool_, (n_columns,), "has_missing")
    require(_within(numeric.bin_means, 0, 1 + 1e-6), "bins are filled from 0 to 1")
    # The layers hold them in single precision, and their differences.
    largest = float(np.finfo(np.float32).max) / 2
    require(_within(numeric.scores, -largest, largest), "scores must be finite")
    # Ascending, and then infinity to the end.
    left, right = numeric.knots[:, :-1], numeric.knots[:, 1:]
    require(
        np.isfinite(numeric.knots[:, 0]).all()
        and ((left < right) | (np.isposinf(left) & np.isposinf(right))).all(),
        "knots must ascend",
    )
    is_curved = numeric.n_knots > 2
    require((is_curved[:-1] >= is_curved[1:]).all(), "curved columns must come first")


def _check_categorical(categorical: CategoricalColumns, columns: InputColumns) -> None:
    require(type(categorical) is CategoricalColumns, "the category columns are none")
    positions, n_rows = categorical.positions, len(categorical.row_column)
    n_columns = len(positions)
    _check_array(positions, np.int64, (n_columns,), "positions of categories")
    require(
        set(positions.tolist()) <= set(columns.categories), "a column has no categories"
    )
    n_slots = [FIRST_CODE_SLOT + len(columns.categories[j]) for j in positions.tolist()]
    _check_array(categorical.first_slot, np.int64, (n_columns,), "first_slot")
    require(
        categorical.first_slot.tolist() == np.cumsum([0, *n_slots])[:-1].tolist(),
        "the slots of a column must follow those of the one before",
    )
    _check_array(categorical.slot_row, np.int64, (sum(n_slots),), "slot_row")
    _check_array(categorical.row_column, np.int64, (n_rows,), "row_column")
    _check_array(categorical.row_share, np.float64, (n_rows,), "row_share")
    require(_within(categorical.slot_row, -1, n_rows), "a slot has no such row")
    require(_within(categorical.row_column, 0, n_columns), "a row has no such column")
    require(_within(categorical.row_share, 0, 1 + 1e-6), "shares are from 0 to 1")


def _within(values: NDArray, least: float, end: float) -> bool:
    return bool(((values >= least) & (values < end)).all())


def _check_history(fitted: dict[str, Any], n_tasks: int) -> None:
    """The losses of the epochs."""
    losses = fitted["loss_curve_"]
    require(_are_floats(losses), "loss_curve_ is no list of numbers")
    require(_is_count(fitted["n_iter_"], 0), "n_iter_ is no number of epochs")
    require(fitted["n_iter_"] == len(losses), "n_iter_ is not that of the losses")
    require(_are_floats([fitted["loss_"]]), "loss_ is no number")
    scores, by_task = fitted["validation_scores_"], fitted["task_validation_scores_"]
    best = fitted["best_validation_score_"], fitted["best_loss_"]
    require(
        all(value is None or _are_floats([value]) for value in best),
        "the best score or loss is no number",
    )
    require((scores is None) == (by_task is None), "scores of tasks are missing")
    if scores is not None:
        require(_are_floats(scores), "validation_scores_ is no list of numbers")
        shape = len(scores), n_tasks
        _check_array(by_task, np.float64, shape, "task_validation_scores_")


def _check_out_of_bag(
    fitted: dict[str, Any], tasks: Tasks, estimator: BaseMultiTaskNet
) -> None:
    score, given = fitted.get("oob_score_"), fitted.get("oob_prediction_")
    require((score is None) == (given is None), "oob_prediction_ needs oob_score_")
    if given is None:
        return
    require(_are_floats([score]), "oob_score_ must be a number")
    parts, shapes, is_probability = _forms_of_out_of_bag(given, tasks, estimator)
    is_list = type(parts) is list and len(parts) == len(shapes)
    require(is_list, "oob_prediction_ has another number of tasks")
    n_rows = len(parts[0])
    for part, shape, limited in zip(parts, shapes, is_probability, strict=True):
        _check_array(part, np.float64, (n_rows, *shape), "oob_prediction_")
        if limited:
            is_legal = np.isnan(part) | ((part >= 0) & (part <= 1 + 1e-6))
            require(is_legal.all(), "oob_prediction_ must be probabilities")


def _forms_of_out_of_bag(
    given: Any, tasks: Tasks, estimator: BaseMultiTaskNet
) -> tuple[Any, list[tuple[int, ...]], list[bool]]:
    """The arrays, the shape of a row in each, and which of them are probabilities."""
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
    """What partial_fit goes on with."""
    if calls is None:
        return
    require(type(calls) is Calls, "_calls are no calls of partial_fit")
    for count in (calls.n_calls, calls.n_rows):
        require(count is None or _is_count(count), "a number of calls or rows is none")
    require(_is_count(calls.n_done), "no call of partial_fit was done")
    require(calls.n_done <= (calls.n_calls or math.inf), "there were too many calls")
    require((calls.data is None) == (calls.last_loss is None), "_calls do not fit")
    if calls.data is None:
        return
    require(type(calls.data) is LabelledData, "_calls are about no labels")
    require(math.isfinite(calls.last_loss), "the last loss is not finite")
    for field in fields(LabelledData):
        value = getattr(calls.data, field.name)
        is_number = type(value) is field.type and math.isfinite(value)
        is_legal = is_number and (value >= 0 or field.name.endswith("loss"))
        require(is_legal, f"{field.name} of the labels must be a number")


def _are_floats(values: Any) -> bool:
    return type(values) is list and all(type(value) is float for value in values)
