"""How many units fire at least once in a window: a function of the window, exact for every one of
them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse.activity import ActivityCurve, SpikeTrains
from neurosparse.sparsity.firing import by_unit
from neurosparse.sparsity.sparseness import Floats

# stretches of the record taken as independent repeats: few, so that each outlasts slow fluctuations
N_BATCHES = 10


def active_fraction(spikes: SpikeTrains, window_ms: float) -> float:
    """The share of units that fire at least once in a window, averaged over all positions of the
    window in the record.

    Examples
    --------
    >>> spikes = SpikeTrains([2.0], [0], n_units=2, duration_ms=10.0, dt_ms=1.0)
    >>> active_fraction(spikes, 10.0)   # one of two units fires
    0.5
    """
    return float(activity_curve(spikes)(spikes.window_ticks(window_ms) * spikes.tick_ms))


def activity_curve(spikes: SpikeTrains) -> ActivityCurve:
    """The active fraction as a function of the window, exact for every window. See
    `ActivityCurve`.
    """
    return curve_of_gaps(spikes, gaps_between(spikes, *by_unit(spikes))[0])


def curve_of_gaps(spikes: SpikeTrains, gaps: NDArray[np.int64]) -> ActivityCurve:
    """The curve of the gaps that `gaps_between` found."""
    return ActivityCurve.of_gaps(gaps, spikes.n_units, spikes.duration_ticks, spikes.tick_ms)


def windows_over_time(
    spikes: SpikeTrains, fractions: Sequence[float], n_stretches: int = N_BATCHES
) -> Floats:
    """The windows in ms that hold the given active fractions, in each of `n_stretches` disjoint
    stretches of the record.

    Returns
    -------
    array of float, shape (n_stretches, n_fractions)
        NaN where no window of a stretch reaches a fraction. Its spread over stretches is how steady
        the windows are over time.
    """
    checks.whole("n_stretches", n_stretches)
    edges = spikes.duration_ticks * np.arange(n_stretches + 1) // n_stretches * spikes.tick_ms
    curves = [
        activity_curve(spikes.between(start, stop))
        for start, stop in itertools.pairwise(edges.tolist())
    ]
    windows = [[curve.window_ms(fraction) for fraction in fractions] for curve in curves]
    return np.array([[np.nan if w is None else w for w in row] for row in windows])


def gaps_between(
    spikes: SpikeTrains, units: NDArray[np.int64], ticks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Gaps between the spikes of a unit in ticks, the unit and the closing spike of each.

    The ends of the record count as spikes at -1 and at duration_ticks, so a unit with k spikes has
    k + 1 gaps.
    """
    n, end = spikes.n_units, spikes.duration_ticks
    counts = spikes.counts
    last = np.cumsum(counts + 1) - 1  # where the last gap of each unit goes
    closing = np.empty(ticks.size + n, dtype=np.int64)
    closing[np.arange(ticks.size) + units] = ticks
    closing[last] = end
    opening = np.empty_like(closing)
    opening[1:] = closing[:-1]
    opening[last - counts] = -1
    return closing - opening, np.repeat(np.arange(n), counts + 1), closing


def batch_fractions(
    spikes: SpikeTrains, window: int, gaps: NDArray[np.int64], closing: NDArray[np.int64]
) -> Floats:
    """The active fraction of each of up to N_BATCHES disjoint stretches of the record; empty if not
    three hold a window.

    No window reaches from one stretch into the next, so that only the activity itself, not the
    measure, ties them together.
    """
    n_batches = min(N_BATCHES, spikes.duration_ticks // window)
    if n_batches < 3:
        return np.empty(0)
    edges = spikes.duration_ticks * np.arange(n_batches + 1) // n_batches
    # positions of the window within each stretch
    starts, stops = edges[:-1], edges[1:] - window + 1
    # The window [s, s + w) first meets the spike at `closing` for s from `first` to `closing`:
    # active (unit, position) pairs.
    is_spike = closing < spikes.duration_ticks
    stop = closing[is_spike] + 1
    first = stop - np.minimum(gaps[is_spike], window)
    at = np.stack([starts, stops], axis=1).ravel()  # ascending
    pairs_before = _summed_past(first, at) - _summed_past(stop, at)
    return (pairs_before[1::2] - pairs_before[::2]) / (spikes.n_units * (stops - starts))


def _summed_past(points: NDArray[np.int64], at: NDArray[np.int64]) -> Floats:
    """sum over points p < x of x - p, for each x of the ascending `at`."""
    slot = np.searchsorted(at, points, side="right")
    number, total = (
        np.bincount(slot, weights, at.size + 1)[:-1].cumsum() for weights in (None, points)
    )
    return at.astype(np.float64) * number - total
