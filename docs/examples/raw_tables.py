"""
================================================
Three ways to fit two raw tables with categories
================================================

SUPPORT2 has 9,105 patients, five tasks and 14 % missing values in the input. Adult has
32,561 people, four tasks and some missing labels. Both have numbers on any scale, and
text. This example fits them in three ways: as a DataFrame whose text columns have dtype
category, through skrub, and through a ColumnTransformer.

The environment variable SKMTL_DATA names a folder with the two tables of the UCI
repository (numbers 880 and 2) and a ``load.py`` that reads them.
"""

import importlib.util
import os
from pathlib import Path

import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from skrub import tabular_pipeline

from skmtl import MultiTaskNetClassifier
from skmtl.metrics import multitask_score
from skmtl.model_selection import multitask_train_test_split

spec = importlib.util.spec_from_file_location(
    "load", Path(os.environ["SKMTL_DATA"]) / "load.py"
)
load = importlib.util.module_from_spec(spec)
spec.loader.exec_module(load)

network = MultiTaskNetClassifier(n_members=1, max_iter=10, random_state=0)

for name in ("support2", "adult"):
    X, Y, _ = load.load(name)
    X_train, X_test, Y_train, Y_test = multitask_train_test_split(X, Y, random_state=0)
    text = X.select_dtypes(exclude="number").columns
    print(f"\n{name}: X {X.shape}, {len(text)} columns of text")
    print(
        f"missing in X {X.isna().mean().mean():.0%}, in Y {Y.isna().mean().mean():.1%}"
    )

    # %%
    # A plain DataFrame: only convert text columns to dtype category.
    as_category = dict.fromkeys(text, "category")
    plain = clone(network).fit(X_train.astype(as_category), Y_train)

    # %%
    # skrub chooses an encoding for each column, including text and dates.
    skrub = tabular_pipeline(clone(network)).fit(X_train, Y_train)

    # %%
    # A ColumnTransformer encodes the text columns and passes the others through.
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text),
        remainder="passthrough",
    )
    columns = make_pipeline(encode, clone(network)).fit(X_train, Y_train)

    losses = {}
    for road, model, table in [
        ("plain DataFrame", plain, X_test.astype(as_category)),
        ("skrub", skrub, X_test),
        ("ColumnTransformer", columns, X_test),
    ]:
        p = model.predict_proba(table)
        losses[road] = -multitask_score(
            "neg_log_loss", Y_test, p, classes=model.classes_, average=None
        )
    print(pd.DataFrame(losses, index=Y.columns).round(3))
