"""Raw tables, end to end: any scale, outliers, missing values and categories."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from _estimators import assert_same_parameters, classifier, parameters_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

from skmtl import MultiTaskNetClassifier
from skmtl.sharing import NoSharing

every_sharing = pytest.mark.parametrize("sharing", ["hard", "none"])


def table(n=240, seed=0):
    """Three numbers, a category, a boolean, all with missing values; two tasks."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, 3))
    city = rng.integers(3, size=n)
    member = rng.random(n) < 0.5
    Y = pd.DataFrame(
        {
            "sick": numbers[:, 0] + city - 1 > 0,
            "mood": np.array(["low", "mid", "high"])[
                np.digitize(numbers[:, 1] + member, [0, 1])
            ],
        },
    ).astype({"mood": object})
    X = pd.DataFrame(numbers, columns=list("abc"))
    X["city"] = pd.Categorical(np.array(["rome", "oslo", "bonn"])[city])
    X["member"] = pd.array(member, dtype="boolean")
    X = X.mask(rng.random(X.shape) < 0.1)
    return X, Y.mask(rng.random(Y.shape) < 0.3)


def probabilities(clf, X):
    return np.hstack(clf.predict_proba(X))


# Scale, order and outliers --------------------------------------------------------


@every_sharing
@pytest.mark.parametrize("hidden", [(), (20,)])
@pytest.mark.parametrize(
    "function", [lambda x: 2.0**20 * x, lambda x: 1e6 * x, lambda x: x + 1e9]
)
def test_scale_and_origin_of_a_column_are_irrelevant(
    problem, function, sharing, hidden
):
    X, Y = problem
    X[3, 2] = np.nan
    settings = {"sharing": sharing, "hidden_layer_sizes": hidden, "max_iter": 30}
    expected = classifier(**settings).fit(X, Y).predict_proba(X)
    other = X.copy()
    other[:, [1, 2]] = function(other[:, [1, 2]])
    p = classifier(**settings).fit(other, Y).predict_proba(other)
    # A shift by 1e9 costs float64 nine of its sixteen digits.
    assert_allclose(p, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("function", [np.exp, np.cbrt, lambda x: x**3 + x])
def test_an_increasing_function_of_a_column_changes_little(function):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 4))
    Y = (X @ rng.normal(size=(4, 3)) > 0).astype(float)
    settings = {"max_iter": 40, "learning_rate_init": 0.01}
    plain = classifier(**settings).fit(X, Y)
    other = np.column_stack([function(X[:, :2]), X[:, 2:]])
    p = classifier(**settings).fit(other, Y).predict_proba(other)
    assert np.abs(p - plain.predict_proba(X)).mean() < 0.02
    assert ((p > 0.5) == Y).mean() > 0.95


@pytest.mark.parametrize("n_values", [2, 5, 9])
def test_an_increasing_function_of_few_values_changes_nothing(n_values):
    rng = np.random.default_rng(0)
    X = rng.integers(n_values, size=(200, 3)).astype(float)
    Y = ((X - X.mean(axis=0)) @ rng.normal(size=(3, 2)) > 0).astype(float)
    one = classifier().fit(X, Y)
    other = classifier().fit(np.exp(X), Y)
    assert_array_equal(other.predict_proba(np.exp(X)), one.predict_proba(X))


def test_one_outlier_changes_the_others_little():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4))
    Y = (X @ rng.normal(size=(4, 3)) > 0).astype(float)
    settings = {"max_iter": 40, "learning_rate_init": 0.01}
    expected = classifier(**settings).fit(X, Y).predict_proba(X)
    outlier = X.copy()
    outlier[7, 1] = 1e12
    p = classifier(**settings).fit(outlier, Y).predict_proba(X)
    assert np.abs(p - expected).mean() < 0.01
    scaled = classifier(input_encoding="none", **settings)
    spoiled = make_pipeline(StandardScaler(), scaled).fit(outlier, Y).predict_proba(X)
    assert np.abs(spoiled - expected).mean() > 0.05


def test_float32_and_float64_give_the_same(problem):
    X, Y = problem
    X = X.astype(np.float32)
    one, other = classifier().fit(X, Y), classifier().fit(X.astype(np.float64), Y)
    assert_same_parameters(one, other)


