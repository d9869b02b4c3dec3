"""In how many directions activity varies."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from neurosparse._internal import checks
from neurosparse.activity import KEPT
from neurosparse.sparsity.sparseness import Floats


def effective_dimension(samples: ArrayLike) -> float | None:
    """Effective dimension (tr C)^2 / tr(C^2) of the covariance C between units: its participation
    ratio; None if nothing varies.

    k where activity varies equally along k directions and along no other. C itself is never formed:
    with d the difference of two independent samples, E |d|^2 = 2 tr C, and for two such differences
    E (d . d')^2 = 4 tr(C^2). The mean over pairs of differences is unbiased for tr(C^2), where the
    covariance of a few samples is not (Gao et al. 2017, bioRxiv 214262, define the dimension).

    Parameters
    ----------
    samples : array of float, shape (n_samples, n_units)
        In an order that means nothing: each of the first half is taken from one of the second.

    Examples
    --------
    >>> round(effective_dimension(np.random.default_rng(0).normal(size=(2000, 10))))
    10
    """
    values = checks.finite_array("samples", samples)
    half = len(values) // 2
    differences = values[:half] - values[half : 2 * half]
    return _dimension(differences @ differences.T)


def _dimension(products: Floats) -> float | None:
    """The effective dimension from the products of all differences, shape (n, n)."""
    n, squares = len(products), np.diagonal(products)
    off_diagonal = float(np.square(products).sum() - np.square(squares).sum())
    if n < 2 or off_diagonal <= 0:
        return None
    return float(squares.mean() ** 2 / (off_diagonal / (n * (n - 1))))


def dimension_of_counts(
    windows: NDArray[np.int64],
    units: NDArray[np.int64],
    counts: NDArray[np.int64],
    n_windows: int,
    n_units: int,
) -> float | None:
    """The effective dimension of spike counts in windows, from differences of windows half a record
    apart.
    """
    half = min(n_windows, KEPT) // 2
    if half < 2:
        return None
    chosen = np.arange(2 * half) * n_windows // (2 * half)
    row = np.full(n_windows, -1)
    row[chosen] = np.arange(2 * half)
    inside = row[windows] >= 0
    table = csr_array(
        (counts[inside].astype(float), (row[windows[inside]], units[inside])),
        shape=(2 * half, n_units),
    )
    differences = table[:half] - table[half:]
    return _dimension((differences @ differences.T).toarray())
