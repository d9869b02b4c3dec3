"""How do L1 strength, active units, spikes of an inference and accuracy go together?

Source: Glorot, Bordes & Bengio 2011, section 3.1 (the penalty); Rueckauer et al. 2017 (the
conversion). The networks of the recipe rectifier_l1, 5,000 digits, one a strength (one seed),
converted to IF neurons, 64 steps, 1,000 test images.

Expected: from L1 0 to 0.003, 44 to 14 % of units active, 18,000 to 4,900 spikes, 5.1 to 5.7 %
wrong, spiking within 0.2 points of that. The spikes need 11.3 to 7.0 times the operations of the
network without its zeros.

Run time: 4 minutes on one core.
"""

from pathlib import Path

from neurosparse import plots, recipes
from neurosparse._internal import share
from neurosparse.convert import l1
from neurosparse.progress import on_stderr
from neurosparse.rectifier import TrainSpec


def main(out: Path, steps: int, seed: int) -> None:
    """Print the table, and draw the figures into `out`."""
    spec = recipes.load("rectifier_l1").spec(TrainSpec, seed=seed)
    reports = l1.l1_to_spikes(spec=spec, steps=steps, progress=on_stderr)
    print(l1.table(reports))
    out.mkdir(parents=True, exist_ok=True)
    with plots.style():
        plots.save(out / "l1_to_spikes.png", plots.l1_to_spikes(reports), also=[".svg"])
        plots.save(out / "steps.png", plots.conversion(list(reports.values())), also=[".svg"])
    for strength, report in reports.items():
        report.save(out / f"l1_{strength:g}.json")
    print(f"Figures and reports: {out}")


if __name__ == "__main__":
    parser = share.parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/l1_to_spikes"))
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
