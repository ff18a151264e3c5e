"""`to_onnx`: write a fitted estimator as a file that onnxruntime can run."""

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import skmtl
from skmtl._files import replaced


def to_onnx(estimator: Any, path: str | os.PathLike, X=None) -> None:
    """Write a fitted estimator as an ONNX model, which runs without torch.

    The model reads the raw columns of `X` (numbers with missing values, categories as
    text). It returns the probabilities and the label of every task with classes, and
    the value of every numeric task in its own units. It includes all members and
    averages them. To write it you need the package onnx; to run it, only onnxruntime.

    Parameters
    ----------
    estimator : estimator
        A fitted MultiTaskNetClassifier, MultiTaskNetRegressor or MultiTaskNet; a
        MultiTaskCalibratedClassifierCV or MultiTaskTunedThresholdClassifierCV that
        wraps one; a FrozenEstimator or a search around these; or a Pipeline that ends
        with one of these and whose other steps skl2onnx can convert.
    path : str or path-like
        Name of the file, for example "model.onnx". An existing file is replaced.
    X : array-like or DataFrame, default=None
        Some rows of `X`. They are only used for a Pipeline, and only needed if some
        columns contain text.

    Raises
    ------
    ImportError
        If onnx is not installed, or onnxscript (to export your own trunk), or skl2onnx
        (to convert the steps of a Pipeline).
    TypeError
        If the estimator, or the sharing of its network, is not supported.
    ValueError
        If a part cannot be written as ONNX: a trunk that torch cannot export, a
        `transformer` other than the supported ones, categories that are neither text
        nor numbers, or steps that skl2onnx does not support.
    NotFittedError
        If the estimator is not fitted.
    OSError
        If the file cannot be written.

    Warns
    -----
    UserWarning
        If skl2onnx supports a step of a Pipeline only in float32.

    See Also
    --------
    save : Write a file that skmtl can load.

    Notes
    -----
    Inputs: if all columns are numbers, there is one matrix "X" (n, n_features). It is
    float64 if the network encodes its columns, and float32 otherwise
    (`input_encoding="none"`, or sparse `X`, which is dense here). Images keep their
    axes and, if they were uint8, their dtype. If there are categories, each column is
    an input (n, 1) with the name of the column: text if its categories are text, and
    float64 otherwise. NaN is a missing number. A missing category is "", "nan", "None"
    or "<NA>"; the last three are what onnxruntime makes of other missing values.

    Outputs: for classes, "<task>.label" (n,) and "<task>.proba" (n, n_classes). For
    numbers, "<task>.value" (n,) and, with `loss="gaussian"`, "<task>.std" (n,).
    Probabilities and numbers are float64. If `predict` would raise an error for a row,
    for example because of infinity, the model returns NaN, and the first class as the
    label.

    The metadata contains the names, types, classes and thresholds of the tasks
    ("tasks") and the names of the columns ("feature_names") as JSON, and
    "skmtl_version".

    Examples
    --------
    The model gives the probabilities of the estimator:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import onnxruntime
    >>> import skmtl
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 3))
    >>> clf = skmtl.MultiTaskNetClassifier(max_iter=5).fit(X, X[:, :2] > 0)
    >>> path = Path(tempfile.mkdtemp()) / "model.onnx"
    >>> skmtl.to_onnx(clf, path)
    >>> session = onnxruntime.InferenceSession(path)
    >>> (p,) = session.run(["task_1.proba"], {"X": X})
    >>> bool(np.abs(p[:, 1] - clf.predict_proba(X)[:, 1]).max() < 1e-5)
    True
    """
    if find_spec("onnx") is None:
        raise ImportError(
            "to_onnx needs the package onnx, which is not installed. Install "
            "skmtl[onnx]."
        )
    export = import_module("skmtl._onnx._export")
    model = export.model_of(estimator, X, skmtl.__version__)
    with replaced(Path(path)) as part:
        part.write_bytes(model.SerializeToString())
