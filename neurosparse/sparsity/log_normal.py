"""How activity is spread over units: beside a log-normal, which is what rates in cortex look like
(Buzsaki & Mizuseki 2014).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from neurosparse._internal import cards, checks
from neurosparse.activity import ActivityStats

LEAST = 5  # values below which a spread means nothing
_CRITICAL = 0.895  # of Stephens' statistic, at 5 %


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Positive values beside the log-normal distribution with their mean and standard deviation of
    ln(value).

    Attributes
    ----------
    median
        exp(mean of ln), in the unit of the values.
    log_sd
        Standard deviation of ln(value); cortical rates have about 1.
    distance
        Kolmogorov-Smirnov's D between the values and the log-normal.
    n, n_silent
        Values > 0, which are fitted, and values of 0, which no log-normal has.
    """

    median: float
    log_sd: float
    distance: float
    n: int
    n_silent: int

    def _repr_html_(self) -> str:
        return cards.card("Beside a log-normal", asdict(self))

    @property
    def differs(self) -> bool:
        """Whether the positive values are told apart from a log-normal at 5 % (Stephens 1974, JASA
        69:730: both moments fitted).
        """
        root = math.sqrt(self.n)
        return self.distance * (root - 0.01 + 0.85 / root) > _CRITICAL


def log_normal(values: ArrayLike) -> LogNormal | None:
    """Values >= 0 beside a log-normal; None where fewer than five are positive, or they are all
    alike.

    Examples
    --------
    >>> fit = log_normal(np.exp(np.random.default_rng(0).normal(1.0, 0.5, 10_000)))
    >>> round(fit.median, 1), round(fit.log_sd, 1), fit.differs
    (2.7, 0.5, False)
    """
    given = checks.rates_array("values", values, -1)
    logs = np.sort(np.log(given[given > 0]))
    spread = float(logs.std(ddof=1)) if logs.size >= LEAST else 0.0
    if spread <= 1e-9 * max(1.0, float(np.abs(logs).max(initial=0))):  # a rounding
        return None
    expected = ndtr((logs - logs.mean()) / spread)
    steps = np.arange(logs.size + 1) / logs.size
    distance = float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))
    return LogNormal(
        float(np.exp(logs.mean())), spread, distance, logs.size, int((given == 0).sum())
    )


def of_units(stats: ActivityStats) -> LogNormal | None:
    """The mean rates of a circuit's units in Hz, or the mean magnitudes of a network's, beside a
    log-normal.
    """
    values = stats.unit_rates_hz if stats.unit_rates_hz is not None else stats.unit_mean_magnitude
    return None if values is None else log_normal(values)


def row(stats: ActivityStats) -> dict[str, str]:
    """What the mean does not say, a cell a measure, for tables: sparseness is Treves-Rolls's, low
    where activity is sparse.
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
        "log-normal": "-" if fit is None else "no" if fit.differs else "yes",
    }
