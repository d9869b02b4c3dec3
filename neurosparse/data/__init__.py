"""Image sets: one module a set, each with `load(data_dir) -> Splits`; nothing is downloaded.

    from neurosparse import data
    splits = data.load("mnist5k")

A further set is a further module of this folder, with its name added to `NAMES`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from neurosparse.data.images import ImageSet, Splits

NAMES = ("mnist5k",)

__all__ = ["NAMES", "ImageSet", "Splits", "load"]


def load(name: str, *, data_dir: str | Path | None = None) -> Splits:
    """The image set `name`, split into training, validation and test images.

    Parameters
    ----------
    name
        One of `NAMES`.
    data_dir
        The folder that holds the set's files; by default where the package that carries them keeps them.

    Raises
    ------
    ValueError
        For an unknown name, and for a file that is truncated or altered; one sentence.
    FileNotFoundError
        Where the file is missing.

    Examples
    --------
    >>> load("mnist5k").test.images.shape
    (1000, 784)
    """
    if name not in NAMES:
        raise ValueError(f"no image set {name!r}; there are: {', '.join(NAMES)}")
    module = import_module(f"neurosparse.data.{name}")
    splits: Splits = module.load(None if data_dir is None else Path(data_dir))
    return splits
