"""Units of named columns, and of a list with the times of each."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal.types import Array
from neurosparse.recordings import columns as by_name
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import Ends, UnitTable
from neurosparse.recordings.selection import REGION_COLUMNS

_OBSERVED = "obs_intervals"  # as NWB calls them
_NO_ORDER = (
    "The times of each unit are in no order, as the values of a trace are: sort them if they are"
    " times of spikes."
)
_MOST_FALLING = 0.25  # of the times, above which trains of one length may be traces
_FEW = 20  # times, of which that share says little


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
    it, unless `n_units` is told. Refused are trials that lie over each other, and ids that a column
    such as that of channels shows to count anew, unless the units are told.
    """
    if len(names) == 1 == told.n_units and told.times in (None, names[0]):
        stated_unit = by_name.unit_in(names[0])
        return replace(of_units([column(names[0])], [0], told, kind, stated_unit), ends=ends)
    times_name, stated_unit, units_name = by_name.find(names, told)
    keys = by_name.parts(units_name, names)
    times = column(times_name)
    ids = column(units_name) if len(keys) == 1 else by_name.pairs([column(key) for key in keys])
    rest = [n for n in names if n not in (times_name, *keys)]
    wanted = [n for n in rest if n in (*REGION_COLUMNS, *told.others)]
    if times.dtype == object and times.size:
        if all(_is_train(each) for each in times):
            table = _of_rows(times, ids, told, kind, (times_name, units_name), stated_unit)
            if _OBSERVED in rest:
                table = _observed(table, column(_OBSERVED), told, stated_unit)
            index = np.arange(times.size)
        else:
            raise TypeError(_no_numbers(times_name, times.flat[0]))
    else:
        if times.shape != ids.shape or times.ndim != 1:
            raise ValueError(
                f"times and units must be 1-D and of one length, got {times.shape} and {ids.shape}"
            )
        times_s = by_name.seconds(times, stated_unit, told, times_name)
        index, known, n_units = by_name.indexed(ids, told.n_units, first=first_id)
        table = UnitTable(
            format=kind,
            n_units=n_units,
            times_s=times_s,
            units=index,
            columns={units_name: known},
            all_units=told.n_units is not None,
        )
        for name in filter(by_name.is_checked, rest):
            values = np.asarray(column(name))
            if values.shape == index.shape:  # and not one for the whole table
                _check_anew(name, values, table, None if told.units else units_name)
    found = {n: by_name.of_units(column(n), index, table.n_units, n) for n in wanted}
    return replace(table, columns={**table.columns, **found}, ends=ends)


def _is_train(value: object) -> bool:
    return value is None or (hasattr(value, "__len__") and not isinstance(value, str | bytes))


def _no_numbers(name: str, value: object) -> str:
    if isinstance(value, date | time):
        return by_name.dates(f"column {name!r}")
    return f"column {name!r} must hold a number in each row, got {type(value)}"


def _of_rows(
    times: Array,
    ids: Array,
    told: Told,
    kind: str,
    named: tuple[str, str],
    stated_unit: str | None,
) -> UnitTable:
    """Return the units of a table with a row a unit, whose times are an array."""
    times_name, units_name = named
    units, _, n_units = by_name.indexed(ids, None)
    if n_units < len(times):
        twice = ids[int(np.argmax(np.bincount(units)[units] > 1))]
        raise ValueError(f"column {times_name!r} holds times a row, and unit {twice} has two rows")
    trains = [() if t is None else t for t in times]
    table = of_units(trains, ids.tolist(), told, kind, stated_unit)
    return replace(table, columns={units_name: table.columns["id"]})


def _observed(table: UnitTable, intervals: Array, told: Told, stated_unit: str | None) -> UnitTable:
    """Return a table of rows with when each unit was observed, as NWB's frames have it.

    Silent units that are not in it were observed as the first one was.
    """
    of_rows = [_bounds(each) for each in intervals]
    of_rows += of_rows[:1] * (table.n_units - len(of_rows))
    flat = np.concatenate(of_rows).reshape(-1)
    seconds = by_name.seconds(flat, stated_unit, told, f"the times of {_OBSERVED}")
    owners = np.repeat(np.arange(len(of_rows)), [len(each) for each in of_rows])
    return replace(table, observed_s=seconds.reshape(-1, 2), observed_units=owners)


