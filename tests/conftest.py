"""Data that several test files use."""

import importlib.util
import os
from pathlib import Path

# Without it, one of scikit-learn's checks is skipped; scipy reads it when imported.
os.environ["SCIPY_ARRAY_API"] = "1"
# One thread for each of several processes: more wait for one another. torch reads it
# when it is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# `--hypothesis-profile=long` takes the other one.
settings.register_profile(
    "quick",
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    max_examples=20_000,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("quick")


def pytest_configure(config):
    """Hide GPUs: the tests compare with the CPU to the last bit."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture
def problem():
    """X (60, 5) and Y (60, 3) of 0 and 1, a third of it missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5))
    Y = (X @ rng.normal(size=(5, 3)) > 0).astype(float)
    Y[rng.random(Y.shape) < 1 / 3] = np.nan
    return X, Y


@pytest.fixture
def mixed_problem():
    """X (80, 5), Y (80, 3) of three strings, booleans and four numbers, with NaN."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(80, 5))
    Y = np.empty((80, 3), dtype=object)
    Y[:, 0] = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    Y[:, 1] = (X[:, 1] > 0).tolist()
    Y[:, 2] = np.digitize(X[:, 2], [-1, 0, 1]).tolist()
    Y[rng.random(Y.shape) < 0.25] = None
    return X, Y


@pytest.fixture(scope="session")
def load_real():
    """`load(name) -> X, Y, extras` of the folder of real data sets."""
    folder = os.environ.get("SKMTL_DATA")
    if not folder or not (Path(folder) / "load.py").is_file():
        pytest.skip("real data: SKMTL_DATA does not name the folder of data sets")
    spec = importlib.util.spec_from_file_location("load", Path(folder) / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load
