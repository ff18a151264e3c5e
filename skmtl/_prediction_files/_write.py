"""`write_predictions`: predict any number of rows and write them to a file."""

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def write_predictions(
    estimator: Any, X, path: str | os.PathLike, *, ids=None, method="all"
) -> int:
    """Predict block by block and write the predictions to a file.

    Only one block of `X` and its predictions is in memory at a time, so both may be
    larger than memory. The file appears once all rows are written; if an error occurs,
    it does not. This function needs pyarrow, which `pip install "skmtl[cli]"` installs.

    Parameters
    ----------
    estimator : estimator
        A fitted MultiTaskNetClassifier, MultiTaskNetRegressor or MultiTaskNet; a
        MultiTaskCalibratedClassifierCV or MultiTaskTunedThresholdClassifierCV that
        wraps one; or a Pipeline or search around these. The steps of a Pipeline receive
        each block as a table in memory.
    X : array-like, DataFrame, sparse matrix, or data read block by block, of shape \
            (n_samples, n_features)
        The input: a table in memory, a `pyarrow.dataset.Dataset`, a dask DataFrame, or
        an array of zarr, HDF5 (h5py) or dask. From a dataset, only the columns that
        `fit` saw are read, by name.
    path : str or path-like
        Name of the file, which must end with .parquet, .csv, .tsv, .csv.gz or .tsv.gz.
        An existing file is replaced.
    ids : str, list of str or None, default=None
        Columns of a dataset or DataFrame to copy to the file, to identify the rows.
        They are features only if `fit` saw them.
    method : {"all", "predict", "predict_proba"}, default="all"
        What to write. "predict" writes the labels and numbers, in a column with the
        name of the task. "predict_proba" writes probabilities in columns
        "P(task=class)"; for two classes, only that of the second. "all" writes both
        and, for a network with `loss="gaussian"`, the standard deviation "std(task)".

    Returns
    -------
    n_rows : int
        Number of rows written.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    TypeError
        If the estimator is not supported.
    ValueError
        If X or `ids` cannot be used, if `path` has another suffix or is a file of X, if
        there is nothing to write (probabilities of numeric tasks), or if two columns
        would have the same name.
    NotFittedError
        If the estimator is not fitted.
    OSError
        If the file cannot be written.

    Warns
    -----
    UserWarning
        If the file is in the folder that holds the files of the dataset.

    See Also
    --------
    skmtl.MultiTaskNetClassifier.predict_proba : Probabilities in memory.

    Notes
    -----
    The rows are in the order of `X`. Probabilities may differ in the last digit of
    single precision from those that `predict_proba` returns for all rows at once.

    Examples
    --------
    Predict the rows of a Parquet file. It may be larger than memory:

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
            "write_predictions needs the package pyarrow, which is not installed. Run: "
            'pip install "skmtl[cli]"'
        )
    blocks = import_module("skmtl._prediction_files._blocks")
    n_rows: int = blocks.write_blocks(estimator, X, Path(path), ids, method)
    return n_rows
