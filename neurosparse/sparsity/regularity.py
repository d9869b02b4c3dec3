"""Regularity of firing, by estimators that do not depend on the length of the record.

A short record cuts long inter-spike intervals off, and a few intervals spread less about their own
mean than about the true one. Both make the coefficient of variation (CV) come out too low.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from neurosparse._internal import cards
from neurosparse.activity import Interval, SpikeTrains
from neurosparse.sparsity.confidence import CONFIDENCE, TIME
from neurosparse.sparsity.firing import by_unit, pieces_of
from neurosparse.sparsity.sparseness import Floats

PRECISION = 0.03  # of the CV: where it is known less well, there is none
_MOST_SQUARE = 1e4  # of the CV: a CV of 100


@dataclass(frozen=True, slots=True)
class Regularity:
    """The regularity of the firing of several units.

    Attributes
    ----------
    cv
        Coefficient of variation of the intervals; None where its 95 % interval is wider than
        +- `PRECISION`.
    cv_interval
        The 95 % interval of the CV, for these cells; None where no cell has two intervals.
    cv2, lv
        Mean over cells of CV2 (Holt et al. 1996) and of LV (Shinomoto et al. 2003). They compare
        neighbouring intervals and so leave slow changes of the rate out.
    n_cells
        Cells with at least two intervals, on which all of them rest.
    share
        Their share of all cells.
    """

    cv: float | None
    cv_interval: Interval | None
    cv2: float | None
    lv: float | None
    n_cells: int
    share: float

    def _repr_html_(self) -> str:
        return cards.card("Regularity of firing", asdict(self))


def regularity(spikes: SpikeTrains) -> Regularity:
    """Return the CV, CV2 and LV of inter-spike intervals: 1 for Poisson firing, 0 for clocks.

    Each is right for Poisson firing at every rate, in a record of any length. Given that k
    intervals were seen, those of a Poisson process divided by their sum are uniform on the simplex,
    whatever the rate and the length. So V, their variance over their squared mean, has the
    expectation k / (k + 1). For intervals from a gamma distribution it is k c / (k + c), where c is
    the true CV^2. The CV is the root of the c for which the mean of V over cells is as expected.
    The same argument makes CV2 and LV exact. Intervals of observation, such as trials, are taken
    one by one, and each cell counts as much as every other.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(6, 20_000)  # 3 Hz in 2 s
    >>> units = np.repeat(np.arange(20_000), counts)
    >>> times = rng.uniform(0, 2000, units.size)
    >>> found = regularity(SpikeTrains(times, units, n_units=20_000, duration_ms=2000))
    >>> round(found.cv, 1), round(found.cv2, 1), round(found.lv, 1)
    (1.0, 1.0, 1.0)
    """
    return of_sorted(spikes, *by_unit(spikes))


def of_sorted(
    spikes: SpikeTrains, units: NDArray[np.int64], ticks: NDArray[np.int64]
) -> Regularity:
    """Return `regularity` of spikes sorted by unit and then by time."""
    pieces = pieces_of(spikes, units, ticks)
    within = pieces[1:] == pieces[:-1]
    owner, first, piece = np.unique(pieces[1:][within], return_index=True, return_inverse=True)
    intervals, unit = np.diff(ticks)[within].astype(np.float64), units[1:][within][first]
    k, total = np.bincount(piece, minlength=owner.size), np.bincount(piece, intervals, owner.size)
    held = (k >= 2) & (total > 0)
    if not held.any():
        return Regularity(None, None, None, None, 0, 0.0)
    mean = np.divide(total, k, where=held, out=np.ones_like(total))
    spread = np.bincount(piece, (intervals - mean[piece]) ** 2, owner.size)
    variation = spread[held] / (k[held] - 1) / mean[held] ** 2
    n_cells = int(np.unique(unit[held]).size)
    # a cell has a weight of 1, shared among its pieces by their intervals
    of_cell = np.bincount(unit[held], k[held])
    weights = k[held] / of_cell[unit[held]] / n_cells
    square = _square(variation, k[held].astype(np.float64), weights)
    cv, cv_interval = _precise(square, k[held].astype(np.float64), weights)
    cv2, lv = _local(intervals, piece, held, unit, n_cells)
    return Regularity(cv, cv_interval, cv2, lv, n_cells, n_cells / spikes.n_units)


def _square(variation: Floats, k: Floats, weights: Floats) -> float:
    """Solve for CV^2: the mean of `variation` equals its expectation under gamma intervals."""
    found = float(weights @ variation)

    def excess(square: float) -> float:
        return float(weights @ (k * square / (k + square))) - found

    if found <= 0:
        return 0.0
    return _MOST_SQUARE if excess(_MOST_SQUARE) < 0 else float(brentq(excess, 0, _MOST_SQUARE))


def _precise(square: float, k: Floats, weights: Floats) -> tuple[float | None, Interval]:
    """Return the CV, None where it is not precise, and its interval."""
    cv = float(np.sqrt(square))
    error = 0.0
    if square > 0:
        slope = float(weights @ (k / (k + square)) ** 2)
        error = float(np.sqrt(weights**2 @ _variance(square, k))) / slope / (2 * cv)
    half = float(ndtri(0.5 + CONFIDENCE / 2)) * error
    interval = Interval(
        max(0.0, cv - half), cv + half, CONFIDENCE, "intervals taken as gamma-distributed", TIME
    )
    return (cv if half <= PRECISION else None), interval


def _variance(square: float, k: Floats) -> Floats:
    """Return the variance of V of k gamma intervals with this CV^2, from Dirichlet moments."""
    a = 1 / max(square, 1e-6)
    total = k * a
    mean = (a + 1) / (total + 1)
    fourth = (a + 1) * (a + 2) * (a + 3) + (k - 1) * a * (a + 1) ** 2
    second = fourth / ((total + 1) * (total + 2) * (total + 3))
    return np.asarray(np.maximum(second - mean**2, 0) * (k**2 / (k - 1)) ** 2)


def _local(
    intervals: Floats,
    piece: NDArray[np.intp],
    held: NDArray[np.bool_],
    unit: NDArray[np.int64],
    n_cells: int,
) -> tuple[float | None, float | None]:
    """Return CV2 and LV, averaged over the pairs of each cell and then over cells."""
    before, after = intervals[:-1], intervals[1:]
    pair = (piece[1:] == piece[:-1]) & held[piece[1:]] & (before + after > 0)
    contrast = np.abs(after - before)[pair] / (after + before)[pair]
    cell = unit[piece[1:][pair]]
    if not cell.size:
        return None, None
    n = np.bincount(cell)
    means = (np.bincount(cell, value)[n > 0] / n[n > 0] for value in (contrast, contrast**2))
    cv2, lv = (float(value.mean()) for value in means)
    return 2 * cv2, 3 * lv
