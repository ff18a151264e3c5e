"""save and load: a fitted estimator as one file that runs no code.

The file is safetensors: arrays by their names, and beside them a JSON document of what
is left. Values that are neither JSON nor arrays are objects `{tag: content}`.
"""

import inspect
import math
import os
from collections.abc import Callable
from dataclasses import fields
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skmtl._estimators import (
    BaseMultiTaskNet,
    MultiTaskNet,
    MultiTaskNetClassifier,
    MultiTaskNetRegressor,
)
from skmtl._estimators._automatic import LabelledData
from skmtl._estimators._chunks import Calls
from skmtl._estimators._network_state import NetworkState, build_from_state
from skmtl._files import FileError, read_file, write_file
from skmtl._inputs import (
    CategoricalColumns,
    ColumnEncoding,
    Declared,
    InputColumns,
    NumericColumns,
)
from skmtl._network import Architecture
from skmtl._outputs import KINDS, kind_of_classes
from skmtl._persistence._consistency import check_attributes, check_network
from skmtl._persistence._meta_estimators import (
    META_ESTIMATORS,
    CalibratorNumbers,
    Unfitted,
    calibrator_from,
    meta_estimator_from,
    numbers_of,
    parts_of,
)
from skmtl._targets import Classes, Numbers, Tasks
from skmtl._training import Freeze, SolverState
from skmtl.calibration._calibrated import CalibratedClassifier
from skmtl.calibration._calibrators import Calibrator
from skmtl.model_selection import (
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    MultiTaskStratifiedShuffleSplit,
)
from skmtl.model_selection._meta_estimator import MultiTaskMetaEstimator
from skmtl.sharing import HardSharing, NoSharing
from skmtl.trunks import ConvTrunk, UnfreezeAfter

_ESTIMATORS: dict[str, Any] = {
    estimator.__name__: estimator
    for estimator in (MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor)
}
# Of a file, by the name of the estimator in it.
_KINDS = {name: f"skmtl.{name}" for name in (*_ESTIMATORS, *META_ESTIMATORS)}
# What a prediction and a further call of partial_fit need, besides the network.
_FITTED = (
    "n_features_in_",
    "_tasks",
    "_is_labelled",
    "_columns",
    "network_",
    "loss_curve_",
    "n_iter_",
    "loss_",
    "validation_scores_",
    "task_validation_scores_",
    "best_validation_score_",
    "best_loss_",
)
_OPTIONAL = (
    "feature_names_in_",
    "_solver_state",
    "_calls",
    "oob_score_",
    "oob_prediction_",
)
# Follow from the tasks.
_DERIVED = ("task_names_", "classes_", "task_types_", "n_outputs_")
_RECORDS: dict[str, Any] = {
    record.__name__: record
    for record in (
        Architecture,
        Calls,
        CategoricalColumns,
        Classes,
        ColumnEncoding,
        Declared,
        InputColumns,
        LabelledData,
        NetworkState,
        Numbers,
        NumericColumns,
        SolverState,
        Tasks,
        *KINDS,
    )
}
_TUPLES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (CalibratedClassifier, CalibratorNumbers, Freeze, Unfitted)
}
_SPLITTERS: dict[str, Any] = {
    splitter.__name__: splitter
    for splitter in (
        MultiTaskStratifiedGroupKFold,
        MultiTaskStratifiedKFold,
        MultiTaskStratifiedShuffleSplit,
    )
}
# Their parameters are all that they are.
_SPECS: dict[str, Any] = {
    spec.__name__: spec
    for spec in (ConvTrunk, FrozenEstimator, HardSharing, NoSharing, UnfreezeAfter)
}
_ADVICE = (
    "Where the file stays with people who trust each other, joblib.dump saves any "
    "estimator."
)


def save(estimator: Any, path: str | os.PathLike) -> None:
    """Write a fitted estimator to a file that can be loaded without running code.

    The file holds the weights in the safetensors format and all else as JSON in its
    header, but for `checkpoint_dir`, which is a place on this machine. It is written
    whole or not at all.

    Parameters
    ----------
    estimator : MultiTaskNetClassifier, MultiTaskNetRegressor or MultiTaskNet
        A fitted estimator, or a MultiTaskCalibratedClassifierCV or
        MultiTaskTunedThresholdClassifierCV around one.
    path : str or path-like
        Name of the file, by habit with the suffix `.safetensors`. A file that is there
        is replaced.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is another estimator. A Pipeline goes through `skops.io`.
    ValueError
        If a part of it is code or an object that the file has no words for: a trunk or
        a sharing of your own, a transformer, a RandomState, categories that are neither
        text, numbers nor times, callbacks, metadata requests.

    See Also
    --------
    load : Read the file.
    to_onnx : Write a model that runs without torch and skmtl.
    joblib.dump : Saves every estimator, but whoever loads it runs its code.

    Examples
    --------
    Probabilities are the same to the last bit:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import skmtl
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 3))
    >>> clf = skmtl.MultiTaskNetClassifier(max_iter=5).fit(X, X > 0)
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> skmtl.save(clf, path)
    >>> bool((skmtl.load(path).predict_proba(X) == clf.predict_proba(X)).all())
    True
    """
    write_model(estimator, path)


