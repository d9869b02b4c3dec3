"""Statistics on disk and back, exactly.

JSON for the numbers, a table for the units, npz without pickle for the curves.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np

from neurosparse._internal import checks
from neurosparse._internal import foreign_npz as archives
from neurosparse._internal.imports import MissingPackageError
from neurosparse._internal.types import Fields
from neurosparse._internal.whole_files import new_file
from neurosparse.activity import ActiveWhen, ActivityCurve, ActivityStats, Interval, Sparseness
from neurosparse.comparison import unit_tables

NUMBERS, CURVES = "comparison.json", "curves.npz"
FORMAT = "neurosparse comparison"
VERSION = 1
_PARTS: Fields = {
    "active_when": ActiveWhen,
    "interval": Interval,
    "effective_dimension_interval": Interval,
    "interval_over_cells": Interval,
    "interval_with_missed": Interval,
    "isi_cv_interval": Interval,
    "population": Sparseness,
    "lifetime": Sparseness,
}


def write_arrays(stats: Sequence[ActivityStats], directory: Path) -> None:
    """Write what JSON has no place for.

    A row a unit, and the gaps that each circuit's curve is made of.
    """
    unit_tables.write(stats, directory)
    curves: Fields = {}
    for k, s in enumerate(stats):
        if s.curve is not None:
            gaps, counts = np.unique(s.curve.gaps_ticks, return_counts=True)
            curves |= {
                f"gaps{k}": gaps,
                f"counts{k}": counts,
                f"ticks{k}": s.curve.lengths_ticks,
            }
            curves |= {f"tick_ms{k}": np.array(s.curve.tick_ms)}
    if curves:
        with new_file(directory / CURVES) as file, file.open("wb") as stream:
            np.savez_compressed(stream, **curves)


def read(directory: str | Path) -> tuple[Fields, tuple[ActivityStats, ...]]:
    """Return the numbers of a saved comparison, as JSON holds them, and its statistics.

    Raises
    ------
    FileNotFoundError, ValueError
        Where a file is missing, damaged or of another format; one sentence.
    """
    directory = checks.path("directory", directory)
    if not (directory / NUMBERS).is_file():
        raise FileNotFoundError(f"no comparison in {directory}: it holds no {NUMBERS}")
    table = unit_tables.find(directory)
    if table is None:
        raise FileNotFoundError(f"no comparison in {directory}: it holds no {unit_tables.PARQUET}")
    try:
        numbers = json.loads((directory / NUMBERS).read_text(encoding="utf-8"))
        if (numbers["format"], numbers["version"]) != (FORMAT, VERSION):
            raise ValueError(
                f"its format is {numbers['format']!r} {numbers['version']}, not {FORMAT!r}"
                f" {VERSION}"
            )
        curves = archives.load(directory / CURVES) if (directory / CURVES).is_file() else {}
        if not curves and any(entry["kind"] == "spikes" for entry in numbers["stats"]):
            raise ValueError(
                f"it holds no {CURVES}, which older versions did not write: run it again"
            )
        _check_kinds(numbers)
        units = unit_tables.read(table)
        stats = tuple(
            _stats(k, entry, units[entry["name"]], curves)
            for k, entry in enumerate(numbers["stats"])
        )
    except MissingPackageError:
        raise
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        OSError,
        RecursionError,
    ) as error:
        message = (
            f"there is no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        )
        raise ValueError(f"cannot read the comparison in {directory}: {message}") from None
    return numbers, stats


def _check_kinds(numbers: Fields) -> None:
    """Refuse values of the wrong kind; the message names the first."""
    for place, kind, name in (
        ("stats", list, "a list"),
        ("provenance", dict, "a table"),
        ("bands", list, "a list"),
    ):
        if not isinstance(numbers[place], kind):
            raise ValueError(f"{place} must be {name}, got {reprlib.repr(numbers[place])}")
    for k, entry in enumerate(numbers["stats"]):
        for key, value in entry.items():
            if (wanted := _wanted(key, value)) is not None:
                raise ValueError(f"stats[{k}].{key} must be {wanted}, got {reprlib.repr(value)}")


def _wanted(key: str, value: Any) -> str | None:
    """Return the kind that a value should be of; None where it is, or nobody reads it."""
    known = {f.name: f.default is MISSING for f in fields(ActivityStats)}
    if key not in known:
        return None
    if key in ("name", "kind"):
        return None if isinstance(value, str) else "text"
    if value is None and not known[key]:
        return None
    if key in _PARTS or key == "provenance":
        return None if isinstance(value, dict) else "a table"
    if key == "notes":
        is_text = isinstance(value, list) and all(isinstance(note, str) for note in value)
        return None if is_text else "a list of text"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if number and abs(value) < 2**63 else "a number"


def _part(key: str, value: dict[str, Any]) -> Any:
    """Return a part of the statistics; an interval without ends has NaN for them."""
    if _PARTS[key] is Interval:
        ends = {end: np.nan if value[end] is None else value[end] for end in ("low", "high")}
        return Interval(**{**value, **ends})
    return _PARTS[key](**value)


def _stats(k: int, entry: Fields, units: unit_tables.Units, curves: Fields) -> ActivityStats:
    known = {f.name for f in fields(ActivityStats)}
    values = {
        key: _part(key, value) if key in _PARTS and value is not None else value
        for key, value in entry.items()
        if key in known
    }
    values |= {name: units[title] for name, title in unit_tables.COLUMNS.items()}
    if entry["kind"] == "spikes":
        gaps = np.repeat(curves[f"gaps{k}"], curves[f"counts{k}"])
        lengths, tick_ms = curves[f"ticks{k}"], float(curves[f"tick_ms{k}"])
        values["curve"] = ActivityCurve.of_gaps(gaps, entry["n_units"], lengths, tick_ms)
    return ActivityStats(**values)
