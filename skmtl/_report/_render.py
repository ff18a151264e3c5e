"""Render the page."""

from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


def jinja_environment() -> Any:
    """Return the environment of the templates; it escapes text of the user."""
    try:
        import jinja2
    except ImportError as error:
        raise ImportError(
            "skmtl.report needs Jinja2, which is not installed. Run: pip install "
            "'skmtl[report]'"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["px"] = "{:.1f}".format
    environment.filters["breakable"] = _breakable
    return environment


def render(environment: Any, context: dict[str, Any]) -> str:
    """Return the whole page."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    page: str = environment.get_template("report.html.j2").render(
        style=style, **context
    )
    return page


def _breakable(name: str) -> Any:
    """Return a name in which the browser may break the line after an underscore."""
    from markupsafe import Markup, escape

    return Markup("_<wbr>").join(map(escape, name.split("_")))
