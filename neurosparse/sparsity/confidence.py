"""Confidence intervals of active fractions.

Sources: Korn & Graubard 1998, Survey Methodology 24:193; Hall 1992, J R Stat Soc B 54:221.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import ndtri, stdtrit

from neurosparse.activity import ActivityStats, Interval
from neurosparse.activity.given import all_stats
from neurosparse.sparsity.over_time import LEAST_STRETCHES, mean_over_time
from neurosparse.sparsity.sparseness import Floats

CONFIDENCE = 0.95
TIME = "these cells, over time"
CELLS = "cells and time"
INPUTS = "these units, over inputs"
SEEDS = "over training seeds"
LEAST_CELLS = 30  # for an interval over cells: skewed rates of fewer tell too little
_DRIFT_S = 2.0  # half of the records as short as this are taken to drift, of longer ones fewer,
_DRIFT_LEAST = 1 / 6  # but of none less
_STEADY = 0.9  # prior probability that neighbouring inputs are no more alike than others
_FEW = 30  # stretches or inputs, which do not tell whether neighbours are alike
_RARE = 0.01  # share of inputs of a kind that an interval allows for, seen or not
_Z = float(ndtri(0.5 + CONFIDENCE / 2))


def over_time(
    fraction: float, stretches: Floats, *, n_units: int, n_most: float, duration_s: float
) -> Interval:
    """Return the interval of an active fraction for these cells, over time.

    The end on the side of the longer tail of the stretches is Hall's, for bouts of activity may be
    rare.

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
    few = stretches.size < _FEW
    drift = np.clip(_DRIFT_S / (duration_s + _DRIFT_S), _DRIFT_LEAST, 0.5)
    steady = _STEADY if few else 1 - float(drift)
    found = mean_over_time(stretches, CONFIDENCE, steady)
    if np.isnan(found.low):
        method = (
            f"record at least {_rounded_up(found.needed * duration_s):g} s: activity changes too"
            f" slowly for {duration_s:g} s"
        )
        return Interval(np.nan, np.nan, CONFIDENCE, method, TIME)
    half = (found.high - found.low) / 2
    trials = min(fraction * (1 - fraction) / (half / _Z) ** 2, n_most)
    method = f"effective sample size from {stretches.size} stretches of the record"
    method += ", taken to be steady" if few else ""
    return _with_tail(_wilson(fraction, trials, method, TIME), stretches, half)


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
        method = f"measure at least {LEAST_CELLS} cells to tell of others, got {n:,}"
        return Interval(np.nan, np.nan, CONFIDENCE, method, CELLS)
    between = float(unit_fractions.var(ddof=1)) / n
    noise = float((unit_fractions * (1 - unit_fractions)).mean()) / (n * n_windows)
    variance = max(between, between + ((time.high - time.low) / (2 * _Z)) ** 2 - noise)
    if variance == 0 or not 0 < fraction < 1:  # all cells are alike
        return _wilson(fraction, n, f"{n} cells", CELLS)
    t = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    found = _wilson(
        fraction, fraction * (1 - fraction) / variance * (_Z / t) ** 2, f"{n} cells", CELLS
    )
    return _with_tail(found, unit_fractions, t * np.sqrt(variance))


def over_inputs(
    fraction: float, stretches: Floats, *, n_inputs: int, n_units: int, n_most: float
) -> Interval:
    """Return the interval of an active fraction for these units, over inputs.

    Units of one layer share their input, so (unit, input) pairs are not independent trials. The
    variance between stretches of inputs says how many trials they are worth (Korn & Graubard 1998).
    Where neighbours are alike, as the frames of a video, it allows for that, or the ends are NaN
    and the method says what to measure. The end on the side of the longer tail is Hall's. Few
    inputs may hold none of a kind that is as rare as 1 in 100: the ends leave room for that.

    Parameters
    ----------
    fraction
        Over all inputs.
    stretches : array of float, shape (n_stretches,)
        In as many inputs each, in their order.
    n_inputs
        The number of inputs.
    n_units
        Of the layer.
    n_most
        Trials that the inputs are worth at most.
    """
    n, unseen = stretches.size, 1 - ((1 - CONFIDENCE) / 2) ** (1 / n_inputs)
    room, words = (unseen, ", with room for unseen kinds of input") if unseen > _RARE else (0.0, "")
    if n < 2 or not np.ptp(stretches) > 0:
        method = f"{n_units} units taken as independent"
        return _with_room(_wilson(fraction, n_units, method, INPUTS, words), fraction, room)
    t = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    half = t * float(stretches.std(ddof=1)) / np.sqrt(n)
    if n >= _FEW:
        found = mean_over_time(stretches, CONFIDENCE, _STEADY)
        if np.isnan(found.low):
            method = (
                f"inputs in a row are alike: shuffle what is sorted; of a sequence measure at least"
                f" {_rounded_up(found.needed * n_inputs):,.0f}, or each clip of it as one input"
            )
            return Interval(np.nan, np.nan, CONFIDENCE, method, INPUTS)
        half = (found.high - found.low) / 2
    trials = min(fraction * (1 - fraction) / (half / _Z) ** 2, n_most * (_Z / t) ** 2)
    method = f"effective sample size from {n_inputs} inputs"
    return _with_room(
        _with_tail(_wilson(fraction, trials, method, INPUTS, words), stretches, half),
        fraction,
        room,
    )


