"""One table in each form that is read block by block."""

import numpy as np
import pandas as pd
import pytest

import skmtl._sources._source as settings


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of some 40 rows and parts of at most 30, as large data would have."""
    monkeypatch.setattr(settings, "PART_ROWS", 30)


@pytest.fixture
def table():
    """(200, 8): numbers, categories, integers, some missing; labels, weights, ids."""
    rng = np.random.default_rng(0)
    n = 200
    df = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    df["k"] = pd.Categorical(rng.choice(["u", "v", "w"], n))
    df["i"] = pd.array(rng.integers(0, 5, n), dtype="Int64")
    df.loc[::7, "i"] = pd.NA
    df["y"] = (df.a > 0).astype(float)
    df["z"] = (df.b > 0).astype(float)
    df.loc[::3, "y"] = np.nan
    df["weight"] = rng.random(n)
    df["id"] = np.arange(n)
    return df


@pytest.fixture
def parquet(table, tmp_path):
    """Folder of three files with row groups of 20 rows."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "parquet"
    folder.mkdir()
    for number, rows in enumerate((slice(0, 70), slice(70, 75), slice(75, 200))):
        part = table.iloc[rows].copy()
        # Each file has a dictionary of its own.
        order = np.roll(part["k"].cat.categories, number)
        part["k"] = part["k"].cat.reorder_categories(order)
        path = folder / f"{number}.parquet"
        as_arrow = pa.Table.from_pandas(part, preserve_index=False)
        pq.write_table(as_arrow, path, row_group_size=20)
    return folder
