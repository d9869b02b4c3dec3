"""All modules that a module imports, with theirs, and so on: found in their sources, running none.

Imports count wherever they stand but under `if TYPE_CHECKING`: at the top of a module or in a
function. A name of a lazy package counts as the module that its stub names.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Collection, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from neurosparse._internal.imports import names_in

OURS = "neurosparse"


class Source(NamedTuple):
    """Facts that the source of a module states."""

    modules: tuple[str, ...]  # that it imports, of this package or of its own
    packages: tuple[str, ...]  # that it imports from: top-level names, without Python's own
    meaning: str  # a hash of its code without comments, docstrings and layout


def closure(roots: Collection[str], without: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of `roots` and of all modules that they import, directly or through others.

    Parameters
    ----------
    roots
        Full names of modules, of this package or another one. Of that, too, modules are followed.
    without
        Modules, and packages with all that lies in them, that are left out and not followed.

    Raises
    ------
    ModuleNotFoundError
        For a root that is not there.

    Examples
    --------
    >>> found = closure(["neurosparse.sparsity.spikes"])
    >>> "neurosparse.activity.spike_trains" in found, "neurosparse.plots" in found
    (True, False)
    """
    found: set[str] = set()
    todo = list(roots)
    while todo:
        module = todo.pop()
        if module not in found and not any(_within(module, room) for room in without):
            found.add(module)
            todo += source(module).modules
    return tuple(sorted(found))


@cache
def source(module: str) -> Source:
    """Return what the source of a module imports and means. ModuleNotFoundError where none is."""
    path = path_of(module)
    if path is None:
        raise ModuleNotFoundError(f"no module {module!r} with a source in Python")
    tree = ast.parse(path.read_bytes())
    followed = {OURS, module.partition(".")[0]}
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    modules, packages = {*_parents(module)}, set[str]()
    for name in _imported(_stripped(tree), package, followed):
        top = name.partition(".")[0]
        if top in followed:
            modules |= {name, *_parents(name)}
        elif top not in sys.stdlib_module_names:
            packages.add(top)
    meaning = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return Source(tuple(sorted(modules)), tuple(sorted(packages)), meaning)


def _stripped(tree: ast.Module) -> ast.Module:
    """Remove from a tree the docstrings, and what only type checkers see."""
    tree.body = [node for node in tree.body if not _for_checkers(node)]
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _for_checkers(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        and not node.orelse
    )


def _imported(tree: ast.Module, package: str, followed: set[str]) -> Iterator[str]:
    """Yield the full names that a tree imports.

    Of packages that are followed, these are modules; of others, the names that stand there.
    """
    lazy: dict[str, str] = {}  # packages with a stub, by the names under which the tree knows them
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                known = alias.name if alias.asname else alias.name.partition(".")[0]
                if known.partition(".")[0] in followed and _stub(known):
                    lazy[alias.asname or known] = known
        elif isinstance(node, ast.ImportFrom):
            start = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, [start, node.module]))
            yield base
            if base.partition(".")[0] not in followed:
                continue
            for alias in node.names:
                name = f"{base}.{alias.name}"
                if path_of(name) is None:
                    yield from _homes(base, None if alias.name == "*" else {alias.name})
                    continue
                yield name
                if _stub(name):
                    lazy[alias.asname or alias.name] = name
    for name, module in lazy.items():
        yield from _homes(module, _attributes(tree, name))


def _attributes(tree: ast.Module, name: str) -> set[str] | None:
    """Return the attributes of a name that a tree uses.

    None, for all, where it uses the name alone.
    """
    uses, attributes = 0, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            uses += 1
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == name
        ):
            attributes.append(node.attr)
    return set(attributes) if len(attributes) == uses else None


def _homes(package: str, names: set[str] | None) -> list[str]:
    """Return the modules from which a lazy package takes some names, or all of its names."""
    stub = _stub(package)
    if stub is None:
        return []
    return [home for name, home in names_in(stub).items() if names is None or name in names]


def _stub(package: str) -> Path | None:
    path = path_of(package)
    if path is None or not path.with_suffix(".pyi").is_file():
        return None
    return path.with_suffix(".pyi")


@cache
def path_of(module: str) -> Path | None:
    """Return the file of a module's source; None where there is none."""
    top, *rest = module.split(".")
    root = _root(top)
    if root is None or not rest:
        return root
    if root.name != "__init__.py" or not all(map(str.isidentifier, rest)):
        return None
    place = root.parent.joinpath(*rest)
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


@cache
def _root(top: str) -> Path | None:
    try:
        spec = find_spec(top)
    except ValueError:  # it has no spec, as a script that runs
        return None
    origin = None if spec is None else spec.origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")
