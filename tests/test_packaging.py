"""What is published: one version everywhere, and a description that stands alone."""

import re
import tomllib
from pathlib import Path

import pytest

import skmtl

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = re.escape(skmtl.__version__)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("CITATION.cff", rf'^version: {VERSION}\ndate-released: "\d{{4}}-\d\d-\d\d"$'),
        ("CHANGELOG.md", rf"^## {VERSION} - \d{{4}}-\d\d-\d\d$"),
        ("docs/_static/versions.js", rf'^const versions = \["{VERSION}"'),
    ],
)
def test_every_file_names_the_version(file, line):
    assert re.search(line, (ROOT / file).read_text(), re.M)


def test_citation_and_changelog_agree_on_the_date():
    cited = re.search(r'date-released: "(.*)"', (ROOT / "CITATION.cff").read_text())[1]
    assert f"## {skmtl.__version__} - {cited}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_description_has_no_relative_link():
    text = (ROOT / "README.md").read_text()
    hook = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    for rule in hook["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    assert re.findall(r"\]\((?!https://|#)([^)]*)\)", text) == []
    assert "(`docs/user_guide/onnx.md`)" in text
    assert "docs/_static" not in text


def test_pages_that_the_readme_names_exist():
    links = re.findall(r"\]\((?!https://|#)([^)]*)\)", (ROOT / "README.md").read_text())
    assert links
    for link in links:
        assert (ROOT / link).is_file(), link


def test_commit_hooks_have_the_versions_of_the_constraints():
    hooks = re.findall(
        r"\[(ruff)==(.*)\]", (ROOT / ".pre-commit-config.yaml").read_text()
    )
    constraints = (ROOT / "constraints.txt").read_text()
    assert hooks
    for name, version in hooks:
        assert f"\n{name}=={version}\n" in constraints


def test_an_extra_asks_for_the_same_version_wherever_it_stands():
    project = PYPROJECT["project"]
    bounds: dict[str, set[str]] = {}
    for texts in [
        project["dependencies"],
        *project["optional-dependencies"].values(),
    ]:
        for text in texts:
            name, _, bound = text.partition(">=")
            bounds.setdefault(name, set()).add(bound)
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}
