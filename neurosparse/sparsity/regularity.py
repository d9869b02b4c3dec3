"""Regularity of firing, by estimators that do not depend on the length of the record.

A short record cuts long inter-spike intervals off, and a few intervals spread less about their own
mean than about the true one. Both make the coefficient of variation (CV) come out too low.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from neurosparse._internal import cards
from neurosparse.activity import Interval, SpikeTrains
from neurosparse.activity import intervals as observation
from neurosparse.activity.given import check_spikes
from neurosparse.sparsity.confidence import CONFIDENCE, TIME
from neurosparse.sparsity.firing import by_unit, pieces_of
from neurosparse.sparsity.sparseness import Floats

PRECISION = 0.03  # of the CV: where it is known less well, there is none
_NAN = float("nan")
_MOST_SQUARE = 1e4  # of the CV: a CV of 100


@dataclass(frozen=True, slots=True)
class Regularity(cards.Shown):
    """The regularity of the firing of several units.

    Attributes
    ----------
    cv
        Coefficient of variation of the intervals; None where its 95 % interval is wider than
        +- `PRECISION`, and where halves of the record have another CV by more than that.
    cv_interval
        The 95 % interval of the CV, for these cells; None where no cell has two intervals. Its ends
        are NaN where halves of the record have another CV: `method` gives both.
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

    def _card(self) -> cards.Card:
        return cards.Card("Regularity of firing", asdict(self))


def regularity(spikes: SpikeTrains) -> Regularity:
    """Return the CV, CV2 and LV of inter-spike intervals: 1 for Poisson firing, 0 for clocks.

    Each is right for Poisson firing at every rate, in a record of any length. Given that k
    intervals were seen, those of a Poisson process divided by their sum are uniform on the simplex,
    whatever the rate and the length. So V, their variance over their squared mean, has the
    expectation k / (k + 1). For intervals from a gamma distribution it is k c / (k + c), where c is
    the true CV^2. The CV is the root of the c for which the mean of V over cells is as expected.
    The same argument makes CV2 and LV exact. Intervals of observation, such as trials, are taken
    one by one, and each cell counts as much as every other.

    Cells that are neither, or whose rates drift, may still have a CV that depends on the length: in
    a short record those that fire rarely tell of their short intervals alone. So each interval of
    observation is cut in two, and there is a CV only where these halves have the same.

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
    check_spikes(spikes)
    return of_sorted(spikes, *by_unit(spikes))


def of_sorted(
    spikes: SpikeTrains, units: NDArray[np.int64], ticks: NDArray[np.int64]
) -> Regularity:
    """Return `regularity` of spikes sorted by unit and then by time."""
    pieces = pieces_of(spikes, units, ticks)
    whole = _Pieces(units, ticks, pieces)
    if not whole.n_cells:
        return Regularity(None, None, None, None, 0, 0.0)
    cv, interval = whole.cv()
    late = ticks >= observation.midpoints(spikes.interval_ticks, ticks)
    halves = _Pieces(units, ticks, 2 * pieces + late)
    if halves.n_cells:
        of_halves, their_interval = halves.cv()
        apart = abs(cv - of_halves) - _half(interval) - _half(their_interval)
        if apart > PRECISION:
            said = f"{cv:.2f}, but {of_halves:.2f} in halves of the record: record longer"
            interval = replace(interval, low=_NAN, high=_NAN, method=said)
    precise = interval.is_known and _half(interval) <= PRECISION
    cv2, lv = whole.local()
    share = whole.n_cells / spikes.n_units
    return Regularity(cv if precise else None, interval, cv2, lv, whole.n_cells, share)


def _half(interval: Interval) -> float:
    """Return half the width of an interval."""
    return (interval.high - interval.low) / 2


class _Pieces:
    """Inter-spike intervals within pieces of the record, of the cells that have two in a piece."""

    def __init__(
        self, units: NDArray[np.int64], ticks: NDArray[np.int64], pieces: NDArray[np.int64]
    ) -> None:
        within = pieces[1:] == pieces[:-1]
        owner, first, self.piece = np.unique(
            pieces[1:][within], return_index=True, return_inverse=True
        )
        self.intervals = np.diff(ticks)[within].astype(np.float64)
        self.unit = units[1:][within][first]
        self.k = np.bincount(self.piece, minlength=owner.size)
        total = np.bincount(self.piece, self.intervals, owner.size)
        self.held = (self.k >= 2) & (total > 0)
        self.mean = np.divide(total, self.k, where=self.held, out=np.ones(owner.size))
        self.n_cells = int(np.unique(self.unit[self.held]).size)

    def cv(self) -> tuple[float, Interval]:
        """Return the CV and its interval."""
        held, k = self.held, self.k[self.held].astype(np.float64)
        spread = np.bincount(
            self.piece, (self.intervals - self.mean[self.piece]) ** 2, self.mean.size
        )
        variation = spread[held] / (k - 1) / self.mean[held] ** 2
        # a cell has a weight of 1, shared among its pieces by their intervals
        weights = k / np.bincount(self.unit[held], k)[self.unit[held]] / self.n_cells
        return _with_interval(_square(variation, k, weights), k, weights)

    def local(self) -> tuple[float | None, float | None]:
        """Return CV2 and LV, averaged over the pairs of each cell and then over cells."""
        before, after = self.intervals[:-1], self.intervals[1:]
        same = self.piece[1:] == self.piece[:-1]
        pair = same & self.held[self.piece[1:]] & (before + after > 0)
        contrast = np.abs(after - before)[pair] / (after + before)[pair]
        cell = self.unit[self.piece[1:][pair]]
        if not cell.size:
            return None, None
        n = np.bincount(cell)
        means = (np.bincount(cell, value)[n > 0] / n[n > 0] for value in (contrast, contrast**2))
        cv2, lv = (float(value.mean()) for value in means)
        return 2 * cv2, 3 * lv


def _square(variation: Floats, k: Floats, weights: Floats) -> float:
    """Solve for CV^2: the mean of `variation` equals its expectation under gamma intervals."""
    found = float(weights @ variation)

    def excess(square: float) -> float:
        return float(weights @ (k * square / (k + square))) - found

    if found <= 0:
        return 0.0
    return _MOST_SQUARE if excess(_MOST_SQUARE) < 0 else float(brentq(excess, 0, _MOST_SQUARE))


def _with_interval(square: float, k: Floats, weights: Floats) -> tuple[float, Interval]:
    """Return the CV and its interval."""
    cv = float(np.sqrt(square))
    error = 0.0
    if square > 0:
        slope = float(weights @ (k / (k + square)) ** 2)
        error = float(np.sqrt(weights**2 @ _variance(square, k))) / slope / (2 * cv)
    half = float(ndtri(0.5 + CONFIDENCE / 2)) * error
    interval = Interval(
        max(0.0, cv - half), cv + half, CONFIDENCE, "intervals taken as gamma-distributed", TIME
    )
    return cv, interval


def _variance(square: float, k: Floats) -> Floats:
    """Return the variance of V of k gamma intervals with this CV^2, from Dirichlet moments."""
    a = 1 / max(square, 1e-6)
    total = k * a
    mean = (a + 1) / (total + 1)
    fourth = (a + 1) * (a + 2) * (a + 3) + (k - 1) * a * (a + 1) ** 2
    second = fourth / ((total + 1) * (total + 2) * (total + 3))
    return np.asarray(np.maximum(second - mean**2, 0) * (k**2 / (k - 1)) ** 2)
