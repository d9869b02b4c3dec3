"""The right to work on a run: one process at a time, by a lock that ends with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from neurosparse._internal import checks
from neurosparse._internal.locks import lock_file
from neurosparse.store import disk
from neurosparse.store.reading import MANIFEST, read
from neurosparse.store.records import DamageError, Failure, Row, Run, key, write_record

CHECKPOINT = "checkpoint.safetensors"
FOLDERS = ("runs", "partial", "failed", "quarantine", "locks")


@dataclass(frozen=True, slots=True)
class RunLock:
    """The right to work on one run, and the places to do it in."""

    directory: Path
    key: str

    @property
    def _partial(self) -> Path:
        return self.directory / "partial" / self.key

    @property
    def folder(self) -> Path:
        """The folder for the files of the run."""
        return self._partial / "run"

    @property
    def temporary(self) -> Path:
        """For what is not to be kept."""
        return self._partial / "temporary"

    @property
    def checkpoint(self) -> Path:
        """A file that outlives a killed worker, until the run is complete."""
        return self._partial / CHECKPOINT

    def prepare(self) -> None:
        """Empty places to start from, but for the checkpoint of an earlier try."""
        (self.directory / "failed" / f"{self.key}.json").unlink(missing_ok=True)
        if self._partial.is_symlink():
            disk.quarantine(self.directory, self._partial, "it is a link")
        self.clear()
        for folder in (self.folder, self.temporary):
            folder.mkdir(parents=True)

    def complete(self, *, rows: Sequence[Row], **what: object) -> None:
        """Make what lies in `folder` the complete run of these rows; `what` as in `Run`.

        What stands in its place goes into quarantine.
        """
        files = {name: disk.summed(self.folder / name) for name in disk.files_in(self.folder)}
        run = Run(key=self.key, rows=tuple(rows), files=files, **what)
        write_record(run, self.folder / MANIFEST)
        place = self.directory / "runs" / self.key
        if os.path.lexists(place):
            try:
                read(self.directory, self.key)
                reason = "it was computed anew"
            except DamageError as damage:
                reason = str(damage)
            disk.quarantine(self.directory, place, reason)
        disk.put(self.folder, place)
        disk.remove(self._partial)

    def fail(self, **what: object) -> None:
        """Note why the run failed, `what` as in `Failure`; its checkpoint stays."""
        self._partial.mkdir(exist_ok=True)
        note = self._partial / "failure.json"
        write_record(Failure(key=self.key, **what), note)
        disk.put(note, self.directory / "failed" / f"{self.key}.json")

    def clear(self) -> None:
        """Remove what is neither complete nor the checkpoint."""
        for name in disk.entries(self._partial):
            if name != CHECKPOINT:
                disk.remove(self._partial / name)
        with suppress(OSError):  # the checkpoint is in it, or there is none
            self._partial.rmdir()

    def set_checkpoint_aside(self, reason: str) -> None:
        """Put a damaged checkpoint into quarantine."""
        disk.quarantine(self.directory, self.checkpoint, reason)


@contextmanager
def claim(directory: Path, key: str) -> Iterator[RunLock | None]:
    """Hold the right to work on a run while the block lasts.

    Yields None where another process has it.

    The lock is the system's (flock): it ends with the process that holds it, however that ends.

    Raises
    ------
    ValueError, OSError
        On a key that is none, and a directory that cannot be written.
    """
    directory = checks.path("directory", directory)
    checks.instance("key", key, str)
    if not disk.KEY.fullmatch(key):
        raise ValueError(f"a key is 32 hexadecimal digits, got {key!r}")
    path = directory / "locks" / key
    release = lock_file(path)
    if release is None:
        yield None
        return
    ours = RunLock(directory, key)
    try:
        yield ours
    finally:
        try:
            ours.clear()
            path.unlink(missing_ok=True)  # while it is ours: see lock_file
        finally:
            release()


def open_directory(directory: str | Path) -> Path:
    """Make the folders of a store where they are missing, and refuse a place where it cannot work.

    Raises
    ------
    OSError
        Where it cannot be written.
    ValueError
        Where one of its folders is a link, which might lead out of it.
    """
    directory = checks.path("directory", directory)
    try:
        for name in FOLDERS:
            if (directory / name).is_symlink():
                raise ValueError(
                    f"{directory / name} is a link, which may lead out of the folder; put a folder"
                    " in its place"
                )
            (directory / name).mkdir(parents=True, exist_ok=True)
        with claim(directory, key("probe", {}, "")):
            return directory
    except OSError as error:
        raise type(error)(f"cannot write {directory}: {error.strerror}") from None
