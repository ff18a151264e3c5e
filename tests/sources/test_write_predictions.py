"""Predictions in files, block by block, whole or not at all."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from _estimators import small_network
from _sources import LABELS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.model_selection import GridSearchCV, MultiTaskTunedThresholdClassifierCV

pq = pytest.importorskip("pyarrow.parquet")
ds = pytest.importorskip("pyarrow.dataset")
pytestmark = pytest.mark.usefixtures("small_blocks")
NUMBERS = ["a", "b"]
COLUMNS = ["y", "P(y=1)", "z", "P(z=1)"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "predictions.parquet"


@pytest.fixture
def clf(table):
    return small_network(max_iter=2).fit(table[NUMBERS], table[LABELS])


def assert_written(path, estimator, table):
    got = pd.read_parquet(path)
    expected = estimator.predict_proba(table[NUMBERS])
    assert_allclose(got[["P(y=1)", "P(z=1)"]], expected, atol=1e-6)
    assert_array_equal(got[LABELS], estimator.predict(table[NUMBERS]))


@pytest.mark.parametrize(
    "make",
    [
        lambda net: net,
        lambda net: make_pipeline(StandardScaler(), net),
        lambda net: MultiTaskCalibratedClassifierCV(net, cv=2),
        lambda net: MultiTaskTunedThresholdClassifierCV(net, cv=2, scoring="f1"),
        lambda net: GridSearchCV(net, {"alpha": [0.1]}, cv=2),
    ],
)
def test_of_any_estimator_around_ours(make, table, parquet, out):
    estimator = make(small_network(max_iter=2)).fit(table[NUMBERS], table[LABELS])
    dataset = ds.dataset(parquet)
    assert skmtl.write_predictions(estimator, dataset, out, ids=["id", "k"]) == 200
    got = pq.read_table(out)
    assert got.column_names == ["id", "k", *COLUMNS]
    assert got["id"].to_pylist() == table["id"].tolist()
    assert got["k"].to_pylist() == table["k"].tolist()
    assert_written(out, estimator, table)


def test_of_each_kind_of_x(clf, table, parquet, out):
    dd = pytest.importorskip("dask.dataframe")
    pl = pytest.importorskip("polars")
    for X in (
        ds.dataset(parquet).filter(ds.field("id") >= 0),
        dd.from_pandas(table, npartitions=3),
        pl.from_pandas(table),
        table,
    ):
        assert skmtl.write_predictions(clf, X, out, ids="id") == 200
        assert pq.read_table(out)["id"].to_pylist() == list(range(200))
        assert_written(out, clf, table)
    zarr = pytest.importorskip("zarr")
    X = table[NUMBERS].to_numpy()
    of_array = small_network(max_iter=2).fit(X, table[LABELS])
    for array in (X, X.tolist(), zarr.array(X, chunks=(40, 1))):
        assert skmtl.write_predictions(of_array, array, out) == 200
        got = pd.read_parquet(out)["P(z=1)"]
        assert_allclose(got, of_array.predict_proba(X)[:, 1], atol=1e-6)


def test_an_id_may_be_a_feature(clf, parquet, out, table):
    skmtl.write_predictions(clf, ds.dataset(parquet), out, ids=["a", "id"])
    got = pd.read_parquet(out)
    assert_array_equal(got["a"], table["a"])
    assert_written(out, clf, table)


@pytest.mark.parametrize(
    ("method", "columns"),
    [
        ("all", COLUMNS),
        ("predict", ["y", "z"]),
        ("predict_proba", ["P(y=1)", "P(z=1)"]),
    ],
)
@pytest.mark.parametrize("ending", [".parquet", ".csv", ".tsv.gz"])
def test_methods_and_formats(method, columns, ending, clf, parquet, tmp_path):
    path = tmp_path / f"p{ending}"
    skmtl.write_predictions(clf, ds.dataset(parquet), path, method=method)
    if ending == ".parquet":
        got = pd.read_parquet(path)
        assert pq.ParquetFile(path).num_row_groups > 3  # written block by block
    else:
        got = pd.read_csv(path, sep="\t" if "tsv" in ending else ",")
    assert got.columns.tolist() == columns
    assert len(got) == 200


def test_numbers_and_their_deviations(table, parquet, out):
    net = skmtl.MultiTaskNet(
        loss="gaussian", max_iter=2, n_members=1, oob_score=False, random_state=0
    )
    net.fit(table[["b", "id"]], table[["y", "a"]])
    skmtl.write_predictions(net, ds.dataset(parquet), out)
    got = pd.read_parquet(out)
    assert got.columns.tolist() == ["y", "P(y=1)", "a", "std(a)"]
    mean, std = net.predict(table[["b", "id"]], return_std=True)
    assert_allclose(got["a"], mean[:, 1].astype(float), rtol=1e-4, atol=1e-4)
    assert_allclose(got["std(a)"], std[:, 1].astype(float), rtol=1e-4, atol=1e-4)


def test_an_error_leaves_the_old_file_and_no_part(clf, table, tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "p.csv"
    path.write_text("old")
    rows = table[NUMBERS].copy()
    rows.loc[150, "a"] = np.inf
    X = ds.dataset(pa.Table.from_pandas(rows, preserve_index=False).to_batches(40))
    with pytest.raises(ValueError, match="infinity"):
        skmtl.write_predictions(clf, X, path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.glob("*.part")] == []


def test_a_file_of_x_is_not_overwritten(clf, parquet, monkeypatch):
    path = parquet / "1.parquet"
    before = path.read_bytes()
    link = parquet.with_name("link.parquet")
    link.symlink_to(path)
    monkeypatch.chdir(parquet)
    datasets = ds.dataset(parquet), ds.dataset(path), ds.dataset("1.parquet")
    filtered = datasets[0].filter(ds.field("id") >= 0)
    for X in (*datasets, filtered, ds.dataset([datasets[1], datasets[1]])):
        for target in (path, link, "1.parquet", "../parquet/1.parquet"):
            with pytest.raises(ValueError, match=r"path must not be a file of X"):
                skmtl.write_predictions(clf, X, target)
    assert path.read_bytes() == before


def test_a_file_in_the_folder_of_x_is_warned_of(clf, parquet):
    with pytest.warns(UserWarning, match=r"folder with the files of X.*another folder"):
        skmtl.write_predictions(clf, ds.dataset(parquet), parquet / "p.parquet")
    # Beside a single file there need be no others.
    X = ds.dataset(parquet / "0.parquet")
    assert skmtl.write_predictions(clf, X, parquet / "q.parquet") == 70


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ids": "q"}, r"ids must name columns of X.*got \['q'\]"),
        ({"ids": [1]}, "ids must be the name"),
        ({"ids": ["id", "id"]}, "ids must name each column once"),
        ({"ids": "y"}, r"different names.*two would be called \['y'\].*Rename the id"),
        ({"method": "transform"}, "method must be one of 'all'"),
        ({"path": "p.txt"}, r"path must end with .parquet"),
    ],
)
def test_what_cannot_be_written(settings, message, clf, parquet, tmp_path):
    settings = dict(settings)
    path = tmp_path / settings.pop("path", "p.parquet")
    for X in (ds.dataset(parquet), ds.dataset(parquet).to_table()):
        with pytest.raises(ValueError, match=message):
            skmtl.write_predictions(clf, X, path, **settings)
    assert not path.exists()


def test_estimators_that_have_none(table, parquet, out):
    from sklearn.dummy import DummyClassifier
    from sklearn.exceptions import NotFittedError

    X = ds.dataset(parquet)
    with pytest.raises(NotFittedError):
        skmtl.write_predictions(small_network(), X, out)
    forest = DummyClassifier().fit(table[NUMBERS], table["z"])
    with pytest.raises(TypeError, match="got DummyClassifier"):
        skmtl.write_predictions(forest, X, out)
    reg = skmtl.MultiTaskNetRegressor(max_iter=1, n_members=1, oob_score=False)
    reg.fit(table[NUMBERS], table["id"])
    with pytest.raises(ValueError, match="all tasks are numeric"):
        skmtl.write_predictions(reg, X, out, method="predict_proba")
    with pytest.raises(ValueError, match="X must have column names"):
        skmtl.write_predictions(reg, table[NUMBERS].to_numpy(), out, ids="id")


def test_without_pyarrow_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name: None if name == 'pyarrow' else find(name)\n"
        "import skmtl\n"
        "try: skmtl.write_predictions(None, None, 'p.csv')\n"
        "except ImportError as error: assert 'skmtl[cli]' in str(error), error\n"
        "else: raise SystemExit(1)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
