"""The charts of the benchmark pages are drawn from the data of today."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

PAGES = Path(__file__).parents[1] / "docs" / "benchmarks"
IMAGE = re.compile(r"```{image} charts/(\w+)\.svg\n(.*?)```", flags=re.DOTALL)


@pytest.fixture(scope="module")
def charts():
    """The module that draws them."""
    spec = importlib.util.spec_from_file_location("_charts", PAGES / "_charts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawn(charts, tmp_path_factory):
    """The files that a build of the site draws; a warning is an error."""
    folder = tmp_path_factory.mktemp("charts")
    charts.draw(folder / "charts")
    return {path.stem: path for path in (folder / "charts").iterdir()}


def texts_of(path):
    """All text of an SVG file, which stays text."""
    root = ElementTree.parse(path).getroot()
    return ["".join(text.itertext()) for text in root.iterfind(".//{*}text")]


def test_each_chart_has_text_that_can_be_read_aloud(drawn):
    assert all(len(texts_of(path)) > 5 for path in drawn.values())


def test_pages_show_each_chart_that_is_drawn_and_no_other(drawn):
    named = [
        (page.stem, name)
        for page in PAGES.glob("*.md")
        for name, _ in IMAGE.findall(page.read_text())
    ]
    assert sorted(name for _, name in named) == sorted(drawn)
    assert all(name.startswith(f"{page}_") for page, name in named)


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_charts_have_the_class_of_their_theme_and_a_text(page):
    for name, options in IMAGE.findall(page.read_text()):
        theme = name.rpartition("_")[2]
        assert f":class: only-{theme}\n" in options
        assert re.search(r"^:alt: .{30}", options, flags=re.MULTILINE)


def test_a_page_without_the_table_of_its_chart_is_named(charts):
    with pytest.raises(ValueError, match=r"speed\.md must have a table with"):
        charts.table("speed", "case", "no such column")


def test_chart_of_the_readme_shows_the_data_of_today(charts, tmp_path):
    """If this fails: python docs/benchmarks/_charts.py."""
    charts.draw_readme(tmp_path / "readme.svg")
    files = tmp_path / "readme.svg", charts.README_CHART
    new, committed = (ElementTree.parse(file).getroot() for file in files)
    numbers, committed_numbers = (
        root.find(".//{*}description").text for root in (new, committed)
    )
    assert committed_numbers == numbers
    assert texts_of(charts.README_CHART) == texts_of(tmp_path / "readme.svg")
