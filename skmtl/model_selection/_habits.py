"""The meaning of `cv=5` and `scoring="roc_auc"` if labels may be missing."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from sklearn.base import is_classifier, is_regressor
from sklearn.metrics._scorer import _check_multimetric_scoring

from skmtl._messages import shorten
from skmtl._predictions import declared_task_types
from skmtl._targets import TaskTypes, encode
from skmtl.metrics import multitask_scorer
from skmtl.model_selection._split import as_splitter


def known_task_types(estimator: Any) -> TaskTypes | None:
    """How the estimator reads its tasks; None if it does not say."""
    if not hasattr(estimator, "fit"):  # scikit-learn raises its own error for it
        return None
    declared = declared_task_types(estimator)
    if declared is not None:
        return declared
    if is_regressor(estimator):
        return "number"
    return "class" if is_classifier(estimator) else None


def multitask_cv(estimator: Any, cv: Any, y: Any) -> Any:
    """A splitter that accepts missing labels if scikit-learn would choose one."""
    if y is not None and (cv is None or isinstance(cv, Integral)):
        return as_splitter(cv, known_task_types(estimator))
    return cv


def multitask_scoring(estimator: Any, scoring: Any, y: Any = None) -> Any:
    """Replace names by scorers for missing labels; leave anything else unchanged.

    With `y`, raise an error for metrics that cannot score its tasks.
    """
    types = known_task_types(estimator)
    if types is None or scoring is None:
        return scoring
    if not callable(scoring):
        scoring = _named_scorers(estimator, scoring)
    scorers = scoring.values() if isinstance(scoring, Mapping) else [scoring]
    checks = [s.check_tasks for s in scorers if hasattr(s, "check_tasks")]
    if checks and y is not None:
        tasks = encode(y, types).tasks
        for check in checks:
            check(tasks)
    return scoring


def _named_scorers(estimator: Any, scoring: Any) -> Any:
    if isinstance(scoring, str) or _is_one_metric(scoring):
        return multitask_scorer(scoring)
    names = _check_multimetric_scoring(estimator, scoring)  # raises for other types
    given = scoring if isinstance(scoring, Mapping) else {name: name for name in names}
    several = [name for name in given if getattr(given[name], "gives_dict", False)]
    if several:
        raise ValueError(
            "Each of several scorers must return one number, but the scorers "
            f"{shorten(several)} have per_task=True and return one for each task. "
            "Leave out per_task, or pass such a scorer on its own: scoring=scorer."
        )
    return {
        name: scorer if callable(scorer) else multitask_scorer(scorer)
        for name, scorer in given.items()
    }


def _is_one_metric(scoring: Any) -> bool:
    """Whether this is a metric for each type of task rather than several metrics."""
    is_mapping = isinstance(scoring, Mapping) and len(scoring) > 0
    return is_mapping and set(scoring) <= {"class", "number"}


def check_one_number(scoring: Any, function: str) -> None:
    """Raise if `scoring` returns several numbers but `function` needs one."""
    is_list = isinstance(scoring, list | tuple | set | Mapping)
    if getattr(scoring, "gives_dict", False) or (
        is_list and not _is_one_metric(scoring)
    ):
        raise ValueError(
            f"scoring of {function} must return one number for each fit; got "
            f"{scoring!r}, which returns several. Pass one metric, such as "
            "scoring='roc_auc', or a multitask_scorer without per_task=True. "
            "cross_validate and GridSearchCV accept several metrics and record the "
            "scores on the training rows with return_train_score=True."
        )
