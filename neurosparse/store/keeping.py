"""Keeping a store clean: damage is put away, and what killed processes left is removed."""

from __future__ import annotations

from pathlib import Path

from neurosparse._internal import checks
from neurosparse.store import disk
from neurosparse.store.locks import claim
from neurosparse.store.reading import read, runs
from neurosparse.store.records import DamageError


def verify(directory: Path) -> dict[str, str]:
    """Read every byte of every run and put into quarantine what is damaged or foreign.

    Returns the reasons, by name.
    """
    directory = checks.path("directory", directory)
    found = {
        name: str(run)
        for name, run in runs(directory, thorough=True)
        if isinstance(run, DamageError)
    }
    for name in list(found):
        if not disk.KEY.fullmatch(name):
            disk.quarantine(directory, directory / "runs" / name, found[name])
            continue
        with claim(directory, name) as ours:
            try:
                if ours is None or read(directory, name) is not None:
                    del found[name]  # another process is at it, or has put it right
            except DamageError as damage:
                disk.quarantine(directory, directory / "runs" / name, str(damage))
    return found


def tidy(directory: Path) -> None:
    """Remove what killed processes left of complete runs, and locks that nobody holds."""
    directory = checks.path("directory", directory)
    names = {name for place in ("partial", "locks") for name in disk.entries(directory / place)}
    for name in sorted(filter(disk.KEY.fullmatch, names)):
        with claim(directory, name) as ours:  # which removes its lock, and all but a checkpoint
            if ours is not None and (directory / "runs" / name).is_dir():
                disk.remove(directory / "partial" / name)
