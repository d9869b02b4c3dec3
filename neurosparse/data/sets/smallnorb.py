"""Small NORB, pairs of photographs of toys on a plain ground: 2 x 32 x 32 pixels, in five classes.

LeCun, Huang & Bottou 2004, Learning methods for generic object recognition with invariance to pose
and lighting (CVPR). There are 24,300 pairs of 96 x 96 images for training and as many of other toys
for the test, averaged down to the paper's size. The last fifth of the training pairs is for
validation, the share that the paper takes. The paper's own set is `neurosparse.data.norb`.
"""

from __future__ import annotations

from pathlib import Path

from neurosparse.data import places
from neurosparse.data.downloads import RemoteFile
from neurosparse.data.idx import split_off_last
from neurosparse.data.images import Splits, from_bytes
from neurosparse.data.matrix import read_pairs

NAME = "smallnorb"
N_CLASSES = 5
_TRAINING, _TESTING = (
    "smallnorb-5x46789x9x18x6x2x96x96-training",
    "smallnorb-5x01235x9x18x6x2x96x96-testing",
)
NAMES = tuple(
    (f"{stem}-{kind}.mat", f"{stem}-{kind}.mat.gz")
    for stem in (_TRAINING, _TESTING)
    for kind in ("dat", "cat")
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
    read = (read_pairs(paths[0], paths[1]), read_pairs(paths[2], paths[3]))
    whole, test = (
        from_bytes(images, labels, n_classes=N_CLASSES, shape=images.shape[1:], where=where)
        for (images, labels), where in zip(read, paths[1::2], strict=True)
    )
    train, validation = split_off_last(whole, len(whole) // 5, paths[0])
    return Splits(NAME, train, validation, test)
