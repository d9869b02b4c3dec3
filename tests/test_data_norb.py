"""NORB's files: read as they are published, and refused in every way in which they can be wrong."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import matrix_file, random_bytes

from neurosparse import data
from neurosparse.data import (
    matrix,
    norb,
    smallnorb,
)

pytestmark = pytest.mark.usefixtures("no_image_folders")


def _write_norb(
    folder: Path, n: int = 10, *, packed: bool = False, side: int = 96
) -> list[np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for plain, gz in smallnorb.NAMES:
        array = random_bytes(n, 2, side, side) if "-dat" in plain else np.arange(n, dtype="<i4") % 5
        arrays.append(array)
        content = matrix_file(array, 0x1E3D4C55 if "-dat" in plain else 0x1E3D4C54)
        (
            (folder / gz).write_bytes(gzip.compress(content))
            if packed
            else (folder / plain).write_bytes(content)
        )
    return arrays


@pytest.mark.parametrize("packed", [False, True])
def test_norb_files_are_read_reduced_and_split(tmp_path: Path, packed: bool) -> None:
    arrays = _write_norb(tmp_path, packed=packed)
    splits = data.load("smallnorb", data_dir=tmp_path)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [8, 2, 10]
    assert (splits.train.shape, splits.n_features, splits.n_classes) == ((2, 32, 32), 2048, 5)
    blocks = arrays[0].reshape(10, 2, 32, 3, 32, 3).mean(axis=(3, 5)).reshape(10, 2048)
    found = np.concatenate([splits.train.images, splits.validation.images])
    np.testing.assert_allclose(255 * found, blocks, atol=0.5 + 1e-4)
    np.testing.assert_array_equal(splits.test.labels, arrays[3])


@pytest.mark.parametrize(
    ("array", "magic"),
    [
        (random_bytes(3, 2, 4, 5), 0x1E3D4C55),
        (np.arange(7, dtype="<i4"), 0x1E3D4C54),
        (np.arange(6, dtype="<f4").reshape(2, 3), 0x1E3D4C51),
        (np.arange(6, dtype="<f8").reshape(3, 2), 0x1E3D4C53),
        (np.arange(24, dtype="<i2").reshape(2, 3, 4), 0x1E3D4C56),
    ],
)
def test_every_type_of_matrix(tmp_path: Path, array: np.ndarray, magic: int) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(matrix_file(array, magic))
    found = matrix.read_matrix(path)
    np.testing.assert_array_equal(found, array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)


def test_a_small_matrix_byte_by_byte(tmp_path: Path) -> None:
    """The example that NORB's page gives: a vector is written with three lengths, the idle ones
    1.
    """
    path = tmp_path / "cat.mat"
    path.write_bytes(
        bytes.fromhex("544c3d1e 01000000 02000000 01000000 01000000 03000000 04000000")
    )
    assert matrix.read_matrix(path).tolist() == [3, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-1], r"cut off|cannot hold"),
        (lambda c: c[:10], r"ends within its header"),
        (lambda c: c + b"\0", r"holds more than"),
        (
            lambda c: b"\0\0\x08\x03" + c[4:],
            r"no matrix of NORB's binary format: it starts with 0x03080000",
        ),
        (lambda c: c[:4] + b"\x09\0\0\0" + c[8:], r"its header says 9 dimensions, expected 1 to 8"),
        (lambda c: c[:4] + b"\0\0\0\0" + c[8:], r"its header says 0 dimensions"),
        (lambda c: c[:8] + b"\0\x10\0\0" + c[12:], r"promises 75,497,472 bytes, which a file of"),
        (
            lambda c: c[:8] + b"\xff\xff\xff\xff" + c[12:],
            r"promises [\d,]+ bytes, more than 2,147,483,648",
        ),
    ],
)
def test_wrong_norb_files(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    _write_norb(tmp_path)
    path = tmp_path / smallnorb.NAMES[0][0]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"^cannot read .*training-dat.mat: .*({message})"):
        data.load("smallnorb", data_dir=tmp_path)


def test_norb_files_of_another_kind(tmp_path: Path) -> None:
    _write_norb(tmp_path)
    images, labels = (tmp_path / smallnorb.NAMES[k][0] for k in (0, 1))
    labels.write_bytes(matrix_file(np.arange(10, dtype="<i4") % 6, 0x1E3D4C54))
    with pytest.raises(
        ValueError, match=r"training-cat.mat: labels must lie in \[0, n_classes=5\), got 0 to 5"
    ):
        data.load("smallnorb", data_dir=tmp_path)
    labels.write_bytes(matrix_file(np.zeros(10, "<f4"), 0x1E3D4C51))
    with pytest.raises(
        ValueError,
        match=(
            r"training-cat.mat must hold whole numbers of shape \(10,\), one an image, got float32"
        ),
    ):
        data.load("smallnorb", data_dir=tmp_path)
    labels.write_bytes(matrix_file(np.arange(10, dtype="<i4") % 5, 0x1E3D4C54))
    images.write_bytes(matrix_file(random_bytes(10, 96, 96), 0x1E3D4C55))
    with pytest.raises(
        ValueError, match=r"training-dat.mat must hold bytes of shape \(n, 2, height, width\)"
    ):
        data.load("smallnorb", data_dir=tmp_path)
    images.write_bytes(matrix_file(random_bytes(10, 2, 20, 96), 0x1E3D4C55))
    with pytest.raises(
        ValueError,
        match=r"training-dat.mat: images must be at least 32 pixels wide and high, got 20",
    ):
        data.load("smallnorb", data_dir=tmp_path)


def test_the_papers_norb_is_read_and_split_as_in_the_paper(tmp_path: Path) -> None:
    assert 291_600 - 58_428 == 233_172
    assert (len(norb.NAMES), norb.NAMES[19][0]) == (
        24,
        "norb-5x46789x9x18x6x2x108x108-training-10-cat.mat",
    )
    labels = []
    for k, (plain, gz) in enumerate(norb.NAMES):
        if "-dat" in plain:
            content = matrix_file(random_bytes(5, 2, 108, 108), 0x1E3D4C55)
        else:
            labels.append((np.arange(5, dtype="<i4") + k) % 6)
            content = matrix_file(labels[-1], 0x1E3D4C54)
        (
            (tmp_path / plain).write_bytes(content)
            if k % 3
            else (tmp_path / gz).write_bytes(gzip.compress(content, 1))
        )
    splits = data.load("norb", data_dir=tmp_path)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [40, 10, 10]
    parts = (splits.train, splits.validation, splits.test)
    np.testing.assert_array_equal(
        np.concatenate([part.labels for part in parts]), np.concatenate(labels)
    )
    assert (splits.train.shape, splits.n_features, splits.n_classes) == ((2, 32, 32), 2048, 6)
    first = matrix.shrink(matrix.read_matrix(tmp_path / norb.NAMES[-2][0]))
    np.testing.assert_array_equal(np.rint(255 * splits.test.images[5:]), first.reshape(5, 2048))
    (tmp_path / norb.NAMES[4][0]).unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"training-01-dat.mat.gz but no .*training-03-dat.mat; give the folder",
    ):
        data.load("norb", data_dir=tmp_path)
    # there is nothing to download
    with pytest.raises(FileNotFoundError, match=r"give the folder of its 24 files"):
        data.load("norb", data_dir=tmp_path / "nowhere", download=True)


def test_shrinking_keeps_the_mean_also_where_pixels_are_shared() -> None:
    images = random_bytes(4, 2, 108, 108)  # the size of the jittered-cluttered set
    small = matrix.shrink(images)
    assert small.shape == (4, 2, 32, 32)
    np.testing.assert_allclose(small.mean(axis=(2, 3)), images.mean(axis=(2, 3)), atol=0.1)
    ramp = np.broadcast_to(np.arange(108, dtype=np.uint8), (1, 1, 108, 108))
    expected = (np.arange(32) + 0.5) * 108 / 32 - 0.5
    np.testing.assert_allclose(matrix.shrink(ramp)[0, 0, 5], expected, atol=0.64)
    np.testing.assert_array_equal(matrix.shrink(images, 108), images)
