"""Firing of units in time: rates, regularity, counts in windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse.activity import SpikeTrains
from neurosparse.activity import intervals as observation
from neurosparse.activity.given import check_spikes
from neurosparse.sparsity.sparseness import Floats

MIN_INTERVALS = 5  # inter-spike intervals a unit needs before its CV counts


def firing_rates_hz(spikes: SpikeTrains) -> Floats:
    """Return the mean firing rate of each unit in Hz, shape (n_units,).

    Spikes over the time observed; 0 for the silent ones.
    """
    check_spikes(spikes)
    return spikes.counts / (spikes.observed_ms * 1e-3)


def isi_cv(spikes: SpikeTrains, min_intervals: int = MIN_INTERVALS) -> Floats:
    """Return the coefficient of variation of the inter-spike intervals of each unit, as it is.

    Shape (n_units,): in long records 1 for Poisson firing, 0 for a clock; NaN for units with fewer
    than `min_intervals` intervals. It comes out too low where a record holds few intervals of a
    unit; `regularity` is the estimate over units that does not. Time between spikes in different
    intervals of observation does not count.
    """
    check_spikes(spikes)
    min_intervals = checks.whole("min_intervals", min_intervals, least=2)
    units, ticks = by_unit(spikes)
    n_units, pieces = spikes.n_units, pieces_of(spikes, units, ticks)
    within = pieces[1:] == pieces[:-1]
    intervals = np.diff(ticks)[within].astype(np.float64)
    owner = units[1:][within]
    n = np.bincount(owner, minlength=n_units)
    undefined = np.full(n_units, np.nan)
    mean = np.divide(
        np.bincount(owner, intervals, n_units), n, where=n >= min_intervals, out=undefined.copy()
    )
    spread = np.bincount(owner, (intervals - mean[owner]) ** 2, n_units)  # NaN where the mean is
    result: Floats = np.divide(
        np.sqrt(spread / np.maximum(n, 1)), mean, where=mean > 0, out=undefined
    )
    return result


def spike_counts(spikes: SpikeTrains, window_ms: float) -> NDArray[np.int64]:
    """Count the spikes of each unit in consecutive windows, shape (n_windows, n_units).

    A last part-window of an interval is left out.

    A spike on the edge of two windows belongs to the one that begins there.
    """
    check_spikes(spikes)
    windows, n_windows = windows_of(spikes, spikes.ticks, spikes.window_ticks(window_ms))
    whole = windows >= 0
    cell = windows[whole] * spikes.n_units + spikes.units[whole]
    cells = n_windows * spikes.n_units
    return np.bincount(cell, minlength=cells).reshape(n_windows, spikes.n_units)


def by_unit(spikes: SpikeTrains) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the unit and the tick of each spike, sorted by unit and then by time."""
    # one sort of plain integers takes a tenth of an argsort's time
    duration = spikes.duration_ticks
    keys = np.sort(spikes.units * duration + spikes.ticks)
    units = keys // duration
    return units, keys - units * duration


def pieces_of(
    spikes: SpikeTrains, units: NDArray[np.int64], ticks: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the (unit, interval of observation) pair of each spike, as a number.

    Those of a unit follow each other.
    """
    n = len(spikes.interval_ticks)
    return units if n == 1 else units * n + observation.owners(spikes.interval_ticks, ticks)


def windows_of(
    spikes: SpikeTrains, ticks: NDArray[np.int64], window: int
) -> tuple[NDArray[np.int64], int]:
    """Return the window of each tick, as a number, and how many windows there are.

    Windows follow each other within intervals of observation.

    -1 for a tick in the last part-window of an interval.
    """
    starts = spikes.interval_ticks[:, 0]
    n_windows = spikes.interval_lengths_ticks // window
    before = np.cumsum(n_windows) - n_windows
    owner = 0 if starts.size == 1 else observation.owners(spikes.interval_ticks, ticks)
    within = (ticks - starts[owner]) // window
    return np.where(within < n_windows[owner], before[owner] + within, -1), int(n_windows.sum())


def filled_windows(
    units: NDArray[np.int64], windows: NDArray[np.int64], n_windows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the unit, the window and the count of each window with a spike.

    By unit and then by window. The spikes are sorted by unit and then by time, their windows those
    of `windows_of`.
    """
    cell = (units * n_windows + windows)[windows >= 0]
    first = np.flatnonzero(np.diff(cell, prepend=-1))  # equal cells stand together
    return *np.divmod(cell[first], n_windows), np.diff(first, append=cell.size)
