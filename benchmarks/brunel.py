"""Brunel's network: the kernel engine and NEST, one core each, in turn.

It has 12,500 cells and 15.6 M synapses, and is asynchronous irregular.

    python benchmarks/brunel.py [--pairs N] [--seconds 1]

Prints a row for results.json, job brunel_ai_kernel: wall seconds of simulating a biological second,
building left out for both. NEST runs a tenth of the time.
"""

from __future__ import annotations

import argparse
import sys

from pairs import ask_peer, in_turn, row, seconds, show

from neurosparse.spiking import circuit as circuits
from neurosparse.spiking.engines import kernel as kernel_engine

# NEST as its users would write it for speed: one weight a connection type, so that a synapse is
# small.
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int)
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="biological; NEST runs a tenth of it"
    )
    options = parser.parse_args()
    circuit = circuits.resolve(circuits.load("brunel2000_ai"))
    built = kernel_engine.build(circuit, seed=1, n_threads=1)

    def ours(duration_s: float = options.seconds) -> float:
        return (
            seconds(lambda: kernel_engine.run(built, n_steps=round(duration_s * 1e4), seed=1))
            / duration_s
        )

    def nests() -> float:
        took, _, rate_hz = ask_peer(NEST, options.seconds / 10)
        print(f"NEST: {rate_hz:.1f} Hz", file=sys.stderr)
        return took

    ours(0.05)  # compiles
    mine, theirs = in_turn(ours, nests, options.pairs)
    show(
        [
            row(
                "brunel_ai_kernel",
                "NEST 3.10, 1 thread",
                "s a biological second, 1 core",
                mine,
                theirs,
                ">= 80x",
            )
        ]
    )


if __name__ == "__main__":
    main()
