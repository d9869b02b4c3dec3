"""Spikes in the order of their ticks and units."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Whole = NDArray[np.int64]
_MANY = 2**22  # spikes, from which on a compiled sort is worth its import


def in_order(times: Times, ticks: Whole, units: Whole, n_units: int) -> tuple[Times, Whole, Whole]:
    """Return times, ticks and units by tick and, within a tick, by unit; times and units as copies.

    Spikes of one unit in one tick keep their order. Ticks may be sorted in place.

    Parameters
    ----------
    times, ticks, units : arrays, shape (n_spikes,)
        The spikes.
    n_units
        Units lie in [0, n_units).
    """
    if (ticks[1:] < ticks[:-1]).any():
        times, ticks, units = _by_tick(times, ticks, units)
    else:
        times, units = times.copy(), units.copy()
    tied = ticks[1:] == ticks[:-1]
    if (tied & (units[1:] < units[:-1])).any():
        some = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
        order = np.argsort(ticks[some] * n_units + units[some], kind="stable")
        times[some], units[some] = times[some][order], units[some][order]
    return times, ticks, units


def _by_tick(times: Times, ticks: Whole, units: Whole) -> tuple[Times, Whole, Whole]:
    if ticks.size >= _MANY:
        try:  # met by its name alone: the core runs without numba, more slowly
            sort = import_module("neurosparse.kernels.spike_order").by_tick
        except ImportError:
            pass
        else:
            in_time: tuple[Times, Whole, Whole] = sort(times, ticks, units)
            return in_time
    order = np.argsort(ticks, kind="stable")
    return times[order], ticks[order], units[order]
