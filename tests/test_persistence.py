"""What is saved comes back to the last bit; a file of others is an error."""

import contextlib
import copy
import functools
import json
import resource
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from _estimators import AtEpoch, assert_same_parameters, classifier
from _trunks import plain
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmtl
from skmtl import MultiTaskNetClassifier
from skmtl._files import read_file, write_file
from skmtl._persistence._save_load import _KINDS
from skmtl.sharing import NoSharing
from skmtl.trunks import ConvTrunk, UnfreezeAfter

NOT_SAVED = "not a model written by skmtl"
KIND = _KINDS["MultiTaskNetClassifier"]
FIXTURE = Path(__file__).parent / "fixtures" / "model_of_version_1.safetensors"
# What skops must be told to trust, for a classifier of any kind.
TRUSTED = [
    "skmtl._estimators._automatic.LabelledData",
    "skmtl._estimators._chunks.Calls",
    "skmtl._estimators._classifier.MultiTaskNetClassifier",
    "skmtl._estimators._network_state.NetworkState",
    "skmtl._inputs._check.InputColumns",
    "skmtl._inputs._declared.Declared",
    "skmtl._inputs._encoding.CategoricalColumns",
    "skmtl._inputs._encoding.ColumnEncoding",
    "skmtl._inputs._encoding.NumericColumns",
    "skmtl._network._network.Architecture",
    "skmtl._outputs.Binary",
    "skmtl._outputs.Multiclass",
    "skmtl._targets._tasks.Classes",
    "skmtl._targets._tasks.Tasks",
    "skmtl._training._solver_state.SolverState",
    "skmtl._training._steps.Freeze",
    "skmtl.sharing._hard.NoSharing",
    "skmtl.trunks._conv.ConvTrunk",
    "skmtl.trunks._freeze.UnfreezeAfter",
]


def raw_table():
    """Numbers, NaN, categories of text and of times; tasks of all kinds of labels."""
    rng = np.random.default_rng(3)
    n = 90
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "é"])
    X["b"] = X["b"].mask(rng.random(n) < 0.2)
    X["ward"] = pd.Categorical(rng.choice(["heart", "lung", "nerves"], n))
    Y = pd.DataFrame(
        {
            "text": np.where(X["a"] > 0, "yes", "no, never"),
            "flag": X["b"] > 0,
            "number": np.digitize(X["é"], [-1, 1]) - 1,
        }
    )
    return X, Y.mask(rng.random(Y.shape) < 0.3)


def images():
    rng = np.random.default_rng(4)
    X = rng.integers(0, 255, size=(40, 1, 6, 6)).astype(np.uint8)
    return X, rng.integers(0, 2, size=(40, 2)).astype(float)


