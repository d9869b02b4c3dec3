"""Spikes of many units, the silent ones included.

Time inside is counted in integer ticks (of the simulation step where there is one, of a nanosecond
otherwise), so that no spike falls off a window's floating-point edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse._internal import cards, checks
from neurosparse._internal.grid import GRID_TOLERANCE, NANOSECOND_MS, off_grid
from neurosparse._internal.names import did_you_mean
from neurosparse._internal.types import Array
from neurosparse._internal.units import plain
from neurosparse.activity import frozen
from neurosparse.activity import intervals as observation
from neurosparse.activity.active_when import WINDOW_TOLERANCE
from neurosparse.activity.in_order import in_order
from neurosparse.activity.populations import checked_populations

_MOST_TICKS = 2**53  # beyond which a float64 does not tell neighbouring ticks apart
_BLOCK = 2**16  # times at once: for millions of spikes new memory takes longer than the sums
_MOST_PAIRS = 2**63  # (unit, tick) pairs are counted in int64


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTrains(cards.Shown):
    """Spikes of `n_units` units, the silent ones included, over the time they were observed.

    Parameters
    ----------
    times_ms : array of float, shape (n_spikes,)
        Spike times in [0, duration_ms), each within one of the intervals. Copied, and sorted by
        time and unit, on construction.
    units : array of int, shape (n_spikes,)
        The unit of each spike, in [0, n_units).
    n_units
        All units that were observed, also those that never fired.
    duration_ms
        How long the record is, from its 0 on, gaps between intervals included.
    dt_ms
        The grid on which the times lie, if they lie on one. Leave None for recordings and for exact
        spike times: they are then resolved to a nanosecond.
    populations
        Names of groups of units: name -> (first unit, one past the last). "all" is taken: it names
        all units together. Control characters in a name become "?".
    intervals : array of float, shape (n_intervals, 2)
        When the units were observed: (start, stop) in ms from the record's 0, half-open, in any
        order. Trials, or what lies between gaps. None: all of [0, duration_ms). Intervals that
        touch are kept apart; those that overlap are refused. Every measure honours them: no window
        and no inter-spike interval spans two of them, and rates are per `observed_ms`.
    start_ms
        Where the record's 0 lies on the clock of whoever made it. No measure depends on it; it is
        kept for the way back, and two records that differ in nothing else are equal.

    Raises
    ------
    ValueError, TypeError
        On NaN or infinite times, times outside [0, duration_ms) or the intervals or off the grid,
        units outside [0, n_units), and unlike lengths. Also on a duration or an interval that is
        not a whole number of ticks.

    Examples
    --------
    >>> spikes = SpikeTrains([1.0, 2.5, 7.0], [0, 1, 0], n_units=3, duration_ms=10.0, dt_ms=0.5)
    >>> len(spikes), spikes.counts.tolist()
    (3, [2, 1, 0])

    Two trials of 4 ms:

    >>> trials = [(0, 4), (6, 10)]
    >>> spikes = SpikeTrains([1.0, 7.0], [0, 1], n_units=2, duration_ms=10, intervals=trials)
    >>> spikes.observed_ms
    8.0
    """

    times_ms: Array
    units: Array
    n_units: int = field(kw_only=True)
    duration_ms: float = field(kw_only=True)
    dt_ms: float | None = field(default=None, kw_only=True)
    populations: Mapping[str, tuple[int, int]] = field(default_factory=dict, kw_only=True)
    intervals: Any = field(default=None, kw_only=True)  # given as pairs or None, held as an array
    start_ms: float = field(default=0.0, kw_only=True, compare=False)
    ticks: NDArray[np.int64] = field(init=False, repr=False)
    interval_ticks: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "n_units", checks.whole("n_units", self.n_units))
        set_(self, "duration_ms", checks.positive("duration_ms", self.duration_ms))
        if self.dt_ms is not None:
            set_(self, "dt_ms", checks.positive("dt_ms", self.dt_ms))
        duration = self.duration_ticks
        if duration < 1:
            raise ValueError(
                f"duration_ms must be at least a tick of {self.tick_ms:g} ms, got"
                f" {self.duration_ms!r}"
            )
        if self.n_units * (duration + 1) >= _MOST_PAIRS:
            raise ValueError(
                f"{self.n_units:,} units times {duration:,} ticks of {self.tick_ms:g} ms are too"
                " many to count; give the grid of the times as dt_ms, or a part of the record"
            )
        set_(self, "start_ms", checks.number("start_ms", self.start_ms))
        self._set_intervals()
        times = checks.finite_array("times_ms", self.times_ms)
        units = np.asarray(plain("units", self.units))
        if units.size == 0:
            units = units.astype(np.int64)
        if times.ndim != 1 or units.shape != times.shape:
            raise ValueError(
                f"times_ms and units must be 1-D and of one length, got shapes {times.shape} and"
                f" {units.shape}"
            )
        if not np.issubdtype(units.dtype, np.integer):
            raise TypeError(f"units must be integers, got dtype {units.dtype}")
        if units.size and not (units.min() >= 0 and units.max() < self.n_units):
            raise ValueError(
                f"units must lie in [0, n_units={self.n_units}), got {units.min()} to {units.max()}"
            )
        units = units.astype(np.int64, copy=False)

        ticks = self.to_ticks(times, "times_ms")
        if self.dt_ms is None:  # the last half nanosecond belongs to the record
            ticks[(ticks == duration) & (times < self.duration_ms)] = duration - 1
        if ticks.size and not (ticks.min() >= 0 and ticks.max() < duration):
            raise ValueError(
                f"times_ms must lie in [0, duration_ms={self.duration_ms:g}), got {times.min():g}"
                f" to {times.max():g}"
            )
        if len(self.intervals) > 1 or self.observed_ticks < duration:
            last = self.dt_ms is None
            ticks = observation.inside(self.interval_ticks, self.intervals, ticks, times, last=last)
        times, ticks, units = in_order(times, ticks, units, self.n_units)
        set_(self, "times_ms", times)
        set_(self, "units", units)
        set_(self, "ticks", ticks)
        set_(self, "populations", checked_populations(self.populations, self.n_units))
        frozen.freeze(self)

    def _set_intervals(self) -> None:
        given = [[0.0, self.duration_ms]] if self.intervals is None else self.intervals
        intervals = checks.finite_array("intervals", given, unit="ms")
        if self.intervals is not None:
            intervals = observation.checked(intervals, self.duration_ms, self.dt_ms)
        ticks = self.to_ticks(intervals, "intervals")
        empty = ticks[:, 0] >= ticks[:, 1]
        if empty.any():
            raise ValueError(
                f"intervals must last at least a tick of {self.tick_ms:g} ms, got"
                f" {intervals[int(np.argmax(empty))].tolist()}"
            )
        object.__setattr__(self, "intervals", intervals.astype(np.float64))
        object.__setattr__(self, "interval_ticks", ticks)

    __eq__, __repr__ = frozen.equal, frozen.brief

    def _card(self) -> cards.Card:
        shown: dict[str, object] = {
            "spikes": len(self),
            "units": self.n_units,
            "silent units": int((self.counts == 0).sum()),
            "duration (ms)": self.duration_ms,
            "intervals": len(self.intervals) if len(self.intervals) > 1 else None,
            "observed (ms)": self.observed_ms if self.observed_ms < self.duration_ms else None,
            "grid (ms)": self.dt_ms,
            "populations": ", ".join(self.populations) or None,
        }
        return cards.Card("Spike trains", shown)

    @classmethod
    def from_seconds(
        cls,
        times_s: ArrayLike,
        units: ArrayLike,
        *,
        n_units: int,
        duration_s: float,
        dt_s: float | None = None,
        populations: Mapping[str, tuple[int, int]] | None = None,
        intervals_s: ArrayLike | None = None,
        start_s: float = 0.0,
    ) -> SpikeTrains:
        """Make spike trains of times in seconds, as NWB and Elephant hold them."""
        times = checks.finite_array("times_s", times_s)
        dt_ms = None if dt_s is None else checks.positive("dt_s", dt_s) * 1e3
        duration_ms = checks.positive("duration_s", duration_s) * 1e3
        return cls(
            times * 1e3,
            np.asarray(plain("units", units)),
            n_units=n_units,
            duration_ms=duration_ms,
            dt_ms=dt_ms,
            populations=populations or {},
            intervals=(
                None
                if intervals_s is None
                else checks.finite_array("intervals_s", intervals_s) * 1e3
            ),
            start_ms=checks.number("start_s", start_s) * 1e3,
        )

    def __len__(self) -> int:
        """Return the number of spikes."""
        return int(self.times_ms.size)

    @property
    def tick_ms(self) -> float:
        """The length of a tick: dt_ms, or a nanosecond."""
        return self.dt_ms if self.dt_ms is not None else NANOSECOND_MS

    @property
    def duration_ticks(self) -> int:
        """The duration in ticks, gaps included."""
        return int(self.to_ticks(np.array([self.duration_ms]), "duration_ms")[0])

    @property
    def interval_lengths_ticks(self) -> NDArray[np.int64]:
        """The length of each interval in ticks, shape (n_intervals,)."""
        return self.interval_ticks[:, 1] - self.interval_ticks[:, 0]

    @property
    def observed_ticks(self) -> int:
        """The time observed in ticks, without the gaps."""
        return int(self.interval_lengths_ticks.sum())

    @property
    def observed_ms(self) -> float:
        """The time observed, without the gaps: duration_ms where there are none."""
        observed = self.observed_ticks
        whole = observed == self.duration_ticks
        return self.duration_ms if whole else observed * self.tick_ms

    @property
    def counts(self) -> NDArray[np.int64]:
        """Spikes of each unit, shape (n_units,)."""
        return np.bincount(self.units, minlength=self.n_units)

    def to_ticks(self, values_ms: NDArray[np.float64], name: str) -> NDArray[np.int64]:
        """Return times as whole ticks.

        Times off the grid are refused where a grid was promised.
        """
        ticks = np.empty(values_ms.shape, dtype=np.int64)
        values, found = values_ms.reshape(-1), ticks.reshape(-1)
        for start in range(0, values.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            found[block] = self._whole_ticks(values[block], name)
        return ticks

    def _whole_ticks(self, values_ms: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):  # inf is refused in the next lines
            exact = values_ms / self.tick_ms
        ticks = np.rint(exact)
        if (most := max(ticks.max(), -ticks.min())) >= _MOST_TICKS:
            raise ValueError(
                f"{name} must be below {_MOST_TICKS * self.tick_ms:g} (2^53 ticks), got"
                f" {most * self.tick_ms:g}"
            )
        if self.dt_ms is not None:
            off = np.abs(exact - ticks) > GRID_TOLERANCE
            if off.any():
                message = off_grid(name, values_ms[off][0], self.dt_ms)
                raise ValueError(f"{message}; for times off the grid leave dt_ms out")
        return ticks

    def window_ticks(self, window_ms: object) -> int:
        """Return a window in ticks.

        It is refused where it is longer than any interval or far from the grid.

        A grid of a recording, such as 1/24414.0625 s, holds no window of 10 ms: the nearest tick is
        taken where it is within 1 % of the window. `ActivityStats.active_when` says which.
        """
        window_ms = checks.positive("window_ms", window_ms)
        nearest = np.rint(window_ms / self.tick_ms) * self.tick_ms
        if abs(nearest - window_ms) <= WINDOW_TOLERANCE * window_ms:
            window_ms = float(nearest)
        window = int(self.to_ticks(np.array([window_ms]), "window_ms")[0])
        longest = int(self.interval_lengths_ticks.max())
        if not 1 <= window <= longest:
            most = (
                f"duration_ms={self.duration_ms:g}"
                if longest == self.duration_ticks
                else f"longest interval={longest * self.tick_ms:g}"
            )
            raise ValueError(f"window_ms must lie in [{self.tick_ms:g}, {most}], got {window_ms:g}")
        return window

    def between(self, start_ms: float, stop_ms: float) -> SpikeTrains:
        """Return the spikes in [start_ms, stop_ms), with time counted from start_ms.

        This is how a warm-up is discarded.

        Raises
        ------
        ValueError
            Where they do not enclose a part of the record, lie off its grid, or nothing was
            observed between them.
        """
        start_ms, stop_ms = (
            checks.number("start_ms", start_ms),
            checks.number("stop_ms", stop_ms),
        )
        start, stop = (
            int(self.to_ticks(np.array([t]), name)[0])
            for name, t in (("start_ms", start_ms), ("stop_ms", stop_ms))
        )
        if not 0 <= start < stop <= self.duration_ticks:
            raise ValueError(
                f"start_ms and stop_ms must enclose a part of [0, {self.duration_ms:g}], got"
                f" {start_ms} and {stop_ms}"
            )
        observed = observation.part(self.interval_ticks, start, stop)
        if len(observed) == 0:
            raise ValueError(f"nothing was observed between {start_ms:g} and {stop_ms:g} ms")
        inside = slice(*np.searchsorted(self.ticks, [start, stop]))
        return SpikeTrains(
            (self.ticks[inside] - start) * self.tick_ms,
            self.units[inside],
            n_units=self.n_units,
            duration_ms=(stop - start) * self.tick_ms,
            dt_ms=self.dt_ms,
            populations=self.populations,
            intervals=(observed - start) * self.tick_ms,
            start_ms=self.start_ms + start * self.tick_ms,
        )

    def population(self, name: str) -> SpikeTrains:
        """Return the spikes of one population, its units counted from 0.

        A ValueError where there is none of that name.
        """
        if name not in self.populations:
            raise ValueError(
                f"no population {name!r}{did_you_mean(name, self.populations)}; there are:"
                f" {', '.join(self.populations) or 'none'}"
            )
        first, stop = self.populations[name]
        inside = (self.units >= first) & (self.units < stop)
        return SpikeTrains(
            self.times_ms[inside],
            self.units[inside] - first,
            n_units=stop - first,
            duration_ms=self.duration_ms,
            dt_ms=self.dt_ms,
            intervals=self.intervals,
            start_ms=self.start_ms,
        )

    def to_neo(self) -> Any:
        """Return a Neo block: a segment for each interval of observation, a train for each unit.

        Units and populations stand in the annotations of the trains.

        Raises
        ------
        MissingPackageError
            Where Neo is not installed.
        """
        return _back("neo", "to_neo")(self)

    def to_pynapple(self) -> Any:
        """Return a pynapple `TsGroup`, whose `time_support` is when the units were observed.

        Populations stand in its metadata. pynapple joins intervals that touch.

        Raises
        ------
        MissingPackageError
            Where pynapple is not installed.
        """
        return _back("pynapple", "to_pynapple")(self)

    def to_pandas(self) -> Any:
        """Return a pandas frame with a row a spike: time_ms, unit, and population if there are any.

        Times count on the record's own clock, from `start_ms` on. `frame.attrs["neurosparse"]`
        holds n_units, dt_ms and intervals_ms, which `as_spikes` honours while no row is left out.

        Raises
        ------
        MissingPackageError
            Where pandas is not installed.
        """
        return _back("frames", "to_pandas")(self)


def _back(tool: str, name: str) -> Any:
    """Return a converter of the room above, which is met by its name alone and when called."""
    return getattr(import_module(f"neurosparse.interop.{tool}"), name)
