"""How sure an active fraction is.

Source: Korn & Graubard 1998, Survey Methodology 24:193.
"""

from __future__ import annotations

import numpy as np
from scipy import stats as distributions

from neurosparse.activity import Interval
from neurosparse.sparsity.sparseness import Floats

CONFIDENCE = 0.95


def interval(
    fraction: float, repeats_of_it: Floats, *, n_units: int, n_most: float, repeats: str
) -> Interval:
    """`interval_from_variance`, from the fraction in each of the independent repeats."""
    n = repeats_of_it.size
    variance = float(repeats_of_it.var(ddof=1) / n) if n > 1 else 0.0
    return interval_from_variance(
        fraction, variance, n_repeats=n, n_units=n_units, n_most=n_most, repeats=repeats
    )


def interval_from_variance(
    fraction: float, variance: float, *, n_repeats: int, n_units: int, n_most: float, repeats: str
) -> Interval:
    """Wilson's interval at the effective sample size that the spread between independent repeats
    shows.

    Units of one circuit and neighbouring windows share their input, so (unit, window) pairs are not
    independent trials: the variance between repeats says how many trials they are worth, with
    Student's t for the few repeats (Korn & Graubard 1998). Where repeats do not differ, or there is
    one, units are taken as independent, and the method says so.
    """
    z = distributions.norm.ppf(0.5 + CONFIDENCE / 2)
    if n_repeats > 1 and variance > 0:
        t = distributions.t.ppf(0.5 + CONFIDENCE / 2, n_repeats - 1)
        trials = min(fraction * (1 - fraction) / variance, n_most) * (z / t) ** 2
        method = f"Wilson, effective sample size from {n_repeats} {repeats}"
    else:
        trials = float(n_units)
        method = f"Wilson, {n_units} units taken as independent"
    centre = (fraction + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = (
        z
        / (1 + z**2 / trials)
        * np.sqrt(fraction * (1 - fraction) / trials + z**2 / (4 * trials**2))
    )
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Interval(float(min(low, fraction)), float(max(high, fraction)), CONFIDENCE, method)
