"""Image sets: a module of `sets/` for each; nothing is downloaded unless asked for.

    from neurosparse import data
    splits = data.load("mnist5k")

A further set is a further module of that folder, with `load(folder) -> Splits`; its `FILES`, if
any, can be downloaded. A set of one's own needs no place there: `register` takes any module.
"""

from __future__ import annotations

from pathlib import Path

from neurosparse._internal import checks
from neurosparse.data.images import ImageSet, Splits, rotated
from neurosparse.data.sets import registry
from neurosparse.progress import Progress, quiet

__all__ = ["ImageSet", "Splits", "load", "names", "register", "rotated"]

names, register = registry.names, registry.register


def __getattr__(name: str) -> tuple[str, ...]:
    if name == "NAMES":  # in version 0.1: all names
        return names()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(
    name: str | Path,
    *,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: Progress = quiet,
) -> Splits:
    """Read the image set `name`, split into training, validation and test images.

    Parameters
    ----------
    name
        One of `names()`, or the path of an `.npz` file of one's own (`neurosparse.data.npz` says
        what it may hold).
    data_dir
        The folder that holds the set's files, itself or in a folder of the set's name. By default
        where the package that carries them keeps them, and where downloads go.
    download
        Whether to download files that are not there, into `data_dir`/NAME or the user's data
        folder. Each has a known SHA-256; an interrupted download goes on where it stopped.
    progress
        Told how far the download is.

    Raises
    ------
    ValueError
        For an unknown name, and for a file that is truncated or altered; one sentence.
    FileNotFoundError
        Where a file is missing.
    OSError
        Where a download fails.

    Examples
    --------
    >>> load("mnist5k").test.images.shape
    (1000, 784)
    """
    checks.instance(
        "name",
        name,
        (str, Path),
        "neurosparse.data.names() has names, and a path is an .npz's",
    )
    folder, name = None if data_dir is None else checks.path("data_dir", data_dir), str(name)
    if name.endswith(".npz"):
        from neurosparse.data import npz

        return npz.load(Path(name) if folder is None else folder / name)
    try:
        found = registry.get(name)
    except ValueError as error:
        raise ValueError(f"{error}; or give the path of an .npz file") from None
    try:
        splits = found.load(folder)
    except FileNotFoundError:
        files = getattr(found, "FILES", ())
        if not (download and files):
            raise
        from neurosparse.data import downloads, places

        downloads.fetch_all(files, places.own_folder(name, folder), progress=progress)
        splits = found.load(folder)
    return splits
