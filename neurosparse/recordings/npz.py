"""The package's own format: a NumPy archive without pickle. Data only, whoever wrote it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from neurosparse import checks
from neurosparse.activity import SpikeTrains
from neurosparse.files import new_file
from neurosparse.recordings.recording import Recording

FORMAT = "neurosparse spikes 1"
MOST_BYTES = 16 * 2**30  # unpacked
_MOST_HEADER_BYTES = 2**24
_DEFLATE_RATIO = 1040  # a little over what deflate can reach: what promises more than this is no honest archive
_READ_HEADER = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def write_npz(spikes: SpikeTrains, path: Path) -> Path:
    """Write spikes to a .npz file: times_ms, units, and a JSON header with n_units, duration_ms, dt_ms and populations."""
    header = {
        "format": FORMAT,
        "n_units": spikes.n_units,
        "duration_ms": spikes.duration_ms,
        "dt_ms": spikes.dt_ms,
        "populations": {name: list(limits) for name, limits in spikes.populations.items()},
    }
    with new_file(path) as file, file.open("wb") as stream:
        np.savez_compressed(stream, header=np.array(json.dumps(header)), times_ms=spikes.times_ms, units=spikes.units)
    return path


def read_npz(
    path: Path,
    *,
    where: Sequence[str] = (),
    populations: str | None = None,
    start_s: float | None = None,
    duration_s: float | None = None,
) -> Recording:
    """Read spikes that `write_npz` wrote, or the part of them from `start_s` on; see `recordings.read`."""
    spikes = _load(path)
    if where or populations is not None:
        raise ValueError(f"{path} has no columns of units to select by")
    start_ms = 0.0 if start_s is None else checks.number("start_s", start_s) * 1e3
    stop_ms = spikes.duration_ms if duration_s is None else start_ms + checks.positive("duration_s", duration_s) * 1e3
    part = spikes if (start_ms, stop_ms) == (0.0, spikes.duration_ms) else spikes.between(start_ms, stop_ms)
    return Recording(
        spikes=part,
        path=path,
        format="npz",
        rows=np.arange(spikes.n_units),
        n_units_in_file=spikes.n_units,
        start_s=start_ms * 1e-3,
        stop_s=stop_ms * 1e-3,
        observed_s=((0.0, spikes.duration_ms * 1e-3),),
        n_outside=len(spikes) - len(part),
        all_units=True,
    )


def _load(path: Path) -> SpikeTrains:
    if not path.is_file():
        raise FileNotFoundError(f"no spike file {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_promises(archive)
        with np.load(path, allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            if header["format"] != FORMAT:
                raise ValueError(f"its format is {header['format']!r}, not {FORMAT!r}")
            return SpikeTrains(
                arrays["times_ms"],
                arrays["units"],
                n_units=header["n_units"],
                duration_ms=header["duration_ms"],
                dt_ms=header["dt_ms"],
                populations={name: (first, stop) for name, (first, stop) in header["populations"].items()},
            )
    except _DAMAGE as error:
        raise ValueError(f"cannot read spikes from {path}: {_reason(error)}") from None


# everything that zipfile, zlib, NumPy and json say of a damaged file
_DAMAGE: tuple[type[Exception], ...] = (
    zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, EOFError, TypeError, ValueError, OSError, AttributeError,
    MemoryError, NotImplementedError, RecursionError, RuntimeError,
)  # fmt: skip


def _reason(error: Exception) -> str:
    if isinstance(error, zipfile.BadZipFile | EOFError):
        return "it is cut off or not an archive"
    if isinstance(error, KeyError):
        return f"it holds no {str(error).strip(chr(34) + chr(39))}"
    return str(error).partition("\n")[0] or type(error).__name__


def _check_promises(archive: zipfile.ZipFile) -> None:
    """Refuse arrays that promise more than the bytes that are there, before memory is asked for."""
    entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MOST_BYTES:
        raise ValueError(f"it would unpack to {unpacked:,} bytes, more than {MOST_BYTES:,}")
    for entry in entries:
        if entry.file_size > _DEFLATE_RATIO * max(entry.compress_size, 1) + _MOST_HEADER_BYTES:
            raise ValueError(f"{entry.filename} promises {entry.file_size:,} bytes from {entry.compress_size:,}")
        with archive.open(entry) as stream:
            shape, dtype = _array_header(stream, entry.filename)
            there = entry.file_size - stream.tell()
        promised = dtype.itemsize
        for length in shape:  # Python's integers do not overflow
            promised *= length
        if promised > there:
            raise ValueError(f"{entry.filename} promises {promised:,} bytes and holds {there:,}")
        if entry.filename == "header.npy" and promised > _MOST_HEADER_BYTES:
            raise ValueError(f"its header of {promised:,} bytes is longer than {_MOST_HEADER_BYTES:,}")


def _array_header(stream: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(stream)
    if version not in _READ_HEADER:
        raise ValueError(f"{name} is an array of version {version}, which is not written here")
    shape, _, dtype = _READ_HEADER[version](stream)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which only pickle reads; pickle is never opened")
    return shape, dtype
