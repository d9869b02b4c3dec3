"""A comparison as one folder: numbers, figures and a self-contained page that opens offline."""

from neurosparse.report.page import PAGE, Panel, row, write

__all__ = ["PAGE", "Panel", "row", "write"]
