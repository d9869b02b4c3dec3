"""The kernel engine and NEST on the same circuits: spike for spike where nothing is random, in distribution where all is.

    PYTHONPATH=. PYTHON benchmarks/nest_agreement.py [--scale 0.1] [--seconds 1.5] [--seeds 3]

PYTHON is one that has NEST 3.10 and this project's dependencies. Prints, for each engine, the rates and the CV of the intervals of
the microcircuit's eight populations at a small scale, with their standard deviations over seeds. No race: both run on one thread.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

from neurosparse.activity import SpikeTrains
from neurosparse.spiking import circuit as circuits
from neurosparse.spiking import kernel_engine, nest_engine

WARM_UP_MS = 200.0


def rates_and_cvs(spikes: SpikeTrains) -> tuple[list[float], list[float]]:
    """The rate in Hz and the mean CV of the intervals (cells with four or more) of each population."""
    rates, cvs = [], []
    for name in spikes.populations:
        x = spikes.population(name)
        order = np.lexsort((x.ticks, x.units))
        times, units = x.times_ms[order], x.units[order]
        same = np.diff(units) == 0
        intervals, who = np.diff(times)[same], units[1:][same]
        n = np.bincount(who, minlength=x.n_units)
        enough = n >= 4
        mean = np.bincount(who, intervals, x.n_units)[enough] / n[enough]
        square = np.bincount(who, intervals**2, x.n_units)[enough] / n[enough]
        rates.append(len(x) / x.n_units / x.duration_ms * 1e3)
        cvs.append(float(np.mean(np.sqrt(np.maximum(square - mean**2, 0)) / mean)))
    return rates, cvs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore", circuits.ScaledCircuitWarning)

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from test_kernel_engine_peers import all_to_all

    for model in ("delta", "exponential"):
        circuit = all_to_all(model)
        a, b = (
            engine.simulate(circuit, duration_ms=500.0, seed=1, n_threads=1) for engine in (kernel_engine, nest_engine)
        )
        equal = np.array_equal(a.ticks, b.ticks) and np.array_equal(a.units, b.units)
        print(f"{model}: {len(a)} and {len(b)} spikes, {'equal' if equal else 'NOT EQUAL'} spike for spike")

    circuit = circuits.scaled(circuits.resolve(circuits.load("potjans2014")), options.scale)
    duration_ms = WARM_UP_MS + options.seconds * 1e3
    for name, engine in (("kernel", kernel_engine), ("NEST", nest_engine)):
        found = np.array(
            [
                rates_and_cvs(
                    engine.simulate(circuit, duration_ms=duration_ms, seed=seed, n_threads=1).between(
                        WARM_UP_MS, duration_ms
                    )
                )
                for seed in range(1, options.seeds + 1)
            ]
        )  # (seeds, 2, populations)
        for row, what in ((0, "rate Hz"), (1, "CV")):
            mean, sd = found[:, row].mean(0), found[:, row].std(0, ddof=1)
            print(
                f"{name:7s}{what:8s}" + "  ".join(f"{m:.3f}±{s:.3f}" for m, s in zip(mean, sd, strict=True)), flush=True
            )


if __name__ == "__main__":
    main()
