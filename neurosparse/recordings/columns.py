"""Spikes as columns: a time and a unit for each, found among names that are in use."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal.types import Array

TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}
_SPELLINGS = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "millisecond": "ms",
    "milliseconds": "ms", "µs": "us", "μs": "us", "usec": "us", "microseconds": "us",
    "nanoseconds": "ns", "minutes": "min",
}  # fmt: skip
_TIMES = (
    "spike_times", "spike_time", "spiketimes", "spiketime", "times", "time", "timestamps",
    "timestamp", "t",
)  # fmt: skip
_UNITS = (
    "units", "unit", "unit_ids", "unit_id", "neurons", "neuron", "neuron_ids", "neuron_id", "ids",
    "id", "senders", "sender", "clusters", "cluster", "cluster_id", "cluster_ids", "spike_clusters",
    "node_ids", "node_id", "cell", "cells", "cell_id", "cell_ids", "gid", "gids", "i",
)  # fmt: skip
_COUNTED = (
    r"s?(_?(id|ids|idx|index|num|number|no|nr|count|name|date))?"  # after the name of a group
)
_TRIALS = re.compile(f"(trial|tr|sweep|segment|repetition|repeat|rep|episode){_COUNTED}")
_SESSIONS = re.compile(  # whose names may come back, as those of "rest" and "task" do
    "(session|run|block|epoch|(stimulus_)?presentation|recording|day|animal|subject|mouse|mice|rat"
    "|monkey|experiment|condition|network|file|batch|seed|sim|simulation|reali[sz]ation|replicate"
    f"|iteration){_COUNTED}"
)
_PLACES = re.compile(  # in each of which sorters count units from 0 or 1
    f"(channel|chan|ch|electrode|probe|shank|tetrode|stereotrode|ntrode|array){_COUNTED}"
)
_LIKE_MISSING = ("", "None", "nan", "<NA>", "NaT")  # what missing values are as texts
_MOST_SIGNED = 2**63 - 1
MOST_EXACT = 2**53  # beyond which a float64 does not tell neighbouring numbers apart
_MOST_SPARSE = 16  # how many times as many ids as spikes a table of them may hold


@dataclass(frozen=True, slots=True)
class Told:
    """Facts that a user states of an object or file that does not state them itself."""

    n_units: int | None = None
    time_unit: str | None = None
    times: str | None = None
    units: str | None = None
    layout: str | None = None
    others: tuple[str, ...] = ()  # columns that are asked for by conditions or as populations
    n_units_of: Mapping[str, int] | None = None  # of several populations, by their names

    def __post_init__(self) -> None:
        for name in ("time_unit", "times", "units", "layout"):
            value = getattr(self, name)
            if isinstance(value, int) and name in ("times", "units"):  # of a frame without names
                object.__setattr__(self, name, str(value))
            elif value is not None:
                checks.instance(name, value, str)

    def first(self) -> str | None:
        """Return the first thing that is told, or None."""
        names = ("n_units", "time_unit", "times", "units", "layout")
        return next((name for name in names if getattr(self, name) is not None), None)


def unit_of_time(stated: str) -> str:
    """Return the usual abbreviation of a unit of time; ValueError where it is none."""
    name = _SPELLINGS.get(stated.strip().lower(), stated.strip().lower())
    if name not in TIME_UNITS:
        raise ValueError(f"time_unit must be one of {', '.join(TIME_UNITS)}, got {stated!r}")
    return name


def seconds(times: Array, stated_unit: str | None, told: Told, what: str) -> NDArray[np.float64]:
    """Return times in seconds, by the unit that stands with them or the one that the user states.

    Raises
    ------
    ValueError
        Where neither is there, the two differ, or they are not numbers.
    """
    if times.dtype.kind == "m":
        return _of_differences(times, told, what)
    if times.dtype.kind == "M":
        raise TypeError(dates(what))
    if times.size and times.dtype.kind not in "iuf":
        raise ValueError(f"{what} must be numbers, got {_no_number(times)}")
    if told.time_unit is not None:
        asked = unit_of_time(told.time_unit)
        if stated_unit is not None and stated_unit != asked:
            raise ValueError(
                f"{what} are in {stated_unit}, got time_unit={told.time_unit!r}: leave it out"
            )
        stated_unit = asked
    if stated_unit is None:
        raise ValueError(
            f"the unit of {what} is not stated: give time_unit (--time-unit), one of"
            f" {', '.join(TIME_UNITS)}"
        )
    numbers = checks.finite_array(what, times)
    return numbers if stated_unit == "s" else numbers * TIME_UNITS[stated_unit]


def _of_differences(times: Array, told: Told, what: str) -> NDArray[np.float64]:
    if told.time_unit is not None:
        raise ValueError(f"{what} carries a unit of its own: leave time_unit (--time-unit) out")
    if (without := np.isnat(times)).any():
        raise ValueError(f"{what} must be finite, got NaT at index {int(np.argmax(without))}")
    return np.asarray(times.astype("timedelta64[ns]").astype(np.int64) * 1e-9)


def dates(what: str) -> str:
    """Return why dates cannot be taken as times, with the remedy."""
    return f"{what} holds dates or times of day: subtract the moment when the record began"


def _no_number(values: Array) -> str:
    """Return the first entry that is no number, and where it stands."""
    for k, value in enumerate(values.reshape(-1).tolist()):
        if isinstance(value, str) and number(value) is not None:
            continue
        point = isinstance(value, str) and number(value.replace(",", ".")) is not None
        return f"{reprlib.repr(value)} at index {k}{': write a decimal point' if point else ''}"
    return f"values of dtype {values.dtype}"


def find(names: Iterable[str], told: Told) -> tuple[str, str | None, str]:
    """Return the column of times, the unit that its name states, and the column of units.

    Raises
    ------
    ValueError
        Where a column that the user names is not there, or none or several could be meant.
    """
    names = [str(name) for name in names]
    known = {name: _words(name) for name in names}
    times = _one("times", told.times, known, _TIMES)
    units = _one("units", told.units, {k: v for k, v in known.items() if k != times}, _UNITS)
    for name in (times, *parts(units, names)):
        if (n := names.count(name)) > 1:
            raise ValueError(f"there are {n} columns {name!r}: give each a name of its own")
    return times, unit_in(times), units


def find_times(names: Iterable[str]) -> str:
    """Return the only name that is usual for times; ValueError where there is none or several."""
    return _one("times", None, {str(name): _words(str(name)) for name in names}, _TIMES)


def can_find(names: Iterable[str], told: Told) -> bool:
    """Return whether `find` finds both columns."""
    try:
        find(names, told)
    except ValueError:
        return False
    return True


def unit_in(name: str) -> str | None:
    """Return the unit of time that the name of a column states, or None."""
    return _words(_last(name))[1]


def is_of_trials(name: str) -> bool:
    """Return whether a column with this name holds the trial of each spike."""
    return _TRIALS.fullmatch(_words(_last(name))[0]) is not None


def is_of_sessions(name: str) -> bool:
    """Return whether a column with this name holds the session or epoch of each spike."""
    return _SESSIONS.fullmatch(_words(_last(name))[0]) is not None


def is_of_places(name: str) -> bool:
    """Return whether a column with this name holds the channel or probe of each spike."""
    return _PLACES.fullmatch(_words(_last(name))[0]) is not None


def is_checked(name: str) -> bool:
    """Return whether a column with this name tells that times or ids begin anew."""
    return is_of_trials(name) or is_of_sessions(name) or is_of_places(name)


def is_of_units(name: str) -> bool:
    """Return whether a name is usual for the units of spikes."""
    return _words(name)[0] in _UNITS


def parts(asked: str, names: Iterable[str]) -> list[str]:
    """Return the columns that are named together, as in "probe,cluster_id"; one is by itself."""
    known, several = set(names), [part.strip() for part in asked.split(",")]
    return several if asked not in known and known.issuperset(several) else [asked]


def pairs(columns: Sequence[Array]) -> Array:
    """Return the units that several columns name together, as texts such as "A/1"."""
    found = [indexed(column, None) for column in columns]
    code = np.zeros_like(found[0][0])
    for index, _, n in found:
        code = code * n + index
    distinct, code = np.unique(code, return_inverse=True)
    names = np.full(distinct.size, "", dtype=object)
    for _, known, n in reversed(found):
        distinct, at = np.divmod(distinct, max(n, 1))
        names = known[at].astype(str).astype(object) + np.where(names == "", "", "/") + names
    return np.asarray(names.astype(str)[code])


def number(text: str) -> float | None:
    """Return a text as a number, or None; Python alone takes "1_2" for 12."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _last(name: str) -> str:
    """Return the field of a name such as "struct.field"."""
    return name.rpartition(".")[2]


