"""How sparse may a rectifier network be before its error rises?

Source: Glorot, Bordes & Bengio 2011, figure 3: 200 rectifier networks with L1 penalties from 0 to 0.01, MNIST; here 5,000 digits.
Expected: docs/accuracy.md. Into results/figure3/, with --quick (40 networks of 3 x 300 units, 10 epochs) into
results/figure3_quick/. Run time: 10 seconds of a busy core a network, 2 with --quick; what is done stays done.
"""

import argparse

from neurosparse.progress import on_stderr
from neurosparse.studies import figure3

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="40 small networks")
    parser.add_argument("--networks", type=int, help="how many (default: 200, or 40)")
    parser.add_argument("--threads", type=int, default=2, help="networks at once")
    options = parser.parse_args()
    folder, n = ("results/figure3_quick", 40) if options.quick else ("results/figure3", 200)
    try:
        n = options.networks or n
        print(figure3.run(folder, n=n, quick=options.quick, threads=options.threads, progress=on_stderr))
    except (ValueError, OSError) as error:
        parser.error(str(error))
