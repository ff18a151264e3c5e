"""report: all about a fitted estimator on one page of HTML."""

from skmtl._report._report import Report, report

__all__ = ["Report", "report"]
