"""ONNX models: what onnxruntime gives is what the estimator predicts."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch
from _estimators import classifier
from _trunks import OfPictures, WithStatistics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from torch import nn

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.model_selection import GridSearchCV, MultiTaskTunedThresholdClassifierCV
from skmtl.trunks import ConvTrunk

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

DTYPES = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(string)": object,
}
SMALL = {"max_iter": 5, "random_state": 0}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def session_of(estimator, path, X=None):
    """The model, which is legal and whole, in onnxruntime."""
    skmtl.to_onnx(estimator, path, X)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    return onnxruntime.InferenceSession(path)


def inputs_of(session, X):
    """As the guide says."""
    inputs = {}
    for wanted in session.get_inputs():
        columns = X if wanted.name == "X" else X[[wanted.name]]
        if hasattr(columns, "toarray"):
            columns = columns.toarray()
        inputs[wanted.name] = np.asarray(columns, dtype=DTYPES[wanted.type])
    return inputs


def outputs_of(session, inputs):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def tasks_of(session):
    return json.loads(session.get_modelmeta().custom_metadata_map["tasks"])


def tables_of(estimator, X, n_tasks):
    """(n, n_classes) of each task, None for numbers."""
    if not hasattr(estimator, "predict_proba"):
        return [None] * n_tasks
    p = estimator.predict_proba(X)
    if isinstance(p, list):
        return p
    is_one = n_tasks == 1 and p.shape[1] > 1
    return [p] if is_one else [np.column_stack([1 - q, q]) for q in p.T]


def assert_same(estimator, path, X, sample=None, atol=1e-6):
    """Every output equals what the estimator predicts."""
    session = session_of(estimator, path, sample)
    outputs, tasks = outputs_of(session, inputs_of(session, X)), tasks_of(session)
    labels = np.asarray(estimator.predict(X)).reshape(X.shape[0], -1)
    tables = tables_of(estimator, X, len(tasks))
    for task, p, predicted in zip(tasks, tables, labels.T, strict=True):
        name = task["name"]
        if task["type"] == "class":
            assert_allclose(outputs[f"{name}.proba"], p, rtol=0, atol=atol)
            given = outputs[f"{name}.label"]
            is_clear = np.sort(p, axis=1)[:, -1:] - p < 1e-5
            is_clear = is_clear.sum(axis=1) == 1
            assert_array_equal(given[is_clear], predicted[is_clear])
        else:
            scale = max(1.0, np.abs(predicted.astype(float)).max())
            values = predicted.astype(float)
            assert_allclose(outputs[f"{name}.value"], values, rtol=0, atol=atol * scale)
    return session, outputs


def table(n=60, seed=0):
    """Numbers of several scales, missing values, three sorts of category."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["small", "large", "count"])
    X["large"] = 1e15 + (50 * X["large"]).round()
    X["count"] = (3 * X["count"]).round()
    X["constant"] = 7
    X["text"] = pd.Categorical(rng.choice(["u", "v", "w"], n))
    X["code"] = pd.Categorical(rng.integers(0, 4, n) * 1.5)
    X["flag"] = pd.Categorical(rng.random(n) < 0.5)
    X.loc[::7, "small"] = X.loc[::5, "text"] = X.loc[::6, "code"] = np.nan
    Y = pd.DataFrame({"a": X["count"] > 0, "b": (X["text"] == "u").astype(float)})
    Y.loc[::3, "b"] = np.nan
    return X, Y


# Networks ---------------------------------------------------------------------------


@pytest.mark.parametrize("sharing", ["hard", "none"])
@pytest.mark.parametrize("trunk", [(), (6, 5)])
@pytest.mark.parametrize("head", [(), (4, 3)])
@pytest.mark.parametrize("n_members", [1, 3])
def test_every_form_of_network(mixed_problem, path, sharing, trunk, head, n_members):
    X, Y = mixed_problem
    X[::9, 2] = np.nan
    clf = MultiTaskNetClassifier(
        trunk, head, sharing=sharing, n_members=n_members, max_iter=2, random_state=0
    )
    assert_same(clf.fit(X, Y), path, X)


@pytest.mark.parametrize(
    "activation", ["identity", "logistic", "tanh", "relu", "gelu", "silu"]
)
def test_every_activation(problem, path, activation):
    clf = classifier(activation=activation, head_hidden_layer_sizes=(4,))
    assert_same(clf.fit(*problem), path, problem[0])


