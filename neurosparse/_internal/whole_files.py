"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# what ends a write half-way, whoever was writing
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path to write; renamed to `path` when the block ends well, removed when it does
    not.

    Raises
    ------
    OSError
        One sentence that names the path, where it cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = _beside(path)
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
    try:
        with _naming(path, only=_NO_ROOM):
            yield temporary
        with _naming(path):
            _sync(temporary)
            # some writers put a file of their own in its place, for their eyes only
            temporary.chmod(mode)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; takes the place of `path` when the block ends well, removed when
    it does not.

    A folder that stands there is replaced as a whole, never mixed with the new one;
    `check_writable` says whether it may be.
    """
    # a link keeps pointing where it does: what it points at is replaced
    path = Path(os.path.realpath(path))
    _refuse_file(path)
    temporary = _beside(path)
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    try:
        with _naming(path, only=_NO_ROOM):
            yield temporary
        with _naming(path):
            for file in temporary.rglob("*"):
                if file.is_file():
                    _sync(file)
            _put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_writable(path: Path, *, marker: str) -> None:
    """Refuse a result folder early, before hours of work: one that cannot be made, or holds what is
    not ours to replace.

    Parameters
    ----------
    marker
        The file by which a folder of earlier results is known; a folder without it is replaced only
        if it is empty.
    """
    path = Path(os.path.realpath(path))
    _refuse_file(path)
    if path.is_dir() and any(path.iterdir()) and not (path / marker).exists():
        raise FileExistsError(
            f"cannot replace {path}: it holds files but no {marker}; choose another folder"
        )
    _check_parent(path)


def check_file(path: Path) -> None:
    """Refuse a result file early, before hours of work, where it cannot be written. What stands
    there is left alone.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: a folder of that name stands there")
    _check_parent(path)


def _refuse_file(path: Path) -> None:
    """Refuse what stands at `path` unless it is a folder; asked once, since another writer may be
    replacing it just now.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        if not stat.S_ISDIR(path.stat().st_mode):
            raise FileExistsError(f"cannot write {path}: a file of that name stands there")


def _check_parent(path: Path) -> None:
    probe = _beside(path)
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename a folder to `path`, taking away what stands there, also what another writer puts there
    meanwhile.
    """
    while True:
        old = _beside(path)
        try:
            with suppress(FileNotFoundError):
                path.rename(old)
            temporary.rename(path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            if not path.exists():  # interrupted in between: the earlier results come back
                with suppress(OSError):  # there were none, or another writer was faster
                    old.rename(path)
            shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A hidden name next to `path` that nobody else has, with its suffix."""
    return path.with_name(f".{path.stem[:100]}.{secrets.token_hex(6)}{path.suffix}")


@contextmanager
def _naming(path: Path, only: set[int] | None = None) -> Iterator[None]:
    """OSErrors (those with a number in `only`, if given) say which path cannot be written, in one
    sentence.
    """
    try:
        yield
    except OSError as error:
        if only is not None and error.errno not in only:
            raise
        sentence = f"cannot write {path}: {error.strerror or error}"
        raise type(error)(sentence) from None


def _sync(path: Path) -> None:
    """What is renamed into place must already be on the disk, or a power cut leaves an empty file
    of the right name.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
