"""Sweeps: many runs of one recipe that survive whatever dies in between, on one machine or many."""

from neurosparse.sweep.driver import TABLE, Sweep, plan, run
from neurosparse.sweep.spec import Draws, Range, SweepSpec, load

__all__ = ["TABLE", "Draws", "Range", "Sweep", "SweepSpec", "load", "plan", "run"]
