"""Confidence of a mean over time, where neighbouring stretches resemble each other.

The values of the stretches are modelled as a mean, plus a slow part whose correlation decays
exponentially (an Ornstein-Uhlenbeck process), plus what differs independently. Neither the
correlation time nor the share of the slow part is known. So the interval averages over both by
their posterior probabilities (Bayesian model averaging with flat priors for mean and log scale).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from neurosparse.sparsity.sparseness import Floats

LEAST_STRETCHES = 3
_LONGEST = 1.0  # correlation time, of the record
_SLOW = 0.05  # correlation time of the record beyond which so few stretches tell too little
_TOO_SLOW = 0.1  # probability of such a time, beyond which there is no interval
_NEEDED = 50  # correlation times that a record should hold
_RATIOS = np.geomspace(0.05, 100.0, 16)  # variance of the slow part over that of the other
_N_TIMES = 12
_VISIBLE = 0.3  # share of the variance of stretches


@dataclass(frozen=True, slots=True)
class MeanOverTime:
    """The mean of a process, with its 95 % interval.

    Attributes
    ----------
    low, high
        The ends of the interval; NaN where the record is too short for one.
    needed
        How many times as long the record should be; 1 where it is long enough.
    """

    low: float
    high: float
    needed: float


def mean_over_time(values: Floats, level: float, steady: float) -> MeanOverTime:
    """Return the mean of the process behind the values of equally long stretches, in their order.

    Parameters
    ----------
    values : array of float, shape (n_stretches,)
        At least `LEAST_STRETCHES`, which differ.
    level
        Of the interval, such as 0.95.
    steady
        Prior probability that there is no slow part.

    Examples
    --------
    >>> found = mean_over_time(np.random.default_rng(0).normal(size=40), 0.95, 0.9)
    >>> round(found.low, 1), round(found.high, 1), found.needed
    (-0.4, 0.3, 1.0)
    """
    centre, scale = float(values.mean()), float(values.std(ddof=1))
    weights, means, errors, times, shares = _posterior((values - centre) / scale, steady)
    slow = (times > _SLOW) & (shares > _VISIBLE)
    probability = float(weights[slow].sum())
    if probability > _TOO_SLOW:
        needed = _NEEDED * float(weights[slow] @ times[slow]) / probability
        return MeanOverTime(float("nan"), float("nan"), max(2.0, needed))
    likely = weights > 1e-7
    mixture = weights[likely] / weights[likely].sum(), means[likely], errors[likely]
    ends = (_quantile(*mixture, values.size - 1, p) for p in ((1 - level) / 2, (1 + level) / 2))
    low, high = (centre + scale * end for end in ends)
    return MeanOverTime(low, high, 1.0)


@lru_cache(maxsize=8)
def _family(n: int) -> tuple[Floats, Floats, Floats]:
    """Return correlation times, and eigenvectors and values of the slow part's covariances."""
    times = np.geomspace(1 / n, _LONGEST, _N_TIMES) if n > 4 else np.array([_LONGEST])
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    covariances = []
    for time in times * n:  # in stretches; of the means over them
        fall = np.exp(-1 / time)
        same = 2 * time * (1 - time * (1 - fall))
        apart = (time * (1 - fall)) ** 2 * np.exp(-(np.maximum(lag, 1) - 1) / time)
        covariances.append(np.where(lag == 0, same, apart))
    values, vectors = np.linalg.eigh(np.array(covariances))
    return times, vectors, values


def _posterior(z: Floats, steady: float) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return the weight of each model, its mean and error, correlation time and slow share."""
    n = z.size
    times, vectors, slow = _family(n)
    y, one = vectors.transpose(0, 2, 1) @ z, vectors.sum(axis=1)
    spread = 1 + _RATIOS[:, None, None] * slow  # (ratios, times, n)
    precision = (one**2 / spread).sum(axis=-1)
    mean = (one * y / spread).sum(axis=-1) / precision
    rest = ((y - one * mean[..., None]) ** 2 / spread).sum(axis=-1)
    log_weight = -0.5 * (np.log(spread).sum(axis=-1) + np.log(precision) + (n - 1) * np.log(rest))
    log_weight += np.log((1 - steady) / mean.size)
    alone = float((z**2).sum())
    log_alone = np.log(steady) - 0.5 * (np.log(n) + (n - 1) * np.log(alone))
    logs = np.append(log_alone, log_weight)
    weights = np.exp(logs - logs.max())
    share = _RATIOS[:, None] * slow.mean(axis=-1)
    return (
        weights / weights.sum(),
        np.append(0.0, mean),
        np.sqrt(np.append(alone / n, rest / precision) / (n - 1)),
        np.append(0.0, np.broadcast_to(times, mean.shape)),
        np.append(0.0, share / (1 + share)),
    )


def _quantile(weights: Floats, means: Floats, errors: Floats, dof: int, p: float) -> float:
    """Return a quantile of a mixture of Student's distributions."""

    def beyond(x: float) -> float:
        return float(weights @ stdtr(dof, (x - means) / errors)) - p

    of_each = means + errors * stdtrit(dof, p)
    low, high = float(of_each.min()), float(of_each.max())
    if not beyond(low) < 0 < beyond(high):  # all alike
        return low
    return float(brentq(beyond, low, high, xtol=1e-13 * (high - low)))
