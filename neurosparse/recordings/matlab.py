"""MATLAB's .mat files, of all versions: variables that the user names, or blocks of Neo's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    "name.field". What stands beside them and names trials or channels is looked at too.
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
    name, is_cells = names[0], f"{names[0]}/counts" in arrays
    if len(names) > 1 or (told.n_units == 1 and not is_cells):
        return [tabular.of_columns(names, arrays.__getitem__, told, "MATLAB")]
    if not is_cells:
        raise ValueError(
            f"its {name!r} is no cell array with the times of each unit: name the variable with the"
            " unit of each spike as units=NAME (--units), or give n_units=1 (--n-units) where there"
            " is one unit"
        )
    stated_unit = by_name.unit_in(name)
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
    parent = names[0].rpartition(".")[0]
    roots = {name.partition(".")[0] for name in names}
    if missing := sorted(roots - listed.keys()):
        raise ValueError(f"it has no variable {missing[0]!r}; there are: {_shown(listed)}")
    roots |= set() if parent else set(filter(by_name.is_checked, listed))
    found = scipy.io.loadmat(path, variable_names=sorted(roots), struct_as_record=True)

    def value(name: str) -> Array:
        root, *fields = name.split(".")
        inner = found[root]
        for field in fields:
            inner = _field(inner, field, name)
        return np.asarray(inner)

    arrays: dict[str, Array] = {}
    for name in names:
        arrays |= _as_arrays(name, value(name))
    for name in _beside(names, value(parent).dtype.names or () if parent else listed):
        if (other := value(name)).size == arrays[names[0]].size and other.dtype.kind in "iufb":
            arrays[name] = other.reshape(-1)
    return arrays


def _beside(names: Sequence[str], there: Iterable[str]) -> list[str]:
    """Return what stands beside the times and units of spikes, and says where they begin anew."""
    parent, dot, _ = names[0].rpartition(".")
    checked = [f"{parent}{dot}{name}" for name in there if by_name.is_checked(name)]
    return [name for name in checked if name not in names] if len(names) > 1 else []


def _wanted(there: Sequence[str], times: str | None, units: str | None) -> list[str]:
    """Return the variables of times and units: those that are named, or of usual names."""
    if times is not None:
        return [times, *(units.split(",") if units else ())]
    try:
        if by_name.can_find(there, Told(units=units)):
            first, _, second = by_name.find(there, Told(units=units))
            return [first, *by_name.parts(second, there)]
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
        if value.size != max(value.shape, default=1) and value.size:
            raise ValueError(
                f"its {name!r} is a matrix of {' x '.join(map(str, value.shape))}, of which no"
                " column is named: save a vector of times and one of units"
            )
        return {name: value.reshape(-1)}
    cells = [np.asarray(cell).reshape(-1) for cell in value.reshape(-1)]
    _check_cells(name, value.shape)
    if cells and all(cell.dtype.kind == "U" and cell.size == 1 for cell in cells):
        return {name: np.concatenate(cells)}
    return _flat_cells(name, cells)


def _check_cells(name: str, shape: tuple[int, ...]) -> None:
    """Refuse a cell array of units and trials: which are which, it does not say."""
    if sum(n > 1 for n in shape) > 1:
        raise ValueError(
            f"its {name!r} is a cell array of {' x '.join(map(str, shape))}, as of units and"
            " trials: save a cell array with one cell a unit"
        )


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
    names = _wanted(there, times, units)
    for name in names:
        node = _node(file, name)
        if not isinstance(node, h5py.Dataset):
            raise ValueError(f"it has no variable {name!r}; there are: {_shown(there)}")
        if h5py.check_ref_dtype(node.dtype) is None:
            arrays |= _as_arrays(name, _whole(node))
            continue
        _check_cells(name, node.shape[::-1])
        if node.size > _MOST_CELLS:
            raise ValueError(f"its {name!r} has {node.size:,} cells, more than {_MOST_CELLS:,}")
        cells = [_whole(file[reference]).reshape(-1) for reference in nwb.whole(node).reshape(-1)]
        arrays |= _flat_cells(name, cells)
    parent = _node(file, names[0].rpartition(".")[0])
    for name in _beside(names, parent):
        other = _node(file, name)
        numbers = isinstance(other, h5py.Dataset) and other.dtype.kind in "iufb"
        if numbers and other.size == arrays[names[0]].size:
            arrays[name] = _whole(other).reshape(-1)
    return arrays


def _node(file: Foreign, name: str) -> Foreign:
    """Return a variable or a field of a struct, or None; the file where the name is empty."""
    node = file
    for part in filter(None, name.split(".")):
        node = nwb.member(node, part) if hasattr(node, "keys") else None
    return node


def _whole(dataset: Foreign) -> Array:
    """Return a dataset; of an empty array MATLAB writes the size, such as 1 and 0."""
    values = nwb.whole(dataset)
    sizes = values.dtype.kind == "u" and values.shape == (2,) and not values.any()
    return np.empty(0) if sizes or dataset.attrs.get("MATLAB_empty", 0) else values
