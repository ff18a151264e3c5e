"""More data sets for unseen.md, from the UCI Machine Learning Repository.

`UCI_DATA` names a folder with these files of the repository: ai4i2020.csv ("AI4I 2020
Predictive Maintenance", data set 601), hour.csv ("Bike Sharing", 275) and
parkinsons_updrs.data ("Parkinsons Telemonitoring", 189).
"""

import os
from pathlib import Path

import pandas as pd

FILES = {
    "machine_failures": "ai4i2020.csv",
    "bike_sharing": "hour.csv",
    "parkinsons": "parkinsons_updrs.data",
}
# Kinds of failure; most follow from rules of the columns, "RNF" is random.
OF_CLASSES = {"machine_failures": ["TWF", "HDF", "PWF", "OSF", "RNF"]}
OF_NUMBERS = {
    "bike_sharing": ["casual", "registered"],
    "parkinsons": ["motor_UPDRS", "total_UPDRS"],
}
# Names of rows, and columns that tell the targets.
NOT_READ = {
    "machine_failures": ["UID", "Product ID", "Machine failure"],
    "bike_sharing": ["instant", "dteday", "cnt"],
    "parkinsons": ["subject#"],
}


def load_uci(name):
    """X, Y and no ready splits, as `load_raw` gives them."""
    table = pd.read_csv(Path(os.environ["UCI_DATA"]) / FILES[name])
    tasks = {**OF_CLASSES, **OF_NUMBERS}[name]
    X = table.drop(columns=[*tasks, *NOT_READ[name]])
    # LightGBM and XGBoost refuse brackets and colons in names.
    X.columns = X.columns.str.replace(r"\W+", "_", regex=True)
    text = X.select_dtypes(exclude="number").columns
    return X.astype(dict.fromkeys(text, "category")), table[tasks].astype(float), {}
