import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator

from skmtl._inputs import check_inputs


class Reader(BaseEstimator):
    """Something to keep the names and number of columns on."""


def read(X, reader=None):
    return check_inputs(reader or Reader(), X, reset=reader is None)


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64]
)
def test_dense_input_keeps_its_memory(dtype):
    X = np.ones((3, 2), dtype=dtype)
    assert np.shares_memory(read(X), X)


def test_sparse_input_becomes_csr_and_is_never_made_dense():
    dense = np.random.default_rng(0).normal(size=(5, 7))
    X = sparse.coo_array(np.where(dense > 1, dense, 0))
    for form in ("csr", "csc", "coo"):
        read_X = read(X.asformat(form))
        assert read_X.format == "csr"
        assert (read_X != X).nnz == 0


def test_columns_are_learned_and_then_required():
    reader = Reader()
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    check_inputs(reader, frame, reset=True)
    assert reader.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="feature names"):
        read(frame.rename(columns={"a": "c"}), reader)
    nameless = Reader()
    check_inputs(nameless, frame.to_numpy(), reset=True)
    with pytest.raises(ValueError, match="expecting 2 features"):
        read(np.ones((2, 3)), nameless)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, pd.DataFrame])
def test_missing_and_infinite_input_is_refused(make):
    X = np.eye(3)
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        read(make(X))
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        read(make(X))


@pytest.mark.parametrize("value", [1e39, -1e39])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_values_beyond_float32_are_refused(make, value):
    X = np.eye(3)
    X[1, 1] = value
    with pytest.raises(ValueError, match=r"float32.*StandardScaler"):
        read(make(X))


def test_text_in_the_input_is_refused():
    with pytest.raises(ValueError, match="could not convert"):
        read(pd.DataFrame({"a": ["x", "y"]}))
