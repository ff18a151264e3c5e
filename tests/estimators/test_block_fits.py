"""Fits on rows that are read in blocks."""

import copy
import re

import numpy as np
import pytest
from _estimators import AtEpoch, assert_same_parameters, classifier, parameters_of
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl._training import _streamed_rows
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.inspection import (
    capacity_curve,
    compare_models,
    label_curve,
    task_affinity,
    transfer_gain,
)
from skmtl.model_selection import (
    GridSearchCV,
    MultiTaskTunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
    multitask_train_test_split,
)

h5py = pytest.importorskip("h5py")
pa = pytest.importorskip("pyarrow")
dataset = pytest.importorskip("pyarrow.dataset")
parquet = pytest.importorskip("pyarrow.parquet")
pd = pytest.importorskip("pandas")


@pytest.fixture
def in_blocks(tmp_path):
    """What makes of an array one that is read in blocks of 7 rows."""
    with h5py.File(tmp_path / "X.h5", "w") as file:

        def make(X, name="X"):
            return file.create_dataset(name, data=X, chunks=(7, *X.shape[1:]))

        yield make


@pytest.fixture
def small_buffers(monkeypatch):
    """Parts of 7 rows and a buffer of about 20, so that there are several of each."""
    monkeypatch.setattr("skmtl._sources._source.PART_ROWS", 7)
    monkeypatch.setattr(_streamed_rows, "BUFFER_BYTES", 400)


def in_order(**changes):
    return classifier(shuffle=False, batch_size=8, max_iter=3, **changes)


def labels_of(X, rng):
    """Three kinds of classes, a third of them missing, and a row without a label."""
    Y = pd.DataFrame({"yes": X[:, 0] > 0, "word": np.where(X[:, 1] > 0, "b", "a")})
    Y["of_four"] = np.digitize(X[:, 2], [-1, 0, 1])
    Y.loc[5, "word"] = "c"  # of which one block alone tells
    Y = Y.astype(object).mask(rng.random(Y.shape) < 1 / 3)
    Y.loc[3] = None
    return Y


@pytest.mark.usefixtures("small_buffers")
@pytest.mark.parametrize("weighted", [None, "rows", "labels"])
@pytest.mark.parametrize(
    "settings", [{}, {"class_weight": "balanced"}, {"input_encoding": "none"}]
)
def test_in_order_it_is_the_fit_of_the_whole(problem, in_blocks, weighted, settings):
    X = problem[0].astype(np.float32)
    rng = np.random.default_rng(0)
    Y, weight = labels_of(X, rng), None
    if weighted is not None:
        shape = len(X) if weighted == "rows" else Y.shape
        weight = rng.integers(0, 3, size=shape) / 2
    whole = in_order(**settings).fit(X, Y, weight)
    streamed = in_order(**settings).fit(in_blocks(X), Y, weight)
    for one, other in zip(streamed.classes_, whole.classes_, strict=True):
        assert_array_equal(one, other)
    assert_allclose(streamed.predict_proba(X)[1], whole.predict_proba(X)[1], rtol=1e-5)
    assert_allclose(streamed.loss_curve_, whole.loss_curve_, rtol=1e-6)
    assert_same_parameters(streamed, whole)


def test_many_rows_of_rare_classes_have_one_member(in_blocks):
    # In memory there would be four, each leaving out rows.
    X = in_blocks(np.random.default_rng(0).normal(size=(5_200, 2)))
    Y = (np.arange(5_200) < 60)[:, np.newaxis]
    clf = MultiTaskNetClassifier((4,), max_iter=1).fit(X, Y)
    assert clf.network_.n_members == 1


