"""Units of named columns, and of a list with the times of each."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from numbers import Real
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
    if times.ndim == 2 and ids.shape == times.shape[:1]:  # as many times in each row
        times = as_rows(times)
    if times.dtype == object and times.size:
        times = _numbers(times)
    if times.dtype == object and times.size:
        if any(map(_is_list, times)) and all(map(_is_train, times)):
            table = _of_rows(times, ids, told, kind, (times_name, units_name), stated_unit)
            if _OBSERVED in rest:
                table = _observed(table, column(_OBSERVED), told, stated_unit)
            index = np.arange(times.size)
        else:
            raise TypeError(_no_numbers(times_name, _first_odd(times)))
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
        if rest and told.units is None:
            _check_falls(rest, column, table)
    found = {n: by_name.of_units(column(n), index, table.n_units, n) for n in wanted}
    return replace(table, columns={**table.columns, **found}, ends=ends)


def as_rows(values: Sequence[Any] | Array) -> Array:
    """Return an array of objects of which each entry is the times of a unit."""
    rows = np.empty(len(values), dtype=object)
    rows[:] = list(values)
    return rows


def _numbers(times: Array) -> Array:
    """Return Python's numbers as NumPy's, as `explode` leaves them; anything else as it is."""
    if all(isinstance(each, Real | Decimal) and not isinstance(each, bool) for each in times):
        return times.astype(np.float64)
    return times


def _is_list(value: object) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes)


def _is_train(value: object) -> bool:
    """Return whether a value is a list of times, or a missing one: that of a silent unit."""
    return value is None or (isinstance(value, float) and value != value) or _is_list(value)


def _first_odd(values: Array) -> object:
    """Return the first entry that is neither a number nor a list."""
    plain = (Real, Decimal)
    odd = (each for each in values if not (isinstance(each, plain) or _is_list(each)))
    return next(odd, values[0])


def _no_numbers(name: str, value: object) -> str:
    if isinstance(value, date | time):
        return by_name.dates(f"column {name!r}")
    return f"column {name!r} must hold a number in each row, got {checks.kind_of(value)}"


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
    trains = [t if _is_list(t) else () for t in times]
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
    if not _is_list(intervals):
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


def _check_falls(names: Sequence[str], column: Callable[[str], Array], table: UnitTable) -> None:
    """Refuse a table of which some column says where the times of units begin anew.

    It does where times of a unit, in the order of the rows, fall only where the column changes, and
    mostly do there: runs that stand one below the other.
    """
    if (np.diff(table.times_s) >= 0).all():
        return
    stand_together = (np.diff(table.units) >= 0).all()  # of millions, a sort takes seconds
    by_unit = slice(None) if stand_together else np.argsort(table.units, kind="stable")
    same = np.diff(table.units[by_unit]) == 0
    falls = same & (np.diff(table.times_s[by_unit]) < 0)
    if not falls.any():
        return
    for name in names:
        values = np.asarray(column(name))
        if values.shape != table.units.shape or by_name.is_checked(name):
            continue
        _, code = np.unique(values.astype(str), return_inverse=True)
        changes = same & (np.diff(code[by_unit]) != 0)
        if not (falls & ~changes).any() and 2 * falls.sum() > changes.sum():
            raise ValueError(
                f"the times of its units begin anew where column {name!r} changes, as those of runs"
                " or trials: pass one of them at a time, lay them end to end in a SpikeTrains with"
                f" intervals=..., or leave out column {name!r} if this is one record"
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
    """Return whether values are ids and the others times, two in each row.

    Values are whole numbers. They are few and the others rise, or the others are none.
    """
    few = 2 * np.unique(values).size <= min(values.size, np.unique(others).size)
    rise = few and (np.diff(others) >= 0).all()
    broken = np.count_nonzero(others % 1) > 0.5 * others.size  # of times on one clock, both are
    return bool(values.size > 3 and (values % 1 == 0).all() and (rise or broken))
