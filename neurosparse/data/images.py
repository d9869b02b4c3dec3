"""Labelled images, and a data set's three disjoint parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import cards, checks
from neurosparse._internal.types import Array
from neurosparse._internal.units import plain


@dataclass(frozen=True, slots=True)
class ImageSet(cards.Shown):
    """Images with one label each; read-only.

    Parameters
    ----------
    images : array of float32 in [0, 1], shape (n, features)
        One image a row, its pixels in row-major order.
    labels : array of int64 in [0, n_classes), shape (n,)
        The class of each image.
    n_classes
        The number of classes.
    shape
        The shape of one image, such as (28, 28); its product is the number of features.

    Raises
    ------
    ValueError, TypeError
        On NaN, values outside [0, 1], labels outside [0, n_classes), unlike lengths, no images.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    n_classes: int
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        checks.whole("n_classes", self.n_classes, least=2)
        images = checks.finite_array("images", self.images, dtype=np.float32)
        labels = np.asarray(plain("labels", self.labels))
        n_features = int(np.prod(self.shape))
        if images.ndim != 2 or images.shape[1] != n_features or images.shape[0] == 0:
            raise ValueError(
                f"images must have shape (n, {n_features}), n >= 1, for shape={self.shape}, got"
                f" {images.shape}"
            )
        if images.min() < 0 or images.max() > 1:
            raise ValueError(f"images must lie in [0, 1], got {images.min():g} to {images.max():g}")
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"labels must be integers, got dtype {labels.dtype}")
        if labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels must have shape ({images.shape[0]},), one an image, got {labels.shape}"
            )
        if labels.min() < 0 or labels.max() >= self.n_classes:
            raise ValueError(
                f"labels must lie in [0, n_classes={self.n_classes}), got {labels.min()} to"
                f" {labels.max()}"
            )
        object.__setattr__(self, "images", _frozen_copy(images, np.float32))
        object.__setattr__(self, "labels", _frozen_copy(labels, np.int64))

    def __len__(self) -> int:
        """Return the number of images."""
        return int(self.labels.size)

    def _card(self) -> cards.Card:
        return cards.Card("Images", self._described())

    def _described(self) -> dict[str, object]:
        shape = " x ".join(map(str, self.shape))
        return {
            "images": len(self),
            "shape": shape,
            "classes": self.n_classes,
            "mean": float(self.images.mean()),
        }

    def take(self, indices: Any) -> ImageSet:
        """Return the images at `indices`: a slice, a mask or an array of int, shape (m,)."""
        return ImageSet(self.images[indices], self.labels[indices], self.n_classes, self.shape)

    def mixed(self) -> ImageSet:
        """Return the images in a random order, which is the same at each call.

        A set may have its classes one after the other. Intervals over inputs take neighbours that
        are alike for a sequence.
        """
        return self.take(np.random.default_rng(0).permutation(len(self)))


@dataclass(frozen=True, slots=True)
class Splits(cards.Shown):
    """A data set in three disjoint parts.

    Weights are fitted on the first, choices are made on the second, and the third is read once.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet

    def __post_init__(self) -> None:
        parts = (self.train, self.validation, self.test)
        for name, part in zip(("train", "validation", "test"), parts, strict=True):
            check_images(part, name)
        kinds = {(part.n_classes, part.shape) for part in parts}
        if len(kinds) > 1:
            raise ValueError(
                f"the three parts of {self.name!r} must agree in n_classes and shape, got"
                f" {sorted(kinds)}"
            )

    def _card(self) -> cards.Card:
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        return cards.Card(
            self.name, [{"part": name} | part._described() for name, part in parts.items()]
        )

    @property
    def n_features(self) -> int:
        """The number of pixels of an image."""
        result: int = self.train.images.shape[1]
        return result

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return self.train.n_classes


def rotated(splits: Splits, rotation: int, n_rotations: int) -> Splits:
    """Return a data set with another part of its images as test images.

    Every n-th image of all, from that of the rotation on, is a test image, so that over the
    rotations each is one once. Of the others the first that are a test image in the next rotation
    are for validation, as many as before at most.

    Parameters
    ----------
    splits
        The data set.
    rotation
        From 0 to `n_rotations` - 1.
    n_rotations
        At least 3.
    """
    checks.whole("n_rotations", n_rotations, least=3)
    if not 0 <= rotation < n_rotations:
        raise ValueError(f"rotation must be 0 to {n_rotations - 1}, got {rotation}")
    parts = (splits.train, splits.validation, splits.test)
    whole = ImageSet(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        splits.n_classes,
        splits.train.shape,
    )
    turn = np.arange(len(whole)) % n_rotations
    test = turn == rotation
    validation = np.zeros_like(test)
    next_ones = np.flatnonzero(turn == (rotation + 1) % n_rotations)
    validation[next_ones[: len(splits.validation)]] = True
    chosen = (whole.take(part) for part in (~test & ~validation, validation, test))
    return Splits(splits.name, *chosen)


def from_bytes(
    images: Array,
    labels: Array,
    *,
    n_classes: int,
    shape: tuple[int, ...],
    where: Path,
) -> ImageSet:
    """Return images of bytes in 0..255, shape (n, ...), divided by 255.

    Errors name the file `where` the labels are from.
    """
    try:
        return ImageSet(scaled(images), labels, n_classes, shape)
    except (ValueError, TypeError) as error:
        raise ValueError(f"cannot read {where}: {error}") from None


def scaled(images: Array) -> NDArray[np.float32]:
    """Convert bytes of shape (n, ...) to float32 in [0, 1], shape (n, features)."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat /= 255
    return flat


def _frozen_copy(array: Array, dtype: Any) -> Array:
    """Return a contiguous copy that cannot be written to."""
    copy = np.array(array, dtype=dtype, order="C")
    copy.flags.writeable = False
    return copy


def check_images(images: object, name: str = "images") -> None:
    """Refuse what is no ImageSet with a TypeError."""
    checks.instance(name, images, ImageSet, "neurosparse.data.load(name).train is one")


def check_splits(splits: object) -> None:
    """Refuse what is no Splits with a TypeError."""
    checks.instance("splits", splits, Splits, "neurosparse.data.load(name) gives them")
