"""Text: a row a spike with named columns (CSV, TSV, NEST's recorder files), or a line a unit."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
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

_COMMENTS = ("#", "%")  # of lines, as NumPy and MATLAB write them
_MISSING = ("NA", "N/A", "#N/A", "NaN", "nan", "<NA>", "null", "NULL", "None")  # as tools write it
_MOST_SNIFFED = 200  # lines
_MOST_LINE = 2**20  # characters of one that is looked at
_COMMENT = re.compile(r'("[^"]*")|\s#.*')  # at the end of a row; "u#2" is a name
_EMPTY = (
    "Empty lines at its start and end were left out ({:,}); give n_units (--n-units) if they are"
    " silent units."
)
_DECIMALS = re.compile(r"[+-]?\d+(,\d+)?(e[+-]?\d+)?", re.IGNORECASE)


class NoRowsError(ValueError):
    """A text holds comments and empty lines alone."""


def fits(path: Path) -> bool:
    """Return whether it is a file with a suffix of text."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def takes(path: Path) -> tuple[str, ...]:
    """Return what of `USES` a text leaves open, by its header."""
    try:
        look = look_at(path)
        if is_nest(path, look):
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
    if is_nest(path, look):
        return [of_nest(path, look, told)]
    if look.names:
        if told.layout is not None:
            raise ValueError("its header names the columns: leave layout (--layout) out")
        return [_by_name(path, look, told, "text")]
    layout = _layout(look, told)
    if layout == "trains":
        if told.times or told.units:
            raise ValueError("it has no columns with names: leave times and units out")
        trains, n_empty = _lines(path, look)
        _check_ids(trains)
        table = tabular.of_units(trains, range(len(trains)), told, "text, a line a unit")
        said = (_EMPTY.format(n_empty),) if n_empty and told.n_units is None else ()
        return [replace(table, said=(*table.said, *said))]
    return [_by_name(path, replace(look, names=tuple(layout.split(","))), told, "text")]


def look_at(path: Path) -> Look:
    """Look at the first lines of a text: header, delimiter, columns."""
    skip, is_nest, comment = 0, False, ""
    names: tuple[str, ...] = ()
    rows: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in islice(file, _MOST_SNIFFED):
            text = line[:_MOST_LINE].strip("\n\r\ufeff")
            if not text.strip() or text.lstrip().startswith(_COMMENTS):
                skip += not rows
                comment = comment if rows else (text.strip().lstrip("#%").strip() or comment)
                is_nest = is_nest or "NEST version" in text or "RecordingBackendASCII" in text
                continue
            rows.append(text)
    if not rows:
        raise NoRowsError("it holds no rows")
    if "\0" in "".join(rows):
        raise ValueError("it is not text, or is damaged")
    delimiter = _delimiter(rows)
    if not _are_numbers(rows[0], delimiter) and (len(rows) == 1 or _header(rows, delimiter)):
        names, rows, skip = _fields(rows[0], delimiter), rows[1:], skip + 1
        names = _of_rows(names, [_fields(_bare(row), delimiter) for row in rows])
    elif comment and len(_fields(comment, delimiter)) == len(_fields(rows[0], delimiter)):
        names = _named(_fields(comment, delimiter))
    if {"sender", "time_ms"} <= set(names):
        is_nest = True
    rows = [_bare(row) for row in rows]
    values = [_values(row, delimiter) for row in rows]
    return Look(
        skip=skip,
        names=tuple(names),
        delimiter=delimiter,
        widths=tuple(len([f for f in _fields(row, delimiter) if f]) for row in rows),
        rising=all(v is not None and (np.diff(v) > 0).all() for v in values),
        is_nest=is_nest,
    )


def is_nest(path: Path, look: Look) -> bool:
    """Return whether NEST wrote a text: its header says so, or the suffix where there is none."""
    return look.is_nest or path.suffix.lower() == ".gdf"


def _header(rows: Sequence[str], delimiter: str | None) -> bool:
    """Return whether the first row is a header: no field in it is a number."""
    fields = _fields(rows[0], delimiter)
    return not any(by_name.number(f) is not None or _DECIMALS.fullmatch(f) for f in fields)


