"""In which windows are 1, 2 and 4 % of the neurons of a cortical column active at once?

Source: Potjans & Diesmann 2014, Cereb Cortex 24:785: 77,169 cells in eight populations, with all
their 299 million synapses.

Expected: 3.2 Hz on average, so that 1, 2 and 4 % fire in windows of about 3.1, 6.2 and 12.4 ms. In
layers 2/3 and 6 the excitatory cells need three times as long. Figures, with the authors' rates, in
results/cortical_column/.

Run time: about a minute for 3 seeds of 1 s on two cores, after some 20 s of compilation on first
use; 1.3 GB of memory.
"""

from neurosparse._internal import share
from neurosparse.simulation import SimulationSpec, run, window_column

if __name__ == "__main__":
    share.parser(__doc__).parse_args()
    result = run(
        SimulationSpec(recipe="potjans2014", seconds=1.0, seeds=(1, 2, 3)),
        "results/cortical_column",
    )
    print("population    Hz (sd over seeds)   1 % (ms)   2 % (ms)   4 % (ms)")
    for name in result.populations:
        rate, spread = result.over_seeds(name, "rate_hz")
        windows = [result.over_seeds(name, window_column(share))[0] for share in (0.01, 0.02, 0.04)]
        print(
            f"{name:<10} {rate:6.2f} ({spread:.2f})      "
            + "".join(f"{window:11.2f}" for window in windows)
        )
    print("Page: results/cortical_column/report.html")
