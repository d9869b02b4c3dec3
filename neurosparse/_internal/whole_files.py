"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neurosparse._internal import scratch

# what ends a write half-way, whoever was writing
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
# how safetensors (or anything in Rust) and NumPy, which loses the number, tell of such an error
_IN_WORDS = {r"\(os error (\d+)\)": 0, r"^\d+ requested and \d+ written$": errno.ENOSPC}


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write, which becomes `path` when the block ends well.

    The temporary file is removed when the block does not end well.

    Raises
    ------
    OSError
        One sentence that names the path, where it cannot be written or the disk is full.
    """
    path = Path(path)
    with _beside(path) as place:
        temporary = place / path.name
        with _naming(path):
            temporary.touch(exist_ok=False)
            mode = temporary.stat().st_mode
        with _naming(path, only=_NO_ROOM):
            yield temporary
        with _naming(path):
            _sync(temporary)
            # some writers put a file of their own in its place, for their eyes only
            temporary.chmod(mode)
            temporary.replace(path)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill, which becomes `path` when the block ends well.

    The temporary folder is removed when the block does not end well.

    A folder that stands there is replaced as a whole, never mixed with the new one;
    `check_writable` says whether it may be.
    """
    # a link keeps pointing where it does: what it points at is replaced
    path = Path(os.path.realpath(path))
    _refuse_file(path)
    with _beside(path) as place:
        temporary = place / path.name
        with _naming(path):
            temporary.mkdir()
        with _naming(path, only=_NO_ROOM):
            yield temporary
        with _naming(path):
            for file in temporary.rglob("*"):
                if file.is_file():
                    _sync(file)
            earlier = place / scratch.EARLIER / path.name
            earlier.parent.mkdir()
            put = _fill if path == _working_folder() else _put_in_place
            put(temporary, path, earlier)


def check_writable(path: Path, *, marker: str) -> None:
    """Refuse a result folder early, before hours of work.

    Refused is one that cannot be made, or holds what is not ours to replace.

    Parameters
    ----------
    path
        The folder, which need not exist.
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
    here = _working_folder()
    if here is not None and path in here.parents:
        raise FileExistsError(
            f"cannot replace {path}: you are working in it; choose another folder"
        )
    _check_parent(path)


def check_file(path: Path, *, suffix: str = "") -> None:
    """Refuse a result file early, before hours of work, where it cannot be written.

    A file that stands there is left alone. With `suffix` the name must end so.
    """
    path = Path(path)
    if suffix and path.suffix != suffix:
        raise ValueError(
            f"cannot write {path}: such a file ends in {suffix}; name it {path.stem}{suffix}"
        )
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: a folder of that name stands there")
    _check_parent(path)


def _refuse_file(path: Path) -> None:
    """Refuse what stands at `path` unless it is a folder.

    It is asked once, since another writer may be replacing it just now.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        if not stat.S_ISDIR(path.stat().st_mode):
            raise FileExistsError(f"cannot write {path}: a file of that name stands there")


def _check_parent(path: Path) -> None:
    with _beside(path, keep_parents=False):
        pass


@contextmanager
def _beside(path: Path, *, keep_parents: bool = True) -> Iterator[Path]:
    """Make a hidden folder next to `path` that nobody else has, removed at the end.

    The parents of `path` are made, and stay where the block ends well.
    """
    made: list[Path] = []
    try:
        with _naming(path):
            for parent in [p for p in reversed(path.parents) if not p.is_dir()]:
                parent.mkdir(exist_ok=True)
                made.append(parent)
            place = scratch.hidden_beside(path)
        try:
            yield place
        finally:
            scratch.remove(place)
        if keep_parents:
            made.clear()
    finally:
        for parent in reversed(made):
            with suppress(OSError):  # another one has put something there
                parent.rmdir()


def _put_in_place(temporary: Path, path: Path, earlier: Path) -> None:
    """Rename a folder to `path`.

    What stands there goes to `earlier`, also what another writer puts there meanwhile. It comes
    back from there if `path` stays empty.
    """
    while True:
        shutil.rmtree(earlier, ignore_errors=True)
        with suppress(FileNotFoundError):
            path.rename(earlier)
        try:
            temporary.rename(path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def _fill(temporary: Path, path: Path, earlier: Path) -> None:
    """Put what is in a folder into `path`, which stays: it is the folder that the user is in."""
    earlier.mkdir()
    try:
        for there, place in ((path, earlier), (temporary, path)):
            for entry in list(there.iterdir()):
                entry.rename(place / entry.name)
    except BaseException:
        for entry in list(earlier.iterdir()):
            if not os.path.lexists(path / entry.name):
                entry.rename(path / entry.name)
        raise


def _working_folder() -> Path | None:
    """Return the folder that the user is in; None where it is gone."""
    try:
        return Path.cwd()
    except OSError:
        return None


@contextmanager
def _naming(path: Path, only: set[int] | None = None) -> Iterator[None]:
    """Say in one sentence which path cannot be written, upon an error of the system.

    With `only`, this is done for errors with these numbers.
    """
    try:
        yield
    except Exception as error:
        number = _number(error)
        if number is None or (only is not None and number not in only):
            raise
        kind = type(error) if isinstance(error, OSError) else OSError
        raise kind(f"cannot write {path}: {os.strerror(number)}") from None


def _number(error: Exception) -> int | None:
    """Return the system's number of an error, also of one in a library's own words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    for pattern, number in _IN_WORDS.items():
        if match := re.search(pattern, str(error)):
            return number or int(match[1])
    return None


def _sync(path: Path) -> None:
    """Put on the disk what is then renamed into place.

    A power cut would leave an empty file of the right name otherwise.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
