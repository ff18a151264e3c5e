"""`save` and `load`: a fitted estimator in one file. Loading it runs no code.

The file has the safetensors format: named arrays, and a JSON document for everything
else. In it, a value that JSON has no type for is an object `{tag: content}`.
"""

import inspect
import math
import os
import re
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
# The kind of a file, by the name of the estimator in it.
_KINDS = {name: f"skmtl.{name}" for name in (*_ESTIMATORS, *META_ESTIMATORS)}
# What predictions and further calls of partial_fit need.
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
# Attributes that are derived from the tasks and the network.
_DERIVED = (
    "task_names_",
    "classes_",
    "task_types_",
    "n_outputs_",
    "ridge_share_",
    "logistic_share_",
)
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
# Objects that their parameters describe completely.
_SPECS: dict[str, Any] = {
    spec.__name__: spec
    for spec in (ConvTrunk, FrozenEstimator, HardSharing, NoSharing, UnfreezeAfter)
}
_ADVICE = (
    "Or use joblib.dump, which saves any estimator, if everyone who loads the file "
    "trusts it."
)


def save(estimator: Any, path: str | os.PathLike) -> None:
    """Write a fitted estimator to a file that can be loaded without running code.

    The file has the safetensors format: the weights are arrays, and everything else is
    JSON in its header. Only `checkpoint_dir` is left out, since it is a folder on this
    machine. If an error occurs, an existing file stays as it was.

    Parameters
    ----------
    estimator : MultiTaskNetClassifier, MultiTaskNetRegressor or MultiTaskNet
        A fitted estimator, or a fitted MultiTaskCalibratedClassifierCV or
        MultiTaskTunedThresholdClassifierCV that wraps one.
    path : str or path-like
        Name of the file, usually with the suffix `.safetensors`. An existing file is
        replaced.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is any other estimator. Save a Pipeline with `skops.io`.
    ValueError
        If a part of it is code, or an object that the file format does not support:
        your own trunk or sharing, a transformer, a RandomState, categories other than
        text, numbers and times, callbacks, or metadata requests.

    See Also
    --------
    load : Read the file.
    to_onnx : Write a model that runs without torch and skmtl.
    joblib.dump : Save any estimator, in a file that may run code when it is loaded.

    Examples
    --------
    The loaded estimator gives exactly the same probabilities:

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
    """Save an estimator, with JSON about the table that it was fitted on."""
    kind = type(estimator)
    if (_ESTIMATORS | META_ESTIMATORS).get(kind.__name__) is not kind:
        raise TypeError(
            f"estimator must be one of {list(_KINDS)}; got an object of type "
            f"{kind.__name__}. Save a Pipeline with skops.io. For a search, save its "
            "best_estimator_."
        )
    writer = _Writer()
    document = writer.encode(estimator, "estimator")
    if metadata is not None:
        document = {"estimator": document, "metadata": metadata}
    write_file(path, _KINDS[kind.__name__], document, writer.arrays)


def load(path: str | os.PathLike) -> Any:
    """Read an estimator that `save` wrote, also from a source that you do not trust.

    Nothing is unpickled or run. `load` checks sizes and types before it allocates
    memory, verifies a checksum, and raises for anything unknown in the file. Whether
    the predictions of the model can be trusted is another question.

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
        If the file is damaged, was not written by `save`, or was written in a later
        version of the format.
    OSError
        If the file does not exist or cannot be read.

    See Also
    --------
    save : Write the file.

    Examples
    --------
    Any other file raises an error:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import skmtl
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> _ = path.write_bytes(b"something else")
    >>> skmtl.load(path)
    Traceback (most recent call last):
        ...
    ValueError: ... is not a model written by skmtl.save: it is too short, ...
    """
    return read_model(path)[0]


def read_model(path: str | os.PathLike) -> tuple[Any, Any]:
    """Return the estimator, and the JSON that was given to `write_model`."""
    metadata = None
    try:
        document, arrays = read_file(path, _KINDS.values())
        if isinstance(document, dict) and set(document) == {"estimator", "metadata"}:
            document, metadata = document["estimator"], document["metadata"]
        reader = _Reader(arrays)
        estimator = reader.decode(document)
        is_one = isinstance(estimator, BaseMultiTaskNet | MultiTaskMetaEstimator)
        if not is_one or reader.arrays:
            raise FileError("it must contain exactly one estimator")
    # All that Python may raise for a value of the wrong type.
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
            f"{os.fspath(path)!r} is not a model written by skmtl.save: {error}. Get "
            "the file again, or save the model again."
        ) from error
    return estimator, metadata


class _Writer:
    """Converts values to JSON, and collects the arrays that the JSON refers to."""

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
            # As numbers: in JSON, text of very different lengths would take little
            # space, but much memory when it is loaded.
            array = np.array(array, order="C", dtype=array.dtype.newbyteorder("="))
            return self._name("text", array[..., None].view(np.uint32), path)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise _cannot_save(array.dtype, path)
        return self._name("array", array, path)

    def _name(self, tag: str, array: NDArray, path: str) -> dict[str, str]:
        while path in self.arrays:  # the key of a dict may look like a path
            path += "'"
        self.arrays[path] = array
        return {tag: path}

    def _encode_estimator(self, estimator: Any, path: str) -> dict[str, Any]:
        check_is_fitted(estimator)
        # They may have been changed after the fit. `load` validates them as well.
        estimator._validate_params()
        params = estimator.get_params(deep=False)
        params["checkpoint_dir"] = None  # a folder on this machine
        known = {*params, *_FITTED, *_OPTIONAL, *_DERIVED}
        unknown = sorted(set(vars(estimator)) - known)
        if unknown:
            raise ValueError(
                "An estimator to be saved must only have attributes that skmtl knows, "
                f"but has {unknown} (for example callbacks or metadata requests). Save "
                f"a copy without them. {_ADVICE}"
            )
        state = estimator.__getstate__()
        if not isinstance(state["network_"], NetworkState):
            raise ValueError(
                "An estimator to be saved must only have parts of skmtl, but has your "
                "own trunk or sharing, which is code (or these parameters were changed "
                f"after the fit). Use a trunk and a sharing of skmtl. {_ADVICE}"
            )
        fitted = {name: state[name] for name in (*_FITTED, *_OPTIONAL) if name in state}
        check_attributes(fitted, estimator)
        check_network(estimator.network_, fitted.get("_solver_state"))
        return {
            "params": self._encode_fields(params, path),
            "fitted": self._encode_fields(fitted, path),
        }


def _fields_of(value: Any, path: str) -> dict[str, Any]:
    """Return the parts of an object, by name."""
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
    of_column = re.search(r"/_columns/categories/(\d+)", path)
    if of_column:
        path = f"a category in column {of_column[1]} of X (counted from 0)"
        advice = "Fit with text there, X[column].astype(str).astype('category')."
    else:
        advice = "Change the parameter or the data."
    return ValueError(
        "An estimator to be saved must only contain numbers, text and times, and "
        f"arrays, lists and dicts of them, but {path} is of type {what}. {advice} "
        f"{_ADVICE}"
    )


class _Reader:
    """Converts JSON back to values. Each array is used once."""

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
            raise FileError("one of its numbers is too large")
        if isinstance(node, list):
            return self._decode_all(node)
        if not isinstance(node, dict):
            return node
        if len(node) != 1:
            raise FileError("each object in its JSON must have exactly one type")
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
        raise FileError(f"it contains an object of the unknown type {tag!r}")

    def _decode_all(self, nodes: Any) -> list[Any]:
        if not isinstance(nodes, list):
            raise FileError("its JSON must have a list here, but has another value")
        return [self.decode(node) for node in nodes]

    def _decode_fields(self, content: Any) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise FileError("its JSON must have an object here, but has another value")
        return {name: self.decode(node) for name, node in content.items()}

    def _decode_dict(self, content: Any) -> dict[Any, Any]:
        pairs = self._decode_all(content)
        result = {key: value for key, value in pairs}
        if len(result) < len(pairs):
            raise FileError("one of its dicts contains a key twice")
        return result

    def _decode_array(self, name: Any) -> NDArray:
        return self.arrays.pop(name)

    def _decode_scalar(self, node: Any) -> Any:
        array = self.decode(node)
        if not isinstance(array, np.ndarray) or array.ndim > 0:
            raise FileError("a scalar must be a single number")
        return array[()]

    def _decode_text(self, name: Any) -> NDArray:
        codes = self.arrays.pop(name)
        if codes.dtype != np.uint32 or codes.ndim < 1 or codes.shape[-1] < 1:
            raise FileError("text must be an array of uint32")
        if (codes > 0x10FFFF).any():
            raise FileError("text must consist of Unicode characters")
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
                raise FileError("a frozen estimator must be one of skmtl")
        elif hasattr(spec, "_parameter_constraints"):
            spec._validate_params()
        return spec

    def _decode_architecture(self, content: Any) -> Architecture:
        values = self._decode_fields(content)
        if "n_classes" in values:  # up to version 0.1, all tasks had classes
            outputs = map(kind_of_classes, values.pop("n_classes"))
            values["outputs"] = tuple(outputs)
        return Architecture(**values)

    def _decode_tasks(self, content: Any) -> Tasks:
        values = self._decode_fields(content)
        if "classes" in values:  # up to version 0.1
            values["targets"] = list(map(Classes, values.pop("classes")))
        return Tasks(**values)

    def _decode_estimator(self, kind: Any, content: Any) -> BaseMultiTaskNet:
        estimator: BaseMultiTaskNet = kind(**self._decode_fields(content["params"]))
        estimator._validate_params()
        if estimator.checkpoint_dir is not None:
            raise FileError(
                "checkpoint_dir must be None: a file must not name a folder to write to"
            )
        fitted = self._decode_fields(content["fitted"])
        if not set(_FITTED) <= set(fitted) <= {*_FITTED, *_OPTIONAL}:
            raise FileError(
                f"the estimator must have the attributes {list(_FITTED)}, and no "
                f"others except {list(_OPTIONAL)}"
            )
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
