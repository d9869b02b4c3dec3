"""Agreement of the engines on the same circuits.

They agree spike for spike where nothing is random, and in distribution where all is.

    PYTHONPATH=. python benchmarks/nest_agreement.py [--scale 0.1] [--seconds 1.5] [--seeds 3]
    [--engines kernel,brian2,nest]

NEST is needed for `nest` alone: `pip install 'neurosparse[nest]'`. Prints, for each engine, the
rates, the CV of the intervals and the spike-count correlation of the microcircuit's eight
populations at a small scale, with their standard deviations over seeds. No race: NEST and the
kernel run on one thread.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from neurosparse.spiking.engines import registry

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from test_kernel_engine_peers import QUANTITIES, all_to_all, over_seeds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--engines", default="kernel,brian2,nest")
    options = parser.parse_args()
    engines = options.engines.split(",")

    for model in ("delta", "exponential"):
        circuit = all_to_all(model)
        runs = [registry.get(e).simulate(circuit, duration_ms=500.0, seed=1) for e in engines]
        for engine, spikes in zip(engines[1:], runs[1:], strict=True):
            same = np.array_equal(spikes.ticks, runs[0].ticks) and np.array_equal(
                spikes.units, runs[0].units
            )
            print(
                f"{model}: {engines[0]} and {engine}, {len(spikes)} spikes:"
                f" {'equal' if same else 'NOT EQUAL'}"
            )

    print("mean±standard deviation over seeds, by population")
    for engine in engines:
        found = over_seeds(
            engine, scale=options.scale, seconds=options.seconds, seeds=options.seeds
        )
        for row, quantity in enumerate(QUANTITIES):
            pairs = zip(found[:, row].mean(axis=0), found[:, row].std(axis=0, ddof=1), strict=True)
            print(
                f"{engine:7s}{quantity:19s}" + "  ".join(f"{m:.4f}±{s:.4f}" for m, s in pairs),
                flush=True,
            )


if __name__ == "__main__":
    main()
