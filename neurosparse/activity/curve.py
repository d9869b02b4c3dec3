"""The active fraction of a circuit as a function of the window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal import cards, checks
from neurosparse._internal.grid import GRID_TOLERANCE
from neurosparse.activity import frozen


@dataclass(frozen=True, slots=True, eq=False)
class ActivityCurve(cards.Shown):
    """The active fraction of a circuit as a function of the window, and its inverse.

    It is exact for every window.

    It is the share of (unit, position of the window) pairs with at least one spike, over *all*
    positions of the window in the record. So it is an average over every way to lay the bins. Built
    by `sparsity.activity_curve`.

    Only the gaps between spikes matter: a window of w ticks misses every spike of a unit at g - w
    positions for each gap g > w (the ends of an interval count as spikes just outside it). So the
    sorted gaps and the lengths of the intervals are the whole curve. Over one interval it can only
    rise with w; over several it may fall where a short and active one no longer holds the window.
    """

    gaps_ticks: NDArray[np.int64]  # sorted, all units together
    # gaps_above[k] = sum of gaps_ticks[k:], one longer than gaps_ticks
    gaps_above: NDArray[np.int64]
    n_units: int
    lengths_ticks: NDArray[np.int64]  # (n_intervals,) of observation, ascending
    tick_ms: float

    def __post_init__(self) -> None:
        frozen.freeze(self)

    __eq__ = frozen.equal
    __repr__ = frozen.brief

    def _card(self) -> cards.Card:
        held = {f"window that holds {p} % (ms)": self.window_ms(p / 100) for p in (1, 2, 4, 50)}
        return cards.Card("Active fraction over the window", {"units": self.n_units, **held})

    @classmethod
    def of_gaps(
        cls,
        gaps_ticks: NDArray[np.int64],
        n_units: int,
        lengths_ticks: int | NDArray[np.int64],
        tick_ms: float,
    ) -> ActivityCurve:
        """Return the curve of the gaps between spikes, over intervals of these lengths.

        Gaps are in any order.
        """
        ascending = np.sort(gaps_ticks)
        above = np.concatenate([np.cumsum(ascending[::-1])[::-1], [0]])
        lengths = np.sort(np.atleast_1d(np.asarray(lengths_ticks, dtype=np.int64)))
        return cls(ascending, above, n_units, lengths, tick_ms)

    @property
    def longest_ticks(self) -> int:
        """The longest window that an interval of observation holds."""
        return int(self.lengths_ticks[-1])

    def __call__(self, windows_ms: ArrayLike) -> NDArray[np.float64]:
        """Return the active fraction in windows of the given lengths (any shape).

        It is linear between whole ticks.
        """
        windows = checks.finite_array("windows_ms", windows_ms) / self.tick_ms
        if (
            windows.size == 0
            or windows.min() < 1 - GRID_TOLERANCE
            or windows.max() > self.longest_ticks * (1 + 1e-12)
        ):
            raise ValueError(
                f"windows_ms must lie in [{self.tick_ms:g},"
                f" {self.longest_ticks * self.tick_ms:g}], got {windows_ms!r}"
            )
        low = np.clip(np.floor(windows + GRID_TOLERANCE), 1, self.longest_ticks).astype(np.int64)
        part = windows - low
        part = np.where(part < GRID_TOLERANCE, 0.0, part)
        below = self._at_ticks(low)
        above = self._at_ticks(np.minimum(low + 1, self.longest_ticks))
        return below + part * (above - below)

    def _at_ticks(self, windows: NDArray[np.int64]) -> NDArray[np.float64]:
        longer = np.searchsorted(self.gaps_ticks, windows, side="right")
        empty = self.gaps_above[longer] - windows * (self.gaps_ticks.size - longer)
        pairs = self.n_units * self._positions(windows)
        # not 1 - empty / pairs, which misses 0.1 of ten units by a rounding
        return (pairs - empty) / pairs

    def _positions(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the positions that a window has, over all intervals that hold it."""
        too_short = np.searchsorted(self.lengths_ticks, windows, side="left")
        above = np.concatenate([np.cumsum(self.lengths_ticks[::-1])[::-1], [0]])
        n_long = self.lengths_ticks.size - too_short
        return np.asarray(above[too_short] + n_long * (1 - windows))

    def window_ms(self, fraction: float) -> float | None:
        """Return the shortest window, in ms, in which `fraction` of the units are active.

        None where no window in the record reaches it.

        Where even the shortest window, one tick, holds more than `fraction`, the curve is continued
        to the origin.

        Raises
        ------
        ValueError
            Where `fraction` does not lie in (0, 1].
        """
        fraction = checks.number("fraction", fraction)
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction must lie in (0, 1], got {fraction}")

        def at(ticks: int) -> float:
            return float(self._at_ticks(np.array([ticks]))[0])

        ends = self._where_it_may_turn()
        reached = self._at_ticks(ends) >= fraction
        if not reached.any():
            return None
        k = int(np.argmax(reached))
        # at(low) < fraction <= at(high), with at(0) = 0; it does not turn in between
        low, high = int(ends[k - 1]) if k else 0, int(ends[k])
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if at(middle) >= fraction else (middle, high)
        below = at(low) if low else 0.0
        return (low + (fraction - below) / (at(high) - below)) * self.tick_ms

    def _where_it_may_turn(self) -> NDArray[np.int64]:
        """Return windows between which the curve only rises or only falls.

        They are in ascending order, the longest last.

        Between two neighbouring lengths of gaps or intervals, the empty and all positions are both
        linear in the window, so that their ratio has no maximum inside.
        """
        if self.lengths_ticks.size == 1:
            return np.array([self.longest_ticks])
        turns = np.unique(np.concatenate([self.gaps_ticks, self.lengths_ticks + 1, [1]]))
        return np.append(turns[turns < self.longest_ticks], self.longest_ticks)
