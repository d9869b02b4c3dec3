"""How sparse may a rectifier network be before its error rises?

Source: Glorot, Bordes & Bengio 2011, figure 3: 200 rectifier networks with L1 penalties from 0 to
0.01, MNIST; here 5,000 digits. The networks are those of `neurosparse sweep figure3`.

Expected: docs/findings/figure3.md. Into results/figure3/, with --quick (40 networks of 3 x 300
units, 10 epochs) into results/figure3_quick/.

Run time: 10 to 30 seconds of a core a network, 2 with --quick; what is done stays done.
"""

from pathlib import Path

from neurosparse import sweep
from neurosparse._internal import share
from neurosparse.progress import on_stderr
from neurosparse.studies import figure3

if __name__ == "__main__":
    parser = share.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="40 small networks")
    parser.add_argument("--workers", type=int, help="networks at once (default: the cores)")
    options = parser.parse_args()
    name = "figure3_quick" if options.quick else "figure3"
    folder = Path("results", name)
    try:
        networks = sweep.run(sweep.load(name), folder, workers=options.workers, progress=on_stderr)
        print("\n".join(networks.lines()))
        print(figure3.write(networks.rows, folder))
    except (ValueError, OSError) as error:
        parser.error(str(error))
