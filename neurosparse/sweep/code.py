"""The code that computes a run, as a fingerprint: what decides its numbers, and nothing that does
not.
"""

from __future__ import annotations

import ast
import hashlib
import platform
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import neurosparse

_HOME = Path(neurosparse.__file__).parent


@lru_cache
def fingerprint(modules: tuple[str, ...], packages: tuple[str, ...]) -> str:
    """A hash of modules of this package and of the versions of others; comments, docstrings and
    layout do not count.

    Parameters
    ----------
    modules
        Modules and packages within `neurosparse`, such as "lif" or "rectifier".
    packages
        Names of distributions, such as "torch".

    Raises
    ------
    FileNotFoundError
        For a module that is not there.
    """
    digest = hashlib.sha256(f"python {'.'.join(platform.python_version_tuple()[:2])}\n".encode())
    for package in packages:
        digest.update(f"{package} {metadata.version(package)}\n".encode())
    for path in _sources(modules):
        digest.update(f"{path.relative_to(_HOME).as_posix()}\n{_meaning(path)}\n".encode())
    return digest.hexdigest()[:16]


def _sources(modules: Iterable[str]) -> list[Path]:
    paths: list[Path] = []
    for module in modules:
        path = _HOME / module.replace(".", "/")
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        if not all(p.is_file() for p in found):
            raise FileNotFoundError(f"no module neurosparse.{module}")
        paths += found
    return paths


def _meaning(path: Path) -> str:
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)