@pytest.mark.parametrize("n", [60, 500])
@pytest.mark.parametrize("share_of_zeros", [0.0, 0.9])
def test_one_outlier_leaves_the_ends_of_a_small_column(n, share_of_zeros):
    rng = np.random.default_rng(0)
    zeros = np.zeros(int(9 * n * share_of_zeros))
    x = np.r_[rng.uniform(1, 100, size=n), zeros]
    y = (x > 80).astype(int)
    x[np.flatnonzero(x < 50)[0]] = 1e12
    clf = classifier(max_iter=80, learning_rate_init=0.05).fit(x[:, None], y)
    p = clf.predict_proba([[10], [50], [90], [99]])[:, 1]
    assert (p[:2] < 0.2).all()
    assert (p[2:] > 0.5).all()


@pytest.mark.parametrize("n_bins", [1, 2, 50])
def test_a_bump_needs_bins_enough(n_bins):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(600, 1))
    y = (np.abs(X[:, 0] - 0.5) < 0.2).astype(int)
    clf = classifier(
        hidden_layer_sizes=(), n_bins=n_bins, max_iter=100, learning_rate_init=0.3
    ).fit(X, y)
    assert (clf.score(X, y) > 0.95) == (n_bins > 1)


# Missing values -------------------------------------------------------------------


@every_sharing
def test_a_missing_number_is_a_value_of_its_own(sharing):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    missing = rng.random(300) < 0.5
    X[missing, 1] = np.nan
    Y = np.column_stack([missing, X[:, 0] > 0]).astype(float)
    settings = {"max_iter": 60, "learning_rate_init": 0.02, "sharing": sharing}
    assert classifier(**settings).fit(X, Y).score(X, Y) > 0.97


def test_missing_values_that_training_did_not_show_change_little(problem):
    X, Y = problem
    clf = classifier(max_iter=50).fit(X, Y)
    blank = X.copy()
    blank[:, 4] = np.nan
    p = clf.predict_proba(blank)
    assert np.isfinite(p).all()
    assert np.abs(p - clf.predict_proba(X)).max() < 0.5
    # Without a trunk the mean response is exact in the logits.
    linear = classifier(hidden_layer_sizes=(), max_iter=50).fit(X, Y)

    def logits(Z):
        p = linear.predict_proba(Z)
        return np.log(p / (1 - p))

    nothing = np.full((1, 5), np.nan)
    assert_allclose(logits(nothing)[0], logits(X).mean(axis=0), atol=1e-4)


def test_one_row_with_a_hole_is_predicted():
    X, Y = table()
    clf = classifier().fit(X, Y)
    row = pd.DataFrame([dict.fromkeys(X.columns)])
    assert probabilities(clf, row).shape == (1, 5)


def test_a_table_of_nothing_but_holes_gives_the_base_rates():
    X = np.full((100, 3), np.nan)
    y = np.arange(100) < 70
    clf = classifier(max_iter=300, learning_rate_init=0.02).fit(X, y)
    assert_allclose(clf.predict_proba(X), [[0.3, 0.7]] * 100, atol=0.02)


def test_the_tag_says_whether_holes_are_read():
    assert get_tags(MultiTaskNetClassifier()).input_tags.allow_nan
    assert get_tags(MultiTaskNetClassifier()).input_tags.categorical
    linear = MultiTaskNetClassifier(input_encoding="none")
    assert not get_tags(linear).input_tags.allow_nan


# Categories -----------------------------------------------------------------------


@every_sharing
@pytest.mark.parametrize("hidden", [(), (30,)])
def test_a_raw_frame_is_learned(sharing, hidden):
    X, Y = table()
    clf = classifier(
        sharing=sharing,
        hidden_layer_sizes=hidden,
        max_iter=100,
        learning_rate_init=0.02,
    ).fit(X, Y)
    assert clf.score(X, Y) > 0.85
    assert clf.feature_names_in_.tolist() == ["a", "b", "c", "city", "member"]
    assert [c.tolist() for c in clf.classes_] == [[False, True], ["high", "low", "mid"]]


@every_sharing
@pytest.mark.parametrize("hidden", [(), (8,)])
@pytest.mark.parametrize(
    "columns", [["city"], ["city", "member"], ["member"], ["a"], ["constant", "city"]]
)
def test_every_selection_of_columns_is_learned(sharing, hidden, columns):
    X, Y = table()
    X = X.assign(constant=1.0)[columns]
    settings = {"sharing": sharing, "hidden_layer_sizes": hidden, "n_bins": 1}
    clf = classifier(**settings).fit(X, Y)
    assert np.isfinite(probabilities(clf.partial_fit(X, Y), X)).all()


