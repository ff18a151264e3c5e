"""Identifying specs, trunks and parameters by their type and their parameters."""

import functools
import inspect
import re
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator


def describe(value: Any) -> str:
    """Text that is the same in another process, whatever scikit-learn's settings are.

    It has the type and the non-default parameters of scikit-learn objects, the location
    of functions and classes, and the repr of anything else.
    """
    if isinstance(value, functools.partial):
        return f"partial({describe(value.func)}, {value.args}, {value.keywords})"
    if isinstance(value, BaseEstimator):
        kind = type(value)
        is_ours = kind.__module__.startswith("skmtl.")
        name = kind.__name__ if is_ours else f"{kind.__module__}.{kind.__qualname__}"
        return f"{name}({_parameters_of(value)})"
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return without_addresses(repr(value))


def _parameters_of(spec: BaseEstimator) -> str:
    parameters = spec.get_params(deep=False)
    signature = inspect.signature(type(spec)).parameters
    defaults = {name: parameter.default for name, parameter in signature.items()}
    return ", ".join(
        f"{name}={describe(value)}"
        for name, value in sorted(parameters.items())
        if not _is_same(value, defaults.get(name))
    )


def _is_same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(np.all(value == default))


def without_addresses(text: str) -> str:
    """Text without memory addresses, so that it is the same in another process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
