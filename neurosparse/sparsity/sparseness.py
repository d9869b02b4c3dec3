"""Sparseness of a vector of rates or magnitudes.

It tells how unequally activity is spread, without a threshold.

Taken over units at one time it is population sparseness, over time within one unit lifetime
sparseness (Willmore & Tolhurst 2001, Network 12:255).

Sources: Treves & Rolls 1991, Network 2:371; Vinje & Gallant 2000, Science 287:1273; Hoyer 2004,
JMLR 5:1457; for Gini, Hurley & Rickard 2009, IEEE Trans Inf Theory 55:4723 (arXiv 0811.4706).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal import checks
from neurosparse._internal.types import Array
from neurosparse.activity import Sparseness

Floats = NDArray[np.float64]


def treves_rolls(rates: ArrayLike, axis: int = -1) -> Floats:
    """Return Treves-Rolls sparseness A = (sum r / n)^2 / (sum r^2 / n), in [1/n, 1].

    Low is sparse.

    A binary code in which a fraction p is active has A = p.

    Parameters
    ----------
    rates : array of float >= 0, any shape
        Rates, counts or magnitudes; `axis` runs over the n units (population) or windows
        (lifetime).
    axis
        The axis of the n values.

    Returns
    -------
    array of float, the shape of `rates` without `axis`; NaN for each silent vector of several

    Raises
    ------
    ValueError
        On NaN, infinity, negative or no values, and on a single vector of zeros: silence has no
        sparseness.

    Examples
    --------
    >>> float(treves_rolls([3.0, 0.0, 0.0, 3.0]))
    0.5
    >>> treves_rolls([[3.0, 0.0], [0.0, 0.0]]).tolist()
    [0.5, nan]
    """
    result: Floats = _of_vectors(rates, axis)[0]
    return result


def vinje_gallant(rates: ArrayLike, axis: int = -1) -> Floats:
    """Return Vinje-Gallant sparseness S = (1 - A) / (1 - 1/n), in [0, 1]; high is sparse.

    A is that of `treves_rolls`. Arguments and errors are the same.
    """
    result: Floats = _of_vectors(rates, axis, least=2)[1]
    return result


def hoyer(rates: ArrayLike, axis: int = -1) -> Floats:
    """Return Hoyer sparseness (sqrt n - L1/L2) / (sqrt n - 1), in [0, 1]; high is sparse.

    Arguments and errors as `treves_rolls`.
    """
    result: Floats = _of_vectors(rates, axis, least=2)[2]
    return result


def gini(rates: ArrayLike, axis: int = -1) -> Floats:
    """Return the Gini index, in [0, 1 - 1/n]; high is sparse.

    It is 1 - 2 sum_k r_(k)/L1 (n - k + 1/2)/n over ascending r.

    The one measure here that meets all six criteria of Hurley & Rickard 2009. A binary code with
    active fraction p has 1 - p. Arguments and errors as `treves_rolls`.
    """
    return gini_of_ascending(np.sort(_scaled(rates, axis), axis=-1))


def _of_vectors(rates: ArrayLike, axis: int, least: int = 1) -> Floats:
    scaled = _scaled(rates, axis, least)
    return of_moments(scaled.sum(axis=-1), np.square(scaled).sum(axis=-1), scaled.shape[-1])


def _scaled(rates: ArrayLike, axis: int, least: int = 1) -> Floats:
    """Scale the vectors along the last axis to a largest entry of 1.

    No measure depends on scale, and no square overflows then.
    """
    vectors = np.moveaxis(checks.rates_array("rates", rates, axis), axis, -1)
    if vectors.shape[-1] < least:
        raise ValueError(
            f"this measure needs at least {least} values along axis {axis}, got {vectors.shape[-1]}"
        )
    largest = vectors.max(axis=-1, keepdims=True)
    if vectors.ndim == 1 and largest[0] == 0:
        raise ValueError("rates are all zero along the axis: silence has no sparseness")
    result: Floats = np.divide(
        vectors, largest, where=largest > 0, out=np.full(vectors.shape, np.nan)
    )
    return result


# ---- From sums
# --------------------------------------------------------------------------------------------------


def of_moments(total: Floats, square_total: Floats, n: int) -> Floats:
    """Return Treves-Rolls, Vinje-Gallant and Hoyer sparseness, shape (3, ...).

    They come from sum r and sum r^2 over n entries. The last two are NaN for n = 1.
    """
    # equal rates and a single one meet the bounds exactly, so rounding must not lead past them
    a = np.clip(total**2 / (n * square_total), 1 / n, 1.0)
    least = 1 / n if n > 1 else np.nan
    return np.stack([a, (1 - a) / (1 - least), (1 - np.sqrt(a)) / (1 - np.sqrt(least))])


def gini_of_ascending(vectors: Array) -> Floats:
    """Return the Gini index of each vector along the last axis.

    Entries are in ascending order, the last one positive.
    """
    n = vectors.shape[-1]
    scaled = vectors / vectors[..., -1:].astype(np.float64)
    return gini_of_ranked(scaled.sum(axis=-1), scaled @ rank_weights(np.arange(1, n + 1), n), n)


def gini_of_ranked(total: Floats, ranked_total: Floats, n: int) -> Floats:
    """Return the Gini index from sum r and the sum of r_(k) by `rank_weights`."""
    return np.clip(1 - 2 * ranked_total / total, 0.0, 1 - 1 / n)


def rank_weights(ranks: NDArray[np.int64], n: int) -> Floats:
    """Return the weight in the Gini index of the k-th smallest of n entries."""
    return (n - ranks + 0.5) / n


def mean_sparseness(
    sums: Iterable[float], n_averaged: int, n_ranked: int | None = None
) -> Sparseness:
    """Average sparseness over vectors, from the sums of the four measures.

    Gini is over `n_ranked` where those are fewer.
    """
    numbers = [n_averaged] * 3 + [n_averaged if n_ranked is None else n_ranked]
    means = [
        None if n == 0 or np.isnan(s) else float(s) / n for s, n in zip(sums, numbers, strict=True)
    ]
    return Sparseness(means[0], means[1], means[2], means[3], n_averaged=n_averaged)
