"""Estimators that should not depend on the length of a record: CV of intervals and log-normal test.

It makes two tables of docs/intervals.md.

    python benchmarks/estimators.py --records 2000

Cells fire as Poisson processes, whose CV is 1, at one rate; then at rates that are log-normal.
"""

from __future__ import annotations

import argparse

import numpy as np

from neurosparse.activity import SpikeTrains
from neurosparse.sparsity import regularity
from neurosparse.sparsity.log_normal import log_normal

RATES_HZ = (0.5, 1, 3, 8, 20)
CV_SECONDS, LOG_NORMAL_SECONDS = (1, 2, 10, 60), (2, 10, 100)
MOST_SPIKES = 400_000  # of a record of the first table
N_CELLS = 500  # of a record of the second


def poisson(rng: np.random.Generator, rate_hz: float, seconds: float, n_units: int) -> SpikeTrains:
    """Return Poisson cells."""
    units = np.repeat(np.arange(n_units), rng.poisson(rate_hz * seconds, n_units))
    times_ms = rng.uniform(0, 1e3 * seconds, units.size)
    return SpikeTrains(times_ms, units, n_units=n_units, duration_ms=1e3 * seconds)


def cv_cell(rate_hz: float, seconds: float) -> str:
    """Return the CV as `measure` prints it, or its interval where it is not known to 0.03."""
    rng = np.random.default_rng([7, round(10 * rate_hz), seconds])
    n_units = int(min(20_000, MOST_SPIKES / (rate_hz * seconds)))
    found = regularity(poisson(rng, rate_hz, seconds, n_units))
    if found.cv is not None:
        return f"{found.cv:.3f}"
    ends = found.cv_interval
    return "-" if ends is None else f"({ends.low:.2f}-{ends.high:.2f})"


def rejected(seconds: float, records: int) -> float:
    """Return the share of records with true log-normal rates that are said not to be."""
    rng = np.random.default_rng([8, seconds])
    wrong = 0
    for _ in range(records):
        rates_hz = np.exp(rng.normal(np.log(2), 1, N_CELLS))
        fit = log_normal(rng.poisson(rates_hz * seconds) / seconds, duration_s=seconds)
        wrong += fit is not None and fit.differs
    return wrong / records


def main(records: int) -> None:
    """Print both tables."""
    print("| rate | " + " | ".join(f"{s} s" for s in CV_SECONDS) + " |")
    print("|---|" + "---|" * len(CV_SECONDS))
    for rate_hz in RATES_HZ:
        cells = [cv_cell(rate_hz, seconds) for seconds in CV_SECONDS]
        print(f"| {rate_hz:g} Hz | " + " | ".join(cells) + " |", flush=True)
    print("\n| record | false rejections | standard error |")
    print("|---|---|---|")
    for seconds in LOG_NORMAL_SECONDS:
        share = rejected(seconds, records)
        error = (share * (1 - share) / records) ** 0.5
        print(f"| {seconds} s | {100 * share:.1f} % | {100 * error:.1f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=2000, help="records of the second table")
    main(parser.parse_args().records)
