"""How the pages of the user guide run as tests."""

import os

import pytest

# numba would compile the loops of shap for seconds, to explain two rows; it reads this
# when it is loaded.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

# What the guide shows, and what is not ours to mend.
_IGNORED = [
    # scikit-learn, before it refuses NaN
    "ignore:invalid value encountered in cast:RuntimeWarning",
    # shap, which uses what matplotlib deprecates
    "ignore:The set_.* function:PendingDeprecationWarning",
    # optuna, of itself
    "ignore:OptunaSearchCV is experimental",
    "ignore:`optuna.terminator`:FutureWarning",
]


def pytest_collection_modifyitems(items):
    """Keep the warnings of other packages apart from ours."""
    for item in items:
        if item.path.suffix == ".md":
            for ignored in _IGNORED:
                item.add_marker(pytest.mark.filterwarnings(ignored))
        if item.path.name == "mlflow.md":  # it warns of its own types
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(autouse=True)
def _nothing_of_mlflow_stays(request, monkeypatch, tmp_path):
    """The page on MLflow logs into a folder of its own, whatever it has set."""
    if request.path.name != "mlflow.md":
        yield
        return
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    import mlflow  # which reads the environment

    before = mlflow.get_tracking_uri()
    yield
    mlflow.sklearn.autolog(disable=True)
    mlflow.set_tracking_uri(before)
