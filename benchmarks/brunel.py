"""Brunel's network (12,500 cells, 15.6 M synapses, asynchronous irregular): the kernel engine and NEST, one core each, in turn.

    python benchmarks/brunel.py [--pairs 3] [--seconds 1] [--nest-python PATH]

Prints rows for results.json, job brunel_ai_kernel: seconds of simulation (wall) a biological second, building left out for both;
CPU time goes to stderr: on a busy machine it is the steadier number.
NEST runs in an environment of its own, whose python is given (or in NEUROSPARSE_NEST_PYTHON); without one only our time is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import date

import numpy as np

from neurosparse.spiking import circuit as circuits
from neurosparse.spiking import kernel_engine

# NEST as its users would write it for speed: one weight a connection type, so that a synapse is small.
NEST = """
import sys, time, nest
seconds = float(sys.argv[1])
nest.ResetKernel()
nest.set(resolution=0.1, local_num_threads=1, rng_seed=1)
cell = dict(C_m=250.0, tau_m=20.0, t_ref=2.0, E_L=0.0, V_reset=10.0, V_m=10.0, V_th=20.0)
cells = nest.Create("iaf_psc_delta", 12500, params=cell)
drive, recorder = nest.Create("poisson_generator", params=dict(rate=20000.0)), nest.Create("spike_recorder")
nest.Connect(drive, cells, syn_spec=dict(weight=0.1, delay=1.5))
nest.Connect(cells, recorder)
for name, weight, sources, number in (("ex", 0.1, cells[:10000], 1000), ("in", -0.5, cells[10000:], 250)):
    nest.CopyModel("static_synapse_hom_w", name, dict(weight=weight, delay=1.5))
    nest.Connect(sources, cells, dict(rule="fixed_indegree", indegree=number), dict(synapse_model=name))
nest.Prepare()
wall, cpu = time.perf_counter(), time.process_time()
nest.Run(seconds * 1e3)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
nest.Cleanup()
print("RESULT", wall / seconds, cpu / seconds, recorder.n_events / 12500 / seconds)
"""


def ours(built: kernel_engine.Built, seconds: float) -> tuple[float, float, float]:
    """Wall and CPU seconds a biological second, and the rate in Hz."""
    wall, cpu = time.perf_counter(), time.process_time()
    spikes = kernel_engine.run(built, n_steps=round(seconds * 1e4), seed=1)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall / seconds, cpu / seconds, len(spikes) / spikes.n_units / seconds


def nests(python: str, seconds: float) -> tuple[float, float, float]:
    """The same of NEST."""
    done = subprocess.run([python, "-c", NEST, str(seconds)], capture_output=True, text=True, check=False)
    line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT")), None)
    if line is None:
        sys.exit(f"NEST failed in {python}: {done.stderr.strip().splitlines()[-1:]}")
    wall, cpu, rate_hz = (float(x) for x in line.split()[1:])
    return wall, cpu, rate_hz


def row(pairs: list[tuple[float, float | None]]) -> dict[str, object]:
    """A row of results.json from pairs of (ours, theirs)."""
    ratios = [theirs / mine for mine, theirs in pairs if theirs is not None]
    return {
        "job": "brunel_ai_kernel",
        "peer": "NEST 3.10, 1 thread",
        "unit": "s a biological second, 1 core",
        "ours": round(float(np.median([mine for mine, _ in pairs])), 4),
        "theirs": round(float(np.median([t for _, t in pairs if t is not None])), 3) if ratios else None,
        "ratio": {
            "median": round(float(np.median(ratios)), 1),
            "min": round(min(ratios), 1),
            "max": round(max(ratios), 1),
        }
        if ratios
        else None,
        "goal": ">= 80x",
        "n": len(pairs),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": date.today().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="biological; NEST runs a tenth of it")
    parser.add_argument("--nest-python", default=os.environ.get("NEUROSPARSE_NEST_PYTHON"))
    options = parser.parse_args()
    circuit = circuits.resolve(circuits.load("brunel2000_ai"))
    built = kernel_engine.build(circuit, seed=1, n_threads=1)
    ours(built, 0.05)  # compiles
    pairs: list[tuple[float, float | None]] = []
    for _ in range(options.pairs):
        mine = ours(built, options.seconds)
        theirs = nests(options.nest_python, options.seconds / 10) if options.nest_python else None
        for name, told in (("kernel", mine), ("NEST", theirs)):
            if told:
                print(f"{name}: {told[0]:.3f} s wall, {told[1]:.3f} s CPU, {told[2]:.1f} Hz", file=sys.stderr)
        pairs.append((mine[0], theirs[0] if theirs else None))
    print(json.dumps([row(pairs)], indent=1))


if __name__ == "__main__":
    main()
