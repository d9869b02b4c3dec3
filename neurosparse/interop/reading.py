"""One call for every object that holds spikes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from neurosparse._internal import checks
from neurosparse._internal.digits import to_a_microsecond
from neurosparse.activity import SpikeTrains
from neurosparse.interop import adapters
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import Recording, UnitTable
from neurosparse.recordings.selection import Wanted, chosen, conditions, named_columns, padded


class Options(TypedDict, total=False):
    """Facts that a user may state of an object; see `as_spikes`."""

    n_units: int | Mapping[str, int] | None
    duration_ms: float | None
    start_ms: float | None
    time_unit: str | None
    times: str | None
    units: str | None
    where: Sequence[str]
    populations: str | None
    dt_ms: float | None
    layout: str | None


def can_read(what: object) -> bool:
    """Return whether `as_spikes` knows objects of this type."""
    known = isinstance(what, SpikeTrains | Recording | str | Path)
    return known or adapters.find(what) is not None


def as_spikes(
    obj: object,
    *,
    n_units: int | Mapping[str, int] | None = None,
    duration_ms: float | None = None,
    start_ms: float | None = None,
    time_unit: str | None = None,
    times: str | None = None,
    units: str | None = None,
    where: Sequence[str] = (),
    populations: str | None = None,
    dt_ms: float | None = None,
    layout: str | None = None,
) -> SpikeTrains:
    """Return the spikes of an object of any tool as spike trains.

    Units of time are honoured. Windows of observation, gaps and trials are kept, as `intervals`.

    Parameters
    ----------
    obj
        A Brian2 `SpikeMonitor` or `Network`. A NEST spike recorder or its `events`. A Neo
        `SpikeTrain`, `Segment` or `Block`, or a list of them. A pynapple `TsGroup` or `Ts`. A
        SpikeInterface sorting. An array with a unit of time. A frame of pandas, polars or Arrow. A
        dict `{"times": ..., "units": ...}` or `{unit: times}`. A list of an array a unit. A dict or
        list of such objects, a population each. The path of a file.
    n_units
        All units that were observed, the silent ones included, where the object holds only those
        that fired. For a dict of populations a number each, such as {"E": 80, "I": 20}.
    duration_ms, start_ms
        The time that was observed, on the object's own clock. Needed where the object does not say
        for how long its units were observed; otherwise a part of that time.
    time_unit
        The unit of plain times: "s", "ms", "us", "ns" or "min".
    times, units
        The columns of a frame or dict with the time and the unit of each spike, where their names
        are not the usual ones. Several name a unit together, as "probe,cluster_id" does.
    where
        Conditions on columns of units, such as "quality=good".
    populations
        The column that names the populations.
    dt_ms
        The grid on which the times lie.
    layout
        For the path of a text without a header: "times,units", "units,times" or "trains".

    Raises
    ------
    TypeError
        Where no spikes can be taken from an object of this type.
    ValueError
        Where something is missing that only the user can say, or the object does not hold together.

    Examples
    --------
    >>> spikes = as_spikes({"times_s": [0.001, 0.004], "unit": [7, 9]}, duration_ms=10)
    >>> spikes.n_units, spikes.times_ms.tolist()
    (2, [1.0, 4.0])
    """
    where = conditions(where)
    by_population = n_units if isinstance(n_units, Mapping) else None
    if by_population is not None and not isinstance(obj, Mapping):
        raise TypeError(f"n_units must be a whole number, got {checks.kind_of(n_units)}")
    told = Told(
        n_units=None if isinstance(n_units, Mapping) else n_units,
        n_units_of=by_population,
        time_unit=time_unit,
        times=times,
        units=units,
        layout=layout,
        others=named_columns(where, populations),
    )
    wanted = Wanted(
        where,
        populations,
        start_s=None if start_ms is None else checks.number("start_ms", start_ms) * 1e-3,
        duration_s=(
            None if duration_ms is None else checks.positive("duration_ms", duration_ms) * 1e-3
        ),
    )
    if isinstance(obj, str | Path):
        from neurosparse import recordings

        try:
            recording = recordings.read_wanted(Path(obj).expanduser(), wanted, told)
        except ValueError as error:
            raise ValueError(_in_our_words(error)) from error.__cause__
        spikes = _told(recording, wanted)
    elif isinstance(obj, SpikeTrains | Recording):
        if given := [name for name, value in _given_options(told, wanted) if value]:
            raise ValueError(f"{given[0]} is settled in these spikes: leave it out")
        spikes = obj if isinstance(obj, SpikeTrains) else obj.spikes
    else:
        spikes = _told(_read(obj, told, wanted, dt_ms), wanted)
    return spikes if dt_ms is None else replace(spikes, dt_ms=dt_ms)


def _told(recording: Recording, wanted: Wanted) -> SpikeTrains:
    """Return the spikes; warn where some were left out, unless a part of a record was asked for."""
    is_part = wanted.start_s is not None or wanted.duration_s is not None
    if recording.n_outside and not (is_part and recording.observed_s):
        warnings.warn(
            f"{recording.n_outside:,} spikes of {recording.name} are not in the time that was"
            f" observed, {to_a_microsecond(recording.start_s)} to"
            f" {to_a_microsecond(recording.stop_s)} s, and were left out",
            stacklevel=3,
        )
    return recording.spikes


def _given_options(told: Told, wanted: Wanted) -> list[tuple[str, Any]]:
    return [
        ("n_units", told.n_units),
        ("time_unit", told.time_unit),
        ("times", told.times),
        ("units", told.units),
        ("layout", told.layout),
        ("where", wanted.where),
        ("populations", wanted.populations),
        ("start_ms", wanted.start_s is not None),
        ("duration_ms", wanted.duration_s),
    ]


def _read(obj: object, told: Told, wanted: Wanted, dt_ms: float | None) -> Recording:
    kind = adapters.name_of(type(obj))
    try:
        tables = list(adapters.tables(obj, told))
    except ValueError as error:
        raise ValueError(_in_our_words(error)) from None
    try:
        for k, table in enumerate(tables):
            tables[k] = _with_step(padded(table, told.n_units), dt_ms)
        said = [sentence for table in tables for sentence in table.said]
        recording = chosen(tables, wanted)
    except ValueError as error:
        raise ValueError(f"cannot take spikes from this {kind}: {_in_our_words(error)}") from None
    for sentence in dict.fromkeys(said):
        warnings.warn(sentence, stacklevel=3)
    return recording


def _with_step(table: UnitTable, dt_ms: float | None) -> UnitTable:
    """Return a table with the step of its simulation, which NEST's events do not say."""
    if dt_ms is None or table.ends != "(]" or table.resolution_s is not None:
        return table
    return replace(table, resolution_s=checks.positive("dt_ms", dt_ms) * 1e-3)


def _in_our_words(error: ValueError) -> str:
    """Return an error of a reader with the names that `as_spikes` has for its arguments."""
    message = re.sub(r" \(--[a-z-]+\)", "", str(error))
    return re.sub(r"\b(duration|start)_s\b", r"\1_ms", message)
