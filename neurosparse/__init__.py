"""Sparsity of spiking circuits, rectifier networks and brains, measured the same way.

Names are loaded when first used, so that `import neurosparse` needs neither torch nor Brian2 nor
matplotlib.
"""

from importlib.metadata import PackageNotFoundError, version

from neurosparse._internal import former_names, imports

try:
    __version__ = version("neurosparse")
except PackageNotFoundError:  # a copy of the files, never installed
    __version__ = "0+unknown"

del PackageNotFoundError, version
former_names.install()
__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)
__all__ += ["__version__"]
