"""Spread of activity over units, compared with a log-normal distribution.

Rates in cortex look log-normal (Buzsaki & Mizuseki 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from neurosparse._internal import cards, checks
from neurosparse.activity import ActivityStats
from neurosparse.sparsity import counted_rates

LEAST = 5  # values below which a spread means nothing
_CRITICAL = 0.895  # of Stephens' statistic, at 5 %
_SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class LogNormal(cards.Shown):
    """Positive values compared with a log-normal distribution.

    Attributes
    ----------
    median
        exp(mean of ln), in the unit of the values.
    log_sd
        Standard deviation of ln(value); cortical rates have about 1. Of rates that are known by
        counts, both are those of the rates behind the counts.
    distance
        The largest difference between the cumulative distributions of the values and of the fit.
    n, n_silent
        Values > 0, and values of 0. Only counts have a fit that expects zeros.
    counted
        The values are counts over one time, such as rates of a record.
    p_value
        Of the test of counts; None where they are not counts, or too few or too alike to tell.
    """

    median: float
    log_sd: float
    distance: float
    n: int
    n_silent: int
    counted: bool = False
    p_value: float | None = None

    def _card(self) -> cards.Card:
        rows = {
            "median": self.median,
            "spread: standard deviation of ln": self.log_sd,
            "largest distance from a log-normal": self.distance,
            "values above 0": self.n,
            "values of 0": self.n_silent,
            "counted": "yes" if self.counted else "no",
            "p of the test": self.p_value,
        }
        return cards.Card("Compared with a log-normal", rows)

    @property
    def can_be_told(self) -> bool:
        """True where there is a test of these values."""
        return not self.counted or self.p_value is not None

    @property
    def differs(self) -> bool:
        """True where the values are told apart from a log-normal at 5 %.

        Counts by the likelihood-ratio test of a Poisson-log-normal distribution, which true
        log-normal rates pass in 95 % of records of any length. Other values by Stephens 1974
        (JASA 69:730, both moments fitted).
        """
        if self.counted:
            return self.p_value is not None and self.p_value < _SIGNIFICANT
        root = math.sqrt(self.n)
        return self.distance * (root - 0.01 + 0.85 / root) > _CRITICAL


def log_normal(values: ArrayLike, *, duration_s: float | None = None) -> LogNormal | None:
    """Compare values >= 0 with a log-normal distribution.

    None where fewer than five are positive, or they are all alike.

    Parameters
    ----------
    values
        Rates or magnitudes, one of each unit.
    duration_s
        The time over which rates were counted. None: values that are all whole multiples of one
        number are taken as counts.

    Examples
    --------
    >>> fit = log_normal(np.exp(np.random.default_rng(0).normal(1.0, 0.5, 10_000)))
    >>> round(fit.median, 1), round(fit.log_sd, 1), fit.differs
    (2.7, 0.5, False)

    Rates counted over 2 s:

    >>> rng = np.random.default_rng(0)
    >>> fit = log_normal(rng.poisson(np.exp(rng.normal(1.0, 0.5, 10_000)) * 2) / 2)
    >>> round(fit.median, 1), round(fit.log_sd, 1), fit.differs
    (2.7, 0.5, False)
    """
    given = checks.rates_array("values", values, -1)
    logs = np.sort(np.log(given[given > 0]))
    spread = float(logs.std(ddof=1)) if logs.size >= LEAST else 0.0
    if spread <= 1e-9 * max(1.0, float(np.abs(logs).max(initial=0))):  # a rounding
        return None
    n_silent = int((given == 0).sum())
    quantum = counted_rates.quantum_of(given) if duration_s is None else 1 / duration_s
    if quantum is not None:
        fit = counted_rates.fit(np.rint(given / quantum).astype(np.int64))
        if fit is not None:
            median = math.exp(fit.log_mean) * quantum
            return LogNormal(
                median, fit.log_sd, fit.distance, logs.size, n_silent, True, fit.p_value
            )
    expected = ndtr((logs - logs.mean()) / spread)
    steps = np.arange(logs.size + 1) / logs.size
    distance = float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))
    median = float(np.exp(logs.mean()))
    return LogNormal(median, spread, distance, logs.size, n_silent, quantum is not None)


def of_units(stats: ActivityStats) -> LogNormal | None:
    """Compare the mean rates of a circuit's units in Hz, or the mean magnitudes of a network's."""
    if stats.unit_rates_hz is not None:
        duration_s = None if stats.duration_ms is None else stats.duration_ms * 1e-3
        return log_normal(stats.unit_rates_hz, duration_s=duration_s)
    return None if stats.unit_mean_magnitude is None else log_normal(stats.unit_mean_magnitude)


def row(stats: ActivityStats) -> dict[str, str]:
    """Return what the mean does not say, a cell a measure, for tables.

    Sparseness is Treves-Rolls's, low where activity is sparse.
    """
    fit = of_units(stats)

    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

    return {
        "beyond the mean": stats.name,
        "eff. units": cell(stats.effective_units),
        "dim.": cell(stats.effective_dimension),
        "popul.": cell(stats.population.treves_rolls),
        "lifetime": cell(stats.lifetime.treves_rolls),
        "sd ln": cell(None if fit is None else fit.log_sd),
        "log-normal": "-" if fit is None or not fit.can_be_told else "no" if fit.differs else "yes",
    }
