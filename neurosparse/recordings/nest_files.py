"""Folders and several files of NEST's spike recorders: label-id-thread.dat or .gdf."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosparse.recordings import text
from neurosparse.recordings.columns import Told, indexed
from neurosparse.recordings.recording import UnitTable

RANK = 2
FOLDER = ".dat or .gdf files (NEST)"
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
            if not text.is_nest(path, look):
                raise ValueError(
                    "it has no header of NEST's, whose files alone are read together (those of"
                    " NEST 2 end in .gdf): measure it by its own name"
                )
            parts.append(text.of_nest(path, look, replace(told, n_units=None)))
        except text.NoRowsError:  # a thread without spikes leaves none
            continue
        except ValueError as error:
            pattern = "; name those of spikes by a pattern, such as 'spikes-13-*.dat'"
            remedy = pattern if len(paths) > 1 else ""
            raise ValueError(f"{path.name}: {error}{remedy}") from None
        match = _NAME.fullmatch(path.stem)
        recorders.append(f"{match[1]}-{match[2]}" if match else path.stem)
    if not parts:
        raise ValueError("none of its files holds a spike")
    ids = np.concatenate([part.columns["sender"][part.units] for part in parts])
    units, known, n_units = indexed(ids, told.n_units, first=1)
    columns = {"sender": known}
    if len(set(recorders)) > 1:
        columns["population"] = _recorders(parts, recorders, units, n_units)
    return UnitTable(
        format="NEST recorder",
        n_units=n_units,
        times_s=np.concatenate([part.times_s for part in parts]),
        units=units,
        columns=columns,
        all_units=told.n_units is not None,
        ends="(]",
    )


def _recorders(
    parts: Sequence[UnitTable], recorders: Sequence[str], units: NDArray[np.int64], n_units: int
) -> NDArray[np.str_]:
    """Return the recorder of each unit; ValueError where one is in the files of several."""
    kinds, code = np.unique(recorders, return_inverse=True)
    of_spike = np.repeat(code, [part.units.size for part in parts])
    last = np.full(n_units, -1)
    last[units] = of_spike
    several = last[units] != of_spike
    if several.any():
        k = int(np.argmax(several))
        both = sorted((str(kinds[of_spike[k]]), str(kinds[last[units[k]]])))
        raise ValueError(
            f"a node is in the files of {both[0]} and of {both[1]}, so that its spikes would count"
            f" twice: name those of one recorder by a pattern, such as '{both[0]}-*.dat'"
        )
    return np.where(last < 0, "", kinds[last])
