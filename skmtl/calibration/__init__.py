"""Probabilities that mean what they say, task by task.

If a calibrated classifier says 0.8 for each of a hundred rows, about eighty of them are
positive. scikit-learn's `CalibratedClassifierCV` takes one task with all labels
observed; the one here takes several with missing labels, around any multi-task
estimator.
"""

from skmtl.calibration._calibrated import MultiTaskCalibratedClassifierCV

__all__ = ["MultiTaskCalibratedClassifierCV"]
