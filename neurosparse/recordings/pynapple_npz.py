"""The .npz files of pynapple: groups of time series, and single ones."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurosparse._internal import foreign_npz
from neurosparse._internal.types import Array
from neurosparse.recordings.columns import Told, indexed
from neurosparse.recordings.recording import UnitTable

RANK = 4
USES = ()
_KEYS = ("t", "start", "end", "index", "keys")
_PICKLED = "Its metadata are Python objects, which only pickle reads, and were left out."


def fits(path: Path) -> bool:
    """Return whether it is an archive with the arrays that pynapple writes."""
    if path.suffix.lower() != ".npz" or not path.is_file() or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return {"t.npy", "start.npy", "end.npy"} <= names


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the members of a group, or one series, observed within the `time_support`."""
    arrays = foreign_npz.load(path, wanted=_KEYS.__contains__)
    times = arrays["t"]
    bounds = np.column_stack([arrays["start"].reshape(-1), arrays["end"].reshape(-1)])
    index = arrays.get("index", np.zeros(times.shape, dtype=np.int64))
    keys = np.unique(arrays.get("keys", np.zeros(1, dtype=np.int64)))
    if (
        times.ndim != 1
        or times.shape != index.shape
        or {times.dtype.kind, bounds.dtype.kind} != {"f"}
    ):
        raise ValueError("its t and index must be 1-D and of one length, its times numbers")
    if not keys.size or keys.dtype.kind not in "iu" or index.dtype.kind not in "iuf":
        raise ValueError("its keys and index must be whole numbers, one key a unit")
    units, _, _ = indexed(np.concatenate([keys, index.astype(np.int64)]), None)
    if units.max() >= keys.size:
        raise ValueError("its index names units that are not among its keys")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if "d.npy" in names and "index.npy" not in names:
        raise ValueError("it holds a series of values (a Tsd of pynapple), and no spikes")
    bounds = stated(bounds, times)
    return [
        UnitTable(
            format="pynapple npz",
            n_units=keys.size,
            times_s=times.astype(np.float64),
            units=units[keys.size :],
            columns={"id": keys},
            observed_s=np.tile(bounds, (keys.size, 1)),
            observed_units=np.repeat(np.arange(keys.size), len(bounds)),
            ends="[]",
            said=(_PICKLED,) if "_metadata.npy" in names else (),
        )
    ]


def stated(bounds: Array, times: Array) -> Array:
    """Return the time support that somebody stated: none of it where every edge is a spike.

    Where none is given, pynapple puts the time from the first to the last spike of each member.
    """
    return bounds[:0] if np.isin(bounds, times).all() else bounds
