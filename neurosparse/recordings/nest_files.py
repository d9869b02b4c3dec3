"""Folders and several files of NEST's spike recorders: label-id-thread.dat or .gdf."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurosparse.recordings import text
from neurosparse.recordings.columns import Told, indexed
from neurosparse.recordings.recording import UnitTable

RANK = 2
USES = ("times", "units")
_NAME = re.compile(r"(.*)-(\d+)-\d+")  # label, id of the recorder, thread


def files(path: Path) -> list[Path]:
    """Return the files that NEST's recorders left in a folder."""
    return sorted(f for f in path.iterdir() if f.suffix.lower() in (".dat", ".gdf") and f.is_file())


def fits(path: Path) -> bool:
    """Return whether it is a folder with such files."""
    return path.is_dir() and bool(files(path))


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the units of the recorders of a folder; of several recorders each has a population."""
    return [of_files(files(path), told)]


def of_files(paths: Sequence[Path], told: Told) -> UnitTable:
    """Return the units of several files: those of one recorder belong together."""
    recorders, parts = [], []
    for path in paths:
        try:
            look = text.look_at(path)
        except ValueError:  # a thread without spikes leaves no rows
            continue
        parts.append(text.of_nest(path, look, replace(told, n_units=None)))
        match = _NAME.fullmatch(path.stem)
        recorders.append(f"{match[1]}-{match[2]}" if match else path.stem)
    if not parts:
        raise ValueError("none of its files holds a spike")
    ids = np.concatenate([part.columns["sender"][part.units] for part in parts])
    units, known, n_units = indexed(ids, told.n_units)
    columns = {"sender": known}
    if len(set(recorders)) > 1:
        names = np.full(n_units, "", dtype=object)
        sizes = [part.units.size for part in parts]
        names[units] = np.repeat(np.array(recorders, dtype=object), sizes)
        columns["population"] = names.astype(str)
    return UnitTable(
        format="NEST recorder",
        n_units=n_units,
        times_s=np.concatenate([part.times_s for part in parts]),
        units=units,
        columns=columns,
        all_units=told.n_units is not None,
        ends="(]",
    )
