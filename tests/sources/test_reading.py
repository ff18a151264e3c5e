"""Rows, labels and weights of each kind of source, block by block."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from _sources import FEATURES, LABELS
from numpy.testing import assert_array_equal
from scipy import sparse

from skmtl import MultiTaskNetClassifier
from skmtl._inputs import check_inputs
from skmtl._sources import as_source, is_source, labels_in_memory
from skmtl._targets import encode


def read(source):
    """Rows of X as lists, labels of all tasks with None for missing, and weights."""
    X, y, weights, lengths = [], [], [], []
    for block in range(source.n_blocks):
        parts = list(source.read(block))
        assert all(0 < part.n_rows <= 30 for part in parts)
        lengths.append(sum(part.n_rows for part in parts))
        for part in parts:
            X += rows_of(part.X)
            y += rows_of(part.y)
            if part.sample_weight is not None:
                assert len(part.sample_weight) == part.n_rows
                weights += np.asarray(part.sample_weight).tolist()
    assert source.lengths == lengths
    return X, y, weights


def rows_of(values):
    """Lists of Python's own values, None where missing."""
    if values is None:
        return []
    if hasattr(values, "to_pandas"):
        values = values.to_pandas()
    if isinstance(values, pd.Series):
        values = values.to_frame()
    values = pd.DataFrame(np.asarray(values, dtype=object))
    return values.astype(object).where(values.notna(), None).to_numpy().tolist()


# Datasets of pyarrow ------------------------------------------------------------------


def datasets(table, folder):
    """The same rows in files, in memory, and as parts of a larger one."""
    pa = pytest.importorskip("pyarrow")
    ds = pytest.importorskip("pyarrow.dataset")
    as_arrow = pa.Table.from_pandas(table, preserve_index=False)
    names = [f"{number}.parquet" for number in range(3)]
    first = [ds.dataset(folder / name) for name in names]
    csv, feather = folder.parent / "csv", folder.parent / "feather"
    ds.write_dataset(as_arrow, csv, format="csv")
    ds.write_dataset(as_arrow, feather, format="feather", max_rows_per_group=50)
    ds.write_dataset(as_arrow, csv.with_name("ipc"), format="ipc")
    csv_schema = as_arrow.schema.set(2, pa.field("k", pa.string()))
    return {
        "files": ds.dataset(folder),
        "in memory": ds.dataset(as_arrow.to_batches(max_chunksize=35)),
        "union": ds.dataset(first),
        "csv": ds.dataset(csv, format="csv", schema=csv_schema),
        "feather": ds.dataset(feather, format="feather"),
        "ipc": ds.dataset(csv.with_name("ipc"), format="ipc"),
        "filtered": ds.dataset(folder).filter(ds.field("id") >= 0),
    }


@pytest.mark.parametrize(
    "kind", ["files", "in memory", "union", "csv", "feather", "ipc", "filtered"]
)
@pytest.mark.usefixtures("small_blocks")
def test_datasets_have_the_rows_of_the_table(kind, table, parquet):
    dataset = datasets(table, parquet)[kind]
    assert is_source(dataset)
    source = as_source(dataset, LABELS, "weight", columns=FEATURES)
    assert read(source) == read(source)  # it can be read again
    X, y, weights = read(source)
    assert rows_of(table[FEATURES]) == X
    assert y == rows_of(table[LABELS])
    assert weights == pytest.approx(table["weight"].tolist())


@pytest.mark.usefixtures("small_blocks")
def test_a_name_is_a_label_column_of_one_axis_and_a_list_one_of_two(table, parquet):
    dataset = datasets(table, parquet)["files"]
    part = next(as_source(dataset, "y").parts())
    assert encode(part.y, "class").tasks.is_1d
    assert encode(part.y, "class").tasks.names.tolist() == ["y"]
    part = next(as_source(dataset, ["y"]).parts())
    assert not encode(part.y, "class").tasks.is_1d


