"""Confidence intervals of active fractions.

Sources: Korn & Graubard 1998, Survey Methodology 24:193; Hall 1992, J R Stat Soc B 54:221.
"""

from __future__ import annotations

import numpy as np
from scipy import stats as distributions

from neurosparse.activity import Interval
from neurosparse.sparsity.over_time import LEAST_STRETCHES, mean_over_time
from neurosparse.sparsity.sparseness import Floats

CONFIDENCE = 0.95
TIME = "these cells, over time"
CELLS = "cells and time"
INPUTS = "these units, over inputs"
SEEDS = "over training seeds"
LEAST_CELLS = 30  # for an interval over cells: skewed rates of fewer tell too little
_Z = float(distributions.norm.ppf(0.5 + CONFIDENCE / 2))


def over_time(
    fraction: float, stretches: Floats, *, n_units: int, n_most: float, duration_s: float
) -> Interval:
    """Return the interval of an active fraction for these cells, over time.

    Parameters
    ----------
    fraction
        In the whole record.
    stretches : array of float, shape (n_stretches,)
        In equally long stretches of it, in their order.
    n_units
        Cells.
    n_most
        Trials that the record is worth at most.
    duration_s
        The time observed, for the remedy where that is too short: the ends are NaN then.
    """
    if stretches.size < LEAST_STRETCHES or not np.ptp(stretches) > 0:
        return _wilson(fraction, n_units, f"{n_units} units taken as independent", TIME)
    found = mean_over_time(stretches, CONFIDENCE)
    if np.isnan(found.low):
        method = (
            f"record at least {_rounded_up(found.needed * duration_s):g} s: activity changes too"
            f" slowly for {duration_s:g} s"
        )
        return Interval(np.nan, np.nan, CONFIDENCE, method, TIME)
    variance = ((found.high - found.low) / (2 * _Z)) ** 2
    trials = min(fraction * (1 - fraction) / variance, n_most)
    method = f"effective sample size from {stretches.size} stretches of the record"
    return _wilson(fraction, trials, method, TIME)


def over_cells(unit_fractions: Floats, time: Interval, *, n_windows: float) -> Interval:
    """Return the interval of an active fraction for other cells of the same kind, over time.

    The variance between cells and that over time add up, less the noise of single cells, which is
    in both. The upper end allows for skewed rates (Hall 1992).

    Parameters
    ----------
    unit_fractions : array of float, shape (n_units,)
        Of each cell.
    time
        That of `over_time`.
    n_windows
        Independent windows that the record is worth for one cell.
    """
    n, fraction = unit_fractions.size, float(unit_fractions.mean())
    if np.isnan(time.low):
        return Interval(np.nan, np.nan, CONFIDENCE, time.method, CELLS)
    if n < LEAST_CELLS:
        method = f"measure at least {LEAST_CELLS} cells: {n} tell too little of others"
        return Interval(np.nan, np.nan, CONFIDENCE, method, CELLS)
    between = float(unit_fractions.var(ddof=1)) / n
    noise = float((unit_fractions * (1 - unit_fractions)).mean()) / (n * n_windows)
    variance = max(between, between + ((time.high - time.low) / (2 * _Z)) ** 2 - noise)
    if variance == 0 or not 0 < fraction < 1:  # all cells are alike
        return _wilson(fraction, n, f"{n} cells", CELLS)
    t = float(distributions.t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    found = _wilson(
        fraction, fraction * (1 - fraction) / variance * (_Z / t) ** 2, f"{n} cells", CELLS
    )
    sd = float(unit_fractions.std())
    if sd == 0:
        return found
    skew = float(((unit_fractions - fraction) ** 3).mean()) / sd**3
    upper = fraction + _unskewed(t, skew, n) * np.sqrt(variance)
    return Interval(
        found.low, float(np.clip(upper, found.high, 1)), CONFIDENCE, found.method, CELLS
    )


def _unskewed(t: float, skew: float, n: int) -> float:
    """Return how many errors the upper end lies above the mean: Hall's cubic transformation."""
    if abs(skew) < 1e-6:
        return t
    root = np.cbrt(1 + skew * (-t / np.sqrt(n) - skew / (6 * n)))
    return float(-np.sqrt(n) * (root - 1) * 3 / skew)


def _rounded_up(seconds: float) -> float:
    """Return a duration with one digit, not below the given one."""
    unit = 10.0 ** np.floor(np.log10(seconds))
    return float(np.ceil(seconds / unit) * unit)


def _wilson(fraction: float, trials: float, method: str, over: str) -> Interval:
    """Return Wilson's interval, which holds the fraction, whatever the rounding."""
    z = _Z
    centre = (fraction + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = (
        z
        / (1 + z**2 / trials)
        * np.sqrt(fraction * (1 - fraction) / trials + z**2 / (4 * trials**2))
    )
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    ends = float(min(low, fraction)), float(max(high, fraction))
    return Interval(*ends, CONFIDENCE, f"Wilson, {method}", over)


def interval(
    fraction: float, repeats_of_it: Floats, *, n_units: int, n_most: float, repeats: str
) -> Interval:
    """Return `interval_from_variance`, from the fraction in each of the independent repeats."""
    n = repeats_of_it.size
    variance = float(repeats_of_it.var(ddof=1) / n) if n > 1 else 0.0
    return interval_from_variance(
        fraction, variance, n_repeats=n, n_units=n_units, n_most=n_most, repeats=repeats
    )


def interval_from_variance(
    fraction: float, variance: float, *, n_repeats: int, n_units: int, n_most: float, repeats: str
) -> Interval:
    """Return Wilson's interval at the effective sample size that independent repeats show.

    Units of one layer share their input, so (unit, input) pairs are not independent trials. The
    variance between repeats says how many trials they are worth, with Student's t for the few
    repeats (Korn & Graubard 1998). Where repeats do not differ, or there is one, units are taken as
    independent, and the method says so.
    """
    if n_repeats > 1 and variance > 0:
        t = distributions.t.ppf(0.5 + CONFIDENCE / 2, n_repeats - 1)
        trials = min(fraction * (1 - fraction) / variance, n_most) * (_Z / t) ** 2
        method = f"effective sample size from {n_repeats} {repeats}"
        return _wilson(fraction, trials, method, INPUTS)
    return _wilson(fraction, n_units, f"{n_units} units taken as independent", INPUTS)
