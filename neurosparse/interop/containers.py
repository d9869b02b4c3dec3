"""Dicts, lists and arrays: columns by name, times of each unit, or several objects together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosparse._internal import checks, units
from neurosparse._internal.types import Array
from neurosparse.interop import adapters, nest, quantities
from neurosparse.recordings import columns as by_name
from neurosparse.recordings import tabular
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable

PLAIN = True  # times carry no unit: the user may say which
TYPES = ("builtins.dict", "builtins.list", "builtins.tuple", "numpy.ndarray")
_TRAINS = ("array with a unit", "Neo SpikeTrain", "pynapple Ts")  # objects that are one unit
_OF_UNITS = ("list of units", "dict of units", "Neo SpikeTrain")  # containers of such, or of times


def tables(what: Any, told: Told) -> Sequence[UnitTable]:
    """Return the units of a container, by what it holds.

    A dict of columns ({"times": ..., "units": ...}), the events of a NEST recorder, or a dict or
    list with the times of each unit. Also a dict or list of objects that are read here: each is a
    population of its own where a dict names them.
    """
    if isinstance(what, np.ndarray):
        return [_of_array(what, told)]
    if len(what) == 0:
        raise ValueError(f"an empty {type(what).__name__} holds no spikes")
    return _of_dict(what, told) if isinstance(what, Mapping) else _of_list(what, told)


def _of_array(what: Any, told: Told) -> UnitTable:
    if names := what.dtype.names:
        return tabular.of_columns(names, lambda name: _column(name, what[name]), told, "array")
    if what.dtype.kind == "m":
        return quantities.tables(what, told)[0]
    if what.dtype == object and what.ndim == 1:
        return _of_list(list(what), told)[0]
    raise TypeError(
        f"an array of shape {what.shape} does not say which unit fired: pass a dict"
        " {'times': ..., 'units': ...}, a list of an array a unit, or a SpikeTrains"
    )


def _of_dict(what: Mapping[Any, Any], told: Told) -> Sequence[UnitTable]:
    tables = _of_kind(what, told)
    if told.n_units_of is not None and tables[0].format != "dict of populations":
        raise ValueError("n_units must be a whole number: this dict is no dict of populations")
    return tables


def _of_kind(what: Mapping[Any, Any], told: Told) -> Sequence[UnitTable]:
    if "senders" in what and "times" in what and not (told.times or told.units):
        return [nest.of_events(what, told)]
    if isinstance(what.get("events"), Mapping):  # the status of a NEST recorder
        return [nest.of_events(what["events"], told)]
    if told.times is not None or _names_columns(what):
        return [_of_named(what, told)]
    if all(_is_numbers(value) for value in what.values()):
        return [_of_trains(list(what.values()), list(what), told, "dict of units")]
    n_units = told.n_units_of or {}
    if unknown := n_units.keys() - set(map(str, what)):
        raise ValueError(
            f"n_units names {min(unknown)!r}, which is none of {', '.join(map(str, what))}"
        )
    parts = []
    for name, value in what.items():
        own = replace(told, n_units=n_units.get(str(name)), n_units_of=None)
        parts.append((str(name), adapters.one_table(value, own)))
    many = [_is_container(value) for value in what.values()]
    if not any(many) and all(table.format in _TRAINS for _, table in parts):  # units, by name
        table = adapters.merged([("", part) for _, part in parts], "dict of units")
        return [_with_ids(table, list(what))]
    if all(many) and "population" not in told.others:
        _refuse_trials([table for _, table in parts])
    return [adapters.merged(parts, "dict of populations")]


def _is_container(value: object) -> bool:
    return isinstance(value, list | tuple | Mapping) or type(value) is np.ndarray


def _refuse_trials(tables: Sequence[UnitTable]) -> None:
    """Refuse containers of as many trains with the same ids each: their trains may be trials."""
    n_trains = tables[0].n_units
    alike = all(table.format in _OF_UNITS and table.n_units == n_trains for table in tables)
    ids = [i for t in tables for i in t.columns.get("id", np.arange(n_trains)).tolist()]
    if alike and n_trains > 1 and len(set(ids)) < len(ids):
        raise ValueError(
            f"each of its {len(tables):,} entries holds {n_trains:,} trains, of units or of trials:"
            " where each is a population, give populations='population'; trials are laid end to"
            " end in a SpikeTrains with intervals=..."
        )


def _of_named(what: Mapping[Any, Any], told: Told) -> UnitTable:
    """Return the units of columns by name; times that carry a unit are converted to seconds."""
    columns = {str(name): values for name, values in what.items()}
    times_name, stated_unit, _ = by_name.find(list(columns), told)
    times = columns[times_name]
    if _carries_unit(times):
        if told.time_unit is not None:
            raise ValueError(f"{times_name} carries a unit of its own: leave time_unit out")
        stated_unit = stated_unit or "s"
        columns[times_name] = units.plain(times_name, times, stated_unit)
        told = replace(told, time_unit=stated_unit)

    def column(name: str) -> Array:
        return _column(name, columns[name])

    return tabular.of_columns(list(columns), column, told, "dict of columns")


def _carries_unit(values: object) -> bool:
    try:
        units.plain("numbers", values)
    except TypeError:
        return True
    except ValueError:  # of masked values, which are refused by their name
        return False
    return False


def _column(name: str, values: Any) -> Array:
    values = units.plain(name, units.without_gradient(values))
    try:
        return np.asarray(values)
    except ValueError:
        return tabular.as_rows(values)  # of unlike lengths


def _with_ids(table: UnitTable, ids: Sequence[Any]) -> UnitTable:
    return replace(table, columns={**table.columns, "id": np.array(list(map(str, ids)))})


def _names_columns(what: Mapping[Any, Any]) -> bool:
    return by_name.can_find([name for name in what if isinstance(name, str)], Told())


def _of_list(what: Sequence[Any], told: Told) -> Sequence[UnitTable]:
    if all(_is_numbers(item) for item in what):
        table = _of_trains(what, range(len(what)), told, "list of units")
        _refuse_columns(what)
        return [table]
    if any(isinstance(item, str | Path) for item in what):
        raise TypeError("a list of texts holds no spikes: measure each file by itself")
    if any(np.isscalar(item) for item in what):
        raise TypeError(
            "a list of numbers does not say which unit fired: pass a list of an array a unit, or a"
            " dict {'times': ..., 'units': ...}"
        )
    found = {adapters.find(item) for item in what}
    if len(found) == 1 and (many := getattr(found.pop(), "many", None)):
        adapters.check_told(what[0], told)
        return list(many(what, told))
    alone = replace(told, n_units=None)  # it is that of all together
    parts = [(_name(item), adapters.one_table(item, alone)) for item in what]
    formats = {table.format for _, table in parts}
    if len(parts) > 1 and all(map(_is_container, what)) and formats <= set(_OF_UNITS):
        raise ValueError(
            f"a list of {len(parts):,} lists of trains does not say which are units, and which"
            " trials: pass one list with the times of each unit, a dict of lists for populations,"
            " or trials as a SpikeTrains with intervals=..."
        )
    named = len({name for name, _ in parts}) == len(parts)
    kind = "list of units" if formats <= set(_TRAINS) else "list"
    return [adapters.merged([(n if named else "", t) for n, t in parts], kind)]


def _of_trains(trains: Sequence[Any], ids: Sequence[Any], told: Told, kind: str) -> UnitTable:
    """Return the units of plain trains, or of differences of times, which carry a unit."""
    arrays = [np.asarray(units.without_gradient(train)) for train in trains]
    differences = [array.dtype.kind == "m" for array in arrays]
    if not any(differences):
        return tabular.of_units(trains, ids, told, kind)
    if not all(array.dtype.kind == "m" or not array.size for array in arrays):
        raise TypeError("some times are differences of times and others plain: pass all of a kind")
    in_s = [
        by_name.seconds(array, None, told, "times") if is_m else array
        for array, is_m in zip(arrays, differences, strict=True)
    ]
    return tabular.of_units(in_s, ids, replace(told, time_unit="s"), kind)


def _refuse_columns(what: Sequence[Any]) -> None:
    """Refuse two lists that rather are the time and the unit of each spike.

    One of them holds whole numbers in no order, or again and again, as ids do and times do not.
    """
    if len(what) != 2 or len(what[0]) != len(what[1]):
        return
    values = [checks.finite_array("times", item) for item in what]
    if any((v % 1 == 0).all() and (np.diff(v) <= 0).any() for v in values):
        raise ValueError(
            "its two lists are of one length, and one holds whole numbers that repeat or fall, as"
            " ids do: pass a dict {'times': ..., 'units': ...}, or for two units a dict"
            " {'a': times, 'b': times}"
        )


def _name(item: object) -> str:
    """Return the name of what a monitor watches, "" for other objects."""
    return str(getattr(getattr(item, "source", None), "name", ""))


def _is_numbers(value: object) -> bool:
    """Return whether a value is plain numbers in one dimension: the times of a unit."""
    if isinstance(value, np.ndarray) and adapters.find(value) is adapters.find(np.empty(0)):
        return value.dtype.kind in "iufm" and value.ndim == 1  # no array of another library
    if isinstance(value, list | tuple | range):
        return all(isinstance(item, int | float | np.number) for item in value)
    kind = f"{type(value).__module__}.{type(value).__name__}"
    return kind.startswith(("pandas.", "polars.", "torch.", "jax")) and not hasattr(
        value, "columns"
    )