def over_seeds(networks: Sequence[ActivityStats]) -> Interval:
    """Return the interval of the active fraction over training seeds, and over inputs.

    The variance between networks and that over inputs add up, for networks that see the same inputs
    share what is odd about them; Student's t for as many networks. Where no network has an interval
    over inputs, the ends are NaN and the method says why.

    Parameters
    ----------
    networks
        Of at least two training seeds of one recipe, such as those that `measure` gives.

    Raises
    ------
    ValueError
        Where there are fewer than two.
    TypeError
        Where an argument is of another kind.

    Examples
    --------
    >>> from neurosparse.activity import ActiveWhen
    >>> from neurosparse.sparsity import describe_activations, observe
    >>> rng = np.random.default_rng(0)
    >>> networks = [
    ...     describe_activations(observe(rng.normal(bias, 1, (400, 50)), ActiveWhen(threshold=2)))
    ...     for bias in (0.1, 0.2, 0.3)
    ... ]
    >>> found = over_seeds(networks)
    >>> found.method, found.over
    ("Student's t, 3 networks", 'over training seeds')
    """
    networks = all_stats("networks", networks)
    n = len(networks)
    if n < 2:
        raise ValueError(f"an interval over training seeds needs at least 2 networks, got {n}")
    known = [s.interval for s in networks if s.interval.is_known]
    if not known:
        return Interval(np.nan, np.nan, CONFIDENCE, networks[0].interval.method, SEEDS)
    fractions = np.array([s.active_fraction for s in networks])
    by_inputs = np.mean([((i.high - i.low) / (2 * _Z)) ** 2 for i in known])
    t = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    half = t * float(np.sqrt(fractions.var(ddof=1) / n + by_inputs))
    low, high = np.clip([fractions.mean() - half, fractions.mean() + half], 0, 1)
    return Interval(float(low), float(high), CONFIDENCE, f"Student's t, {n} networks", SEEDS)


def _with_room(found: Interval, fraction: float, room: float) -> Interval:
    """Return an interval that allows for a share of inputs that drive no unit, or all of them."""
    low = min(found.low, fraction * (1 - room))
    return replace(found, low=low, high=max(found.high, fraction + room * (1 - fraction)))


def _with_tail(found: Interval, values: Floats, half: float) -> Interval:
    """Return an interval whose end on the side of the longer tail of the values is Hall's.

    That is his cubic transformation of their mean. `half` is half of the symmetric interval: it
    says how many independent values they are worth.
    """
    n, mean, sd = values.size, float(values.mean()), float(values.std(ddof=1))
    t = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    z = (values - mean) / values.std() if np.ptp(values) > 0 else np.zeros(n)
    skew = float((z**3).mean())
    if abs(skew) < 1e-6:
        return found
    n_worth = (t * sd / half) ** 2
    root = np.cbrt(1 - abs(skew) * (t / np.sqrt(n_worth) + abs(skew) / (6 * n_worth)))
    reach = float(np.sqrt(n_worth) * (1 - root) * 3 / abs(skew)) * half / t
    if skew > 0:
        return replace(found, high=float(np.clip(mean + reach, found.high, 1)))
    return replace(found, low=float(np.clip(mean - reach, 0, found.low)))


def _rounded_up(seconds: float) -> float:
    """Return a duration with one digit, not below the given one."""
    unit = 10.0 ** np.floor(np.log10(seconds))
    return float(np.ceil(seconds / unit) * unit)


def _wilson(fraction: float, trials: float, method: str, over: str, allowing: str = "") -> Interval:
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
    return Interval(*ends, CONFIDENCE, f"Wilson{allowing}, {method}", over)
