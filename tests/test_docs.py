"""The pages of the site name all that there is."""

import importlib
import re
from pathlib import Path

import pytest
from test_public_api import LAYERS, MODULES, PUBLIC_MODULES, unit_of

DOCS = Path(__file__).parents[1] / "docs"


def names_on_the_api_pages():
    """What the summaries of the pages list, one page per module."""
    names = set()
    for path in (DOCS / "api").glob("skmtl*.rst"):
        module, text = path.stem, path.read_text()
        assert f".. automodule:: {module}\n" in text
        names |= {module, *re.findall(r"skmtl(?:\.\w+)+", text)}
        names |= {f"{module}.{name}" for name in re.findall(r"^   (\w+)$", text, re.M)}
    return names


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_api_page_names_all_that_is_public(module):
    public = importlib.import_module(module).__all__
    assert {f"{module}.{name}" for name in public} <= names_on_the_api_pages()


def test_api_page_names_nothing_else():
    public = set(PUBLIC_MODULES)
    for module in PUBLIC_MODULES:
        names = importlib.import_module(module).__all__
        public |= {f"{module}.{name}" for name in names}
    assert names_on_the_api_pages() == public


@pytest.mark.parametrize("folder", ["user_guide", "benchmarks"])
def test_every_page_is_in_the_contents_of_its_folder(folder):
    index = (DOCS / folder / "index.md").read_text()
    contents = "".join(re.findall(r"```{toctree}\n(.*?)```", index, flags=re.DOTALL))
    pages = {path.stem for path in (DOCS / folder).glob("*.md")} - {"index"}
    assert set(re.findall(r"^\w+$", contents, flags=re.MULTILINE)) == pages


def test_every_module_is_in_the_contents_of_the_api():
    contents = (DOCS / "api" / "index.rst").read_text().partition(".. toctree::")[2]
    assert set(re.findall(r"^   (skmtl\S*)$", contents, re.M)) == set(PUBLIC_MODULES)


def test_every_example_has_a_place_in_the_gallery():
    order = (DOCS / "_ext" / "gallery.py").read_text()
    files = {path.name for path in (DOCS / "examples").glob("plot_*.py")}
    assert set(re.findall(r"plot_\w+\.py", order)) == files


def test_layers_are_those_that_the_tests_check():
    page = (DOCS / "contributing.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, flags=re.MULTILINE)
    units = {unit_of(path) for path in MODULES}
    assert {name: int(layer) for layer, name in rows} == {
        unit: LAYERS[unit] for unit in units
    }