@pytest.mark.usefixtures("small_blocks")
def test_all_columns_but_labels_and_weights_are_features(table, parquet):
    dataset = datasets(table, parquet)["files"]
    part = next(as_source(dataset, LABELS, "weight").parts())
    assert part.X.column_names == [*FEATURES, "id"]
    part = next(as_source(dataset, LABELS, ["weight", "id"]).parts())
    assert part.X.column_names == FEATURES
    assert part.sample_weight.shape == (part.n_rows, 2)


@pytest.mark.usefixtures("small_blocks")
def test_names_in_arrays_and_an_index(table, parquet):
    dataset = datasets(table, parquet)["files"]
    expected = read(as_source(dataset, LABELS, ["weight", "id"]))
    for names in (
        np.array(LABELS),
        np.array(LABELS, dtype=object),
        table[LABELS].columns,
    ):
        assert read(as_source(dataset, names, np.array(["weight", "id"]))) == expected


def test_an_index_that_pandas_wrote_is_no_feature(table, tmp_path):
    ds = pytest.importorskip("pyarrow.dataset")
    # Not a range, which is not written.
    table.index = table["id"] = np.random.default_rng(0).permutation(len(table))
    table.to_parquet(tmp_path / "unnamed.parquet")
    table.set_index("id").to_parquet(tmp_path / "named.parquet")
    for name in ("unnamed", "named"):
        dataset = ds.dataset(tmp_path / f"{name}.parquet")
        part = next(as_source(dataset, LABELS, "weight").parts())
        expected = FEATURES if name == "named" else [*FEATURES, "id"]
        assert part.X.column_names == expected
    part = next(as_source(dataset, LABELS, columns=["id"]).parts())
    assert part.X.column_names == ["id"]


@pytest.mark.usefixtures("small_blocks")
def test_blocks_are_row_groups_and_small_ones_are_merged(parquet, monkeypatch):
    ds = pytest.importorskip("pyarrow.dataset")
    dataset = ds.dataset(parquet)
    assert as_source(dataset, "y").lengths == [20, 20, 30, 25, 20, 20, 20, 20, 25]
    assert sum(as_source(dataset, "y").lengths) == 200
    monkeypatch.setattr("skmtl._sources._source.PART_ROWS", 1_000)
    assert as_source(dataset, "y").lengths == [200]


@pytest.mark.usefixtures("small_blocks")
def test_weights_in_memory_belong_to_the_rows_in_their_order(table, parquet):
    for dataset in datasets(table, parquet).values():
        source = as_source(dataset, "y", table["id"].to_numpy(), columns=FEATURES)
        backwards = [
            part.sample_weight
            for block in reversed(range(source.n_blocks))
            for part in source.read(block)
        ]
        assert sorted(np.concatenate(backwards).tolist()) == list(range(200))
        assert read(source)[2] == list(range(200))


@pytest.mark.usefixtures("small_blocks")
def test_partitions_in_the_names_of_folders_are_columns(table, tmp_path):
    pa = pytest.importorskip("pyarrow")
    ds = pytest.importorskip("pyarrow.dataset")
    as_arrow = pa.Table.from_pandas(table, preserve_index=False)
    for names in (False, True):
        folder = tmp_path / str(names)
        schema = pa.schema([("z", pa.int8())])
        partitioning = ds.partitioning(schema, flavor="hive")
        whole = as_arrow.set_column(5, "z", as_arrow["z"].cast(pa.int8()))
        ds.write_dataset(whole, folder, format="parquet", partitioning=partitioning)
        partitioning = ds.HivePartitioning.discover(infer_dictionary=names)
        dataset = ds.dataset(folder, partitioning=partitioning)
        ids, labels = [], []
        for part in as_source(dataset, "z", columns=["id"]).parts():
            ids += part.X["id"].to_pylist()
            labels += [int(label) for label in part.y.to_list()]
        order = np.argsort(ids)
        assert_array_equal(np.array(labels)[order], table["z"])