def test_the_ends_of_a_scale_are_told_from_their_neighbours():
    month = np.tile(np.arange(1.0, 13), 100)
    clf = classifier(max_iter=60, learning_rate_init=0.01)
    clf.fit(month[:, None], month == 1)
    assert clf.predict(np.arange(1.0, 13)[:, None]).tolist() == [True] + [False] * 11


def test_frames_of_every_library_give_the_same():
    X, Y = table()
    clf = classifier(input_dropout=0.1).fit(X, Y)
    frames = {
        "numpy-backed": X.astype({"member": object}),
        "arrow-backed": X.astype({"member": "bool[pyarrow]", "a": "double[pyarrow]"}),
        "polars": pl.from_pandas(X),
    }
    for name, frame in frames.items():
        other = classifier(input_dropout=0.1).fit(frame, Y)
        assert_same_parameters(clf, other)
        assert_array_equal(probabilities(clf, frame), probabilities(clf, X), name)


def test_a_mask_names_or_positions_give_what_the_dtype_gives():
    X, Y = table()
    clf = classifier().fit(X, Y)
    codes = X.assign(city=X["city"].cat.codes.replace(-1, np.nan))
    for given in (["city"], [3], [False, False, False, True, False]):
        other = classifier(categorical_features=given).fit(codes, Y)
        assert_same_parameters(clf, other)
    array = codes.astype(float).to_numpy(na_value=np.nan)
    other = classifier(categorical_features=[3]).fit(array, Y)
    assert_array_equal(probabilities(other, array), probabilities(clf, X))


def test_two_categories_are_a_boolean():
    X, Y = table()
    categories = X.assign(member=pd.Categorical(X["member"].astype(object)))
    settings = {"max_iter": 100, "learning_rate_init": 0.02}
    one = classifier(**settings).fit(X, Y).score(X, Y)
    assert classifier(**settings).fit(categories, Y).score(categories, Y) == (
        pytest.approx(one, abs=0.03)
    )


def test_order_and_unused_categories_are_irrelevant():
    X, Y = table()
    clf = classifier().fit(X, Y)
    other = X["city"].cat.set_categories(["none", "rome", "bonn", "oslo"], ordered=True)
    other = X.assign(city=other)
    assert_same_parameters(clf, classifier().fit(other, Y))
    assert_array_equal(probabilities(clf, other), probabilities(clf, X))


def test_unknown_and_rare_categories_are_alike():
    X, Y = table()
    X["city"] = X["city"].cat.add_categories(["riga", "faro", "york"])
    X.loc[[3, 9], "city"] = ["riga", "faro"]
    clf = classifier(max_iter=50).fit(X, Y)
    rows = pd.concat([X.iloc[[0]]] * 4, ignore_index=True)
    rows["city"] = pd.Categorical(["riga", "faro", "york", "rome"])
    p = probabilities(clf, rows)
    assert_allclose(p[0], p[1], rtol=1e-6)
    assert_allclose(p[0], p[2], rtol=1e-6)
    assert not np.allclose(p[0], p[3])


@pytest.mark.parametrize("how", ["no label", "no weight", "held out"])
def test_categories_of_rows_that_are_not_trained_on_are_unknown(how):
    X, Y = table()
    X["city"] = X["city"].cat.add_categories(["york", "riga"])
    weight, settings = np.ones(len(X)), {}
    X.loc[7, "city"] = "york"
    if how == "no label":
        Y.loc[7] = None
    elif how == "no weight":
        weight[7] = 0
    else:
        settings = {"early_stopping": True, "validation_fraction": 0.5}
    clf = classifier(**settings).fit(X, Y, sample_weight=weight)
    rows = pd.concat([X.iloc[[7]]] * 2, ignore_index=True)
    rows["city"] = pd.Categorical(["york", "riga"])
    p = probabilities(clf, rows)
    assert_allclose(p[0], p[1], rtol=1e-6)


def test_unknown_categories_where_none_was_rare():
    X, Y = table()
    clf = classifier(max_iter=50).fit(X, Y)
    rows = X.assign(city=pd.Categorical(["york"] * len(X)))
    known = np.mean(
        [
            probabilities(clf, X.assign(city=pd.Categorical([city] * len(X))))
            for city in ("rome", "oslo", "bonn")
        ],
        axis=0,
    )
    assert np.abs(probabilities(clf, rows) - known).max() < 0.1


