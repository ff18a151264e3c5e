"""How Sphinx builds the site: sphinx-build -W -b html docs docs/_build/html."""

import re

import skmtl

project = "skmtl"
author = "The skmtl developers"
copyright = author
version = release = skmtl.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
# What is inherited from scikit-learn points to its glossary.
suppress_warnings = ["ref.term"]
exclude_patterns = ["_build", "examples", "**.ipynb", "auto_examples/*.json"]
# Two names that are one where the case of file names does not count.
autosummary_filename_map = {"skmtl.Report": "skmtl.Report_class"}
default_role = "literal"  # one backtick, as in the docstrings
extlinks = {
    "doi": ("https://doi.org/%s", "doi:%s"),
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"),
}
myst_heading_anchors = 3
autodoc_typehints = "none"  # the docstrings say the types
numpydoc_show_class_members = False  # the template of a class lists them
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": "raw_tables",  # needs a folder of data sets
    "backreferences_dir": "api/generated/examples",
    "doc_module": ("skmtl",),
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"skmtl {version}"
html_theme_options = {"navigation_with_keys": False}
html_sidebars = {"changelog": [], "contributing": []}
html_show_sourcelink = False


def link_to_gallery(app, page, source):
    """Where a page names the file of an example, link to what it shows."""
    examples = r"\(\.\./examples/(plot_\w+)\.py\)"
    source[0] = re.sub(examples, r"(../auto_examples/\1.rst)", source[0])


def setup(app):
    app.connect("source-read", link_to_gallery)
