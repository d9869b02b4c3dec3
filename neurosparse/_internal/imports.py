"""Imports that wait: public names that load when first used, and packages that are optional."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any


class MissingPackageError(ImportError, ValueError):
    """A package that a format needs is not installed.

    Also a ValueError: this installation cannot read what it was given.
    """


# what the light install leaves out: package -> what to install
LEFT_OUT = {
    "torch": "torch",
    "brian2": "brian2",
    "numba": "numba",
    "llvmlite": "numba",
    "pyarrow": "pyarrow",
}


def need(module: str, what: str, extra: str = "recordings") -> Any:
    """Return an optional module, or say in one sentence what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, and something that it needs is not
        raise _missing(module, what, extra) from None


def explained(error: ModuleNotFoundError, what: str) -> ImportError:
    """Return what to install as one sentence, or the error itself if the package is no part of us.

    Parameters
    ----------
    error
        What an import raised.
    what
        What needs the package: the subject of the sentence.
    """
    package = (error.name or "").partition(".")[0]
    return _missing(package, what, "") if package in LEFT_OUT else error


def _missing(module: str, what: str, extra: str) -> MissingPackageError:
    package = module.partition(".")[0]
    wanted = LEFT_OUT.get(package, f"'neurosparse[{extra}]'")
    return MissingPackageError(
        f"{what} needs {package}, which is not installed: pip install {wanted}"
    )


def lazy(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package whose names load when first used.

    The names stand once, in the stub next to the package's file (`__init__.pyi`), which type
    checkers read too.

    Parameters
    ----------
    package, file
        The package's `__name__` and `__file__`.

    Examples
    --------
    In `__init__.py`, where `__init__.pyi` has `from package.module import name as name`, or
    `from package import module as module` for a whole module:

    >>> __getattr__, __dir__, __all__ = lazy(__name__, __file__)  # doctest: +SKIP
    """
    homes = names_in(Path(file).with_suffix(".pyi"))

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            if homes[name] == package:
                return import_module(f"{package}.{name}")  # which binds it
            module = import_module(homes[name])
        except ModuleNotFoundError as error:
            raise explained(error, f"{package}.{name}") from None
        value = getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return load, names, sorted(homes)


@lru_cache
def names_in(stub: Path) -> dict[str, str]:
    """Return the module that each name of a stub comes from.

    A stub holds lines of the form `from package.module import name as name`, each with the full
    name of the module. What it defines itself is not lazy.
    """
    return {
        alias.name: node.module
        for node in ast.parse(stub.read_bytes()).body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.asname == alias.name
    }


@contextmanager
def working_folder() -> Iterator[None]:
    """Let modules of the working folder be imported, as `python -m` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
