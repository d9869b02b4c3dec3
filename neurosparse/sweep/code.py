"""The code that computes a run, as a fingerprint of what decides its numbers.

What counts is found, not listed: all that the run's kind imports. Comments, docstrings and layout
do not count.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from neurosparse.sweep.closure import closure, path_of, source

# They draw, write, report, or read other people's objects, and cannot change a number of a run. No
# module that computes stands here.
WITHOUT_EFFECT = (
    "neurosparse._internal.cards",
    "neurosparse._internal.former_names",
    "neurosparse._internal.workers",
    "neurosparse.comparison.files",
    "neurosparse.comparison.words",
    "neurosparse.interop",
    "neurosparse.plots",
    "neurosparse.progress",
    "neurosparse.report",
    "neurosparse.store",
    "neurosparse.sweep.closure",
    "neurosparse.sweep.code",
)
PACKAGES_WITHOUT_EFFECT = (
    "matplotlib",
    "mpl_toolkits",
    "platformdirs",
    "pyarrow",
    "rich",
    "tensorboard",
    "typer",
)
_CODE = (".py", ".pyi", ".pyc", ".typed")


@lru_cache
def fingerprint(*roots: str) -> str:
    """Return a hash of the code that some modules run, and of the versions of other packages.

    The code is that of the modules, of all that they import, and the data files next to it.

    Parameters
    ----------
    roots
        Full names of the modules, such as "neurosparse.sweep.kinds.train".

    Raises
    ------
    ModuleNotFoundError
        For a module that is not there.
    """
    digest = hashlib.sha256(f"python {'.'.join(platform.python_version_tuple()[:2])}\n".encode())
    modules = closure(roots, WITHOUT_EFFECT)
    packages = {package for module in modules for package in source(module).packages}
    for package in sorted(packages - {*PACKAGES_WITHOUT_EFFECT}):
        digest.update(f"{package} {_version(package)}\n".encode())
    for module in modules:
        digest.update(f"{module}\n{source(module).meaning}\n".encode())
    for path in _data_files(modules):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _data_files(modules: Iterable[str]) -> list[Path]:
    """Return the files next to the modules of packages that are no code: tables, images."""
    paths = (path_of(module) for module in modules if "." in module)
    folders = {path.parent for path in paths if path is not None}
    files = (path for folder in folders for path in folder.iterdir() if path.is_file())
    return sorted(path for path in files if path.suffix not in _CODE)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
