"""How the gallery is made: the order of the examples, and what stops its build."""

import warnings

# The order in which to read them.
EXAMPLES = [
    "plot_quickstart.py",
    "plot_tables.py",
    "plot_missing_labels.py",
    "plot_search_heads.py",
    "plot_one_task.py",
    "plot_joint_or_separate.py",
    "plot_many_tasks.py",
    "plot_new_task.py",
    "plot_transfer.py",
    "plot_scenes.py",
]


def position(file_name):
    return EXAMPLES.index(file_name)


_filters = []


def raise_warnings(gallery_conf, file, when):
    """A warning of an example is an error, here as in the tests."""
    if when == "before":
        _filters[:] = warnings.filters
        warnings.simplefilter("error")
    else:
        warnings.filters[:] = _filters
