"""The claims of Glorot, Bordes & Bengio 2011, and of its reviewers, put to the test.

Each is an experiment on real data with a verdict.

A claim is a module, such as c01: a `CLAIM` with its criteria, written down before anything was run,
and `measure`, which returns the quantities of one seed. Everything else is the same for all of
them: frame.py judges, lab.py trains the networks that they share, running.py runs them and writes
what came out.
"""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
