"""The scales of numeric tasks: transformers, means and standard deviations."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from skmtl._label_weights import label_weights
from skmtl._messages import shorten, warn
from skmtl._network import describe
from skmtl._targets import (
    Numbers,
    Tasks,
    learn_scale,
    named_tasks,
    warn_of_one_value,
)

_METHODS = ("fit", "transform", "inverse_transform")
# The squares of larger standardised values would overflow float32.
_LARGEST = 1e18


def with_scales(
    tasks: Tasks,
    numbers: NDArray,
    counted: NDArray,
    sample_weight: NDArray | None,
    transformer: Any,
) -> Tasks:
    """The tasks, with the mean and standard deviation of the values that count."""
    by_name = transformers_of(transformer, tasks)
    targets = list(tasks.targets)
    for t in np.flatnonzero(tasks.are_numbers).tolist():
        rows = counted[:, t] >= 0
        weight = label_weights(sample_weight, t, rows)
        name = tasks.names[t]
        given = by_name.get(name)
        fresh = None if given is None else clone(given)
        targets[t] = learn_scale(numbers[rows, t], weight, fresh, name)
    tasks = replace(tasks, targets=targets)
    warn_of_one_value(tasks)
    return tasks


def transformers_of(
    transformer: Any, tasks: Tasks, others: Iterable[str] = ()
) -> dict[str, Any]:
    """The transformer of each numeric task that has one.

    A dict can also name tasks among `others`.
    """
    if transformer is None:
        return {}
    names = tasks.names[tasks.are_numbers].tolist()
    if not isinstance(transformer, Mapping):
        _check_transformer(transformer)
        return dict.fromkeys(names, transformer)
    by_name = {str(name): given for name, given in transformer.items()}
    own = [name for name in by_name if name not in set(others)]
    is_named = named_tasks(tasks, own, "The keys of transformer")
    of_classes = tasks.names[is_named & ~tasks.are_numbers].tolist()
    if of_classes:
        raise ValueError(
            f"transformer must name numeric tasks; got {shorten(of_classes)}, which "
            "have classes. Leave them out."
        )
    for given in by_name.values():
        _check_transformer(given)
    return {name: by_name[name] for name in own if by_name[name] is not None}


def _check_transformer(transformer: Any) -> None:
    lacking = [name for name in _METHODS if not hasattr(transformer, name)]
    if transformer is not None and (lacking or isinstance(transformer, type)):
        is_class = isinstance(transformer, type)
        what = "which is a class" if is_class else f"which lacks {lacking}"
        raise ValueError(
            "transformer must be a transformer with the methods "
            f"{list(_METHODS)}; got {transformer!r}, {what}. Pass an object such as "
            "FunctionTransformer(np.log1p, np.expm1)."
        )


def check_same_transformers(transformer: Any, tasks: Tasks) -> None:
    """Raise an error if the transformers differ from those of the first call."""
    by_name = transformers_of(transformer, tasks)
    different = [
        name
        for name, target in zip(tasks.names, tasks.targets, strict=True)
        if isinstance(target, Numbers)
        and describe(by_name.get(name)) != describe(target.transformer)
    ]
    if different:
        raise ValueError(
            "To continue, transformer must be the same as in the first call, but it "
            f"differs for tasks {shorten(different)}. Set it back, or start again with "
            "a clone."
        )


def standardised(
    numbers: NDArray, counted: NDArray, tasks: Tasks, *, is_continued: bool
) -> NDArray:
    """(n_samples, n_tasks) float32; 0 for classes and for values that do not count."""
    result = np.zeros(numbers.shape, dtype=np.float32)
    other_values = []
    for t, target in enumerate(tasks.targets):
        if not isinstance(target, Numbers):
            continue
        rows, name = counted[:, t] >= 0, tasks.names[t]
        values = target.standardised(numbers[rows, t])
        if not (np.abs(values) < _LARGEST).all():  # also false for NaN
            raise ValueError(
                f"Values of task {name!r} must be comparable with those that its scale "
                "was learned from, but on that scale some are not finite or more than "
                f"{_LARGEST:.0e} standard deviations from the mean. Look for wrong "
                "values, or fit a clone."
            )
        result[rows, t] = values
        if is_continued and target.scale == 0:
            constant = target.in_units(np.zeros(1))
            if not np.allclose(numbers[rows, t], constant):
                other_values.append(name)
    if other_values:
        warn(
            f"Tasks {shorten(other_values)} had a single value in the first call. It "
            "is predicted for all rows, and other values of these tasks are not "
            "learned. Start again with a clone whose first call has several values."
        )
    return result
