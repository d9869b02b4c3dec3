"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path to write; renamed to `path` when the block ends well, removed when it does not.

    Raises
    ------
    OSError
        One sentence that names the path, where it cannot be written.
    """
    path = Path(path)
    _make_parent(path)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from None
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; takes the place of `path` when the block ends well, removed when it does not.

    A folder that stands there is replaced as a whole, never mixed with the new one; `check_writable` says whether it may be.
    """
    path = Path(path)
    _make_parent(path)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        temporary.chmod(0o755)
        old = temporary.with_name(temporary.name + ".old")
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_writable(path: Path, *, marker: str) -> None:
    """Refuse a result folder early, before hours of work: one that cannot be made, or holds what is not ours to replace.

    Parameters
    ----------
    marker
        The file by which a folder of earlier results is known; a folder without it is replaced only if it is empty.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"cannot write {path}: a file of that name stands there")
    if path.is_dir() and any(path.iterdir()) and not (path / marker).exists():
        raise FileExistsError(f"cannot replace {path}: it holds files but no {marker}; choose another folder")
    _check_parent(path)


def check_file(path: Path) -> None:
    """Refuse a result file early, before hours of work, where it cannot be written. What stands there is left alone."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: a folder of that name stands there")
    _check_parent(path)


def _check_parent(path: Path) -> None:
    _make_parent(path)
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from None


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> OSError:
    return type(error)(f"cannot write {path}: {error.strerror or error}")


def _sync(path: Path) -> None:
    """What is renamed into place must already be on the disk, or a power cut leaves an empty file of the right name."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