def write_model(estimator: Any, path: str | os.PathLike, metadata: Any = None) -> None:
    """`save`, with JSON about the table that the estimator was fitted on."""
    kind = type(estimator)
    if (_ESTIMATORS | META_ESTIMATORS).get(kind.__name__) is not kind:
        raise TypeError(
            f"estimator must be one of {list(_KINDS)}; got an object of type "
            f"{kind.__name__}. Save a Pipeline with skops.io, and of a "
            "search the best_estimator_."
        )
    writer = _Writer()
    document = writer.encode(estimator, "estimator")
    if metadata is not None:
        document = {"estimator": document, "metadata": metadata}
    write_file(path, _KINDS[kind.__name__], document, writer.arrays)


def load(path: str | os.PathLike) -> Any:
    """Read an estimator that `save` has written, also a stranger's.

    Nothing is unpickled or run. Sizes and types are checked before memory is taken,
    a checksum finds damage, and whatever is not known is refused. What a model
    predicts is another matter: trust its author for that.

    Parameters
    ----------
    path : str or path-like
        Name of the file.

    Returns
    -------
    estimator : estimator
        The fitted estimator that was saved, on the CPU.

    Raises
    ------
    ValueError
        If the file is damaged, was not written by `save`, or has a later version of the
        format.
    OSError
        If there is no such file, or it cannot be read.

    See Also
    --------
    save : Write the file.

    Examples
    --------
    What is no model is refused:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import skmtl
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> _ = path.write_bytes(b"something else")
    >>> skmtl.load(path)
    Traceback (most recent call last):
        ...
    ValueError: ... is not a model that skmtl.save has written: it is too short, ...
    """
    return read_model(path)[0]


def read_model(path: str | os.PathLike) -> tuple[Any, Any]:
    """The estimator, and the JSON that `write_model` was given beside it."""
    metadata = None
    try:
        document, arrays = read_file(path, _KINDS.values())
        if isinstance(document, dict) and set(document) == {"estimator", "metadata"}:
            document, metadata = document["estimator"], document["metadata"]
        reader = _Reader(arrays)
        estimator = reader.decode(document)
        is_one = isinstance(estimator, BaseMultiTaskNet | MultiTaskMetaEstimator)
        if not is_one or reader.arrays:
            raise FileError("it holds something else than one estimator")
    # Whatever Python says of a value that is of another type than it must be.
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a model that skmtl.save has written: {error}. "
            "Get the file again, or save the model anew."
        ) from error
    return estimator, metadata