def _bounds(intervals: Any) -> NDArray[np.float64]:
    """Return the intervals of one unit, shape (n, 2); none where they are missing."""
    if not _is_train(intervals) or intervals is None:
        return np.empty((0, 2))
    try:
        return np.array([list(each) for each in intervals], dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise ValueError(
            f"column {_OBSERVED!r} must hold a start and a stop an interval, got"
            f" {reprlib.repr(intervals)}"
        ) from None


def _check_anew(name: str, values: Array, table: UnitTable, units_name: str | None) -> None:
    """Refuse trials or sessions whose times begin anew, and ids that do so in each place.

    Taken together, each would hold the spikes of all. Ids are not checked where `units_name` is
    None: the user says that they are units.
    """
    if by_name.is_of_trials(name):
        _check_times(name, values, table.times_s, "trial")
        return
    shared = by_name.differing(values, table.units, table.n_units)
    if not shared.any():
        return
    if by_name.is_of_sessions(name):
        _check_times(name, values, table.times_s, "part")
    elif units_name is not None:
        unit = table.columns[units_name][table.units[int(np.argmax(shared))]]
        raise ValueError(
            f"unit {unit} has spikes with several values of column {name!r}: give"
            f" units={name},{units_name} (--units) where units count anew in each, or"
            f" units={units_name} where they do not"
        )


def _check_times(name: str, values: Array, times_s: Array, noun: str) -> None:
    """Refuse trials, or parts whose names may come back, that lie over each other."""
    if not values.size:
        return
    known, of_spike = np.unique(values.astype(str), return_inverse=True)
    first, last = np.full(known.size, np.inf), np.full(known.size, -np.inf)
    np.minimum.at(first, of_spike, times_s)
    np.maximum.at(last, of_spike, times_s)
    order = np.lexsort((last, first))
    over = (last[order][:-1] > first[order][1:]).any()
    if over and (noun == "trial" or _are_mixed(of_spike[np.argsort(times_s, kind="stable")])):
        raise ValueError(
            f"the times of its {known.size:,} {noun}s (column {name!r}) lie over each other: pass"
            f" one {noun} at a time, or lay them end to end in a SpikeTrains with intervals=..."
        )


def _are_mixed(labels: NDArray[np.int64]) -> bool:
    """Return whether labels, in order of time, change half as often as in a random order."""
    shares = np.bincount(labels) / labels.size
    changes = np.count_nonzero(np.diff(labels))
    return bool(changes >= 0.5 * labels.size * (1 - (shares**2).sum()))


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
    said = _check_trains(arrays, flat)
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
        said=said,
    )


def _check_trains(trains: Sequence[Array], times: Array) -> tuple[str, ...]:
    """Refuse what has the shape of trains and holds something else: counts, (time, unit) pairs.

    Where that may be so, as for the values of a trace, it is said.
    """
    falls = (
        np.concatenate([np.diff(train) < 0 for train in trains]) if trains else np.empty(0, bool)
    )
    if (times.size > 2 * len(trains) and ((times == 0) | (times == 1)).all()) or (
        falls.any() and 2 * sum(np.unique(train).size for train in trains) < times.size
    ):
        raise ValueError(
            "its times are zeros and ones alone, as in a raster, or few numbers again and again, as"
            " in counts of time steps: pass the times of the spikes, such as"
            " np.flatnonzero(row) * dt_ms"
        )
    if len(trains) > 1 and all(train.size == 2 for train in trains):
        first, second = times[::2], times[1::2]
        if (second < first).any() or _are_ids(second, first) or _are_ids(first, second):
            raise ValueError(
                f"each of {len(trains):,} units has two times, and they fall, or one of the two is"
                " few whole numbers: pass (time, unit) pairs as a dict {'times': ..., 'units':"
                " ...}, or sort the times"
            )
    if (
        falls.size > _FEW
        and len({train.size for train in trains}) == 1
        and falls.mean() > _MOST_FALLING
    ):
        return (_NO_ORDER,)
    return ()


def _are_ids(values: Array, others: Array) -> bool:
    """Return whether values are few whole numbers, and the others rise: units and times."""
    few = 2 * np.unique(values).size <= min(values.size, np.unique(others).size)
    return bool(
        few and values.size > 3 and (values % 1 == 0).all() and (np.diff(others) >= 0).all()
    )
