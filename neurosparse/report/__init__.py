"""A comparison as one folder: numbers, figures and a self-contained page that opens offline."""

from neurosparse.report.page import PAGE, write
from neurosparse.report.panel import Panel, row
from neurosparse.report.provenance import environment

__all__ = ["PAGE", "Panel", "environment", "row", "write"]
