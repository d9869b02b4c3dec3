"""Time and memory that a frame with a row a spike takes to become spike trains.

    python benchmarks/frames.py [--spikes 5e7] [--units 300000] [--runs 3]

Rows are in order of time, in order of units (and of time within a unit), or in none. Each run has a
process of its own; its memory is the most that it ever held, the frame and the packages included.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
from pairs import row, show

import neurosparse as ns

DURATION_MS = 1e5
ORDERS = ("time", "units", "none")


def frame(n_spikes: int, n_units: int, order: str) -> pd.DataFrame:
    """Return spikes drawn at random, in one of `ORDERS`."""
    generator = np.random.default_rng(1)
    times = generator.uniform(0, DURATION_MS, n_spikes)
    units = generator.integers(0, n_units, n_spikes)
    if order != "none":
        times.sort()
    if order == "units":
        rows = np.argsort(units, kind="stable")
        times, units = times[rows], units[rows]
    return pd.DataFrame({"time_ms": times, "unit": units}, copy=False)


def cost(n_spikes: int, n_units: int, order: str) -> tuple[float, float]:
    """Return the CPU seconds and the GB of memory that one frame takes."""
    spikes = frame(n_spikes, n_units, order)
    ns.as_spikes(spikes.iloc[:1000], duration_ms=DURATION_MS)
    begin = time.process_time()
    found = ns.as_spikes(spikes, duration_ms=DURATION_MS)
    took = time.process_time() - begin
    assert len(found) == n_spikes
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return took, most / (1e9 if sys.platform == "darwin" else 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spikes", type=float, default=5e7)
    parser.add_argument("--units", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for order in ORDERS:
        found = []
        for _ in range(options.runs):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                found.append(pool.submit(cost, int(options.spikes), options.units, order).result())
        what = f"{options.spikes:.0e} spikes, order: {order}"
        for unit, values, goal in zip(
            ("CPU s", "GB at most"), zip(*found, strict=True), ("<= 5 s", "<= 4 GB"), strict=True
        ):
            rows.append(row("frames", "goal", f"{unit}, {what}", values, None, goal))
    show(rows)


if __name__ == "__main__":
    main()