class _Writer:
    """Values as JSON, and the arrays that it names."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray] = {}

    def encode(self, value: Any, path: str) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if kind is list:
            return self._encode_all(value, path)
        if kind is tuple:
            return {"tuple": self._encode_all(value, path)}
        if kind is dict:
            return {"dict": self._encode_pairs(value, path)}
        if isinstance(value, np.generic):
            return {"scalar": self._encode_array(np.asarray(value), path)}
        if isinstance(value, np.ndarray):
            return self._encode_array(value, path)
        if kind in (datetime, date):
            return {kind.__name__: value.isoformat()}
        if kind is timedelta:
            return {"timedelta": [value.days, value.seconds, value.microseconds]}
        if _ESTIMATORS.get(kind.__name__) is kind:
            return {kind.__name__: self._encode_estimator(value, path)}
        if META_ESTIMATORS.get(kind.__name__) is kind:
            return {kind.__name__: self._encode_meta_estimator(value, path)}
        if kind is Calibrator:
            return self.encode(numbers_of(value), path)
        return {kind.__name__: self._encode_fields(_fields_of(value, path), path)}

    def _encode_meta_estimator(self, estimator: Any, path: str) -> dict[str, Any]:
        parts = parts_of(estimator)
        return {
            "params": self._encode_fields(parts["params"], path),
            "estimator": self.encode(parts["estimator"], f"{path}/estimator"),
            "fitted": self._encode_fields(parts["fitted"], path),
        }

    def _encode_all(self, values: Any, path: str) -> list[Any]:
        return [self.encode(v, f"{path}/{i}") for i, v in enumerate(values)]

    def _encode_pairs(self, values: dict, path: str) -> list[Any]:
        return [
            [self.encode(key, path), self.encode(value, f"{path}/{key}")]
            for key, value in values.items()
        ]

    def _encode_fields(self, values: dict[str, Any], path: str) -> dict[str, Any]:
        return {
            name: self.encode(value, f"{path}/{name}") for name, value in values.items()
        }

    def _encode_array(self, array: NDArray, path: str) -> Any:
        if array.dtype.kind == "O":
            items = self._encode_all(array.ravel(), path)
            return {"objects": {"shape": list(array.shape), "items": items}}
        if array.dtype.kind == "U":
            # As numbers: text of very different lengths would take little room in
            # JSON and much in memory.
            array = np.array(array, order="C", dtype=array.dtype.newbyteorder("="))
            return self._name("text", array[..., None].view(np.uint32), path)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise _cannot_save(array.dtype, path)
        return self._name("array", array, path)

    def _name(self, tag: str, array: NDArray, path: str) -> dict[str, str]:
        while path in self.arrays:  # a key of a dict may look like a path
            path += "'"
        self.arrays[path] = array
        return {tag: path}

    def _encode_estimator(self, estimator: Any, path: str) -> dict[str, Any]:
        check_is_fitted(estimator)
        estimator._validate_params()  # they may have been set since, and load does too
        params = estimator.get_params(deep=False)
        params["checkpoint_dir"] = None  # a place on this machine
        known = {*params, *_FITTED, *_OPTIONAL, *_DERIVED}
        unknown = sorted(set(vars(estimator)) - known)
        if unknown:
            raise ValueError(
                f"A saved estimator has no place for {unknown} (callbacks, metadata "
                f"requests and the like). Save a copy without them. {_ADVICE}"
            )
        state = estimator.__getstate__()
        if not isinstance(state["network_"], NetworkState):
            raise ValueError(
                "A saved estimator must be made of parts of skmtl alone, but has a "
                "trunk or a sharing of your own, which is code (or these parameters "
                f"were changed after the fit). {_ADVICE}"
            )
        fitted = {name: state[name] for name in (*_FITTED, *_OPTIONAL) if name in state}
        check_attributes(fitted, estimator)
        check_network(estimator.network_, fitted.get("_solver_state"))
        return {
            "params": self._encode_fields(params, path),
            "fitted": self._encode_fields(fitted, path),
        }


def _fields_of(value: Any, path: str) -> dict[str, Any]:
    """What an object is made of, by name."""
    kind = type(value)
    if _TUPLES.get(kind.__name__) is kind:
        return value._asdict()
    if _SPLITTERS.get(kind.__name__) is kind:
        names = inspect.signature(kind).parameters
        return {name: getattr(value, name) for name in names}
    if _RECORDS.get(kind.__name__) is kind:
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if _SPECS.get(kind.__name__) is kind:
        return value.get_params(deep=False)
    raise _cannot_save(kind.__name__, path)


def _cannot_save(what: Any, path: str) -> ValueError:
    return ValueError(
        "A saved estimator must hold numbers, text, times, arrays, lists and dicts of "
        f"them, but {path} is of type {what}. Change the parameter or the data. "
        f"{_ADVICE}"
    )


class _Reader:
    """The way back. Each array is used once."""

    def __init__(self, arrays: dict[str, NDArray]) -> None:
        self.arrays = arrays
        self._decoders: dict[str, Callable[[Any], Any]] = {
            "float": {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}.__getitem__,
            "tuple": lambda content: tuple(self._decode_all(content)),
            "dict": self._decode_dict,
            "array": self._decode_array,
            "scalar": self._decode_scalar,
            "text": self._decode_text,
            "objects": self._decode_objects,
            "datetime": datetime.fromisoformat,
            "date": date.fromisoformat,
            "timedelta": lambda content: timedelta(*content),
            "Architecture": self._decode_architecture,
            "Tasks": self._decode_tasks,
        }

    def decode(self, node: Any) -> Any:
        if isinstance(node, float) and not math.isfinite(node):
            raise FileError("it has a number that is too large")
        if isinstance(node, list):
            return self._decode_all(node)
        if not isinstance(node, dict):
            return node
        if len(node) != 1:
            raise FileError("it has an object without a type")
        ((tag, content),) = node.items()
        if tag in self._decoders:
            return self._decoders[tag](content)
        if tag in _ESTIMATORS:
            return self._decode_estimator(_ESTIMATORS[tag], content)
        if tag in _RECORDS:
            return _RECORDS[tag](**self._decode_fields(content))
        if tag == "CalibratorNumbers":
            return calibrator_from(CalibratorNumbers(**self._decode_fields(content)))
        if tag in _TUPLES | _SPLITTERS:
            return (_TUPLES | _SPLITTERS)[tag](**self._decode_fields(content))
        if tag in META_ESTIMATORS:
            return self._decode_meta_estimator(tag, content)
        if tag in _SPECS:
            return self._decode_spec(tag, content)
        raise FileError(f"it has an object of the unknown type {tag!r}")

    def _decode_all(self, nodes: Any) -> list[Any]:
        if not isinstance(nodes, list):
            raise FileError("it has something else where a list must be")
        return [self.decode(node) for node in nodes]

    def _decode_fields(self, content: Any) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise FileError("it has something else where fields must be")
        return {name: self.decode(node) for name, node in content.items()}

    def _decode_dict(self, content: Any) -> dict[Any, Any]:
        pairs = self._decode_all(content)
        result = {key: value for key, value in pairs}
        if len(result) < len(pairs):
            raise FileError("it has a key twice")
        return result

    def _decode_array(self, name: Any) -> NDArray:
        return self.arrays.pop(name)

    def _decode_scalar(self, node: Any) -> Any:
        array = self.decode(node)
        if not isinstance(array, np.ndarray) or array.ndim > 0:
            raise FileError("it has an array where a number must be")
        return array[()]

    def _decode_text(self, name: Any) -> NDArray:
        codes = self.arrays.pop(name)
        if codes.dtype != np.uint32 or codes.ndim < 1 or codes.shape[-1] < 1:
            raise FileError("it has text that is none")
        if (codes > 0x10FFFF).any():
            raise FileError("it has letters that are none")
        return np.asarray(codes.view(f"=U{codes.shape[-1]}")[..., 0])

    def _decode_objects(self, content: Any) -> NDArray:
        items = self._decode_all(content["items"])
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return array.reshape(content["shape"])

    def _decode_spec(self, tag: str, content: Any) -> Any:
        spec = _SPECS[tag](**self._decode_fields(content))
        if isinstance(spec, FrozenEstimator):
            inside = BaseMultiTaskNet | MultiTaskMetaEstimator
            if not isinstance(spec.estimator, inside):
                raise FileError("a frozen estimator is not one of skmtl")
        elif hasattr(spec, "_parameter_constraints"):
            spec._validate_params()
        return spec

    def _decode_architecture(self, content: Any) -> Architecture:
        values = self._decode_fields(content)
        if "n_classes" in values:  # until version 0.1 all tasks had classes
            outputs = map(kind_of_classes, values.pop("n_classes"))
            values["outputs"] = tuple(outputs)
        return Architecture(**values)

    def _decode_tasks(self, content: Any) -> Tasks:
        values = self._decode_fields(content)
        if "classes" in values:  # until version 0.1
            values["targets"] = list(map(Classes, values.pop("classes")))
        return Tasks(**values)

    def _decode_estimator(self, kind: Any, content: Any) -> BaseMultiTaskNet:
        estimator: BaseMultiTaskNet = kind(**self._decode_fields(content["params"]))
        estimator._validate_params()
        if estimator.checkpoint_dir is not None:
            raise FileError("it names a folder to write to")
        fitted = self._decode_fields(content["fitted"])
        if not set(_FITTED) <= set(fitted) <= {*_FITTED, *_OPTIONAL}:
            raise FileError("the estimator has other attributes than it must have")
        check_attributes(fitted, estimator)
        state, columns = fitted.pop("network_"), fitted["_columns"]
        network = build_from_state(state, estimator.trunk, columns)
        check_network(network, fitted.get("_solver_state"))
        is_labelled = fitted["_is_labelled"]
        derived = estimator._attributes_of(fitted["_tasks"], network, is_labelled)
        estimator.__dict__.update(fitted | derived)
        return estimator

    def _decode_meta_estimator(self, tag: str, content: Any) -> MultiTaskMetaEstimator:
        parts = {
            "params": self._decode_fields(content["params"]),
            "estimator": self.decode(content["estimator"]),
            "fitted": self._decode_fields(content["fitted"]),
        }
        return meta_estimator_from(tag, _ESTIMATORS | META_ESTIMATORS, parts)
