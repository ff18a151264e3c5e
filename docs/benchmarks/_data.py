"""The folder of data sets that the benchmarks read."""

import importlib.util
from pathlib import Path


def loader_of(folder):
    """`load(name) -> X, Y, extras` of the folder's load.py."""
    spec = importlib.util.spec_from_file_location("load", Path(folder) / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load