def fitted_classifiers():
    """A classifier of each kind, and rows to predict."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5))
    Y = np.where(rng.random((60, 3)) < 0.3, np.nan, X[:, :3] > 0)
    shared = classifier(hidden_layer_sizes=(6,), max_iter=2).fit(X, Y)
    yield "plain", shared, X
    kinds = {
        "separate": {"sharing": "none", "head_hidden_layer_sizes": [4]},
        "spec": {"sharing": NoSharing(), "n_members": np.int64(2)},
        "validated": {"early_stopping": True, "validation_fraction": 0.2},
        "weighted": {
            "class_weight": {"task_1": {0: 2.0, 1: 1.0}},
            "task_weight": [1, 2, 3],
        },
        "not trained": {"max_iter": 0},
        "thawing": {
            "pretrained": FrozenEstimator(shared),
            "freeze": UnfreezeAfter(1),
            "hidden_layer_sizes": (6,),
        },
    }
    for name, changes in kinds.items():
        settings = {"hidden_layer_sizes": (7, 6), "max_iter": 2} | changes
        yield name, classifier(**settings).fit(X, Y), X
    one_task = classifier(hidden_layer_sizes=(), max_iter=2).fit(
        X, np.digitize(X[:, 0], [0, 1])
    )
    yield "one task", one_task, X
    in_parts = classifier(n_members=2)
    for solver in ("sgd", "adam"):
        in_parts.set_params(solver=solver).partial_fit(X, Y)
    yield "in parts", in_parts, X
    rows = sparse.random_array((60, 5), density=0.4, format="csr", random_state=0)
    yield "sparse", classifier(max_iter=2).fit(rows, Y), rows
    table, labels = raw_table()
    yield "table", classifier(max_iter=2, n_bins=4).fit(table, labels), table
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(table)) % 4, "D")
    times = table.assign(ward=pd.Categorical(days))
    yield "times", classifier(max_iter=2).fit(times, labels), times
    X, Y = images()
    trunk = ConvTrunk((3, 4))
    for name, sharing in (("images", "hard"), ("separate images", "none")):
        clf = classifier(trunk=trunk, sharing=sharing, max_iter=1, n_members=2)
        yield name, clf.fit(X, Y), X


@functools.cache
def all_kinds():
    return {name: (clf, X) for name, clf, X in fitted_classifiers()}


KINDS = ["plain", "separate", "spec", "validated", "weighted", "not trained", "thawing"]
KINDS += [
    "one task",
    "in parts",
    "sparse",
    "table",
    "times",
    "images",
    "separate images",
]


@pytest.fixture(params=KINDS)
def kind(request):
    """A fitted classifier, and rows to predict."""
    return all_kinds()[request.param]


def saved(clf, tmp_path):
    path = tmp_path / "model.safetensors"
    skmtl.save(clf, path)
    return path


def assert_equal_predictions(one, other, X):
    for a, b in zip(one.predict_proba(X), other.predict_proba(X), strict=True):
        assert_array_equal(a, b)
    assert_array_equal(one.predict(X), other.predict(X))


def test_a_saved_classifier_comes_back_to_the_last_bit(kind, tmp_path):
    clf, X = kind
    back = skmtl.load(saved(clf, tmp_path))
    assert_equal_predictions(back, clf, X)
    assert_same_parameters(back, clf)
    assert repr(back) == repr(clf)
    learned = {name for name in vars(clf) if name.endswith("_")}
    assert learned == {name for name in vars(back) if name.endswith("_")}
    for name in learned - {"network_"}:
        one, other = getattr(back, name), getattr(clf, name)
        assert type(one) is type(other), name
        several = isinstance(one, list)  # arrays of classes differ in length
        for a, b in zip(one, other, strict=True) if several else [(one, other)]:
            assert_array_equal(a, b)


def test_a_loaded_classifier_goes_on_as_the_saved_one_would(kind, tmp_path):
    clf, X = kind
    n_tasks = clf.n_outputs_
    codes = np.arange(len(clf.predict(X))) % 2
    y = np.column_stack(
        [clf._tasks.classes[t].astype(object)[codes] for t in range(n_tasks)]
    )
    y = y[:, 0] if clf._tasks.is_1d else pd.DataFrame(y, columns=clf.task_names_)
    settings = {"early_stopping": False, "freeze": "none"}
    back = skmtl.load(saved(clf, tmp_path)).set_params(**settings)
    there = copy.deepcopy(clf).set_params(**settings)
    assert_same_parameters(back.partial_fit(X, y), there.partial_fit(X, y))


def test_a_file_is_read_by_safetensors_alone(problem, tmp_path):
    from safetensors.numpy import load_file

    clf = classifier(max_iter=1).fit(*problem)
    arrays = load_file(saved(clf, tmp_path))
    name = "estimator/network_/arrays/trunk.layers.0.weight"
    assert_array_equal(arrays[name], clf.network_.trunk.layers[0].weight.detach())


def test_what_cannot_be_saved_is_refused(problem, tmp_path):
    X, Y = problem
    path = tmp_path / "model.safetensors"
    with pytest.raises(NotFittedError):
        skmtl.save(classifier(), path)
    with pytest.raises(TypeError, match=r"Pipeline with skops\.io"):
        skmtl.save(make_pipeline(StandardScaler(), classifier()), path)
    refused = {
        "your own trunk or sharing": classifier(trunk=plain),
        "random_state is of type RandomState": classifier(
            random_state=np.random.RandomState(0)
        ),
    }
    for message, clf in refused.items():
        with pytest.raises(ValueError, match=message):
            skmtl.save(clf.set_params(max_iter=1).fit(X, Y), path)
    with_callback = classifier(max_iter=1)
    with_callback.set_callbacks(AtEpoch(0, lambda: False)).fit(X, Y)
    with pytest.raises(ValueError, match="_skl_callbacks"):
        skmtl.save(with_callback, path)
    changed = classifier(max_iter=1).fit(X, Y).set_params(trunk=ConvTrunk())
    with pytest.raises(ValueError, match=r"trunk describes another network"):
        skmtl.save(changed, path)
    assert not list(tmp_path.iterdir())


def test_categories_that_cannot_be_saved_are_named_by_their_column(problem, tmp_path):
    X, Y = problem
    table = pd.DataFrame({"a": X[:, 0], "b": pd.cut(X[:, 1], 3)})
    clf = classifier(max_iter=1).fit(table, Y)
    with pytest.raises(ValueError, match=r"category in column 1 .* Interval.*text"):
        skmtl.save(clf, tmp_path / "model")


@pytest.mark.parametrize("changes", [{"alpha": -5.0}, {"activation": "none"}])
def test_parameters_that_are_illegal_by_now_are_refused(problem, tmp_path, changes):
    clf = classifier(max_iter=1).fit(*problem).set_params(**changes)
    with pytest.raises(ValueError, match=f"The '{next(iter(changes))}' parameter"):
        skmtl.save(clf, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_whole_or_not_at_all(problem, tmp_path, monkeypatch):
    old = classifier(max_iter=1).fit(*problem)
    path = saved(old, tmp_path)

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        skmtl.save(classifier(max_iter=2).fit(*problem), path)
    assert [path] == list(tmp_path.iterdir())
    assert_same_parameters(skmtl.load(path), old)


def test_a_file_is_written_where_a_link_leads(problem, tmp_path):
    clf = classifier(max_iter=1).fit(*problem)
    (tmp_path / "models").mkdir()
    target, link = tmp_path / "models" / "model", tmp_path / "link"
    link.symlink_to(target)
    skmtl.save(clf, link)
    assert link.is_symlink()
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["model"]
    assert_same_parameters(skmtl.load(target), clf)


def test_a_folder_that_is_not_there_is_named(problem, tmp_path):
    clf = classifier(max_iter=1).fit(*problem)
    with pytest.raises(
        FileNotFoundError,
        match=r"away.model' must be in an existing folder",
    ):
        skmtl.save(clf, tmp_path / "away" / "model")


def test_load_says_what_it_was_given(tmp_path):
    with pytest.raises(FileNotFoundError):
        skmtl.load(tmp_path / "nothing")
    for content in (b"", b"\x80\x04N.", b"PK\x03\x04" + bytes(100)):
        path = tmp_path / "other"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=NOT_SAVED):
            skmtl.load(path)


# Files that somebody has changed ----------------------------------------------------


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    """Path and rows of small saved classifiers."""
    folder = tmp_path_factory.mktemp("small")
    table, labels = raw_table()
    X, Y = images()
    classifiers = {
        "table": (
            classifier(hidden_layer_sizes=(3,), max_iter=1, n_bins=3),
            table,
            labels,
        ),
        "images": (classifier(trunk=ConvTrunk((2,)), max_iter=1), X, Y),
    }
    files = []
    for name, (clf, rows, y) in classifiers.items():
        clf.partial_fit(rows, y)
        skmtl.save(clf, folder / name)
        files.append((folder / name, clf, rows))
    return files


def load_or_none(path):
    """The classifier, or None if `load` rejects the file."""
    try:
        return skmtl.load(path)
    except ValueError as error:
        if NOT_SAVED not in str(error):
            raise
        return None


def loaded_or_refused(path, clf, X):
    """Whether the file was taken; then its predictions are those of the original."""
    back = load_or_none(path)
    if back is None:
        return False
    assert_equal_predictions(back, clf, X)
    return True


def change_bytes(content, rng):
    """Flipped, cut, doubled, exchanged or inserted bytes."""
    content = bytearray(content)
    kind = rng.integers(5)
    start, stop = sorted(rng.integers(0, len(content), size=2))
    if rng.random() < 0.5:  # in the header, which is most often the smaller part
        start, stop = start % 4000, start % 4000 + int(rng.integers(1, 20))
    if kind == 0:
        for position in rng.integers(0, len(content), size=rng.integers(1, 4)):
            content[position] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del content[start:stop]
    elif kind == 2:
        content[start:start] = content[start:stop]
    elif kind == 3:
        content[start:stop] = content[start:stop][::-1]
    else:
        content[start:start] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(content)


def assert_no_change_of_bytes_goes_unnoticed(small_files, tmp_path, n_mutations):
    rng = np.random.default_rng(0)
    path, n_taken = tmp_path / "changed", 0
    for i in range(n_mutations):
        original, clf, X = small_files[i % 2]
        content = original.read_bytes()
        changed = change_bytes(content, rng)
        path.write_bytes(changed)
        if loaded_or_refused(path, clf, X):
            n_taken += changed != content
    # A reversed piece may read the same; what is taken is the same model anyway.
    assert n_taken <= 0.01 * n_mutations


def test_no_change_of_bytes_goes_unnoticed(small_files, tmp_path):
    assert_no_change_of_bytes_goes_unnoticed(small_files, tmp_path, 400)


@pytest.mark.slow
def test_no_change_of_bytes_goes_unnoticed_at_length(small_files, tmp_path):
    assert_no_change_of_bytes_goes_unnoticed(small_files, tmp_path, 6000)


# What somebody may put instead of any value.
STRANGE = [None, True, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, -1e308, "", "x", "task_0"]
STRANGE += [[], {}, [[]], {"tuple": []}, {"tuple": [10**9]}, {"float": "nan"}]
STRANGE += [{"dict": []}, {"objects": {"shape": [10**12, 0], "items": []}}]
STRANGE += [{"Freeze": {}}, {"HardSharing": {}}, {"Tasks": {}}, {"posix": {"a": 1}}]


def all_places(node):
    """(container, key) of every value in a document."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(pairs):
        yield node, key
        if isinstance(value, dict | list):
            yield from all_places(value)


