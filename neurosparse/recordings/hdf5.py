"""HDF5 files of anyone's: how much a dataset would take, before it is read."""

from __future__ import annotations

import math
from typing import Any

_MOST_RATIO = 1040  # a little over what HDF5's deflate can reach
_SMALL_BYTES = 2**20


def promised_bytes(dataset: Any) -> int:
    """The bytes of a dataset in memory. ValueError where what is stored of it cannot hold them, or is in other files."""
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"its {dataset.name!r} is kept in other files, which are not read")
    promised = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    stored = min(
        dataset.id.get_storage_size(), dataset.file.id.get_filesize()
    )  # the first is what the file says of itself
    if promised > _MOST_RATIO * stored + _SMALL_BYTES:
        raise ValueError(f"its {dataset.name!r} promises {promised:,} bytes and holds {stored:,}")
    return promised
