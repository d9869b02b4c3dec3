"""IDX, the format of MNIST.

Two zero bytes, the type, the number of dimensions, their lengths (big-endian), the numbers.

LeCun, Cortes & Burges, "The IDX file format", on the page of the MNIST database. Sets of images
come as four such files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosparse.data.downloads import RemoteFile
from neurosparse.data.images import ImageSet, Splits, from_bytes
from neurosparse.data.raw import Take, read_array

STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
NAMES = tuple(
    (stem, f"{stem}.gz", stem.replace("-idx", ".idx"), stem.replace("-idx", ".idx") + ".gz")
    for stem in STEMS
)
_UNSIGNED_BYTE = 8


def published_files(
    url: str, n_bytes: Sequence[int], sha256: Sequence[str]
) -> tuple[RemoteFile, ...]:
    """Return the four packed files below `url`, with lengths and sums, in the order of `STEMS`."""
    return tuple(
        RemoteFile(f"{stem}.gz", f"{url}{stem}.gz", length, digest)
        for stem, length, digest in zip(STEMS, n_bytes, sha256, strict=True)
    )


def read_idx(path: Path, n_dimensions: int) -> tuple[NDArray[np.uint8], str]:
    """Read the unsigned bytes of an IDX file and the SHA-256 of its unpacked content.

    The file may be compressed by gzip.

    Raises
    ------
    ValueError
        Where the file is not one of `n_dimensions`, or holds less or more than its header promises.
    """

    def header(take: Take) -> tuple[tuple[int, ...], np.dtype[np.uint8]]:
        zero, kind, found = int.from_bytes(take(2)), *take(2)
        if zero or kind != _UNSIGNED_BYTE:
            raise ValueError(
                f"it is no IDX file of unsigned bytes: it starts with {zero:04x}{kind:02x}, not"
                " 000008"
            )
        if found != n_dimensions:
            raise ValueError(f"it holds an array of {found} dimensions, expected {n_dimensions}")
        return tuple(int.from_bytes(take(4)) for _ in range(found)), np.dtype(np.uint8)

    return read_array(path, header)


def read_splits(
    name: str,
    paths: Sequence[Path],
    *,
    validation_share: tuple[int, int],
    sha256: Mapping[str, str],
    n_full: Sequence[int],
) -> Splits:
    """Read the four files of a set as training, validation and test images.

    Parameters
    ----------
    name
        Of the set, for the splits.
    paths
        Of the four files, in the order of `STEMS`.
    validation_share
        The last so many of so many training images are for validation, such as (10_000, 60_000).
    sha256
        Of the unpacked content of each file, by its stem; checked where a file is as long as the
        published one.
    n_full
        How many images the published training and test sets have.

    Raises
    ------
    ValueError
        Where a file is damaged or altered, or too short to split; one sentence that names it.
    """
    parts = []
    for k, n_published in ((0, n_full[0]), (2, n_full[1])):
        images, images_sum = read_idx(paths[k], 3)
        labels, labels_sum = read_idx(paths[k + 1], 1)
        for stem, path, found, n in (
            (STEMS[k], paths[k], images_sum, len(images)),
            (STEMS[k + 1], paths[k + 1], labels_sum, len(labels)),
        ):
            if n == n_published and found != sha256[stem]:
                raise ValueError(
                    f"{path} is altered, or not of {name!r}: the SHA-256 of its content is"
                    f" {found[:12]}..., expected {sha256[stem][:12]}..."
                )
        parts.append(
            from_bytes(images, labels, n_classes=10, shape=images.shape[1:], where=paths[k + 1])
        )
    whole, test = parts
    n_validation = len(whole) * validation_share[0] // validation_share[1]
    train, validation = split_off_last(whole, n_validation, paths[0])
    return Splits(name, train, validation, test)


def split_off_last(whole: ImageSet, n_last: int, path: Path) -> tuple[ImageSet, ImageSet]:
    """Return all but the last `n_last` images, and these."""
    if not 0 < n_last < len(whole):
        raise ValueError(
            f"{path} holds too few images, {len(whole)}, to set some aside for validation"
        )
    first = len(whole) - n_last
    return whole.take(slice(None, first)), whole.take(slice(first, None))
