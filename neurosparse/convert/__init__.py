"""Converters: a rectifier network as a spiking network, a spiking cell as a rate, and how well they
agree.

Names are loaded when first used.
"""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
