"""How fast and how unevenly does a noisy cortical population fire?

And does theory say so beforehand?

Source: Brunel 2000 (the network), Roxin et al. 2011 (log-normal rates), Buzsaki & Mizuseki 2014
(cortex).

Expected: excitatory cells near 1.9 Hz, inhibitory ones near 5.8 Hz, within a tenth of mean field or
so; the standard deviation of ln(rate) above 1. Figure in results/cortical_population.png.

Run time: about 5 s for 10 s of 5,000 cells; the first run on a machine compiles for about 10 s.
"""

from pathlib import Path

import numpy as np

from neurosparse import plots
from neurosparse._internal import share
from neurosparse._internal import whole_files as files
from neurosparse.activity import ActiveWhen
from neurosparse.meanfield import solve
from neurosparse.measurement import measure
from neurosparse.spiking import load_population, simulate_population
from neurosparse.spiking.population import mean_field


def main(figure: Path = Path("results/cortical_population.png")) -> None:
    """Simulate 10 s, print rates next to mean field, and draw the rates.

    How many cells are active in 10 ms is printed, too.
    """
    spec = load_population("cortical_population")
    theory = solve(mean_field(spec), start_hz=3.0)
    spikes = simulate_population(spec, duration_ms=10_000.0, seed=1)
    print("cells  rate Hz  theory Hz  sd of ln(rate)  theory  active in 10 ms")
    stats = [
        measure(spikes.population(n), active_when=ActiveWhen(window_ms=10.0), name=n)
        for n in spikes.populations
    ]
    for k, s in enumerate(stats):
        spread = np.log(s.unit_rates_hz[s.unit_rates_hz > 0]).std()
        print(
            f"{s.name:5}  {s.mean_rate_hz:7.2f}  {theory.mean_hz[k]:9.2f}  {spread:14.2f}", end=""
        )
        print(f"  {theory.log_sd[k]:6.2f}  {s.active_fraction:15.2%}")
    with files.new_file(figure) as file, plots.style():
        plots.rate_histogram(stats).figure.savefig(file, format="png", bbox_inches="tight")
    print(f"Figure: {figure}")


if __name__ == "__main__":
    share.parser(__doc__).parse_args()
    main()
