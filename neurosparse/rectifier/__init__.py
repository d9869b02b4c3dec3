"""Rectifier networks in PyTorch: built, trained, saved, and probed for their sparsity.

Names are loaded when first used.

Names are loaded when first used: the specs and the measures of others need no torch.
"""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
