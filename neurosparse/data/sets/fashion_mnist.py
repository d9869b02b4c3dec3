"""Fashion-MNIST, 28 x 28 pictures of clothes.

55,000 / 5,000 / 10,000 for training, validation and test.

Xiao, Rasul & Vollgraf 2017 (arXiv:1708.07747), MIT licence. Four IDX files, gzip-compressed or not;
Debian's package `dataset-fashion-mnist` installs them. The last twelfth of the training images is
for validation.
"""

from __future__ import annotations

from pathlib import Path

from neurosparse.data import idx, places
from neurosparse.data.images import Splits

NAME = "fashion_mnist"
SYSTEM_NAME = "fashion-mnist"

# Of the unpacked files: computed from Debian's package, and published alike by others. The packed
# files of the authors differ from Debian's; their sums are those of TensorFlow Datasets,
# url_checksums/.
SHA256 = dict(
    zip(
        idx.STEMS,
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        strict=True,
    )
)
_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FILES = idx.published_files(
    _URL,
    (26_421_880, 29_515, 4_422_102, 5_148),
    (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)


def load(data_dir: Path | None = None) -> Splits:
    """Read the pictures and split them; see `neurosparse.data.load`."""
    paths = places.find_folder(
        NAME,
        idx.NAMES,
        data_dir,
        elsewhere=places.system_folders(SYSTEM_NAME),
        remedy=(
            "install Debian's dataset-fashion-mnist, give the folder of its four files as data_dir,"
            " or ask for them with download=True"
        ),
    )
    return idx.read_splits(
        NAME, paths, validation_share=(5_000, 60_000), sha256=SHA256, n_full=(60_000, 10_000)
    )
