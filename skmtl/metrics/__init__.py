"""scikit-learn's metrics and scorers, task by task on the labels that are there.

Stock metrics refuse missing labels in `y_true` and, most of them, more than one
multi-class task. `multitask_score` hands each task's observed rows to the stock metric
and averages what comes back; `multitask_scorer` does the same for an estimator. Tasks
may be classes, numbers, or both side by side with a metric for each.
"""

from skmtl.metrics._calibration_error import expected_calibration_error
from skmtl.metrics._report import multitask_report
from skmtl.metrics._score import multitask_score
from skmtl.metrics._scorer import multitask_scorer

__all__ = [
    "expected_calibration_error",
    "multitask_report",
    "multitask_score",
    "multitask_scorer",
]
