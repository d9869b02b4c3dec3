"""Training images altered: mirrored and moved, so that an epoch never shows the same ones twice."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from neurosparse.data.images import ImageSet

Floats = NDArray[np.float32]


def augmented(
    images: ImageSet,
    rng: np.random.Generator,
    *,
    flipped: float = 0.0,
    shifted: float = 0.0,
    shift_px: int = 1,
) -> Floats:
    """Return images of which some are mirrored left to right and some are moved.

    The images that were given stay as they are.

    Parameters
    ----------
    images
        Of shape (..., rows, columns); channels before those are altered alike.
    rng
        Where chance comes from: the same state, the same images.
    flipped
        The probability that an image is mirrored.
    shifted
        The probability that an image is moved.
    shift_px
        A moved image goes by -shift_px to shift_px pixels along each axis, all as likely as another
        (0, 0 among them). The margin that comes in is 0.

    Returns
    -------
    array of float32, shape (n, features)

    Raises
    ------
    ValueError
        Where the images have no rows and columns, or are moved and have no more than shift_px of
        them.

    Examples
    --------
    >>> one = ImageSet(np.float32([[0, 0, 1, 0.5]]), np.array([0]), 2, (2, 2))
    >>> augmented(one, np.random.default_rng(0), flipped=1.0)
    array([[0. , 0. , 0.5, 1. ]], dtype=float32)
    """
    check_shape(images.shape, shifted, shift_px)
    altered = images.images.reshape(-1, *images.shape).copy()
    turned = rng.random(len(images)) < flipped
    altered[turned] = altered[turned][..., ::-1]
    moved = np.flatnonzero(rng.random(len(images)) < shifted)
    down, right = rng.integers(-shift_px, shift_px, size=(2, moved.size), endpoint=True)
    for y, x in product(range(-shift_px, shift_px + 1), repeat=2):
        some = moved[(down == y) & (right == x)]
        altered[some] = _moved(altered[some], y, x)
    return altered.reshape(len(images), -1)


def check_shape(shape: tuple[int, ...], shifted: float, shift_px: int) -> None:
    """Refuse images that cannot be altered so; see `augmented`.

    Where none is moved, a pixel is room enough.
    """
    room = shift_px if shifted else 0
    if len(shape) < 2 or min(shape[-2:]) <= room:
        raise ValueError(
            f"augmentation needs images of rows and columns, more than {room} of each, got images"
            f" of shape {shape}"
        )


def _moved(images: Floats, y: int, x: int) -> Floats:
    """Move images, shape (n, ..., rows, columns), down by y and right by x."""
    rows, columns = images.shape[-2:]
    moved = np.zeros_like(images)
    moved[..., max(y, 0) : rows + min(y, 0), max(x, 0) : columns + min(x, 0)] = images[
        ..., max(-y, 0) : rows - max(y, 0), max(-x, 0) : columns - max(x, 0)
    ]
    return moved
