"""Contents of a store: its runs, read and checked, and its failures."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from neurosparse._internal import checks
from neurosparse.store import disk
from neurosparse.store.records import DamageError, Failure, Run, read_record

MANIFEST = "manifest.json"


def read(directory: Path, key: str, *, thorough: bool = True) -> Run | None:
    """Read a complete run; None where there is none.

    Parameters
    ----------
    directory
        The store.
    key
        The run's key, 32 hexadecimal digits.
    thorough
        Read every byte of its files and compare their checksums; otherwise the manifest alone, with
        its own.

    Raises
    ------
    DamageError
        Where something else stands there: what it is, in one sentence.
    TypeError
        Where an argument is of another kind.
    """
    directory = checks.path("directory", directory)
    folder = directory / "runs" / key
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise DamageError("it is not a folder")
    except FileNotFoundError:
        return None
    run = read_record(Run, folder / MANIFEST)
    if run.key != key:
        raise DamageError(f"it is a copy of the run {run.key}")
    if thorough:
        there = set(disk.files_in(folder)) - {MANIFEST}
        if there != set(run.files):
            odd = min(there ^ set(run.files))
            raise DamageError(f"{odd} is {'not of it' if odd in there else 'missing'}")
        for name, expected in run.files.items():
            try:
                found = disk.summed(folder / name)
            except OSError as error:
                raise DamageError(f"{name} cannot be read: {error.strerror}") from None
            if found != expected:
                raise DamageError(f"{name} is not as it was written")
    return run


def runs(directory: Path, *, thorough: bool = False) -> Iterator[tuple[str, Run | DamageError]]:
    """Yield every entry of `runs`, by name: the run, or what is wrong with it."""
    directory = checks.path("directory", directory)
    for name in disk.entries(directory / "runs"):
        try:
            if not disk.KEY.fullmatch(name):
                raise DamageError("its name is not that of a run")
            run = read(directory, name, thorough=thorough)
        except DamageError as damage:
            yield name, damage
        else:
            if run is not None:
                yield name, run


def failures(directory: Path) -> dict[str, Failure]:
    """Return the failed runs by key.

    A note that is damaged is as good as none: the run is tried again.
    """
    directory = checks.path("directory", directory)
    found = {}
    for name in disk.entries(directory / "failed"):
        with suppress(DamageError):
            failure = read_record(Failure, directory / "failed" / name)
            if name == f"{failure.key}.json":
                found[failure.key] = failure
    return found


def find(directory: Path, start: str) -> str:
    """Return the one key of a run or failure that starts with `start`.

    ValueError where there is none, or more than one.
    """
    directory = checks.path("directory", directory)
    keys = {name for name, _ in runs(directory)} | set(failures(directory))
    matches = sorted(name for name in keys if name.startswith(start))
    if len(matches) != 1:
        raise ValueError(
            f"{directory} holds {len(matches) or 'no'} runs whose key starts with {start!r}; see"
            " `runs list`"
        )
    return matches[0]


def existing(directory: Path) -> Path:
    """Return `directory` if it is that of a sweep; FileNotFoundError otherwise."""
    directory = checks.path("directory", directory)
    if not (directory / "runs").is_dir():
        raise FileNotFoundError(f"no runs in {directory}: it is not the folder of a sweep")
    return directory