def test_dictionaries_of_each_file_are_the_same_categories(table, parquet):
    ds = pytest.importorskip("pyarrow.dataset")
    dataset = ds.dataset(parquet)
    whole = dataset.to_table().select(["k"])
    net = MultiTaskNetClassifier()
    X, columns = check_inputs(net, whole)
    source = as_source(dataset, "y", columns=["k"])
    parts = [check_inputs(net, part.X, columns)[0] for part in source.parts()]
    assert_array_equal(np.concatenate(parts), X)


def test_labels_of_arrow_are_those_of_pandas():
    pa = pytest.importorskip("pyarrow")
    table = pa.table(
        {
            "whole": pa.array([1, None, 0, 1], pa.int8()),
            "flag": [True, None, False, False],
            "decimal": [0.0, float("nan"), None, 1.0],
            "text": ["x", None, "y", "y"],
            "unlabelled": pa.array([None] * 4, pa.float32()),
            "constant": pa.array([2] * 4, pa.uint16()),
        }
    )
    in_chunks = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    expected = encode(table.to_pandas(), "class")
    for y in (table, in_chunks, table.to_batches()[0]):
        encoded = encode(y, "class")
        assert_array_equal(encoded.codes, expected.codes)
        for one, other in zip(
            encoded.tasks.classes, expected.tasks.classes, strict=True
        ):
            assert one.tolist() == other.tolist()


