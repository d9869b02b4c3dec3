"""A circuit or a population of a recipe, simulated and measured, into one folder."""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
