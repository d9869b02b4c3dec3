"""Files <-> SpikeTrains: a module a format, found by suffix and content. Pickle is never opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from neurosparse._internal import checks, pytorch_files
from neurosparse._internal.imports import MissingPackageError
from neurosparse._internal.names import one_line
from neurosparse.activity import SpikeTrains, plausibility
from neurosparse.recordings import formats, nest_files, npz, pynapple_npz
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UPPER_BOUND, Recording, UnitTable
from neurosparse.recordings.selection import Wanted, chosen, conditions, named_columns, padded

__all__ = ["UPPER_BOUND", "MissingPackageError", "Recording", "load_spikes", "read", "save_spikes"]


def read(
    path: str | Path,
    *,
    where: Sequence[str] = (),
    populations: str | None = None,
    start_s: float | None = None,
    duration_s: float | None = None,
    n_units: int | None = None,
    time_unit: str | None = None,
    times: str | None = None,
    units: str | None = None,
    layout: str | None = None,
) -> Recording:
    """Read the spikes of a recording, with where they come from.

    What is read is the time during which *all* selected units were observed. A file may state
    observation (NWB `obs_intervals`, Neo `t_start` and `t_stop`, pynapple's `time_support`). Trials
    and gaps then become the intervals of the spikes, and `start_s` and `duration_s` ask for a part.
    Where it states none, `duration_s` is needed. Spikes outside are dropped and counted
    (`Recording.n_outside`).

    Parameters
    ----------
    path
        A .npz of this package or of pynapple; NWB; SONATA's .h5; a .mat; Parquet; a text with
        columns or a line a unit (.csv, .tsv, .txt); a .dat or .gdf of NEST, a folder of them or a
        pattern such as "out/spikes-13-*.dat"; a folder of Kilosort, phy or the IBL; or what Neo
        reads.
    where
        Conditions on the columns of the units, all of which a unit must meet: "quality=good",
        "isi_violations<0.5", "group!=noise".
    populations
        The column whose values name the populations. By default the first of the columns that say
        where a unit lies (population, brain_area, brain_region, region, area, location,
        electrodes.location, electrode_group.location).
    start_s, duration_s
        The part to read, in the file's own time. `start_s` is 0 where the file states no
        observation. Of several segments, all that hold this part are read.
    n_units
        All units that were observed, where the file holds only those that fired. With 1, a column
        of times needs none of units.
    time_unit
        The unit of times in a text, Parquet or .mat that does not state it: s, ms, us, ns or min.
    times, units
        The columns or MATLAB variables with the times, and the unit of each spike. Several name a
        unit together, as "probe,cluster_id" does.
    layout
        What a text without a header holds: "times,units", "units,times" or "trains", a line a unit.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no such file, or it is damaged or of another format. Where no unit meets
        `where`, no time is common to all units, or no spike lies in the time that is asked for.
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
    where = conditions(where)
    told = Told(
        n_units=n_units,
        time_unit=time_unit,
        times=times,
        units=units,
        layout=layout,
        others=named_columns(where, populations),
    )
    return read_wanted(
        checks.path("path", path).expanduser(),
        Wanted(where, populations, start_s, duration_s),
        told,
    )


def read_wanted(path: Path, wanted: Wanted, told: Told) -> Recording:
    """Read the spikes of a recording as `read` does, with what is asked for in two records."""
    several = _matching(path)
    if not several and not path.exists():
        raise FileNotFoundError(f"no spike file {path}")
    if not several and not (path.is_file() or path.is_dir()):  # such as a pipe, which would wait
        raise ValueError(f"{path} is neither a file nor a folder: write its content to a file")
    pytorch_files.refuse(path)
    if path.suffix.lower() == ".npz" and not several and not pynapple_npz.fits(path):
        if (name := told.first()) is not None:
            raise ValueError(f"{path} settles {name} itself: leave it out")
        return npz.read_npz(path, wanted)
    try:
        recording = _read(path, several, wanted, told)
    except MissingPackageError:
        raise
    except (ValueError, TypeError) as error:  # of values in a file that are of another type
        raise ValueError(f"cannot read spikes from {path}: {one_line(str(error))}") from None
    return replace(recording, said=(*recording.said, *plausibility(recording.spikes).notes))


def _read(path: Path, several: Sequence[Path], wanted: Wanted, told: Told) -> Recording:
    if several:
        tables: Sequence[UnitTable] = [nest_files.of_files(several, told)]
    else:
        tables = formats.tables(path, told)
    return chosen([replace(padded(table, told.n_units), path=path) for table in tables], wanted)


def takes(path: str | Path) -> frozenset[str]:
    """Return the parameters of `read` that mean something for a file, by its format.

    What selects units and time is among them for all, also where it will be refused.
    """
    path = checks.path("path", path)
    selecting = frozenset(("where", "populations", "start_s", "duration_s"))
    if path.suffix.lower() == ".npz" and not pynapple_npz.fits(path):
        return selecting
    if _matching(path):
        return selecting | {"n_units", "times", "units"}
    return selecting | {"n_units", *formats.takes(path)}


def _matching(path: Path) -> list[Path]:
    """Return the files that a pattern such as "spikes-13-*.dat" stands for; none for a path."""
    if not set("*?[") & set(path.name) or path.exists():
        return []
    return sorted(file for file in path.parent.glob(path.name) if file.is_file())


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
    """Read spikes that `save_spikes` wrote.

    `read` gives any other recording, with where it comes from.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no such file, or it is truncated, foreign or damaged; one sentence.
    """
    return read(_ours(path)).spikes


def _ours(path: str | Path) -> Path:
    path = checks.path("path", path)
    if path.suffix not in (".npz", ".nwb"):
        raise ValueError(f"spikes are kept in .npz or .nwb files, got {path}")
    return path
