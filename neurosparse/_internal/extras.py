"""Optional packages: imported where they are needed, with one sentence that says what to install
where they are not there.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class MissingPackageError(ImportError, ValueError):
    """A package that a format needs is not installed. Also a ValueError: this installation cannot
    read what it was given.
    """


def need(module: str, what: str, extra: str = "recordings") -> Any:
    """An optional module, or one sentence that says what to install."""
    try:
        return import_module(module)
    except ImportError:
        raise MissingPackageError(
            f"{what} needs {module.partition('.')[0]}, which is not installed: pip install"
            f" 'neurosparse[{extra}]'"
        ) from None
