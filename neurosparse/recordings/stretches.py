"""The time in which all units were observed, and the spikes in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal.digits import to_a_microsecond
from neurosparse._internal.grid import GRID_TOLERANCE
from neurosparse.activity import NANOSECOND_MS
from neurosparse.recordings.recording import Ends, UnitTable

_MOST_SHOWN = 4
# two times on a clock that differ by less are one: what float64 leaves of them, and what is printed
ROUNDING_S = 1e-6
_DIGITS = 6  # of ms: nanoseconds


@dataclass(frozen=True, slots=True)
class Observed:
    """Times in s at which all of some units were observed, with merged overlaps counted."""

    stretches: tuple[tuple[float, float], ...]
    n_merged: int = 0


def common_stretches(table: UnitTable, rows: NDArray[np.int64]) -> Observed | None:
    """Return the times at which all of `rows` were observed; None where the file does not say.

    Intervals of one unit that overlap are merged.

    Raises
    ------
    ValueError
        Where a unit has no interval, one ends before it starts, or no time is common to all.
    """
    if table.observed_s is None or table.observed_units is None or table.observed_s.size == 0:
        return None
    of_ours = np.isin(table.observed_units, rows)
    bounds, owner = table.observed_s[of_ours], table.observed_units[of_ours]
    wrong = ~np.isfinite(bounds).all(axis=1) | (bounds[:, 0] > bounds[:, 1])
    if wrong.any():
        k = int(np.argmax(wrong))
        raise ValueError(
            "its observation intervals must be finite and start before they stop, got"
            f" {_words(bounds[k])} s of unit {owner[k]}"
        )
    filled = bounds[:, 0] < bounds[:, 1]  # what takes no time holds no spike
    bounds, owner = bounds[filled], owner[filled]
    without = np.setdiff1d(rows, owner)
    if without.size:
        ids = table.columns.get("id")
        such = "" if ids is None else f", such as id!={ids[without[0]]}"
        raise ValueError(
            f"{without.size:,} of its units have no observation interval, the first is unit"
            f" {without[0]}: leave them out with a condition{such}"
        )
    order = np.lexsort((bounds[:, 0], owner))
    bounds, owner, n_merged = _merged(bounds[order], owner[order])
    starts, stops = _shared(bounds, rows.size)
    stretches = tuple((float(a), float(b)) for a, b in zip(starts, stops, strict=True) if a < b)
    if not stretches:
        raise ValueError(
            f"there is no time at which all {rows.size:,} units were observed: leave some out with"
            " a condition"
        )
    return Observed(stretches, n_merged)


def _merged(
    bounds: NDArray[np.float64], owner: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Merge intervals, sorted by unit and start, that overlap; and count those that did.

    Those that touch, to a rounding, are kept apart.
    """
    overlap_s = np.where(owner[1:] == owner[:-1], bounds[:-1, 1] - bounds[1:, 0], 0.0)
    touches = (overlap_s > 0) & (overlap_s <= ROUNDING_S)
    bounds[:-1, 1][touches] = bounds[1:, 0][touches]
    if not (overlap_s > ROUNDING_S).any():
        return bounds, owner, 0
    kept: list[list[float]] = []
    kept_owner: list[int] = []
    n_merged = 0
    for (low, high), unit in zip(bounds.tolist(), owner.tolist(), strict=True):
        if kept and kept_owner[-1] == unit and low < kept[-1][1]:
            kept[-1][1] = max(kept[-1][1], high)
            n_merged += 1
        else:
            kept.append([low, high])
            kept_owner.append(unit)
    return np.array(kept), np.array(kept_owner), n_merged


