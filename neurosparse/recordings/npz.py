"""The package's own format: a NumPy archive without pickle. Data only, whoever wrote it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal import foreign_npz as archives
from neurosparse._internal.whole_files import new_file
from neurosparse.activity import SpikeTrains
from neurosparse.recordings.recording import Recording
from neurosparse.recordings.selection import Wanted

FORMAT = "neurosparse spikes 1"
MOST_UNITS = 10_000_000  # which a file of a few bytes can claim
_MOST_HEADER_BYTES = 2**24


def write_npz(spikes: SpikeTrains, path: Path) -> Path:
    """Write spikes to a .npz file: times_ms, units, intervals_ms, and a JSON header.

    The header has n_units, duration_ms, dt_ms, populations and start_ms.
    """
    header = {
        "format": FORMAT,
        "n_units": spikes.n_units,
        "duration_ms": spikes.duration_ms,
        "dt_ms": spikes.dt_ms,
        "populations": {name: list(limits) for name, limits in spikes.populations.items()},
        "start_ms": spikes.start_ms,
    }
    with new_file(path) as file, file.open("wb") as stream:
        np.savez_compressed(
            stream,
            header=np.array(json.dumps(header)),
            times_ms=spikes.times_ms,
            units=spikes.units,
            intervals_ms=spikes.intervals,
        )
    return path


def read_npz(path: Path, wanted: Wanted) -> Recording:
    """Read spikes that `write_npz` wrote, or the part of them from `start_s` on.

    See `recordings.read`.
    """
    spikes = _load(path)
    if wanted.where or wanted.populations is not None:
        raise ValueError(f"{path} has no columns of units to select by")
    start_ms, stop_ms = 0.0, spikes.duration_ms  # from the start of the record, not of its clock
    if wanted.start_s is not None:
        start_ms = checks.number("start_s", wanted.start_s) * 1e3 - spikes.start_ms
    if wanted.duration_s is not None:
        stop_ms = start_ms + checks.positive("duration_s", wanted.duration_s) * 1e3
    part = (
        spikes
        if (start_ms, stop_ms) == (0.0, spikes.duration_ms)
        else spikes.between(start_ms, stop_ms)
    )
    return Recording(
        spikes=part,
        path=path,
        format="npz",
        rows=np.arange(spikes.n_units),
        n_units_in_file=spikes.n_units,
        start_s=(start_ms + spikes.start_ms) * 1e-3,
        stop_s=(stop_ms + spikes.start_ms) * 1e-3,
        observed_s=tuple((a, b) for a, b in ((spikes.intervals + spikes.start_ms) * 1e-3).tolist()),
        n_outside=len(spikes) - len(part),
        all_units=True,
    )


def _load(path: Path) -> SpikeTrains:
    if not path.is_file():
        raise FileNotFoundError(f"no spike file {path}")
    try:
        arrays = archives.load(path)
        if arrays["header"].nbytes > _MOST_HEADER_BYTES:
            raise ValueError(f"its header is longer than {_MOST_HEADER_BYTES:,} bytes")
        header = json.loads(str(arrays["header"]))
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {header['format']!r}, not {FORMAT!r}")
        if header["n_units"] > MOST_UNITS:
            raise ValueError(f"its n_units must be <= {MOST_UNITS:,}, got {header['n_units']}")
        return SpikeTrains(
            arrays["times_ms"],
            arrays["units"],
            n_units=header["n_units"],
            duration_ms=header["duration_ms"],
            dt_ms=header["dt_ms"],
            populations={
                name: (first, stop) for name, (first, stop) in header["populations"].items()
            },
            intervals=arrays.get("intervals_ms"),  # which older files do not hold
            start_ms=header.get("start_ms", 0.0),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        message = (
            f"it holds no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        )
        raise ValueError(f"cannot read spikes from {path}: {message}") from None
