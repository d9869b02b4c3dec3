"""What was observed: spikes of a circuit, activations of a network, and what "active" means for each.

Everything here is frozen, needs NumPy alone and refuses what cannot be a measurement. Time inside is counted in integer ticks
(of the simulation step where there is one, of a nanosecond otherwise), so that no spike falls off a window's floating-point edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosparse import cards, checks

KEPT = 128  # inputs whose activations a record keeps, for what sums over units one by one do not tell
NANOSECOND_MS = 1e-6
_GRID_TOLERANCE = 1e-3  # of a tick: what float64 leaves of t = k * dt after hours of simulated time
_MOST_TICKS = 2**53  # beyond which a float64 does not tell neighbouring ticks apart
_MOST_PAIRS = 2**63  # (unit, tick) pairs are counted in int64


def _freeze(record: Any) -> None:
    """Make the arrays of a frozen dataclass read-only, so that it is frozen all the way down."""
    for name in (f.name for f in fields(record)):
        if isinstance(array := getattr(record, name), np.ndarray):
            view = array.view()  # the array itself stays as its owner has it
            view.flags.writeable = False
            object.__setattr__(record, name, view)


def _equal(a: Any, b: Any) -> bool:
    """Whether two records hold the same: arrays are compared as wholes, which the `==` of a dataclass cannot do."""
    if type(a) is not type(b):
        return NotImplemented
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(np.array_equal(x, y, equal_nan=True) if isinstance(x, np.ndarray) else x == y for x, y in pairs)


@dataclass(frozen=True, slots=True)
class ActiveWhen:
    """What "active" means. No fraction exists without one, and two fractions with different ones are never compared silently.

    Parameters
    ----------
    window_ms
        For spikes: a unit is active in a window of this length in which it fires at least once.
    threshold
        For activations: a unit is active for a sample where abs(a) > threshold. 0 counts everything but exact zeros.
    axis
        For activations: the axis of an activation tensor that holds the units (-1: the features of a linear layer, 1: the
        channels of a convolution). Every other axis holds samples: inputs, positions, tokens. None: as each layer of a model lays
        out its units, and -1 for an array.

    Examples
    --------
    >>> ActiveWhen(window_ms=10).describe()
    'at least one spike in 10 ms'
    >>> ActiveWhen(threshold=0).describe()
    'abs(a) > 0'
    """

    window_ms: float | None = None
    threshold: float | None = None
    axis: int | None = None

    def __post_init__(self) -> None:
        if (self.window_ms is None) == (self.threshold is None):
            raise ValueError(
                "ActiveWhen takes exactly one of window_ms (for spikes) and threshold (for activations), got "
                f"window_ms={self.window_ms}, threshold={self.threshold}"
            )
        if self.window_ms is not None:
            object.__setattr__(self, "window_ms", checks.positive("window_ms", self.window_ms))
        if self.threshold is not None:
            object.__setattr__(self, "threshold", checks.not_negative("threshold", self.threshold))
        if self.axis is not None:
            checks.whole("axis", self.axis, least=-16)

    def describe(self) -> str:
        """The definition in words, for axes, tables and captions."""
        if self.window_ms is not None:
            return f"at least one spike in {self.window_ms:g} ms"
        return f"abs(a) > {self.threshold:g}"


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTrains:
    """Spikes of `n_units` units, the silent ones included, over `duration_ms`.

    Parameters
    ----------
    times_ms : array of float, shape (n_spikes,)
        Spike times in [0, duration_ms). Copied, and sorted by time and unit, on construction.
    units : array of int, shape (n_spikes,)
        The unit of each spike, in [0, n_units).
    n_units
        All units that were observed, also those that never fired.
    duration_ms
        How long they were observed.
    dt_ms
        The grid on which the times lie, if they lie on one. Leave None for recordings and for exact spike times: they are then
        resolved to a nanosecond.
    populations
        Names of groups of units: name -> (first unit, one past the last).

    Raises
    ------
    ValueError, TypeError
        On NaN or infinite times, times outside [0, duration_ms) or off the grid, units outside [0, n_units), unlike lengths,
        and a duration that is not a whole number of ticks.

    Examples
    --------
    >>> spikes = SpikeTrains([1.0, 2.5, 7.0], [0, 1, 0], n_units=3, duration_ms=10.0, dt_ms=0.5)
    >>> len(spikes), spikes.counts.tolist()
    (3, [2, 1, 0])
    """

    times_ms: NDArray[Any]
    units: NDArray[Any]
    n_units: int = field(kw_only=True)
    duration_ms: float = field(kw_only=True)
    dt_ms: float | None = field(default=None, kw_only=True)
    populations: Mapping[str, tuple[int, int]] = field(default_factory=dict, kw_only=True)
    ticks: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "n_units", checks.whole("n_units", self.n_units))
        set_(self, "duration_ms", checks.positive("duration_ms", self.duration_ms))
        if self.dt_ms is not None:
            set_(self, "dt_ms", checks.positive("dt_ms", self.dt_ms))
        duration = self.duration_ticks
        if duration < 1:
            raise ValueError(f"duration_ms must be at least a tick of {self.tick_ms:g} ms, got {self.duration_ms!r}")
        if self.n_units * (duration + 1) >= _MOST_PAIRS:
            raise ValueError(
                f"{self.n_units:,} units times {duration:,} ticks of {self.tick_ms:g} ms are too many to count; give the "
                "grid of the times as dt_ms, or a part of the record"
            )
        times = checks.finite_array("times_ms", self.times_ms)
        units = np.asarray(self.units)
        if units.size == 0:
            units = units.astype(np.int64)
        if times.ndim != 1 or units.shape != times.shape:
            raise ValueError(
                f"times_ms and units must be 1-D and of one length, got shapes {times.shape} and {units.shape}"
            )
        if not np.issubdtype(units.dtype, np.integer):
            raise TypeError(f"units must be integers, got dtype {units.dtype}")
        if units.size and not (units.min() >= 0 and units.max() < self.n_units):
            raise ValueError(f"units must lie in [0, n_units={self.n_units}), got {units.min()} to {units.max()}")
        units = units.astype(np.int64)

        ticks = self.to_ticks(times, "times_ms")
        if self.dt_ms is None:  # the last half nanosecond belongs to the record
            ticks[(ticks == duration) & (times < self.duration_ms)] = duration - 1
        if ticks.size and not (ticks.min() >= 0 and ticks.max() < duration):
            raise ValueError(
                f"times_ms must lie in [0, duration_ms={self.duration_ms:g}), got {times.min():g} to {times.max():g}"
            )
        key = ticks * self.n_units + units
        if (np.diff(key) < 0).any():
            order = np.argsort(key, kind="stable")
            times, units, ticks = times[order], units[order], ticks[order]
        else:
            times = times.copy()
        set_(self, "times_ms", times)
        set_(self, "units", units)
        set_(self, "ticks", ticks)
        set_(self, "populations", self._checked_populations())
        _freeze(self)

    def _checked_populations(self) -> dict[str, tuple[int, int]]:
        checked = {}
        for name, bounds in self.populations.items():
            try:
                first, stop = (checks.whole(f"population {name!r}", bound, least=0) for bound in bounds)
            except (TypeError, ValueError):
                raise ValueError(
                    f"population {name!r} must be (first unit, one past the last), whole numbers, got {bounds!r}"
                ) from None
            if not first < stop <= self.n_units:
                raise ValueError(f"population {name!r} must lie in [0, n_units={self.n_units}], got {first} to {stop}")
            checked[name] = (first, stop)
        return checked

    def __eq__(self, other: object) -> bool:
        return _equal(self, other)

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
    ) -> SpikeTrains:
        """The same from times in seconds, as NWB and Elephant hold them."""
        times = checks.finite_array("times_s", times_s)
        dt_ms = None if dt_s is None else checks.positive("dt_s", dt_s) * 1e3
        duration_ms = checks.positive("duration_s", duration_s) * 1e3
        return cls(
            times * 1e3,
            np.asarray(units),
            n_units=n_units,
            duration_ms=duration_ms,
            dt_ms=dt_ms,
            populations=populations or {},
        )

    def __len__(self) -> int:
        """The number of spikes."""
        return int(self.times_ms.size)

    @property
    def tick_ms(self) -> float:
        """The length of a tick: dt_ms, or a nanosecond."""
        return self.dt_ms if self.dt_ms is not None else NANOSECOND_MS

    @property
    def duration_ticks(self) -> int:
        """The duration in ticks."""
        return int(self.to_ticks(np.array([self.duration_ms]), "duration_ms")[0])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Spikes of each unit, shape (n_units,)."""
        return np.bincount(self.units, minlength=self.n_units)

    def to_ticks(self, values_ms: NDArray[np.float64], name: str) -> NDArray[np.int64]:
        """Times as whole ticks; times off the grid are refused where a grid was promised."""
        with np.errstate(over="ignore"):  # inf is refused in the next lines
            exact = values_ms / self.tick_ms
        ticks = np.rint(exact)
        if ticks.size and (most := max(ticks.max(), -ticks.min())) >= _MOST_TICKS:
            raise ValueError(
                f"{name} must be below {_MOST_TICKS * self.tick_ms:g} (2^53 ticks), got {most * self.tick_ms:g}"
            )
        if self.dt_ms is not None:
            exact -= ticks  # in place: for millions of spikes new memory takes longer than the sums
            off = np.abs(exact, out=exact) > _GRID_TOLERANCE
            if off.any():
                raise ValueError(
                    f"{name} must be a whole multiple of dt_ms={self.dt_ms:g}, got {values_ms[int(np.argmax(off))]!r}; "
                    "for times off the grid leave dt_ms out"
                )
        return ticks.astype(np.int64)

    def window_ticks(self, window_ms: Any) -> int:
        """A window in ticks, refused where it is longer than the record or not a whole multiple of dt."""
        window = int(self.to_ticks(np.array([checks.positive("window_ms", window_ms)]), "window_ms")[0])
        if not 1 <= window <= self.duration_ticks:
            raise ValueError(
                f"window_ms must lie in [{self.tick_ms:g}, duration_ms={self.duration_ms:g}], got {window_ms:g}"
            )
        return window

    def between(self, start_ms: float, stop_ms: float) -> SpikeTrains:
        """The spikes in [start_ms, stop_ms), with time counted from start_ms: how a warm-up is discarded."""
        start, stop = (
            int(self.to_ticks(np.array([checks.number(name, t)]), name)[0])
            for name, t in (("start_ms", start_ms), ("stop_ms", stop_ms))
        )
        if not 0 <= start < stop <= self.duration_ticks:
            raise ValueError(
                f"start_ms and stop_ms must enclose a part of [0, {self.duration_ms:g}], got {start_ms} and {stop_ms}"
            )
        inside = slice(*np.searchsorted(self.ticks, [start, stop]))
        return SpikeTrains(
            (self.ticks[inside] - start) * self.tick_ms,
            self.units[inside],
            n_units=self.n_units,
            duration_ms=(stop - start) * self.tick_ms,
            dt_ms=self.dt_ms,
            populations=self.populations,
        )

    def population(self, name: str) -> SpikeTrains:
        """The spikes of one population, its units counted from 0."""
        if name not in self.populations:
            raise ValueError(f"no population {name!r}; there are: {', '.join(self.populations) or 'none'}")
        first, stop = self.populations[name]
        inside = (self.units >= first) & (self.units < stop)
        return SpikeTrains(
            self.times_ms[inside],
            self.units[inside] - first,
            n_units=stop - first,
            duration_ms=self.duration_ms,
            dt_ms=self.dt_ms,
        )


