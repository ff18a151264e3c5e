"""More data sets for unseen.md, from the UCI Machine Learning Repository.

`UCI_DATA` names a folder with these files of the repository: ai4i2020.csv ("AI4I 2020
Predictive Maintenance", data set 601), MI.data ("Myocardial infarction complications",
579), risk_factors_cervical_cancer.csv ("Cervical cancer (Risk Factors)", 383), hour.csv
("Bike Sharing", 275), parkinsons_updrs.data ("Parkinsons Telemonitoring", 189),
AirQualityUCI.csv ("Air Quality", 360; with commas between the numbers and points in
them), gt_2011.csv ("Gas Turbine CO and NOx Emission", 551; all five years in one file,
with long names) and student-por.csv ("Student Performance", 320; with commas).
"""

import os
from pathlib import Path

import pandas as pd

FILES = {
    "machine_failures": "ai4i2020.csv",
    "myocardial": "MI.data",
    "cervical_cancer": "risk_factors_cervical_cancer.csv",
    "bike_sharing": "hour.csv",
    "parkinsons": "parkinsons_updrs.data",
    "air_quality": "AirQualityUCI.csv",
    "gas_turbine": "gt_2011.csv",
    "student": "student-por.csv",
}
OF_CLASSES = {
    # Kinds of failure; most follow from rules of the columns, "RNF" is random.
    "machine_failures": ["TWF", "HDF", "PWF", "OSF", "RNF"],
    # Eleven complications, and the cause of death, which becomes whether there is one.
    "myocardial": [f"column {i}" for i in range(112, 124)],
    "cervical_cancer": ["Hinselmann", "Schiller", "Cytology", "Biopsy"],
}
OF_NUMBERS = {
    "bike_sharing": ["casual", "registered"],
    "parkinsons": ["motor_UPDRS", "total_UPDRS"],
    "air_quality": ["CO_GT", "NMHC_GT", "C6H6_GT", "NOx_GT", "NO2_GT"],
    "gas_turbine": ["Carbon monoxide", "Nitrogen oxides"],
    "student": ["G1", "G2", "G3"],
}
# Names of rows, and columns that tell the targets.
NOT_READ = {
    "machine_failures": ["UID", "Product ID", "Machine failure"],
    "myocardial": ["column 0"],
    "bike_sharing": ["instant", "dteday", "cnt"],
    "parkinsons": ["subject#"],
    "air_quality": ["Date"],
}
# What stands for a missing value, besides an empty cell.
MISSING = {"myocardial": "?", "cervical_cancer": "?", "air_quality": "-200"}


def load_uci(name):
    """X, Y and no ready splits, as `load_raw` gives them."""
    header = None if name == "myocardial" else "infer"
    path = Path(os.environ["UCI_DATA"]) / FILES[name]
    table = pd.read_csv(path, header=header, na_values=MISSING.get(name))
    if header is None:
        table = table.add_prefix("column ")
    tasks = {**OF_CLASSES, **OF_NUMBERS}[name]
    X = table.drop(columns=[*tasks, *NOT_READ.get(name, [])])
    # LightGBM and XGBoost refuse brackets and colons in names.
    X.columns = X.columns.str.replace(r"\W+", "_", regex=True)
    text = X.select_dtypes(exclude="number").columns
    Y = table[tasks].astype(float)
    if name in OF_CLASSES:
        Y = Y.clip(upper=1)
    return X.astype(dict.fromkeys(text, "category")), Y, {}
