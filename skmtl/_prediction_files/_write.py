"""write_predictions: rows of any number to a file of predictions."""

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def write_predictions(
    estimator: Any, X, path: str | os.PathLike, *, ids=None, method="all"
) -> int:
    """Predict block by block and write the predictions to a file.

    Memory holds one block of `X` and its predictions, so that both may be larger than
    memory. The file is there once all rows are written, or not at all. Needs pyarrow,
    which `pip install "skmtl[cli]"` brings.

    Parameters
    ----------
    estimator : estimator
        A fitted MultiTaskNetClassifier, MultiTaskNetRegressor or MultiTaskNet; a
        MultiTaskCalibratedClassifierCV or MultiTaskTunedThresholdClassifierCV around
        one; or a Pipeline or search around these, whose steps get each block as a table
        in memory.
    X : array-like, DataFrame, sparse matrix, or data read block by block, of shape \
            (n_samples, n_features)
        The input: a table in memory, or a `pyarrow.dataset.Dataset`, a dask DataFrame,
        or an array of zarr, HDF5 (h5py) or dask. Of a dataset, the columns that `fit`
        saw are read by their names.
    path : str or path-like
        Name of the file, which ends with .parquet, .csv, .tsv or, for instance,
        .csv.gz. An older file is replaced in one step.
    ids : str, list of str or None, default=None
        Columns of a dataset or DataFrame that are copied to the file, to tell the rows
        by. They are features only if `fit` saw them.
    method : {"all", "predict", "predict_proba"}, default="all"
        What to write: labels and numbers in a column with the name of the task
        ("predict"), probabilities in columns "P(task=class)", of two classes that of
        the second ("predict_proba"), or both, beside them the standard deviation
        "std(task)" of a network with `loss="gaussian"` ("all").

    Returns
    -------
    n_rows : int
        Number of rows written.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    TypeError
        If the estimator is not one of these.
    ValueError
        If X or `ids` cannot be used, if `path` has another ending or is a file of X, if
        there is nothing to write (probabilities of numbers), or if two columns would
        have one name.
    NotFittedError
        If the estimator is not fitted.
    OSError
        If the file cannot be written.

    Warns
    -----
    UserWarning
        If the file is in the folder of a dataset's files.

    See Also
    --------
    skmtl.MultiTaskNetClassifier.predict_proba : Probabilities in memory.

    Notes
    -----
    The rows are in the order of `X`. Probabilities may differ from those that
    `predict_proba` gives for all rows at once in the last digit of single precision.

    Examples
    --------
    Predict the rows of a Parquet file, which may be larger than memory:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import pyarrow as pa
    >>> import pyarrow.dataset as ds
    >>> import pyarrow.parquet as pq
    >>> import skmtl
    >>> folder = Path(tempfile.mkdtemp())
    >>> rng = np.random.default_rng(0)
    >>> table = pa.table({"id": np.arange(200), "a": rng.normal(size=200)})
    >>> pq.write_table(table, folder / "rows.parquet", row_group_size=50)
    >>> X = ds.dataset(folder / "rows.parquet")
    >>> labels = {"is_large": table["a"].to_numpy() > 1}
    >>> clf = skmtl.MultiTaskNetClassifier(max_iter=5, random_state=0)
    >>> clf = clf.fit(table.select(["a"]), pa.table(labels))
    >>> path = folder / "predictions.parquet"
    >>> skmtl.write_predictions(clf, X, path, ids="id")
    200
    >>> pq.read_table(path).column_names
    ['id', 'is_large', 'P(is_large=true)']
    """
    if find_spec("pyarrow") is None:
        raise ImportError(
            "write_predictions needs the package pyarrow, which is not installed. "
            'Type pip install "skmtl[cli]".'
        )
    blocks = import_module("skmtl._prediction_files._blocks")
    n_rows: int = blocks.write_blocks(estimator, X, Path(path), ids, method)
    return n_rows
