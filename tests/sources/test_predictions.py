"""Predictions from sources are those of the table in memory, to the last bit."""

import numpy as np
import pytest
from _estimators import classifier, small_network
from _sources import FEATURES, LABELS
from numpy.testing import assert_array_equal

from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.metrics import multitask_scorer
from skmtl.trunks import ConvTrunk

pytestmark = pytest.mark.usefixtures("small_blocks", "small_chunks")
METHODS = ["predict", "predict_proba", "predict_log_proba", "transform"]


@pytest.fixture
def small_chunks(monkeypatch):
    """Forward passes of some twenty rows, so that parts end in the middle of one."""
    monkeypatch.setattr("skmtl._training._losses.CHUNK_ELEMENTS", 500)


def sources(table, folder):
    """Rows with more columns than features, and labels and weights beside them."""
    ds = pytest.importorskip("pyarrow.dataset")
    dd = pytest.importorskip("dask.dataframe")
    dataset = ds.dataset(folder)
    yield dataset, LABELS, "weight"
    yield dataset.filter(ds.field("id") >= 0), LABELS, table["weight"].to_numpy()
    ddf = dd.from_pandas(table, npartitions=4)
    yield ddf[FEATURES], ddf[LABELS], ddf["weight"]


def assert_same(got, expected):
    for one, other in zip(listed(got), listed(expected), strict=True):
        if one is not None:
            assert one.dtype == other.dtype
            assert_array_equal(one, other)


def listed(arrays):
    return arrays if isinstance(arrays, list | tuple) else [arrays]


def test_of_classes(table, parquet):
    clf = MultiTaskNetClassifier((8,), max_iter=2, n_members=2, random_state=0)
    clf.fit(table[FEATURES], table[LABELS])
    in_memory = table[FEATURES], table[LABELS]
    expected = {method: getattr(clf, method)(table[FEATURES]) for method in METHODS}
    score, weighted = clf.score(*in_memory), clf.score(*in_memory, table["weight"])
    for X, y, weight in sources(table, parquet):
        for method in METHODS:
            assert_same(getattr(clf, method)(X), expected[method])
        assert clf.score(X, y) == score
        assert clf.score(X, y, weight) == pytest.approx(weighted, abs=1e-12)


def test_of_one_task(table, parquet):
    clf = classifier(hidden_layer_sizes=(8,), max_iter=2).fit(
        table[FEATURES], table["z"]
    )
    for X, y, _ in sources(table, parquet):
        y = "z" if isinstance(y, list) else y["z"]
        assert_same(clf.predict_proba(X), clf.predict_proba(table[FEATURES]))
        assert clf.score(X, y) == clf.score(table[FEATURES], table["z"])


def test_of_numbers_with_deviations(table, parquet):
    Y = table[["a", "b"]].mask(table.index.to_numpy()[:, None] % 3 == [0, 1])
    settings = {"max_iter": 2, "n_members": 1, "oob_score": False}
    reg = MultiTaskNetRegressor((8,), loss="gaussian", random_state=0, **settings)
    reg.fit(table[["weight", "id"]], Y)
    ds = pytest.importorskip("pyarrow.dataset")
    X = ds.dataset(parquet)
    expected = reg.predict(table[["weight", "id"]], return_std=True)
    assert_same(reg.predict(X, return_std=True), expected)
    got = reg.score(X, ["a", "b"])
    assert got == reg.score(table[["weight", "id"]], table[["a", "b"]])


def test_of_classes_and_numbers(table, parquet):
    net = MultiTaskNet((8,), max_iter=2, n_members=1, random_state=0)
    features = ["b", "k", "i"]
    net.fit(table[features], table[["y", "a"]])
    ds = pytest.importorskip("pyarrow.dataset")
    X = ds.dataset(parquet)
    for method in ("predict", "predict_proba"):
        assert_same(getattr(net, method)(X), getattr(net, method)(table[features]))
    expected = net.score(table[features], table[["y", "a"]])
    assert net.score(X, ["y", "a"]) == expected


def test_of_arrays_without_names(problem):
    zarr = pytest.importorskip("zarr")
    X, Y = problem
    clf = small_network(4, max_iter=2).fit(X, Y)
    for array in (zarr.array(X, chunks=(7, 2)), zarr.array(X, chunks=(60, 5))):
        for method in METHODS:
            assert_same(getattr(clf, method)(array), getattr(clf, method)(X))
        assert clf.score(array, zarr.array(Y, chunks=(11, 1))) == clf.score(X, Y)


