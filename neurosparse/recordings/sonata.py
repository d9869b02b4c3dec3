"""HDF5 files of spikes: SONATA, and NWB under another suffix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import foreign_hdf5 as hdf5
from neurosparse._internal.imports import need
from neurosparse._internal.names import clean
from neurosparse._internal.types import Array, Foreign
from neurosparse.recordings import nwb
from neurosparse.recordings.columns import Told, indexed, unit_of_time
from neurosparse.recordings.recording import UnitTable

RANK = 3
USES = ()
_IDS = ("node_ids", "gids")  # the second in files of before SONATA 0.1
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}


def fits(path: Path) -> bool:
    """Return whether it is a file with a suffix of HDF5."""
    return path.is_file() and path.suffix.lower() in (".h5", ".hdf5")


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the nodes that fired, all populations of the file together."""
    need("h5py", "reading HDF5")
    arrays = hdf5.read(path, contents)
    if "nwb_version" in arrays:
        return [nwb.of_arrays(arrays)]
    names = sorted({name.partition("/")[0] for name in arrays}, key=int)
    parts, first = [], 0
    for k in names:
        units, ids, n_units = indexed(arrays[f"{k}/ids"], None)
        parts.append((arrays[f"{k}/times_s"], units + first, ids, str(arrays[f"{k}/name"])))
        first += n_units
    columns = {"node_id": np.concatenate([ids for _, _, ids, _ in parts])}
    if parts[0][3]:
        populations = np.array([name for *_, name in parts])
        columns["population"] = np.repeat(populations, [ids.size for _, _, ids, _ in parts])
    return [
        UnitTable(
            format="SONATA",
            n_units=first,
            times_s=np.concatenate([times for times, *_ in parts]),
            units=np.concatenate([units for _, units, *_ in parts]),
            columns=columns,
        )
    ]


def contents(file: Foreign) -> dict[str, Array]:
    """Return the populations of an open SONATA file, checked; or the units of an NWB file."""
    import h5py

    if "nwb_version" in file.attrs:
        return nwb.contents(file)
    spikes = nwb.member(file, "spikes")
    if not isinstance(spikes, h5py.Group):
        raise ValueError(
            "it is HDF5, but neither NWB nor SONATA: it states no nwb_version and has no group"
            " /spikes"
        )
    groups = [("", spikes)] if "timestamps" in spikes else []
    if not groups:
        groups = [(str(name), nwb.member(spikes, name)) for name in spikes]
        groups = [
            (name, g) for name, g in groups if isinstance(g, h5py.Group) and "timestamps" in g
        ]
    if not groups:
        raise ValueError("its group /spikes holds no population with timestamps")
    arrays: dict[str, Array] = {}
    for k, (name, group) in enumerate(groups):
        arrays[f"{k}/name"] = np.array(clean(name))
        arrays[f"{k}/times_s"], arrays[f"{k}/ids"] = _population(h5py, group)
    return arrays


def _population(h5py: Foreign, group: Foreign) -> tuple[NDArray[np.float64], Array]:
    key = next((name for name in _IDS if name in group), None)
    if key is None:
        raise ValueError(f"its {group.name!r} has timestamps but no node_ids")
    stamps, node_ids = (nwb.array_in(h5py, group, name) for name in ("timestamps", key))
    times, ids = nwb.whole(stamps), nwb.whole(node_ids)
    if times.ndim != 1 or times.shape != ids.shape or times.dtype.kind not in "iuf":
        raise ValueError(
            f"its timestamps and {key} must be numbers of one length, got shapes {times.shape} and"
            f" {ids.shape}"
        )
    if ids.dtype.kind not in "iu":
        raise ValueError(f"its {key} must be whole numbers, got dtype {ids.dtype}")
    unit = unit_of_time(clean(stamps.attrs.get("units", "ms")))
    return times.astype(np.float64) * _SECONDS[unit], ids