@pytest.mark.parametrize("trunk", [(), (8,)])
@pytest.mark.parametrize("n_categories", [3, 300])
def test_raw_tables(path, trunk, n_categories):
    X, Y = table(400)
    # Up to 256 categories are indicators, more are rows of a table.
    codes = np.arange(len(X)) % n_categories
    X["many"] = pd.Categorical([f"level {code}" for code in codes])
    clf = MultiTaskNetClassifier(trunk, n_members=2, **SMALL).fit(X, Y)
    session, _ = assert_same(clf, path, X)
    types = {i.name: i.type for i in session.get_inputs()}
    assert list(types) == list(X.columns)
    assert types["text"] == types["many"] == "tensor(string)"
    assert types["code"] == types["flag"] == types["small"] == "tensor(double)"
    assert {tuple(i.shape) for i in session.get_inputs()} == {("batch", 1)}


def test_unknown_and_missing_categories_and_numbers(path):
    X, Y = table()
    Z = X.copy()
    Z["text"] = Z["text"].astype(object).where(Z.index % 4 > 0, "new")
    Z["code"] = pd.Categorical(Z["code"].astype(float).where(Z.index % 4 > 0, 99.0))
    Z["text"] = pd.Categorical(Z["text"])
    Z.loc[::3, ["small", "large", "constant"]] = np.nan  # the last two never were
    clf = MultiTaskNetClassifier((8,), **SMALL).fit(X, Y)
    assert_same(clf, path, Z)


@pytest.mark.parametrize("mark", ["", "None", "nan", "<NA>"])
def test_marks_of_a_missing_category(path, mark):
    X, Y = table()
    clf = MultiTaskNetClassifier((8,), **SMALL).fit(X, Y)
    session = session_of(clf, path)
    inputs = inputs_of(session, X)
    inputs["text"] = np.where(X[["text"]].isna(), mark, X[["text"]]).astype(object)
    p = outputs_of(session, inputs)["a.proba"]
    assert_allclose(p[:, 1], clf.predict_proba(X)[:, 0], rtol=0, atol=1e-6)


def test_a_category_that_looks_missing_is_one(path):
    X, Y = table()
    X["text"] = pd.Categorical(np.where(X["text"] == "u", "", "nan"))
    assert_same(MultiTaskNetClassifier((8,), **SMALL).fit(X, Y), path, X)


def categories(values, **columns):
    return pd.DataFrame({"c": pd.Categorical(values), **columns})


@pytest.mark.parametrize(
    "X",
    [
        pytest.param(np.ones((30, 2)), id="constants"),
        pytest.param(categories(["a", "b"] * 15), id="categories"),
        pytest.param(categories(["a"] * 30), id="one category"),
        pytest.param(categories([None] * 30, x=np.arange(30)), id="all missing"),
        pytest.param(
            pd.DataFrame({"x": [np.nan] * 15 + [1.0] * 15, "y": 1.0}), id="one number"
        ),
        pytest.param(np.geomspace(1e-300, 1e300, 60).reshape(30, 2), id="magnitudes"),
    ],
)
@pytest.mark.parametrize("trunk", [(), (4,)])
def test_odd_tables(path, X, trunk):
    y = np.arange(30) % 2
    assert_same(MultiTaskNetClassifier(trunk, **SMALL).fit(X, y), path, X)


def test_columns_without_names(path):
    X, Y = table()
    X = X[["text", "small"]].astype(object).to_numpy()
    clf = MultiTaskNetClassifier((8,), categorical_features=[0], **SMALL).fit(X, Y)
    session = session_of(clf, path)
    inputs = {"x0": X[:, [0]], "x1": X[:, [1]].astype(float)}
    p = outputs_of(session, inputs)["a.proba"]
    assert_allclose(p[:, 1], clf.predict_proba(X)[:, 0], rtol=0, atol=1e-6)


def test_sparse_counts_are_a_dense_matrix(problem, path):
    X, Y = problem
    X = sparse.csr_array(np.maximum(X.round(), 0))
    clf = MultiTaskNetClassifier((8,), **SMALL).fit(X, Y)
    session, _ = assert_same(clf, path, X)
    (x,) = session.get_inputs()
    assert (x.name, x.type, x.shape) == ("X", "tensor(float)", ["batch", 5])