def test_of_images():
    zarr = pytest.importorskip("zarr")
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (50, 1, 8, 8)).astype(np.uint8)
    Y = rng.integers(0, 2, (50, 2))
    clf = small_network(trunk=ConvTrunk(channels=(2,)), max_iter=1).fit(X, Y)
    array = zarr.array(X, chunks=(9, 1, 8, 8))
    assert_same(clf.predict_proba(array), clf.predict_proba(X))


def test_of_sparse_chunks():
    da = pytest.importorskip("dask.array")
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.random(60, 5, 0.3, format="csr", random_state=0)
    Y = np.asarray(X.toarray()[:, :2] > 0.2, dtype=int)
    clf = small_network(max_iter=2).fit(X, Y)
    array = da.from_array(X.toarray(), chunks=(13, 5)).map_blocks(sparse.csr_matrix)
    assert_same(clf.predict_proba(array), clf.predict_proba(X))


def test_columns_are_found_by_name_in_any_order(table, parquet):
    ds = pytest.importorskip("pyarrow.dataset")
    clf = small_network(max_iter=2).fit(table[["b", "a"]], table[LABELS])
    got = clf.predict_proba(ds.dataset(parquet))
    assert_same(got, clf.predict_proba(table[["b", "a"]]))
    dataset = ds.dataset(parquet).replace_schema(
        ds.dataset(parquet).schema.remove(0)  # without "a"
    )
    with pytest.raises(ValueError, match=r"feature names should match.*\['a'\]"):
        clf.predict(dataset)


def test_a_text_in_a_later_part_has_the_error_of_a_table(tmp_path, problem):
    pa = pytest.importorskip("pyarrow")
    ds = pytest.importorskip("pyarrow.dataset")
    clf = small_network(max_iter=1).fit(*problem)
    rows = pa.table({f"x{j}": column for j, column in enumerate(problem[0].T)})
    rows = rows.set_column(4, "x4", pa.array(["a"] * 60))
    with (
        pytest.warns(UserWarning, match="fitted without feature names"),
        pytest.raises(ValueError, match=r"Columns of X must be numbers.*x4 \(String\)"),
    ):
        clf.predict(ds.dataset(rows))


def test_labels_that_are_missing_in_whole_parts_and_weights_of_0(problem):
    zarr = pytest.importorskip("zarr")
    X, Y = problem
    Y, weight = Y.copy(), np.ones(60)
    Y[:40, 0], weight[:35] = np.nan, 0.0
    clf = small_network(max_iter=2).fit(X, Y)
    array = zarr.array(X, chunks=(10, 5))
    assert clf.score(array, Y, weight) == clf.score(X, Y, weight)
    with pytest.raises(ValueError, match="must have an observed label to score"):
        clf.score(array, np.full_like(Y, np.nan))
    with pytest.raises(ValueError, match="y must have the same shape"):
        clf.score(array, Y[:, :2])
    with pytest.raises(ValueError, match="target y is None"):
        clf.score(array, None)


def test_scorers_read_the_labels(table, parquet):
    clf = classifier(hidden_layer_sizes=(8,), max_iter=2)
    clf.fit(table[FEATURES], table[LABELS])
    scorer = multitask_scorer("roc_auc")
    expected = scorer(clf, table[FEATURES], table[LABELS], table["weight"])
    for X, y, weight in sources(table, parquet):
        assert scorer(clf, X, y, weight) == pytest.approx(expected, abs=1e-12)
        in_memory = scorer(clf, X, table[LABELS], table["weight"])
        assert in_memory == pytest.approx(expected, abs=1e-12)
    zarr = pytest.importorskip("zarr")
    X, y = table[["a", "b"]].to_numpy(), table[LABELS].to_numpy()
    clf.fit(X, y)
    got = scorer(clf, zarr.array(X), zarr.array(y))
    assert got == pytest.approx(scorer(clf, X, y))


def test_rows_that_are_not_in_memory_are_refused_elsewhere(table, parquet):
    ds = pytest.importorskip("pyarrow.dataset")
    dataset = ds.dataset(parquet)
    clf = small_network(max_iter=1).fit(table[["a", "b"]], table[LABELS])
    for X in (dataset, dataset.scanner(), dataset.scanner().to_reader()):
        with pytest.raises(ValueError, match=r"X.* in memory.*; got \w+"):
            clf.add_tasks(X, table["y"])
