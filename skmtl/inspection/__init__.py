"""Inspect data, tasks and models, with functions for numbers and displays for plots."""

from skmtl.inspection._calibration_display import MultiTaskCalibrationDisplay
from skmtl.inspection._capacity_curve import CapacityCurve, capacity_curve
from skmtl.inspection._capacity_curve_display import CapacityCurveDisplay
from skmtl.inspection._label_curve import LabelCurve, label_curve
from skmtl.inspection._label_curve_display import LabelCurveDisplay
from skmtl.inspection._label_report import LabelReport, label_report
from skmtl.inspection._label_report_display import LabelReportDisplay
from skmtl.inspection._model_comparison import ModelComparison, compare_models
from skmtl.inspection._precision_recall_display import (
    MultiTaskPrecisionRecallDisplay,
)
from skmtl.inspection._prediction_error_display import (
    MultiTaskPredictionErrorDisplay,
)
from skmtl.inspection._roc_curve_display import MultiTaskRocCurveDisplay
from skmtl.inspection._task_affinity import TaskAffinity, task_affinity
from skmtl.inspection._task_affinity_display import TaskAffinityDisplay
from skmtl.inspection._training_curve_display import TrainingCurveDisplay
from skmtl.inspection._transfer_gain import TransferGain, transfer_gain
from skmtl.inspection._transfer_gain_display import TransferGainDisplay

__all__ = [
    "CapacityCurve",
    "CapacityCurveDisplay",
    "LabelCurve",
    "LabelCurveDisplay",
    "LabelReport",
    "LabelReportDisplay",
    "ModelComparison",
    "MultiTaskCalibrationDisplay",
    "MultiTaskPrecisionRecallDisplay",
    "MultiTaskPredictionErrorDisplay",
    "MultiTaskRocCurveDisplay",
    "TaskAffinity",
    "TaskAffinityDisplay",
    "TrainingCurveDisplay",
    "TransferGain",
    "TransferGainDisplay",
    "capacity_curve",
    "compare_models",
    "label_curve",
    "label_report",
    "task_affinity",
    "transfer_gain",
]
