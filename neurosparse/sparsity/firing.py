"""When units fire: rates, regularity, counts in windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse.activity import SpikeTrains
from neurosparse.sparsity.sparseness import Floats

MIN_INTERVALS = 5  # inter-spike intervals a unit needs before its CV counts


def firing_rates_hz(spikes: SpikeTrains) -> Floats:
    """Mean firing rate of each unit in Hz, shape (n_units,): spikes over the duration, 0 for the
    silent ones.
    """
    return spikes.counts / (spikes.duration_ms * 1e-3)


def isi_cv(spikes: SpikeTrains, min_intervals: int = MIN_INTERVALS) -> Floats:
    """Coefficient of variation of the inter-spike intervals of each unit, shape (n_units,).

    NaN for units with fewer than `min_intervals` intervals: 1 for Poisson firing, 0 for a clock.
    """
    return cv_of_intervals(
        *by_unit(spikes), spikes.n_units, checks.whole("min_intervals", min_intervals, least=2)
    )


def cv_of_intervals(
    units: NDArray[np.int64], ticks: NDArray[np.int64], n_units: int, min_intervals: int
) -> Floats:
    """`isi_cv` of spikes sorted by unit and then by time."""
    within = units[1:] == units[:-1]
    intervals = np.diff(ticks)[within].astype(np.float64)
    owner = units[1:][within]
    n = np.bincount(owner, minlength=n_units)
    undefined = np.full(n_units, np.nan)
    mean = np.divide(
        np.bincount(owner, intervals, n_units), n, where=n >= min_intervals, out=undefined.copy()
    )
    spread = np.bincount(owner, (intervals - mean[owner]) ** 2, n_units)  # NaN where the mean is
    return np.divide(np.sqrt(spread / np.maximum(n, 1)), mean, where=mean > 0, out=undefined)


def spike_counts(spikes: SpikeTrains, window_ms: float) -> NDArray[np.int64]:
    """Spikes of each unit in consecutive windows, shape (n_windows, n_units); a last part-window is
    left out.

    A spike at tick t lies in window t // w: on an edge it belongs to the window that begins there.
    """
    window = spikes.window_ticks(window_ms)
    n_windows = spikes.duration_ticks // window
    cell = (spikes.ticks // window) * spikes.n_units + spikes.units
    cells = n_windows * spikes.n_units
    return np.bincount(cell[cell < cells], minlength=cells).reshape(n_windows, spikes.n_units)


def by_unit(spikes: SpikeTrains) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The unit and the tick of each spike, sorted by unit and then by time."""
    # one sort of plain integers takes a tenth of an argsort's time
    keys = np.sort(spikes.units * spikes.duration_ticks + spikes.ticks)
    units = keys // spikes.duration_ticks
    return units, keys - units * spikes.duration_ticks


def filled_windows(
    units: NDArray[np.int64], ticks: NDArray[np.int64], window: int, n_windows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What `spike_counts` would hold, without its zeros: the unit, the window and the count, by
    unit and then by window.

    The spikes are sorted by unit and then by time, as `by_unit` has them.
    """
    cell = (units * n_windows + ticks // window)[ticks < n_windows * window]
    first = np.flatnonzero(np.diff(cell, prepend=-1))  # equal cells stand together
    return *np.divmod(cell[first], n_windows), np.diff(first, append=cell.size)
