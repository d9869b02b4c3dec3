"""The claims of Glorot, Bordes & Bengio 2011, and of its reviewers, each as an experiment on real
data with a verdict.

A claim is a module, c01 to c18: a `CLAIM` with its criteria, written down before anything was run,
and `measure`, which returns the quantities of one seed. Everything else is the same for all of
them: frame.py judges, lab.py trains the networks that they share, running.py runs them and writes
what came out.
"""

from typing import TYPE_CHECKING

from neurosparse._internal import lazy

if TYPE_CHECKING:
    from neurosparse.claims.frame import Claim, Criterion, Effect, Finding, examine
    from neurosparse.claims.lab import FULL, QUICK, Lab, LabSpec
    from neurosparse.claims.running import load, overview, panels, read, run, table

_HOME = {
    "FULL": "lab",
    "QUICK": "lab",
    "Claim": "frame",
    "Criterion": "frame",
    "Effect": "frame",
    "Finding": "frame",
    "Lab": "lab",
    "LabSpec": "lab",
    "examine": "frame",
    "load": "running",
    "overview": "running",
    "panels": "running",
    "read": "running",
    "run": "running",
    "table": "running",
}

__all__ = [
    "FULL",
    "QUICK",
    "Claim",
    "Criterion",
    "Effect",
    "Finding",
    "Lab",
    "LabSpec",
    "examine",
    "load",
    "overview",
    "panels",
    "read",
    "run",
    "table",
]

__getattr__, __dir__ = lazy.exports(__name__, _HOME)