def any_column(n, rng):
    """Numbers of any scale, few or many different ones, or categories."""
    numbers = rng.normal(size=n) * 10.0 ** rng.integers(-9, 9) + rng.normal() * 1e3
    n_levels = int(rng.integers(1, 30))
    levels = rng.integers(0, n_levels, n)
    column = [
        pd.Series(numbers),
        pd.Series(numbers[levels]),
        pd.Series(levels),
        pd.Series(pd.Categorical(levels * 0.5)),
        pd.Series(pd.Categorical([f"level {level}" for level in levels])),
    ][int(rng.integers(5))]
    return column.mask(rng.random(n) < rng.choice([0.0, 0.3]))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_table_and_any_network(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 60))
    X = pd.DataFrame(
        {f"x{j}": any_column(2 * n, rng) for j in range(rng.integers(1, 7))}
    )
    labels = {"binary": ["n", "y"], "several": [0, 1, 2], "one": ["only"]}
    Y = pd.DataFrame({name: rng.choice(of, n) for name, of in labels.items()})
    Y["number"] = rng.normal(size=n) * 10.0 ** rng.integers(-6, 6)
    Y = Y[rng.permutation(Y.columns)[: int(rng.integers(1, 5))]]
    types = {name: "number" if name == "number" else "class" for name in Y}
    net = MultiTaskNet(
        rng.integers(1, 9, rng.integers(0, 3)).tolist(),
        rng.integers(1, 6, rng.integers(0, 2)).tolist(),
        task_types=types,
        sharing=str(rng.choice(["hard", "none"])),
        loss=str(rng.choice(["squared_error", "gaussian"])),
        n_bins=int(rng.integers(1, 40)),
        n_members=int(rng.integers(1, 4)),
        **SMALL,
    ).fit(X[:n], Y.mask(rng.random(Y.shape) < 0.3))
    assert_same(net, tmp_path_factory.mktemp("any") / "model.onnx", X)


# Rows -------------------------------------------------------------------------------


def test_rows_do_not_depend_on_one_another(path):
    X, Y = table()
    clf = MultiTaskNetClassifier((8,), (4,), n_members=2, **SMALL).fit(X, Y)
    session = session_of(clf, path)
    whole = outputs_of(session, inputs_of(session, X))
    order = np.random.default_rng(0).permutation(len(X)).tolist()
    for rows in (order, [3], []):
        part = outputs_of(session, inputs_of(session, X.iloc[rows]))
        for name, values in part.items():
            if values.dtype.kind == "f":
                assert_allclose(values, whole[name][rows], rtol=0, atol=1e-6)
            else:
                assert_array_equal(values, whole[name][rows])


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, [np.inf, -np.inf]),
        ({"input_encoding": "none"}, [np.inf, -np.inf, np.nan]),
        ({"input_encoding": "none", "activation": "identity"}, [3e38]),  # it overflows
    ],
)
def test_rows_that_predict_refuses_are_nan(problem, path, settings, refused):
    X, Y = problem
    clf = MultiTaskNetClassifier((8,), n_members=2, **settings, **SMALL).fit(X, Y)
    if refused == [3e38]:
        with torch.no_grad():
            clf.network_.trunk.layers[0].weight.fill_(10.0)
    Z = X.copy()
    Z[: len(refused), 1] = refused
    for row in Z[: len(refused)]:
        with pytest.raises(ValueError, match=r"infinity|NaN|finite"):
            clf.predict_proba(row.reshape(1, -1))
    session = session_of(clf, path)
    outputs = outputs_of(session, inputs_of(session, Z))
    good = Z[len(refused) :]
    for t, p in enumerate(clf.predict_proba(good).T):
        given = outputs[f"task_{t}.proba"]
        assert np.isnan(given[: len(refused)]).all()
        assert_allclose(given[len(refused) :, 1], p, rtol=0, atol=1e-6)


# Tasks ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["n", "y"], "tensor(string)"),
        ([False, True], "tensor(bool)"),
        ([3, 4], "tensor(int64)"),
        ([0, 1, 2], "tensor(int64)"),
    ],
)
def test_labels_of_one_task(problem, path, labels, kind):
    X, _ = problem
    y = np.array(labels)[np.digitize(X[:, 0], [-0.5, 0.5])[: len(X)] % len(labels)]
    session, _ = assert_same(classifier().fit(X, y), path, X)
    assert session.get_outputs()[0].type == kind
    assert tasks_of(session)[0]["classes"] == labels


def test_tasks_without_labels_and_of_one_class(problem, path):
    X, Y = problem
    Y = pd.DataFrame(Y, columns=["none", "one", "both"])
    Y["none"], Y["one"] = np.nan, pd.Categorical(["only"] * len(Y))
    with pytest.warns(UserWarning, match="no observed label|one class"):
        clf = classifier().fit(X, Y)
    _, outputs = assert_same(clf, path, X)
    assert (outputs["none.proba"] == 0.5).all()
    assert (outputs["one.proba"] == 1).all()
    assert (outputs["one.label"] == "only").all()