TEXT = ["a", "b", None, "c"] * 5
UNUSABLE = {
    "text": lambda pa: pa.array(TEXT),
    "times": lambda pa: pa.array(np.arange(20).astype("datetime64[s]")),
    "binary": lambda pa: pa.array([b"x"] * 20),
}
USABLE = {
    "bool": lambda pa: pa.array([True, False, None, True] * 5),
    "int": lambda pa: pa.array([1, 2, None, 3] * 5, pa.int16()),
    "decimal": lambda pa: pa.array([1, 2, None, 3] * 5).cast(pa.decimal128(22, 2)),
    "half": lambda pa: pa.array(np.arange(20, dtype=np.float16)),
    "null": lambda pa: pa.nulls(20),
    "dictionary": lambda pa: pa.array(TEXT).dictionary_encode(),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_columns_that_are_no_numbers_have_the_error_of_a_table(kind, tmp_path):
    pa = pytest.importorskip("pyarrow")
    ds = pytest.importorskip("pyarrow.dataset")
    table = pa.table({"x": UNUSABLE[kind](pa), "y": [0, 1] * 10})
    part = next(as_source(ds.dataset(table), "y").parts())
    with pytest.raises(ValueError, match="Columns of X must be numbers") as error:
        check_inputs(MultiTaskNetClassifier(), table.select(["x"]))
    with pytest.raises(ValueError, match="Columns of X must be numbers") as of_part:
        check_inputs(MultiTaskNetClassifier(), part.X)
    assert str(error.value) == str(of_part.value)


@pytest.mark.parametrize("kind", USABLE)
def test_columns_of_numbers_are_those_of_a_table(kind):
    pa = pytest.importorskip("pyarrow")
    ds = pytest.importorskip("pyarrow.dataset")
    table = pa.table({"x": USABLE[kind](pa), "y": [0, 1] * 10})
    net = MultiTaskNetClassifier()
    X, columns = check_inputs(net, table.select(["x"]))
    part = next(as_source(ds.dataset(table), "y").parts())
    assert_array_equal(check_inputs(net, part.X, columns)[0], X)


@pytest.mark.parametrize(
    ("y", "sample_weight", "columns", "message"),
    [
        ("q", None, None, "y must name columns of the dataset X.*got \\['q'\\]"),
        (["y", "q"], None, None, "y must name columns.*got \\['q'\\]"),
        ("y", "q", None, "sample_weight must name columns.*got \\['q'\\]"),
        (np.zeros(200), None, None, "y must name the label columns.*got ndarray"),
        ([0, 1], None, None, "y must name the label columns.*got list"),
        ([], None, None, "y must name the label columns.*got list"),
        (["y", "y"], None, None, "each column once.*\\['y'\\]"),
        ("y", "y", None, "each column once.*\\['y'\\]"),
        ("y", None, ["a", "y"], "must not be features, but \\['y'\\]"),
        ("y", None, ["a", "q"], "no columns \\['q'\\].*Add or rename"),
        (LABELS, ["weight"], None, "each of the 2 tasks.*pass.*sample_weight='weight'"),
        ("y", "k", None, "sample_weight names must be numeric.*k \\(dictionary"),
        ("y", np.ones(3), None, "inconsistent numbers of samples: \\[200, 3\\]"),
        ([*list("abkiyz"), "weight", "id"], None, None, "at least one feature"),
    ],
)
def test_names_that_cannot_be_used(y, sample_weight, columns, message, parquet):
    ds = pytest.importorskip("pyarrow.dataset")
    with pytest.raises(ValueError, match=message):
        as_source(ds.dataset(parquet), y, sample_weight, columns=columns)


def test_nested_columns_and_equal_names_are_refused():
    pa = pytest.importorskip("pyarrow")
    ds = pytest.importorskip("pyarrow.dataset")
    nested = pa.table({"x": [[1.0, 2.0], [3.0]], "y": [0, 1]})
    with pytest.raises(ValueError, match=r"one value in each row.*x \(list"):
        as_source(ds.dataset(nested), "y")
    twice = pa.table([[1.0], [2.0], [1]], names=["x", "x", "y"])
    with pytest.raises(ValueError, match=r"different names.*\['x'\]"):
        as_source(ds.dataset(twice), "y")


def test_labels_are_asked_for_where_they_are_needed(table, parquet):
    ds = pytest.importorskip("pyarrow.dataset")
    with pytest.raises(ValueError, match=r"target y is None.*y='a' or y=\['a', 'b'\]"):
        as_source(ds.dataset(parquet), needs_y=True)
    zarr = pytest.importorskip("zarr")
    with pytest.raises(ValueError, match=r"target y is None. Pass the labels"):
        as_source(zarr.array(table[["a", "b"]].to_numpy()), needs_y=True)


def test_a_file_that_changes_between_two_readings(parquet, table):
    ds = pytest.importorskip("pyarrow.dataset")
    folder = parquet.with_name("text")
    folder.mkdir()
    table[["a", "y"]].to_csv(folder / "0.csv", index=False)
    source = as_source(ds.dataset(folder, format="csv"), "y")
    assert source.lengths is None
    list(source.parts())
    assert source.lengths == [200]
    table[["a", "y"]].head(50).to_csv(folder / "0.csv", index=False)
    with pytest.raises(ValueError, match="block 0 had 200 rows before and now has 50"):
        list(source.parts())


def test_no_rows_are_an_error_and_empty_files_are_not(table, tmp_path):
    pa = pytest.importorskip("pyarrow")
    ds = pytest.importorskip("pyarrow.dataset")
    pq = pytest.importorskip("pyarrow.parquet")
    rows = pa.Table.from_pandas(table[["a", "y"]], preserve_index=False)
    pq.write_table(rows.slice(0, 0), tmp_path / "0.parquet")
    with pytest.raises(ValueError, match=r"0 sample.*minimum of 1"):
        as_source(ds.dataset(tmp_path), "y")
    filtered = ds.dataset(rows).filter(ds.field("a") > 1e9)
    with pytest.raises(ValueError, match=r"0 sample.*minimum of 1"):
        list(as_source(filtered, "y").parts())
    pq.write_table(rows, tmp_path / "1.parquet")
    source = as_source(ds.dataset(tmp_path), "y")
    assert sum(part.n_rows for part in source.parts()) == 200


# Files of several schemas -----------------------------------------------------------


def files_of(folder, *tables, schema=None):
    """A dataset of files that have one table each."""
    pa = pytest.importorskip("pyarrow")
    ds = pytest.importorskip("pyarrow.dataset")
    pq = pytest.importorskip("pyarrow.parquet")
    for number, columns in enumerate(tables):
        pq.write_table(pa.table(columns), folder / f"{number}.parquet")
    return ds.dataset(folder, schema=schema)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([True, False], [np.nan, 1.0]),
        ([True, False], [0, 1]),
        ([0, 1], [0.5, np.nan]),
        (["0", "1"], [0, 1]),
        ([0.0, 1.0], ["0", "1"]),
        (["true", "false"], [True, False]),
        ([None, None], [0, 1]),
        (np.array([0, 1], dtype=np.int8), [0, 300]),
        (np.array([0, 1], dtype=np.uint8), np.array([0, 1], dtype=np.int8)),
    ],
)
@pytest.mark.parametrize("is_filtered", [False, True])
def test_types_that_cannot_hold_the_values_are_refused(
    first, second, is_filtered, tmp_path
):
    ds = pytest.importorskip("pyarrow.dataset")
    x = [1.0, 2.0]
    dataset = files_of(tmp_path, {"x": x, "y": first}, {"x": x, "y": second})
    if is_filtered:
        dataset = dataset.filter(ds.field("x") > 0)
    message = r"must be able to hold.*'y \(\w+ in .*1.parquet, \w+ in X.schema\).*Merge"
    with pytest.raises(ValueError, match=message):
        as_source(dataset, "y")
    with pytest.raises(ValueError, match=message):
        as_source(dataset, columns=["y"])
    with pytest.raises(ValueError, match=message):
        labels_in_memory(dataset, "y", None)
    assert as_source(dataset, columns=["x"]).n_blocks == 1  # y is not read


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0, 1], np.array([0, 1], dtype=np.int8)),
        ([0, 1], np.array([0, 1], dtype=np.uint8)),
        ([0.0, np.nan], [0, 1]),
        ([0.5, 1.0], np.array([0.5, 1], dtype=np.float32)),
        ([0, 1], [None, None]),
        (["u", "v"], pd.Categorical(["v", "w"])),
        (pd.Categorical(["u", "v"]), ["v", "w"]),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_types_that_hold_the_values_of_all_files(first, second, tmp_path):
    pa = pytest.importorskip("pyarrow")
    x = [1.0, 2.0]
    arrays = [pa.array(y, from_pandas=True) for y in (first, second)]
    source = as_source(files_of(tmp_path, *({"x": x, "y": y} for y in arrays)), "y")
    assert read(source)[1] == [[y] for array in arrays for y in array.to_pylist()]


