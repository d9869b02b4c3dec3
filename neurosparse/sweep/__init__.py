"""Sweeps: many runs of one recipe that survive whatever dies in between, on one machine or many."""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
