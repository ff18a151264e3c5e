"""What the data and the tasks look like: numbers first, displays beside them."""

from skmtl.inspection._label_report import LabelReport, label_report
from skmtl.inspection._label_report_display import LabelReportDisplay

__all__ = ["LabelReport", "LabelReportDisplay", "label_report"]
