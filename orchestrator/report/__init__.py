"""The HTML report of a search: one file, interactive, complete without a network."""

from orchestrator.report.data import ReportData
from orchestrator.report.writing import build_report

__all__ = ["ReportData", "build_report"]