def test_ten_thousand_categories():
    rng = np.random.default_rng(0)
    effect = rng.random(10_000) < 0.5
    ids = rng.integers(10_000, size=40_000)
    X = pd.DataFrame({"id": pd.Categorical(ids), "x": rng.normal(size=40_000)})
    Y = np.column_stack([effect[ids], X["x"] > 0]).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    clf = classifier(hidden_layer_sizes=(16,), max_iter=5, learning_rate_init=0.02).fit(
        X, Y
    )
    # A new draw of rows of the same categories.
    ids = rng.integers(10_000, size=5000)
    new = pd.DataFrame({"id": pd.Categorical(ids), "x": rng.normal(size=5000)})
    truth = np.column_stack([effect[ids], new["x"] > 0]).astype(float)
    # Of the categories alone: two that share a row would be right in three of four.
    predicted = clf.predict(new)[:, 0]
    assert (predicted == truth[:, 0]).mean() > 0.85


# Sparse and linear input ----------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int8, bool])
def test_sparse_input_is_read_as_it_is(problem, dtype):
    X, Y = problem
    X = (X.clip(0, 1) * 5).astype(dtype)
    canonical = sparse.csr_array(X)
    dense = classifier(input_encoding="none").fit(X, Y)
    expected = dense.predict_proba(X)
    clf = classifier().fit(canonical, Y)
    assert_allclose(clf.predict_proba(canonical), expected, rtol=1e-3, atol=1e-5)
    assert_allclose(clf.predict_proba(X), expected, rtol=1e-3, atol=1e-5)
    # The same with an explicit zero, rows unsorted and, but for bool, a doubled entry.
    coo = canonical.tocoo()
    order = np.lexsort([-coo.col, coo.row])
    row, col, data = coo.row[order], coo.col[order], coo.data[order]
    unsorted = sparse.csr_array(
        (data, col, np.searchsorted(row, np.arange(61))), shape=X.shape
    )
    zero = np.flatnonzero(X.ravel() == 0)[0]
    explicit = sparse.csr_array(
        (
            np.r_[coo.data, np.zeros(1, dtype)],
            (np.r_[coo.row, zero // 5], np.r_[coo.col, zero % 5]),
        ),
        shape=X.shape,
    )
    assert explicit.nnz == canonical.nnz + 1
    doubled = sparse.csr_array(
        (np.repeat(data / 2, 2), np.repeat(col, 2), 2 * unsorted.indptr), shape=X.shape
    )
    wide = canonical.copy()
    wide.indices = wide.indices.astype(np.int64)
    wide.indptr = wide.indptr.astype(np.int64)
    for other in (unsorted, explicit, doubled, wide, canonical.tocsc()):
        p = classifier().fit(other, Y).predict_proba(other)
        assert_allclose(p, expected, rtol=1e-3, atol=1e-5)


def test_a_network_of_dense_columns_predicts_sparse_rows(problem):
    X, Y = problem
    X[np.abs(X) < 0.5] = 0
    clf = classifier().fit(X, Y)
    expected = clf.predict_proba(X)
    assert_array_equal(clf.predict_proba(sparse.csc_array(X)), expected)
    again = classifier(warm_start=True).fit(X, Y)
    assert_same_parameters(
        clone(again).fit(X, Y).fit(X, Y), again.fit(sparse.csr_array(X), Y)
    )


# Going on -------------------------------------------------------------------------


def encoding_of(clf):
    return clf.network_.architecture.encoding


@every_sharing
def test_partial_fit_learns_the_columns_from_its_first_call(sharing):
    X, Y = table()
    Y = Y.astype({"mood": object})
    classes = [[False, True], ["high", "low", "mid"]]
    clf = classifier(sharing=sharing).partial_fit(X[:120], Y[:120], classes)
    first = encoding_of(clf)
    reference = classifier(sharing=sharing, max_iter=0).fit(X[:120], Y[:120])
    assert_array_equal(first.numeric.knots, encoding_of(reference).numeric.knots)
    rest = X[120:].assign(
        a=X["a"] * 100, city=X["city"].cat.rename_categories({"rome": "york"})
    )
    with (
        pytest.warns(UserWarning, match=r"known.* 'city': \['york'\]\. In each"),
        pytest.warns(UserWarning, match=r"these columns exceed it: \['a'\]"),
    ):
        clf.partial_fit(rest, Y[120:])
    assert_array_equal(encoding_of(clf).numeric.knots, first.numeric.knots)
    assert_array_equal(
        encoding_of(clf).categorical.slot_row, first.categorical.slot_row
    )
    assert np.isfinite(probabilities(clf, rest)).all()


def test_the_first_call_of_partial_fit_may_bring_no_label():
    X, Y = table()
    nothing = Y[:50].mask(np.ones((50, 2), dtype=bool))
    clf = classifier().partial_fit(
        X[:50], nothing, classes=[[False, True], ["high", "low", "mid"]]
    )
    assert len(encoding_of(clf).numeric.positions) == 4
    clf.partial_fit(X[50:], Y[50:])
    assert np.isfinite(probabilities(clf, X)).all()


def test_a_first_call_without_labels_may_have_weights(problem):
    X, Y = problem
    nothing, classes = np.full(Y.shape, np.nan), [[0, 1]] * 3
    for weight in (np.ones(Y.shape), np.eye(60)[0]):
        clf = classifier().partial_fit(X, nothing, classes, sample_weight=weight)
        clf.partial_fit(X, Y)
        assert np.isfinite(clf.predict_proba(X)).all()


def test_a_warm_start_keeps_the_columns():
    X, Y = table()
    clf = classifier(warm_start=True).fit(X, Y)
    knots = encoding_of(clf).numeric.knots
    clf.fit(X.assign(a=X["a"] * 3 + 1), Y)
    assert_array_equal(encoding_of(clf).numeric.knots, knots)
    for change in ({"n_bins": 5}, {"input_encoding": "none"}):
        with pytest.raises(
            ValueError, match="parameters must describe the fitted network"
        ):
            clone(clf).fit(X[["a", "b"]].fillna(0), Y).set_params(**change).fit(
                X[["a", "b"]].fillna(0), Y
            )


def test_columns_are_learned_from_the_training_rows_alone():
    X, Y = table()
    weight = np.ones(len(X))
    weight[::3] = 0
    Y.iloc[1::6] = None
    clf = classifier(max_iter=0).fit(X, Y, sample_weight=weight)
    spoiled = X.copy()
    spoiled.loc[(weight == 0) | Y.isna().all(axis=1).to_numpy(), "a"] = 1e20
    other = classifier(max_iter=0).fit(spoiled, Y, sample_weight=weight)
    assert_array_equal(encoding_of(clf).numeric.knots, encoding_of(other).numeric.knots)
    stopped = classifier(max_iter=0, early_stopping=True).fit(X, Y)
    assert not np.array_equal(
        encoding_of(stopped).numeric.knots, encoding_of(clf).numeric.knots
    )


@every_sharing
@pytest.mark.parametrize("hidden", [(), (8,)])
def test_copies_predict_the_same(sharing, hidden):
    X, Y = table()
    clf = classifier(sharing=sharing, hidden_layer_sizes=hidden, n_members=2).fit(X, Y)
    copied = pickle.loads(pickle.dumps(clf))
    assert_array_equal(probabilities(copied, X), probabilities(clf, X))
    assert_same_parameters(clone(clf).fit(X, Y), clf)
    alone = [probabilities(clf, X.iloc[[i]]) for i in range(20)]
    assert_allclose(np.vstack(alone), probabilities(clf, X)[:20], rtol=1e-4, atol=1e-6)


def test_columns_are_required_by_name_and_order():
    X, Y = table()
    clf = classifier().fit(X, Y)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(X[["b", "a", "c", "city", "member"]])
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(X.drop(columns="c"))
    with pytest.raises(ValueError, match=r"astype\('category'\)"):
        clf.predict(X.astype({"a": str}))
    # Text where the category was: the value counts, not the dtype.
    text = X.assign(city=X["city"].astype(object))
    assert_array_equal(probabilities(clf, text), probabilities(clf, X))


def test_in_a_column_transformer():
    X, Y = table()
    X["member"] = X["member"].astype("Float64").astype(float)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
        remainder="passthrough",
    )
    model = make_pipeline(encode, classifier(max_iter=100, learning_rate_init=0.02))
    assert model.fit(X, Y).score(X, Y) > 0.85


def test_the_spec_of_a_user_gets_the_input_layer():
    class Recorded(NoSharing):
        def build(self, architecture, generator):
            seen.append(architecture)
            return super().build(architecture, generator)

    seen = []
    X, Y = table()
    clf = classifier(sharing=Recorded(), n_bins=5, max_iter=0).fit(X, Y)
    assert seen[0].n_bins == 5
    assert seen[0].encoding.n_features == 5
    assert len(parameters_of(clf)) > 0
