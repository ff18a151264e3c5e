"""Estimator settings and column choices, from options and a TOML file."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sklearn.utils._param_validation import InvalidParameterError

import skmtl
from skmtl._cli._console import nearest, usage_failure
from skmtl._cli._deciding import Choices
from skmtl._cli._readings import Labels
from skmtl.model_selection._thresholds import objectives_by_task

# Parameters that the command line sets by other means, or does not support.
_OWN = {"task_types", "verbose", "warm_start", "pretrained", "trunk", "transformer"}
_METRICS = {"mcc": "matthews_corrcoef"}
_TABLES = ("columns", "settings")


@dataclass(frozen=True)
class Model:
    """The model to fit: an estimator for the types of the tasks, and its wrappers."""

    settings: Mapping[str, Any]
    seed: int | None
    thresholds: str | None = None
    calibrate: str | None = None

    @property
    def random_state(self) -> Any:
        """The seed of the option, or else of the settings, or else 0."""
        if self.seed is not None:
            return self.seed
        return self.settings.get("random_state", 0)

    def estimator(self, tasks: Mapping[str, Labels]) -> Any:
        are_numbers = [labels == "number" for labels in tasks.values()]
        given = {**self.settings, "random_state": self.random_state}
        if not any(are_numbers):
            kind: Any = skmtl.MultiTaskNetClassifier
        elif all(are_numbers):
            kind = skmtl.MultiTaskNetRegressor
        else:
            kind = skmtl.MultiTaskNet
            given["task_types"] = {
                name: "number" if labels == "number" else "class"
                for name, labels in tasks.items()
            }
        names = set(kind().get_params()) - _OWN
        for name in self.settings:
            if name not in names:
                raise usage_failure(
                    f"--set must name a parameter of {kind.__name__}, but it has no "
                    f"{name!r}. {nearest(name, sorted(names))}"
                )
        return _checked_estimator(kind(**given))

    def around(self, estimator: Any, tasks: Mapping[str, Labels]) -> Any:
        """Wrap the estimator in calibration, and that in threshold tuning, if asked."""
        asked = {"--thresholds": self.thresholds, "--calibrate": self.calibrate}
        for option, value in asked.items():
            if value and all(labels == "number" for labels in tasks.values()):
                raise usage_failure(
                    f"{option} needs at least one task with classes, but all tasks are "
                    "numeric. Leave it out."
                )
        if self.calibrate:
            calibrated = skmtl.calibration.MultiTaskCalibratedClassifierCV
            estimator = _checked_estimator(
                calibrated(estimator, method=self.calibrate, ensemble=False)
            )
        if self.thresholds:
            scoring = _METRICS.get(self.thresholds, self.thresholds)
            try:
                objectives_by_task(scoring, list(tasks))
            except ValueError as error:
                raise usage_failure(f"--thresholds: {error}") from error
            tuned = skmtl.model_selection.MultiTaskTunedThresholdClassifierCV
            estimator = tuned(estimator, scoring=scoring)
        return estimator


def _checked_estimator(estimator: Any) -> Any:
    """Validate the parameters, before anything is fitted."""
    try:
        estimator._validate_params()
    except InvalidParameterError as error:
        raise usage_failure(str(error)) from error
    return estimator


def gathered(
    path: Path | None, choices: Choices, assignments: Iterable[str]
) -> tuple[Choices, dict[str, Any]]:
    """Return the column choices and the settings of the estimator."""
    choices, settings = _with_file(path, choices, _assigned(assignments))
    may_be_sparse = settings.get("input_encoding") != "piecewise"
    return replace(choices, may_be_sparse=may_be_sparse), settings


def _assigned(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse `name=value` with values as in TOML; anything else is text."""
    settings = {}
    for assignment in assignments:
        name, is_assigned, text = assignment.partition("=")
        if not is_assigned or not name.strip():
            raise usage_failure(
                f"--set must have the form name=value; got {assignment!r}. Type, for "
                "example, --set max_iter=50."
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        settings[name.strip()] = None if value == "None" else value
    return settings


def _with_file(
    path: Path | None, choices: Choices, settings: dict[str, Any]
) -> tuple[Choices, dict[str, Any]]:
    """Add what is in the file; options that were typed take precedence."""
    if path is None:
        return choices, settings
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise usage_failure(f"{path} must be a TOML file: {error}.") from error
    for name in content:
        if name not in _TABLES or not isinstance(content[name], dict):
            raise usage_failure(
                f"{path} must only have the tables [columns] and [settings], but has "
                f"{name!r}. Put settings such as max_iter = 50 under [settings]."
            )
    typed = {f.name: getattr(choices, f.name) for f in fields(Choices)}
    del typed["may_be_sparse"]  # decided by a setting of the estimator
    added = {
        name.replace("-", "_"): v for name, v in content.get("columns", {}).items()
    }
    added = {"ids" if name == "id" else name: v for name, v in added.items()}
    for name, value in added.items():
        if name not in typed:
            known = ["id" if n == "ids" else n for n in typed]
            raise usage_failure(
                f"{path}: [columns] must only have known names, but has {name!r}. "
                f"{nearest(name, known)}"
            )
        added[name] = _checked(path, name, value)
    filled = {name: value for name, value in added.items() if not typed[name]}
    return replace(choices, **filled), content.get("settings", {}) | settings


def _checked(path: Path, name: str, value: Any) -> Any:
    if name == "blank_only":
        if isinstance(value, bool):
            return value
        raise usage_failure(f"{path}: {name} must be true or false; got {value!r}.")
    value = [value] if isinstance(value, str) else value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise usage_failure(
        f'{path}: {name} must be a list of names or patterns, such as ["a", "b*"]; got '
        f"{value!r}."
    )
