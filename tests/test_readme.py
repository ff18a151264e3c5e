"""What the README shows runs, and prints what it says."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def ten_lines(tmp_path_factory):
    """The names and the output of the ten lines, run on a table as users have it."""
    rng = np.random.default_rng(0)
    calls, plan = rng.poisson(2, 300), rng.choice(["basic", "plus", "family"], 300)
    anger = calls - 2 * (plan == "family") + rng.normal(0, 0.5, 300)
    labels = np.column_stack([anger > 1.5, anger > 2.5, anger < 0.5]).astype(object)
    labels[rng.random(labels.shape) < 0.4] = None
    table = pd.DataFrame(labels, columns=["leaves", "complains", "recommends"])
    table = table.assign(calls=calls, plan=plan)
    table.loc[::7, "plan"] = None
    (block,) = blocks("python")
    names, output = {}, io.StringIO()
    with (
        contextlib.chdir(tmp_path_factory.mktemp("table")),
        contextlib.redirect_stdout(output),
    ):
        table.to_csv("customers.csv", index=False)
        exec(compile(block, str(README), "exec"), names)
    return names, output.getvalue()


def test_ten_lines_learn_from_a_csv_with_missing_labels(ten_lines):
    names, _ = ten_lines
    assert names["clf"].score(names["X_test"], names["Y_test"]) > 0.8
    assert names["Y"].isna().any().all()


def test_ten_lines_print_a_row_for_each_task(ten_lines):
    _, printed = ten_lines
    for task in ("leaves", "complains", "recommends"):
        assert re.search(rf"^{task} .*0\.\d", printed, re.M)


def test_ten_lines_are_on_the_first_page_of_the_site():
    (block,) = blocks("python")
    assert block in (README.parent / "docs" / "index.md").read_text()


def test_readme_fits_on_a_few_screens():
    assert len(README.read_text().splitlines()) < 120


def test_commands_name_files_and_extras_that_exist():
    root = README.parent
    pyproject = (root / "pyproject.toml").read_text()
    for command in blocks("bash"):
        for path in re.findall(r"[\w/]+\.(?:txt|py)", command):
            assert (root / path).is_file()
        for extras in re.findall(r"\[([\w,]+)\]", command):
            for extra in extras.split(","):
                assert re.search(rf"^{extra} = ", pyproject, re.M)
