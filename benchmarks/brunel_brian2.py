"""Brunel's network: our Brian2 engine, Brian2 as it is usually written, and NEST.

They run in turn, on one core each.

    python benchmarks/brunel_brian2.py [--pairs N] [--seconds 1]

Prints rows for results.json, job brunel_ai_brian2: wall seconds of the compiled program, start to
end (NEST: of Run), a biological second. Generating and compiling are left out. NEST runs a tenth of
the time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from brunel import NEST
from pairs import ask_peer, engine_seconds, in_turn, row, show

from neurosparse.spiking import circuit as circuits
from neurosparse.spiking.engines import brian2 as brian_circuit

# After Brian2's own example frompapers/Brunel_2000: PoissonInput, synapses as they were drawn, one
# build.
USUAL = """
import sys, tempfile, time as clock, numpy as np
from brian2 import *
seconds = float(sys.argv[1])
folder = tempfile.mkdtemp()
set_device("cpp_standalone", directory=folder, build_on_run=False)
defaultclock.dt = 0.1 * ms
tau, theta, v_reset, J, g = 20 * ms, 20 * mV, 10 * mV, 0.1 * mV, 5
cells = NeuronGroup(12500, "dv/dt = -v / tau : volt (unless refractory)", threshold="v > theta", reset="v = v_reset",
                    refractory=2 * ms, method="exact")
rng = np.random.default_rng(1)
synapses = []
for first, n, k, jump in ((0, 10000, 1000, "J"), (10000, 2500, 250, "-g * J")):
    s = Synapses(cells[first:first + n], cells, on_pre=f"v_post += {jump}", delay=1.5 * ms)
    s.connect(i=rng.integers(0, n, 12500 * k, dtype=np.int32), j=np.repeat(np.arange(12500, dtype=np.int32), k))
    synapses.append(s)
drive = PoissonInput(cells, "v", 1000, 20 * Hz, J)
spikes = SpikeMonitor(cells)
net = Network(cells, *synapses, drive, spikes)
net.run(seconds * second)
device.build(directory=folder, compile=True, run=False)
begin = clock.perf_counter()
device.run()
print("RESULT", (clock.perf_counter() - begin) / seconds, len(spikes.i) / 12500 / seconds)
import shutil
shutil.rmtree(folder)
"""


def usual(seconds: float) -> float:
    """Return the seconds of the compiled program a biological second, as usually written."""
    done = subprocess.run(
        [sys.executable, "-c", USUAL, str(seconds)], capture_output=True, text=True, check=False
    )
    line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT")), None)
    if line is None:
        raise RuntimeError(
            f"Brian2 failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        )
    return float(line.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    circuit = circuits.resolve(circuits.load("brunel2000_ai"))

    def ours() -> float:
        simulate = lambda: brian_circuit.simulate(  # noqa: E731
            circuit, duration_ms=1e3 * options.seconds, seed=1
        )
        return engine_seconds(simulate) / options.seconds

    unit = "s a biological second, 1 core"
    mine, theirs = in_turn(ours, lambda: usual(options.seconds), options.pairs)
    rows = [row("brunel_ai_brian2", "Brian2 as usually written", unit, mine, theirs, ">= 4x")]
    mine, theirs = in_turn(ours, lambda: ask_peer(NEST, options.seconds / 10)[0], options.pairs)
    rows.append(row("brunel_ai_brian2", "NEST 3.10, 1 thread", unit, mine, theirs, ">= 12x"))
    show(rows)


if __name__ == "__main__":
    main()
