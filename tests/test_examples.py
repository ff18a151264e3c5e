"""Each example runs from end to end without a warning."""

import os
import runpy
from pathlib import Path

import matplotlib.pyplot
import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "docs" / "examples").glob("*.py"))
SLOW = {
    "plot_joint_or_separate",
    "plot_many_tasks",
    "plot_missing_labels",
    "plot_new_task",
    "plot_one_task",
    "plot_quickstart",
    "plot_scenes",
    "plot_search_heads",
    "plot_transfer",
    "raw_tables",
}


def as_parameter(path):
    marks = [pytest.mark.slow] if path.stem in SLOW else []
    return pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", [*map(as_parameter, EXAMPLES)])
def test_example_runs(path, tmp_path, monkeypatch):
    if "SKMTL_DATA" in path.read_text() and not os.environ.get("SKMTL_DATA"):
        pytest.skip("real data: SKMTL_DATA does not name the folder of data sets")
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    runpy.run_path(str(path))
    matplotlib.pyplot.close("all")
