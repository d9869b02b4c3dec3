"""Selection of units of a file or object, and of a part of its time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks
from neurosparse._internal.grid import GRID_TOLERANCE
from neurosparse._internal.names import did_you_mean
from neurosparse._internal.types import Array
from neurosparse.activity import WHOLE, SpikeTrains
from neurosparse.recordings.recording import OWN, Recording, UnitTable
from neurosparse.recordings.stretches import (
    ROUNDING_S,
    Observed,
    asked_for,
    check_not_empty,
    common_stretches,
    from_start_ms,
    within,
)

REGION_COLUMNS = (
    "population", "brain_area", "brain_region", "region", "area", "location", "electrodes.location", "electrode_group.location"  # noqa: E501
)  # fmt: skip
# a column with more values than this names places, not populations, unless it is asked for
MOST_REGIONS = 32

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Selection that `recordings.read` is asked for."""

    where: tuple[str, ...] = ()
    populations: str | None = None
    start_s: float | None = None
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.populations is not None:
            checks.instance("populations", self.populations, str)


def select(table: UnitTable, wanted: Wanted) -> Recording:
    """Take what is wanted of a table: some units, over the time in which all of them were observed.

    Raises
    ------
    ValueError
        As `recordings.read`, in a sentence of which the file is the subject.
    """
    if table.n_units == 0:
        raise ValueError("it holds no units: give n_units (--n-units) where they were silent")
    chosen = np.ones(table.n_units, dtype=bool)
    for condition in wanted.where:
        chosen &= _meets(table.columns, condition)
    if not chosen.any():
        raise ValueError(f"none of its {table.n_units:,} units meets {', '.join(wanted.where)}")
    column, names = _population_names(table, chosen, wanted.populations)
    rows = np.flatnonzero(chosen)
    if column is not None:
        names = np.where(names == WHOLE, f"{WHOLE} ({column})", names)  # a place of that name
        rows = _by_population(rows, names[rows])
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
            f"spike times must be finite, got {times_s[bad][0]} in unit {row} ({int(bad.sum())}"
            " such values)"
        )
    observed = common_stretches(table, rows)
    read_s = asked_for(observed, times_s, wanted.start_s, wanted.duration_s)
    start, stop = float(read_s[0, 0]), float(read_s[-1, 1])
    # a grid of our own files is kept, whatever it is
    inside = within(
        times_s,
        units,
        rows.size,
        read_s,
        table.resolution_s,
        ends=table.ends,
        closed=_closed(table, observed, read_s),
        any_grid=table.all_units,
    )
    check_not_empty(inside.times_ms.size, times_s, read_s)
    n_outside = times_s.size - inside.times_ms.size
    del times_s, units  # of 5e7 spikes each array takes 0.4 GB
    table = replace(table, times_s=np.empty(0), units=np.empty(0, dtype=np.int64))
    spikes = SpikeTrains(
        inside.times_ms,
        inside.units,
        n_units=rows.size,
        duration_ms=float(from_start_ms(read_s, read_s)[-1, 1]),
        dt_ms=inside.dt_ms,
        populations={} if column is None else _ranges(names[rows]),
        intervals=inside.intervals_ms if len(read_s) > 1 else None,
        start_ms=start * 1e3,
    )
    return Recording(
        spikes=spikes,
        path=table.path,
        format=table.format,
        rows=rows,
        n_units_in_file=table.n_units,
        start_s=start,
        stop_s=stop,
        observed_s=() if observed is None else observed.stretches,
        n_outside=n_outside,
        columns={name: _in_words(values) for name, values in table.columns.items()},
        where=wanted.where,
        population_column=column,
        all_units=table.all_units,
        said=(*table.said, *_merges(observed)),
    )


