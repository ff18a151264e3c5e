"""How the pages of the user guide run as tests."""

import pytest

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