def test_dropped_and_added_tasks(problem, path):
    X, Y = problem
    clf = classifier(sharing="none").fit(X, Y)
    clf.drop_tasks("task_1").add_tasks(X, np.digitize(X[:, 0], [-1, 1]))
    session, _ = assert_same(clf, path, X)
    assert [task["name"] for task in tasks_of(session)] == clf.task_names_.tolist()


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gaussian"])
@pytest.mark.parametrize("is_1d", [False, True])
def test_numbers(path, loss, is_1d):
    X, _ = table()
    Y = np.column_stack([X["large"], 1e-3 * X["count"], np.full(len(X), 5.0)])
    Y[::4, 1] = np.nan
    reg = MultiTaskNetRegressor((8,), loss=loss, n_members=2, **SMALL)
    with pytest.warns(UserWarning, match="one value"):
        reg.fit(X, Y)
    if is_1d:
        reg.fit(X, Y[:, 0])
    _, outputs = assert_same(reg, path, X)
    if loss == "gaussian":
        std = reg.predict(X, return_std=True)[1].reshape(X.shape[0], -1)
        for t, expected in enumerate(std.T):
            assert_allclose(outputs[f"task_{t}.std"], expected, rtol=1e-5)
    else:
        assert "task_0.std" not in outputs


TRANSFORMERS = [
    FunctionTransformer(np.log1p, np.expm1),
    FunctionTransformer(np.sqrt, np.square),
    FunctionTransformer(),
    MinMaxScaler(),
    PowerTransformer(),
    PowerTransformer(method="box-cox", standardize=False),
]


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=str)
def test_transformers_of_numbers(problem, path, transformer):
    X, _ = problem
    y = np.exp(X[:, 0] + 0.1 * X[:, 1])
    reg = MultiTaskNetRegressor((8,), transformer=transformer, **SMALL).fit(X, y)
    assert_same(reg, path, X)


def test_classes_beside_numbers(path):
    X, Y = table()
    Y["c"] = X["count"] * 0.7
    net = MultiTaskNet((8,), loss="gaussian", n_members=2, **SMALL).fit(X, Y)
    session, outputs = assert_same(net, path, X)
    assert set(outputs) == {
        *(f"{task}.{kind}" for task in "ab" for kind in ("label", "proba")),
        *("c.value", "c.std"),
    }
    types = {task["name"]: task["type"] for task in tasks_of(session)}
    assert types == net.task_types_


def with_odd_values(X):
    """Missing and huge numbers and new categories, in the columns that X has."""
    new = X.copy()
    columns = getattr(new, "columns", ())
    if "tail" in columns:
        new.loc[:5, "tail"] = np.nan
        new.loc[6, "tail"] = 1e30
    if "text" in columns:
        new["text"] = new["text"].cat.add_categories("unheard of")
        new.loc[3:9, "text"] = "unheard of"
    return new


@pytest.mark.parametrize("loss", ["squared_error", "gaussian"])
@pytest.mark.parametrize("kind", ["table", "numbers", "categories", "plain"])
def test_ridge_part(path, loss, kind):
    rng = np.random.default_rng(0)
    X, Y = table(200)
    X["tail"] = np.exp(2 * rng.normal(size=200))
    settings = SMALL | {"loss": loss, "oob_score": True, "n_members": 4}
    if kind == "plain":
        settings["input_encoding"] = "none"
    if kind in ("numbers", "plain"):
        X = X[["count", "tail"]].to_numpy() / 10
    if kind == "categories":
        X = X[["text", "code"]]
        number = X["text"].cat.codes + rng.normal(size=200) / 10
    else:
        number = X["tail"] if kind == "table" else X[:, 1]
    Y = pd.DataFrame({"number": number, "class": Y["a"].to_numpy()})
    types = {"number": "number", "class": "class"}
    net = MultiTaskNet((8,), task_types=types, **settings).fit(X, Y)
    assert net.ridge_share_ > 0
    new = with_odd_values(X)
    _, outputs = assert_same(net, path, new)
    if loss == "gaussian":
        std = net.predict(new, return_std=True)[1][:, 0]
        assert_allclose(outputs["number.std"], std, rtol=1e-5)


