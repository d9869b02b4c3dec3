"""CIFAR-10's files: read as they are published, and refused in every way in which they can be wrong."""

import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest
from image_files import RNG, random_bytes

from neurosparse import data
from neurosparse.data import (
    cifar10,
)
from neurosparse.data.downloads import RemoteFile

pytestmark = pytest.mark.usefixtures("no_image_folders")


def _write_cifar(folder: Path, n: int = 6) -> list[np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for name in cifar10.BATCHES:
        labels, pixels = RNG.integers(0, 10, (n, 1), dtype=np.uint8), random_bytes(n, 3072)
        records.append(np.hstack([labels, pixels]))
        (folder / name).write_bytes(records[-1].tobytes())
    return records


@pytest.mark.parametrize(
    "folder", ["", "cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin"]
)
def test_cifar10_files_are_read_and_split_as_in_the_paper(tmp_path: Path, folder: str) -> None:
    records = _write_cifar(tmp_path / folder)
    splits = data.load("cifar10", data_dir=tmp_path)
    # 50k / 5k / 5k
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [30, 3, 3]
    train = np.concatenate(records[:5])
    np.testing.assert_array_equal(np.rint(255 * splits.train.images), train[:, 1:])
    np.testing.assert_array_equal(splits.train.labels, train[:, 0])
    np.testing.assert_array_equal(splits.validation.labels, records[5][:3, 0])
    np.testing.assert_array_equal(np.rint(255 * splits.test.images), records[5][3:, 1:])
    assert (splits.train.shape, splits.n_features, splits.n_classes) == ((3, 32, 32), 3072, 10)


def test_wrong_cifar10_files(tmp_path: Path) -> None:
    records = _write_cifar(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    content = path.read_bytes()
    for bad in (content[:-1], content + b"\0", b"", content[:3072]):
        path.write_bytes(bad)
        with pytest.raises(
            ValueError, match=r"data_batch_3.bin: it has [\d,]+ bytes, not a multiple of 3,073"
        ):
            data.load("cifar10", data_dir=tmp_path)
    with path.open("wb") as file:
        file.truncate(3073 * 60_001)  # a file of holes
    with pytest.raises(
        ValueError, match=r"data_batch_3.bin: 184,383,073 bytes are more than 60,000 records"
    ):
        data.load("cifar10", data_dir=tmp_path)
    records[2][4, 0] = 10
    path.write_bytes(records[2].tobytes())
    with pytest.raises(
        ValueError, match=r"cannot read .*: labels must lie in \[0, n_classes=10\), got 0 to 10"
    ):
        data.load("cifar10", data_dir=tmp_path)
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"data_batch_1.bin but no data_batch_3.bin; give the folder"
    ):
        data.load("cifar10", data_dir=tmp_path)


def test_cifar10_from_the_published_archive_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = _write_cifar(tmp_path / "made" / cifar10.FOLDER)
    path = tmp_path / cifar10.ARCHIVE
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "made" / cifar10.FOLDER, arcname=cifar10.FOLDER)
    with pytest.raises(
        ValueError,
        match=r"cifar-10-binary.tar.gz is cut off or altered: it is not the published archi",
    ):
        data.load("cifar10", data_dir=tmp_path)
    content = path.read_bytes()
    known = RemoteFile(cifar10.ARCHIVE, "", len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(cifar10, "FILES", (known,))
    splits = data.load("cifar10", data_dir=tmp_path)
    np.testing.assert_array_equal(np.rint(255 * splits.test.images), records[5][3:, 1:])
    path.write_bytes(content[:-1] + b"?")
    with pytest.raises(ValueError, match=r"is cut off or altered"):
        data.load("cifar10", data_dir=tmp_path)