@pytest.mark.usefixtures("small_buffers")
def test_what_only_a_later_block_has_is_learned_as_well(tmp_path):
    # Missing values, a category and classes, each in one file alone.
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=40), "k": ["u", "v"] * 20})
    table["y"] = (table["a"] > 0).astype(float)
    table["z"] = np.where(table["k"] == "u", 1, 0)
    table.loc[30:33, "a"] = None
    table.loc[34:38, "k"] = "w"
    table.loc[36:, "z"] = 2
    table.loc[:9, "y"] = None
    for i in range(4):
        part = table.iloc[10 * i : 10 * i + 10].astype({"k": "category"})
        arrow = pa.Table.from_pandas(part, preserve_index=False)
        parquet.write_table(arrow, tmp_path / f"{i}.parquet")
    whole = in_order(n_bins=4).fit(
        table[["a", "k"]].astype({"k": "category"}), table[["y", "z"]]
    )
    streamed = in_order(n_bins=4).fit(dataset.dataset(tmp_path), ["y", "z"])
    assert_same_parameters(streamed, whole)
    assert [c.tolist() for c in streamed.classes_] == [[0, 1], [0, 1, 2]]
    assert streamed.feature_names_in_.tolist() == ["a", "k"]
    new = table[["a", "k"]].astype({"k": "category"})
    for one, other in zip(
        streamed.predict_proba(new), whole.predict_proba(new), strict=True
    ):
        assert_array_equal(one, other)


@pytest.mark.usefixtures("small_buffers")
@pytest.mark.parametrize("transformer", [None, StandardScaler()])
def test_numbers_have_the_scale_of_all_blocks(problem, in_blocks, transformer):
    X = problem[0]
    Y = 1000 + 50 * X[:, :2] + X[:, 2:4] ** 2
    Y[::3, 0] = np.nan
    Y[:14, 1] = 7.0  # one value in the first blocks
    settings = {"shuffle": False, "max_iter": 5, "batch_size": 8, "n_members": 1}
    settings |= {"transformer": transformer, "random_state": 0, "dropout": 0.0}
    whole = MultiTaskNetRegressor(input_dropout=0, **settings).fit(X, Y)
    streamed = MultiTaskNetRegressor(input_dropout=0, **settings).fit(in_blocks(X), Y)
    assert_allclose(streamed.predict(X), whole.predict(X), rtol=1e-4)
    assert_allclose(streamed.loss_curve_, whole.loss_curve_, rtol=1e-4)


def test_classes_and_numbers_side_by_side(problem, in_blocks):
    X = problem[0]
    Y = np.column_stack([X[:, 0] > 0, 3 * X[:, 1]])
    settings = {"shuffle": False, "max_iter": 3, "n_members": 1, "random_state": 0}
    whole = MultiTaskNet(**settings).fit(X, Y)
    streamed = MultiTaskNet(**settings).fit(in_blocks(X), Y)
    assert_array_equal(streamed.predict(X), whole.predict(X))


def test_one_axis_of_labels(problem, in_blocks):
    X = problem[0]
    y = np.where(X[:, 0] > 0, "yes", "no")
    streamed = in_order().fit(in_blocks(X), y)
    assert_array_equal(streamed.classes_, ["no", "yes"])
    assert_array_equal(streamed.predict(X), in_order().fit(X, y).predict(X))


@pytest.mark.parametrize("weighted", [False, True])
def test_bins_lie_at_the_same_splits_as_in_memory(in_blocks, weighted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 3)).astype(np.float32)
    y = ((X[:, 0] > 0.7) & (X[:, 1] > -0.3)).astype(float)
    Y = np.column_stack([y, 1 - y])
    Y[rng.random(Y.shape) < 1 / 3] = np.nan
    weight = rng.integers(0, 3, size=Y.shape) / 2 if weighted else None
    whole = classifier(max_iter=1).fit(X, Y, weight)
    streamed = classifier(max_iter=1).fit(in_blocks(X), Y, weight)
    expected, knots = (
        clf.network_.architecture.encoding.numeric.knots for clf in (whole, streamed)
    )
    assert_array_equal(knots, expected)
    assert np.diff(2 * knots[0]).min() < 0.01  # a step


def test_a_sample_of_many_rows_has_the_splits(in_blocks, monkeypatch):
    monkeypatch.setattr("skmtl._inputs._seen.SAMPLE_SIZE", 1200)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 2)).astype(np.float32)
    clf = classifier(max_iter=1).fit(in_blocks(X), (X[:, 0] > 0.7).astype(float))
    knots = 2 * clf.network_.architecture.encoding.numeric.knots[0]
    narrow = np.argmin(np.diff(knots))
    assert_allclose(knots[narrow], 0.7, atol=0.02)


