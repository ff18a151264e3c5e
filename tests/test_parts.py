"""What parts of the rows, one after another, say together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskNetClassifier
from skmtl._inputs import ColumnsSeen, check_inputs, encoding_of, extended_columns
from skmtl._inputs import _seen as seen_columns
from skmtl._inputs import learn_encoding as learn_from_whole
from skmtl._sampling import RowSample
from skmtl._targets import TargetsSeen, encode
from skmtl._targets._numbers import learn_scale

pd = pytest.importorskip("pandas")

# Where 40 rows are cut into parts.
cuts = st.lists(st.integers(1, 39), max_size=5, unique=True).map(sorted)
# For what takes some time, of any profile.
fewer_examples = settings(max_examples=settings.default.max_examples * 2 // 5)


def parts_of(n_rows, cuts):
    return np.split(np.arange(n_rows), cuts)


# Samples ------------------------------------------------------------------------------


@given(cuts, st.integers(1, 50))
def test_a_sample_has_the_rows_with_the_smallest_keys(cuts, size):
    rng = np.random.default_rng(0)
    keys, rows = rng.random(40), np.arange(40)
    sample, other = RowSample(size), RowSample(size)
    parts = parts_of(40, cuts)
    for i, part in enumerate(parts):
        (sample if i % 2 else other).add(keys[part], rows[part], rows[part] * 2.0)
    kept = other.kept()
    if kept is not None:
        sample.add(*kept)
    found_keys, found, doubled = sample.kept()
    assert_array_equal(found, np.argsort(keys)[:size])
    assert_array_equal(found_keys, np.sort(keys)[:size])
    assert_array_equal(doubled, found * 2.0)


def test_memory_of_a_sample_does_not_grow_with_the_rows():
    rng, sample = np.random.default_rng(0), RowSample(10)
    for _ in range(200):
        sample.add(rng.random(100), np.zeros(100))
        assert sum(map(len, sample._keys)) <= 2 * 10 + 100


# Columns ------------------------------------------------------------------------------


def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=40), "b": rng.integers(0, 3, size=40)})
    X["k"] = pd.Categorical(
        rng.choice(["u", "v", "w", "rare"], 40, p=[0.4, 0.3, 0.2, 0.1])
    )
    X.loc[33:35, ["a", "k"]] = None
    return X


def see(X, weight, parts):
    clf, columns, seen = MultiTaskNetClassifier(), None, None
    keys = np.random.default_rng(1).random(len(X))
    for rows in parts:
        part = X.iloc[rows]
        # Without the categories of other parts.
        part = part.assign(k=part["k"].cat.remove_unused_categories())
        if columns is not None:
            columns = extended_columns(part, columns)
        numbers, columns = check_inputs(clf, part, columns)
        seen = ColumnsSeen(columns, numbers.shape[1]) if seen is None else seen
        seen.columns = columns
        seen.add(numbers, weight[rows], keys[rows])
    return seen


def assert_same_encoding(one, other):
    for part in ("numeric", "categorical"):
        mine, theirs = vars(getattr(one, part)), vars(getattr(other, part))
        for name, values in mine.items():
            assert_allclose(values, theirs[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("in_processes", [False, True])
@given(cuts, st.integers(1, 8))
@fewer_examples
def test_columns_of_parts_are_those_of_the_whole(in_processes, cuts, n_bins):
    X, weight = table(), np.random.default_rng(2).uniform(0.5, 2, size=40)
    numbers, columns = check_inputs(MultiTaskNetClassifier(), X)
    whole = learn_from_whole(
        numbers,
        columns.categories,
        n_bins,
        rows=np.arange(40),
        row_weight=weight,
        rng=np.random.RandomState(0),
    )
    parts = parts_of(40, cuts)
    if in_processes:
        seen, *others = [see(X, weight, [rows]) for rows in reversed(parts)]
        for other in others:
            seen.merge(other)
    else:
        seen = see(X, weight, parts)
    found, sample = seen.learned()
    assert found == columns
    assert_same_encoding(encoding_of(sample, n_bins), whole)


def test_bins_of_many_rows_come_from_a_sample(monkeypatch):
    monkeypatch.setattr(seen_columns, "SAMPLE_SIZE", 12)
    seen = see(table(), np.ones(40), parts_of(40, [13, 20]))
    _, sample = seen.learned()
    assert len(sample.weight) == len(sample.column(0)) == 12
    assert sample.has_missing.tolist() == [True, False, True]
    assert sum(sample.counts[2]) == 40  # of all rows, so that none is lost


# Targets ------------------------------------------------------------------------------


def labels():
    rng = np.random.default_rng(0)
    Y = pd.DataFrame({"n": rng.normal(50, 9, size=40), "word": ["a", "b"] * 20})
    Y["three"] = rng.integers(0, 3, size=40)
    Y = Y.astype(object).mask(rng.random(Y.shape) < 0.3)
    Y.loc[7, "word"] = "c"
    return Y


TYPES = {"n": "number", "word": "class", "three": "class"}


def see_targets(Y, weights, is_held_out, rows, seen=None):
    seen = seen or TargetsSeen(TYPES, keeps_values=True)
    keys = np.random.default_rng(1).random(len(Y))
    seen.add(seen.read(Y.iloc[rows]), weights[rows], is_held_out[rows], keys[rows])
    return seen


@pytest.mark.parametrize("in_processes", [False, True])
@pytest.mark.parametrize("n_weights", [1, 3])
@given(cuts)
@fewer_examples
def test_targets_of_parts_are_those_of_the_whole(in_processes, n_weights, cuts):
    rng = np.random.default_rng(3)
    Y, is_held_out = labels(), rng.random(40) < 0.3
    weights = rng.uniform(0.5, 2, size=(40, n_weights))
    seen = None
    for rows in parts_of(40, cuts):
        if in_processes:
            other = see_targets(Y, weights, is_held_out, rows)
            seen = other if seen is None else (seen.merge(other), seen)[1]
        else:
            seen = see_targets(Y, weights, is_held_out, rows, seen)
    tasks = seen.learned(lambda tasks: {})
    assert [None if c is None else list(c) for c in tasks.classes] == [
        None,
        ["a", "b", "c"],
        [0, 1, 2],
    ]
    observed = Y["n"].notna().to_numpy()
    values = Y["n"][observed].to_numpy(dtype=float)
    whole = learn_scale(values, weights[observed, 0], None, "n")
    assert_allclose(tasks.targets[0].mean, whole.mean, rtol=1e-12)
    assert_allclose(tasks.targets[0].scale, whole.scale, rtol=1e-12)
    totals = seen.totals(tasks)
    assert_array_equal(seen.n_labels, Y.notna().sum())
    for t, name in enumerate(Y):
        weight = weights[:, min(t, n_weights - 1)]
        for c, label in enumerate(tasks.classes[t] if t else [None]):
            is_label = Y[name].notna() if label is None else Y[name] == label
            for side, is_here in enumerate((~is_held_out, is_held_out)):
                expected = weight[is_label.to_numpy(dtype=bool) & is_here].sum()
                assert_allclose(totals[t, c, side], expected, atol=1e-12)


def test_a_transformer_is_fitted_on_the_values_of_all_parts():
    Y, none = labels(), np.zeros(40, dtype=bool)
    seen = None
    for rows in parts_of(40, [10, 25]):
        seen = see_targets(Y, np.ones((40, 1)), none, rows, seen)
    tasks = seen.learned(lambda tasks: {"n": StandardScaler()})
    values = Y["n"].dropna().to_numpy(dtype=float)
    assert_allclose(tasks.targets[0].transformer.mean_, values.mean(), rtol=1e-12)


@pytest.mark.parametrize("size", [1e300, 1.0, 1e-300])
def test_scales_at_the_ends_of_float64(size):
    values = size * np.array([1.0, 2.0, 3.0, 4.0, -5.0, 6.0])
    Y = pd.DataFrame({"n": values})
    seen = TargetsSeen("number", keeps_values=False)
    for rows in ([0, 1], [2], [3, 4, 5]):
        part = seen.read(Y.iloc[rows])
        seen.add(part, None, np.zeros(len(rows), dtype=bool), np.zeros(len(rows)))
    (task,) = seen.learned(lambda tasks: {}).targets
    assert_allclose(task.mean / size, 11 / 6, rtol=1e-12)
    assert_allclose(task.scale / size, np.std(values / size), rtol=1e-12)


def test_one_value_in_all_parts_is_one_value():
    seen = TargetsSeen("number", keeps_values=False)
    for rows in range(3):
        part = seen.read(np.full((5 + rows, 1), 0.1))
        n_rows = 5 + rows
        seen.add(part, None, np.zeros(n_rows, dtype=bool), np.zeros(n_rows))
    (task,) = seen.learned(lambda tasks: {}).targets
    assert task.scale == 0
    assert task.mean == 0.1


PARTS_TO_GUESS = [
    [[None, None], [0.5, 2.5]],
    [[0.0, 1.0], [0.5, 2.5]],
    [[3.0, 4.0], [0.5, None]],
    [[0.5, None], [3.0, 4.0]],
    [[0.0, None], [1.0, 1.0]],
    [["a", "b"], ["c", None]],
]


@pytest.mark.parametrize("in_processes", [False, True])
@pytest.mark.parametrize("parts", PARTS_TO_GUESS)
@pytest.mark.parametrize("transformer", [None, StandardScaler()])
def test_types_are_guessed_from_all_parts(parts, in_processes, transformer):
    y = [label for part in parts for label in part]
    (whole,) = encode(pd.DataFrame({"a": y}), "auto").tasks.are_numbers
    seen = None
    for i, part in enumerate(parts):
        if seen is None or in_processes:
            fresh = TargetsSeen("auto", keeps_values=transformer is not None)
        else:
            fresh = seen
        columns = fresh.read(pd.DataFrame({"a": part}))
        fresh.add(columns, None, np.zeros(2, dtype=bool), np.array([0.1, 0.2]) + i)
        if seen is not None and in_processes:
            seen.merge(fresh)
        seen = seen or fresh
    given = {} if transformer is None else {"a": clone(transformer)}
    tasks = seen.learned(lambda tasks: given if tasks.are_numbers.any() else {})
    assert tasks.are_numbers.tolist() == [whole]
    if whole:
        numbers = np.array([label for label in y if label is not None])
        assert seen.totals(tasks)[0, 0, 0] == len(numbers)
        if transformer is None:
            assert_allclose(tasks.targets[0].mean, numbers.mean())
            assert_allclose(tasks.targets[0].scale, numbers.std())
        else:
            assert_allclose(tasks.targets[0].transformer.mean_, numbers.mean())


def test_other_whole_numbers_are_not_guessed_at():
    seen = TargetsSeen("auto", keeps_values=False)
    for part in ([[0.0], [1.0]], [[3.0], [4.0]]):
        seen.add(seen.read(np.array(part)), None, np.zeros(2, dtype=bool), np.zeros(2))
    with pytest.raises(ValueError, match="other whole numbers in tasks"):
        seen.learned(lambda tasks: {})


def test_parts_with_other_tasks():
    seen = TargetsSeen("class", keeps_values=False)
    seen.read(pd.DataFrame({"a": [0], "b": [1]}))
    with pytest.raises(ValueError, match="same tasks in all its parts"):
        seen.read(pd.DataFrame({"b": [0], "a": [1]}))
