"""docs/examples/serve.py: what it answers, in several threads and without pandas."""

import json
import os
import re
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _estimators import classifier
from fastapi.testclient import TestClient

import skmtl
from skmtl import MultiTaskNet, MultiTaskNetClassifier, MultiTaskNetRegressor
from skmtl.calibration import MultiTaskCalibratedClassifierCV
from skmtl.model_selection import MultiTaskTunedThresholdClassifierCV

DOCS = Path(__file__).parents[1] / "docs"
SERVER = DOCS / "examples" / "serve.py"
PAGE = DOCS / "user_guide" / "serving.md"
PATIENT = {"age": 71.0, "dose": None, "ward": "west", "smokes": True}


@pytest.fixture(scope="module")
def patients():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.uniform(18, 90, 200), "dose": rng.exponential(2, 200)})
    X["ward"] = pd.Categorical(rng.choice(["north", "south", "west"], 200))
    X["smokes"] = rng.random(200) < 0.3
    X.loc[::7, "dose"] = np.nan
    stages = pd.cut(X["age"], [0, 40, 65, 100], labels=["early", "middle", "late"])
    Y = pd.DataFrame({"fever": X["age"] > 55, "stage": stages})
    return X, Y.mask(rng.random(Y.shape) < 1 / 3)


@pytest.fixture(scope="module")
def model(patients, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    skmtl.save(classifier(max_iter=5).fit(*patients), path)
    return path


@pytest.fixture
def client(model, monkeypatch):
    monkeypatch.setenv("MODEL", str(model))
    with TestClient(runpy.run_path(str(SERVER))["app"]) as client:
        yield client


def expected_answers(model, rows):
    """Those of a DataFrame with its types, which the server does not have."""
    clf = skmtl.load(model)
    X = pd.DataFrame(rows, columns=list(PATIENT))
    X = X.astype({"age": float, "dose": float, "ward": "category", "smokes": "boolean"})
    p = clf.predict_proba(X)
    p = p if isinstance(p, list) else [np.stack([1 - q, q], axis=1) for q in p.T]
    return [
        {
            task: {
                "prediction": str(clf.predict(X)[i, k]),
                "probabilities": dict(
                    zip(map(str, clf.classes_[k]), p[k][i].tolist(), strict=True)
                ),
            }
            for k, task in enumerate(clf.task_names_)
        }
        for i in range(len(rows))
    ]


def answers_of(model, path, monkeypatch):
    """What the server answers for two patients with this model."""
    skmtl.save(model, path)
    monkeypatch.setenv("MODEL", str(path))
    with TestClient(runpy.run_path(str(SERVER))["app"]) as client:
        answer = client.post("/predict", json=[PATIENT, PATIENT | {"age": 20}])
    assert answer.status_code == 200
    return answer.json()


def test_answers_are_the_probabilities_of_the_model(client, model):
    rows = [
        PATIENT,
        PATIENT | {"smokes": None, "age": None, "dose": 1.5},
        PATIENT | {"ward": None},
        PATIENT | {"ward": "moon"},
        dict.fromkeys(PATIENT),
    ]
    answer = client.post("/predict", json=rows)
    assert answer.status_code == 200
    assert answer.json() == expected_answers(model, rows)
    stages = set(answer.json()[0]["stage"]["probabilities"])
    assert stages == {"early", "middle", "late"}
    for row, together in zip(rows, answer.json(), strict=True):
        alone = client.post("/predict", json=[row]).json()[0]
        for task, of_task in together.items():
            p = of_task["probabilities"]
            assert alone[task]["probabilities"] == pytest.approx(p, abs=1e-6)


def test_the_probabilities_of_binary_tasks_have_both_classes(
    patients, tmp_path, monkeypatch
):
    X, Y = patients
    clf = classifier(max_iter=5).fit(X, Y[["fever"]])
    answers = answers_of(clf, tmp_path / "model", monkeypatch)
    rows = [PATIENT, PATIENT | {"age": 20}]
    assert answers == expected_answers(tmp_path / "model", rows)
    assert list(answers[0]["fever"]["probabilities"]) == ["False", "True"]


NETWORK = {"n_members": 1, "max_iter": 5, "random_state": 0}


@pytest.mark.parametrize(
    "estimator",
    [
        MultiTaskNet(**NETWORK),
        MultiTaskTunedThresholdClassifierCV(MultiTaskNet(**NETWORK), cv=2),
        MultiTaskCalibratedClassifierCV(MultiTaskNet(**NETWORK), cv=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_numbers_have_a_prediction_only(estimator, patients, tmp_path, monkeypatch):
    X, Y = patients
    estimator = estimator.fit(X, Y.assign(days=X["age"] / 7))
    answers = answers_of(estimator, tmp_path / "model", monkeypatch)
    rows = pd.DataFrame([PATIENT, PATIENT | {"age": 20}])
    for answer, (fever, stage, days) in zip(
        answers, estimator.predict(rows), strict=True
    ):
        assert answer["days"] == {"prediction": pytest.approx(days, rel=1e-5)}
        assert answer["fever"]["prediction"] == str(fever)
        assert answer["stage"]["prediction"] == stage
        assert sum(answer["stage"]["probabilities"].values()) == pytest.approx(1)


def test_predictions_apply_tuned_thresholds(patients, tmp_path, monkeypatch):
    X, Y = patients
    tuned = MultiTaskTunedThresholdClassifierCV(MultiTaskNetClassifier(**NETWORK), cv=2)
    tuned = tuned.fit(X, Y)
    tuned.best_thresholds_["fever"] = 0.999
    answers = answers_of(tuned, tmp_path / "model", monkeypatch)
    assert [answer["fever"]["prediction"] for answer in answers] == ["False"] * 2
    assert answers[0]["fever"]["probabilities"]["True"] > 0.5


@pytest.mark.parametrize("estimator", [MultiTaskNet, MultiTaskNetRegressor])
@pytest.mark.parametrize("is_table", [True, False])
def test_numbers_alone(estimator, is_table, patients, tmp_path, monkeypatch):
    X, _ = patients
    y = X["age"].rename("days") / 7
    net = estimator(**NETWORK).fit(X, y.to_frame() if is_table else y)
    answers = answers_of(net, tmp_path / "model", monkeypatch)
    rows = pd.DataFrame([PATIENT, PATIENT | {"age": 20}])
    expected = net.predict(rows).ravel()
    found = [answer["days"]["prediction"] for answer in answers]
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_single_column_of_classes(patients, tmp_path, monkeypatch):
    X, _ = patients
    clf = MultiTaskNetClassifier(**NETWORK).fit(X, X["age"].gt(55).rename("old"))
    answers = answers_of(clf, tmp_path / "model", monkeypatch)
    p = clf.predict_proba(pd.DataFrame([PATIENT]))[0]
    assert answers[0]["old"] == {
        "prediction": "True",
        "probabilities": pytest.approx({"False": p[0], "True": p[1]}, abs=1e-6),
    }


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "at least 1 item"),
        ([PATIENT] * 1_001, "at most 1000 items"),
        ([PATIENT | {"age": "old"}], "valid number"),
        ([PATIENT | {"age": 1_000}], "less than or equal to 130"),
        ([PATIENT | {"ward": 3}], "valid string"),
        ([PATIENT | {"agee": 71}], "not permitted"),
        ([{"age": 71}], "Field required"),
    ],
)
def test_a_request_that_does_not_fit_is_an_error(client, rows, complaint):
    answer = client.post("/predict", json=rows)
    assert answer.status_code == 422
    assert complaint in answer.text


def test_infinity_is_an_error(client):
    # What Python writes into JSON, and reads from it, although JSON does not know it.
    text = json.dumps([PATIENT | {"dose": float("inf")}])
    header = {"Content-Type": "application/json"}
    answer = client.post("/predict", content=text, headers=header)
    assert answer.status_code == 422
    assert "finite number" in answer.text


def test_requests_side_by_side_are_answered_as_one_by_one(client, model):
    rows = [PATIENT | {"age": 20.0 + i, "dose": i / 3} for i in range(64)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda row: client.post("/predict", json=[row]).json()[0], rows)
        )
    assert answers == [expected_answers(model, [row])[0] for row in rows]


