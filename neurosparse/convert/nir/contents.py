"""The arrays of NIR files, as they leave the process that reads them.

See `recordings.hdf5`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurosparse._internal.foreign_hdf5 import promised_bytes
from neurosparse._internal.types import Array, Fields, Foreign

MOST_BYTES = 2**31  # of all arrays of a file together
MOST_NODES = 10_000
MOST_LEVELS = 8  # of groups within groups


def contents(file: Foreign) -> dict[str, Array]:
    """Return the arrays of an open NIR file, by name; text as bytes.

    A name is that of the groups and of the array, with "/" between them.

    Raises
    ------
    ValueError
        Where they would take memory or time without bounds, lie in another file, or are no numbers
        or text.
    """
    import h5py

    arrays: dict[str, Array] = {}
    n_bytes, n_groups = 0, 0

    def visit(group: Foreign, path: str, levels: int) -> None:
        nonlocal n_bytes, n_groups
        n_groups += 1
        if levels == 0:
            raise ValueError(f"it is nested more than {MOST_LEVELS} levels deep: not a NIR file")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"it has a link, {name!r}, that leads elsewhere")
            item = group[name]
            if isinstance(item, h5py.Group):
                visit(item, f"{path}{name}/", levels - 1)
                continue
            if not isinstance(item, h5py.Dataset):
                raise ValueError(f"its {name!r} is neither a group nor an array")
            n_bytes += promised_bytes(item)
            if n_bytes > MOST_BYTES or n_groups > MOST_NODES:
                raise ValueError(
                    f"it is too large: more than {MOST_BYTES:,} bytes of arrays or {MOST_NODES:,}"
                    " nodes"
                )
            arrays[f"{path}{name}"] = _plain(item)

    visit(file, "", MOST_LEVELS)
    return arrays


def _plain(dataset: Foreign) -> Array:
    import h5py

    if h5py.check_string_dtype(dataset.dtype) is not None:
        return np.array(dataset[()].tolist() if dataset.shape else dataset[()], dtype=bytes)
    values = np.asarray(dataset[()])
    if values.dtype.hasobject:
        raise ValueError(f"its {dataset.name!r} holds neither numbers nor text")
    return values


def tree(arrays: Mapping[str, Array]) -> Fields:
    """Return the node of a file as `nir` takes it.

    Groups become dictionaries, a single value a scalar, a single text a `str`.
    """
    root: Fields = {}
    for path, array in arrays.items():
        *groups, name = path.split("/")
        group = root
        for each in groups:
            group = group.setdefault(each, {})
        group[name] = (
            array.item().decode() if array.shape == () and array.dtype.kind == "S" else array[()]
        )
    result: Fields = root["node"]
    return result
