"""The scales of tasks of numbers: transformers, means and deviations."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

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
# Standardised values from here on have squares that float32 does not hold.
_LARGEST = 1e18


def with_scales(
    tasks: Tasks,
    numbers: NDArray,
    counted: NDArray,
    sample_weight: NDArray | None,
    transformer: Any,
) -> Tasks:
    """Tasks that know the mean and the deviation of the values that count."""
    by_name = transformers_of(transformer, tasks)
    targets = list(tasks.targets)
    for t in np.flatnonzero(tasks.are_numbers):
        rows, weight = counted[:, t] >= 0, None
        if sample_weight is not None:
            own = sample_weight[:, min(t, sample_weight.shape[1] - 1)]
            weight = own[rows].astype(np.float64)
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
    """The transformer of each task of numbers that has one.

    A dict may also name tasks among `others`.
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
            f"transformer must name tasks of numbers; got {shorten(of_classes)}, which "
            "have classes. Leave them out."
        )
    for given in by_name.values():
        _check_transformer(given)
    return {name: by_name[name] for name in own if by_name[name] is not None}


def _check_transformer(transformer: Any) -> None:
    lacking = [name for name in _METHODS if not hasattr(transformer, name)]
    if transformer is not None and (lacking or isinstance(transformer, type)):
        what = "a class" if isinstance(transformer, type) else f"no {lacking}"
        raise ValueError(
            "transformer must be a transformer with the methods "
            f"{list(_METHODS)}; got {transformer!r}, {what}. Pass an object such as "
            "FunctionTransformer(np.log1p, np.expm1)."
        )


def check_same_transformers(transformer: Any, tasks: Tasks) -> None:
    """Refuse to go on with other transformers than those of the first call."""
    by_name = transformers_of(transformer, tasks)
    different = [
        name
        for name, target in zip(tasks.names, tasks.targets, strict=True)
        if isinstance(target, Numbers)
        and describe(by_name.get(name)) != describe(target.transformer)
    ]
    if different:
        raise ValueError(
            "To go on, transformer must be what it was in the first call, but it is "
            f"another one for tasks {shorten(different)}. Set it back, or begin anew "
            "with a clone."
        )


def standardised(
    numbers: NDArray, counted: NDArray, tasks: Tasks, *, is_continued: bool
) -> NDArray:
    """(n_samples, n_tasks) float32, 0 for what does not count and for classes."""
    result = np.zeros(numbers.shape, dtype=np.float32)
    other_values = []
    for t, target in enumerate(tasks.targets):
        if not isinstance(target, Numbers):
            continue
        rows, name = counted[:, t] >= 0, tasks.names[t]
        values = target.standardised(numbers[rows, t])
        if not (np.abs(values) < _LARGEST).all():  # NaN is not
            raise ValueError(
                f"Values of task {name!r} must be comparable with those that its scale "
                "was learned from, but there are some that are not finite or beyond "
                f"{_LARGEST:.0e} deviations on that scale. Look for wrong values, or "
                "fit anew with a clone."
            )
        result[rows, t] = values
        if is_continued and target.scale == 0:
            constant = target.in_units(np.zeros(1))
            if not np.allclose(numbers[rows, t], constant):
                other_values.append(name)
    if other_values:
        warn(
            f"Tasks {shorten(other_values)} had one value only in the first call, "
            "which is predicted for all rows; other values of these tasks are not "
            "learned. Begin anew with a clone, whose first call has several values."
        )
    return result
