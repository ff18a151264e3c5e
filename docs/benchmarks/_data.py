"""What the benchmarks share: data sets, the view of each task, files of results."""

import importlib.util
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse


def loader_of(folder):
    """`load(name) -> X, Y, extras` of the folder's load.py."""
    spec = importlib.util.spec_from_file_location("load", Path(folder) / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load


def load_raw(name):
    """X, Y and ready splits of a set: CSR, or a DataFrame whose text is a category."""
    X, Y, parts = loader_of(os.environ["SKMTL_DATA"])(name)
    if sparse.issparse(X):
        return X.tocsr(), Y, parts
    if isinstance(X, np.ndarray):
        X = pd.DataFrame(X).add_prefix("x")
    text = X.select_dtypes(exclude="number").columns
    return X.astype(dict.fromkeys(text, "category")), Y, parts


def class_tables(network, X):
    """Classes and probabilities (n, n_classes) of each task of a fitted network."""
    p = network.predict_proba(X)
    if not isinstance(p, list):
        p = [np.column_stack([1 - column, column]) for column in p.T]
    return list(zip(network.classes_, p, strict=True))


def read_results(file):
    """A dict per line."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def print_or_run(options, print_tables, keys, cells, run):
    """With --table, tables of the results in the file; else the cells that it lacks.

    `run(*cell)` gives a dict, to which the cell's `keys` are added, or None.
    """
    results = read_results(options.file)
    if options.table:
        print_tables(pd.DataFrame(results))
        return
    warnings.simplefilter("ignore")
    done = {tuple(result[key] for key in keys) for result in results}
    for cell in cells:
        result = None if cell in done else run(*cell)
        if result is not None:
            with options.file.open("a") as stream:
                line = dict(zip(keys, cell, strict=True)) | result
                print(json.dumps(line), file=stream)
