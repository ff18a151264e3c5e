"""scikit-learn's metrics and scorers for each task, computed on its observed labels.

scikit-learn's metrics do not accept missing labels in `y_true`, and most of them accept
only one multi-class task. `multitask_score` passes the observed rows of each task to
the metric and averages the results; `multitask_scorer` does the same for an estimator.
Tasks can have classes or numbers; if there are both, pass a metric for each type.
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
