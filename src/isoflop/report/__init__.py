"""The report room: puts tables, estimates and figures into words; it never fits."""

from isoflop.report.inputs import ReportInputs
from isoflop.report.read_inputs import ReportPaths, read_inputs
from isoflop.report.render_index import IndexedSweep, render_index
from isoflop.report.render_report import render_report

__all__ = [
    "IndexedSweep",
    "ReportInputs",
    "ReportPaths",
    "read_inputs",
    "render_index",
    "render_report",
]
