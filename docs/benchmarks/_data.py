"""Shared by the benchmarks: data sets, preprocessing, and files of results."""

import argparse
import importlib.util
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _mulan import MULTI_LABEL, MULTI_TARGET, load_mulan
from _rdatasets import RD_FILES, load_rdatasets
from _uci import FILES, load_uci
from scipy import sparse
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler


def loader_of(folder):
    """Return the function ``load(name) -> X, Y, extras`` of the folder's load.py."""
    spec = importlib.util.spec_from_file_location("load", Path(folder) / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load


def load_raw(name):
    """Return X, Y and the published splits of a set.

    X is a CSR matrix, or a DataFrame whose text columns are categories.
    """
    if name.startswith("made_"):
        return made(int(name.removeprefix("made_")))
    if name in MULTI_LABEL or name in MULTI_TARGET:
        return load_mulan(name)
    if name in FILES:
        return load_uci(name)
    if name in RD_FILES:
        return load_rdatasets(name)
    X, Y, parts = loader_of(os.environ["SKMTL_DATA"])(name)
    if sparse.issparse(X):
        return X.tocsr(), Y, parts
    if isinstance(X, np.ndarray):
        X = pd.DataFrame(X).add_prefix("x")
    text = X.select_dtypes(exclude="number").columns
    return X.astype(dict.fromkeys(text, "category")), Y, parts


def made(n_rows, seed=0):
    """Make a table of 40 columns and 6 binary tasks, with half of the labels missing.

    Thirty columns are numeric, with several distributions and with missing values in
    one of three, and ten are categories. Each task is a different weighted sum of 20
    hidden effects: thresholds on pairs of columns, which suit trees, smooth functions,
    and effects of categories.
    """
    truth = np.random.default_rng(12345)  # the same for any number of rows
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n_rows, 30))
    numbers[:, 10:20] = np.exp(numbers[:, 10:20])
    numbers[:, 20:25] = numbers[:, 20:25].round()
    ranks = np.clip(numbers, -3, 3)
    codes = rng.integers(0, 12, size=(n_rows, 10)) * rng.integers(0, 2, (n_rows, 10))
    effects = []
    for i in range(20):
        a, b = truth.choice(30, 2, replace=False)
        if i < 7:
            effect = (ranks[:, a] > truth.normal()) * (ranks[:, b] > truth.normal())
        elif i < 14:
            effect = np.sin(truth.uniform(0.5, 2) * ranks[:, a]) * ranks[:, b]
        else:
            effect = truth.normal(size=12)[codes[:, i % 10]]
        effects.append((effect - effect.mean()) / effect.std())
    logits = np.column_stack(effects) @ truth.normal(size=(20, 6)) * 0.5
    logits += truth.normal(size=6)
    labels = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    Y = np.where(rng.random(logits.shape) < 0.5, np.nan, labels)
    for j in range(0, 30, 3):
        numbers[rng.random(n_rows) < 0.1, j] = np.nan
    X = pd.DataFrame(numbers.astype(np.float32)).add_prefix("x")
    for j in range(10):
        names = np.array([f"level {k}" for k in range(12)])
        X[f"c{j}"] = pd.Categorical.from_codes(codes[:, j], names)
    return X, pd.DataFrame(Y).add_prefix("task "), {}


def rows_of(X, index):
    return X[index] if sparse.issparse(X) else X.iloc[index]


def preprocessing(X, *, scale):
    """Prepare X for models that read neither missing values nor categories."""
    if sparse.issparse(X):
        return MaxAbsScaler()
    impute = SimpleImputer(strategy="median", add_indicator=True)
    numbers = make_pipeline(impute, StandardScaler()) if scale else impute
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (one_hot, make_column_selector(dtype_include="category")),
    )


def class_tables(network, X):
    """Return the classes and probabilities (n, n_classes) of each task of a network."""
    p = network.predict_proba(X)
    if not isinstance(p, list):
        p = [np.column_stack([1 - column, column]) for column in p.T]
    return list(zip(network.classes_, p, strict=True))


def read_results(file):
    """Read a dict from each line."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def print_or_run_seeds(description, n_seeds, print_tables, keys, cells, run):
    """``print_or_run`` as a program with the options --seeds and --table.

    ``cells(n_seeds)`` gives the cells.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=n_seeds)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    print_or_run(options, print_tables, keys, cells(options.seeds), run)


def print_or_run(options, print_tables, keys, cells, run):
    """With --table, print the results in the file; otherwise measure missing cells.

    ``run(*cell)`` returns a dict, to which the cell's ``keys`` are added, or None.
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
