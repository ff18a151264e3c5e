"""Write the inventories that the site links with, so that its build needs no network.

`python docs/_inventories/write_inventories.py` lists what the installed scikit-learn
makes public, and the few names of other packages that the documentation mentions. The
format is version 1 of Sphinx's inventories: a name, a kind and a page in each line.
"""

import importlib
import inspect
import pkgutil
from importlib.metadata import version
from pathlib import Path

import sklearn
from sklearn.experimental import (
    enable_halving_search_cv,  # noqa: F401
    enable_iterative_imputer,  # noqa: F401
)

NAMES_OF_BASE = ["BaseEstimator", "clone", "is_classifier", "is_regressor"]
FOLDER = Path(__file__).parent
OTHERS = {
    "numpy": {
        "numpy.ndarray": "reference/generated/numpy.ndarray.html",
        "numpy.ma.MaskedArray": "reference/maskedarray.baseclass.html",
        "numpy.random.RandomState": "reference/random/legacy.html",
    },
    "pandas": {
        "pandas.Categorical": "reference/api/pandas.Categorical.html",
        "pandas.DataFrame": "reference/api/pandas.DataFrame.html",
        "pandas.Series": "reference/api/pandas.Series.html",
    },
    "torch": {
        "torch.Tensor": "tensors.html",
        "torch.nn.Module": "generated/torch.nn.Module.html",
        "torch.nn.Sequential": "generated/torch.nn.Sequential.html",
    },
    "matplotlib": {
        "matplotlib.axes.Axes": "api/_as_gen/matplotlib.axes.Axes.html",
    },
}


def sklearn_objects():
    """Kind and public name of the objects that have a page of their own."""
    for info in pkgutil.iter_modules(sklearn.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"sklearn.{info.name}")
        names = NAMES_OF_BASE if info.name == "base" else getattr(module, "__all__", [])
        for name in names:
            item = getattr(module, name)
            if callable(item):
                kind = "class" if inspect.isclass(item) else "function"
                yield kind, f"sklearn.{info.name}.{name}"


def write(package, lines):
    header = [
        "# Sphinx inventory version 1",
        f"# Project: {package}",
        f"# Version: {version('scikit-learn' if package == 'sklearn' else package)}",
    ]
    text = "\n".join([*header, *sorted(set(lines))]) + "\n"
    (FOLDER / f"{package}.inv").write_text(text)


def main():
    write(
        "sklearn",
        [
            f"{name} {kind} modules/generated/{name}.html"
            for kind, name in sklearn_objects()
        ],
    )
    for package, pages in OTHERS.items():
        write(package, [f"{name} class {page}" for name, page in pages.items()])


if __name__ == "__main__":
    main()
