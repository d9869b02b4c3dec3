"""MNIST, 28 x 28 handwritten digits.

50,000 / 10,000 / 10,000 for training, validation and test, as in the paper.

LeCun, Cortes & Burges, the MNIST database of handwritten digits. Four IDX files, gzip-compressed or
not. The last sixth of the training images is for validation (the paper gives the numbers, not the
images).
"""

from __future__ import annotations

from pathlib import Path

from neurosparse.data import idx, places
from neurosparse.data.images import Splits

NAME = "mnist"

# Of the unpacked files, as many projects publish them alike; the packed ones are those of
# TensorFlow Datasets, url_checksums/.
SHA256 = dict(
    zip(
        idx.STEMS,
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        strict=True,
    )
)
_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
FILES = idx.published_files(
    _URL,
    (9_912_422, 28_881, 1_648_877, 4_542),
    (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)


def load(data_dir: Path | None = None) -> Splits:
    """Read the digits and split them; see `neurosparse.data.load`."""
    paths = places.find_folder(
        NAME,
        idx.NAMES,
        data_dir,
        elsewhere=places.system_folders(NAME),
        remedy="give the folder of its four files as data_dir, or ask for them with download=True",
    )
    return idx.read_splits(
        NAME, paths, validation_share=(10_000, 60_000), sha256=SHA256, n_full=(60_000, 10_000)
    )