def change_document(document, arrays, rng):
    """A document or arrays that somebody has changed and signed again."""
    document, arrays = copy.deepcopy(document), dict(arrays)
    if rng.random() < 0.6:
        places = list(all_places(document))
        container, key = places[rng.integers(len(places))]
        kind = rng.integers(3)
        if kind == 0:
            container[key] = copy.deepcopy(STRANGE[rng.integers(len(STRANGE))])
        elif kind == 1:
            other, other_key = places[rng.integers(len(places))]
            container[key] = copy.deepcopy(other[other_key])
        else:
            del container[key]
        return document, arrays
    name = list(arrays)[rng.integers(len(arrays))]
    arrays[name] = change_array(arrays[name], rng)
    return document, arrays


def change_array(array, rng):
    kind = rng.integers(5)
    if kind == 0:
        return array.astype(
            rng.choice(["int8", "int64", "uint32", "float32", "float64"])
        )
    if kind == 1:
        return array[..., None]
    if kind == 2:
        return np.concatenate([array.ravel(), array.ravel()])
    changed = array.copy().reshape(-1)
    if len(changed):
        extremes = {"f": [np.nan, np.inf, -1e30], "b": [True]}
        values = extremes.get(array.dtype.kind, [0, 2, np.iinfo("int8").max])
        with np.errstate(over="ignore"):
            changed[rng.integers(len(changed))] = rng.choice(values)
    return changed.reshape(array.shape)