@pytest.mark.usefixtures("small_blocks")
def test_a_wider_schema_of_the_user(tmp_path):
    pa = pytest.importorskip("pyarrow")
    tables = {"x": [1], "y": [True]}, {"x": [0.5], "y": [np.nan]}
    schema = pa.schema([("x", pa.float64()), ("y", pa.float64())])
    X, y, _ = read(as_source(files_of(tmp_path, *tables, schema=schema), "y"))
    assert X == [[1], [0.5]]
    assert y == [[1], [None]]


def test_columns_that_the_first_file_lacks_are_named(tmp_path):
    pa = pytest.importorskip("pyarrow")
    tables = {"x": [1], "w": [1], "y": [1]}, {"x": [2], "y": [0], "late": [3]}
    dataset = files_of(tmp_path, *tables)
    with pytest.warns(UserWarning, match=r"late \(in .*1.parquet\).*merge the schemas"):
        as_source(dataset, "y")
    as_source(dataset, columns=["x"])  # no fit
    schemas = [pa.table(columns).schema for columns in tables]
    source = as_source(files_of(tmp_path, schema=pa.unify_schemas(schemas)), "y")
    assert next(source.parts()).X.column_names == ["x", "w", "late"]
    # Whoever leaves out a column of all files chose the others.
    source = as_source(files_of(tmp_path, schema=schemas[0].remove(1)), "y")
    assert next(source.parts()).X.column_names == ["x"]


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_weights_that_are_no_numbers_name_their_column(value, tmp_path):
    dataset = files_of(tmp_path, {"x": [1, 2], "y": [0, 1], "wt": [1.0, value]})
    with pytest.raises(ValueError, match=r"finite.*'wt'.*Write 0"):
        list(as_source(dataset, "y", "wt").parts())


