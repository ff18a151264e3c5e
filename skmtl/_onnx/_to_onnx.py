"""to_onnx: a fitted estimator as a file that onnxruntime runs, without torch."""

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import skmtl
from skmtl._files import replaced


def to_onnx(estimator: Any, path: str | os.PathLike, X=None) -> None:
    """Write a fitted estimator as an ONNX model, which runs without torch.

    The model reads the columns of `X` as they are (numbers with missing values,
    categories as text) and gives probabilities and labels of every task, numbers in
    their own units. Members are averaged inside. Writing needs the package onnx,
    running needs onnxruntime alone.

    Parameters
    ----------
    estimator : estimator
        A fitted MultiTaskNetClassifier, MultiTaskNetRegressor or MultiTaskNet; a
        MultiTaskCalibratedClassifierCV or MultiTaskTunedThresholdClassifierCV around
        one; a FrozenEstimator or a search around these; or a Pipeline that ends with
        one of these and whose other steps skl2onnx can convert.
    path : str or path-like
        Name of the file, for instance "model.onnx". An older file is replaced in one
        step.
    X : array-like or DataFrame, default=None
        Some rows of `X` for a Pipeline whose columns are not all numbers: they say
        which columns have text. Not used without a Pipeline.

    Raises
    ------
    ImportError
        If onnx is not installed, or onnxscript for a trunk of your own, or skl2onnx for
        the steps of a Pipeline.
    TypeError
        If the estimator, or its network's sharing, is not one of these.
    ValueError
        If a part cannot be written as ONNX: a trunk that torch cannot export, a
        `transformer` that is not simple arithmetic, categories that are neither text
        nor numbers, steps that skl2onnx does not know.
    NotFittedError
        If the estimator is not fitted.
    OSError
        If the file cannot be written.

    Warns
    -----
    UserWarning
        If skl2onnx knows a step of a Pipeline in float32 alone.

    See Also
    --------
    save : Write a file that skmtl reads again.

    Notes
    -----
    Inputs: if all columns are numbers, one matrix "X" (n, n_features), of float64 if
    the network encodes its columns and of float32 if not (`input_encoding="none"`,
    sparse `X`, which is dense here, and images, which keep their axes and uint8). With
    categories, an input (n, 1) for each column by its own name: float64, or text for
    text. NaN is a missing number; "" is a missing category, and so are "nan", "None"
    and "<NA>", which onnxruntime makes of other marks.

    Outputs: "<task>.label" (n,) and "<task>.proba" (n, n_classes) of classes,
    "<task>.value" (n,) of numbers and, with `loss="gaussian"`, "<task>.std" (n,).
    Probabilities and numbers are float64. Rows for which `predict` raises an error, for
    example because of infinity, get NaN, and the first class as their label.

    The metadata has the names, types, classes and thresholds of the tasks ("tasks") and
    the names of the columns ("feature_names") as JSON, and "skmtl_version".

    Examples
    --------
    The probabilities are those of the estimator:

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