def assert_signed_changes_do_no_harm(small_files, tmp_path, n_mutations):
    """Refused, or a classifier that predicts, or refuses X, as any other does."""
    rng = np.random.default_rng(1)
    path, n_taken = tmp_path / "changed", 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    originals = [read_file(path, [KIND]) for path, _, _ in small_files]
    for i in range(n_mutations):
        X = small_files[i % 2][2]
        document, arrays = change_document(*originals[i % 2], rng)
        write_file(path, KIND, document, arrays)
        clf = load_or_none(path)
        if clf is None:
            continue
        n_taken += 1
        with contextlib.suppress(ValueError):  # other columns, other categories
            for p in clf.predict_proba(X):
                assert np.isfinite(p).all()
                assert ((p >= 0) & (p <= 1)).all()
    # A weight, a name or a parameter may be another and all fit together.
    assert 0 < n_taken < 0.6 * n_mutations
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert growth < 100_000, f"{growth} KiB"


@pytest.mark.filterwarnings("ignore:X has feature names")  # ours may be gone
def test_signed_changes_do_no_harm(small_files, tmp_path):
    assert_signed_changes_do_no_harm(small_files, tmp_path, 400)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X has feature names")
def test_signed_changes_do_no_harm_at_length(small_files, tmp_path):
    assert_signed_changes_do_no_harm(small_files, tmp_path, 6000)


