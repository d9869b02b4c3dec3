"""Folders of the International Brain Laboratory: spikes.times.npy and the like (ALF)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurosparse._internal.types import Array
from neurosparse.recordings.columns import Told, indexed
from neurosparse.recordings.kilosort import vector
from neurosparse.recordings.recording import UnitTable

RANK = 1
FOLDER = "spikes.times.npy with spikes.clusters.npy (IBL)"
USES = ()


def fits(path: Path) -> bool:
    """Return whether it is a folder with the times and clusters of spikes."""
    return path.is_dir() and all(_file(path, name) for name in ("times", "clusters"))


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the clusters that have spikes; what is known of each, a number, is a column."""
    times, clusters = _spikes(path, "times"), _spikes(path, "clusters")
    if times.shape != clusters.shape:
        raise ValueError(
            f"its spikes.times hold {times.size:,} spikes and its spikes.clusters {clusters.size:,}"
        )
    units, ids, n_units = indexed(clusters, None)
    columns = {"cluster_id": ids}
    for file in sorted(path.glob("clusters.*.npy")):
        try:
            values = vector(file)
        except ValueError:  # of texts, or several numbers a cluster
            continue
        if ids.size and ids[0] >= 0 and ids[-1] < values.size:
            columns.setdefault(file.name.split(".")[1], values[ids])
    return [
        UnitTable(
            format="ALF",
            n_units=n_units,
            times_s=times.astype(float),
            units=units,
            columns=columns,
        )
    ]


def _spikes(path: Path, name: str) -> Array:
    file = _file(path, name)
    assert file is not None  # as `fits` saw
    return vector(file)


def _file(path: Path, name: str) -> Path | None:
    """Return the file of an attribute of the spikes; ONE puts an identifier into its name."""
    found = sorted(path.glob(f"spikes.{name}.npy")) or sorted(path.glob(f"spikes.{name}.*.npy"))
    return found[0] if found else None
