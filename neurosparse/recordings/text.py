"""Text: a row a spike with named columns (CSV, TSV, NEST's recorder files), or a line a unit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.types import Array, Fields
from neurosparse.recordings import columns as by_name
from neurosparse.recordings import tabular
from neurosparse.recordings.columns import Told
from neurosparse.recordings.recording import UnitTable

RANK = 5
USES = ("time_unit", "times", "units", "layout")
SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".gdf", ".asc", ".spikes")
LAYOUTS = ("times,units", "units,times", "trains")
_IN_WORDS = "'times,units', 'units,times' or 'trains' (a line a unit)"

_MOST_SNIFFED = 200  # lines
_MOST_LINE = 2**20  # characters of one that is looked at


def fits(path: Path) -> bool:
    """Return whether it is a file with a suffix of text."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def takes(path: Path) -> tuple[str, ...]:
    """Return what of `USES` a text leaves open, by its header."""
    try:
        look = look_at(path)
        if look.is_nest or path.suffix.lower() == ".gdf":
            return ()
        if not look.names:
            return ("layout", "time_unit")
        stated_unit = by_name.find(look.names, Told())[1]
    except ValueError:
        return USES
    return ("times", "units") if stated_unit else ("times", "units", "time_unit")


@dataclass(frozen=True, slots=True)
class Look:
    """Facts that the first lines of a text tell."""

    skip: int  # lines before the first row
    names: tuple[str, ...]  # of the columns; empty where no header names them
    delimiter: str | None  # None: any white space
    widths: tuple[int, ...]  # fields of each row that was looked at
    rising: bool  # whether the numbers rise within each row
    is_nest: bool


def tables(path: Path, told: Told) -> Sequence[UnitTable]:
    """Return the units of a text.

    Without a header, two columns of numbers may be times and units, units and times, or two spikes
    of each unit: such a file is refused unless `layout` says which.
    """
    look = look_at(path)
    if look.is_nest or path.suffix.lower() == ".gdf":
        return [of_nest(path, look, told)]
    if look.names:
        if told.layout is not None:
            raise ValueError("its header names the columns: leave layout (--layout) out")
        return [_by_name(path, look, told, "text")]
    layout = _layout(look, told)
    if layout == "trains":
        if told.times or told.units:
            raise ValueError("it has no columns with names: leave times and units out")
        trains = _lines(path, look)
        return [tabular.of_units(trains, range(len(trains)), told, "text, a line a unit")]
    return [_by_name(path, replace(look, names=tuple(layout.split(","))), told, "text")]


def look_at(path: Path) -> Look:
    """Look at the first lines of a text: header, delimiter, columns."""
    skip, is_nest, comment = 0, False, ""
    names: tuple[str, ...] = ()
    rows: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in islice(file, _MOST_SNIFFED):
            text = line[:_MOST_LINE].strip("\n\r\ufeff")
            if not text.strip() or text.lstrip().startswith("#"):
                skip += not rows
                comment = comment if rows else (text.strip().lstrip("#").strip() or comment)
                is_nest = is_nest or "NEST version" in text or "RecordingBackendASCII" in text
                continue
            rows.append(text)
    if not rows:
        raise ValueError("it holds no rows")
    if "\0" in "".join(rows):
        raise ValueError("it is not text, or is damaged")
    delimiter = _delimiter(rows)
    if not _are_numbers(rows[0], delimiter) and (len(rows) == 1 or _header(rows, delimiter)):
        names, rows, skip = _fields(rows[0], delimiter), rows[1:], skip + 1
    elif comment and len(_fields(comment, delimiter)) == len(_fields(rows[0], delimiter)):
        names = _named(_fields(comment, delimiter))
    if {"sender", "time_ms"} <= set(names):
        is_nest = True
    values = [_values(row, delimiter) for row in rows]
    return Look(
        skip=skip,
        names=tuple(names),
        delimiter=delimiter,
        widths=tuple(len([f for f in _fields(row, delimiter) if f]) for row in rows),
        rising=all(v is not None and (np.diff(v) > 0).all() for v in values),
        is_nest=is_nest,
    )


def _header(rows: Sequence[str], delimiter: str | None) -> bool:
    """Return whether the first row is a header: no field in it is a number."""
    return all(_number(field) is None for field in _fields(rows[0], delimiter))


