"""What the data and the tasks look like: numbers first, displays beside them."""

from skmtl.inspection._label_report import LabelReport, label_report
from skmtl.inspection._label_report_display import LabelReportDisplay
from skmtl.inspection._transfer_gain import TransferGain, transfer_gain
from skmtl.inspection._transfer_gain_display import TransferGainDisplay

__all__ = [
    "LabelReport",
    "LabelReportDisplay",
    "TransferGain",
    "TransferGainDisplay",
    "label_report",
    "transfer_gain",
]
