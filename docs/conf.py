"""How Sphinx builds the site: sphinx-build -W -b html docs docs/_build/html."""

import re
import sys
from pathlib import Path

import skmtl

DOCS = Path(__file__).parent
sys.path += [str(DOCS / "_ext"), str(DOCS / "benchmarks")]

import _charts

project = "skmtl"
author = "The skmtl developers"
copyright = author
version = release = skmtl.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "link_names",
]
templates_path = ["_templates"]
# Docstrings inherited from scikit-learn refer to terms of its glossary.
suppress_warnings = ["ref.term"]
exclude_patterns = ["_build", "examples", "**.ipynb", "auto_examples/*.json"]
# Some file systems do not tell Report.html from report.html.
autosummary_filename_map = {"skmtl.Report": "skmtl.Report_class"}
default_role = "literal"  # one backtick, as in the docstrings
extlinks = {
    "doi": ("https://doi.org/%s", "doi:%s"),
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"),
}
intersphinx_mapping = {
    name: (address, str(DOCS / "_inventories" / f"{name}.inv"))
    for name, address in {
        "sklearn": "https://scikit-learn.org/stable/",
        "torch": "https://docs.pytorch.org/docs/stable/",
        "numpy": "https://numpy.org/doc/stable/",
        "pandas": "https://pandas.pydata.org/docs/",
        "matplotlib": "https://matplotlib.org/stable/",
    }.items()
}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # the docstrings say the types
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 88
numpydoc_show_class_members = False  # the template of a class lists them
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": "raw_tables|serve",  # a folder of data sets, a server
    "within_subsection_order": "gallery.position",
    "backreferences_dir": "api/generated/examples",
    "doc_module": ("skmtl",),
    "show_signature": False,
    "reset_modules": ("matplotlib", "seaborn", "gallery.raise_warnings"),
    "reset_modules_order": "both",
    "write_computation_times": False,
    "min_reported_time": 1e9,  # do not show the seconds of the build machine
}

html_theme = "pydata_sphinx_theme"
html_title = f"skmtl {version}"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_favicon = "_static/logo.svg"
html_css_files = ["style.css"]
html_js_files = ["versions.js"]
html_theme_options = {
    "logo": {
        "text": "skmtl",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "alt_text": "skmtl",
    },
    "navbar_end": ["versions", "theme-switcher"],
    "navigation_with_keys": False,
    "show_prev_next": True,
}
html_sidebars = {"index": [], "changelog": [], "contributing": []}
html_show_sourcelink = False


def tidy(app, page, source):
    """Turn links to the file of an example into links to its page in the gallery.

    Also drop the empty line at the end of code blocks, which only the tests need.
    """
    examples = r"\(\.\./examples/(plot_\w+)\.py\)"
    text = re.sub(examples, r"(../auto_examples/\1.rst)", source[0])
    source[0] = text.replace("\n\n```\n", "\n```\n\n")


def draw_charts(app):
    """Draw the charts of the benchmark pages from their numbers."""
    _charts.draw(DOCS / "benchmarks" / "charts")


def setup(app):
    app.connect("builder-inited", draw_charts)
    app.connect("source-read", tidy)
