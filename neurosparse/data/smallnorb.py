"""NORB's binary matrix format, and small NORB: toys on a plain ground, 2 x 32 x 32, in five classes.

LeCun, Huang & Bottou 2004, Learning methods for generic object recognition with invariance to pose and lighting (CVPR). A file is
a magic number that says the type, the number of dimensions, their lengths (at least three are written; all little-endian), the
numbers. Small NORB has 24,300 pairs of 96 x 96 images for training and as many of other toys for the test; pairs are averaged
down to 2 x 32 x 32, the paper's size. The last fifth of the training pairs is for validation, the share that the paper takes.

The paper's own set is the jittered-cluttered one (six classes, 2 x 108 x 108, twelve files): `read_matrix` and `shrink` read and
reduce its files too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse.data import places
from neurosparse.data.downloads import RemoteFile
from neurosparse.data.idx import split_off_last
from neurosparse.data.images import ImageSet, Splits, from_bytes
from neurosparse.data.raw import Take, read_array

NAME = "smallnorb"
N_CLASSES = 5
SIDE = 32
MOST_DIMENSIONS = 8
TYPES: dict[int, np.dtype[Any]] = {
    0x1E3D4C51: np.dtype("<f4"),
    0x1E3D4C53: np.dtype("<f8"),
    0x1E3D4C54: np.dtype("<i4"),
    0x1E3D4C55: np.dtype("u1"),
    0x1E3D4C56: np.dtype("<i2"),
}
_TRAINING, _TESTING = "smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing"
NAMES = tuple(
    (f"{stem}-{kind}.mat", f"{stem}-{kind}.mat.gz") for stem in (_TRAINING, _TESTING) for kind in ("dat", "cat")
)
FILES = tuple(  # TensorFlow Datasets, url_checksums/smallnorb.txt
    RemoteFile(packed, f"https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/{packed}", n_bytes, sha256)
    for (_, packed), n_bytes, sha256 in zip(
        NAMES,
        (131_896_188, 348, 130_799_817, 347),
        (
            "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873",
            "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa",
            "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474",
            "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff",
        ),
        strict=True,
    )
)


def load(data_dir: Path | None = None) -> Splits:
    """Read the pairs of images, reduce and split them; see `neurosparse.data.load`."""
    paths = places.find_folder(
        NAME,
        NAMES,
        data_dir,
        elsewhere=places.system_folders("smallnorb"),
        remedy="give the folder of its four files as data_dir, or ask for them with download=True",
    )
    whole, test = (_read_part(*paths[k : k + 2]) for k in (0, 2))
    train, validation = split_off_last(whole, len(whole) // 5, paths[0])
    return Splits(NAME, train, validation, test)


def read_matrix(path: Path) -> NDArray[Any]:
    """The array in a file of NORB's binary matrix format, gzip-compressed or not.

    Raises
    ------
    ValueError
        Where the file is of another format, or holds less or more than its header promises.
    """

    def header(take: Take) -> tuple[tuple[int, ...], np.dtype[Any]]:
        magic, n_dimensions = (int.from_bytes(take(4), "little") for _ in range(2))
        if magic not in TYPES:
            raise ValueError(f"it is no matrix of NORB's binary format: it starts with {magic:#010x}")
        if not 1 <= n_dimensions <= MOST_DIMENSIONS:
            raise ValueError(f"its header says {n_dimensions:,} dimensions, expected 1 to {MOST_DIMENSIONS}")
        lengths = tuple(int.from_bytes(take(4), "little") for _ in range(max(3, n_dimensions)))
        return lengths[:n_dimensions], TYPES[magic]

    return read_array(path, header)[0]


def shrink(images: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """Images averaged down to side x side pixels.

    Parameters
    ----------
    images : array of uint8, shape (..., height, width)
        A pixel that falls on the edge between two new ones counts for each by its share.

    Returns
    -------
    array of uint8, shape (..., side, side)
        Rounded to whole grey levels, as the originals are.
    """
    rows, columns = (_averaging(n, side) for n in images.shape[-2:])
    small = np.empty((*images.shape[:-2], side, side), np.uint8)
    for index in np.ndindex(images.shape[:1]):  # one image or pair at a time: the floats of all would take gigabytes
        small[index] = np.rint(rows @ images[index].astype(np.float32) @ columns.T)
    return small


def _averaging(n: int, side: int) -> NDArray[np.float32]:
    """The matrix (side, n) that averages n pixels into `side` intervals of equal length."""
    if n < side:
        raise ValueError(f"images must be at least {side} pixels wide and high, got {n}")
    edges = np.linspace(0, n, side + 1)
    start, stop = edges[:-1, None], edges[1:, None]
    pixel = np.arange(n)
    overlap = np.clip(np.minimum(stop, pixel + 1) - np.maximum(start, pixel), 0, None)
    return (overlap * side / n).astype(np.float32)


def _read_part(images_path: Path, labels_path: Path) -> ImageSet:
    images, labels = read_matrix(images_path), read_matrix(labels_path)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 2:
        raise ValueError(
            f"{images_path} must hold bytes of shape (n, 2, height, width), got {images.dtype} {images.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ValueError(f"{labels_path} must hold whole numbers of shape (n,), got {labels.dtype} {labels.shape}")
    try:
        small = shrink(images)
    except ValueError as error:
        raise ValueError(f"{images_path}: {error}") from None
    return from_bytes(small, labels, n_classes=N_CLASSES, shape=small.shape[1:], where=labels_path)
