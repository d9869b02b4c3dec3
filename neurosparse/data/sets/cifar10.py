"""CIFAR-10, 3 x 32 x 32 photographs.

50,000 / 5,000 / 5,000 for training, validation and test, as in the paper.

Krizhevsky 2009, Learning multiple layers of features from tiny images; the binary version: six
files of records of one label and 3,072 bytes (red, green, blue, each row by row). The paper trains
on all five training files; so validation images are the first half of the test file, and test
images its second half.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosparse.data import places
from neurosparse.data.downloads import RemoteFile
from neurosparse.data.images import Splits, from_bytes

NAME = "cifar10"
SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
MOST_RECORDS = 60_000  # of one file; the published ones have 10,000
FOLDER = "cifar-10-batches-bin"
BATCHES = (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin")
ARCHIVE = "cifar-10-binary.tar.gz"
FILES = (
    RemoteFile(  # TensorFlow Datasets, url_checksums/cifar10.txt
        ARCHIVE,
        f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}",
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
)


def load(data_dir: Path | None = None) -> Splits:
    """Read the photographs and split them; see `neurosparse.data.load`.

    The six files are read from the folder, or from its `cifar-10-batches-bin`, or from the
    published archive as it is.
    """
    wanted = [(name, f"{FOLDER}/{name}") for name in BATCHES]
    remedy = (
        f"give the folder of its six files, or of {ARCHIVE}, as data_dir, or ask for it with"
        " download=True"
    )
    try:
        paths = places.find_folder(
            NAME, wanted, data_dir, elsewhere=places.system_folders("cifar-10"), remedy=remedy
        )
    except FileNotFoundError as missing:
        try:
            archive = places.find_folder(NAME, [(ARCHIVE,)], data_dir, remedy=remedy)[0]
        except FileNotFoundError:
            raise missing from None
        records = _from_archive(archive)
        where = archive
    else:
        records = [_records(path.name, path) for path in paths]
        where = paths[-1].parent
    train = np.concatenate(records[:-1])
    n_validation = len(records[-1]) // 2
    if n_validation == 0:
        raise ValueError(
            f"{where} holds too few test images, {len(records[-1])}, to set some aside for"
            " validation"
        )
    parts = [
        from_bytes(part[:, 1:], part[:, 0], n_classes=10, shape=SHAPE, where=where)
        for part in (train, records[-1][:n_validation], records[-1][n_validation:])
    ]
    return Splits(NAME, *parts)


def _records(name: str, path: Path) -> NDArray[np.uint8]:
    """Return the records of a file, shape (n, 3073): the label, then the pixels."""
    size = path.stat().st_size
    if size == 0 or size % RECORD_BYTES:
        raise ValueError(
            f"cannot read {path}: it has {size:,} bytes, not a multiple of {RECORD_BYTES:,}: it is"
            " cut off or not the binary version of CIFAR-10"
        )
    if size > MOST_RECORDS * RECORD_BYTES:
        raise ValueError(
            f"cannot read {path}: {size:,} bytes are more than {MOST_RECORDS:,} records"
        )
    return np.fromfile(path, np.uint8).reshape(-1, RECORD_BYTES)


def _from_archive(path: Path) -> list[NDArray[np.uint8]]:
    """Return the records of the six files in the published archive.

    Any other archive is refused unopened.
    """
    content = path.read_bytes() if path.stat().st_size == FILES[0].n_bytes else b""
    if hashlib.sha256(content).hexdigest() != FILES[0].sha256:
        raise ValueError(
            f"{path} is cut off or altered: it is not the published archive of {FILES[0].n_bytes:,}"
            f" bytes with the SHA-256 {FILES[0].sha256[:12]}...; unpack it yourself, or remove it"
            " and ask for it with download=True"
        )
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = [archive.extractfile(f"{FOLDER}/{name}") for name in BATCHES]
        return [
            np.frombuffer(file.read(), np.uint8).reshape(-1, RECORD_BYTES)
            for file in files
            if file is not None
        ]
