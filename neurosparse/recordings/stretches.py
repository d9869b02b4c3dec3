"""The time in which all units were observed, and the spikes in a part of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse.recordings.recording import UnitTable

_MOST_SHOWN = 4
_GRID_TOLERANCE = 1e-3  # of a tick


def common_stretches(table: UnitTable, rows: NDArray[np.int64]) -> list[tuple[float, float]] | None:
    """The times at which all of `rows` were observed; None where the file does not say.

    Raises
    ------
    ValueError
        Where a unit has no interval, one ends before it starts or overlaps the next, or no time is
        common to all.
    """
    if table.observed_s is None or table.observed_units is None or table.observed_s.size == 0:
        return None
    of_ours = np.isin(table.observed_units, rows)
    bounds, owner = table.observed_s[of_ours], table.observed_units[of_ours]
    if not np.isfinite(bounds).all() or (bounds[:, 0] >= bounds[:, 1]).any():
        raise ValueError("its observation intervals must be finite and start before they stop")
    without = np.setdiff1d(rows, owner)
    if without.size:
        raise ValueError(
            f"{without.size:,} of its units have no observation interval, the first is unit"
            f" {without[0]}: leave them out with a condition"
        )
    order = np.lexsort((bounds[:, 0], owner))
    bounds, owner = bounds[order], owner[order]
    overlap = (owner[1:] == owner[:-1]) & (bounds[1:, 0] < bounds[:-1, 1])
    if overlap.any():
        raise ValueError(f"observation intervals of unit {owner[int(np.argmax(overlap))]} overlap")
    # how many units are observed from each edge on; at one time starts come before stops, so that
    # adjoining intervals join
    edges = np.concatenate([bounds[:, 0], bounds[:, 1]])
    steps = np.repeat([1, -1], len(bounds))
    order = np.lexsort((-steps, edges))
    edges, observed = edges[order], np.cumsum(steps[order])
    by_all = observed >= rows.size
    starts = edges[by_all & ~np.concatenate([[False], by_all[:-1]])]
    stops = edges[~by_all & np.concatenate([[False], by_all[:-1]])]
    stretches = [(float(a), float(b)) for a, b in zip(starts, stops, strict=True) if a < b]
    if not stretches:
        raise ValueError(
            f"there is no time at which all {rows.size:,} units were observed: leave some out with"
            " a condition"
        )
    return stretches


def longest_or_asked(
    stretches: Sequence[tuple[float, float]] | None,
    times_s: NDArray[np.float64],
    start_s: float | None,
    duration_s: float | None,
) -> tuple[float, float]:
    """The start and stop in seconds of what is read: the longest stretch, or what is asked for.

    Raises
    ------
    ValueError
        Where that is not within one stretch, or no stretch is known and no duration given.
    """
    start = None if start_s is None else checks.number("start_s", start_s)
    duration = None if duration_s is None else checks.positive("duration_s", duration_s)
    if stretches is None:
        if duration is None:
            last = f"; the last spike is at {times_s.max():g} s" if times_s.size else ""
            raise ValueError(
                "it does not state for how long its units were observed: give duration_s"
                f" (--duration-s){last}"
            )
        return start or 0.0, (start or 0.0) + duration
    longest = max(stretches, key=lambda stretch: stretch[1] - stretch[0])
    if start is None and duration is None:
        return longest
    if start is None:
        start = longest[0]
    rounding = 1e-9 * max(1.0, abs(start))
    for low, high in stretches:
        stop = high if duration is None else start + duration
        if low - rounding <= start < stop <= high + rounding:
            return max(low, start), min(high, stop)
    asked = f"from {start:g} s on" if duration is None else f"{start:g} to {start + duration:g} s"
    known = ", ".join(f"{low:g} to {high:g}" for low, high in stretches[:_MOST_SHOWN])
    more = ", ..." if len(stretches) > _MOST_SHOWN else ""
    raise ValueError(
        f"{asked} is not within a time at which all units were observed; those are, in s:"
        f" {known}{more}"
    )


def within(
    times_ms: NDArray[np.float64],
    units: NDArray[np.int64],
    n_units: int,
    duration_ms: float,
    resolution_s: float | None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], float | None]:
    """The spikes in [0, duration_ms), and the grid in ms if times and duration keep the one that is
    named: then in order of time.

    Arrays of millions of spikes are worked on in place: new memory takes longer than the sums.
    """
    if (
        resolution_s is not None
        and np.isfinite(resolution_s)
        and 0 < resolution_s * 1e3 <= duration_ms
    ):
        dt_ms = float(f"{resolution_s * 1e3:.12g}")  # 1e-4 s is 0.1 ms, not 0.1 ms and a rounding
        n_ticks = round(duration_ms / dt_ms)
        exact = times_ms / dt_ms
        ticks = np.rint(exact)
        exact -= ticks
        off = max(
            abs(duration_ms / dt_ms - n_ticks),
            *(abs(f(exact, initial=0.0)) for f in (np.max, np.min)),
        )
        if off <= _GRID_TOLERANCE:
            ticks, units = _between(ticks, units, n_ticks)
            keys = ticks.astype(np.int64)
            keys *= n_units
            keys += units
            keys.sort()  # of whole numbers: a tenth of an argsort's time
            in_order = keys // n_units
            keys -= in_order * n_units
            times_ms = in_order.astype(np.float64)
            times_ms *= dt_ms
            return times_ms, keys, dt_ms
    return *_between(times_ms, units, duration_ms), None


def _between(
    times: NDArray[np.float64], units: NDArray[np.int64], stop: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The spikes in [0, stop)."""
    if times.size == 0 or (times.min() >= 0 and times.max() < stop):
        return times, units
    inside = (times >= 0) & (times < stop)
    return times[inside], units[inside]
