"""MATLAB's .mat files, of all versions: variables that the user names, or blocks of Neo's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from neurosparse._internal import foreign_hdf5 as hdf5
from neurosparse._internal import limited_process
from neurosparse._internal.imports import need
from neurosparse._internal.types import Array, Foreign
from neurosparse.recordings import columns as by_name
from neurosparse.recordings import neo_files, nwb, tabular
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable

RANK = 3
USES = ("time_unit", "times", "units")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_V73_OFFSET = 512  # before HDF5 begins in a file of version 7.3
_MOST_CELLS = 1_000_000
_MOST_SHOWN = 12


def fits(path: Path) -> bool:
    """Return whether it is a file with MATLAB's suffix."""
    return path.is_file() and path.suffix.lower() == ".mat"


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the units of two variables, times and units, or of one cell array of times a unit.

    Variables have the names that the user states, or usual ones; a field of a struct is
    "name.field".
    """
    need("scipy.io", "reading .mat files")
    options = {"times": told.times, "units": told.units}
    if _is_hdf5(path):
        arrays = hdf5.read(path, contents_73, options=options)
    else:
        arrays = limited_process.read(
            path, contents, options=options, library="SciPy's reader", imports=("scipy.io",)
        )
    if "neo" in arrays:
        return neo_files.tables(path, told)
    names = [name for name in arrays if not name.endswith("/counts")]
    if len(names) == 2:
        return [tabular.of_columns(names, arrays.__getitem__, told, "MATLAB")]
    (name,) = names
    if f"{name}/counts" not in arrays:
        raise ValueError(
            f"its {name!r} is no cell array with the times of each unit: name the variable with the"
            " unit of each spike as units=NAME (--units)"
        )
    stated_unit = by_name.unit_in(name.rpartition(".")[2])
    trains = np.split(arrays[name], np.cumsum(arrays[f"{name}/counts"])[:-1])
    return [tabular.of_units(trains, range(len(trains)), told, "MATLAB", stated_unit=stated_unit)]


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_V73_OFFSET + len(_HDF5))
    return start.startswith(_HDF5) or start[_V73_OFFSET:] == _HDF5


# ---- In the process that reads
# --------------------------------------------------------------------------------------------------


def contents(path: Path, *, times: str | None, units: str | None) -> dict[str, Array]:
    """Return the wanted variables of a file before version 7.3."""
    import scipy.io

    listed = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
    if times is None and "block" in listed:
        return {"neo": np.array(True)}
    names = _wanted(list(listed), times, units)
    roots = sorted({name.partition(".")[0] for name in names})
    for root in roots:
        if root not in listed:
            raise ValueError(f"it has no variable {root!r}; there are: {_shown(listed)}")
    found = scipy.io.loadmat(path, variable_names=roots, struct_as_record=True)
    arrays: dict[str, Array] = {}
    for name in names:
        value = found[name.partition(".")[0]]
        for field in name.split(".")[1:]:
            value = _field(value, field, name)
        arrays |= _as_arrays(name, np.asarray(value))
    return arrays


def _wanted(there: Sequence[str], times: str | None, units: str | None) -> list[str]:
    """Return the variables of times and units: those that are named, or of usual names."""
    if times is not None:
        return [times] if units is None else [times, units]
    try:
        if by_name.can_find(there, Told(units=units)):
            first, _, second = by_name.find(there, Told(units=units))
            return [first, second]
        if units is None:
            return [by_name.find_times(there)]
    except ValueError:
        pass
    raise ValueError(
        "name the variable with the times as times=NAME (--times), and that with the unit of each"
        f" as units=NAME (--units) unless it is a cell array; there are: {_shown(there)}"
    )


def _shown(names: Sequence[str] | Mapping[str, object]) -> str:
    shown = [str(name) for name in names][:_MOST_SHOWN]
    return ", ".join([*shown, *(["..."] if len(names) > _MOST_SHOWN else [])]) or "none"


def _field(value: Foreign, field: str, name: str) -> Foreign:
    fields = getattr(getattr(value, "dtype", None), "names", None) or ()
    if field not in fields:
        raise ValueError(f"its {name!r} has no field {field!r}; there are: {_shown(fields)}")
    found = value[field]
    return found.item() if found.size == 1 else found


def _as_arrays(name: str, value: Array) -> dict[str, Array]:
    """Return a variable as an array, or a cell array as one array and the length of each cell."""
    if value.dtype != object:
        if value.dtype.kind not in "iufbU":
            raise ValueError(f"its {name!r} does not hold numbers but {value.dtype}")
        return {name: value.reshape(-1)}
    cells = [np.asarray(cell).reshape(-1) for cell in value.reshape(-1)]
    if cells and all(cell.dtype.kind == "U" and cell.size == 1 for cell in cells):
        return {name: np.concatenate(cells)}
    return _flat_cells(name, cells)


def _flat_cells(name: str, cells: Sequence[Array]) -> dict[str, Array]:
    wrong = [k for k, cell in enumerate(cells) if cell.dtype.kind not in "iuf"]
    if wrong or not cells:
        raise ValueError(f"its {name!r} is a cell array that does not hold numbers in each cell")
    counts = np.array([cell.size for cell in cells])
    return {name: np.concatenate(cells).astype(np.float64), f"{name}/counts": counts}


def contents_73(file: Foreign, *, times: str | None, units: str | None) -> dict[str, Array]:
    """Return the wanted variables of an open file of version 7.3, which is HDF5."""
    import h5py

    there = [str(name) for name in file if not name.startswith("#")]
    arrays: dict[str, Array] = {}
    for name in _wanted(there, times, units):
        node: Foreign = file
        for part in name.split("."):
            node = nwb.member(node, part) if isinstance(node, h5py.Group) else None
        if not isinstance(node, h5py.Dataset):
            raise ValueError(f"it has no variable {name!r}; there are: {_shown(there)}")
        if h5py.check_ref_dtype(node.dtype) is None:
            arrays |= _as_arrays(name, nwb.whole(node))
            continue
        if node.size > _MOST_CELLS:
            raise ValueError(f"its {name!r} has {node.size:,} cells, more than {_MOST_CELLS:,}")
        cells = [nwb.whole(file[reference]) for reference in nwb.whole(node).reshape(-1)]
        # MATLAB writes an empty cell as its size, 0 and 0
        empty = [cell.dtype.kind == "u" and cell.shape == (2,) and not cell.any() for cell in cells]
        flat = [np.empty(0) if e else c.reshape(-1) for c, e in zip(cells, empty, strict=True)]
        arrays |= _flat_cells(name, flat)
    return arrays
