"""HDF5 files of anyone's, read in the limited process and handed over as arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from neurosparse._internal import limited_process
from neurosparse._internal.limited_process import MOST_BYTES
from neurosparse._internal.types import Array

__all__ = ["MOST_BYTES", "Reader", "promised_bytes", "read"]

# an open h5py.File and options -> arrays by name, none of them of objects
Reader = Callable[..., Mapping[str, Array]]

_MOST_RATIO = 1040  # a little over what HDF5's deflate can reach
_SMALL_BYTES = 2**20


def promised_bytes(dataset: Any) -> int:
    """Return the bytes of a dataset in memory.

    Raises
    ------
    ValueError
        Where what is stored of it cannot hold them, or is in other files.
    """
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"its {dataset.name!r} is kept in other files, which are not read")
    promised = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    stored = min(
        dataset.id.get_storage_size(), dataset.file.id.get_filesize()
    )  # the first is what the file says of itself
    if promised > _MOST_RATIO * stored + _SMALL_BYTES:
        raise ValueError(f"its {dataset.name!r} promises {promised:,} bytes and holds {stored:,}")
    result: int = promised
    return result


def read(
    path: Path, reader: Reader, *, options: Mapping[str, object] | None = None
) -> dict[str, Array]:
    """Return what `reader` makes of an HDF5 file; errors as `limited_process.read`."""
    return limited_process.read(
        path,
        opened,
        options={
            "module": reader.__module__,
            "name": reader.__name__,
            "options": dict(options or {}),
        },
        library="HDF5's library",
        imports=("h5py", reader.__module__),
    )


def opened(
    path: Path, *, module: str, name: str, options: Mapping[str, object]
) -> Mapping[str, Array]:
    """Open a file in the process that reads, and give it to the reader of that name."""
    import h5py

    reader: Reader = getattr(import_module(module), name)
    if not h5py.is_hdf5(path):
        raise ValueError("it is not an HDF5 file, or is cut off at its very start")
    with h5py.File(path, "r") as file:
        return reader(file, **options)