def _words(name: str) -> tuple[str, str | None]:
    """Split "Spike time [ms]" into spike_time and ms."""
    word = re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")
    stem, _, last = word.rpartition("_")
    last = _SPELLINGS.get(last, last)
    return (stem, last) if stem in _TIMES and last in TIME_UNITS else (word, None)


def _one(
    what: str,
    asked: str | None,
    known: Mapping[str, tuple[str, str | None]],
    usual: Sequence[str],
) -> str:
    there = ", ".join(known) or "none"
    if asked is not None:
        if not known.keys() >= set(parts(asked, known) if what == "units" else [asked]):
            raise ValueError(f"there is no column {asked!r} of {what}; there are: {there}")
        return asked
    fitting = [name for name, (word, _) in known.items() if word in usual]
    if len(fitting) == 1:
        return fitting[0]
    found = f"several could be: {', '.join(fitting)}" if fitting else f"there are: {there}"
    raise ValueError(f"name the column of {what} with {what}=COLUMN (--{what}); {found}")


def indexed(
    ids: Array, n_units: int | None, *, first: int = 0
) -> tuple[NDArray[np.int64], Array, int]:
    """Return the unit of each spike as an index, the id of each unit, and how many there are.

    Where `n_units` is given and all ids lie in [first, first + n_units), they are counted from
    there. Otherwise the units are the ids that occur, in ascending order, and silent ones up to
    `n_units` after them.

    Raises
    ------
    ValueError, TypeError
        Where more ids occur than `n_units`, or they are neither whole numbers nor texts.
    """
    n = None if n_units is None else checks.whole("n_units", n_units)
    if ids.dtype == object and ids.size:
        ids = _numbers(ids)
    if ids.dtype.kind == "f":
        ids = _whole(ids)
    if ids.dtype.kind in "iu" and (ids.dtype.kind == "i" or not (ids > _MOST_SIGNED).any()):
        ids = ids.astype(np.int64, copy=False)  # differences of smaller ones overflow
    if ids.dtype.kind not in "iu":
        known, index = _texts(ids)
    elif ids.size == 0:
        known, index = ids.astype(np.int64), ids.astype(np.int64)
    else:
        low, high = int(ids.min()), int(ids.max())
        if n is not None and low >= first and high < first + n:
            return ids - first if first else ids, np.arange(first, first + n), n
        if high - low < _MOST_SPARSE * ids.size + 1024:  # a table is far faster than sorting
            offset = ids - low if low else ids
            seen = np.zeros(high - low + 1, dtype=bool)
            seen[offset] = True
            known = np.flatnonzero(seen).astype(ids.dtype) + low
            index = offset if seen.all() else (np.cumsum(seen) - 1)[offset]
        else:
            known, index = np.unique(ids, return_inverse=True)
    if n is None:
        n = known.size
    elif known.size > n:
        raise ValueError(f"{known.size:,} units have spikes, more than n_units={n:,}")
    if n > known.size:
        known = known.astype(str) if known.dtype == np.uint64 else known  # -1 is none of these
        silent = np.full(n - known.size, "" if known.dtype.kind == "U" else -1)
        known = np.concatenate([known, silent])
    return index.astype(np.int64, copy=False), known, n