def _named(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the fields of a comment where they name times and units, and none otherwise."""
    try:
        by_name.find(fields, Told())
    except ValueError:
        return ()
    return tuple(fields)


def _delimiter(rows: Sequence[str]) -> str | None:
    for candidate in (",", ";", "\t"):
        if candidate in rows[0]:
            # a tab at the end of a row is no column
            return None if candidate == "\t" and _are_numbers(rows[-1], None) and not any(
                " " in row.strip() for row in rows[:1]
            ) else candidate  # fmt: skip
    return None


def _fields(row: str, delimiter: str | None) -> tuple[str, ...]:
    return tuple(field.strip().strip('"') for field in row.split(delimiter))


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _values(row: str, delimiter: str | None) -> NDArray[np.float64] | None:
    numbers = [_number(field) for field in _fields(row, delimiter) if field]
    return None if None in numbers else np.array(numbers, dtype=np.float64)


def _are_numbers(row: str, delimiter: str | None) -> bool:
    return _values(row, delimiter) is not None


def _layout(look: Look, told: Told) -> str:
    """Return the layout of rows without a header, as told or where only one fits."""
    if told.layout is not None:
        if told.layout not in LAYOUTS:
            raise ValueError(f"layout must be {_IN_WORDS}, got {told.layout!r}")
        return told.layout
    if not look.rising and min(look.widths) < 2:
        raise ValueError("its rows are neither times of a unit nor a time and a unit")
    if len(set(look.widths)) > 1 and look.rising:
        return "trains"  # rows of unlike lengths are no columns
    if look.rising and max(look.widths) > 2 and len(look.widths) == 1:
        return "trains"
    raise ValueError(
        f"it has no header, so that its {look.widths[0]} columns may be times and units or the"
        f" spikes of a unit each: give layout (--layout): {_IN_WORDS}"
    )


def _by_name(path: Path, look: Look, told: Told, kind: str, first_id: int = 0) -> UnitTable:
    def column(name: str) -> Array:
        return _column(path, look, look.names.index(name), name)

    return tabular.of_columns(look.names, column, told, kind, first_id=first_id)


def _column(path: Path, look: Look, at: int, name: str) -> Array:
    """Return a column as numbers, or as texts where some are none."""
    how: Fields = {
        "delimiter": look.delimiter, "usecols": at, "ndmin": 1, "quotechar": '"', "comments": None,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty file, which is refused below
        try:
            numbers = np.asarray(np.loadtxt(_rows(path, look.skip), **how))
            if not (np.abs(numbers) >= by_name.MOST_EXACT).any():
                return numbers
            return np.asarray(np.loadtxt(_rows(path, look.skip), dtype=np.int64, **how))
        except ValueError:
            pass
        try:
            values = np.asarray(np.loadtxt(_rows(path, look.skip), dtype=str, **how))
        except ValueError as error:
            raise ValueError(f"column {name!r} is damaged ({_first_line(error)})") from None
    return np.char.strip(values)


def _rows(path: Path, skip: int) -> Iterator[str]:
    """Yield the rows without comments: lines that begin with #, which may stand in a row too."""
    with path.open(encoding="utf-8") as file:
        for line in islice(file, skip, None):
            if not line.startswith("#"):
                yield line


def _lines(path: Path, look: Look) -> list[NDArray[np.float64]]:
    """Return the times of each line; an empty one between others is a silent unit."""
    trains = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for k, line in enumerate(file, 1):
            text = line.strip().lstrip("\ufeff")
            if k <= look.skip or text.startswith("#"):
                continue
            values = _values(text, look.delimiter)
            if values is None:
                raise ValueError(f"line {k} must hold numbers alone, got {text[:40]!r}")
            trains.append(values)
    while len(trains) > 1 and not trains[-1].size:  # empty lines at the end are no silent units
        del trains[-1]
    return trains


def of_nest(path: Path, look: Look, told: Told) -> UnitTable:
    """Return the units of a file that NEST wrote: id and time in ms a row, times in (0, T]."""
    if "time_step" in look.names:
        raise ValueError(
            "its times are steps and offsets: record with time_in_steps False, so that they are ms"
        )
    if others := [name for name in look.names if name not in ("sender", "time_ms")]:
        raise ValueError(
            f"its column {others[0]} is that of a multimeter or a weight recorder: record spikes"
            " with a spike_recorder"
        )
    settled = {"layout": told.layout, "time_unit": told.time_unit}
    if given := [name for name, value in settled.items() if value is not None]:
        raise ValueError(f"NEST settles {given[0]} (--{given[0].replace('_', '-')}): leave it out")
    look = replace(look, names=("sender", "time_ms"), delimiter=None)
    table = _by_name(path, look, told, "NEST recorder", first_id=1)
    return replace(table, ends="(]")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