def changed_by(path, *changes):
    """The file with values set at paths of the document, signed again."""
    document, arrays = read_file(path, [KIND])
    for *keys, last, value in changes:
        node = document
        for key in keys:
            node = node[key]
        assert last in node
        node[last] = value
    write_file(path, KIND, document, arrays)


ARCHITECTURE = (
    "MultiTaskNetClassifier",
    "fitted",
    "network_",
    "NetworkState",
    "architecture",
    "Architecture",
)
FITTED = ARCHITECTURE[:2]
DECLARED = (*FITTED, "_columns", "InputColumns", "declared", "Declared")


@pytest.mark.parametrize(
    "change",
    [
        (*ARCHITECTURE, "n_members", 10**12),
        (*ARCHITECTURE, "hidden_layer_sizes", {"tuple": [10**12]}),
        (*ARCHITECTURE, "hidden_layer_sizes", {"tuple": [1] * 10**5}),
        (*ARCHITECTURE, "head_hidden_layer_sizes", {"tuple": [10**9, 10**9]}),
        (*ARCHITECTURE, "n_features", 10**12),
        (*ARCHITECTURE, "outputs", {"tuple": [{"Binary": {}}] * 10**5}),
        (*ARCHITECTURE, "sharing", "os.system('true')"),
        (*FITTED, "n_features_in_", 10**12),
    ],
    ids=lambda change: f"{change[-2]}={str(change[-1])[:30]}",
)
def test_sizes_that_the_arrays_do_not_have_take_no_memory(problem, tmp_path, change):
    X, Y = problem
    path = saved(classifier(max_iter=1).fit(X, Y), tmp_path)
    changed_by(path, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=NOT_SAVED):
        skmtl.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    ("channels", "side"), [((10**6, 10**6), 6), ((2,), 10**6), ((1,) * 10**5, 6)]
)
def test_images_that_the_arrays_do_not_have_take_no_memory(tmp_path, channels, side):
    clf = classifier(trunk=ConvTrunk((2,)), max_iter=1).fit(*images())
    path = saved(clf, tmp_path)
    shape = {"tuple": [1, side, side]}
    columns = (*FITTED, "_columns", "InputColumns", "row_shape", shape)
    spec = {"tuple": list(channels)}
    changed_by(
        path,
        ("MultiTaskNetClassifier", "params", "trunk", "ConvTrunk", "channels", spec),
        (*ARCHITECTURE, "trunk", repr(ConvTrunk(channels))),
        (*ARCHITECTURE, "input_shape", shape),
        (*ARCHITECTURE, "n_features", side * side),
        (*FITTED, "n_features_in_", side * side),
        columns,
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(ValueError):
        assert skmtl.load(path).n_features_in_ == side * side
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_many_layers_of_heads_must_have_arrays(tmp_path):
    """Heads of tasks of other numbers of classes are layers of their own."""
    Y = np.column_stack([np.arange(60) % n for n in range(2, 12)])
    X = np.random.default_rng(0).normal(size=(60, 5))
    path = saved(classifier(max_iter=1).fit(X, Y), tmp_path)
    document, arrays = read_file(path, [KIND])
    state = functools.reduce(lambda node, key: node[key], ARCHITECTURE[:-2], document)
    for i in range(1000):
        arrays[f"none {i}"] = np.empty(0, np.float32)
        state["arrays"]["dict"].append([f"none {i}", {"array": f"none {i}"}])
    write_file(path, KIND, document, arrays)
    sizes = {"tuple": [1] * 1000}
    changed_by(path, (*ARCHITECTURE, "head_hidden_layer_sizes", sizes))
    with pytest.raises(ValueError, match="too few arrays"):
        skmtl.load(path)


def set_numbers(value, *, dtype=None):
    """A change of an array: all of it is this number."""

    def change(array):
        return np.full_like(array, value, dtype=dtype)

    return change


SOLVER = "estimator/_solver_state/moments"
NUMERIC = "estimator/network_/architecture/encoding/numeric"
CATEGORICAL = "estimator/network_/architecture/encoding/categorical"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (f"{SOLVER}/mean/0", set_numbers(0, dtype=np.float64), "another network"),
        (f"{SOLVER}/mean/0", set_numbers(np.nan), "must be numbers"),
        (f"{SOLVER}/square/0", set_numbers(-1), "must be numbers"),
        (f"{SOLVER}/n_steps/0", set_numbers(-1), "must be numbers"),
        (f"{NUMERIC}/scores", set_numbers(1e300), "scores must be finite"),
        (f"{NUMERIC}/bin_means", set_numbers(1e300), "from 0 to 1"),
        (f"{CATEGORICAL}/row_share", set_numbers(-5), "from 0 to 1"),
        (
            "estimator/_is_labelled",
            lambda flags: np.full(flags.shape, 2, np.uint8).view(bool),
            "neither true nor false",
        ),
    ],
)
def test_values_that_no_fit_gives_are_refused(
    small_files, tmp_path, name, change, message
):
    document, arrays = read_file(small_files[0][0], [KIND])
    arrays[name] = change(arrays[name])
    write_file(tmp_path / "changed", KIND, document, arrays)
    with pytest.raises(ValueError, match=message):
        skmtl.load(tmp_path / "changed")


