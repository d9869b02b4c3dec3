"""Spiking cells and circuits, all into `SpikeTrains`.

Brian2, and engines that run the same recipes.

Names are loaded when first used: importing this package imports neither Brian2 nor numba.
"""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