def padded(table: UnitTable, n_units: int | None) -> UnitTable:
    """Return a table with silent units added up to `n_units`, if they are not in it already."""
    n = table.n_units if n_units is None else checks.whole("n_units", n_units)
    if n == table.n_units:
        return table
    if n < table.n_units or table.all_units:
        raise ValueError(f"it has {table.n_units:,} units, got n_units={n:,}")
    more = n - table.n_units
    columns = {
        name: np.concatenate([values.astype(str), np.full(more, "")])
        for name, values in table.columns.items()
    }
    observed, owners = table.observed_s, table.observed_units
    if observed is not None and owners is not None:
        of_first = observed[owners == 0]
        observed = np.concatenate([observed, *[of_first] * more])
        added = np.repeat(np.arange(table.n_units, n), len(of_first))
        owners = np.concatenate([owners, added])
    return replace(
        table, n_units=n, columns=columns, observed_s=observed, observed_units=owners,
        all_units=True,
    )  # fmt: skip


def pooled(parts: Sequence[Recording]) -> Recording:
    """Return trials or sweeps, read one by one, as one record of which each is an interval.

    Their own times are kept where they follow each other; where each counts from its own start,
    they are laid end to end.

    Raises
    ------
    ValueError
        Where they hold different numbers of units, so that none is known to be that of another.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if len(sizes := {part.spikes.n_units for part in parts}) > 1:
        raise ValueError(
            f"its segments hold {min(sizes)} to {max(sizes)} units, so that units of one cannot be"
            " found in another: pass one segment, or ask for a time in it"
        )
    pauses_s = np.array([b.start_s - a.stop_s for a, b in pairwise(parts)])
    begin_anew = (pauses_s < -ROUNDING_S).any()
    pauses_s[begin_anew | (pauses_s <= ROUNDING_S)] = 0.0
    steps_ms = pauses_s * 1e3 + [part.spikes.duration_ms for part in parts[:-1]]
    shifts_ms = np.cumsum([0.0, *steps_ms])
    duration_ms = float(shifts_ms[-1] + parts[-1].spikes.duration_ms)
    spikes = replace(
        first.spikes,
        times_ms=np.concatenate(
            [p.spikes.times_ms + t for p, t in zip(parts, shifts_ms, strict=True)]
        ),
        units=np.concatenate([part.spikes.units for part in parts]),
        duration_ms=duration_ms,
        intervals=np.concatenate(
            [p.spikes.intervals + t for p, t in zip(parts, shifts_ms, strict=True)]
        ),
        dt_ms=_shared_grid(parts, shifts_ms),
    )
    return replace(
        first,
        spikes=spikes,
        stop_s=first.start_s + duration_ms * 1e-3,
        observed_s=tuple(stretch for part in parts for stretch in part.observed_s),
        n_outside=sum(part.n_outside for part in parts),
        said=tuple(dict.fromkeys(sentence for part in parts for sentence in part.said)),
    )


def chosen(tables: list[UnitTable], wanted: Wanted) -> Recording:
    """Return the segments of a file or object together.

    Where a time is asked for, those that hold it. A table goes from the list when it has been read:
    it may be large.
    """
    n_tables = len(tables)
    is_part = wanted.start_s is not None or wanted.duration_s is not None
    found: list[Recording] = []
    refusals: list[ValueError] = []
    while tables:
        try:
            found.append(select(tables.pop(0), wanted))
        except ValueError as error:
            if n_tables == 1 or not is_part:
                raise
            refusals.append(error)
    if not found:
        raise refusals[0]
    recording = pooled(found)
    if not refusals:
        return recording
    left = f"{len(refusals):,} of its {n_tables:,} segments were left out: {refusals[0]}."
    return replace(recording, said=(*recording.said, left))


def _shared_grid(parts: Sequence[Recording], shifts_ms: NDArray[np.float64]) -> float | None:
    """Return the grid that all parts have and that their starts keep to, or None."""
    dt_ms = parts[0].spikes.dt_ms
    if dt_ms is None or any(part.spikes.dt_ms != dt_ms for part in parts):
        return None
    steps = shifts_ms / dt_ms
    return dt_ms if (np.abs(steps - np.rint(steps)) <= GRID_TOLERANCE).all() else None


def conditions(where: str | Sequence[str]) -> tuple[str, ...]:
    """Return one condition, or several, as several."""
    return (where,) if isinstance(where, str) else tuple(checks.instances("where", where, str))


def named_columns(where: Sequence[str], populations: str | None) -> tuple[str, ...]:
    """Return the columns that conditions and populations ask for."""
    found = [match[1] for condition in where if (match := _CONDITION.fullmatch(condition))]
    return tuple(dict.fromkeys([*found, *filter(None, [populations])]))


def _closed(
    table: UnitTable, observed: Observed | None, read_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which intervals hold a spike at their very stop: those that were not cut by us."""
    if table.ends != "[]" or observed is None:
        return np.zeros(len(read_s), dtype=bool)
    return np.isin(read_s[:, 1], [stop for _, stop in observed.stretches])


