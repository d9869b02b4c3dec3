"""What a file says of its units, and what is taken from it: a selection of units over one unbroken stretch of time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse import cards, checks
from neurosparse.activity import SpikeTrains

UPPER_BOUND = (
    "Sorted spikes miss the cells that were silent or fired too rarely to be told apart, so the active fraction is an "
    "upper bound."
)
REGION_COLUMNS = (
    "population", "brain_area", "brain_region", "region", "area", "location", "electrodes.location", "electrode_group.location"
)  # fmt: skip
MOST_REGIONS = 32  # a column with more values than this names places, not populations, unless it is asked for

_CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(!=|<=|>=|=|<|>)\s*(.+?)\s*")
_COMPARE = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_MOST_SHOWN = 4
_GRID_TOLERANCE = 1e-3  # of a tick


class MissingPackageError(ImportError, ValueError):
    """A package that a format needs is not installed. Also a ValueError: this installation cannot read what it was given."""


def need(module: str, what: str, extra: str = "recordings") -> Any:
    """An optional module, or one sentence that says what to install."""
    try:
        return import_module(module)
    except ImportError:
        raise MissingPackageError(
            f"{what} needs {module.partition('.')[0]}, which is not installed: pip install 'neurosparse[{extra}]'"
        ) from None


@dataclass(frozen=True, slots=True)
class UnitTable:
    """What a file says of its units, before any selection. Times are seconds in the file's own time.

    Parameters
    ----------
    times_s, units : arrays, shape (n_spikes,)
        Spike times, and the unit of each.
    columns
        name -> a value a unit, shape (n_units,).
    observed_s : array of float, shape (n_intervals, 2), or None
        When each unit was observed; None where the file does not say.
    observed_units : array of int, shape (n_intervals,)
        The unit of each interval.
    resolution_s
        The grid on which the times lie, where the file names one.
    all_units
        Whether silent units are in the table too, as in a simulation.
    """

    path: Path
    format: str
    n_units: int
    times_s: NDArray[np.float64]
    units: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    observed_s: NDArray[np.float64] | None = None
    observed_units: NDArray[np.int64] | None = None
    resolution_s: float | None = None
    all_units: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Spikes of a file over one unbroken stretch in which every unit was observed. Made by `recordings.read`.

    Attributes
    ----------
    spikes
        The spikes, with time counted from `start_s`, the units ordered by population.
    rows : array of int, shape (n_units,)
        The row of each unit in the file.
    n_units_in_file
        Units in the file, before `where`.
    start_s, stop_s
        The stretch, in the file's own time.
    observed_s
        All stretches that the units share, of which this is one or a part; empty where the file states none.
    n_outside
        Spikes of these units outside the stretch, which were dropped.
    columns
        What the file says of its units: column -> its values or their range, in words, over all units of the file.
    where
        The conditions that the units meet.
    population_column
        The column that named the populations, or None.
    all_units
        Whether silent units are among them, as in a simulation; otherwise the active fraction is an upper bound (`note`).
    """

    spikes: SpikeTrains
    path: Path
    format: str
    rows: NDArray[np.int64]
    n_units_in_file: int
    start_s: float
    stop_s: float
    observed_s: tuple[tuple[float, float], ...] = ()
    n_outside: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    population_column: str | None = None
    all_units: bool = False

    @property
    def note(self) -> str:
        """What the active fraction of this recording is not; empty where all units are in it."""
        return "" if self.all_units else UPPER_BOUND

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the spikes come from, as plain JSON types."""
        return {
            "file": self.path.name,
            "format": self.format,
            "units": self.spikes.n_units,
            "units_in_file": self.n_units_in_file,
            "where": list(self.where),
            "columns": dict(self.columns),
            "population_column": self.population_column,
            "start_s": self.start_s,
            "stop_s": self.stop_s,
            "observation": [list(stretch) for stretch in self.observed_s] or "given by the user",
            "spikes_outside": self.n_outside,
            "note": self.note,
        }

    def _repr_html_(self) -> str:
        return cards.card(
            self.path.name,
            {"format": self.format, "units": self.spikes.n_units, "spikes": len(self.spikes)},
            self.lines(),
        )

    def lines(self) -> list[str]:
        """The same in a few lines, for the terminal."""
        chosen = f" that meet {', '.join(self.where)}" if self.where else ""
        of = f" of {self.n_units_in_file:,}" if self.where else ""
        gaps = f", the longest of {len(self.observed_s)} stretches" if len(self.observed_s) > 1 else ""
        said = "" if self.observed_s else " (not stated in the file)"
        lines = [
            f"{self.path.name} ({self.format}): {self.spikes.n_units:,}{of} units{chosen}, {len(self.spikes):,} spikes, "
            f"observed from {self.start_s:g} to {self.stop_s:g} s{gaps or said}."
        ]
        if self.n_outside:
            lines.append(f"{self.n_outside:,} spikes outside that time were left out.")
        if self.columns:
            lines.append("Columns: " + "; ".join(f"{name}: {values}" for name, values in self.columns.items()) + ".")
        return [*lines, *filter(None, [self.note])]


def select(
    table: UnitTable,
    *,
    where: Sequence[str] = (),
    populations: str | None = None,
    start_s: float | None = None,
    duration_s: float | None = None,
) -> Recording:
    """Take the units that meet `where` over one stretch of time; see `recordings.read`."""
    if table.n_units == 0:
        raise ValueError("it holds no units")
    chosen = np.ones(table.n_units, dtype=bool)
    for condition in where:
        chosen &= _meets(table.columns, condition)
    if not chosen.any():
        raise ValueError(f"none of its {table.n_units:,} units meets {', '.join(where)}")
    column, names = _population_names(table, chosen, populations)
    rows = np.flatnonzero(chosen)
    if column is not None:
        _, first, code = np.unique(names[rows], return_index=True, return_inverse=True)
        rows = rows[np.argsort(first[code], kind="stable")]  # by population, in the order in which the file has them
    times_s, units = table.times_s, table.units
    if not np.array_equal(rows, np.arange(table.n_units)):
        new_index = np.full(table.n_units, -1)
        new_index[rows] = np.arange(rows.size)
        units = new_index[units]
        times_s, units = times_s[units >= 0], units[units >= 0]
    bad = ~np.isfinite(times_s)
    if bad.any():
        row = rows[units[int(np.argmax(bad))]]
        raise ValueError(
            f"spike times must be finite, got {times_s[bad][0]} in unit {row} ({int(bad.sum())} such values)"
        )
    stretches = _stretches(table, rows)
    start, stop = _part(stretches, times_s, start_s, duration_s)
    duration_ms = (stop - start) * 1e3
    n_found = times_s.size
    times_ms, units, dt_ms = _within((times_s - start) * 1e3, units, rows.size, duration_ms, table.resolution_s)
    return Recording(
        spikes=SpikeTrains(
            times_ms,
            units,
            n_units=rows.size,
            duration_ms=duration_ms,
            dt_ms=dt_ms,
            populations={} if column is None else _ranges(names[rows]),
        ),
        path=table.path,
        format=table.format,
        rows=rows,
        n_units_in_file=table.n_units,
        start_s=start,
        stop_s=stop,
        observed_s=tuple(stretches or ()),
        n_outside=n_found - times_ms.size,
        columns={name: _in_words(values) for name, values in table.columns.items()},
        where=tuple(where),
        population_column=column,
        all_units=table.all_units,
    )


# ---- Units ----------------------------------------------------------------------------------------------------------


def _meets(columns: Mapping[str, NDArray[Any]], condition: str) -> NDArray[np.bool_]:
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise ValueError(f"a condition reads column=value, or with !=, <, <=, > or >=, got {condition!r}")
    name, sign, text = match.groups()
    values = _column(columns, name)
    if values.dtype.kind == "b":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"column {name!r} holds true and false, got {condition!r}")
        return np.asarray(_COMPARE[sign](values, text.lower() == "true"))
    if values.dtype.kind in "iuf":
        try:
            return np.asarray(_COMPARE[sign](values, float(text)))
        except ValueError:
            raise ValueError(f"column {name!r} holds numbers ({_in_words(values)}), got {condition!r}") from None
    if sign not in ("=", "!="):
        raise ValueError(
            f"column {name!r} holds text ({_in_words(values)}): compare it with = or !=, got {condition!r}"
        )
    return np.asarray(_COMPARE[sign](values, text))


def _column(columns: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in columns:
        raise ValueError(f"its units have no column {name!r}; there are: {', '.join(columns) or 'none'}")
    return columns[name]


def _population_names(
    table: UnitTable, chosen: NDArray[np.bool_], asked: str | None
) -> tuple[str | None, NDArray[np.str_]]:
    """The column that names the populations, and the name for each unit; units with an empty one belong to none."""
    if asked is not None:
        return asked, _column(table.columns, asked).astype(str)
    for name in REGION_COLUMNS:
        if name in table.columns:
            names = table.columns[name].astype(str)
            n_values = np.unique(names[chosen & (names != "")]).size
            if 0 < n_values <= MOST_REGIONS:
                return name, names
    return None, np.empty(0, dtype=str)


def _ranges(names: NDArray[np.str_]) -> dict[str, tuple[int, int]]:
    """Name -> (first, one past the last) of names that stand together."""
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    stops = np.append(starts[1:], names.size)
    return {str(names[a]): (int(a), int(b)) for a, b in zip(starts, stops, strict=True) if names[a]}


def _in_words(values: NDArray[Any]) -> str:
    if values.dtype.kind in "iuf":
        finite = values[np.isfinite(values)]
        return f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "nan"
    distinct, counts = np.unique(values.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [f"{distinct[i] or 'empty'} {counts[i]:,}" for i in order[:_MOST_SHOWN]]
    more = distinct.size - len(shown)
    return ", ".join([*shown, f"{more:,} more"] if more else shown)


# ---- Time -----------------------------------------------------------------------------------------------------------


def _stretches(table: UnitTable, rows: NDArray[np.int64]) -> list[tuple[float, float]] | None:
    """The times at which all of `rows` were observed; None where the file does not say.

    Raises
    ------
    ValueError
        Where a unit has no interval, one ends before it starts or overlaps the next, or no time is common to all.
    """
    if table.observed_s is None or table.observed_units is None or table.observed_s.size == 0:
        return None
    of_ours = np.isin(table.observed_units, rows)
    bounds, owner = table.observed_s[of_ours], table.observed_units[of_ours]
    if not np.isfinite(bounds).all() or (bounds[:, 0] >= bounds[:, 1]).any():
        raise ValueError("its observation intervals must be finite and start before they stop")
    without = np.setdiff1d(rows, owner)
    if without.size:
        raise ValueError(
            f"{without.size:,} of its units have no observation interval, the first is unit {without[0]}: "
            "leave them out with a condition"
        )
    order = np.lexsort((bounds[:, 0], owner))
    bounds, owner = bounds[order], owner[order]
    overlap = (owner[1:] == owner[:-1]) & (bounds[1:, 0] < bounds[:-1, 1])
    if overlap.any():
        raise ValueError(f"observation intervals of unit {owner[int(np.argmax(overlap))]} overlap")
    # how many units are observed from each edge on; at one time starts come before stops, so that adjoining intervals join
    edges = np.concatenate([bounds[:, 0], bounds[:, 1]])
    steps = np.repeat([1, -1], len(bounds))
    order = np.lexsort((-steps, edges))
    edges, observed = edges[order], np.cumsum(steps[order])
    by_all = observed >= rows.size
    starts = edges[by_all & ~np.concatenate([[False], by_all[:-1]])]
    stops = edges[~by_all & np.concatenate([[False], by_all[:-1]])]
    stretches = [(float(a), float(b)) for a, b in zip(starts, stops, strict=True) if a < b]
    if not stretches:
        raise ValueError(
            f"there is no time at which all {rows.size:,} units were observed: leave some out with a condition"
        )
    return stretches


def _part(
    stretches: Sequence[tuple[float, float]] | None,
    times_s: NDArray[np.float64],
    start_s: float | None,
    duration_s: float | None,
) -> tuple[float, float]:
    """The start and stop in seconds of what is read."""
    start = None if start_s is None else checks.number("start_s", start_s)
    duration = None if duration_s is None else checks.positive("duration_s", duration_s)
    if stretches is None:
        if duration is None:
            last = f"; the last spike is at {times_s.max():g} s" if times_s.size else ""
            raise ValueError(
                f"it does not state for how long its units were observed: give duration_s (--duration-s){last}"
            )
        return start or 0.0, (start or 0.0) + duration
    longest = max(stretches, key=lambda stretch: stretch[1] - stretch[0])
    if start is None and duration is None:
        return longest
    if start is None:
        start = longest[0]
    rounding = 1e-9 * max(1.0, abs(start))
    for low, high in stretches:
        stop = high if duration is None else start + duration
        if low - rounding <= start < stop <= high + rounding:
            return max(low, start), min(high, stop)
    asked = f"from {start:g} s on" if duration is None else f"{start:g} to {start + duration:g} s"
    known = ", ".join(f"{low:g} to {high:g}" for low, high in stretches[:_MOST_SHOWN])
    more = ", ..." if len(stretches) > _MOST_SHOWN else ""
    raise ValueError(f"{asked} is not within a time at which all units were observed; those are, in s: {known}{more}")


def _within(
    times_ms: NDArray[np.float64],
    units: NDArray[np.int64],
    n_units: int,
    duration_ms: float,
    resolution_s: float | None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], float | None]:
    """The spikes in [0, duration_ms), and the grid in ms if times and duration keep the one that is named: then in order of time.

    Arrays of millions of spikes are worked on in place: new memory takes longer than the sums.
    """
    if resolution_s is not None and np.isfinite(resolution_s) and 0 < resolution_s * 1e3 <= duration_ms:
        dt_ms = float(f"{resolution_s * 1e3:.12g}")  # 1e-4 s is 0.1 ms, not 0.1 ms and a rounding
        n_ticks = round(duration_ms / dt_ms)
        exact = times_ms / dt_ms
        ticks = np.rint(exact)
        exact -= ticks
        off = max(abs(duration_ms / dt_ms - n_ticks), *(abs(f(exact, initial=0.0)) for f in (np.max, np.min)))
        if off <= _GRID_TOLERANCE:
            ticks, units = _between(ticks, units, n_ticks)
            keys = ticks.astype(np.int64)
            keys *= n_units
            keys += units
            keys.sort()  # of whole numbers: a tenth of an argsort's time
            in_order = keys // n_units
            keys -= in_order * n_units
            times_ms = in_order.astype(np.float64)
            times_ms *= dt_ms
            return times_ms, keys, dt_ms
    return *_between(times_ms, units, duration_ms), None


def _between(
    times: NDArray[np.float64], units: NDArray[np.int64], stop: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The spikes in [0, stop)."""
    if times.size == 0 or (times.min() >= 0 and times.max() < stop):
        return times, units
    inside = (times >= 0) & (times < stop)
    return times[inside], units[inside]
