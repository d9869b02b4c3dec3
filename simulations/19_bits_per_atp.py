"""At which share of active units does a network tell the most bits per molecule of ATP?

Source: Levy & Baxter 1996, Neural Computation 8:531 (the argument, for one neuron); the budgets of
Attwell & Laughlin 2001, Howarth et al. 2012 and Lennie 2003 (the costs).

Expected: docs/findings/bits_per_atp.md. Networks of 3 x 300 units on 5,000 digits, free and steered
to 30 to 1 % active, their bits (H - NLL on the test images) over the cost of their hidden units.
Into results/bits_per_atp/.

Run time: about 2 minutes of a core for two seeds; what is done stays done.
"""

from pathlib import Path

from neurosparse._internal import share
from neurosparse.progress import on_stderr
from neurosparse.studies.bits_per_atp import bits_per_atp

if __name__ == "__main__":
    parser = share.parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/bits_per_atp"))
    parser.add_argument("--seeds", type=int, default=3, help="networks an arm")
    parser.add_argument("--threads", type=int, default=1, help="networks at once")
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    print(bits_per_atp(options.out, seeds=seeds, threads=options.threads, progress=on_stderr))
