"""Calibrated probabilities for every task.

If a calibrated classifier predicts a probability of 0.8 for each of 100 rows, about 80
of them are positive. scikit-learn's `CalibratedClassifierCV` accepts one task with all
labels observed. The estimator in this module accepts several tasks with missing labels,
and works with any multi-task estimator.
"""

from skmtl.calibration._calibrated import MultiTaskCalibratedClassifierCV

__all__ = ["MultiTaskCalibratedClassifierCV"]