# Arrays -------------------------------------------------------------------------------


def arrays(X, tmp_path):
    """The same numbers in chunks of several shapes, as each package has them."""
    zarr = pytest.importorskip("zarr")
    h5py = pytest.importorskip("h5py")
    da = pytest.importorskip("dask.array")
    file = h5py.File(tmp_path / "X.h5", "w")
    first = (17, *X.shape[1:])
    return [
        zarr.array(X, chunks=first),
        zarr.array(X, chunks=(90, *(1 for _ in X.shape[1:]))),
        file.create_dataset("chunks", data=X, chunks=first),
        file.create_dataset("contiguous", data=X),
        da.from_array(X, chunks=first),
        da.from_array(X, chunks=((50, 0, 70, 80), *((n,) for n in X.shape[1:]))),
    ]


@pytest.mark.parametrize("shape", [(200, 3), (200, 2, 4, 4)])
@pytest.mark.usefixtures("small_blocks")
def test_arrays_have_their_rows(shape, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=shape).astype(np.float32)
    y = rng.integers(0, 2, (200, 2)).astype(float)
    lazy_y = arrays(y, tmp_path / "..")
    for array, labels in zip(arrays(X, tmp_path), lazy_y, strict=True):
        assert is_source(array)
        for given in (labels, y, y.tolist(), pd.DataFrame(y)):
            source = as_source(array, given, np.arange(200))
            parts = list(source.parts())
            assert sum(source.lengths) == 200
            assert_array_equal(np.concatenate([part.X for part in parts]), X)
            assert_array_equal(np.concatenate([np.asarray(p.y) for p in parts]), y)
            weights = np.concatenate([part.sample_weight for part in parts])
            assert_array_equal(weights, np.arange(200))
            assert all(part.n_rows <= 30 for part in parts)


@pytest.mark.usefixtures("small_blocks")
def test_labels_of_one_axis_and_text(tmp_path):
    h5py = pytest.importorskip("h5py")
    zarr = pytest.importorskip("zarr")
    X = np.arange(400.0).reshape(200, 2)
    labels = np.array(["yes", "no"] * 100, dtype=object)
    with h5py.File(tmp_path / "y.h5", "w") as file:
        text = file.create_dataset("y", data=labels, dtype=h5py.string_dtype())
        source = as_source(file.create_dataset("X", data=X), text)
        assert np.concatenate([p.y for p in source.parts()]).tolist() == labels.tolist()
    codes = zarr.array(np.arange(200) % 2, chunks=(13,))
    source = as_source(zarr.array(X, chunks=(25, 2)), codes)
    got = [part.y for part in source.parts()]
    assert_array_equal(np.concatenate(got), np.arange(200) % 2)


@pytest.mark.usefixtures("small_blocks")
def test_blocks_are_whole_chunks(tmp_path, monkeypatch):
    zarr = pytest.importorskip("zarr")
    X = np.zeros((200, 2))
    assert as_source(zarr.array(X, chunks=(45, 2))).lengths == [45, 45, 45, 45, 20]
    assert as_source(zarr.array(X, chunks=(14, 2))).lengths == [28] * 7 + [4]
    # A chunk that is too large to be read at once is cut.
    monkeypatch.setattr("skmtl._sources._arrays._CHUNK_BYTES", 16 * 60)
    assert as_source(zarr.array(X, chunks=(200, 2))).lengths == [60, 60, 60, 20]


