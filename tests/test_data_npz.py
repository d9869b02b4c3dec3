"""Images in .npz files: read as they are published, and refused in every way in which they can be wrong."""

import io
from pathlib import Path

import numpy as np
import pytest
from image_files import random_bytes

from neurosparse import data
from neurosparse.data import (
    Splits,
    npz,
)

pytestmark = pytest.mark.usefixtures("no_image_folders")


def _parts(*names: str) -> dict[str, np.ndarray]:
    return {
        f"{kind}_{part}": random_bytes(12, 4, 5) if kind == "x" else np.arange(12) % 3
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
        ({"x": random_bytes(12, 4)}, r"it holds no labels for the x and y part"),
        ({"y": np.arange(12)}, r"it holds no images for the x and y part"),
        ({"a": random_bytes(12, 4)}, r"it must hold x and y, or x_train.*got none of these"),
        (_parts("train"), r"it must hold x and y, or x_train, .*got x_train, y_train"),
        (
            {**_parts("train", "test"), "x_val": random_bytes(3, 4)},
            r"it holds no labels for the validation part",
        ),
        (
            {"x": random_bytes(12, 4), "images": random_bytes(12, 4), "y": np.arange(12)},
            r"two arrays of all images; keep one",
        ),
        (
            {"x": random_bytes(12, 4).astype(np.int64), "y": np.arange(12) % 2},
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
            {"x": random_bytes(12, 4), "y": np.arange(12) - 1},
            r"labels must lie in \[0, n_classes=11\), got -1 to 10",
        ),
        ({"x": random_bytes(12, 4), "y": np.arange(11) % 2}, r"labels must have shape \(12,\)"),
        (
            {"x": random_bytes(12, 4), "y": np.arange(12) / 2},
            r"labels must be integers, got dtype float64",
        ),
        (
            {"x": random_bytes(4, 4), "y": np.arange(4)},
            r"its 4 images are too few to be split into three parts",
        ),
        (
            {"x": random_bytes(12, 4), "y": np.array([None] * 12)},
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
