"""What a browser makes of the report: layout, colours, and that it loads nothing."""

import shutil

import numpy as np
import pandas as pd
import pytest

import skmtl
from skmtl.datasets import make_multitask_classification

pytestmark = pytest.mark.slow
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-sync", "--disable-background-networking"]
FLAGS += ["--disable-component-update"]
LONG = "a_rather_long_name_of_a_task_without_any_place_to_break_" * 2


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"none of {names} is on the path")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A report with long names, several classes and numbers, and many columns."""
    X, Y = make_multitask_classification(150, 8, 4, missing_rate=0.3, random_state=0)
    X = pd.DataFrame(X).add_prefix("column ")
    Y = pd.DataFrame(Y, columns=["<b>bold</b>", LONG, "c", "d"])
    Y["letters"] = pd.cut(X["column 0"], [-9, -1, 0, 1, 9], labels=list("wxyz"))
    Y["number"] = 1e6 * X["column 1"]
    types = dict.fromkeys(Y, "class") | {"number": "number"}
    net = skmtl.MultiTaskNet((8,), task_types=types, n_members=1, max_iter=4)
    net.set_params(early_stopping=True)
    path = tmp_path_factory.mktemp("report") / "report.html"
    models = ["joint", "separate", "forest"]
    skmtl.report(net, X, Y, path, cv=3, models=models, random_state=0)
    return path


@pytest.fixture(params=[(1400, "light"), (1400, "dark"), (400, "light"), (400, "dark")])
def page(request, browser, path):
    width, scheme = request.param
    viewport = {"width": width, "height": 900}
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    page.complaints, page.requests = [], []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda sent: page.requests.append(sent.url))
    page.goto(path.as_uri())
    page.scheme = scheme
    yield page
    context.close()


def luminance(page, expression):
    """Of a colour such as "rgb(29, 34, 38)", as the web's guidelines define it."""
    text = page.evaluate(expression)
    values = text[text.index("(") + 1 : -1].split(",")[:3]
    channels = np.array([float(value) for value in values]) / 255
    linear = np.where(
        channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
    )
    return linear @ [0.2126, 0.7152, 0.0722]


def test_nothing_is_requested_and_nobody_complains(page, path):
    assert page.requests == [path.as_uri()]
    assert page.complaints == []


def test_the_page_is_as_wide_as_the_window(page):
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    too_wide = page.evaluate(
        """width => [...document.querySelectorAll("main *")]
        .filter(e => !e.closest(".box") && !e.closest("svg") && !e.closest("pre"))
        .filter(e => !e.closest("details:not([open])"))
        .filter(e => e.getBoundingClientRect().right > width + 1)
        .map(e => e.outerHTML.slice(0, 80))""",
        width,
    )
    assert too_wide == []


def test_colours_follow_the_system_and_can_be_read(page):
    paper = luminance(page, "getComputedStyle(document.body).backgroundColor")
    assert (paper < 0.1) == (page.scheme == "dark")
    for selector in ("body", ".how", ".note", "nav a"):
        style = f"getComputedStyle(document.querySelector('{selector}')).color"
        ink = luminance(page, style)
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5, selector


def test_marks_lie_where_the_axis_says(page):
    """A scale for all rows of a plot: the grid lines stand one below the other."""
    places = page.evaluate(
        """[...document.querySelectorAll("#scores .rows")].map(rows =>
        [...rows.querySelectorAll(".row > svg")].map(svg =>
        svg.querySelector("line.grid").getBoundingClientRect().left))"""
    )
    assert len(places) == 2  # ROC AUC and R2
    for lefts in places:
        assert np.ptp(lefts) < 0.5


def test_text_is_shown_as_it_is_and_every_plot_has_a_title(page):
    names = page.locator("h3").all_inner_texts()
    assert "<b>bold</b>" in names
    assert LONG in names
    unnamed = page.evaluate(
        """[...document.querySelectorAll("svg[role=img]")].filter(svg =>
        !svg.getAttribute("aria-label") && !svg.querySelector("title")).length"""
    )
    assert unnamed == 0
    unscoped = "document.querySelectorAll('th:not([scope])').length"
    assert page.evaluate(unscoped) == 0
    clipped = page.evaluate(
        """[...document.querySelectorAll("#curves svg text, #training svg text")]
        .filter(text => { const t = text.getBoundingClientRect();
          const s = text.ownerSVGElement.getBoundingClientRect();
          return t.left < s.left - 1 || t.right > s.right + 1
            || t.top < s.top - 1 || t.bottom > s.bottom + 1; })
        .map(text => text.textContent)"""
    )
    assert clipped == []


def test_what_is_folded_is_printed(page):
    folded = page.locator("details .box").first
    assert not folded.is_visible()
    page.emulate_media(media="print")
    assert folded.is_visible()
    paper = luminance(page, "getComputedStyle(document.body).backgroundColor")
    assert paper > 0.9
    assert len(page.pdf()) > 10_000


def test_a_notebook_shows_it_in_a_frame(browser, path):
    X, Y = make_multitask_classification(60, 3, 2, random_state=0)
    clf = skmtl.MultiTaskNetClassifier((4,), n_members=1, max_iter=1).fit(X, Y)
    report = skmtl.report(clf, X, Y, cv="prefit", title="In a frame", random_state=0)
    page = browser.new_page()
    page.set_content(f"<!DOCTYPE html><body>{report._repr_html_()}</body>")
    assert page.frame_locator("iframe").locator("h1").inner_text() == "In a frame"
    page.close()
