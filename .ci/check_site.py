"""Look at every page of the site in a browser: `check_site.py FOLDER [SCREENSHOTS]`.

Each page is opened once and looked at on a wide and on a narrow screen, in the light
and in the dark theme. A page fails if it asks another host for anything, writes an
error to the console, is wider than the screen, cuts text off, or links to a page or a
heading that does not exist. Ten words that people search for must lead to the right
page first. SCREENSHOTS is a folder for images of all pages.
"""

import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from playwright.sync_api import sync_playwright

SCREENS = {"wide": (1400, 1000), "narrow": (400, 800)}
SEARCHES = {
    "threshold": "user_guide/decisions.html",
    "missing": "user_guide/getting_started.html",
    "calibration": "user_guide/decisions.html",
    "feature importance": "user_guide/explanations.html",
    "regression": "user_guide/numbers.html",
    "GPU": "user_guide/training.html",
    "save": "user_guide/serving.html",
    "imbalanced": "user_guide/rare_answers.html",
    "grid search": "user_guide/getting_started.html",
    "ONNX": "user_guide/onnx.html",
}
# Wider than the screen, or text that its own box cuts off and that cannot be scrolled.
CUT_OFF = """() => {
    const faults = [];
    const page = document.documentElement;
    if (page.scrollWidth > window.innerWidth + 1)
        faults.push(`the page is ${page.scrollWidth} pixels wide`);
    for (const box of document.querySelectorAll("main *")) {
        const style = getComputedStyle(box);
        if (style.overflowX === "hidden" && style.display !== "inline"
            && box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 1
            && box.innerText && style.visibility !== "hidden"
            && !box.closest("svg, .math"))
            faults.push(`cut off: ${box.innerText.slice(0, 60)}`);
        if (style.overflowX === "visible" && box.children.length === 0
            && box.innerText && !box.closest("pre, table, svg, .math")
            && box.getBoundingClientRect().right > window.innerWidth + 1
            && style.visibility !== "hidden")
            faults.push(`beyond the edge: ${box.innerText.slice(0, 60)}`);
    }
    return faults;
}"""
LINKS = """() => ({
    ids: [...document.querySelectorAll("[id]")].map(each => each.id),
    links: [...document.querySelectorAll("a[href]")].map(each => each.href),
    blind: [...document.querySelectorAll("img")].filter(
        each => !each.complete || each.naturalWidth === 0 || !each.hasAttribute("alt")
    ).map(each => each.src),
})"""


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Print nothing: a missing file is an error in the console of the page."""


def serve(folder):
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def look(page, address, screenshots):
    """Return the faults of a page, the ids of its elements and its links."""
    faults = []
    page.goto(address, wait_until="load")
    page.wait_for_function(
        "!window.MathJax || window.MathJax.startup?.document", timeout=60_000
    )
    for screen, (width, height) in SCREENS.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            faults += [
                f"{screen}, {theme}: {fault}" for fault in page.evaluate(CUT_OFF)
            ]
            if screenshots:
                name = urlsplit(address).path.strip("/").replace("/", "-")
                path = screenshots / f"{name}-{screen}-{theme}.png"
                page.screenshot(path=path, full_page=True)
    found = page.evaluate(LINKS)
    faults += [
        f"an image that is missing or has no description: {each}"
        for each in found["blind"]
    ]
    return faults, set(found["ids"]), found["links"]


def watch(page, home, faults):
    """Add requests to other hosts and errors of scripts to the faults."""

    def on_request(request):
        if not request.url.startswith((home, "data:", "blob:")):
            faults.append((page.url, f"asks for {request.url}"))

    def on_console(message):
        if message.type == "error":
            faults.append((page.url, f"console: {message.text}"))

    page.on("request", on_request)
    page.on("console", on_console)
    page.on("pageerror", lambda error: faults.append((page.url, f"error: {error}")))


def broken_links(home, folder, anchors, links):
    for address, targets in links.items():
        for target in sorted(set(targets)):
            if not target.startswith(home):
                continue
            path, anchor = urldefrag(target)
            if path not in anchors:
                if not (folder / unquote(urlsplit(path).path[1:])).is_file():
                    yield address, f"broken link: {target}"
            elif anchor and unquote(anchor) not in anchors[path]:
                yield address, f"no such heading: {target}"


def first_result(page, home, words):
    page.goto(f"{home}/search.html?q={words.replace(' ', '+')}")
    # The best result is listed first.
    first = "#search-results li a"
    page.wait_for_selector(first, state="attached", timeout=60_000)
    return page.evaluate("path => document.querySelector(path).href", first)


def main(folder, screenshots=None):
    folder, faults = Path(folder), []
    screenshots = screenshots and Path(screenshots)
    home = serve(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        page = browser.new_page()
        watch(page, home, faults)
        anchors, links = {}, {}  # of each page
        for path in sorted(folder.rglob("*.html")):
            if "_static" in path.parts:
                continue
            address = f"{home}/{path.relative_to(folder).as_posix()}"
            wrong, anchors[address], links[address] = look(page, address, screenshots)
            faults += [(address, fault) for fault in wrong]
        faults += broken_links(home, folder, anchors, links)
        for words, right in SEARCHES.items():
            first = first_result(page, home, words)
            if not first.removeprefix(f"{home}/").startswith(right):
                faults.append((f"search for {words!r}", f"leads to {first}"))
        browser.close()
    for address, fault in faults:
        print(f"{address.removeprefix(home)}: {fault}")
    print(f"{len(anchors)} pages, {len(SEARCHES)} searches, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
