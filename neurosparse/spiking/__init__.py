"""Spiking cells and circuits: Brian2, and engines that run the same recipes, all into
`SpikeTrains`.

Names are loaded when first used: importing this package imports neither Brian2 nor numba.
"""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
