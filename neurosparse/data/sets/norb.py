"""Jittered-cluttered NORB, as in the paper.

Pairs of photographs of toys on cluttered grounds, 2 x 32 x 32 pixels, in six classes.

LeCun, Huang & Bottou 2004, Learning methods for generic object recognition with invariance to pose
and lighting (CVPR). There are ten files of 29,160 pairs of 108 x 108 images for training, and two
of other toys for the test. Each has a file of labels. The sixth class is a ground without a toy.
Averaged down to the paper's size, and split as in the paper: 233,172 / 58,428 / 58,320 for
training, validation and test, the last of the training pairs being for validation. Takes several GB
of memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurosparse.data import places
from neurosparse.data.images import Splits, from_bytes
from neurosparse.data.matrix import read_pairs

NAME = "norb"
N_CLASSES = 6
N_TRAINING_FILES = 10
VALIDATION_SHARE = (58_428, 291_600)
NAMES = tuple(
    (f"{stem}-{kind}.mat", f"{stem}-{kind}.mat.gz")
    for stem in (
        *(
            f"norb-5x46789x9x18x6x2x108x108-training-{k:02d}"
            for k in range(1, N_TRAINING_FILES + 1)
        ),
        *(f"norb-5x01235x9x18x6x2x108x108-testing-{k:02d}" for k in (1, 2)),
    )
    for kind in ("dat", "cat")
)


def load(data_dir: Path | None = None) -> Splits:
    """Read the pairs of images, reduce and split them; see `neurosparse.data.load`.

    There is no download.
    """
    paths = places.find_folder(
        NAME,
        NAMES,
        data_dir,
        elsewhere=places.system_folders(NAME),
        remedy="give the folder of its 24 files (-dat.mat and -cat.mat, packed or not) as data_dir",
    )
    read = [
        read_pairs(images, labels) for images, labels in zip(paths[::2], paths[1::2], strict=True)
    ]
    images, labels = (np.concatenate(arrays) for arrays in zip(*read, strict=True))
    n_test = sum(len(labels) for _, labels in read[N_TRAINING_FILES:])
    n_whole = len(images) - n_test
    n_train = n_whole - n_whole * VALIDATION_SHARE[0] // VALIDATION_SHARE[1]
    if not 0 < n_train < n_whole:
        raise ValueError(
            f"{paths[0].parent} holds too few pairs, {n_whole}, to set some aside for validation"
        )
    parts = (slice(0, n_train), slice(n_train, n_whole), slice(n_whole, None))
    train, validation, test = (
        from_bytes(
            images[part],
            labels[part],
            n_classes=N_CLASSES,
            shape=images.shape[1:],
            where=paths[0].parent,
        )
        for part in parts
    )
    return Splits(NAME, train, validation, test)
