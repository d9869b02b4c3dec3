"""NORB's binary matrix format, and its images averaged down to the paper's size.

LeCun, Huang & Bottou 2004, Learning methods for generic object recognition with invariance to pose
and lighting (CVPR). A file is a magic number that says the type, the number of dimensions, their
lengths (at least three are written; all little-endian), the numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.types import Array
from neurosparse.data.raw import Take, read_array

SIDE = 32
MOST_DIMENSIONS = 8
TYPES: dict[int, np.dtype[Any]] = {
    0x1E3D4C51: np.dtype("<f4"),
    0x1E3D4C53: np.dtype("<f8"),
    0x1E3D4C54: np.dtype("<i4"),
    0x1E3D4C55: np.dtype("u1"),
    0x1E3D4C56: np.dtype("<i2"),
}


def read_matrix(path: Path) -> Array:
    """Read the array of a file in NORB's binary matrix format, compressed by gzip or not.

    Raises
    ------
    ValueError
        Where the file is of another format, or holds less or more than its header promises.
    """

    def header(take: Take) -> tuple[tuple[int, ...], np.dtype[Any]]:
        magic, n_dimensions = (int.from_bytes(take(4), "little") for _ in range(2))
        if magic not in TYPES:
            raise ValueError(
                f"it is no matrix of NORB's binary format: it starts with {magic:#010x}"
            )
        if not 1 <= n_dimensions <= MOST_DIMENSIONS:
            raise ValueError(
                f"its header says {n_dimensions:,} dimensions, expected 1 to {MOST_DIMENSIONS}"
            )
        lengths = tuple(int.from_bytes(take(4), "little") for _ in range(max(3, n_dimensions)))
        return lengths[:n_dimensions], TYPES[magic]

    return read_array(path, header)[0]


def shrink(images: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """Return images averaged down to side x side pixels.

    Parameters
    ----------
    images : array of uint8, shape (..., height, width)
        A pixel that falls on the edge between two new ones counts for each by its share.
    side
        Pixels along each edge of the smaller images.

    Returns
    -------
    array of uint8, shape (..., side, side)
        Rounded to whole grey levels, as the originals are.
    """
    rows, columns = (_averaging(n, side) for n in images.shape[-2:])
    small = np.empty((*images.shape[:-2], side, side), np.uint8)
    # one image or pair at a time: the floats of all would take gigabytes
    for index in np.ndindex(images.shape[:1]):
        small[index] = np.rint(rows @ images[index].astype(np.float32) @ columns.T)
    return small


def _averaging(n: int, side: int) -> NDArray[np.float32]:
    """Return the matrix (side, n) that averages n pixels into `side` intervals of equal length."""
    if n < side:
        raise ValueError(f"images must be at least {side} pixels wide and high, got {n}")
    edges = np.linspace(0, n, side + 1)
    start, stop = edges[:-1, None], edges[1:, None]
    pixel = np.arange(n)
    overlap = np.clip(np.minimum(stop, pixel + 1) - np.maximum(start, pixel), 0, None)
    result: NDArray[np.float32] = (overlap * side / n).astype(np.float32)
    return result


def read_pairs(images_path: Path, labels_path: Path) -> tuple[NDArray[np.uint8], Array]:
    """Read pairs of images, averaged down to (n, 2, 32, 32), and their labels, shape (n,)."""
    images, labels = read_matrix(images_path), read_matrix(labels_path)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 2:
        raise ValueError(
            f"{images_path} must hold bytes of shape (n, 2, height, width), got {images.dtype}"
            f" {images.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{labels_path} must hold whole numbers of shape ({len(images)},), one an image, got"
            f" {labels.dtype} {labels.shape}"
        )
    try:
        return shrink(images), labels
    except ValueError as error:
        raise ValueError(f"{images_path}: {error}") from None
