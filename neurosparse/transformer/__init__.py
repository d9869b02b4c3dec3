"""A small transformer that predicts the next character of a text, with rectifier blocks.

Names are loaded when first used.
"""

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
