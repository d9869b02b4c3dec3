"""In how many directions activity varies."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions
from scipy.sparse import csr_array

from neurosparse._internal import checks
from neurosparse.activity import Interval
from neurosparse.sparsity.confidence import CONFIDENCE, TIME
from neurosparse.sparsity.sparseness import Floats

MOST_SIDE = 2048  # units of which all products are taken; of more, those of windows
MOST_WINDOWS = 1024  # for products of windows
MOST_PRODUCTS = 3 * 10**8  # beyond which windows are thinned out evenly
N_GROUPS = 10  # of consecutive windows, each left out in turn for the interval
_LEAST = 4  # samples that the estimates need


def effective_dimension(samples: ArrayLike) -> float | None:
    """Estimate the effective dimension of activity, its participation ratio.

    It is (tr C)^2 / tr(C^2) of the covariance C between units. None if nothing varies, or too few
    samples can tell.

    k where activity varies equally along k directions and along no other (Gao et al. 2017, bioRxiv
    214262, define it). Put into the formula, the covariance of a few samples gives too few
    directions, so both traces are estimated without bias (Himeno & Yamada 2014, J Multivar Anal
    130:27). It is never above the number of units.

    Parameters
    ----------
    samples : array of float, shape (n_samples, n_units)
        Independent samples.

    Raises
    ------
    ValueError, TypeError
        Where `samples` has another shape, or holds what is no finite number.

    Examples
    --------
    >>> round(effective_dimension(np.random.default_rng(0).normal(size=(2000, 10))))
    10
    """
    values = checks.finite_array("samples", samples)
    if values.ndim != 2:
        raise ValueError(f"samples must have shape (n_samples, n_units), got {values.shape}")
    largest = np.abs(values).max(initial=0.0)
    if largest == 0 or len(values) < _LEAST:
        return None
    # scaled, so that no fourth power overflows
    centred = values / largest - (values / largest).mean(axis=0)
    wide = centred.shape[1] > len(centred)
    products = centred @ centred.T if wide else centred.T @ centred
    squares = np.square(centred).sum(axis=1)
    inverse = _inverse(len(values), float(np.square(products).sum()), squares)
    return _bounded(inverse, values.shape[1])


def _inverse(n: int, square: float, squares: Floats) -> float | None:
    """Estimate tr(C^2) / (tr C)^2 without bias in either; None where nothing varies.

    Parameters
    ----------
    n
        Samples.
    square
        The sum of squares of the matrix of products of the centred samples.
    squares : array of float, shape (n_samples,)
        The squared length of each centred sample.
    """
    if n < _LEAST:
        return None
    total, fourth = float(squares.sum()) / (n - 1), float(np.square(squares).sum()) / (n - 1)
    square = square / (n - 1) ** 2
    of_square = (n - 1) * (n - 2) * square + total**2 - n * fourth
    square_of = 2 * square + (n**2 - 3 * n + 1) * total**2 - n * fourth
    return of_square / square_of if total > 0 and square_of > 0 else None


def _bounded(inverse: float | None, n_units: int) -> float | None:
    """Return the dimension within [1, n_units]; None where noise outweighs the covariance."""
    return None if inverse is None or inverse <= 0 else min(max(1 / inverse, 1.0), float(n_units))


def dimension_of_counts(
    windows: NDArray[np.int64],
    units: NDArray[np.int64],
    counts: NDArray[np.int64],
    n_windows: int,
    n_units: int,
) -> tuple[float | None, Interval | None]:
    """Return the effective dimension of spike counts in windows, and its confidence interval.

    All windows count, up to MOST_PRODUCTS products; beyond, an even choice of them. The interval
    comes from leaving out each of N_GROUPS groups of consecutive windows in turn (a jackknife of
    tr(C^2) / (tr C)^2); None where they are too few.
    """
    if n_windows < _LEAST or counts.size == 0:
        return None, None
    by_unit = n_units <= MOST_SIDE
    of_row = np.bincount(windows if by_unit else units).astype(np.float64)
    step = int(np.ceil(float(np.square(of_row).sum()) / MOST_PRODUCTS)) if by_unit else 1
    if not by_unit:
        step = int(np.ceil(n_windows / MOST_WINDOWS))
    chosen = windows % step == 0
    n = -(-n_windows // step)
    table = csr_array(
        (counts[chosen].astype(np.float64), (windows[chosen] // step, units[chosen])),
        shape=(n, n_units),
    )
    groups = np.arange(n) * N_GROUPS // n
    inverses = _inverses_by_unit(table, groups) if by_unit else _inverses_by_window(table, groups)
    whole, *without = inverses
    return _bounded(whole, n_units), _interval(whole, without, n, n_units)


def _inverses_by_unit(table: csr_array, groups: NDArray[np.int64]) -> Iterable[float | None]:
    """Estimate from products of units: of all windows, then without each group of them."""
    parts = [table[groups == group] for group in range(N_GROUPS)]
    products = [part.T @ part for part in parts]
    whole = sum(products[1:], start=products[0])
    sums = np.array([part.sum(axis=0) for part in parts])
    lengths = np.asarray(table.multiply(table).sum(axis=1))
    for left_out in (None, *range(N_GROUPS)):
        kept = np.full(groups.size, True) if left_out is None else groups != left_out
        gram = whole if left_out is None else whole - products[left_out]
        total = sums.sum(axis=0) if left_out is None else sums.sum(axis=0) - sums[left_out]
        n = int(kept.sum())
        mean = total / max(n, 1)
        # of the centred counts, without making the table dense
        square = (
            np.square(gram.data).sum() - 2 * n * (mean @ (gram @ mean)) + (n * mean @ mean) ** 2
        )
        squares = lengths - 2 * (table @ mean) + mean @ mean
        yield _inverse(n, float(square), squares[kept])


def _inverses_by_window(table: csr_array, groups: NDArray[np.int64]) -> Iterable[float | None]:
    """Estimate from products of windows: of all windows, then without each group of them."""
    gram = (table @ table.T).toarray()
    for left_out in (None, *range(N_GROUPS)):
        kept = np.arange(groups.size) if left_out is None else np.flatnonzero(groups != left_out)
        part = gram[np.ix_(kept, kept)]
        part = part - part.mean(axis=0) - part.mean(axis=1)[:, None] + part.mean()
        yield _inverse(kept.size, float(np.square(part).sum()), np.diagonal(part))


def _interval(
    whole: float | None, without: list[float | None], n_windows: int, n_units: int
) -> Interval | None:
    known = np.array([inverse for inverse in without if inverse is not None])
    if whole is None or known.size < N_GROUPS or n_windows < 2 * N_GROUPS:
        return None
    error = np.sqrt((N_GROUPS - 1) * known.var())
    half = distributions.t.ppf(0.5 + CONFIDENCE / 2, N_GROUPS - 1) * error
    low, high = (
        float(n_units) if inverse <= 1 / n_units else max(1.0, float(1 / inverse))
        for inverse in (whole + half, whole - half)
    )
    method = f"jackknife over {N_GROUPS} groups of consecutive windows"
    return Interval(low, high, CONFIDENCE, method, TIME)
