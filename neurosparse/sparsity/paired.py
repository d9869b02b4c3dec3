"""Differences between arms of a study, paired by their seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
        """Return the mean and half of the interval, `scale` times: "+0.08 +- 0.12"."""
        return f"{scale * self.mean:+.{digits}f} ± {scale * (self.high - self.mean):.{digits}f}"


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


def difference(rows: Sequence[Fields], arm: str, against: str, quantity: str) -> Mean:
    """How much larger `quantity` is in `arm` than in `against`, over the seeds that both have.

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
    """How much larger the mean of `first` is than that of `second`, two or more numbers each, with
    Welch's 95 % interval.

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