def test_arrays_of_other_shapes_and_lengths():
    zarr = pytest.importorskip("zarr")
    da = pytest.importorskip("dask.array")
    X = np.zeros((20, 2))
    with pytest.raises(ValueError, match=r"two axes.*shape \(20,\)"):
        as_source(zarr.array(X[:, 0]))
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[20, 5\]"):
        as_source(zarr.array(X), np.zeros(5))
    with pytest.raises(ValueError, match="0 sample"):
        as_source(zarr.array(np.zeros((0, 2))))
    with pytest.raises(ValueError, match=r"y must be an array.*the name of a column"):
        as_source(zarr.array(X), "a")
    array = da.from_array(X, chunks=(5, 2))
    with pytest.raises(ValueError, match=r"known lengths.*compute_chunk_sizes"):
        as_source(array[array[:, 0] >= 0])


def test_sparse_chunks_stay_sparse():
    da = pytest.importorskip("dask.array")
    X = sparse.random(60, 5, 0.3, format="csr", random_state=0)
    array = da.from_array(X.toarray(), chunks=(20, 5)).map_blocks(sparse.csr_matrix)
    parts = [part.X for part in as_source(array, np.zeros(60)).parts()]
    assert all(sparse.issparse(part) for part in parts)
    assert_array_equal(sparse.vstack(parts).toarray(), X.toarray())


# DataFrames of dask -------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
def test_dask_frames_have_the_rows_of_the_table(table):
    dd = pytest.importorskip("dask.dataframe")
    ddf = dd.from_pandas(table, npartitions=4)
    assert is_source(ddf)
    for y in (ddf[LABELS], table[LABELS], table[LABELS].to_numpy()):
        for weight in (ddf["weight"], table["weight"].tolist()):
            source = as_source(ddf[FEATURES], y, weight)
            assert read(source) == read(source)
            X, labels, weights = read(source)
            assert rows_of(table[FEATURES]) == X
            assert labels == rows_of(table[LABELS])
            assert weights == table["weight"].tolist()
    part = next(as_source(ddf[FEATURES], ddf["y"]).parts())
    assert encode(part.y, "class").tasks.is_1d
    assert as_source(ddf[FEATURES], ddf["y"]).lengths is None


def test_dask_partitions_must_be_the_same(table):
    dd = pytest.importorskip("dask.dataframe")
    ddf = dd.from_pandas(table, npartitions=4)
    X, y = ddf[FEATURES], dd.from_pandas(table["y"], npartitions=3)
    with pytest.raises(ValueError, match=r"4 partitions as X; got 3.*y.compute\(\)"):
        as_source(X, y)
    y = dd.from_pandas(table["y"].iloc[20:], npartitions=4)
    with pytest.raises(ValueError, match="partitions as X"):
        as_source(X, y)
    y, X = y.clear_divisions(), X.clear_divisions()
    with pytest.raises(ValueError, match="in partition 0, X has 50 rows and y has 45"):
        list(as_source(X, y).parts())
    with pytest.raises(ValueError, match=r"column names 'y'. Pass ddf\['y'\]"):
        as_source(X, "y")
    with pytest.raises(ValueError, match=r"got Array. Pass y.compute\(\)"):
        as_source(X, ddf["y"].to_dask_array())
    with pytest.raises(ValueError, match=r"inconsistent numbers.*\[200, 3\]"):
        as_source(X, [0, 1, 0])


# What is no source --------------------------------------------------------------------


def test_tables_in_memory_are_no_sources(table, tmp_path):
    numbers = table[["a", "b"]].to_numpy()
    memmap = np.memmap(tmp_path / "X.dat", dtype=float, mode="w+", shape=numbers.shape)
    forms = [numbers, memmap, numbers.tolist(), table, sparse.csr_array(numbers)]
    for module, make in [("pyarrow", "table"), ("polars", "from_pandas")]:
        package = pytest.importorskip(module)
        forms.append(getattr(package, make)(table))
    assert not any(map(is_source, forms))


def test_nothing_is_imported():
    program = (
        "import sys, numpy, skmtl._sources as s\n"
        "before = set(sys.modules)\n"
        "assert not s.is_source(numpy.zeros((2, 2)))\n"
        "assert not {'torch', 'dask', 'zarr', 'h5py'} & set(sys.modules)\n"
        "assert 'pyarrow.dataset' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
