"""IDX files (MNIST and Fashion-MNIST): read as they are published, and refused in every way in which they can be wrong."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import allocates_less_than, idx_file, random_bytes, write_idx

from neurosparse import data
from neurosparse.data import (
    fashion_mnist,
    idx,
    mnist,
    places,
)

pytestmark = pytest.mark.usefixtures("no_image_folders")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_idx_files_are_read_and_split(
    tmp_path: Path, name: str, packed: bool, dotted: bool, nested: bool
) -> None:
    arrays = write_idx(tmp_path / name if nested else tmp_path, packed=packed, dotted=dotted)
    splits = data.load(name, data_dir=tmp_path)
    # 50k/10k of MNIST, 55k/5k of Fashion-MNIST
    n_train = 60 - {"mnist": 10, "fashion_mnist": 5}[name]
    pixels = arrays[idx.STEMS[0]].reshape(60, 784)
    np.testing.assert_array_equal(np.rint(255 * splits.train.images), pixels[:n_train])
    np.testing.assert_array_equal(np.rint(255 * splits.validation.images), pixels[n_train:])
    np.testing.assert_array_equal(
        splits.train.images, pixels[:n_train].astype(np.float32) / np.float32(255)
    )
    np.testing.assert_array_equal(
        np.rint(255 * splits.test.images), arrays[idx.STEMS[2]].reshape(20, 784)
    )
    np.testing.assert_array_equal(splits.validation.labels, arrays[idx.STEMS[1]][n_train:])
    assert (splits.name, splits.n_classes, splits.train.shape) == (name, 10, (28, 28))


def test_the_sets_are_found_where_packages_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        places, "system_folders", lambda name: asked.append(name) or [tmp_path / name]
    )
    write_idx(tmp_path / "fashion-mnist", packed=True)
    assert len(data.load("fashion_mnist").test) == 20
    assert asked == ["fashion-mnist"]
    with pytest.raises(
        FileNotFoundError, match=r"own/mnist, .*/mnist; give the folder .*download=True"
    ):
        data.load("mnist")


def test_real_digits_survive_the_format(tmp_path: Path) -> None:
    digits = data.load("mnist5k")
    for (images, labels), part in zip(
        (idx.STEMS[:2], idx.STEMS[2:]), (digits.train, digits.test), strict=True
    ):
        (tmp_path / images).write_bytes(idx_file(np.rint(255 * part.images).reshape(-1, 28, 28)))
        (tmp_path / labels).write_bytes(idx_file(part.labels))
    again = data.load("mnist", data_dir=tmp_path)
    n = len(again.train)
    np.testing.assert_array_equal(again.train.images, digits.train.images[:n])
    np.testing.assert_array_equal(again.validation.labels, digits.train.labels[n:])
    np.testing.assert_array_equal(again.test.images, digits.test.images)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-1], r"47,040 bytes and 47,039 follow: it is cut off|cannot hold"),
        (lambda c: c[:3], r"it ends within its header"),
        (lambda c: c[:9], r"it ends within its header"),
        (lambda c: b"", r"it ends within its header"),
        (lambda c: c + b"\0", r"holds more than the 47,040 bytes"),
        (lambda c: b"\x89PNG" + c[4:], r"no IDX file of unsigned bytes: it starts with 8950"),
        (lambda c: c[:2] + b"\x0d" + c[3:], r"starts with 00000d, not 000008"),
        (lambda c: c[:3] + b"\x01" + c[4:], r"an array of 1 dimensions, expected 3"),
        (lambda c: c[:4] + b"\x00\x00\x10\x00" + c[8:], r"promises 3,211,264 bytes"),
        (
            lambda c: c[:4] + b"\x7f\xff\xff\xff" + c[8:],
            r"promises 1,683,627,179,248 bytes, more than 2,147,483,648",
        ),
        (
            lambda c: c[:4] + b"\xff" * 12 + c[16:],
            r"promises 79,228,162,458,924,105,385,300,197,375 bytes, more than",
        ),
    ],
)
def test_wrong_idx_files(
    tmp_path: Path, packed: bool, change: Callable[[bytes], bytes], message: str
) -> None:
    write_idx(tmp_path, packed=packed)
    path = tmp_path / (idx.STEMS[0] + ".gz" * packed)
    content = change(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(
        ValueError, match=rf"^cannot read .*train-images-idx3-ubyte(\.gz)?: .*({message})"
    ) as error:
        data.load("mnist", data_dir=tmp_path)
    assert "\n" not in str(error.value)


def test_wrong_gzip_files(tmp_path: Path) -> None:
    write_idx(tmp_path, packed=True)
    path = tmp_path / f"{idx.STEMS[0]}.gz"
    content = path.read_bytes()
    wrong_sum = content[:-8] + bytes(8)
    garbled = content[:100] + bytes(200) + content[300:]
    for bad in (
        content[:-1],
        content[: len(content) // 2],
        content[:5],
        wrong_sum,
        garbled,
        content + b"rest",
    ):
        path.write_bytes(bad)
        with pytest.raises(
            ValueError, match=r"train-images-idx3-ubyte.gz: it is cut off or altered"
        ):
            data.load("mnist", data_dir=tmp_path)


def test_a_gzip_bomb_costs_no_memory(tmp_path: Path) -> None:
    write_idx(tmp_path, packed=True)
    path = tmp_path / f"{idx.STEMS[0]}.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(idx_file(random_bytes(60, 28, 28)))
        for _ in range(200):
            file.write(bytes(2**20))
    assert path.stat().st_size < 500_000
    with (
        allocates_less_than(20e6),
        pytest.raises(ValueError, match=r"holds more than the 47,040 bytes that its header"),
    ):
        data.load("mnist", data_dir=tmp_path)


def test_a_header_that_promises_more_than_is_there_costs_no_memory(tmp_path: Path) -> None:
    write_idx(tmp_path)
    path = tmp_path / idx.STEMS[0]
    content = bytearray(path.read_bytes())
    content[4:8] = (2_000_000).to_bytes(4)  # 1.6 GB
    for name, bad in (
        (path, bytes(content)),
        (tmp_path / f"{idx.STEMS[0]}.gz", gzip.compress(content)),
    ):
        path.unlink(missing_ok=True)
        name.write_bytes(bad)
        with (
            allocates_less_than(5e6),
            pytest.raises(ValueError, match=r"promises 1,568,000,000 bytes, which a file of"),
        ):
            data.load("mnist", data_dir=tmp_path)


def test_labels_and_images_must_fit(tmp_path: Path) -> None:
    write_idx(tmp_path)
    labels = tmp_path / idx.STEMS[1]
    labels.write_bytes(idx_file(np.arange(60) % 11))
    with pytest.raises(
        ValueError,
        match=r"train-labels-idx1-ubyte: labels must lie in \[0, n_classes=10\), got 0 to 10",
    ):
        data.load("mnist", data_dir=tmp_path)
    labels.write_bytes(idx_file(np.arange(59) % 10))
    with pytest.raises(
        ValueError, match=r"train-labels-idx1-ubyte: labels must have shape \(60,\)"
    ):
        data.load("mnist", data_dir=tmp_path)


def test_one_file_is_missing_or_there_are_too_few(tmp_path: Path) -> None:
    write_idx(tmp_path, n=(60, 20))
    (tmp_path / idx.STEMS[3]).unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"holds train-images-idx3-ubyte but no t10k-labels-idx1-ubyte; give the",
    ):
        data.load("mnist", data_dir=tmp_path)
    write_idx(tmp_path, n=(5, 20))
    with pytest.raises(
        ValueError, match=r"holds too few images, 5, to set some aside for validation"
    ):
        data.load("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("module", [mnist, fashion_mnist])
def test_files_as_long_as_the_published_ones_must_be_those(tmp_path: Path, module) -> None:
    paths = [tmp_path / stem for stem in idx.STEMS]
    arrays = write_idx(tmp_path)
    sums = {stem: hashlib.sha256(idx_file(array)).hexdigest() for stem, array in arrays.items()}
    read = {"validation_share": (1, 6), "n_full": (60, 20)}
    assert len(idx.read_splits("set", paths, sha256=sums, **read).test) == 20
    for stem in idx.STEMS:
        altered = {**sums, stem: module.SHA256[stem]}
        with pytest.raises(
            ValueError,
            match=rf"{stem} is altered, or not of 'set': .*expected {altered[stem][:12]}",
        ):
            idx.read_splits("set", paths, sha256=altered, **read)
        elsewhere = {"validation_share": (1, 6), "n_full": (61, 21)}
        assert len(idx.read_splits("set", paths, sha256=altered, **elsewhere).train) == 50
