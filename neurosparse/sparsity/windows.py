"""Units that fire at least once in a window: a function of the window, always exact."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse.activity import ActivityCurve, SpikeTrains
from neurosparse.activity import intervals as observation
from neurosparse.activity.given import check_spikes
from neurosparse.sparsity.firing import by_unit, pieces_of
from neurosparse.sparsity.sparseness import Floats

N_STRETCHES = 10  # of the record, in which windows are compared
N_BATCHES = 40  # stretches of the record from which an interval is estimated; see `over_time`


def active_fraction(spikes: SpikeTrains, window_ms: float) -> float:
    """Return the share of units that fire at least once in a window.

    It is averaged over all positions of the window within the intervals of observation.

    Examples
    --------
    >>> spikes = SpikeTrains([2.0], [0], n_units=2, duration_ms=10.0, dt_ms=1.0)
    >>> active_fraction(spikes, 10.0)   # one of two units fires
    0.5
    """
    return float(activity_curve(spikes)(spikes.window_ticks(window_ms) * spikes.tick_ms))


def activity_curve(spikes: SpikeTrains) -> ActivityCurve:
    """Return the active fraction as a function of the window, exact for every window.

    See `ActivityCurve`.
    """
    check_spikes(spikes)
    return curve_of_gaps(spikes, gaps_between(spikes, *by_unit(spikes))[0])


def curve_of_gaps(spikes: SpikeTrains, gaps: NDArray[np.int64]) -> ActivityCurve:
    """Return the curve of the gaps that `gaps_between` found."""
    return ActivityCurve.of_gaps(
        gaps, spikes.n_units, spikes.interval_lengths_ticks, spikes.tick_ms
    )


def windows_over_time(
    spikes: SpikeTrains, fractions: Sequence[float], n_stretches: int = N_STRETCHES
) -> Floats:
    """Return the windows in ms that hold the given active fractions, over time.

    There is one for each of `n_stretches` disjoint stretches of the record, all observed for
    equally long.

    Returns
    -------
    array of float, shape (n_stretches, n_fractions)
        NaN where no window of a stretch reaches a fraction. Its spread over stretches is how steady
        the windows are over time.
    """
    check_spikes(spikes)
    checks.whole("n_stretches", n_stretches)
    shares = [
        checks.number("fraction", fraction)
        for fraction in checks.instances("fractions", fractions, object)
    ]
    observed = spikes.observed_ticks * np.arange(n_stretches + 1) // n_stretches
    edges = observation.at_observed(spikes.interval_ticks, observed) * spikes.tick_ms
    curves = [
        activity_curve(spikes.between(start, stop))
        for start, stop in itertools.pairwise(edges.tolist())
    ]
    windows = [[curve.window_ms(share) for share in shares] for curve in curves]
    return np.array([[np.nan if w is None else w for w in row] for row in windows])


def gaps_between(
    spikes: SpikeTrains, units: NDArray[np.int64], ticks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the gaps between the spikes of a unit in ticks, and facts of each gap.

    The facts are the unit, what closes the gap, and whether that is a spike.

    The ends of an interval count as spikes just outside it, so a unit with k spikes in it has k + 1
    gaps there.
    """
    n_intervals = len(spikes.interval_ticks)
    pieces, n = pieces_of(spikes, units, ticks), spikes.n_units * n_intervals
    starts, stops = spikes.interval_ticks.T
    counts = np.bincount(pieces, minlength=n)
    last = np.cumsum(counts + 1) - 1  # where the last gap of each piece goes
    closing = np.empty(ticks.size + n, dtype=np.int64)
    closing[np.arange(ticks.size) + pieces] = ticks
    closing[last] = np.tile(stops, spikes.n_units)
    opening = np.empty_like(closing)
    opening[1:] = closing[:-1]
    opening[last - counts] = np.tile(starts - 1, spikes.n_units)
    is_spike = np.ones(closing.size, dtype=bool)
    is_spike[last] = False
    return closing - opening, np.repeat(np.arange(n), counts + 1) // n_intervals, closing, is_spike


def batch_fractions(
    spikes: SpikeTrains,
    window: int,
    gaps: NDArray[np.int64],
    closing: NDArray[np.int64],
    is_spike: NDArray[np.bool_],
) -> Floats:
    """Return the active fraction of each of up to N_BATCHES stretches of the record.

    The stretches are disjoint. Empty if not three hold a window.

    No window reaches from one stretch into the next, so that only the activity itself, not the
    measure, ties them together.
    """
    starts, stops, batch = _pieces_of_batches(spikes, window)
    if np.unique(batch).size < 3:
        return np.empty(0)
    # The window [s, s + w) first meets the spike at `closing` for s from `first` to `closing`:
    # active (unit, position) pairs.
    stop = closing[is_spike] + 1
    first = stop - np.minimum(gaps[is_spike], window)
    at = np.stack([starts, stops], axis=1).ravel()  # ascending
    pairs_before = _summed_past(first, at) - _summed_past(stop, at)
    pairs, positions = (
        np.bincount(batch, weights)
        for weights in (pairs_before[1::2] - pairs_before[::2], stops - starts)
    )
    held = positions > 0
    return np.asarray(pairs[held] / (spikes.n_units * positions[held]))


def _pieces_of_batches(
    spikes: SpikeTrains, window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the window within batches, as runs.

    For each run: its first position, one past its last, and its batch.

    Batches are observed for equally long; where there are as many intervals as batches, none is
    cut, for a part of a trial may be too short for the window.
    """
    intervals = spikes.interval_ticks
    n_batches = min(N_BATCHES, int((spikes.interval_lengths_ticks // window).sum()))
    edges = spikes.observed_ticks * np.arange(n_batches + 1) // n_batches
    if len(intervals) >= N_BATCHES:
        ends = np.concatenate([[0], np.cumsum(spikes.interval_lengths_ticks)])
        edges = ends[np.abs(ends[:, None] - edges).argmin(axis=0)]
    inner = observation.at_observed(intervals, edges[1:-1])
    cuts = np.unique(np.concatenate([intervals.ravel(), inner]))
    runs = np.stack([cuts[:-1], cuts[1:]], axis=1)
    owner = observation.owners(intervals, runs[:, 0])
    runs = runs[runs[:, 0] < intervals[owner, 1]]  # without the gaps
    runs = runs[runs[:, 1] - runs[:, 0] >= window]
    return runs[:, 0], runs[:, 1] - window + 1, np.searchsorted(inner, runs[:, 0], side="right")


def _summed_past(points: NDArray[np.int64], at: NDArray[np.int64]) -> Floats:
    """Sum x - p over the points p < x, for each x of the ascending `at`."""
    slot = np.searchsorted(at, points, side="right")
    number, total = (
        np.bincount(slot, weights, at.size + 1)[:-1].cumsum() for weights in (None, points)
    )
    result: Floats = at.astype(np.float64) * number - total
    return result
