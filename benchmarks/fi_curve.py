"""The f-I curve of 1,000 LIF cells: our engine and NEST, in turn.

2 s at a step of 0.1 ms, warm (built before).

    python benchmarks/fi_curve.py [--pairs N]

Time is that of simulating, without building: for us the run of the compiled executable with its
start, for NEST `Run`. The error is the largest relative one of a cell's rate compared with the
closed form, over cells above 5 Hz.
"""

from __future__ import annotations

import argparse

import numpy as np
from pairs import ask_peer, engine_seconds, in_turn, row, show

from neurosparse import LIF
from neurosparse.lif import rate
from neurosparse.spiking import fi_curve

CELL = LIF(
    tau_m_ms=20.0,
    resistance_MOhm=100.0,
    e_leak_mV=-70.0,
    v_threshold_mV=-50.0,
    v_reset_mV=-70.0,
    t_ref_ms=2.0,
)
CURRENTS_NA = np.linspace(0.1, 0.6, 1000)

NEST = """
import sys, time, nest, numpy as np
model = sys.argv[1]
nest.set_verbosity("M_ERROR")
nest.ResetKernel()
nest.set(resolution=0.1, local_num_threads=1)
cell = dict(C_m=200.0, tau_m=20.0, t_ref=2.0, E_L=-70.0, V_reset=-70.0, V_m=-70.0, V_th=-50.0)
currents = np.linspace(0.1, 0.6, 1000)
cells = nest.Create(model, 1000, params=cell)
cells.I_e = 1e3 * currents
recorder = nest.Create("spike_recorder")
nest.Connect(cells, recorder)
nest.Prepare()
begin = time.perf_counter()
nest.Run(2000.0)
took = time.perf_counter() - begin
nest.Cleanup()
events = recorder.events
times = {}
for sender, t in zip(events["senders"], events["times"]):
    times.setdefault(sender, []).append(t)
current = currents - 0.2
with np.errstate(invalid="ignore", divide="ignore"):
    exact = np.where(current > 0, 1e3 / (2.0 + 20.0 * np.log1p(0.2 / current)), 0.0)
errors = [abs((len(t) - 1) / (t[-1] - t[0]) * 1e3 / exact[k] - 1)
          for k in range(1000) if exact[k] > 5 for t in [times[cells[k].global_id]]]
print("RESULT", took, max(errors))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int)
    options = parser.parse_args()

    def ours() -> float:
        return engine_seconds(lambda: fi_curve(CELL, CURRENTS_NA))

    theory = rate(CURRENTS_NA, CELL)
    errors = np.abs(fi_curve(CELL, CURRENTS_NA).relative_error[theory > 5])
    rows = []
    for model in ("iaf_psc_delta", "iaf_psc_delta_ps"):
        nest_error = ask_peer(NEST, model)[1]
        mine, theirs = in_turn(ours, lambda model=model: ask_peer(NEST, model)[0], options.pairs)  # type: ignore[misc]
        rows.append(
            row("fi_curve", f"NEST 3.10 {model}", "s, 1,000 cells, 2 s", mine, theirs, ">= 4x")
        )
        error = float(errors.max())
        rows.append(
            row(
                "fi_curve",
                f"error of NEST {model}",
                "largest relative error",
                [error],
                [nest_error],
                "< 1e-4",
            )
        )
    show(rows)


if __name__ == "__main__":
    main()