@pytest.mark.parametrize(
    "change",
    [
        (*FITTED, "_solver_state", "SolverState", "freeze", "Freeze", "n_layers", -1),
        (*FITTED, "_solver_state", "SolverState", "freeze", "Freeze", "step_factor", 0),
        (*ARCHITECTURE, "activation", ["relu"]),
        (*ARCHITECTURE, "n_members", True),
        (*FITTED, "_columns", "InputColumns", "encoding", ["piecewise"]),
        (*FITTED, "_calls", "Calls", "n_done", 0),
        (*FITTED, "_calls", "Calls", "n_calls", 0),
        (*FITTED, "_calls", "Calls", "n_rows", 1.5),
        (*FITTED, "_calls", "Calls", "last_loss", None),
        (*FITTED, "_calls", "Calls", "last_loss", {"float": "nan"}),
        (*FITTED, "_calls", "Calls", "data", {"Binary": {}}),
        (*FITTED, "_calls", "Calls", "data", "LabelledData", "mean_weight", -1.0),
        (*FITTED, "_calls", "Calls", "data", "LabelledData", "n_rows", True),
        (*DECLARED, "categories", {"tuple": [0]}),
        (*DECLARED, "ranges", {"dict": [[0, {"tuple": [1.0, 0.0]}]]}),
        (*DECLARED, "ranges", {"dict": [[0, {"tuple": [1.0]}]]}),
        (*DECLARED, "ranges", {"dict": [[3, {"tuple": [0.0, 1.0]}]]}),
        (*DECLARED, "ranges", {"dict": [[99, {"tuple": [0.0, 1.0]}]]}),
        (*ARCHITECTURE, "encoding", "ColumnEncoding", "is_shown", True),
    ],
    ids=lambda change: f"{change[-2]}={change[-1]}",
)
def test_fields_that_no_fit_gives_are_refused(small_files, tmp_path, change):
    path = tmp_path / "changed"
    path.write_bytes(small_files[0][0].read_bytes())
    changed_by(path, change)
    with pytest.raises(ValueError, match=NOT_SAVED):
        skmtl.load(path)


