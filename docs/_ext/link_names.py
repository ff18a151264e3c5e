"""Link every name in code font that is a public name, here or in another inventory."""

import importlib
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref

API = Path(__file__).parents[1] / "api"  # a page per module


@cache
def own_names():
    """Names as they may stand in a text, and the full name that each links to."""
    names = {}
    for module in sorted(page.stem for page in API.glob("skmtl*.rst")):
        for name in importlib.import_module(module).__all__:
            full = f"{module}.{name}"
            if not name.startswith("__"):
                names |= {name: full, full: full}
    return names


def names_of_others(inventories):
    """The same for the inventories: a class also by its last name, as `Pipeline`."""
    names = {}
    for objects in inventories.values():
        for kind in ("py:class", "py:function"):
            for full in objects.get(kind, {}):
                names[full] = full
                if full.split(".")[-1][0].isupper():
                    names[full.split(".")[-1]] = full
    return names


def link_names(app, doctree):
    others = names_of_others(app.env.intersphinx_named_inventory)
    names = others | own_names()
    for literal in list(doctree.findall(nodes.literal)):
        full = names.get(literal.astext().removesuffix("()"))
        if full is None or inside_a_link(literal):
            continue
        link = pending_xref(
            "",
            refdomain="py",
            reftype="obj",
            reftarget=full,
            refexplicit=True,
            refdoc=app.env.docname,
        )
        literal.replace_self(link)
        link += literal


def inside_a_link(node):
    while node is not None:
        if isinstance(node, nodes.reference | pending_xref | nodes.title):
            return True
        node = node.parent
    return False


def setup(app):
    app.connect("doctree-read", link_names)
    return {"parallel_read_safe": True}
