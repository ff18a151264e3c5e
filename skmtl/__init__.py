"""Multi-task learning with missing labels for scikit-learn.

`MultiTaskNetClassifier`, `MultiTaskNetRegressor` and, for classes and numbers together,
`MultiTaskNet` train one neural network on many tasks at once. The tasks share layers
(the trunk), and each task has its own head. NaN in `y` means that nobody measured this
label: the loss uses every observed label and ignores the missing ones.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmtl._estimators import (
        MultiTaskNet,
        MultiTaskNetClassifier,
        MultiTaskNetRegressor,
    )
    from skmtl._onnx import to_onnx
    from skmtl._persistence import load, save
    from skmtl._prediction_files import write_predictions
    from skmtl._report import Report, report
    from skmtl._task_views import observed_rows, task_view, task_views

__version__ = "0.2.0"
__all__ = [
    "MultiTaskNet",
    "MultiTaskNetClassifier",
    "MultiTaskNetRegressor",
    "Report",
    "__version__",
    "calibration",
    "datasets",
    "inspection",
    "load",
    "metrics",
    "model_selection",
    "observed_rows",
    "report",
    "save",
    "sharing",
    "task_view",
    "task_views",
    "to_onnx",
    "trunks",
    "write_predictions",
]

_ESTIMATORS = ("MultiTaskNet", "MultiTaskNetClassifier", "MultiTaskNetRegressor")
_SUBMODULES = (
    "calibration",
    "datasets",
    "inspection",
    "metrics",
    "model_selection",
    "sharing",
    "trunks",
)


def __getattr__(name: str) -> Any:
    # Names are imported lazily, so that `import skmtl.model_selection` needs no torch.
    if name in _ESTIMATORS:
        return getattr(import_module("skmtl._estimators"), name)
    if name == "to_onnx":
        return import_module("skmtl._onnx").to_onnx
    if name == "write_predictions":
        return import_module("skmtl._prediction_files").write_predictions
    if name in ("load", "save"):
        return getattr(import_module("skmtl._persistence"), name)
    if name in ("Report", "report"):
        return getattr(import_module("skmtl._report"), name)
    if name in ("observed_rows", "task_view", "task_views"):
        return getattr(import_module("skmtl._task_views"), name)
    if name in _SUBMODULES:
        return import_module(f"skmtl.{name}")
    raise AttributeError(f"module 'skmtl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
