"""Locks that tell a living owner from a dead one.

They end with the process that holds them, however it ends.

Where the system has no `flock` (Windows), the package filelock stands in for it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

Release = Callable[[], None]

_PORTABLE_NAME = ".lock"  # in a folder that is locked without flock


def lock_file(path: Path) -> Release | None:
    """Lock a file, which is made if it is missing.

    Whoever holds the lock may remove the file: a lock on a file that is gone is not taken.

    Returns
    -------
    callable or None
        What releases the lock; None where another process holds it.

    Raises
    ------
    OSError
        Where the file cannot be opened, or is a link, a pipe or a device.
    """
    if fcntl is None:
        return _portable(path)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _SAFE, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(f"{path} is not a plain file: it cannot be a lock")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == path.lstat().st_ino:
                return _closing(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        # its holder removed the file after we had opened it: a lock on nothing
        os.close(descriptor)


def lock_folder(folder: Path, *, wait: bool = False) -> Release:
    """Lock a folder of one's own.

    Parameters
    ----------
    folder
        The folder, which must exist and belong to this user.
    wait
        Wait for another holder. A file system without locks is then taken as it is: nobody else
        gets one there either.

    Raises
    ------
    OSError
        Where there is no such folder, it is a link, a pipe or another user's, or another process
        holds the lock.
    """
    if fcntl is None:
        release = _portable(folder / _PORTABLE_NAME, wait=wait)
        if release is None:
            raise BlockingIOError(f"{folder} is in use")
        return release
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _SAFE)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(f"{folder} is another user's")
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if not wait or isinstance(error, PermissionError):
            os.close(descriptor)
            raise
    return _closing(descriptor)


# a link is not followed, a pipe is not waited for, and no child inherits the lock
_SAFE = 0 if fcntl is None else os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _closing(descriptor: int) -> Release:
    return lambda: os.close(descriptor)


def _portable(path: Path, *, wait: bool = False) -> Release | None:
    from filelock import FileLock, Timeout

    lock = FileLock(str(path))
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        return None

    def release() -> None:
        lock.release()
        path.unlink(missing_ok=True)

    return release