@pytest.mark.usefixtures("small_buffers")
def test_the_same_seed_gives_the_same_weights(problem, in_blocks):
    X, Y = problem
    blocks = in_blocks(X)
    one, other = (classifier(max_iter=3).fit(blocks, Y) for _ in range(2))
    assert_same_parameters(one, other)
    another = classifier(max_iter=3, random_state=1).fit(blocks, Y)
    assert not np.array_equal(parameters_of(one)[0], parameters_of(another)[0])


@pytest.mark.usefixtures("small_buffers")
def test_it_learns(problem, in_blocks):
    X, Y = problem
    clf = classifier(max_iter=60, batch_size=20, learning_rate_init=0.005)
    clf.fit(in_blocks(X), Y)
    assert clf.score(X, Y) > 0.95
    assert clf.loss_curve_[-1] < 0.3 * clf.loss_curve_[0]


@pytest.mark.usefixtures("small_buffers")
def test_held_out_rows_stop_the_training(problem, in_blocks):
    rng = np.random.default_rng(0)
    X, Y = problem[0], rng.integers(0, 2, size=(60, 2)).astype(float)  # of no use
    settings = {"early_stopping": True, "validation_fraction": 0.4, "batch_size": 10}
    clf = classifier(
        max_iter=100, n_iter_no_change=3, learning_rate_init=0.02, **settings
    )
    clf.fit(in_blocks(X), Y)
    assert clf.n_iter_ < 100
    best = int(np.argmax(clf.validation_scores_))
    assert clf.best_validation_score_ == clf.validation_scores_[best]
    assert clf.n_iter_ >= best + 3
    shorter = clone(clf).set_params(max_iter=best + 1, learning_rate="cosine")
    assert shorter.max_iter == best + 1


@pytest.mark.filterwarnings("ignore:.*(no observed label|one class only)")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"main_tasks": "task_2"}, "of the split for main_tasks, but"),
        ({"task_weight": [0, 0, 1]}, "of the split, but"),
    ],
)
def test_labels_that_count_must_be_on_both_sides(problem, in_blocks, settings, message):
    X, Y = problem
    Y[1:, 2] = np.nan
    Y[0, 2] = 1
    settings |= {"early_stopping": True, "validation_fraction": 0.2}
    with pytest.raises(ValueError, match=message) as error:
        classifier(**settings).fit(in_blocks(X), Y)
    n_held_out, n_kept = map(int, re.findall(r"\d+", str(error.value)))
    assert 0 < n_held_out < n_kept


def test_rows_held_out_are_never_trained_on(problem, in_blocks, monkeypatch):
    X, Y = problem
    seen = {"epoch": [], "held_out": []}
    for name, kept in seen.items():
        method = getattr(_streamed_rows.StreamedRows, name)

        def record(self, *args, method=method, kept=kept):
            for piece in method(self, *args):
                kept.append(piece.data.rows.X[piece.rows].numpy())
                yield piece

        monkeypatch.setattr(_streamed_rows.StreamedRows, name, record)
    clf = classifier(early_stopping=True, max_iter=2, input_encoding="none")
    clf.fit(in_blocks(X), Y)
    trained = {tuple(row) for row in np.concatenate(seen["epoch"])}
    held_out = {tuple(row) for row in np.concatenate(seen["held_out"])}
    labelled = X[(~np.isnan(Y)).any(axis=1)]
    assert trained | held_out == {tuple(row) for row in labelled}
    assert not trained & held_out
    assert len(held_out) > 0
    assert sum(map(len, seen["epoch"])) == 2 * len(trained)


@pytest.mark.usefixtures("small_buffers")
def test_a_fit_goes_on(problem, in_blocks):
    X, Y = problem
    blocks = in_blocks(X)
    clf = in_order(warm_start=True).fit(blocks, Y)
    whole = in_order(warm_start=True).fit(X, Y)
    n_before = len(clf.loss_curve_)
    assert_same_parameters(clf.fit(blocks, Y), whole.fit(X, Y))
    assert len(clf.loss_curve_) == 2 * n_before
    fresh = np.where(np.isnan(Y), 0, 2.0)
    with pytest.raises(ValueError, match=r"must be among its classes \[0, 1\]"):
        clf.fit(blocks, fresh)


