"""What the tests of the command line share."""

import numpy as np
import pytest

pytest.importorskip("typer")

from skmtl._cli._app import run as run_command

# A network that is trained in no time.
QUICK = "max_iter=3", "n_members=1", "hidden_layer_sizes=[8]"


@pytest.fixture
def run(capsys):
    """`run("fit", ...) -> exit code, stdout, stderr`; paths may be among the words."""

    def call(*words):
        code = run_command([str(word) for word in words])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.out + shown.err
        return code, shown.out, shown.err

    return call


@pytest.fixture
def quick():
    """Options of a fit that takes no time."""
    return [word for setting in QUICK for word in ("--set", setting)]


@pytest.fixture
def table():
    """Columns of text: ids, four kinds of features, two tasks; some are blank."""
    rng = np.random.default_rng(0)
    n = 90
    size = rng.normal(size=n)
    day = rng.integers(1, 28, size=n)
    columns = {
        "id": [f"m{i}" for i in range(n)],
        "size": [f"{x:.4f}" for x in size],
        "colour": rng.choice(["red", "green", "blue"], size=n).tolist(),
        "sold": [f"2021-03-{d:02}" for d in day],
        "new": rng.choice(["true", "false"], size=n).tolist(),
        "tox a": [str(int(x > 0)) for x in size],
        "tox b": ["high" if d > 14 else "low" for d in day],
    }
    for name in ("size", "colour", "sold", "new", "tox a", "tox b"):
        for i in rng.choice(n, size=9, replace=False):
            columns[name][i] = ""
    return columns


@pytest.fixture
def train(table, tmp_path):
    """The table as a CSV file."""
    path = tmp_path / "train.csv"
    write_csv(path, table)
    return path


@pytest.fixture
def model(run, quick, train, tmp_path):
    """The file of a model of the table."""
    path = tmp_path / "model.skmtl"
    words = ["fit", train, "--tasks", "tox *", "--id", "id", "--out", path, "--quiet"]
    assert run(*words, *quick) == (0, "", "")
    return path


def write_csv(path, columns, encoding="utf-8", **kwargs):
    lines = [list(columns), *zip(*columns.values(), strict=True)]
    text = "".join(",".join(line) + "\n" for line in lines)
    path.write_text(text, encoding, **kwargs)
