"""What do electrodes that miss rarely firing cells make of the active fraction of a column?

Source: Potjans & Diesmann 2014, Cereb Cortex 24:785: all 77,169 cells are known here. Buzsaki &
Mizuseki 2014, Nat Rev Neurosci 15:264: rates are log-normal, and recordings favour fast cells.

Expected: docs/findings/electrodes.md. Of all cells of the column 3.2 % fire in 10 ms, of those at
or above 1 Hz 4.6 %. The correction for log-normal rates holds up to 0.2 Hz and is too small beyond.
Figure in results/electrodes/.

Run time: about 3 minutes and 1.3 GB of memory on two cores; `--quick` takes the 5,000 cells of
the recipe cortical_population in place of the column, and half a minute.
"""

from pathlib import Path

import neurosparse as ns
from neurosparse import plots
from neurosparse._internal import share
from neurosparse.studies import electrodes

BELOW_HZ = (0.1, 0.2, 0.5, 1.0, 2.0)


def main(out: Path, quick: bool) -> None:
    """Print the table, and draw the figure into `out`."""
    recipe = "cortical_population" if quick else "potjans2014"
    spikes = ns.simulate(recipe, seconds=10.0, seed=1)
    found = [electrodes.missed(spikes, below, 10 if quick else 100) for below in BELOW_HZ]
    print(f"{recipe}: {100 * found[0].truth:.2f} % of all {spikes.n_units:,} cells in 10 ms")
    print(electrodes.table(found))
    out.mkdir(parents=True, exist_ok=True)
    with plots.style():
        plots.save(out / "electrodes.png", electrodes.draw(found), also=[".svg"])
    print(f"Figure: {out}")


if __name__ == "__main__":
    parser = share.parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/electrodes"))
    parser.add_argument("--quick", action="store_true", help="a small circuit, fewer probes")
    main(**vars(parser.parse_args()))
