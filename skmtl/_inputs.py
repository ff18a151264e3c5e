"""The meaning of X: numbers, dense or sparse, read batch by batch as they are."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data

# What torch reads without a copy; anything else is converted to the first.
_SHARED_DTYPES = [np.float64, np.float32, np.float16, np.bool_]
_SHARED_DTYPES += [np.uint8, np.int8, np.int16, np.int32, np.int64]
_LARGEST = np.finfo(np.float32).max


def check_inputs(estimator: Any, X: Any, *, reset: bool) -> Any:
    """X as ndarray or CSR with its own dtype; `reset` learns the columns' names."""
    X = validate_data(
        estimator, X, accept_sparse="csr", dtype=_SHARED_DTYPES, reset=reset
    )
    values = X.data if sparse.issparse(X) else X
    too_large = values.dtype == np.float64 and values.size > 0
    if too_large and max(values.max(), -values.min()) > _LARGEST:
        raise ValueError(
            "Input X must fit float32, in which the network computes, but contains "
            "infinity or a value too large for dtype('float32'). Scale X, for instance "
            "with StandardScaler."
        )
    return X
