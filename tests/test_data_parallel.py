"""Fits that several processes share, under torch.distributed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("pandas")
import _ranks
from _estimators import parameters_of

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


def test_they_stop_together(shares):
    assert len(shares[0]["stopped"]["losses"]) < 60
    assert len(shares[0]["scores"]) == len(shares[0]["stopped"]["losses"])
    assert len(shares[0]["called"]["losses"]) == 4


def test_what_one_cannot_use_ends_all(run_ranks):
    found, codes, errors = run_ranks("failing")
    assert codes == [0, 0], errors
    first, second = found
    assert "that of rank 1 could not go on" in first["X"]
    assert "infinity" in first["X"]
    assert "infinity" in second["X"]
    for both in found:
        assert "Each process must have the same tasks" in both["tasks"]
        assert "X must have the same columns in all processes" in both["columns"]
        assert "checkpoint_dir is for a fit of one process" in both["checkpoint"]
        assert "partial_fit trains in one process" in both["partial_fit"]
        assert "add_tasks trains in one process" in both["add_tasks"]


def test_a_killed_process_ends_the_other_with_an_error(run_ranks):
    found, codes, _ = run_ranks("killed")
    assert codes[1] == 9
    assert "All processes of a data-parallel fit must stay at work" in found[0]["error"]
    assert not found[0]["is_fitted"]


def test_one_process_alone_is_an_ordinary_fit(run_ranks, tmp_path):
    found, codes, errors = run_ranks("alone", size=1)
    assert codes == [0], errors
    estimator, X, y, _ = _ranks.equal_fits()["classes"]
    ours = _ranks.describe(estimator.fit(X, y))
    assert found[0] == ours
