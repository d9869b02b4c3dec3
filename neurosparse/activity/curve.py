"""The active fraction of a circuit as a function of the window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal import cards, checks
from neurosparse.activity import frozen
from neurosparse.activity.spike_trains import GRID_TOLERANCE


@dataclass(frozen=True, slots=True, eq=False)
class ActivityCurve:
    """The active fraction of a circuit as a function of the window, exact for every window, and its
    inverse.

    It is the share of (unit, position of the window) pairs with at least one spike, over *all*
    positions of the window in the record: an average over every way to lay the bins. Built by
    `sparsity.activity_curve`.

    Only the gaps between spikes matter: a window of w ticks misses every spike of a unit at g - w
    positions for each gap g > w (the ends of the record count as spikes just outside it). So the
    sorted gaps are the whole curve, and it can only rise with w.
    """

    gaps_ticks: NDArray[np.int64]  # sorted, all units together
    # gaps_above[k] = sum of gaps_ticks[k:], one longer than gaps_ticks
    gaps_above: NDArray[np.int64]
    n_units: int
    duration_ticks: int
    tick_ms: float

    def __post_init__(self) -> None:
        frozen.freeze(self)

    __eq__ = frozen.equal

    def _repr_html_(self) -> str:
        held = {f"window that holds {p} % (ms)": self.window_ms(p / 100) for p in (1, 2, 4, 50)}
        return cards.card("Active fraction over the window", {"units": self.n_units, **held})

    @classmethod
    def of_gaps(
        cls, gaps_ticks: NDArray[np.int64], n_units: int, duration_ticks: int, tick_ms: float
    ) -> ActivityCurve:
        """The curve of the gaps between spikes, in any order."""
        ascending = np.sort(gaps_ticks)
        above = np.concatenate([np.cumsum(ascending[::-1])[::-1], [0]])
        return cls(ascending, above, n_units, duration_ticks, tick_ms)

    def __call__(self, windows_ms: ArrayLike) -> NDArray[np.float64]:
        """The active fraction in windows of the given lengths (any shape), linear between whole
        ticks.
        """
        windows = checks.finite_array("windows_ms", windows_ms) / self.tick_ms
        if (
            windows.size == 0
            or windows.min() < 1 - GRID_TOLERANCE
            or windows.max() > self.duration_ticks * (1 + 1e-12)
        ):
            raise ValueError(
                f"windows_ms must lie in [{self.tick_ms:g},"
                f" {self.duration_ticks * self.tick_ms:g}], got {windows_ms!r}"
            )
        low = np.clip(np.floor(windows + GRID_TOLERANCE), 1, self.duration_ticks).astype(np.int64)
        part = windows - low
        part = np.where(part < GRID_TOLERANCE, 0.0, part)
        below = self._at_ticks(low)
        above = self._at_ticks(np.minimum(low + 1, self.duration_ticks))
        return below + part * (above - below)

    def _at_ticks(self, windows: NDArray[np.int64]) -> NDArray[np.float64]:
        longer = np.searchsorted(self.gaps_ticks, windows, side="right")
        empty = self.gaps_above[longer] - windows * (self.gaps_ticks.size - longer)
        pairs = self.n_units * (self.duration_ticks + 1 - windows)
        # not 1 - empty / pairs, which misses 0.1 of ten units by a rounding
        return (pairs - empty) / pairs

    def window_ms(self, fraction: float) -> float | None:
        """The shortest window in which `fraction` of the units are active; None where no window in
        the record reaches it.

        Where even the shortest window, one tick, holds more than `fraction`, the curve is continued
        to the origin.

        Raises
        ------
        ValueError
            Where `fraction` does not lie in (0, 1].
        """
        if not 0 < checks.number("fraction", fraction) <= 1:
            raise ValueError(f"fraction must lie in (0, 1], got {fraction}")

        def at(ticks: int) -> float:
            return float(self._at_ticks(np.array([ticks]))[0])

        if at(self.duration_ticks) < fraction:
            return None
        low, high = 0, self.duration_ticks  # at(low) < fraction <= at(high), with at(0) = 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if at(middle) >= fraction else (middle, high)
        below = at(low) if low else 0.0
        return (low + (fraction - below) / (at(high) - below)) * self.tick_ms
