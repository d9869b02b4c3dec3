"""NumPy's files (.npz, .npy) of anyone's, read without pickle.

Reading takes no more memory than their bytes can fill.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from neurosparse._internal.names import one_line
from neurosparse._internal.types import Array

MOST_BYTES = 16 * 2**30  # unpacked
# a little over what deflate can reach: what promises more than this is no honest archive
_DEFLATE_RATIO = 1040
_HEADER_BYTES = 2**16
_READ_HEADER = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def load(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, Array]:
    """Read the arrays of an archive whose names are wanted, by name.

    The array of a .npy file is called "".

    Raises
    ------
    ValueError
        Where it is cut off, altered or none, holds Python objects, or promises more than its bytes
        can hold; a sentence about "it", the file.
    """
    try:
        if path.suffix == ".npy":
            # no file can be mapped further than it goes
            return {"": np.array(npy.open_memmap(path, mode="r"))}
        with zipfile.ZipFile(path) as archive:
            _check_promises(archive, wanted)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if wanted(name)}
    except ValueError as error:  # NumPy says some of it in several lines
        raise ValueError(one_line(str(error))) from None
    except Exception as error:  # zipfile, zlib, tokenize and more: whatever a parser stumbled over
        raise ValueError(
            f"it is cut off, altered or no {path.suffix} file"
            f" ({str(error) or type(error).__name__})"
        ) from None


def _check_promises(archive: zipfile.ZipFile, wanted: Callable[[str], bool]) -> None:
    """Refuse wanted arrays that promise more than their bytes, before memory is asked for."""
    entries = [e for e in archive.infolist() if wanted(e.filename.removesuffix(".npy"))]
    if (unpacked := sum(entry.file_size for entry in entries)) > MOST_BYTES:
        raise ValueError(f"it would unpack to {unpacked:,} bytes, more than {MOST_BYTES:,}")
    for entry in entries:
        if entry.file_size > _DEFLATE_RATIO * entry.compress_size + _HEADER_BYTES:
            raise ValueError(
                f"{entry.filename} promises {entry.file_size:,} bytes from {entry.compress_size:,}"
            )
        with archive.open(entry) as stream:
            version = npy.read_magic(stream)
            if version not in _READ_HEADER:
                raise ValueError(f"{entry.filename} is an array of the unknown version {version}")
            shape, _, dtype = _READ_HEADER[version](stream)  # type: ignore[no-untyped-call]
            there = entry.file_size - stream.tell()
        if dtype.hasobject:
            raise ValueError(
                f"{entry.filename} holds Python objects, which only pickle reads; pickle is never"
                " opened"
            )
        if (promised := dtype.itemsize * math.prod(shape)) > there:
            raise ValueError(f"{entry.filename} promises {promised:,} bytes and holds {there:,}")
