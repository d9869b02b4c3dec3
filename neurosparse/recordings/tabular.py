"""Units of named columns, and of a list with the times of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, time
from typing import Any

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal.types import Array
from neurosparse.recordings import columns as by_name
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import Ends, UnitTable
from neurosparse.recordings.selection import REGION_COLUMNS


def of_columns(
    names: Sequence[str],
    column: Callable[[str], Array],
    told: Told,
    kind: str,
    ends: Ends = "[)",
    first_id: int = 0,
) -> UnitTable:
    """Return the units of named columns, one with the time of each spike and one with its unit.

    Columns that name a place or are asked for must hold one value a unit. Silent units are not in
    it, unless `n_units` is told. Trials that lie over each other are refused.
    """
    times_name, stated_unit, units_name = by_name.find(names, told)
    times, ids = column(times_name), column(units_name)
    if times.dtype == object and times.size:
        if all(_is_train(each) for each in times):
            return _of_rows(names, column, told, kind, ends)
        raise TypeError(_no_numbers(times_name, times.flat[0]))
    if times.shape != ids.shape or times.ndim != 1:
        raise ValueError(
            f"times and units must be 1-D and of one length, got {times.shape} and {ids.shape}"
        )
    times_s = by_name.seconds(times, stated_unit, told, times_name)
    for name in names:
        if by_name.is_of_trials(name):
            _check_trials(name, column(name), times_s)
    index, known, n_units = by_name.indexed(ids, told.n_units, first=first_id)
    wanted = [n for n in names if n in (*REGION_COLUMNS, *told.others) and n != times_name]
    found = {n: by_name.of_units(column(n), index, n_units, n) for n in wanted if n != units_name}
    return UnitTable(
        format=kind,
        n_units=n_units,
        times_s=times_s,
        units=index,
        columns={units_name: known, **found},
        all_units=told.n_units is not None,
        ends=ends,
    )


def _is_train(value: object) -> bool:
    return value is None or (hasattr(value, "__len__") and not isinstance(value, str | bytes))


def _no_numbers(name: str, value: object) -> str:
    if isinstance(value, date | time):
        return by_name.dates(f"column {name!r}")
    return f"column {name!r} must hold a number in each row, got {type(value)}"


def _of_rows(
    names: Sequence[str], column: Callable[[str], Array], told: Told, kind: str, ends: Ends
) -> UnitTable:
    """Return the units of a table with a row a unit, whose times are an array."""
    times_name, stated_unit, units_name = by_name.find(names, told)
    ids, trains = column(units_name), [() if t is None else t for t in column(times_name)]
    units, _, n_units = by_name.indexed(ids, None)
    if n_units < len(trains):
        twice = ids[int(np.argmax(np.bincount(units)[units] > 1))]
        raise ValueError(f"column {times_name!r} holds times a row, and unit {twice} has two rows")
    table = of_units(trains, ids.tolist(), told, kind, stated_unit)
    rest = [n for n in names if n in (*REGION_COLUMNS, *told.others) and n != units_name]
    rows = np.arange(len(trains))
    columns = {n: by_name.of_units(column(n), rows, table.n_units, n) for n in rest}
    return replace(table, columns={units_name: table.columns["id"], **columns}, ends=ends)


def _check_trials(name: str, trials: Array, times_s: Array) -> None:
    """Refuse trials whose times begin anew: taken together, each would hold the spikes of all."""
    if not trials.size:
        return
    known, of_spike = np.unique(trials.astype(str), return_inverse=True)
    first, last = np.full(known.size, np.inf), np.full(known.size, -np.inf)
    np.minimum.at(first, of_spike, times_s)
    np.maximum.at(last, of_spike, times_s)
    order = np.lexsort((last, first))
    if (last[order][:-1] > first[order][1:]).any():
        raise ValueError(
            f"the times of its {known.size:,} trials (column {name!r}) lie over each other: pass"
            " one trial at a time, or lay them end to end in a SpikeTrains with intervals=..."
        )


def of_units(
    trains: Sequence[Any], ids: Sequence[Any], told: Told, kind: str, stated_unit: str | None = None
) -> UnitTable:
    """Return the units of a list of arrays, the times of a unit each, in the unit that is said."""
    arrays = [
        checks.finite_array(f"times of unit {i}", t) for i, t in zip(ids, trains, strict=True)
    ]
    wrong = [i for i, array in zip(ids, arrays, strict=True) if array.ndim != 1]
    if wrong:
        raise ValueError(f"times of unit {wrong[0]} must be 1-D: pass an array of times a unit")
    flat = np.concatenate(arrays) if arrays else np.empty(0)
    _check_trains(arrays, flat)
    n_units = len(arrays) if told.n_units is None else checks.whole("n_units", told.n_units)
    if not len(arrays) or n_units < len(arrays):
        raise ValueError(f"{len(arrays)} units are given, got n_units={n_units}")
    names = np.array([*map(str, ids), *[""] * (n_units - len(arrays))])
    return UnitTable(
        format=kind,
        n_units=n_units,
        times_s=by_name.seconds(flat, stated_unit, told, "the times"),
        units=np.repeat(np.arange(len(arrays)), [array.size for array in arrays]),
        columns={"id": names},
        all_units=told.n_units is not None,
    )


def _check_trains(trains: Sequence[Array], times: Array) -> None:
    """Refuse what has the shape of trains and holds something else: rasters, (time, unit) pairs."""
    if times.size > 2 * len(trains) and ((times == 0) | (times == 1)).all():
        raise ValueError(
            "its times are zeros and ones alone, as in a raster of time steps: pass the times of"
            " the ones, such as np.flatnonzero(row) * dt_ms"
        )
    are_pairs = len(trains) > 1 and all(train.size == 2 for train in trains)
    if are_pairs and (times[1::2] < times[::2]).any():
        raise ValueError(
            f"each of {len(trains):,} units has two times, and they fall: pass (time, unit)"
            " pairs as a dict {'times': ..., 'units': ...}, or sort the times"
        )
