"""The adapters, and how the one for an object is found.

It is found by the names of its type and of the types that it inherits from. So nobody's package is
imported before it is met.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np

from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import Cells, UnitTable


class Adapter(Protocol):
    """A module of this room: a kind of object, and how its spikes are read.

    Attributes
    ----------
    TYPES
        Names of types as "package.Type", such as "neo.Block"; the package is the first word of
        where the type was defined.
    """

    TYPES: tuple[str, ...]

    def tables(self, what: object, told: Told) -> Sequence[UnitTable]:
        """Return what an object says of its units: a table for each segment, trial or sweep."""


@cache
def registry() -> dict[str, Adapter]:
    """Return the adapter of each type that is known: every module of this room that has TYPES."""
    package = __name__.rpartition(".")[0]
    paths = import_module(package).__path__
    modules = [import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(paths)]
    return {
        name: cast(Adapter, module) for module in modules for name in getattr(module, "TYPES", ())
    }


def name_of(kind: type) -> str:
    """Return the name of a type with its package: "neo.Block"."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def find(what: object) -> Adapter | None:
    """Return the adapter for an object, or None."""
    known = registry()
    return next((known[name] for k in type(what).__mro__ if (name := name_of(k)) in known), None)


def tables(what: object, told: Told) -> Sequence[UnitTable]:
    """Return the tables of an object; TypeError where nothing here reads it."""
    adapter = find(what)
    if adapter is None:
        raise TypeError(
            f"cannot take spikes from a {name_of(type(what))}: pass an object of"
            f" {', '.join(packages())}, a frame, a dict of arrays or a file"
        )
    found = adapter.tables(what, told)
    check_told(what, told)
    return found


def check_told(what: object, told: Told) -> None:
    """Refuse facts that an object settles itself; ValueError with the remedy."""
    if told.layout is not None:
        raise ValueError("layout is for the path of a text without a header: leave it out")
    if not getattr(find(what), "PLAIN", False) and (given := replace(told, n_units=None).first()):
        raise ValueError(f"a {name_of(type(what))} settles {given} itself: leave it out")


def packages() -> list[str]:
    """Return the packages whose objects are read."""
    return sorted({name.partition(".")[0] for name in registry()} - {"builtins", "pathlib"})


def merged(parts: Sequence[tuple[str, UnitTable]], kind: str) -> UnitTable:
    """Return the units of several tables as those of one.

    Those of a part with a name are a population.

    Raises
    ------
    ValueError
        Where a cell is in two of them, or they cannot be joined.
    """
    tables = [table for _, table in parts]
    cells = tuple(each for table in tables for each in table.cells)
    _check_once(cells)
    sizes = [table.n_units for table in tables]
    firsts = np.cumsum([0, *sizes[:-1]])
    observed = all(table.observed_s is not None for table in tables)
    shared = set.intersection(*(set(table.columns) for table in tables))
    columns = {
        name: np.concatenate([table.columns[name] for table in tables])
        for name in tables[0].columns
        if name in shared
    }
    if any(name for name, _ in parts):
        columns["population"] = np.repeat([name for name, _ in parts], sizes)
    resolutions = {table.resolution_s for table in tables}
    if len({table.ends for table in tables}) > 1:
        raise ValueError("objects of several tools cannot be joined: take their spikes one by one")
    return UnitTable(
        format=kind,
        n_units=sum(sizes),
        times_s=np.concatenate([table.times_s for table in tables]),
        units=np.concatenate([t.units + first for t, first in zip(tables, firsts, strict=True)]),
        columns=columns,
        observed_s=_joined([t.observed_s for t in tables]) if observed else None,
        observed_units=(
            _joined(
                [
                    None if t.observed_units is None else t.observed_units + first
                    for t, first in zip(tables, firsts, strict=True)
                ]
            )
            if observed
            else None
        ),
        resolution_s=resolutions.pop() if len(resolutions) == 1 else None,
        all_units=all(table.all_units for table in tables),
        ends=tables[0].ends,
        cells=cells,
    )


def _check_once(cells: Cells) -> None:
    """Refuse cells that are there twice."""
    for owner in dict.fromkeys(owner for owner, _ in cells):
        numbers = np.concatenate([of for each, of in cells if each == owner])
        known, counts = np.unique(numbers, return_counts=True)
        if (twice := known[counts > 1]).size:
            raise ValueError(
                f"{twice.size:,} of {owner[0]}, number {twice[0]} first, are in two of these, so"
                " that their spikes would count twice: pass a list of those that share none"
            )


def _joined(arrays: Sequence[Any]) -> Any:
    return np.concatenate([array for array in arrays if array is not None])


def one_table(what: object, told: Told) -> UnitTable:
    """Return the only table of an object that is a part of another."""
    found = tables(what, told)
    if len(found) != 1:
        raise ValueError(
            f"a {name_of(type(what))} of {len(found)} segments cannot be a part of a list or dict:"
            " take its spikes alone"
        )
    return found[0]
