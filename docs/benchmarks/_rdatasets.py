"""Surveys and records for unseen.md, from the collection of R data sets.

`RDATASETS` names a clone of vincentarelbundock/Rdatasets (commit 1dcc2bf).
"""

import os
from pathlib import Path

import pandas as pd

RD_FILES = {
    "happiness": "wooldridge/happiness",
    "spending": "stevedata/gss_spending",
    "nhefs": "causaldata/nhefs",
    "food": "fivethirtyeight/food_world_cup",
    "drug_courts": "causaldata/ccdrug",
    "star": "AER/STAR",
    "bfi": "psych/bfi",
}
# The first and last column of each run of columns that are tasks, or one column.
RD_OF_CLASSES = {
    # Seven years of the General Social Survey (GSS). Questions on guns, divorce and
    # votes were not put to everybody. "iap" stands for "no" if there are two answers.
    "happiness": ["happy", "owngun", "divorce", "widowed", "unem10", "gwbush00"],
    # Whether too much or too little is spent on 18 purposes (GSS, 2018).
    "spending": ["natspac:natenrgy"],
    # Illnesses and habits of smokers (NHANES I Epidemiologic Follow-up Study).
    "nhefs": ["qsmk", "death", "asthma:nervousbreak", "headache:infection"],
    # Grades for the food of 40 countries, from those who know it.
    "food": ["algeria:vietnam"],
    # What makes drug offences more or less serious, in the eyes of the court.
    "drug_courts": ["custody", "drg_increasing_ser_stat_2:drg_reducing_ser_16"],
}
RD_OF_NUMBERS = {
    # Tests of the same children in four years; about 60 % took part in each year.
    "star": ["readk:math3"],
    # Neuroticism and openness, from the items on the other three traits.
    "bfi": ["N1:O5"],
}
# Names of rows, later measurements, and columns made from others.
RD_NOT_READ = {
    "happiness": [
        "vhappy",
        "occattend",
        "regattend",
        "blackfemale",
        "gwbush04",
        "y94:y06",
    ],
    "spending": ["year", "id", "sumnat", "sumnatsoc"],
    "nhefs": [
        "seqn",
        "yrdth:dadth",
        "wt82:wt82_71",
        "smkintensity82_71",
        "price71:id",
        "censored",
        "hightax82",
        "older",
    ],
    "food": ["respondent_id"],
}
# In these columns of nhefs, 2 stands for a missing value.
UNKNOWN_IS_2 = ["hbp", "diabetes", "hbpmed", "boweltrouble"]
TOO_RARE = 20  # tasks whose second most frequent class has fewer rows are left out


def load_rdatasets(name):
    """X, Y and no ready splits, as `load_raw` gives them."""
    path = Path(os.environ["RDATASETS"]) / "csv" / f"{RD_FILES[name]}.csv"
    # "None" is an answer; "N/A" is said of food that nobody knows.
    absent = {"keep_default_na": False, "na_values": ["", "NA", "N/A"]}
    table = pd.read_csv(path, index_col="rownames", **absent)
    if name == "nhefs":
        table[UNKNOWN_IS_2] = table[UNKNOWN_IS_2].mask(table[UNKNOWN_IS_2] == 2)
    tasks = names_of(table, {**RD_OF_CLASSES, **RD_OF_NUMBERS}[name])
    X = table.drop(columns=[*tasks, *names_of(table, RD_NOT_READ.get(name, []))])
    text = X.select_dtypes(exclude="number").columns
    Y = table[tasks]
    if name in RD_OF_CLASSES:
        counts = {task: Y[task].value_counts() for task in Y}
        Y = Y[[t for t, n in counts.items() if len(n) > 1 and n.iloc[1] >= TOO_RARE]]
    is_labelled = Y.notna().any(axis=1).to_numpy()
    X, Y = X[is_labelled], Y[is_labelled]
    return X.astype(dict.fromkeys(text, "category")), Y, {}


def names_of(table, runs):
    """The columns of `table` in the runs "first:last", of which some are one column."""
    ends = [run.split(":") for run in runs]
    return [name for run in ends for name in table.loc[:, run[0] : run[-1]].columns]
