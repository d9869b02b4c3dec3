"""Spikes in the order of their ticks and units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Whole = NDArray[np.int64]
_TABLE = 2**20  # a power of 2


def in_order(times: Times, ticks: Whole, units: Whole, n_units: int) -> tuple[Times, Whole, Whole]:
    """Return times, ticks and units by tick and, within a tick, by unit; times and units as copies.

    Parameters
    ----------
    times, ticks, units : arrays, shape (n_spikes,)
        A later time has no earlier tick.
    n_units
        Units lie in [0, n_units).
    """
    if (ticks[1:] < ticks[:-1]).any():
        return _sorted(times, ticks, units, n_units)
    times, units = times.copy(), units.copy()
    tied = ticks[1:] == ticks[:-1]
    if (tied & (units[1:] < units[:-1])).any():
        some = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
        order = np.argsort(ticks[some] * n_units + units[some], kind="stable")
        times[some], units[some] = times[some][order], units[some][order]
    return times, ticks, units


def _sorted(times: Times, ticks: Whole, units: Whole, n_units: int) -> tuple[Times, Whole, Whole]:
    """Sort times by themselves, and ticks with their units as one number each.

    To sort numbers takes half as long as to find their order and follow it. Spikes that share a
    tick, yet no time, are few: their times are then put to their units.
    """
    in_time, keys = np.sort(times), np.sort(ticks * n_units + units)
    moments = keys // n_units
    keys -= moments * n_units
    shared = (moments[1:] == moments[:-1]) & (in_time[1:] != in_time[:-1])
    if shared.any():
        some = np.unique(moments[1:][shared])
        own = _among(ticks, some)
        order = np.lexsort((units[own], ticks[own]))
        in_time[_among(moments, some)] = times[own][order]
    return in_time, moments, keys


def _among(values: Whole, some: Whole) -> NDArray[Any]:
    """Return where values are among some, which are few."""
    table = np.zeros(_TABLE, dtype=bool)
    table[some & (_TABLE - 1)] = True
    where = np.flatnonzero(table[values & (_TABLE - 1)])
    return where[np.isin(values[where], some)]
