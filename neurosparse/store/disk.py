"""Files and folders of a store: listed, summed, synced, put in place, put away.

Links are never followed.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from neurosparse.store.records import DamageError, File

KEY = re.compile(r"[0-9a-f]{32}")


def entries(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none where there is no folder."""
    return sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []


def files_in(folder: Path) -> Iterator[str]:
    """Yield the files of a run, by their paths in it.

    DamageError for devices, and for links, which may lead anywhere.
    """
    for parent, folders, names in os.walk(folder):
        for name in folders:
            if Path(parent, name).is_symlink():
                raise DamageError(f"{name} is a link")
        for name in names:
            path = Path(parent, name)
            if path.is_symlink() or not path.is_file():
                raise DamageError(f"{name} is not a plain file")
            yield path.relative_to(folder).as_posix()


def summed(path: Path) -> File:
    """Return the size of a file in bytes and its SHA-256 checksum."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return File(bytes=file.tell(), sha256=digest)


def remove(path: Path) -> None:
    """Remove a file, a link (not what it leads to) or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def put(path: Path, place: Path) -> None:
    """Rename a file or a folder into its place once all of it is on the disk.

    The new name is on the disk, too, when this returns.
    """
    for part in (*path.rglob("*"), path):
        _sync(part)
    path.rename(place)
    _sync(place.parent)


def quarantine(directory: Path, what: Path, reason: str) -> None:
    """Move something away, with the reason beside it."""
    place = directory / "quarantine" / f"{what.name[:100]}.{secrets.token_hex(4)}"
    note = place.with_name(f"{place.name}.reason.txt")
    note.write_text(f"{what.relative_to(directory)}: {reason}\n")
    try:
        what.rename(place)
    except FileNotFoundError:  # another process was faster
        note.unlink()


def _sync(path: Path) -> None:
    """See to it that a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