@dataclass(frozen=True, slots=True)
class Sparseness:
    """The four measures of one kind, population or lifetime; None where one is undefined or cannot be had from a stream.

    Treves-Rolls falls as activity gets sparser; the other three rise.
    """

    treves_rolls: float | None
    vinje_gallant: float | None
    hoyer: float | None
    gini: float | None
    n_averaged: (
        int  # windows or samples (population), units (lifetime): those with any activity, the others have no sparseness
    )


def _lowest(keys: NDArray[np.uint64], rows: NDArray[np.float64]) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """The rows of the KEPT lowest keys: the same whatever order they come in, so that records add up in any."""
    order = np.argsort(keys, kind="stable")[:KEPT]
    return keys[order], rows[order]


@dataclass(frozen=True, slots=True, eq=False)
class Activations:
    """What a stream of activations of one layer leaves behind: counts and moments per unit, and a sample of at most KEPT inputs.

    Two records of one layer add up (`a + b`): counts exactly, sums to rounding. Sizes do not depend on the number of samples.
    """

    name: str
    active_when: ActiveWhen
    n_samples: int
    active_count: NDArray[np.int64]  # (n_units,) samples in which the unit is active
    magnitude_sum: NDArray[np.float64]  # (n_units,) sum over samples of abs(a)
    square_sum: NDArray[np.float64]  # (n_units,) sum over samples of a^2
    n_repeats: int  # what is independent: inputs, of which a convolution makes one sample a position
    square_count_sum: int  # sum over repeats of (active units, all samples of it)^2
    population_sums: NDArray[np.float64]  # (4,) sums over samples of Treves-Rolls, Vinje-Gallant, Hoyer, Gini
    n_population: int  # samples with any activity, over which population_sums run
    n_ranked: int  # those of them over which the sum of Gini runs: a few positions of each input, since it takes a sort
    n_zero: int  # (sample, unit) pairs that are exactly 0
    sample_keys: NDArray[np.uint64]  # (n_kept,) ascending
    sample: NDArray[np.float64]  # (n_kept, n_units) activations of at most KEPT inputs, those of the lowest keys

    def __post_init__(self) -> None:
        checks.whole("n_samples", self.n_samples)
        object.__setattr__(self, "active_count", np.array(self.active_count, dtype=np.int64))
        for name in ("magnitude_sum", "square_sum", "population_sums", "sample"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        shapes = {name: getattr(self, name).shape for name in ("active_count", "magnitude_sum", "square_sum")}
        if len(set(shapes.values())) > 1 or self.active_count.ndim != 1 or self.active_count.size == 0:
            raise ValueError(f"the counts and sums of {self.name!r} must be of one shape (n_units,), got {shapes}")
        _freeze(self)

    @property
    def n_units(self) -> int:
        """The width of the layer."""
        return int(self.active_count.size)

    def __eq__(self, other: object) -> bool:
        return _equal(self, other)

    def __add__(self, other: Activations) -> Activations:
        if not isinstance(other, Activations):
            return NotImplemented
        if (self.name, self.active_when, self.n_units) != (other.name, other.active_when, other.n_units):
            raise ValueError(
                f"only records of one layer, definition and width add up, got {self.name!r} ({self.n_units} units, "
                f"{self.active_when.describe()}) and {other.name!r} ({other.n_units} units, {other.active_when.describe()})"
            )
        return Activations(
            self.name,
            self.active_when,
            self.n_samples + other.n_samples,
            self.active_count + other.active_count,
            self.magnitude_sum + other.magnitude_sum,
            self.square_sum + other.square_sum,
            self.n_repeats + other.n_repeats,
            self.square_count_sum + other.square_count_sum,
            self.population_sums + other.population_sums,
            self.n_population + other.n_population,
            self.n_ranked + other.n_ranked,
            self.n_zero + other.n_zero,
            *_lowest(
                np.concatenate([self.sample_keys, other.sample_keys]), np.concatenate([self.sample, other.sample])
            ),
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, with what it took as independent."""

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, slots=True, eq=False)
class ActivityCurve:
    """The active fraction of a circuit as a function of the window, exact for every window, and its inverse.

    It is the share of (unit, position of the window) pairs with at least one spike, over *all* positions of the window in the
    record: an average over every way to lay the bins. Built by `sparsity.activity_curve`.

    Only the gaps between spikes matter: a window of w ticks misses every spike of a unit at g - w positions for each gap g > w
    (the ends of the record count as spikes just outside it). So the sorted gaps are the whole curve, and it can only rise with w.
    """

    gaps_ticks: NDArray[np.int64]  # sorted, all units together
    gaps_above: NDArray[np.int64]  # gaps_above[k] = sum of gaps_ticks[k:], one longer than gaps_ticks
    n_units: int
    duration_ticks: int
    tick_ms: float

    def __post_init__(self) -> None:
        _freeze(self)

    def __eq__(self, other: object) -> bool:
        return _equal(self, other)

    @classmethod
    def of_gaps(cls, gaps_ticks: NDArray[np.int64], n_units: int, duration_ticks: int, tick_ms: float) -> ActivityCurve:
        """The curve of the gaps between spikes, in any order."""
        ascending = np.sort(gaps_ticks)
        above = np.concatenate([np.cumsum(ascending[::-1])[::-1], [0]])
        return cls(ascending, above, n_units, duration_ticks, tick_ms)

    def __call__(self, windows_ms: ArrayLike) -> NDArray[np.float64]:
        """The active fraction in windows of the given lengths (any shape), linear between whole ticks."""
        windows = checks.finite_array("windows_ms", windows_ms) / self.tick_ms
        if (
            windows.size == 0
            or windows.min() < 1 - _GRID_TOLERANCE
            or windows.max() > self.duration_ticks * (1 + 1e-12)
        ):
            raise ValueError(
                f"windows_ms must lie in [{self.tick_ms:g}, {self.duration_ticks * self.tick_ms:g}], got {windows_ms!r}"
            )
        low = np.clip(np.floor(windows + _GRID_TOLERANCE), 1, self.duration_ticks).astype(np.int64)
        part = windows - low
        part = np.where(part < _GRID_TOLERANCE, 0.0, part)
        below = self._at_ticks(low)
        above = self._at_ticks(np.minimum(low + 1, self.duration_ticks))
        return below + part * (above - below)

    def _at_ticks(self, windows: NDArray[np.int64]) -> NDArray[np.float64]:
        longer = np.searchsorted(self.gaps_ticks, windows, side="right")
        empty = self.gaps_above[longer] - windows * (self.gaps_ticks.size - longer)
        pairs = self.n_units * (self.duration_ticks + 1 - windows)
        return (pairs - empty) / pairs  # not 1 - empty / pairs, which misses 0.1 of ten units by a rounding

    def window_ms(self, fraction: float) -> float | None:
        """The shortest window in which `fraction` of the units are active; None where no window in the record reaches it.

        Where even the shortest window, one tick, holds more than `fraction`, the curve is continued to the origin.
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


@dataclass(frozen=True, slots=True, eq=False)
class ActivityStats:
    """How sparse something is, and by which definition.

    `active_fraction` is the mean share of units that are active at once: per window for spikes, per sample for activations.
    Fields that do not exist for a kind are None, never 0.
    """

    name: str
    kind: str  # "spikes" or "activations"
    active_when: ActiveWhen
    active_fraction: float
    interval: Interval
    n_units: int
    n_samples: int  # positions of the window, or samples
    n_silent: int  # units that were never active: silent cells, dead units
    population: Sparseness  # over units, within a window or a sample
    lifetime: Sparseness  # over windows or samples, within a unit
    unit_active_fraction: NDArray[np.float64]  # (n_units,)
    effective_dimension: float | None = None  # of the covariance between units; see sparsity.effective_dimension
    n_spikes: int | None = None
    duration_ms: float | None = None
    mean_rate_hz: float | None = None
    median_rate_hz: float | None = None
    isi_cv: float | None = None
    unit_rates_hz: NDArray[np.float64] | None = None  # (n_units,)
    curve: ActivityCurve | None = None
    zero_fraction: float | None = (
        None  # (sample, unit) pairs that are exactly 0; abs(a) <= threshold is 1 - active_fraction
    )
    mean_magnitude: float | None = None
    unit_mean_magnitude: NDArray[np.float64] | None = None  # (n_units,)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", dict(self.provenance))
        _freeze(self)

    def __eq__(self, other: object) -> bool:
        return _equal(self, other)

    @property
    def n_alive(self) -> int:
        """Units that were active at least once."""
        return self.n_units - self.n_silent

    @property
    def effective_units(self) -> float | None:
        """Effective number of active units: the participation ratio (sum |a|)^2 / sum a^2 of a sample, averaged over samples.

        k where k units are equally active and the rest silent; needs no threshold. It is n_units times Treves-Rolls sparseness.
        """
        return None if self.population.treves_rolls is None else self.n_units * self.population.treves_rolls

    def _repr_html_(self) -> str:
        interval = self.interval
        shown: dict[str, object] = {
            "active means": self.active_when.describe(),
            "active (%)": 100 * self.active_fraction,
            f"{100 * interval.level:g} % interval": f"{100 * interval.low:.4g} to {100 * interval.high:.4g}",
            "units": self.n_units,
            "never active": self.n_silent,
            "exactly 0 (%)": None if self.zero_fraction is None else 100 * self.zero_fraction,
            "effective units": self.effective_units,
            "effective dimension": self.effective_dimension,
            "Treves-Rolls, population": self.population.treves_rolls,
            "Treves-Rolls, lifetime": self.lifetime.treves_rolls,
            "mean rate (Hz)": self.mean_rate_hz,
            "CV of intervals": self.isi_cv,
            "mean magnitude": self.mean_magnitude,
        }
        return cards.card(
            self.name, {name: value for name, value in shown.items() if value is not None}, [interval.method]
        )

    def to_dict(self) -> dict[str, Any]:
        """The statistics as plain JSON types, without the per-unit arrays and the curve."""
        skip = {"unit_active_fraction", "unit_rates_hz", "unit_mean_magnitude", "curve"}
        result = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skip}
        for name in ("active_when", "interval", "population", "lifetime"):
            result[name] = asdict(result[name])
        return {
            **result,
            "effective_units": self.effective_units,
            "provenance": dict(self.provenance),
            "definition": self.active_when.describe(),
        }
