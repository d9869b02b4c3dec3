"""Image sets of one's own: any `.npz` of images and labels, read without pickle.

What the arrays are called says how they are split; `x` is images, `y` their labels:

- `x_train`, `y_train`, `x_test`, `y_test` (as Keras writes them), with `x_validation`,
  `y_validation` if there are any, or `train_images`, `train_labels`, ... (as MedMNIST does). `val`
  and `valid` are read as `validation`. Without validation images the last sixth of the training
  images is set aside.
- `x` and `y` alone (or `images`, `labels`): of each class, in the file's order, the first 70 % are
  for training, the next 10 % for validation, the last 20 % for the test.

Images have shape (n, ...): uint8, divided by 255, or floats in [0, 1]. Labels are whole numbers
from 0, shape (n,) or (n, 1).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import foreign_npz as archives
from neurosparse._internal.types import Array
from neurosparse.data.idx import split_off_last
from neurosparse.data.images import ImageSet, Splits, scaled

_IMAGES, _LABELS = ("x", "images"), ("y", "labels")
_PARTS = {
    "train": "train",
    "test": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
}

Pairs = dict[str, dict[str, Array]]  # part ("" for the whole) -> "images" and "labels"


def load(path: Path) -> Splits:
    """Read the images of an archive and split them.

    See the module's text, and `neurosparse.data.load`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        pairs = _pairs(archives.load(path, lambda name: _key(name) is not None))
        n_classes = 1 + max(int(pair["labels"].max(initial=0)) for pair in pairs.values())
        sets = {part: _image_set(pair, max(2, n_classes)) for part, pair in pairs.items()}
        train, validation, test = _split(sets, path)
    except (ValueError, TypeError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
    return Splits(path.stem, train, validation, test)


def _key(name: str) -> tuple[str, str] | None:
    """Return the part that an array belongs to ("" for the whole set), and what it holds.

    What it holds is "images" or "labels"; both come from its name.
    """
    words = re.split(r"[_.\- ]", name.lower())
    for kind, known in (("images", _IMAGES), ("labels", _LABELS)):
        others = [word for word in words if word not in known]
        if len(others) == len(words) - 1 and (
            not others or (len(others) == 1 and others[0] in _PARTS)
        ):
            return (_PARTS[others[0]] if others else ""), kind
    return None


def _pairs(arrays: dict[str, Array]) -> Pairs:
    pairs: Pairs = {}
    for name, array in arrays.items():
        part, kind = _key(name) or ("", "")
        if kind in pairs.setdefault(part, {}):
            raise ValueError(f"it holds two arrays of {part or 'all'} {kind}; keep one of them")
        pairs[part][kind] = array
    for part, pair in pairs.items():
        if missing := {"images", "labels"} - set(pair):
            raise ValueError(f"it holds no {min(missing)} for the {part or 'x and y'} part")
    if set(pairs) not in ({""}, {"train", "test"}, {"train", "validation", "test"}):
        raise ValueError(
            "it must hold x and y, or x_train, y_train, x_test and y_test (and x_validation,"
            f" y_validation), got {', '.join(arrays) or 'none of these'}"
        )
    return pairs


def _image_set(pair: dict[str, Array], n_classes: int) -> ImageSet:
    images, labels = pair["images"], pair["labels"]
    if images.ndim < 2 or images.size == 0:
        raise ValueError(f"images must have shape (n, ...), n >= 1, got {images.shape}")
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise TypeError(f"images must be uint8 in 0..255 or floats in [0, 1], got {images.dtype}")
    if labels.shape == (len(labels), 1):
        labels = labels[:, 0]
    flat = scaled(images) if images.dtype == np.uint8 else images.reshape(len(images), -1)
    return ImageSet(flat, labels, n_classes, images.shape[1:])


def _split(sets: dict[str, ImageSet], path: Path) -> tuple[ImageSet, ImageSet, ImageSet]:
    if "" in sets:
        whole = sets[""]
        parts: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
        for label in np.unique(whole.labels):
            rows = np.flatnonzero(whole.labels == label)
            for part, some in zip(
                parts, np.split(rows, [len(rows) * 7 // 10, len(rows) * 8 // 10]), strict=True
            ):
                part.append(some)
        indices = [np.sort(np.concatenate(part)) for part in parts]
        if not all(rows.size for rows in indices):
            raise ValueError(
                f"its {len(whole)} images are too few to be split into three parts; 10 a class"
                " suffice"
            )
        return whole.take(indices[0]), whole.take(indices[1]), whole.take(indices[2])
    if "validation" in sets:
        return sets["train"], sets["validation"], sets["test"]
    return *split_off_last(sets["train"], len(sets["train"]) // 6, path), sets["test"]