def test_a_trunk_is_taken_over(problem, in_blocks):
    X, Y = problem
    first = in_order().fit(X, Y)
    settings = {"pretrained": FrozenEstimator(first), "freeze": "trunk"}
    streamed = in_order(**settings).fit(in_blocks(X), Y[:, :1])
    assert_same_parameters(streamed, in_order(**settings).fit(X, Y[:, :1]))


@pytest.mark.usefixtures("small_buffers")
def test_a_killed_fit_goes_on_from_its_checkpoint(problem, in_blocks, tmp_path):
    X, Y = problem
    blocks = in_blocks(X)
    settings = {"max_iter": 5, "checkpoint_dir": tmp_path / "fit", "dropout": 0.3}

    def kill():
        raise SystemExit

    killed = classifier(**settings).set_callbacks(AtEpoch(2, kill))
    with pytest.raises(SystemExit):
        killed.fit(blocks, Y)
    resumed = classifier(**settings).fit(blocks, Y)
    whole = classifier(**(settings | {"checkpoint_dir": None})).fit(blocks, Y)
    assert_same_parameters(resumed, whole)
    other = in_blocks(X + 1, "other")
    with pytest.raises(ValueError, match="a different X, y or sample_weight"):
        classifier(**settings).fit(other, Y)


def test_missing_labels_need_no_weight_in_blocks(problem, in_blocks, small_buffers):
    X, Y = problem
    weight = np.where(np.isnan(Y), np.nan, 1 + np.abs(Y))
    blocks = in_blocks(X)
    given = in_order().fit(blocks, Y, weight)
    assert_same_parameters(given, in_order().fit(blocks, Y, np.nan_to_num(weight)))
    labels, weights = ["a", "b", "c"], ["u", "v", "w"]
    columns = [pd.DataFrame(X), pd.DataFrame(Y, columns=labels)]
    table = pd.concat([*columns, pd.DataFrame(weight, columns=weights)], axis=1)
    table.columns = table.columns.astype(str)
    rows = dataset.dataset(pa.Table.from_pandas(table))
    assert_same_parameters(given, in_order().fit(rows, labels, weights))
    table.loc[~table["b"].isna(), "v"] = np.nan
    rows = dataset.dataset(pa.Table.from_pandas(table))
    with pytest.raises(ValueError, match=r"NaN for labels of tasks \['b'\]"):
        in_order().fit(rows, labels, weights)


# What bad input gets ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "requires y to be passed"),
        ({"oob_score": True}, "oob_score=True needs all rows in the memory"),
        ({"y": np.full((60, 2), np.nan)}, "at least one observed label"),
        ({"sample_weight": -np.ones(60)}, "must not be negative"),
        ({"main_tasks": "nobody"}, "main_tasks must be among the tasks"),
    ],
)
def test_errors(problem, in_blocks, change, message):
    X, Y = problem
    clf = classifier()
    y, sample_weight = change.pop("y", Y), change.pop("sample_weight", None)
    before = copy.copy(vars(clf.set_params(**change)))
    with pytest.raises(ValueError, match=re.escape(message)):
        clf.fit(in_blocks(X), y, sample_weight)
    assert vars(clf) == before


def test_text_beside_numbers_is_found_in_another_block(in_blocks, small_buffers):
    y = np.array([0] * 10 + ["no"] * 10, dtype=object)
    with pytest.raises(ValueError, match="must all be numbers, all strings"):
        classifier().fit(in_blocks(np.zeros((20, 2))), y)


