"""How the pages of the user guide run as tests."""

import pytest


def pytest_collection_modifyitems(items):
    """Let scikit-learn warn before it refuses NaN, which the guide shows."""
    for item in items:
        if item.path.suffix == ".md":
            item.add_marker(
                pytest.mark.filterwarnings(
                    "ignore:invalid value encountered in cast:RuntimeWarning"
                )
            )
