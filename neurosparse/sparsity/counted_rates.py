"""Test of log-normal rates that are known only by counts.

The counts of Poisson cells with log-normal rates follow the Poisson-log-normal distribution (Bulmer
1974, Biometrics 30:101). Counting noise alone makes the rates themselves differ from a log-normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaincinv, ndtr
from scipy.stats import chi2

from neurosparse.sparsity.sparseness import Floats

_LEAST = 20  # counts, for a test of them
_BINS = 20  # at most
_LEAST_EXPECTED = 5.0  # counts in a bin
_MOST = 10_000_000  # of a count: beyond, values are taken as measured, not counted
_TOLERANCE = 1e-6  # of a quantum, for a whole multiple of it
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


@dataclass(frozen=True, slots=True)
class CountedFit:
    """A Poisson-log-normal distribution fitted to counts.

    Attributes
    ----------
    log_mean, log_sd
        Of ln(expected count).
    p_value
        Of the likelihood-ratio test over the bins that the fit used.
    distance
        The largest difference between the two cumulative distributions.
    """

    log_mean: float
    log_sd: float
    p_value: float
    distance: float


def quantum_of(values: Floats) -> float | None:
    """Return the largest number of which all positive values are whole multiples; None if none is.

    Rates that were counted over T seconds are multiples of 1 / T Hz.
    """
    left = np.unique(values[values > 0])
    if not left.size:
        return None
    largest = float(left[-1])
    while True:  # Euclid's algorithm
        least = float(left[0])
        if least * _MOST < largest:
            return None
        rest = np.abs(left - least * np.round(left / least))
        left = np.unique(rest[rest > largest * 1e-12 + least * _TOLERANCE])
        if not left.size:
            return least


def cumulative(counts: Floats, log_mean: float, log_sd: float) -> Floats:
    """Return P(N <= n) of the Poisson-log-normal distribution, for each whole n >= 0.

    A Poisson count is at most n where a gamma variable of shape n + 1 lies above its expectation.
    """
    return _cumulative(_log_gammas(counts), log_mean, log_sd)


def _log_gammas(counts: Floats) -> Floats:
    result: Floats = np.log(gammaincinv(np.asarray(counts)[:, None] + 1.0, _NODES))
    return result


def _cumulative(log_gammas: Floats, log_mean: float, log_sd: float) -> Floats:
    return np.asarray(ndtr((log_gammas - log_mean) / log_sd) @ _WEIGHTS)


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins of counts of at least `least`, with the log gamma variables of their ends.

    Attributes
    ----------
    edges : array of float, shape (n_bins - 1,)
        The last count of each bin but the last.
    """

    edges: Floats
    least: int
    log_gammas: Floats

    @classmethod
    def of(cls, counts: NDArray[np.int64], least: int = 0) -> Bins | None:
        """Return bins of about as many of the counts each; None where these are too few or alike.

        Counts below `least` were not observed.
        """
        edges = _edges(counts)
        if counts.size < _LEAST or edges.size < 3:
            return None
        return cls(edges, least, _log_gammas(np.append(max(least - 1, 0), edges)))

    def observed(self, counts: NDArray[np.int64]) -> Floats:
        """Return how many counts are in each bin."""
        at_most = np.searchsorted(np.sort(counts), self.edges, side="right")
        return np.diff(at_most, prepend=0, append=counts.size).astype(np.float64)

    def below(self, log_mean: float, log_sd: float) -> tuple[float, Floats]:
        """Return the share of all counts below `least`, and of the others that in each bin."""
        first, *up_to = _cumulative(self.log_gammas, log_mean, log_sd)
        missed = float(first) if self.least else 0.0
        shares = np.diff(up_to, prepend=missed, append=1.0) / max(1 - missed, 1e-300)
        return missed, np.maximum(shares, 1e-300)

    def most_likely(self, observed: Floats, start: Floats) -> Floats:
        """Return log mean and log of the log sd for which the numbers in bins are most likely."""

        def loss(at: Floats) -> float:
            return -float(observed @ np.log(self.below(float(at[0]), math.exp(float(at[1])))[1]))

        options = {"xatol": 1e-5, "fatol": 1e-7, "maxiter": 2000}
        bounds = [(-30.0, 40.0), (math.log(0.02), math.log(20.0))]
        found = minimize(loss, start, method="Nelder-Mead", bounds=bounds, options=options)
        return np.asarray(found.x)


def fit(counts: NDArray[np.int64], least: int = 0) -> CountedFit | None:
    """Fit the distribution to counts, zeros included; None where they are too few or too alike.

    The fit maximises the likelihood of the numbers of counts in bins. So twice the logarithm of its
    ratio to the best possible one is chi-squared, with as many degrees of freedom as there are
    bins, less three (Fisher 1924). Pearson's statistic, with bins that end at quantiles of the
    counts, is larger by 4 % for 25 counts a bin.

    Parameters
    ----------
    counts : array of int, shape (n,)
        All of them at least `least`.
    least
        Counts below it were not observed: the fit is that of the distribution cut off there.
    """
    bins = Bins.of(counts, least)
    if bins is None:
        return None
    observed, logs = bins.observed(counts), np.log(counts + 0.5)
    start = np.array([logs.mean(), math.log(max(float(logs.std()), 0.1))])
    found = bins.most_likely(observed, start)
    log_mean, log_sd = float(found[0]), math.exp(float(found[1]))
    shares = bins.below(log_mean, log_sd)[1]
    statistic = 2 * float((observed * np.log(observed / (counts.size * shares))).sum())
    far = np.abs(np.cumsum(observed / counts.size - shares))
    p_value = float(chi2.sf(statistic, observed.size - 3))
    return CountedFit(log_mean, log_sd, p_value, float(far.max()))


def _edges(counts: NDArray[np.int64]) -> Floats:
    """Return the last count of each bin but the last; bins of about as many counts each."""
    n_bins = min(_BINS, int(counts.size / (3 * _LEAST_EXPECTED)))
    if n_bins < 2:
        return np.empty(0)
    ordered = np.sort(counts)
    edges = np.unique(ordered[counts.size * np.arange(1, n_bins) // n_bins])
    held = np.searchsorted(ordered, edges, side="right")
    kept, last = [], 0
    for edge, upto in zip(edges.tolist(), held.tolist(), strict=True):
        if upto - last >= _LEAST_EXPECTED and counts.size - upto >= _LEAST_EXPECTED:
            kept.append(edge)
            last = upto
    return np.array(kept, dtype=np.float64)
