"""Meta-estimators in a file: take them apart, and put them together again."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import _SigmoidCalibration, _TemperatureScaling
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.utils.validation import check_is_fitted

from skmtl._estimators import BaseMultiTaskNet
from skmtl._persistence._consistency import check_tasks, require
from skmtl._predictions import fitted_network
from skmtl._targets import Tasks, is_binary
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.calibration._calibrated import CalibratedClassifier
from skmtl.calibration._calibrators import Calibrator, Method
from skmtl.model_selection import MultiTaskTunedThresholdClassifierCV
from skmtl.model_selection._meta_estimator import MultiTaskMetaEstimator

META_ESTIMATORS: dict[str, Any] = {
    estimator.__name__: estimator
    for estimator in (
        MultiTaskCalibratedClassifierCV,
        MultiTaskTunedThresholdClassifierCV,
    )
}
# The attributes that predictions need.
_FITTED = {
    "MultiTaskCalibratedClassifierCV": ("_tasks", "calibrated_classifiers_"),
    "MultiTaskTunedThresholdClassifierCV": (
        "_tasks",
        "estimator_",
        "best_thresholds_",
        "best_scores_",
    ),
}
_OPTIONAL = ("cv_results_",)
# Attributes that are derived from the fitted estimator and its tasks.
_DERIVED = (
    "classes_",
    "task_names_",
    "n_outputs_",
    "n_features_in_",
    "feature_names_in_",
)
# scikit-learn's calibrators and their learned attributes.
_CALIBRATORS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "sigmoid": (_SigmoidCalibration, ("a_", "b_")),
    "temperature": (_TemperatureScaling, ("beta_",)),
    "isotonic": (IsotonicRegression, ("X_thresholds_", "y_thresholds_")),
}


class Unfitted(NamedTuple):
    """An unfitted estimator: its class and its parameters."""

    kind: str
    params: dict[str, Any]


class CalibratorNumbers(NamedTuple):
    """The learned numbers of a calibrator of scikit-learn."""

    method: Method
    parts: list[list[Any]]


# Writing ------------------------------------------------------------------------------


def parts_of(estimator: MultiTaskMetaEstimator) -> dict[str, Any]:
    """Return the parameters, and the attributes that predictions need."""
    check_is_fitted(estimator)
    # They may have been changed after the fit. `load` validates them as well.
    estimator._validate_params()
    kind = type(estimator).__name__
    params = estimator.get_params(deep=False)
    fitted = {
        name: getattr(estimator, name)
        for name in (*_FITTED[kind], *_OPTIONAL)
        if name not in _OPTIONAL or hasattr(estimator, name)
    }
    unknown = sorted(set(vars(estimator)) - {*params, *fitted, *_DERIVED})
    if unknown:
        raise ValueError(
            f"A {kind} to be saved must only have attributes that skmtl knows, but has "
            f"{unknown} (for example metadata requests). Save a copy without them. Or "
            "use joblib.dump, if everyone who loads the file trusts it."
        )
    network = fitted_network(estimator)
    innermost = _innermost_of_ours(estimator)
    if network is None or network is not innermost:
        raise TypeError(
            f"A {kind} to be saved must wrap a network of skmtl, directly or through "
            "other meta-estimators of skmtl; got one that wraps "
            f"{type(innermost).__name__}. Save it with skops.io."
        )
    given = params.pop("estimator")
    is_given = given is fitted.get("estimator_") or isinstance(given, FrozenEstimator)
    return {
        "params": params,
        "estimator": None if is_given else _unfitted(given),
        "fitted": fitted,
    }


def _innermost_of_ours(estimator: Any) -> Any:
    """Return the estimator inside all the meta-estimators of ours."""
    while isinstance(estimator, MultiTaskMetaEstimator | FrozenEstimator):
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        else:
            estimator = estimator._wrapped_estimator()
    return estimator


def _unfitted(estimator: Any) -> Unfitted:
    params = estimator.get_params(deep=False)
    if "estimator" in params and not isinstance(params["estimator"], FrozenEstimator):
        params["estimator"] = _unfitted(params["estimator"])
    if "checkpoint_dir" in params:
        params["checkpoint_dir"] = None  # a folder on this machine
    return Unfitted(type(estimator).__name__, params)


def numbers_of(calibrator: Calibrator) -> CalibratorNumbers:
    """Return the learned numbers of a calibrator."""
    _, names = _CALIBRATORS[calibrator.method]
    parts = [
        [np.asarray(getattr(part, name), dtype=np.float64) for name in names]
        for part in calibrator.parts
    ]
    return CalibratorNumbers(calibrator.method, parts)


# Reading ------------------------------------------------------------------------------


def calibrator_from(calibration: CalibratorNumbers) -> Calibrator:
    """Make a calibrator from its learned numbers; the inverse of `numbers_of`."""
    make, names = _CALIBRATORS[calibration.method]
    parts = []
    for numbers in calibration.parts:
        is_sound = all(np.isfinite(n).all() and n.dtype == float for n in numbers)
        require(
            len(numbers) == len(names) and is_sound,
            f"a calibrator must have finite numbers for {', '.join(names)}",
        )
        part = make()
        if calibration.method == "isotonic":
            _set_isotonic(part, *numbers)
        else:
            for name, value in zip(names, numbers, strict=True):
                setattr(part, name, float(value))
        parts.append(part)
    return Calibrator(calibration.method, parts)


def _set_isotonic(part: IsotonicRegression, x: np.ndarray, y: np.ndarray) -> None:
    is_function = x.ndim == 1 and x.shape == y.shape and len(x) > 0
    require(
        is_function and (np.diff(x) > 0).all(),
        "the thresholds of an isotonic calibrator must ascend, with one value for each",
    )
    part.set_params(y_min=0, y_max=1, out_of_bounds="clip")
    part.X_thresholds_, part.y_thresholds_ = x, y
    part.X_min_, part.X_max_, part.increasing_ = float(x[0]), float(x[-1]), True
    part._build_f(x, y)


def meta_estimator_from(
    kind: str, estimators: dict[str, Any], content: dict[str, Any]
) -> MultiTaskMetaEstimator:
    """Make a meta-estimator from its parts; the inverse of `parts_of`.

    `estimators` are the classes that may be inside.
    """
    fitted = content["fitted"]
    is_whole = set(fitted) - set(_OPTIONAL) == set(_FITTED[kind])
    require(is_whole, f"a {kind} must have the attributes {list(_FITTED[kind])}")
    tasks = fitted["_tasks"]
    check_tasks(tasks)
    if "estimator_" in fitted:
        inner = fitted["estimator_"]
        _check_same_tasks(inner, tasks)
        _check_thresholds(fitted, tasks)
    else:
        inner = _check_pairs(fitted["calibrated_classifiers_"], tasks)
    given = content["estimator"]
    given = inner if given is None else _from_unfitted(given, estimators)
    estimator = META_ESTIMATORS[kind](estimator=given, **content["params"])
    estimator._validate_params()
    estimator.__dict__.update(fitted)
    estimator._set_fitted(tasks, inner)
    return estimator


def _from_unfitted(given: Unfitted, estimators: dict[str, Any]) -> BaseEstimator:
    require(type(given) is Unfitted, "the unfitted estimator is missing")
    params = dict(given.params)
    if isinstance(params.get("estimator"), Unfitted):
        params["estimator"] = _from_unfitted(params["estimator"], estimators)
    require(
        params.get("checkpoint_dir") is None,
        "checkpoint_dir must be None: a file must not name a folder to write to",
    )
    estimator = estimators[given.kind](**params)
    estimator._validate_params()
    return estimator


def _check_same_tasks(estimator: Any, tasks: Tasks) -> None:
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    is_ours = isinstance(estimator, BaseMultiTaskNet | MultiTaskMetaEstimator)
    require(is_ours, "the estimator inside must be one of skmtl")
    own = estimator._tasks
    is_same = own.n_tasks == tasks.n_tasks and own.is_1d == tasks.is_1d
    is_same = is_same and (own.are_numbers == tasks.are_numbers).all()
    require(is_same, "the estimator inside must have the same tasks")
    for t in np.flatnonzero(~tasks.are_numbers):
        is_known = set(own.classes[t].tolist()) <= set(tasks.classes[t].tolist())
        require(is_known, "the estimator inside must not have other classes")


def _check_pairs(pairs: Any, tasks: Tasks) -> Any:
    """Check the pairs of estimator and calibrators; return the first estimator."""
    is_list = type(pairs) is list and len(pairs) > 0
    require(is_list, "there must be at least one calibrated classifier")
    for pair in pairs:
        is_pair = type(pair) is CalibratedClassifier and type(pair.calibrators) is list
        require(is_pair, "each calibrated classifier must have a list of calibrators")
        _check_same_tasks(pair.estimator, tasks)
        require(
            len(pair.calibrators) == tasks.n_tasks,
            "there must be an entry for each task in the calibrators",
        )
        for t, calibrator in enumerate(pair.calibrators):
            _check_calibrator(calibrator, tasks, t)
    return pairs[0].estimator


def _check_calibrator(calibrator: Any, tasks: Tasks, t: int) -> None:
    if calibrator is None:
        return
    is_one = type(calibrator) is Calibrator and not tasks.are_numbers[t]
    require(is_one, "only tasks with classes may have a calibrator")
    n_classes = len(tasks.classes[t])
    is_single = is_binary(n_classes) or calibrator.method == "temperature"
    n_parts = 1 if is_single else n_classes
    require(
        len(calibrator.parts) == n_parts,
        f"the calibrator of a task must have {n_parts} parts",
    )


def _check_thresholds(fitted: dict[str, Any], tasks: Tasks) -> None:
    binary = [
        str(tasks.names[t])
        for t in np.flatnonzero(~tasks.are_numbers)
        if is_binary(len(tasks.classes[t]))
    ]
    for name in ("best_thresholds_", "best_scores_"):
        values = fitted[name]
        is_whole = type(values) is dict and list(values) == binary
        are_floats = is_whole and all(type(v) is float for v in values.values())
        require(are_floats, f"{name} must be a number for each binary task")
    results = fitted.get("cv_results_", {})
    is_part = type(results) is dict and set(results) <= set(binary)
    require(is_part, "cv_results_ must be a dict with binary tasks only")
