"""Converters: a rectifier network to a spiking network, a spiking cell to a rate.

A report says how well the two agree.

Names are loaded when first used.
"""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
