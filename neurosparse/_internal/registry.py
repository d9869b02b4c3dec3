"""Registries of what is found by name: engines, image sets, claims, kinds of runs.

What plugins add is found as well.

A plugin is any module that calls `register` of a registry when it is imported:

    from neurosparse import data
    data.register("mine", "my_package.my_images")

It is found through the environment variable NEUROSPARSE_PLUGINS (names of modules, with commas
between), or through an entry point of its package in the group `neurosparse.plugins`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from neurosparse._internal import checks
from neurosparse._internal.imports import working_folder

VARIABLE, GROUP = "NEUROSPARSE_PLUGINS", "neurosparse.plugins"

Name = TypeVar("Name", str, int)
Entry = TypeVar("Entry")


class Registry(Generic[Name, Entry]):
    """Modules of one kind by name, each loaded when it is first asked for.

    Parameters
    ----------
    what
        What an entry is, in the singular: "engine".
    homes
        The module of each entry that comes with this package, by its name.
    needs
        The attributes that an entry must have, as its Protocol says.

    Examples
    --------
    >>> places = Registry[str, Any]("place", {"here": "os.path"}, needs=("join",))
    >>> places.names(), places.get("here").join("a", "b")
    (('here',), 'a/b')
    """

    def __init__(self, what: str, homes: Mapping[Name, str], *, needs: Sequence[str]) -> None:
        self.what = what
        self._needs = tuple(needs)
        self._entries: dict[Name, str | Entry] = dict(homes)

    def names(self) -> tuple[Name, ...]:
        """Return all names: of this package, then of plugins."""
        load_plugins()
        return tuple(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def register(self, name: Name, entry: str | Entry) -> None:
        """Add an entry: a module, an object with the same functions, or the full name of a module.

        Raises
        ------
        ValueError
            Where the name is taken by another entry.
        TypeError
            Where the entry lacks what it needs; of a module that is named, when it is first used.
        """
        self._check_name(name)
        if self._entries.get(name, entry) != entry:
            raise ValueError(f"{self.what} {name!r} is there already: choose another name")
        if not isinstance(entry, str):
            self._check(name, entry)
        self._entries[name] = entry

    def get(self, name: Name) -> Entry:
        """Return the entry of a name.

        Raises
        ------
        ValueError
            Where there is none, with the names that there are.
        TypeError
            Where the module of that name lacks what an entry needs.
        """
        self._check_name(name)
        if name not in self._entries:  # a name of this package needs no plugins
            self.check(name)
        entry = self._entries[name]
        if isinstance(entry, str):
            with working_folder():
                entry = cast(Entry, import_module(entry))
            self._check(name, entry)
            self._entries[name] = entry
        return entry

    def check(self, name: Name) -> Name:
        """Return the name, or raise a ValueError that says which names there are."""
        self._check_name(name)
        if name not in self._entries and name not in self:
            if all(isinstance(each, int) for each in self._entries):  # no number is misspelt
                known, meant = _in_ranges(cast(Iterable[int], self._entries)), ""
            else:
                known = f"one of {', '.join(map(str, self._entries))}"
                near = difflib.get_close_matches(str(name), list(map(str, self._entries)), n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{self.what} must be {known}, got {name!r}{meant}")
        return name

    def home(self, name: Name) -> str:
        """Return the full name of the module with the code of an entry. ValueError as `get`."""
        entry: Any = self._entries[self.check(name)]
        if isinstance(entry, str):
            return entry
        found: str = getattr(entry, "__name__", "") if hasattr(entry, "__spec__") else ""
        return found or type(entry).__module__

    def _check_name(self, name: object) -> None:
        if not isinstance(name, Hashable):
            raise checks.wrong_kind(self.what, "a name", name)

    def _check(self, name: Name, entry: object) -> None:
        if missing := [need for need in self._needs if not hasattr(entry, need)]:
            raise TypeError(f"{self.what} {name!r} needs {' and '.join(missing)}, got {entry!r}")


def _in_ranges(numbers: Iterable[int]) -> str:
    """Return whole numbers in words: "1 to 18 or 21"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " or ".join(str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs)


def modules_in(package: str, file: str, pattern: str = "[!_]*.py") -> Iterator[tuple[str, str]]:
    """Yield the short and the full name of each module in the folder of a package, in order.

    Parameters
    ----------
    package, file
        The package's `__name__` and `__file__`.
    pattern
        Which files count.
    """
    for path in sorted(Path(file).parent.glob(pattern)):
        yield path.stem, f"{package}.{path.stem}"


_loaded: set[str] = set()


def load_plugins() -> None:
    """Import the modules of plugins, each once.

    Raises
    ------
    ValueError
        Where one cannot be imported; it says who names it.
    """
    named = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    wanted = dict.fromkeys(named, f"{VARIABLE} names")
    for name, origin in (wanted | _of_packages()).items():
        if name in _loaded:
            continue
        _loaded.add(name)  # before: a plugin may ask for names itself
        try:
            with working_folder():
                import_module(name)
        except Exception as error:
            _loaded.discard(name)
            raise ValueError(
                f"{origin} the plugin {name!r}, which cannot be imported:"
                f" {type(error).__name__}: {error}"
            ) from error


_found: dict[str, str] | None = None


def _of_packages() -> dict[str, str]:
    """Return the plugins of installed packages, with who names them.

    They are looked for once a process.
    """
    global _found
    if _found is None:
        from importlib.metadata import entry_points

        _found = {
            point.value: f"{point.dist.name if point.dist else 'a package'} brings"
            for point in entry_points(group=GROUP)
        }
    return _found
