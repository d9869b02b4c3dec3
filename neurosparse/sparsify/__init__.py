"""Sparsity in any torch module, and the speed that it gives.

Names are loaded when first used.
"""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