@pytest.mark.parametrize("kind", ["table", "categories", "plain", "sparse"])
def test_logistic_part(path, kind):
    rng = np.random.default_rng(0)
    X, _ = table(200)
    X["tail"] = np.exp(rng.normal(size=200))
    settings = SMALL | {"oob_score": True, "n_members": 4}
    z = X["tail"] + X["text"].cat.codes + rng.logistic(size=200) / 3
    Y = pd.DataFrame({"two": (z > 2) * 1, "three": np.digitize(z, [1.5, 2.5])})
    Y["more"] = Y["two"].where(rng.random(200) < 0.8)
    Y["number"] = X["tail"]
    if kind == "categories":
        X = X[["text", "code"]]
    if kind in ("plain", "sparse"):
        settings["input_encoding"] = "none"
        X = X[["count", "tail"]].to_numpy() / 10
    types = dict.fromkeys(["two", "three", "more"], "class") | {"number": "number"}
    net = MultiTaskNet((8,), task_types=types, **settings)
    net.fit(sparse.csr_array(X) if kind == "sparse" else X, Y)
    assert net.logistic_share_ > 0
    net.drop_tasks("more")
    new = with_odd_values(X)
    assert_same(net, path, new)
    # If a line overflows, `predict` raises an error.
    net.network_.logistic_part.weight.fill_(1e308)
    net.network_.logistic_part.bias.fill_(1e308)
    session = session_of(net, path)
    outputs = outputs_of(session, inputs_of(session, new))
    assert np.isnan(outputs["two.proba"]).any()
    assert not np.isin(outputs["two.proba"], [0, 1]).any()


@pytest.mark.parametrize("name", ["support2_mixed", "tox21"])
def test_real_tables(load_real, path, name):
    X, Y, _ = load_real(name)
    if name == "tox21":
        net = MultiTaskNetClassifier((32,), **SMALL)
    else:
        X = X.astype(dict.fromkeys(X.select_dtypes(exclude="number"), "category"))
        numbers = ["slos", "d.time", "charges", "totcst"]
        types = {task: "number" if task in numbers else "class" for task in Y}
        net = MultiTaskNet((32,), task_types=types, **SMALL)
    net.fit(X[:300], Y[:300])
    assert_same(net, path, X[:1000])


# Around a network -------------------------------------------------------------------


@pytest.fixture
def many_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    Y = np.column_stack([X[:, 0] > 0, np.digitize(X[:, 1], [-0.5, 0.5]), X[:, 2] > 0.5])
    noise = rng.integers(0, 2, Y.shape)
    Y = np.where(rng.random(Y.shape) < 0.2, noise, Y).astype(float)
    Y[rng.random(Y.shape) < 0.2] = np.nan
    return X, Y


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("ensemble", [False, True])
def test_calibrated_probabilities(many_rows, path, method, ensemble):
    X, Y = many_rows
    network = classifier(max_iter=3)
    calibrated = MultiTaskCalibratedClassifierCV(
        network, method=method, cv=2, ensemble=ensemble
    )
    # The steps of an isotonic curve are steep.
    atol = 1e-4 if method == "isotonic" else 1e-6
    assert_same(calibrated.fit(X, Y), path, X, atol=atol)


def test_folds_that_lack_a_class_and_a_task(many_rows, path):
    X, Y = many_rows
    half = np.arange(len(X)) < len(X) // 2
    Y[half, 2] = np.nan  # the first fold has no label of this task,
    Y[half & (Y[:, 1] == 2), 1] = 1  # and none of this class
    splits = [(np.flatnonzero(half), np.flatnonzero(~half))]
    splits.append(splits[0][::-1])
    calibrated = MultiTaskCalibratedClassifierCV(
        classifier(max_iter=3), cv=splits, ensemble=True
    )
    with pytest.warns(UserWarning, match="observed label|labels of each class"):
        calibrated.fit(X, Y)
    assert_same(calibrated, path, X)


def test_thresholds_decide_the_label_and_are_metadata(many_rows, path):
    X, Y = many_rows
    Y = Y[:, [0, 2]]
    tuned = MultiTaskTunedThresholdClassifierCV(
        classifier(max_iter=3), scoring="f1", cv=2
    ).fit(X, Y)
    session = session_of(tuned, path)
    outputs = outputs_of(session, {"X": X})
    for task, labels in zip(tasks_of(session), tuned.predict(X).T, strict=True):
        assert task["threshold"] == tuned.best_thresholds_[task["name"]]
        assert_array_equal(outputs[f"{task['name']}.label"], labels)


