"""Which units of a file or object, and over which of its time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosparse.activity import SpikeTrains
from neurosparse.recordings.recording import Recording, UnitTable
from neurosparse.recordings.stretches import (
    Observed,
    asked_for,
    check_not_empty,
    common_stretches,
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
    """What `recordings.read` is asked for."""

    where: tuple[str, ...] = ()
    populations: str | None = None
    start_s: float | None = None
    duration_s: float | None = None


def select(table: UnitTable, wanted: Wanted) -> Recording:
    """Take what is wanted of a table: some units, over the time in which all of them were observed.

    Raises
    ------
    ValueError
        As `recordings.read`, in a sentence of which the file is the subject.
    """
    if table.n_units == 0:
        raise ValueError("it holds no units")
    chosen = np.ones(table.n_units, dtype=bool)
    for condition in wanted.where:
        chosen &= _meets(table.columns, condition)
    if not chosen.any():
        raise ValueError(f"none of its {table.n_units:,} units meets {', '.join(wanted.where)}")
    column, names = _population_names(table, chosen, wanted.populations)
    rows = np.flatnonzero(chosen)
    if column is not None:
        _, first, code = np.unique(names[rows], return_index=True, return_inverse=True)
        # by population, in the order in which the file has them
        rows = rows[np.argsort(first[code], kind="stable")]
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
        times_s, units, rows.size, read_s, table.resolution_s, table.ends, table.all_units
    )
    check_not_empty(inside.times_ms.size, times_s, read_s)
    spikes = SpikeTrains(
        inside.times_ms,
        inside.units,
        n_units=rows.size,
        duration_ms=(stop - start) * 1e3,
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
        n_outside=times_s.size - len(spikes),
        columns={name: _in_words(values) for name, values in table.columns.items()},
        where=wanted.where,
        population_column=column,
        all_units=table.all_units,
        said=_merges(observed),
    )


def _merges(observed: Observed | None) -> tuple[str, ...]:
    if observed is None or not observed.n_merged:
        return ()
    return (f"{observed.n_merged:,} observation intervals overlapped another and were merged.",)


def _meets(columns: Mapping[str, NDArray[Any]], condition: str) -> NDArray[np.bool_]:
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


def _column(columns: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in columns:
        raise ValueError(
            f"its units have no column {name!r}; there are: {', '.join(columns) or 'none'}"
        )
    return columns[name]


def _population_names(
    table: UnitTable, chosen: NDArray[np.bool_], asked: str | None
) -> tuple[str | None, NDArray[np.str_]]:
    """The column that names the populations, and the name for each unit; units with an empty one
    belong to none.
    """
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
