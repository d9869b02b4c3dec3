"""The times at which a record was observed, as half-open intervals of whole ticks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.grid import GRID_TOLERANCE, NANOSECOND_MS

Ticks = NDArray[np.int64]


def checked(
    intervals_ms: NDArray[np.float64], duration_ms: float, dt_ms: float | None
) -> NDArray[np.float64]:
    """Return intervals in order of time, shape (n_intervals, 2); refuse those that cannot be.

    Intervals that touch are kept apart, as trials that follow each other without a pause are:
    no window reaches from one into the next. Those that overlap are refused. Where an edge lies
    beyond the next one by no more than a rounding, it is moved there.

    Raises
    ------
    ValueError
        Where there is none, one ends before it starts, lies outside the record or overlaps another.
    """
    if intervals_ms.ndim != 2 or intervals_ms.shape[1] != 2 or len(intervals_ms) == 0:
        raise ValueError(
            "intervals must be (start, stop) pairs in ms, shape (n_intervals, 2), got shape"
            f" {intervals_ms.shape}"
        )
    ordered = intervals_ms[np.argsort(intervals_ms[:, 0], kind="stable")]
    empty = ordered[:, 0] >= ordered[:, 1]
    if empty.any():
        raise ValueError(
            f"intervals must start before they stop, got {_words(ordered, int(np.argmax(empty)))}"
        )
    rounding_ms = NANOSECOND_MS if dt_ms is None else 2 * GRID_TOLERANCE * dt_ms  # of two edges
    outside = (ordered[:, 0] < -rounding_ms) | (ordered[:, 1] > duration_ms + rounding_ms)
    if outside.any():
        raise ValueError(
            f"intervals must lie in [0, duration_ms={duration_ms:g}], got"
            f" {_words(ordered, int(np.argmax(outside)))}"
        )
    overlapping = ordered[1:, 0] < ordered[:-1, 1] - rounding_ms
    if overlapping.any():
        k = int(np.argmax(overlapping))
        raise ValueError(
            f"intervals must not overlap, got {_words(ordered, k)} and {_words(ordered, k + 1)}:"
            " merge them into one"
        )
    ordered[:, 0] = np.maximum(ordered[:, 0], 0.0)
    ordered[:, 1] = np.minimum(ordered[:, 1], np.append(ordered[1:, 0], duration_ms))
    return ordered


def _words(intervals: NDArray[np.float64], k: int) -> str:
    return f"{intervals[k, 0]:.10g} to {intervals[k, 1]:.10g} ms"


def part(intervals: Ticks, start: int, stop: int) -> Ticks:
    """Return what lies in [start, stop) of each interval, without the empty ones."""
    cut = np.clip(intervals, start, stop)
    return cut[cut[:, 0] < cut[:, 1]]


def owners(intervals: Ticks, ticks: Ticks) -> NDArray[np.intp]:
    """Return the interval that each tick lies in; every tick must lie in one."""
    return np.searchsorted(intervals[:, 0], ticks, side="right") - 1


def midpoints(intervals: Ticks, ticks: Ticks) -> Ticks:
    """Return the middle of the interval that each tick lies in."""
    middles: Ticks = intervals.sum(axis=1) // 2
    return middles[owners(intervals, ticks)]


def inside(
    intervals: Ticks,
    intervals_ms: NDArray[np.float64],
    ticks: Ticks,
    times_ms: NDArray[np.float64],
    *,
    last: bool,
) -> Ticks:
    """Return the ticks of spikes, each in an interval; refuse spikes that lie in none.

    Parameters
    ----------
    intervals, intervals_ms
        The same intervals in ticks and in ms, shape (n_intervals, 2).
    ticks, times_ms
        The same spikes in ticks and in ms, shape (n_spikes,).
    last
        A time just below an interval's stop that rounds to it belongs to the interval's last tick.

    Raises
    ------
    ValueError
        Where a spike lies outside all intervals.
    """
    owner = np.maximum(owners(intervals, ticks), 0)
    start, stop = intervals[owner].T
    if last:
        ticks = np.where((ticks == stop) & (times_ms < intervals_ms[owner, 1]), stop - 1, ticks)
    outside = (ticks < start) | (ticks >= stop)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum()):,} of {ticks.size:,} spikes lie outside the intervals of"
            f" observation, the first at {times_ms[outside].min():.10g} ms: leave them out, or"
            " widen the intervals"
        )
    return ticks


def at_observed(intervals: Ticks, observed: Ticks) -> Ticks:
    """Return the ticks of the record before which `observed` ticks were observed.

    Of the two ends of a gap it is the later one, save at the end of the record.
    """
    lengths = intervals[:, 1] - intervals[:, 0]
    before = np.cumsum(lengths) - lengths
    k = np.searchsorted(before, observed, side="right") - 1
    result: Ticks = intervals[k, 0] + observed - before[k]
    return result
