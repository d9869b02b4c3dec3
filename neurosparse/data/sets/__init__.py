"""The image sets, a module each."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from neurosparse._internal.registry import Registry, modules_in
from neurosparse.data.images import Splits


class ImageSource(Protocol):
    """A module of an image set.

    It may also have `FILES`, which can then be downloaded: see `neurosparse.data.downloads`.
    """

    def load(self, folder: Path | None = None, /) -> Splits:
        """Read the set from a folder, or from where it is kept, and split it."""
        ...


registry = Registry[str, ImageSource](
    "image set", dict(modules_in(__name__, __file__)), needs=("load",)
)