def _shared(
    bounds: NDArray[np.float64], n_units: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find where as many intervals as there are units lie over each other.

    Intervals of a unit that touch are joined, save where all units have that boundary: trials that
    follow each other without a pause stay apart.
    """
    # how many units are observed from each edge on; at one time starts come before stops
    edges = np.concatenate([bounds[:, 0], bounds[:, 1]])
    steps = np.repeat([1, -1], len(bounds))
    order = np.lexsort((-steps, edges))
    edges, observed = edges[order], np.cumsum(steps[order])
    by_all = observed >= n_units
    starts = edges[by_all & ~np.concatenate([[False], by_all[:-1]])]
    stops = edges[~by_all & np.concatenate([[False], by_all[:-1]])]
    common = np.intersect1d(_held_by(bounds[:, 0], n_units), _held_by(bounds[:, 1], n_units))
    return np.union1d(starts, common), np.union1d(stops, common)


def _held_by(edges: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    distinct, counts = np.unique(edges, return_counts=True)
    return distinct[counts >= n]


def asked_for(
    observed: Observed | None,
    times_s: NDArray[np.float64],
    start_s: float | None,
    duration_s: float | None,
) -> NDArray[np.float64]:
    """Return the intervals in seconds that are read, shape (n, 2).

    They are all stretches, or the part of them that is asked for.

    Raises
    ------
    ValueError
        Where that holds nothing or reaches beyond them, or no stretch is known and no duration
        given.
    """
    start = None if start_s is None else checks.number("start_s", start_s)
    duration = None if duration_s is None else checks.positive("duration_s", duration_s)
    if observed is None:
        if duration is None:
            raise ValueError(
                "it does not state for how long its units were observed: give duration_s"
                f" (--duration-s){_where_spikes_are(times_s)}"
            )
        return np.array([[start or 0.0, (start or 0.0) + duration]])
    stretches = np.array(observed.stretches)
    first, last = stretches[0, 0], stretches[-1, 1]
    low = first if start is None else start
    high = last if duration is None else low + duration
    part = np.clip(stretches, low, high)
    part = part[part[:, 1] - part[:, 0] > NANOSECOND_MS * 1e-3]
    if len(part) and first - ROUNDING_S <= low and high <= last + ROUNDING_S:
        result: NDArray[np.float64] = part
        return result
    asked = f"from {to_a_microsecond(low)} s on" if duration is None else f"{_words((low, high))} s"
    known = ", ".join(map(_words, observed.stretches[:_MOST_SHOWN]))
    more = ", ..." if len(observed.stretches) > _MOST_SHOWN else ""
    raise ValueError(
        f"{asked} is not within a time at which all units were observed; those are, in s:"
        f" {known}{more}"
    )


def _where_spikes_are(times_s: NDArray[np.float64]) -> str:
    if not times_s.size:
        return ""
    first, last = times_s.min(), times_s.max()
    late = (
        ""
        if 0 <= first <= 0.5 * last
        else ", and start_s (--start-s) unless it was observed from 0 s"
    )
    return f"{late}; {_first_and_last(times_s)}"


def _first_and_last(times_s: NDArray[np.float64]) -> str:
    first, last = to_a_microsecond(times_s.min()), to_a_microsecond(times_s.max())
    return f"the first spike is at {first} s, the last spike is at {last} s"


def _words(bounds: Sequence[float] | NDArray[np.float64]) -> str:
    return f"{to_a_microsecond(bounds[0])} to {to_a_microsecond(bounds[-1])}"


def check_not_empty(n_inside: int, times_s: NDArray[np.float64], read: NDArray[np.float64]) -> None:
    """Refuse a part of a record that holds none of its spikes, and say where they are."""
    if times_s.size and not n_inside:
        raise ValueError(
            f"none of its {times_s.size:,} spikes lies in {_words(read.reshape(-1))} s:"
            " give another start_s (--start-s) or duration_s (--duration-s)"
            f"; {_first_and_last(times_s)}"
        )


@dataclass(frozen=True, slots=True)
class Inside:
    """The spikes within the intervals that are read, in ms from the start of the first."""

    times_ms: NDArray[np.float64]
    units: NDArray[np.int64]
    intervals_ms: NDArray[np.float64]
    dt_ms: float | None


def from_start_ms(times_s: NDArray[np.float64], read_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return times in ms from the start of what is read; what rounding left of it is cut off."""
    start = read_s[0, 0]
    # in place: for millions of spikes new memory takes longer than the sums
    times_ms = np.asarray(times_s - start, dtype=np.float64)
    times_ms *= 1e3
    if start:
        np.round(times_ms, _DIGITS, out=times_ms)
    return times_ms


def within(
    times_s: NDArray[np.float64],
    units: NDArray[np.int64],
    n_units: int,
    read_s: NDArray[np.float64],
    resolution_s: float | None,
    ends: Ends = "[)",
    closed: NDArray[np.bool_] | None = None,
    any_grid: bool = False,
) -> Inside:
    """Keep the spikes in the intervals that are read, in order of time.

    The grid that is named is kept where times and intervals keep to it.

    A grid of which no whole number fits into a millisecond is dropped, since no usual window lies
    on it, unless `any_grid`. `closed` says which intervals hold their own stop; `ends`
    "(]" that all do, and none its start.
    """
    holds_stop = np.zeros(len(read_s), dtype=bool) if closed is None else closed
    intervals_ms = from_start_ms(read_s, read_s)
    if resolution_s is not None and np.isfinite(resolution_s) and resolution_s > 0:
        dt_ms = float(f"{resolution_s * 1e3:.12g}")  # 1e-4 s is 0.1 ms, not 0.1 ms and a rounding
        if dt_ms <= intervals_ms[0, 1] and (any_grid or _fits_milliseconds(dt_ms)):
            times_ms = from_start_ms(times_s, read_s)
            on_grid = _on_grid(times_ms, units, n_units, intervals_ms, dt_ms, ends, holds_stop)
            if on_grid is not None:
                return on_grid
    if ends == "(]" and np.isin(times_s, read_s).any():
        times_s = times_s - NANOSECOND_MS * 1e-3  # (start, stop] becomes [start, stop)
    owner, inside = _owners(times_s, read_s, holds_stop)
    if inside is not None:
        times_s, units, owner = times_s[inside], units[inside], owner[inside]
    times_ms = from_start_ms(times_s, read_s)
    one = len(intervals_ms) == 1  # of millions of spikes each has the same stop
    stops = np.broadcast_to(intervals_ms[0, 1], owner.shape) if one else intervals_ms[owner, 1]
    late = times_ms >= stops
    if late.any():
        before = np.nextafter(stops[late], 0)
        last = np.where(holds_stop[owner[late]], stops[late] - NANOSECOND_MS, before)
        times_ms[late] = np.maximum(last, intervals_ms[owner[late], 0])
    return Inside(times_ms, units, intervals_ms, None)


def _fits_milliseconds(dt_ms: float) -> bool:
    ratio = 1 / dt_ms if dt_ms < 1 else dt_ms
    return abs(ratio - round(ratio)) <= 1e-6 * ratio


def _owners(
    times_s: NDArray[np.float64], read_s: NDArray[np.float64], closed: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Find the interval of each spike, and which spikes are in theirs; None where all are."""
    if len(read_s) == 1:
        owner = np.zeros(times_s.size, dtype=np.int64)
        (low, high), stop_in = read_s[0], bool(closed[0])
        if times_s.size == 0 or (low <= times_s.min() and times_s.max() < high):
            return owner, None
        return owner, (times_s >= low) & ((times_s <= high) if stop_in else (times_s < high))
    owner = np.searchsorted(read_s[:, 0], times_s, side="right") - 1
    starts, stops = read_s[owner, 0], read_s[owner, 1]
    inside = (owner >= 0) & (times_s >= starts)
    return owner, inside & ((times_s < stops) | (closed[owner] & (times_s == stops)))


def _on_grid(
    times_ms: NDArray[np.float64],
    units: NDArray[np.int64],
    n_units: int,
    intervals_ms: NDArray[np.float64],
    dt_ms: float,
    ends: Ends,
    closed: NDArray[np.bool_],
) -> Inside | None:
    """Keep the spikes in the intervals by whole ticks; None where something lies off the grid."""
    exact_bounds = intervals_ms / dt_ms
    bounds = np.rint(exact_bounds)
    exact = times_ms / dt_ms
    ticks = np.rint(exact)
    exact -= ticks
    off = max(
        float(np.abs(exact_bounds - bounds).max()),
        *(abs(float(f(exact, initial=0.0))) for f in (np.max, np.min)),
    )
    if off > GRID_TOLERANCE or (bounds[:, 0] >= bounds[:, 1]).any():
        return None
    if ends == "(]":
        ticks -= 1  # a spike in (t - dt, t] is said to be at t
    owner, inside = _owners(ticks, bounds, closed)
    if inside is not None:
        ticks, units, owner = ticks[inside], units[inside], owner[inside]
    if closed.any():
        ticks = np.minimum(ticks, bounds[owner, 1] - 1)
    keys = ticks.astype(np.int64)
    keys *= n_units
    keys += units
    keys.sort()  # of whole numbers: a tenth of an argsort's time
    in_order = keys // n_units
    keys -= in_order * n_units
    times_ms = in_order.astype(np.float64)
    times_ms *= dt_ms
    return Inside(times_ms, keys, intervals_ms, dt_ms)
