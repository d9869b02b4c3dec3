"""A comparison as one folder: numbers, figures and a self-contained page that opens offline."""

from neurosparse.report.page import Panel, write

__all__ = ["Panel", "write"]