def test_a_trunk_of_pictures_with_encoded_columns_is_refused(small_files, tmp_path):
    path = tmp_path / "changed"
    path.write_bytes(small_files[1][0].read_bytes())
    changed_by(
        path,
        (*FITTED, "_columns", "InputColumns", "encoding", "piecewise"),
        (*ARCHITECTURE, "n_bins", 3),
    )
    with pytest.raises(ValueError, match="cannot read encoded columns"):
        skmtl.load(path)


def with_header(path, change):
    """The file with another header, in bytes."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = change(content[8 : 8 + size])
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])


def deep(header):
    return b'{"__metadata__":' + b"[" * 10**6 + b"]" * 10**6 + b"}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.replace(b'"kind"', b'"sha256":"","kind"', 1), "a key twice"),
        (lambda h: h.replace(b'"version":"1"', b'"version":"2"', 1), "version '2'"),
        (lambda h: h.replace(b'"kind":"skmtl', b'"kind":"other', 1), "of kind 'other"),
        (lambda h: h.replace(b"\\\\u", b"\\\\n", 1), "checksum"),
        (lambda h: h.replace(b'"shape":[', b'"shape":[99999999999,', 1), "arrays"),
        (
            lambda h: json.dumps({"__metadata__": {"pickle": "x"}}).encode(),
            "other fields",
        ),
        (deep, "JSON cannot be read"),
    ],
)
def test_headers_that_we_did_not_write_are_refused(tmp_path, change, message):
    X, Y = raw_table()
    path = saved(classifier(max_iter=1).fit(X, Y), tmp_path)
    with_header(path, change)
    with pytest.raises(ValueError, match=message):
        skmtl.load(path)


def test_a_header_longer_than_the_file_is_refused(tmp_path):
    path = tmp_path / "model"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="too short"):
        skmtl.load(path)


# Later versions, and other formats --------------------------------------------------


def fixture_problem():
    """X, Y and the classifier that the fixture was written with."""
    X, Y = raw_table()
    clf = MultiTaskNetClassifier(
        (4,), head_hidden_layer_sizes=(3,), n_members=2, max_iter=3, random_state=0
    )
    return X, Y, clf


def test_a_model_saved_by_the_first_version_loads(tmp_path):
    X, Y, clf = fixture_problem()
    back = skmtl.load(FIXTURE)
    expected = json.loads(FIXTURE.with_suffix(".json").read_text())
    for p, task in zip(
        back.predict_proba(X[:5]), expected["probabilities"], strict=True
    ):
        assert_allclose(p, task, atol=1e-5)
    assert back.predict(X[:5]).tolist() == expected["labels"]
    # What were defaults then.
    expected_params = clf.set_params(n_bins=8, input_dropout=0.2).get_params()
    assert back.get_params() == expected_params
    assert back.partial_fit(X, Y).n_iter_ == 4


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"times"}))
def test_skops_takes_a_pipeline_around_the_classifier(name):
    """Of categories that are times it cannot write the names."""
    clf, X = all_kinds()[name]
    pipeline = make_pipeline("passthrough", clf)
    content = skops.io.dumps(pipeline)
    unknown = set(skops.io.get_untrusted_types(data=content))
    assert unknown <= set(TRUSTED)
    back = skops.io.loads(content, trusted=sorted(unknown))
    assert_equal_predictions(back, pipeline, X)
    assert_same_parameters(back[-1], clf)


def test_a_loaded_network_has_memory_of_its_own(problem, tmp_path):
    clf = classifier(max_iter=1).fit(*problem)
    back = skmtl.load(saved(clf, tmp_path))
    with torch.no_grad():
        for parameter in back.network_.parameters():
            parameter.zero_()
    assert clf.predict_proba(problem[0]).std() > 0