def _numbers(ids: Array) -> Array:
    """Return Python's numbers as NumPy's; anything else as it is."""
    for kinds, dtype in (((int, np.integer), np.int64), ((int, float, np.number), np.float64)):
        if all(isinstance(each, kinds) and not isinstance(each, bool) for each in ids.flat):
            try:
                return ids.astype(dtype)
            except OverflowError:  # names, not numbers
                break
    return ids


def _whole(ids: Array) -> NDArray[np.int64]:
    if np.isnan(ids).any():
        raise ValueError(_no_id(int(np.argmax(np.isnan(ids)))))
    if (np.abs(ids) >= MOST_EXACT).any():
        raise ValueError(
            "ids of units that are floats must be below 2^53, beyond which neighbours are one: pass"
            " them as whole numbers or texts"
        )
    whole = ids.astype(np.int64)
    if (whole != ids).any():
        raise ValueError("ids of units must be whole numbers or texts; some are not")
    return whole


def _texts(ids: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return the distinct ids as texts, and the index of each."""
    if ids.dtype.kind not in "OUSTb":
        raise TypeError(f"ids of units must be whole numbers or texts, got dtype {ids.dtype}")
    try:
        known, index = np.unique(ids.astype(str), return_inverse=True)
    except ValueError:  # of sequences
        raise TypeError(
            f"ids of units must be whole numbers or texts, got {reprlib.repr(ids.flat[0])}"
        ) from None
    for unit in np.flatnonzero(np.isin(known, _LIKE_MISSING)):
        first = int(np.argmax(index == unit))
        if known[unit] == "" or (ids.dtype == object and not isinstance(ids[first], str)):
            raise ValueError(_no_id(first))
    return known, index


def _no_id(k: int) -> str:
    return f"ids of units must be whole numbers or texts, and that at index {k} is missing"


def of_units(values: Array, index: NDArray[np.int64], n_units: int, name: str) -> Array:
    """Return a column with a value a spike as one with a value a unit; silent units have "".

    Raises
    ------
    ValueError
        Where spikes of one unit differ in it.
    """
    values, first, differing = _compared(values, index, n_units)
    if differing.any():
        unit = int(index[int(np.argmax(differing))])
        raise ValueError(f"column {name!r} differs between spikes of one unit, index {unit}")
    if (first >= 0).all():
        return np.asarray(values[first])
    found = values[np.maximum(first, 0)].astype(str)
    return np.where(first >= 0, found, "")


def differing(values: Array, index: NDArray[np.int64], n_units: int) -> NDArray[np.bool_]:
    """Return for each spike whether its value is another than that of its unit's first."""
    return _compared(values, index, n_units)[2]


def _compared(
    values: Array, index: NDArray[np.int64], n_units: int
) -> tuple[Array, NDArray[np.int64], NDArray[np.bool_]]:
    """Return the values, the first spike of each unit (-1: none), and which differ from it."""
    if values.dtype.kind not in "biuf":
        values = values.astype(str)
        values = np.where(np.isin(values, _LIKE_MISSING), "", values)
    first = np.full(n_units, -1)
    first[index[::-1]] = np.arange(index.size)[::-1]
    others = values[first[index]]
    return values, first, (values != others) & ((values == values) | (others == others))
