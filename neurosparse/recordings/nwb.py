"""NWB files (Neurodata Without Borders 2): the table of units <-> SpikeTrains.

They are read through h5py alone, by the layout that the NWB 2 schema fixes. Any version of pynwb,
and files with extensions, are read alike, and nothing is loaded that was not asked for. Reading is
in a process of its own, for a file may lie (`hdf5`). Written through pynwb, so that the file
carries its schema.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal import foreign_hdf5 as hdf5
from neurosparse._internal.imports import need
from neurosparse._internal.names import clean, clean_array
from neurosparse._internal.types import Array, Foreign
from neurosparse._internal.whole_files import new_file
from neurosparse.activity import SpikeTrains
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable, names_of_units

RANK = 0
USES = ()
ALL_UNITS = "All units of a circuit, the silent ones included (neurosparse)."
_COLUMN = "column/"  # before the names of columns among those of arrays
_NOT_COLUMNS = ("spike_times", "obs_intervals", "electrodes", "electrode_group", "waveforms")


# ---- Reading
# --------------------------------------------------------------------------------------------------


def fits(path: Path) -> bool:
    """Return whether it has the suffix of NWB."""
    return path.suffix.lower() == ".nwb"


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the units of an NWB file."""
    need("h5py", "reading NWB")
    if not path.is_file():
        raise FileNotFoundError(f"no NWB file {path}")
    return [of_arrays(hdf5.read(path, contents))]