def test_estimators_around_one_another(many_rows, path):
    X, Y = many_rows
    network = make_pipeline(StandardScaler(), classifier(max_iter=2))
    calibrated = MultiTaskCalibratedClassifierCV(network, cv=2, ensemble=True)
    tuned = MultiTaskTunedThresholdClassifierCV(calibrated, cv=0.5, random_state=0)
    assert_same(FrozenEstimator(tuned.fit(X, Y)), path, X)
    search = GridSearchCV(classifier(max_iter=2), {"alpha": [0.01, 1.0]}, cv=2)
    assert_same(search.fit(X, Y), path, X)
    with pytest.raises(NotFittedError):
        skmtl.to_onnx(clone(search).set_params(refit=False).fit(X, Y), path)


STEPS = [
    StandardScaler(),
    PCA(3),
    Normalizer(),
    make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler()),
    "passthrough",
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: str(step).split("(")[0])
@pytest.mark.parametrize("input_encoding", ["piecewise", "none"])
def test_steps_before_the_network(problem, path, step, input_encoding):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    X, Y = problem
    if "Imputer" in str(step):
        X[::4, 0] = np.nan
    network = MultiTaskNetClassifier((8,), input_encoding=input_encoding, **SMALL)
    assert_same(make_pipeline(step, network).fit(X, Y), path, X)


@pytest.mark.parametrize("step", [PolynomialFeatures(), PowerTransformer()], ids=repr)
def test_steps_that_skl2onnx_knows_in_float32_alone(problem, path, step):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    X, Y = problem
    network = MultiTaskNetClassifier((8,), **SMALL)
    model = make_pipeline(step, network).fit(X, Y)
    with pytest.warns(UserWarning, match=r"are computed in float32"):
        assert_same(model, path, X)


@pytest.mark.parametrize("as_frame", [False, True], ids=["array", "DataFrame"])
def test_filled_values_keep_their_digits(path, as_frame):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    rng = np.random.default_rng(0)
    X = 1.7e9 + rng.integers(0, 10**6, size=(60, 2)).astype(float)
    Y = (X.mean(axis=0) < X) * 1.0
    X[rng.random(X.shape) < 0.3] = np.nan
    X = pd.DataFrame(X, columns=["begin", "end"]) if as_frame else X
    steps = SimpleImputer(strategy="median"), QuantileTransformer(n_quantiles=8)
    model = make_pipeline(*steps, MultiTaskNetClassifier((8,), **SMALL)).fit(X, Y)
    assert_same(model, path, X)


def test_a_missing_value_that_float32_does_not_have(problem, path):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    X, Y = problem
    X[::3, 0] = 0.1
    steps = SimpleImputer(missing_values=0.1), StandardScaler()
    model = make_pipeline(*steps, MultiTaskNetClassifier((8,), **SMALL)).fit(X, Y)
    assert_same(model, path, X)


STEPS_OF_TABLES = [
    VarianceThreshold(),
    QuantileTransformer(n_quantiles=5),
    PCA(2),
    TruncatedSVD(2),
]


@pytest.mark.parametrize("step", STEPS_OF_TABLES, ids=lambda s: str(s).split("(")[0])
def test_steps_that_read_a_table_of_numbers(problem, path, step):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    X, Y = problem
    X = pd.DataFrame(X).add_prefix("column ")
    network = MultiTaskNetClassifier((8,), **SMALL)
    assert_same(make_pipeline(step, network).fit(X, Y), path, X)


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()], ids=str)
def test_steps_that_read_text(path, encoder):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    X, Y = table()
    X = X[["small", "large", "text"]].astype({"text": object}).fillna({"text": "?"})
    X.columns = ["a-b", "a_b", "2nd (text)"]  # which skl2onnx changes
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    steps = make_column_transformer(
        (numbers, ["a_b", "a-b"]), (encoder, ["2nd (text)"])
    )
    model = make_pipeline(steps, MultiTaskNetClassifier((8,), **SMALL)).fit(X, Y)
    with pytest.raises(ValueError, match=r"pass some rows of X: to_onnx\(estimator"):
        skmtl.to_onnx(model, path)
    assert_same(model, path, X, sample=X[:3])
    with pytest.raises(ValueError, match=r"in the same order; got \['a_b', 'a-b'\]"):
        skmtl.to_onnx(model, path, X[["a_b", "a-b"]])


# Trunks of the user's own -------------------------------------------------------------


def images(n=12):
    rng = np.random.default_rng(0)
    return rng.random((n, 2, 6, 6)), rng.integers(0, 2, (n, 2))


