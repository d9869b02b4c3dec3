"""Differences between arms of a study, paired by their seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neurosparse._internal.types import Fields
from neurosparse._internal.units import plain

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its interval: Student's, for independent seeds; NaN at both ends for one seed."""

    mean: float
    low: float
    high: float
    n: int

    def describe(self, scale: float = 1.0, digits: int = 2) -> str:
        """Return the mean and half of the interval, `scale` times: "+0.08 ± 0.12".

        A text or table that shows it says so: for independent seeds, `OVER_SEEDS`.
        """
        return f"{scale * self.mean:+.{digits}f} ± {scale * (self.high - self.mean):.{digits}f}"


OVER_SEEDS = "±: half of the 95 % interval over seeds (Student's t)."


def mean(values: Sequence[float]) -> Mean:
    """Return the mean of `values`, shape (n,), with its 95 % interval (Student's t).

    Examples
    --------
    >>> mean([1.0, 2.0, 3.0]).describe()
    '+2.00 ± 2.48'
    """
    from scipy.stats import t

    array = np.asarray(plain("values", values), dtype=float)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"values must be at least one finite number, got {values}")
    n, middle = array.size, float(array.mean())
    half = (
        math.nan
        if n == 1
        else float(t.ppf((1 + LEVEL) / 2, n - 1) * array.std(ddof=1) / math.sqrt(n))
    )
    return Mean(middle, middle - half, middle + half, n)


def crossed(values: ArrayLike) -> Mean:
    """Return the mean of a table of seeds by images, with a 95 % interval over both.

    Both the seeds and the images are taken as drawn from more of their kind, so that the interval
    generalises over training seeds *and* over test images. The variance of the mean is that of the
    seeds' means plus that of the images' means. What both have of the single cells is taken off
    (Owen 2007, Annals of Applied Statistics 1:386). The degrees of freedom are the smaller of the
    two.

    Parameters
    ----------
    values
        Shape (n_seeds, n_images), such as whether an image was misclassified, or the difference of
        two networks of a seed.

    Raises
    ------
    ValueError
        Where there are fewer than two seeds or two images, or a value is not finite.

    Examples
    --------
    >>> found = crossed([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    >>> round(found.mean, 2), found.n
    (0.5, 2)
    """
    from scipy.stats import t

    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(
            f"values must be finite, at least 2 seeds by 2 images, got shape {table.shape}"
        )
    n_seeds, n_images = table.shape
    middle, of_seeds, of_images = table.mean(), table.mean(axis=1), table.mean(axis=0)
    rest = table - of_seeds[:, None] - of_images[None, :] + middle
    cells = (rest**2).sum() / ((n_seeds - 1) * (n_images - 1)) / (n_seeds * n_images)
    by_seeds, by_images = of_seeds.var(ddof=1) / n_seeds, of_images.var(ddof=1) / n_images
    # never less than either alone
    variance = max(by_seeds + by_images - cells, by_seeds, by_images)
    freedom = min(n_seeds, n_images) - 1
    half = float(t.ppf((1 + LEVEL) / 2, freedom) * math.sqrt(variance))
    return Mean(float(middle), float(middle) - half, float(middle) + half, n_seeds)


def difference(rows: Sequence[Fields], arm: str, against: str, quantity: str) -> Mean:
    """Return how much larger `quantity` is in `arm`, over the seeds that both arms have.

    Raises
    ------
    ValueError
        Where they have no seed in common, or one has a seed twice.
    """
    first, second = (_by_seed(rows, name, quantity) for name in (arm, against))
    common = sorted(first.keys() & second.keys())
    if not common:
        raise ValueError(f"arms {arm!r} and {against!r} have no seed in common: nothing to pair")
    return mean([first[seed] - second[seed] for seed in common])


def unpaired(first: Sequence[float], second: Sequence[float]) -> Mean:
    """Return how much larger the mean of `first` is, with Welch's 95 % interval.

    Both have two or more numbers.

    `n` is the number of values of both together.
    """
    from scipy.stats import ttest_ind

    found = ttest_ind(first, second, equal_var=False)
    interval = found.confidence_interval(LEVEL)
    return Mean(
        float(np.mean(first) - np.mean(second)),
        float(interval.low),
        float(interval.high),
        len(first) + len(second),
    )


def _by_seed(rows: Sequence[Fields], arm: str, quantity: str) -> dict[int, float]:
    mine = [row for row in rows if row["arm"] == arm]
    found = {row["seed"]: row[quantity] for row in mine}
    if len(found) < len(mine):
        raise ValueError(f"arm {arm!r} has a seed twice: which one to pair is open")
    return found
