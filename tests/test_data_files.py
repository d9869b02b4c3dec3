"""Image files: each loader on files written here in the exact format, and on every way in which
they can be wrong.
"""

import gzip
import hashlib
import io
import struct
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from neurosparse import data
from neurosparse.data import (
    Splits,
    cifar10,
    fashion_mnist,
    idx,
    matrix,
    mnist,
    norb,
    npz,
    places,
    smallnorb,
)
from neurosparse.data.downloads import RemoteFile

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _no_folders_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "system_folders", lambda name: [])
    monkeypatch.setattr(
        places, "own_folder", lambda name, data_dir=None: (data_dir or tmp_path / "own") / name
    )


@contextmanager
def allocates_less_than(n_bytes: float) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n_bytes


def _bytes(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def _idx(array: np.ndarray) -> bytes:
    return (
        struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        + array.astype(np.uint8).tobytes()
    )


def _matrix(array: np.ndarray, magic: int) -> bytes:
    lengths = (*array.shape, 1, 1)[: max(3, array.ndim)]
    return struct.pack(f"<II{len(lengths)}I", magic, array.ndim, *lengths) + array.tobytes()


def _write_idx(
    folder: Path, *, packed: bool = False, dotted: bool = False, n: tuple[int, int] = (60, 20)
) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for (images, labels), count in zip((idx.STEMS[:2], idx.STEMS[2:]), n, strict=True):
        arrays[images], arrays[labels] = _bytes(count, 28, 28), np.arange(count) % 10
    for stem, array in arrays.items():
        name = stem.replace("-idx", ".idx") if dotted else stem
        content = _idx(array)
        (
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            if packed
            else (folder / name).write_bytes(content)
        )
    return arrays


# ---- IDX: MNIST and Fashion-MNIST
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_idx_files_are_read_and_split(
    tmp_path: Path, name: str, packed: bool, dotted: bool, nested: bool
) -> None:
    arrays = _write_idx(tmp_path / name if nested else tmp_path, packed=packed, dotted=dotted)
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
    _write_idx(tmp_path / "fashion-mnist", packed=True)
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
        (tmp_path / images).write_bytes(_idx(np.rint(255 * part.images).reshape(-1, 28, 28)))
        (tmp_path / labels).write_bytes(_idx(part.labels))
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
    _write_idx(tmp_path, packed=packed)
    path = tmp_path / (idx.STEMS[0] + ".gz" * packed)
    content = change(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(
        ValueError, match=rf"^cannot read .*train-images-idx3-ubyte(\.gz)?: .*({message})"
    ) as error:
        data.load("mnist", data_dir=tmp_path)
    assert "\n" not in str(error.value)


def test_wrong_gzip_files(tmp_path: Path) -> None:
    _write_idx(tmp_path, packed=True)
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
    _write_idx(tmp_path, packed=True)
    path = tmp_path / f"{idx.STEMS[0]}.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(_idx(_bytes(60, 28, 28)))
        for _ in range(200):
            file.write(bytes(2**20))
    assert path.stat().st_size < 500_000
    with (
        allocates_less_than(20e6),
        pytest.raises(ValueError, match=r"holds more than the 47,040 bytes that its header"),
    ):
        data.load("mnist", data_dir=tmp_path)


def test_a_header_that_promises_more_than_is_there_costs_no_memory(tmp_path: Path) -> None:
    _write_idx(tmp_path)
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
    _write_idx(tmp_path)
    labels = tmp_path / idx.STEMS[1]
    labels.write_bytes(_idx(np.arange(60) % 11))
    with pytest.raises(
        ValueError,
        match=r"train-labels-idx1-ubyte: labels must lie in \[0, n_classes=10\), got 0 to 10",
    ):
        data.load("mnist", data_dir=tmp_path)
    labels.write_bytes(_idx(np.arange(59) % 10))
    with pytest.raises(
        ValueError, match=r"train-labels-idx1-ubyte: labels must have shape \(60,\)"
    ):
        data.load("mnist", data_dir=tmp_path)


def test_one_file_is_missing_or_there_are_too_few(tmp_path: Path) -> None:
    _write_idx(tmp_path, n=(60, 20))
    (tmp_path / idx.STEMS[3]).unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"holds train-images-idx3-ubyte but no t10k-labels-idx1-ubyte; give the",
    ):
        data.load("mnist", data_dir=tmp_path)
    _write_idx(tmp_path, n=(5, 20))
    with pytest.raises(
        ValueError, match=r"holds too few images, 5, to set some aside for validation"
    ):
        data.load("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("module", [mnist, fashion_mnist])
def test_files_as_long_as_the_published_ones_must_be_those(tmp_path: Path, module) -> None:
    paths = [tmp_path / stem for stem in idx.STEMS]
    arrays = _write_idx(tmp_path)
    sums = {stem: hashlib.sha256(_idx(array)).hexdigest() for stem, array in arrays.items()}
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


# ---- CIFAR-10
# --------------------------------------------------------------------------------------------------


def _write_cifar(folder: Path, n: int = 6) -> list[np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for name in cifar10.BATCHES:
        labels, pixels = RNG.integers(0, 10, (n, 1), dtype=np.uint8), _bytes(n, 3072)
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


# ---- NORB
# --------------------------------------------------------------------------------------------------


def _write_norb(
    folder: Path, n: int = 10, *, packed: bool = False, side: int = 96
) -> list[np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for plain, gz in smallnorb.NAMES:
        array = _bytes(n, 2, side, side) if "-dat" in plain else np.arange(n, dtype="<i4") % 5
        arrays.append(array)
        content = _matrix(array, 0x1E3D4C55 if "-dat" in plain else 0x1E3D4C54)
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
        (_bytes(3, 2, 4, 5), 0x1E3D4C55),
        (np.arange(7, dtype="<i4"), 0x1E3D4C54),
        (np.arange(6, dtype="<f4").reshape(2, 3), 0x1E3D4C51),
        (np.arange(6, dtype="<f8").reshape(3, 2), 0x1E3D4C53),
        (np.arange(24, dtype="<i2").reshape(2, 3, 4), 0x1E3D4C56),
    ],
)
def test_every_type_of_matrix(tmp_path: Path, array: np.ndarray, magic: int) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(_matrix(array, magic))
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
    labels.write_bytes(_matrix(np.arange(10, dtype="<i4") % 6, 0x1E3D4C54))
    with pytest.raises(
        ValueError, match=r"training-cat.mat: labels must lie in \[0, n_classes=5\), got 0 to 5"
    ):
        data.load("smallnorb", data_dir=tmp_path)
    labels.write_bytes(_matrix(np.zeros(10, "<f4"), 0x1E3D4C51))
    with pytest.raises(
        ValueError,
        match=(
            r"training-cat.mat must hold whole numbers of shape \(10,\), one an image, got float32"
        ),
    ):
        data.load("smallnorb", data_dir=tmp_path)
    labels.write_bytes(_matrix(np.arange(10, dtype="<i4") % 5, 0x1E3D4C54))
    images.write_bytes(_matrix(_bytes(10, 96, 96), 0x1E3D4C55))
    with pytest.raises(
        ValueError, match=r"training-dat.mat must hold bytes of shape \(n, 2, height, width\)"
    ):
        data.load("smallnorb", data_dir=tmp_path)
    images.write_bytes(_matrix(_bytes(10, 2, 20, 96), 0x1E3D4C55))
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
            content = _matrix(_bytes(5, 2, 108, 108), 0x1E3D4C55)
        else:
            labels.append((np.arange(5, dtype="<i4") + k) % 6)
            content = _matrix(labels[-1], 0x1E3D4C54)
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
    images = _bytes(4, 2, 108, 108)  # the size of the jittered-cluttered set
    small = matrix.shrink(images)
    assert small.shape == (4, 2, 32, 32)
    np.testing.assert_allclose(small.mean(axis=(2, 3)), images.mean(axis=(2, 3)), atol=0.1)
    ramp = np.broadcast_to(np.arange(108, dtype=np.uint8), (1, 1, 108, 108))
    expected = (np.arange(32) + 0.5) * 108 / 32 - 0.5
    np.testing.assert_allclose(matrix.shrink(ramp)[0, 0, 5], expected, atol=0.64)
    np.testing.assert_array_equal(matrix.shrink(images, 108), images)


# ---- .npz
# --------------------------------------------------------------------------------------------------


def _parts(*names: str) -> dict[str, np.ndarray]:
    return {
        f"{kind}_{part}": _bytes(12, 4, 5) if kind == "x" else np.arange(12) % 3
        for part in names
        for kind in ("x", "y")
    }


def _same(found: Splits, arrays: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(
        np.rint(255 * found.test.images), arrays["x_test"].reshape(12, 20)
    )
    assert (found.n_classes, found.train.shape, found.name) == (3, (4, 5), "own")


@pytest.mark.parametrize("keras", [True, False])
@pytest.mark.parametrize("compressed", [True, False])
def test_npz_with_parts(tmp_path: Path, keras: bool, compressed: bool) -> None:
    arrays = _parts("train", "validation", "test")
    named = arrays
    if not keras:  # as MedMNIST names and shapes them
        medmnist = {
            "x": "images",
            "y": "labels",
            "train": "train",
            "validation": "val",
            "test": "test",
        }
        named = {
            "_".join(medmnist[word] for word in reversed(name.split("_"))): (
                a if a.ndim > 1 else a[:, None]
            )
            for name, a in arrays.items()
        }
    (np.savez_compressed if compressed else np.savez)(
        tmp_path / "own.npz", **named, notes=np.arange(3)
    )
    for found in (data.load("own.npz", data_dir=tmp_path), data.load(str(tmp_path / "own.npz"))):
        _same(found, arrays)
        np.testing.assert_array_equal(
            np.rint(255 * found.validation.images), arrays["x_validation"].reshape(12, 20)
        )
        np.testing.assert_array_equal(found.validation.labels, arrays["y_validation"])


def test_npz_without_validation_sets_the_last_sixth_aside(tmp_path: Path) -> None:
    arrays = _parts("train", "test")
    np.savez(tmp_path / "own.npz", **arrays)
    found = data.load("own.npz", data_dir=tmp_path)
    _same(found, arrays)
    np.testing.assert_array_equal(found.train.labels, arrays["y_train"][:10])
    np.testing.assert_array_equal(found.validation.labels, arrays["y_train"][10:])


def test_npz_of_one_part_is_split_by_class(tmp_path: Path) -> None:
    digits = data.load("mnist5k").test  # 100 a class, real
    for names in (("x", "y"), ("images", "labels")):
        np.savez(
            tmp_path / "own.npz", **dict(zip(names, (digits.images, digits.labels), strict=True))
        )
        found = data.load("own.npz", data_dir=tmp_path)
        for part, per_class in ((found.train, 70), (found.validation, 10), (found.test, 20)):
            assert np.bincount(part.labels).tolist() == [per_class] * 10
        rows = np.concatenate([found.train.images, found.validation.images, found.test.images])
        assert len(np.unique(rows, axis=0)) == len(np.unique(digits.images, axis=0)) == 1000
        first = np.flatnonzero(digits.labels == 3)[0]
        np.testing.assert_array_equal(
            found.train.images[found.train.labels == 3][0], digits.images[first]
        )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": _bytes(12, 4)}, r"it holds no labels for the x and y part"),
        ({"y": np.arange(12)}, r"it holds no images for the x and y part"),
        ({"a": _bytes(12, 4)}, r"it must hold x and y, or x_train.*got none of these"),
        (_parts("train"), r"it must hold x and y, or x_train, .*got x_train, y_train"),
        (
            {**_parts("train", "test"), "x_val": _bytes(3, 4)},
            r"it holds no labels for the validation part",
        ),
        (
            {"x": _bytes(12, 4), "images": _bytes(12, 4), "y": np.arange(12)},
            r"two arrays of all images; keep one",
        ),
        (
            {"x": _bytes(12, 4).astype(np.int64), "y": np.arange(12) % 2},
            r"uint8 in 0..255 or floats in \[0, 1\], got int64",
        ),
        (
            {"x": np.full((12, 4), np.nan), "y": np.arange(12) % 2},
            r"images must be finite, got nan",
        ),
        (
            {"x": np.full((12, 4), 2.0), "y": np.arange(12) % 2},
            r"images must lie in \[0, 1\], got 2 to 2",
        ),
        (
            {"x": np.zeros(12), "y": np.arange(12) % 2},
            r"images must have shape \(n, ...\), n >= 1, got \(12,\)",
        ),
        ({"x": np.zeros((0, 4)), "y": np.zeros(0, int)}, r"images must have shape"),
        (
            {"x": _bytes(12, 4), "y": np.arange(12) - 1},
            r"labels must lie in \[0, n_classes=11\), got -1 to 10",
        ),
        ({"x": _bytes(12, 4), "y": np.arange(11) % 2}, r"labels must have shape \(12,\)"),
        (
            {"x": _bytes(12, 4), "y": np.arange(12) / 2},
            r"labels must be integers, got dtype float64",
        ),
        (
            {"x": _bytes(4, 4), "y": np.arange(4)},
            r"its 4 images are too few to be split into three parts",
        ),
        (
            {"x": _bytes(12, 4), "y": np.array([None] * 12)},
            r"holds Python objects, which only pickle reads",
        ),
    ],
)
def test_wrong_npz_files(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(ValueError, match=rf"^cannot read .*own.npz: .*{message}") as error:
        data.load("own.npz", data_dir=tmp_path)
    assert "\n" not in str(error.value)


def test_cut_off_npz_files(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez_compressed(path, **_parts("train", "test"))
    content = path.read_bytes()
    garbled = content[:60] + bytes(40) + content[100:]
    for bad in (content[:-1], content[: len(content) // 2], b"", b"text", garbled):
        path.write_bytes(bad)
        with pytest.raises(
            ValueError, match=r"own.npz: it is cut off, altered or no .npz file|own.npz: "
        ):
            data.load("own.npz", data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^no file .*absent.npz$"):
        data.load("absent.npz", data_dir=tmp_path)


def test_npz_arrays_that_promise_too_much(tmp_path: Path) -> None:
    import zipfile

    def archive(shape: tuple[int, ...], content: bytes) -> bytes:
        header, whole = io.BytesIO(), io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("x.npy", header.getvalue() + content)
        return whole.getvalue()

    path = tmp_path / "own.npz"
    path.write_bytes(archive((10**6, 10**6), b"123"))
    with pytest.raises(
        ValueError, match=r"own.npz: x.npy promises 1,000,000,000,000 bytes and holds 3"
    ):
        data.load("own.npz", data_dir=tmp_path)
    path.write_bytes(
        archive((10**5,), bytes(10**5)).replace(
            (10**5 + 128).to_bytes(4, "little"), b"\xff\xff\xff\x7f"
        )
    )
    with pytest.raises(ValueError, match=r"own.npz: x.npy promises 2,147,483,647 bytes from \d+"):
        data.load("own.npz", data_dir=tmp_path)


def test_the_keys_of_npz_files() -> None:
    assert npz._key("X_train") == npz._key("train_images") == ("train", "images")
    assert npz._key("val_labels") == npz._key("y-valid") == ("validation", "labels")
    assert (npz._key("x"), npz._key("labels")) == (("", "images"), ("", "labels"))
    assert all(
        npz._key(name) is None
        for name in ("z", "x_extra", "train", "x_y", "x_train_test", "maximum")
    )
