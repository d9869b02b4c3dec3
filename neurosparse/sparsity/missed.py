"""Cells that a recording misses since they fire too rarely to be sorted.

Electrodes isolate cells by their spikes, so that those below some rate are not in the record
(Buzsaki & Mizuseki 2014). The cells that were seen are then more active than the area is. How many
were missed follows from the rates of the others only by an assumption: here, that the rates of all
are log-normal, tested on those that were seen.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, roots_hermitenorm

from neurosparse._internal import checks
from neurosparse.activity import ActivityStats, Interval
from neurosparse.activity.given import check_stats
from neurosparse.sparsity.confidence import CONFIDENCE, LEAST_CELLS
from neurosparse.sparsity.counted_rates import Bins, fit
from neurosparse.sparsity.sparseness import Floats

AREA = "cells of the area, over cells and time"
_SIGNIFICANT = 0.05  # of the test of log-normal rates
_N_RESAMPLED = 200
_NODES, _WEIGHTS = roots_hermitenorm(64)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def with_missed(stats: ActivityStats, below_hz: float) -> ActivityStats:
    """Return statistics of spikes with the active fraction of all cells, missed ones included.

    Counts of the cells at or above `below_hz` are fitted by the Poisson-log-normal distribution cut
    off there. It tells the share of cells below, and their rates; they are taken to fill windows as
    the others do, compared with Poisson cells. The interval resamples cells, moves the fit by a
    step of Fisher scoring, and adds the variance over time. Cells below `below_hz` that are in the
    record are among those missed. Where rates are not log-normal and the test does not tell, too
    few cells are taken as missed: see docs/findings/electrodes.md.

    Parameters
    ----------
    stats
        Of spikes.
    below_hz
        The rate below which cells are not in the record.

    Returns
    -------
    ActivityStats
        With `missed_share`, `active_fraction_with_missed` and `interval_with_missed`. Where the
        cells are fewer than 30, or their rates are not log-normal, these are None, None and an
        interval without ends whose method says why.

    Raises
    ------
    ValueError
        Where `stats` are not of spikes, or `below_hz` is not positive.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> from neurosparse.activity import ActiveWhen, SpikeTrains
    >>> from neurosparse.sparsity import describe_spikes
    >>> rng = np.random.default_rng(1)
    >>> n = rng.poisson(20 * np.exp(rng.normal(0.0, 1.0, 800)))  # 1 Hz, in 20 s
    >>> n = n[n >= 20]  # those of 1 Hz and more
    >>> spikes = SpikeTrains(rng.uniform(0, 2e4, n.sum()), np.repeat(np.arange(n.size), n),
    ...     n_units=n.size, duration_ms=2e4)
    >>> stats = with_missed(describe_spikes(spikes, ActiveWhen(window_ms=10)), below_hz=1.0)
    >>> 100 * stats.active_fraction > 2.2 > 100 * stats.active_fraction_with_missed > 1.2
    True
    """
    check_stats("stats", stats)
    if stats.unit_rates_hz is None or stats.duration_ms is None:
        raise ValueError(f"{stats.name!r} is not of spikes: nothing says which cells were missed")
    seconds = stats.duration_ms * 1e-3
    below_hz = checks.positive("below_hz", below_hz)
    least = max(1, math.ceil(below_hz * seconds - 1e-9))
    counts = np.rint(stats.unit_rates_hz * seconds).astype(np.int64)
    seen = counts >= least
    counts, fractions = counts[seen], stats.unit_active_fraction[seen]
    if counts.size < LEAST_CELLS:
        return _without(stats, f"measure at least {LEAST_CELLS} cells at or above {below_hz:g} Hz")
    found, bins = fit(counts, least), Bins.of(counts, least)
    if found is None or bins is None:
        return _without(stats, "the rates of the cells are too alike to tell how many were missed")
    if found.p_value < _SIGNIFICANT:
        return _without(stats, "the rates of the cells that were seen are not log-normal")
    window = (stats.active_when.window_ms or 0.0) / stats.duration_ms
    best = np.array([found.log_mean, math.log(found.log_sd)])
    share, whole = _of_all(best, bins, counts, fractions, window)
    rng, step = np.random.default_rng(0), _scoring(best, bins, counts.size)
    again = []
    for _ in range(_N_RESAMPLED):
        chosen = rng.integers(counts.size, size=counts.size)
        near = best + step @ bins.observed(counts[chosen])
        again.append(_of_all(near, bins, counts[chosen], fractions[chosen], window)[1])
    in_time = stats.interval
    error = (in_time.high - in_time.low) / 4 / stats.active_fraction if in_time.is_known else 0.0
    spread = np.log(again) + error * rng.normal(size=_N_RESAMPLED)
    low, high = np.exp(np.quantile(spread, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    method = f"if rates are log-normal, {100 * share:.0f} % of the cells below {below_hz:g} Hz"
    return replace(
        stats,
        missed_share=share,
        active_fraction_with_missed=whole,
        interval_with_missed=Interval(float(low), float(high), CONFIDENCE, method, AREA),
    )


def _of_all(
    at: Floats, bins: Bins, counts: NDArray[np.int64], fractions: Floats, window: float
) -> tuple[float, float]:
    """Return the share of cells that were missed, and the active fraction of all."""
    log_mean, log_sd = float(at[0]), math.exp(float(at[1]))
    share, _ = bins.below(log_mean, log_sd)
    expected = np.exp(np.minimum(log_mean + log_sd * _NODES, 300.0))
    weights = _WEIGHTS * gammaincc(bins.least, expected)  # of a count below the least one
    poisson = float(-weights @ np.expm1(-expected * window)) / max(float(weights.sum()), 1e-300)
    seen = float(fractions.mean())
    like_poisson = seen / float(-np.expm1(-counts * window).mean())
    return share, (1 - share) * seen + share * poisson * like_poisson


def _scoring(best: Floats, bins: Bins, n: int) -> Floats:
    """Return what a cell more in each bin adds to the parameters, shape (2, n_bins)."""
    small = 1e-4 * np.eye(2)

    def log_shares(at: Floats) -> Floats:
        return np.log(bins.below(float(at[0]), math.exp(float(at[1])))[1])

    slopes = np.array([(log_shares(best + d) - log_shares(best - d)) / 2e-4 for d in small])
    information = n * (slopes * np.exp(log_shares(best))) @ slopes.T
    return np.linalg.solve(information + 1e-9 * np.eye(2), slopes)


def _without(stats: ActivityStats, why: str) -> ActivityStats:
    none = Interval(math.nan, math.nan, CONFIDENCE, why, AREA)
    return replace(
        stats, missed_share=None, active_fraction_with_missed=None, interval_with_missed=none
    )
