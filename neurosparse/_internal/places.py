"""Folders for what is made once and used again: compiled kernels and circuits, lists of fonts.

The first place that can be written is taken: $NEUROSPARSE_CACHE, the user's cache folder of the
platform, a folder of the user's own among the temporary files. Containers, clusters and shared
installations often lack the first two.

What lies there is run as code. So the temporary folder, whose name others can know, is taken only
where it belongs to this user and nobody else can write to it.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path


def cache_folder(name: str) -> Path | None:
    """Return the folder in which `name` keeps what it made, or None where no place can be written.

    It exists. A place that lasts only as long as the temporary files do, and none, are each said
    once in a warning.
    """
    root = _root()
    return root and writable(root / name)


def house_matplotlib() -> None:
    """Give matplotlib a folder that lasts, where it would find none and make one for each run."""
    if "MPLCONFIGDIR" in os.environ or "matplotlib" in sys.modules:
        return
    from platformdirs import user_cache_path, user_config_path

    homes = [user_config_path("matplotlib"), user_cache_path("matplotlib")]
    if not all(home.is_absolute() and writable(home) for home in homes):
        folder = cache_folder("matplotlib")
        if folder is not None:
            os.environ["MPLCONFIGDIR"] = str(folder)


def _root() -> Path | None:
    chosen = os.environ.get("NEUROSPARSE_CACHE")
    if found := writable(Path(chosen).expanduser()) if chosen else _user_folder():
        return found
    tried = f"NEUROSPARSE_CACHE={chosen}" if chosen else "the user's cache folder"
    found = _temporary()
    _say_once(
        f"{tried} cannot be written, so what is compiled is kept "
        + (f"in {found} only" if found else "for this run only")
        + "; set NEUROSPARSE_CACHE to a folder that can be"
    )
    return found


@lru_cache
def _say_once(text: str) -> None:
    warnings.warn(text, stacklevel=4)


def _user_folder() -> Path | None:
    from platformdirs import user_cache_path

    folder = user_cache_path("neurosparse")
    # without a home there is a "~" left, which is no place
    return writable(folder) if folder.is_absolute() else None


def writable(folder: Path) -> Path | None:
    """Return the folder, made where it is missing, or None where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):
        return None
    return folder


def _temporary() -> Path | None:
    """Return the user's own folder among the temporary files; None where it is not safe."""
    try:
        who = os.getuid() if hasattr(os, "getuid") else os.getlogin()
        folder = Path(tempfile.gettempdir()) / f"neurosparse-{who}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    own = stat.S_ISDIR(found.st_mode) and (
        os.name == "nt" or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    )
    return writable(folder) if own else None