def of_arrays(arrays: dict[str, Array]) -> UnitTable:
    """Return the units that `contents` found."""

    def owners(stops: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.repeat(np.arange(stops.size), np.diff(stops, prepend=0))

    observed, resolution = arrays.get("obs_intervals"), arrays.get("resolution")
    return UnitTable(
        format=f"NWB {arrays['nwb_version']}",
        n_units=arrays["spike_times_index"].size,
        times_s=arrays["spike_times"],
        units=owners(arrays["spike_times_index"]),
        columns={
            name.removeprefix(_COLUMN): array
            for name, array in arrays.items()
            if name.startswith(_COLUMN)
        },
        observed_s=observed,
        observed_units=None if observed is None else owners(arrays["obs_intervals_index"]),
        resolution_s=None if resolution is None else float(resolution),
        all_units=bool(arrays["all_units"]),
    )


# ---- In the process that reads
# --------------------------------------------------------------------------------------------------


def contents(file: Foreign) -> dict[str, Array]:
    """Return what an open NWB file says of its units, checked.

    ValueError where it does not hold together.
    """
    import h5py

    version = clean(file.attrs.get("nwb_version", ""))
    if not version.startswith("2"):
        message = (
            f"its nwb_version is {version!r}"
            if version
            else "it is HDF5, but states no nwb_version"
        )
        raise ValueError(f"{message}: only NWB 2 is read")
    units = member(file, "units")
    if not isinstance(units, h5py.Group) or "id" not in units:
        raise ValueError("it has no table of units")
    n_units = int(array_in(h5py, units, "id").shape[0])
    if n_units == 0:
        raise ValueError("its table of units is empty")
    if "spike_times" not in units:
        raise ValueError("its units have no spike_times")
    times, stops = _ragged(h5py, units, "spike_times", n_units)
    times = _numbers(times, "spike_times", ndim=1)
    falling = np.diff(times) < 0
    # from the last of a unit to the first of another
    falling[stops[(stops > 0) & (stops < times.size)] - 1] = False
    if falling.any():
        unit = int(np.searchsorted(stops, np.argmax(falling), side="right"))
        raise ValueError(
            f"spike times of unit {unit} are not in ascending order: it is damaged, or was not"
            " sorted"
        )
    arrays = {
        "nwb_version": np.array(version),
        "all_units": np.array(clean(units.attrs.get("description", "")) == ALL_UNITS),
        "spike_times": times,
        "spike_times_index": stops,
    }
    if "obs_intervals" in units:
        observed, arrays["obs_intervals_index"] = _ragged(h5py, units, "obs_intervals", n_units)
        arrays["obs_intervals"] = _numbers(observed, "obs_intervals", ndim=2)
    if (resolution := units["spike_times"].attrs.get("resolution")) is not None:
        arrays["resolution"] = np.array(float(resolution))
    columns = {**_columns(h5py, units, n_units), **_locations(h5py, file, units, n_units)}
    return {**arrays, **{f"{_COLUMN}{name}": column for name, column in columns.items()}}


def member(group: Foreign, name: str) -> Foreign:
    """Return a member of a group, or None; ValueError where a link leads to another file."""
    item = group.get(name)
    if item is not None and item.file.filename != group.file.filename:
        raise ValueError(f"its {name!r} is kept in another file, which is not read")
    return item


def array_in(h5py: Foreign, group: Foreign, name: str) -> Foreign:
    """Return a dataset of a group; ValueError where there is none."""
    dataset = member(group, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim == 0:
        raise ValueError(f"its {name!r} is missing or not an array")
    return dataset


def whole(dataset: Foreign) -> Array:
    """Return a whole dataset, refused where it promises more than its bytes can hold."""
    if (promised := hdf5.promised_bytes(dataset)) > hdf5.MOST_BYTES:
        raise ValueError(
            f"its {dataset.name!r} is of {promised:,} bytes, more than {hdf5.MOST_BYTES:,}"
        )
    return np.asarray(dataset[()])


def _ragged(
    h5py: object, table: object, name: str, n_units: int
) -> tuple[Array, NDArray[np.int64]]:
    """Return the values of a ragged column, and for each unit one past its last value."""
    values = whole(array_in(h5py, table, name))
    stops = whole(array_in(h5py, table, f"{name}_index"))
    if stops.shape != (n_units,) or stops.dtype.kind not in "iu":
        raise ValueError(f"its {name}_index must hold a whole number for each of {n_units:,} units")
    stops = stops.astype(np.int64)
    if stops[0] < 0 or (np.diff(stops) < 0).any() or stops[-1] != len(values):
        raise ValueError(f"its {name}_index does not divide the {len(values):,} entries of {name}")
    return values, stops


def _numbers(values: Array, name: str, ndim: int) -> NDArray[np.float64]:
    if (
        values.dtype.kind not in "iuf"
        or values.ndim != ndim
        or (ndim == 2 and values.shape[1] != 2)
    ):
        raise ValueError(f"its {name} are not times: dtype {values.dtype}, shape {values.shape}")
    return values.astype(np.float64, copy=False)


def _columns(h5py: Foreign, units: Foreign, n_units: int) -> dict[str, Array]:
    """Return the columns with one number, truth value or text a unit.

    Such as quality metrics, labels and regions.
    """
    columns = {}
    for name in units:
        if name in _NOT_COLUMNS or name.endswith("_index") or f"{name}_index" in units:
            continue
        dataset = member(units, name)
        if isinstance(dataset, h5py.Dataset) and dataset.shape == (n_units,):
            if h5py.check_string_dtype(dataset.dtype) is not None:
                columns[name] = clean_array(whole(dataset))
            elif dataset.dtype.kind in "biuf":
                columns[name] = whole(dataset)
    return columns


def _locations(h5py: Foreign, file: Foreign, units: Foreign, n_units: int) -> dict[str, Array]:
    """Return where each unit lies by its electrodes, or by its electrode group.

    "several" where its electrodes differ.
    """
    electrodes = member(file, "general/extracellular_ephys/electrodes")
    if "electrodes" in units and isinstance(electrodes, h5py.Group) and "location" in electrodes:
        rows, stops = _ragged(h5py, units, "electrodes", n_units)
        places, code = np.unique(
            clean_array(whole(array_in(h5py, electrodes, "location"))), return_inverse=True
        )
        if rows.size and not 0 <= rows.min() <= rows.max() < code.size:
            raise ValueError("its units name electrodes that are not in its table of electrodes")
        counts = np.diff(stops, prepend=0)
        has = counts > 0
        low, high = np.zeros(n_units, dtype=np.int64), np.zeros(n_units, dtype=np.int64)
        if has.any():
            starts = (stops - counts)[has]
            low[has], high[has] = (
                np.minimum.reduceat(code[rows], starts),
                np.maximum.reduceat(code[rows], starts),
            )
        found = np.where(low == high, places[low], "several")
        return {"electrodes.location": np.where(has, found, "")}
    if (
        "peak_channel_id" in units
        and isinstance(electrodes, h5py.Group)
        and "location" in electrodes
    ):
        return _of_peak_channels(h5py, units, electrodes, n_units)
    if "electrode_group" in units and member(units, "electrode_group").shape == (n_units,):
        references = whole(units["electrode_group"])
        names = [h5py.h5r.get_name(reference, file.id) for reference in references]
        known = {name: clean(file[name].attrs.get("location", "")) for name in set(names)}
        return {"electrode_group.location": np.array([known[name] for name in names], dtype=str)}
    return {}


def _of_peak_channels(
    h5py: object, units: object, electrodes: object, n_units: int
) -> dict[str, Array]:
    """Return where each unit lies by its peak channel, as the Allen Institute's files have it."""
    peaks = whole(array_in(h5py, units, "peak_channel_id"))
    ids = whole(array_in(h5py, electrodes, "id"))
    places = clean_array(whole(array_in(h5py, electrodes, "location")))
    if peaks.shape != (n_units,) or ids.shape != places.shape or not ids.size:
        return {}
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], peaks), ids.size - 1)
    known = ids[order][at] == peaks
    return {"electrodes.location": np.where(known, places[order][at], "")}