def _merges(observed: Observed | None) -> tuple[str, ...]:
    if observed is None or not observed.n_merged:
        return ()
    return (f"{observed.n_merged:,} observation intervals overlapped another and were merged.",)


def _meets(columns: Mapping[str, Array], condition: str) -> NDArray[np.bool_]:
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise ValueError(
            f"a condition reads column=value, or with !=, <, <=, > or >=, got {condition!r}"
        )
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
            raise ValueError(
                f"column {name!r} holds numbers ({_in_words(values)}), got {condition!r}"
            ) from None
    if sign not in ("=", "!="):
        raise ValueError(
            f"column {name!r} holds text ({_in_words(values)}): compare it with = or !=, got"
            f" {condition!r}"
        )
    return np.asarray(_COMPARE[sign](values, text))


def _column(columns: Mapping[str, Array], name: str) -> Array:
    if name not in columns:
        raise ValueError(
            f"its units have no column {name!r}; there are: {', '.join(columns) or 'none'}"
            f"{did_you_mean(name, columns)}"
        )
    return columns[name]


def _population_names(
    table: UnitTable, chosen: NDArray[np.bool_], asked: str | None
) -> tuple[str | None, NDArray[np.str_]]:
    """Return the column that names the populations, and the name for each unit.

    Units with an empty name belong to none.
    """
    if asked is not None:
        return asked, _as_names(_column(table.columns, asked))
    for name in REGION_COLUMNS:
        if name in table.columns:
            names = _as_names(table.columns[name])
            n_values = np.unique(names[chosen & (names != "")]).size
            if 0 < n_values <= MOST_REGIONS:
                return name, names
    return None, np.empty(0, dtype=str)


def _as_names(values: Array) -> NDArray[np.str_]:
    """Return values as texts, "" for numbers that are missing."""
    names = values.astype(str)
    return np.where(np.isnan(values), "", names) if values.dtype.kind == "f" else names


def _by_population(rows: NDArray[np.int64], names: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the rows as they are where each population stands together, else by population.

    Populations come in the order in which the file has them.
    """
    starts = names != np.concatenate([["\0"], names[:-1]])
    pieces = names[starts & (names != "")]
    if np.unique(pieces).size == pieces.size:
        return rows
    _, first, code = np.unique(names, return_index=True, return_inverse=True)
    return rows[np.argsort(first[code], kind="stable")]


def _ranges(names: NDArray[np.str_]) -> dict[str, tuple[int, int]]:
    """Name -> (first, one past the last) of names that stand together."""
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    stops = np.append(starts[1:], names.size)
    return {str(names[a]): (int(a), int(b)) for a, b in zip(starts, stops, strict=True) if names[a]}


def _in_words(values: Array) -> str:
    if values.dtype.kind in "iu" and values.size:
        return f"{values.min():,} to {values.max():,}"
    if values.dtype.kind in "iuf":
        finite = values[np.isfinite(values)]
        return f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "nan"
    distinct, counts = np.unique(values.astype(str), return_counts=True)
    if distinct.size == values.size > _MOST_SHOWN:
        return OWN
    order = np.argsort(-counts, kind="stable")
    shown = [f"{distinct[i] or 'empty'} {counts[i]:,}" for i in order[:_MOST_SHOWN]]
    more = distinct.size - len(shown)
    return ", ".join([*shown, f"{more:,} more"] if more else shown)
