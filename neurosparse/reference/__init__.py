"""The figures of brains and of papers, each with its source and how far it can be trusted."""

from neurosparse.reference.brains import MeasuredBrain, recordings, rows
from neurosparse.reference.tables import Band, bands, paper

__all__ = ["Band", "MeasuredBrain", "bands", "paper", "recordings", "rows"]