# ---- Writing
# --------------------------------------------------------------------------------------------------


def write_nwb(
    spikes: SpikeTrains,
    path: str | Path,
    *,
    all_units: bool = True,
    description: str = "Spikes of a circuit.",
    session_start: datetime | None = None,
) -> Path:
    """Write spikes to an NWB file.

    It has spike_times, obs_intervals, the grid as resolution, and the populations as a column.

    The table of units is built from whole columns: a unit at a time (`add_unit`) would take a
    hundred times as long.

    Parameters
    ----------
    spikes
        The spikes, with times in ms; they are written in s.
    path
        Ends in .nwb; a file that stands there is replaced.
    all_units
        Whether the silent units are among them, as in a simulation. If not, `read` will say that
        the fraction is an upper bound.
    description
        What the session was.
    session_start
        When it began, with a time zone; now, if None.

    Raises
    ------
    ValueError
        Where populations overlap: a unit has one entry in a column.
    OSError
        Where the file cannot be written.
    MissingPackageError
        Where pynwb is not installed.
    """
    path = checks.path("path", path)
    if path.suffix != ".nwb":
        raise ValueError(f"NWB files are named .nwb, got {path}")
    names = (
        names_of_units(spikes.populations, spikes.n_units).tolist() if spikes.populations else None
    )
    pynwb = need("pynwb", "writing NWB")
    common = need("hdmf.common", "writing NWB")

    by_unit = np.argsort(spikes.units, kind="stable")  # in time within a unit
    times = common.VectorData(
        name="spike_times",
        description="Spike times in s.",
        data=(spikes.start_ms + spikes.times_ms[by_unit]) * 1e-3,
    )
    of_a_unit = (spikes.start_ms + spikes.intervals) * 1e-3
    observed = common.VectorData(
        name="obs_intervals",
        description="When each unit was observed, in s.",
        data=np.tile(of_a_unit, (spikes.n_units, 1)),
    )
    columns = [
        times,
        common.VectorIndex(name="spike_times_index", data=np.cumsum(spikes.counts), target=times),
        observed,
        common.VectorIndex(
            name="obs_intervals_index",
            data=np.arange(1, spikes.n_units + 1) * len(of_a_unit),
            target=observed,
        ),
    ]
    if names is not None:
        columns.append(
            common.VectorData(
                name="population", description="The population of each unit.", data=names
            )
        )
    session = pynwb.NWBFile(
        session_description=description,
        identifier=str(uuid.uuid4()),
        session_start_time=session_start or datetime.now(UTC),
        source_script=f"neurosparse {metadata.version('neurosparse')}",
        source_script_file_name="neurosparse",
    )
    session.units = pynwb.misc.Units(
        name="units",
        description=ALL_UNITS if all_units else "Units.",
        id=np.arange(spikes.n_units),
        columns=columns,
        colnames=["spike_times", "obs_intervals", *(["population"] if names is not None else [])],
        resolution=None if spikes.dt_ms is None else spikes.dt_ms * 1e-3,
    )
    with new_file(path) as file, pynwb.NWBHDF5IO(str(file), "w") as io:
        io.write(session)
    return path
