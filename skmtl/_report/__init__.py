"""`report`: labels, scores and plots of an estimator on one HTML page."""

from skmtl._report._report import Report, report

__all__ = ["Report", "report"]