needs_onnxscript = pytest.mark.skipif(
    find_spec("onnxscript") is None, reason="onnxscript is not installed"
)


@pytest.mark.slow
@needs_onnxscript
def test_conv_trunk(path):
    X, Y = images()
    X = (255 * X).astype(np.uint8)
    clf = MultiTaskNetClassifier(trunk=ConvTrunk((8,)), n_members=1, **SMALL)
    session, outputs = assert_same(clf.fit(X, Y), path, X)
    (x,) = session.get_inputs()
    assert (x.type, x.shape) == ("tensor(uint8)", ["batch", 2, 6, 6])
    one = outputs_of(session, {"X": X[:1]})["task_0.proba"]
    assert_allclose(one, outputs["task_0.proba"][:1], rtol=0, atol=1e-6)


@pytest.mark.slow
@needs_onnxscript
@pytest.mark.parametrize("trunk", [WithStatistics, OfPictures])
@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_modules(path, trunk, sharing):
    X, Y = images()
    clf = MultiTaskNetClassifier(trunk=trunk, sharing=sharing, n_members=2, **SMALL)
    assert_same(clf.fit(X, Y), path, X)


class DependsOnValues(nn.Module):
    def forward(self, x):
        return x[:, :2] if float(x.sum()) > 0 else x[:, 2:4]


@pytest.mark.slow
@needs_onnxscript
def test_a_module_that_torch_cannot_export(problem, path):
    X, Y = problem
    clf = MultiTaskNetClassifier(trunk=DependsOnValues(), freeze="trunk", **SMALL)
    with pytest.raises(ValueError, match=r"torch.onnx.export .*but that raises"):
        skmtl.to_onnx(clf.fit(X, Y), path)
    assert not path.exists()


# The file ---------------------------------------------------------------------------


