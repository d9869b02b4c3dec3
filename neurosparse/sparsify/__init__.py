"""Any network's training steered to a wanted share of active units, in anybody's loop.

The package is also the function: `ns.sparsify(model, target=0.04)` calls `steering.sparsify`.
Names are loaded when first used.
"""

import sys
from types import ModuleType
from typing import Any

from neurosparse._internal import imports

__getattr__, __dir__, __all__ = imports.lazy(__name__, __file__)


class _CallablePackage(ModuleType):
    """A package of this name that can be called, since `ns.sparsify` is a function to its users."""

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Steer a training; see `neurosparse.sparsify.steering.sparsify`."""
        from neurosparse.sparsify.steering import sparsify

        return sparsify(*args, **kwargs)

    @property
    def sparsify(self) -> ModuleType:
        """The package itself, so that `from neurosparse.sparsify import sparsify` is callable."""
        return self


sys.modules[__name__].__class__ = _CallablePackage
