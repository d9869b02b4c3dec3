"""Altered images: mirrored and moved as asked, by chance that is the same again, and no others."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosparse.data import ImageSet
from neurosparse.data.augmentation import augmented


def _images(n: int, shape: tuple[int, ...] = (4, 5), seed: int = 0) -> ImageSet:
    pixels = np.random.default_rng(seed).random((n, int(np.prod(shape))), dtype=np.float32)
    return ImageSet(pixels, np.zeros(n, int), 2, shape)


def _altered(images: ImageSet, seed: int = 0, **how: Any) -> np.ndarray:
    return augmented(images, np.random.default_rng(seed), **how).reshape(-1, *images.shape)


def test_nothing_asked_nothing_altered() -> None:
    images = _images(6)
    assert (_altered(images).reshape(6, -1) == images.images).all()


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_mirrored_left_to_right(shape: tuple[int, ...]) -> None:
    images = _images(6, shape)
    assert (_altered(images, flipped=1.0) == images.images.reshape(-1, *shape)[..., ::-1]).all()


@given(seed=st.integers(0, 2**32), shift_px=st.integers(1, 3), channels=st.integers(1, 2))
def test_a_moved_image_is_a_part_of_the_image_and_zeros(
    seed: int, shift_px: int, channels: int
) -> None:
    images = _images(5, (channels, 4, 6))
    padded = np.pad(
        images.images.reshape(-1, *images.shape), ((0, 0), (0, 0), (shift_px,) * 2, (shift_px,) * 2)
    )
    for whole, part in zip(
        padded, _altered(images, seed, shifted=1.0, shift_px=shift_px), strict=True
    ):
        places = [(y, x) for y in range(2 * shift_px + 1) for x in range(2 * shift_px + 1)]
        assert any((whole[:, y : y + 4, x : x + 6] == part).all() for y, x in places)


def test_every_move_is_as_likely_as_another() -> None:
    n = 18_000
    dot = np.zeros((n, 5, 5), np.float32)
    dot[:, 2, 2] = 1
    images = ImageSet(dot.reshape(n, -1), np.zeros(n, int), 2, (5, 5))
    found = _altered(images, shifted=0.5, shift_px=1).mean(axis=0)
    expected = np.zeros((5, 5))
    expected[1:4, 1:4] = 0.5 / 9
    expected[2, 2] += 0.5
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(0.25 / n))


def test_a_share_is_mirrored() -> None:
    images = _images(10_000, (1, 2))
    turned = (_altered(images, flipped=0.3)[:, 0, 0] != images.images[:, 0]).mean()
    assert turned == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 10_000))


def test_the_same_state_gives_the_same_images_and_the_next_others() -> None:
    images, rng = _images(20), np.random.default_rng(3)
    how: dict[str, Any] = {"flipped": 0.5, "shifted": 0.5}
    first, second = augmented(images, rng, **how), augmented(images, rng, **how)
    assert (first == augmented(images, np.random.default_rng(3), **how)).all()
    assert (first != second).any()


@pytest.mark.parametrize(("shape", "shift_px"), [((12,), 1), ((3, 4), 3), ((2, 6), 2)])
def test_images_too_small_to_be_moved(shape: tuple[int, ...], shift_px: int) -> None:
    with pytest.raises(
        ValueError,
        match=r"^augmentation needs images of rows and columns, more than \d of each, got",
    ):
        _altered(_images(2, shape), shifted=1.0, shift_px=shift_px)
