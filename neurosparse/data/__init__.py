"""Image sets: one module a set, each with `load(data_dir) -> Splits`; nothing is downloaded unless
asked for.

    from neurosparse import data
    splits = data.load("mnist5k")

A further set is a further module of this folder, with its name added to `NAMES`; its `FILES`, if
any, can be downloaded.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from neurosparse.data.images import ImageSet, Splits
from neurosparse.progress import Progress, quiet

NAMES = ("mnist5k", "mnist", "fashion_mnist", "cifar10", "smallnorb", "norb")

__all__ = ["NAMES", "ImageSet", "Splits", "load"]


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: Progress = quiet,
) -> Splits:
    """The image set `name`, split into training, validation and test images.

    Parameters
    ----------
    name
        One of `NAMES`, or the path of an `.npz` file of one's own (`neurosparse.data.npz` says what
        it may hold).
    data_dir
        The folder that holds the set's files, itself or in a folder of the set's name; by default
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
    folder = None if data_dir is None else Path(data_dir)
    if name.endswith(".npz"):
        from neurosparse.data import npz

        return npz.load(Path(name) if folder is None else folder / name)
    if name not in NAMES:
        raise ValueError(
            f"no image set {name!r}; there are: {', '.join(NAMES)}, or the path of an .npz file"
        )
    module = import_module(f"neurosparse.data.{name}")
    try:
        splits: Splits = module.load(folder)
    except FileNotFoundError:
        files = getattr(module, "FILES", ())
        if not (download and files):
            raise
        from neurosparse.data import downloads, places

        downloads.fetch_all(files, places.own_folder(name, folder), progress=progress)
        splits = module.load(folder)
    return splits