def test_a_value_that_is_wrong_in_a_late_block(problem, in_blocks, small_buffers):
    X, Y = problem
    X = X.copy()
    X[50, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        classifier(input_encoding="none").fit(in_blocks(X), Y)


def test_rows_that_become_fewer(problem, in_blocks, small_buffers):
    X, Y = problem

    class Changing:
        """y whose labels are missing from the second reading on."""

        shape, ndim, dtype = Y.shape, 2, Y.dtype

        def __init__(self):
            self.n_read = 0

        def __len__(self):
            return len(Y)

        def __getitem__(self, rows):
            self.n_read += 1
            return Y[rows] if self.n_read < 12 else np.full_like(Y[rows], np.nan)

    clf = classifier(max_iter=5)
    with pytest.raises(ValueError, match="must have the same rows each time"):
        clf.fit(in_blocks(X), Changing())
    assert not hasattr(clf, "network_")


@pytest.mark.parametrize("method", ["partial_fit", "add_tasks"])
def test_what_needs_rows_in_memory_says_so(problem, in_blocks, method):
    X, Y = problem
    clf = classifier(max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match=f"{method} needs X in memory; got Dataset"):
        getattr(clf, method)(in_blocks(X), Y)


def test_labels_that_look_like_measurements(problem, in_blocks):
    X = problem[0]
    with pytest.warns(UserWarning, match="look like measurements"):
        classifier(max_iter=1).fit(in_blocks(X), np.arange(60) * 3)
    with pytest.warns(UserWarning, match="one class only"):
        classifier(max_iter=1).fit(in_blocks(X, "Z"), np.ones((60, 1)))


def test_an_interrupt_keeps_the_best_epoch_so_far(problem, in_blocks, small_buffers):
    X, Y = problem
    blocks = in_blocks(X)

    def interrupt():
        raise KeyboardInterrupt

    clf = classifier(max_iter=50).set_callbacks(AtEpoch(3, interrupt))
    with pytest.warns(RuntimeWarning, match="interrupted after"):
        clf.fit(blocks, Y)
    assert 3 <= clf.n_iter_ < 50
    assert clf.predict_proba(blocks).shape == Y.shape


@pytest.mark.parametrize("kind", ["zarr", "dask array", "dask frame"])
def test_other_kinds_of_blocks(problem, kind):
    X, Y = problem
    blocks, y, names = X, Y, None
    if kind == "zarr":
        blocks = pytest.importorskip("zarr").array(X, chunks=(7, 5))
    elif kind == "dask array":
        blocks = pytest.importorskip("dask.array").from_array(X, chunks=(7, 2))
        y = pytest.importorskip("dask.array").from_array(Y, chunks=(20, 3))
    else:
        dd, names = pytest.importorskip("dask.dataframe"), list("abcde")
        frame = pd.DataFrame(np.hstack([X, Y]), columns=[*names, "x", "y", "z"])
        frame = dd.from_pandas(frame, npartitions=5)
        blocks, y = frame[names], frame[["x", "y", "z"]]
    streamed = in_order().fit(blocks, y)
    whole = in_order().fit(X, Y)
    assert_same_parameters(streamed, whole)
    if names is not None:
        assert streamed.feature_names_in_.tolist() == names
        assert streamed.task_names_.tolist() == ["x", "y", "z"]


def test_what_needs_all_rows_says_so(problem, in_blocks):
    X, Y = problem
    blocks, clf = in_blocks(X), classifier(max_iter=1)
    calls = [
        lambda: GridSearchCV(clf, {"alpha": [1]}).fit(blocks, Y),
        lambda: MultiTaskTunedThresholdClassifierCV(clf).fit(blocks, Y),
        lambda: MultiTaskCalibratedClassifierCV(clf).fit(blocks, Y),
        lambda: cross_validate(clf, blocks, Y),
        lambda: cross_val_predict(clf, blocks, Y),
        lambda: multitask_train_test_split(blocks, Y),
        lambda: compare_models(clf, blocks, Y),
        lambda: transfer_gain(clf, blocks, Y),
        lambda: capacity_curve(clf, blocks, Y, sizes=[8]),
        lambda: label_curve(clf, blocks, Y, "task_0"),
        lambda: task_affinity(clf, blocks, Y),
        lambda: skmtl.report(clf, blocks, Y),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="needs X in memory; got Dataset, which"):
            call()
