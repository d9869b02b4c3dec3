"""Does a simulated LIF cell fire at the rate that its closed form says?

Source: Glorot, Bordes & Bengio 2011, section 2.2 and figure 1.

Expected: 1,000 cells agree with the closed form to rounding (a relative error of 1e-12 or less),
since spikes are placed where the membrane crosses the threshold. Figure in results/fi_curve.png.

Run time: a few seconds; the first run on a machine compiles for about 10 s.
"""

from pathlib import Path

import numpy as np

from neurosparse import plots
from neurosparse._internal import share
from neurosparse._internal import whole_files as files
from neurosparse.spiking import fi_curve, load_lif


def main(figure: Path = Path("results/fi_curve.png")) -> None:
    """Simulate 1,000 currents, print the curve with its error and draw it."""
    lif = load_lif("lif_glorot2011")
    curve = fi_curve(lif, np.linspace(0.0, 10.0, 1000), duration_ms=2000.0)
    print("current nA  simulated Hz  closed form Hz")
    for k in range(0, 1000, 111):
        print(
            f"{curve.currents_nA[k]:10.3f}  {curve.rates_hz[k]:12.4f}  {curve.theory_hz[k]:14.4f}"
        )
    print(f"largest relative error: {curve.largest_error:.1e}")
    with files.new_file(figure) as file, plots.style():
        plots.fi_curve(lif, curve.currents_nA, curve.rates_hz).figure.savefig(file, format="png")
    print(f"Figure: {figure}")


if __name__ == "__main__":
    share.parser(__doc__).parse_args()
    main()
