"""Files <-> SpikeTrains. The package's own format is a NumPy archive without pickle: data only, whoever wrote it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from neurosparse.activity import SpikeTrains
from neurosparse.files import new_file

FORMAT = "neurosparse spikes 1"
MOST_BYTES = 16 * 2**30  # a header can promise any size: what is larger is refused before memory is asked for


def save_spikes(spikes: SpikeTrains, path: str | Path) -> Path:
    """Write spikes to a .npz file: times_ms, units, and a JSON header with n_units, duration_ms, dt_ms and populations."""
    path = _npz(path)
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


def load_spikes(path: str | Path) -> SpikeTrains:
    """Read spikes that `save_spikes` wrote.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no such file, or it is truncated, foreign or damaged; one sentence.
    """
    path = _npz(path)
    if not path.is_file():
        raise FileNotFoundError(f"no spike file {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            promised = sum(entry.file_size for entry in archive.infolist())
        if promised > MOST_BYTES:
            raise ValueError(f"it would unpack to {promised:,} bytes, more than {MOST_BYTES:,}")
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
    except (zipfile.BadZipFile, KeyError, EOFError, TypeError, ValueError, OSError, AttributeError, MemoryError) as error:
        reason = "it is cut off or not an archive" if isinstance(error, zipfile.BadZipFile | EOFError) else str(error)
        raise ValueError(f"cannot read spikes from {path}: {reason}") from None


def _npz(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"spikes are kept in .npz files, got {path}")
    return path
