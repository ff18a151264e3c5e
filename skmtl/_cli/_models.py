"""Model files, and how the columns of their tables are read."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skmtl._cli._console import Failure
from skmtl._cli._plan import VERSION, Plan
from skmtl._cli._readings import LABELS, READINGS, Labels, Reading
from skmtl._cli._sources import check_is_file
from skmtl._persistence import read_model
from skmtl._predictions import fitted_network
from skmtl._rows import chunk_width
from skmtl._training import chunk_size

_CELLS_AT_ONCE = 2_000_000
_MOST_ROWS_AT_ONCE = 50_000


def load_model(path: Path) -> tuple[Any, Plan]:
    """Return the estimator, and how columns are read."""
    check_is_file(path)
    estimator, content = read_model(path)
    if content is None:
        return estimator, _plan_of_estimator(estimator)
    return estimator, _plan_from_json(content, estimator)


def with_missing(plan: Plan, marks: Iterable[str]) -> Plan:
    """Return the plan with more texts that mean a missing value."""
    return replace(plan, missing=(*plan.missing, *marks))


def rows_at_once(estimator: Any, plan: Plan) -> int:
    """Return how many rows to predict at once.

    It is a multiple of the chunk size of the network, so that the network sees the same
    chunks as for a whole table: the last digits of a matrix product depend on its
    number of rows.
    """
    network = fitted_network(estimator)
    n_features = network.n_features_in_
    size = chunk_size(
        network.network_, chunk_width(n_features, is_sparse=plan.is_sparse)
    )
    n_rows = min(_MOST_ROWS_AT_ONCE, _CELLS_AT_ONCE // n_features)
    return size * max(1, n_rows // size)


def _plan_from_json(content: Any, estimator: Any) -> Plan:
    """Read the plan from the JSON of a file, which may contain anything."""
    version = content.get("version") if isinstance(content, dict) else None
    if version != VERSION:
        raise Failure(
            f"The model file must describe its columns in version {VERSION} of the "
            f"format, but has version {version}: another skmtl version wrote it. Fit "
            "the model again."
        )
    try:
        features, tasks = dict(content["features"]), dict(content["tasks"])
        texts = [*features, *tasks, *content["ids"], *content["missing"]]
        is_sparse, network = content["is_sparse"], fitted_network(estimator)
        # A sparse matrix has no names.
        named = list(features if is_sparse is True else network.feature_names_in_)
        is_sound = (
            all(isinstance(text, str) for text in texts)
            and set(features.values()) <= set(READINGS)
            and set(tasks.values()) <= set(LABELS)
            and isinstance(is_sparse, bool)
            and list(features) == named
            and len(features) == network.n_features_in_
            and list(tasks) == list(estimator.task_names_)
        )
        if not is_sound:
            raise ValueError("its columns do not match those of the estimator")
        ids, missing = tuple(content["ids"]), tuple(content["missing"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Failure(
            f"The model file must describe its columns, but the description cannot be "
            f"read: {error}. Fit the model again."
        ) from error
    return Plan(features, tasks, ids, missing, is_sparse)


def _plan_of_estimator(estimator: Any) -> Plan:
    """Return the plan of an estimator that was fitted in Python."""
    network = fitted_network(estimator)
    names = getattr(network, "feature_names_in_", None)
    if names is None:
        raise Failure(
            "The model must be fitted on a table with column names, but was fitted on "
            "an array. Fit it on a DataFrame, so that the columns of a file can be "
            "found by name."
        )
    categories = network._columns.categories
    features: dict[str, Reading] = {
        str(name): "category" if _is_text(categories.get(j, ())) else "number"
        for j, name in enumerate(names)
    }
    classes = getattr(estimator, "classes_", [None] * len(estimator.task_names_))
    if isinstance(classes, np.ndarray):  # fitted on a 1-D y
        classes = [classes]
    tasks = {
        str(name): _labels_of(of_task)
        for name, of_task in zip(estimator.task_names_, classes, strict=True)
    }
    return Plan(features, tasks)


def _is_text(categories: Collection[Any]) -> bool:
    return any(isinstance(category, str) for category in categories)


def _labels_of(classes: Any) -> Labels:
    if classes is None:
        return "number"
    by_kind: dict[str, Labels] = {"b": "boolean", "i": "whole", "u": "whole"}
    return by_kind.get(classes.dtype.kind, "text")
