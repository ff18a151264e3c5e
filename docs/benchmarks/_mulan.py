"""Data sets that had no part in any choice: Mulan's, read from its repository.

`MULAN_DATA` names the folder `data` of a clone of tsoumakas/mulan (commit 43f6389).
"""

import os
from pathlib import Path
from xml.etree import ElementTree

import arff  # the package liac-arff
import pandas as pd
from scipy import sparse

# The file of each set, and how many of the last columns are targets.
MULTI_LABEL = {
    "cal500": "cal500/cal500",
    "enron": "enron/enron",
    "genbase": "genbase/genbase",
    "tmc2007": "tmc2007/tmc2007-500",
    "corel5k": "corel5k/Corel5k-sparse",
}
MULTI_TARGET = {
    "atp7d": 6,
    "oes97": 16,
    "scpf": 3,
    "sf1": 3,
    "sf2": 3,
    "slump": 3,
    "wq": 14,
}
TOO_RARE = 10  # labels with fewer positive rows than this can hardly be scored


def load_mulan(name):
    """X, Y and no ready splits, as `load_raw` gives them."""
    folder = Path(os.environ["MULAN_DATA"])
    if name in MULTI_TARGET:
        table, _ = read_arff(folder / "multi-target" / f"{name}.arff")
        targets = table.columns[-MULTI_TARGET[name] :]
        return table.drop(columns=targets), table[targets].astype(float), {}
    path = folder / "multi-label" / f"{MULTI_LABEL[name]}.arff"
    table, is_sparse = read_arff(path)
    xml = path.with_name(path.name.replace("-sparse", "")).with_suffix(".xml")
    labels = [label.get("name") for label in ElementTree.parse(xml).getroot()]
    Y = table[labels].astype(float)
    X = table.drop(columns=labels)
    if name == "genbase":
        X = X.drop(columns="protein")  # the name of the row
    if is_sparse:
        X = sparse.csr_matrix(X.to_numpy("float32"))
    return X, Y.loc[:, (Y == 1).sum() >= TOO_RARE], {}


def read_arff(path):
    """The file as a DataFrame, and whether its rows are sparse.

    A column with two values becomes 0 and 1, one with more a category.
    """
    text = path.read_text(encoding="latin-1")
    is_sparse = text.lower().partition("@data")[2].lstrip().startswith("{")
    content = arff.loads(text, return_type=arff.LOD if is_sparse else arff.DENSE)
    names = [name for name, _ in content["attributes"]]
    kinds = dict(content["attributes"])
    if is_sparse:
        rows = [
            {names[j]: value for j, value in row.items()} for row in content["data"]
        ]
        table = pd.DataFrame(rows, columns=names)
        table = table.fillna({name: absent(kind) for name, kind in kinds.items()})
    else:
        table = pd.DataFrame(content["data"], columns=names)
    for name, kind in kinds.items():
        if isinstance(kind, str):
            table[name] = table[name].astype(float)
        elif len(kind) == 2:
            on = next((value for value in ("1", "YES") if value in kind), kind[1])
            table[name] = (table[name] == on).astype(float).mask(table[name].isna())
        else:
            table[name] = table[name].astype("category")
    return table, is_sparse


def absent(kind):
    """What a cell holds that a sparse row leaves out: 0, or the first value."""
    return 0.0 if isinstance(kind, str) else kind[0]
