"""Fits that several processes share, under torch.distributed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import _ranks
import numpy as np
import pandas as pd
import pytest
from _estimators import parameters_of
from numpy.testing import assert_allclose, assert_array_equal

import skmtl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="gloo on Windows was not tried"),
]


@pytest.fixture(scope="module")
def run_ranks(tmp_path_factory):
    """What each of some processes found in a scenario, by rank."""

    def run(scenario, size=2):
        folder = tmp_path_factory.mktemp(scenario)
        script = Path(_ranks.__file__)
        processes = [
            subprocess.Popen(
                [sys.executable, script, folder, str(rank), str(size), scenario],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]
        errors = [process.communicate(timeout=240)[1] for process in processes]
        files = [folder / f"{rank}.json" for rank in range(size)]
        found = [json.loads(f.read_text()) if f.exists() else None for f in files]
        codes = [process.returncode for process in processes]
        return found, codes, errors

    return run


@pytest.fixture(scope="module")
def equal(run_ranks):
    found, codes, errors = run_ranks("equal")
    assert codes == [0, 0], errors
    return found


@pytest.mark.parametrize("name", _ranks.equal_fits())
def test_two_halves_are_the_whole(equal, name):
    estimator, X, y, weight = _ranks.equal_fits()[name]
    estimator.fit(X, y, weight)
    one, other = (found[name] for found in equal)
    assert one == other  # to the last bit
    for mine, theirs in zip(parameters_of(estimator), one["parameters"], strict=True):
        assert_allclose(np.array(theirs), mine, atol=1e-5)
    assert_allclose(one["losses"], estimator.loss_curve_, rtol=1e-5)


@pytest.fixture(scope="module")
def shares(run_ranks):
    found, codes, errors = run_ranks("shares")
    assert codes == [0, 0], errors
    return found


def test_the_estimators_are_the_same_to_the_last_bit(shares):
    assert shares[0] == shares[1]


def test_shares_of_other_sizes(shares):
    assert shares[0]["uneven"]["score"] > 0.93
    losses = shares[0]["uneven"]["losses"]
    assert losses[-1] < 0.5 * losses[0]


def test_what_only_one_process_has(shares):
    assert shares[0]["classes"] == [0, 1, 2]
    assert shares[0]["categories"] == ["u", "v", "w"]


def test_numbers_of_one_process_alone_are_numbers(shares):
    assert all(isinstance(row[1], float) for row in shares[0]["types"])


def test_they_stop_together(shares):
    assert len(shares[0]["stopped"]["losses"]) < 60
    assert len(shares[0]["scores"]) == len(shares[0]["stopped"]["losses"])
    assert len(shares[0]["called"]["losses"]) == 4


def test_what_one_cannot_use_ends_all(run_ranks):
    found, codes, errors = run_ranks("failing")
    assert codes == [0, 0], errors
    first, second = found
    assert "the process of rank 1 failed" in first["X"]
    assert "infinity" in first["X"]
    assert "infinity" in second["X"]
    for both in found:
        assert "Each process must have the same tasks" in both["tasks"]
        assert "X must have the same columns in all processes" in both["columns"]
        assert "oob_score=True needs all rows" in both["oob_score"]
        assert "alpha is ['0.1', '1.1']" in both["alpha"]
        assert "hidden_layer_sizes is" in both["sizes"]
        assert (
            "warm start of a fitted estimator is ['False', 'True']" in both["goes on"]
        )
        assert "one of them 1-D and the other 2-D" in both["axes"]
        assert "must be categories in all processes, but ['k']" in both["categories"]
        assert "partial_fit must run in a single process" in both["partial_fit"]
        assert "add_tasks must run in a single process" in both["add_tasks"]


def test_a_fit_goes_on_from_the_checkpoint_of_the_first_process(run_ranks):
    found, codes, errors = run_ranks("checkpoints")
    assert codes == [0, 0], errors
    for both in found:
        assert both["resumed"] == both["whole"]
        assert "a different X, y or sample_weight" in both["other data"]
    assert found[0]["whole"] == found[1]["whole"]


def test_a_killed_process_ends_the_other_with_an_error(run_ranks):
    found, codes, _ = run_ranks("killed")
    assert codes[1] == 9
    assert (
        "All processes of a data-parallel fit must run until it ends"
        in found[0]["error"]
    )
    assert not found[0]["is_fitted"]


def test_one_process_alone_is_an_ordinary_fit(run_ranks, tmp_path):
    found, codes, errors = run_ranks("alone", size=1)
    assert codes == [0], errors
    estimator, X, y, _ = _ranks.equal_fits()["classes"]
    ours = _ranks.describe(estimator.fit(X, y))
    assert found[0] == ours


# The programs of the guide ------------------------------------------------------------

PAGE = Path(__file__).parents[1] / "docs" / "user_guide" / "scale.md"


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """A folder with four files of rows, their features and labels."""
    folder = tmp_path_factory.mktemp("patients")
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 3)), columns=["age", "dose", "weight"])
    fever = (X["age"] > 0).astype(float).mask(rng.random(200) < 0.5)
    pain = (X["dose"] > 0).astype(float).mask(rng.random(200) < 0.5)
    rows = X.assign(fever=fever, pain=pain)
    for i in range(4):
        rows[50 * i : 50 * i + 50].to_parquet(folder / f"{i}.parquet", index=False)
    return folder, X


def probabilities_of(command, name, patients, tmp_path):
    """Those of the model that a program of the page has saved."""
    folder, X = patients
    program = re.search(rf"```python\n(# {name}\n.*?)```", PAGE.read_text(), re.S)[1]
    (tmp_path / name).write_text(program)
    done = subprocess.run(
        [sys.executable, *command, name, folder, "model.skmtl"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return skmtl.load(tmp_path / "model.skmtl").predict_proba(X)


@pytest.fixture(scope="module")
def by_torchrun(patients, tmp_path_factory):
    pytest.importorskip("pyarrow")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    folder = tmp_path_factory.mktemp("torchrun")
    return probabilities_of(command, "fit_on_several.py", patients, folder)


def test_the_program_for_torchrun(by_torchrun, patients):
    _, X = patients
    right = (by_torchrun[:, 0] > 0.5) == (X["age"] > 0)
    assert right.mean() > 0.6
    assert by_torchrun.shape == (200, 2)


def test_the_program_for_dask(by_torchrun, patients, tmp_path):
    pytest.importorskip("distributed")
    by_dask = probabilities_of([], "fit_on_dask.py", patients, tmp_path)
    assert_array_equal(by_dask, by_torchrun)
