"""What the README shows runs, and prints what it says."""

import contextlib
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def namespace(tmp_path_factory):
    """The names after all Python blocks have run, one after the other."""
    names = {}
    with contextlib.chdir(tmp_path_factory.mktemp("written")):
        for block in blocks("python"):
            exec(compile(block, str(README), "exec"), names)
        names["written"] = sorted(path.name for path in Path.cwd().iterdir())
    return names


def test_results_in_comments_are_what_comes_out(namespace):
    shown = re.findall(r"^(.*?)\s+# (array\(.*)$", "\n".join(blocks("python")), re.M)
    assert shown
    for expression, result in shown:
        assert repr(eval(expression, namespace)) == result


def test_the_search_has_learned(namespace):
    assert namespace["search"].score(namespace["X_test"], namespace["Y_test"]) > 0.95


def test_report_and_network_are_written(namespace):
    assert namespace["written"] == ["network.onnx", "report.html"]


def test_commands_name_files_and_extras_that_exist():
    root = README.parent
    pyproject = (root / "pyproject.toml").read_text()
    for command in blocks("bash"):
        for path in re.findall(r"[\w/]+\.(?:txt|py)", command):
            assert (root / path).is_file()
        for extras in re.findall(r"\[([\w,]+)\]", command):
            for extra in extras.split(","):
                assert re.search(rf"^{extra} = ", pyproject, re.M)
