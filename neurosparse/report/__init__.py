"""A comparison as one folder: numbers, figures and a self-contained page that opens offline."""

from neurosparse.report.page import PAGE, write
from neurosparse.report.panel import Panel, row
from neurosparse.report.provenance import environment
from neurosparse.report.verdict import Measured, Verdict

__all__ = ["PAGE", "Measured", "Panel", "Verdict", "environment", "row", "write"]
