"""Files <-> SpikeTrains: NumPy archives, NWB, and through Neo the formats of most recording
systems. Pickle is never opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurosparse._internal.imports import MissingPackageError
from neurosparse.activity import SpikeTrains
from neurosparse.recordings import npz
from neurosparse.recordings.recording import UPPER_BOUND, Recording
from neurosparse.recordings.selection import Wanted

__all__ = ["UPPER_BOUND", "MissingPackageError", "Recording", "load_spikes", "read", "save_spikes"]


def read(
    path: str | Path,
    *,
    where: Sequence[str] = (),
    populations: str | None = None,
    start_s: float | None = None,
    duration_s: float | None = None,
) -> Recording:
    """Read the spikes of a recording, with where they come from.

    What is read is one unbroken stretch during which *all* selected units were observed, since a
    window has no meaning across a gap. Where the file states observation (NWB `obs_intervals`, Neo
    `t_start` and `t_stop`), it is the longest stretch that all share, or the part of one that
    `start_s` and `duration_s` ask for; where it states none, `duration_s` is needed. Spikes outside
    it are dropped and counted (`Recording.n_outside`).

    Parameters
    ----------
    path
        A .npz or .nwb file, or any file or folder that Neo reads.
    where
        Conditions on the columns of the units, all of which a unit must meet: "quality=good",
        "isi_violations<0.5", "group!=noise".
    populations
        The column whose values name the populations. By default the first of the columns that say
        where a unit lies (population, brain_area, brain_region, region, area, location,
        electrodes.location, electrode_group.location).
    start_s, duration_s
        The part to read, in the file's own time. `start_s` is 0 where the file states no
        observation.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no such file, it is damaged or of another format, no unit meets `where`, or
        no time is common to all units; one sentence.
    MissingPackageError
        Where a package that the format needs is not installed.

    Examples
    --------
    >>> import tempfile
    >>> spikes = SpikeTrains([1.0, 2.5], [0, 1], n_units=3, duration_ms=10.0, dt_ms=0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recording = read(save_spikes(spikes, f"{folder}/spikes.npz"), duration_s=0.002)
    >>> len(recording.spikes), recording.n_outside
    (1, 1)
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no spike file {path}")
    wanted = Wanted(tuple(where), populations, start_s, duration_s)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return npz.read_npz(path, wanted)
    if suffix == ".nwb":
        from neurosparse.recordings.nwb import read_nwb

        return read_nwb(path, wanted)
    from neurosparse.recordings.neo_files import read_neo

    return read_neo(path, wanted)


def save_spikes(spikes: SpikeTrains, path: str | Path) -> Path:
    """Write spikes to a .npz or .nwb file, with all units, the duration, dt and the populations.

    Raises
    ------
    ValueError, OSError
        On another suffix, or where the file cannot be written.
    """
    path = _ours(path)
    if path.suffix == ".npz":
        return npz.write_npz(spikes, path)
    from neurosparse.recordings.nwb import write_nwb

    return write_nwb(spikes, path)


def load_spikes(path: str | Path) -> SpikeTrains:
    """Read spikes that `save_spikes` wrote; `read` gives any other recording, with where it comes
    from.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no such file, or it is truncated, foreign or damaged; one sentence.
    """
    return read(_ours(path)).spikes


def _ours(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in (".npz", ".nwb"):
        raise ValueError(f"spikes are kept in .npz or .nwb files, got {path}")
    return path