def test_a_model_of_other_columns_does_not_start(patients, tmp_path, monkeypatch):
    X, Y = patients
    columns = ["dose", "age", "ward", "smokes"]
    skmtl.save(classifier(max_iter=1).fit(X[columns], Y), tmp_path / "model")
    monkeypatch.setenv("MODEL", str(tmp_path / "model"))
    app = runpy.run_path(str(SERVER))["app"]
    with pytest.raises(ValueError, match=r"must have the columns \['age', 'dose'"):
        TestClient(app).__enter__()


# Without pandas -------------------------------------------------------------------

PROGRAM = """
import importlib.abc, json, os, runpy, sys


class NoPandas(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NoPandas())

import numpy as np
import polars as pl
import pyarrow as pa
from fastapi.testclient import TestClient

import skmtl

server = runpy.run_path(sys.argv[1])  # it filters the warning that arrays have no names
rows = json.loads(sys.argv[2])
with TestClient(server["app"]) as client:
    answer = client.post("/predict", json=rows).json()
columns = {name: [row[name] for row in rows] for name in rows[0]}
array = np.array([list(row.values()) for row in rows], dtype=object)
model = skmtl.load(os.environ["MODEL"])
predictions = [
    [p.tolist() for p in model.predict_proba(X)]
    for X in (array, pl.DataFrame(columns), pa.table(columns))
]
assert "pandas" not in sys.modules
print(json.dumps([answer, predictions]))
"""


@pytest.mark.slow
def test_no_pandas_is_needed(model):
    rows = [PATIENT, PATIENT | {"dose": 2.0, "ward": "moon", "smokes": None}]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(SERVER), json.dumps(rows)],
        env=os.environ | {"MODEL": str(model), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer, predictions = json.loads(done.stdout)
    expected = expected_answers(model, rows)
    assert answer == expected
    tasks = [
        [list(row[task]["probabilities"].values()) for row in expected]
        for task in expected[0]
    ]
    assert predictions == [tasks] * 3


# The page -------------------------------------------------------------------------


def test_the_request_on_the_page_is_answered_in_the_form_shown(client):
    text = PAGE.read_text()
    rows = json.loads(re.search(r"--data '(.*?)'", text, re.S)[1])
    shown = json.loads(re.search(r"```json\n(.*?)```", text, re.S)[1])
    answer = client.post("/predict", json=rows).json()
    assert len(answer) == len(shown)
    for ours, theirs in zip(answer, shown, strict=True):
        assert form_of(ours) == form_of(theirs)


def form_of(answer):
    return {
        task: (list(of_task), list(of_task["probabilities"]))
        for task, of_task in answer.items()
    }
