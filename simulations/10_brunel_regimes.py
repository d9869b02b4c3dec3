"""Which states does a sparse random network have, and how many cells fire in each?

It is a network of excitatory and inhibitory LIF cells.

Source: Brunel 2000, J Comput Neurosci 8:183, figure 8: synchronous regular (A), fast oscillation
(B), asynchronous irregular (C), slow oscillation (D); 12,500 cells with 15.6 million synapses.

Expected: near the mean-field rates of 55.8 Hz (B), 38.0 Hz (C) and 6.5 Hz (D), the last one lower
in simulation. Synchrony, in bins of 3 ms, is least in C but for A, whose period is 3 ms: every bin
holds as many spikes. Between 5.8 and 100 % are active in 10 ms: none of these states is as sparse
as a brain. Figures of each in results/brunel2000/.

Run time: about a minute.
"""

from pathlib import Path

from neurosparse._internal import share
from neurosparse.simulation import SimulationSpec, run

REGIMES = {"A": "brunel2000_sr", "B": "brunel2000_fast", "C": "brunel2000_ai", "D": "brunel2000_si"}

if __name__ == "__main__":
    share.parser(__doc__).parse_args()
    print("state  recipe             Hz   ISI CV  synchrony  active in 10 ms")
    for state, recipe in REGIMES.items():
        result = run(
            SimulationSpec(recipe=recipe, seconds=1.0), Path("results/brunel2000") / recipe
        )
        row = result.rows[0]
        numbers = (
            f"{row['rate_hz']:6.2f}  {row['isi_cv'] or float('nan'):7.2f}  {row['synchrony']:9.1f} "
            f" {100 * row['active_fraction']:13.1f} %"
        )
        print(f"{state}      {recipe:<16} {numbers}")
