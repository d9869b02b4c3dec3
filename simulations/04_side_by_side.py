"""How many are active at once, in a spiking circuit, in rectifier networks and in the brain?

Source: Glorot, Bordes & Bengio 2011, sections 2 and 3 (PMLR 15:315-323), and the references for
"1-4 %" given there.

Expected figure: results/side_by_side/figures/active_fraction_over_window.png. The active fraction
of the circuits rises with the window and crosses the band of 1-4 % between about 3 and 15 ms. The
network with L1 lies below the one without, and the sigmoid network starts at 50 %.

Run time: about 2 minutes on 2 cores, after a minute of compilation on first use.
"""

from pathlib import Path

from neurosparse._internal import share
from neurosparse.sidebyside import SideBySideSpec, run

if __name__ == "__main__":
    share.parser(__doc__).parse_args()
    comparison = run(
        SideBySideSpec(), Path("results/side_by_side"), show=lambda job, done, text: None
    )
    print("\n".join(comparison.answer()))
    print("Page: results/side_by_side/report.html")
