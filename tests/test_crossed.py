"""Intervals over seeds and images: they cover what they say."""

import numpy as np
import pytest

from neurosparse.sparsity.paired import crossed, mean


def a_table(rng, seeds, images, by_seed, by_image, rest):
    return (
        by_seed * rng.normal(size=(seeds, 1))
        + by_image * rng.normal(size=(1, images))
        + rest * rng.normal(size=(seeds, images))
    )


@pytest.mark.parametrize(
    ("by_seed", "by_image"), [(1.0, 0.0), (0.05, 2.0), (0.1, 2.0), (0.3, 1.0), (0.0, 0.0)]
)
def test_it_covers_a_truth_of_all_seeds_and_images(by_seed, by_image):
    rng = np.random.default_rng(1)
    found = [crossed(a_table(rng, 8, 200, by_seed, by_image, 1.0)) for _ in range(600)]
    assert np.mean([each.low <= 0 <= each.high for each in found]) >= 0.93


def test_the_interval_over_seeds_alone_misses_what_the_images_add():
    rng = np.random.default_rng(2)
    tables = [a_table(rng, 8, 200, 0.05, 2.0, 1.0) for _ in range(300)]
    alone = [mean(table.mean(axis=1).tolist()) for table in tables]
    assert np.mean([each.low <= 0 <= each.high for each in alone]) < 0.7


def test_where_images_are_all_alike_it_is_students_over_seeds():
    seeds = np.array([1.0, 2.0, 4.0])
    found, students = crossed(np.tile(seeds[:, None], (1, 50))), mean(seeds.tolist())
    assert (found.mean, found.low, found.high) == pytest.approx(
        (students.mean, students.low, students.high)
    )


@pytest.mark.parametrize("values", [[[1.0, 2.0]], [[1.0], [2.0]], [1.0, 2.0], [[1.0, np.nan]] * 2])
def test_what_has_no_interval_is_refused(values):
    with pytest.raises(ValueError, match="at least 2 seeds by 2 images"):
        crossed(values)
