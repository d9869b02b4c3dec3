"""Folders that are gone at the end, whatever the end.

Their process removes them when it can, and a later one when it was killed.

A folder in use is locked by its process. Unlike a process number, a lock is never taken for that of
another process, and it holds in every container that sees the folder. What lies in the folder
`earlier` of such a folder had its place beside it, and goes back there where that place is empty.
"""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neurosparse._internal.locks import Release, lock_folder

EARLIER = "earlier"
_OUTSIDE = "NEUROSPARSE_OUTER_TMPDIR"  # set for workers, whose own folder is removed
_TEMPORARY = re.compile(r"neurosparse-(?:brian2|work)-\w+")
_HIDDEN = re.compile(r"\..*\.[0-9a-f]{12}\.neurosparse", re.DOTALL)
_LONGEST_STEM = 100
_TRIES, _PAUSE_S = 5, 0.05

_ours: dict[Path, tuple[int, Release | None]] = {}  # folder -> its process, and its lock
_stopped = False


@contextmanager
def temporary(purpose: str) -> Iterator[Path]:
    """Make a folder for temporary files, removed at the end.

    Those that killed processes left behind go as well.

    Parameters
    ----------
    purpose
        "brian2" or "work"; a part of its name.
    """
    parent = Path(tempfile.gettempdir())
    sweep(parent, _TEMPORARY)
    folder = _make(lambda: parent / f"neurosparse-{purpose}-{secrets.token_hex(8)}")
    try:
        yield folder
    finally:
        remove(folder)


def hidden_beside(path: Path) -> Path:
    """Make a hidden folder next to `path`, to be removed with `remove`; abandoned ones there go."""
    with suppress(OSError):  # it cannot be listed
        sweep(path.parent, _HIDDEN)
    stem = path.name[:_LONGEST_STEM]
    return _make(lambda: path.with_name(f".{stem}.{secrets.token_hex(6)}.neurosparse"))


def for_children() -> Path:
    """Return the folder for temporary files that this process and its children share.

    It goes when this process ends.
    """
    for folder, (owner, _) in _ours.items():
        if owner == os.getpid() and folder.name.startswith("neurosparse-work-"):
            return folder
    parent = Path(tempfile.gettempdir())
    sweep(parent, _TEMPORARY)
    return _make(lambda: parent / f"neurosparse-work-{secrets.token_hex(8)}")


def variables(folder: Path) -> dict[str, str]:
    """Return the environment variables that have a process put temporary files in `folder`."""
    names = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    return names | {_OUTSIDE: str(outside())}


def outside() -> Path:
    """Return the folder for temporary files that are to be kept, such as the log of a crash."""
    return Path(os.environ.get(_OUTSIDE) or tempfile.gettempdir())


def remove(folder: Path) -> None:
    """Remove a folder that was made here."""
    _, release = _ours.get(folder, (0, None))
    _empty(folder)
    if release is not None:
        release()
    _ours.pop(folder, None)


def clean_up(*, for_good: bool = False) -> None:
    """Remove all folders of this process that are still there.

    Parameters
    ----------
    for_good
        Make no more of them: the process was stopped, and its threads are not yet.
    """
    global _stopped
    _stopped = for_good
    for folder, (owner, _) in list(_ours.items()):
        if owner == os.getpid():  # a forked child has those of its parent in its memory
            with suppress(OSError):
                remove(folder)


def sweep(parent: Path, pattern: re.Pattern[str]) -> None:
    """Remove the folders of `parent` whose names match and whose processes are gone."""
    for folder in parent.iterdir():
        if pattern.fullmatch(folder.name):
            with suppress(OSError):  # in use, or another user's: it stays
                release = lock_folder(folder)
                _empty(folder)
                release()


def _make(name: Callable[[], Path]) -> Path:
    if not _ours:
        atexit.register(clean_up)
    while True:
        if _stopped:
            raise InterruptedError("the program was stopped")
        folder = name()
        _ours[folder] = os.getpid(), None  # first, so that it is removed whenever we are stopped
        try:
            folder.mkdir(0o700)
            # another process may take it for an abandoned one before it is locked
            with suppress(FileNotFoundError):
                release = lock_folder(folder, wait=True)
                _ours[folder] = os.getpid(), release
                if folder.exists():
                    return folder
                release()
        except BaseException:
            _ours.pop(folder, None)
            with suppress(OSError):
                folder.rmdir()
            raise
        _ours.pop(folder)


def _empty(folder: Path) -> None:
    """Remove a folder, once what had its place beside it is back there."""
    with suppress(OSError):
        for kept in (folder / EARLIER).iterdir():
            if not os.path.lexists(folder.parent / kept.name):
                kept.rename(folder.parent / kept.name)
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE_S)  # a process that is ending may still write into it