def _of_rows(names: tuple[str, ...], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return a header for each column of the rows: that of their numbers is left out in R's files.

    ValueError where another one is left out.
    """
    # what ends a row without a value is no column
    most = max((k for row in rows for k, field in enumerate(row, 1) if field), default=0)
    if most == len(names) + 1 and [row[0] for row in rows] == [*map(str, range(1, len(rows) + 1))]:
        return ("", *names)
    widest = max(map(len, rows), default=len(names))
    if widest < len(names):
        raise ValueError(
            f"its header names {len(names)} columns, and its rows have {widest}: name each column"
            " once, and put names that hold the delimiter in quotes"
        )
    if most > len(names):
        raise ValueError(
            f"its header names {len(names)} columns, and it has rows of {most}: name each column,"
            " and put texts that hold the delimiter in quotes"
        )
    return names


def _named(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the fields of a comment where they name times and units, and none otherwise."""
    try:
        by_name.find(fields, Told())
    except ValueError:
        return ()
    return tuple(fields)


def _delimiter(rows: Sequence[str]) -> str | None:
    commas = any(map(_has_decimal_comma, rows))
    for candidate in (";", "\t") if commas else (",", ";", "\t"):
        if candidate in rows[0]:
            # a tab at the end of a row is no column
            return None if candidate == "\t" and _are_numbers(rows[-1], None) and not any(
                " " in row.strip() for row in rows[:1]
            ) else candidate  # fmt: skip
    return None


def _has_decimal_comma(row: str) -> bool:
    """Return whether a row is numbers with decimal commas, parted by another delimiter."""
    parted = re.split(r"[;\t]", _bare(row).strip("; \t"))
    fields = [field.strip() for field in parted] if len(parted) > 1 else parted[0].split()
    asked = [field for field in fields if "," in field or len(parted) == 1]
    return "," in row and len(fields) > 1 and all(map(_DECIMALS.fullmatch, asked))


def _bare(row: str) -> str:
    """Return a row without the comment at its end."""
    return _COMMENT.sub(lambda match: match[1] or "", row) if "#" in row else row


def _fields(row: str, delimiter: str | None) -> tuple[str, ...]:
    fields: Iterable[str] = row.split(delimiter)
    if '"' in row:  # which may hold the delimiter
        plain = row if delimiter else " ".join(row.split())
        lines = csv.reader([plain], delimiter=delimiter or " ", skipinitialspace=True)
        with suppress(csv.Error):
            fields = next(lines, [])
    return tuple(field.strip().strip('"') for field in fields)


def _values(row: str, delimiter: str | None) -> NDArray[np.float64] | None:
    numbers = [by_name.number(field) for field in _fields(row, delimiter) if field]
    return None if None in numbers else np.array(numbers, dtype=np.float64)


def _are_numbers(row: str, delimiter: str | None) -> bool:
    return _values(row, delimiter) is not None


def _layout(look: Look, told: Told) -> str:
    """Return the layout of rows without a header, as told or where only one fits."""
    most = max(look.widths)
    if told.layout is not None:
        if told.layout not in LAYOUTS:
            raise ValueError(f"layout must be {_IN_WORDS}, got {told.layout!r}")
        if told.layout != "trains" and most != 2:
            raise ValueError(
                f"layout={told.layout!r} is of 2 columns, and it has {most}: give it a header that"
                " names each column, and leave layout (--layout) out"
            )
        return told.layout
    if most == 1 == told.n_units:
        return "times"
    if most == 1 < len(look.widths):
        raise ValueError(
            "it has no header, and a number a line: give n_units=1 (--n-units) if they are the"
            " times of one unit, or give layout=trains (--layout) if each line is a unit"
        )
    if not look.rising and min(look.widths) < 2:
        raise ValueError("its rows are neither times of a unit nor a time and a unit")
    if len(set(look.widths)) > 1 and look.rising:
        return "trains"  # rows of unlike lengths are no columns
    if look.rising and most > 2 and len(look.widths) == 1:
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
            numbers = np.asarray(np.loadtxt(_rows(path, look.skip, bare=True), **how))
            if not (np.abs(numbers[np.isfinite(numbers)]) >= by_name.MOST_EXACT).any():
                return numbers
            rows = _rows(path, look.skip, bare=True)
            return np.asarray(np.loadtxt(rows, dtype=np.int64, **how))
        except ValueError:
            pass
        try:
            values = np.asarray(np.loadtxt(_rows(path, look.skip), dtype=str, **how))
        except ValueError as error:
            raise ValueError(f"column {name!r} is damaged ({_first_line(error)})") from None
    values = np.char.strip(values)
    values[np.isin(values, _MISSING)] = ""
    if (np.char.find(values, "#") >= 0).any():
        _check_comments(name, set(values.tolist()))
    return values


def _check_comments(name: str, texts: set[str]) -> None:
    """Refuse texts of which one is another with a comment; a name may hold a # otherwise."""
    for text in sorted(texts):
        if (bare := _bare(text).strip()) != text and bare in texts:
            raise ValueError(
                f"column {name!r} holds {bare!r} and {text!r}: take out the comments in its rows"
            )


def _rows(path: Path, skip: int, *, bare: bool = False) -> Iterator[str]:
    """Yield the rows without lines of comment, and `bare` without comments at their ends."""
    with path.open(encoding="utf-8-sig") as file:
        for line in islice(file, skip, None):
            if not line.lstrip().startswith(_COMMENTS):
                yield _bare(line) if bare else line


def _lines(path: Path, look: Look) -> tuple[list[NDArray[np.float64]], int]:
    """Return the times of each line, and how many empty ones stand before and after all of them.

    An empty one between others is a silent unit.
    """
    trains: list[NDArray[np.float64]] = []
    n_empty = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for k, line in enumerate(file, 1):
            text = _bare(line).strip().lstrip("\ufeff")
            if text.startswith(_COMMENTS):
                continue
            values = _values(text, look.delimiter)
            if values is None:
                raise ValueError(f"line {k} must hold numbers alone, got {text[:40]!r}")
            if values.size or trains:
                trains.append(values)
            else:
                n_empty += 1
    while len(trains) > 1 and not trains[-1].size:
        del trains[-1]
        n_empty += 1
    return trains, n_empty


def _check_ids(trains: Sequence[NDArray[np.float64]]) -> None:
    """Refuse lines that begin with ids: whole numbers that count, or that are no times."""
    lines = [train for train in trains if train.size]
    ids = np.array([line[0] for line in lines])
    times = np.concatenate([line[1:] for line in lines])
    if len(lines) < 2 or not times.size or (ids % 1).any() or np.unique(ids).size < ids.size:
        return
    count = len(lines) > 2 and ids[0] in (0, 1) and (np.diff(ids) == 1).all()
    if count or (times % 1 > 0).all():
        raise ValueError(
            f"its lines begin with {ids[0]:g}, {ids[1]:g} and so on, as with ids of units: leave"
            " these out, so that each line holds times alone"
        )


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
