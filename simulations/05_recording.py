"""In which window are two driven auditory receptors of a locust 1-4 % active?

And how far from cortex is that? Source: recordings that the package nitime carries (`pip install
nitime`): 10 s under amplitude-modulated sound, times in us.

Expected: 92.9 and 86.8 Hz with ISI CV 0.53 and 0.45; 1-4 % active in windows of 0.11 to 0.44 ms,
shorter than a spike. Two cells that were chosen because they fire say nothing of how many of their
kind are silent: the fraction is an upper bound. Figure and page in results/recording/.

Run time: 10 s.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

import neurosparse as ns
from neurosparse import report
from neurosparse._internal import share
from neurosparse.recordings import read
from neurosparse.recordings.nwb import write_nwb
from neurosparse.sparsity import isi_cv


def main(folder: str | Path = "results/recording", duration_s: float = 10.0) -> ns.Comparison:
    """Write the trains as NWB, read them back and measure them, as `neurosparse measure` would."""
    nitime = find_spec("nitime")
    if nitime is None or nitime.origin is None:
        raise SystemExit("the locust spike trains come with nitime: pip install nitime")
    data = Path(nitime.origin).parent / "data"
    trains_ms = [np.loadtxt(data / f"grasshopper_spike_times{k}.txt") * 1e-3 for k in (1, 2)]
    units = np.repeat([0, 1], [t.size for t in trains_ms])
    spikes = ns.SpikeTrains(
        np.concatenate(trains_ms), units, n_units=2, duration_ms=1e3 * duration_s
    )
    recording = read(
        write_nwb(
            spikes, Path(folder) / "locust.nwb", all_units=False, description="Locust receptors."
        )
    )
    stats = ns.measure(
        recording.spikes, active_when=ns.ActiveWhen(window_ms=10.0), name="locust receptors"
    )
    report.write(comparison := ns.compare(stats, provenance=recording.provenance), folder)
    print(
        "rates (Hz):", stats.unit_rates_hz.round(1), " ISI CV:", isi_cv(recording.spikes).round(2)
    )
    print(*comparison.answer(), recording.note, sep="\n")
    return comparison


if __name__ == "__main__":
    share.parser(__doc__).parse_args()
    main()
