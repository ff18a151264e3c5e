"""The layers of the package, its public names and what their docstrings say."""

import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_equal
from packaging.requirements import Requirement
from packaging.version import Version
from sklearn.base import BaseEstimator

import skmtl

PACKAGE = Path(skmtl.__file__).parent
# Arrows point down only: a module imports from lower layers or from its own folder.
LAYERS = {
    "_cleanup": 0,
    "_files": 0,
    "_interrupts": 0,
    "_label_weights": 0,
    "_messages": 0,
    "_sampling": 0,
    "_tables": 0,
    "_world": 0,
    "_sources": 1,
    "_targets": 1,
    "datasets": 1,
    "trunks": 1,
    "_inputs": 2,
    "_outputs": 2,
    "_predictions": 2,
    "_weights": 2,
    "_network": 3,
    "_prediction_files": 3,
    "metrics": 3,
    "_rows": 4,
    "_task_views": 4,
    "model_selection": 4,
    "sharing": 4,
    "_training": 5,
    "calibration": 5,
    "_estimators": 6,
    "__main__": 10,
    "_cli": 9,
    "_onnx": 7,
    "_persistence": 7,
    "inspection": 7,
    "_report": 8,
}
WITHOUT_TORCH = [
    "_cleanup",
    "_interrupts",
    "datasets",
    "_files",
    "_label_weights",
    "_messages",
    "_prediction_files",
    "_predictions",
    "_sources",
    "_tables",
    "_task_views",
    "_targets",
    "_inputs",
    "_weights",
    "metrics",
    "model_selection",
    "calibration",
]
# What checks the code and not what it does: the newest is right.
TOOLS = {"codespell", "ruff", "mypy"}
PUBLIC_MODULES = [
    "skmtl.calibration",
    "skmtl.datasets",
    "skmtl.inspection",
    "skmtl",
    "skmtl.metrics",
    "skmtl.model_selection",
    "skmtl.sharing",
    "skmtl.trunks",
]


@cache
def imports_of(path):
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


MODULES = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def unit_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_point_down(path):
    unit = unit_of(path)
    for name in imports_of(path):
        if name.startswith("skmtl."):
            target = name.split(".")[1]
            assert target == unit or LAYERS[target] < LAYERS[unit], name
            mutual = [
                p
                for p in MODULES
                if unit_of(p) == target != unit
                and any(n.startswith(f"skmtl.{unit}") for n in imports_of(p))
            ]
            assert not mutual, f"{unit} and {target} import each other"


def test_every_module_has_a_layer():
    assert {unit_of(path) for path in MODULES} <= set(LAYERS)


def test_one_place_says_which_tasks_have_two_classes():
    asks = re.compile(r"(n_classes|n_codes|len\([\w.]*(classes|counts)\S*\)) [!=]= 2\b")
    found = [path.name for path in MODULES if asks.search(path.read_text())]
    assert found == ["_tasks.py"]


def test_modules_that_load_no_torch():
    program = "import sys\n"
    for module in WITHOUT_TORCH:
        program += f"import skmtl.{module}\nassert 'torch' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", program], check=True)


def public_objects():
    for name in PUBLIC_MODULES:
        module = importlib.import_module(name)
        for public in module.__all__:
            value = getattr(module, public)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield pytest.param(value, id=f"{name}.{public}")


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_names_exist_and_are_listed_once(name):
    module = importlib.import_module(name)
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    for public in module.__all__:
        assert getattr(module, public) is not None
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize("thing", list(public_objects()))
def test_docstrings_are_whole(thing):
    doc = inspect.getdoc(thing)
    for heading in ("Examples", "See Also"):
        assert f"{heading}\n{'-' * len(heading)}" in doc
    assert ">>>" in doc
    for method in vars(thing).values() if inspect.isclass(thing) else ():
        if inspect.isfunction(method) and not method.__name__.startswith("_"):
            assert_documents_parameters(method, inspect.getdoc(method))


@pytest.mark.parametrize("thing", list(public_objects()))
def test_documented_parameters_and_defaults_are_those_of_the_signature(thing):
    if dataclasses.is_dataclass(thing):  # a result: only we make it
        fields = [field.name for field in dataclasses.fields(thing)]
        assert documented_names(inspect.getdoc(thing), "Attributes") == fields
    else:
        assert_documents_parameters(thing, inspect.getdoc(thing))


def documented_names(doc, heading):
    section = doc.split(f"{heading}\n{'-' * len(heading)}\n")[1]
    section = re.split(r"\n\n?[A-Z][A-Za-z ]+\n-{3,}\n", section)[0]
    names = re.findall(r"^(\w[\w, ]*) : ", section, flags=re.MULTILINE)
    return [name for several in names for name in several.split(", ")]


def assert_documents_parameters(function, doc):
    signature = inspect.signature(function).parameters
    expected = [name for name in signature if name != "self"]
    if not expected:
        return
    section = doc.split("Parameters\n----------\n")[1]
    section = re.split(r"\n\n?[A-Z][A-Za-z ]+\n-{3,}\n", section)[0]
    documented = {}
    for names, text in re.findall(
        r"^\*{0,2}(\w[\w, ]*) : ((?:.|\n )*)", section, flags=re.MULTILINE
    ):
        default = re.search(r"default=(.*)", text.split("\n    ")[0])
        names = names.split(", ")
        defaults = (
            default[1].split(", ")
            if default and len(names) > 1
            else [default and default[1]]
        )
        documented |= dict(zip(names, defaults, strict=True))
    assert set(documented) == set(expected)
    for name, default in documented.items():
        if signature[name].default is inspect.Parameter.empty:  # *arrays, **kwargs too
            assert default is None, name
        else:
            expected = np.nan if default == "np.nan" else ast.literal_eval(default)
            assert_equal(signature[name].default, expected, err_msg=name)


def test_every_fitted_attribute_is_documented(problem):
    clf = skmtl.MultiTaskNetClassifier(max_iter=0, early_stopping=True).fit(*problem)
    learned = [n for n in vars(clf) if n.endswith("_") and not n.startswith("_")]
    assert set(learned) <= set(documented_names(inspect.getdoc(clf), "Attributes"))


def test_estimator_parameters_are_all_constrained():
    clf = skmtl.MultiTaskNetClassifier()
    assert isinstance(clf, BaseEstimator)
    assert set(clf._parameter_constraints) == set(clf.get_params(deep=False))


def test_version_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", skmtl.__version__)


def test_lower_bounds_are_the_oldest_versions_that_the_tests_run_with():
    root = PACKAGE.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    texts = project["dependencies"]
    for extra in extras.keys() - {"docs", "bench"}:
        texts += [text for text in extras[extra] if text.split(">")[0] not in TOOLS]
    bounds = {
        required.name: Version(next(iter(required.specifier)).version)
        for required in map(Requirement, texts)
    }
    pinned = {
        name: Version(version)
        for name, version in re.findall(
            r"^([\w-]+)==(.*)$", (root / "constraints-oldest.txt").read_text(), re.M
        )
    }
    assert bounds == {name: pinned[name] for name in bounds}