def test_it_runs_where_there_is_onnxruntime_alone(tmp_path, path):
    X, Y = table()
    clf = MultiTaskNetClassifier((8,), n_members=2, **SMALL).fit(X, Y)
    session = session_of(clf, path)
    arrays = {
        name: array.astype(str) if array.dtype == object else array
        for name, array in inputs_of(session, X).items()
    }
    np.savez(tmp_path / "inputs.npz", **arrays)
    program = f"""
import sys
for name in ("torch", "sklearn", "skmtl", "scipy", "pandas", "narwhals", "onnx"):
    sys.modules[name] = None
import numpy as np
import onnxruntime
inputs = dict(np.load("inputs.npz"))
session = onnxruntime.InferenceSession({str(path)!r})
np.save("p.npy", session.run(["a.proba"], inputs)[0])
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
    p = np.load(tmp_path / "p.npy")
    assert_allclose(p[:, 1], clf.predict_proba(X)[:, 0], rtol=0, atol=1e-6)


def test_metadata(path):
    X, Y = table()
    session = session_of(MultiTaskNetClassifier((8,), **SMALL).fit(X, Y), path)
    metadata = session.get_modelmeta().custom_metadata_map
    assert set(metadata) == {"skmtl_version", "tasks", "feature_names"}
    assert metadata["skmtl_version"] == skmtl.__version__
    assert json.loads(metadata["feature_names"]) == X.columns.tolist()
    assert json.loads(metadata["tasks"]) == [
        {"name": "a", "type": "class", "classes": [False, True]},
        {"name": "b", "type": "class", "classes": [0, 1]},
    ]


def test_the_same_estimator_gives_the_same_file(problem, tmp_path):
    clf = classifier().fit(*problem)
    paths = [tmp_path / "one.onnx", tmp_path / "other.onnx"]
    for path in paths:
        skmtl.to_onnx(clf, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_an_older_file_is_replaced_or_left_alone(problem, path):
    path.write_bytes(b"older")
    with pytest.raises(NotFittedError):
        skmtl.to_onnx(classifier(), path)
    assert path.read_bytes() == b"older"
    skmtl.to_onnx(classifier().fit(*problem), path)
    assert path.read_bytes() != b"older"
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(FileNotFoundError, match="must be in an existing folder"):
        skmtl.to_onnx(classifier().fit(*problem), path / "no" / "model.onnx")


# What cannot be exported --------------------------------------------------------------


def test_other_estimators(problem, path):
    X, Y = problem
    forest = RandomForestClassifier(2).fit(X, np.nan_to_num(Y))
    for estimator in (forest, make_pipeline(StandardScaler(), forest).fit(X, Y > 0)):
        with pytest.raises(TypeError, match=r"must be one of.*RandomForest"):
            skmtl.to_onnx(estimator, path)


class OwnClassifier(MultiTaskNetClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X) / 2


def test_a_class_of_ones_own_may_predict_otherwise(problem, path):
    clf = OwnClassifier((8,), **SMALL).fit(*problem)
    with pytest.raises(TypeError, match="OwnClassifier"):
        skmtl.to_onnx(clf, path)


def test_transformers_that_are_no_simple_arithmetic(problem, path):
    X, _ = problem
    transformer = QuantileTransformer(n_quantiles=10)
    y = pd.Series(X[:, 0], name="depth")
    reg = MultiTaskNetRegressor((8,), transformer=transformer, **SMALL).fit(X, y)
    with pytest.raises(ValueError, match=r"transformer of task 'depth' must be"):
        skmtl.to_onnx(reg, path)


@pytest.mark.parametrize(
    "values",
    [["a", 3], [2**53 + 1, 1], pd.to_datetime(["2020-01-01", "2021-01-01"])],
    ids=["several types", "too large", "dates"],
)
def test_categories_that_onnx_has_no_type_for(path, values):
    X = pd.DataFrame({"when": pd.Categorical(list(values) * 10)})
    clf = MultiTaskNetClassifier((8,), **SMALL).fit(X, np.arange(20) % 2)
    with pytest.raises(ValueError, match=r"Categories must be text.*column 'when' has"):
        skmtl.to_onnx(clf, path)


def test_options_that_skl2onnx_does_not_know(problem, path):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    X, Y = problem
    X[::4, 0] = np.nan
    imputer = SimpleImputer(add_indicator=True)
    model = make_pipeline(imputer, classifier()).fit(X, Y)
    with pytest.raises(ValueError, match=r"must give 6 columns, but give 5 after"):
        skmtl.to_onnx(model, path)


def test_steps_that_skl2onnx_does_not_know(problem, path):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    X, Y = problem
    steps = (StandardScaler(), SplineTransformer(), MinMaxScaler())
    model = make_pipeline(*steps, classifier()).fit(X, Y)
    message = (
        r"skl2onnx must be able to convert the steps before.* cannot convert step "
        r"'splinetransformer' \(SplineTransformer\): .*export only the last step"
    )
    with pytest.raises(ValueError, match=message):
        skmtl.to_onnx(model, path)


@pytest.mark.parametrize("n_rows", [0, 10])
def test_steps_of_skrub(path, n_rows):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    skrub = pytest.importorskip("skrub", reason="skrub is not installed")
    X, Y = table()
    X = X[["small", "text"]].astype({"text": object})
    network = MultiTaskNetClassifier((8,), **SMALL)
    model = skrub.tabular_pipeline(network).fit(X, Y)  # its names are a list
    with pytest.raises(
        ValueError, match=r"step 'tablevectorizer' \(TableV.*pipeline\[-1\]"
    ) as error:
        skmtl.to_onnx(model, path, X[:n_rows] if n_rows else None)
    assert ("pass some rows of X" in str(error.value)) != bool(n_rows)
    with pytest.raises(ValueError, match=r"in the same order; got \['text', 'small'\]"):
        skmtl.to_onnx(model, path, X[["text", "small"]])
    assert not path.exists()


def test_names_of_columns_and_outputs_must_differ(path):
    X = pd.DataFrame({"task_0.label": pd.Categorical(["a", "b"] * 10)})
    clf = MultiTaskNetClassifier((8,), **SMALL).fit(X, np.arange(20) % 2)
    with pytest.raises(ValueError, match="Rename the column or the task"):
        skmtl.to_onnx(clf, path)


def test_networks_of_another_precision(problem, path):
    clf = classifier().fit(*problem)
    clf.network_.double()
    with pytest.raises(ValueError, match=r"of dtype float32; got torch.float64"):
        skmtl.to_onnx(clf, path)


def test_onnx_is_not_installed(problem, path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"needs the package onnx.*skmtl\[onnx\]"):
        skmtl.to_onnx(classifier().fit(*problem), path)


def test_skl2onnx_is_not_installed(problem, path, monkeypatch):
    monkeypatch.setattr("skmtl._onnx._pipelines.skl2onnx", None)
    model = make_pipeline(StandardScaler(), classifier()).fit(*problem)
    with pytest.raises(ImportError, match=r"skl2onnx, which is not.*skmtl\[onnx\]"):
        skmtl.to_onnx(model, path)
